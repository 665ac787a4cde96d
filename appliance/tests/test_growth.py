"""One real node with documents becomes three, each with the folder that the setup hands it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from elasticsearch import ApiError, TransportError

from appliance.tests.node import SetupNode
from modelward_appliance.elasticsearch_users import SETUP_USER
from modelward_appliance.services import BY_NAME, ELASTICSEARCH_NODES
from modelward_collector.store.elastic import ElasticStore
from tests.servers.ports import free_port

pytestmark = pytest.mark.server("elasticsearch")

HOSTS: Final = dict(zip(ELASTICSEARCH_NODES, ("127.0.0.1", "127.0.0.2", "127.0.0.3"), strict=True))
COLLECTOR: Final = "modelward_collector"


class ClusterNode(SetupNode):
    """One of the nodes, all with one state folder. `profiles` may be changed before another `render`."""

    def __init__(self, service: str, state: Path, transport: int, profiles: str) -> None:
        self.service = service
        self._state = state
        self._transport = transport
        super().__init__(profiles)

    @property
    def state(self) -> Path:
        return self._state

    @property
    def variables(self) -> dict[str, str]:
        addresses = {f"MODELWARD_ADDRESS_{BY_NAME[n].key.upper()}": f"{host}:{self.port}" for n, host in HOSTS.items()}
        return super().variables | addresses

    def _configure(self, transport: int) -> None:
        self.url = f"https://{HOSTS[self.service]}:{self.port}"
        super()._configure(transport)

    def _placed(self, content: bytes) -> bytes:
        # On loopback, where Elasticsearch does not insist on the limits of a server; and up at once, alone or not.
        everywhere = b"network.host: 0.0.0.0\n"
        assert everywhere in content
        here = {
            "network.host": HOSTS[self.service],
            "transport.port": self._transport,
            "discovery.initial_state_timeout": "0s",
        }
        return content.replace(everywhere, "".join(f"{name}: {value}\n" for name, value in here.items()).encode())

    def state_of_cluster(self) -> tuple[str, int] | None:
        """Its colour and how many nodes it has; None where there is none, or none yet that answers."""
        try:
            with self.client(COLLECTOR) as client:
                health = client.cluster.health(timeout="2s")
        except (ApiError, TransportError):
            return None
        return health["status"], health["number_of_nodes"]

    def found(self) -> dict[str, Any]:
        """Documents in the cluster, by id."""
        with self.client(COLLECTOR) as client:
            client.indices.refresh(index="modelward-events")
            hits = client.search(index="modelward-events")["hits"]["hits"]
            return {hit["_id"]: hit["_source"]["model"] for hit in hits}

    def record(self, its_id: str) -> None:
        """Put a document."""
        document = {"@timestamp": "2026-01-01T00:00:00Z", "kind": "prediction", "model": "fraud"}
        with self.client(COLLECTOR) as client:
            client.options(request_timeout=60).create(index="modelward-events", id=its_id, document=document)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[ClusterNode]]:
    """The first runs alone, with a document; the others have not found a cluster that takes them in."""
    state, transport = tmp_path / "state", free_port()
    state.mkdir()
    made = [ClusterNode(ELASTICSEARCH_NODES[0], state, transport, "openldap")]
    # A server ends with the thread that started it.
    with ThreadPoolExecutor() as pool:
        try:
            first = made[0]
            first.start()
            store = ElasticStore(
                [first.url], ca_file=first.ca, username=SETUP_USER, password=first.password(SETUP_USER)
            )
            store.setup()
            store.close()
            first.record("before")
            made += [ClusterNode(name, state, transport, "openldap,scale") for name in ELASTICSEARCH_NODES[1:]]
            list(pool.map(ClusterNode.start, made[1:]))
            yield made
        finally:
            for node in made:
                node.close()


def test_nodes_join_the_one_with_the_documents_and_any_may_die(nodes: list[ClusterNode]) -> None:
    first, second, third = nodes
    assert first.state_of_cluster() == ("green", 1)
    assert second.state_of_cluster() is None, "two that know each other only begin none of their own"

    first.stop()
    first.profiles = "openldap,scale"
    first.render()
    first.start()
    second.wait_until(lambda: second.state_of_cluster() == ("green", 3), "cluster of three, green")
    with first.client(COLLECTOR) as client:
        settings = client.indices.get_settings(index="modelward-events", flat_settings=True)
    assert [index["settings"]["index.number_of_replicas"] for index in settings.values()] == ["1"]
    assert third.found() == {"before": "fraud"}

    first.kill()
    second.wait_until(lambda: (second.state_of_cluster() or ("", 0))[1] == 2, "cluster of the two that are left")
    second.record("meanwhile")
    first.start()
    first.wait_until(lambda: first.state_of_cluster() == ("green", 3), "cluster of three again")
    assert first.found() == {"before": "fraud", "meanwhile": "fraud"}
