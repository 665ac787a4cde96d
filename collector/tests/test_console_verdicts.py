"""What the console shows of a verdict beyond its score: since when, which pairs, and what was expected of a series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from collector.tests.console_fixture import FLIGHTS, NOW, Filled, app_of
from collector.tests.test_series_forecasts import STEP, following, traffic
from modelward_collector.api.answers import SeriesAnswer
from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status
from modelward_collector.console.links import Links
from modelward_collector.context import Context
from modelward_collector.models import ModelSpec

links = Links()
MODEL = FLIGHTS
CHANGE = {
    "at": "2013-11-19T09:40:00Z",
    "low": "2013-11-19T09:20:00Z",
    "high": "2013-11-19T10:05:00Z",
    "confidence": 0.95,
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    made = Filled(tmp_path_factory.mktemp("verdicts") / "store.db", days=8, extra=0)
    yield made
    made.store.close()


def latest_drift(filled: Filled) -> CheckResult:
    found = [one for one in filled.store.latest_results() if one.model == MODEL and one.check is CheckKind.DRIFT]
    return max(found, key=lambda one: (one.end, one.version))


def client_of(context: Context) -> TestClient:
    return TestClient(app_of(context), base_url="http://collector.test")


def test_since_when_is_shown_with_its_interval(filled: Filled) -> None:
    drift = latest_drift(filled)
    first = next(one for one in drift.findings if one.test == "drift" and not one.segment)
    begun = replace(first, since=NOW, status=Status.WARNING, detail={**first.detail, "change": CHANGE})
    filled.store.save_result(replace(drift, findings=(begun, *(one for one in drift.findings if one is not first))))
    with client_of(filled.context()) as client:
        page = client.get(links.feature(MODEL, first.subject)).text
    assert "about 19 Nov 2013 09:40" in page
    assert "19 Nov 2013 09:20 to 19 Nov 2013 10:05" in page


def test_since_when_is_shown_of_a_segment_too(filled: Filled) -> None:
    drift = latest_drift(filled)
    first = next(one for one in drift.findings if one.test == "drift" and not one.segment)
    where = {"origin": "JFK"}
    there = replace(first, segment=where, since=NOW, status=Status.WARNING, detail={**first.detail, "change": CHANGE})
    plain = [replace(one, since=None) for one in drift.findings if not one.segment]
    filled.store.save_result(replace(drift, findings=(*plain, there)))
    with client_of(filled.context()) as client:
        page = client.get(links.feature(MODEL, first.subject)).text
    assert "origin = JFK" in page
    assert "since about 19 Nov 2013 09:40" in page
    assert "19 Nov 2013 09:20 to 19 Nov 2013 10:05" in page


def test_what_moved_in_a_text_is_listed_by_name(filled: Filled) -> None:
    drift = latest_drift(filled)
    first = next(one for one in drift.findings if one.test == "drift" and not one.segment)
    moved = [
        {"what": "word", "name": "<b>outage</b>", "reference": 0.001, "current": 0.052},
        {"what": "characters", "name": "capitals", "reference": 0.02, "current": 0.1},
        {"what": "word", "name": "(rarer words)"},
    ]
    told = replace(first, detail={**first.detail, "contributors": moved})
    filled.store.save_result(replace(drift, findings=(told, *(one for one in drift.findings if one is not first))))
    with client_of(filled.context()) as client:
        page = client.get(links.feature(MODEL, first.subject)).text
    assert "texts with “&lt;b&gt;outage&lt;/b&gt;”" in page
    assert "5.2 %" in page.replace("\u00a0", " ").replace("\u202f", " ")
    assert "capitals, of a text’s characters" in page


def test_pairs_that_flipped_are_listed_on_the_result_and_named_on_model_and_overview(filled: Filled) -> None:
    drift = latest_drift(filled)
    pair = {"a": "dep_delay", "b": "temp", "reference": 0.62, "current": -0.05, "effect": 0.31, "p": 1e-9, "rows": 900}
    words = "dep_delay and temp moved together in the reference (r = 0.62) and no longer do (-0.05)"
    joint = Finding("(joint)", "joint", Status.WARNING, words, 0.31, 0.025, 1e-9, detail={"contributors": [pair]})
    filled.store.save_result(replace(drift, findings=(*drift.findings, joint)))
    with client_of(filled.context()) as client:
        result = client.get(links.result(drift.id)).text
        assert 'id="pairs"' in result
        assert all(text in result for text in ("0.62", "-0.05", "0.31"))
        assert "19 Nov 2013 09:20 to 19 Nov 2013 10:05" not in result
        assert links.feature(MODEL, "temp", result=drift.id).replace("&", "&amp;") in result
        assert "no longer do" in client.get(links.model(MODEL)).text
        assert "moves together differently" in client.get(links.to("/")).text

        told = replace(joint, detail={"contributors": [{**pair, "change": CHANGE}]})
        filled.store.save_result(replace(drift, findings=(*drift.findings, told)))
        result = client.get(links.result(drift.id)).text
        assert "about 19 Nov 2013 09:40" in result
        assert "19 Nov 2013 09:20 to 19 Nov 2013 10:05" in result


def test_a_series_is_drawn_with_what_was_expected_its_odd_points_and_the_hour_ahead(filled: Filled) -> None:
    store, begin = filled.store, NOW - timedelta(days=3)
    spec = ModelSpec(model="quiet")
    traffic(store, begin, NOW - 2 * STEP, STEP, model="quiet")
    forecasts = following(store)
    forecasts.run(NOW)
    context = replace(filled.context(), forecasts=forecasts)
    [rows] = [view for view in forecasts.views("quiet") if view.outlook.series == "rows"]
    assert len(rows.judged) == 36
    assert [one.at for one in rows.judged][-1] == NOW
    assert [one.anomalous for one in rows.judged[-2:]] == [True, True], "no rows came in the last two steps"
    assert len(rows.ahead) == 6
    inside = [one.low <= one.value <= one.high for one in rows.judged[:-2]]
    assert sum(inside) >= 28

    answer = SeriesAnswer.of(rows)
    assert (answer.step_seconds, answer.at, len(answer.points), len(answer.ahead)) == (600, NOW, 36, 6)
    assert answer.ahead[-1].at == NOW + timedelta(hours=1)
    assert answer.points[-1].anomalous

    with client_of(with_spec(context, spec)) as client:
        page = client.get(links.model("quiet")).text
    assert "Expected, and an hour ahead" in page
    assert "2 odd points" in page
    assert "0 now, oddly low; in an hour about" in page
    assert 'class="band estimated"' in page


def with_spec(context: Context, spec: ModelSpec) -> Context:
    class Registry:
        errors: dict[str, list[str]] = {}  # noqa: RUF012

        def specs(self) -> list[ModelSpec]:
            return [*context.registry.specs(), spec]

        def spec(self, model: str) -> ModelSpec | None:
            return spec if model == spec.model else context.registry.spec(model)

    return replace(context, registry=Registry())  # type: ignore[arg-type]


def test_judged_points_are_kept_over_a_new_fit_and_bounded(filled: Filled, tmp_path: Path) -> None:
    forecasts = following(filled.store)
    begin = NOW + timedelta(days=10)
    traffic(filled.store, begin, begin + timedelta(days=3), STEP, model="kept")
    for steps in range(0, 200, 20):
        forecasts.run(begin + timedelta(days=1) + steps * STEP)
    [rows] = [view for view in forecasts.views("kept") if view.outlook.series == "rows"]
    assert len(rows.judged) == 144
    moments = [one.at for one in rows.judged]
    assert moments == sorted(set(moments))
    assert moments[-1] - moments[0] == 143 * STEP
