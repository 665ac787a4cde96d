"""Charts as SVG text: what they draw, what they say, and what they do with nothing."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelward_collector.console.charts import (
    Axis,
    Cell,
    Column,
    Distribution,
    HeatRow,
    Line,
    Point,
    categories,
    columns,
    density,
    line_chart,
    sparkline,
)
from modelward_collector.console.charts.scale import Scale, floor_to, nice_range, nice_ticks, step_for, time_ticks
from modelward_collector.span import Span

START = datetime(2013, 3, 1, tzinfo=UTC)
WEEK = Span(START, START + timedelta(days=7))
HOSTILE = '<script>alert("x")</script> & größe'


def days(*values: float | None) -> list[Point]:
    return [Point(START + timedelta(days=index), value) for index, value in enumerate(values)]


def parsed(svg: object) -> ET.Element:
    assert svg is not None
    return ET.fromstring(str(svg))


def paths(svg: object, kind: str) -> list[str]:
    return [item.get("d", "") for item in parsed(svg).iter("path") if item.get("class") == kind]


def titles(svg: object) -> list[str]:
    return [item.text or "" for item in parsed(svg).iter("title")]


# -- scales ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "wanted", "ticks"),
    [
        (0, 100, 4, [0, 25, 50, 75, 100]),
        (0, 1, 4, [0, 0.25, 0.5, 0.75, 1]),
        (-3, 7, 4, [-2.5, 0, 2.5, 5]),
        (9.81, 9.84, 3, [9.81, 9.82, 9.83, 9.84]),
        (0, 1e12, 4, [0, 2.5e11, 5e11, 7.5e11, 1e12]),
        (0, 3e-7, 3, [0, 1e-7, 2e-7, 3e-7]),
    ],
)
def test_ticks_are_round_numbers_inside_the_range(low: float, high: float, wanted: int, ticks: list[float]) -> None:
    assert nice_ticks(low, high, wanted) == pytest.approx(ticks)


@given(
    st.floats(-1e12, 1e12, allow_nan=False),
    st.floats(1e-6, 1e12, allow_nan=False),
    st.integers(2, 8),
)
@settings(max_examples=100, deadline=None)
def test_ticks_are_few_ascending_and_never_outside(low: float, length: float, wanted: int) -> None:
    ticks = nice_ticks(low, low + length, wanted)
    assert len(ticks) <= 2 * wanted + 2
    assert ticks == sorted(ticks)
    slack = max(abs(low), length) * 1e-8
    assert all(low - slack <= tick <= low + length + slack for tick in ticks)


@pytest.mark.parametrize("ends", [(math.nan, 1.0), (0.0, math.inf), (-math.inf, math.inf), (2.0, 1.0)])
def test_ends_that_are_no_range_have_no_ticks(ends: tuple[float, float]) -> None:
    assert nice_ticks(*ends) == []


def test_a_single_value_gets_a_range_around_it() -> None:
    low, high = nice_range(5.0, 5.0)
    assert low < 5.0 < high
    assert nice_range(0.0, 0.0, zero=True)[0] == 0.0


def test_a_scale_holds_what_is_outside_at_its_ends() -> None:
    scale = Scale(10, 20)
    assert [scale.share(value) for value in (0, 10, 15, 20, 99)] == [0, 0, 0.5, 1, 1]
    assert Scale(3, 3).share(3) == 0.5


def test_steps_of_time_are_those_that_people_think_in() -> None:
    assert step_for(timedelta(days=1), 64) == timedelta(minutes=30)
    assert step_for(timedelta(days=30), 64) == timedelta(hours=12)
    assert step_for(timedelta(days=365), 64) == timedelta(days=7)


def test_weeks_begin_on_a_monday() -> None:
    assert floor_to(datetime(2013, 3, 14, 5, tzinfo=UTC), timedelta(days=7)) == datetime(2013, 3, 11, tzinfo=UTC)
    assert floor_to(datetime(2013, 3, 14, 5, 17, tzinfo=UTC), timedelta(hours=6)).hour == 0


def test_a_time_axis_names_the_year_only_where_it_is_not_the_current_one() -> None:
    assert [tick.label for tick in time_ticks(WEEK, year=2026)][:2] == ["2 Mar 2013", "4 Mar"]
    assert time_ticks(WEEK, year=2013)[0].label == "2 Mar"
    turn = Span(datetime(2012, 12, 30, tzinfo=UTC), datetime(2013, 1, 3, tzinfo=UTC))
    assert "1 Jan 2013" in [tick.label.replace(" 00:00", "") for tick in time_ticks(turn, year=2012)]


def test_a_year_has_months_on_its_axis_and_an_hour_has_minutes() -> None:
    year = Span(datetime(2013, 1, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC))
    assert [tick.label for tick in time_ticks(year, year=2013)][:3] == ["Jan", "Apr", "Jul"]
    hour = Span(START, START + timedelta(hours=1))
    labels = [tick.label for tick in time_ticks(hour, year=2013)]
    assert labels[0] == "1 Mar"
    assert labels[1] == "00:15"


def test_a_span_without_length_has_no_axis() -> None:
    assert time_ticks(Span(START, START), year=2013) == []


# -- lines ----------------------------------------------------------------------------------------------------------


def test_a_line_breaks_at_nan_and_at_a_gap_in_time() -> None:
    whole = line_chart([Line("a", days(1, 2, 3, 4))], label="x", span=WEEK, year=2013)
    broken = line_chart([Line("a", days(1, 2, math.nan, 3, 4))], label="x", span=WEEK, year=2013)
    late = [*days(1, 2), Point(START + timedelta(days=5), 3.0), Point(START + timedelta(days=6), 4.0)]
    gapped = line_chart([Line("a", late)], label="x", span=WEEK, year=2013, gap=timedelta(days=2))
    assert [len(paths(chart, "line current")) for chart in (whole, broken, gapped)] == [1, 2, 2]
    assert "nan" not in str(broken)


def test_a_single_point_is_a_dot_with_its_interval() -> None:
    chart = line_chart(
        [Line("mae", [Point(START + timedelta(days=3), 5.0, low=4.0, high=6.0)])], label="x", span=WEEK, year=2013
    )
    assert paths(chart, "line current") == []
    assert len([item for item in parsed(chart).iter("circle") if "point" in item.get("class", "")]) == 1
    assert len([item for item in parsed(chart).iter("line") if "whisker" in item.get("class", "")]) == 1


@pytest.mark.parametrize("values", [[], [math.nan], [None, None], [math.inf]])
def test_no_point_that_can_be_drawn_is_no_chart(values: list[float | None]) -> None:
    assert line_chart([Line("a", days(*values))], label="x", span=WEEK, year=2013) is None


def test_a_band_goes_there_on_its_upper_end_and_back_on_its_lower() -> None:
    points = [Point(START + timedelta(days=index), 5.0, low=4.0, high=6.0) for index in range(3)]
    (band,) = paths(line_chart([Line("a", points)], label="x", span=WEEK, year=2013), "band current")
    assert band.count("L") == 5
    assert band.endswith("Z")


def test_what_a_point_says_has_date_value_interval_and_note() -> None:
    points = [Point(START, 14.23, low=13.8, high=14.7, note="469 labels")]
    chart = line_chart([Line("MAE", points)], label="x", span=WEEK, year=2026)
    assert titles(chart) == ["1 Mar 2013 00:00\nMAE 14.2 (13.8 to 14.7), 469 labels"]


def test_a_threshold_is_inside_the_range_and_says_what_it_is() -> None:
    chart = line_chart([Line("a", days(1, 2))], label="x", span=WEEK, year=2013, thresholds=[(10, "at most 10")])
    assert "at most 10" in str(chart)
    (line,) = [item for item in parsed(chart).iter("line") if item.get("class") == "threshold"]
    assert float(line.get("y1", "-1")) >= 0


def test_a_threshold_is_named_where_the_line_is_far_from_it() -> None:
    rising = line_chart(
        [Line("a", days(1, 2, 3, 4, 5, 6, 7, 8))], label="x", span=WEEK, year=2013, thresholds=[(8, "b")]
    )
    falling = line_chart(
        [Line("a", days(8, 7, 6, 5, 4, 3, 2, 1))], label="x", span=WEEK, year=2013, thresholds=[(8, "b")]
    )
    assert 'class="threshold-label start"' in str(rising)
    assert 'class="threshold-label end"' in str(falling)


def test_no_errors_are_not_drawn_on_a_scale_up_to_all() -> None:
    chart = line_chart([Line("a", days(0, 0))], label="x", span=WEEK, year=2013, axis=Axis(zero=True, least=0.01))
    assert max(float(item.text or 0) for item in parsed(chart).iter("text") if item.get("class") == "tick end") == 0.01


def test_many_marks_do_not_hide_their_line() -> None:
    points = [Point(START + timedelta(hours=index), 1.0, flagged=True) for index in range(100)]
    chart = line_chart([Line("a", points)], label="x", span=WEEK, year=2013)
    marks = [item for item in parsed(chart).iter("circle") if "flagged" in item.get("class", "")]
    assert len(marks) == 100
    assert {item.get("r") for item in marks} == {"1.9"}


def test_names_at_the_ends_of_lines_do_not_meet() -> None:
    lines = [Line(name, days(1, 2, 3 + offset)) for name, offset in (("v1", 0.0), ("v2", 0.01), ("v3", 0.02))]
    chart = line_chart(lines, label="x", span=WEEK, year=2013, named=True)
    heights = sorted(
        float(item.get("y", "0")) for item in parsed(chart).iter("text") if "line-name" in item.get("class", "")
    )
    assert len(heights) == 3
    assert all(below - above >= 13 for above, below in pairwise(heights))


def test_a_thousand_points_are_one_path_and_a_pointer_full_of_places_flagged_ones_kept() -> None:
    span = Span(START, START + timedelta(hours=1000))
    points = [Point(START + timedelta(hours=index), 1.0 + index % 7, flagged=index == 501) for index in range(1000)]
    chart = line_chart([Line("a", points)], label="x", span=span, year=2013)
    assert len(paths(chart, "line current")) == 1
    said = titles(chart)
    assert len(said) <= 121
    assert any("21 Mar 21:00" in text for text in said)


def test_nothing_that_is_drawn_can_be_markup() -> None:
    line = Line(HOSTILE, [Point(START, 1.0, note=HOSTILE, href='/r/"onload="x')])
    charts = [
        line_chart([line], label=HOSTILE, span=WEEK, year=2013, thresholds=[(1, HOSTILE)], named=True),
        categories(Distribution([0.5], [1.0], names=[HOSTILE]), label=HOSTILE),
        HeatRow([Cell(0, 0.5, True, '/r/"x', HOSTILE)], 3).draw(HOSTILE),
        columns([Column(WEEK, 3, note=HOSTILE)], label=HOSTILE, span=WEEK, year=2013, unit=HOSTILE),
        sparkline([1, 2], label=HOSTILE),
    ]
    for chart in charts:
        assert "<script" not in str(chart)
        assert parsed(chart).get("aria-label") == HOSTILE
        assert not [item for item in parsed(chart).iter() if "onload" in item.attrib]


def test_every_chart_has_a_role_a_label_and_no_style_of_its_own() -> None:
    charts = [
        line_chart([Line("a", days(1, 2))], label="what it shows", span=WEEK, year=2013),
        density(Distribution([0.5, 0.5], [0.2, 0.8], edges=[0, 1, 2]), label="what it shows"),
        columns([Column(WEEK, 3)], label="what it shows", span=WEEK, year=2013, unit="rows"),
        sparkline([1, 2, 3], label="what it shows"),
    ]
    for chart in charts:
        root = parsed(chart)
        assert (root.get("role"), root.get("aria-label")) == ("img", "what it shows")
        assert "style=" not in str(chart)


# -- distributions --------------------------------------------------------------------------------------------------


def test_two_histograms_lie_over_each_other_on_one_scale() -> None:
    chart = density(Distribution([0.25, 0.75], [0.75, 0.25], edges=[0, 1, 2]), label="x")
    (reference,), (current,) = paths(chart, "line reference"), paths(chart, "line current")
    heights = [re.findall(r"V([\d.]+)", path) for path in (reference, current)]
    assert heights[0][0] == heights[1][1]
    assert heights[0][1] == heights[1][0]
    assert titles(chart)[0] == "0 to 1\nnow 75\u202f%\nreference 25\u202f%"


def test_bins_of_unequal_width_are_drawn_by_density() -> None:
    chart = density(Distribution([0.5, 0.5], [0.5, 0.5], edges=[0, 1, 11]), label="x")
    first, second = (float(value) for value in re.findall(r"V([\d.]+)", paths(chart, "line current")[0])[:2])
    bottom = float(paths(chart, "line current")[0].split("V")[0].split()[-1])
    assert (bottom - first) == pytest.approx(10 * (bottom - second), rel=0.05)


@pytest.mark.parametrize(
    "shown",
    [
        Distribution([0, 0], [0, 0], edges=[0, 1, 2]),
        Distribution([], [], edges=[]),
        Distribution([0.5], [0.5], edges=[0, math.inf]),
    ],
)
def test_nothing_to_compare_is_no_chart(shown: Distribution) -> None:
    assert density(shown, label="x") is None


def test_many_categories_are_summed_in_a_last_pair() -> None:
    names = [f"c{index}" for index in range(30)]
    chart = categories(Distribution([1 / 30] * 30, [1 / 30] * 30, names=names), label="x", most=10)
    assert len(titles(chart)) == 11
    assert titles(chart)[-1].startswith("20 more\nnow 66.7")


def test_a_small_picture_shows_what_changed_most() -> None:
    shown = Distribution([0.9, 0.1, 0.0], [0.9, 0.0, 0.1], names=["same", "gone", "new"])
    chart = categories(shown, label="x", most=1, small=True)
    assert titles(chart)[0].split("\n")[0] in ("gone", "new")


# -- heatmap, columns, sparkline ------------------------------------------------------------------------------------


def test_a_cell_leads_to_its_result_and_only_flagged_ones_are_marked() -> None:
    row = HeatRow([Cell(0, 0.2, False, "/results/a", "quiet"), Cell(2, 0.99, True, "/results/b", "drifting")], 3)
    strip = parsed(row.draw("Drift of x"))
    assert [item.get("href") for item in strip.iter("a")] == ["/results/a", "/results/b"]
    assert [item.get("class") for item in strip.iter("rect")] == ["q1", "f4"]
    assert len([item for item in strip.iter("path") if item.get("class") == "mark"]) == 1
    assert {item.get("tabindex") for item in strip.iter("a")} == {"-1"}


def test_no_rows_at_all_is_no_chart() -> None:
    assert columns([Column(WEEK, 0)], label="x", span=WEEK, year=2013, unit="rows") is None
    assert columns([], label="x", span=WEEK, year=2013, unit="rows") is None


def test_a_column_says_its_span_and_its_amount() -> None:
    day = Span(START, START + timedelta(days=1))
    chart = columns([Column(day, 1_234_567)], label="x", span=WEEK, year=2013, unit="rows")
    assert titles(chart) == ["1 Mar\n1.2\u202fM rows"]


@pytest.mark.parametrize("values", [[], [0, 0], [5], [1, math.nan, 3]])
def test_a_sparkline_draws_anything(values: list[float]) -> None:
    drawn = str(sparkline(values, label="x"))
    assert "nan" not in drawn
    parsed(drawn)


def test_an_axis_writes_its_values_as_told() -> None:
    chart = line_chart(
        [Line("a", days(0.1, 0.2))], label="x", span=WEEK, year=2013, axis=Axis(text=lambda value: f"<{value:.2f}>")
    )
    assert "&lt;0.10&gt;" in str(chart)
