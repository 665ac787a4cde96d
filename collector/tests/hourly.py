"""Hours of traffic as an agent's profiles have them, and a collector that is fed with them in replayed time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from collector.tests.collecting import a_collector
from collector.tests.columns import Column, Values, rows
from modelward_agent.profile import Profile, ProfileKey, Segment
from modelward_agent.profile.wire import to_document
from modelward_collector.app import Collector
from modelward_collector.checks.acceptance import Acceptance
from modelward_collector.checks.result import CheckKind, CheckResult, Finding
from modelward_collector.store.acceptances import accept, new_id
from modelward_collector.store.protocol import Alias, Document, Store

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

MODEL, VERSION = "delay", "1"
ELSEWHERE = "clock"
"""A model whose minute follows each feeding: replayed time goes on with the first row after an hour."""

Draw = Callable[[np.random.Generator, datetime], Mapping[str, Column]]
"""The rows of the hour that begins at that moment."""


def profile_of(columns: Mapping[str, Column]) -> Profile:
    """Of columns of one length, the numbers among them together too."""
    made = rows(columns)
    numbers = [name for name, values in columns.items() if values.dtype.kind == "f"]
    made.fold_together(numbers, np.array([columns[name] for name in numbers], dtype=np.float64))
    return made


def document(
    start: datetime,
    profile: Profile,
    *,
    length: timedelta = HOUR,
    model: str = MODEL,
    version: str = VERSION,
    segment: Segment = (),
) -> Document:
    """As an agent ships it."""
    key = ProfileKey("web1", model, version, segment, int(start.timestamp()), int(length.total_seconds()))
    its_id = f"{model}-{version}-{int(start.timestamp()):x}-{int(length.total_seconds())}{dict(segment) or ''}"
    return Document(Alias.PROFILES, its_id, to_document(key, profile, part=its_id))


def hours(start: datetime, number: int, draw: Draw, *, seed: int = 1, version: str = VERSION) -> Iterable[Document]:
    """So many hours from there on; of one moment, seed and version always the same rows."""
    for hour in range(number):
        at = start + hour * HOUR
        rng = np.random.default_rng([seed, int(at.timestamp())])
        yield document(at, profile_of(draw(rng, at)), version=version)


def fill(store: Store, start: datetime, number: int, draw: Draw, *, version: str = VERSION) -> None:
    """The store has them, and time goes on to their end."""
    store.create([*hours(start, number, draw, version=version)])
    follows = Profile()
    follows.rows = 1
    store.create([document(start + number * HOUR, follows, length=timedelta(minutes=1), model=ELSEWHERE)])


class Watched:
    """A collector over a store in the folder, fed from `begin` on; two of one folder are two over one store."""

    def __init__(self, folder: Path, begin: datetime, yaml: str = "", **settings: Any) -> None:
        self.now = begin
        self._folder = folder
        self._models = {MODEL: yaml} if yaml else {}
        self._settings = settings
        self.collector = self.another()

    def another(self) -> Collector:
        """One more collector over the same store, which knows nothing but what is there."""
        return a_collector(self._folder, self._models, clock="replay", **self._settings)

    @property
    def store(self) -> Store:
        """Where everything is."""
        return self.collector.context.store

    def restart(self) -> None:
        """All that is not in the store is forgotten."""
        self.collector.stop()
        self.collector = self.another()

    def feed(self, length: timedelta, draw: Draw, *, version: str = VERSION) -> None:
        """So much traffic comes in, and maintenance has its turn after each day."""
        end = self.now + length
        while self.now < end:
            midnight = self.now.replace(hour=0) + DAY
            until = min(end, midnight)
            fill(self.store, self.now, (until - self.now) // HOUR, draw, version=version)
            if until == midnight:
                self.collector.maintenance.run(until + timedelta(minutes=10))
            self.now = until

    def check(self, *, version: str = VERSION, on_demand: bool = False) -> CheckResult:
        """The drift check of this moment."""
        results = self.collector.context.engine.run(MODEL, CheckKind.DRIFT, self.now, on_demand=on_demand)
        (mine,) = (one for one in results if one.version == version)
        return mine

    def accept(
        self, since: datetime, feature: str | None = None, *, version: str | None = None, at: datetime | None = None
    ) -> None:
        """Somebody says that it is normal as it has been since then."""
        accept(self.store, Acceptance(new_id(), MODEL, since, "ada", at or self.now, feature, version))


def found(result: CheckResult, subject: str) -> Finding:
    """What it says of a feature, or of `(joint)`."""
    (finding,) = (one for one in result.findings if one.subject == subject and not one.segment)
    return finding


def flagged(result: CheckResult) -> set[str]:
    """The subjects that ask for attention."""
    return {finding.subject for finding in result.findings if finding.status.flagged}


def normal(rng: np.random.Generator, mean: float = 0.0, number: int = 150) -> Values:
    """So many rows of standard deviation 1."""
    return rng.normal(mean, 1.0, number)
