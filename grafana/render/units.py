"""Numbers as Grafana writes them, for the units that the dashboards use."""

from __future__ import annotations

import math
from typing import Final

_SI: Final = ((1e12, " T"), (1e9, " B"), (1e6, " Mil"), (1e3, " K"))
_BYTES: Final = ((2.0**40, " TiB"), (2.0**30, " GiB"), (2.0**20, " MiB"), (2.0**10, " KiB"))
_SECONDS: Final = (
    (31_536_000, " years"),
    (604_800, " weeks"),
    (86_400, " days"),
    (3_600, " hours"),
    (60, " mins"),
)
_SUFFIX: Final = {"reqps": " req/s", "ops": " ops/s", "cpm": " c/m"}


def known(unit: str) -> bool:
    """Whether `shown` knows how Grafana writes it."""
    return unit in ("short", "none", "percentunit", "s", "bytes") or unit in _SUFFIX


def shown(value: float, unit: str, decimals: int | None = None) -> str:
    """The number with its unit."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    if unit == "percentunit":
        return f"{_rounded(value * 100, decimals)}%"
    if unit == "bytes":
        return _scaled(value, _BYTES, " B", decimals)
    if unit == "s":
        return _seconds(value, decimals)
    if unit == "none":
        return _rounded(value, decimals)
    return _scaled(value, _SI, "", decimals) + _SUFFIX.get(unit, "")


def _seconds(value: float, decimals: int | None) -> str:
    size = abs(value)
    if 0 < size < 1:
        return f"{_rounded(value * 1e3, decimals)} ms" if size >= 1e-3 else f"{_rounded(value * 1e6, decimals)} µs"
    return _scaled(value, _SECONDS, " s", decimals)


def _scaled(value: float, scales: tuple[tuple[float, str], ...], plain: str, decimals: int | None) -> str:
    for scale, name in scales:
        if abs(value) >= scale:
            return f"{_rounded(value / scale, decimals)}{name}"
    return f"{_rounded(value, decimals)}{plain}"


def _rounded(value: float, decimals: int | None) -> str:
    """Without decimals given: three significant digits at most, as Grafana guesses them."""
    if decimals is None:
        decimals = 0 if value == 0 or value == round(value) else max(0, 2 - math.floor(math.log10(abs(value))))
        decimals = min(decimals, 6)
        text = f"{value:.{decimals}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.{decimals}f}"
