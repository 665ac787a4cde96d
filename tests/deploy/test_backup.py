"""What is backed up comes back after everything was destroyed: documents, series, secrets, people's settings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelward_appliance.host.verify.site import Site
from tests.deploy.deployment import Deployment, wait_for

MODEL = "restored"
IDS = """
import hashlib, json
from contextlib import closing
from pathlib import Path
from elasticsearch import Elasticsearch
from elasticsearch.helpers import scan
from modelward_agent.settings import read_secret
from modelward_collector.config import load_config

store = load_config(Path("/etc/modelward/collector.yml")).store
with closing(
    Elasticsearch(
        store.urls, ca_certs=str(store.ca_file), basic_auth=(store.username, read_secret(store.password_file))
    )
) as client:
    client.indices.refresh(index="modelward-*")
    found = {}
    for hit in scan(client, index="modelward-events,modelward-profiles"):
        body = json.dumps(hit["_source"], sort_keys=True).encode()
        found[hit["_index"] + "/" + hit["_id"]] = hashlib.sha256(body).hexdigest()
    print(json.dumps(found))
"""


def documents(deployment: Deployment) -> Mapping[str, str]:
    """By index and id: the digest of every event and profile."""
    found: Mapping[str, str] = json.loads(deployment.compose.run("exec", "-T", "collector", "python", "-", given=IDS))
    return found


def predictions_scraped(deployment: Deployment) -> set[tuple[float, str]]:
    """Every sample of the model's counter that Prometheus has, by moment."""
    query = f"query?query=modelward_predictions_total%7Bmodel%3D%22{MODEL}%22%7D%5B1h%5D"
    result = Site(deployment.environment).prometheus(query)["result"]
    return {(moment, value) for series in result for moment, value in series["values"]}


@dataclass(frozen=True)
class Made:
    """A backup, and what there was just before it."""

    path: Path
    documents: Mapping[str, str]
    samples: set[tuple[float, str]]


@pytest.fixture(scope="module")
def made(deployment: Deployment) -> Made:
    application = deployment.application(MODEL)
    wait_for(lambda: deployment.stored(MODEL).get("events", 0) > 500, "predictions", 120)
    recorded = application.stop()
    wait_for(lambda: deployment.stored(MODEL) == {"events": recorded, "rows": recorded}, "delivery", 150)
    wait_for(lambda: predictions_scraped(deployment), "scrape", 60)
    before, samples = documents(deployment), predictions_scraped(deployment)
    said = deployment.run("backup").stdout
    return Made(Path(said.splitlines()[-1].removeprefix("kept as ")), before, samples)


@pytest.fixture
def backup(made: Made) -> Path:
    return made.path


def test_a_backup_is_one_file_for_its_owner_alone(deployment: Deployment, backup: Path) -> None:
    assert backup.parent == deployment.state / "backups"
    assert backup.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in backup.parent.iterdir() if path.suffix == ".partial"] == []


def test_it_is_listed_and_can_be_proven(deployment: Deployment, backup: Path) -> None:
    assert backup.name in deployment.run("backup", "list").stdout
    said = deployment.run("backup", "verify").stdout
    assert f"{backup.name}: every byte is as it was packed" in said
    assert "state, elasticsearch, prometheus" in said


def test_no_secret_can_be_read_in_it(deployment: Deployment, backup: Path) -> None:
    content = backup.read_bytes()
    for path in (deployment.state / "secrets").iterdir():
        assert path.read_bytes().strip() not in content, path.name


def test_prometheus_keeps_no_snapshot_of_it(deployment: Deployment, backup: Path) -> None:
    assert deployment.compose.exec("prometheus", "ls", "/prometheus/snapshots").split() == []


def test_prometheus_is_told_of_it(deployment: Deployment, backup: Path) -> None:
    def told() -> bool:
        query = "query?query=modelward_backup_last_success_timestamp_seconds%20%3E%200"
        return bool(Site(deployment.environment).prometheus(query)["result"])

    wait_for(told, "metric of the backup", 60)


def test_a_damaged_one_is_refused_before_anything_changes(deployment: Deployment, backup: Path, tmp_path: Path) -> None:
    damaged = tmp_path / backup.name
    content = bytearray(backup.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    before = {name: item.id for name, item in deployment.containers().items()}
    done = deployment.run("restore", str(damaged), "--yes", check=False)
    assert done.returncode == 1
    assert "was changed or damaged" in done.stdout
    assert {name: item.id for name, item in deployment.containers().items()} == before


def test_it_asks_before_it_replaces_what_is_there(deployment: Deployment, backup: Path) -> None:
    done = deployment.run("restore", str(backup), check=False, given="yes\n")
    assert done.returncode == 1
    assert "nothing was restored" in done.stdout


def test_it_is_not_destroyed_while_an_application_holds_a_volume(deployment: Deployment, made: Made) -> None:
    application = deployment.application(MODEL)
    try:
        done = deployment.run("destroy", "--yes", check=False)
    finally:
        application.remove()
    assert done.returncode == 1
    assert f"docker rm --force {application.name}" in done.stdout
    assert deployment.is_well()


def test_everything_is_there_after_everything_was_destroyed(deployment: Deployment, made: Made, tmp_path: Path) -> None:
    secrets = {path.name: path.read_text() for path in (deployment.state / "secrets").iterdir()}
    authority = (deployment.state / "tls" / "ca.crt").read_bytes()
    key = tmp_path / "backup-key"
    shutil.copy(deployment.state / "secrets" / "backup-key", key)
    deployment.run("destroy", "--yes")
    assert not (deployment.state / "secrets").exists()
    assert deployment.compose.volumes() == []
    said = deployment.run("restore", str(made.path), "--key", str(key), "--yes").stdout
    assert " 0 failed" in said
    restored = documents(deployment)
    assert {name: restored.get(name) for name in made.documents} == made.documents
    assert len(made.documents) > 500
    assert made.samples <= predictions_scraped(deployment)
    assert {path.name: path.read_text() for path in (deployment.state / "secrets").iterdir()} == secrets
    assert (deployment.state / "tls" / "ca.crt").read_bytes() == authority
    again = Path(deployment.run("backup").stdout.splitlines()[-1].removeprefix("kept as "))
    assert again.name > made.path.name
