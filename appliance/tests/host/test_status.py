"""The table of services."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from modelward_appliance.host.docker import Container
from modelward_appliance.host.status import table

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def container(service: str, **changed: object) -> Container:
    values: dict[str, object] = {
        "id": "1", "service": service, "state": "running", "health": "healthy", "exit_code": 0, "restarts": 0,
        "started": NOW - timedelta(hours=3), "image": "i", "ports": (), "last_check": "",
    }  # fmt: skip
    return Container(**(values | changed))  # type: ignore[arg-type]


def test_each_service_has_a_line_also_when_it_is_not_there() -> None:
    lines = table(
        [
            container("collector", restarts=2),
            container("gateway", ports=("443->8443",), started=NOW - timedelta(days=2)),
            container("setup", state="exited", health=""),
            container("setup-after", state="exited", health="", exit_code=2),
        ],
        ["collector", "gateway", "kibana"],
        NOW,
    ).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["collector", "running", "healthy", "3h", "2"],
        ["gateway", "running", "healthy", "2d", "443->8443"],
        ["setup", "done", "3h"],
        ["setup-after", "failed", "(2)", "3h"],
        ["kibana", "missing"],
    ]


def test_a_one_shot_is_well_when_it_is_done_and_a_service_while_it_runs() -> None:
    assert container("setup", state="exited", health="").is_well
    assert not container("setup", state="exited", health="", exit_code=1).is_well
    assert not container("collector", state="exited").is_well
    assert not container("collector", health="starting").is_well
    assert container("collector", health="unhealthy").has_failed
    assert container("collector", state="restarting").has_failed
