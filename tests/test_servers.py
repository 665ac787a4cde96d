"""The servers that other tests stand on do what those tests assume."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from elasticsearch import AuthorizationException
from elasticsearch import Elasticsearch as Client
from playwright.sync_api import Browser

from tests.servers import plugin
from tests.servers.elasticsearch import Elasticsearch, User
from tests.servers.missing import ServerMissingError
from tests.servers.ports import free_ports
from tests.servers.prometheus import Prometheus


def _client(node: Elasticsearch, user: User) -> Client:
    return Client(node.url, basic_auth=user.auth, ca_certs=str(node.ca))


def test_a_killed_node_keeps_what_it_acknowledged(elasticsearch: Elasticsearch) -> None:
    with _client(elasticsearch, elasticsearch.admin) as client:
        client.create(index="kept", id="1", document={"word": "before"})
        elasticsearch.kill()
        assert not elasticsearch.running
        elasticsearch.start()
        assert client.get(index="kept", id="1")["_source"] == {"word": "before"}
        client.indices.delete(index="kept")


def test_the_agents_user_may_create_and_nothing_else(elasticsearch: Elasticsearch) -> None:
    with _client(elasticsearch, elasticsearch.admin) as admin, _client(elasticsearch, elasticsearch.agent) as agent:
        admin.indices.create(index="modelward-trial-000001", aliases={"modelward-trial": {"is_write_index": True}})
        answer = agent.bulk(index="modelward-trial", operations=[{"create": {"_id": "1"}}, {"n": 1}])
        assert answer["items"][0]["create"]["status"] == 201
        assert list(agent.indices.get_alias(name="modelward-trial")) == ["modelward-trial-000001"]
        with pytest.raises(AuthorizationException):
            agent.get(index="modelward-trial", id="1")
        refused = agent.bulk(index="modelward-trial", operations=[{"delete": {"_id": "1"}}])
        assert refused["items"][0]["delete"]["status"] == 403
        admin.indices.delete(index="modelward-trial-000001")


def test_prometheus_scrapes_what_it_is_given(start_prometheus: Callable[[Any], Prometheus]) -> None:
    class Exposition(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(b"answer 42\n")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Exposition) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        target = f"127.0.0.1:{server.server_address[1]}"
        prometheus = start_prometheus([{"job_name": "it", "static_configs": [{"targets": [target]}]}])
        deadline = time.monotonic() + 30
        while not (found := prometheus.query("answer")):
            assert time.monotonic() < deadline, "nothing was scraped in 30 s"
            time.sleep(0.1)
        server.shutdown()
    assert found[0]["value"][1] == "42"


def test_the_browser_draws_a_page(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content("<h1>hello</h1>")
    assert page.inner_text("h1") == "hello"
    page.close()


def test_free_ports_differ() -> None:
    assert len(set(free_ports(20))) == 20


def test_a_missing_server_is_named_with_the_command_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise ServerMissingError("Elasticsearch", "no archive")

    monkeypatch.setitem(plugin.AVAILABLE, "elasticsearch", gone)
    plugin.lacking.cache_clear()
    try:
        assert plugin.lacking("elasticsearch") == "Elasticsearch is not here (no archive); run: make servers"
    finally:
        plugin.lacking.cache_clear()


@pytest.mark.parametrize(("ci", "outcome"), [("", "skipped"), ("true", "failed")])
def test_without_its_server_a_test_is_skipped_and_in_ci_it_fails(
    ci: str, outcome: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(plugin, "lacking", lambda server: f"{server} is not here; run: make servers")
    request.node.add_marker(pytest.mark.server("elasticsearch"))
    expected = pytest.skip.Exception if outcome == "skipped" else pytest.fail.Exception
    with pytest.raises(expected, match="elasticsearch is not here; run: make servers"):
        plugin.pytest_runtest_setup(request.node)
