"""Putting everything into Kibana: once, again, while it starts, and with every way in which it can fail.

Against a stand-in (`tests/kibana_server.py`), over real TLS.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelward_appliance.kibana import KibanaError, put_all
from tests.kibana_server import AUTHORIZATION, Asked, KibanaServer
from tests.servers.certificates import Authority

ROOT = Path(__file__).resolve().parents[1]
DASHBOARDS = {"modelward-incidents", "modelward-logs", "modelward-predictions", "modelward-results"}


@pytest.fixture
def kibana(authority: Authority) -> Iterator[KibanaServer]:
    server = KibanaServer(authority.issue())
    yield server
    server.close()


def put(kibana: KibanaServer, authority: Authority, root: Path = ROOT, **changes: Any) -> list[str]:
    given = {"authorization": AUTHORIZATION, "wait_seconds": 5.0, **changes}
    return put_all(kibana.url, authority.path, content_root=root, **given)


def lines(kibana: KibanaServer, authority: Authority, root: Path = ROOT, **changes: Any) -> list[str]:
    with pytest.raises(KibanaError) as raised:
        put(kibana, authority, root, **changes)
    return raised.value.lines


def test_everything_that_is_committed_is_put(kibana: KibanaServer, authority: Authority) -> None:
    done = put(kibana, authority)
    assert set(kibana.dashboards) == DASHBOARDS
    for name, body in kibana.dashboards.items():
        assert body == json.loads((ROOT / "kibana" / "content" / "dashboards" / f"{name}.json").read_text())
    assert list(kibana.data_views) == [
        f"modelward-{name}" for name in ("logs", "events", "results", "incidents", "audit")
    ]
    assert kibana.default_data_view == "modelward-logs"
    assert "kibana: dashboard modelward-logs" in done
    assert len(done) == 5 + 1 + 4 + 1
    assert all(asked.authorization == AUTHORIZATION for asked in kibana.asked)


def test_data_views_are_there_before_the_dashboards_that_refer_to_them(
    kibana: KibanaServer, authority: Authority
) -> None:
    put(kibana, authority)
    written = kibana.written()
    assert max(i for i, what in enumerate(written) if "data_view" in what) < min(
        i for i, what in enumerate(written) if "dashboards" in what
    )


def test_putting_it_again_leaves_the_same(kibana: KibanaServer, authority: Authority) -> None:
    first = put(kibana, authority)
    before = (dict(kibana.data_views), dict(kibana.dashboards), dict(kibana.space))
    kibana.asked.clear()
    assert put(kibana, authority) == first
    assert (kibana.data_views, kibana.dashboards, kibana.space) == before
    assert "PUT /kibana/api/spaces/space/default" not in kibana.written()


def test_only_parts_of_kibana_without_data_are_hidden(kibana: KibanaServer, authority: Authority) -> None:
    kibana.space["disabledFeatures"] = ["graph"]
    put(kibana, authority)
    assert kibana.space["disabledFeatures"] == ["apm", "fleetv2", "graph", "siemV5"]
    assert kibana.space["name"] == "Default"


def test_a_kibana_that_starts_is_waited_for(kibana: KibanaServer, authority: Authority) -> None:
    states = iter(["gone", "unavailable", "degraded"])

    def starting(asked: Asked) -> tuple[int, Any] | None:
        if not asked.path.endswith("/api/status"):
            return None
        state = next(states, None)
        if state == "gone":
            return 503, "Kibana server is not ready yet."
        return (503 if state == "unavailable" else 200, {"status": {"overall": {"level": state}}}) if state else None

    kibana.answer = starting
    put(kibana, authority, wait_seconds=0.9)
    assert set(kibana.dashboards) == DASHBOARDS


def test_a_kibana_that_stays_degraded_is_used_all_the_same(kibana: KibanaServer, authority: Authority) -> None:
    kibana.level = "degraded"
    put(kibana, authority, wait_seconds=0.4)
    assert set(kibana.dashboards) == DASHBOARDS


def test_a_kibana_that_is_busy_is_asked_again(
    kibana: KibanaServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelward_appliance.kibana._PAUSE_SECONDS", 0.01)
    busy = iter([503, 429])

    def answer(asked: Asked) -> tuple[int, Any] | None:
        if not asked.path.endswith("/modelward-logs"):
            return None
        status = next(busy, None)
        return (status, {"message": "try later"}) if status else None

    kibana.answer = answer
    put(kibana, authority)
    assert kibana.written().count("PUT /kibana/api/dashboards/modelward-logs") == 3


def test_a_kibana_that_does_not_become_available_is_named_with_its_state(
    kibana: KibanaServer, authority: Authority
) -> None:
    kibana.level = "critical"
    (line,) = lines(kibana, authority, wait_seconds=0.2)
    assert line == f"Kibana at {kibana.url} is not available after 0 s: it is critical; see its log (make logs)"
    assert not kibana.written()


def test_nobody_there_is_said(kibana: KibanaServer, authority: Authority) -> None:
    url = kibana.url
    kibana.close()
    with pytest.raises(KibanaError, match=r"not available after 0 s: no answer \(.*refused"):
        put_all(url, authority.path, AUTHORIZATION, ROOT, wait_seconds=0.2)


def test_a_refused_credential_is_said_at_once(kibana: KibanaServer, authority: Authority) -> None:
    (line,) = lines(kibana, authority, authorization="Basic b3RoZXI6c2VjcmV0", wait_seconds=60.0)
    assert "refuses the credential (401)" in line
    assert "b3RoZXI6c2VjcmV0" not in line


def test_a_server_with_another_certificate_gets_no_credential(kibana: KibanaServer, tmp_path: Path) -> None:
    with pytest.raises(KibanaError, match="certificate that the appliance did not issue"):
        put_all(kibana.url, Authority(tmp_path).path, AUTHORIZATION, ROOT, wait_seconds=60.0)
    assert not kibana.asked


def test_an_address_without_tls_is_refused(authority: Authority) -> None:
    with pytest.raises(KibanaError, match="is not an https URL"):
        put_all("http://kibana:5601/kibana", authority.path, AUTHORIZATION, ROOT)


def test_every_failure_is_named_and_the_rest_is_put(kibana: KibanaServer, authority: Authority) -> None:
    def failing(asked: Asked) -> tuple[int, Any] | None:
        if asked.path.endswith("/modelward-logs"):
            return 403, {"statusCode": 403, "error": "Forbidden", "message": "Unable to create dashboard"}
        if asked.path.endswith("/modelward-results"):
            return 502, "<html>Bad gateway</html>"
        if asked.path.endswith("/api/features"):
            return 404, {"message": "Not Found"}
        return None

    kibana.answer = failing
    said = lines(kibana, authority)
    assert len(said) == 3
    assert f"Kibana at {kibana.url}: dashboard modelward-logs could not be put" in said[0]
    assert "403 Unable to create dashboard" in said[0]
    assert "502 <html>Bad gateway</html>" in said[1]
    assert "unused features could not be hidden: 404 Not Found" in said[2]
    assert set(kibana.dashboards) == {"modelward-incidents", "modelward-predictions"}
    kibana.answer = lambda _: None
    put(kibana, authority)
    assert set(kibana.dashboards) == DASHBOARDS


def test_a_dashboard_that_kibana_does_not_take_is_said_with_kibanas_reason(
    kibana: KibanaServer, authority: Authority, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "kibana" / "content", tmp_path / "kibana" / "content")
    path = tmp_path / "kibana" / "content" / "dashboards" / "modelward-logs.json"
    body = json.loads(path.read_text())
    body["panels"][0]["grid"]["w"] = 60
    path.write_text(json.dumps(body))
    (line,) = lines(kibana, authority, tmp_path)
    assert "PUT /api/dashboards/modelward-logs" in line
    assert "[request body.panels.0.vis.grid.w]" in line


def test_content_that_cannot_be_read_is_said_before_anything_is_asked(
    kibana: KibanaServer, authority: Authority, tmp_path: Path
) -> None:
    (line,) = lines(kibana, authority, tmp_path)
    assert "its content cannot be read" in line
    assert "data-views.json" in line
    assert not kibana.asked
