"""What holds for every store: the same tests on the embedded one and on a real Elasticsearch."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from collector.tests.store_documents import DAY, NOON, actual, heartbeat, log, part, prediction, result
from modelward_agent.profile import from_bytes
from modelward_collector.checks.result import CheckKind, CheckResult, Status
from modelward_collector.span import Span
from modelward_collector.store.protocol import Alias, Document, Health, Outcome, Store, Strangers
from modelward_collector.store.sqlite import SqliteStore

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)

ODD = 'ünï "quoted" \\ 漢字 🛫 a~b/c?d#e'
"""A name with what must be escaped somewhere."""


@pytest.fixture(
    params=["sqlite", pytest.param("elasticsearch", marks=pytest.mark.server("elasticsearch"))],
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened: Store
    if request.param == "sqlite":
        opened = SqliteStore(tmp_path / "modelward.db")
    else:
        from collector.tests.elastic import emptied

        opened = emptied(request.getfixturevalue("elasticsearch"))
    opened.setup()
    yield opened
    opened.close()


def outcomes(store: Store, *documents: Document) -> list[Outcome]:
    return [created.outcome for created in store.create(documents)]


# -- life -------------------------------------------------------------------------------------------------------
def test_setting_up_twice_changes_nothing(store: Store) -> None:
    store.create([log("1")])
    store.setup()
    assert len(store.events(Alias.LOGS, DAY).items) == 1
    assert outcomes(store, log("1")) == [Outcome.CONFLICT]


def test_a_store_that_works_answers_a_ping(store: Store) -> None:
    store.ping()
    assert store.health() in (Health.GREEN, Health.YELLOW)


def test_closing_twice_is_closing_once(store: Store) -> None:
    store.close()
    store.close()


def test_an_empty_store_answers_with_nothing(store: Store) -> None:
    assert store.parts(DAY, model="delay") == []
    assert list(store.payloads(["none"])) == []
    assert store.seen_models() == []
    assert store.watermark() is None
    assert store.latest_results() == []
    assert store.heartbeats() == []
    assert store.result("none") is None
    assert store.results(DAY).items == []
    assert store.duplicate_ids(DAY, model="delay") == 0
    labelled = store.labelled(DAY, model="delay")
    assert (labelled.total, labelled.total_labelled, labelled.version) == (0, 0, [])
    assert labelled.timestamp.shape == labelled.labelled.shape == labelled.actual_value.shape == (0,)
    page = store.events(Alias.EVENTS, DAY)
    assert (list(page.items), page.after) == ([], None)


# -- documents --------------------------------------------------------------------------------------------------
def test_a_document_is_created_once(store: Store) -> None:
    assert outcomes(store, log("1", message="first")) == [Outcome.CREATED]
    assert outcomes(store, log("1", message="second"), log("2")) == [Outcome.CONFLICT, Outcome.CREATED]
    messages = {item["_id"]: item["message"] for item in store.events(Alias.LOGS, DAY).items}
    assert messages == {"1": "first", "2": "hello"}


def test_an_id_given_twice_in_one_call_is_created_once(store: Store) -> None:
    assert outcomes(store, log("1"), log("1")) == [Outcome.CREATED, Outcome.CONFLICT]


def test_the_same_id_in_two_aliases_is_two_documents(store: Store) -> None:
    one = log("1")
    assert outcomes(store, one, replace(one, alias=Alias.AUDIT)) == [Outcome.CREATED, Outcome.CREATED]


def test_creating_nothing_answers_nothing(store: Store) -> None:
    assert store.create([]) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"@timestamp": "yesterday"}, "@timestamp"),
        ({"@timestamp": None}, "@timestamp"),
        ({"@timestamp": 5}, "@timestamp"),
        ({"@timestamp": "0001-01-01T00:00:00Z"}, "@timestamp"),
        ({"host": "web1"}, "host"),
        ({"model": {"name": "delay"}}, "model"),
        ({"features": [1, 2]}, "features"),
        ({"prediction": 4}, "prediction"),
    ],
)
def test_a_document_that_can_never_be_stored_is_rejected_by_name_and_keeps_out_no_other(
    store: Store,
    changes: dict[str, object],
    named: str,
) -> None:
    bad = prediction("bad")
    bad = replace(bad, source={**bad.source, **changes})
    first, second, third = store.create([prediction("1"), bad, prediction("3")])
    assert (first.outcome, second.outcome, third.outcome) == (Outcome.CREATED, Outcome.REJECTED, Outcome.CREATED)
    assert named in second.reason


@pytest.mark.parametrize("document_id", ["", "x" * 513, "\ud800"])
def test_an_id_that_no_store_can_hold_is_rejected(store: Store, document_id: str) -> None:
    created = store.create([replace(log("1"), id=document_id)])[0]
    assert created.outcome is Outcome.REJECTED
    assert "id" in created.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"window": {"seconds": 0}},
        {"window": {}},
        {"rows": -1},
        {"rows": 2.5},
        {"host": {}},
        {"version": None},
        {"covers": "1"},
        {"until": "soon"},
        {"profile": "no base64!"},
        {"profile": None},
    ],
)
def test_a_profile_that_could_not_be_found_again_is_rejected(store: Store, changes: dict[str, object]) -> None:
    bad = part("1")
    created = store.create([replace(bad, source={**bad.source, **changes})])[0]
    assert created.outcome is Outcome.REJECTED
    assert created.reason


def test_what_json_has_no_number_for_is_kept(store: Store) -> None:
    odd = prediction("odd", value="NaN")
    odd = replace(odd, source={**odd.source, "latency_ms": "Infinity"})
    assert outcomes(store, odd) == [Outcome.CREATED]
    (kept,) = store.events(Alias.EVENTS, DAY).items
    assert kept["prediction"] == {"value": "NaN"}


def test_ten_thousand_documents_are_all_there(store: Store) -> None:
    documents = [prediction(f"{number:05d}", NOON + number * timedelta(milliseconds=1)) for number in range(10_000)]
    assert set(outcomes(store, *documents)) == {Outcome.CREATED}
    assert store.labelled(DAY, model="delay").total == 10_000
    seen: list[str] = []
    after = None
    while True:
        page = store.events(Alias.EVENTS, DAY, limit=3_000, after=after)
        seen += [item["id"] for item in page.items]
        after = page.after
        if after is None:
            break
    assert seen == [f"{number:05d}" for number in reversed(range(10_000))]


def test_several_threads_create_and_each_document_is_created_by_one(store: Store) -> None:
    answers: list[list[Outcome]] = []

    def deliver() -> None:
        answers.extend(
            outcomes(store, *(log(str(number)) for number in range(start, start + 20))) for start in range(0, 60, 20)
        )

    threads = [threading.Thread(target=deliver) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    flat = [outcome for answer in answers for outcome in answer]
    assert flat.count(Outcome.CREATED) == 60
    assert flat.count(Outcome.CONFLICT) == 180


# -- events -----------------------------------------------------------------------------------------------------
def test_events_are_listed_newest_first_with_all_that_was_sent(store: Store) -> None:
    sent = [prediction("early", NOON - HOUR), prediction("late", NOON), prediction("between", NOON - MINUTE)]
    store.create(sent)
    items = store.events(Alias.EVENTS, DAY).items
    assert [item["id"] for item in items] == ["late", "between", "early"]
    assert items[0] == {"_id": sent[1].id, **sent[1].source}


def test_events_of_one_microsecond_after_another_keep_their_order(store: Store) -> None:
    store.create([log(str(n), NOON + n * timedelta(microseconds=1)) for n in (2, 0, 1)])
    assert [item["_id"] for item in store.events(Alias.LOGS, DAY).items] == ["2", "1", "0"]


def test_a_span_of_events_has_its_start_and_not_its_end(store: Store) -> None:
    store.create([log("before", NOON - SECOND), log("start", NOON), log("end", NOON + HOUR)])
    assert [item["_id"] for item in store.events(Alias.LOGS, Span(NOON, NOON + HOUR)).items] == ["start"]


def test_events_are_found_by_model_kind_and_words(store: Store) -> None:
    store.create(
        [
            log("1", message="Connection to db7 lost", model="delay", kind="error"),
            log("2", message="connection opened", model="delay"),
            log("3", message="Verbindung verloren: Größe ÄNDERN", model="fraud"),
            log("4", message="lost property", model="fraud"),
        ]
    )

    def found(**wanted: str) -> set[str]:
        return {item["_id"] for item in store.events(Alias.LOGS, DAY, **wanted).items}  # type: ignore[arg-type]

    assert found(model="delay") == {"1", "2"}
    assert found(kind="error") == {"1"}
    assert found(text="connection") == {"1", "2"}
    assert found(text="CONNECTION lost") == {"1"}
    assert found(text="ändern größe") == {"3"}
    assert found(text="lost", model="fraud") == {"4"}
    assert found(text="absent") == set()


def test_pages_of_events_with_one_timestamp_repeat_and_leave_out_none(store: Store) -> None:
    store.create([log(str(number), NOON) for number in range(25)])
    seen: list[str] = []
    after = None
    sizes = []
    while True:
        page = store.events(Alias.LOGS, DAY, limit=10, after=after)
        seen += [item["_id"] for item in page.items]
        sizes.append(len(page.items))
        after = page.after
        if after is None:
            break
    assert sizes == [10, 10, 5]
    assert sorted(seen, key=int) == [str(number) for number in range(25)]


def test_a_page_is_not_shifted_by_what_comes_meanwhile(store: Store) -> None:
    store.create([log(str(number), NOON + number * SECOND) for number in range(4)])
    first = store.events(Alias.LOGS, DAY, limit=2)
    store.create([log("new", NOON + HOUR)])
    second = store.events(Alias.LOGS, DAY, limit=2, after=first.after)
    assert [item["_id"] for item in [*first.items, *second.items]] == ["3", "2", "1", "0"]
    assert second.after is None


def _cursor(*position: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "nonsense",
        "W10",
        "é",
        "eyJhIjogMX0",
        _cursor(2**64 - 1, 1),
        _cursor(1.5, 1),
        _cursor(None, None),
        _cursor(True, 1),
    ],
)
def test_a_text_that_is_no_cursor_is_refused_by_name(store: Store, cursor: str) -> None:
    with pytest.raises(ValueError, match="is no cursor"):
        store.events(Alias.LOGS, DAY, after=cursor)
    with pytest.raises(ValueError, match="is no cursor"):
        store.results(DAY, after=cursor)


def test_odd_names_come_back_as_they_were(store: Store) -> None:
    store.create(
        [
            prediction(ODD, model=ODD, version=ODD, segment={ODD: ODD}, label=ODD, document_id="odd"),
            part(ODD, host=ODD, model=ODD, version=ODD, segment=((ODD, ODD),)),
            log("message", message=ODD),
        ]
    )
    store.save_result(result(model=ODD, version=ODD))
    assert store.events(Alias.EVENTS, DAY, model=ODD).items[0]["segment"] == {ODD: ODD}
    (kept,) = store.parts(DAY, model=ODD, version=ODD)
    assert (kept.id, kept.host, kept.segment) == (ODD, ODD, {ODD: ODD})
    assert [its_id for its_id, _ in store.payloads([ODD])] == [ODD]
    assert store.labelled(DAY, model=ODD).predicted_label == [ODD]
    assert [seen.model for seen in store.seen_models()] == [ODD]
    assert store.result(result(model=ODD, version=ODD).id) == result(model=ODD, version=ODD)


# -- profiles ---------------------------------------------------------------------------------------------------
def test_parts_are_listed_by_start_and_id_with_what_they_cover(store: Store) -> None:
    store.create(
        [
            part("m2", NOON + MINUTE, [1.0] * 5, host="web2", version="2", segment=(("region", "eu"), ("tier", "a"))),
            part("m1", NOON),
            part("m0", NOON),
            part("hour", NOON, seconds=3600, covers=["m0", "m1", "gone"], until=NOON + 5 * MINUTE),
            part("other", NOON, model="fraud"),
        ]
    )
    listed = store.parts(DAY, model="delay")
    assert [one.id for one in listed] == ["hour", "m0", "m1", "m2"]
    assert set(listed[0].covers) == {"m0", "m1", "gone"}
    assert (listed[0].until, listed[0].end) == (NOON + 5 * MINUTE, NOON + 5 * MINUTE)
    assert (listed[1].until, listed[1].end) == (None, NOON + MINUTE)
    last = listed[-1]
    assert (last.host, last.model, last.version, last.start) == ("web2", "delay", "2", NOON + MINUTE)
    assert (last.segment, last.seconds, last.rows, last.covers) == ({"region": "eu", "tier": "a"}, 60, 5, ())
    assert last.start.tzinfo is not None
    assert [one.id for one in store.parts(DAY, model="delay", version="2")] == ["m2"]


def test_a_part_is_in_a_span_when_all_of_its_window_is(store: Store) -> None:
    store.create([part("before", NOON - MINUTE), part("first", NOON), part("last", NOON + 9 * MINUTE)])
    store.create([part("across", NOON + 5 * MINUTE, seconds=600)])
    assert [one.id for one in store.parts(Span(NOON, NOON + 10 * MINUTE), model="delay")] == ["first", "last"]


def test_payloads_are_the_profiles_that_were_sent(store: Store) -> None:
    store.create([part("a", values=[1, 2, 3]), part("b", values=[7.5])])
    rows = {its_id: from_bytes(content).rows for its_id, content in store.payloads(["b", "absent", "a"])}
    assert rows == {"a": 3, "b": 1}


def test_a_profile_of_a_newer_format_is_kept_for_the_collector_that_can_read_it(store: Store) -> None:
    newer = part("newer")
    content = b"MWP\xff of tomorrow"
    newer = replace(newer, source={**newer.source, "format": 255, "profile": base64.b64encode(content).decode()})
    assert outcomes(store, newer) == [Outcome.CREATED]
    assert list(store.payloads(["newer"])) == [("newer", content)]


def test_many_parts_are_listed_read_and_deleted(store: Store) -> None:
    ids = [f"{number:04d}" for number in range(1_200)]
    made = part("x", values=[1.0])
    start = DAY.start
    store.create(
        [
            replace(
                made,
                id=its_id,
                source={**made.source, "@timestamp": (start + number * MINUTE).isoformat().replace("+00:00", "Z")},
            )
            for number, its_id in enumerate(ids)
        ]
    )
    assert [one.id for one in store.parts(DAY, model="delay")] == ids
    assert sorted(its_id for its_id, _ in store.payloads(ids)) == ids
    store.delete_parts(ids[:1_100])
    assert [one.id for one in store.parts(DAY, model="delay")] == ids[1_100:]
    assert list(store.payloads(ids[:5])) == []


def test_models_are_seen_with_their_first_and_last_window_and_rows(store: Store) -> None:
    store.create(
        [
            part("1", NOON, [1.0] * 10),
            part("2", NOON + HOUR, [1.0] * 5),
            part("3", NOON, [1.0] * 3, version="2", host="web2"),
            part("4", NOON - HOUR, [1.0], model="alpha"),
        ]
    )
    seen = store.seen_models()
    assert [(one.model, one.version, one.rows) for one in seen] == [
        ("alpha", "1", 1),
        ("delay", "1", 15),
        ("delay", "2", 3),
    ]
    assert (seen[1].first_seen, seen[1].last_seen) == (NOON, NOON + HOUR + MINUTE)
    assert store.watermark() == NOON + HOUR


def test_versions_of_labels_alone_are_none_and_no_sign_of_life(store: Store) -> None:
    store.create([part("1", NOON, [1.0] * 10), part("2", NOON + HOUR, [], version="")])
    store.create([part("3", NOON + 2 * HOUR, []), part("4", NOON - 24 * HOUR, [])])
    [seen] = store.seen_models()
    assert (seen.version, seen.rows) == ("1", 10)
    assert (seen.first_seen, seen.last_seen) == (NOON, NOON + MINUTE)


def test_labels_that_come_before_any_prediction_name_a_model(store: Store) -> None:
    store.create([part("1", NOON, [], version="")])
    assert [(one.model, one.version, one.rows) for one in store.seen_models()] == [("delay", "", 0)]
    store.create([part("2", NOON - HOUR, [1.0])])
    [seen] = store.seen_models()
    assert (seen.version, seen.first_seen, seen.last_seen) == ("1", NOON - HOUR, NOON - HOUR + MINUTE)


def test_rolling_up_changes_nothing_of_what_was_seen(store: Store) -> None:
    store.create([part("1", NOON, [1.0] * 10), part("2", NOON + MINUTE, [1.0] * 5)])
    before = (store.seen_models(), store.watermark())
    until = NOON + 2 * MINUTE
    store.create([part("hour", NOON, [1.0] * 15, seconds=3600, covers=["1", "2"], until=until)])
    assert store.seen_models() == before[0]
    store.delete_parts(["1", "2"])
    assert store.seen_models() == before[0]
    store.create([part("day", DAY.start, [1.0] * 15, seconds=86_400, covers=["1", "2", "hour"], until=until)])
    store.delete_parts(["hour"])
    (after,) = store.seen_models()
    assert (after.rows, after.last_seen) == (15, until)


# -- labels -----------------------------------------------------------------------------------------------------
def test_predictions_are_joined_with_actuals_however_late(store: Store) -> None:
    store.create(
        [
            prediction("1", NOON, 1.5, version="1", segment={"region": "eu"}),
            prediction("2", NOON + SECOND, 2.5, version="2"),
            prediction("3", NOON + 2 * SECOND, 3.5),
            prediction("before", DAY.start - SECOND, 9.0),
            prediction("after", DAY.end, 9.0),
            prediction("elsewhere", NOON, 9.0, model="fraud"),
        ]
    )
    store.create([actual("2", NOON + timedelta(days=40), 20.0), actual("before"), actual("unknown")])
    found = store.labelled(DAY, model="delay")
    assert (found.total, found.total_labelled) == (3, 1)
    np.testing.assert_allclose(found.timestamp, [NOON.timestamp() + number for number in range(3)])
    assert found.version == ["1", "2", "1"]
    assert found.segment == [{"region": "eu"}, {}, {}]
    np.testing.assert_array_equal(found.predicted_value, [1.5, 2.5, 3.5])
    assert found.predicted_label == ["", "", ""]
    assert found.probabilities == [None, None, None]
    np.testing.assert_array_equal(found.labelled, [False, True, False])
    np.testing.assert_array_equal(found.actual_value, [np.nan, 20.0, np.nan])
    assert found.actual_label == ["", "", ""]


def test_labels_and_probabilities_are_joined_too(store: Store) -> None:
    chances = {"late": 0.75, "on time": 0.25}
    store.create(
        [
            prediction("1", label="late", probabilities=chances),
            actual("1", label="on time"),
            prediction("2", NOON + SECOND, None, label="late"),
        ]
    )
    found = store.labelled(DAY, model="delay")
    assert found.predicted_label == ["late", "late"]
    assert found.probabilities == [chances, None]
    assert found.actual_label == ["on time", ""]
    assert np.isnan(found.predicted_value).all()
    assert found.labelled.tolist() == [True, False]


def test_sampled_predictions_come_with_what_was_asked(store: Store) -> None:
    asked = [replace(prediction(name, NOON + number * SECOND), id=name) for number, name in enumerate("123")]
    asked = [
        replace(one, source={**one.source, "features": {"distance": float(number)}}) for number, one in enumerate(asked)
    ]
    bare = prediction("4", NOON + 3 * SECOND)
    bare = replace(bare, source={name: value for name, value in bare.source.items() if name != "features"})
    store.create([*asked, bare, prediction("5", version="2"), actual("2", value=20.0)])
    found = store.sampled(DAY, model="delay", version="1")
    assert found.features == [{"distance": 0.0}, {"distance": 1.0}, {"distance": 2.0}, {}]
    np.testing.assert_array_equal(found.labelled.actual_value, [np.nan, 20.0, np.nan, np.nan])
    assert (found.labelled.total, found.labelled.total_labelled) == (4, 1)
    assert len(store.sampled(DAY, model="delay").features) == 5
    assert store.sampled(DAY, model="fraud").features == []


def test_more_predictions_than_asked_for_are_sampled_the_same_way_each_time(store: Store) -> None:
    asked = [prediction(f"{number:04d}", NOON + number * SECOND) for number in range(1_000)]
    asked = [replace(one, source={**one.source, "features": {"n": number}}) for number, one in enumerate(asked)]
    store.create(asked)
    first, again = (store.sampled(DAY, model="delay", limit=300) for _ in range(2))
    assert 200 <= len(first.features) <= 300
    assert first.labelled.total == 1_000
    assert first.features == again.features
    moments = [NOON.timestamp() + int(features["n"]) for features in first.features]
    np.testing.assert_allclose(first.labelled.timestamp, moments)


def test_the_last_actual_wins_in_whatever_order_they_come(store: Store) -> None:
    store.create([prediction("1"), actual("1", NOON + 2 * HOUR, 30.0)])
    store.create([actual("1", NOON + HOUR, 10.0)])
    found = store.labelled(DAY, model="delay")
    assert (found.actual_value.tolist(), found.total_labelled) == ([30.0], 1)
    store.create([actual("1", NOON + 3 * HOUR, 40.0)])
    assert store.labelled(DAY, model="delay").actual_value.tolist() == [40.0]


def test_a_repeated_prediction_counts_once_and_is_counted_as_a_duplicate(store: Store) -> None:
    store.create([prediction("1", NOON, 1.0), prediction("2", NOON, 5.0)])
    store.create([prediction("1", NOON + MINUTE, 1.0), prediction("1", NOON + 2 * MINUTE, 1.0), actual("1")])
    found = store.labelled(DAY, model="delay")
    assert (found.total, found.total_labelled, len(found.version)) == (2, 1, 2)
    assert sorted(found.predicted_value.tolist()) == [1.0, 5.0]
    assert store.duplicate_ids(DAY, model="delay") == 2
    assert store.duplicate_ids(DAY, model="fraud") == 0
    assert store.duplicate_ids(Span(DAY.end, DAY.end + HOUR), model="delay") == 0


def test_labels_that_find_no_prediction_are_counted_among_the_newest(store: Store) -> None:
    assert store.strangers(DAY, model="delay") == Strangers(0, 0)
    store.create([prediction("1", NOON - 30 * 24 * HOUR), prediction("2"), prediction("3", model="fraud")])
    store.create([actual("1"), actual("2", NOON + HOUR), actual("2", NOON + 2 * HOUR)])
    assert store.strangers(DAY, model="delay") == Strangers(2, 0)
    store.create([actual("3", NOON + 3 * HOUR)])  # of another model's prediction
    assert store.strangers(DAY, model="delay") == Strangers(3, 1, "3", "2")
    assert store.strangers(DAY, model="delay", limit=1) == Strangers(1, 1, "3", "2")
    assert store.strangers(Span(DAY.end, DAY.end + HOUR), model="delay") == Strangers(0, 0)
    assert store.strangers(DAY, model="fraud") == Strangers(0, 0)


def test_a_redelivered_event_is_no_duplicate(store: Store) -> None:
    store.create([prediction("1")])
    store.create([prediction("1")])
    assert store.duplicate_ids(DAY, model="delay") == 0


def test_infinite_and_missing_numbers_are_told_apart_from_labels(store: Store) -> None:
    store.create(
        [
            prediction("1", NOON, "NaN"),
            prediction("2", NOON + SECOND, "-Infinity"),
            prediction("3", NOON + 2 * SECOND, None),
            prediction("4", NOON + 3 * SECOND, label="Infinity"),
            actual("1", value="Infinity"),
        ]
    )
    found = store.labelled(DAY, model="delay")
    np.testing.assert_array_equal(found.predicted_value, [np.nan, -np.inf, np.nan, np.inf])
    np.testing.assert_array_equal(found.actual_value, [np.inf, np.nan, np.nan, np.nan])
    assert found.predicted_label == [""] * 4
    assert found.labelled.tolist() == [True, False, False, False]


def test_beyond_the_limit_a_sample_by_id_stands_for_all(store: Store) -> None:
    count, limit = 4_000, 1_000
    # Ids grow with time, as real ones do: a sample must not be the first or the last of them.
    moments = [DAY.start + number * timedelta(seconds=20) for number in range(count)]
    store.create([prediction(f"{number:06d}", moments[number], float(number)) for number in range(count)])
    store.create([actual(f"{number:06d}", moments[number], float(number)) for number in range(0, count, 2)])
    found = store.labelled(DAY, model="delay", limit=limit)
    assert found.total == count
    assert abs(found.total_labelled / count - 0.5) < 0.065
    assert 0.85 * limit <= len(found.version) <= limit
    # Means of 1,000 of uniform values: four standard errors are 3.7% of the range.
    assert abs(found.predicted_value.mean() / count - 0.5) < 0.04
    assert abs(found.labelled.mean() - 0.5) < 0.065
    np.testing.assert_array_equal(found.actual_value[found.labelled], found.predicted_value[found.labelled])
    again = store.labelled(DAY, model="delay", limit=limit)
    np.testing.assert_array_equal(found.predicted_value, again.predicted_value)


# -- results ----------------------------------------------------------------------------------------------------
def test_a_result_comes_back_equal(store: Store) -> None:
    saved = result()
    store.save_result(saved)
    assert store.result(saved.id) == saved
    assert list(store.results(DAY).items) == [saved]


def test_a_result_saved_again_replaces_the_first(store: Store) -> None:
    store.save_result(result(summary="first"))
    store.save_result(result(summary="second", status=Status.CRITICAL))
    assert [one.summary for one in store.results(DAY).items] == ["second"]
    assert [one.summary for one in store.latest_results()] == ["second"]


def test_results_end_in_the_span_its_end_included(store: Store) -> None:
    for end in (NOON - SECOND, NOON, NOON + HOUR, NOON + HOUR + SECOND):
        store.save_result(result(end))
    found = store.results(Span(NOON, NOON + HOUR)).items
    assert [one.end for one in found] == [NOON + HOUR, NOON]


def test_results_are_found_by_model_version_check_and_status(store: Store) -> None:
    saved = [
        result(NOON, model="delay"),
        result(NOON + MINUTE, model="delay", version="2", status=Status.CRITICAL),
        result(NOON + 2 * MINUTE, model="fraud", check=CheckKind.QUALITY),
        result(NOON + 3 * MINUTE, model="fraud", version="", check=CheckKind.HEALTH, status=Status.NO_DATA),
    ]
    for one in saved:
        store.save_result(one)
    assert list(store.results(DAY).items) == saved[::-1]
    assert list(store.results(DAY, model="delay").items) == [saved[1], saved[0]]
    assert list(store.results(DAY, version="2").items) == [saved[1]]
    assert list(store.results(DAY, model="fraud", version="").items) == [saved[3]]
    assert list(store.results(DAY, check=CheckKind.QUALITY).items) == [saved[2]]
    assert list(store.results(DAY, status=Status.CRITICAL, model="delay").items) == [saved[1]]
    assert list(store.results(DAY, status=Status.CRITICAL, model="fraud").items) == []


def test_results_are_paged(store: Store) -> None:
    saved = [result(NOON, model=f"m{number}") for number in range(5)]
    for one in saved:
        store.save_result(one)
    seen: list[CheckResult] = []
    after = None
    while True:
        page = store.results(DAY, limit=2, after=after)
        assert len(page.items) <= 2
        seen += page.items
        after = page.after
        if after is None:
            break
    assert sorted(one.model for one in seen) == [one.model for one in saved]


def test_the_latest_of_each_check_is_the_newest_scheduled_one(store: Store) -> None:
    store.save_result(result(NOON + HOUR, summary="new"))
    store.save_result(result(NOON, summary="old"))
    store.save_result(result(NOON + 2 * HOUR, summary="by hand", on_demand=True))
    store.save_result(result(NOON, version="2", summary="other version"))
    store.save_result(result(NOON, version="", check=CheckKind.HEALTH, summary="health"))
    latest = store.latest_results()
    assert [(one.version, one.check, one.summary) for one in latest] == [
        ("", CheckKind.HEALTH, "health"),
        ("1", CheckKind.DRIFT, "new"),
        ("2", CheckKind.DRIFT, "other version"),
    ]


def test_runs_by_hand_are_kept_apart(store: Store) -> None:
    first = result(on_demand=True, ran_at=NOON + MINUTE)
    second = result(on_demand=True, ran_at=NOON + 2 * MINUTE)
    store.save_result(first)
    store.save_result(second)
    assert {one.ran_at for one in store.results(DAY).items} == {first.ran_at, second.ran_at}


# -- agents -----------------------------------------------------------------------------------------------------
def test_the_latest_heartbeat_of_every_host_is_known(store: Store) -> None:
    store.create(
        [heartbeat("web2", NOON, shipped=1), heartbeat("web1", NOON + MINUTE, lag_bytes=7, last_error="refused")]
    )
    store.create([heartbeat("web2", NOON + HOUR, shipped=2), heartbeat("web2", NOON + MINUTE, shipped=9)])
    store.create([log("noise", NOON + 2 * HOUR)])
    first, second = store.heartbeats()
    assert (first.host, first.at, first.version, first.lag_bytes, first.last_error) == (
        "web1",
        NOON + MINUTE,
        "0.1.0",
        7,
        "refused",
    )
    assert (second.host, second.at, second.shipped) == ("web2", NOON + HOUR, 2)


# -- the lease --------------------------------------------------------------------------------------------------
def test_one_of_two_holds_the_lease_until_it_runs_out(store: Store) -> None:
    ttl = timedelta(seconds=30)
    assert store.acquire_lease("schedule", "a", ttl, NOON)
    assert not store.acquire_lease("schedule", "b", ttl, NOON + 10 * SECOND)
    assert store.acquire_lease("schedule", "a", ttl, NOON + 20 * SECOND)
    assert not store.acquire_lease("schedule", "b", ttl, NOON + 49 * SECOND)
    assert store.acquire_lease("schedule", "b", ttl, NOON + 50 * SECOND)
    assert not store.acquire_lease("schedule", "a", ttl, NOON + 51 * SECOND)
    assert store.acquire_lease("maintenance", "a", ttl, NOON + 51 * SECOND)


def test_a_lease_given_up_is_free(store: Store) -> None:
    ttl = timedelta(seconds=30)
    assert store.acquire_lease("schedule", "a", ttl, NOON)
    store.release_lease("schedule", "b")
    assert not store.acquire_lease("schedule", "b", ttl, NOON)
    store.release_lease("schedule", "a")
    assert store.acquire_lease("schedule", "b", ttl, NOON)
    store.release_lease("unknown", "a")


def test_of_many_that_ask_at_once_one_gets_the_lease(store: Store) -> None:
    got: list[bool] = []
    ready = threading.Barrier(8)

    def ask(holder: str) -> None:
        ready.wait()
        got.append(store.acquire_lease("schedule", holder, timedelta(seconds=30), NOON))

    threads = [threading.Thread(target=ask, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 7 + [True]


# -- upkeep -----------------------------------------------------------------------------------------------------
def test_after_a_rollover_old_and_new_are_one(store: Store) -> None:
    now = datetime.now(UTC)
    store.create([log("1"), prediction("1"), part("1"), actual("1")])
    store.save_result(result(summary="first"))
    store.roll_over(max_documents=1, max_age=timedelta(days=1000), now=now)
    assert outcomes(store, log("1"), log("2"), part("1"), part("2", NOON + MINUTE)) == [
        Outcome.CONFLICT,
        Outcome.CREATED,
        Outcome.CONFLICT,
        Outcome.CREATED,
    ]
    store.create([prediction("2", NOON + SECOND), actual("1", NOON + HOUR, 7.0), actual("2", value=8.0)])
    store.save_result(result(summary="second"))
    assert sorted(item["_id"] for item in store.events(Alias.LOGS, DAY).items) == ["1", "2"]
    assert [one.id for one in store.parts(DAY, model="delay")] == ["1", "2"]
    assert sorted(its_id for its_id, _ in store.payloads(["1", "2"])) == ["1", "2"]
    assert store.labelled(DAY, model="delay").actual_value.tolist() == [7.0, 8.0]
    assert [one.summary for one in store.results(DAY).items] == ["second"]
    store.delete_parts(["1"])
    assert [one.id for one in store.parts(DAY, model="delay")] == ["2"]


def test_what_is_older_than_its_time_goes_and_the_rest_stays(store: Store) -> None:
    now = NOON + timedelta(days=100)
    keep = dict.fromkeys(Alias, timedelta(days=30))
    old, new = NOON, now - HOUR

    def deliver(at: datetime, name: str) -> None:
        store.create([log(name, at), prediction(name, at), actual(name, at), part(name, at), heartbeat(name, at)])
        store.save_result(result(at, summary=name, model=name))

    deliver(old, "old")
    store.roll_over(max_documents=1, max_age=timedelta(days=1000), now=datetime.now(UTC))
    deliver(new, "new")
    assert store.retain(keep, now) > 0
    everything = Span(NOON - HOUR, now)
    assert [item["_id"] for item in store.events(Alias.LOGS, everything, kind="log").items] == ["new"]
    assert [one.id for one in store.parts(everything, model="delay")] == ["new"]
    assert list(store.payloads(["old"])) == []
    assert store.labelled(everything, model="delay").total == 1
    assert [one.summary for one in store.results(everything).items] == ["new"]
    assert [one.summary for one in store.latest_results()] == ["new"]
    assert [one.host for one in store.heartbeats()] == ["new"]
    assert store.retain(keep, now) == 0


def test_retention_of_one_alias_leaves_the_others(store: Store) -> None:
    store.create([log("1"), part("1")])
    store.roll_over(max_documents=1, max_age=timedelta(days=1000), now=datetime.now(UTC))
    store.retain({Alias.LOGS: timedelta(days=1)}, NOON + timedelta(days=10))
    assert list(store.events(Alias.LOGS, DAY).items) == []
    assert len(store.parts(DAY, model="delay")) == 1
