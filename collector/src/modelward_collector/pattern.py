"""Regular expressions that are matched in time linear in the text, whatever the pattern.

Python's own matcher backtracks, so a pattern such as `(a+)+b` can hold a check for hours on a text of forty letters.
Here the pattern, parsed by Python, becomes an automaton without a stack, and what has none (back references, looking
around) is refused. Source: Thompson (1968), "Programming techniques: regular expression search algorithm".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

MAX_PATTERN = 1_000
MAX_STATES = 2_000
"""An automaton's size bounds the time of a letter; repeats such as {1,1000} are written out."""

_REMEMBERED = 4_096
"""Steps that are kept for the next text."""

Test = Callable[[str], bool]


class PatternError(ValueError):
    """The pattern cannot be used; the message says what is wrong with it and what to write."""


class Pattern:
    """A compiled pattern. `matches` is linear in the text; not thread-safe."""

    __slots__ = ("_accepting", "_automaton", "_first", "_steps", "text")

    def __init__(self, text: str) -> None:
        """Compile; `PatternError` for what is no regular expression, too long, or needs more than an automaton."""
        if len(text) > MAX_PATTERN:
            raise PatternError(f"is longer than {MAX_PATTERN} characters; write a shorter pattern")
        try:
            tree = parser.parse(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise PatternError(f"is not a regular expression ({error}); correct it, or write in_set") from error
        self.text = text
        self._automaton = _Automaton(_flags(tree.state.flags))
        try:
            self._accepting = self._automaton.add(tree, 0)
        except RecursionError as error:
            raise PatternError("has too many groups in one another; write it flatter") from error
        self._first = self._automaton.closure([0])
        self._steps: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def matches(self, text: str) -> bool:
        """Whether the whole text matches."""
        states = self._first
        for letter in text:
            key = (states, letter)
            following = self._steps.get(key)
            if following is None:
                if len(self._steps) >= _REMEMBERED:
                    self._steps.clear()
                following = self._steps[key] = self._automaton.step(states, letter)
            if not following:
                return False
            states = following
        return self._accepting in states


def _flags(flags: int) -> int:
    unusable = flags & (re.LOCALE | re.MULTILINE | re.VERBOSE | re.DEBUG)
    if unusable:
        raise PatternError("sets a flag that cannot be used here; of the flags only (?i), (?s) and (?a) can")
    return flags


class _Automaton:
    """States are numbers; from each there are empty moves, and at most one move on a letter that passes a test."""

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.empty: list[list[int]] = [[]]
        self.moves: list[tuple[Test, int] | None] = [None]

    def closure(self, states: Iterable[int]) -> frozenset[int]:
        """The states and all that empty moves lead to."""
        found = set(states)
        left = list(found)
        while left:
            for state in self.empty[left.pop()]:
                if state not in found:
                    found.add(state)
                    left.append(state)
        return frozenset(found)

    def step(self, states: frozenset[int], letter: str) -> frozenset[int]:
        """Where one letter leads."""
        moves = (self.moves[state] for state in states)
        return self.closure(move[1] for move in moves if move is not None and move[0](letter))

    def add(self, items: Iterable[tuple[Any, Any]], state: int) -> int:
        """Append the parsed items after the state; answers the state that they end in."""
        sequence = list(items)
        for place, (kind, value) in enumerate(sequence):
            if kind is constants.AT:
                # The whole text is matched, so its ends are where they should be or the pattern never matches.
                begins = value in (constants.AT_BEGINNING, constants.AT_BEGINNING_STRING)
                ends = value in (constants.AT_END, constants.AT_END_STRING)
                if (begins and state == 0 and place == 0) or (ends and place == len(sequence) - 1):
                    continue
                raise PatternError("has an anchor in its middle; the whole text is matched, so leave it out")
            state = self._add_one(kind, value, state)
        return state

    def _add_one(self, kind: Any, value: Any, state: int) -> int:
        if kind is constants.SUBPATTERN:
            _, added, removed, inner = value
            if added or removed:
                raise PatternError("sets a flag for a part of it; set it for all, for example (?i) at the beginning")
            return self.add(inner, state)
        if kind is constants.BRANCH:
            end = self._new()
            for branch in value[1]:
                begin = self._new()
                self.empty[state].append(begin)
                self.empty[self.add(branch, begin)].append(end)
            return end
        if kind in (constants.MAX_REPEAT, constants.MIN_REPEAT):
            fewest, most, inner = value
            return self._repeat(fewest, most, inner, state)
        test = _test(kind, value, self.flags)
        end = self._new()
        if self.moves[state] is not None:
            via = self._new()
            self.empty[state].append(via)
            state = via
        self.moves[state] = (test, end)
        return end

    def _repeat(self, fewest: int, most: Any, inner: Any, state: int) -> int:
        for _ in range(fewest):
            state = self.add(inner, state)
        end = self._new()
        if most is constants.MAXREPEAT:
            loop = self._new()
            self.empty[state].append(loop)
            begin = self._new()
            self.empty[loop] += [begin, end]
            self.empty[self.add(inner, begin)].append(loop)
            return end
        for _ in range(most - fewest):
            begin = self._new()
            self.empty[state] += [begin, end]
            state = self.add(inner, begin)
        self.empty[state].append(end)
        return end

    def _new(self) -> int:
        if len(self.moves) >= MAX_STATES:
            raise PatternError(f"needs more than {MAX_STATES} states; write smaller repeats, or + and *")
        self.moves.append(None)
        self.empty.append([])
        return len(self.moves) - 1


_SINGLE = (constants.LITERAL, constants.NOT_LITERAL, constants.IN, constants.ANY)


def _test(kind: Any, value: Any, flags: int) -> Test:
    """Whether one letter passes, by Python's own rules for it."""
    if kind not in _SINGLE:
        name = {
            constants.GROUPREF: "a back reference",
            constants.ASSERT: "a look ahead or behind",
            constants.ASSERT_NOT: "a look ahead or behind",
        }.get(kind, str(kind).lower())
        raise PatternError(f"uses {name}, which cannot be matched in bounded time; write it without")
    single = re.compile(_written(kind, value), flags & ~re.UNICODE)
    return lambda letter: single.match(letter) is not None


def _written(kind: Any, value: Any) -> str:
    if kind is constants.ANY:
        return "."
    if kind is constants.LITERAL:
        return re.escape(chr(value))
    if kind is constants.NOT_LITERAL:
        return f"[^{_in_class(chr(value))}]"
    return f"[{''.join(_member(*item) for item in value)}]"


def _member(kind: Any, value: Any) -> str:
    if kind is constants.NEGATE:
        return "^"
    if kind is constants.LITERAL:
        return _in_class(chr(value))
    if kind is constants.RANGE:
        return f"{_in_class(chr(value[0]))}-{_in_class(chr(value[1]))}"
    return _CATEGORIES[value]


def _in_class(letter: str) -> str:
    return "\\" + letter if letter in "\\]^-[&|~" else letter


_CATEGORIES: dict[Any, str] = {
    constants.CATEGORY_DIGIT: r"\d",
    constants.CATEGORY_NOT_DIGIT: r"\D",
    constants.CATEGORY_SPACE: r"\s",
    constants.CATEGORY_NOT_SPACE: r"\S",
    constants.CATEGORY_WORD: r"\w",
    constants.CATEGORY_NOT_WORD: r"\W",
}

__all__: Sequence[str] = ("Pattern", "PatternError")
