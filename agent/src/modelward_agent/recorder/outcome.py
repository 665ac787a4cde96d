"""What a model predicted and what became true: a number, a string, or {class: probability}."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from modelward_agent.recorder.columns import Table, is_column, table_of, values_of
from modelward_agent.recorder.value import is_pandas, label_of, plain, text_of
from modelward_agent.values import FLOAT_WORDS

_TEXT, _FLOAT = frozenset({str}), frozenset({float})
_NUMBERS = frozenset({float, int})
_WORDS = tuple(FLOAT_WORDS)


class MissingError(ValueError):
    """An actual or its id that is not there."""


def outcome_of(value: Any) -> Any:
    """A prediction or an actual as the journal holds it: a number, a string, {class: probability}, None when missing.

    An array, a Series or a list of one is that one, a boolean is the string "true" or "false". Raises TypeError for
    several values without names, and for an object that holds anything but probabilities.
    """
    if isinstance(value, Mapping):
        return probabilities_of(value)
    if not is_column(value) and (table := table_of("prediction", value, named=class_of)) is not None:
        return _only_row(table)
    simple = plain(value)
    while isinstance(simple, list) and len(simple) == 1:
        simple = simple[0]
    if simple is None or (simple == "NaN" and is_pandas(value)):
        return None
    if isinstance(simple, bool):
        return "true" if simple else "false"
    if isinstance(simple, dict):
        return probabilities_of(simple)
    if isinstance(simple, list):
        raise TypeError(
            f"{len(simple)} values without names are not one outcome; give a number, a string or {{class: probability}}"
        )
    return simple


def _only_row(table: Table) -> Any:
    row = {name: values_of(column) for name, column in table}
    if any(len(cells) != 1 for cells in row.values()):
        raise TypeError("a table of several rows is not one outcome; use predict_batch")
    values = [outcome_of(cell) for (cell,) in row.values()]
    return values[0] if len(values) == 1 else probabilities_of(dict(zip(row, values, strict=True)))


def probabilities_of(given: Mapping[Any, Any]) -> dict[str, Any] | None:
    """{class: probability} with plain names; None when each is missing. Raises TypeError when one is no number."""
    if (
        type(given) is dict
        and given
        and _TEXT.issuperset(map(type, given))
        and _FLOAT.issuperset(map(type, given.values()))
        and isfinite(sum(given.values()))
    ):
        return given  # as most are
    named = {class_of(name): plain(value) for name, value in given.items()}
    if not named or len(named) < len(given):
        raise TypeError("prediction: classes need a name each, of their own; give {class: probability}")
    if all(value is None for value in named.values()):
        return None
    for name, value in named.items():
        if value is None:
            named[name] = "NaN"
        elif type(value) not in _NUMBERS and value not in _WORDS:
            raise TypeError(
                f"prediction: {name} is {text_of(value)}; give a number, a string or {{class: probability}}"
            )
    return named


def actual_of(value: Any) -> Any:
    """What became true: a number or a string, as `outcome_of` has it. Raises TypeError for anything else.

    Raises MissingError when there is none: what is missing is no label.
    """
    actual = outcome_of(value)
    if actual is None or actual == "NaN":
        kind = type(value).__name__
        raise MissingError(f"actual: a {kind} is not what became true: it is missing; record it once it is known")
    if isinstance(actual, Mapping):
        raise TypeError(f"actual: a {type(value).__name__} is not what became true; give a number or a string")
    return actual


def class_of(value: Any) -> str:
    """A class's name. Raises TypeError when it is missing."""
    if (label := label_of(value)) is None:
        raise TypeError("classes: one has no name; give each a name of its own")
    return label


def id_of(id: Any) -> str:  # noqa: A002 - the journal's name for it
    """The id of a prediction that is labelled. Raises MissingError when there is none."""
    label = label_of(id)
    if not label:
        raise MissingError("id: it is missing; give the id that the prediction was recorded with")
    return label
