"""What people (or `adopt_after`) said is normal from a moment on: the reference of what is named begins anew there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from modelward_collector.span import Span


class AcceptanceKind(StrEnum):
    """What is accepted."""

    NEW_NORMAL = "new_normal"  # what has come since `since` is normal
    PUT_BACK = "put_back"  # the windows of the reference in `window` that were left out as odd belong to it


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One decision about a model's reference; all moments are aware UTC.

    `feature` is a feature, an output (`prediction`) or `(joint)`; None: all of them. `version` None: every version.
    `since` is when the new normal began; of what was put back, the start of `window`. `by` is who said so, `at` when.
    """

    id: str
    model: str
    since: datetime
    by: str
    at: datetime
    feature: str | None = None
    version: str | None = None
    reason: str = ""
    kind: AcceptanceKind = AcceptanceKind.NEW_NORMAL
    window: Span | None = None

    @property
    def subject(self) -> str:
        """What it is about, in words, but for the model."""
        what = "everything" if self.feature is None else self.feature
        return what if self.version is None else f"{what} of version {self.version}"

    def describe(self) -> str:
        """What was said, for a log line and the audit trail."""
        said = f"new normal of {self.subject} since {_moment(self.since)} UTC"
        if self.window is not None:
            stretch = f"{_moment(self.window.start)} to {_moment(self.window.end)} UTC"
            said = f"{stretch} belongs to the reference of {self.subject} again"
        return f"{self.model}: {said}" + (f": {self.reason}" if self.reason else "")

    def follows(self) -> str:
        """What becomes of it, in a sentence for who accepts it."""
        if self.window is not None:
            return f"{self.subject} is compared with that stretch of the reference too from now on"
        whose = "its" if self.feature else "the"
        since = f"{whose} traffic since {_moment(self.since)} UTC"
        return f"{self.subject} is compared with {since} from now on; the reference begins anew there"

    def concerns(self, version: str, subject: str) -> bool:
        """Whether it is about this feature or output of this version."""
        return self.version in (None, version) and self.feature in (None, subject)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
