"""From what was seen of a rule to the finding that says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from scipy import special

from modelward_collector.checks.quality.expectation import SIGNIFICANCE, percent
from modelward_collector.checks.result import Finding, Status
from modelward_collector.expectations import Expectation
from modelward_collector.stats.intervals import CONFIDENCE, Interval

Basis = Literal["profile", "sample"]


@dataclass(frozen=True, slots=True)
class Seen:
    """How many of the judged values surely break a rule.

    `share` is the best estimate of the share, `breaking` what no error of a sketch explains. `of` is how many values
    there were when `judged` are a sample of them, `effective` how many independent rows the sample is worth.
    `unknown` values of the window could not be judged.
    """

    breaking: int
    judged: int
    basis: Basis = "profile"
    share: float | None = None
    of: int = 0
    effective: float | None = None
    unknown: int = 0
    unit: str = "values"
    because: str = ""
    examples: tuple[str, ...] = ()

    @property
    def sampled(self) -> bool:
        """Whether there were more than were looked at."""
        return self.basis == "sample" and self.of > self.judged

    @property
    def broken_share(self) -> float:
        """The share that breaks the rule, in [0, 1]."""
        return self.share if self.share is not None else self.breaking / max(1, self.judged)

    def interval(self) -> Interval:
        """The share in all of the window, as far as the sample tells; the share itself when all were looked at."""
        if not self.sampled:
            return Interval(self.broken_share, self.broken_share, self.broken_share)
        return clustered(self.breaking / self.judged, self.effective or self.judged)

    def p_value(self, allowed: float) -> float:
        """How often rows that break the rule as rarely as allowed would show so many."""
        scale = (self.effective or self.judged) / max(1, self.judged)
        broken, n = self.breaking * scale, self.judged * scale
        return float(special.betainc(broken, n - broken + 1, allowed)) if broken > 0 else 1.0

    def violates(self, allowed: float) -> bool:
        """Whether more break the rule than are allowed and chance explains; one is enough where none may."""
        return self.breaking > allowed * self.judged and self.p_value(allowed) < SIGNIFICANCE


def clustered(share: float, effective: float, confidence: float = CONFIDENCE) -> Interval:
    """A share seen in so many independent rows, not always a whole number: Clopper and Pearson's interval."""
    tail = (1 - confidence) / 2
    broken = share * effective
    low = 0.0 if broken <= 0 else float(special.betaincinv(broken, effective - broken + 1, tail))
    high = 1.0 if share >= 1 else float(special.betaincinv(broken + 1, effective - broken, 1 - tail))
    return Interval(share, low, high)


def of_shares(rule: Expectation, allowed: float, evidence: list[Seen], why_not: str) -> Finding:
    """The finding on a share: of the evidence the first that shows a violation, else the first.

    Without any the rule was not judged, and `why_not` says why.
    """
    told = [seen for seen in evidence if seen.judged]
    if not told:
        return not_judged(rule, why_not)
    broken = next((seen for seen in told if seen.violates(allowed)), None)
    seen = broken or told[0]
    status = Status.OK if broken is None else Status(rule.severity)
    interval = seen.interval()
    return Finding(
        rule.subject,
        rule.expect,
        status,
        f"{rule.said()}: {_told(seen, interval, allowed, broken is not None)}",
        value=seen.broken_share,
        threshold=allowed,
        p_value=seen.p_value(allowed),
        detail={
            "rule": rule.said(),
            "basis": seen.basis,
            "judged": seen.judged,
            "of": max(seen.of, seen.judged),
            "unknown": seen.unknown,
            **({"interval": [interval.low, interval.high]} if seen.sampled else {}),
            **({"examples": list(seen.examples)} if seen.examples else {}),
        },
    )


def not_judged(rule: Expectation, why: str) -> Finding:
    """The finding on a rule that nothing could be said of."""
    said = f"{rule.said()}: not judged, {why}"
    return Finding(rule.subject, rule.expect, Status.NO_DATA, said, detail={"rule": rule.said()})


def of_fact(
    rule: Expectation,
    violated: bool,
    said: str,
    value: float,
    threshold: float | None,
    p_value: float | None = None,
    **detail: Any,
) -> Finding:
    """The finding on one number against its bounds."""
    return Finding(
        rule.subject,
        rule.expect,
        Status(rule.severity) if violated else Status.OK,
        f"{rule.said()}: {said}",
        value=value,
        threshold=threshold,
        p_value=p_value,
        detail={"rule": rule.said(), **detail},
    )


def _told(seen: Seen, interval: Interval, allowed: float, violated: bool) -> str:
    looked_at = f"{seen.judged:,} {seen.unit}"
    if seen.sampled:
        looked_at = f"a sample of {seen.judged:,} of {seen.of:,} {seen.unit}"
    share = seen.broken_share
    if not share:
        said = f"holds in {looked_at}" if seen.sampled else f"holds in all {looked_at}"
        if seen.sampled:
            said += f", so at most {percent(interval.high)} break it"
    else:
        said = f"{seen.because or ''}{percent(share)} of {looked_at} break it"
        if seen.sampled:
            said += f" ({percent(interval.low)} to {percent(interval.high)})"
        if allowed:
            said += f", more than {percent(allowed)}" if violated else f"; {percent(allowed)} may"
        if seen.examples:
            said += "; for example " + ", ".join(seen.examples)
    if seen.unknown:
        said += f"; {seen.unknown:,} more could not be judged"
    return said
