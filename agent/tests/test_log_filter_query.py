"""Queries and patterns over log entries: what they mean, and what is said of those that cannot be used."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelward_agent.logfilters.pattern import check_pattern
from modelward_agent.logfilters.query import LOOKED_AT, QueryError, parse

ENTRY: dict[str, Any] = {
    "kind": "log",
    "model": "fraud",
    "log.level": "error",
    "message": 'Upstream "pay" Timed Out after 3 s (attempt 2*2)',
    "error.type": "TimeoutError",
    "process.pid": 4242,
    "http": {"status": 503, "url.path": "/v1/score"},
    "tags": ["canary", "eu"],
    "retried": True,
}


@pytest.mark.parametrize(
    "query",
    [
        "log.level:error",
        "log.level:ERROR",
        "log.level:err",
        "log.level:*",
        "log.level:err*",
        "model:fraud AND log.level:error",
        "model:fraud and not log.level:info",
        "model:churn OR log.level:(warning OR error)",
        "NOT (model:churn OR model:risk)",
        'message:"timed out"',
        "message:upstream*after",
        "timed",
        '"timed out"',
        '"2*2"',
        r'message:"\"pay\""',
        "error.type:*Error",
        "error.type:Time*Err*",
        "process.pid:4242",
        "http.status:503",
        "http.url.path:/v1/score",
        "http.url.path:/v1*",
        "tags:eu",
        "retried:true",
        "model:churn AND model:risk OR model:fraud",
    ],
)
def test_it_means_the_entry(query: str) -> None:
    assert parse(query).matches(ENTRY)


@pytest.mark.parametrize(
    "query",
    [
        "log.level:warning",
        "log.level:errors*",
        "model:fra",
        "model:Fraud",
        "error.type:timeout*",
        'error.type:"*Error"',
        "error.type:TimeoutError*TimeoutError",
        "missing:*",
        "message:after*upstream",
        "NOT model:fraud",
        "model:fraud AND (log.level:info OR log.level:warning)",
        "http:503",
    ],
)
def test_it_does_not_mean_the_entry(query: str) -> None:
    assert not parse(query).matches(ENTRY)


def test_an_error_line_without_a_level_has_the_level_error() -> None:
    assert parse("log.level:error").matches({"kind": "error", "model": "fraud", "message": "it broke"})
    assert not parse("log.level:error").matches({"kind": "log", "message": "it broke"})


def test_a_level_is_the_same_under_all_its_names() -> None:
    for name in ("FATAL", "critical", "crit", "Emerg"):
        assert parse(f"log.level:{name}").matches({"kind": "log", "log.level": "critical"})


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "lacks a value at its end"),
        ("model:", "lacks a value at its end"),
        ("model: AND x", 'lacks a value at "AND" (character 8)'),
        ("(model:fraud", "lacks a closing parenthesis at its end"),
        ("model:fraud)", "closes a parenthesis that it did not open"),
        ("model:fraud timeout", 'two terms side by side, at "timeout" (character 13); write AND or OR'),
        ('message:"timed', "a quote at character 9 that does not end"),
        ("message:10:30", "has a colon too many"),
        ("model:(a b)", "lacks OR or a closing parenthesis"),
        ("x" * 2001, "has 2001 characters"),
        ("(" * 50 + "a" + ")" * 50, "nests more than 40 deep"),
        ("NOT " * 50 + "a", "nests more than 40 deep"),
    ],
)
def test_a_query_that_cannot_be_read_is_told_where(query: str, said: str) -> None:
    with pytest.raises(QueryError, match=re.escape(said)):
        parse(query)


@given(st.text(alphabet='ab:*()" \\ANDORT', max_size=40))
def test_any_text_is_a_query_or_a_query_error(text: str) -> None:
    try:
        query = parse(text)
    except QueryError:
        return
    assert query.matches(ENTRY) in (True, False)


@given(st.text(min_size=1).filter(lambda text: '"' not in text and "\\" not in text))
def test_a_quoted_value_means_itself(value: str) -> None:
    assert parse(f'tag:"{value}"').matches({"tag": value})
    assert not parse(f'tag:"{value}"').matches({"tag": value + "x"})


def test_of_a_text_of_a_megabyte_the_first_characters_are_looked_at() -> None:
    query = parse("message:*a*b*c*d*e*f*g")
    assert not query.matches({"message": "abcdef" * 200_000})
    assert not parse("message:needle").matches({"message": "x" * LOOKED_AT + "needle"})


@pytest.mark.parametrize("pattern", ["(a+)+", r"(\w*\s*)*x", r"((a|b)+,?){2,}", "(?:x*)+", r"(?P<n>[)]+)*"])
def test_a_pattern_that_repeats_a_repeat_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="can take forever"):
        check_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [r"(\w{1,40},)+", "(a+)b*", r"\(a+\)+", "[(a+]+x+", r"(a|b)+", r"(?i)time[d ]*out", r"[]+)]+", "a{2,}(b)+"],
)
def test_a_pattern_that_repeats_once_is_taken(pattern: str) -> None:
    assert check_pattern(pattern).pattern == pattern


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a regular expression"):
        check_pattern("(")
