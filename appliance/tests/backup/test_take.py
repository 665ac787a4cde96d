"""A backup of folders and databases comes back as it was, or says why not."""

from __future__ import annotations

import errno
import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from modelward_appliance.backup.archive import ArchiveWriter, Manifest, now, packing
from modelward_appliance.backup.container import ContainerWriter
from modelward_appliance.backup.errors import BackupError, DamagedError, NewerFormatError, WrongKeyError
from modelward_appliance.backup.keys import Key, new_key, parse_keys
from modelward_appliance.backup.parts import Frozen
from modelward_appliance.backup.restore import Place, unpack
from modelward_appliance.backup.settings import BackupSettings
from modelward_appliance.backup.take import Made, prove, take

SECRET = "correct horse battery staple"


@pytest.fixture
def settings(tmp_path: Path) -> BackupSettings:
    state = tmp_path / "state"
    (state / "secrets").mkdir(parents=True)
    (state / "secrets" / "password").write_text(SECRET)
    (state / ".env").write_text("MODELWARD_HOSTS=localhost\n")
    database = tmp_path / "grafana.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE dashboard (title TEXT)")
        connection.executemany("INSERT INTO dashboard VALUES (?)", [(f"board {number}",) for number in range(1000)])
    key = tmp_path / "backup-key"
    key.write_text(new_key() + "\n")
    key.chmod(0o600)
    (tmp_path / "backups").mkdir()
    return BackupSettings(folder=tmp_path / "backups", key_file=key, state=state, databases={"grafana": database})


def keys(settings: BackupSettings) -> tuple[Key, ...]:
    return parse_keys(settings.key_file.read_text(), "key")


def restore(made: Made, settings: BackupSettings, to: Path, *parts: str) -> Manifest:
    with made.path.open("rb") as file:
        return unpack(file, keys(settings), made.path.name, [Place(part, to / part) for part in parts])


def test_files_come_back_for_their_owner_alone(settings: BackupSettings, tmp_path: Path) -> None:
    made = take(settings)
    restore(made, settings, tmp_path / "new", "state")
    back = tmp_path / "new" / "state"
    assert (back / "secrets" / "password").read_text() == SECRET
    assert (back / ".env").read_text() == "MODELWARD_HOSTS=localhost\n"
    assert {path.stat().st_mode & 0o777 for path in back.rglob("*") if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in [back, *back.rglob("*")] if path.is_dir()} == {0o700}


def test_a_database_comes_back_while_someone_writes_to_it(settings: BackupSettings, tmp_path: Path) -> None:
    with closing(sqlite3.connect(settings.databases["grafana"])) as writer:
        writer.execute("INSERT INTO dashboard VALUES ('not committed')")
        made = take(settings)
        writer.rollback()
    restore(made, settings, tmp_path / "new", "grafana")
    with closing(sqlite3.connect(tmp_path / "new" / "grafana" / "grafana.db")) as copy:
        assert copy.execute("SELECT count(*) FROM dashboard").fetchone() == (1000,)


def test_nothing_of_the_content_can_be_read_in_the_file(settings: BackupSettings) -> None:
    content = take(settings).path.read_bytes()
    assert SECRET.encode() not in content
    assert b"secrets/password" not in content
    assert settings.key_file.read_bytes().strip() not in content


def test_a_backup_that_was_changed_restores_nothing(settings: BackupSettings, tmp_path: Path) -> None:
    made = take(settings)
    content = bytearray(made.path.read_bytes())
    content[len(content) // 2] ^= 1
    made.path.write_bytes(content)
    with pytest.raises(DamagedError, match=made.path.name):
        restore(made, settings, tmp_path / "new", "state")
    assert not (tmp_path / "new").exists()


def test_another_key_restores_nothing(settings: BackupSettings, tmp_path: Path) -> None:
    made = take(settings)
    settings.key_file.write_text(new_key())
    with pytest.raises(WrongKeyError, match="--key"):
        restore(made, settings, tmp_path / "new", "state")


def test_a_place_that_is_not_empty_is_left_alone(settings: BackupSettings, tmp_path: Path) -> None:
    made = take(settings)
    mine = tmp_path / "new" / "state" / "mine"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(BackupError, match=r"not empty.*mine"):
        restore(made, settings, tmp_path / "new", "state")
    assert list(mine.parent.iterdir()) == [mine]


def test_what_lay_beside_stays_as_it_was(settings: BackupSettings, tmp_path: Path) -> None:
    made = take(settings)
    state = tmp_path / "new" / "state"
    (state / "backups" / "older").mkdir(parents=True)
    for folder in ("backups", "backups/older"):
        (state / folder).chmod(0o755)
    restore(made, settings, tmp_path / "new", "state")
    assert [(state / folder).stat().st_mode & 0o777 for folder in ("backups", "backups/older")] == [0o755, 0o755]


def test_a_part_that_was_not_backed_up_is_named(settings: BackupSettings, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="has no prometheus; it holds state, grafana"):
        restore(take(settings), settings, tmp_path / "new", "prometheus")


def test_a_database_that_is_not_there_fails_the_backup_and_keeps_the_last(settings: BackupSettings) -> None:
    good = take(settings)
    settings.databases["grafana"].write_bytes(b"no database" * 1000)
    with pytest.raises(BackupError, match=r"grafana\.db: cannot be copied"):
        take(settings, now() + timedelta(days=1))
    assert prove_file(good, settings).parts["state"] == {"files": 2}
    assert [path.name for path in settings.folder.glob("*.backup")] == [good.path.name]


def prove_file(made: Made, settings: BackupSettings) -> Manifest:
    with made.path.open("rb") as file:
        return prove(file, keys(settings), made.path.name)


def test_a_full_disk_keeps_the_last_and_says_so(settings: BackupSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    good = take(settings)
    full = FullDisk()
    monkeypatch.setattr("modelward_appliance.backup.take.parts_of", lambda _: [full])
    with pytest.raises(BackupError, match=r"disk is full.*untouched"):
        take(settings, now() + timedelta(days=1))
    assert full.released
    assert [path.name for path in settings.folder.glob("*.backup*")] == [good.path.name]


class FullDisk:
    """A part whose copying ends as writing to a full disk does."""

    name = "full"
    released = False

    @contextmanager
    def frozen(self) -> Iterator[Frozen]:
        try:
            yield Frozen({}, self.files())
        finally:
            self.released = True

    def files(self) -> Iterator[tuple[str, Path]]:
        raise OSError(errno.ENOSPC, "No space left on device")
        yield


def test_a_file_that_shrinks_while_it_is_read_fails_the_backup(tmp_path: Path) -> None:
    shrinking = tmp_path / "shrinking"
    container = ContainerWriter(Shrinks(shrinking), Key(bytes(32)))
    archive = ArchiveWriter(container, Manifest(created=now(), modelward="1", parts={}))
    shrinking.write_bytes(bytes(10_000_000))
    with pytest.raises(BackupError, match="shrinking: changed while"):
        archive.add("part", "name", shrinking)


class Shrinks(io.BytesIO):
    """A container's file whose every write empties another file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def write(self, content: Any, /) -> int:
        self._path.write_bytes(b"")
        return super().write(content)


@pytest.mark.parametrize("name", ["../escaped", "/etc/passwd", "alone"])
def test_a_name_that_would_leave_its_folder_is_refused(name: str, tmp_path: Path) -> None:
    key = Key(bytes(32))
    part, _, rest = name.rpartition("/")
    source = tmp_path / "source"
    source.write_text("content")
    with (tmp_path / "container").open("w+b") as file:
        container = ContainerWriter(file, key)
        with packing(file, container, Manifest(created=now(), modelward="1", parts={part: {}})) as archive:
            archive.add(part, rest, source)
        with pytest.raises(DamagedError, match="which no backup does"):
            unpack(file, (key,), "forged", [Place(part, tmp_path / "new")])


def test_an_archive_of_a_newer_modelward_is_refused_by_its_version(tmp_path: Path) -> None:
    key = Key(bytes(32))
    with (tmp_path / "container").open("w+b") as file:
        container = ContainerWriter(file, key)
        with packing(file, container, Manifest(format=2, created=now(), modelward="9.1", parts={})):
            pass
        with pytest.raises(NewerFormatError, match=r"Modelward 9\.1; upgrade"):
            prove(file, (key,), "newer")
