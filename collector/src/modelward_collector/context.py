"""What a request may need."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from modelward_collector.checks.result import CheckKind, Status

if TYPE_CHECKING:
    # Only names here, so that importing what a page reads does not start with what runs checks.
    from modelward_collector.clock import Clock
    from modelward_collector.config import CollectorConfig
    from modelward_collector.engine import Engine
    from modelward_collector.forecasts import Forecasts
    from modelward_collector.registry import Registry
    from modelward_collector.schedule import Scheduler
    from modelward_collector.store.protocol import Store


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the schedule: when a check of a model runs, and how its last run went.

    `overdue` is True when no run has succeeded for two intervals and a grace; `last_error` is "" unless the last run
    failed. `schedule` reads `every 1h`, or `cron 0 6 * * * in Europe/Berlin`. A disabled check has no entry. Times are
    of the `Clock`.
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


@dataclass(frozen=True, slots=True)
class Context:
    """Everything a request may need."""

    config: CollectorConfig
    store: Store
    registry: Registry
    engine: Engine
    scheduler: Scheduler
    clock: Clock
    forecasts: Forecasts | None = None
