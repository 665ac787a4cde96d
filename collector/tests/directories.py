"""A directory server for tests, and the settings that reach it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modelward_collector.auth.directory import Directory
from modelward_collector.auth.settings import LdapSettings
from tests.servers.slapd import GROUPS, PEOPLE, SERVICE, SERVICE_PASSWORD, Slapd, cn

GROUPS_OF_ROLES = {"viewer": [cn("viewers")], "editor": [cn("editors")], "admin": [cn("admins")]}


def a_directory(server: Slapd, folder: Path, **settings: Any) -> Directory:
    """By the service account over ldaps, unless the settings say otherwise; None removes one."""
    password = folder / "bind-password"
    if not password.exists():
        password.write_text(SERVICE_PASSWORD + "\n")
        password.chmod(0o600)
    content = {
        "urls": [server.ldaps_url],
        "ca_file": str(server.ca),
        "bind_dn": SERVICE,
        "bind_password_file": str(password),
        "user_base_dn": PEOPLE,
        "group_base_dn": GROUPS,
        "groups": GROUPS_OF_ROLES,
        "timeout": "2s",
        **settings,
    }
    return Directory(LdapSettings.model_validate({key: value for key, value in content.items() if value is not None}))


@contextmanager
def silent() -> Iterator[int]:
    """The port of a server that accepts connections and never says anything."""
    held = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    held.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for connection in held:
                connection.close()


@contextmanager
def stops_talking(server: Slapd, after: int) -> Iterator[int]:
    """The port of a way to the server's TLS port that carries so many bytes of its answers, and then nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def carry(client: socket.socket) -> None:
            with client, socket.create_connection(("127.0.0.1", server.tls_port)) as upstream:

                def out() -> None:
                    while data := client.recv(65_536):
                        upstream.sendall(data)

                threading.Thread(target=_quietly, args=(out,), daemon=True).start()
                left = after
                while left > 0 and (data := upstream.recv(min(left, 65_536))):
                    client.sendall(data)
                    left -= len(data)
                ended.wait(30)

        def accept() -> None:
            while True:
                client, _ = listener.accept()
                threading.Thread(target=_quietly, args=(carry, client), daemon=True).start()

        ended = threading.Event()
        threading.Thread(target=_quietly, args=(accept,), daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            listener.shutdown(socket.SHUT_RDWR)


def _quietly(run: Any, *of: Any) -> None:
    try:
        run(*of)
    except OSError:
        return
