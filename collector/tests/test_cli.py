"""The command line."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.tests.collecting import HOUR, a_collector, send_traffic
from collector.tests.store_documents import NOON
from modelward_collector.app import create_app
from modelward_collector.checks.result import CheckKind
from modelward_collector.cli import main
from modelward_collector.config import Listen
from modelward_collector.serving import Server, bind
from modelward_collector.up import Options, agent_overrides, furnish


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "models.d").mkdir()
    (tmp_path / "models.d" / "delay.yml").write_text("model: delay\n")
    path = tmp_path / "collector.yml"
    path.write_text("store: {kind: sqlite, path: modelward.db}\nclock: replay\n")
    return path


@pytest.mark.parametrize("command", ["up", "run", "check-config", "status", "run-check", "accept", "version"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"modelward {command}" in capsys.readouterr().out


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == "modelward 0.1.0\n"


def test_a_good_configuration_is_ok(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", "--config", str(config)]) == 0
    assert "ok, 1 model in" in capsys.readouterr().out


def test_check_config_says_everything_that_is_wrong_in_every_file(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text("clock: moon\nlsten: {}\n")
    (config.parent / "models.d" / "a.yml").write_text("model: a\ntier: 9\n")
    (config.parent / "models.d" / "b.yml").write_text("model: delay\n")
    assert main(["check-config", "--config", str(config)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert all(line.startswith(f"modelward: {config.parent}") for line in lines)
    assert [line.split(": ")[2] for line in lines] == ["clock", "lsten", "tier", "model"]


def test_a_mistake_in_a_models_file_is_said_once_and_not_logged_besides(config: Path) -> None:
    (config.parent / "models.d" / "a.yml").write_text("model:\tfraud\n")
    command = [sys.executable, "-c", "import sys; from modelward_collector.cli import main; sys.exit(main())"]
    done = subprocess.run(
        [*command, "check-config", "--config", str(config)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"modelward: {config.parent}/models.d/a.yml: line 1, column 7: is not valid YAML")


@pytest.mark.parametrize("command", [["check-ldap"], ["revoke-sessions", "vera"]])
def test_what_needs_python_ldap_says_so_where_it_is_not_installed(
    command: list[str], config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main([*command, "--config", str(config)]) == 2
    assert f"{command[0]} needs python-ldap; run: pip install" in capsys.readouterr().err


def test_a_reference_file_that_is_not_there_is_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    none = config.parent / "none.jsonl"
    assert main(["suggest-rules", "delay", "--reference", str(none), "--config", str(config)]) == 1
    assert capsys.readouterr().err == f"modelward: {none}: No such file or directory\n"


def test_a_missing_configuration_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["run"], ["run-check", "delay", "drift"], ["check-config"]):
        assert main([*command, "--config", str(tmp_path / "none.yml")]) == 2
        assert "there is no such file" in capsys.readouterr().err


def test_a_check_can_be_run_by_hand(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    collector = a_collector(config.parent, clock="replay")
    send_traffic(collector.context.store, NOON - HOUR, 61)
    collector.stop()
    command = ["run-check", "delay", "health", "--config", str(config), "--at", NOON.isoformat()]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("health of delay: ")
    assert "2026-03-01 11:45 to 2026-03-01 12:00 UTC, 750 rows" in shown
    assert main([*command, "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert (result["check"], result["rows"], result["on_demand"]) == ("health", 750, True)


def test_a_check_of_nobody_names_the_models_there_are(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run-check", "nobody", "drift", "--config", str(config)]) == 2
    assert 'no model "nobody"; the models are: delay' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run-check", "a", "luck"], "invalid"),
        (["run-check", "a", "drift", "--at", "noon"], '"noon" is not a moment; write for example 2026-03-01'),
        (["up", "--port", "70000"], '"70000" is not a port'),
        (["up", "--agent-window", "5x"], '"5x" is not a duration; write for example 5m, 1h or 7d'),
        (["up", "--clock", "moon"], "invalid"),
        (["status", "--url", "file:///etc/passwd"], "is not a URL"),
        ([], "required"),
    ],
)
def test_wrong_arguments_are_explained(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = ended.code  # type: ignore[assignment]
    assert code == 2
    assert says in capsys.readouterr().err


# -- status --------------------------------------------------------------------------------------------------------


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    collector = a_collector(tmp_path, {"delay": ""}, clock="replay")
    send_traffic(collector.context.store, NOON - HOUR, 61, model="unconfigured", version="7")
    collector.context.engine.run("delay", CheckKind.DRIFT, NOON)
    listen = Listen(port=0)
    listener = bind(listen)
    server = Server(create_app(collector), listener, listen)
    assert server.start()
    yield server.url
    server.stop()


def test_status_is_a_table_of_the_models(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--url", url]) == 0
    header, delay, other = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["MODEL", "STATE", "DRIFT"]
    assert delay.split()[0] == "delay"
    assert "unconfigured (not configured)" in other
    assert "7" in other.split()
    assert main(["status", "--url", url, "--json"]) == 0
    assert [model["model"] for model in json.loads(capsys.readouterr().out)] == ["delay", "unconfigured"]


def test_status_says_when_nothing_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert main(["status", "--url", f"http://127.0.0.1:{port}/"]) == 1
    assert "does not answer" in capsys.readouterr().err


# -- up ------------------------------------------------------------------------------------------------------------


def test_a_port_in_use_is_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["up", "--home", str(tmp_path / "home"), "--port", str(port)]) == 1
    said = capsys.readouterr().err
    assert f"127.0.0.1:{port} is in use; stop what listens there, or choose another port" in said


def test_a_home_that_cannot_be_made_is_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["up", "--home", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err == (
        f"modelward: {tmp_path / 'file'}: File exists; choose a folder that you may write with --home\n"
    )


def test_a_home_is_furnished_once_and_then_left_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    furnish(home, Options(home))
    key = home / "secrets" / "agent.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_text().strip()) > 30
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    (home / "collector.yml").write_text("# mine\n")
    furnish(home, Options(home, port=9000))
    assert (home / "collector.yml").read_text() == "# mine\n"
    assert key.read_bytes() == before[key]


def test_what_is_furnished_is_a_good_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from modelward_agent.cli import main as agent

    home = tmp_path / "home"
    furnish(home, Options(home, journal=tmp_path / "a: journal # here"))
    assert main(["check-config", "--config", str(home / "collector.yml")]) == 0
    assert agent(["check-config", "--config", str(home / "agent.yml")]) == 0
    assert (tmp_path / "a: journal # here").is_dir()


def test_the_agent_is_told_where_the_collector_listens(tmp_path: Path) -> None:
    told = agent_overrides(Options(tmp_path, port=0), "http://127.0.0.1:4711")
    assert told == {"MODELWARD_AGENT__ELASTICSEARCH__URLS": '["http://127.0.0.1:4711"]'}
