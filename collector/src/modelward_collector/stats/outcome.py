"""What one statistical test of one feature answers."""

from __future__ import annotations

from dataclasses import dataclass

from modelward_collector.stats.effect import FLOOR


@dataclass(frozen=True, slots=True)
class Outcome:
    """`value` in the test's own unit, `p` (None where the statistic has none), `effect` and its `floor` in [0, 1].

    `p` is two-sided where that has a meaning and counts the sampling error of both sides, the sketches' error and the
    process's own variation. `subject` names what the test is of where that is not the feature itself: a category.
    """

    name: str
    value: float
    p: float | None
    effect: float
    floor: float = FLOOR
    subject: str | None = None

    @property
    def counted_p(self) -> float:
        """The p-value that decides: 1 when the effect is not above its floor, or there is none."""
        return 1.0 if self.p is None or self.effect <= self.floor else self.p


NOT_APPLICABLE = 1.0
"""The p-value of a test that cannot judge here: it never decides, and its weight is not given to the others."""
