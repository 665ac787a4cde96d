"""A new release that works is taken; of one that does not, what ran before comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelward_appliance.host.docker import docker
from tests.deploy.deployment import Deployment, wait_for

MODEL = "upgraded"
GOOD, BROKEN = "modelward/test-upgrade:good", "modelward/test-upgrade:broken"


@pytest.fixture(scope="module")
def releases(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Two images that are newer than the one that runs; in one the collector ends at once."""
    image = deployment.containers()["collector"].image
    for name, line in (
        (GOOD, "LABEL release=good"),
        (BROKEN, "RUN ln -sf /bin/false /opt/modelward/venv/bin/modelward"),
    ):
        folder: Path = tmp_path_factory.mktemp("release")
        (folder / "Dockerfile").write_text(f"FROM {image}\nUSER 0:0\n{line}\nUSER 10001:10001\n")
        docker("build", "--quiet", "--tag", name, str(folder))
    yield
    docker("rmi", "--force", GOOD, BROKEN)


def runs(deployment: Deployment, service: str = "collector") -> str:
    """The id of the image that the service runs."""
    return docker("inspect", "--format", "{{.Image}}", deployment.containers()[service].id).strip()


def upgrade(deployment: Deployment, image: str) -> tuple[int, str]:
    deployment.write(MODELWARD_IMAGE=image)
    done = deployment.run("upgrade", "--accept", "vm.max_map_count", "--accept", "disk", check=False, seconds=1800)
    return done.returncode, done.stdout


def test_a_release_that_works_is_taken_with_all_data(deployment: Deployment, releases: None) -> None:
    application = deployment.application(MODEL)
    before = runs(deployment)
    code, said = upgrade(deployment, GOOD)
    assert code == 0, said
    assert "beside the backup modelward-" in said
    assert runs(deployment) != before
    assert runs(deployment) == docker("inspect", "--format", "{{.Id}}", GOOD).strip()
    recorded = application.stop()
    wait_for(lambda: deployment.stored(MODEL) == {"events": recorded, "rows": recorded}, "delivery", 180)


def test_of_one_that_does_not_the_one_before_comes_back(deployment: Deployment, releases: None) -> None:
    before, stored = runs(deployment), deployment.stored(MODEL)
    backups = list((deployment.state / "backups").glob("*.backup"))
    code, said = upgrade(deployment, BROKEN)
    assert code == 1
    assert len(list((deployment.state / "backups").glob("*.backup"))) == len(backups) + 1
    assert "collector is not well" in said
    assert "what ran before is back and works" in said
    assert runs(deployment) == before
    deployment.verify()
    assert deployment.stored(MODEL) == stored
