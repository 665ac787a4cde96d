"""The stack's images: which are built here, which must come from somewhere, and from what."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from modelward_appliance.host.docker import DockerError, docker
from modelward_appliance.host.environment import TOP, Environment, documented

SOURCE_LABEL: Final = "modelward.source"
_LEFT_OUT: Final = frozenset({"tests", "__pycache__"})
_PULL_SECONDS: Final = 30
"""How long a registry may take to say whether it has an image."""


@dataclass(frozen=True, slots=True)
class Built:
    """An image that is built here unless the site names another one."""

    variable: str
    dockerfile: str
    arguments: tuple[str, ...]
    """Variables of the site that the build is given."""
    sources: tuple[str, ...]
    """Folders and files below the top that it is made of."""
    profile: str | None = None


BUILT: Final = (
    Built(
        "MODELWARD_IMAGE",
        "compose/images/modelward/Dockerfile",
        ("PYTHON_IMAGE", "PIP_INDEX_URL"),
        (
            "agent", "collector", "appliance", "requirements/appliance.txt", "elasticsearch", "gateway", "prometheus",
            "grafana", "kibana", "logstash", "docs/runbooks", "compose/openldap", "compose/.env.example",
            "compose/images/ca", "compose/images/modelward",
        ),
    ),
    Built(
        "OPENLDAP_IMAGE",
        "compose/images/openldap/Dockerfile",
        ("DEBIAN_IMAGE",),
        ("compose/images/ca", "compose/images/openldap"),
        profile="openldap",
    ),
)  # fmt: skip


def source_digest(built: Built) -> str:
    """Of all of this bundle that is in the image: it is built again when that changed.

    Not of what it was built from and with, since a server that got it by `docker load` knows nothing of that.
    """
    digest = hashlib.sha256()
    for path in sorted(_files(built)):
        digest.update(f"{path.relative_to(TOP)}\0{os.access(path, os.X_OK)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _files(built: Built) -> Iterator[Path]:
    for source in built.sources:
        top = TOP / source
        if top.is_file():
            yield top
        for folder, folders, names in os.walk(top):
            folders[:] = [
                name for name in folders
                if name not in _LEFT_OUT and not name.endswith((".egg-info", "_cache")) and not name.startswith(".")
            ]  # fmt: skip
            yield from (Path(folder) / name for name in names)


def is_built_here(built: Built, environment: Environment) -> bool:
    """Whether the site wants it, and names none of its own."""
    wanted = built.profile is None or built.profile in environment.profiles
    own = environment.get(built.variable)
    return wanted and own in ("", documented()[built.variable])


def name_of(built: Built, environment: Environment) -> str:
    """Its name and tag."""
    return environment.get(built.variable, documented()[built.variable])


def build(environment: Environment, *, force: bool = False) -> list[str]:
    """Build what is missing or has other sources now; their names. `DockerError` with the builder's last lines."""
    made = []
    for built in BUILT:
        if not is_built_here(built, environment):
            continue
        digest = source_digest(built)
        name = name_of(built, environment)
        if not force and _label(name) == digest:
            continue
        print(f"building {name}, which takes some minutes the first time", flush=True)
        _build(built, environment, name, digest)
        made.append(name)
    return made


def _build(built: Built, environment: Environment, name: str, digest: str) -> None:
    given = [f"SOURCE={digest}"]
    given += [f"{argument}={environment.get(argument)}" for argument in built.arguments if environment.get(argument)]
    words = [word for argument in given for word in ("--build-arg", argument)]
    command = ["docker", "build", "--tag", name, "--file", str(TOP / built.dockerfile), *words, str(TOP)]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines = [*lines[-39:], line.rstrip()]
            if line.startswith(("Step ", "#")) and " : " in line:
                print(f"  {line.strip()[:110]}", flush=True)
        code = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if code != 0:
        raise DockerError(
            f"{name} was not built:\n" + "\n".join(f"  {line}" for line in lines)
            + "\nIf this server reaches no package mirror, build it elsewhere (make images), docker save it there and "
            "docker load it here; behind a proxy that re-signs TLS see compose/images/ca/README.md"
        )  # fmt: skip


def _label(image: str) -> str | None:
    found = inspected(image)
    labels = (found or {}).get("Config", {}).get("Labels") or {}
    label: str | None = labels.get(SOURCE_LABEL)
    return label


def inspected(image: str) -> Mapping[str, Any] | None:
    """What the engine knows of an image; None when it is not here."""
    try:
        found: list[Mapping[str, Any]] = json.loads(docker("image", "inspect", image))
    except DockerError:
        return None
    return found[0]


def missing(environment: Environment, services: Mapping[str, Any]) -> list[str]:
    """Images of these services that are not here and are not built here."""
    here = {name_of(built, environment) for built in BUILT if is_built_here(built, environment)}
    wanted = sorted({service["image"] for service in services.values()} - here)
    # What a build starts from is only needed where there is a build to do.
    for built in BUILT:
        if is_built_here(built, environment) and _label(name_of(built, environment)) != source_digest(built):
            base = built.arguments[0]
            wanted.append(environment.get(base, documented()[base]))
    return [image for image in dict.fromkeys(wanted) if inspected(image) is None]


def can_be_had(image: str) -> bool:
    """Whether a registry says that it has the image."""
    try:
        docker("manifest", "inspect", image, timeout=_PULL_SECONDS)
    except DockerError:
        return False
    return True


def add_command(subparsers: Any) -> None:
    """`images`: build, and pull the rest, for example to carry them to a server without a network."""
    parser: argparse.ArgumentParser = subparsers.add_parser("images", help="build this bundle's own images")
    parser.add_argument("--force", action="store_true", help="also when nothing changed")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Build; say what was done."""
    made = build(options.environment, force=options.force)
    print(f"built {', '.join(made)}" if made else "the images are up to date")
    return 0
