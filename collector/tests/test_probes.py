import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import TypeAdapter, ValidationError

from modelward_collector.checks.result import Status
from modelward_collector.probes import ProbeResult, ProbeRunner, ProbeSpec, run_probe, run_probes

SPEC: TypeAdapter[ProbeSpec] = TypeAdapter(ProbeSpec)
NOW = dt.datetime.now(dt.UTC)


def spec(**content: Any) -> ProbeSpec:
    return SPEC.validate_python({"name": "target", "timeout": "2s", **content})


def probe(**content: Any) -> ProbeResult:
    return run_probe(spec(**content))


# -- servers --------------------------------------------------------------------------------------------------------


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/latest/meta-data")
            self.end_headers()
        elif self.path == "/broken":
            self.send_error(503)
        elif self.path.startswith("/echo"):
            self._say(f"{self.headers['Host']} {self.path}")
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b"x" * 65_536)
        else:
            self._say('{"status": "ready"}')

    def do_HEAD(self) -> None:
        self.send_response(204)
        self.end_headers()

    def _say(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: Any) -> None:
        pass


@contextlib.contextmanager
def web_server(context: ssl.SSLContext | None = None) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    server.handle_error = lambda *args: None  # type: ignore[method-assign]  # a client that hangs up is meant to
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def raw_server(behave: Callable[[socket.socket, threading.Event], None]) -> Iterator[int]:
    """Accepts connections one after the other and does with each what `behave` says, until the event is set."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                behave(connection, over)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def silent(connection: socket.socket, over: threading.Event) -> None:
    over.wait()


def dripping(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.wait(0.05):
        connection.sendall(b"x")


def gibberish(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


def closing(connection: socket.socket, over: threading.Event) -> None:
    connection.recv(1000)


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    with web_server() as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as held:  # bound, so that nobody else listens there, and not listening
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


# -- HTTP -----------------------------------------------------------------------------------------------------------


def test_an_address_that_answers(web: str) -> None:
    result = probe(kind="http", url=f"{web}/healthz", body='"status": *"ready"')
    assert (result.ok, result.status, result.message) == (True, Status.OK, "status 200")
    assert (result.name, result.kind, result.expires_at) == ("target", "http", None)
    assert 0 < result.latency < 2


def test_the_whole_address_is_asked_for(web: str) -> None:
    port = web.rpartition(":")[2]
    assert probe(kind="http", url=f"{web}/echo/a?b=c%20d#e", body=rf"^127\.0\.0\.1:{port} /echo/a\?b=c%20d$").ok
    assert probe(kind="http", url=f"http://localhost:{port}/echo", body=rf"^localhost:{port} /echo$").ok


def test_another_status_than_the_expected(web: str) -> None:
    result = probe(kind="http", url=f"{web}/broken")
    assert (result.ok, result.status) == (False, Status.CRITICAL)
    assert result.message == "status 503 instead of 200"
    assert probe(kind="http", url=f"{web}/broken", status=[200, 503]).ok
    assert probe(kind="http", url=web, method="HEAD", status=204).ok


def test_an_answer_that_does_not_match(web: str) -> None:
    result = probe(kind="http", url=web, body="^ready$")
    assert not result.ok
    assert "nothing in the answer matches" in result.message


def test_a_redirect_is_told_and_not_followed(web: str) -> None:
    result = probe(kind="http", url=f"{web}/moved")
    assert not result.ok
    assert "169.254.169.254" in result.message
    assert "not followed" in result.message
    assert probe(kind="http", url=f"{web}/moved", status=302).ok


def test_an_endless_answer_is_read_no_further_than_its_limit(web: str) -> None:
    assert probe(kind="http", url=f"{web}/endless", body="^x+$").ok


@pytest.mark.parametrize("behaviour", [silent, dripping])
@pytest.mark.parametrize("kind", ["http", "https", "tls"])
def test_a_server_that_never_finishes_is_given_up_in_time(
    behaviour: Callable[[socket.socket, threading.Event], None], kind: str
) -> None:
    with raw_server(behaviour) as port:
        begun = time.monotonic()
        if kind == "tls":
            result = probe(kind="tls", host="127.0.0.1", port=port, timeout="1s")
        else:
            result = probe(kind="http", url=f"{kind}://127.0.0.1:{port}/", timeout="1s")
        assert time.monotonic() - begun < 4
    assert not result.ok
    if behaviour is silent:
        assert "within 1 s" in result.message


def test_a_server_that_hangs_up_or_speaks_something_else() -> None:
    with raw_server(closing) as port:
        assert "closed the connection" in probe(kind="http", url=f"http://127.0.0.1:{port}/").message
    with raw_server(gibberish) as port:
        result = probe(kind="http", url=f"http://127.0.0.1:{port}/")
        assert "no HTTP answer" in result.message
        assert "SSH-2.0" in result.message
        assert "TLS handshake failed" in probe(kind="tls", host="127.0.0.1", port=port).message


# -- TCP ------------------------------------------------------------------------------------------------------------


def test_a_port_that_accepts_and_one_that_does_not(closed_port: int) -> None:
    with raw_server(silent) as port:
        assert probe(kind="tcp", host="127.0.0.1", port=port).message == f"127.0.0.1 port {port} accepts connections"
        assert probe(kind="tcp", host="localhost", port=port).ok
    result = probe(kind="tcp", host="127.0.0.1", port=closed_port)
    assert (result.ok, result.status) == (False, Status.CRITICAL)
    assert result.message == f"no connection to 127.0.0.1 port {closed_port}: connection refused"


# -- DNS ------------------------------------------------------------------------------------------------------------


def test_a_name_that_resolves() -> None:
    result = probe(kind="dns", host="localhost", expected=["127.0.0.1"])
    assert result.ok
    assert "127.0.0.1" in result.message


def test_a_name_that_resolves_to_something_else() -> None:
    result = probe(kind="dns", host="localhost", expected=["127.0.0.1", "192.0.2.7"])
    assert not result.ok
    assert "not to 192.0.2.7" in result.message


def test_a_name_that_does_not_exist() -> None:
    for content in (
        {"kind": "dns", "host": "nonexistent.invalid"},
        {"kind": "tcp", "host": "nonexistent.invalid", "port": 80},
        {"kind": "http", "url": "http://nonexistent.invalid/"},
        {"kind": "dns", "host": "a" * 64 + ".invalid"},
    ):
        result = probe(**content)
        assert not result.ok
        assert "resolve" in result.message
        assert "invalid" in result.message


# -- TLS ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Authority:
    """A site's own certificate authority, and the certificates that it signs."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    ca_file: Path

    @classmethod
    def create(cls, folder: Path) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - dt.timedelta(days=400))
            .not_valid_after(NOW + dt.timedelta(days=400))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        ca_file = folder / "ca.pem"
        ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return cls(folder, key, certificate, ca_file)

    def server(self, *names: str, days: float = 90) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives: list[x509.GeneralName] = []
        for name in names:
            try:
                alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
            except ValueError:
                alternatives.append(x509.DNSName(name))
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - dt.timedelta(days=300))
            .not_valid_after(NOW + dt.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        path = self.folder / f"{names[0]}-{days}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("ca"))


def test_a_certificate_of_the_sites_own_authority(authority: Authority) -> None:
    with web_server(authority.server("127.0.0.1", "localhost")) as port:
        result = probe(kind="tls", host="127.0.0.1", port=port, ca_file=authority.ca_file)
        assert (result.ok, result.status) == (True, Status.OK)
        assert "89 more days" in result.message
        assert result.expires_at is not None
        assert abs(result.expires_at - (NOW + dt.timedelta(days=90))) < dt.timedelta(seconds=2)
        https = probe(kind="http", url=f"https://localhost:{port}/", ca_file=authority.ca_file, body="ready")
        assert (https.ok, https.expires_at) == (True, result.expires_at)


def test_a_certificate_that_expires_soon_is_a_warning(authority: Authority) -> None:
    with web_server(authority.server("127.0.0.1", days=10.5)) as port:
        soon = probe(kind="tls", host="127.0.0.1", port=port, ca_file=authority.ca_file)
        assert (soon.ok, soon.status) == (True, Status.WARNING)
        assert soon.message == "the certificate is valid for 10 more days, fewer than 21; renew it"
        assert probe(kind="tls", host="127.0.0.1", port=port, ca_file=authority.ca_file, days_min=7).status is Status.OK


def test_an_expired_certificate(authority: Authority) -> None:
    with web_server(authority.server("127.0.0.1", days=-1)) as port:
        for content in (
            {"kind": "tls", "host": "127.0.0.1", "port": port},
            {"kind": "http", "url": f"https://127.0.0.1:{port}/"},
        ):
            result = probe(**content, ca_file=authority.ca_file)
            assert (result.ok, result.status) == (False, Status.CRITICAL)
            assert "expired" in result.message


def test_a_certificate_for_another_name(authority: Authority) -> None:
    with web_server(authority.server("model.example")) as port:
        wrong = probe(kind="tls", host="127.0.0.1", port=port, ca_file=authority.ca_file)
        assert not wrong.ok
        assert "does not verify" in wrong.message
        assert "127.0.0.1" in wrong.message
        assert probe(kind="tls", host="127.0.0.1", port=port, ca_file=authority.ca_file, sni="model.example").ok


def test_a_certificate_of_an_unknown_authority(authority: Authority, tmp_path: Path) -> None:
    with web_server(authority.server("127.0.0.1")) as port:
        assert "does not verify" in probe(kind="tls", host="127.0.0.1", port=port).message
        other = Authority.create(tmp_path)
        result = probe(kind="http", url=f"https://127.0.0.1:{port}/", ca_file=other.ca_file)
        assert not result.ok
        assert "does not verify" in result.message


def test_an_authority_file_that_is_none_is_a_finding_not_a_crash(authority: Authority, tmp_path: Path) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("nothing")
    with web_server(authority.server("127.0.0.1")) as port:
        result = probe(kind="tls", host="127.0.0.1", port=port, ca_file=broken)
    assert not result.ok
    assert str(broken) in result.message


# -- configuration --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"kind": "http", "url": "ftp://example.org/"}, "write for example https://"),
        ({"kind": "http", "url": "file:///etc/passwd"}, "is not an address"),
        ({"kind": "http", "url": "http://[::1/"}, "is not an address"),
        ({"kind": "http", "url": "http://host:99999/"}, "is not an address"),
        ({"kind": "http", "url": "https://me:secret@example.org/"}, "password"),
        ({"kind": "http", "url": "http://example.org/a\r\nX-Evil: 1"}, "percent-encode"),
        ({"kind": "http", "url": "http://example.org/", "body": "("}, "not a regular expression"),
        ({"kind": "http", "url": "http://example.org/", "status": 700}, "from 100 to 599"),
        ({"kind": "http", "url": "http://example.org/", "method": "DELETE"}, "GET"),
        ({"kind": "tcp", "host": "h", "port": 0}, "greater than or equal to 1"),
        ({"kind": "dns", "host": "h", "expected": ["::1"]}, "not an address of type A"),
        ({"kind": "dns", "host": "h", "type": "AAAA", "expected": ["here"]}, "not an IP address"),
        ({"kind": "tls", "host": "h", "ca_file": "/nonexistent/ca.pem"}, "/nonexistent/ca.pem"),
        ({"kind": "tcp", "host": "h", "port": 1, "timeout": "10m"}, "from 1s to 1m"),
        ({"kind": "tcp", "host": "h", "port": 1, "every": "1s"}, "at most every 5s"),
        ({"kind": "ping", "host": "h"}, "'http', 'tcp', 'dns', 'tls'"),
    ],
)
def test_a_wrong_target_is_refused_with_its_reason(content: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        spec(**content)
    assert said in str(caught.value)
    assert "secret" not in caught.value.errors()[0]["msg"]


# -- many, and again and again --------------------------------------------------------------------------------------


def test_probes_run_side_by_side_and_answer_in_order(closed_port: int) -> None:
    with raw_server(silent) as port:
        hanging = [spec(kind="http", url=f"http://127.0.0.1:{port}/", name=f"h{i}", timeout="1s") for i in range(6)]
        begun = time.monotonic()
        results = run_probes([*hanging, spec(kind="tcp", host="127.0.0.1", port=closed_port, name="closed")])
        assert time.monotonic() - begun < 5
    assert [result.name for result in results] == ["h0", "h1", "h2", "h3", "h4", "h5", "closed"]
    assert not any(result.ok for result in results)
    assert run_probes([]) == []


def test_a_target_is_due_at_once_and_then_every_so_often(closed_port: int) -> None:
    often = spec(kind="tcp", host="127.0.0.1", port=closed_port, name="often", every="10s")
    seldom = spec(kind="tcp", host="127.0.0.1", port=closed_port, name="seldom", every="1m")
    runner = ProbeRunner([often, seldom])
    assert runner.due(NOW) == [often, seldom]
    assert runner.latest() == []
    assert [result.name for result in runner.run_due(NOW)] == ["often", "seldom"]
    assert runner.run_due(NOW + dt.timedelta(seconds=9)) == []
    assert runner.due(NOW + dt.timedelta(seconds=10)) == [often]
    assert runner.due(NOW + dt.timedelta(seconds=60)) == [often, seldom]
    assert runner.due(NOW - dt.timedelta(hours=1)) == [often, seldom]  # the clock was set back
    assert [result.name for result in runner.latest()] == ["often", "seldom"]


def test_a_new_configuration_keeps_what_did_not_change(closed_port: int) -> None:
    one = spec(kind="tcp", host="127.0.0.1", port=closed_port, name="one")
    two = spec(kind="tcp", host="127.0.0.1", port=closed_port, name="two")
    runner = ProbeRunner([one, two])
    runner.run_due(NOW)
    moved = spec(kind="tcp", host="localhost", port=closed_port, name="two")
    runner.configure([one, moved])
    assert [result.name for result in runner.latest()] == ["one"]
    assert runner.due(NOW) == [moved]
    with pytest.raises(ValueError, match="'one' is given twice"):
        runner.configure([one, one])
    assert runner.specs == [one, moved]


def test_two_rounds_do_not_overlap() -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(specs: Any) -> list[ProbeResult]:
        entered.set()
        leave.wait(5)
        return [ProbeResult(one.name, one.kind, True, Status.OK, 0.1, "fine") for one in specs]

    runner = ProbeRunner([spec(kind="tcp", host="h", port=1)], run=slow)
    first = threading.Thread(target=runner.run_due)
    first.start()
    assert entered.wait(5)
    assert runner.run_due(NOW + dt.timedelta(hours=1)) == []
    leave.set()
    first.join()
    assert [result.message for result in runner.latest()] == ["fine"]


def test_results_as_documents_and_as_series(web: str, closed_port: int) -> None:
    runner = ProbeRunner(
        [
            spec(kind="http", url=web, name="model"),
            spec(kind="tcp", host="127.0.0.1", port=closed_port, name="database"),
        ]
    )
    runner.run_due()
    documents = orjson.loads(orjson.dumps(runner.export()))
    assert [(d["name"], d["ok"], d["status"], d["probe"]) for d in documents] == [
        ("model", True, "ok", "http"),
        ("database", False, "critical", "tcp"),
    ]
    registry = CollectorRegistry()
    registry.register(runner)
    series = generate_latest(registry).decode()
    assert 'modelward_probe_success{kind="http",probe="model"} 1.0' in series
    assert 'modelward_probe_success{kind="tcp",probe="database"} 0.0' in series
    assert "modelward_probe_duration_seconds" in series
