"""Loads what performance is estimated from, learns once from each reference, and looks up how earlier estimates did."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from modelward_agent.profile.sample import SampleFileError, sample_path
from modelward_collector.checks.estimated import (
    PAST,
    REFERENCE_ROWS,
    WINDOW_ROWS,
    Estimates,
    Estimator,
    learn,
)
from modelward_collector.checks.result import CheckKind, CheckResult
from modelward_collector.models import ModelSpec, ReferenceFile, ReferenceRolling
from modelward_collector.span import Span
from modelward_collector.stats.intervals import Interval
from modelward_collector.store.labelled_reference import load_labelled_reference
from modelward_collector.store.protocol import Store
from modelward_collector.store.windows import load_window
from modelward_collector.versions import told_apart

logger = logging.getLogger(__name__)

KEPT = 128
LEARNED_SECONDS = 6 * 3600.0
"""Labels of a reference taken from production still come in, so it is learned from again after this time."""

UNLEARNED_SECONDS = 600.0
TOLERANCE = 0.1
"""Two windows that differ by at most this part of their length are the same one."""


class Estimating:
    """Estimates for performance checks. Safe to use from several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._learned: OrderedDict[str, tuple[float, Estimator | None]] = OrderedDict()

    def estimates(self, spec: ModelSpec, version: str, judged: Span, left_out: Sequence[Span] = ()) -> Estimates | None:
        """What labels do not show of the version; None where no reference has labels to learn from.

        Nothing is learned from what is `left_out`; of a reference that is not the model's own past that is only what
        was before a new normal, and then it is learned from the traffic since.

        `judged` is the window whose labels are in; the newest is as long and ends a label delay later.
        """
        estimator = self._estimator(spec, version, judged, left_out)
        if estimator is None:
            return None
        delay = spec.checks.performance.label_delay
        newest = Span(judged.start + delay, judged.end + delay)
        of_newest = self._of_newest(spec, version, newest, estimator)
        of_judged: Mapping[str, Interval] = {}
        gap = None
        sampled = self._store.sampled(judged, model=spec.model, version=version, limit=WINDOW_ROWS)
        told = np.flatnonzero(sampled.labelled.labelled)
        if len(told) >= spec.checks.performance.min_labels:
            of_judged, gap = estimator.estimate(sampled, told), estimator.gap(sampled, told)
        if not of_newest and not of_judged:
            return None
        earlier, errors = self._past(spec, version, judged)
        return Estimates(
            span=newest,
            newest=of_newest,
            judged=of_judged,
            realised=estimator.realised,
            wander=estimator.wander,
            rows=estimator.rows,
            gap=gap,
            earlier=earlier,
            errors=errors,
        )

    def young_versions(self, spec: ModelSpec, judged: Span, known: Collection[str]) -> list[str]:
        """Versions beside the known ones that serve in the newest window, where there is something to estimate by."""
        delay = spec.checks.performance.label_delay
        seen = {
            one.version: (one.rows, one.last_seen)
            for one in self._store.seen_models()
            if one.model == spec.model
            and one.last_seen > judged.start + delay
            and one.first_seen < judged.end + delay
            and one.version not in known
        }
        apart = sorted(told_apart(spec.model, seen))
        return [version for version in apart if self._estimator(spec, version, judged) is not None]

    def forget(self) -> None:
        """Drop what was learned."""
        with self._lock:
            self._learned.clear()

    def _of_newest(self, spec: ModelSpec, version: str, newest: Span, estimator: Estimator) -> dict[str, Interval]:
        sampled = self._store.sampled(newest, model=spec.model, version=version, limit=WINDOW_ROWS)
        if sampled.features:
            return estimator.estimate(sampled, np.arange(len(sampled.features)))
        # no rows are kept of this model: its profile tells what it can
        return estimator.from_scores(load_window(self._store, spec.model, newest, version=version).profile(version))

    def _estimator(
        self, spec: ModelSpec, version: str, judged: Span, left_out: Sequence[Span] = ()
    ) -> Estimator | None:
        if isinstance(spec.reference, ReferenceRolling):
            # a rolling reference moves on once a day
            judged = Span(_day(judged.start), judged.end)
        key = f"{_key(spec, version, judged)}\n{[*left_out]!r}"
        with self._lock:
            found = self._learned.get(key)
            if found is not None:
                keep = UNLEARNED_SECONDS if found[1] is None else LEARNED_SECONDS
                if time.monotonic() - found[0] < keep:
                    self._learned.move_to_end(key)
                    return found[1]
        learned = self._read_and_learn(spec, version, judged, left_out)
        with self._lock:
            self._learned[key] = (time.monotonic(), learned)
            while len(self._learned) > KEPT:
                self._learned.popitem(last=False)
        return learned

    def _read_and_learn(
        self, spec: ModelSpec, version: str, judged: Span, left_out: Sequence[Span]
    ) -> Estimator | None:
        try:
            reference = load_labelled_reference(self._store, spec, judged, version, REFERENCE_ROWS, left_out)
        except (SampleFileError, OSError) as error:
            # what labels show is worth having without it
            logger.warning("model %s: its performance is not estimated: %s", spec.model, error)
            return None
        return None if reference is None else learn(spec, reference)

    def _past(self, spec: ModelSpec, version: str, judged: Span) -> tuple[dict[str, float], dict[str, list[float]]]:
        """What was estimated of the judged window before its labels were in, and errors of estimates before that."""
        delay = spec.checks.performance.label_delay
        earlier: dict[str, float] = {}
        if delay > timedelta(0):
            slack = judged.length * TOLERANCE
            then = judged.end - delay
            near = self._results(spec, version, Span(then - slack, min(then + slack, judged.end)), 10)
            if near:
                closest = min(near, key=lambda result: abs(result.end - then))
                earlier = _estimated(closest, "")
        errors: dict[str, list[float]] = {}
        for result in self._results(spec, version, Span(datetime.fromtimestamp(0, UTC), judged.end), PAST + 1):
            if result.end < judged.end:
                for name, error in _estimated(result, ".error").items():
                    errors.setdefault(name, []).append(error)
        return earlier, errors

    def _results(self, spec: ModelSpec, version: str, span: Span, limit: int) -> list[CheckResult]:
        page = self._store.results(span, model=spec.model, version=version, check=CheckKind.PERFORMANCE, limit=limit)
        return [result for result in page.items if not result.on_demand]


def _estimated(result: CheckResult, what: str) -> dict[str, float]:
    """By metric, `estimated.<metric>` or with its suffix."""
    return {
        name.removeprefix("estimated.").removesuffix(what): value
        for name, value in result.numbers.items()
        if name.startswith("estimated.") and name.endswith(what) and name.count(".") == 1 + what.count(".")
    }


def _day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _key(spec: ModelSpec, version: str, judged: Span) -> str:
    parts = [spec.model, spec.reference.model_dump_json(), spec.checks.performance.model_dump_json()]
    if isinstance(spec.reference, ReferenceFile):
        path = sample_path(spec.reference.path)
        parts.append(str(path.stat().st_mtime_ns) if path.exists() else "")
    if isinstance(spec.reference, ReferenceRolling):
        parts += [version, judged.start.isoformat()]
    return "\n".join(parts)
