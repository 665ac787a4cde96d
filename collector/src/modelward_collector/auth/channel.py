"""An encrypted connection to a directory, handed to libldap as a local socket.

libldap's own TLS knows no time-out in its handshake (a server that accepts and says nothing holds the thread for ever),
and with GnuTLS does not say why a certificate is refused. So connecting, StartTLS and TLS are done here, and libldap
speaks through one end of a socket pair.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

PORTS: Final = {"ldap": 389, "ldaps": 636}
CHUNK: Final = 65_536

_START_TLS: Final = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + b"1.3.6.1.4.1.1466.20037"
"""An extended request of message id 1 (RFC 4511, 4.12 and 4.14)."""

_EXTENDED_RESPONSE: Final = 0x78
_RESULT_CODE: Final = 0x0A
_LONGEST_ANSWER: Final = 4_096


class ChannelError(Exception):
    """No encrypted connection; the message says to what, why, and what to look at."""


def authorities(ca_file: str | None) -> ssl.SSLContext:
    """What verifies the server's certificate and name; without a file, what this system trusts."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def opened(url: str, context: ssl.SSLContext, *, start_tls: bool, seconds: float, longest: float) -> int:
    """A file descriptor that reaches the server, for libldap to own; `ChannelError` when that cannot be.

    `seconds` bounds each step; after `longest` the connection ends whatever is under way.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    try:
        plain = socket.create_connection((host, port), timeout=seconds)
    except OSError as error:
        raise ChannelError(f"{url}: {_why_no_connection(error, seconds)}") from error
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if start_tls:
            _ask_for_tls(plain, url)
        encrypted = context.wrap_socket(plain, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        plain.close()
        raise ChannelError(f"{url}: {_why_not_trusted(error, host)}") from error
    except TimeoutError as error:
        plain.close()
        raise ChannelError(f"{url}: it accepts connections and says nothing for {seconds:g} s; is it LDAP?") from error
    except OSError as error:
        plain.close()
        raise ChannelError(f"{url}: no TLS there ({error}); check the port, and ldaps:// against start_tls") from error
    except ChannelError:
        plain.close()
        raise
    near, far = socket.socketpair()
    far.settimeout(seconds)
    # A daemon, so that it never keeps the process from ending.
    threading.Thread(
        target=_relay, args=(far, encrypted, time.monotonic() + longest), name="ldap-tls", daemon=True
    ).start()
    return near.detach()


def _ask_for_tls(plain: socket.socket, url: str) -> None:
    plain.sendall(_START_TLS)
    answer = b""
    while len(answer) < 2 or len(answer) < _length(answer):
        more = plain.recv(CHUNK)
        answer += more
        if not more or len(answer) > _LONGEST_ANSWER:
            raise ChannelError(f"{url}: it ends the connection when asked for StartTLS; is it LDAP?")
    # An ExtendedResponse whose result code is 0 (success).
    response = answer.find(bytes([_EXTENDED_RESPONSE]))
    code = answer[response:].find(bytes([_RESULT_CODE, 1]))
    if response < 0 or code < 0 or answer[response + code + 2 : response + code + 3] != b"\x00":
        raise ChannelError(f"{url}: it refuses StartTLS; write ldaps://, or give the server a certificate")
    if len(answer) > _length(answer):
        raise ChannelError(f"{url}: it sent more than its answer to StartTLS before TLS began")


def _length(message: bytes) -> int:
    """The length of a BER message with its head, as far as the head is there."""
    first = message[1]
    if first < 0x80:
        return 2 + first
    octets = first & 0x7F
    return 2 + octets + int.from_bytes(message[2 : 2 + octets], "big")


def _relay(near: socket.socket, far: ssl.SSLSocket, until: float) -> None:
    """Carry bytes both ways until one side ends, or time is up."""
    with near, far, suppress(OSError, ValueError):
        while (left := until - time.monotonic()) > 0:
            readable, _, _ = select.select([near, far], [], [], left)
            if near in readable:
                out = near.recv(CHUNK)
                if not out:
                    return
                far.sendall(out)
            if far in readable:
                while True:
                    come = far.recv(CHUNK)
                    if not come:
                        return
                    near.sendall(come)
                    if not far.pending():
                        break


def _why_no_connection(error: OSError, seconds: float) -> str:
    if isinstance(error, socket.gaierror):
        return f"the name is not known ({error.strerror}); correct the URL, or the name service"
    if isinstance(error, TimeoutError):
        return f"no connection in {seconds:g} s; check host, port and firewall"
    return f"no connection ({error.strerror or error}); check host and port, and whether the directory runs"


def _why_not_trusted(error: ssl.SSLCertVerificationError, host: str) -> str:
    said = error.verify_message or str(error)
    if "expired" in said:
        return f"its certificate is not trusted ({said}); renew the directory's certificate"
    if "mismatch" in said.lower() or "not valid for" in said:
        return f"its certificate is not for {host} ({said}); use a name that it holds"
    return f"its certificate is not trusted ({said}); set ca_file to the authority that signed it"
