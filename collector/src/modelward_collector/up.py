"""`modelward up`: the collector and an agent on one machine, in one terminal, out of one folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO

from modelward_agent.durations import format_duration
from modelward_collector.app import build, create_app
from modelward_collector.config import ClockKind, load_config
from modelward_collector.serving import Server, Signals, bind, end_process

logger = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 0.2
AGENT_ENDS_WITHIN_SECONDS = 8.0
LONGEST_PAUSE_SECONDS = 30.0
SETTLED_AFTER_SECONDS = 60.0
"""An agent that ran this long is started again at once when it ends."""

LOG_KEPT_BYTES = 10_000_000
LOG_SHOWN_BYTES = 4_000

COLLECTOR_YML = """\
# The collector. Every key is optional; `modelward check-config --config collector.yml` says what is wrong.
listen:
  port: {port}
store:
  kind: sqlite
  path: modelward.db
models_dir: models.d
clock: {clock}
agents:
  api_key_file: secrets/agent.key
  window: {window}
"""

AGENT_YML = """\
# The agent of this machine; applications write their journals below `journal`. `modelward up` sets the address.
state: agent
journal:
  path: {journal}
window: {window}
commit_interval: {commit}
elasticsearch:
  urls: [http://127.0.0.1:{port}]
  api_key_file: secrets/agent.key
"""


class HomeInUseError(Exception):
    """Another `modelward up` runs from this folder."""


class HomeError(Exception):
    """The folder cannot be made or written; the message says which file, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said; None where it said nothing, and the files decide."""

    home: Path
    port: int | None = None
    journal: Path | None = None
    clock: ClockKind | None = None
    window: timedelta | None = None


def up(options: Options) -> int:
    """Run until Ctrl-C or SIGTERM; the exit code.

    Before that `SettingsError`, `ListenError`, `HomeError` and `HomeInUseError`.
    """
    home = options.home.expanduser().resolve()
    try:
        furnish(home, options)
    except OSError as error:
        raise HomeError(
            f"modelward: {error.filename or home}: {error.strerror}; choose a folder that you may write with --home"
        ) from error
    with _only_one(home):
        config = load_config(home / "collector.yml", {**os.environ, **collector_overrides(options)})
        listener = bind(config.listen)
        collector = build(config)
        server = Server(create_app(collector), listener, config.listen)
        signals = Signals(collector.context.registry.reload)
        if not server.start():
            return 1
        print(server.url, flush=True)
        # With a certificate of one's own the agent must be told which authority to trust, so agent.yml says it all.
        url = None if config.listen.tls else config.listen.url(listener.getsockname()[1]).rstrip("/")
        agent = AgentProcess(home, config.models_folder, {**os.environ, **agent_overrides(options, url)})
        try:
            while not signals.wait(LOOK_EVERY_SECONDS) and server.alive:
                agent.look_after()
            code = 0 if server.alive else 1
        finally:
            # The agent first: what it has in hand is delivered while there is still someone to take it.
            agent.stop()
            server.stop()
        return end_process(code, unfinished=collector.context.scheduler.unfinished)


def furnish(home: Path, options: Options) -> None:
    """Make the folder and every file in it that is not there yet; what is there stays as it is."""
    for folder in (home, home / "models.d", home / "secrets", home / "agent"):
        folder.mkdir(parents=True, exist_ok=True)
    (home / "secrets").chmod(0o700)
    (options.journal or home / "journal").expanduser().mkdir(parents=True, exist_ok=True)
    _create(home / "secrets" / "agent.key", secrets.token_urlsafe(32) + "\n", mode=0o600)
    replays = options.clock is ClockKind.REPLAY
    port, window = options.port or 8321, format_duration(options.window or timedelta(minutes=1))
    _create(
        home / "collector.yml",
        COLLECTOR_YML.format(port=port, clock=options.clock or ClockKind.WALL, window=window),
    )
    journal = json.dumps("journal" if options.journal is None else str(options.journal.expanduser().resolve()))
    commit = "1s" if replays else "10s"
    _create(home / "agent.yml", AGENT_YML.format(journal=journal, window=window, commit=commit, port=port))


def _create(path: Path, text: str, mode: int = 0o644) -> None:
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)


def _opened(path: Path, mode: str) -> IO[bytes]:
    """The file of the home; `HomeError` when it cannot be opened."""
    try:
        return path.open(mode)
    except OSError as error:
        raise HomeError(
            f"modelward: {path}: {error.strerror}; move it away, or let this user write it, or choose another --home"
        ) from error


@contextlib.contextmanager
def _only_one(home: Path) -> Iterator[None]:
    with _opened(home / ".lock", "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HomeInUseError(
                f"modelward: {home} is in use by another `modelward up`; stop that one, or choose another --home"
            ) from None
        yield


def collector_overrides(options: Options) -> dict[str, str]:
    """The variables that say to the collector what the command line said."""
    said = {
        "LISTEN__PORT": None if options.port is None else str(options.port),
        "CLOCK": options.clock,
        "AGENTS__WINDOW": None if options.window is None else format_duration(options.window),
    }
    return {f"MODELWARD_COLLECTOR__{key}": value for key, value in said.items() if value is not None}


def agent_overrides(options: Options, url: str | None) -> dict[str, str]:
    """The same for the agent, and the collector's address where that is known to reach it."""
    said = {
        "ELASTICSEARCH__URLS": None if url is None else json.dumps([url]),
        "JOURNAL__PATH": None if options.journal is None else json.dumps(str(options.journal.expanduser().resolve())),
        "WINDOW": None if options.window is None else format_duration(options.window),
        "COMMIT_INTERVAL": "1s" if options.clock is ClockKind.REPLAY else None,
    }
    return {f"MODELWARD_AGENT__{key}": value for key, value in said.items() if value is not None}


class AgentProcess:
    """The agent as a child, started again when it ends by itself, with growing pauses.

    It reads features as the models' files in `models` declare them.
    """

    def __init__(self, home: Path, models: Path, environment: Mapping[str, str]) -> None:
        self._home = home
        self._models = models
        self._environment = dict(environment)
        self._log = home / "agent.log"
        self._pause = 0.0
        self._start_at = time.monotonic()
        self._started_at = 0.0
        self._child: subprocess.Popen[bytes] | None = None
        self.look_after()

    @property
    def pid(self) -> int | None:
        """The child's process id, None while there is none."""
        return None if self._child is None else self._child.pid

    def look_after(self) -> None:
        """Start it when it is not running and its pause is over."""
        now = time.monotonic()
        if self._child is not None:
            code = self._child.poll()
            if code is None:
                return
            self._child = None
            settled = now - self._started_at > SETTLED_AFTER_SECONDS
            self._pause = 1.0 if settled else min(max(1.0, 2 * self._pause), LONGEST_PAUSE_SECONDS)
            self._start_at = now + self._pause
            logger.warning(
                "the agent ended (exit code %d), starting it again in %.0f s: %s", code, self._pause, self._reason()
            )
        if now >= self._start_at:
            self._start(now)

    def _start(self, now: float) -> None:
        if self._log.exists() and self._log.stat().st_size > LOG_KEPT_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        with _opened(self._log, "ab") as log:
            self._child = subprocess.Popen(
                [
                    *(sys.executable, "-m", "modelward_collector.embedded_agent", str(os.getpid())),
                    *(str(self._home / "agent.yml"), str(self._models)),
                ],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal must reach only the parent, which ends the child in its turn.
                start_new_session=True,
            )
        self._started_at = now

    def _reason(self) -> str:
        """What the agent said last when it refused to start; else where to look."""
        with contextlib.suppress(OSError), self._log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_SHOWN_BYTES))
            last = log.read().decode(errors="replace").rstrip().rpartition("\n")[2]
            if last.startswith("modelward: "):
                return last
        return f"{self._log} says why"

    def stop(self) -> None:
        """Let it deliver what it has in hand, and end it."""
        if self._child is None:
            return
        self._child.terminate()
        try:
            self._child.wait(AGENT_ENDS_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            # Nothing is lost: what it has not delivered is on disk.
            logger.warning("the agent did not end within %.0f s and was killed", AGENT_ENDS_WITHIN_SECONDS)
            self._child.kill()
            self._child.wait()
        self._child = None
