"""From a Recorder's journal to a collector, as the agent brings it: parsed, folded, shipped, stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from collector.tests.collecting import a_collector
from modelward_agent import Recorder
from modelward_agent.cli import main
from modelward_agent.config import Events
from modelward_agent.declared import Declared
from modelward_agent.journal.parse import Malformed, parse_lines
from modelward_agent.profile.fold import Folder
from modelward_agent.profile.wire import to_document
from modelward_agent.ship.documents import EVENTS, LOGS, Documents
from modelward_collector.app import Collector
from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status
from modelward_collector.store.protocol import Alias, Document, Outcome

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ALIASES = {EVENTS: Alias.EVENTS, LOGS: Alias.LOGS}
FLAGGED = (Status.WARNING, Status.CRITICAL)


class Site:
    """One machine: applications record into `journal`, `deliver` does what the agent does, `run` runs a check.

    `types` are those of `agent.yml`.
    """

    def __init__(self, folder: Path, types: Declared | None = None) -> None:
        self.folder = folder
        self.journal = folder / "journal"
        self.models = folder / "models.d"
        self.models.mkdir()
        self._collector: Collector | None = None
        self._folder = Folder("web1", types=types)
        self._documents = Documents("web1", Events())
        self._parts = 0

    def recorder(self, model: str = "m", version: str = "1", **options: Any) -> Recorder:
        """One that writes into the site's journal."""
        return Recorder(model, version, journal=self.journal, **options)

    def configure(self, text: str = "", model: str = "m") -> None:
        """The model's file; before the collector starts."""
        (self.models / f"{model}.yml").write_text(f"model: {model}\n{text}\n")

    def profile(self, table: Path, *options: str, model: str = "m", status: int = 0) -> None:
        """`modelward-agent profile`, beside the model's file."""
        output = self.models / f"{model}.profile.jsonl"
        assert main(["profile", str(table), "--model", model, "-o", str(output), *options]) == status

    @property
    def collector(self) -> Collector:
        """Started at its first use."""
        if self._collector is None:
            self._collector = a_collector(self.folder, clock="replay")
        return self._collector

    def deliver(self) -> int:
        """Bring everything that was recorded; the number of lines. Fails for a line or document that is refused."""
        documents, lines = [], 0
        for path in sorted(self.journal.glob("*.jsonl")):
            content = path.read_bytes().splitlines()
            path.unlink()
            parsed = parse_lines(content, now=NOON.timestamp())
            assert not [record for record in parsed if isinstance(record, Malformed)]
            records = [record for record in parsed if not isinstance(record, Malformed)]
            self._folder.fold(records)
            items = self._documents.items(path.stem, enumerate(records))
            documents += [Document(ALIASES[item.alias], item.id, orjson.loads(item.body)) for item in items]
            lines += len(content)
        for key, profile in self._folder.take():
            self._parts += 1
            source = to_document(key, profile, part=str(self._parts))
            documents.append(Document(Alias.PROFILES, f"part-{self._parts}", source))
        created = self.collector.context.store.create(documents)
        assert {one.outcome for one in created} <= {Outcome.CREATED}, created
        return lines

    def run(self, check: CheckKind, model: str = "m", at: datetime = NOON) -> list[CheckResult]:
        """The check's results at that moment."""
        return self.collector.context.engine.run(model, check, at)

    def flagged(self, model: str = "m", *checks: CheckKind) -> list[tuple[str, Finding]]:
        """Everything that drift, quality and performance hold against the model, but that labels are still few."""
        found = []
        for check in checks or (CheckKind.DRIFT, CheckKind.QUALITY, CheckKind.PERFORMANCE):
            for result in self.run(check, model):
                assert result.status is not Status.ERROR, result.summary
                found += [(str(check), finding) for finding in result.findings if finding.status in FLAGGED]
        return found


@contextmanager
def a_site(folder: Path, types: Declared | None = None) -> Iterator[Site]:
    """A site of its own, ended at the end."""
    site = Site(folder, types)
    try:
        yield site
    finally:
        if site._collector is not None:
            site._collector.stop()


def moments(n: int, hours: float = 20.0, until: datetime = NOON) -> list[datetime]:
    """So many moments, evenly up to a few minutes before `until`."""
    return [until - timedelta(minutes=5) - timedelta(hours=hours) * (n - index) / n for index in range(n)]
