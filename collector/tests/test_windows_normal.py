"""What a rolling reference reads: the same hours of other days, and of what drifts those from before it did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.tests.columns import Column
from collector.tests.hourly import DAY, HOUR, MODEL, fill, hours, normal
from modelward_collector.checks.drift_memory import EPOCH
from modelward_collector.checks.drift_reference import PreparedReference
from modelward_collector.checks.window import JOINT, ReferenceProfile
from modelward_collector.models import ModelSpec, ReferenceRolling, ReferenceSpan
from modelward_collector.span import Span
from modelward_collector.store.protocol import Store
from modelward_collector.store.rollup import roll_up
from modelward_collector.store.sqlite import SqliteStore
from modelward_collector.store.windows import NormalSpans, load_reference

FIRST = datetime(2026, 1, 7, tzinfo=UTC)
"""A Wednesday; the day after all that is stored is a Monday."""

DAYS = 40
TODAY = FIRST + DAYS * DAY
TWO = Span(TODAY + 14 * HOUR, TODAY + 15 * HOUR)
"""From two to three o'clock on the day after all that is stored."""

YESTERDAY = Span(TODAY - DAY, TODAY)
SPEC = ModelSpec(model=MODEL)
LEVEL = 0.01
NEVER = datetime.max.replace(tzinfo=UTC)


def by_hour(rng: np.random.Generator, at: datetime) -> Mapping[str, Column]:
    """Rows whose level tells their day and hour."""
    level = at.hour + 100.0 * ((at - FIRST) // DAY)
    return {"x": level + normal(rng, number=40), "y": level + normal(rng, number=40)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    """Forty days of hours, as they are kept for a month: minutes and hours rolled up, nothing deleted yet."""
    opened = SqliteStore(tmp_path_factory.mktemp("store") / "modelward.db")
    opened.setup()
    fill(opened, FIRST, DAYS * 24, by_hour)
    roll_up(opened, MODEL, TODAY + HOUR, hours_for=90 * DAY)
    yield opened
    opened.close()


def loaded(
    store: Store, span: Span, normal_spans: NormalSpans | None = None, spec: ModelSpec = SPEC
) -> ReferenceProfile:
    found = load_reference(store, spec, span, "1", normal_spans)
    assert found is not None
    return found


def days_read(reference: ReferenceProfile) -> list[int]:
    return [(span.start - FIRST) // DAY for span, _ in reference.windows]


def days_compared(reference: ReferenceProfile, span: Span, name: str) -> list[int]:
    """The days of the windows that a feature is compared with."""
    kept, _ = PreparedReference(reference)._kept(
        PreparedReference(reference).alike(span).windows, name if name == JOINT else f"features/{name}", span
    )
    return [(one.start - FIRST) // DAY for one, _ in kept]


def mean_of(reference: ReferenceProfile, index: int) -> float:
    numeric = reference.windows[index][1].features["x"].numeric
    assert numeric is not None
    return numeric.moments.mean


# -- the same hours -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("zone", "winter"), [("UTC", 7), ("Europe/Berlin", 8), ("Asia/Kolkata", 7)])
def test_in_summer_it_is_compared_with_the_hours_that_clocks_showed_alike_in_winter(
    tmp_path: Path, zone: str, winter: int
) -> None:
    clocks_change = datetime(2026, 3, 29, 1, tzinfo=UTC)
    opened = SqliteStore(tmp_path / "modelward.db")
    opened.setup()
    fill(opened, clocks_change.replace(hour=0) - 10 * DAY, 16 * 24, by_hour)
    seven = clocks_change.replace(hour=7) + 6 * DAY
    reference = loaded(opened, Span(seven, seven + HOUR), spec=ModelSpec(model=MODEL, timezone=zone))
    for index, (one, _) in enumerate(reference.windows):
        assert one.start.hour == 7  # as it is compared
        expected = 7 if one.start > clocks_change else winter
        assert mean_of(reference, index) % 100 == pytest.approx(expected, abs=0.8)
    assert len(reference.windows) == 16
    opened.close()


@pytest.mark.parametrize("length", [HOUR, 3 * HOUR, 12 * HOUR])
def test_an_hour_is_compared_with_the_same_hours_of_the_days_before(store: SqliteStore, length: timedelta) -> None:
    span = Span(TWO.start - 4 * HOUR, TWO.start - 4 * HOUR + length)
    reference = loaded(store, span)
    assert days_read(reference) == list(range(12, 40))
    for one, profile in reference.windows:
        assert (one.start.hour, one.length) == (span.start.hour, length)
        assert profile.rows == 40 * (length // HOUR)
    assert mean_of(reference, 0) == pytest.approx(1_200 + 10 + (length / HOUR - 1) / 2, abs=1)


def test_a_day_is_compared_with_the_days_before(store: SqliteStore) -> None:
    reference = loaded(store, YESTERDAY)
    assert days_read(reference) == list(range(11, 39))
    assert all(one.length == DAY and profile.rows == 24 * 40 for one, profile in reference.windows)


def test_a_week_is_compared_with_the_weeks_before_it(store: SqliteStore) -> None:
    week = Span(TODAY - 7 * DAY, TODAY)
    reference = loaded(store, week)
    assert days_read(reference) == list(range(5, 33))
    assert all(one.length == DAY and profile.rows == 24 * 40 for one, profile in reference.windows)


def test_what_begins_within_an_hour_is_compared_with_whole_hours(store: SqliteStore) -> None:
    span = Span(TWO.start + HOUR / 2, TWO.end + HOUR / 2)
    reference = loaded(store, span)
    assert days_read(reference) == list(range(12, 40))
    assert mean_of(reference, 0) == pytest.approx(1_214, abs=1)


def test_the_gap_is_left_between(store: SqliteStore) -> None:
    spec = ModelSpec(model=MODEL, reference=ReferenceRolling(kind="rolling", window=14 * DAY, gap=5 * DAY))
    assert days_read(loaded(store, TWO, spec=spec)) == list(range(21, 35))


def test_of_a_span_the_same_hours_are_read(store: SqliteStore) -> None:
    spec = ModelSpec(model=MODEL, reference=ReferenceSpan(kind="span", start=FIRST + 3 * DAY, end=FIRST + 13 * DAY))
    reference = loaded(store, TWO, spec=spec)
    assert days_read(reference) == list(range(3, 13))
    assert all(one.start.hour == 14 for one, _ in reference.windows)
    assert (reference.begun, reference.horizon) == (None, None)


def test_a_reference_too_short_for_other_days_is_read_whole(store: SqliteStore) -> None:
    spec = ModelSpec(model=MODEL, reference=ReferenceRolling(kind="rolling", window=2 * DAY))
    assert loaded(store, YESTERDAY, spec=spec).total.rows == 2 * 24 * 40


def test_of_another_version_there_is_nothing(store: SqliteStore) -> None:
    assert load_reference(store, SPEC, TWO, "2", NormalSpans(begun=FIRST)) is None


def test_it_carries_what_a_feature_needs_to_know_of_it(store: SqliteStore) -> None:
    out, back = {"features/x": (TWO,)}, {"features/y": (YESTERDAY,)}
    spec = SPEC.model_copy(update={"holidays": (date(2026, 1, 6),)})
    reference = loaded(store, TWO, NormalSpans(FIRST, None, out, back), spec)
    assert (reference.begun, reference.horizon) == (FIRST, 28 * DAY)
    assert (reference.left_out, reference.put_back) == (out, back)
    assert reference.holidays == {date(2026, 1, 6)}


# -- the first days -----------------------------------------------------------------------------------------------
def test_of_hours_that_were_never_seen_the_last_day_tells_what_is_gross(tmp_path: Path) -> None:
    opened = SqliteStore(tmp_path / "modelward.db")
    opened.setup()
    try:
        opened.create([*hours(FIRST + 9 * HOUR, 8, by_hour)])
        span = Span(FIRST + 17 * HOUR, FIRST + 18 * HOUR)
        reference = loaded(opened, span, NormalSpans(begun=FIRST + 9 * HOUR))
        assert [one.start.hour for one, _ in reference.windows] == list(range(9, 17))
        assert not PreparedReference(reference).alike(span).same_hours
        again = Span(FIRST + DAY + 9 * HOUR, FIRST + DAY + 10 * HOUR)
        reference = loaded(opened, again, NormalSpans(begun=FIRST + 9 * HOUR))
        assert [one.start.hour for one, _ in reference.windows] == [9]
        assert PreparedReference(reference).alike(again).same_hours
        first = Span(FIRST + 9 * HOUR, FIRST + 10 * HOUR)
        assert load_reference(opened, SPEC, first, "1", NormalSpans(begun=FIRST + 9 * HOUR)) is None
    finally:
        opened.close()


# -- what is left out ---------------------------------------------------------------------------------------------
def test_only_what_drifts_keeps_its_old_reference_and_the_others_go_on(store: SqliteStore) -> None:
    drifts = {"features/x": (Span(FIRST + 35 * DAY, NEVER),)}
    reference = loaded(store, TWO, NormalSpans(FIRST, None, drifts))
    assert days_read(reference) == list(range(7, 40))
    assert days_compared(reference, TWO, "x") == list(range(7, 35))
    assert days_compared(reference, TWO, "y") == days_compared(reference, TWO, JOINT) == list(range(12, 40))
    prepared = PreparedReference(reference)
    x, y = (prepared.normal("features", name, TWO, LEVEL) for name in ("x", "y"))
    assert (x.left_out, y.left_out) == (5, 0)
    assert max(one.end for one in x.alike) <= FIRST + 35 * DAY
    assert x.view.numeric is not None
    assert y.view.numeric is not None
    assert x.view.numeric.maximum < 3_500 < y.view.numeric.maximum


def test_an_incident_that_is_over_is_left_out_and_made_up_for_from_before(store: SqliteStore) -> None:
    incident = {"features/x": (Span(FIRST + 30 * DAY + 10 * HOUR, FIRST + 32 * DAY + 10 * HOUR),)}
    reference = loaded(store, TWO, NormalSpans(FIRST, None, incident))
    assert days_compared(reference, TWO, "x") == [*range(10, 30), *range(32, 40)]
    reference = loaded(store, YESTERDAY, NormalSpans(FIRST, None, incident))
    assert days_compared(reference, YESTERDAY, "x") == [*range(8, 30), *range(33, 39)]


def test_each_subject_has_its_own(store: SqliteStore) -> None:
    drifts = {"features/x": (Span(FIRST + 30 * DAY, NEVER),), JOINT: (Span(FIRST + 38 * DAY, NEVER),)}
    reference = loaded(store, TWO, NormalSpans(FIRST, None, drifts))
    assert days_compared(reference, TWO, "x") == list(range(2, 30))
    assert days_compared(reference, TWO, JOINT) == list(range(10, 38))
    assert days_compared(reference, TWO, "y") == list(range(12, 40))


def test_what_drifts_for_longer_than_a_reference_is_has_its_old_one_still(store: SqliteStore) -> None:
    drifts = {"features/x": (Span(FIRST + 11 * DAY, NEVER),)}
    reference = loaded(store, TWO, NormalSpans(FIRST, None, drifts))
    assert days_compared(reference, TWO, "x") == list(range(11))
    assert days_compared(reference, TWO, "y") == list(range(12, 40))


def test_of_a_new_normal_only_what_is_of_it_is_read(store: SqliteStore) -> None:
    since = FIRST + 30 * DAY
    reference = loaded(store, TWO, NormalSpans(FIRST, since))
    assert days_read(reference) == list(range(30, 40))
    assert reference.begun == since


def test_of_a_new_normal_of_one_feature_the_others_know_nothing(store: SqliteStore) -> None:
    since = FIRST + 36 * DAY
    reference = loaded(store, TWO, NormalSpans(FIRST, None, {"features/x": (Span(EPOCH, since),)}))
    assert days_compared(reference, TWO, "x") == list(range(36, 40))
    assert days_compared(reference, TWO, "y") == list(range(12, 40))
    prepared = PreparedReference(reference)
    assert prepared.normal("features", "x", TWO, LEVEL).learning
    assert not prepared.normal("features", "y", TWO, LEVEL).learning


def test_before_a_new_normal_nothing_makes_up_for_what_is_left_out(store: SqliteStore) -> None:
    out = (Span(EPOCH, FIRST + 20 * DAY), Span(FIRST + 36 * DAY, NEVER))
    reference = loaded(store, TWO, NormalSpans(FIRST, None, {"features/x": out}))
    assert days_compared(reference, TWO, "x") == list(range(20, 36))
    reference = loaded(store, TWO, NormalSpans(FIRST, FIRST + 20 * DAY, {"features/x": out[1:]}))
    assert days_compared(reference, TWO, "x") == list(range(20, 36))


EPISODES = st.lists(
    st.tuples(st.integers(0, 59 * 24), st.integers(1, 20 * 24)).map(
        lambda pair: Span(FIRST + pair[0] * HOUR, FIRST + (pair[0] + pair[1]) * HOUR)
    ),
    max_size=3,
).map(tuple)


@settings(max_examples=60, deadline=None)
@given(
    left_out=st.dictionaries(st.sampled_from(["features/x", "features/y", JOINT]), EPISODES, max_size=3),
    length=st.sampled_from([HOUR, 6 * HOUR, DAY, 7 * DAY]),
    hour=st.integers(0, 23),
    since=st.none() | st.integers(0, 59),
    gap=st.sampled_from([timedelta(0), 6 * HOUR, 3 * DAY]),
)
def test_each_subject_has_as_many_windows_as_there_are(
    left_out: dict[str, tuple[Span, ...]], length: timedelta, hour: int, since: int | None, gap: timedelta
) -> None:
    """Against a list of all windows that there could be, of sixty days."""
    start = FIRST + 60 * DAY + (hour * HOUR if length < DAY else timedelta(0))
    window = Span(start, start + length)
    begins = None if since is None else FIRST + since * DAY
    spans = NormalSpans(FIRST, begins, left_out)
    end = start - gap
    first = end - 28 * DAY if begins is None else max(end - 28 * DAY, begins)
    wanted = spans.wanted(window, Span(first, max(first, end)), 28 * DAY)
    assert wanted == sorted(wanted, key=lambda one: one.start)
    stride = max(DAY, length)
    every = [Span(start - n * stride, start - n * stride + length) for n in range(60, 0, -1)]
    every = [one for one in every if one.start >= (begins or FIRST) and one.end <= end]
    assert set(wanted) <= set(every) | {one for one in wanted if one.start < FIRST}
    most = 28 * DAY // stride
    for out in left_out.values():
        normal_ones = [one for one in every if not any(one.start < o.end and o.start < one.end for o in out)]
        mine = [one for one in wanted if one in normal_ones]
        assert mine[-most:] == normal_ones[-most:]
    inside = [one for one in every if one.start >= first]
    assert [one for one in wanted if one in inside] == inside


def test_what_is_left_out_is_still_there_when_days_are_kept_alone(tmp_path: Path) -> None:
    """Hours go after a month: then days tell of it still, and hours not."""
    opened = SqliteStore(tmp_path / "modelward.db")
    opened.setup()
    try:
        fill(opened, FIRST, 20 * 24, by_hour)
        roll_up(opened, MODEL, FIRST + 60 * DAY)
        drifts = NormalSpans(FIRST, None, {"features/x": (Span(FIRST + 20 * DAY, NEVER),)})
        later = Span(FIRST + 60 * DAY, FIRST + 61 * DAY)
        reference = loaded(opened, later, drifts)
        assert days_compared(reference, later, "x") == list(range(20))
        hour = replace(later, end=later.start + HOUR)
        assert load_reference(opened, SPEC, hour, "1", drifts) is None
    finally:
        opened.close()
