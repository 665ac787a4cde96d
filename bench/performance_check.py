"""A performance check with intervals over labelled predictions in segments, beside scikit-learn with a bootstrap."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from bench.rows import Row, report
from modelward_collector.checks.performance import check_performance
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span
from modelward_collector.store.protocol import Labelled

ROWS, SEGMENTS = 200_000, 40
RESAMPLES = 20
USUAL_RESAMPLES = 1_000
HOLD_SECONDS = 5.0
HOLD_BELOW_BOOTSTRAP = 100
START = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = Span(START, START + timedelta(days=7))


def labelled(p: NDArray[np.float64], actual: NDArray[np.bool_]) -> Labelled:
    """What a store joins of a classifier's predictions, every one with its label."""
    rows = len(p)
    words = np.where(actual, "yes", "no").tolist()
    return Labelled(
        timestamp=START.timestamp() + np.linspace(0, 7 * 86_400, rows, endpoint=False),
        version=["1"] * rows,
        segment=[{"region": str(index % SEGMENTS)} for index in range(rows)],
        predicted_value=np.full(rows, np.nan),
        predicted_label=[""] * rows,
        probabilities=[{"no": 1 - each, "yes": each} for each in p.tolist()],
        labelled=np.ones(rows, dtype=np.bool_),
        actual_value=np.full(rows, np.nan),
        actual_label=words,
        total=rows,
        total_labelled=rows,
    )


def bootstrapped(p: NDArray[np.float64], actual: NDArray[np.bool_]) -> float:
    """Seconds of one resample's metrics, over all rows and each segment."""
    random = np.random.default_rng(3)
    segment = np.arange(len(p)) % SEGMENTS
    begun = time.perf_counter()
    for _ in range(RESAMPLES):
        for where in (slice(None), *(segment == each for each in range(SEGMENTS))):
            score, true = p[where], actual[where]
            chosen = random.integers(0, len(score), len(score))
            score, true = score[chosen], true[chosen]
            metrics.roc_auc_score(true, score)
            metrics.log_loss(true, score)
            metrics.accuracy_score(true, score > 0.5)
            metrics.precision_recall_fscore_support(true, score > 0.5, average="binary")
    return (time.perf_counter() - begun) / RESAMPLES


def main() -> int:
    """Measure and print; 1 when a row does not hold."""
    random = np.random.default_rng(0)
    p = random.beta(1, 1, ROWS)
    actual = random.random(ROWS) < p
    rows = labelled(p, actual)
    checks = {"performance": {"thresholds": {"roc_auc": {"min": 0.5}}}}
    spec = ModelSpec.model_validate({"model": "m", "task": "classification", "checks": checks})
    begun = time.perf_counter()
    result = check_performance(spec, "1", WEEK, rows)
    seconds = time.perf_counter() - begun
    if result.rows != ROWS or "roc_auc.low" not in result.numbers:
        raise SystemExit(f"modelward: the check saw {result.rows:,} rows, numbers {sorted(result.numbers)}")
    peer = bootstrapped(p, actual) * USUAL_RESAMPLES
    return report(
        [
            Row(
                f"performance check, {ROWS:,} labelled rows in {SEGMENTS} segments, with intervals",
                f"{seconds:.1f} s",
                f"at most {HOLD_SECONDS:g} s",
                seconds <= HOLD_SECONDS,
            ),
            Row(
                f"scikit-learn's metrics of {USUAL_RESAMPLES:,} resamples, by {RESAMPLES} of them",
                f"{peer:.0f} s, {peer / seconds:.0f} times",
                f"at least {HOLD_BELOW_BOOTSTRAP} times",
                peer >= HOLD_BELOW_BOOTSTRAP * seconds,
            ),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
