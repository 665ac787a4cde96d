"""Models with more features than are profiled, or than most have; and with more versions than anybody deploys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from collector.tests.collecting import a_collector
from collector.tests.store_documents import NOON
from modelward_agent.bounds import MAX_VERSIONS
from modelward_agent.journal.parse import Kind, Record
from modelward_agent.profile.fold import Folder
from modelward_agent.profile.reference import profile_file, write_reference
from modelward_agent.profile.wire import to_document
from modelward_collector.checks.result import CheckKind, CheckResult, Status
from modelward_collector.kept import Kept
from modelward_collector.store.protocol import Alias, Document, Store

FILE = "reference: {kind: file, path: wide.jsonl}"


def columns(names: Sequence[str], rows: int, seed: int) -> dict[str, np.ndarray]:
    values = np.random.default_rng(seed).normal(size=(len(names), rows)).round(2)
    return dict(zip(names, values, strict=True))


def reference(folder: Path, names: Sequence[str], max_features: int = 5_000) -> None:
    """A reference file of rows with these columns, as `modelward-agent profile` makes it."""
    path = folder / "rows.parquet"
    parquet.write_table(pa.table(columns(names, 150, 1)), path)
    (folder / "models.d").mkdir()
    documents = profile_file(path, model="wide", max_features=max_features)
    write_reference(folder / "models.d" / "wide.jsonl", documents)


def send(
    store: Store,
    names: Sequence[str],
    at: datetime,
    *,
    rows: int = 150,
    version: str = "1",
    max_features: int = 5_000,
    model: str = "wide",
    host: str = "web-1",
) -> None:
    """A minute's traffic as the agent folds it."""
    folder = Folder(host, max_features=max_features)
    values = columns(names, rows, int(at.timestamp()))
    folder.fold(
        Record(
            Kind.PREDICTION,
            at.timestamp(),
            {
                "model": model,
                "version": version,
                "features": {name: float(values[name][row]) for name in names},
                "prediction": 0.5,
            },
        )
        for row in range(rows)
    )
    documents = [to_document(key, profile, part=f"{host}{version}{at}{key.version}") for key, profile in folder.take()]
    store.create([Document(Alias.PROFILES, one["part"], one) for one in documents])


def checked(
    folder: Path,
    known: Sequence[str],
    seen: Sequence[str],
    *,
    bounds: tuple[int, int] = (5_000, 5_000),
    rest: str = "",
) -> Mapping[CheckKind, CheckResult]:
    reference(folder, known, bounds[0])
    collector = a_collector(folder, {"wide": f"{FILE}\n{rest}"}, clock="replay")
    try:
        store, engine = collector.context.store, collector.context.engine
        send(store, seen, NOON - timedelta(minutes=3), max_features=bounds[1])
        send(store, seen, NOON - timedelta(minutes=2), max_features=bounds[1])
        send(store, seen[:1], NOON, rows=1, model="later")
        found = {}
        for check in (CheckKind.DRIFT, CheckKind.QUALITY):
            [found[check]] = engine.run("wide", check, NOON)
        return found
    finally:
        collector.stop()


def flagged(result: CheckResult) -> list[str]:
    return [finding.message for finding in result.findings if finding.status.flagged]


def named(count: int) -> list[str]:
    return [f"f{number:04d}" for number in range(count)]


@pytest.mark.parametrize("width", [2_500, 5_000])
def test_wide_traffic_like_its_reference_is_fine(tmp_path: Path, width: int) -> None:
    found = checked(tmp_path, named(width), named(width))
    assert not flagged(found[CheckKind.DRIFT])
    assert not flagged(found[CheckKind.QUALITY])
    assert found[CheckKind.DRIFT].numbers["features"] == width
    assert "not_profiled" not in found[CheckKind.DRIFT].numbers
    assert not [one for one in found[CheckKind.QUALITY].findings if one.test == "not_profiled"]


@pytest.mark.parametrize("bounds", [(50, 30), (30, 50), (30, 30), (50, 50)])
def test_what_either_side_leaves_out_is_neither_gone_nor_unexpected(tmp_path: Path, bounds: tuple[int, int]) -> None:
    schema = "features: {f0055: {type: numeric}, f0001: {type: numeric}}"
    found = checked(tmp_path, named(60), named(60), bounds=bounds, rest=schema)
    drift, quality = found[CheckKind.DRIFT], found[CheckKind.QUALITY]
    assert not flagged(drift)
    assert not flagged(quality)
    assert drift.numbers["features"] == min(bounds)
    [note] = [one for one in quality.findings if one.test == "not_profiled"]
    assert note.status is Status.NO_DATA
    assert f"beyond max_features ({min(bounds)})" in note.message
    assert note.value == drift.numbers["not_profiled"] == 60 - min(bounds)
    assert "f0055" in note.detail["first"] or len(note.detail["first"]) == 10  # the schema's, which nobody knows
    assert f"{60 - min(bounds)} or more not profiled" in drift.summary


def test_what_is_gone_within_the_bound_is_still_gone(tmp_path: Path) -> None:
    found = checked(tmp_path, named(60), [name for name in named(60) if name != "f0003"], bounds=(30, 30))
    assert any("f0003" in message and "gone" in message for message in flagged(found[CheckKind.QUALITY]))
    assert [one.subject for one in found[CheckKind.DRIFT].findings if one.status.flagged] == ["f0003"]


def test_what_is_new_within_the_bound_is_still_unexpected(tmp_path: Path) -> None:
    found = checked(tmp_path, named(60), ["f0003b", *named(60)], bounds=(30, 30))
    said = flagged(found[CheckKind.QUALITY])
    assert any("f0003b is unexpected" in message for message in said)
    assert not any("gone" in message for message in said)


def test_a_version_for_each_request_does_not_make_a_check_endless(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    collector = a_collector(tmp_path, {"flooded": ""}, clock="replay")
    try:
        store, engine = collector.context.store, collector.context.engine
        for number in range(200):
            send(store, ["a"], NOON - timedelta(minutes=2), rows=1, version=f"{number}", model="flooded")
        send(store, ["a"], NOON - timedelta(minutes=2), rows=30, version="deployed", model="flooded")
        send(store, ["a"], NOON, rows=1, model="later")
        for check in CheckKind:
            results = engine.run("flooded", check, NOON)
            assert len(results) <= MAX_VERSIONS + 1
            assert not [result for result in results if result.status is Status.ERROR]
        judged = {result.version: result.rows for result in engine.run("flooded", CheckKind.QUALITY, NOON)}
        assert judged["deployed"] == 30
        assert judged["other"] == 200 - (MAX_VERSIONS - 1)
        assert sum(judged.values()) == 230
        assert [health.rows for health in engine.run("flooded", CheckKind.HEALTH, NOON)] == [230]
    finally:
        collector.stop()
    assert sum("flooded: 201 versions" in record.message for record in caplog.records) == 1


def test_what_is_kept_is_bounded_by_its_columns() -> None:
    kept: Kept[str, str] = Kept(most=3, columns=100)
    for name, columns in (("a", 40), ("b", 40), ("c", 10)):
        kept.put(name, name, columns)
    assert kept.get("a") == "a"
    kept.put("d", "d", 10)
    assert [kept.get(name) for name in "abcd"] == ["a", None, "c", "d"]
    kept.put("wide", "wide", 5_000)
    assert [kept.get(name) for name in ("a", "c", "d", "wide")] == [None, None, None, "wide"]
    kept.put("wide", "again", 20)
    kept.put("e", "e", 80)
    assert [kept.get(name) for name in ("wide", "e")] == ["again", "e"]
    kept.clear()
    assert kept.get("e") is None
