"""Requests are compressed where that is worth its time: not on the way to this host itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.tests.agents import append, configuration, ids, predictions, recorder_file, running
from agent.tests.bulk_server import BulkServer, wait_for
from modelward_agent.config import Elasticsearch
from modelward_agent.ship.bulk import BulkClient
from modelward_agent.ship.documents import EVENTS, Item


@pytest.fixture
def server() -> Iterator[BulkServer]:
    server = BulkServer()
    yield server
    server.close()


@pytest.mark.parametrize(("compress", "encoding"), [("auto", None), ("always", "gzip"), ("never", None)])
def test_every_document_arrives_whatever_is_compressed(
    tmp_path: Path, server: BulkServer, compress: str, encoding: str | None
) -> None:
    config = configuration(tmp_path, server, elasticsearch={"compress": compress})
    append(recorder_file(config), predictions(0, 1_000))
    with running(config):
        wait_for(lambda: len(server.events()) == 1_000)
    assert len(set(ids(server))) == 1_000
    bulks = [request for request in server.requests if request.path.startswith("/_bulk")]
    assert {request.headers.get("content-encoding") for request in bulks} == {encoding}
    assert not any("transfer-encoding" in request.headers for request in bulks)


def test_letters_of_several_bytes_are_counted_as_such_in_the_length(server: BulkServer) -> None:
    client = BulkClient(Elasticsearch(urls=(server.url,)))
    items = [Item(EVENTS, f"prüfung-{number}", '{"kind":"log","message":"größer"}'.encode()) for number in range(300)]
    results = client.create(items, {EVENTS: "modelward-events-000001"})
    client.close()
    assert {result.status for result in results} == {201}
    assert sorted(item_id for item_id, _ in server.events()) == sorted(item.id for item in items)


@pytest.mark.parametrize("dead_first", [True, False])
def test_a_body_is_sent_whole_to_the_next_host(server: BulkServer, dead_first: bool) -> None:
    urls = ("http://127.0.0.1:9", server.url) if dead_first else (server.url, "http://127.0.0.1:9")
    client = BulkClient(Elasticsearch(urls=urls))
    for number in range(4):
        items = [Item(EVENTS, f"{number}-{i}", b'{"kind":"prediction"}') for i in range(200)]
        assert len(client.create(items, {EVENTS: "modelward-events-000001"})) == 200
    client.close()
    assert len({item_id for item_id, _ in server.events()}) == 800
