"""The store's upkeep: roll-up of profiles, rollover of indices, retention. Safe to run at any time and repeatedly."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from modelward_collector.checks.drift_memory import newest_memory
from modelward_collector.checks.result import CheckResult, Status
from modelward_collector.config import CollectorConfig
from modelward_collector.models import ReferenceRolling
from modelward_collector.registry import Registry
from modelward_collector.span import Span
from modelward_collector.store.acceptances import renew
from modelward_collector.store.normal_past import reaches_back
from modelward_collector.store.protocol import Alias, Store, StoreUnavailableError
from modelward_collector.store.rollup import RolledUp, roll_up
from modelward_collector.store.shape import EPOCH

logger = logging.getLogger(__name__)

_LOOK_BACK: Final = timedelta(days=3)
"""Beyond what is kept apart; older parts are looked at once after each start, and then left."""


@dataclass(frozen=True, slots=True)
class MaintenanceSettings:
    """When what gives way; ages are against the moment that `Maintenance.run` is given."""

    minutes_for: timedelta
    hours_for: timedelta
    keep: Mapping[Alias, timedelta]
    max_documents: int
    max_age: timedelta

    @classmethod
    def of(cls, config: CollectorConfig) -> MaintenanceSettings:
        """What `collector.yml` says."""
        return cls(
            minutes_for=config.roll_up.minutes_after,
            hours_for=config.roll_up.hours_after,
            keep=config.retention.by_alias(),
            max_documents=config.rollover.max_documents,
            max_age=config.rollover.max_age,
        )


@dataclass(frozen=True, slots=True)
class MaintenanceReport:
    """What one run did. `failed` has the reason by model, for those whose roll-up failed."""

    models: int = 0
    rolled_up: RolledUp = field(default_factory=RolledUp)
    new_indices: tuple[str, ...] = ()
    expired: int = 0
    failed: Mapping[str, str] = field(default_factory=dict)

    def describe(self) -> str:
        """For a log line."""
        text = (
            f"{self.models} models: {self.rolled_up.written} roll-ups written, {self.rolled_up.deleted} parts deleted; "
            f"{len(self.new_indices)} new indices, {self.expired} expired"
        )
        return text + (f"; failed: {', '.join(sorted(self.failed))}" if self.failed else "")


class Maintenance:
    """Keeps one store in shape. One at a time over a store: its caller holds the lease."""

    def __init__(self, store: Store, settings: MaintenanceSettings, registry: Registry | None = None) -> None:
        self._store = store
        self._settings = settings
        self._registry = registry
        self._looked_at: dict[str, datetime] = {}
        """Since when the hours of the models that were looked at are kept."""

    def run(self, now: datetime) -> MaintenanceReport:
        """Do what is due; what one model's profiles make fail is reported and keeps nothing else from being done."""
        settings = self._settings
        total = RolledUp()
        failed: dict[str, str] = {}
        models = sorted({seen.model for seen in self._store.seen_models()})
        needed = self._hours_needed(now)
        for model in models:
            always = now - settings.hours_for
            hours_since = min(always, needed.get(model, always))
            # The first time all of it, in case that maintenance did not run for long; and what was kept until now.
            before = self._looked_at.get(model, EPOCH)
            since = min(always, before) if before < hours_since else always
            try:
                total += roll_up(
                    self._store,
                    model,
                    now,
                    minutes_for=settings.minutes_for,
                    hours_for=settings.hours_for,
                    hours_since=hours_since,
                    since=max(since - _LOOK_BACK, EPOCH) if since > EPOCH else EPOCH,
                )
                self._looked_at[model] = hours_since
            except StoreUnavailableError:
                raise
            except Exception as error:  # one model must not keep the disk from being freed of the others
                logger.exception("rolling up %s failed", model)
                failed[model] = f"{type(error).__name__}: {error}"
        # Indices age by the wall, whatever time their documents are of.
        new_indices = self._store.roll_over(
            max_documents=settings.max_documents, max_age=settings.max_age, now=datetime.now(UTC)
        )
        if Alias.AUDIT in settings.keep:
            renew(self._store, now - settings.keep[Alias.AUDIT] / 2)
        expired = self._store.retain(settings.keep, now)
        return MaintenanceReport(len(models), total, tuple(new_indices), expired, failed)

    def _hours_needed(self, now: datetime) -> dict[str, datetime]:
        """Since when a model's hours are needed: what drifts is compared with those from before, however long it does.

        Of versions that are still checked.
        """
        found: dict[str, datetime] = {}
        for latest in self._store.latest_results():
            if now - latest.end > self._settings.hours_for:
                continue
            memory = newest_memory([latest] if latest.status is not Status.ERROR else self._before(latest))
            spec = self._registry.spec(latest.model) if self._registry is not None else None
            reference = spec.reference if spec is not None else None
            rolling = reference if isinstance(reference, ReferenceRolling) else ReferenceRolling(kind="rolling")
            since = reaches_back(memory, rolling, now)
            found[latest.model] = min(since, found.get(latest.model, since))
        return found

    def _before(self, failed: CheckResult) -> list[CheckResult]:
        """The newest result before one that failed, which remembers nothing; none when all of them failed."""
        after = None
        while True:
            page = self._store.results(
                Span(EPOCH, failed.end), model=failed.model, version=failed.version, check=failed.check, after=after
            )
            found = [one for one in page.items if not one.on_demand and one.status is not Status.ERROR]
            if found or page.after is None:
                return found[:1]
            after = page.after
