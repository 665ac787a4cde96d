"""The part of Kibana's query language that the dashboards use, as Elasticsearch's queries.

`field: value`, `field: (a or b)`, `field: *`, `field > 1`, `and`, `or`, `not`, parentheses; quotes make a phrase.
Kibana translates in the same way, so what is proven on Elasticsearch holds for Kibana.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from kibana.mapping import DATES, NUMERIC, FieldTypes

Query = dict[str, Any]

_TOKEN: Final = re.compile(r'\s*(?:(?P<sign>[():]|[<>]=?)|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>[^\s():"<>]+))')
_RANGES: Final = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
EVERYTHING: Final[Mapping[str, Any]] = {"match_all": {}}


class KqlError(ValueError):
    """The query cannot be read, or names a field that the index does not have."""


def to_query(text: str, fields: FieldTypes) -> Query:
    """The query for an index of these fields; everything for an empty one. `KqlError` when it is none."""
    tokens: list[str] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise KqlError(f"{text!r} cannot be read at {text[at:]!r}")
        at = match.end()
        tokens.append(f'"{match["quoted"]}' if match["quoted"] is not None else match["sign"] or match["word"])
    if not tokens:
        return dict(EVERYTHING)
    reader = _Reader(text, tokens, fields)
    query = reader.either()
    if reader.tokens:
        raise KqlError(f"{text!r} goes on with {reader.tokens[0]!r}")
    return query


class _Reader:
    def __init__(self, text: str, tokens: list[str], fields: FieldTypes) -> None:
        self.text = text
        self.tokens = tokens
        self.fields = fields

    def _take(self, *words: str) -> bool:
        if self.tokens and self.tokens[0].lower() in words:
            self.tokens.pop(0)
            return True
        return False

    def _next(self) -> str:
        if not self.tokens:
            raise KqlError(f"{self.text!r} ends too early")
        return self.tokens.pop(0)

    def either(self) -> Query:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else _any(parts)

    def _both(self) -> Query:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else {"bool": {"filter": parts}}

    def _one(self) -> Query:
        if self._take("not"):
            return {"bool": {"must_not": [self._one()]}}
        if self._take("("):
            inner = self.either()
            self._close()
            return inner
        field = self._next()
        sign = self._next()
        if sign in _RANGES:
            if self._type(field) not in NUMERIC | DATES:
                raise KqlError(f"{self.text!r} compares {field!r}, which is neither a number nor a date")
            return {"range": {field: {_RANGES[sign]: self._next()}}}
        if sign != ":":
            raise KqlError(f"{self.text!r} lacks a colon after {field!r}")
        if not self._take("("):
            return self._term(field, self._next())
        terms = [self._term(field, self._next())]
        while self._take("or"):
            terms.append(self._term(field, self._next()))
        self._close()
        return _any(terms)

    def _close(self) -> None:
        if not self._take(")"):
            raise KqlError(f"{self.text!r} lacks a closing parenthesis")

    def _type(self, field: str) -> str:
        kind = self.fields.type_of(field)
        if kind is None:
            raise KqlError(f"{self.text!r} names {field!r}, which is no field of {self.fields.name}")
        return kind

    def _term(self, field: str, value: str) -> Query:
        kind = self._type(field)
        if value == "*":
            return {"exists": {"field": field}}
        literal = value.removeprefix('"')
        if kind == "text":
            return {"match_phrase" if value.startswith('"') else "match": {field: literal}}
        if kind in NUMERIC:
            return {"term": {field: float(literal)}}
        if "*" in literal and not value.startswith('"'):
            return {"wildcard": {field: {"value": literal}}}
        return {"term": {field: literal}}


def _any(parts: list[Query]) -> Query:
    return {"bool": {"should": parts, "minimum_should_match": 1}}
