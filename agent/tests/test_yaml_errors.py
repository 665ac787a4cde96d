"""What people write into YAML by mistake is told with file, line, column, and what to write instead."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from modelward_agent.settings import SettingsError, load_yaml_settings, read_yaml


def read(text: str) -> Any:
    """What the file holds, or the error's line without the file's name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.yml"
        path.write_text(text, encoding="utf-8", newline="")
        try:
            return read_yaml(path)
        except SettingsError as error:
            (line,) = error.lines
            return line.removeprefix(f"modelward: {path}: ")


def problem(text: str, where: str) -> str:
    """What is said of the text, which is said to be wrong there."""
    said = read(text)
    assert isinstance(said, str), f"{text!r} is read as {said!r}"
    begin = f"{where}: is not valid YAML: "
    assert said.startswith(begin), said
    return said.removeprefix(begin)


IN_QUOTES = {
    "cron: */15 * * * *": ("line 1, column 7", "*", '"*/15 * * * *"'),
    "cron: * * * * *  # always": ("line 1, column 7", "*", '"* * * * *"'),
    "checks: {drift: {cron: */15 * * * *}}": ("line 1, column 24", "*", '"*/15 * * * *"'),
    "model: m\nchecks:\n  drift:\n    cron: @daily\n": ("line 4, column 11", "@", '"@daily"'),
    "paths: [*.log, x]": ("line 1, column 9", "*", '"*.log"'),
    "paths:\n  - *.log": ("line 2, column 5", "*", '"*.log"'),
    "path: *error": ("line 1, column 7", "*", '"*error"'),
    "share: %5": ("line 1, column 8", "%", '"%5"'),
    "owner: &risk": ("line 1, column 8", "&", '"&risk"'),
    "owner: &risk team": ("line 1, column 8", "&", '"&risk team"'),
    "owner: & Sons": ("line 1, column 8", "&", '"& Sons"'),
    "description: !important": ("line 1, column 14", "!", '"!important"'),
    "description: ! note": ("line 1, column 14", "!", '"! note"'),
    "description: `code`": ("line 1, column 14", "`", '"`code`"'),
    "pattern: *\\d": ("line 1, column 10", "*", "'*\\d'"),
    "pattern: [a-z]+": ("line 1, column 10", "[", '"[a-z]+"'),
    "pattern: {a}b": ("line 1, column 10", "{", '"{a}b"'),
    "pattern: | grep": ("line 1, column 10", "|", '"| grep"'),
    "expression: > 5": ("line 1, column 13", ">", '"> 5"'),
    "expression: ? x": ("line 1, column 13", "?", '"? x"'),
    "expression: - x": ("line 1, column 13", '"- "', '"- x"'),
    "expression: ]": ("line 1, column 13", "]", '"]"'),
}


@pytest.mark.parametrize("text", IN_QUOTES)
def test_what_must_be_in_quotes_is_told_so_and_is_right_then(text: str) -> None:
    where, begins, quoted = IN_QUOTES[text]
    said = problem(text, where)
    assert f"begins with {begins}" in said
    assert said.endswith(f": {quoted}"), said
    value = yaml.safe_load(quoted)
    assert read(text.replace(value, quoted, 1)) == yaml.safe_load(text.replace(value, quoted, 1))


OTHERS = {
    "a:\n\tb: 1": ("line 2, column 1", "the line is indented by a tab; indent it by blanks"),
    "a:\n  b: 1\n \tc: 2": ("line 3, column 2", "the line is indented by a tab; indent it by blanks"),
    "a:\tb": ("line 1, column 3", "there is a tab before the value; write a blank instead"),
    "a:\n\u00a0\u00a0b: 1": ("line 2, column 1", "indented by U+00A0, which looks like a blank; indent it by blanks"),
    "model: m\ntask:regression\nowner: x": ("line 2, column 1", "no blank after the colon; write task: regression"),
    "model: m\ntask:regression": ("line 2, column 1", "no blank after the colon; write task: regression"),
    "model: m\ntask:\u00a0regression\nowner: x": (
        "line 2, column 1",
        "no blank after the colon; write task: regression",
    ),
    "metrics:\n  listen:x\n  max: 3": ("line 2, column 3", "no blank after the colon; write listen: x"),
    "logs:\n- path:x\n  model: m": ("line 2, column 3", "no blank after the colon; write path: x"),
    "model: m\nregression\nowner: x": ("line 2, column 1", '"regression" has no colon; write for example key: value'),
    "description: note: this": (
        "line 1, column 14",
        'the value "note: this" has a colon and a blank in it; put it in quotes: "note: this"',
    ),
    '- a: say: "x"': ("line 1, column 6", "put it in quotes: 'say: \"x\"'"),
    "a: 1\na: 2": ("line 2, column 1", '"a" is given twice; remove one of the two'),
    "a: 1\n  b: 2": ("line 2, column 3", "further than line 1, which has a value of its own; begin it in column 1"),
    "l:\n  - a: 1\n     b: 2": (
        "line 3, column 6",
        "further than line 2, which has a value of its own; begin it in col",
    ),
    "a:\n    b: 1\n  c: 2": (
        "line 3, column 3",
        "begins in column 3, and those that it may belong to in 1 or 5; align",
    ),
    "- a\nb: 1": ("line 2, column 1", "keys and items of a list (-) are mixed on one level; indent"),
    "d: 'it's'": ("line 1, column 8", "the text goes on after its closing '; put all of it in one pair of quotes"),
    'd: "open\ne: 1': ("line 1, column 4", 'the text that begins here with " does not end; close it with "'),
    'd: "\\d+"': ("line 1, column 5", '\\d means nothing in "…"; put it in single quotes'),
    "a: [1, 2\nb: 1": ("line 1, column 4", "in what begins here with [ a comma or the ] is missing; add it"),
    "a: {b: 1 c: 2}": ("line 1, column 4", "in what begins here with { a comma or the } is missing; add it"),
    "a: [": ("line 1, column 5", "a bracket is opened and not closed; close it"),
    "a: 1\n---\nb: 2": ("line 2, column 1", "a second document begins here; remove this line, or what follows it"),
    "a: 1\r\nb: \x07": ("line 2, column 4", "the character U+0007 may not be in it; remove it"),
    "a: {{ name }}": ("line 1, column 5", "quote what has brackets or braces"),
    "a: 2026-02-30": ("line 1, column 4", "quote it if it is text"),
}


@pytest.mark.parametrize("text", OTHERS)
def test_what_is_wrong_and_what_to_do_is_told_where_it_is(text: str) -> None:
    where, said = OTHERS[text]
    assert said in problem(text, where)


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: &x 1\nc: *x", {"a": 1, "c": 1}),
        ("a: &unused {b: 1}", {"a": {"b": 1}}),
        ('"<<": 1', {"<<": 1}),
        ("a: !!str 5", {"a": "5"}),
        ("a: |\n  x: y\n   z", {"a": "x: y\n z"}),
        ("a: b*c@d%e&f!g", {"a": "b*c@d%e&f!g"}),
        ("a: http://x:1/y", {"a": "http://x:1/y"}),
        ('"\u00a0a": 1', {"\u00a0a": 1}),
    ],
)
def test_what_is_meant_is_read(text: str, content: Any) -> None:
    assert read(text) == content


def test_a_colon_without_a_blank_is_told_where_it_makes_a_text_of_keys(tmp_path: Path) -> None:
    class Inner(BaseModel):
        model_config = ConfigDict(extra="forbid")
        port: int = 1

    class Outer(BaseModel):
        inner: Inner = Inner()
        named: dict[str, int] = {}

    path = tmp_path / "m.yml"
    path.write_text("inner:\n  port:3\nnamed: {a: b}\n")
    with pytest.raises(SettingsError) as raised:
        load_yaml_settings(path, Outer)
    assert f'modelward: {path}: inner: "port:3" has no blank after the colon; write port: 3' in raised.value.lines
    assert read("port:3") == "must hold keys and values; write for example port: 3"


PIECES = st.sampled_from(
    ["a", "b:", "c: ", "\n", "\n  ", "- ", "\t", "*", "&x ", "!t ", "@", "%", "`", "'", '"', "[", "]", "{", "}", ",",
     "|", ">", "? ", "#", " ", "\\", "---", "\u00a0", "\r\n", "1", "x: y", "\u2028", "<<"]
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=30))
def test_any_text_is_read_or_told_with_a_place_in_it_and_something_to_do(text: str) -> None:
    said = read(text.encode("utf-8", "replace").decode())
    if isinstance(said, dict):
        return
    assert "; " in said
    assert "\n" not in said
    if said.startswith("line "):
        line = int(said.split(",")[0].removeprefix("line "))
        assert 1 <= line <= text.count("\n") + text.count("\r") + sum(map(text.count, "\x85\u2028\u2029")) + 1


TEXTS = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=12)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from("*&!@%`").flatmap(lambda first: TEXTS.map(lambda rest: (first + rest).strip())))
def test_the_quotes_that_are_proposed_are_right(value: str) -> None:
    if " #" in value or len(value) < 2:
        return
    said = read(f"key: {value}")
    if isinstance(said, str) and "put it in quotes: " in said and "begins with" in said:
        proposed = said.partition("put it in quotes: ")[2]
        assert read(f"key: {proposed}") == {"key": value}
    else:
        # A type that YAML knows (!!str x), or one error more than that.
        assert value[0] in "!&" or "; " in str(said)
