"""What changed of a model, as its pages say it: since when, how sure, against what, and what is not known yet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelward_collector.checks.result import CheckResult, Finding
from modelward_collector.console import human
from modelward_collector.console.charts import Mark
from modelward_collector.console.site import Moment
from modelward_collector.console.standings import change_of, drift_findings, flagged, spans_of
from modelward_collector.span import Span

SURE = 0.05
"""A larger p-value says nothing of how sure it is: that of a window in which what goes on does not show."""

_LASTED = re.compile(r", for \d+ days?$")


@dataclass(frozen=True, slots=True)
class Change:
    """One feature that drifts, or that another part of the page says more of; `end` is when it was looked at."""

    finding: Finding
    end: datetime

    @property
    def what(self) -> str:
        """What changed, without since when and for how long."""
        message = self.finding.message
        learning = self.finding.detail.get("learning")
        message = message.removesuffix(f" ({learning})") if learning else message
        message = _LASTED.sub("", message)
        change = change_of(self.finding)
        return message.rpartition(", since ")[0] or message if change is not None else message

    @property
    def lasting(self) -> str:
        """For how long it goes on, in words; "" of less than an hour, or when it is not known to."""
        if self.finding.since is None or not flagged(self.finding):
            return ""
        return human.lasting(self.end - self.finding.since)

    @property
    def sure(self) -> str:
        """How rarely unchanged traffic looks so, in words; "" when this window does not tell."""
        p = self.finding.p_value
        return human.chance(p) if flagged(self.finding) and p is not None and p <= SURE else ""

    @property
    def looked_at(self) -> str:
        """`the last hour`; "" when it is not known."""
        return human.last(self.window.length) if self.window is not None else ""

    @property
    def window(self) -> Span | None:
        """What was looked at."""
        return next(iter(spans_of(self.finding.detail, "window")), None)

    @property
    def compared_with(self) -> str:
        """`20 weekdays from 14:00 to 15:00`; "" when it is not known."""
        return str(self.finding.detail.get("compared_with") or "")

    @property
    def left_out(self) -> int:
        """Windows of the reference that were left out since something drifted in them."""
        return int(self.finding.detail.get("left_out") or 0)


@dataclass(frozen=True, slots=True)
class OddWindow:
    """A window of the reference that is unlike the others, and in which features it is."""

    span: Span
    what: Sequence[str]
    features: Sequence[str]
    others: int | None

    def unlike(self, moment: Moment) -> str:
        """`10 Mar is unlike the other 27 days in mean`."""
        words = human.span(self.span.start, self.span.end, moment.year)
        one = "days" if self.span.length == timedelta(days=1) else "windows"
        others = f"the other {self.others} {one}" if self.others is not None else f"other {one} of its kind"
        return f"{words} is unlike {others} in {' and '.join(self.what)}"

    @property
    def stretch(self) -> str:
        """As `accepting.stretch` reads it."""
        return f"{self.span.start.isoformat()}/{self.span.end.isoformat()}"


@dataclass(frozen=True, slots=True)
class Learning:
    """What is not known yet, in words, of which features."""

    words: str
    features: Sequence[str]


def changes(result: CheckResult) -> list[Change]:
    """What drifts by that result, worst first."""
    return [Change(finding, result.end) for finding in drift_findings(result) if flagged(finding)]


def odd_windows(findings: Iterable[Finding]) -> list[OddWindow]:
    """Windows that were left out as odd, the newest first."""
    found: dict[Span, tuple[list[str], list[str], int | None]] = {}
    for finding in findings:
        detail = finding.detail
        listed = detail.get("odd", ())
        # Of weekdays it is not known how many days of other kinds there were.
        compared = re.match(r"(\d+) (days|stretches)\b", str(detail.get("compared_with") or ""))
        alike = int(compared[1]) + len(listed) - 1 if compared else None
        for span, one in zip(spans_of(detail, "odd"), listed, strict=True):
            # Days that are left out of stretches of several are no stretches.
            others = alike if compared and (compared[2] == "days") == (span.length <= timedelta(days=1)) else None
            whats, features, _ = found.setdefault(span, ([], [], others))
            if one["what"] not in whats:
                whats.append(one["what"])
            features.append(finding.subject)
    return [
        OddWindow(span, whats, features, others)
        for span, (whats, features, others) in sorted(found.items(), key=lambda item: item[0], reverse=True)
    ]


def learning_of(findings: Iterable[Finding]) -> list[Learning]:
    """What is not known yet, most features first."""
    grouped: dict[str, list[str]] = {}
    for finding in findings:
        words = finding.detail.get("learning")
        if words:
            grouped.setdefault(str(words), []).append(finding.subject)
    return sorted((Learning(words, names) for words, names in grouped.items()), key=lambda one: -len(one.features))


def odd_marks(odd: Iterable[OddWindow], moment: Moment) -> list[Mark]:
    """Where on a chart over time the reference leaves a window out."""
    return [Mark(one.span.start, "left out", f"{one.unlike(moment)}; left out", "odd") for one in odd]
