"""A model server gets what it needs to deliver, once, and loses it when it is removed."""

from __future__ import annotations

import io
import json
import os
import ssl
import tarfile
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from appliance.tests.sites import Place, place
from modelward_agent.config import load_config
from modelward_appliance.elasticsearch_users import hashed
from modelward_appliance.enrolment import Enrolment, EnrolmentError, enrol, remove

INGEST = "https://modelward.example.org:9243"
HOST = "scoring-1.example.org"


@pytest.fixture
def appliance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    made = place(tmp_path / "appliance")
    made.setup(COMPOSE_PROFILES="openldap")
    return made


def unpacked(made: Enrolment, to: Path) -> Path:
    with tarfile.open(made.bundle) as tar:
        tar.extractall(to, filter="data")
    return to / "etc" / "modelward-agent"


def test_the_bundle_is_all_that_an_agent_needs(appliance: Place, tmp_path: Path) -> None:
    folder = unpacked(enrol(appliance.state, INGEST, HOST), tmp_path / "host")
    text = (folder / "agent.yml").read_text().replace("/etc/modelward-agent", str(folder))
    (folder / "agent.yml").write_text(text)
    config = load_config(folder / "agent.yml")
    assert (config.host, config.elasticsearch.urls) == (HOST, (INGEST,))
    assert config.elasticsearch.username == f"agent_{HOST}"
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    readme = (folder / "README").read_text()
    assert HOST in readme
    assert INGEST in readme


def test_the_bundle_carries_the_agent_itself_and_its_readme_installs_that(appliance: Place, tmp_path: Path) -> None:
    wheel = tmp_path / "modelward_agent-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"PK a package")
    folder = unpacked(enrol(appliance.state, INGEST, HOST, wheel=wheel), tmp_path / "host")
    assert (folder / wheel.name).read_bytes() == b"PK a package"
    assert f"pip install /etc/modelward-agent/{wheel.name}\n" in (folder / "README").read_text()


def test_the_bundle_and_the_secrets_in_it_are_for_one_user(appliance: Place) -> None:
    made = enrol(appliance.state, INGEST, HOST)
    assert made.bundle.stat().st_mode & 0o777 == 0o600
    with tarfile.open(made.bundle) as tar:
        modes = {Path(member.name).name: member.mode for member in tar if member.isfile()}
    assert {name for name, mode in modes.items() if mode == 0o600} == {"tls.key", "password", "metrics-password"}


def test_elasticsearch_learns_the_hash_and_prometheus_the_address(appliance: Place, tmp_path: Path) -> None:
    made = enrol(appliance.state, INGEST, HOST, "10.0.0.7:9500")
    password = (unpacked(made, tmp_path / "host") / "password").read_text().strip()
    assert password not in "".join(path.read_text() for path in (appliance.state / "agents").iterdir())
    appliance.setup(COMPOSE_PROFILES="openldap")
    users = dict(
        line.split(":", 1) for line in (appliance.volumes / "elasticsearch" / "users").read_text().splitlines()
    )
    import base64

    _, salt, _ = users[f"agent_{HOST}"].split("$")
    assert users[f"agent_{HOST}"] == hashed(password, base64.b64decode(salt))
    targets = yaml.safe_load((appliance.volumes / "prometheus" / "targets" / f"{HOST}.yml").read_text())
    assert targets == [{"targets": ["10.0.0.7:9500"], "labels": {"host": HOST}}]


def test_prometheus_can_check_the_agents_certificate_by_either_name(appliance: Place, tmp_path: Path) -> None:
    folder = unpacked(enrol(appliance.state, INGEST, HOST, "10.0.0.7:9500"), tmp_path / "host")
    certificate = x509.load_pem_x509_certificate((folder / "tls.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == [HOST, "10.0.0.7"]
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes()))


def test_enrolling_again_gives_new_credentials(appliance: Place, tmp_path: Path) -> None:
    first = unpacked(enrol(appliance.state, INGEST, HOST), tmp_path / "first")
    made = enrol(appliance.state, INGEST, HOST)
    second = unpacked(made, tmp_path / "second")
    assert made.again
    for name in ("password", "tls.key"):
        assert (first / name).read_text() != (second / name).read_text()


def test_a_removed_host_leaves_no_user_and_no_target(appliance: Place) -> None:
    enrol(appliance.state, INGEST, HOST)
    appliance.setup(COMPOSE_PROFILES="openldap")
    remove(appliance.state, HOST)
    appliance.setup(COMPOSE_PROFILES="openldap")
    assert HOST not in (appliance.volumes / "elasticsearch" / "users").read_text()
    assert list((appliance.volumes / "prometheus" / "targets").glob("*")) == []


def test_an_unknown_host_is_not_removed_and_the_known_ones_are_named(appliance: Place) -> None:
    enrol(appliance.state, INGEST, HOST)
    with pytest.raises(EnrolmentError, match=f"other is not enrolled; enrolled are: {HOST}"):
        remove(appliance.state, "other")


@pytest.mark.parametrize("host", ["", "a b", "../etc", "-a", "a_b:c", "a" * 300, "$(id)"])
def test_what_is_no_host_name_is_refused_and_changes_nothing(appliance: Place, host: str) -> None:
    with pytest.raises(EnrolmentError, match="is not a host name"):
        enrol(appliance.state, INGEST, host)
    assert not (appliance.state / "bundles").exists()
    assert list((appliance.state / "agents").iterdir()) == []


@pytest.mark.parametrize("address", ["host", "host:", "host:0", "host:70000", "ho st:1", "a/b:1"])
def test_what_is_no_address_is_refused(appliance: Place, address: str) -> None:
    with pytest.raises(EnrolmentError, match="is not an address"):
        enrol(appliance.state, INGEST, HOST, address)


def test_the_record_names_the_certificate_and_when(appliance: Place, tmp_path: Path) -> None:
    folder = unpacked(enrol(appliance.state, INGEST, HOST), tmp_path / "host")
    record = json.load(io.BytesIO((appliance.state / "agents" / f"{HOST}.json").read_bytes()))
    serial = x509.load_pem_x509_certificate((folder / "tls.crt").read_bytes()).serial_number
    assert int(record["certificate_serial"], 16) == serial
    assert record["enrolled_at"].endswith("+00:00")
