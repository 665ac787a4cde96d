"""A settings file may hold anything: what is wrong with it is one printable line, with the place and the fix."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelward_agent.config import AgentConfig
from modelward_agent.durations import parse_duration
from modelward_agent.settings import SettingsError, load_yaml_settings

BOMB = "a: &a [x, x]\n" + "".join(f"{name}: &{name} [*{before}, *{before}, *{before}, *{before}, *{before}]\n"
                                   for before, name in zip("abcdefghijkl", "bcdefghijklm", strict=True))  # fmt: skip


KEYS = st.sampled_from(list(AgentConfig.model_fields))


def errors(folder: Path, content: str) -> list[str]:
    path = folder / "agent.yml"
    path.write_text(content)
    with pytest.raises(SettingsError) as raised:
        load_yaml_settings(path, AgentConfig)
    return [line.removeprefix(f"modelward: {path}: ") for line in raised.value.lines]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("host: 2026-02-30", 'line 1, column 7: is not valid YAML: "2026-02-30" cannot be read as timestamp'),
        ("a: 1\nhost: 0000-00-00", 'line 2, column 7: is not valid YAML: "0000-00-00" cannot be read as timestamp'),
        ("host: " + "9" * 5_000, "cannot be read as int"),
        ("host: !!int ''", "cannot be read as int"),
        ("host: !!bool x", "cannot be read as bool"),
        ("host: {{ inventory_hostname }}", "a key is text, and this one is a list or has keys itself"),
        ("? [a, b]\n: 1", "a key is text"),
        ('host: "\\ud800"', "cannot be read as str"),
        ('"\\ud800": 1', "cannot be read as str"),
        ("host: " + "[" * 1_200, "is nested too deep"),
    ],
    ids=[
        "no-such-day",
        "no-date",
        "digits",
        "empty-int",
        "bool",
        "template",
        "list-as-key",
        "surrogate",
        "key",
        "deep",
    ],
)
def test_what_yaml_cannot_read_is_said_with_its_place(tmp_path: Path, content: str, said: str) -> None:
    (line,) = errors(tmp_path, content)
    assert said in line
    assert len(line) < 400


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("state: ~nobody-of-that-name/x", "state: \"~nobody-of-that-name/x\" begins with the home of a user"),
        ("window: 99999999999999999999w", "window: \"99999999999999999999w\" is longer than a hundred years"),
        ("logs: [{path: x, multiline: 'a{99999999999}'}]", "is not a regular expression"),
        ('host: "a\\nb"\nx: "\\e[31m"', "x: is not a key here"),
    ],
    ids=["home", "duration", "repeat", "control"],
)  # fmt: skip
def test_what_no_key_can_have_is_said_in_one_printable_line(tmp_path: Path, content: str, said: str) -> None:
    lines = errors(tmp_path, content)
    assert any(said in line for line in lines), lines
    assert all(line.isprintable() for line in lines)


def test_what_aliases_make_endless_or_huge_is_shown_by_its_beginning(tmp_path: Path) -> None:
    assert all(len(line) < 500 for line in errors(tmp_path, BOMB + "host: *m"))
    assert any(line.startswith("host: ") for line in errors(tmp_path, "host: &a [*a]"))


@given(st.text(alphabet="0123456789smhdw", min_size=1, max_size=40))
@example("9" * 5_000 + "w")
def test_no_text_makes_a_duration_raise_anything_else(text: str) -> None:
    try:
        found = parse_duration(text)
    except ValueError:
        return
    assert found.days <= 36_525


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates() | st.datetimes(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner),
        max_leaves=10,
    )
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_no_yaml_makes_settings_raise_anything_else(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yml"
    path.write_text(yaml.safe_dump(content))
    lines: list[str] = []
    try:
        load_yaml_settings(path, AgentConfig)
    except SettingsError as error:
        lines = error.lines
    assert all(line.startswith(f"modelward: {path}: ") and line.isprintable() for line in lines)
