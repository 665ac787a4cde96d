"""An agent in a thread of the test, and journals to feed it with."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.tests.bulk_server import BulkServer
from modelward_agent.config import AgentConfig
from modelward_agent.daemon import Agent
from modelward_agent.profile.profile import Profile, merged
from modelward_agent.profile.wire import profile_of_document

WRITER = "app-4242-17a1b2c3d4e5f607"
"""The name of a Recorder's writer."""


def configuration(folder: Path, server: BulkServer | str, **changes: Any) -> AgentConfig:
    url = server if isinstance(server, str) else server.url
    elasticsearch = {"urls": [url], "batch_seconds": 0.01, "backoff_seconds": 0.05, **changes.pop("elasticsearch", {})}
    content = {
        "host": "serving-1",
        "state": folder / "state",
        "journal": {"path": folder / "journal"},
        "commit_interval": "1s",
        "metrics": {"listen": None},
        "elasticsearch": elasticsearch,
        **changes,
    }
    (folder / "journal").mkdir(exist_ok=True)
    return AgentConfig.model_validate(content)


@contextlib.contextmanager
def running(config: AgentConfig, **options: Any) -> Iterator[Agent]:
    """A running agent; it is stopped in order at the end."""
    agent = Agent(config, **options)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            agent.run()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield agent
    finally:
        agent.stop()
        thread.join(20)
        assert not thread.is_alive(), "the agent does not end"
    assert not failures, failures


def prediction(number: int, at: float | None = None, **changes: Any) -> dict[str, Any]:
    """A prediction's line as an object."""
    moment = datetime.fromtimestamp(time.time() if at is None else at, UTC)
    return {
        "@timestamp": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "kind": "prediction",
        "model": "fraud",
        "version": "1",
        "id": f"p{number}",
        "features": {"amount": float(number), "country": "DE"},
        "prediction": number / 1000,
        "latency_ms": 2.5,
        **changes,
    }


def lines(*documents: Mapping[str, Any]) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


def predictions(start: int, end: int, **changes: Any) -> bytes:
    return lines(*(prediction(number, **changes) for number in range(start, end)))


def append(path: Path, content: bytes) -> Path:
    with path.open("ab") as file:
        file.write(content)
    return path


def recorder_file(config: AgentConfig, sequence: int = 1, writer: str = WRITER) -> Path:
    return config.journal.path / f"{writer}.{sequence:06d}.jsonl"


def rows(server: BulkServer) -> int:
    """How many predictions the stored profiles stand for."""
    return profile(server).rows


def profile(server: BulkServer) -> Profile:
    return merged(profile_of_document(document) for _, document in server.profiles())


def ids(server: BulkServer) -> list[str]:
    """The prediction ids of the stored events, with every copy."""
    return sorted(document["id"] for _, document in server.events())


def quarantined(config: AgentConfig) -> list[dict[str, Any]]:
    files = sorted((config.state / "quarantine").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
