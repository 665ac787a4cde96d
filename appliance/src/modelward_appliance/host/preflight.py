"""Everything that must be so before a deploy changes anything: looked at all at once, each finding with its fix."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from modelward_appliance.host import images
from modelward_appliance.host.docker import Compose, DockerError, docker
from modelward_appliance.host.environment import Environment
from modelward_appliance.host.findings import Finding, Level, show

ENGINE_MIN: Final = (20, 10)
"""The first engine with the API that Compose 2.20 and the bundle's one-shot services want."""

COMPOSE_MIN: Final = (2, 20)
"""The first release whose `up --wait` knows one-shot services."""

MAP_COUNT_MIN: Final = 262_144
"""Elasticsearch's own bootstrap check refuses to form a cluster with less."""

MAP_COUNT_ADVISED: Final = 1_048_576
"""What Elastic's documentation asks of production hosts since 8.16."""

DISK_MIN: Final = 10 << 30
DISK_ADVISED: Final = 50 << 30
CLOCK_SKEW_MAX: Final = 5.0
"""Seconds between this clock and the engine's; sessions and certificates bear that much."""

_TELLS = re.compile(r"MODELWARD_(TEAM|MANAGEMENT|EXECUTIVE)_(EMAILS|WEBHOOKS|SLACK_CHANNEL)")
"""The variables that name who hears of alerts."""

ACCEPTABLE: Final = (
    "clock",
    "directory",
    "disk",
    "images",
    "memory",
    "nodes",
    "ports",
    "state folder",
    "vm.max_map_count",
)
"""Checks whose errors an operator may know better than."""

SYSTEM_MEMORY: Final = 1 << 30
"""What the operating system and the engine are left with."""


class Preflight:
    """The checks of one site. Nothing is changed by any of them."""

    def __init__(self, environment: Environment, accepted: frozenset[str] = frozenset()) -> None:
        self.environment = environment
        self._accepted = accepted
        self._compose = Compose(environment)
        self._config: Mapping[str, Any] | None = None

    def findings(self) -> list[Finding]:
        """Everything that was found, in the order of the checks."""
        found = list(self._variables())
        engine = self._engine()
        found.append(engine)
        found.append(self._compose_version())
        works = all(finding.level is not Level.ERROR for finding in found)
        if works:
            found += self._compose_file()
        for check in (
            self._map_count,
            self._nodes,
            self._memory,
            self._disk,
            self._ports,
            self._clock,
            self._state,
            self._names,
            self._alerts,
        ):
            found += _guarded(check)
        if works:
            found += _guarded(self._images)
        return [self._judged(finding) for finding in found]

    def _judged(self, finding: Finding) -> Finding:
        if finding.level is Level.ERROR and finding.check in self._accepted:
            return Finding(finding.check, Level.WARNING, f"{finding.seen} (accepted by --accept)", finding.fix)
        return finding

    # -- what the site says ----------------------------------------------------------------------------------------

    def _variables(self) -> Iterator[Finding]:
        # A file that cannot be used was refused when it was read, with all its errors.
        if self.environment.is_new:
            seen = f"there is none yet; deploy writes one for {', '.join(self.environment.hosts)}"
        else:
            seen = f"{self.environment.file}: {len(self.environment.variables)} variables"
        yield Finding("variables", Level.OK, seen)

    def _names(self) -> Iterator[Finding]:
        for host in self.environment.hosts:
            try:
                socket.getaddrinfo(host, None)
            except OSError:
                yield Finding(
                    "names", Level.WARNING, f"{host} of MODELWARD_HOSTS does not resolve here",
                    "add it to the DNS (people and model servers need it) or correct MODELWARD_HOSTS",
                )  # fmt: skip
            else:
                yield Finding("names", Level.OK, f"{host} resolves")
        for url in re.split(r"[,\s]+", self.environment.get("MODELWARD_LDAP_URLS")):
            if url:
                yield self._directory(url)

    @staticmethod
    def _directory(url: str) -> Finding:
        """Whether something listens where the directory is to be; certificate and login are for `setup` to try."""
        match = re.fullmatch(r"(ldaps?)://\[?([^/\]]+?)\]?(?::(\d+))?/?", url)
        if match is None:
            return Finding(
                "directory", Level.ERROR, f'MODELWARD_LDAP_URLS: "{url}" is no LDAP URL',
                "write for example ldaps://ldap.example.org:636",
            )  # fmt: skip
        host, port = match[2], int(match[3] or (636 if match[1] == "ldaps" else 389))
        try:
            socket.create_connection((host, port), timeout=5).close()
        except OSError as error:
            return Finding(
                "directory", Level.ERROR, f"{url} cannot be reached from here: {error.strerror or error}",
                "correct MODELWARD_LDAP_URLS, or open the way to it in the firewall",
            )  # fmt: skip
        return Finding("directory", Level.OK, f"{url} is listened on")

    def _state(self) -> Iterator[Finding]:
        state = self.environment.state
        if not state.exists():
            parent = next(folder for folder in state.parents if folder.exists())
            if parent.is_dir() and os.access(parent, os.W_OK | os.X_OK):
                yield Finding("state folder", Level.OK, f"{state} is made by deploy")
            else:
                yield Finding(
                    "state folder", Level.ERROR, f"{state} is not there and {parent} is no writable folder",
                    "set MODELWARD_STATE to a folder that may be made, or make it",
                )  # fmt: skip
            return
        status = state.stat()
        mode = stat.S_IMODE(status.st_mode)
        if not state.is_dir():
            yield Finding("state folder", Level.ERROR, f"{state} is no folder", "set MODELWARD_STATE to a folder")
        elif mode & 0o077:
            yield Finding(
                "state folder", Level.ERROR, f"{state} has mode {mode:04o}; it holds every secret",
                f"chmod 700 {state}",
            )  # fmt: skip
        else:
            yield Finding("state folder", Level.OK, f"{state}, mode {mode:04o}")

    # -- Docker ----------------------------------------------------------------------------------------------------

    def _engine(self) -> Finding:
        try:
            version = docker("version", "--format", "{{.Server.Version}}", timeout=30).strip()
        except DockerError as error:
            denied = "permission denied" in str(error)
            fix = (
                "run as root, or add the user to the group docker "
                f"(sudo usermod -aG docker {os.environ.get('USER', '…')})"
                if denied
                else "start it: sudo systemctl start docker"
            )
            return Finding("docker", Level.ERROR, str(error).splitlines()[-1], fix)
        if _numbers(version) < ENGINE_MIN:
            return Finding(
                "docker", Level.ERROR, f"engine {version} is too old", f"install {_text(ENGINE_MIN)} or newer"
            )
        return Finding("docker", Level.OK, f"engine {version}")

    def _compose_version(self) -> Finding:
        try:
            version = docker("compose", "version", "--short", timeout=30).strip()
        except DockerError:
            return Finding(
                "compose", Level.ERROR, "docker compose is not installed",
                "install the Compose plugin (docker-compose-plugin), version "
                f"{_text(COMPOSE_MIN)} or newer; the old docker-compose does not do",
            )  # fmt: skip
        numbers = _numbers(version)
        if not numbers:
            # What someone built themselves names no version.
            return Finding("compose", Level.OK, f'version "{version}", which is taken to be new enough')
        if numbers < COMPOSE_MIN:
            return Finding("compose", Level.ERROR, f"version {version} is too old", f"install {_text(COMPOSE_MIN)}")
        return Finding("compose", Level.OK, f"version {version}")

    def _compose_file(self) -> Iterator[Finding]:
        try:
            self._config = self._compose.config()
        except DockerError as error:
            yield Finding("compose.yaml", Level.ERROR, str(error), "correct the variable that it names")

    def _images(self) -> Iterator[Finding]:
        missing = images.missing(self.environment, self._services())
        if not missing:
            yield Finding("images", Level.OK, "all are here")
            return
        with ThreadPoolExecutor(8) as pool:
            had = dict(zip(missing, pool.map(images.can_be_had, missing), strict=True))
        unreachable = [image for image in missing if not had[image]]
        if unreachable:
            yield Finding(
                "images", Level.ERROR, f"not here, and no registry gives them: {', '.join(unreachable)}",
                "give the registry access, load them (docker load), or name those of your mirror by the *_IMAGE "
                "variables",
            )  # fmt: skip
        else:
            yield Finding("images", Level.OK, f"{len(missing)} are pulled by deploy: {', '.join(missing)}")

    def _services(self) -> Mapping[str, Any]:
        services: Mapping[str, Any] = (self._config or {}).get("services", {})
        return services

    # -- the machine -----------------------------------------------------------------------------------------------

    def _map_count(self) -> Iterator[Finding]:
        name = "vm.max_map_count"
        count = int(Path("/proc/sys/vm/max_map_count").read_text())
        fix = (
            f"sudo sysctl -w {name}={MAP_COUNT_ADVISED} && "
            f"echo {name}={MAP_COUNT_ADVISED} | sudo tee /etc/sysctl.d/90-modelward.conf"
        )
        if self.environment.get("MODELWARD_ELASTICSEARCH_MMAP").lower() in ("false", "no", "off", "0"):
            yield Finding(name, Level.OK, f"{count}, which does for MODELWARD_ELASTICSEARCH_MMAP=false")
        elif count < MAP_COUNT_MIN:
            seen = f"{count}; Elasticsearch wants at least {MAP_COUNT_MIN}, better {MAP_COUNT_ADVISED}"
            yield Finding(name, Level.ERROR, seen, fix)
        elif count < MAP_COUNT_ADVISED:
            yield Finding(name, Level.WARNING, f"{count}; Elastic advises {MAP_COUNT_ADVISED}", fix)
        else:
            yield Finding(name, Level.OK, str(count))

    def _nodes(self) -> Iterator[Finding]:
        """Whether the cluster keeps the nodes that it has: without most of them it answers nothing any more."""
        try:
            nodes = nodes_of(self._compose.volumes(), self.environment.project)
        except DockerError:
            return
        lost = [] if "scale" in self.environment.profiles else [name for name in nodes if name != "elasticsearch"]
        if lost:
            yield Finding(
                "nodes", Level.ERROR,
                f"COMPOSE_PROFILES no longer has scale, and the documents are on {len(nodes)} nodes, of which "
                f"{' and '.join(lost)} would stop",
                "name scale again; the way back to one node is: make backup, take scale out, make restore",
            )  # fmt: skip
        elif nodes:
            yield Finding("nodes", Level.OK, f"{len(nodes)} of Elasticsearch, and none is taken away")

    def _memory(self) -> Iterator[Finding]:
        found = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines() if ":" in line)
        total, available = (int(found[name].split()[0]) << 10 for name in ("MemTotal", "MemAvailable"))
        limits = {name: int(service.get("mem_limit") or 0) for name, service in self._services().items()}
        wanted = sum(size for name, size in limits.items() if name not in ("setup", "setup-after", "volume-owners"))
        if not wanted:
            return
        seen = f"{_size(total)}, {_size(available)} free; the services may take {_size(wanted)}"
        fix = (
            "lower the *_MEMORY variables, leave kibana or grafana out of COMPOSE_PROFILES, or give the server more "
            "memory"
        )
        if total < wanted:
            yield Finding("memory", Level.ERROR, seen, fix)
        elif total < wanted + SYSTEM_MEMORY:
            yield Finding("memory", Level.WARNING, f"{seen}, which leaves the system little", fix)
        elif not self._running() and available < wanted:
            yield Finding("memory", Level.WARNING, f"{seen}; other programs have the rest", fix)
        else:
            yield Finding("memory", Level.OK, seen)

    def _running(self) -> bool:
        try:
            return any(container.state == "running" for container in self._compose.containers())
        except DockerError:
            return False

    def _disk(self) -> Iterator[Finding]:
        places = {
            "state folder": next(
                path for path in (self.environment.state, *self.environment.state.parents) if path.exists()
            )
        }
        try:
            root = Path(docker("info", "--format", "{{.DockerRootDir}}", timeout=30).strip())
        except DockerError:
            root = Path()
        if root.is_dir() and root.is_absolute():
            places["volumes"] = root
        for what, place in places.items():
            free = shutil.disk_usage(place).free
            seen = f"{_size(free)} free for the {what} ({place})"
            if free < DISK_MIN:
                fix = f"free some, or move it to a larger disk; {_size(DISK_MIN)} is the least"
                yield Finding("disk", Level.ERROR, seen, fix)
            elif free < DISK_ADVISED:
                yield Finding("disk", Level.WARNING, seen, f"{_size(DISK_ADVISED)} are advised; see the sizing page")
            else:
                yield Finding("disk", Level.OK, seen)

    def _ports(self) -> Iterator[Finding]:
        try:
            ours = {
                int(port.partition("->")[0]) for container in self._compose.containers() for port in container.ports
            }
        except DockerError:
            ours = set()
        wanted = {"MODELWARD_PORT": self.environment.port, "MODELWARD_INGEST_PORT": self.environment.ingest_port}
        if "grafana" in self.environment.profiles:
            wanted["MODELWARD_GRAFANA_PORT"] = self.environment.grafana_port
        if "logstash" in self.environment.profiles:
            wanted["LOGSTASH_BEATS_PORT"] = int(self.environment.get("LOGSTASH_BEATS_PORT", "5044"))
            wanted["LOGSTASH_SYSLOG_PORT"] = int(self.environment.get("LOGSTASH_SYSLOG_PORT", "6514"))
        for name, port in wanted.items():
            twins = [other for other, its in wanted.items() if its == port and other != name]
            if twins:
                yield Finding("ports", Level.ERROR, f"{name} and {twins[0]} are both {port}", "give each its own")
            elif port in ours:
                yield Finding("ports", Level.OK, f"{port} ({name}) is this stack's own")
            elif (holder := _listener(port)) is not None:
                yield Finding(
                    "ports", Level.ERROR, f"{port} ({name}) is taken{holder}",
                    f"stop what listens there, or set {name} to another port",
                )  # fmt: skip
            else:
                yield Finding("ports", Level.OK, f"{port} ({name}) is free")

    def _clock(self) -> Iterator[Finding]:
        """Nothing outside is asked: what keeps the time says whether it does, and the engine's clock is compared."""
        try:
            engine = docker("info", "--format", "{{.SystemTime}}", timeout=30).strip()
            skew = abs((datetime.now(UTC) - _moment(engine)).total_seconds())
        except (DockerError, ValueError):
            skew = 0.0
        if skew > CLOCK_SKEW_MAX:
            yield Finding(
                "clock", Level.ERROR, f"this clock and that of the engine are {skew:.0f} s apart",
                "synchronise both (timedatectl set-ntp true)",
            )  # fmt: skip
            return
        synchronised = _ntp()
        if synchronised is None:
            yield Finding(
                "clock",
                Level.OK,
                f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC; whether it is synchronised is not known here",
            )
        elif synchronised:
            yield Finding("clock", Level.OK, "synchronised")
        else:
            yield Finding(
                "clock", Level.WARNING, "not synchronised, says timedatectl",
                "sudo timedatectl set-ntp true, or the site's own time server",
            )  # fmt: skip

    def _alerts(self) -> Iterator[Finding]:
        """An alert that reaches nobody helps nobody."""
        told = [
            name for name in sorted(self.environment.variables) if _TELLS.fullmatch(name) and self.environment.get(name)
        ]
        told += [path.name for path in sorted((self.environment.state / "site").glob("pagerduty-*-key"))]
        if told:
            yield Finding("alerts", Level.OK, f"reach people by {', '.join(told)}")
        else:
            yield Finding(
                "alerts", Level.WARNING, "nobody will be told of any; they are only on the page /alertmanager/",
                "set MODELWARD_SMTP_HOST, MODELWARD_SMTP_FROM and MODELWARD_TEAM_EMAILS, or MODELWARD_TEAM_WEBHOOKS",
            )  # fmt: skip


def _guarded(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """What the check found; a check that cannot be made says so, and does not hide the others."""
    try:
        return list(check())
    except (OSError, ValueError, KeyError, DockerError) as error:
        name = check.__name__.strip("_").replace("_", " ")
        return [Finding(name, Level.WARNING, f"could not be looked at: {error}", "look at it by hand")]


def nodes_of(volumes: Iterable[str], project: str) -> list[str]:
    """The nodes of Elasticsearch that ever kept documents in the project's volumes, in order."""
    return sorted(
        name for volume in volumes if (name := volume.removeprefix(f"{project}_")).startswith("elasticsearch")
    )


def _listener(port: int) -> str | None:
    """What holds the port, as far as it can be seen; None when it is free."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 - what Docker binds
        try:
            probe = socket.socket(family, socket.SOCK_STREAM)
        except OSError:
            continue
        with probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind((address, port))
            except PermissionError:
                # Not root: only Docker may bind it, and asking whether someone answers is all that is left.
                if _answers(port):
                    return ""
            except OSError as error:
                if error.errno in (97, 99):  # no IPv6 here
                    continue
                return _program(port)
    return None


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def _program(port: int) -> str:
    """` by nginx (pid 7)`, where `ss` may say so."""
    try:
        said = subprocess.run(
            ["ss", "-H", "-ltnp", f"sport = :{port}"], capture_output=True, text=True, check=False, timeout=10
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(r'\(\("([^"]+)",pid=(\d+)', said)
    return f" by {match[1]} (pid {match[2]})" if match else ""


def _ntp() -> bool | None:
    """Whether the clock is synchronised, as systemd says; None where nothing can say it."""
    try:
        done = subprocess.run(
            ["timedatectl", "show", "--property=NTPSynchronized", "--value"],
            capture_output=True, text=True, check=False, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(done.stdout.strip())


def _moment(text: str) -> datetime:
    """The engine's RFC 3339 with nanoseconds."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)", text)
    if match is None:
        raise ValueError(f'"{text}" is no moment')
    return datetime.fromisoformat(match[1] + match[2].replace("Z", "+00:00"))


def _numbers(version: str) -> tuple[int, ...]:
    match = re.search(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else ()


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB"


def add_command(subparsers: Any) -> None:
    """`preflight`: the checks alone."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "preflight", help="look at what a deploy needs, and change nothing"
    )
    add_accept(parser)
    parser.set_defaults(run=run)


def add_accept(parser: argparse.ArgumentParser) -> None:
    """`--accept CHECK`, of every command that begins with a preflight."""
    parser.add_argument(
        "--accept", action="append", default=[], metavar="CHECK", choices=ACCEPTABLE,
        help=f"an error of this check is known and accepted (may be repeated): {', '.join(ACCEPTABLE)}",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Print what was found; 1 when there is an error."""
    return 0 if passes(options.environment, frozenset(options.accept)) else 1


def passes(environment: Environment, accepted: frozenset[str]) -> bool:
    """Print what was found; whether nothing stands against a deploy."""
    findings = Preflight(environment, accepted).findings()
    show(findings, sys.stdout)
    errors = sum(finding.level is Level.ERROR for finding in findings)
    if errors:
        print(f"modelward: {errors} of {len(findings)} findings stand against it; nothing was changed", flush=True)
    return not errors
