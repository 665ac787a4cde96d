"""The command `modelward-agent`, as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.tests.agents import WRITER, append, predictions
from agent.tests.bulk_server import BulkServer, wait_for
from modelward_agent.cli import main
from modelward_agent.profile.reference import read_reference

RUN = "import sys; from modelward_agent.cli import main; sys.exit(main())"


@pytest.fixture
def server() -> Iterator[BulkServer]:
    server = BulkServer()
    yield server
    server.close()


@pytest.fixture
def config(tmp_path: Path, server: BulkServer) -> Path:
    path = tmp_path / "agent.yml"
    (tmp_path / "journal").mkdir()
    path.write_text(
        f"""
host: serving-1
state: state
journal: {{path: journal}}
elasticsearch: {{urls: ["{server.url}"], batch_seconds: 0.01}}
metrics: {{listen: null}}
"""
    )
    return path


def started(config: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN, "run", "--config", str(config)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_it_runs_shows_its_status_reloads_and_ends_in_order(
    tmp_path: Path, config: Path, server: BulkServer, capsys: pytest.CaptureFixture[str]
) -> None:
    path = append(tmp_path / "journal" / f"{WRITER}.000001.jsonl", predictions(0, 10))
    size = path.stat().st_size
    process = started(config)
    try:
        wait_for(lambda: len(server.events()) == 10)
        status_file = tmp_path / "state" / "status.json"
        wait_for(lambda: status_file.exists() and json.loads(status_file.read_bytes())["shipped"] >= 10)
        capsys.readouterr()
        assert main(["status", "--config", str(config), "--json"]) == 0
        status = json.loads(capsys.readouterr().out)
        assert status["running"]
        assert status["pid"] == process.pid
        assert status["lag_bytes"] == 0
        assert [file["shipped"] for file in status["files"]] in ([size], [])
        assert main(["status", "--config", str(config)]) == 0
        text = capsys.readouterr().out
        assert f"on serving-1, running, process {process.pid}" in text
        assert "last error   none" in text
        config.write_text(config.read_text().replace("null", "nowhere"))
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: "check-config" in json.loads(status_file.read_bytes())["last_error"])
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert sum(document["rows"] for _, document in server.profiles()) == 10
    messages = [json.loads(line) for line in said.splitlines()]
    assert any('metrics.listen: "nowhere" is not an address' in message["message"] for message in messages)
    assert messages[-1]["message"] == "ended"
    config.write_text(config.read_text().replace("nowhere", "null"))
    assert main(["status", "--config", str(config)]) == 1
    assert "NOT RUNNING" in capsys.readouterr().out


def test_a_second_agent_is_told_who_holds_the_state(config: Path, server: BulkServer) -> None:
    first = started(config)
    try:
        wait_for(lambda: (config.parent / "state" / "status.json").exists())
        second = started(config)
        _, said = second.communicate(timeout=20)
        assert second.returncode == 1
        assert f"is used by another agent (process {first.pid})" in said
    finally:
        first.terminate()
        first.communicate(timeout=20)


def test_check_config_says_good_or_everything_that_is_wrong(
    config: Path, server: BulkServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check-config", "--config", str(config)]) == 0
    assert capsys.readouterr().out == f"modelward: {config} is good\n"
    config.write_text(config.read_text() + "windw: 1m\nwindow: 5x\n")
    assert main(["check-config", "--config", str(config)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f'modelward: {config}: window: "5x" is not a duration; write for example 5m, 1h or 7d',
        f"modelward: {config}: windw: is not a key here; did you mean window?",
    ]


def test_check_config_reads_the_certificates(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    authority = config.parent / "ca.pem"
    authority.write_text("this is no certificate")
    config.write_text(config.read_text().replace("batch_seconds", "ca_file: ca.pem, batch_seconds"))
    assert main(["check-config", "--config", str(config)]) == 2
    assert "its certificate, key or secret cannot be used" in capsys.readouterr().err


def test_without_an_agent_there_is_no_status(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--config", str(config)]) == 1
    assert "is the agent started?" in capsys.readouterr().err


def test_profile_makes_a_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "past.csv"
    rows = [f"2026-03-0{1 + day},{day * 10 + row},eu,{row / 10}" for day in range(3) for row in range(10)]
    table.write_text("\n".join(["when,amount,region,p", *rows]) + "\n")
    output = tmp_path / "reference.jsonl"
    command = ["profile", str(table), "--model", "fraud", "--version", "2", "--timestamp", "when", "--window", "1d"]
    assert main([*command, "--prediction", "p", "--segment", "region", "-o", str(output)]) == 0
    assert "3 profiles of fraud" in capsys.readouterr().out
    profiles = read_reference(output)
    assert [profile.rows for _, profile in profiles] == [10, 10, 10]
    assert profiles[0][0].segment == (("region", "eu"),)
    assert main([*command, "--prediction", "nothing", "-o", str(output)]) == 2
    assert "nothing" in capsys.readouterr().err
    assert main(["profile", str(tmp_path / "no.csv"), "--model", "m", "-o", str(output)]) in (1, 2)
