"""`compose/.env`: read as Compose reads it, and refused with every reason at once."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from modelward_appliance.host.environment import (
    DEFAULT_FILE,
    EXAMPLE,
    Environment,
    EnvironmentFileError,
    documented,
    first_version,
)


def load(tmp_path: Path, text: str) -> Environment:
    file = tmp_path / "env"
    file.write_text(text)
    return Environment.load(file)


def errors(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(EnvironmentFileError) as caught:
        load(tmp_path, text)
    return caught.value.lines


def test_the_example_is_valid_and_describes_what_compose_reads(tmp_path: Path) -> None:
    environment = load(tmp_path, EXAMPLE.read_text())
    assert environment.project == "modelward"
    assert environment.profiles == {"kibana", "grafana", "openldap"}
    assert (environment.port, environment.grafana_port, environment.ingest_port) == (443, 3000, 9243)
    names = {word.split(":-")[0] for word in (EXAMPLE.parent / "compose.yaml").read_text().split("${")[1:]}
    assert names - set(documented()) == {"MODELWARD_ENV_FILE"}


def test_the_examples_images_are_those_of_compose() -> None:
    defaults = dict(
        part.split("}")[0].split(":-", 1)
        for part in (EXAMPLE.parent / "compose.yaml").read_text().split("${")[1:]
        if ":-" in part.split("}")[0]
    )
    listed = documented()
    checked = {name for name in defaults if name.endswith(("_IMAGE", "_MEMORY", "_PORT", "_RETENTION", "_DISK"))}
    assert len(checked) > 25
    assert {name: defaults[name] for name in checked} == {name: listed[name] for name in checked}


def test_the_first_version_names_this_machine(tmp_path: Path) -> None:
    hosts = load(tmp_path, first_version()).hosts
    assert hosts[-1] == "localhost"
    assert len(hosts) == len(set(hosts))


def test_without_a_file_there_is_what_deploy_would_write() -> None:
    if DEFAULT_FILE.exists():
        pytest.skip("this checkout is deployed")
    environment = Environment.load()
    assert environment.is_new
    assert environment.hosts[-1] == "localhost"


def test_another_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFileError, match=r"is not there; copy .*\.env\.example"):
        Environment.load(tmp_path / "nowhere")


def test_a_mistyped_variable_is_refused_by_name(tmp_path: Path) -> None:
    (line,) = errors(tmp_path, "MODELWARD_HOST=a.example.org\n")
    assert line == "modelward: env:1: MODELWARD_HOST is not known; did you mean MODELWARD_HOSTS?"


def test_all_errors_come_at_once(tmp_path: Path) -> None:
    lines = errors(
        tmp_path,
        "MODELWARD_HOSTS=a\nnonsense\nMODELWARD_PORT=70000\nKIBANA_MEMORY=much\nMODELWARD_SITE_NAME='open\n",
    )
    assert [line.removeprefix("modelward: env") for line in lines] == [
        ':2: "nonsense" is no NAME=value; correct it or begin the line with #',
        ":5: MODELWARD_SITE_NAME: the quote ' is not closed at the end of the value; close it",
        ': MODELWARD_PORT: "70000" is no port; write a number from 1 to 65535',
        ': KIBANA_MEMORY: "much" is no amount of memory; write for example 512m or 2g',
    ]


def test_a_dollar_is_refused_where_compose_would_take_it_for_a_variable(tmp_path: Path) -> None:
    (line,) = errors(tmp_path, "MODELWARD_LDAP_BIND_DN=cn=pa$word,dc=example\n")
    assert line.endswith("has a $, which would be taken for a variable; put the value into single quotes")
    (line,) = errors(tmp_path, 'MODELWARD_LDAP_BIND_DN="cn=pa$word,dc=example"\n')
    assert line.endswith("has $ or \\ between double quotes, where they mean something else; use single quotes")


VALUES = {
    "'cn=pa$word # 1,dc=example'": "cn=pa$word # 1,dc=example",
    '"two words"': "two words",
    "plain   # and why": "plain",
    "a#b": "a#b",
    "'it''s'": None,
    "": "",
    "x=y=z": "x=y=z",
    "   spaced   ": "spaced",
}


@pytest.mark.parametrize(("raw", "value"), VALUES.items())
def test_values_are_those_that_compose_reads(tmp_path: Path, raw: str, value: str | None) -> None:
    text = f"MODELWARD_SITE_NAME={raw}\n"
    if value is None:
        errors(tmp_path, text)
        return
    assert load(tmp_path, text).get("MODELWARD_SITE_NAME") == value
    if shutil.which("docker") is None:
        return
    (tmp_path / "compose.yaml").write_text("services: {a: {image: i, command: ['${MODELWARD_SITE_NAME}']}}\n")
    command = ["docker", "compose", "--env-file", str(tmp_path / "env"), "config", "--format", "json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        # What it prints can be read again, for which a $ is doubled.
        assert json.loads(done.stdout)["services"]["a"]["command"] == [value.replace("$", "$$")]


def test_a_shells_leftovers_do_not_reach_compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELWARD_PORT", "1")
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "another")
    given = load(tmp_path, "MODELWARD_HOSTS=a\n").for_compose()
    assert "MODELWARD_PORT" not in given
    assert "COMPOSE_PROJECT_NAME" not in given
    assert "PATH" in given


@pytest.mark.parametrize(
    ("hosts", "port", "url"),
    [
        ("a.example.org,b", "443", "https://a.example.org"),
        ("a.example.org b", "8443", "https://a.example.org:8443"),
        ("fd00::1", "8443", "https://[fd00::1]:8443"),
    ],
)
def test_the_first_host_is_where_people_go(tmp_path: Path, hosts: str, port: str, url: str) -> None:
    assert load(tmp_path, f"MODELWARD_HOSTS={hosts}\nMODELWARD_PORT={port}\n").url == url
