"""The authority and what it issues, proven by TLS handshakes and by `openssl verify`."""

from __future__ import annotations

import socket
import ssl
import stat
import subprocess
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from modelward_appliance.pki import AGENTS, AUTHORITY_DAYS, ISSUED_DAYS, Authority, CertificateError, Pair, own_pair

HOSTS = ("localhost", "127.0.0.1", "modelward.example.org")


def written(pair: Pair, folder: Path, name: str) -> tuple[str, str]:
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key.pem"
    certificate.write_bytes(pair.certificate)
    key.write_bytes(pair.key)
    return str(certificate), str(key)


def organization(certificate: bytes) -> str:
    subject = x509.load_der_x509_certificate(certificate).subject
    return str(subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value)


def handshake(server: Pair, trust: Path, folder: Path, *, host: str, client: Pair | None = None) -> str | None:
    """Connect with mutual TLS; the organisation of the client that the server saw."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(*written(server, folder, "server"))
    serving.load_verify_locations(trust)
    serving.verify_mode = ssl.CERT_OPTIONAL if client is None else ssl.CERT_REQUIRED
    asking = ssl.create_default_context(cafile=str(trust))
    if client is not None:
        asking.load_cert_chain(*written(client, folder, "client"))
    seen: list[str | None] = []
    ours, theirs = socket.socketpair()

    def serve() -> None:
        # Whether the client refuses is for the test to see, at the client's end.
        with suppress(ssl.SSLError), serving.wrap_socket(theirs, server_side=True) as connection:
            connection.recv(1)
            shown = connection.getpeercert(binary_form=True)
            seen.append(None if shown is None else organization(shown))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        with asking.wrap_socket(ours, server_hostname=host) as connection:
            connection.send(b"x")
            thread.join(10)
    finally:
        ours.close()
    return seen[0]


def verify(authority: Authority, pair: Pair, folder: Path, purpose: str, *more: str) -> str:
    certificate, _key = written(pair, folder, "checked")
    command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", str(authority.folder / "ca.crt")]
    done = subprocess.run([*command, *more, certificate], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def test_a_service_is_server_and_client(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server, client = authority.pair("gateway", HOSTS), authority.pair("prometheus", ("prometheus",))
    for host in HOSTS:
        assert handshake(server, tmp_path / "ca.crt", tmp_path, host=host, client=client) == "services"


def test_openssl_finds_nothing_wrong_strictly(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    service, agent = authority.pair("gateway", HOSTS), authority.issue("model-1", organization=AGENTS)
    ok = f"{tmp_path / 'checked.pem'}: OK"
    for purpose in ("sslserver", "sslclient"):
        assert verify(authority, service, tmp_path, purpose, "-verify_hostname", HOSTS[2]) == ok
    assert verify(authority, agent, tmp_path, "sslclient") == ok
    assert "OK" not in verify(authority, agent, tmp_path, "sslserver")


def test_an_agent_shows_what_it_is(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    agent = authority.issue("model-1.example.org", organization=AGENTS)
    server = authority.pair("gateway", HOSTS)
    assert handshake(server, tmp_path / "ca.crt", tmp_path, host="localhost", client=agent) == "agents"


def test_another_host_or_authority_is_not_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = authority.pair("gateway", HOSTS)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(server, tmp_path / "ca.crt", tmp_path, host="other.example.org")
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        handshake(server, tmp_path / "other" / "ca.crt", tmp_path, host="localhost")
    assert other.certificate.subject != authority.certificate.subject


def test_again_is_the_same(tmp_path: Path) -> None:
    first = Authority(tmp_path)
    pair = first.pair("gateway", HOSTS)
    again = Authority(tmp_path)
    assert again.pair("gateway", HOSTS) == pair
    assert again.pem == first.pem
    assert again.changes == []


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    Authority(tmp_path).pair("gateway", HOSTS)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"ca.crt": 0o644, "ca.key": 0o600, "gateway.crt": 0o644, "gateway.key": 0o600}


def test_it_is_renewed_a_month_before_its_end(tmp_path: Path) -> None:
    made = datetime(2026, 1, 1, tzinfo=UTC)
    pair = Authority(tmp_path, now=made).pair("gateway", HOSTS)
    assert pair.leaf.not_valid_after_utc == made + timedelta(days=ISSUED_DAYS)
    early = made + timedelta(days=ISSUED_DAYS - 31)
    assert Authority(tmp_path, now=early).pair("gateway", HOSTS) == pair
    late = Authority(tmp_path, now=made + timedelta(days=ISSUED_DAYS - 30))
    assert late.pair("gateway", HOSTS) != pair
    assert late.changes == ["tls/gateway.crt: issued (the old one ends 2027-01-01)"]


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (lambda folder: (folder / "gateway.key").unlink(), "new"),
        (lambda folder: (folder / "gateway.crt").write_text("nonsense"), "the old one cannot be read"),
        (lambda folder: (folder / "agent.key").rename(folder / "gateway.key"), "the old key was not its key"),
    ],
)
def test_what_is_broken_is_made_anew(tmp_path: Path, broken: object, why: str) -> None:
    first = Authority(tmp_path)
    first.pair("gateway", HOSTS)
    first.pair("agent", HOSTS)
    assert callable(broken)
    broken(tmp_path)
    again = Authority(tmp_path)
    pair = again.pair("gateway", HOSTS)
    assert again.changes == [f"tls/gateway.crt: issued ({why})"]
    assert handshake(pair, tmp_path / "ca.crt", tmp_path, host="localhost") is None


def test_new_names_and_a_new_authority_make_it_anew(tmp_path: Path) -> None:
    Authority(tmp_path).pair("gateway", HOSTS)
    renamed = Authority(tmp_path)
    pair = renamed.pair("gateway", [*HOSTS, "10.1.2.3"])
    assert renamed.changes == ["tls/gateway.crt: issued (its names changed)"]
    assert handshake(pair, tmp_path / "ca.crt", tmp_path, host="10.1.2.3") is None
    (tmp_path / "ca.crt").unlink()
    (tmp_path / "ca.key").unlink()
    anew = Authority(tmp_path)
    anew.pair("gateway", [*HOSTS, "10.1.2.3"])
    assert anew.changes[1] == "tls/gateway.crt: issued (the old one was of another authority)"


def test_an_authority_whose_key_is_lost_is_not_replaced_in_silence(tmp_path: Path) -> None:
    Authority(tmp_path)
    (tmp_path / "ca.key").unlink()
    with pytest.raises(CertificateError, match="restore it from a backup"):
        Authority(tmp_path)


def test_an_authority_with_another_ones_key_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    (tmp_path / "ca.key").write_bytes(authority.issue("x").key)
    with pytest.raises(CertificateError, match="is not the key of"):
        Authority(tmp_path)


def test_an_authority_at_its_end_says_so(tmp_path: Path) -> None:
    Authority(tmp_path, now=datetime.now(UTC) - timedelta(days=AUTHORITY_DAYS + 1))
    with pytest.raises(CertificateError, match="expired on"):
        Authority(tmp_path)


# -- the site's own ------------------------------------------------------------------------------------------------


def own(folder: Path, *hosts: str, now: datetime | None = None) -> Pair:
    """What a public authority would have issued to the site, put into its folder."""
    (folder / "public").mkdir()
    pair = Authority(folder / "public", now=now).issue("site", hosts)
    (folder / "tls.crt").write_bytes(pair.certificate)
    (folder / "tls.key").write_bytes(pair.key)
    return pair


def test_the_sites_own_certificate_is_taken(tmp_path: Path) -> None:
    assert own_pair(tmp_path, HOSTS) is None
    assert own(tmp_path, *HOSTS) == own_pair(tmp_path, HOSTS)


def test_a_wildcard_is_for_one_level(tmp_path: Path) -> None:
    pair = own(tmp_path, "*.example.org")
    assert own_pair(tmp_path, ["modelward.example.org"]) == pair
    for host in ("a.b.example.org", "example.org", "10.1.2.3"):
        with pytest.raises(CertificateError, match="is not for"):
            own_pair(tmp_path, [host])


def test_an_own_certificate_that_cannot_serve_is_refused(tmp_path: Path) -> None:
    own(tmp_path, *HOSTS, now=datetime.now(UTC) - timedelta(days=ISSUED_DAYS + 1))
    with pytest.raises(CertificateError, match=r"site/tls\.crt expired on"):
        own_pair(tmp_path, HOSTS)
    (tmp_path / "tls.key").write_bytes(Authority(tmp_path).issue("x").key)
    with pytest.raises(CertificateError, match="put the leaf first"):
        own_pair(tmp_path, HOSTS)
    (tmp_path / "tls.crt").write_text("nonsense")
    with pytest.raises(CertificateError, match="is not a PEM certificate"):
        own_pair(tmp_path, HOSTS)


def test_the_authority_has_a_long_life_and_signs_no_other_authority(tmp_path: Path) -> None:
    certificate = Authority(tmp_path).certificate
    assert certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=AUTHORITY_DAYS - 1)
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    name = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    assert str(name).startswith("Modelward authority ")
