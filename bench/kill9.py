"""kill -9 of the application, the agent and Elasticsearch at random instants: nothing is lost, nothing counts twice.

    .venv/bin/python bench/kill9.py --kills 200

An application records predictions and notes the id of each in a ledger after the call has returned. It and the agent
are killed and started again, Elasticsearch too, and indices roll over in between. At the end every id of the ledger is
in Elasticsearch once, there are as many events as whole lines in the journal, and the profiles' rows are as many.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import random
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.rows import Row, report
from modelward_agent.profile.profile import merged
from modelward_agent.profile.wire import profile_of_document
from tests.servers.elasticsearch import Elasticsearch

MODEL = "kill9"
SETTLE_SECONDS = 120.0
SHORTEST_LONGEST_LIFE, LONGEST_LIFE = 1.6, 4.0
"""Seconds between two kills at most, depending on how long a start takes."""

_APPLICATION = """
import os, sys, time
from modelward_agent import Recorder
journal, ledger = sys.argv[1:]
noted = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
recorder = Recorder("kill9", "1", journal=journal, max_file_bytes=100_000)
number = 0
while True:
    for _ in range(20):
        number += 1
        row = {"number": number * 0.5, "parity": "odd" if number % 2 else "even", "missing": None}
        prediction_id = recorder.predict(row, number / 7, latency_ms=1.5)
        os.write(noted, b"\\n" + prediction_id.encode() + b"\\n")
    time.sleep(0.02)
"""

_INDEX = {
    "settings": {"number_of_shards": 1, "number_of_replicas": 0},
    "mappings": {
        "dynamic": False,
        "properties": {
            "@timestamp": {"type": "date_nanos"},
            "kind": {"type": "keyword"},
            "model": {"type": "keyword"},
            "id": {"type": "keyword"},
        },
    },
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found at the end; `lost` and `twice` count ids of the ledger, `copies` events beyond the lines."""

    kills: int
    lines: int
    recorded: int
    lost: int
    twice: int
    events: int
    rows: int
    indices: int

    @property
    def holds(self) -> bool:
        """Whether nothing is lost and nothing counted twice."""
        return self.lost == self.twice == 0 and self.events == self.lines == self.rows and self.recorded > 0


class Index:
    """The little that is asked of Elasticsearch here."""

    def __init__(self, node: Elasticsearch) -> None:
        self._node = node
        self._trust = ssl.create_default_context(cafile=str(node.ca))

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON; urllib's errors."""
        request = urllib.request.Request(self._node.url + path, method=method)
        request.add_header(
            "Authorization", "Basic " + base64.b64encode(":".join(self._node.admin.auth).encode()).decode()
        )
        request.add_header("Content-Type", "application/json")
        content = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(request, content, timeout=60, context=self._trust) as answer:
            return json.load(answer)

    def set_up(self) -> None:
        """Empty indices behind the three aliases."""
        for alias in ("modelward-events", "modelward-logs", "modelward-profiles"):
            with contextlib.suppress(urllib.error.HTTPError):
                for index in self.ask("GET", f"/_alias/{alias}"):
                    self.ask("DELETE", f"/{index}")
            body = {**_INDEX, "aliases": {alias: {"is_write_index": True}}}
            self.ask("PUT", f"/{alias}-000001", body)

    def roll_over(self, alias: str) -> None:
        """A new write index."""
        self.ask("POST", f"/{alias}/_rollover", _INDEX)

    def count(self, alias: str) -> int:
        """Documents behind the alias."""
        self.ask("POST", f"/{alias}/_refresh")
        return int(self.ask("GET", f"/{alias}/_count")["count"])

    def documents(self, alias: str) -> Iterator[dict[str, Any]]:
        """Every document behind the alias."""
        self.ask("POST", f"/{alias}/_refresh")
        page = self.ask("POST", f"/{alias}/_search?scroll=1m", {"size": 2000, "sort": ["_doc"]})
        while page["hits"]["hits"]:
            yield from (hit["_source"] for hit in page["hits"]["hits"])
            page = self.ask("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": page["_scroll_id"]})


class Victim:
    """A process that is killed and started again."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(self._command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)

    def kill(self) -> None:
        """`kill -9`; it must have been alive."""
        assert self._process is not None
        status = self._process.poll()
        assert status is None, f"it ended by itself with {status}:\n{self._log.read_text()[-3000:]}"
        self._process.kill()
        self._process.wait()

    def end(self) -> int:
        """SIGTERM; its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def _keep(journal: Path, kept: Path) -> None:
    """Link every file of the journal, since the agent deletes what it has delivered."""
    for path in journal.glob("*.jsonl"):
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            os.link(path, kept / path.name)


def _sleep(seconds: float, meanwhile: Callable[[], None]) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        meanwhile()
        time.sleep(min(0.1, left))


def run(
    node: Elasticsearch,
    folder: Path,
    *,
    kills: int,
    seed: int,
    elasticsearch_kills: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Kill `kills` times, then let everything settle and count."""
    draw = random.Random(seed)
    index = Index(node)
    index.set_up()
    journal, kept, ledger = folder / "journal", folder / "kept", folder / "ledger"
    journal.mkdir()
    kept.mkdir()
    secret = folder / "password"
    secret.touch(0o600)
    secret.write_text(node.agent.password)
    config = folder / "agent.yml"
    config.write_text(
        json.dumps(
            {
                "host": "kill9",
                "state": str(folder / "state"),
                "journal": {"path": str(journal)},
                "commit_interval": "1s",
                "heartbeat_interval": "1s",
                "metrics": {"listen": None},
                "elasticsearch": {
                    "urls": [node.url],
                    "ca_file": str(node.ca),
                    "username": node.agent.name,
                    "password_file": str(secret),
                    "batch_seconds": 0.05,
                    "backoff_seconds": 0.5,
                },
            }
        )
    )
    agent_log = folder / "agent.log"
    run_agent = "import sys; from modelward_agent.cli import main; sys.exit(main())"
    application = Victim([sys.executable, "-c", _APPLICATION, str(journal), str(ledger)], folder / "application.log")
    agent = Victim([sys.executable, "-c", run_agent, "run", "--config", str(config)], agent_log)
    elasticsearch_dies = set(draw.sample(range(kills), elasticsearch_kills))
    try:
        application.start()
        agent.start()
        begun = time.monotonic()
        while not index.count("modelward-events"):
            _sleep(0.1, lambda: _keep(journal, kept))
        # On a slow machine too, some of them live long enough to get something done.
        longest = min(LONGEST_LIFE, max(SHORTEST_LONGEST_LIFE, 2 * (time.monotonic() - begun)))
        done = 0
        while done < kills:
            _sleep(draw.uniform(0.05, longest), lambda: _keep(journal, kept))
            victims = draw.choice(([agent], [agent], [application], [agent, application]))
            for victim in victims:
                victim.kill()
            if done in elasticsearch_dies:
                node.kill()
                node.start()
            if draw.random() < 0.15:
                index.roll_over(draw.choice(("modelward-events", "modelward-profiles")))
            _keep(journal, kept)
            for victim in victims:
                victim.start()
            done += len(victims)
            if done // 20 != (done - len(victims)) // 20:
                say(f"{done} kills, {index.count('modelward-events'):,} events")
        _sleep(0.5, lambda: _keep(journal, kept))
        application.kill()
        _keep(journal, kept)
        lines = sum(path.read_bytes().count(b"\n") for path in kept.iterdir())
        deadline = time.monotonic() + SETTLE_SECONDS
        while index.count("modelward-events") < lines and time.monotonic() < deadline:
            time.sleep(0.2)
        status = agent.end()
        assert status == 0, f"the agent ended with {status}:\n{agent_log.read_text()[-3000:]}"
    finally:
        application.discard()
        agent.discard()
    return _counted(index, ledger, lines, done + 1)


def _counted(index: Index, ledger: Path, lines: int, kills: int) -> Outcome:
    # A kill may have come between two writes of the ledger, never into one: an id that is not whole is not noted.
    noted = {line for line in ledger.read_text().split("\n") if len(line) == 36}
    stored = Counter(document["id"] for document in index.documents("modelward-events"))
    profiles = list(index.documents("modelward-profiles"))
    return Outcome(
        kills=kills,
        lines=lines,
        recorded=len(noted),
        lost=sum(1 for prediction_id in noted if prediction_id not in stored),
        twice=sum(1 for count in stored.values() if count > 1),
        events=sum(stored.values()),
        rows=merged(profile_of_document(document) for document in profiles).rows,
        indices=len(index.ask("GET", "/_alias/modelward-events")) + len(index.ask("GET", "/_alias/modelward-profiles")),
    )


def main() -> int:
    """Run it; 1 when something is lost or counted twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--elasticsearch-kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=2013)
    options = parser.parse_args()
    with Elasticsearch() as node, tempfile.TemporaryDirectory(prefix="modelward-kill9-") as folder:
        outcome = run(
            node,
            Path(folder),
            kills=options.kills,
            seed=options.seed,
            elasticsearch_kills=min(options.elasticsearch_kills, options.kills),
            say=lambda text: print(text, flush=True),
        )
    print(outcome, flush=True)
    what = f"{outcome.kills} kills, {options.elasticsearch_kills} of Elasticsearch, {outcome.indices} indices"
    return report(
        [
            Row(f"{what}: recorded and lost", f"{outcome.lost} of {outcome.recorded:,}", "0", outcome.lost == 0),
            Row("stored twice", str(outcome.twice), "0", outcome.twice == 0),
            Row(
                "events, of journal lines",
                f"{outcome.events:,} of {outcome.lines:,}",
                "as many",
                outcome.events == outcome.lines,
            ),
            Row(
                "rows in profiles, of journal lines",
                f"{outcome.rows:,} of {outcome.lines:,}",
                "as many",
                outcome.rows == outcome.lines,
            ),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
