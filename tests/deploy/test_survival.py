"""An application goes on recording while everything around it is killed; in the end all of it is there, once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.deployment import Application, Deployment, wait_for
from tests.servers.docker import Engine

MODEL = "survival"
SERVICES = (
    "agent",
    "elasticsearch",
    "collector",
    "gateway",
    "prometheus",
    "alertmanager",
    "openldap",
    "backup",
    "node-exporter",
    "blackbox-exporter",
)


@pytest.fixture(scope="module")
def application(deployment: Deployment) -> Iterator[Application]:
    running = deployment.application(MODEL)
    yield running
    running.remove()


def test_the_list_is_of_all_services(deployment: Deployment) -> None:
    assert set(SERVICES) == set(deployment.containers())


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_service_comes_back_and_all_works(
    deployment: Deployment, application: Application, service: str
) -> None:
    deployment.kill(service)
    deployment.wait_until_well()
    deployment.verify()


def test_a_restarted_engine_brings_all_of_it_back(
    engine: Engine, deployment: Deployment, application: Application
) -> None:
    if not engine.is_own:
        pytest.skip("the engine was there before the tests, and is not theirs to restart")
    engine.restart()
    deployment.wait_until_well()
    deployment.verify()


def test_nothing_was_lost_and_nothing_counted_twice(deployment: Deployment, application: Application) -> None:
    recorded = application.stop()
    assert recorded > 1000
    wanted = {"events": recorded, "rows": recorded}
    wait_for(lambda: deployment.stored(MODEL) == wanted, f"{wanted}; there is {deployment.stored(MODEL)}")
