"""How many events a second the agent takes from the journal to sketches and a `_bulk` body, on one core.

One process does what the agent's loop and its shipper do to every block of the journal, in their own code: read whole
lines, parse, fold, make the documents, join them; once more with the gzip of the transport, which of random
numbers costs as much as half of that. Then the whole agent, threads and all, runs over the same journal
against a server that answers at once, for its memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import ClassVar

import orjson

from bench.rows import ROOT, Row, report
from modelward_agent.config import Events
from modelward_agent.journal.follow import Cursor
from modelward_agent.journal.parse import Record
from modelward_agent.journal.source import JournalSource
from modelward_agent.profile.fold import Folder
from modelward_agent.ship.documents import Documents

FEATURES = 30
EVENTS = 300_000
ROUNDS = 3
HOLD_EVENTS_PER_SECOND = 60_000
HOLD_MEMORY_MIB = 100
TAKES_AT_MOST = 120.0
CORES = len(os.sched_getaffinity(0))


def write_journal(path: Path, events: int) -> None:
    """So many predictions of random numbers, a hundredth of a second apart."""
    random = Random(1)
    start = datetime.now(UTC) - timedelta(seconds=events / 100)
    rows = [{f"feature_{i}": random.uniform(0, 100) for i in range(FEATURES)} for _ in range(1000)]
    with path.open("wb") as journal:
        for number in range(events):
            moment = (start + timedelta(seconds=number / 100)).isoformat(timespec="microseconds")
            line = {
                "@timestamp": moment.replace("+00:00", "Z"),
                "kind": "prediction",
                "model": "bench",
                "version": "1",
                "id": f"{number:032x}",
                "features": rows[number % 1000],
                "prediction": rows[number % 1000]["feature_0"],
                "latency_ms": 1.25,
            }
            journal.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def events_per_second(path: Path, *, compressed: bool) -> float:
    """The pipeline over the whole file, by this process's own time on the processor; the best of the rounds."""
    return max(_round(path, compressed) for _ in range(ROUNDS))


def _round(path: Path, compressed: bool) -> float:
    folder, documents, source, cursor = Folder("host"), Documents("host", Events()), JournalSource(), Cursor(0)
    descriptor = os.open(path, os.O_RDONLY)
    begun = time.process_time()
    while (block := cursor.read(descriptor)) is not None:
        entries = source.entries(block.data, final=False)
        folder.fold([record for record in entries.records if type(record) is Record])
        offsets = [block.start + offset for offset in entries.offsets]
        parts: list[bytes] = []
        for _, item_id, body in documents.items("key", zip(offsets, entries.records, strict=True)):
            parts += (b'{"create":{"_index":"modelward-events-000001","_id":"', item_id.encode(), b'"}}\n', body, b"\n")
        bulk = b"".join(parts)
        if compressed:
            zlib.compress(bulk, 1)
        cursor.advance(block.end)
    spent = time.process_time() - begun
    os.close(descriptor)
    if folder.rows != EVENTS:
        raise SystemExit(f"modelward: {folder.rows:,} of {EVENTS:,} events were folded")
    return EVENTS / spent


class Sink(BaseHTTPRequestHandler):
    """A `_bulk` that creates everything at once."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    created: ClassVar[int] = 0

    def do_GET(self) -> None:
        """Every alias has one index."""
        alias = self.path.rpartition("/")[2]
        self._answer({f"{alias}-000001": {"aliases": {alias: {"is_write_index": True}}}})

    def do_POST(self) -> None:
        """Count and acknowledge."""
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = zlib.decompress(body, 31)
        items = body.count(b'\n{"create":') + 1
        Sink.created += items
        self._answer({"errors": False, "items": [{"create": {"status": 201}}] * items})

    def _answer(self, content: object) -> None:
        body = orjson.dumps(content)
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("x-elastic-product", "Elasticsearch")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def whole_agent(folder: Path, journal: Path, *, compress: str, events: int = EVENTS) -> tuple[float, float]:
    """Events a second until everything is delivered, and the agent's peak resident memory in MiB."""
    folder = folder / compress
    folder.mkdir()
    Sink.created = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = folder / "agent.yml"
    config.write_text(
        f"state: {folder / 'state'}\njournal: {{path: {journal.parent}}}\nmetrics: {{listen: null}}\n"
        f"elasticsearch: {{urls: ['http://127.0.0.1:{server.server_port}'], compress: {compress}}}\n"
    )
    begun = time.monotonic()
    agent = subprocess.Popen([str(Path(sys.executable).with_name("modelward-agent")), "run", "--config", str(config)])
    try:
        for _ in _until(TAKES_AT_MOST):
            if agent.poll() is not None:
                raise SystemExit(f"modelward: the agent ended with {agent.returncode}")
            if Sink.created >= events:
                break
        else:
            raise SystemExit(f"modelward: {Sink.created:,} of {events:,} events after {TAKES_AT_MOST:g} s")
        seconds = time.monotonic() - begun
        status = Path(f"/proc/{agent.pid}/status").read_text()
    finally:
        agent.terminate()
        agent.wait(30)
        server.shutdown()
    peak = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    return events / seconds, peak


def _until(seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.05)


def main() -> int:
    """Measure and print; 1 when a row does not hold."""
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build", prefix="agent-") as folder:
        journal = Path(folder) / "journal" / "bench.jsonl"
        journal.parent.mkdir()
        write_journal(journal, EVENTS)
        rate = events_per_second(journal, compressed=False)
        compressed = events_per_second(journal, compressed=True)
        delivered = {
            compress: whole_agent(Path(folder), journal, compress=compress) for compress in ("never", "always")
        }
    return report(
        [
            Row(
                f"agent, journal to sketches to `_bulk` body, {FEATURES} features, one core",
                f"{rate:,.0f} events/s",
                f"at least {HOLD_EVENTS_PER_SECOND:,}",
                rate >= HOLD_EVENTS_PER_SECOND,
            ),
            Row("the same with the body compressed", f"{compressed:,.0f} events/s", "-", True),
            *(
                Row(
                    f"the whole agent at full speed on {CORES} cores, server too, compress: {compress}",
                    f"{whole:,.0f} events/s, at most {memory:.0f} MiB resident",
                    f"under {HOLD_MEMORY_MIB} MiB",
                    memory < HOLD_MEMORY_MIB,
                )
                for compress, (whole, memory) in delivered.items()
            ),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
