"""The command line of the appliance, as the one-shot containers and Ansible call it."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.tests.sites import DIRECTORY, Place, example, place
from modelward_appliance.cli import main


@pytest.fixture
def appliance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place, and the example's variables in the environment."""
    for name, value in example().items():
        monkeypatch.setenv(name, value)
    return place(tmp_path)


def setup(appliance: Place) -> int:
    return main(["setup", "--state", str(appliance.state), "--volumes", str(appliance.volumes)])


def test_setup_says_each_change_and_then_that_there_is_none(
    appliance: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert setup(appliance) == 0
    said = capsys.readouterr().out.splitlines()
    assert "secrets/backup-key: made" in said
    assert "elasticsearch: users added" in said
    assert setup(appliance) == 0
    assert capsys.readouterr().out == "nothing to change\n"


def test_wrong_variables_are_all_said_and_nothing_is_made(
    appliance: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELWARD_PORT", "https")
    monkeypatch.setenv("MODELWARD_LDAP_URLS", "ldap.example.org")
    for command in (["setup", "--volumes", str(appliance.volumes)], ["check-config"]):
        assert main([*command, "--state", str(appliance.state)]) == 2
        said = capsys.readouterr().err.splitlines()
        assert any("MODELWARD_PORT" in line and "write for example 10" in line for line in said), said
        assert any("MODELWARD_LDAP_URLS" in line for line in said), said
    assert list(appliance.state.iterdir()) == []


def test_check_config_looks_at_the_sites_files_too(appliance: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", "--state", str(appliance.state)]) == 0
    (appliance.state / "site").mkdir()
    (appliance.state / "site" / "tls.crt").write_text("x")
    (appliance.state / "site" / "tls.key").write_text("x")
    assert main(["check-config", "--state", str(appliance.state)]) == 2
    assert "site/tls.crt is not a PEM certificate" in capsys.readouterr().err


def test_check_config_reads_the_models_and_says_all_at_once(
    appliance: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    models = appliance.state / "site" / "models.d"
    models.mkdir(parents=True)
    (models / "fraud.yml").write_text("model: fraud\nonwer: risk\n")
    (appliance.state / "agents").mkdir()
    (appliance.state / "agents" / "one.json").write_text("{}")
    assert main(["check-config", "--state", str(appliance.state)]) == 2
    agents, model = capsys.readouterr().err.splitlines()
    assert "agents/one.json is not an enrolled agent" in agents
    assert f"{models}/fraud.yml: onwer: is not a key here; did you mean owner?" in model


def test_a_service_is_rendered_for_bare_metal(
    appliance: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in DIRECTORY.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MODELWARD_ADDRESS_ELASTICSEARCH", "10.0.0.5:9200")
    target = tmp_path / "etc" / "collector"
    command = ["render", "--service", "collector", "--to", str(target), "--state", str(appliance.state)]
    assert main(command) == 0
    text = (target / "collector.yml").read_text()
    assert "https://10.0.0.5:9200" in text
    assert f"password_file: {target}/secrets/elasticsearch-collector-password" in text
    assert not any(appliance.volumes.rglob("collector.yml"))
    capsys.readouterr()
    assert main(command) == 0
    assert capsys.readouterr().out == "nothing to change\n"


def test_a_full_disk_is_named_with_its_file(
    appliance: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert setup(appliance) == 1
    assert f"{appliance.state}/tls/ca.key: No space left on device" in capsys.readouterr().err
    assert setup(appliance) == 0


def test_two_at_once_take_turns(appliance: Place) -> None:
    descriptor = os.open(appliance.state, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    arguments = ["setup", "--state", str(appliance.state), "--volumes", str(appliance.volumes)]
    command = [sys.executable, "-m", "modelward_appliance.cli", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(3)
        assert list(appliance.state.iterdir()) == []
        os.close(descriptor)
        said, _ = other.communicate(timeout=120)
    assert other.returncode == 0
    assert "secrets/backup-key: made" in said


def test_no_secret_is_ever_printed(appliance: Place, capsys: pytest.CaptureFixture[str]) -> None:
    setup(appliance)
    printed = "".join(capsys.readouterr())
    for path in (appliance.state / "secrets").iterdir():
        assert path.read_text().strip() not in printed
