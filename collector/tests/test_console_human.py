"""Numbers, times and lengths as people read them; names as addresses."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelward_collector.console import human
from modelward_collector.console.links import Links, part, part_name

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
THIN = "\u202f"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (950, "950"), (1_234, f"1.2{THIN}k"), (12_400, f"12.4{THIN}k"), (1_234_567, f"1.2{THIN}M"),
     (123_456_789, f"123{THIN}M"), (999_999, f"1{THIN}M"), (3e9, f"3{THIN}G"), (None, "–"), (math.nan, "–")],
)  # fmt: skip
def test_counts(value: float | None, text: str) -> None:
    assert human.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (14.234, "14.2"), (0.01234, "0.0123"), (1234.5, f"1{THIN}234"), (-2.5, "−2.5"), (1e-7, "1.00e−7"),
     (12_345_678, "1.23e7"), (math.inf, "∞"), (math.nan, "–"), (None, "–")],
)  # fmt: skip
def test_numbers_have_three_digits_that_matter(value: float | None, text: str) -> None:
    assert human.number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.125, f"12.5{THIN}%"), (0, f"0{THIN}%"), (1, f"100{THIN}%"), (1e-6, f"<0.1{THIN}%"), (0.99999, f">99.9{THIN}%")],
)
def test_what_is_not_nothing_is_not_shown_as_nothing(share: float, text: str) -> None:
    assert human.percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.42, f"0.42{THIN}ms"), (3.42, f"3.4{THIN}ms"), (250, f"250{THIN}ms"), (1_500, f"1.5{THIN}s"),
     (90_000, f"1.5{THIN}min")],
)  # fmt: skip
def test_milliseconds(value: float, text: str) -> None:
    assert human.milliseconds(value) == text


def test_scores_sizes_and_p_values() -> None:
    assert [human.score(value) for value in (0.4627, 0.025, 0, None)] == ["0.46", "0.025", "0", "–"]
    assert human.data_size(18_400) == f"18.4{THIN}kB"
    assert [human.p_value(value) for value in (0.5, 0.004, 2.6e-4, 1e-30, None)] == [
        "0.5", "0.004", "2.6e−4", "<1e−10", "–",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("distance", "text"),
    [(timedelta(seconds=1), "just now"), (timedelta(seconds=42), f"42{THIN}s ago"),
     (timedelta(minutes=5), f"5{THIN}min ago"), (timedelta(hours=30), f"30{THIN}h ago"),
     (timedelta(days=9), f"9{THIN}d ago"),
     (-timedelta(hours=2), f"in 2{THIN}h")],
)  # fmt: skip
def test_how_long_ago(distance: timedelta, text: str) -> None:
    assert human.ago(NOON - distance, NOON) == text


def test_dates_name_a_year_that_is_not_the_current_one() -> None:
    assert human.date(NOON, 2026) == "14 Mar"
    assert human.moment(NOON, 2027) == "14 Mar 2026 12:00"
    assert human.ago(None, NOON) == "never"


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        ("2026-03-14T10:00", "2026-03-14T11:00", "14 Mar 10:00 to 11:00"),
        ("2026-03-14T00:00", "2026-03-15T00:00", "14 Mar"),
        ("2026-03-01T00:00", "2026-04-01T00:00", "1 to 31 Mar"),
        ("2026-02-01T00:00", "2026-04-01T00:00", "1 Feb to 31 Mar"),
        ("2026-03-13T12:00", "2026-03-14T12:00", "13 Mar 12:00 to 14 Mar 12:00"),
    ],
)
def test_a_span_says_nothing_twice(start: str, end: str, text: str) -> None:
    first, last = (datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in (start, end))
    assert human.span(first, last, 2026) == text


def test_long_names_lose_their_middle() -> None:
    assert human.short("a" * 300, 20) == "a" * 12 + "…" + "a" * 7
    assert human.short("short") == "short"


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_name_is_one_part_of_a_path_and_comes_back(name: str) -> None:
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in name):
        return
    written = part(name)
    assert written not in ("", ".", "..")
    assert "/" not in unquote(written)
    assert part_name(unquote(written)) == name


@pytest.mark.parametrize("name", ["..", ".", "", "~", "~1", "a/b", "a b?c#d&e%20", "größe", "x" * 200])
def test_names_that_have_broken_addresses_before(name: str) -> None:
    address = Links("/modelward").feature("m", name, window="7d", result="")
    assert address.startswith("/modelward/models/m/features/")
    path, query = address.split("?")
    assert query == "window=7d"
    assert part_name(unquote(path.rsplit("/", 1)[1])) == name
