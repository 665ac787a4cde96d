"""The client speaks only with who is right, and remembers what a browser would."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator

import pytest

from modelward_appliance.host.verify.check import CheckError
from modelward_appliance.host.verify.client import Client, UnreachableError, trusting
from modelward_appliance.host.verify.form import log_in
from tests.servers.certificates import Authority

NAME = "modelward.example.org"

PAGE = b"""<!doctype html><html><body>
<form action="/search"><input name="q"></form>
<form method="post" action="/enter?next=%2Fa">
<input type="hidden" name="csrf" value="token&amp;1">
<input name="username" autocomplete="username"><input type="password" name="password">
<button>Log in</button></form></body></html>"""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer(PAGE if self.path == "/login" else (self.headers.get("Cookie") or "").encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        ends = self.path == "/leave"
        cookie = "session=; Max-Age=0" if ends else "session=abc; Path=/; Secure; HttpOnly"
        self.answer(self.path.encode() + b" " + body, cookie)

    def answer(self, body: bytes, cookie: str | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def port(authority: Authority) -> Iterator[int]:
    issued = authority.issue(NAME, dns=(NAME,), addresses=())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()


def client(port: int, authority: Authority, name: str = NAME) -> Client:
    return Client(f"https://{name}:{port}", "127.0.0.1", trusting(authority.path.read_text()))


def test_the_name_is_checked_while_the_address_is_given(port: int, authority: Authority) -> None:
    answer = client(port, authority).get("/login")
    assert answer.status == 200
    assert ("DNS", NAME) in answer.certificate["subjectAltName"]


def test_a_certificate_of_another_name_is_refused(port: int, authority: Authority) -> None:
    with pytest.raises(UnreachableError, match="Hostname mismatch"):
        client(port, authority, "other.example.org").get("/")


def test_another_authority_is_refused(
    port: int, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Authority(tmp_path_factory.mktemp("other"), "Another")
    with pytest.raises(UnreachableError, match="certificate verify failed"):
        client(port, other).get("/")


def test_cookies_are_kept_until_they_are_taken_back(port: int, authority: Authority) -> None:
    visitor = client(port, authority)
    visitor.post_form("/enter", {})
    assert visitor.get("/").text == "session=abc"
    visitor.post_form("/leave", {})
    assert visitor.get("/").text == ""


def test_the_form_with_a_password_is_filled_in_and_sent_where_it_says(port: int, authority: Authority) -> None:
    answer = log_in(client(port, authority), "/login", "ada", "a b&c")
    assert answer.text == "/enter?next=%2Fa csrf=token%261&username=ada&password=a+b%26c"


def test_a_page_without_a_form_is_a_failure(port: int, authority: Authority) -> None:
    with pytest.raises(CheckError, match="without a login form"):
        log_in(client(port, authority), "/elsewhere", "ada", "secret")


def test_nobody_there_is_said(authority: Authority) -> None:
    with pytest.raises(UnreachableError, match="refused"):
        client(1, authority).get("/")
