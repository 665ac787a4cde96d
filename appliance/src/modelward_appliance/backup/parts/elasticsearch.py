"""Elasticsearch's documents, as a snapshot in a repository on a shared folder, and back."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from elastic_transport import ObjectApiResponse, TransportError
from elasticsearch import ApiError, Elasticsearch, NotFoundError

from modelward_agent.settings import read_secret
from modelward_appliance.backup.archive import now
from modelward_appliance.backup.errors import BackupError
from modelward_appliance.backup.parts import Frozen, files_below
from modelward_appliance.backup.settings import ElasticsearchSettings

REPOSITORY = "modelward"
INDICES = "modelward-*"
_TIMEOUT_SECONDS = 60.0
_SNAPSHOT_SECONDS = 6 * 3600.0
_POLL_SECONDS = 0.5
_PROBE_PREFIX = "modelward-probe-"


def connect(settings: ElasticsearchSettings) -> Elasticsearch:
    """A client as the backup's own user."""
    return Elasticsearch(
        list(settings.urls),
        ca_certs=str(settings.ca_file),
        basic_auth=(settings.username, read_secret(settings.password_file)),
        request_timeout=_TIMEOUT_SECONDS,
        retry_on_timeout=True,
        max_retries=3,
    )


class ElasticsearchPart:
    """One snapshot; the repository keeps only the newest, from which the next one takes what did not change."""

    name = "elasticsearch"

    def __init__(self, settings: ElasticsearchSettings) -> None:
        self._settings = settings
        self._repository = Repository(settings, REPOSITORY)

    @contextmanager
    def frozen(self) -> Iterator[Frozen]:
        """The repository's files, which nothing changes until the next backup."""
        with connect(self._settings) as client, explained(self._settings):
            self._repository.register(client)
            documents = count_documents(client)
            snapshot = f"modelward-{now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
            info = self._repository.take(client, snapshot, kibana=self._settings.kibana)
            self._repository.keep_only(client, snapshot)
        folder = self._settings.repositories / REPOSITORY
        if not any(folder.glob("index-*")):
            raise BackupError(
                f"Elasticsearch's snapshot is not in {folder}; correct elasticsearch.repositories in backup.yml, "
                "which must be Elasticsearch's path.repo"
            )
        facts = {
            "snapshot": snapshot,
            "indices": info["indices"],
            "documents": documents,
            "kibana": self._settings.kibana,
        }
        yield Frozen(facts, files_below(folder))


class Repository:
    """A snapshot repository in a folder that Elasticsearch and this process both see."""

    def __init__(self, settings: ElasticsearchSettings, name: str) -> None:
        self._settings = settings
        self.name = name

    def register(self, client: Elasticsearch, *, read_only: bool = False) -> None:
        """Make it known; again changes nothing."""
        location = f"{self._settings.repositories_there.rstrip('/')}/{self.name}"
        settings = {"location": location, "compress": True, "readonly": read_only}
        client.snapshot.create_repository(
            name=self.name, repository={"type": "fs", "settings": settings}, verify=not read_only
        )

    def take(self, client: Elasticsearch, snapshot: str, *, kibana: bool, indices: str = INDICES) -> dict[str, Any]:
        """Take a snapshot and wait for its end; what it holds. `BackupError` unless all of it succeeded."""
        client.snapshot.create(
            repository=self.name,
            snapshot=snapshot,
            indices=indices,
            feature_states=["kibana"] if kibana else ["none"],
            include_global_state=False,
            ignore_unavailable=True,
            wait_for_completion=False,
        )
        deadline = time.monotonic() + _SNAPSHOT_SECONDS
        while True:
            (info,) = client.snapshot.get(repository=self.name, snapshot=snapshot)["snapshots"]
            if info["state"] == "SUCCESS":
                return dict(info)
            if info["state"] != "IN_PROGRESS" or time.monotonic() > deadline:
                reasons = "; ".join(failure.get("reason", "?") for failure in info.get("failures", [])[:3])
                raise BackupError(
                    f"Elasticsearch's snapshot {snapshot} ended {info['state']} ({reasons}); see its log: "
                    "make logs SERVICE=elasticsearch"
                )
            time.sleep(_POLL_SECONDS)

    def keep_only(self, client: Elasticsearch, snapshot: str) -> None:
        """Delete every other snapshot."""
        names = [item["snapshot"] for item in client.snapshot.get(repository=self.name, snapshot="_all")["snapshots"]]
        if others := [name for name in names if name != snapshot]:
            client.snapshot.delete(repository=self.name, snapshot=others)

    def restore(
        self, client: Elasticsearch, snapshot: str, *, kibana: bool, renamed: tuple[str, str] | None = None
    ) -> Sequence[str]:
        """Restore a snapshot's indices (by another name when `renamed`: pattern, replacement); their names.

        Waits until every shard is there. Indices of the same name must not exist.
        """
        pattern, replacement = renamed or (None, None)
        answer: ObjectApiResponse[Any] = client.options(request_timeout=_SNAPSHOT_SECONDS).snapshot.restore(
            repository=self.name,
            snapshot=snapshot,
            feature_states=["kibana"] if kibana else ["none"],
            include_global_state=False,
            include_aliases=renamed is None,
            wait_for_completion=True,
            rename_pattern=pattern,
            rename_replacement=replacement,
        )
        shards = answer["snapshot"]["shards"]
        if shards["failed"] or shards["successful"] != shards["total"]:
            raise BackupError(
                f"only {shards['successful']} of {shards['total']} shards were restored; see Elasticsearch's log"
            )
        return [str(name) for name in answer["snapshot"]["indices"]]

    def forget(self, client: Elasticsearch) -> None:
        """Make it unknown; its files stay."""
        try:
            client.snapshot.delete_repository(name=self.name)
        except NotFoundError:
            return


def count_documents(client: Elasticsearch, indices: str = f"{INDICES},-{_PROBE_PREFIX}*") -> dict[str, int]:
    """How many documents each index has."""
    stats = client.indices.stats(index=indices, metric="docs", expand_wildcards="open")
    return {name: index["primaries"]["docs"]["count"] for name, index in sorted(stats["indices"].items())}


def restore_documents(settings: ElasticsearchSettings, facts: dict[str, Any], unpacked: str) -> dict[str, int]:
    """Restore what `facts` of a manifest tell from the files in `repositories/<unpacked>`; documents by index.

    `BackupError` when the cluster already has indices of Modelward.
    """
    repository = Repository(settings, unpacked)
    with connect(settings) as client, explained(settings):
        if present := count_documents(client):
            raise BackupError(
                f"Elasticsearch already holds {', '.join(list(present)[:3])}, …; restore to an empty one (make destroy)"
            )
        repository.register(client, read_only=True)
        try:
            repository.restore(client, facts["snapshot"], kibana=facts["kibana"])
            client.indices.refresh(index=INDICES)
            restored = count_documents(client)
        finally:
            repository.forget(client)
    if missing := sorted(set(facts["documents"]) - set(restored)):
        raise BackupError(f"the indices {', '.join(missing)} did not come back; see Elasticsearch's log")
    return restored


def probe(settings: ElasticsearchSettings) -> str:
    """Take a snapshot of the smallest index, restore it beside it, compare, and remove both; what was seen."""
    repository = Repository(settings, "modelward-probe")
    with connect(settings) as client, explained(settings):
        counted = {name: count for name, count in count_documents(client).items() if count}
        if not counted:
            raise BackupError("Elasticsearch holds no document yet; wait for an agent's first heartbeat, a minute")
        index = min(counted, key=lambda name: counted[name])
        token = secrets.token_hex(4)
        copy = f"{_PROBE_PREFIX}{token}"
        repository.register(client)
        try:
            repository.take(client, token, kibana=False, indices=index)
            repository.restore(client, token, kibana=False, renamed=(".+", copy))
            client.indices.refresh(index=copy)
            read = count_documents(client, copy)[copy]
        finally:
            client.options(ignore_status=404).indices.delete(index=copy)
            client.options(ignore_status=404).snapshot.delete(repository=repository.name, snapshot=token)
            repository.forget(client)
    if read < counted[index]:
        raise BackupError(f"a snapshot of {index} with {counted[index]} documents came back with {read}")
    return f"{read} documents of {index} came back from a snapshot"


@contextmanager
def explained(settings: ElasticsearchSettings) -> Iterator[None]:
    """What Elasticsearch refuses, or that it does not answer, as a `BackupError`."""
    try:
        yield
    except ApiError as error:
        raise BackupError(f"Elasticsearch at {settings.urls[0]} refused {settings.username}: {error}") from error
    except TransportError as error:
        raise BackupError(f"Elasticsearch at {settings.urls[0]} does not answer ({error}); is it running?") from error
