"""What a request may need, and the surface of the parts behind it that the API and the console read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from modelward_collector.checks.result import CheckKind, CheckResult, Status
from modelward_collector.checks.window import ReferenceProfile, Window
from modelward_collector.clock import Clock
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span
from modelward_collector.store.protocol import Store

if TYPE_CHECKING:
    from modelward_collector.config import CollectorConfig


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the schedule: when a check of a model runs, and how its last run went.

    `overdue` is True when no run has succeeded for two intervals and a grace; `last_error` is "" unless the last run
    failed. `schedule` reads `every 1h` or `cron 0 6 * * *`. A disabled check has no entry. Times are of the `Clock`.
    """

    model: str
    check: CheckKind
    schedule: str
    next_run: datetime | None
    last_run: datetime | None
    last_success: datetime | None
    last_status: Status | None
    last_duration: timedelta | None
    running: bool
    overdue: bool
    last_error: str


class Registry(Protocol):
    """Every model that is watched: those of `models.d/`, and those that were only seen."""

    def specs(self) -> Sequence[ModelSpec]:
        """Configured and seen models, sorted by name; `configured` is False for those without a file."""

    def spec(self, model: str) -> ModelSpec | None:
        """One model's spec, None when it is neither configured nor seen."""

    @property
    def errors(self) -> Mapping[str, Sequence[str]]:
        """What is wrong with the files as they are now, {file: [message]}; the spec before stays in force."""


class Engine(Protocol):
    """Runs checks, and loads what they look at."""

    def run(
        self, model: str, check: CheckKind, at: datetime | None = None, *, on_demand: bool = False
    ) -> list[CheckResult]:
        """Run, store and export; one result a version with traffic (health, and no traffic at all: version "").

        `at` is the moment it runs for, the clock's now by default. `KeyError` for an unknown model.
        """

    def span(self, model: str, check: CheckKind, at: datetime | None = None) -> Span:
        """What the check would look at, at that moment."""

    def window(self, model: str, span: Span) -> Window:
        """The model's traffic in the span."""

    def reference(self, model: str, version: str, span: Span) -> ReferenceProfile | None:
        """What the span's traffic of that version is compared with; None when there is none yet. Cached."""


class Scheduler(Protocol):
    """Decides when checks run."""

    @property
    def running(self) -> bool:
        """It is started, and its thread is alive."""

    @property
    def holds_lease(self) -> bool:
        """This collector schedules; False while another one does."""

    def start(self) -> None:
        """Begin; returns at once."""

    def stop(self) -> None:
        """End within seconds; idempotent."""

    def entries(self) -> Sequence[Entry]:
        """The schedule, by model and check."""


@dataclass(frozen=True, slots=True)
class Context:
    """Everything a request may need."""

    config: CollectorConfig
    store: Store
    registry: Registry
    engine: Engine
    scheduler: Scheduler
    clock: Clock
