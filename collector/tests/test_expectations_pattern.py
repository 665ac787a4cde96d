"""Patterns match as Python's do, and in time linear in the text."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelward_collector.pattern import Pattern, PatternError

letters = st.sampled_from("ab1-_ é\n")
atoms = st.sampled_from(
    ["a", "b", "1", ".", r"\d", r"\w", r"\s", r"\S", "[ab]", "[^a]", "[a-b1]", r"\-", r"[\d_]", "é"]
)
patterns = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "*?"])).map(
            lambda two: f"(?:{two[0]}){two[1]}"
        ),
        inner.map(lambda one: f"({one})"),
    ),
    max_leaves=6,
)


@given(patterns, st.lists(st.text(letters, max_size=8), max_size=6), st.sampled_from(["", "(?i)", "(?s)", "(?a)"]))
@settings(max_examples=300, deadline=None)
def test_a_text_matches_when_python_says_that_all_of_it_does(pattern: str, texts: list[str], flags: str) -> None:
    mine, theirs = Pattern(flags + pattern), re.compile(flags + pattern)
    for text in texts:
        assert mine.matches(text) == (theirs.fullmatch(text) is not None), text


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "(a|aa)+b", "a*a*a*a*a*b", "(a?){40}a{40}b", "(.*)*b"])
def test_no_pattern_holds_a_check_up(pattern: str) -> None:
    begun = time.perf_counter()
    assert not Pattern(pattern).matches("a" * 10_000)
    assert time.perf_counter() - begun < 5.0  # backtracking would take years


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (r"(a)\1", "a back reference"),
        ("(?=a)b", "a look ahead or behind"),
        ("(?<!a)b", "a look ahead or behind"),
        ("a{1,5000}", "more than 2000 states"),
        ("((a{99}){99}){99}", "more than 2000 states"),
        ("(", "not a regular expression"),
        ("a^b", "an anchor in its middle"),
        (r"\bword", "an anchor in its middle"),
        ("(?x)a b", "a flag"),
        ("a" * 1_001, "longer than 1000 characters"),
    ],
)
def test_what_needs_more_than_an_automaton_is_refused(pattern: str, said: str) -> None:
    with pytest.raises(PatternError, match=re.escape(said)):
        Pattern(pattern)


def test_groups_in_groups_are_matched_or_refused_and_never_crash() -> None:
    for depth in (10, 100, 300, 490):
        try:
            assert Pattern("(" * depth + "a" + ")" * depth).matches("a")
        except PatternError:
            assert depth > 100


def test_anchors_at_the_ends_say_what_holds_anyway() -> None:
    assert Pattern("^[A-Z]{2}$").matches("DE")
    assert not Pattern("^[A-Z]{2}$").matches("DE\n")
    assert not Pattern("^[A-Z]{2}").matches("DEU")
