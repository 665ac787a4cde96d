"""What every check answers: a `CheckResult` of `Finding`s, frozen, with its JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How a thing stands, from best to worst; `worst` compares."""

    OK = "ok"
    NO_DATA = "no_data"  # nothing to judge: not good, not bad
    LEARNING = "learning"  # not enough is known yet to judge more than what is gross
    WARNING = "warning"
    CRITICAL = "critical"
    ERROR = "error"  # the check itself failed

    @property
    def rank(self) -> int:
        """0 for the best to 5 for the worst."""
        return list(Status).index(self)

    @property
    def code(self) -> int:
        """As a series says it: 0 ok, 1 no verdict yet, 2 warning, 3 critical, 4 the check failed."""
        return self.rank if self.rank < Status.LEARNING.rank else self.rank - 1

    @property
    def flagged(self) -> bool:
        """Whether it asks for attention."""
        return self.rank >= Status.WARNING.rank


def worst(*statuses: Status) -> Status:
    """The worst of the statuses; `OK` of none."""
    return max(statuses, key=lambda status: status.rank, default=Status.OK)


class CheckKind(StrEnum):
    """The checks that a model can have; also their names in `models.d` and in the API."""

    DRIFT = "drift"
    QUALITY = "quality"
    PERFORMANCE = "performance"
    HEALTH = "health"


@dataclass(frozen=True, slots=True)
class Finding:
    """One judged fact: a feature's drift, a rule's violation, a metric against its threshold.

    `subject` is a feature, an output (`prediction`), a metric (`mae`), an agent or a probe. `test` is what judged it
    (`verdict`, `missing`, `unseen`, `mae`, …). `value` and `threshold` are in the test's own unit; `p_value` is None
    where there is none. `detail` holds what the page draws beside it, JSON values only.
    """

    subject: str
    test: str
    status: Status
    message: str
    value: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    since: datetime | None = None
    segment: Mapping[str, str] | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of one run of one check on one model version over one window `[start, end)`, all times UTC.

    `version` is "" for a check that is not about a version (health). `id` is derived from what was judged, so the same
    run stored twice is one result.
    """

    model: str
    version: str
    check: CheckKind
    status: Status
    summary: str
    start: datetime
    end: datetime
    rows: int
    findings: tuple[Finding, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    ran_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    duration_seconds: float = 0.0
    on_demand: bool = False
    memory: Mapping[str, Any] = field(default_factory=dict)
    """What the check goes on from at its next run; JSON values."""
    basis: str = ""
    """What it was judged by (`checks.basis`); "" where that is not known."""

    @property
    def id(self) -> str:
        """Stable name of this run: model, version, check and window (and the moment, for a run on demand)."""
        moment = f"~{self.ran_at.timestamp():.6f}" if self.on_demand else ""
        return f"{self.model}~{self.version}~{self.check}~{self.start:%Y%m%dT%H%M%S}~{self.end:%Y%m%dT%H%M%S}{moment}"

    def to_document(self) -> dict[str, Any]:
        """JSON values only; `from_document` is the inverse."""
        document = asdict(self)
        for finding in document["findings"]:
            finding["since"] = _rfc3339(finding["since"])
        for name in ("start", "end", "ran_at"):
            document[name] = _rfc3339(document[name])
        document["findings"] = list(document["findings"])
        return {"@timestamp": document["end"], "kind": "result", "id": self.id, **document}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> CheckResult:
        """Read `to_document`'s form; KeyError or ValueError when it is not one."""
        findings = tuple(
            Finding(**{**item, "status": Status(item["status"]), "since": _moment(item.get("since"))})
            for item in document["findings"]
        )
        return cls(
            model=document["model"],
            version=document["version"],
            check=CheckKind(document["check"]),
            status=Status(document["status"]),
            summary=document["summary"],
            start=datetime.fromisoformat(document["start"]),
            end=datetime.fromisoformat(document["end"]),
            rows=document["rows"],
            findings=findings,
            numbers=document["numbers"],
            ran_at=datetime.fromisoformat(document["ran_at"]),
            duration_seconds=document["duration_seconds"],
            on_demand=document["on_demand"],
            memory=document.get("memory") or {},
            basis=document.get("basis") or "",
        )


def _rfc3339(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
