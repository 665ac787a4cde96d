"""A small query over a log entry's fields: `log.level:error AND NOT message:"timed out"`.

Terms are `field:value`, or a value alone, which is looked for in the message. AND, OR, NOT and parentheses put them
together; `field:(a OR b)` is short for two terms. `*` stands for any characters, `field:*` for any value; in quotes
everything is literal. A value is a whole field's value, except in `message`, `error.message` and `error.stack_trace`,
which need only contain it, in upper or lower case. Levels are the same under all their names: `ERROR`, `err`, `error`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from modelward_agent.journal.loglevel import level_of_value

LOOKED_AT: Final = 2048
"""Characters of a text that are looked at: what a filter costs is bounded whatever a line holds."""

LONGEST: Final = 2000
"""Characters of a query."""

DEEPEST: Final = 40
"""Parentheses and NOTs within each other."""

LEVEL: Final = "log.level"
_TEXTS: Final = frozenset({"message", "error.message", "error.stack_trace"})
_TOKEN: Final = re.compile(r'\s*(?:(?P<sign>[():])|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>[^\s():"]+)|(?P<bad>\S))')
_WORDS: Final = frozenset({"and", "or", "not"})


class QueryError(ValueError):
    """The query cannot be read; the message says where and how to write it."""


class Query(Protocol):
    """A part of a query."""

    def matches(self, document: Mapping[str, Any]) -> bool:
        """Whether the entry is meant."""


@dataclass(frozen=True, slots=True)
class Term:
    """`field:value`; `pieces` are what stands between the asterisks, lower-cased where case does not matter."""

    field: str
    pieces: tuple[str, ...]

    def matches(self, document: Mapping[str, Any]) -> bool:
        """Whether the field has the value; of a list, whether any of its values is."""
        value = field_of(document, self.field)
        if type(value) is list:
            return any(self._is(one) for one in value)
        return self._is(value)

    def _is(self, value: Any) -> bool:
        text = _text(value)
        if text is None:
            return False
        if self.field == LEVEL:
            text = level_of_value(value) or text.lower()
        elif self.field in _TEXTS:
            return _follow_each_other(self.pieces, text[:LOOKED_AT].lower())
        return _covers(self.pieces, text[:LOOKED_AT])


@dataclass(frozen=True, slots=True)
class Not:
    """All that the part does not mean."""

    part: Query

    def matches(self, document: Mapping[str, Any]) -> bool:
        """Whether the part does not match."""
        return not self.part.matches(document)


@dataclass(frozen=True, slots=True)
class All:
    """What every part means."""

    parts: tuple[Query, ...]

    def matches(self, document: Mapping[str, Any]) -> bool:
        """Whether all parts match."""
        return all(part.matches(document) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Either:
    """What at least one part means."""

    parts: tuple[Query, ...]

    def matches(self, document: Mapping[str, Any]) -> bool:
        """Whether some part matches."""
        return any(part.matches(document) for part in self.parts)


def field_of(document: Mapping[str, Any], name: str) -> Any:
    """A field by its dotted name, whether the document nests it or not; None when it has none.

    An `error` line says with its kind what its level is.
    """
    value = _walk(document, name)
    if value is None and name == LEVEL and document.get("kind") == "error":
        return "error"
    return value


def _walk(document: Mapping[str, Any], name: str) -> Any:
    value = document.get(name)
    if value is not None:
        return value
    head, dot, rest = name.partition(".")
    while dot:
        inner = document.get(head)
        if isinstance(inner, dict) and (value := _walk(inner, rest)) is not None:
            return value
        more, dot, rest = rest.partition(".")
        head = f"{head}.{more}"
    return None


def _text(value: Any) -> str | None:
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    return str(value) if type(value) is int or type(value) is float else None


def _follow_each_other(pieces: tuple[str, ...], text: str) -> bool:
    position = 0
    for piece in pieces:
        found = text.find(piece, position)
        if found < 0:
            return False
        position = found + len(piece)
    return True


def _covers(pieces: tuple[str, ...], text: str) -> bool:
    if len(pieces) == 1:
        return text == pieces[0]
    first, last = pieces[0], pieces[-1]
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    return _follow_each_other(pieces[1:-1], text[len(first) : len(text) - len(last)])


# -- reading ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Token:
    at: int
    text: str
    quoted: bool = False

    def sign(self, sign: str) -> bool:
        return not self.quoted and self.text == sign

    def word(self, word: str) -> bool:
        return not self.quoted and self.text.lower() == word


def parse(text: str) -> Query:
    """The query's tree. `QueryError` when it is none."""
    if len(text) > LONGEST:
        raise QueryError(f"has {len(text)} characters; write at most {LONGEST}")
    parser = _Parser(list(_tokens(text)), len(text))
    query = parser.either(0)
    parser.expect_end()
    return query


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while match := _TOKEN.match(text, at):
        at = match.end()
        kind = str(match.lastgroup)
        start = match.start(kind)
        if kind == "bad":
            raise QueryError(f"has a quote at character {start + 1} that does not end; close it")
        if kind == "quoted":
            yield _Token(start, re.sub(r"\\(.)", r"\1", match[kind], flags=re.DOTALL), quoted=True)
        else:
            yield _Token(start, match[kind])


class _Parser:
    def __init__(self, tokens: list[_Token], length: int) -> None:
        self._tokens = tokens
        self._next = 0
        self._length = length

    def _peek(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _take(self, sign: str) -> bool:
        token = self._peek()
        if token is None or not (token.word(sign) if sign in _WORDS else token.sign(sign)):
            return False
        self._next += 1
        return True

    def _where(self) -> str:
        token = self._peek()
        return "at its end" if token is None else f'at "{token.text}" (character {token.at + 1})'

    def expect_end(self) -> None:
        if self._peek() is None:
            return
        if self._take(")"):
            self._next -= 1
            raise QueryError(f"closes a parenthesis that it did not open, {self._where()}; remove it")
        if self._take(":"):
            self._next -= 1
            raise QueryError(f'has a colon too many, {self._where()}; write a value with colons in quotes: "10:30"')
        raise QueryError(f"has two terms side by side, {self._where()}; write AND or OR between them")

    def either(self, depth: int) -> Query:
        parts = [self._both(depth)]
        while self._take("or"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self, depth: int) -> Query:
        parts = [self._one(depth)]
        while self._take("and"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self, depth: int) -> Query:
        if depth > DEEPEST:
            raise QueryError(f"nests more than {DEEPEST} deep; write it flatter")
        if self._take("not"):
            return Not(self._one(depth + 1))
        if self._take("("):
            inner = self.either(depth + 1)
            if not self._take(")"):
                raise QueryError(f"lacks a closing parenthesis {self._where()}; add it")
            return inner
        name = self._value()
        if not self._take(":"):
            return _term("message", name)
        if self._take("("):
            values = [self._value()]
            while self._take("or"):
                values.append(self._value())
            if not self._take(")"):
                raise QueryError(f"lacks OR or a closing parenthesis {self._where()}; write field:(one OR other)")
            return Either(tuple(_term(name.text, value) for value in values))
        return _term(name.text, self._value())

    def _value(self) -> _Token:
        token = self._peek()
        if token is None or (not token.quoted and (token.text in ("(", ")", ":") or token.text.lower() in _WORDS)):
            raise QueryError(f"lacks a value {self._where()}; write for example log.level:error AND model:fraud")
        self._next += 1
        return token


def _term(field: str, value: _Token) -> Term:
    pieces = (value.text,) if value.quoted else tuple(value.text.split("*"))
    if field == LEVEL:
        pieces = (level_of_value(pieces[0]) or "",) if len(pieces) == 1 else tuple(piece.lower() for piece in pieces)
    elif field in _TEXTS:
        pieces = tuple(piece.lower() for piece in pieces)
    return Term(field, pieces)
