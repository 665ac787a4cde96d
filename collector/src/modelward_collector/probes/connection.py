"""Connections that end when their time is up, whatever the other side does."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class ProbeError(Exception):
    """The target does not do what it should; the message is for people."""


class Deadline:
    """The moment at which a probe's time is up."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left; `ProbeError` when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.over()
        return left

    def over(self) -> ProbeError:
        """What is said when time is up."""
        return ProbeError(f"no complete answer within {self.seconds:g} s")

    @property
    def passed(self) -> bool:
        """Whether time is up."""
        return time.monotonic() >= self._end


def resolve(host: str, port: int, family: socket.AddressFamily, deadline: Deadline) -> list[tuple[Any, ...]]:
    """`getaddrinfo` that answers in time; `ProbeError` when the name does not resolve."""
    answer: list[list[tuple[Any, ...]] | OSError | UnicodeError] = []

    def look_up() -> None:
        try:
            answer.append(list(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:
            answer.append(error)

    # the resolver takes no timeout of ours; a thread that outlives its probe ends with the resolver's own
    thread = threading.Thread(target=look_up, name=f"resolve {host}", daemon=True)
    thread.start()
    thread.join(deadline.left())
    if not answer:
        raise ProbeError(f"{host} was not resolved within {deadline.seconds:g} s")
    if isinstance(answer[0], OSError | UnicodeError):
        error = answer[0]
        raise ProbeError(f"{host} does not resolve: {error.strerror if isinstance(error, OSError) else error}")
    return answer[0]


@contextlib.contextmanager
def connect(host: str, port: int, deadline: Deadline) -> Iterator[socket.socket]:
    """A connection to the first address that accepts one; it is shut when time is up.

    `ProbeError` when none accepts, with the last one's reason.
    """
    connection = _first(host, port, deadline)
    # A time-out on a socket is for each read alone: a server that drips a byte at a time would hold us for ever.
    # A duplicate shuts the connection whatever has become of this object, which TLS detaches.
    with connection, connection.dup() as same:
        cut = threading.Timer(deadline.left(), _shut, [same])
        cut.daemon = True
        cut.start()
        try:
            yield connection
        finally:
            cut.cancel()
            cut.join()


def _first(host: str, port: int, deadline: Deadline) -> socket.socket:
    reason = "it has no address"
    for family, kind, protocol, _, address in resolve(host, port, socket.AF_UNSPEC, deadline):
        try:
            connection = socket.socket(family, kind, protocol)
        except OSError as error:
            reason = error.strerror or str(error)
            continue
        try:
            connection.settimeout(deadline.left())
            connection.connect(address)
        except TimeoutError:
            connection.close()
            raise ProbeError(f"no connection to {host} port {port} within {deadline.seconds:g} s") from None
        except OSError as error:
            connection.close()
            reason = (error.strerror or str(error)).lower()
        except ProbeError:
            connection.close()
            raise
        else:
            return connection
    raise ProbeError(f"no connection to {host} port {port}: {reason}")


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def secure(connection: socket.socket, name: str, ca_file: Path | None, deadline: Deadline) -> ssl.SSLSocket:
    """The connection with TLS on it, the chain and the name verified; `ProbeError` says what does not."""
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror
        raise ProbeError(f"ca_file {ca_file} cannot be used ({reason}); it must hold certificates as PEM") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        connection.settimeout(deadline.left())
        return context.wrap_socket(connection, server_hostname=name)
    except ssl.SSLCertVerificationError as error:
        raise ProbeError(f"the certificate does not verify: {error.verify_message}") from None
    except TimeoutError:
        raise ProbeError(f"no TLS handshake within {deadline.seconds:g} s") from None
    except (OSError, ValueError) as error:
        if deadline.passed:
            raise ProbeError(f"no TLS handshake within {deadline.seconds:g} s") from None
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise ProbeError(f"the TLS handshake failed: {reason}") from None


def expiry(connection: ssl.SSLSocket) -> datetime | None:
    """When the server's verified certificate expires."""
    certificate = connection.getpeercert()
    if not certificate or "notAfter" not in certificate:
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
