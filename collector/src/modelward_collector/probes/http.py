"""Does an address answer as it should?"""

from __future__ import annotations

import http.client
import re
import socket
from datetime import datetime
from urllib.parse import SplitResult, urlsplit

from modelward_collector.checks.result import Status
from modelward_collector.probes.connection import Deadline, ProbeError, connect, expiry, secure
from modelward_collector.probes.outcome import Outcome
from modelward_collector.probes.spec import HttpProbe

BODY_LIMIT = 1024 * 1024
_CHUNK = 64 * 1024
_REDIRECTS = range(300, 400)


def probe_http(spec: HttpProbe, deadline: Deadline) -> Outcome:
    """Ask once and look at the answer; `ProbeError` says in what it differs from the expected one.

    No redirect is followed, no proxy is used, and nothing but the request is sent.
    """
    parts = urlsplit(spec.url)
    host = str(parts.hostname)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    with connect(host, port, deadline) as connection:
        if parts.scheme == "http":
            return _ask(spec, parts, connection, deadline, None)
        with secure(connection, host, spec.ca_file, deadline) as secured:
            return _ask(spec, parts, secured, deadline, expiry(secured))


def _ask(
    spec: HttpProbe, parts: SplitResult, connection: socket.socket, deadline: Deadline, expires_at: datetime | None
) -> Outcome:
    connection.settimeout(deadline.left())
    # what is given here only writes the Host header: the socket is already connected
    client = http.client.HTTPConnection(str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80))
    client.sock = connection
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        client.putrequest(spec.method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in (
            ("Host", parts.netloc),
            ("User-Agent", "modelward-probe"),
            ("Accept", "*/*"),
            ("Connection", "close"),
        ):
            client.putheader(name, value)
        client.endheaders()
        answer = client.getresponse()
        with answer:
            body = _body(answer, deadline) if spec.body is not None else b""
    except (OSError, http.client.HTTPException, ValueError) as error:
        # a connection that was shut at the deadline looks like one that the server closed
        if deadline.passed or isinstance(error, TimeoutError):
            raise deadline.over() from None
        raise ProbeError(f"no HTTP answer: {_reason(error)}") from None
    if deadline.passed:
        raise deadline.over()
    if answer.status not in spec.status:
        raise ProbeError(_wrong_status(spec, answer))
    if spec.body is not None and not re.search(spec.body, body.decode("utf-8", "replace")):
        raise ProbeError(f"status {answer.status}, but nothing in the answer matches {spec.body!r}")
    return Outcome(Status.OK, f"status {answer.status}", expires_at)


def _body(answer: http.client.HTTPResponse, deadline: Deadline) -> bytes:
    body = bytearray()
    while len(body) < BODY_LIMIT:
        deadline.left()
        chunk = answer.read1(_CHUNK)
        if not chunk:
            break
        body += chunk
    return bytes(body[:BODY_LIMIT])


def _wrong_status(spec: HttpProbe, answer: http.client.HTTPResponse) -> str:
    expected = " or ".join(map(str, spec.status))
    said = f"status {answer.status} instead of {expected}"
    if answer.status in _REDIRECTS and (location := answer.getheader("Location")):
        said += f"; it redirects to {location[:200]!r}, which is not followed: probe that address itself"
    return said


def _reason(error: Exception) -> str:
    if isinstance(error, http.client.RemoteDisconnected):
        return "the server closed the connection"
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return f"{type(error).__name__} {str(error)[:200]!r}"
