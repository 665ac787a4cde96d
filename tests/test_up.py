"""`modelward up` as a person runs it: one process to start, one Ctrl-C to end, nothing lost in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from modelward_agent import Recorder
from modelward_collector.span import Span
from modelward_collector.store.sqlite import SqliteStore
from modelward_collector.store.windows import load_window

READY_WITHIN = 60.0
ENDS_WITHIN = 15.0


def wait_until(holds: Callable[[], Any], what: str, seconds: float = READY_WITHIN) -> Any:
    """What holds, as soon as it does; fails, naming what was waited for, when it does not in time."""
    deadline = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.05)


class Up:
    """One run of `modelward up`."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        self.output = home.parent / "up.out"
        program = Path(sys.executable).with_name("modelward")
        # A free port for the agent's metrics, and a commit a second, so that the test need not wait for more.
        environment = {
            **os.environ,
            "MODELWARD_AGENT__METRICS__LISTEN": "127.0.0.1:0",
            "MODELWARD_AGENT__COMMIT_INTERVAL": "1s",
        }
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [str(program), "up", "--home", str(home), "--port", "0", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        wait_until(self._answers, "the address")
        self.url = self.output.read_text().splitlines()[0]
        self.children = wait_until(lambda: psutil.Process(self.process.pid).children(recursive=True), "the agent")

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.output.read_text()
        return "\n" in self.output.read_text()

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:
            return json.load(answer)

    def rows(self, model: str) -> int:
        try:
            versions = self.get(f"api/v1/models/{model}/versions")["items"]
        except urllib.error.HTTPError:
            return 0
        return sum(version["rows"] for version in versions)

    def events(self, model: str) -> list[str]:
        ids: list[str] = []
        after = ""
        while True:
            page = self.get(f"api/v1/events?model={model}&start=2020-01-01T00:00:00Z&limit=1000{after}")
            ids += [event["id"] for event in page["items"]]
            if page["after"] is None:
                return ids
            after = f"&after={page['after']}"

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(ENDS_WITHIN)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


Start = Callable[..., Up]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    runs: list[Up] = []

    def one(*arguments: str) -> Up:
        runs.append(Up(tmp_path / "home", *arguments))
        return runs[-1]

    yield one
    for run in runs:
        if run.process.poll() is None:
            run.kill()
        _, left = psutil.wait_procs(run.children, timeout=ENDS_WITHIN)
        for child in left:
            child.kill()
        assert not left, f"left behind: {left}"


def test_a_recorded_model_appears_and_ctrl_c_ends_everything(start: Start) -> None:
    up = start()
    assert up.url.startswith("http://127.0.0.1:")
    wait_until(lambda: up.get("readyz")["schedules"], "the scheduler")
    with Recorder("fraud", "3", journal=up.home / "journal") as recorder:
        ids = [recorder.predict({"amount": float(number)}, 0.5) for number in range(500)]
        recorder.actual(ids[0], 1.0)
    wait_until(lambda: up.rows("fraud") == 500, "500 rows in profiles")
    wait_until(lambda: len(up.events("fraud")) == 501, "501 events")
    model = up.get("api/v1/models/fraud")
    assert (model["configured"], model["versions"]) == (False, ["3"])
    wait_until(lambda: len(up.get("api/v1/checks?model=fraud")["items"]) == 4, "the default checks")
    assert [agent["last_error"] for agent in up.get("api/v1/agents")["items"]] == [""]

    assert up.interrupt() == 0
    _, left = psutil.wait_procs(up.children, timeout=5)
    assert not left
    assert up.output.read_text() == f"{up.url}\n"


def test_sigterm_ends_it_as_well(start: Start) -> None:
    up = start()
    up.process.terminate()
    assert up.process.wait(ENDS_WITHIN) == 0
    _, left = psutil.wait_procs(up.children, timeout=5)
    assert not left


def test_an_agent_that_dies_is_started_again(start: Start) -> None:
    up = start()
    (agent,) = up.children
    agent.kill()

    def another() -> list[psutil.Process]:
        return [child for child in psutil.Process(up.process.pid).children() if child.pid != agent.pid]

    up.children = wait_until(another, "another agent")
    with Recorder("fraud", journal=up.home / "journal") as recorder:
        recorder.predict({"amount": 1.0}, 0.5)
    wait_until(lambda: up.rows("fraud") == 1, "the row")
    assert up.interrupt() == 0
    assert "the agent ended (exit code -9)" in up.output.read_text()


def test_a_second_start_keeps_everything(start: Start) -> None:
    up = start()
    with Recorder("fraud", journal=up.home / "journal") as recorder:
        recorder.predict({"amount": 1.0}, 0.5)
    wait_until(lambda: up.rows("fraud") == 1, "the row")
    key = (up.home / "secrets" / "agent.key").read_bytes()
    assert up.interrupt() == 0
    again = start()
    wait_until(lambda: again.rows("fraud") == 1, "the row of before")
    assert (again.home / "secrets" / "agent.key").read_bytes() == key
    assert again.interrupt() == 0


def test_a_home_that_is_in_use_is_refused(start: Start) -> None:
    up = start()
    program = Path(sys.executable).with_name("modelward")
    command = [str(program), "up", "--home", str(up.home), "--port", "0"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=READY_WITHIN, check=False)
    assert second.returncode == 1
    assert "in use by another `modelward up`" in second.stderr
    assert up.get("healthz")["status"] == "ok"


def test_an_agent_that_refuses_to_start_says_why_in_the_terminal(start: Start) -> None:
    up = start()
    with Recorder("fraud", journal=up.home / "journal") as recorder:
        recorder.predict({"amount": 1.0}, 0.5)
    wait_until(lambda: up.rows("fraud") == 1, "the row")
    assert up.interrupt() == 0
    state = up.home / "agent" / "key.host"
    name = state.read_bytes()
    state.write_bytes(b"")
    again = start()
    wait_until(lambda: f"{state} is damaged (it is cut short); write into it" in again.output.read_text(), "the reason")
    assert again.get("healthz")["status"] == "ok"
    state.write_bytes(name)

    def another() -> list[psutil.Process]:
        return psutil.Process(again.process.pid).children()

    with Recorder("fraud", journal=again.home / "journal") as recorder:
        recorder.predict({"amount": 1.0}, 0.5)
    wait_until(lambda: again.rows("fraud") == 2, "the row after it")
    again.children = another()
    assert again.interrupt() == 0


def test_kill_9_of_the_collector_loses_nothing_and_counts_nothing_twice(start: Start) -> None:
    ids: list[str] = []
    up = start()
    with Recorder("fraud", journal=up.home / "journal") as recorder:
        for _ in range(2):
            ids += [recorder.predict({"amount": float(number)}, 0.5) for number in range(300)]
            wait_until(partial(up.rows, "fraud"), "some rows")
            ids += [recorder.predict({"amount": float(number)}, 0.5) for number in range(300)]
            up.kill()
            ids.append(recorder.predict({"amount": 0.0}, 0.5))
            # The agent sees that its parent is gone, and ends too.
            _, left = psutil.wait_procs(up.children, timeout=ENDS_WITHIN)
            assert not left
            up = start()
    wait_until(lambda: up.rows("fraud") >= len(ids), "all rows")
    wait_until(lambda: len(up.events("fraud")) >= len(ids), "all events")
    assert sorted(up.events("fraud")) == sorted(ids)
    assert up.rows("fraud") == len(ids)
    assert up.interrupt() == 0


def test_the_agent_reads_features_as_the_models_files_declare_them(start: Start) -> None:
    """Also when that changes while it runs, and when a file is broken for a while."""
    up = start()
    file = up.home / "models.d" / "fraud.yml"

    def recorded(rows: int) -> None:
        before = up.rows("fraud")
        with Recorder("fraud", "3", journal=up.home / "journal") as recorder:
            for number in range(rows):
                recorder.predict({"zip": 10_000 + number}, 0.5)
        wait_until(lambda: up.rows("fraud") == before + rows, "the rows")

    def taken_over(times: int) -> bool:
        return (up.home / "agent.log").read_text().count("the new configuration is in use") == times

    recorded(300)
    file.write_text("model: fraud\nfeatures: {zip: {type: categorical}}\n")
    wait_until(lambda: taken_over(1), "the declaration")
    recorded(400)
    file.write_text("model: fraud\nfeatures: {zip: {type: categorcal}}\n")
    wait_until(lambda: "categorcal" in (up.home / "agent.log").read_text(), "the error")
    recorded(500)
    assert up.interrupt() == 0
    now = datetime.now(UTC)
    span = Span(now - timedelta(days=1), now + timedelta(days=1))
    found = load_window(SqliteStore(up.home / "modelward.db"), "fraud", span).profile().features["zip"]
    assert (found.numbers, found.strings) == (300, 900)
