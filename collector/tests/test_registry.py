"""models.d: what is configured, what was only seen, and what happens when a file is bad."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from collector.tests.store_documents import part
from modelward_agent.profile import Profile, ProfileKey
from modelward_agent.profile.reference import write_reference
from modelward_agent.profile.wire import to_document
from modelward_collector.calendar import Calendar
from modelward_collector.registry import Registry
from modelward_collector.store.sqlite import SqliteStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "models.d"
    made.mkdir()
    return made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "modelward.db")
    opened.setup()
    yield opened
    opened.close()


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    # Two writes within the clock's tick must still be two.
    write.count += 1  # type: ignore[attr-defined]
    os.utime(path, ns=(write.count * 10**9, write.count * 10**9))  # type: ignore[attr-defined]
    return path


write.count = 1  # type: ignore[attr-defined]


def test_without_a_folder_there_are_no_models(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models.d")
    assert registry.specs() == []
    assert registry.errors == {}


def test_a_model_that_was_only_seen_is_listed_as_not_configured(folder: Path, store: SqliteStore) -> None:
    write(folder, "b.yml", "model: fraud")
    store.create([part("p1", model="a/b ü")])
    registry = Registry(folder, store)
    assert [(spec.model, spec.configured) for spec in registry.specs()] == [("a/b ü", False), ("fraud", True)]
    seen = registry.spec("a/b ü")
    assert seen is not None
    assert seen.reference.kind == "rolling"
    assert registry.spec("nobody") is None


def test_a_model_without_a_calendar_of_its_own_has_the_sites(folder: Path, store: SqliteStore) -> None:
    christmas, founding = date(2026, 12, 25), date(2026, 3, 1)
    calendar = Calendar(timezone="Europe/Berlin", holidays=(christmas,))
    write(folder, "a.yml", "model: a")
    write(folder, "b.yml", "model: b\ntimezone: UTC\nholidays: [2026-03-01]")
    write(folder, "c.yml", "model: c\nholidays: []")
    store.create([part("p1", model="seen")])
    registry = Registry(folder, store, calendar)
    assert {spec.model: (spec.timezone, spec.holidays) for spec in registry.specs()} == {
        "a": ("Europe/Berlin", (christmas,)),
        "b": ("UTC", (founding,)),
        "c": ("Europe/Berlin", ()),
        "seen": ("Europe/Berlin", (christmas,)),
    }
    seen = registry.spec("seen")
    assert seen is not None
    assert (seen.timezone, seen.configured) == ("Europe/Berlin", False)


def test_every_error_of_every_file_comes_at_once(folder: Path) -> None:
    write(folder, "a.yml", "model: a\nownr: x\nchecks: {drift: {window: 5x, every: 0s}}")
    write(folder, "b.yml", "model: b\nreference: {kind: file, path: none.jsonl}")
    write(folder, "c.yml", "model: [")
    write(folder, "d.yml", "model: d")
    registry = Registry(folder)
    assert [spec.model for spec in registry.specs()] == ["d"]
    lines = {Path(path).name: list(errors) for path, errors in registry.errors.items()}
    assert len(lines["a.yml"]) == 3
    assert any("ownr: is not a key here; did you mean owner?" in line for line in lines["a.yml"])
    assert any('checks.drift.window: "5x" is not a duration' in line for line in lines["a.yml"])
    assert "none.jsonl" in lines["b.yml"][0]
    assert "is not a file; create it" in lines["b.yml"][0]
    assert "is not valid YAML" in lines["c.yml"][0]


def test_a_name_given_twice_is_an_error_of_the_later_file(folder: Path) -> None:
    write(folder, "a.yml", "model: fraud\nowner: first")
    second = write(folder, "b.yml", "model: fraud\nowner: second")
    registry = Registry(folder)
    assert [spec.owner for spec in registry.specs()] == ["first"]
    (line,) = registry.errors[str(second)]
    assert '"fraud" is configured in a.yml already' in line


def test_a_bad_cron_expression_is_an_error_that_shows_a_good_one(folder: Path) -> None:
    path = write(folder, "a.yml", "model: a\nchecks: {drift: {cron: '61 * * * *'}}")
    (line,) = Registry(folder).errors[str(path)]
    assert "checks.drift.cron" in line
    assert "0 6 * * *" in line


def test_a_changed_file_is_read_again(folder: Path) -> None:
    write(folder, "a.yml", "model: a\nowner: before")
    registry = Registry(folder)
    assert registry.poll() is False
    write(folder, "a.yml", "model: a\nowner: after")
    write(folder, "b.yml", "model: b")
    assert registry.poll() is True
    assert [(spec.model, spec.owner) for spec in registry.specs()] == [("a", "after"), ("b", "")]
    (folder / "b.yml").unlink()
    assert registry.poll() is True
    assert [spec.model for spec in registry.specs()] == ["a"]


def test_a_bad_edit_keeps_the_last_good_spec_and_is_shown_until_it_is_mended(folder: Path) -> None:
    path = write(folder, "a.yml", "model: a\nowner: good")
    registry = Registry(folder)
    write(folder, "a.yml", "model: a\nownr: bad")
    registry.poll()
    assert [spec.owner for spec in registry.specs()] == ["good"]
    assert list(registry.errors) == [str(path)]
    write(folder, "a.yml", "model: a\nowner: better")
    registry.poll()
    assert [spec.owner for spec in registry.specs()] == ["better"]
    assert registry.errors == {}


def test_a_reference_file_that_comes_later_mends_the_error(folder: Path) -> None:
    write(folder, "a.yml", "model: a\nreference: {kind: file, path: later.jsonl}")
    registry = Registry(folder)
    assert registry.errors
    document = to_document(ProfileKey("reference", "a", "", (), 0, 86_400), Profile(), part="1")
    write_reference(folder / "later.jsonl", [document])
    registry.poll()
    assert registry.errors == {}
    assert [spec.model for spec in registry.specs()] == ["a"]


def test_while_the_store_is_down_the_models_seen_before_stay(folder: Path, store: SqliteStore) -> None:
    store.create([part("p1", model="seen")])
    registry = Registry(folder, store)
    assert [spec.model for spec in registry.specs()] == ["seen"]
    store.close()
    store.path.unlink()
    store.path.mkdir()
    registry._seen_at = float("-inf")
    assert [spec.model for spec in registry.specs()] == ["seen"]
