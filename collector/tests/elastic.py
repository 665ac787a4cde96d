"""An `ElasticStore` on the real node of the tests."""

from __future__ import annotations

from elasticsearch import Elasticsearch as Client

from modelward_collector.store.elastic import ElasticStore
from tests.servers.elasticsearch import Elasticsearch, User


def opened(node: Elasticsearch, user: User | None = None) -> ElasticStore:
    """A store as the collector's user, or another."""
    who = user or node.collector
    return ElasticStore([node.url], ca_file=node.ca, username=who.name, password=who.password)


def emptied(node: Elasticsearch) -> ElasticStore:
    """The same on a node without any document of ours. The indices stay, since making them takes a second each."""
    with Client(node.url, basic_auth=node.admin.auth, ca_certs=str(node.ca)) as client:
        behind = client.indices.get_alias(index="modelward-*")
        older = [
            index
            for index, entry in behind.items()
            if any(not alias.get("is_write_index", True) for alias in entry["aliases"].values())
        ]
        if older:
            client.indices.delete(index=",".join(older))
        client.indices.refresh(index="modelward-*")
        while hits := client.search(index="modelward-*", size=10_000, source=False)["hits"]["hits"]:
            client.bulk(
                operations=[{"delete": {"_index": hit["_index"], "_id": hit["_id"]}} for hit in hits], refresh=True
            )
    return opened(node)


def untouched(node: Elasticsearch) -> ElasticStore:
    """The same on a node where nothing was set up, but for the templates."""
    with Client(node.url, basic_auth=node.admin.auth, ca_certs=str(node.ca)) as client:
        indices = list(client.indices.get(index="modelward-*"))
        if indices:
            client.indices.delete(index=",".join(indices))
    return opened(node)
