"""Fixtures: an engine, the stand-ins, and a deployment for each module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.deployment import Deployment, StandIns
from tests.servers.docker import Engine
from tests.servers.plugin import lacking


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.server("docker"))
            item.add_marker(pytest.mark.server("elasticsearch"))


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    if reason := lacking("docker"):
        pytest.skip(reason)
    with Engine() as running:
        yield running


@pytest.fixture(scope="session")
def stand_ins(engine: Engine) -> dict[str, str]:
    return StandIns().variables


@pytest.fixture(scope="session")
def _deployment(stand_ins: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment(tmp_path_factory.mktemp("deployment"), "mw-test", stand_ins)
    made.destroy()
    made.write()
    yield made
    made.destroy()


@pytest.fixture(scope="module")
def deployment(_deployment: Deployment) -> Deployment:
    """An appliance that was deployed and is well, whatever the module before did to it."""
    _deployment.reset()
    _deployment.deploy("--no-verify")
    return _deployment
