"""How findings say that what they find lasts (`checks.drift_memory`), is explained, or goes on unseen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from modelward_agent.durations import format_duration
from modelward_collector.checks.drift_memory import Episode
from modelward_collector.checks.result import Finding, Status


def settled(finding: Finding, why: str) -> Finding:
    """The finding, fine for that reason."""
    return replace(finding, status=Status.OK, message=f"{finding.message}; {why}")


def aged(finding: Finding, episode: Episode, now: datetime) -> Finding:
    """The finding with its age: since when, and for how long once that is worth a word."""
    said = finding.message
    if now - episode.start > 2 * episode.length:
        said += f"; {_since(episode, now)}"
    return replace(finding, since=episode.start, message=said, detail={**finding.detail, "episode": _detail(episode)})


def words_of(finding: Finding) -> dict[str, Any]:
    """What of a finding is remembered to be said again; JSON values."""
    return {
        "subject": finding.subject,
        "test": finding.test,
        "status": finding.status.value,
        "message": finding.message,
        "value": finding.value,
        "threshold": finding.threshold,
    }


def unseen(words: Mapping[str, Any], episode: Episode, seen: str) -> Finding:
    """What goes on as far as is known, while this window cannot tell; `seen` is what there is of it, as `12 rows`."""
    said = f"{words['message']}; last seen {_moment(episode.seen)}, not over as far as {seen} can tell"
    return Finding(
        words["subject"],
        words["test"],
        Status(words["status"]),
        f"{said}; since {_moment(episode.start)}",
        value=words["value"],
        threshold=words["threshold"],
        since=episode.start,
        detail={"episode": _detail(episode), "unseen_now": True},
    )


def _detail(episode: Episode) -> dict[str, Any]:
    return {"start": episode.start.isoformat(), "said": episode.said.isoformat(), "seen": episode.seen.isoformat()}


def _since(episode: Episode, now: datetime) -> str:
    """`for 60d, since 30 Jan 14:00 UTC`."""
    lasted = now - episode.start
    unit = timedelta(days=1) if lasted >= timedelta(days=2) else timedelta(hours=1)
    whole = lasted // unit * unit
    return (
        f"for {format_duration(whole)}, since {_moment(episode.start)}" if whole else f"since {_moment(episode.start)}"
    )


def _moment(at: datetime) -> str:
    return f"{at.day} {at:%b %H:%M} UTC"
