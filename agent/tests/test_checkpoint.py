"""Offsets, identities and the spool on disk."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from modelward_agent.journal.checkpoint import (
    FORGET_SECONDS,
    FileKeys,
    Identity,
    Offsets,
    Shipped,
    StateError,
    key_host,
    write_durably,
)
from modelward_agent.profile.profile import Profile, ProfileKey
from modelward_agent.ship.spool import Spool, profile_id

KEY = ProfileKey("serving-1", "fraud", "1", (("region", "eu"),), 1_800_000_000, 60)


def profiles(rows: int = 3) -> list[tuple[ProfileKey, Profile]]:
    profile = Profile()
    profile.rows = rows
    return [(KEY, profile)]


def offsets(**noted: int) -> Offsets:
    made = Offsets()
    made.note(noted)
    return made


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_durably(path, [b"old"])

    def failing() -> object:
        yield b"new"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_durably(path, failing())  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_host_that_is_given_another_name_keeps_its_keys(tmp_path: Path) -> None:
    assert key_host(tmp_path, "serving-1") == "serving-1"
    assert key_host(tmp_path, "serving-2") == "serving-1"


def test_a_commit_is_found_again_whole(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.commit(profiles(), offsets(a=10, b=20))
    again = Spool(tmp_path)
    assert (again.offsets["a"], again.offsets["b"], again.offsets["c"]) == (10, 20, 0)
    assert again.waiting() == [1]
    assert again.profiles == 1
    ((first_id, body),) = again.read(1)
    assert (first_id, body) == next(iter(spool.read(1)))
    assert b'"rows":3' in body


def test_an_acknowledged_commit_goes_and_its_offsets_stay(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.commit(profiles(), offsets(a=10))
    spool.commit(profiles(), offsets(a=20))
    spool.acknowledged(1)
    assert Spool(tmp_path).offsets["a"] == 20
    spool.acknowledged(2)
    assert not list((tmp_path / "spool").iterdir())
    again = Spool(tmp_path)
    assert again.offsets["a"] == 20
    again.commit(profiles(), offsets(a=30))
    assert again.waiting() == [3]


def test_a_crash_between_the_record_and_the_removal_only_sends_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.commit(profiles(), offsets(a=10))
    path = tmp_path / "spool" / "000000000001.ndjson"
    content = path.read_bytes()
    spool.acknowledged(1)
    path.write_bytes(content)
    again = Spool(tmp_path)
    assert again.waiting() == [1]
    assert again.offsets["a"] == 10


def test_a_commit_without_profiles_moves_the_offsets(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.commit(profiles(), offsets(a=10))
    spool.commit([], offsets(a=15))
    again = Spool(tmp_path)
    assert again.offsets["a"] == 15
    assert again.waiting() == [1]


def test_a_profiles_id_depends_on_its_commit_and_its_key_alone() -> None:
    other = ProfileKey(KEY.host, KEY.model, "2", KEY.segment, KEY.start, KEY.seconds)
    assert profile_id("agent-1", KEY) == profile_id("agent-1", KEY)
    assert len({profile_id("agent-1", KEY), profile_id("agent-2", KEY), profile_id("agent-1", other)}) == 3


def test_a_damaged_spool_file_is_named(tmp_path: Path) -> None:
    Spool(tmp_path).commit(profiles(), offsets(a=10))
    (tmp_path / "spool" / "000000000001.ndjson").write_bytes(b"{")
    with pytest.raises(StateError, match=r"000000000001\.ndjson is damaged .*; move it out of that folder"):
        Spool(tmp_path)


def test_offsets_are_forgotten_when_told_or_after_long(monkeypatch: pytest.MonkeyPatch) -> None:
    noted = offsets(a=10, b=20)
    noted.note({}, ["a"])
    assert "a" not in noted
    assert "b" in noted
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + FORGET_SECONDS + 60)
    noted.note({"c": 1})
    assert "b" not in noted
    assert Offsets.from_state(noted.state())["c"] == 1


def test_shipped_offsets_and_indices_come_back(tmp_path: Path) -> None:
    shipped = Shipped(tmp_path)
    shipped.indices["modelward-events"] = "modelward-events-000007"
    shipped.offsets.note({"a": 5})
    shipped.save()
    again = Shipped(tmp_path)
    assert again.indices == {"modelward-events": "modelward-events-000007"}
    assert again.offsets["a"] == 5


def test_file_identities_come_back(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path)
    one = Identity(keys.new_key(), "/var/log/app.log", 1, 2, 3, "abc", 4)
    two = Identity(keys.new_key(), "/var/log/b.log", 1, 3, 3, "abd", 4)
    keys.save([one, two])
    keys.save([], [two.key])
    assert list(FileKeys(tmp_path)) == [one]
