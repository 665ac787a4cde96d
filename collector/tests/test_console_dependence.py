"""Features that depend on each other otherwise are on the result's page beside the pairs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from fastapi.testclient import TestClient

from collector.tests.console_fixture import FLIGHTS, Filled, app_of
from modelward_collector.checks.result import CheckKind, Finding, Status
from modelward_collector.console.links import Links

WORDS = "dep_delay, distance and temp no longer depend on each other as in the reference"


def test_what_depends_otherwise_is_listed_with_every_feature(tmp_path: Path) -> None:
    filled = Filled(tmp_path / "store.db", days=2, extra=0)
    links = Links()
    results = [one for one in filled.store.latest_results() if one.model == FLIGHTS and one.check is CheckKind.DRIFT]
    drift = max(results, key=lambda one: (one.end, one.version))
    term = {
        "features": ["dep_delay", "distance", "temp"],
        "what": "temp and the product of dep_delay and distance",
        "reference": 0.92,
        "current": 0.01,
        "effect": 0.41,
        "p": 1e-12,
        "rows": 700,
    }
    detail = {"contributors": [], "dependences": [term]}
    joint = Finding("(joint)", "joint", Status.WARNING, WORDS, 0.41, 0.025, 1e-12, detail=detail)
    later = replace(drift, findings=(joint,), end=drift.end + timedelta(minutes=1))
    filled.store.save_result(later)
    with TestClient(app_of(filled.context()), base_url="http://collector.test") as client:
        page = client.get(links.result(later.id)).text
        assert 'id="pairs"' in page
        assert "(temp and the product of dep_delay and distance)" in page
        for name in term["features"]:  # type: ignore[attr-defined]
            assert links.feature(FLIGHTS, name, result=later.id).replace("&", "&amp;") in page
        assert WORDS in page
    filled.store.close()
