"""Expectations that take rows: judged from a bounded sample that the store gives, which is the same every time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collector.tests.collecting import HOUR, MINUTE, a_collector, send_traffic
from collector.tests.store_documents import NOON, part
from modelward_agent.profile import FeatureProfile, Profile
from modelward_collector.app import Collector
from modelward_collector.checks.quality.expectations import judge_all
from modelward_collector.checks.quality.expectations_sample import EventSample, effective_rows
from modelward_collector.checks.quality.expectations_verdict import clustered
from modelward_collector.checks.result import CheckKind, Finding, Status
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span
from modelward_collector.stats.intervals import clopper_pearson
from modelward_collector.store.protocol import Alias, Document
from modelward_collector.store.sampling import STRETCHES, load_sample
from modelward_collector.store.shape import rfc3339

Row = Mapping[str, Any]


def event(number: int, at: datetime, features: Row, version: str = "1", **more: Any) -> dict[str, Any]:
    content = {
        "@timestamp": rfc3339(at),
        "kind": "prediction",
        "model": "delay",
        "version": version,
        "id": f"p{number}",
    }
    return {**content, "host": {"name": "web1"}, "features": features, "prediction": {"value": 1.0}, **more}


def sample_of(rows: Sequence[Row]) -> EventSample:
    documents = [event(number, NOON + timedelta(seconds=number), row) for number, row in enumerate(rows)]
    return EventSample(documents, np.arange(len(rows)), True)


def judged(sample: EventSample, rows: int | None = None, **rule: Any) -> Finding:
    spec = ModelSpec.model_validate({"model": "m", "expectations": [rule]})
    profile = Profile()
    profile.rows = len(sample) if rows is None else rows
    (finding,) = judge_all(spec.expectations, profile, sample, all_rows=profile.rows, duplicate_ids=0)
    return finding


def share(rows: Sequence[Row], **rule: Any) -> float | None:
    return judged(sample_of(rows), **rule).value


# -- the rules, row by row -----------------------------------------------------------------------------------------


def test_a_relation_holds_row_by_row() -> None:
    rows: list[Row] = [
        {"a": 1.0, "b": 2.0},
        {"a": 2.0, "b": 2.0},
        {"a": 3.0, "b": 2.0},
        {"a": None, "b": 2.0},
        {"b": 1.0},
    ]
    relation: dict[str, Any] = {"expect": "relation", "left": "a", "right": "b"}
    assert share(rows, operator="<=", **relation) == pytest.approx(1 / 3)
    assert share(rows, operator="<", **relation) == pytest.approx(2 / 3)
    assert share(rows, operator="==", **relation) == pytest.approx(2 / 3)
    assert share(rows, operator="<=", tolerance=1, **relation) == 0.0
    finding = judged(sample_of(rows), operator="<=", **relation)
    assert finding.message == "a <= b: 33.3% of 3 rows break it; for example a 3, b 2"


def test_texts_are_compared_by_their_order_and_with_numbers_not_at_all() -> None:
    rows: list[Row] = [
        {"a": "2026-01-02", "b": "2026-01-03"},
        {"a": "2026-01-04", "b": "2026-01-03"},
        {"a": "x", "b": 1.0},
    ]
    assert share(rows, expect="relation", left="a", operator="<=", right="b") == 0.5
    assert share(rows, expect="relation", left="a", operator="==", right="b") == 1.0


def test_outputs_take_part_where_no_feature_is_called_so() -> None:
    rows: list[Row] = [{"floor": 0.0}, {"floor": 2.0}]
    assert share(rows, expect="relation", left="floor", operator="<=", right="prediction") == 0.5


def test_a_ratio_is_within_its_bounds_in_every_row_and_zero_divides_nothing() -> None:
    rows: list[Row] = [{"a": 2.0, "b": 1.0}, {"a": 9.0, "b": 1.0}, {"a": 1.0, "b": 0.0}, {"a": 1.0, "b": "NaN"}]
    assert share(rows, expect="ratio", numerator="a", denominator="b", min=1, max=3) == pytest.approx(2 / 3)


def test_parts_add_up_to_a_number_or_to_another_column() -> None:
    rows: list[Row] = [
        {"x": 0.1, "y": 0.2, "z": 0.7, "t": 1.0},
        {"x": 0.5, "y": 0.2, "z": 0.7, "t": 1.4},
        {"x": 1.0, "y": None},
    ]
    assert share(rows, expect="sum_to", features=["x", "y", "z"]) == 0.5
    assert share(rows, expect="sum_to", features=["x", "y", "z"], total="t") == 0.0


def test_a_meter_never_runs_backwards_whatever_the_other_meters_say() -> None:
    rows: list[Row] = [{"meter": "ab"[i % 2], "reading": 100.0 * (i % 2) + i} for i in range(20)]
    monotone: dict[str, Any] = {"expect": "monotone", "feature": "reading"}
    assert share(rows, **monotone, by="meter") == 0.0
    assert share(rows, **monotone) == pytest.approx(9 / 19)
    assert share(rows, **monotone, direction="decreasing", by="meter") == 1.0
    still: list[Row] = [{"reading": 1.0}, {"reading": 1.0}, {"reading": None}, {"reading": 2.0}]
    assert share(still, **monotone) == 0.0
    assert share(still, **monotone, strictly=True) == 0.5


def test_rows_of_one_moment_have_no_order() -> None:
    at_once = [event(number, NOON, {"a": value}) for number, value in enumerate([3.0, 1.0, 2.0])]
    later = event(9, NOON + MINUTE, {"a": 2.5})
    sample = EventSample([*at_once, later], np.arange(4), True)
    finding = judged(sample, expect="monotone", feature="a")
    assert finding.detail["judged"] == 1
    assert finding.value == 1.0  # 2.5 comes after a 3


def test_numbers_that_repeat_and_texts_too_many_for_a_sketch_are_found_in_rows() -> None:
    profile = Profile()
    profile.rows = 2_000
    numbers, texts = FeatureProfile(), FeatureProfile()
    numbers.update_numbers(np.arange(2_000.0))
    texts.update_counts({f"id-{number}": 1 for number in range(2_000)})
    profile.features = {"number": numbers, "text": texts}
    rows: list[Row] = [
        {"number": 1.0, "text": "id-1"},
        {"number": 1.0, "text": "ID-2"},
        {"number": None, "text": "id-3"},
    ]

    def found(**rule: Any) -> Finding:
        spec = ModelSpec.model_validate({"model": "m", "expectations": [rule]})
        return judge_all(spec.expectations, profile, sample_of(rows), all_rows=2_000, duplicate_ids=0)[0]

    unique = found(expect="unique", feature="number")
    assert (unique.value, unique.detail["judged"], unique.status) == (0.5, 2, Status.WARNING)
    regex = found(expect="regex", feature="text", pattern="id-[0-9]+")
    assert regex.value == pytest.approx(1 / 3)
    assert (regex.detail["basis"], regex.detail["examples"]) == ("sample", ["ID-2"])
    assert found(expect="unique", feature="text").status is Status.OK


# -- what a sample tells -------------------------------------------------------------------------------------------


def test_a_finding_says_that_it_is_of_a_sample_and_how_far_that_leaves_the_share_open() -> None:
    rows: list[Row] = [{"a": 1.0 + 2 * (i % 50 == 0), "b": 2.0} for i in range(1_000)]
    relation: dict[str, Any] = {"expect": "relation", "left": "a", "operator": "<=", "right": "b"}
    finding = judged(sample_of(rows), rows=100_000, mostly=0.99, **relation)
    assert "2.0% of a sample of 1,000 of 100,000 rows break it (1.2% to 3.1%)" in finding.message
    assert finding.detail["interval"] == pytest.approx(
        [clopper_pearson(20, 1000).low, clopper_pearson(20, 1000).high], abs=1e-4
    )
    assert finding.status is Status.OK  # 20 of 1,000 where 10 may be: p = 0.003
    assert judged(sample_of(rows), rows=100_000, mostly=0.995, **relation).status is Status.WARNING
    fine = judged(sample_of(rows[1:40]), rows=100_000, **relation)
    assert "holds in a sample of 39 of 100,000 rows, so at most 9.0% break it" in fine.message


def test_without_rows_the_finding_says_what_to_set() -> None:
    finding = judged(EventSample([], np.empty(0, np.int64), True), rows=5, expect="monotone", feature="a")
    assert finding.status is Status.NO_DATA
    assert "agent.yml" in finding.message


def test_a_sample_in_stretches_is_worth_as_many_rows_as_its_scatter_says() -> None:
    chance = np.random.default_rng(0)
    places = np.repeat(np.arange(50), 100)
    apart = chance.random(5_000) < 0.1
    assert effective_rows(apart, places) > 3_000
    together = np.repeat(chance.random(50) < 0.1, 100)  # whole stretches break the rule or none of it
    assert effective_rows(together, places) == pytest.approx(50, rel=0.1)
    assert effective_rows(np.zeros(5, np.bool_), np.arange(5)) == 5


def test_the_interval_of_a_clustered_share_covers_it() -> None:
    chance = np.random.default_rng(7)
    places = np.repeat(np.arange(50), 20)
    covered = 0
    for _ in range(400):
        rates = chance.beta(1, 9, 50)  # a tenth on average, and most of the scatter between stretches
        breaking = chance.random(1_000) < rates[places]
        interval = clustered(float(breaking.mean()), effective_rows(breaking, places))
        covered += interval.low <= 0.1 <= interval.high
    assert covered >= 0.92 * 400
    assert clustered(0.3, 10.0) == clopper_pearson(3, 10)


# -- from the store ------------------------------------------------------------------------------------------------


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    rules = "{expect: relation, left: distance, operator: <=, right: limit}, {expect: unique, feature: distance}"
    made = a_collector(tmp_path, {"delay": f"expectations: [{rules}]"}, clock="replay")
    send_traffic(made.context.store, NOON, 1, model="later")  # so that it is noon
    yield made
    made.stop()


def send_rows(collector: Collector, start: datetime, rows: int, seconds: float, version: str = "1") -> None:
    documents = []
    for number in range(rows):
        at = start + timedelta(seconds=number * seconds)
        row = event(number, at, {"distance": float(number), "limit": float(number - (number % 10 == 0))}, version)
        documents.append(Document(Alias.EVENTS, f"e-{version}-{start:%H%M%S}-{number}", row))
    collector.context.store.create(documents)


def test_few_rows_are_all_read_and_many_are_sampled_evenly_over_the_traffic(collector: Collector) -> None:
    store = collector.context.store
    hour = Span(NOON - HOUR, NOON)
    send_rows(collector, hour.start, 300, 6.0)  # the first half hour
    assert len(load_sample(store, "delay", hour)) == 300
    assert load_sample(store, "delay", hour).whole
    send_rows(collector, NOON - HOUR / 2, 2_700, 1800 / 2700)  # the second is nine times as busy
    profiles = [part(f"q{m}", hour.start + m * MINUTE, [1.0] * (10 if m < 30 else 90)) for m in range(60)]
    store.create(profiles)
    sample = load_sample(store, "delay", hour, rows=500)
    assert not sample.whole
    assert 400 <= len(sample) <= 500
    assert len(set(sample.places.tolist())) == STRETCHES
    moments = sample.moments()
    assert moments == sorted(moments)
    early = sum(moment < NOON - HOUR / 2 for moment in moments) / len(sample)
    assert early == pytest.approx(0.1, abs=0.02)
    again = load_sample(store, "delay", hour, rows=500)
    assert [row["_id"] for row in again.documents] == [row["_id"] for row in sample.documents]


def test_the_quality_check_reads_the_rows_that_its_expectations_need(collector: Collector) -> None:
    send_rows(collector, NOON - HOUR, 100, 30.0)
    send_rows(collector, NOON - HOUR, 20, 30.0, version="2")
    for version, rows in (("1", 100), ("2", 20)):
        document = part(f"p{version}", NOON - HOUR, list(range(rows)), version=version, seconds=3_600)
        collector.context.store.create([document])
    first, second = collector.context.engine.run("delay", CheckKind.QUALITY, NOON)
    relation = next(finding for finding in first.findings if finding.test == "relation")
    assert relation.message == (
        "distance <= limit: 10.0% of 100 rows break it; for example distance 0, limit -1, distance 10, limit 9, "
        "distance 20, limit 19"
    )
    assert first.status is Status.WARNING
    unique = next(finding for finding in first.findings if finding.test == "unique")
    assert (unique.status, unique.message) == (Status.OK, "distance is unique: holds in all 100 values")
    assert next(f for f in second.findings if f.test == "relation").detail["judged"] == 20
