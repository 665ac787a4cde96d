"""Backups on the shelf: whole or not there, one at a time, and the good ones stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelward_appliance.backup.errors import BackupError
from modelward_appliance.backup.shelf import Shelf

NOON = datetime(2031, 5, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def put(shelf: Shelf, moment: datetime, content: bytes = b"content") -> Path:
    with shelf.writing(moment) as (file, path):
        file.write(content)
    return path


def test_a_finished_backup_has_its_name_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = put(Shelf(tmp_path), NOON)
    assert path.name == "modelward-20310504T120000Z.backup"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == b"content"


def test_a_backup_that_fails_leaves_nothing_but_the_earlier_ones(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    good = put(shelf, NOON)
    with pytest.raises(OSError, match="full"):
        fail(shelf)
    assert [path for path in tmp_path.iterdir() if path.name != ".lock"] == [good]


def fail(shelf: Shelf) -> None:
    with shelf.writing(NOON + DAY) as (file, _):
        file.write(b"half")
        raise OSError("full")


def test_two_backups_are_not_made_at_a_time(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    with shelf.writing(NOON), pytest.raises(BackupError, match="another backup"):
        put(shelf, NOON + DAY)


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left_over = tmp_path / ".modelward-20310503T120000Z.backup.partial"
    left_over.write_bytes(b"half")
    shelf = Shelf(tmp_path)
    assert shelf.kept() == []
    put(shelf, NOON)
    assert not left_over.exists()


def test_backups_expire_after_the_time_they_are_kept(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    paths = [put(shelf, NOON - days * DAY) for days in (0, 29, 30, 31, 60)]
    assert sorted(shelf.expire(30 * DAY, NOON)) == sorted(paths[3:])
    assert [backup.path for backup in shelf.kept()] == paths[:3]


def test_the_newest_backup_stays_however_old(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    only = put(shelf, NOON - 400 * DAY)
    assert shelf.expire(30 * DAY, NOON) == []
    assert only.exists()


def test_files_of_others_are_neither_listed_nor_deleted(tmp_path: Path) -> None:
    other = tmp_path / "modelward-notes.backup"
    other.write_text("mine")
    shelf = Shelf(tmp_path)
    put(shelf, NOON - 90 * DAY)
    put(shelf, NOON)
    shelf.expire(30 * DAY, NOON)
    assert other.exists()
    assert len(shelf.kept()) == 1
