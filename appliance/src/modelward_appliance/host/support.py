"""`support-bundle`: what someone who helps must see, and no secret."""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from modelward_appliance.host.docker import Compose, DockerError, docker
from modelward_appliance.host.environment import Environment
from modelward_appliance.host.redaction import Redaction
from modelward_appliance.host.verify.check import run_all
from modelward_appliance.host.verify.command import CHECKS
from modelward_appliance.host.verify.report import as_json
from modelward_appliance.host.verify.site import Site

LOG_LINES: Final = 2000


def collect(environment: Environment, *, with_verify: bool = True) -> Iterator[tuple[str, str]]:
    """(name, text) of each file of the bundle, not redacted yet. What cannot be had says why."""
    compose = Compose(environment)
    yield "server.json", json.dumps(_server(environment), indent=1)
    yield "env", _had(lambda: environment.file.read_text(encoding="utf-8"))
    yield "versions.json", _had(lambda: _versions(compose))
    yield (
        "containers.json",
        _had(lambda: json.dumps([asdict(item) for item in compose.containers()], indent=1, default=str)),
    )
    yield "compose.json", _had(lambda: json.dumps(compose.config(), indent=1))
    yield "disk.txt", _had(lambda: docker("system", "df", "--verbose"))
    configuration = _had(lambda: compose.once("setup", "modelward-appliance", "redacted"))
    try:
        for service, files in json.loads(configuration).items():
            for name, text in files.items():
                yield f"configuration/{service}/{name}", text
    except ValueError:
        yield "configuration/error.txt", configuration
    for service in _services(compose):
        lines = ("logs", "--no-color", "--timestamps", "--tail", str(LOG_LINES), service)
        yield f"logs/{service}.log", _had(lambda lines=lines: compose.run(*lines))  # type: ignore[misc]
    if with_verify:
        yield "verify.json", _had(lambda: as_json(run_all(CHECKS, Site(environment))))


def write(environment: Environment, path: Path, *, with_verify: bool = True) -> list[str]:
    """Write the bundle, 0600; the names in it. Nothing enters it but through the redaction."""
    redaction = Redaction.of_state(environment.state)
    names = []
    aside = path.with_name(f".{path.name}.partial")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
            for name, text in collect(environment, with_verify=with_verify):
                content = redaction.clean(text).encode()
                info = tarfile.TarInfo(f"{path.name.removesuffix('.tar.gz')}/{name}")
                info.size, info.mtime, info.mode = len(content), int(datetime.now(UTC).timestamp()), 0o600
                tar.addfile(info, io.BytesIO(content))
                names.append(name)
        aside.rename(path)
    finally:
        aside.unlink(missing_ok=True)
    return names


def _server(environment: Environment) -> dict[str, Any]:
    disk = shutil.disk_usage(environment.state if environment.state.is_dir() else Path.cwd())
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": platform.platform(),
        "python": sys.version,
        "processors": os.cpu_count(),
        "memory": _had(lambda: Path("/proc/meminfo").read_text(encoding="ascii")[:400]),
        "load": os.getloadavg(),
        "state": {"disk_bytes": disk.total, "disk_free_bytes": disk.free},
    }


def _versions(compose: Compose) -> str:
    versions = {
        "docker": json.loads(docker("version", "--format", "{{json .}}")),
        "compose": compose.run("version", "--short").strip(),
        "images": {item.service: item.image for item in compose.containers()},
    }
    return json.dumps(versions, indent=1)


def _containers(compose: Compose) -> str:
    return json.dumps([asdict(item) for item in compose.containers()], indent=1, default=str)


def _services(compose: Compose) -> list[str]:
    try:
        return sorted(item.service for item in compose.containers())
    except DockerError:
        return []


def _had(what: Callable[[], str]) -> str:
    try:
        return what()
    except (DockerError, OSError, ValueError) as error:
        return f"could not be had: {error}"


def add_command(subparsers: Any) -> None:
    """`support-bundle [--to FOLDER]`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "support-bundle", help="versions, state, logs and configuration in one file, without secrets"
    )
    parser.add_argument("--to", type=Path, default=Path.cwd(), help="the folder (%(default)s)")
    parser.add_argument("--no-verify", action="store_true", help="do not run verify for it")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write it; where it is."""
    path: Path = options.to / f"modelward-support-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz"
    names = write(options.environment, path, with_verify=not options.no_verify)
    print(f"{path}: {len(names)} files. Secrets were taken out; logs still name models, hosts and people")
    return 0
