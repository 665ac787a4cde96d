"""What leaves the server in a support bundle has no secret in it, however it was written."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.tests.sites import place
from modelward_appliance.credentials import SECRETS
from modelward_appliance.host.redaction import SHORTEST, Redaction

PASSWORD = 'p$ss w"o\\rd/+ü'


@pytest.mark.parametrize(
    "written",
    [
        PASSWORD,
        f"bind_password: {PASSWORD}",
        quote(PASSWORD, safe=""),
        json.dumps({"password": PASSWORD}, ensure_ascii=False),
        base64.b64encode(PASSWORD.encode()).decode(),
        base64.b64encode(f"admin:{PASSWORD}".encode()).decode(),
        base64.b64encode(f"user1:{PASSWORD}".encode()).decode(),
        base64.b64encode(f"me:{PASSWORD}".encode()).decode(),
    ],
)
def test_a_secret_is_taken_out_however_it_is_written(written: str) -> None:
    cleaned = Redaction({"site/ldap-bind-password": PASSWORD}).clean(f"before {written} after")
    middle = base64.b64encode(PASSWORD.encode()).decode()[8:16]
    assert "before" in cleaned
    assert "redacted" in cleaned
    for part in (PASSWORD, quote(PASSWORD, safe=""), middle, base64.b64encode(b":" + PASSWORD.encode()).decode()[8:16]):
        assert part not in cleaned


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=SHORTEST), st.text(), st.text())
def test_no_secret_stays_in_any_text(secret: str, before: str, after: str) -> None:
    cleaned = Redaction({"secrets/x": secret}).clean(before + secret + after)
    assert secret not in cleaned.replace("<redacted secrets/x>", "")


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----",
        "-----BEGIN EC PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49",
        "modelward_agent:{PBKDF2}1000$c2FsdA==$MIGHAgEAMBMGByqGSM49",
        "admin:$2a$10$MIGHAgEAMBMGByqGSM49MIGHAgEAMBMGByqGSM49MIGHAgEAMBMGB",
        "Authorization: Basic MIGHAgEAMBMGByqGSM49",
        '"authorization": "ApiKey MIGHAgEAMBMGByqGSM49"',
        "Cookie: session=MIGHAgEAMBMGByqGSM49; other=MIGHAgEAMBMGByqGSM49",
        "https://user:MIGHAgEAMBMGByqGSM49@proxy.example.org/",
        "xpack.security.encryptionKey_secret: MIGHAgEAMBMGByqGSM49",
        'smtp_password = "MIGHAgEAMBMGByqGSM49 and more"',
        "token=MIGHAgEAMBMGByqGSM49,next=1",
    ],
)
def test_what_looks_like_a_secret_is_taken_out_unseen(text: str) -> None:
    assert "MIGHAgEAMBMGByqGSM49" not in Redaction({}).clean(text)


@pytest.mark.parametrize(
    "text",
    [
        "password_file: /etc/modelward/secrets/smtp-password",
        "key_file: /etc/modelward/tls/tls.key",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "2031-05-04T12:00:00Z INFO modelward: 200 GET /api/v1/models 3 ms",
        "https://modelward.example.org:9243/_bulk",
        "bind_password_file: null",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redaction({"secrets/x": "correct horse"}).clean(text) == text


def test_every_secret_of_a_deployment_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    appliance = place(tmp_path / "appliance")
    (appliance.state / "site").mkdir()
    (appliance.state / "site" / "ldap-bind-password").write_text(f"{PASSWORD}\n")
    (appliance.state / "site" / "verify-admin").write_text("ada-admin\nher own password\n")
    appliance.setup(COMPOSE_PROFILES="openldap,kibana,grafana")
    folder = appliance.state / "secrets"
    values = [(folder / name).read_text().strip() for name in SECRETS]
    keys = [line for path in (appliance.state / "tls").glob("*.key") for line in path.read_text().splitlines()[1:-1]]
    everything = "\n".join([*values, *keys, PASSWORD, "her own password"])
    cleaned = Redaction.of_state(appliance.state).clean(everything)
    for value in [*values, *keys, PASSWORD, "her own password"]:
        assert value not in cleaned
