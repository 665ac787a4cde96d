"""Waiting for services, with a line for each that changes, and an account of those that fail."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from modelward_appliance.host.docker import ONE_SHOTS, Compose, Container, last_lines

DEADLINE_SECONDS: Final = 900.0
"""For the slowest first start, Kibana's, on a small server, with room."""

_LOOK_SECONDS: Final = 1.0
_FAILED_LOOKS: Final = 10
"""So often in a row a service must be seen failed: one that is restarted, once, is not."""

_RESTARTS: Final = 5
"""So often it is restarted before it is given up, though it runs for a moment each time."""

_LOG_LINES: Final = 15
_PASSING: Final = frozenset({"created", "exited", "running", "removing"})
"""States that say nothing to who waits: a container that is made anew goes through them."""

_HINTS: Final[Mapping[str, str]] = {
    "elasticsearch": "it may lack memory (ELASTICSEARCH_MEMORY), disk, or vm.max_map_count (make preflight)",
    "setup": "correct what it names in .env or in the state folder's site/",
    "setup-after": "Elasticsearch must be well first; make status says whether it is",
    "collector": "what it names in collector.yml comes from .env, and models from the state folder's site/models.d",
    "kibana": "it may lack memory (KIBANA_MEMORY), or a slow disk needs more time",
    "grafana": "the directory's settings come from .env, its authority from site/ldap-ca.crt",
    "gateway": "a certificate of the site's own (site/tls.crt, site/tls.key) must fit its key",
    "alertmanager": "mail servers and receivers come from .env and from site/",
    "prometheus": "files in the state folder's targets/ must be valid",
}


class NotUpError(Exception):
    """Services did not come up; the message has each one's last lines and what to do."""


class Watch:
    """Prints how each service goes on; a line for each change."""

    def __init__(self, compose: Compose) -> None:
        self._compose = compose
        self._said: dict[str, str] = {}
        self._failed: dict[str, int] = {}
        self._restarts: dict[str, int] = {}
        self._begun = time.monotonic()
        for container in compose.containers():
            self._said[container.service] = self._state(container)

    def look(self) -> list[Container]:
        """Look once, print what changed, and answer all containers."""
        containers = self._compose.containers()
        for container in containers:
            state = self._state(container)
            if self._said.get(container.service) != state and state not in _PASSING:
                self._said[container.service] = state
                print(f"  {time.monotonic() - self._begun:6.1f} s  {container.service:<18}{state}", flush=True)
            self._failed[container.service] = self._failed.get(container.service, 0) + 1 if container.has_failed else 0
        return containers

    def given_up(self, containers: Sequence[Container]) -> list[Container]:
        """Those that have been failing for a while, or again and again."""
        return [
            item
            for item in containers
            if self._failed.get(item.service, 0) >= _FAILED_LOOKS
            or item.restarts - self._restarts.setdefault(item.id, item.restarts) >= _RESTARTS
        ]

    @staticmethod
    def _state(container: Container) -> str:
        if container.service in ONE_SHOTS and container.state == "exited":
            return "done" if container.exit_code == 0 else f"failed with {container.exit_code}"
        if container.state == "running" and container.health:
            return container.health
        return container.state


def wait_until_well(compose: Compose, services: Collection[str], watch: Watch | None = None) -> None:
    """Return when all of the services are well; `NotUpError` when one fails for good or the time is over."""
    watch = watch or Watch(compose)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        containers = [item for item in watch.look() if item.service in services]
        waiting = set(services) - {item.service for item in containers if item.is_well}
        if not waiting:
            return
        failed = watch.given_up(containers)
        if failed or time.monotonic() > deadline:
            raise NotUpError(account(compose, failed or [item for item in containers if item.service in waiting]))
        time.sleep(_LOOK_SECONDS)


def up(compose: Compose, watch: Watch) -> None:
    """`docker compose up` in order of dependence, watched; `NotUpError` when it fails."""
    process = compose.start("--progress", "plain", "up", "--detach", "--remove-orphans", "--quiet-pull")
    lines: list[str] = []
    try:
        reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
        reader.start()
        while process.poll() is None:
            watch.look()
            time.sleep(_LOOK_SECONDS)
        reader.join(10)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    containers = watch.look()
    if process.returncode != 0:
        # One that ends again and again may just have been started anew.
        unwell = [item for item in containers if not item.is_well]
        failed = [item for item in unwell if item.has_failed or item.restarts] or unwell
        said_last = "".join(line for line in lines[-5:] if not re.search(r"Waiting|Healthy|Starting|Started", line))
        raise NotUpError(account(compose, failed) + f"\ndocker compose up said:\n{said_last or ''.join(lines[-5:])}")


def account(compose: Compose, containers: Sequence[Container]) -> str:
    """What each one said last, and what to do."""
    parts = []
    for container in containers:
        lines = [f"{container.service} is not well: {container.state} {container.health}".rstrip()]
        if container.state == "exited":
            lines[0] += f" (exit code {container.exit_code})"
        if container.last_check and container.health == "unhealthy":
            lines.append(f"  its health check: {container.last_check[-300:]}")
        lines += [f"  | {line[:300]}" for line in last_lines(container.id, _LOG_LINES)]
        hint = _HINTS.get(container.service.removesuffix("-2").removesuffix("-3"))
        if hint:
            lines.append(f"  {hint}")
        lines.append(f"  see all of it with make logs SERVICE={container.service}; make deploy again completes it")
        parts.append("\n".join(lines))
    return "\n".join(parts) or "docker compose failed"
