"""Fixtures of the real servers, for every test of the repository (the root `conftest.py` loads this).

    @pytest.mark.server("elasticsearch")
    def test_events_arrive(elasticsearch: Elasticsearch) -> None: ...

A test that uses such a fixture has the marker by itself. Without the server it is skipped by name, with the command
that would enable it; in CI that is a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers import docker as docker_engine
from tests.servers import elasticsearch as elasticsearch_server
from tests.servers.certificates import Authority
from tests.servers.elasticsearch import Elasticsearch
from tests.servers.missing import ServerMissingError, in_ci, program
from tests.servers.prometheus import Prometheus

if TYPE_CHECKING:
    from playwright.sync_api import Browser

EXPORTERS = (
    ("node_exporter", "prometheus-node-exporter"),
    ("blackbox_exporter", "prometheus-blackbox-exporter"),
)

AVAILABLE: dict[str, Callable[[], object]] = {
    "elasticsearch": elasticsearch_server.available,
    "prometheus": lambda: program("Prometheus", "prometheus"),
    "alertmanager": lambda: program("Alertmanager", "alertmanager", "prometheus-alertmanager"),
    "exporters": lambda: [program("Prometheus's exporters", *names) for names in EXPORTERS],
    "chromium": lambda: program("Chromium", "chromium", "chromium-browser", "google-chrome"),
    "slapd": lambda: program("slapd", "slapd", "/usr/sbin/slapd"),
    "nginx": lambda: program("nginx", "nginx", "/usr/sbin/nginx"),
    "docker": docker_engine.available,
}
"""What tells whether a server can be started here, by raising ServerMissingError."""

FIXTURES = {"elasticsearch": "elasticsearch", "start_prometheus": "prometheus", "browser": "chromium"}


@cache
def lacking(server: str) -> str | None:
    """Why the server cannot be started here and what to run; None when it can."""
    try:
        AVAILABLE[server]()
    except ServerMissingError as error:
        return str(error)
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the marker to tests that use a server's fixture."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in FIXTURES:
                item.add_marker(pytest.mark.server(FIXTURES[fixture]))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or in CI fail, a test whose server is not here."""
    for marker in item.iter_markers("server"):
        for server in marker.args:
            if reason := lacking(server):
                if in_ci():
                    pytest.fail(reason, pytrace=False)
                pytest.skip(reason)


@pytest.fixture(scope="session")
def _elasticsearch() -> Iterator[Elasticsearch]:
    with Elasticsearch() as node:
        yield node


@pytest.fixture
def elasticsearch(_elasticsearch: Elasticsearch) -> Elasticsearch:
    """The session's node, started again if the test before stopped it. Its indices are those of earlier tests."""
    _elasticsearch.start()
    return _elasticsearch


@pytest.fixture
def start_prometheus() -> Iterator[Callable[..., Prometheus]]:
    """`start_prometheus(scrape_configs, …)` answers a running `Prometheus`; all end with the test."""
    with ExitStack() as running:
        yield lambda *given, **named: running.enter_context(Prometheus(*given, **named))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium of the module: as long as it runs, no other test in its process can run an event loop."""
    from tests.servers.chromium import chromium  # only tests of pages need Playwright

    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority of the session; `authority.issue()` makes a certificate for localhost."""
    return Authority(Path(tmp_path_factory.mktemp("authority")))
