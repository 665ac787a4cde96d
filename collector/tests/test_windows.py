"""Reading windows, series and references: each row once, whatever is rolled up, repeated or unreadable."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from collector.tests.store_documents import DAY, NOON, part
from modelward_agent.profile import Profile
from modelward_agent.profile.reference import write_reference
from modelward_collector.models import ModelSpec, ReferenceFile, ReferenceRolling, ReferenceSpan
from modelward_collector.span import Span
from modelward_collector.store import windows
from modelward_collector.store.covering import no_longer_than, selected
from modelward_collector.store.protocol import Document, Part, StoreUnavailableError
from modelward_collector.store.rollup import roll_up
from modelward_collector.store.sqlite import SqliteStore
from modelward_collector.store.windows import load_reference, load_segment_series, load_series, load_window

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
ONE_DAY = timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "modelward.db")
    opened.setup()
    yield opened
    opened.close()


def listed(part_id: str, covers: Sequence[str] = (), seconds: int = 60) -> Part:
    return Part(part_id, "web1", "delay", "1", {}, NOON, seconds, 1, tuple(covers))


def names(parts: Sequence[Part]) -> str:
    return " ".join(sorted(one.id for one in parts))


def unreadable(document: Document, content: bytes = b"MWP\xff of tomorrow") -> Document:
    return replace(document, source={**document.source, "profile": base64.b64encode(content).decode()})


def values(profile: Profile, feature: str = "distance") -> list[float]:
    sketch = profile.features[feature].numeric
    assert sketch is not None
    return sorted(value for value, weight in sketch.kll for _ in range(weight))


# -- which parts stand for a span ---------------------------------------------------------------------------------
def test_parts_that_nothing_covers_are_all_taken() -> None:
    assert names(selected([listed("b"), listed("a")])) == "a b"


def test_a_part_listed_twice_is_taken_once() -> None:
    assert names(selected([listed("a"), listed("a")])) == "a"


def test_a_covered_part_is_left_out() -> None:
    assert names(selected([listed("a"), listed("b"), listed("hour", ["a"], 3600)])) == "b hour"


def test_covering_goes_through_all_levels() -> None:
    hour, day = listed("hour", ["a", "b"], 3600), listed("day", ["hour"], 86_400)
    assert names(selected([listed("a"), listed("b"), hour, day])) == "day"


def test_of_overlapping_roll_ups_the_larger_stands_and_what_only_the_other_covers_is_read_apart() -> None:
    larger, other = listed("larger", ["a", "b", "c"], 3600), listed("other", ["c", "d"], 3600)
    minutes = [listed(one) for one in "abcd"]
    assert names(selected([*minutes, larger, other])) == "d larger"


def test_a_long_roll_up_gives_way_when_finer_parts_can_stand_for_it() -> None:
    minutes = [listed("a"), listed("b")]
    hour = listed("hour", ["a", "b"], 3600)
    day = listed("day", ["a", "b", "hour"], 86_400)
    assert names(no_longer_than([*minutes, hour, day], 3600)) == "a b hour"
    assert names(no_longer_than([*minutes, hour, day], 600)) == "a b"
    assert names(no_longer_than([hour, day], 3600)) == "hour"
    assert names(no_longer_than([hour, day], 600)) == "hour"
    assert names(no_longer_than([day], 600)) == "day"
    assert names(no_longer_than([listed("a"), hour], 600)) == "a hour"


# -- windows ------------------------------------------------------------------------------------------------------
def test_a_window_is_merged_over_hosts_and_time_apart_by_version_and_segment(store: SqliteStore) -> None:
    eu, us = (("region", "eu"),), (("region", "us"),)
    store.create(
        [
            part("1", NOON, [1, 2], segment=eu),
            part("2", NOON + MINUTE, [3], segment=eu, host="web2"),
            part("3", NOON, [4], segment=us),
            part("4", NOON + 2 * MINUTE, [5], version="2"),
            part("elsewhere", NOON, [6], model="fraud"),
            part("later", NOON + HOUR, [7]),
        ]
    )
    window = load_window(store, "delay", Span(NOON, NOON + HOUR))
    assert {key: values(profile) for key, profile in window.profiles.items()} == {
        ("1", eu): [1, 2, 3],
        ("1", us): [4],
        ("2", ()): [5],
    }
    assert window.hosts == {"web1", "web2"}
    assert window.last_row == NOON + 3 * MINUTE
    assert load_window(store, "delay", Span(NOON, NOON + HOUR), version="2").versions() == ["2"]


def test_the_last_row_of_a_roll_up_is_that_of_its_last_minute(store: SqliteStore) -> None:
    store.create([part("a", NOON, [1]), part("b", NOON + 3 * MINUTE, [2])])
    for now in (NOON + 8 * HOUR, DAY.end + 40 * ONE_DAY):
        roll_up(store, "delay", now)
        window = load_window(store, "delay", DAY)
        assert len(store.parts(DAY, model="delay")) == 1
        assert window.last_row == NOON + 4 * MINUTE


def test_a_window_without_traffic_is_empty(store: SqliteStore) -> None:
    window = load_window(store, "delay", DAY)
    assert (dict(window.profiles), window.hosts, window.last_row) == ({}, frozenset(), None)


def test_covered_parts_count_once(store: SqliteStore) -> None:
    store.create([part("a", NOON, [1]), part("b", NOON + MINUTE, [2]), part("late", NOON + 2 * MINUTE, [3])])
    store.create([part("hour", NOON, [1, 2], seconds=3600, covers=["a", "b"])])
    assert values(load_window(store, "delay", DAY).profile()) == [1, 2, 3]
    store.delete_parts(["a", "b"])
    store.create([part("a", NOON, [1])])  # delivered again, since its acknowledgement was lost
    assert values(load_window(store, "delay", DAY).profile()) == [1, 2, 3]


def test_an_unreadable_profile_is_left_out_and_named_once(
    store: SqliteStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "_reported", type(windows._reported)(maxlen=10))
    store.create([part("good", NOON, [1]), unreadable(part("newer", NOON)), unreadable(part("torn", NOON), b"MWP\x01")])
    for _ in range(2):
        assert values(load_window(store, "delay", DAY).profile()) == [1]
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert "profile newer of model delay, version 1, host web1" in messages[0]
    assert "format 255 is newer than this reader's" in messages[0]
    assert "profile torn" in messages[1]


def test_of_an_unreadable_roll_up_the_parts_that_are_left_are_read(store: SqliteStore) -> None:
    store.create([part("a", NOON, [1]), part("b", NOON + MINUTE, [2])])
    store.create([unreadable(part("hour", NOON, seconds=3600, covers=["a", "b"]))])
    assert values(load_window(store, "delay", DAY).profile()) == [1, 2]


def test_however_many_roll_ups_of_roll_ups_are_unreadable_what_is_left_is_read(store: SqliteStore) -> None:
    store.create([part("0", NOON, [1])])
    store.create([unreadable(part(str(level), NOON, covers=[str(level - 1)])) for level in range(1, 10)])
    assert values(load_window(store, "delay", DAY).profile()) == [1]


def test_parts_deleted_between_listing_and_reading_are_looked_for_again(store: SqliteStore) -> None:
    store.create([part("a", NOON, [1]), part("b", NOON + MINUTE, [2])])
    listing = store.parts

    def rolled_up_meanwhile(span: Span, *, model: str, version: str | None = None) -> list[Part]:
        found = listing(span, model=model, version=version)
        if len(found) == 2:
            store.create([part("hour", NOON, [1, 2], seconds=3600, covers=["a", "b"])])
            store.delete_parts(["a", "b"])
        return found

    store.parts = rolled_up_meanwhile  # type: ignore[method-assign]
    assert values(load_window(store, "delay", DAY).profile()) == [1, 2]


def test_parts_that_keep_going_are_an_error_and_not_a_smaller_window(store: SqliteStore) -> None:
    store.create([part("a", NOON, [1])])
    store.payloads = lambda ids: iter(())  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailableError, match="went while they were being read"):
        load_window(store, "delay", DAY)


# -- series -------------------------------------------------------------------------------------------------------
def test_a_series_is_step_by_step_and_leaves_out_the_empty_ones(store: SqliteStore) -> None:
    store.create(
        [part("a", NOON, [1]), part("b", NOON + 59 * MINUTE, [2], version="2"), part("c", NOON + 3 * HOUR, [3])]
    )
    series = load_series(store, "delay", DAY, HOUR)
    assert [(span, values(profile)) for span, profile in series] == [
        (Span(NOON, NOON + HOUR), [1, 2]),
        (Span(NOON + 3 * HOUR, NOON + 4 * HOUR), [3]),
    ]
    assert [values(profile) for _, profile in load_series(store, "delay", DAY, HOUR, version="2")] == [[2]]


def test_a_series_is_as_fine_as_what_is_still_kept(store: SqliteStore) -> None:
    store.create([part("a", NOON, [1]), part("b", NOON + 30 * MINUTE, [2])])
    store.create([part("hour", NOON, [1, 2], seconds=3600, covers=["a", "b"])])
    fine = load_series(store, "delay", DAY, 10 * MINUTE)
    assert [(span.start, values(profile)) for span, profile in fine] == [(NOON, [1]), (NOON + 30 * MINUTE, [2])]
    store.delete_parts(["a", "b"])
    (only,) = load_series(store, "delay", DAY, 10 * MINUTE)
    assert (only[0], values(only[1])) == (Span(NOON, NOON + HOUR), [1, 2])


def test_a_series_by_segment_has_each_segments_own_traffic(store: SqliteStore) -> None:
    eu = (("region", "eu"),)
    store.create([part("a", NOON, [1], segment=eu), part("b", NOON, [2]), part("c", NOON + MINUTE, [3], segment=eu)])
    store.create([part("d", NOON + HOUR, [4])])
    series = load_segment_series(store, "delay", DAY, HOUR)
    assert [(span, {key: values(one) for key, one in found.items()}) for span, found in series] == [
        (Span(NOON, NOON + HOUR), {eu: [1, 3], (): [2]}),
        (Span(NOON + HOUR, NOON + 2 * HOUR), {(): [4]}),
    ]


# -- references ---------------------------------------------------------------------------------------------------
def _fill_days(store: SqliteStore, days: int) -> None:
    eu, us = (("region", "eu"),), (("region", "us"),)
    documents = []
    for day in range(days):
        at = DAY.start + day * ONE_DAY
        documents.append(part(f"eu-{day}", at, [float(day)] * 3, segment=eu, seconds=86_400))
        documents.append(part(f"us-{day}", at, [float(day)], segment=us, seconds=86_400))
        documents.append(part(f"v2-{day}", at, [100.0], version="2", seconds=86_400))
    store.create(documents)


def test_a_rolling_reference_is_the_versions_own_past_before_the_gap(store: SqliteStore) -> None:
    _fill_days(store, 40)
    rolling = ReferenceRolling(kind="rolling", window=timedelta(days=28), gap=timedelta(days=2))
    spec = ModelSpec(model="delay", reference=rolling)
    window = Span(DAY.start + 35 * ONE_DAY, DAY.start + 36 * ONE_DAY)
    reference = load_reference(store, spec, window, "1")
    assert reference is not None
    assert "version 1 from 2026-03-06 00:00 to 2026-04-03 00:00 UTC" in reference.source
    assert reference.total.rows == 28 * 4
    assert [span.start for span, _ in reference.windows] == [DAY.start + day * ONE_DAY for day in range(5, 33)]
    assert [profile.rows for _, profile in reference.windows] == [4] * 28
    assert reference.where({"region": "eu"}).rows == 28 * 3
    np.testing.assert_allclose(np.unique(values(reference.total)), np.arange(5, 33))


def test_a_span_reference_is_of_the_version_that_is_named_or_of_all(store: SqliteStore) -> None:
    _fill_days(store, 20)
    end = DAY.start + 20 * ONE_DAY
    window = Span(DAY.start + 30 * ONE_DAY, DAY.start + 31 * ONE_DAY)
    of_all = ModelSpec(model="delay", reference=ReferenceSpan(kind="span", start=DAY.start, end=end))
    of_two = ModelSpec(model="delay", reference=ReferenceSpan(kind="span", start=DAY.start, end=end, version="2"))
    first, second = load_reference(store, of_all, window, "9"), load_reference(store, of_two, window, "9")
    assert first is not None
    assert second is not None
    assert (first.total.rows, second.total.rows) == (100, 20)


def test_a_short_reference_is_kept_in_hours_or_minutes(store: SqliteStore) -> None:
    store.create([part(f"{n}", NOON + n * MINUTE, [float(n)]) for n in range(120)])
    window = Span(NOON + 2 * HOUR, NOON + 3 * HOUR)

    def windows_of(length: timedelta) -> int:
        spec = ModelSpec(model="delay", reference=ReferenceRolling(kind="rolling", window=length))
        reference = load_reference(store, spec, window, "1")
        assert reference is not None
        return len(reference.windows)

    assert windows_of(2 * HOUR) == 120
    assert windows_of(ONE_DAY) == 2
    assert windows_of(28 * ONE_DAY) == 1


def test_a_file_is_a_reference_with_its_windows_and_segments(store: SqliteStore, tmp_path: Path) -> None:
    eu = (("region", "eu"),)
    path = tmp_path / "delay.profile"
    sent = [
        part("1", DAY.start, [1.0, 2.0], seconds=86_400),
        part("2", DAY.start, [3.0], segment=eu, seconds=86_400),
        part("3", DAY.end, [4.0], seconds=86_400),
    ]
    write_reference(path, [dict(document.source) for document in sent])
    spec = ModelSpec(model="delay", reference=ReferenceFile(kind="file", path=path))
    reference = load_reference(store, spec, DAY, "1")
    assert reference is not None
    assert (reference.source, reference.total.rows) == ("file delay.profile", 4)
    assert [(span, profile.rows) for span, profile in reference.windows] == [
        (DAY, 3),
        (Span(DAY.end, DAY.end + ONE_DAY), 1),
    ]
    assert reference.where({"region": "eu"}).rows == 1


def test_without_any_traffic_there_is_no_reference(store: SqliteStore) -> None:
    store.create([part("now", NOON)])
    assert load_reference(store, ModelSpec.unconfigured("delay"), Span(NOON, NOON + HOUR), "1") is None
