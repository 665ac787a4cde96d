"""`expectations:` in a model's file, and what is said of mistakes in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelward_agent.settings import SettingsError, load_yaml_settings
from modelward_collector.expectations import need_rows
from modelward_collector.models import ModelSpec

EVERY_KIND = """
model: m
expectations:
  - {expect: unique, feature: id}
  - {expect: in_set, feature: country, values: [DE, "NO", FR], mostly: 0.99}
  - {expect: regex, feature: code, pattern: "[A-Z]{2}[0-9]+"}
  - {expect: range, feature: amount, min: 0, mostly: 0.999, severity: critical}
  - {expect: not_null, feature: amount}
  - {expect: missing_at_most, feature: amount, share: 0.1}
  - {expect: monotone, feature: reading, by: meter, strictly: true}
  - {expect: relation, left: start, operator: <=, right: end}
  - {expect: ratio, numerator: price, denominator: area, min: 1, max: 100}
  - {expect: mean_between, feature: amount, min: 10, max: 20}
  - {expect: quantile_between, feature: amount, quantile: 0.5, max: 20}
  - {expect: distinct_between, feature: country, min: 2, max: 30}
  - {expect: row_count_between, min: 1}
  - {expect: sum_to, features: [a, b, c], total: 100, tolerance: 0.01}
"""


def errors(tmp_path: Path, expectation: str) -> list[str]:
    path = tmp_path / "m.yml"
    path.write_text(f"model: m\nexpectations:\n  - {expectation}\n")
    with pytest.raises(SettingsError) as wrong:
        load_yaml_settings(path, ModelSpec)
    return [line.removeprefix(f"modelward: {path}: ") for line in wrong.value.lines]


def test_every_kind_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.yml"
    path.write_text(EVERY_KIND)
    spec = load_yaml_settings(path, ModelSpec)
    assert len({rule.expect for rule in spec.expectations}) == 14
    assert all(rule.said() for rule in spec.expectations)
    assert ModelSpec.model_validate(spec.model_dump()) == spec


def test_rows_are_read_only_for_what_profiles_cannot_tell() -> None:
    def needs(**rule: object) -> bool:
        return need_rows(ModelSpec.model_validate({"model": "m", "expectations": [rule]}).expectations)

    assert needs(expect="relation", left="a", operator="<", right="b")
    assert needs(expect="ratio", numerator="a", denominator="b", max=1)
    assert not needs(expect="ratio", numerator="a", denominator="b", max=1, of="means")
    assert not needs(expect="range", feature="a", max=1)
    assert not needs(expect="row_count_between", max=1)


@pytest.mark.parametrize(
    ("expectation", "said"),
    [
        ("{expect: rang, feature: a}", 'expectations[0]: {"expect":"rang","feature":"a"} is of no known kind; set'),
        ("{expect: range, feature: a}", "expectations[0].max: neither min nor max is given; give one or both"),
        ("{expect: range, feature: a, min: 3, max: 1}", "expectations[0].max: 1 is below min 3; swap them"),
        ("{expect: range, feature: a, min: x}", 'expectations[0].min: "x" is not a number; write for example 0.5'),
        ("{expect: range, feature: a, max: .inf}", "expectations[0].max: inf is no bound; leave the key out"),
        ("{expect: range, featur: a, max: 1}", "expectations[0].featur: is not a key here; did you mean feature?"),
        ("{expect: not_null, feature: a, mostly: 2}", "expectations[0].mostly: 2 is above 1.0; write a value of"),
        (
            "{expect: in_set, feature: c, values: [[1], 2]}",
            "expectations[0].values[0]: [1] is neither text nor a number",
        ),
        (r'{expect: regex, feature: c, pattern: "(a)\\1"}', "uses a back reference"),
        ('{expect: relation, left: a, operator: ">", right: b}', 'expectations[0].operator: ">" is not known; write'),
        ("{expect: relation, left: a, operator: <, right: a}", 'expectations[0].right: "a" is compared with itself'),
        ("{expect: ratio, numerator: a, denominator: a, max: 1}", 'expectations[0].denominator: "a" is divided by'),
        ("{expect: sum_to, features: [a, a]}", 'expectations[0].features: "a" is named twice; name each feature once'),
        ("{expect: sum_to, features: [a, b], total: [1]}", "expectations[0].total: [1] is no total; write a number"),
        ("{expect: not_null, feature: a, severity: bad}", 'expectations[0].severity: "bad" is not known; write'),
        ("{expect: quantile_between, feature: a, quantile: 1, max: 2}", "expectations[0].quantile: 1 is not below 1"),
    ],
)
def test_a_mistake_is_named_with_its_place_its_value_and_what_to_do(
    tmp_path: Path, expectation: str, said: str
) -> None:
    assert said in "\n".join(errors(tmp_path, expectation))
