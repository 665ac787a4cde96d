"""Runs checks: loads what a check looks at, calls it, stores and exports what it found."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

from modelward_agent.profile import Profile, Segment
from modelward_agent.profile.reference import ReferenceFileError
from modelward_collector.checks.acceptance import Acceptance
from modelward_collector.checks.basis import basis_of
from modelward_collector.checks.drift import Past, check_looks
from modelward_collector.checks.drift_judge import Look, LookJudged, judge
from modelward_collector.checks.drift_looks import lengths_of
from modelward_collector.checks.drift_memory import (
    Memory,
    accepted_keys,
    accepted_now,
    adoptions,
    new_normal,
    newest_memory,
    put_back,
)
from modelward_collector.checks.drift_reference import PreparedReference, prepare_reference
from modelward_collector.checks.health import check_health
from modelward_collector.checks.performance import Joined, check_performance
from modelward_collector.checks.performance_past import PerformancePast
from modelward_collector.checks.quality import Past as QualityPast
from modelward_collector.checks.quality import check_quality
from modelward_collector.checks.reading import Reading
from modelward_collector.checks.result import CheckKind, CheckResult, Status
from modelward_collector.checks.window import VOLUME, ReferenceProfile, Window, subject_key
from modelward_collector.clock import Clock
from modelward_collector.estimating import Estimating
from modelward_collector.expectations import need_rows
from modelward_collector.kept import Kept
from modelward_collector.metrics import Metrics
from modelward_collector.models import DriftCheck, ModelSpec, ReferenceFile, ReferenceRolling, Schedule
from modelward_collector.models import Task as ModelTask
from modelward_collector.registry import Registry
from modelward_collector.span import Span, floor
from modelward_collector.store.acceptances import accept, acceptances
from modelward_collector.store.normal_past import begins_anew, load_normal_past
from modelward_collector.store.protocol import Labelled, Store, StoreUnavailableError
from modelward_collector.store.sampling import load_sample
from modelward_collector.store.windows import (
    NormalSpans,
    listed,
    load_past,
    load_reference,
    load_rows,
    load_segment_series,
    load_window,
)
from modelward_collector.versions import told_apart

logger = logging.getLogger(__name__)

HISTORY = 24
"""How many earlier results a drift check gets at least, to tell since when and between which windows it changed."""

REFERENCES_KEPT = 32
"""One of 30 features with its windows takes about 5 MB."""

REFERENCE_MAX_AGE_SECONDS = 600.0
"""A reference taken from production is read again after this time, since late profiles may have come."""

NORMAL_MAX_AGE_SECONDS = 6 * 3600.0

WINDOWS_KEPT = 32
"""Days and weeks that are looked at every hour; one of 30 features takes about a megabyte."""

COLUMNS_KEPT = 60_000
"""Of references, windows and what was judged of them only so many features are kept, at about 6 kB for each window that
it has in a reference: what a few models of thousands of features have would else take gigabytes."""

YOUNG = timedelta(days=3)

_ANY = Span(datetime.fromtimestamp(0, UTC), datetime.fromtimestamp(0, UTC) + timedelta(days=1))
"""A reference file is the same for every window."""

REMEMBERING = (CheckKind.DRIFT, CheckKind.QUALITY, CheckKind.PERFORMANCE)
"""The checks that compare with the past, and remember what is not as it was."""


@dataclass(frozen=True, slots=True)
class Task:
    """One run of one check: all that decides its outcome beside what the store holds. Can be sent to a process."""

    spec: ModelSpec
    check: CheckKind
    span: Span
    now: datetime
    on_demand: bool


class Runner(Protocol):
    """Where tasks run."""

    def run(self, task: Task) -> list[CheckResult]:
        """The task's results; `StoreUnavailableError` when the store did not answer."""


class Engine:
    """Runs checks, and loads what they look at. Safe to use from several threads."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        clock: Clock,
        metrics: Metrics,
        *,
        agent_window: timedelta = timedelta(minutes=1),
        delay: timedelta = timedelta(seconds=90),
        runner: Runner | None = None,
    ) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self._metrics = metrics
        self._agent_window = agent_window
        self._delay = timedelta(0) if clock.replays else delay
        self._loader = Loader(store)
        self._runner = runner or self._loader

    def run(
        self, model: str, check: CheckKind, at: datetime | None = None, *, on_demand: bool = False
    ) -> list[CheckResult]:
        """Run, store and export; one result a version with traffic.

        Without any traffic in the window the one result is for the version seen last, and always so for health, whose
        version is "". `at` is the moment it runs for, the clock's now by default. `KeyError` for an unknown model,
        `StoreUnavailableError` when the store did not answer; whatever else fails is a result with status `error`.
        """
        spec = self._spec(model)
        now = self._clock.now()
        moment = now if at is None else at
        task = Task(spec, check, self._span(spec, check, moment, now), moment, on_demand)
        try:
            results = self._runner.run(task)
        except StoreUnavailableError:
            raise
        except Exception as error:  # whatever it is, the schedule goes on and the page shows it
            results = [failed(task, "", error)]
        for result in results:
            self._store.save_result(result)
        if not on_demand:
            self._adopt(spec, results)
            self._metrics.ran(results)
        return results

    def _adopt(self, spec: ModelSpec, results: Sequence[CheckResult]) -> None:
        """Take what has drifted for long enough for the new normal, where `models.d` asks for that."""
        after = spec.checks.drift.adopt_after
        if after is None:
            return
        for result in results:
            if result.check in REMEMBERING:
                for one in adoptions(result, after):
                    accept(self._store, one)

    def span(self, model: str, check: CheckKind, at: datetime | None = None) -> Span:
        """What the check would look at, at that moment; `KeyError` for an unknown model."""
        now = self._clock.now()
        return self._span(self._spec(model), check, now if at is None else at, now)

    def window(self, model: str, span: Span) -> Window:
        """The model's traffic in the span."""
        return self._loader.window(self._spec(model), span)

    def reference(self, model: str, version: str, span: Span) -> ReferenceProfile | None:
        """What the span's traffic of that version is compared with; None when there is none yet. Cached.

        None also of a file that cannot be read: the checks say so, and pages show the rest.
        """
        try:
            return self._loader.reference(self._spec(model), version, span)
        except (OSError, ReferenceFileError) as error:
            logger.warning("model %s: its reference cannot be read: %s", model, error)
            return None

    def forget(self) -> None:
        """Drop the references that are kept."""
        self._loader.forget()

    def _spec(self, model: str) -> ModelSpec:
        spec = self._registry.spec(model)
        if spec is None:
            raise KeyError(model)
        return spec

    def _span(self, spec: ModelSpec, check: CheckKind, at: datetime, now: datetime) -> Span:
        schedule: Schedule = getattr(spec.checks, check)
        # The delay is for what is still on its way; of a moment long past everything is in.
        end = min(at, now - self._delay)
        if check is CheckKind.PERFORMANCE:
            end -= spec.checks.performance.label_delay
        end = floor(end, self._agent_window)
        return Span(end - schedule.window, end)


class Loader:
    """Runs tasks against one store, in the caller's thread; keeps the references that were used last."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._estimating = Estimating(store)
        self._lock = threading.Lock()
        self._references: Kept[str, tuple[float, PreparedReference]] = Kept(REFERENCES_KEPT, COLUMNS_KEPT)
        self._windows: Kept[tuple[str, Span], tuple[tuple[int, Reading], Window]] = Kept(WINDOWS_KEPT, COLUMNS_KEPT)
        self._readings: dict[str, tuple[PreparedReference, Reading]] = {}
        self._looks: Kept[tuple[object, ...], tuple[Look, LookJudged]] = Kept(WINDOWS_KEPT, COLUMNS_KEPT)

    def run(self, task: Task) -> list[CheckResult]:
        """The task's results, neither stored nor exported."""
        begun = time.monotonic()
        basis = basis_of(task.spec, task.check)
        try:
            judgements = _KINDS[task.check](self, task)
        except StoreUnavailableError:
            raise
        except Exception as error:  # whatever it is, the schedule goes on and the page shows it
            return [failed(task, "", error)]
        results = []
        for version, judgement in judgements.items():
            result = self._judged(task, version, judgement)
            elapsed = time.monotonic() - begun
            begun = time.monotonic()
            results.append(
                replace(
                    result, ran_at=datetime.now(UTC), duration_seconds=elapsed, on_demand=task.on_demand, basis=basis
                )
            )
        return results

    def _judged(self, task: Task, version: str, judge: Callable[[], CheckResult]) -> CheckResult:
        try:
            return judge()
        except StoreUnavailableError:
            raise
        except Exception as error:  # as above; the other versions are judged nevertheless
            return failed(task, version, error)

    # -- the kinds: what each loads -----------------------------------------------------------------------------
    def drift(self, task: Task) -> Mapping[str, Callable[[], CheckResult]]:
        """Compare each version with what is normal for it, at every length that it has rows enough for."""
        spec = task.spec
        shown = load_rows(self._store, spec.model, task.span)
        born = self._born(spec)
        accepted = acceptances(self._store, spec.model, until=task.now)

        def judge(version: str) -> CheckResult:
            history = self._history(task, version)
            memory = accepted_now(newest_memory(history), accepted, version)
            known = None
            if isinstance(spec.reference, ReferenceFile):
                file = self.prepared(spec, version, task.span)
                known = [span for span, _ in file.reference.windows] if file is not None else None
            lengths = lengths_of(spec, task.span, born.get(version), known)
            start = max(task.span.start, born.get(version, task.span.start))
            lived = replace(shown, span=Span(min(start, task.span.end), task.span.end))
            looks = [
                Look(
                    self._window(spec, one.span),
                    self._normal(spec, version, one.span, born.get(version), memory, accepted),
                    one.share,
                    one.trends,
                )
                for one in lengths
            ]
            steps = partial(self._steps, spec, version)
            return check_looks(spec, version, looks, lived, history, steps, Past(memory, accepted), self._look)

        return {version: partial(judge, version) for version in self._versions(task, shown)}

    def window(self, spec: ModelSpec, span: Span) -> Window:
        """The model's traffic of the span, its values read as the model's file and its reference have them."""
        return self._reading(spec).window(load_window(self._store, spec.model, span))

    def _window(self, spec: ModelSpec, span: Span) -> Window:
        """The same; of a day or a week it is loaded once, until more comes in."""
        reading = self._reading(spec)
        found = listed(self._store, spec.model, span), reading
        kept = self._windows.get((spec.model, span))
        if kept is not None and kept[0] == found:
            return kept[1]
        window = reading.window(load_window(self._store, spec.model, span))
        self._windows.put((spec.model, span), (found, window), _columns(window.profiles.values()))
        return window

    def _look(self, look: Look, version: str, current: Profile, config: DriftCheck, another_kind: bool) -> LookJudged:
        """The same window against the same reference is judged once, however many checks of the day look at it."""
        key = (id(look.window), id(look.reference), version, look.share, look.trends, another_kind, repr(config))
        kept = self._looks.get(key)
        if kept is not None:
            return kept[1]
        judged = judge(look, version, current, config, another_kind)
        # The look is kept too, so that its parts' ids stay theirs.
        self._looks.put(key, (look, judged), len(judged.judged) + len(judged.parts))
        return judged

    def _normal(
        self,
        spec: ModelSpec,
        version: str,
        span: Span,
        born: datetime | None,
        memory: Memory,
        accepted: Sequence[Acceptance],
    ) -> PreparedReference | None:
        """What that window of the version is compared with, from the cache when it is fresh."""
        keys = {*memory.episodes, *accepted_keys(accepted, version)}
        left_out = memory.left_out(accepted, version, keys)
        whole = new_normal([one for one in accepted if one.feature is None], version, "")
        since = None if whole is None else whole.since
        normal = NormalSpans(born, since, left_out, put_back(accepted, version, keys))
        if isinstance(spec.reference, ReferenceRolling):
            return self._prepared(spec, version, span, normal)
        prepared = self._prepared(spec, version, span, NormalSpans())
        renewed = {key: spans for key, spans in left_out.items() if new_normal(accepted, version, key) is not None}
        if prepared is None or (not renewed and since is None):
            return prepared
        # What was accepted is compared with the traffic since then, whatever the rest is compared with.
        own = spec.model_copy(update={"reference": ReferenceRolling(kind="rolling")})
        fresh = self._prepared(own, version, span, NormalSpans(born, since, renewed), self._reading(spec))
        return prepared.renewed(None if since is not None else frozenset(renewed), fresh)

    def quality(self, task: Task) -> Mapping[str, Callable[[], CheckResult]]:
        """Hold each version's traffic against the schema and the reference."""
        window = self.window(task.spec, task.span)
        duplicates = self._store.duplicate_ids(task.span, model=task.spec.model)
        needed = need_rows(task.spec.expectations)
        sample = load_sample(self._store, task.spec.model, task.span) if needed else None
        last_seen = self._last_seen(task)

        born = self._born(task.spec)
        accepted = acceptances(self._store, task.spec.model, until=task.now)

        def judge(version: str) -> CheckResult:
            past = QualityPast.of(self._remembering(task, version))
            memory = accepted_now(past.memory, accepted, version)
            hours = Span(floor(task.span.start, timedelta(hours=1)), task.span.end)
            like = partial(self._alike, task.spec, version, hours, born.get(version), memory, accepted)
            return check_quality(
                task.spec,
                version,
                self._normal_past(task.spec, version, task.span, memory, accepted),
                window,
                duplicate_ids=duplicates,
                sample=sample,
                last_seen=last_seen,
                now=task.now,
                past=replace(past, memory=memory, accepted=accepted, like=like),
            )

        return {version: partial(judge, version) for version in self._versions(task, window)}

    def _normal_past(
        self, spec: ModelSpec, version: str, span: Span, memory: Memory, accepted: Sequence[Acceptance]
    ) -> ReferenceProfile | None:
        """The version's whole past but for what was not normal in it; from the cache when it is fresh."""
        keys = {*memory.episodes, *accepted_keys(accepted, version), VOLUME}
        known = self.reference(spec, version, span)
        if known is not None:
            # What was accepted of everything is accepted of each.
            keys |= {subject_key("features", name) for name in known.total.features}
            keys |= {subject_key("outputs", name) for name in known.total.outputs}
        left_out = memory.left_out(accepted, version, keys)
        if not left_out:
            return known
        steady = Span(floor(span.start, timedelta(hours=1)), span.end)
        steady = steady if any(map(begins_anew, left_out.values())) else self._steady(spec.model, span)
        key = f"{_reference_key(spec, version, steady)}\n{steady.start.isoformat()} past {sorted(left_out.items())!r}"
        load = partial(load_normal_past, self._store, spec, steady, version, left_out)
        prepared = self._kept(key, load, lambda _: self._reading(spec))
        return None if prepared is None else prepared.reference

    def _alike(
        self,
        spec: ModelSpec,
        version: str,
        span: Span,
        born: datetime | None,
        memory: Memory,
        accepted: Sequence[Acceptance],
    ) -> ReferenceProfile | None:
        """The same hours of other days."""
        prepared = self._normal(spec, version, span, born, memory, accepted)
        return None if prepared is None else prepared.reference

    def _remembering(self, task: Task, version: str) -> CheckResult | None:
        """The newest earlier scheduled result of the same check that did not fail; what it goes on from."""
        after = None
        while True:
            page = self._store.results(
                Span(datetime.fromtimestamp(0, UTC), task.span.end),
                model=task.spec.model,
                version=version,
                check=task.check,
                limit=3,
                after=after,
            )
            for result in page.items:
                if not result.on_demand and result.end < task.span.end and result.status is not Status.ERROR:
                    return result
            after = page.after
            if after is None:
                return None

    def performance(self, task: Task) -> Mapping[str, Callable[[], CheckResult]]:
        """Hold each version's labelled predictions against the thresholds."""
        labelled = self._store.labelled(task.span, model=task.spec.model)
        came = Span(task.span.start, max(task.span.end, task.now))
        joined = Joined(
            self._store.strangers(came, model=task.spec.model),
            self._store.duplicate_ids(task.span, model=task.spec.model),
            labelled.total,
        )
        known = sorted(_told_apart(task.spec.model, labelled))
        versions = known + self._estimating.young_versions(task.spec, task.span, known)
        versions = versions or self._latest_version(task.spec.model)
        born = self._born(task.spec)
        accepted = acceptances(self._store, task.spec.model, until=task.now)

        def judge(version: str) -> CheckResult:
            classifies = task.spec.task is ModelTask.CLASSIFICATION
            reference = self.reference(task.spec, version, task.span) if classifies else None
            past = PerformancePast.of(self._remembering(task, version))
            memory = accepted_now(past.memory, accepted, version)
            past = replace(past, memory=memory, accepted=accepted, begun=born.get(version))
            estimates = self._estimating.estimates(task.spec, version, task.span, past.left_out(version))
            return check_performance(
                task.spec, version, task.span, labelled, reference, estimates, past, task.now, joined
            )

        return {version: partial(judge, version) for version in versions}

    def health(self, task: Task) -> Mapping[str, Callable[[], CheckResult]]:
        """Look at the traffic's errors and latency, and at the agents; those live in the wall's time."""
        window = load_window(self._store, task.spec.model, task.span)
        heartbeats = self._store.heartbeats()
        return {"": partial(check_health, task.spec, window, heartbeats, datetime.now(UTC))}

    def _steps(
        self, spec: ModelSpec, version: str, span: Span, step: timedelta
    ) -> Sequence[tuple[Span, Mapping[Segment, Profile]]]:
        reading = self._reading(spec)
        return [
            (piece, {segment: reading.profile(profile) for segment, profile in profiles.items()})
            for piece, profiles in load_segment_series(self._store, spec.model, span, step, version)
        ]

    def _versions(self, task: Task, window: Window) -> Sequence[str]:
        return window.versions() or self._latest_version(task.spec.model)

    def _latest_version(self, model: str) -> list[str]:
        seen = [seen for seen in self._store.seen_models() if seen.model == model]
        return [max(seen, key=lambda one: (one.last_seen, one.version)).version] if seen else [""]

    def _born(self, spec: ModelSpec) -> dict[str, datetime]:
        """When each version of the model was first seen."""
        return {one.version: one.first_seen for one in self._store.seen_models() if one.model == spec.model}

    def _last_seen(self, task: Task) -> datetime | None:
        """When any version last had traffic: one that a new version replaced is not silent but retired.

        None when that was after the moment looked at, which the window itself then tells better.
        """
        moments = [seen.last_seen for seen in self._store.seen_models() if seen.model == task.spec.model]
        latest = max(moments, default=None)
        return None if latest is None or latest > task.now else latest

    def _history(self, task: Task, version: str) -> list[CheckResult]:
        """Earlier scheduled drift results of the version, newest first."""
        limit = max(HISTORY, task.spec.checks.drift.persistence[1])
        found: list[CheckResult] = []
        after = None
        while True:
            page = self._store.results(
                Span(datetime.fromtimestamp(0, UTC), task.span.end),
                model=task.spec.model,
                version=version,
                check=CheckKind.DRIFT,
                limit=limit + 1,  # this run's own result may be stored already
                after=after,
            )
            found += [result for result in page.items if not result.on_demand and result.end < task.span.end]
            after = page.after
            # A check that failed remembers nothing: however many did, the last that did not is what is gone on from.
            if after is None or any(result.status is not Status.ERROR for result in found):
                return found[:limit] if len(found) <= limit else [*found[:limit], *_remembering(found[limit:])]

    # -- references ---------------------------------------------------------------------------------------------
    def reference(self, spec: ModelSpec, version: str, span: Span) -> ReferenceProfile | None:
        """The version's reference for that span, from the cache when it is fresh."""
        prepared = self.prepared(spec, version, span)
        return None if prepared is None else prepared.reference

    def prepared(self, spec: ModelSpec, version: str, span: Span) -> PreparedReference | None:
        """The same with what has been computed of it so far."""
        if isinstance(spec.reference, ReferenceRolling):
            span = self._steady(spec.model, span)
        load = partial(load_past, self._store, spec, span, version)
        return self._kept(_reference_key(spec, version, span), load, partial(_reading_of, spec))

    def _reading(self, spec: ModelSpec) -> Reading:
        """How the model's values are read, once for as long as its file and its reference file are as they are."""
        if not isinstance(spec.reference, ReferenceFile):
            return Reading.of(spec)
        try:
            prepared = self.prepared(spec, "", _ANY)
        except (OSError, ReferenceFileError):
            prepared = None  # the checks that compare say so
        if prepared is None:
            return Reading.of(spec)
        with self._lock:
            kept = self._readings.get(spec.model)
        if kept is not None and kept[0] is prepared:
            return kept[1]
        reading = Reading.of(spec, prepared.total)
        with self._lock:
            self._readings[spec.model] = prepared, reading
        return reading

    def _prepared(
        self, spec: ModelSpec, version: str, span: Span, normal: NormalSpans, reading: Reading | None = None
    ) -> PreparedReference | None:
        if isinstance(spec.reference, ReferenceFile):
            return self.prepared(spec, version, span)
        key = f"{_reference_key(spec, version, span)}\n{span.start.isoformat()} {span.length} {normal!r}"
        load = partial(load_reference, self._store, spec, span, version, normal)
        # Of days and weeks that are over little comes in late.
        return self._kept(key, load, lambda _: reading or Reading.of(spec), NORMAL_MAX_AGE_SECONDS)

    def _kept(
        self,
        key: str,
        load: Callable[[], ReferenceProfile | None],
        reading: Callable[[ReferenceProfile], Reading],
        max_age_seconds: float = REFERENCE_MAX_AGE_SECONDS,
    ) -> PreparedReference | None:
        found = self._references.get(key)
        if found is not None and time.monotonic() - found[0] < max_age_seconds:
            return found[1]
        reference = load()
        if reference is None:
            return None  # asked for again at the next check: its traffic may just not be in yet
        prepared = prepare_reference(reading(reference).reference(reference))
        windows = (profile for _, profile in prepared.reference.windows)
        columns = _columns([prepared.total, *windows, *prepared.reference.segments.values()])
        self._references.put(key, (time.monotonic(), prepared), columns)
        return prepared

    def forget(self) -> None:
        """Drop the references that are kept."""
        self._estimating.forget()
        with self._lock:
            self._readings.clear()
        self._references.clear()
        self._windows.clear()
        self._looks.clear()

    def _steady(self, model: str, span: Span) -> Span:
        """The span with its start put back so that a rolling reference is read once a day, not at every check.

        While a model is young a day would be much of its past, so then it is once an hour.
        """
        first = min((seen.first_seen for seen in self._store.seen_models() if seen.model == model), default=span.start)
        young = span.start - first < YOUNG
        return Span(floor(span.start, timedelta(hours=1) if young else timedelta(days=1)), span.end)


def _remembering(results: Sequence[CheckResult]) -> list[CheckResult]:
    return [result for result in results if result.memory][:1]


def _columns(profiles: Iterable[Profile]) -> int:
    """How many summaries there are: what memory goes by."""
    return sum(len(profile.features) + len(profile.outputs) for profile in profiles)


def _told_apart(model: str, labelled: Labelled) -> frozenset[str]:
    rows: dict[str, tuple[int, float]] = {}
    for version, at in zip(labelled.version, labelled.timestamp.tolist(), strict=True):
        count, latest = rows.get(version, (0, at))
        rows[version] = count + 1, max(latest, at)
    return told_apart(model, rows)


def _reading_of(spec: ModelSpec, reference: ReferenceProfile) -> Reading:
    """How a reference is read: a file as it was made, unless the model's file says otherwise."""
    return Reading.of(spec, reference.total if isinstance(spec.reference, ReferenceFile) else None)


def _reference_key(spec: ModelSpec, version: str, span: Span) -> str:
    """What the reference depends on: a file and a span are the same for every version and window."""
    types = {name: (one.type, one.values) for name, one in spec.features.items()}
    said = f"{spec.task} {spec.output.model_dump_json()} {types}"
    parts = [
        spec.model,
        said,
        spec.reference.model_dump_json(),
        spec.timezone,
        *(day.isoformat() for day in spec.holidays),
    ]
    if isinstance(spec.reference, ReferenceFile):
        parts.append(str(spec.reference.path.stat().st_mtime_ns))
    if isinstance(spec.reference, ReferenceRolling):
        parts += [version, span.start.isoformat()]
    return "\n".join(parts)


def failed(task: Task, version: str, error: Exception) -> CheckResult:
    """The result of a check that raised; also logged, with its traceback."""
    logger.error("check %s of %s %s failed", task.check, task.spec.model, version, exc_info=error)
    return CheckResult(
        model=task.spec.model,
        version=version,
        check=task.check,
        status=Status.ERROR,
        summary=f"The check failed: {type(error).__name__}: {error}",
        start=task.span.start,
        end=task.span.end,
        rows=0,
        on_demand=task.on_demand,
    )


_KINDS: Mapping[CheckKind, Callable[[Loader, Task], Mapping[str, Callable[[], CheckResult]]]] = {
    CheckKind.DRIFT: Loader.drift,
    CheckKind.QUALITY: Loader.quality,
    CheckKind.PERFORMANCE: Loader.performance,
    CheckKind.HEALTH: Loader.health,
}
