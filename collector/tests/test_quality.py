from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from modelward_agent.journal.parse import Kind, Record
from modelward_agent.profile import Profile, Segment, merged
from modelward_agent.profile.fold import Folder
from modelward_collector.checks.quality import check_quality
from modelward_collector.checks.quality.expectation import like_reference
from modelward_collector.checks.result import CheckResult, Finding, Status
from modelward_collector.checks.window import ReferenceProfile, Window
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span

START = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR = Span(START, START + timedelta(hours=1))
Row = dict[str, Any]


def profile_of(rows: Sequence[Row], predictions: Sequence[Any] | None = None) -> Profile:
    """What the agent folds of these rows."""
    folder = Folder("web-1", window_seconds=86_400)
    answers = predictions if predictions is not None else [1.0] * len(rows)
    at = START.timestamp()
    folder.fold(
        Record(Kind.PREDICTION, at, {"model": "m", "version": "1", "features": row, "prediction": answer})
        for row, answer in zip(rows, answers, strict=True)
    )
    return merged(profile for _, profile in folder.take())


def ordinary(n: int = 2000, seed: int = 0, **changed: Callable[[int], Any]) -> list[Row]:
    random = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {
        "age": random.normal(40, 10, n).tolist(),
        "city": random.choice(["Ulm", "Bonn", "Kiel"], n, p=[0.6, 0.3, 0.1]).tolist(),
        "member": (random.random(n) < 0.5).tolist(),
        "text": random.normal(size=(n, 4)).tolist(),
    }
    columns |= {name: [value(i) for i in range(n)] for name, value in changed.items()}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def without(rows: Sequence[Row], name: str, where: Callable[[int], bool] = lambda i: True) -> list[Row]:
    return [{**row, name: None} if where(i) else row for i, row in enumerate(rows)]


REFERENCE = ReferenceProfile("last month", profile_of(ordinary(seed=1)))


def window_of(profile: Profile, span: Span = HOUR, version: str = "1") -> Window:
    return Window("m", span, {(version, ()): profile}, frozenset({"web-1"}), span.end)


def check(
    rows: Sequence[Row],
    predictions: Sequence[Any] | None = None,
    reference: ReferenceProfile | None = REFERENCE,
    spec: Mapping[str, Any] | None = None,
    **more: Any,
) -> CheckResult:
    model = ModelSpec.model_validate({"model": "m", **(spec or {})})
    return check_quality(model, "1", reference, window_of(profile_of(rows, predictions)), now=HOUR.end, **more)


def violations(result: CheckResult) -> list[Finding]:
    return [finding for finding in result.findings if finding.status in (Status.WARNING, Status.CRITICAL)]


def only(result: CheckResult) -> Finding:
    found = violations(result)
    assert len(found) == 1, [finding.message for finding in found]
    assert result.status is found[0].status
    assert found[0].message in result.summary
    return found[0]


def test_ordinary_traffic_is_fine_and_the_result_says_what_was_looked_at() -> None:
    result = check(ordinary(seed=2))
    assert result.status is Status.OK
    assert result.rows == 2000
    assert result.numbers["violations"] == 0
    looked_at = {finding.test for finding in result.findings}
    assert looked_at >= {"schema", "type", "missing", "infinite", "range", "unseen", "dimension", "freshness"}
    assert looked_at >= {"duplicates", "nan"}


@pytest.mark.parametrize("n", [1, 2, 5, 20, 200])
def test_windows_of_a_few_ordinary_rows_are_never_complained_about(n: int) -> None:
    sparse = ReferenceProfile("r", profile_of(without(ordinary(seed=3), "age", lambda i: i % 10 == 0)))
    random = np.random.default_rng(n)
    for seed in range(25):
        gone = random.random(n) < 0.1
        result = check(without(ordinary(n, seed=seed), "age", gone.__getitem__), reference=sparse)
        assert not violations(result), result.summary


def test_a_required_feature_that_is_gone_is_critical() -> None:
    finding = only(check(without(ordinary(100), "age")))
    assert (finding.subject, finding.test, finding.status) == ("age", "schema", Status.CRITICAL)
    assert "gone" in finding.message


def test_a_feature_that_the_reference_rarely_has_may_be_absent() -> None:
    rare = ReferenceProfile("r", profile_of(without(ordinary(seed=3), "age", lambda i: i % 50 != 0)))
    assert check(without(ordinary(40), "age"), reference=rare).status is Status.OK


def test_an_optional_feature_of_the_schema_may_be_absent() -> None:
    spec = {"features": {"age": {"type": "numeric", "missing_max": 1.0}}}
    assert check(without(ordinary(100), "age"), spec=spec, reference=None).findings
    assert not [f for f in violations(check(without(ordinary(100), "age"), spec=spec)) if f.subject == "age"]


def test_an_unexpected_feature_is_named() -> None:
    finding = only(check(ordinary(100, shoe_size=lambda i: 42.0)))
    assert (finding.subject, finding.test, finding.status) == ("shoe_size", "schema", Status.WARNING)


def test_without_schema_and_reference_nothing_is_unexpected() -> None:
    assert check(ordinary(100), reference=None).status is Status.OK


def test_strings_among_numbers_are_counted() -> None:
    rows = ordinary(1000)
    for row in rows[:32]:
        row["age"] = "forty"
    finding = only(check(rows))
    assert finding.message == "age: expected numeric, 3.2% strings"
    assert finding.value == pytest.approx(0.032)


def test_a_type_is_the_schemas_before_the_references() -> None:
    finding = only(check(ordinary(100), spec={"features": {"city": {"type": "numeric"}}}))
    assert (finding.subject, finding.test) == ("city", "type")
    assert "expected numeric, 100% strings" in finding.message


def test_missing_values_beyond_the_references_share_and_the_tolerance() -> None:
    finding = only(check(without(ordinary(1000), "city", lambda i: i % 10 == 0)))
    assert (finding.subject, finding.test, finding.status) == ("city", "missing", Status.WARNING)
    assert finding.value == pytest.approx(0.1)
    assert finding.p_value is not None
    assert finding.p_value < 0.001


def test_most_values_missing_is_critical() -> None:
    assert only(check(without(ordinary(300), "city", lambda i: i % 3 > 0))).status is Status.CRITICAL


def test_missing_values_within_missing_max_are_fine_whatever_the_reference_had() -> None:
    spec = {"features": {"city": {"type": "categorical", "missing_max": 0.2}}}
    assert check(without(ordinary(1000), "city", lambda i: i % 10 == 0), spec=spec).status is Status.OK
    finding = only(check(without(ordinary(1000), "city", lambda i: i % 3 == 0), spec=spec))
    assert finding.threshold == 0.2


def test_the_missing_rule_holds_its_level_and_finds_what_is_there() -> None:
    # at exactly the tolerated share, the worst case, fewer than one run in 500 may complain
    random = np.random.default_rng(7)
    bound = like_reference(0, 100_000, 0.02)
    for n in (50, 500, 5000):
        false = sum(bound.violated(int(count), n) for count in random.binomial(n, 0.02, 4000))
        assert false / 4000 < 0.003
    found = sum(bound.violated(int(count), 5000) for count in random.binomial(5000, 0.04, 200))
    assert found >= 198


def test_nan_is_missing_and_an_infinity_is_not() -> None:
    rows = ordinary(1000)
    for row in rows[:100]:
        row["age"] = "NaN"
    finding = only(check(rows))
    assert (finding.test, finding.value) == ("missing", 0.1)
    assert "10.0% missing (10.0% NaN)" in finding.message
    rows = ordinary(1000)
    for row in rows[:10]:
        row["age"] = "-Infinity"
    assert only(check(rows)).test == "infinite"


def test_a_value_out_of_the_schemas_range_is_named_exactly() -> None:
    rows = ordinary(1000)
    rows[17]["age"] = -3.25
    spec = {"features": {"age": {"type": "numeric", "min": 0, "max": 120}}}
    for row in rows:
        row["age"] = abs(row["age"]) if row["age"] != -3.25 else -3.25
    finding = only(check(rows, spec=spec))
    assert (finding.subject, finding.test) == ("age", "range")
    assert finding.detail["minimum"] == -3.25
    assert finding.value == pytest.approx(0.001, abs=0.004)


def test_the_share_out_of_range_is_right_within_the_sketchs_error() -> None:
    rows = [{"x": float(value)} for value in np.linspace(0, 1, 20_001)]
    spec = {"features": {"x": {"type": "numeric", "min": 0.1, "max": 0.7}}}
    finding = only(check(rows, [float(i) for i in range(len(rows))], reference=None, spec=spec))
    assert finding.value == pytest.approx(0.4, abs=0.02)


def test_values_at_the_bounds_are_inside() -> None:
    rows = [{"x": 0.1}, {"x": 0.7}, {"x": 0.3}]
    spec = {"features": {"x": {"type": "numeric", "min": 0.1, "max": 0.7}}}
    assert not violations(check(rows, reference=None, spec=spec))


def test_a_new_record_is_no_violation_but_another_unit_is() -> None:
    rows = ordinary(1000)
    rows[0]["age"] = 500.0
    assert check(rows).status is Status.OK
    finding = only(check([{**row, "age": row["age"] * 365} for row in rows]))
    assert (finding.subject, finding.test) == ("age", "range")
    assert finding.value is not None
    assert finding.value > 0.9


def test_unseen_categories_are_named() -> None:
    rows = ordinary(1000)
    for i, row in enumerate(rows[:60]):
        row["city"] = "Trier" if i % 3 else "Jena"
    finding = only(check(rows))
    assert (finding.subject, finding.test) == ("city", "unseen")
    assert finding.detail["unseen"] == {"Trier": 40, "Jena": 20}
    assert "Trier, Jena" in finding.message


def test_the_schemas_values_are_the_whole_set() -> None:
    spec = {"features": {"city": {"type": "categorical", "values": ["Ulm", "Bonn"]}}}
    assert only(check(ordinary(1000), spec=spec)).detail["unseen"].keys() == {"Kiel"}


def test_a_feature_of_ever_new_names_is_not_called_unseen() -> None:
    reference = ReferenceProfile("r", profile_of([{"id": f"u{i}"} for i in range(500)]))
    assert check([{"id": f"v{i}"} for i in range(500)], reference=reference).status is Status.OK
    many = ReferenceProfile("r", profile_of([{"id": f"u{i}"} for i in range(5000)]))
    assert check([{"id": f"v{i}"} for i in range(5000)], reference=many).status is Status.OK


def test_embeddings_of_another_dimension() -> None:
    rows = ordinary(200)
    for row in rows[:10]:
        row["text"] = [1.0, 2.0]
    finding = only(check(rows))
    assert (finding.test, finding.value, finding.status) == ("dimension", 0.05, Status.WARNING)
    finding = only(check(ordinary(200, text=lambda i: [float(i)] * 8)))
    assert finding.status is Status.CRITICAL
    assert "dimension 4" in finding.message
    assert "they have 8" in finding.message


# -- traffic --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("silence", "status"),
    [
        (timedelta(minutes=14), Status.OK),
        (timedelta(minutes=16), Status.WARNING),
        (timedelta(minutes=61), Status.CRITICAL),
    ],
)
def test_silence(silence: timedelta, status: Status) -> None:
    result = check(ordinary(100), last_seen=HOUR.end - silence)
    assert result.status is status
    finding = next(finding for finding in result.findings if finding.test == "freshness")
    assert (finding.value, finding.threshold) == (silence.total_seconds(), 900)


def test_an_empty_window_is_judged_by_silence_and_volume_alone() -> None:
    spec = ModelSpec(model="m")
    empty = Window("m", HOUR, {})
    quiet = check_quality(spec, "1", REFERENCE, empty, last_seen=HOUR.end - timedelta(minutes=5), now=HOUR.end)
    assert quiet.status is Status.NO_DATA
    assert {finding.test for finding in quiet.findings} <= {"freshness", "volume"}
    silent = check_quality(spec, "1", REFERENCE, empty, last_seen=HOUR.end - timedelta(hours=2), now=HOUR.end)
    assert silent.status is Status.CRITICAL
    assert check_quality(spec, "1", None, empty, now=HOUR.end).status is Status.NO_DATA


def _rows(n: int) -> Profile:
    profile = Profile()
    profile.rows = n
    return profile


def daily(by_hour: Callable[[int], int], days: int = 14) -> ReferenceProfile:
    first = START.replace(hour=0) - timedelta(days=days)
    hours = [first + timedelta(hours=h) for h in range(24 * days)]
    windows = tuple((Span(h, h + timedelta(hours=1)), _rows(by_hour(h.hour))) for h in hours)
    return ReferenceProfile("r", merged(profile for _, profile in windows), windows)


def volume(rows: int, reference: ReferenceProfile, span: Span = HOUR, **quality: Any) -> Finding:
    spec = ModelSpec.model_validate({"model": "m", "checks": {"quality": quality}})
    result = check_quality(spec, "1", reference, window_of(_rows(rows), span), now=span.end)
    return next(finding for finding in result.findings if finding.test == "volume")


def test_volume_is_compared_with_the_same_time_of_day() -> None:
    office = daily(lambda hour: 1000 if 8 <= hour < 18 else 10)
    night = Span(START.replace(hour=2), START.replace(hour=3))
    assert volume(950, office).status is Status.OK
    assert volume(12, office, night).status is Status.OK
    low = volume(100, office)
    assert (low.status, low.value, low.threshold) == (Status.WARNING, 100, 200)
    assert low.detail["reference_rows_per_hour"] == pytest.approx(1000)
    high = volume(950, office, night)
    assert (high.status, high.threshold) == (Status.WARNING, 50)


def test_a_trickle_is_no_volume_violation() -> None:
    trickle = daily(lambda hour: 2)
    assert volume(0, trickle).status is Status.OK
    assert volume(9, trickle, volume_ratio=[0.2, 4]).status is not Status.CRITICAL
    assert volume(60, trickle).status is Status.WARNING


def test_a_quiet_weekend_like_the_references_is_fine() -> None:
    first = START.replace(hour=0) - timedelta(days=14)
    hours = [first + timedelta(hours=h) for h in range(24 * 14)]
    windows = tuple((Span(h, h + timedelta(hours=1)), _rows(50 if h.weekday() >= 5 else 5000)) for h in hours)
    saturday = Span(START + timedelta(days=4), START + timedelta(days=4, hours=1))
    assert saturday.start.weekday() == 5
    assert volume(50, ReferenceProfile("r", _rows(1), windows), saturday).status is Status.OK


def test_a_reference_kept_in_days_says_nothing_of_an_hour() -> None:
    days = tuple((Span(START - timedelta(days=d), START - timedelta(days=d - 1)), _rows(24_000)) for d in range(1, 15))
    finding = volume(3, ReferenceProfile("r", _rows(1), days))
    assert finding.status is Status.NO_DATA
    assert "longer windows" in finding.message
    whole_day = Span(START, START + timedelta(days=1))
    assert volume(3000, ReferenceProfile("r", _rows(1), days), whole_day).status is Status.WARNING


def test_the_references_volumes_are_finer_than_its_windows() -> None:
    hourly = daily(lambda hour: 1000 if 8 <= hour < 18 else 10)
    volumes = tuple((span, profile.rows // 2) for span, profile in hourly.windows for _ in ("web-1", "web-2"))
    days = ((Span(START - timedelta(days=14), START), hourly.total),)
    reference = ReferenceProfile("r", hourly.total, days, volumes=volumes)
    low = volume(100, reference)
    assert (low.status, low.detail["reference_rows_per_hour"]) == (Status.WARNING, 1000)
    assert volume(950, reference).status is Status.OK


def test_old_days_of_a_reference_are_passed_over_for_its_recent_hours() -> None:
    recent = daily(lambda hour: 100 if hour == 12 else 0, days=5)
    old = START.replace(hour=0) - timedelta(days=40)
    days = tuple((Span(old + timedelta(days=d), old + timedelta(days=d + 1)), 24_000) for d in range(35))
    volumes = (*days, *((span, profile.rows) for span, profile in recent.windows))
    finding = volume(100, ReferenceProfile("r", recent.total, volumes=volumes))
    assert finding.status is Status.OK
    assert finding.detail == {"reference_rows_per_hour": 100, "compared_stretches": 3}, "two of five are a weekend"


def test_a_reference_of_a_few_hours_gives_its_mean_rate() -> None:
    minutes = tuple(
        (Span(START - timedelta(minutes=m), START - timedelta(minutes=m - 1)), _rows(10)) for m in range(1, 181)
    )
    finding = volume(60, ReferenceProfile("r", _rows(1), minutes))
    assert finding.status is Status.LEARNING, "nothing is known of this hour yet"
    assert "still learning" in finding.message
    assert finding.detail["reference_rows_per_hour"] == pytest.approx(600)


def test_volume_min() -> None:
    finding = volume(99, daily(lambda hour: 100), volume_min=100)
    assert (finding.status, finding.threshold) == (Status.WARNING, 100)
    assert volume(100, daily(lambda hour: 100), volume_min=100).status is Status.OK


def test_a_canary_is_not_blamed_for_its_small_share() -> None:
    profiles: dict[tuple[str, Segment], Profile] = {("1", ()): _rows(950), ("2", ()): _rows(50)}
    window = Window("m", HOUR, profiles, frozenset({"web-1"}), HOUR.end)
    result = check_quality(ModelSpec(model="m"), "2", daily(lambda hour: 1000), window, now=HOUR.end)
    assert next(finding for finding in result.findings if finding.test == "volume").status is Status.OK
    of_its_own = check_quality(ModelSpec(model="m"), "2", daily(lambda hour: 50), window, now=HOUR.end)
    assert next(finding for finding in of_its_own.findings if finding.test == "volume").status is Status.OK


def test_repeated_rows_beyond_the_sketchs_error() -> None:
    rows = ordinary(1000)
    finding = only(check([*rows, *rows[:300]]))
    assert (finding.subject, finding.test) == ("rows", "duplicates")
    assert finding.value == pytest.approx(300 / 1300, abs=0.05)
    assert check([*rows, *rows[:20]]).status is Status.OK


def test_rows_that_repeat_by_nature_are_not_duplicates() -> None:
    few = [{"city": city} for city in ("Ulm", "Bonn", "Kiel")] * 300
    assert check(few, reference=ReferenceProfile("r", profile_of(few))).status is Status.OK


def test_repeated_ids_are_counted_exactly() -> None:
    finding = only(check(ordinary(1000), duplicate_ids=60))
    assert (finding.subject, finding.value) == ("id", 0.06)
    assert check(ordinary(1000), duplicate_ids=50).status is Status.OK


# -- answers --------------------------------------------------------------------------------------------------------


def test_a_class_outside_the_known_set() -> None:
    spec = {"output": {"classes": ["yes", "no"]}}
    finding = only(check(ordinary(1000), ["yes"] * 999 + ["perhaps"], spec=spec))
    assert (finding.test, finding.status, finding.value) == ("classes", Status.WARNING, 0.001)
    assert finding.detail["unseen"] == {"perhaps": 1}
    assert only(check(ordinary(100), ["yes"] * 90 + ["perhaps"] * 10, spec=spec)).status is Status.CRITICAL
    assert check(ordinary(100), ["yes"] * 50 + ["no"] * 50, spec=spec).status is Status.OK


def test_classes_are_inferred_from_the_reference() -> None:
    reference = ReferenceProfile("r", profile_of(ordinary(2000, seed=1), ["yes", "no"] * 1000))
    finding = only(check(ordinary(1000), ["yes"] * 900 + ["maybe"] * 100, reference=reference))
    assert (finding.test, finding.status) == ("classes", Status.CRITICAL)


def test_probabilities_that_do_not_add_up() -> None:
    good, bad = {"yes": 0.7, "no": 0.3}, {"yes": 0.7, "no": 0.4}
    reference = ReferenceProfile("r", profile_of(ordinary(2000, seed=1), [good] * 2000))
    finding = only(check(ordinary(1000), [good] * 980 + [bad] * 20, reference=reference))
    assert (finding.subject, finding.status) == ("probability_sum", Status.WARNING)
    assert finding.value == pytest.approx(0.02, abs=0.002)
    assert finding.detail["maximum"] == pytest.approx(1.1)
    rounded = {"yes": 0.7, "no": 0.3005}
    assert check(ordinary(1000), [rounded] * 1000, reference=reference).status is Status.OK


def test_a_probability_above_one() -> None:
    odd = {"yes": 1.2, "no": -0.2}
    reference = ReferenceProfile("r", profile_of(ordinary(2000, seed=1), [{"yes": 0.7, "no": 0.3}] * 2000))
    finding = only(check(ordinary(100), [odd] * 100, reference=reference))
    assert (finding.subject, finding.status) == ("score", Status.CRITICAL)


def test_predictions_out_of_range_or_not_numbers() -> None:
    spec = {"output": {"min": 0, "max": 10}}
    finding = only(check(ordinary(1000), [5.0] * 990 + [12.0] * 10, spec=spec))
    assert (finding.subject, finding.test, finding.status) == ("prediction", "validity", Status.WARNING)
    finding = only(check(ordinary(1000), [5.0] * 999 + ["NaN"], spec=spec))
    assert (finding.test, finding.status) == ("nan", Status.WARNING)
    assert only(check(ordinary(100), ["NaN"] * 10 + [5.0] * 90, spec=spec)).status is Status.CRITICAL


def test_a_regression_that_answers_with_words() -> None:
    finding = only(check(ordinary(100), ["high"] * 50 + [5.0] * 50, spec={"task": "regression"}))
    assert (finding.subject, finding.test) == ("prediction", "type")


# -- the result -----------------------------------------------------------------------------------------------------


def test_several_violations_are_all_reported_the_worst_first_in_the_summary() -> None:
    rows = without(ordinary(300, extra=lambda i: 1.0), "city")
    result = check(rows)
    assert result.status is Status.CRITICAL
    assert result.numbers["violations"] == len(violations(result)) == 2
    assert result.summary.startswith("city is gone")
    assert "1 more" in result.summary


def test_a_result_survives_its_json_form() -> None:
    import orjson

    result = check(without(ordinary(300, extra=lambda i: 1.0), "city"), [{"a": 0.5, "b": 0.6}] * 300)
    document = orjson.loads(orjson.dumps(result.to_document()))
    assert CheckResult.from_document(document).to_document() == result.to_document()
