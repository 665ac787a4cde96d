"""What is the Elasticsearch store's own: its indices and templates, its users, its outages."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch as Client

from collector.tests.elastic import emptied, opened, untouched
from collector.tests.store_documents import DAY, NOON, actual, log, part, prediction, result
from modelward_collector.span import Span
from modelward_collector.store.elastic import ElasticStore
from modelward_collector.store.protocol import Alias, Document, Outcome, StoreUnavailableError
from modelward_collector.store.rollup import RolledUp, roll_up
from modelward_collector.store.windows import load_window
from tests.servers.certificates import Authority
from tests.servers.elasticsearch import Elasticsearch, User
from tests.servers.ports import free_port

pytestmark = pytest.mark.server("elasticsearch")

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def store(elasticsearch: Elasticsearch) -> Iterator[ElasticStore]:
    store = emptied(elasticsearch)
    store.setup()
    yield store
    store.close()


@pytest.fixture
def admin(elasticsearch: Elasticsearch) -> Iterator[Client]:
    with Client(elasticsearch.url, basic_auth=elasticsearch.admin.auth, ca_certs=str(elasticsearch.ca)) as client:
        yield client


def shipped(node: Elasticsearch, *documents: Document) -> list[int]:
    """Deliver as an agent does: as the agents' user, by the bulk API, straight to the server."""
    operations: list[Any] = []
    for document in documents:
        operations += [{"create": {"_index": document.alias, "_id": document.id}}, dict(document.source)]
    with Client(node.url, basic_auth=node.agent.auth, ca_certs=str(node.ca)) as client:
        items = client.bulk(operations=operations, refresh="wait_for")["items"]
    return [item["create"]["status"] for item in items]


# -- indices and templates ----------------------------------------------------------------------------------------
def test_what_agents_ship_is_found(store: ElasticStore, elasticsearch: Elasticsearch) -> None:
    sent = [prediction("1", segment={"region": "eu"}), actual("1", value=3.0), log("l"), part("p", values=[1.0, 2.0])]
    assert shipped(elasticsearch, *sent) == [201] * 4
    assert shipped(elasticsearch, *sent) == [409] * 4
    assert store.labelled(DAY, model="delay").actual_value.tolist() == [3.0]
    assert load_window(store, "delay", DAY).profile().rows == 2
    assert [item["_id"] for item in store.events(Alias.LOGS, DAY, text="HELLO").items] == ["l"]


@pytest.mark.filterwarnings("error")
def test_a_thousand_features_are_kept_and_add_nothing_to_the_mapping(
    store: ElasticStore, elasticsearch: Elasticsearch, admin: Client
) -> None:
    def mapped() -> Any:
        return admin.indices.get_mapping(index=Alias.EVENTS).body

    before = mapped()
    wide = prediction("wide")
    features = {f"feature {number}": number for number in range(1_000)}
    assert shipped(elasticsearch, replace(wide, source={**wide.source, "features": features, "extra": 1})) == [201]
    assert mapped() == before
    (kept,) = store.events(Alias.EVENTS, DAY).items
    assert kept["features"] == features


def test_values_that_do_not_fit_their_field_are_kept_unsearchable(
    store: ElasticStore, elasticsearch: Elasticsearch
) -> None:
    odd = prediction("odd")
    odd = replace(odd, source={**odd.source, "latency_ms": "soon", "prediction": {"value": "NaN"}})
    assert shipped(elasticsearch, odd) == [201]
    (kept,) = store.events(Alias.EVENTS, DAY).items
    assert kept["latency_ms"] == "soon"


def test_a_rollover_begins_the_next_index_and_retention_spares_the_one_in_use(
    store: ElasticStore, admin: Client
) -> None:
    store.create([log("1")])
    first = _writing(admin, Alias.LOGS)
    (second,) = store.roll_over(max_documents=1, max_age=timedelta(days=9), now=datetime.now(UTC))
    assert int(second.rpartition("-")[2]) == int(first.rpartition("-")[2]) + 1
    assert _writing(admin, Alias.LOGS) == second
    assert store.roll_over(max_documents=1, max_age=timedelta(days=9), now=datetime.now(UTC)) == []
    store.create([log("2", NOON + HOUR)])
    keep = {Alias.LOGS: timedelta(days=1)}
    assert store.retain(keep, NOON + timedelta(hours=23)) == 0
    assert store.retain(keep, NOON + timedelta(days=500)) == 1
    assert [item["_id"] for item in store.events(Alias.LOGS, DAY).items] == ["2"]


def _writing(admin: Client, alias: Alias) -> str:
    behind = admin.indices.get_alias(name=alias).body
    (writing,) = (name for name, entry in behind.items() if entry["aliases"][alias]["is_write_index"])
    return str(writing)


def test_a_copy_is_made_as_soon_as_there_is_a_second_node(store: ElasticStore, admin: Client) -> None:
    wanted = {"index.auto_expand_replicas": "0-1", "index.number_of_replicas": "0"}
    found = admin.indices.get_settings(index="modelward-*", flat_settings=True)
    assert len(found) > len(Alias)
    assert all(wanted.items() <= index["settings"].items() for index in found.values())


def test_collectors_that_start_together_set_up_once(elasticsearch: Elasticsearch) -> None:
    store = untouched(elasticsearch)
    failed: list[Exception] = []

    def start() -> None:
        one = opened(elasticsearch)
        try:
            one.setup()
        except Exception as error:
            failed.append(error)
        finally:
            one.close()

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert store.create([log("1")])[0].outcome is Outcome.CREATED
    store.close()


def test_a_result_with_a_very_long_name_is_kept(store: ElasticStore) -> None:
    saved = result(model="ü" * 200, version="v" * 200)
    store.save_result(saved)
    assert store.result(saved.id) == saved
    assert store.latest_results() == [saved]


# -- profiles -----------------------------------------------------------------------------------------------------
def test_a_profile_of_an_agent_that_gives_no_segment_key_is_listed_all_the_same(
    store: ElasticStore, elasticsearch: Elasticsearch
) -> None:
    whole = part("1", segment=(("region", "eu"),))
    older = replace(whole, source={key: value for key, value in whole.source.items() if key != "segment_key"})
    long_name = part("2", version="v" * 2_000)
    assert shipped(elasticsearch, older, long_name) == [201, 201]
    first, second = store.parts(DAY, model="delay")
    assert (first.segment, first.rows, first.end) == ({"region": "eu"}, 3, NOON + MINUTE)
    assert second.version == "v" * 2_000


def test_a_document_that_is_no_profile_hides_no_other(store: ElasticStore, elasticsearch: Elasticsearch) -> None:
    broken = part("broken")
    source = {key: value for key, value in broken.source.items() if key not in ("window", "profile")}
    assert shipped(elasticsearch, replace(broken, source=source), part("whole")) == [201, 201]
    assert [one.id for one in store.parts(DAY, model="delay")] == ["whole"]
    assert load_window(store, "delay", DAY).profile().rows == 3
    assert [one.model for one in store.seen_models()] == ["delay"]


def test_minutes_roll_up_and_go_over_a_rollover_without_a_row_counted_twice(
    store: ElasticStore, elasticsearch: Elasticsearch
) -> None:
    sent = [part(f"m{n}", NOON + n * MINUTE, [float(n)]) for n in range(10)]
    shipped(elasticsearch, *sent[:5])
    store.roll_over(max_documents=1, max_age=timedelta(days=9), now=datetime.now(UTC))
    shipped(elasticsearch, *sent[5:], sent[0])  # the first once more, in another index than before
    assert load_window(store, "delay", DAY).profile().rows == 10
    assert roll_up(store, "delay", NOON + 2 * HOUR) == RolledUp(1, 0)
    assert load_window(store, "delay", DAY).profile().rows == 10
    assert roll_up(store, "delay", NOON + 8 * HOUR) == RolledUp(0, 10)
    assert [one.seconds for one in store.parts(DAY, model="delay")] == [3600]
    shipped(elasticsearch, sent[3])  # its acknowledgement was lost
    window = load_window(store, "delay", DAY)
    assert (window.profile().rows, window.last_row) == (10, NOON + 10 * MINUTE)
    assert roll_up(store, "delay", DAY.end + HOUR) == RolledUp(1, 1)
    assert load_window(store, "delay", DAY).profile().rows == 10
    assert [(one.first_seen, one.last_seen) for one in store.seen_models()] == [(DAY.start, NOON + 10 * MINUTE)]


# -- users and outages --------------------------------------------------------------------------------------------
def test_nobody_listening_is_said_at_once(tmp_path: Path) -> None:
    port = free_port()
    store = ElasticStore([f"http://127.0.0.1:{port}"], timeout=30)
    begun = time.monotonic()
    for ask in (
        store.setup,
        store.ping,
        store.health,
        lambda: store.create([log("1")]),
        lambda: store.parts(DAY, model="delay"),
    ):
        with pytest.raises(
            StoreUnavailableError, match=rf"Elasticsearch at http://127\.0\.0\.1:{port} does not answer"
        ):
            ask()
    assert time.monotonic() - begun < 5
    store.close()


def test_a_wrong_password_is_said_with_what_to_check(elasticsearch: Elasticsearch) -> None:
    store = opened(elasticsearch, User("modelward_collector", "wrong", ""))
    with pytest.raises(StoreUnavailableError, match=r"\(401\); check store\.username and its password file"):
        store.ping()
    store.close()


def test_a_user_without_the_privilege_is_told_which(store: ElasticStore, elasticsearch: Elasticsearch) -> None:
    as_agent = opened(elasticsearch, elasticsearch.agent)
    with pytest.raises(StoreUnavailableError, match=r"\(403\); the user lacks a privilege"):
        as_agent.parts(DAY, model="delay")
    as_agent.close()


def test_a_certificate_of_another_authority_is_not_trusted(elasticsearch: Elasticsearch, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    store = ElasticStore([elasticsearch.url], ca_file=other.path, username="admin", password="admin-of-the-tests")
    with pytest.raises(StoreUnavailableError, match=r"does not answer: .*certificate.*ca_file"):
        store.ping()
    store.close()


def test_before_setup_the_store_says_so(elasticsearch: Elasticsearch) -> None:
    store = untouched(elasticsearch)
    with pytest.raises(StoreUnavailableError, match=r"\(404\); start the collector, which sets it up"):
        store.parts(DAY, model="delay")
    with pytest.raises(StoreUnavailableError, match=r"\(404\); start the collector"):
        store.create([log("1")])
    store.setup()
    assert store.parts(DAY, model="delay") == []
    store.close()


def test_a_server_that_is_killed_and_comes_back_has_all_it_acknowledged_and_is_used_again(
    store: ElasticStore, elasticsearch: Elasticsearch
) -> None:
    store.create([log("1"), part("1")])
    store.save_result(result())
    assert store.acquire_lease("schedule", "a", timedelta(days=9000), NOON)
    elasticsearch.kill()
    begun = time.monotonic()
    with pytest.raises(StoreUnavailableError):
        store.create([log("2")])
    assert time.monotonic() - begun < 10
    elasticsearch.start()
    assert store.create([log("1"), log("2")])[0].outcome is Outcome.CONFLICT
    assert len(store.events(Alias.LOGS, DAY).items) == 2
    assert load_window(store, "delay", Span(DAY.start, DAY.end)).profile().rows == 3
    assert store.latest_results() == [result()]
    assert not store.acquire_lease("schedule", "b", timedelta(days=1), NOON + HOUR)
