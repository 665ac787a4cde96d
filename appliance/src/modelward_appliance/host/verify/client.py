"""An HTTPS client that trusts one authority, connects where it is told, and follows nothing by itself."""

from __future__ import annotations

import http.client
import http.cookies
import json
import socket
import ssl
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelward_appliance.host.verify.check import CheckError

TIMEOUT_SECONDS = 20.0


class UnreachableError(CheckError):
    """There was no answer at all; the detail says of what and why."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, "see make status, and make logs of what is not well")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered. `headers` has lower-case names; of several of one name it holds the last."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    certificate: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The body, as UTF-8."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """The body as JSON; ValueError when it is none."""
        return json.loads(self.body)


class _Connection(http.client.HTTPSConnection):
    """Connects to an address of its own choice while the certificate is checked for the host of the URL."""

    def __init__(self, host: str, port: int, address: str, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=TIMEOUT_SECONDS, context=context)
        self._address = address
        self._trust = context

    def connect(self) -> None:
        """Open the connection and make it secure."""
        plain = socket.create_connection((self._address, self.port), TIMEOUT_SECONDS)
        try:
            self.sock = self._trust.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


class Client:
    """Someone with a cookie jar, at one origin such as `https://modelward.example.org`.

    `address` is connected to whatever the origin's name resolves to, since the server itself may not know its own name.
    """

    def __init__(self, origin: str, address: str, trust: ssl.SSLContext) -> None:
        parts = urllib.parse.urlsplit(origin)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.host = parts.hostname or ""
        self.port = parts.port or 443
        self._address = address
        self._trust = trust
        self.cookies: dict[str, str] = {}

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET; `UnreachableError` without an answer."""
        return self.request("GET", path, headers=headers)

    def post_form(self, path: str, fields: Mapping[str, str]) -> Answer:
        """POST of a form, as a browser sends it from a page of the origin."""
        return self.request(
            "POST",
            path,
            urllib.parse.urlencode(fields).encode(),
            {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.origin},
        )

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Any request; `UnreachableError` without an answer."""
        url = urllib.parse.urljoin(self.origin, path)
        target = urllib.parse.urlsplit(url)
        connection = _Connection(self.host, self.port, self._address, self._trust)
        sent = {"Accept": "*/*", **(headers or {})}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            connection.request(method, target.path + (f"?{target.query}" if target.query else ""), body, sent)
            secured = connection.sock
            certificate = secured.getpeercert() if isinstance(secured, ssl.SSLSocket) else None
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(f"{url}: {error}") from error
        finally:
            connection.close()
        self._keep_cookies(response)
        given = {name.lower(): value for name, value in response.getheaders()}
        return Answer(url, response.status, given, content, certificate or {})

    def _keep_cookies(self, response: http.client.HTTPResponse) -> None:
        for header in response.headers.get_all("Set-Cookie", []):
            for name, morsel in http.cookies.SimpleCookie(header).items():
                if morsel["max-age"] == "0" or not morsel.value:
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value


def trusting(ca: str) -> ssl.SSLContext:
    """Trust in the certificates of the PEM text alone, TLS 1.2 or newer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=ca)
    return context
