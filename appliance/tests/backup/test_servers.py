"""What Elasticsearch and Prometheus hold comes back from a backup: every document, every sample."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch as Client
from elasticsearch.helpers import bulk, scan

from modelward_appliance.backup.archive import now
from modelward_appliance.backup.errors import BackupError
from modelward_appliance.backup.keys import new_key, read_keys
from modelward_appliance.backup.parts.elasticsearch import probe
from modelward_appliance.backup.restore import UNPACKED, Place, restore_elasticsearch, unpack
from modelward_appliance.backup.settings import BackupSettings, ElasticsearchSettings, PrometheusSettings
from modelward_appliance.backup.take import Made, take
from tests.servers.elasticsearch import Elasticsearch
from tests.servers.prometheus import Prometheus

WITHIN_SECONDS = 30.0
INDEX = "modelward-events-000001"


@pytest.fixture
def administrator(elasticsearch: Elasticsearch) -> Iterator[Client]:
    with closing(
        Client(elasticsearch.url, ca_certs=str(elasticsearch.ca), basic_auth=elasticsearch.admin.auth)
    ) as client:
        # The node is the whole run's, and a backup takes all that there is.
        elasticsearch.forget()
        yield client
        elasticsearch.start()
        elasticsearch.forget()


@pytest.fixture
def settings(elasticsearch: Elasticsearch, tmp_path: Path) -> BackupSettings:
    for name, content in (("backup-key", new_key()), ("password", elasticsearch.backup.password)):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(content + "\n")
    (tmp_path / "backups").mkdir()
    return BackupSettings(
        folder=tmp_path / "backups",
        key_file=tmp_path / "backup-key",
        elasticsearch=ElasticsearchSettings(
            urls=(elasticsearch.url,),
            ca_file=elasticsearch.ca,
            username=elasticsearch.backup.name,
            password_file=tmp_path / "password",
            repositories=elasticsearch.repositories,
            repositories_there=str(elasticsearch.repositories),
        ),
    )


def elasticsearch_of(settings: BackupSettings) -> ElasticsearchSettings:
    assert settings.elasticsearch is not None
    return settings.elasticsearch


def index(client: Client, first: int, count: int) -> None:
    if not client.indices.exists(index=INDEX):
        client.indices.create(index=INDEX, aliases={"modelward-events": {"is_write_index": True}})
    rows = ({"_index": "modelward-events", "_id": str(n), "row": n} for n in range(first, first + count))
    assert bulk(client, rows, refresh=True) == (count, [])


def documents(client: Client) -> dict[str, int]:
    return {hit["_id"]: hit["_source"]["row"] for hit in scan(client, index="modelward-events")}


def restore(made: Made, settings: BackupSettings) -> dict[str, int]:
    elasticsearch = elasticsearch_of(settings)
    # As the one-shot service does, which is root while Elasticsearch is not.
    there = elasticsearch.repositories.stat()
    place = Place("elasticsearch", elasticsearch.repositories / UNPACKED, (there.st_uid, there.st_gid))
    with made.path.open("rb") as file:
        manifest = unpack(file, read_keys(settings.key_file), made.path.name, [place])
    return restore_elasticsearch(manifest, elasticsearch)


def test_every_document_comes_back_to_an_empty_elasticsearch(
    elasticsearch: Elasticsearch, administrator: Client, settings: BackupSettings
) -> None:
    index(administrator, 0, 2000)
    made = take(settings)
    assert made.manifest.parts["elasticsearch"]["documents"] == {INDEX: 2000}
    elasticsearch.forget()
    assert restore(made, settings) == {INDEX: 2000}
    assert documents(administrator) == {str(n): n for n in range(2000)}
    assert not (elasticsearch_of(settings).repositories / UNPACKED).exists()
    administrator.index(index="modelward-events", id="new", document={"row": 2000})


def test_the_next_backup_holds_what_came_since_and_not_what_came_after(
    elasticsearch: Elasticsearch, administrator: Client, settings: BackupSettings
) -> None:
    index(administrator, 0, 10)
    take(settings)
    index(administrator, 10, 10)
    second = take(settings, now() + timedelta(hours=1))
    index(administrator, 20, 10)
    elasticsearch.forget()
    restore(second, settings)
    assert len(documents(administrator)) == 20


def test_documents_are_not_restored_beside_others(administrator: Client, settings: BackupSettings) -> None:
    index(administrator, 0, 10)
    made = take(settings)
    with pytest.raises(BackupError, match=f"already holds {INDEX}"):
        restore(made, settings)
    assert len(documents(administrator)) == 10


def test_a_snapshot_is_taken_and_read_without_a_trace(administrator: Client, settings: BackupSettings) -> None:
    index(administrator, 0, 25)
    assert probe(elasticsearch_of(settings)) == f"25 documents of {INDEX} came back from a snapshot"
    assert list(administrator.indices.get(index="modelward-*")) == [INDEX]


def test_an_elasticsearch_that_is_down_fails_the_backup_by_name(
    elasticsearch: Elasticsearch, settings: BackupSettings
) -> None:
    elasticsearch.stop()
    with pytest.raises(BackupError, match=f"{elasticsearch.url} does not answer"):
        take(settings)
    assert list(settings.folder.glob("*.backup")) == []


def test_a_wrong_password_fails_the_backup_by_user(settings: BackupSettings) -> None:
    elasticsearch_of(settings).password_file.write_text("wrong")
    with pytest.raises(BackupError, match=r"refused modelward_backup: .*401"):
        take(settings)


def test_every_sample_comes_back_to_an_empty_prometheus(
    start_prometheus: Callable[..., Prometheus], tmp_path: Path
) -> None:
    first = start_prometheus([], flags=["--web.enable-admin-api"])
    targets = [{"job_name": "self", "static_configs": [{"targets": [f"127.0.0.1:{first.port}"]}]}]
    scraping = start_prometheus(targets, flags=["--web.enable-admin-api"])
    wait_for(lambda: scraping.query("count_over_time(up[1h]) >= 3"))
    key = tmp_path / "backup-key"
    key.touch(0o600)
    key.write_text(new_key())
    (tmp_path / "backups").mkdir()
    settings = BackupSettings(
        folder=tmp_path / "backups",
        key_file=key,
        prometheus=PrometheusSettings(url=scraping.url, storage=scraping.folder / "data"),
    )
    before = samples(scraping)
    made = take(settings)
    assert list((scraping.folder / "data" / "snapshots").iterdir()) == []
    restored = start_prometheus([])
    restored.stop()
    shutil.rmtree(restored.folder / "data")
    with made.path.open("rb") as file:
        unpack(file, read_keys(key), made.path.name, [Place("prometheus", restored.folder / "data")])
    restored.start()
    assert before <= samples(restored)


def samples(prometheus: Prometheus) -> set[tuple[float, str]]:
    (series,) = prometheus.query('up{job="self"}[1h]')
    return {(moment, value) for moment, value in series["values"]}


def wait_for(wanted: Callable[[], object]) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_prometheus_without_its_admin_api_is_told_apart(
    start_prometheus: Callable[..., Prometheus], tmp_path: Path
) -> None:
    running = start_prometheus([])
    key = tmp_path / "backup-key"
    key.touch(0o600)
    key.write_text(new_key())
    settings = BackupSettings(
        folder=tmp_path,
        key_file=key,
        prometheus=PrometheusSettings(url=running.url, storage=running.folder / "data"),
    )
    with pytest.raises(BackupError, match=r"--web\.enable-admin-api"):
        take(settings)
