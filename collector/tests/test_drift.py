"""The drift verdict on profiles: what is flagged, how much, in which segments, since when, and in which words."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from modelward_agent.profile import (
    CategoricalSketch,
    FeatureProfile,
    NumericSketch,
    Profile,
    Segment,
    VectorSketch,
    merged,
)
from modelward_collector.checks.drift import check_drift
from modelward_collector.checks.drift_reference import PreparedReference, prepare_reference
from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status
from modelward_collector.checks.window import ReferenceProfile, Window
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span

DAY = timedelta(days=1)
START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday

Column = NDArray[Any] | Sequence[object]
Draws = Callable[[np.random.Generator, int], Column]


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(20260302)


def feature(values: Column) -> FeatureProfile:
    """A feature's profile of a list or array: numbers, strings, bools, vectors; None is missing."""
    made = FeatureProfile()
    if isinstance(values, np.ndarray) and values.ndim == 2:
        made.vector = VectorSketch(values.shape[1])
        made.vector.update(values)
        return made
    if isinstance(values, np.ndarray) and values.dtype.kind in "fi":
        finite = np.isfinite(values)
        made.nan = int((~finite).sum())
        made.numeric = NumericSketch()
        made.numeric.update(values[finite].astype(np.float64))
        return made
    values = list(values)
    made.missing = sum(value is None for value in values)
    made.true = sum(value is True for value in values)
    made.false = sum(value is False for value in values)
    if words := [str(value) for value in values if isinstance(value, str)]:
        made.categorical = CategoricalSketch()
        made.categorical.update(words)
    if figures := [value for value in values if isinstance(value, float)]:
        made.numeric = NumericSketch()
        made.numeric.update(np.array(figures))
    return made


def profile(features: Mapping[str, Column], outputs: Mapping[str, Column] | None = None) -> Profile:
    made = Profile()
    made.rows = max(len(values) for values in features.values())
    made.features = {name: feature(values) for name, values in features.items()}
    made.outputs = {name: feature(values) for name, values in (outputs or {}).items()}
    return made


def window(
    made: Profile | dict[Segment, Profile], day: int = 0, segment: Segment = (), length: timedelta = DAY
) -> Window:
    start = START + day * DAY
    profiles = made if isinstance(made, dict) else {segment: made}
    return Window("fraud", Span(start, start + length), {("v1", key): value for key, value in profiles.items()})


def spec(**drift: Any) -> ModelSpec:
    features = drift.pop("features", {})
    return ModelSpec.model_validate({"model": "fraud", "features": features, "checks": {"drift": drift}})


def reference_of(
    made: Profile, windows: tuple[tuple[Span, Profile], ...] = (), segments: Mapping[Segment, Profile] | None = None
) -> ReferenceProfile:
    return ReferenceProfile("the first month", made, windows, segments or {})


def of(result: CheckResult, subject: str, segment: Mapping[str, str] | None = None) -> Finding:
    return next(
        finding
        for finding in result.findings
        if finding.subject == subject and dict(finding.segment or {}) == (segment or {})
    )


def check(
    reference: ReferenceProfile | PreparedReference | None,
    current: Profile | dict[Segment, Profile],
    history: Sequence[CheckResult] = (),
    day: int = 0,
    **drift: Any,
) -> CheckResult:
    return check_drift(spec(**drift), "v1", reference, window(current, day), history)


# -- what is flagged ------------------------------------------------------------------------------------------------


def test_a_shifted_feature_is_named_and_the_others_are_not(draw: np.random.Generator) -> None:
    reference = reference_of(profile({"temp": draw.normal(12.6, 10, 50_000), "wind": draw.gamma(2, 3, 50_000)}))
    result = check(reference, profile({"temp": draw.normal(24.1, 10, 5_000), "wind": draw.gamma(2, 3, 5_000)}))

    assert result.status is Status.WARNING
    assert result.summary.startswith("1 of 2 features drifted: temp (0.4")
    temp, wind = result.findings
    assert (temp.subject, temp.test, temp.status) == ("temp", "drift", Status.WARNING)
    assert temp.message.startswith("temp rose: mean 12.")
    assert "sd)" in temp.message
    assert temp.value is not None
    assert temp.threshold is not None
    assert temp.p_value is not None
    assert temp.value > temp.threshold
    assert temp.p_value < 1e-6
    assert temp.since == START
    assert temp.detail["decided_by"] in ("mean", "ks")
    assert temp.detail["reference"]["n"] == 50_000
    assert temp.detail["rows_needed"] < 200
    assert (wind.subject, wind.status, wind.since) == ("wind", Status.OK, None)
    assert result.numbers["drifted"] == 1
    assert result.numbers["drifted_share"] == 0.5


def test_a_trivial_shift_of_a_million_rows_is_no_drift(draw: np.random.Generator) -> None:
    reference = reference_of(profile({"x": draw.normal(0, 1, 1_000_000)}))
    result = check(reference, profile({"x": draw.normal(0.03, 1, 1_000_000)}))
    assert result.status is Status.OK
    assert result.findings[0].detail["tests"]["mean"]["p"] < 1e-20


@pytest.mark.parametrize(
    ("before", "after", "decided", "words"),
    [
        (lambda d, n: d.normal(0, 1, n), lambda d, n: d.normal(0, 1.35, n), {"variance"}, "spreads more"),
        (
            lambda d, n: d.normal(0, 1, n),
            lambda d, n: d.choice([-1, 1], n) + d.normal(0, 0.1, n),
            {"ks", "psi"},
            "shape",
        ),
        (
            lambda d, n: np.where(d.random(n) < 0.5, 0.0, d.exponential(1, n)),
            lambda d, n: np.where(d.random(n) < 0.6, 0.0, d.exponential(1.25, n)),
            {"zeros", "variance"},
            "x ",
        ),
        (lambda d, n: d.lognormal(0, 2, n), lambda d, n: d.lognormal(0.3, 2, n), {"ks", "psi"}, "shape"),
        (lambda d, n: np.full(n, 3.0), lambda d, n: np.full(n, 4.0), {"ks", "psi"}, "shape"),
        (lambda d, n: d.choice(["a", "b"], n), lambda d, n: d.choice(["a", "b", "z"], n), {"linf", "chi_squared"}, "x"),
        (lambda d, n: (d.random(n) < 0.2).tolist(), lambda d, n: (d.random(n) < 0.4).tolist(), {"linf"}, '"true" rose'),
        (lambda d, n: d.normal(0, 1, (n, 8)), lambda d, n: d.normal(0.5, 1, (n, 8)), {"mean", "ks"}, "embeddings"),
        (lambda d, n: d.normal(0, 1, (n, 8)), lambda d, n: d.normal(0, 1, (n, 9)), {"type"}, "dimension: 8 → 9"),
        (lambda d, n: d.normal(0, 1, n), lambda d, n: ["high"] * n, {"type"}, "changed its type"),
        (lambda d, n: d.normal(0, 1, n), lambda d, n: [None] * n, {"missing"}, "is gone"),
        (lambda d, n: [None] * n, lambda d, n: d.normal(0, 1, n), {"missing"}, "is new"),
    ],
    ids=[
        "variance", "shape", "zeros", "heavy tail", "constant", "new category", "boolean", "embedding", "dimension",
        "type", "gone", "new",
    ],
)  # fmt: skip
def test_every_kind_of_change_is_found_and_said(
    draw: np.random.Generator, before: Draws, after: Draws, decided: set[str], words: str
) -> None:
    reference = reference_of(profile({"x": before(draw, 20_000)}))
    finding = check(reference, profile({"x": after(draw, 2_000)})).findings[0]
    assert finding.status is not Status.OK
    assert finding.detail["decided_by"] in decided
    assert words in finding.message
    assert finding.value is not None
    assert FLOOR < finding.value <= 1


FLOOR = 0.025


@pytest.mark.parametrize("n", [200, 2_000, 30_000])
def test_unchanged_features_of_every_kind_are_left_alone(draw: np.random.Generator, n: int) -> None:
    def traffic(rows: int) -> Profile:
        return profile(
            {
                "normal": draw.normal(0, 1, rows),
                "heavy": draw.standard_t(2, rows),
                "constant": np.full(rows, 0.1),
                "zeros": np.where(draw.random(rows) < 0.9, 0, draw.lognormal(0, 1, rows)),
                "word": list(draw.choice(["a", "b", "c"], rows, p=[0.7, 0.29, 0.01])),
                "id": [f"{number:x}" for number in draw.integers(0, 2**40, rows)],
                "flag": (draw.random(rows) < 0.01).tolist(),
                "vector": draw.normal(0, 1, (rows, 4)),
                "mixed": [None if u < 0.1 else "s" if u < 0.2 else float(u) for u in draw.random(rows)],
                "empty": [None] * rows,
            },
            {"prediction": draw.normal(0, 1, rows)},
        )

    result = check(prepare_reference(reference_of(traffic(30_000))), traffic(n))
    assert result.status is Status.OK, result.summary
    assert len(result.findings) == 11
    assert result.summary == "none of 10 features drifted"


def test_a_feature_that_was_never_sent_before_is_new(draw: np.random.Generator) -> None:
    reference = reference_of(profile({"x": draw.normal(0, 1, 5_000)}))
    result = check(reference, profile({"x": draw.normal(0, 1, 500), "y": draw.normal(0, 1, 500)}))
    assert of(result, "y").message == "y is new: the reference has no value of it"
    assert of(result, "y").detail["decided_by"] == "missing"
    gone = check(reference_of(profile({"x": [1.0] * 500, "y": [1.0] * 500})), profile({"x": [1.0] * 500}))
    assert of(gone, "y").message == "y is gone: no row has a value"


def test_new_and_vanished_categories_are_named(draw: np.random.Generator) -> None:
    reference = reference_of(profile({"carrier": ["UA"] * 500 + ["AA"] * 300 + ["EV"] * 200}))
    finding = check(reference, profile({"carrier": ["UA"] * 250 + ["AA"] * 150 + ["B6"] * 100})).findings[0]
    assert finding.detail["new"] == ["B6"]
    assert finding.detail["vanished"] == ["EV"]


def test_ignored_features_are_not_judged(draw: np.random.Generator) -> None:
    reference = reference_of(profile({"id": np.arange(2_000.0), "x": draw.normal(0, 1, 2_000)}))
    result = check(reference, profile({"id": np.arange(9e6, 9e6 + 500), "x": draw.normal(0, 1, 500)}), ignore=("id",))
    assert [finding.subject for finding in result.findings] == ["x"]
    assert result.status is Status.OK


# -- severity and order ---------------------------------------------------------------------------------------------


def test_a_drifting_prediction_is_critical_when_a_feature_drifts_too(draw: np.random.Generator) -> None:
    def traffic(rows: int, x: float, y: float) -> Profile:
        return profile({"x": draw.normal(x, 1, rows)}, {"prediction": draw.normal(y, 1, rows)})

    reference = prepare_reference(reference_of(traffic(20_000, 0, 0)))
    both, alone = check(reference, traffic(2_000, 0.4, 0.4)), check(reference, traffic(2_000, 0, 0.4))
    assert of(both, "x").status is Status.WARNING
    assert of(both, "prediction").status is Status.CRITICAL
    assert both.status is Status.CRITICAL
    assert "prediction (0.1" in both.summary
    assert of(alone, "prediction").status is Status.WARNING
    assert alone.summary.startswith("none of 1 features drifted; prediction (")


def test_a_large_effect_is_critical_unless_the_feature_is_known_not_to_matter(draw: np.random.Generator) -> None:
    reference = reference_of(profile({"x": draw.normal(0, 1, 5_000)}))
    far = profile({"x": draw.normal(2, 1, 1_000)})
    assert check(reference, far).status is Status.CRITICAL
    harmless = {"x": {"type": "numeric", "importance": 0}}
    assert check(reference, far, features=harmless).status is Status.WARNING


def test_findings_are_ranked_by_effect_weighed_by_importance(draw: np.random.Generator) -> None:
    def traffic(rows: int, *means: float) -> Profile:
        return profile({name: draw.normal(mean, 1, rows) for name, mean in zip("abc", means, strict=True)})

    reference = reference_of(traffic(20_000, 0, 0, 0))
    current = traffic(5_000, 0.3, 0.6, 0)
    assert [f.subject for f in check(reference, current).findings] == ["b", "a", "c"]
    importances = {n: {"type": "numeric", "importance": i} for n, i in (("a", 1.0), ("b", 0.1), ("c", 1.0))}
    assert [f.subject for f in check(reference, current, features=importances).findings] == ["a", "b", "c"]


# -- no verdict -----------------------------------------------------------------------------------------------------


def test_too_few_rows_are_no_data(draw: np.random.Generator) -> None:
    reference = reference_of(profile({"x": draw.normal(0, 1, 5_000)}))
    result = check(reference, profile({"x": draw.normal(5, 1, 60)}))
    assert (result.status, result.findings) == (Status.NO_DATA, ())
    assert result.summary == "60 rows in the window; drift is judged from 100 (checks.drift.min_rows)"
    few = check(reference_of(profile({"x": [1.0] * 5})), profile({"x": [1.0] * 500}))
    assert few.status is Status.NO_DATA
    assert "the reference (the first month) has 5 rows" in few.summary
    assert check(None, profile({"x": [1.0] * 500})).summary == "there is no reference yet to compare with"
    empty = check_drift(spec(), "v9", reference, window(profile({"x": [1.0] * 500})))
    assert (empty.status, empty.rows) == (Status.NO_DATA, 0)


# -- the reference's own windows ------------------------------------------------------------------------------------


def test_a_weekend_like_those_of_the_reference_is_not_drift(draw: np.random.Generator) -> None:
    def day(number: int, shift: float = 0.0) -> Profile:
        leisure = 0.8 if number % 7 > 4 else 0.0
        return profile({"x": draw.normal(leisure + shift, 1, 2_000)})

    days = [(Span(START + i * DAY, START + (i + 1) * DAY), day(i)) for i in range(28)]
    prepared = prepare_reference(reference_of(merged(made for _, made in days), windows=tuple(days)))
    flat = reference_of(prepared.total)
    assert check(flat, day(33)).status is not Status.OK
    for number in range(28, 35):
        result = check(prepared, day(number), day=number)
        assert result.status is Status.OK, result.summary
    # A weekday is compared with weekdays: what weekends are like hides nothing of it.
    drifted = check(prepared, day(28, shift=0.3), day=28)
    assert drifted.status is not Status.OK
    assert drifted.findings[0].detail["compared_with"] == "20 weekdays"


def test_how_days_differ_hides_no_month_that_is_unlike_the_only_one_before(draw: np.random.Generator) -> None:
    """Of one month nobody knows how months differ; weeks of it, of which there are four, are allowed what days show."""
    levels = draw.normal(0, 0.5, 31)
    days = [
        (Span(START + (day - 31) * DAY, START + (day - 30) * DAY), profile({"x": draw.normal(levels[day], 1, 2_000)}))
        for day in range(31)
    ]
    prepared = prepare_reference(reference_of(merged(made for _, made in days), windows=tuple(days)))
    shifted = profile({"x": draw.normal(0.5, 1.1, 60_000)})
    for length, drifts in ((30, True), (7, False)):
        window = Window("credit", Span(START, START + length * DAY), {("v1", ()): shifted})
        result = check_drift(spec(), "v1", prepared, window)
        assert (result.status is Status.WARNING) is drifts


def test_hours_are_merged_into_windows_as_long_as_the_one_that_is_checked(draw: np.random.Generator) -> None:
    hours = [
        (
            Span(START + i * DAY / 24, START + (i + 1) * DAY / 24),
            profile({"x": draw.normal(np.sin(i * np.pi / 12), 1, 100)}),
        )
        for i in range(24 * 10)
    ]
    prepared = prepare_reference(reference_of(merged(made for _, made in hours), windows=tuple(hours)))
    assert len(prepared.windows(DAY)) == 10
    assert prepared.windows(DAY)[3].rows == 2_400
    assert 50 <= len(prepared.windows(DAY / 24)) <= 60
    hourly, daily = (prepared.scatter("features", "x", length, 1e-3) for length in (DAY / 24, DAY))
    assert hourly.mean > 0.4
    assert daily.mean < 0.1


# -- segments -------------------------------------------------------------------------------------------------------


def test_drift_in_one_segment_is_found_there(draw: np.random.Generator) -> None:
    eu, us = (("region", "eu"),), (("region", "us"),)

    def traffic(rows: int, shift: float) -> dict[Segment, Profile]:
        return {eu: profile({"x": draw.normal(shift, 1, rows)}), us: profile({"x": draw.normal(0, 1, 20 * rows)})}

    segments = traffic(2_000, 0)
    reference = reference_of(merged(segments.values()), segments=segments)
    result = check(reference, traffic(300, 0.6))
    assert of(result, "x").status is Status.OK
    part = of(result, "x", {"region": "eu"})
    assert part.status is Status.WARNING
    assert "rose" in part.message
    assert result.status is Status.WARNING
    assert result.summary == "none of 1 features drifted; in segments region=eu"
    assert result.numbers["segments_drifted"] == 1
    assert check(reference, traffic(300, 0.6), by_segment=False).status is Status.OK
    assert check(reference, traffic(50, 0.6)).status is Status.OK  # too few rows there
    assert check(reference, traffic(300, 0)).status is Status.OK


def test_what_was_accepted_is_not_held_against_the_segments_of_before(draw: np.random.Generator) -> None:
    def traffic(n: int, shift: float) -> dict[Segment, Profile]:
        regions = ("eu", "us")
        return {
            (("region", one),): profile({name: draw.normal(shift, 1.0, n) for name in ("age", "size")})
            for one in regions
        }

    segments = traffic(2_000, 0)
    before = prepare_reference(reference_of(merged(segments.values()), segments=segments))
    since = prepare_reference(reference_of(merged(traffic(2_000, 1.0).values())))
    accepted = before.renewed(frozenset({"features/age"}), since)
    found = check(accepted, traffic(500, 1.0)).findings
    assert {finding.subject for finding in found if finding.segment} == {"size"}
    assert [finding.subject for finding in found if not finding.segment and finding.status.flagged] == ["size"]
    assert not check(before.renewed(None, since), traffic(500, 1.0)).status.flagged


# -- over time ------------------------------------------------------------------------------------------------------


def run_of(draw: np.random.Generator, shifts: Sequence[float], **drift: Any) -> list[CheckResult]:
    """Results of one day after another, each seeing the earlier ones, newest first or oldest first."""
    reference = prepare_reference(reference_of(profile({"x": draw.normal(0, 1, 20_000)})))
    results: list[CheckResult] = []
    for day, shift in enumerate(shifts):
        history = results if day % 2 else results[::-1]
        stored = [CheckResult.from_document(json.loads(json.dumps(result.to_document()))) for result in history]
        results.append(check(reference, profile({"x": draw.normal(shift, 1, 2_000)}), stored, day, **drift))
    return results


def test_since_is_the_start_of_the_run_of_drift(draw: np.random.Generator) -> None:
    results = run_of(draw, [0.5, 0, 0.5, 0.5, 0.5])
    assert [result.findings[0].since for result in results] == [
        START, None, START + 2 * DAY, START + 2 * DAY, START + 2 * DAY,
    ]  # fmt: skip
    assert results[4].findings[0].detail["changed_between"] == ["2026-03-03T00:00:00Z", "2026-03-05T00:00:00Z"]


def test_one_odd_window_is_shown_and_not_counted_when_two_of_three_are_asked_for(draw: np.random.Generator) -> None:
    results = run_of(draw, [0, 2.0, 0, 2.0, 0, 0], persistence=(2, 3))
    assert [result.status for result in results] == [
        Status.OK, Status.WARNING, Status.OK, Status.CRITICAL, Status.OK, Status.OK,
    ]  # fmt: skip
    odd, both = results[1], results[3]
    assert odd.numbers["drifted"] == 0
    assert odd.numbers["odd"] == 1
    assert odd.findings[0].message.endswith("not yet persistent")
    assert odd.summary == "none of 1 features drifted; in this window also x"
    assert both.numbers["drifted"] == 1


def test_a_state_of_two_of_three_outlasts_one_quiet_window(draw: np.random.Generator) -> None:
    results = run_of(draw, [0.5, 0.5, 0], persistence=(2, 3))
    last = results[-1].findings[0]
    assert last.status is Status.WARNING
    assert last.detail["drifted"] is False
    assert last.message.endswith("not in this window, but in enough of the last ones")
    assert last.since == START


# -- the answer -----------------------------------------------------------------------------------------------------


def test_the_result_is_plain_json(draw: np.random.Generator) -> None:
    reference = reference_of(profile({"c": np.full(500, 1.0), "e": [None] * 500, "s": ["a"] * 500}))
    result = check(reference, profile({"c": np.full(500, 2.0), "e": [None] * 500, "s": ["b"] * 500}))
    document = result.to_document()
    assert CheckResult.from_document(json.loads(json.dumps(document, allow_nan=False))) == result
    assert result.check is CheckKind.DRIFT


def test_rows_needed_are_about_as_many_as_find_it(draw: np.random.Generator) -> None:
    prepared = prepare_reference(reference_of(profile({"x": draw.normal(0, 1, 100_000)})))
    shown = check(prepared, profile({"x": np.linspace(-1.7, 1.7, 1_000) + 0.3})).findings[0].detail["rows_needed"]
    found = sum(check(prepared, profile({"x": draw.normal(0.3, 1, shown)})).status is not Status.OK for _ in range(60))
    assert found >= 44  # 95% by the effect that was seen, which is a little above the true one
    too_few = sum(
        check(prepared, profile({"x": draw.normal(0.3, 1, max(100, shown // 3))})).status is not Status.OK
        for _ in range(60)
    )
    assert too_few < 50
