"""New certificates, authorities and secrets, without anyone being cut off before their turn."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from appliance.tests.sites import Place, place
from modelward_appliance.backup.keys import parse_keys
from modelward_appliance.credentials import SECRETS
from modelward_appliance.enrolment import enrol
from modelward_appliance.rotation import KEPT, NotYetError, Step, change_authority, forget_pairs, new_secrets
from modelward_appliance.services import SERVICES

HOST = "scoring-1"
INGEST = "https://localhost:9243"


@pytest.fixture
def appliance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    made = place(tmp_path / "appliance")
    setup(made)
    return made


def setup(appliance: Place) -> list[str]:
    return appliance.setup(COMPOSE_PROFILES="openldap")


def trusted(appliance: Place, service: str = "gateway") -> list[x509.Certificate]:
    """By the service."""
    return x509.load_pem_x509_certificates((appliance.volumes / service / "tls" / "ca.crt").read_bytes())


def shown(appliance: Place, service: str = "gateway") -> x509.Certificate:
    """By the service, to who connects."""
    return x509.load_pem_x509_certificate((appliance.volumes / service / "tls" / "tls.crt").read_bytes())


def is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, InvalidSignature):
        return False
    return True


def test_every_service_gets_a_new_certificate_of_the_same_authority(appliance: Place) -> None:
    before = {service.name: shown(appliance, service.name) for service in SERVICES}
    authority = trusted(appliance)
    assert forget_pairs(appliance.state) == len(SERVICES)
    setup(appliance)
    assert trusted(appliance) == authority
    for service in SERVICES:
        after = shown(appliance, service.name)
        assert after != before[service.name]
        assert is_issued_by(after, authority[0])


def test_a_new_authority_is_first_trusted_beside_the_old_one(appliance: Place) -> None:
    (old,) = trusted(appliance)
    certificate = shown(appliance)
    assert change_authority(appliance.state) is Step.BEGUN
    setup(appliance)
    assert trusted(appliance)[0] == old
    assert len(trusted(appliance)) == 2
    assert shown(appliance) == certificate


def test_then_it_issues_while_the_old_one_is_trusted_still(appliance: Place) -> None:
    (old,) = trusted(appliance)
    change_authority(appliance.state)
    assert change_authority(appliance.state) is Step.SWITCHED
    setup(appliance)
    new = trusted(appliance)[0]
    assert trusted(appliance) == [new, old]
    assert is_issued_by(shown(appliance), new)


def test_at_last_only_the_new_one_is_trusted(appliance: Place) -> None:
    (old,) = trusted(appliance)
    steps = [change_authority(appliance.state) for _ in range(3)]
    setup(appliance)
    assert steps == [Step.BEGUN, Step.SWITCHED, Step.DROPPED]
    assert len(trusted(appliance)) == 1
    assert trusted(appliance) != [old]
    assert setup(appliance) == []


def test_a_model_server_that_was_not_enrolled_again_holds_the_change_up(appliance: Place) -> None:
    enrol(appliance.state, INGEST, HOST)
    change_authority(appliance.state)
    with pytest.raises(NotYetError, match=HOST):
        change_authority(appliance.state)
    enrol(appliance.state, INGEST, HOST)
    assert change_authority(appliance.state) is Step.SWITCHED


def test_a_model_server_can_be_cut_off(appliance: Place) -> None:
    enrol(appliance.state, INGEST, HOST)
    change_authority(appliance.state)
    assert change_authority(appliance.state, force=True) is Step.SWITCHED


def test_a_change_that_was_killed_is_completed_by_the_next_run(
    appliance: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modelward_appliance import files

    change_authority(appliance.state)
    written = files.write
    calls = []

    def killed(path: Path, *given: object, **named: object) -> bool:
        calls.append(path.name)
        if path.name == "ca.key":
            raise KeyboardInterrupt
        return written(path, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        change_authority(appliance.state)
    assert calls == ["ca.crt", "ca.key"]
    monkeypatch.setattr(files, "write", written)
    assert change_authority(appliance.state) is Step.SWITCHED
    setup(appliance)
    assert is_issued_by(shown(appliance), trusted(appliance)[0])


def test_secrets_are_new_but_for_those_that_would_cut_someone_off(appliance: Place) -> None:
    folder = appliance.state / "secrets"
    before = {name: (folder / name).read_text() for name in SECRETS}
    changed = new_secrets(appliance.state)
    assert set(changed) == set(SECRETS) - set(KEPT)
    for name in SECRETS:
        assert ((folder / name).read_text() == before[name]) is (name in KEPT), name
        assert (folder / name).stat().st_mode & 0o777 == 0o600


def test_the_backups_that_there_are_can_still_be_read(appliance: Place) -> None:
    path = appliance.state / "secrets" / "backup-key"
    (old,) = parse_keys(path.read_text(), "key")
    new_secrets(appliance.state)
    keys = parse_keys(path.read_text(), "key")
    assert len(keys) == 2
    assert keys[1].id == old.id
    setup(appliance)
    assert (appliance.volumes / "backup" / "secrets" / "backup-key").read_text() == path.read_text()


def test_enrolled_model_servers_keep_their_password(appliance: Place) -> None:
    enrol(appliance.state, INGEST, HOST)
    setup(appliance)

    def entry() -> str:
        lines = (appliance.volumes / "elasticsearch" / "users").read_text().splitlines()
        return next(line for line in lines if line.startswith(f"agent_{HOST}:"))

    before = entry()
    new_secrets(appliance.state)
    setup(appliance)
    assert entry() == before
