"""What a preflight finds on this machine, and how it says it."""

from __future__ import annotations

import argparse
import io
import socket
from pathlib import Path

import pytest

from modelward_appliance.host.environment import Environment
from modelward_appliance.host.findings import Finding, Level, show
from modelward_appliance.host.preflight import Preflight, add_accept, nodes_of


def environment(tmp_path: Path, **variables: str) -> Environment:
    file = tmp_path / "env"
    given = {"MODELWARD_HOSTS": "localhost", "MODELWARD_STATE": str(tmp_path / "state"), **variables}
    file.write_text("".join(f"{name}={value}\n" for name, value in given.items()))
    return Environment.load(file)


def findings(tmp_path: Path, check: str, **variables: str) -> list[Finding]:
    return [item for item in Preflight(environment(tmp_path, **variables)).findings() if item.check == check]


def test_a_port_in_use_is_named_with_what_to_set(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = findings(tmp_path, "ports", MODELWARD_PORT=str(port))
    error = next(item for item in found if item.level is Level.ERROR)
    assert error.seen.startswith(f"{port} (MODELWARD_PORT) is taken")
    assert error.fix == "stop what listens there, or set MODELWARD_PORT to another port"


def test_two_doors_cannot_have_one_port(tmp_path: Path) -> None:
    found = findings(tmp_path, "ports", MODELWARD_PORT="18443", MODELWARD_INGEST_PORT="18443")
    assert {item.level for item in found} == {Level.ERROR}


def test_grafanas_port_matters_only_with_grafana(tmp_path: Path) -> None:
    def names(**variables: str) -> str:
        return " ".join(item.seen for item in findings(tmp_path, "ports", **variables))

    assert "MODELWARD_GRAFANA_PORT" not in names()
    assert "MODELWARD_GRAFANA_PORT" in names(COMPOSE_PROFILES="grafana")


def test_an_open_state_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o750)
    (found,) = findings(tmp_path, "state folder")
    assert found.level is Level.ERROR
    assert found.fix == f"chmod 700 {tmp_path / 'state'}"


def test_a_state_folder_that_is_not_there_is_made_later(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, "state folder")
    assert found.level is Level.OK
    assert not (tmp_path / "state").exists()


def test_a_state_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (found,) = findings(tmp_path, "state folder", MODELWARD_STATE=str(tmp_path / "file" / "state"))
    assert found.level is Level.ERROR
    assert f"{tmp_path / 'file'} is no writable folder" in found.seen


def test_a_name_that_does_not_resolve_is_a_warning(tmp_path: Path) -> None:
    found = findings(tmp_path, "names", MODELWARD_HOSTS="localhost,nowhere.invalid")
    assert [item.level for item in found] == [Level.OK, Level.WARNING]


@pytest.mark.parametrize(
    ("url", "said"),
    [("http://ldap", "is no LDAP URL"), ("ldaps://127.0.0.1:1", "cannot be reached from here: Connection refused")],
)
def test_a_directory_that_cannot_be_reached_is_an_error(tmp_path: Path, url: str, said: str) -> None:
    (found,) = findings(tmp_path, "directory", MODELWARD_LDAP_URLS=url)
    assert found.level is Level.ERROR
    assert said in found.seen


def test_a_kernel_setting_that_elasticsearch_does_not_need_is_not_asked_for(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, "vm.max_map_count", MODELWARD_ELASTICSEARCH_MMAP="false")
    assert found.level is Level.OK


def test_nodes_are_known_by_the_volumes_of_their_documents() -> None:
    kept = ["elasticsearch-2", "logs-elasticsearch", "config-elasticsearch-3", "elasticsearch", "snapshots"]
    volumes = [f"mw_{name}" for name in kept]
    assert nodes_of(volumes, "mw") == ["elasticsearch", "elasticsearch-2"]


def test_an_accepted_error_is_a_warning(tmp_path: Path) -> None:
    site = environment(tmp_path, MODELWARD_LDAP_URLS="ldaps://127.0.0.1:1")
    found = [item for item in Preflight(site, frozenset({"directory"})).findings() if item.check == "directory"]
    assert [item.level for item in found] == [Level.WARNING]


def test_what_is_accepted_is_a_check_that_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_accept(parser)
    accepted = parser.parse_args(["--accept", "vm.max_map_count", "--accept", "disk"]).accept
    assert accepted == ["vm.max_map_count", "disk"]
    with pytest.raises(SystemExit):
        parser.parse_args(["--accept", "max_map_count"])
    assert "choose from" in capsys.readouterr().err


def test_the_table_has_a_line_for_each_and_its_fix_below() -> None:
    out = io.StringIO()
    show([Finding("clock", Level.OK, "synchronised"), Finding("disk", Level.ERROR, "full " * 40, "free some")], out)
    lines = out.getvalue().splitlines()
    assert lines[0] == "ok       clock               synchronised"
    assert lines[1].startswith("ERROR    disk                full full")
    assert lines[-1] == " " * 29 + "fix: free some"
    assert all(len(line) <= 120 for line in lines)
