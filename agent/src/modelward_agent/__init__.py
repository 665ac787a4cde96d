"""Modelward's agent: record predictions, summarise them in mergeable sketches, ship both."""

__version__ = "0.1.0"
