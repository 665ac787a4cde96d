"""What is wrong with a YAML file, for the person who wrote it: where, in whose words, and what to write instead.

PyYAML names the token that it could not go on with. What people did is mostly one of a dozen things, and mostly before
that token: a cron expression without quotes, a tab, a colon without a blank.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import yaml

_SHOWN = 60
"""Characters of a value that are shown."""

_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_ITEM = re.compile(r"\s*(?:- +)*")
_KEY = re.compile(r"""(?:'[^']*'|"[^"]*"|[^\s'"\[{:#][^:#]*?)\s*:\s+(?=\S)""")
_UNSPACED = re.compile(r"(?P<key>[A-Za-z_][\w.-]*):[^\S \t]*(?P<value>[^\s:/\\].*)$")
"""`key:value`, or with what only looks like a blank; not a URL, a path or a class of C++."""

_MEANINGS = {
    "*": "means a reference",
    "&": "means a name for what follows",
    "!": "means a type",
    "@": "is reserved",
    "`": "is reserved",
    "%": "means a directive",
    "?": "means a key",
    "|": "means a text on the lines below",
    ">": "means a text on the lines below",
}
"""What YAML takes the first character of a value for."""


@dataclass(frozen=True, slots=True)
class _Problem:
    """`line` and `column` count from 0; `said` has what is wrong and, after a semicolon, what to do."""

    line: int
    column: int
    said: str


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the text PyYAML stopped, and where what it was reading began."""

    lines: list[str]
    line: int
    column: int
    start_line: int
    start_column: int
    problem: str
    context: str

    def at(self, line: int) -> str:
        """That line, "" beyond the last."""
        return self.lines[line] if 0 <= line < len(self.lines) else ""

    @property
    def here(self) -> str:
        """The line where it stopped."""
        return self.at(self.line)

    @property
    def before(self) -> int:
        """The number of the last line before it that says something, -1 for none."""
        numbers = range(self.line - 1, -1, -1)
        return next((n for n in numbers if self.at(n).strip() and not self.at(n).lstrip().startswith("#")), -1)


def explained(text: str, error: yaml.YAMLError) -> tuple[str, str]:
    """Where in the file it is, and what is wrong and to be done, of an error that reading the text raised."""
    problem = _found(text, error)
    return f"line {problem.line + 1}, column {problem.column + 1}", problem.said


def unspaced(text: str) -> str | None:
    """What `key:value` should be, `key: value`; None of any other text."""
    found = _UNSPACED.match(text)
    return f"{found['key']}: {found['value']}" if found else None


def _found(text: str, error: yaml.YAMLError) -> _Problem:
    lines = _BREAK.split(text)
    if isinstance(error, yaml.reader.ReaderError):
        before = _BREAK.split(text[: error.position])
        character = f"the character U+{ord(text[error.position]):04X}"
        return _Problem(len(before) - 1, len(before[-1]), f"{character} may not be in it; remove it")
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or str(error).splitlines()[0])
    if mark is None:
        return _Problem(0, 0, f"{problem}; correct it")
    start = getattr(error, "context_mark", None) or mark
    context = str(getattr(error, "context", None) or "")
    place = _Place(lines, mark.line, mark.column, start.line, start.column, problem, context)
    for rule in _RULES:
        if (known := rule(place)) is not None:
            return known
    return _Problem(place.line, place.column, f"{problem}; correct that line")


# -- what people did ------------------------------------------------------------------------------------------------


def _told(place: _Place) -> _Problem | None:
    """What the loader itself refuses comes with what to do."""
    return _Problem(place.line, place.column, place.problem) if "; " in place.problem else None


def _indented_by_other_than_blanks(place: _Place) -> _Problem | None:
    line = place.here
    indent = line[: len(line) - len(line.lstrip())]
    for column, character in enumerate(indent):
        if character != " ":
            name = "a tab" if character == "\t" else f"U+{ord(character):04X}, which looks like a blank"
            return _Problem(place.line, column, f"the line is indented by {name}; indent it by blanks")
    if line[place.column : place.column + 1] == "\t":
        return _Problem(place.line, place.column, "there is a tab before the value; write a blank instead")
    return None


def _begins_with_what_means_something(place: _Place) -> _Problem | None:
    for number, column in ((place.start_line, place.start_column), (place.line, place.column)):
        line = place.at(number)
        character = line[column : column + 1]
        if character in _MEANINGS and _begins_a_value(line, column):
            value = _value_from(line, column)
            meaning = f'"{_short(value)}" begins with {character}, which {_MEANINGS[character]} in YAML'
            return _Problem(number, column, f"{meaning}; put it in quotes: {_quoted(value)}")
    return None


def _of_no_type(place: _Place) -> _Problem | None:
    if not place.problem.startswith("could not determine a constructor"):
        return None
    value = _value_from(place.here, place.column)
    said = f'"{_short(value)}" has a meaning of its own in YAML; put it in quotes: {_quoted(value)}'
    return _Problem(place.line, place.column, said)


def _twice(place: _Place) -> _Problem | None:
    if place.problem.endswith("is given twice"):
        return _Problem(place.line, place.column, f"{place.problem}; remove one of the two")
    return None


def _open_quote(place: _Place) -> _Problem | None:
    if "quoted scalar" not in place.context or "unknown escape" in place.problem:
        return None
    quote = place.at(place.start_line)[place.start_column : place.start_column + 1]
    return _Problem(
        place.start_line,
        place.start_column,
        f"the text that begins here with {quote} does not end; close it with {quote}",
    )


def _escape(place: _Place) -> _Problem | None:
    if "unknown escape" not in place.problem:
        return None
    letter = place.here[place.column : place.column + 1]
    advice = f"put it in single quotes, where a backslash is only a backslash, or write \\\\{letter}"
    return _Problem(place.line, max(0, place.column - 1), f'\\{letter} means nothing in "…"; {advice}')


def _after_the_end(place: _Place) -> _Problem | None:
    """Text that goes on after a closing quote or bracket."""
    if place.problem != "expected <block end>, but found '<scalar>'":
        return None
    column = _value_column(place.here)
    first = place.here[column : column + 1]
    if first in ("'", '"') and column < place.column:
        what = f"the text goes on after its closing {first}"
        advice = "put all of it in one pair of quotes, and write '' for a ' within '…', \\\" for a \" within \"…\""
        return _Problem(place.line, place.column, f"{what}; {advice}")
    if first in ("[", "{") and column < place.column:
        value = _value_from(place.here, column)
        said = f'"{_short(value)}" begins with {first}, which means a list, or keys, in YAML'
        return _Problem(place.line, column, f"{said}; put text in quotes: {_quoted(value)}")
    return None


def _no_blank_after_the_colon(place: _Place) -> _Problem | None:
    """On the line where the key began, or on the one before the line whose colon came as a surprise."""
    if place.problem not in ("could not find expected ':'", "mapping values are not allowed here"):
        return None
    for number in (place.start_line, place.before):
        column = _item(place.at(number))
        if (better := unspaced(place.at(number)[column:])) is not None:
            return _Problem(number, column, f"there is no blank after the colon; write {_short(better)}")
    if place.problem == "could not find expected ':'":
        word = _short(place.at(place.start_line).strip())
        return _Problem(place.start_line, place.start_column, f'"{word}" has no colon; write for example key: value')
    return None


def _colon_in_a_value(place: _Place) -> _Problem | None:
    if place.problem != "mapping values are not allowed here":
        return None
    column = _value_column(place.here)
    if column < place.column and place.here[column - 1 : column] == " " and ":" in place.here[:column]:
        value = _value_from(place.here, column)
        said = f'the value "{_short(value)}" has a colon and a blank in it; put it in quotes: {_quoted(value)}'
        return _Problem(place.line, column, said)
    return None


def _indented_too_far(place: _Place) -> _Problem | None:
    if place.problem != "mapping values are not allowed here" or place.before < 0:
        return None
    before = place.at(place.before)
    mine = _indent(place.here)
    if mine <= _indent(before):
        return None
    advice = f"begin it in column {_item(before) + 1}, as that one, or let that line end with its colon"
    said = f"the line is indented further than line {place.before + 1}, which has a value of its own; {advice}"
    return _Problem(place.line, mine, said)


def _indented_like_nothing(place: _Place) -> _Problem | None:
    if not place.problem.startswith("expected <block end>, but found '"):
        return None
    mine = _indent(place.here)
    above = {_indent(place.at(number)) for number in range(place.start_line, place.line) if place.at(number).strip()}
    columns = " or ".join(str(indent + 1) for indent in sorted(above))
    if mine in above:
        what = "keys and items of a list (-) are mixed on one level"
        return _Problem(place.line, mine, f"{what}; indent what belongs to a key further than the key")
    return _Problem(
        place.line,
        mine,
        f"the line begins in column {mine + 1}, and those that it may belong to in {columns}; align it",
    )


def _brackets(place: _Place) -> _Problem | None:
    if "flow" not in place.context and "flow" not in place.problem:
        return None
    line, column = place.start_line, place.start_column
    opened = place.at(line)[column : column + 1]
    if opened not in ("[", "{"):  # of an empty one PyYAML says where it ends
        return _Problem(line, column, "a bracket is opened and not closed; close it")
    ends = "]" if opened == "[" else "}"
    return _Problem(
        line,
        column,
        f"in what begins here with {opened} a comma or the {ends} is missing; add it, or put text in quotes",
    )


def _stray_bracket(place: _Place) -> _Problem | None:
    character = place.here[place.column : place.column + 1]
    if not place.problem.startswith("expected the node content") or not character or character not in "]},":
        return None
    value = _value_from(place.here, place.column)
    return _Problem(
        place.line, place.column, f'"{_short(value)}" begins with {character}; put it in quotes: {_quoted(value)}'
    )


def _list_beside_its_key(place: _Place) -> _Problem | None:
    if place.problem != "sequence entries are not allowed here":
        return None
    value = _value_from(place.here, place.column)
    said = f'"{_short(value)}" begins with "- " beside its key'
    return _Problem(
        place.line, place.column, f"{said}; write a list on the lines below, and text in quotes: {_quoted(value)}"
    )


def _several_documents(place: _Place) -> _Problem | None:
    if "another document" in place.problem:
        return _Problem(place.line, place.column, "a second document begins here; remove this line, or what follows it")
    return None


_RULES: tuple[Callable[[_Place], _Problem | None], ...] = (
    _told,
    _twice,
    _indented_by_other_than_blanks,
    _escape,
    _open_quote,
    _list_beside_its_key,
    _begins_with_what_means_something,
    _of_no_type,
    _several_documents,
    _after_the_end,
    _no_blank_after_the_colon,
    _colon_in_a_value,
    _indented_too_far,
    _indented_like_nothing,
    _brackets,
    _stray_bracket,
)


# -- lines ----------------------------------------------------------------------------------------------------------


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _item(line: str) -> int:
    """Where the line's key or item begins, behind blanks and dashes."""
    found = _ITEM.match(line)
    return found.end() if found else 0


def _value_column(line: str) -> int:
    """Where the value of the line's first key begins, or its item."""
    found = _KEY.match(line, _item(line))
    return found.end() if found else _item(line)


def _begins_a_value(line: str, column: int) -> bool:
    before = line[:column].rstrip()
    return not before or before[-1] in ":-[{,"


def _value_from(line: str, column: int) -> str:
    """The value that begins there, without a comment; within brackets to the next comma or bracket."""
    value = re.split(r"\s#", line[column:])[0].rstrip()
    opened = sum(line[:column].count(one) for one in "[{") - sum(line[:column].count(one) for one in "]}")
    return re.split(r"[,\]}]", value)[0].rstrip() if opened > 0 else value


def _quoted(value: str) -> str:
    value = _short(value)
    if '"' not in value and "\\" not in value:
        return f'"{value}"'
    return "'" + value.replace("'", "''") + "'"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
