"""A real Elasticsearch node: TLS, security, file-realm users, its own data; can be stopped, killed and restarted."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import pwd
import shutil
import signal
import ssl
import subprocess
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.servers.certificates import Authority
from tests.servers.missing import SERVERS, ServerMissingError
from tests.servers.ports import free_ports
from tests.servers.process import Child, Server, kill_pid

VERSION: Final = "9.5.3"
JAVA_MIN: Final = 21
READY_SECONDS: Final = 120

_ROLES = """
modelward_agent:
  cluster: []
  indices:
    - names: ["modelward-*"]
      privileges: [create_doc, view_index_metadata]
modelward_collector:
  cluster: [monitor, manage_index_templates]
  indices:
    - names: ["modelward-*"]
      privileges: [all]
modelward_backup:
  cluster: [monitor, "cluster:admin/snapshot/*", "cluster:admin/repository/*"]
  indices:
    - names: ["modelward-*"]
      privileges: [monitor, view_index_metadata, maintenance]
    - names: ["modelward-probe-*"]
      privileges: [delete_index]
"""


@dataclass(frozen=True, slots=True)
class User:
    """Someone of the file realm."""

    name: str
    password: str
    role: str

    @property
    def auth(self) -> tuple[str, str]:
        """What clients call basic auth."""
        return (self.name, self.password)


ADMIN: Final = User("admin", "admin-of-the-tests", "superuser")
AGENT: Final = User("modelward_agent", "agent-of-the-tests", "modelward_agent")
COLLECTOR: Final = User("modelward_collector", "collector-of-the-tests", "modelward_collector")
BACKUP: Final = User("modelward_backup", "backup-of-the-tests", "modelward_backup")


class Elasticsearch(Server):
    """One node. As a context manager it is started, and at the end stopped with its data removed.

    `url`, `ca` (the file to trust) and the users are what a client needs; snapshots go to folders of `repositories`.
    `stop` and `kill` keep the data for `start`.
    """

    admin, agent, collector, backup = ADMIN, AGENT, COLLECTOR, BACKUP

    def __init__(self, home: Path | None = None) -> None:
        java = find_java()
        home = home or distribution()
        self._user = _unprivileged()
        self.folder = Path(tempfile.mkdtemp(prefix="modelward-es-"))
        self.folder.chmod(0o755)
        self._java = self._reachable(java)
        self._home = self._reachable(home)
        self.port, transport = free_ports(2)
        self.url = f"https://127.0.0.1:{self.port}"
        self._config = self.folder / "config"
        self._pid_file = self.folder / "run" / "pid"
        self._child: Child | None = None
        self.repositories = self.folder / "repositories"
        for name in ("run", "data", "logs", "repositories"):
            (self.folder / name).mkdir()
        self._configure(transport)
        self.ca = self._config / "ca.pem"
        self._trust = ssl.create_default_context(cafile=str(self.ca))
        if self._user is not None:
            for path in [self.folder, *self.folder.rglob("*")]:
                if self._home not in path.parents and self._java not in path.parents:
                    os.chown(path, self._user, self._user)

    def _reachable(self, path: Path) -> Path:
        """The path, or a copy of it where the server's user may read."""
        if self._user is None or all(parent.stat().st_mode & 0o001 for parent in path.parents):
            return path
        return Path(shutil.copytree(path, self.folder / path.name, symlinks=True))

    def _configure(self, transport: int) -> None:
        self._config.mkdir()
        for name in ("jvm.options", "log4j2.properties"):
            shutil.copy(self._home / "config" / name, self._config / name)
        (self._config / "jvm.options.d").mkdir()
        issued = Authority(self._config).issue("node", dns=("localhost", "elasticsearch"))
        settings = {
            "cluster.name": "modelward-tests",
            "discovery.type": "single-node",
            "path.data": self.folder / "data",
            "path.logs": self.folder / "logs",
            "path.repo": self.repositories,
            "network.host": "127.0.0.1",
            "http.port": self.port,
            "transport.port": transport,
            "node.store.allow_mmap": "false",
            # A developer's disk may be nearly full; a test server needs little.
            "cluster.routing.allocation.disk.threshold_enabled": "false",
            "xpack.security.enabled": "true",
            "xpack.security.http.ssl.enabled": "true",
            "xpack.security.http.ssl.key": issued.key.name,
            "xpack.security.http.ssl.certificate": issued.certificate.name,
            "xpack.security.transport.ssl.enabled": "false",
        }
        (self._config / "elasticsearch.yml").write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))
        (self._config / "roles.yml").write_text(_ROLES)
        users = (ADMIN, AGENT, COLLECTOR, BACKUP)
        (self._config / "users").write_text("".join(f"{user.name}:{_hashed(user.password)}\n" for user in users))
        (self._config / "users_roles").write_text("".join(f"{user.role}:{user.name}\n" for user in users))

    # -- life ---------------------------------------------------------------------------------------------------
    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.popen.poll() is None

    def start(self) -> None:
        """Start, or start again on the same port and data; returns when it answers. Nothing when it runs."""
        if self.running:
            return
        self._pid_file.unlink(missing_ok=True)
        env = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "ES_JAVA_HOME": str(self._java),
            "ES_PATH_CONF": str(self._config),
            "ES_JAVA_OPTS": "-Xms512m -Xmx512m",
            "ES_TMPDIR": str(self.folder / "run"),
            "HOME": str(self.folder),
        }
        command: list[str | Path] = ["/bin/bash", self._home / "bin" / "elasticsearch", "-p", self._pid_file]
        self._child = Child(command, self.folder / "logs" / "console.log", env=env, user=self._user, cwd=self.folder)
        self._child.wait_until(self._answers, READY_SECONDS, f"Elasticsearch {VERSION}")

    def _answers(self) -> bool:
        try:
            self.ask("/_cluster/health?wait_for_status=yellow&timeout=20s")
        except OSError:
            return False
        return True

    def ask(self, path: str, method: str = "GET", body: object = None) -> Any:
        """What it answers the administrator, as JSON; HTTPError (an OSError) where it refuses."""
        request = urllib.request.Request(f"{self.url}{path}", method=method)
        request.add_header("Authorization", "Basic " + base64.b64encode(":".join(ADMIN.auth).encode()).decode())
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30, context=self._trust) as answer:
            return json.load(answer)

    def forget(self) -> None:
        """Remove every index of Modelward, for tests that count documents of whatever was before them."""
        for name in self.ask("/modelward-*?expand_wildcards=open"):
            self.ask(f"/{name}", "DELETE")

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Until the condition of the running server holds; the console's last lines are in the error otherwise."""
        assert self._child is not None
        self._child.wait_until(condition, READY_SECONDS, what)

    def stop(self) -> None:
        """Shut it down in order; the data stays."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """`kill -9`; the data stays as it is."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        if self._child is None:
            return
        with contextlib.suppress(OSError, ValueError):
            kill_pid(int(self._pid_file.read_text()), number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.popen.wait(30)  # the launcher follows the server
        self._child.stop()
        self._child = None

    def close(self) -> None:
        """Stop it and remove its data."""
        self._end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


def available() -> None:
    """ServerMissingError unless it can be started here."""
    find_java()
    if not _home_folder().is_dir() and not _archive().is_file():
        raise ServerMissingError("Elasticsearch", f"no {_archive()}")
    _unprivileged()


def find_java() -> Path:
    """An installed Java home that is new enough. A runtime trimmed by jlink is none: the server needs jdk.jlink."""
    homes = sorted(Path("/usr/lib/jvm").glob("*"), reverse=True)
    if "ES_JAVA_HOME" in os.environ:
        homes.insert(0, Path(os.environ["ES_JAVA_HOME"]))
    for home in homes:
        release = home / "release"
        if not (home / "bin" / "java").is_file() or not release.is_file():
            continue
        for line in release.read_text().splitlines():
            name, _, value = line.partition("=")
            if name == "JAVA_VERSION" and int(value.strip('"').partition(".")[0]) >= JAVA_MIN:
                return home.resolve()
    raise ServerMissingError("Elasticsearch", f"no Java {JAVA_MIN} or newer in /usr/lib/jvm or ES_JAVA_HOME")


def _archive() -> Path:
    return SERVERS / f"elasticsearch-{VERSION}.zip"


def _home_folder() -> Path:
    return SERVERS / f"elasticsearch-{VERSION}"


def distribution() -> Path:
    """Where the server lies, unpacked if it was not yet."""
    home = _home_folder()
    if not home.is_dir():
        if not _archive().is_file():
            raise ServerMissingError("Elasticsearch", f"no {_archive()}")
        aside = Path(tempfile.mkdtemp(prefix=".unzip-", dir=SERVERS))
        with zipfile.ZipFile(_archive()) as archive:
            archive.extractall(aside)
        # Another test process may have been quicker.
        with contextlib.suppress(OSError):
            (aside / home.name).rename(home)
        shutil.rmtree(aside, ignore_errors=True)
        _open_for_reading(home)
    return home


def _open_for_reading(home: Path) -> None:
    """The archive keeps its configuration from others; here it is a template that the server's user copies."""
    for path in [home, *home.rglob("*")]:
        path.chmod(path.stat().st_mode | (0o755 if path.is_dir() or path.parent.name == "bin" else 0o644))


def _unprivileged() -> int | None:
    """The user id that the server runs as: None for this one, which must not be root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody").pw_uid
    except KeyError:
        raise ServerMissingError("Elasticsearch", "it refuses to run as root, and there is no user nobody") from None


def _hashed(password: str) -> str:
    """The form of the file realm: PBKDF2 with HMAC-SHA512, few rounds since every request checks it."""
    salt, rounds = os.urandom(32), 1000
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds, dklen=32)
    return f"{{PBKDF2}}{rounds}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
