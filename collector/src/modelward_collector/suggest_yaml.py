"""Suggested rules as a file of `models.d`, with the evidence for each beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from modelward_collector.suggest import Suggestion

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_WIDTH = 118

NOT_IN_A_PROFILE = (
    "relations, ratios and sums of features, order over time, unique ids and numbers: a profile has each by itself",
    "means, quantiles and the number of rows: drift and checks.quality.volume_ratio compare those with the reference",
    "whether any of it is meant: that takes someone who knows the model",
)


def to_yaml(suggestion: Suggestion, model: str, reference: Mapping[str, Any] | None = None) -> str:
    """The whole file; `reference` is its `reference:` as YAML has it."""
    over = f" in {suggestion.windows:,} windows" if suggestion.windows > 1 else ""
    lines = [
        *_comment(f"Rules for {model}, suggested from {suggestion.rows:,} rows{over} of {suggestion.source}.", ""),
        "# Each holds in every window, shorter ones vary more. Read them, correct what chance or habit made look like",
        "# a rule, and commit the file.",
        f"model: {scalar(model)}",
    ]
    if suggestion.task is not None:
        lines.append(f"task: {suggestion.task[0]}  # {_line(suggestion.task[1])}")
    if reference is not None:
        lines.append(f"reference: {_flow(reference)}")
    if suggestion.output:
        lines.append("output:")
        for key, (value, why) in suggestion.output.items():
            lines += _entry(key, value, why, "  ")
    lines += ["", "features:" if suggestion.features else "features: {}"]
    for rules in suggestion.features:
        lines.append(f"  {scalar(rules.name)}:")
        for key, (value, why) in rules.keys.items():
            lines += _entry(key, value, why, "    ")
    lines += ["", "expectations:" if suggestion.expectations else "expectations: []"]
    for rule in suggestion.expectations:
        lines += [*_comment(rule.why, "  "), *_wrapped(f"  - {_flow(rule.content)}", "    ")]
    lines += ["", "# Not suggested:"]
    for text in (*suggestion.left_out, *NOT_IN_A_PROFILE):
        lines += _comment(f"- {text}", "")
    return "\n".join(lines) + "\n"


def _entry(key: str, value: Any, why: str, indent: str) -> list[str]:
    line = f"{indent}{key}: {_flow(value)}"
    said = _line(why)
    if len(line) + len(said) + 4 <= _WIDTH:
        return [f"{line}  # {said}"]
    return [*_comment(why, indent), *_wrapped(line, indent)]


def _wrapped(line: str, indent: str) -> list[str]:
    """A long list on several lines, cut after its commas."""
    lines: list[str] = []
    while len(line) > _WIDTH and (cut := line.rfind(", ", len(indent) + 2, _WIDTH)) > 0 and '"' not in line[:_WIDTH]:
        lines.append(line[: cut + 1])
        line = f"{indent}  {line[cut + 2 :]}"
    return [*lines, line]


def _comment(text: str, indent: str) -> list[str]:
    lines, line = [], f"{indent}#"
    for word in _line(text).split(" "):
        if len(line) + len(word) + 1 > _WIDTH and not line.endswith("#"):
            lines.append(line)
            line = f"{indent}#  "
        line += f" {word}"
    return [*lines, line]


def _line(text: str) -> str:
    """One line that cannot end the comment it stands in."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return scalar(value)


def scalar(value: Any) -> str:
    """One value, in quotes where it would not be read as it is."""
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and yaml.safe_load(value) == value:
            return value
        return _dumped(value, default_style='"')
    return _dumped(value)


def _dumped(value: Any, **style: Any) -> str:
    text: str = yaml.safe_dump(value, allow_unicode=True, width=float("inf"), **style)
    return text.removesuffix("\n").removesuffix("\n...")
