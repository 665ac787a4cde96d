"""Set-ups that are right meet no false verdict: the same rows as a reference and as traffic, whatever they hold."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from modelward_agent.recorder.predictor import watch
from modelward_collector.app import create_app
from modelward_collector.checks.result import CheckKind, Status
from tests.recorded import NOON, Site, a_site, moments

N = 600
FILE = "reference: {kind: file, path: m.profile.jsonl}"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with a_site(tmp_path) as made:
        yield made


def draw(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def people(n: int, seed: int) -> pd.DataFrame:
    """Rows as a data scientist has them."""
    chance = draw(seed)
    return pd.DataFrame(
        {
            "age": chance.integers(18, 90, n),
            "income": chance.lognormal(10, 1, n).round(2),
            "region": chance.choice(["eu", "us", "apac"], n),
            "member": chance.random(n) < 0.4,
            "zip": chance.choice(["01067", "10115", "80331", "NaN"], n),
        }
    )


# -- the README, with segments, probabilities and late labels --------------------------------------------------------


@pytest.mark.parametrize("labels", [int, float, bool, str, "yes or no"])
def test_a_classifier_with_segments_probabilities_and_late_labels_meets_no_false_verdict(
    site: Site, labels: Any, tmp_path: Path
) -> None:
    def target(rows: pd.DataFrame, seed: int) -> np.ndarray[Any, Any]:
        true = (rows["age"] > 50) ^ (draw(seed).random(len(rows)) < 0.1)
        if labels == "yes or no":
            return np.where(true, "yes", "no")
        return np.array([labels(int(t)) if labels is str else labels(t) for t in true])

    def numbers(rows: pd.DataFrame) -> pd.DataFrame:
        return rows[["age", "income"]]

    past = people(N, 1)
    past["label"] = target(past, 2)
    model = LogisticRegression().fit(numbers(past), past["label"])
    held_out = people(3 * N, 3)
    held_out["label"] = target(held_out, 4)
    stated = model.predict_proba(numbers(held_out))
    for code, name in enumerate(model.classes_):
        held_out[f"p_{name}"] = stated[:, code]
    held_out["scored_at"] = pd.date_range("2026-01-01", periods=len(held_out), freq="h", tz="UTC")
    table = tmp_path / "held_out.parquet"
    held_out.to_parquet(table)
    probabilities = [option for name in model.classes_ for option in ("--probability", f"{name}=p_{name}")]
    site.profile(
        table,
        *("--timestamp", "scored_at", "--segment", "region", "--actual", "label", "--sample", "500"),
        *probabilities,
    )
    thresholds = "thresholds: {accuracy: {min: 0.6}}"
    site.configure(f"task: classification\n{FILE}\nchecks: {{performance: {{{thresholds}}}}}")

    traffic = people(N, 5)
    truth = target(traffic, 6)
    recorder = site.recorder()
    ids: list[str] = []
    for row, at in zip(traffic.to_dict("records"), moments(N), strict=True):
        answer = model.predict_proba(pd.DataFrame([row])[["age", "income"]])[0]
        region = row.pop("region")
        chances = dict(zip(model.classes_.tolist(), answer.tolist(), strict=True))
        ids.append(recorder.predict(row, chances, segment={"region": region}, timestamp=at))
    site.deliver()
    assert site.flagged() == []
    late = site.recorder("m", "")  # a job of its own, which knows no version
    for its_id, value in zip(ids[: N // 2], truth, strict=False):
        late.actual(its_id, value, timestamp=NOON)
    site.deliver()
    assert site.flagged() == []
    [performance] = site.run(CheckKind.PERFORMANCE)
    assert performance.version == "1"
    assert performance.numbers["labels"] == N // 2
    assert performance.numbers["accuracy"] > 0.7
    assert "estimated.accuracy" in performance.numbers
    assert [one.version for one in site.collector.context.store.seen_models()] == ["1"]


def test_a_watched_model_is_like_the_table_that_it_answered(site: Site, tmp_path: Path) -> None:
    past = people(N, 1)[["age", "income"]]
    label = (past["age"] > 50).astype(float)
    model = RandomForestClassifier(10, random_state=0).fit(past, label)
    table = past.assign(prediction=model.predict(past), label=label)
    table.to_parquet(tmp_path / "t.parquet")
    site.profile(tmp_path / "t.parquet", "--prediction", "prediction", "--actual", "label")
    site.configure(FILE)
    watched = watch(model, site.recorder())
    watched.predict_proba(past)
    for its_id, truth in zip(watched.last_ids, label, strict=True):
        site.recorder().actual(its_id, truth)
    _redate(site)
    assert site.flagged() == []
    [performance] = site.run(CheckKind.PERFORMANCE)
    assert performance.numbers["accuracy"] == 1.0


def _redate(site: Site) -> None:
    """Deliver what was recorded now as if it had been the hours before noon."""
    paths = sorted(site.journal.glob("*.jsonl"))
    lines = [orjson.loads(line) for path in paths for line in path.read_bytes().splitlines()]
    for kind in ("prediction", "actual"):
        mine = [line for line in lines if line["kind"] == kind]
        for line, at in zip(mine, moments(len(mine)), strict=True):
            line["@timestamp"] = at.isoformat().replace("+00:00", "Z")
    for path in paths[1:]:
        path.unlink()
    paths[0].write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    site.deliver()


# -- one value, one meaning -------------------------------------------------------------------------------------------


def nullable(chance: np.random.Generator, n: int, value: Any, dtype: Any) -> Any:
    return pd.array([None if gap else value for gap in chance.random(n) < 0.1], dtype=dtype)


COLUMNS: dict[str, Any] = {
    "integers": lambda g, n: g.integers(0, 1000, n),
    "floats with gaps": lambda g, n: np.where(g.random(n) < 0.1, np.nan, g.normal(size=n)),
    "booleans": lambda g, n: g.random(n) < 0.3,
    "0 and 1": lambda g, n: (g.random(n) < 0.3).astype(int),
    "nullable integers": lambda g, n: nullable(g, n, 7, "Int64"),
    "nullable booleans": lambda g, n: nullable(g, n, True, "boolean"),
    "nullable strings": lambda g, n: nullable(g, n, "a", "string"),
    "categories": lambda g, n: pd.Categorical(g.choice(["a", "b"], n)),
    "categories of numbers": lambda g, n: pd.Categorical(g.choice([3, 5], n)),
    "dates": lambda g, n: [dt.date(2026, 1, 1 + int(day)) for day in g.integers(0, 28, n)],
    "moments": lambda g, n: pd.Timestamp("2026-01-01") + pd.to_timedelta(g.integers(0, 10**6, n), unit="s"),
    "moments with a zone": lambda g, n: (
        pd.Timestamp("2026-01-01", tz="Europe/Berlin") + pd.to_timedelta(g.integers(0, 10**6, n), unit="s")
    ),
    "moments as text": lambda g, n: [f"2026-01-{1 + int(day):02d}T12:00:00Z" for day in g.integers(0, 28, n)],
    "times of day": lambda g, n: [dt.time(int(hour), 30) for hour in g.integers(0, 24, n)],
    "durations": lambda g, n: pd.to_timedelta(g.integers(0, 10**6, n), unit="s"),
    "decimals": lambda g, n: [Decimal(int(cents)) / 100 for cents in g.integers(0, 10**5, n)],
    "codes": lambda g, n: g.choice(["01067", "00501", "10115"], n),
    "words for floats": lambda g, n: g.choice(["NaN", "Infinity", "plain"], n),
    "words of nothing": lambda g, n: g.choice(["None", "nan", "NULL", ""], n),
    "embeddings": lambda g, n: list(g.normal(size=(n, 4)).round(3)),
    "small floats": lambda g, n: g.normal(size=n).astype(np.float16),
    "long integers": lambda g, n: g.integers(2**60, 2**62, n),
    "free text": lambda g, n: [
        " ".join(g.choice(["the", "late", "early", "flight", "was", "very"], 9)) for _ in range(n)
    ],
}


def every_kind(seed: int) -> pd.DataFrame:
    chance = draw(seed)
    return pd.DataFrame({kind: make(chance, N) for kind, make in COLUMNS.items()})


@pytest.mark.parametrize("how", ["batch", "rows"])
def test_the_same_values_in_a_file_and_in_traffic_are_the_same(site: Site, tmp_path: Path, how: str) -> None:
    every_kind(1).to_parquet(tmp_path / "t.parquet")
    site.profile(tmp_path / "t.parquet")
    site.configure(FILE)
    traffic, recorder = every_kind(2), site.recorder()
    if how == "batch":
        recorder.predict_batch(traffic, [0.0] * N, timestamps=moments(N))
    else:
        for index, at in enumerate(moments(N)):
            recorder.predict(traffic.iloc[index], 0.0, timestamp=at)
    assert recorder.stats.failed == 0
    site.deliver()
    assert site.flagged() == []


@pytest.mark.parametrize("declared", ["categorical", "boolean", "numeric"])
def test_a_declared_type_reads_traffic_and_reference_alike(site: Site, tmp_path: Path, declared: str) -> None:
    forms: dict[str, Any] = {"numbers": float, "texts": lambda one: str(int(one)), "booleans": bool}

    def values(seed: int, form: str) -> list[Any]:
        return [forms[form](one) for one in draw(seed).random(N) < 0.3]

    pd.DataFrame({"x": values(1, "numbers")}).to_parquet(tmp_path / "t.parquet")
    for form in forms:
        site.profile(tmp_path / "t.parquet", model=form)
        reference = f"reference: {{path: {form}.profile.jsonl}}"
        site.configure(f"{reference}\nfeatures: {{x: {{type: {declared}}}}}", model=form)
        site.recorder(form).predict_batch({"x": values(2, form)}, [0.0] * N, timestamps=moments(N))
    site.deliver()
    assert {form: found for form in forms if (found := site.flagged(form))} == {}


def test_a_reference_that_was_told_of_categories_reads_traffic_so(site: Site, tmp_path: Path) -> None:
    pd.DataFrame({"code": draw(1).choice([7, 8, 9], N)}).to_parquet(tmp_path / "t.parquet")
    site.profile(tmp_path / "t.parquet", "--categorical", "code")
    site.configure(FILE)
    site.recorder().predict_batch({"code": draw(2).choice([7, 8, 9], N)}, [0.0] * N, timestamps=moments(N))
    site.deliver()
    assert site.flagged() == []


ANSWERS: dict[str, Any] = {
    "texts": lambda ones: [str(int(one)) for one in ones],
    "numbers": lambda ones: [int(one) for one in ones],
    "floats": lambda ones: [float(one) for one in ones],
    "booleans": list,
    "probabilities": lambda ones: [
        {0: 0.3 - 0.2 * one, 1: 0.7 + 0.2 * one} if one else {0: 0.9, 1: 0.1} for one in ones
    ],
}


@pytest.mark.parametrize("file", ["texts", "numbers", "floats", "booleans"])
@pytest.mark.parametrize("task", ["", "task: classification"])
def test_answers_of_a_classifier_are_compared_as_classes(site: Site, tmp_path: Path, file: str, task: str) -> None:
    def ones(seed: int) -> list[bool]:
        return [bool(one) for one in draw(seed).random(N) < 0.3]

    pd.DataFrame({"x": draw(1).normal(size=N), "p": ANSWERS[file](ones(2))}).to_parquet(tmp_path / "t.parquet")
    for traffic, answers in ANSWERS.items():
        site.profile(tmp_path / "t.parquet", "--prediction", "p", model=traffic)
        site.configure(f"reference: {{path: {traffic}.profile.jsonl}}\n{task}", model=traffic)
        recorder = site.recorder(traffic)
        for x, answer, at in zip(draw(4).normal(size=N).tolist(), answers(ones(3)), moments(N), strict=True):
            recorder.predict({"x": x}, answer, timestamp=at)
    site.deliver()
    assert {traffic: found for traffic in ANSWERS if (found := site.flagged(traffic))} == {}


@pytest.mark.parametrize("swapped", [False, True])
def test_scores_against_classes_are_not_compared_and_that_is_said(site: Site, tmp_path: Path, swapped: bool) -> None:
    classes = [int(one) for one in draw(1).random(N) < 0.3]
    scores = [float(one) for one in draw(2).random(N)]
    file, traffic = (scores, classes) if swapped else (classes, scores)
    actual = [str(bool(one)) for one in classes]
    pd.DataFrame({"x": draw(1).normal(size=N), "p": file, "y": actual}).to_parquet(tmp_path / "t.parquet")
    site.profile(tmp_path / "t.parquet", "--prediction", "p", "--actual", "y")
    site.configure(f"{FILE}\ntask: classification")
    site.recorder().predict_batch({"x": draw(4).normal(size=N)}, traffic, timestamps=moments(N))
    site.deliver()
    [(check, finding)] = site.flagged()
    assert (check, finding.test, finding.status) == ("quality", "form", Status.WARNING)
    assert ("predictions are classes" if swapped else "predictions are scores") in finding.message


# -- what is said ------------------------------------------------------------------------------------------------------


def test_labels_whose_ids_nobody_knows_are_told(site: Site) -> None:
    site.configure("task: classification")
    recorder = site.recorder()
    for index, at in enumerate(moments(200)):
        recorder.predict({"x": 1.0}, index % 2, timestamp=at)
        recorder.actual(f"row-{index}", index % 2, timestamp=at)
    site.deliver()
    [result] = site.run(CheckKind.PERFORMANCE)
    assert result.status is Status.WARNING
    assert any(
        "200 of the newest 200 labels (100%) find no prediction of their id" in f.message for f in result.findings
    )


def test_labels_keep_no_dead_job_fresh(site: Site) -> None:
    site.configure("checks: {quality: {freshness: 1h}}")
    recorder = site.recorder()
    ids = [recorder.predict({"x": 1.0}, 1, timestamp=at) for at in moments(200, until=NOON - dt.timedelta(hours=6))]
    for its_id in ids:
        recorder.actual(its_id, 1, timestamp=NOON - dt.timedelta(minutes=3))
    site.deliver()
    stale = [finding for check, finding in site.flagged("m", CheckKind.QUALITY) if finding.test == "freshness"]
    assert len(stale) == 1


def test_what_is_ignored_is_expected_by_nobody(site: Site, tmp_path: Path) -> None:
    frame = people(N, 1)
    frame.to_parquet(tmp_path / "t.parquet")
    site.profile(tmp_path / "t.parquet")
    site.configure(f"{FILE}\nchecks: {{drift: {{ignore: [region, zip, extra]}}}}")
    traffic = people(N, 2).drop(columns=["region"]).assign(zip="99999", extra=1.0)
    site.recorder().predict_batch(traffic, [0.0] * N, timestamps=moments(N))
    site.deliver()
    assert site.flagged() == []


def test_a_table_is_refused_as_a_reference_and_what_to_do_is_said(site: Site, tmp_path: Path) -> None:
    from modelward_agent.settings import SettingsError, load_yaml_settings
    from modelward_collector.models import ModelSpec

    people(5, 1).to_parquet(site.models / "training.parquet")
    people(5, 1).to_csv(site.models / "training.csv")
    (site.models / "notes.txt").write_text("hello\n")
    for name, says in (
        ("training.parquet", "training.parquet is a table of rows; make one of the table of past rows: "),
        ("training.csv", "modelward-agent profile training.csv --model NAME -o training.profile.jsonl"),
        ("notes.txt", "notes.txt is not a reference profile"),
    ):
        site.configure(f"reference: {{path: {name}}}")
        with pytest.raises(SettingsError) as refused:
            load_yaml_settings(site.models / "m.yml", ModelSpec)
        assert "m.yml: reference.path: " in str(refused.value)
        assert says in str(refused.value)


def test_a_reference_that_is_spoilt_later_fails_its_checks_by_name_and_no_page(site: Site, tmp_path: Path) -> None:
    people(N, 1).to_parquet(tmp_path / "t.parquet")
    site.profile(tmp_path / "t.parquet")
    site.configure(FILE)
    site.recorder().predict_batch(people(N, 2), [0.0] * N, timestamps=moments(N))
    site.deliver()
    (site.models / "m.profile.jsonl").write_text("spoilt\n")
    [result] = site.run(CheckKind.DRIFT)
    assert result.status is Status.ERROR
    assert "m.profile.jsonl: line 1: not JSON" in result.summary
    with TestClient(create_app(site.collector), base_url="http://localhost") as client:
        for page in ("/", "/models/m", "/models/m/features/age", "/api/v1/models/m/distribution?feature=age"):
            assert client.get(page).status_code == 200, page
