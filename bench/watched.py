"""One collector at its defaults, fed hour by hour and asked for drift: engine, store and maintenance as in use."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType

from bench.traffic import HOUR, Traffic, Values, profile_of
from modelward_agent.profile import Profile, ProfileKey
from modelward_agent.profile.wire import to_document
from modelward_collector.app import build
from modelward_collector.checks.acceptance import Acceptance
from modelward_collector.checks.result import CheckKind, CheckResult
from modelward_collector.config import CollectorConfig
from modelward_collector.store.acceptances import accept, new_id
from modelward_collector.store.protocol import Alias, Document

MODEL, VERSION = "m", "1"
ELSEWHERE = "clock"
"""A model whose minute follows each hour: replayed time goes on with the first row after an hour, whoever's it is."""

FLAGGED = {"warning", "critical"}

EVERY, SELDOM = 6, 11
"""Hours between checks; between those that are far from a change, at each hour of the day in turn."""

VERBOSE = "MODELWARD_LASTING_VERBOSE"
"""When it is set, every flagged check is told on stderr; processes inherit it."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one check said, when there were so many hours of traffic; `accepted` is whether that was before it."""

    hour: int
    status: str
    flagged: frozenset[str]
    messages: tuple[str, ...] = ()
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class Accepting:
    """After the check of an hour somebody says that a feature is normal as it has been since an earlier one."""

    feature: str
    since: int
    hour: int


class Watched:
    """A collector over a store of its own, at the defaults but for what `yaml` says of the model."""

    def __init__(self, begin: datetime, yaml: str = "") -> None:
        self._begin = begin
        self._folder = tempfile.TemporaryDirectory(prefix="modelward-lasting-")
        folder = Path(self._folder.name)
        (folder / "models.d").mkdir()
        if yaml:
            (folder / "models.d" / f"{MODEL}.yml").write_text(f"model: {MODEL}\n{yaml}")
        config = {
            "store": {"kind": "sqlite", "path": str(folder / "modelward.db")},
            "models_dir": str(folder / "models.d"),
            "clock": "replay",
        }
        self._collector = build(CollectorConfig.model_validate(config))
        self._store = self._collector.context.store
        self._store.setup()

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._store.close()
        self._folder.cleanup()

    def take(self, start: datetime, profile: Profile) -> None:
        """An hour's profile comes in; after each day's end maintenance has its turn."""
        end = start + HOUR
        follows = Profile()
        follows.rows = 1
        self._store.create([_document(MODEL, start, HOUR, profile)])
        self._store.create([_document(ELSEWHERE, end, timedelta(minutes=1), follows)])
        if start.hour == 0:
            self._collector.maintenance.run(start + timedelta(minutes=10))

    def check(self, at: datetime) -> Said:
        """What the drift check of that moment says."""
        results = self.results(at)
        findings = [finding for result in results for finding in result.findings if finding.status.value in FLAGGED]
        return Said(
            round((at - self._begin) / HOUR),
            _worst(results),
            frozenset(finding.subject for finding in findings),
            tuple(f"{finding.subject}: {finding.status.value}: {finding.message}" for finding in findings),
        )

    def results(self, at: datetime) -> list[CheckResult]:
        """The drift check of that moment; one that fails raises, since nothing is measured by it."""
        results = self._collector.context.engine.run(MODEL, CheckKind.DRIFT, at)
        for result in results:
            if result.status.value == "error":
                raise RuntimeError(f"{at}: {result.summary}")
        return results

    def accept(self, accepting: Accepting, at: datetime) -> None:
        """What people do on the console."""
        since = self._begin + accepting.since * HOUR
        accept(self._store, Acceptance(new_id(), MODEL, since, "bench", at, accepting.feature, reason="as it is now"))


def _worst(results: Sequence[CheckResult]) -> str:
    return max(results, key=lambda result: result.status.rank).status.value if results else "no_data"


def _document(model: str, start: datetime, length: timedelta, profile: Profile) -> Document:
    key = ProfileKey("h", model, VERSION, (), int(start.timestamp()), int(length.total_seconds()))
    part = f"{model}-{int(start.timestamp()):x}"
    return Document(Alias.PROFILES, part, to_document(key, profile, part=part))


def watch(
    what: str,
    traffic: Traffic,
    hours: int,
    due: Callable[[int], bool],
    *,
    yaml: str = "",
    accepting: Accepting | None = None,
    rows: Callable[[datetime, dict[str, Values]], None] | None = None,
) -> list[Said]:
    """Feed so many hours; what each check said that was due with so many hours of traffic in.

    `rows` is shown every hour's rows. With `accepting` the same check runs anew at once after it.
    """
    begun, checking, said = time.monotonic(), 0.0, list[Said]()
    with Watched(traffic.begin, yaml) as watched:
        for start, columns in traffic.hours(hours):
            if rows is not None:
                rows(start, columns)
            watched.take(start, profile_of(columns))
            at = start + HOUR
            hour = round((at - traffic.begin) / HOUR)
            if not due(hour):
                continue
            before = time.monotonic()
            said.append(replace(watched.check(at), accepted=accepting is not None and hour > accepting.hour))
            _tell(what, said[-1], at)
            if accepting is not None and hour == accepting.hour:
                watched.accept(accepting, at)
                said.append(replace(watched.check(at), accepted=True))
                _tell(what, said[-1], at)
            checking += time.monotonic() - before
    each = 1_000 * checking / max(1, len(said))
    progress(f"{what}: {len(said):,} checks of {each:.0f} ms, {time.monotonic() - begun:.0f} s in all")
    return said


def _tell(what: str, said: Said, at: datetime) -> None:
    if os.environ.get(VERBOSE) and said.flagged:
        progress("\n      ".join([f"  {what}, day {said.hour / 24:.2f}, {at:%a %d %b %H:%M}:", *said.messages]))


def progress(text: str) -> None:
    """To people who wait; the table alone is the bench's output."""
    print(text, file=sys.stderr, flush=True)


def near(*changes: int) -> Callable[[int], bool]:
    """Hourly from a day before each of these hours to two days after it, else every eleventh hour."""
    return lambda hour: hour % SELDOM == 0 or any(-24 <= hour - change <= 48 for change in changes)


def always(_: int) -> bool:
    """Every hour."""
    return True
