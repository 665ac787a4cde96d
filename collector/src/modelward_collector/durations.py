"""Durations as people write them: `5m`, `1h30m`, `7d`."""

from modelward_agent.durations import Duration, format_duration, parse_duration

__all__ = ["Duration", "format_duration", "parse_duration"]
