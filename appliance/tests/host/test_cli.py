"""What the server's commands say where there is nothing to work on, or something is missing to work with."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from modelward_appliance.host.cli import DEPLOYED_ONLY, main

ROOT = Path(__file__).parents[3]


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    file = tmp_path / ".env"
    file.write_text(f"MODELWARD_STATE={tmp_path / 'state'}\n")
    return file


def tool(folder: Path, name: str, script: str) -> Path:
    """A program of that name, for a PATH on which there is no other."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize("command", sorted(DEPLOYED_ONLY | {"verify"}))
def test_before_the_first_deploy_a_command_says_so_and_asks_nothing_of_docker(
    command: str, env_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tool(tmp_path / "bin", "docker", f"touch {tmp_path / 'asked'}")))
    assert main(["--env-file", str(env_file), command]) == 1
    said = capsys.readouterr().err
    assert f"nothing is deployed here, {tmp_path / 'state'} is not there; make deploy does that" in said
    assert not (tmp_path / "asked").exists()


def test_what_verify_proves_is_listed_before_anything_is_deployed(
    env_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--env-file", str(env_file), "verify", "--list"]) == 0
    assert "login-viewer" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["logs", "stop", "backup"])
def test_an_engine_without_compose_is_told_from_a_failure(
    command: str, env_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").mkdir()
    # What the client prints when it takes the flags of an unknown command for its own.
    script = 'echo "unknown flag: --env-file\n\nUsage:  docker [OPTIONS] COMMAND" >&2; exit 125'
    monkeypatch.setenv("PATH", str(tool(tmp_path / "bin", "docker", script)))
    assert main(["--env-file", str(env_file), command]) == 1
    assert "docker compose is not installed; install the Compose plugin" in capsys.readouterr().err


def test_a_server_without_docker_is_told_so(
    env_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--env-file", str(env_file), "logs"]) == 1
    assert "docker is not installed" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["add-agent", "remove-agent"])
def test_a_model_server_without_a_name_is_asked_for_as_make_takes_it(
    command: str, env_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").mkdir()
    assert main(["--env-file", str(env_file), command]) == 2
    assert f"make {command} HOST_NAME=" in capsys.readouterr().err


def test_an_old_python_is_named_before_anything_of_ours_is_imported(tmp_path: Path) -> None:
    old = tool(tmp_path, "python3.9", "exit 1") / "python3.9"
    done = subprocess.run(
        ["make", "--silent", "preflight", f"PYTHON={old}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert f"{old} is no Python 3.11 or newer; run make PYTHON=python3.11" in done.stdout
