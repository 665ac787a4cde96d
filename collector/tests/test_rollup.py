"""Rolling up: nothing counted twice, nothing lost, wherever it is cut short and whatever comes late."""

from __future__ import annotations

import base64
import contextlib
import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.tests.store_documents import DAY, NOON, part
from modelward_collector.span import Span
from modelward_collector.store.protocol import Created, Document, Part
from modelward_collector.store.rollup import RolledUp, roll_up
from modelward_collector.store.sqlite import SqliteStore
from modelward_collector.store.windows import load_window

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
ONE_DAY = timedelta(days=1)


class CutShortError(Exception):
    """The collector died here."""


class DyingStore(SqliteStore):
    """Dies before or after a step that changes something, once `steps` such steps have been."""

    steps = 10**9

    def _step(self, change: Callable[[], Any]) -> Any:
        self.steps -= 1
        if self.steps == -1:
            raise CutShortError
        done = change()
        self.steps -= 1
        if self.steps == -1:
            raise CutShortError
        return done

    def create(self, documents: Sequence[Document]) -> list[Created]:
        created: list[Created] = self._step(lambda: SqliteStore.create(self, documents))
        return created

    def delete_parts(self, ids: Sequence[str]) -> None:
        # A deletion may stop half way.
        middle = len(ids) // 2
        self._step(lambda: SqliteStore.delete_parts(self, ids[:middle]))
        self._step(lambda: SqliteStore.delete_parts(self, ids[middle:]))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DyingStore]:
    opened = DyingStore(tmp_path / "modelward.db")
    opened.setup()
    yield opened
    opened.close()


def parts(store: SqliteStore) -> list[Part]:
    return store.parts(Span(DAY.start - 400 * ONE_DAY, DAY.end + 400 * ONE_DAY), model="delay")


def rows(store: SqliteStore, span: Span = DAY) -> int:
    return load_window(store, "delay", span).profile().rows


def by_length(store: SqliteStore) -> dict[int, int]:
    found = sorted(parts(store), key=lambda one: one.seconds)
    return {seconds: len(list(group)) for seconds, group in itertools.groupby(found, key=lambda one: one.seconds)}


def minutes(start: datetime, count: int, **fields: Any) -> list[Document]:
    name = "-".join(str(value) for value in fields.values())
    return [part(f"{name}{start + n * MINUTE}", start + n * MINUTE, [float(n)], **fields) for n in range(count)]


def test_an_hour_is_merged_when_it_is_over_and_its_minutes_stay_for_a_while(store: DyingStore) -> None:
    store.create(minutes(NOON, 60))
    assert roll_up(store, "delay", NOON + HOUR + 4 * MINUTE) == RolledUp(0, 0)
    assert roll_up(store, "delay", NOON + HOUR + 5 * MINUTE) == RolledUp(1, 0)
    assert by_length(store) == {60: 60, 3600: 1}
    assert rows(store) == rows(store, Span(NOON + 10 * MINUTE, NOON + 70 * MINUTE)) + 10 == 60
    assert roll_up(store, "delay", NOON + 6 * HOUR) == RolledUp(0, 0)
    assert roll_up(store, "delay", NOON + 7 * HOUR) == RolledUp(0, 60)
    assert by_length(store) == {3600: 1}
    assert rows(store) == 60


def test_a_day_is_merged_when_it_is_over_and_its_hours_go_after_a_month(store: DyingStore) -> None:
    store.create([one for hour in range(24) for one in minutes(DAY.start + hour * HOUR, 2)])
    roll_up(store, "delay", DAY.end + HOUR)
    assert by_length(store) == {60: 10, 3600: 24, 86_400: 1}
    roll_up(store, "delay", DAY.end + 29 * ONE_DAY)
    assert by_length(store) == {3600: 24, 86_400: 1}
    roll_up(store, "delay", DAY.end + 30 * ONE_DAY)
    assert by_length(store) == {86_400: 1}
    assert rows(store) == 48
    (day,) = parts(store)
    assert len(day.covers) == 48 + 24


def test_hosts_versions_and_segments_stay_apart(store: DyingStore) -> None:
    eu = (("region", "eu"),)
    for fields in ({}, {"host": "web2"}, {"version": "2"}, {"segment": eu}):
        store.create(minutes(NOON, 3, **fields))
    roll_up(store, "delay", NOON + 8 * HOUR)
    kept = {(one.host, one.version, tuple(one.segment.items())): one.rows for one in parts(store)}
    assert kept == {
        ("web1", "1", ()): 3,
        ("web2", "1", ()): 3,
        ("web1", "2", ()): 3,
        ("web1", "1", eu): 3,
    }
    assert load_window(store, "delay", DAY).hosts == {"web1", "web2"}


def test_late_parts_become_a_further_hour_part(store: DyingStore) -> None:
    store.create(minutes(NOON, 10))
    roll_up(store, "delay", NOON + 2 * HOUR)
    store.create([part("late", NOON + 20 * MINUTE, [1.0, 2.0])])
    assert rows(store) == 12
    assert roll_up(store, "delay", NOON + 3 * HOUR) == RolledUp(1, 0)
    assert rows(store) == 12
    roll_up(store, "delay", NOON + 9 * HOUR)
    assert by_length(store) == {3600: 2}
    assert rows(store) == 12


def test_a_part_delivered_again_after_its_deletion_does_not_count_again(store: DyingStore) -> None:
    sent = minutes(NOON, 10)
    store.create(sent)
    for now in (NOON + 9 * HOUR, DAY.end + 40 * ONE_DAY):
        roll_up(store, "delay", now)
        store.create(sent)
        assert rows(store) == 10
        roll_up(store, "delay", now)
        assert rows(store) == 10
    assert by_length(store) == {86_400: 1}


def test_windows_of_an_hour_or_a_day_need_no_hour(store: DyingStore) -> None:
    store.create([part(f"h{n}", DAY.start + n * HOUR, [1.0], seconds=3600) for n in range(24)])
    store.create([part("whole", DAY.start, [1.0, 2.0], seconds=86_400, host="web2")])
    assert roll_up(store, "delay", DAY.end + HOUR) == RolledUp(1, 0)
    assert by_length(store) == {3600: 24, 86_400: 2}
    assert rows(store) == 26


def test_a_window_across_hours_waits_for_its_day(store: DyingStore) -> None:
    store.create([part("across", NOON - 5 * MINUTE, [1.0], seconds=600)])
    assert roll_up(store, "delay", NOON + 3 * HOUR) == RolledUp(0, 0)
    assert roll_up(store, "delay", DAY.end + 12 * HOUR) == RolledUp(1, 1)
    assert rows(store) == 1


def test_an_unreadable_profile_stays_as_it_is(store: DyingStore) -> None:
    newer = part("newer", NOON + 5 * MINUTE)
    newer = replace(newer, source={**newer.source, "profile": base64.b64encode(b"MWP\xff...").decode()})
    store.create([*minutes(NOON, 3), newer])
    roll_up(store, "delay", DAY.end + 60 * ONE_DAY)
    assert sorted(one.seconds for one in parts(store)) == [60, 86_400]
    assert [its_id for its_id, _ in store.payloads(["newer"])] == ["newer"]


def test_running_again_changes_nothing(store: DyingStore) -> None:
    store.create(minutes(NOON, 5))
    roll_up(store, "delay", NOON + 2 * HOUR)
    before = parts(store)
    assert roll_up(store, "delay", NOON + 2 * HOUR) == RolledUp(0, 0)
    assert parts(store) == before


@pytest.mark.parametrize("steps", range(12))
def test_cut_short_at_any_step_the_answer_stays_and_the_next_run_finishes(store: DyingStore, steps: int) -> None:
    store.create([*minutes(NOON, 6), *minutes(NOON + HOUR, 6)])
    store.steps = steps
    try:
        roll_up(store, "delay", DAY.end + 40 * ONE_DAY)
    except CutShortError:
        store.steps = 10**9
        assert rows(store) == 12
        roll_up(store, "delay", DAY.end + 40 * ONE_DAY)
    assert rows(store) == 12
    assert by_length(store) == {86_400: 1}


_ARRIVE = st.tuples(st.just("arrive"), st.integers(0, 29))
_ROLL = st.tuples(st.just("roll up"), st.integers(0, 80), st.integers(0, 12))


@settings(max_examples=40, deadline=None)
@given(st.lists(_ARRIVE | _ROLL, max_size=40))
def test_whatever_arrives_is_rolled_up_and_dies_in_whatever_order_every_row_counts_once(
    steps: list[tuple[Any, ...]],
) -> None:
    # Thirty parts over five hours of two days, some of them twice; moments to roll up from the second hour on to long
    # after, in any order, each cut short somewhere or not.
    sent = [
        part(str(n), DAY.end + timedelta(hours=n % 5 - 2, minutes=n), [float(n)] * (n + 1), host=f"web{n % 2}")
        for n in range(30)
    ]
    span = Span(DAY.start, DAY.end + ONE_DAY)
    with tempfile.TemporaryDirectory() as folder:
        store = DyingStore(Path(folder) / "modelward.db")
        store.setup()
        arrived: set[int] = set()
        for step in steps:
            if step[0] == "arrive":
                store.create([sent[step[1]]])
                arrived.add(step[1])
            else:
                store.steps = step[2]
                with contextlib.suppress(CutShortError):
                    roll_up(store, "delay", DAY.end + HOUR + step[1] * 10 * HOUR)
                store.steps = 10**9
            profile = load_window(store, "delay", span).profile()
            assert profile.rows == sum(n + 1 for n in arrived)
            if arrived:
                sketch = profile.features["distance"].numeric
                assert sketch is not None
                assert sketch.moments.mean * sketch.n == pytest.approx(sum(n * (n + 1) for n in arrived))
        store.close()
