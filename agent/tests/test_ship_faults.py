"""Whatever the server does, every document is there once in the end, and what it refuses is in the quarantine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.tests.agents import (
    append,
    configuration,
    ids,
    lines,
    prediction,
    predictions,
    quarantined,
    recorder_file,
    rows,
    running,
)
from agent.tests.bulk_server import (
    BulkServer,
    Misbehaviour,
    answering,
    storing_then_cutting,
    storing_then_silent,
    wait_for,
)
from modelward_agent.ship.deliver import SLOW_PAUSE, pause


@pytest.fixture
def server() -> Iterator[BulkServer]:
    server = BulkServer()
    yield server
    server.close()


def all_arrived_once(server: BulkServer, count: int) -> bool:
    return len(server.events()) == len(set(ids(server))) == rows(server) == count


@pytest.mark.parametrize(
    "misbehaviour",
    [
        answering(429, {"error": {"type": "es_rejected_execution_exception", "reason": "full"}}),
        answering(503),
        answering(500, b"<html>no"),
        answering(200, b'{"errors": fal'),
        answering(200, {"errors": False, "items": []}),
        answering(302, b""),
        answering(400, b"<html>The plain HTTP request was sent to HTTPS port</html>"),
        storing_then_cutting,
        storing_then_silent(1.5),
    ],
    ids=["429", "503", "500", "half-json", "no-items", "redirect", "proxy-400", "cut", "silent"],
)
def test_a_failed_request_is_repeated_until_all_is_there_once(
    tmp_path: Path, server: BulkServer, misbehaviour: Misbehaviour
) -> None:
    server.misbehaviours.extend([misbehaviour, misbehaviour])
    config = configuration(tmp_path, server, elasticsearch={"timeout": "1s"})
    append(recorder_file(config), predictions(0, 100))
    with running(config) as agent:
        wait_for(lambda: all_arrived_once(server, 100), 15)
        assert sum(agent.status()["failures"].values()) >= 2
        wait_for(lambda: not agent.last_error)
    assert not quarantined(config)


def test_only_the_items_that_were_turned_away_are_sent_again(tmp_path: Path, server: BulkServer) -> None:
    turned_away: dict[str, int] = {}

    def busy(item_id: str, document: dict[str, Any]) -> tuple[int, str, str] | None:
        if document.get("id") not in ("p3", "p4") or turned_away.get(item_id, 0) == 3:
            return None
        turned_away[item_id] = turned_away.get(item_id, 0) + 1
        return 429, "es_rejected_execution_exception", "the queue is full"

    server.item_errors = busy
    config = configuration(tmp_path, server)
    append(recorder_file(config), predictions(0, 10))
    with running(config):
        wait_for(lambda: all_arrived_once(server, 10))
    events = [
        [document["id"] for action, document in request.operations if "events" in action["_index"]]
        for request in server.requests
    ]
    assert [sent for sent in events if "p3" in sent][1:] == [["p3", "p4"]] * 3


def test_a_rejected_document_is_quarantined_with_the_reason_and_the_rest_arrives(
    tmp_path: Path, server: BulkServer
) -> None:
    def refuse(item_id: str, document: dict[str, Any]) -> tuple[int, str, str] | None:
        if document.get("id") == "p5":
            return 400, "document_parsing_exception", "failed to parse field [segment]"
        return None

    server.item_errors = refuse
    config = configuration(tmp_path, server)
    path = append(recorder_file(config), predictions(0, 10))
    with running(config) as agent:
        wait_for(lambda: len(server.events()) == 9 and rows(server) == 10)
        assert agent.metrics.quarantined == {"rejected": 1}
    (kept,) = quarantined(config)
    assert kept["reason"] == "rejected"
    assert kept["detail"] == "document_parsing_exception: failed to parse field [segment]"
    assert kept["file"] == str(path)
    assert kept["offset"] == len(predictions(0, 5))
    assert '"p5"' in kept["head"]


def test_a_refused_profile_is_kept_whole(tmp_path: Path, server: BulkServer) -> None:
    def refuse(item_id: str, document: dict[str, Any]) -> tuple[int, str, str] | None:
        return (400, "mapper_parsing_exception", "no") if document["kind"] == "profile" else None

    server.item_errors = refuse
    config = configuration(tmp_path, server)
    append(recorder_file(config), predictions(0, 10))
    with running(config) as agent:
        wait_for(lambda: agent.metrics.quarantined == {"rejected": 1})
    (kept,) = (config.state / "quarantine" / "profiles").iterdir()
    assert '"rows":10' in kept.read_text()


def test_too_large_a_request_is_split(tmp_path: Path, server: BulkServer) -> None:
    def bounded(handler: Any, request: Any) -> bool:
        if len(request.operations) <= 30:
            return False
        handler.answer(413, b"<html>413 Request Entity Too Large</html>")
        return True

    server.always = bounded
    config = configuration(tmp_path, server)
    append(recorder_file(config), predictions(0, 100))
    with running(config):
        wait_for(lambda: all_arrived_once(server, 100))
    assert not quarantined(config)


def test_one_unreadable_item_does_not_take_its_request_with_it(tmp_path: Path, server: BulkServer) -> None:
    def unreadable(handler: Any, request: Any) -> bool:
        if all(document.get("id") != "p42" for _, document in request.operations):
            return False
        handler.answer(400, {"error": {"type": "illegal_argument_exception", "reason": "malformed"}, "status": 400})
        return True

    server.always = unreadable
    config = configuration(tmp_path, server)
    append(recorder_file(config), predictions(0, 100))
    with running(config):
        wait_for(lambda: len(server.events()) == 99 and rows(server) == 100)
    assert [entry["reason"] for entry in quarantined(config)] == ["rejected"]


def test_a_refused_user_is_told_about_and_tried_again_slowly(
    tmp_path: Path, server: BulkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "password"
    secret.write_text("old\n")
    secret.chmod(0o600)
    accepted = []

    def guarded(handler: Any, request: Any) -> bool:
        accepted.append(request.headers["authorization"])
        if request.headers["authorization"] == "Basic YWdlbnQ6bmV3":
            return False
        handler.answer(401, {"error": {"type": "security_exception", "reason": "unable to authenticate"}})
        return True

    server.always = guarded
    config = configuration(tmp_path, server, elasticsearch={"username": "agent", "password_file": secret})
    append(recorder_file(config), predictions(0, 10))
    with running(config) as agent:
        wait_for(lambda: "401" in agent.last_error and "unable to authenticate" in agent.last_error)
        secret.write_text("new\n")
        wait_for(lambda: all_arrived_once(server, 10))
    assert accepted[0] == "Basic YWdlbnQ6b2xk"


def test_an_api_key_is_sent(tmp_path: Path, server: BulkServer) -> None:
    secret = tmp_path / "key"
    secret.write_text("abc==\n")
    secret.chmod(0o600)
    config = configuration(tmp_path, server, elasticsearch={"api_key_file": secret})
    append(recorder_file(config), predictions(0, 100))
    with running(config):
        wait_for(lambda: all_arrived_once(server, 100))
    assert {request.headers["authorization"] for request in server.requests} == {"ApiKey abc=="}


def test_pauses_grow_are_random_and_never_next_to_nothing() -> None:
    drawn = {failures: [pause(failures, 30.0) for _ in range(300)] for failures in (1, 4, 50)}
    assert all(0.05 <= each <= 0.5 for each in drawn[1])
    assert all(0.05 <= each <= 4.0 for each in drawn[4])
    assert all(0.05 <= each <= 30.0 for each in drawn[50])
    assert max(drawn[50]) > 20.0
    assert min(drawn[50]) < 10.0
    assert min(pause(1, 30.0, slow=True) for _ in range(100)) >= SLOW_PAUSE


def test_the_end_does_not_wait_for_a_server_that_is_away(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server, elasticsearch={"backoff_seconds": 600})
    server.close()
    append(recorder_file(config), predictions(0, 10))
    with running(config) as agent:
        wait_for(lambda: agent.last_error)
        stopped_at = time.monotonic()
    assert time.monotonic() - stopped_at < 3


def test_a_server_that_is_away_for_long_misses_nothing(tmp_path: Path, server: BulkServer) -> None:
    port = server.port
    config = configuration(tmp_path, server)
    server.close()
    hours_ago = time.time() - 6 * 3600
    path = recorder_file(config)
    with running(config) as agent:
        for hour in range(6):
            append(path, predictions(hour * 50, hour * 50 + 50, at=hours_ago + hour * 3600))
        wait_for(lambda: agent.status()["spool_profiles"] >= 6)
        assert agent.status()["lag_bytes"] == path.stat().st_size
        back = BulkServer(port)
        try:
            wait_for(lambda: all_arrived_once(back, 300))
            wait_for(lambda: agent.status()["lag_bytes"] == 0 and not agent.last_error)
        finally:
            back.close()


def test_the_second_host_is_used_when_the_first_is_away(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server, elasticsearch={"urls": ["http://127.0.0.1:9", server.url]})
    append(recorder_file(config), predictions(0, 10))
    with running(config):
        wait_for(lambda: all_arrived_once(server, 10))


def test_a_rollover_between_a_send_and_its_repetition_makes_no_copy(tmp_path: Path, server: BulkServer) -> None:
    def storing_then_rolling(handler: Any, request: Any) -> bool:
        handler.create(request)
        for alias in list(server.write_index):
            server.roll_over(alias)
        handler.answer(503, {"error": {"type": "proxy", "reason": "too late"}})
        return True

    server.misbehaviours.extend([storing_then_rolling] * 2)
    config = configuration(tmp_path, server)
    append(recorder_file(config), predictions(0, 50))
    with running(config):
        wait_for(lambda: all_arrived_once(server, 50))


def test_a_rollover_is_followed_when_all_is_acknowledged(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server)
    path = append(recorder_file(config), predictions(0, 10))
    with running(config, look_up_seconds=0.05):
        wait_for(lambda: all_arrived_once(server, 10))
        server.roll_over("modelward-events")
        append(path, predictions(10, 11))

        def one_more() -> bool:
            append(path, predictions(100, 101))
            return "modelward-events-000002" in server.documents

        wait_for(one_more)


def test_what_was_sent_before_a_crash_is_repeated_to_the_same_index(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server, commit_interval="1h")
    append(recorder_file(config), predictions(0, 10))
    with running(config):
        wait_for(lambda: len(server.events()) == 10)
    # As a kill -9 leaves it that came before the offsets were saved.
    shipped = config.state / "shipped.json"
    content = shipped.read_text()
    assert "modelward-events-000001" in content
    shipped.write_text('{"format":1,"indices":{"modelward-events":"modelward-events-000001"},"offsets":{}}')
    server.roll_over("modelward-events")
    append(recorder_file(config, 2), predictions(10, 20))
    with running(configuration(tmp_path, server), look_up_seconds=0.05):
        wait_for(lambda: all_arrived_once(server, 20))


def test_an_index_that_is_gone_is_looked_up_again(tmp_path: Path, server: BulkServer) -> None:
    config = configuration(tmp_path, server)
    path = append(recorder_file(config), predictions(0, 10))
    with running(config):
        wait_for(lambda: len(server.events()) == 10)
        server.roll_over("modelward-events")
        server.remove("modelward-events-000001")
        append(path, predictions(10, 20))
        wait_for(lambda: len(server.events()) == 10)
    assert ids(server) == sorted(f"p{number}" for number in range(10, 20))


def test_an_alias_that_is_not_there_yet_is_waited_for(tmp_path: Path, server: BulkServer) -> None:
    behind = server.indices.pop("modelward-events")
    config = configuration(tmp_path, server)
    append(recorder_file(config), predictions(0, 10))
    with running(config) as agent:
        wait_for(lambda: "there is no alias modelward-events" in agent.last_error)
        server.indices["modelward-events"] = behind
        wait_for(lambda: all_arrived_once(server, 10))


def policies(share: str) -> dict[str, Any]:
    return {"models": {"fraud": share}}


@pytest.mark.parametrize(("policy", "low", "high"), [("none", 0, 0), ("sample 0.25", 180, 320), ("all", 1000, 1000)])
def test_the_policy_chooses_events_and_profiles_see_every_row(
    tmp_path: Path, server: BulkServer, policy: str, low: int, high: int
) -> None:
    config = configuration(tmp_path, server, events=policies(policy))
    path = append(recorder_file(config), predictions(0, 1000))
    at = prediction(0)["@timestamp"]
    append(
        path,
        lines(
            *(
                {"@timestamp": at, "kind": "actual", "model": "fraud", "version": "1", "id": f"p{n}", "actual": 0}
                for n in range(1000)
            ),
            {"@timestamp": at, "kind": "error", "model": "fraud", "message": "it broke"},
            {"@timestamp": at, "kind": "business", "event": "revenue", "value": 3.0},
        ),
    )
    with running(config):
        wait_for(lambda: rows(server) == 1000)
        wait_for(lambda: not path.exists())

    def of_kind(kind: str) -> list[str]:
        return sorted(event.get("id", "") for _, event in server.events() if event["kind"] == kind)

    assert low <= len(of_kind("prediction")) <= high
    assert of_kind("prediction") == of_kind("actual")
    assert len(of_kind("error")) == len(of_kind("business")) == 1
