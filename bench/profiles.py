"""A day of one-minute profiles as agents ship them, for benches of what reads them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from modelward_agent.profile import CategoricalSketch, FeatureProfile, NumericSketch, Profile, ProfileKey
from modelward_agent.profile.wire import to_document
from modelward_collector.span import Span
from modelward_collector.store.protocol import Alias, Document, Outcome, Store

MODEL = "bench"
VERSION = "1"
START = datetime(2026, 3, 1, tzinfo=UTC)

NUMERIC = 30
CATEGORICAL = 10
CHANGED = 10
CATEGORIES = tuple(f"category {number}" for number in range(20))

_BATCH = 60


def fill_day(
    store: Store,
    *,
    hosts: int = 4,
    minutes: int = 1440,
    rows_total: int = 1_000_000,
    model: str = MODEL,
    start: datetime = START,
    numeric: int = NUMERIC,
    categorical: int = CATEGORICAL,
    seed: int = 1,
    changes_at: int | None = None,
) -> Span:
    """Fill the store with one profile a minute and host, `rows_total` rows in all; answers the span that they fill.

    Numeric features `n00`… are lognormal, normal and exponential in turn, categorical ones `c00`… have 20 values. From
    the minute `changes_at` on the first `CHANGED` numeric ones are half as large again.
    """
    documents: list[Document] = []
    for document in day_documents(
        hosts=hosts,
        minutes=minutes,
        rows_total=rows_total,
        model=model,
        start=start,
        numeric=numeric,
        categorical=categorical,
        seed=seed,
        changes_at=changes_at,
    ):
        documents.append(document)
        if len(documents) == _BATCH:
            _create(store, documents)
            documents = []
    _create(store, documents)
    return Span(start, start + timedelta(minutes=minutes))


def day_documents(
    *,
    hosts: int = 4,
    minutes: int = 1440,
    rows_total: int = 1_000_000,
    model: str = MODEL,
    start: datetime = START,
    numeric: int = NUMERIC,
    categorical: int = CATEGORICAL,
    seed: int = 1,
    changes_at: int | None = None,
) -> Iterator[Document]:
    """The documents of `fill_day`, minute by minute."""
    generator = np.random.default_rng(seed)
    edges = np.linspace(0, rows_total, hosts * minutes + 1).astype(int)
    for number, rows in enumerate(np.diff(edges)):
        minute, host = divmod(number, hosts)
        first = start + timedelta(minutes=minute)
        key = ProfileKey(f"host{host}", model, VERSION, (), int(first.timestamp()), 60)
        changed = changes_at is not None and minute >= changes_at
        profile = minute_profile(generator, int(rows), numeric=numeric, categorical=categorical, changed=changed)
        part = f"{model}-{host}-{int(first.timestamp())}"
        yield Document(Alias.PROFILES, part, to_document(key, profile, part=part))


def minute_profile(
    generator: np.random.Generator,
    rows: int,
    *,
    numeric: int = NUMERIC,
    categorical: int = CATEGORICAL,
    changed: bool = False,
) -> Profile:
    """One minute's profile of so many rows."""
    profile = Profile()
    profile.rows = rows
    profile.distinct_rows.update(float(generator.random()))
    for number in range(numeric):
        values = drawn(generator, number, rows)
        profile.features[f"n{number:02d}"] = _numeric(1.5 * values if changed and number < CHANGED else values)
    for number in range(categorical):
        profile.features[f"c{number:02d}"] = _categorical(generator, rows)
    profile.outputs["prediction"] = _numeric(generator.normal(size=rows))
    profile.outputs["latency_ms"] = _numeric(generator.lognormal(1.0, 0.5, size=rows))
    return profile


def drawn(generator: np.random.Generator, number: int, rows: int) -> NDArray[np.float64]:
    """So many values of a numeric feature, shape (rows,)."""
    kind = number % 3
    if kind == 0:
        return generator.lognormal(0.0, 1.0, size=rows)
    if kind == 1:
        return generator.normal(number, 1.0 + number, size=rows)
    return generator.exponential(1.0 + number, size=rows)


def _numeric(values: NDArray[np.float64]) -> FeatureProfile:
    feature = FeatureProfile()
    feature.numeric = NumericSketch()
    feature.numeric.update(values)
    return feature


def _categorical(generator: np.random.Generator, rows: int) -> FeatureProfile:
    feature = FeatureProfile()
    feature.categorical = CategoricalSketch()
    counts = np.bincount(generator.integers(0, len(CATEGORIES), size=rows), minlength=len(CATEGORIES))
    feature.categorical.update_counts(
        {name: int(count) for name, count in zip(CATEGORIES, counts, strict=True) if count}
    )
    return feature


def _create(store: Store, documents: list[Document]) -> None:
    rejected = [created.reason for created in store.create(documents) if created.outcome is Outcome.REJECTED]
    if rejected:
        raise SystemExit(f"modelward: the store rejected a profile of the bench: {rejected[0]}")
