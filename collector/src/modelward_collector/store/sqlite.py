"""The embedded store: one SQLite file, one writer, readers that never wait for it."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from modelward_collector.checks.result import CheckKind, CheckResult, Status
from modelward_collector.span import Span
from modelward_collector.store import cursor, shape
from modelward_collector.store.database import Database
from modelward_collector.store.heartbeat import heartbeat_of
from modelward_collector.store.protocol import (
    Alias,
    Created,
    Document,
    Health,
    Heartbeat,
    Labelled,
    Outcome,
    Page,
    Part,
    Sampled,
    SeenModel,
    Strangers,
    with_traffic,
)

_PAYLOADS_AT_A_TIME: Final = 200
"""Bounds what one query of profiles holds in memory."""

_DELETED_AT_A_TIME: Final = 5_000
"""Rows that one transaction deletes, so that deliveries wait only for a moment."""

_RECLAIMED_PAGES: Final = 50_000

_CREATED: Final = Created(Outcome.CREATED)
_CONFLICT: Final = Created(Outcome.CONFLICT)


class SqliteStore:
    """A `Store` in one file. `setup` must have run once on the file before anything else."""

    def __init__(self, path: Path | str) -> None:
        self._database = Database(Path(path))

    @property
    def path(self) -> Path:
        """The file; beside it are its `-wal` and `-shm`."""
        return self._database.path

    def setup(self) -> None:
        """Create the file and its tables, or bring older ones up to date."""
        self._database.migrate()

    def ping(self) -> None:
        """Raise `StoreUnavailableError` unless a write reaches the disk."""
        with self._database.write() as connection:
            connection.execute("UPDATE pings SET count = count + 1")

    def health(self) -> Health:
        """Green when a write reaches the disk."""
        self.ping()
        return Health.GREEN

    def close(self) -> None:
        """Close every connection; idempotent."""
        self._database.close()

    # -- documents ----------------------------------------------------------------------------------------------
    def create(self, documents: Sequence[Document]) -> list[Created]:
        """Create each under its id, all in one transaction; a rejected one does not keep out the others."""
        with self._database.write() as connection:
            return [_created(connection, document) for document in documents]

    def events(
        self,
        alias: Alias,
        span: Span,
        *,
        model: str | None = None,
        kind: str | None = None,
        text: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[Mapping[str, Any]]:
        """Documents newest first; `text` matches a message that has every one of its words, in any case."""
        where = ["alias = :alias", "at >= :start", "at < :end"]
        values: dict[str, Any] = {"alias": alias, **_bounds(span), "limit": limit + 1}
        table = "documents"
        if model is not None:
            where.append("model = :model")
            values["model"] = model
        if kind is not None:
            where.append("kind = :kind")
            values["kind"] = kind
            if kind not in ("prediction", "actual"):
                where.append("kind NOT IN ('prediction', 'actual')")
                # Without statistics SQLite would rather look through all that the model has.
                table = "documents INDEXED BY documents_rare_kind_at"
        for number, word in enumerate((text or "").casefold().split()):
            where.append(f"instr(message, :word{number}) > 0")
            values[f"word{number}"] = word
        if position := cursor.decode(after, 2):
            where.append("(at, number) < (:after_at, :after_number)")
            values["after_at"], values["after_number"] = position
        query = f"""
            SELECT at, number, id, source FROM {table} WHERE {" AND ".join(where)}
            ORDER BY at DESC, number DESC LIMIT :limit
        """  # noqa: S608 - the conditions are the literals above
        with self._database.read() as connection:
            rows = connection.execute(query, values).fetchall()
        items = [{"_id": its_id, **orjson.loads(source)} for _, _, its_id, source in rows[:limit]]
        return Page(items, cursor.encode(rows[limit - 1][:2]) if len(rows) > limit else None)

    # -- profiles -----------------------------------------------------------------------------------------------
    def parts(self, span: Span, *, model: str, version: str | None = None) -> list[Part]:
        """Every stored part whose whole window lies in the span, covered ones too, ordered by start and id."""
        query = """
            SELECT id, host, model, version, segment, start, seconds, rows, covers, until FROM parts
            WHERE model = :model AND start >= :start AND start < :end AND start + seconds <= :end
              AND (:version IS NULL OR version = :version)
            ORDER BY start, id
        """
        values = {
            "model": model,
            "version": version,
            "start": span.start.timestamp(),
            "end": span.end.timestamp(),
        }
        with self._database.read() as connection:
            rows = connection.execute(query, values).fetchall()
        segments = _Parsed()
        return [
            Part(
                id=its_id,
                host=host,
                model=model,
                version=its_version,
                segment=segments[segment],
                start=shape.EPOCH + timedelta(seconds=start),
                seconds=seconds,
                rows=count,
                covers=() if covers == "[]" else tuple(orjson.loads(covers)),
                until=None if until is None else shape.EPOCH + timedelta(seconds=until),
            )
            for its_id, host, model, its_version, segment, start, seconds, count, covers, until in rows
        ]

    def payloads(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """The profiles' bytes, in no order; missing ids are left out."""
        query = """
            SELECT id, profile FROM parts JOIN payloads ON part = number
            WHERE id IN (SELECT value FROM json_each(?))
        """
        for chunk in _chunks(ids, _PAYLOADS_AT_A_TIME):
            with self._database.read() as connection:
                rows = connection.execute(query, (_json(chunk),)).fetchall()
            yield from rows

    def delete_parts(self, ids: Sequence[str]) -> None:
        """Delete parts that a stored roll-up covers."""
        for chunk in _chunks(ids, _DELETED_AT_A_TIME):
            with self._database.write() as connection:
                _delete_parts(connection, "id IN (SELECT value FROM json_each(?))", (_json(chunk),))

    def seen_models(self) -> list[SeenModel]:
        """Every model version that made predictions, ordered by model and version."""
        query = "SELECT model, version, first_seen, last_seen, rows FROM models ORDER BY model, version"
        with self._database.read() as connection:
            rows = connection.execute(query).fetchall()
        return with_traffic(
            SeenModel(
                model,
                version,
                shape.EPOCH + timedelta(seconds=first),
                shape.EPOCH + timedelta(seconds=last),
                count,
            )
            for model, version, first, last, count in rows
        )

    def watermark(self) -> datetime | None:
        """The start of the latest profile window of any model: what came before it is complete. None without one."""
        query = """
            SELECT MAX((SELECT MAX(start) FROM parts WHERE parts.model = seen.model))
            FROM (SELECT DISTINCT model FROM models) AS seen
        """
        with self._database.read() as connection:
            (start,) = connection.execute(query).fetchone()
        return None if start is None else shape.EPOCH + timedelta(seconds=start)

    # -- labels -------------------------------------------------------------------------------------------------
    def labelled(self, span: Span, *, model: str, limit: int = 200_000) -> Labelled:
        """Predictions made in the span joined with their actuals by id, however late those came."""
        return _labelled(*self._joined(span, model, None, limit))

    def sampled(self, span: Span, *, model: str, version: str | None = None, limit: int = 20_000) -> Sampled:
        """The same of one version or of all, with the features of each."""
        rows, total, total_labelled = self._joined(span, model, version, limit)
        numbers = _json([row[-1] for row in rows if row[-1] is not None])
        query = "SELECT number, at, source FROM documents WHERE number IN (SELECT value FROM json_each(?))"
        with self._database.read() as connection:
            asked = {(number, at): _features(source) for number, at, source in connection.execute(query, (numbers,))}
        features = [asked.get((row[-1], row[0]), {}) for row in rows]
        return Sampled(_labelled(rows, total, total_labelled), features)

    def _joined(
        self, span: Span, model: str, version: str | None, limit: int
    ) -> tuple[list[tuple[Any, ...]], int, int]:
        values = {"model": model, "version": version, **_bounds(span), "limit": limit}
        where = "model = :model AND at >= :start AND at < :end AND (:version IS NULL OR version = :version)"
        with self._database.read() as connection:
            connection.execute("BEGIN")  # the counts and the rows are of one moment
            (total,) = connection.execute(
                f"SELECT COUNT(*) FROM predictions WHERE {where}",  # noqa: S608 - fixed text
                values,
            ).fetchone()
            chosen = "ORDER BY bucket, id LIMIT :limit" if total > limit else ""
            rows = connection.execute(
                f"""
                SELECT p.at, p.version, p.segment, p.value, p.label, p.probabilities,
                       a.id IS NOT NULL, a.value, a.label, p.document
                FROM (SELECT * FROM predictions WHERE {where} {chosen}) AS p
                LEFT JOIN actuals AS a ON a.model = p.model AND a.id = p.id ORDER BY p.at, p.id
                """,  # noqa: S608 - fixed text
                values,
            ).fetchall()
            if total > limit:
                (total_labelled,) = connection.execute(
                    f"""
                    SELECT COUNT(a.id) FROM (SELECT * FROM predictions WHERE {where}) AS p
                    LEFT JOIN actuals AS a ON a.model = p.model AND a.id = p.id
                    """,  # noqa: S608 - fixed text
                    values,
                ).fetchone()
            else:
                total_labelled = sum(row[6] for row in rows)
        return rows, total, total_labelled

    def duplicate_ids(self, span: Span, *, model: str) -> int:
        """How many predictions of the span repeat the id of another one, in the span or before it."""
        query = "SELECT COUNT(*) FROM repeats WHERE model = :model AND at >= :start AND at < :end"
        with self._database.read() as connection:
            (count,) = connection.execute(query, {"model": model, **_bounds(span)}).fetchone()
        return int(count)

    def strangers(self, span: Span, *, model: str, limit: int = 1_000) -> Strangers:
        """Whether the newest labels that came in the span find their predictions, whenever those were made."""
        values = {"model": model, **_bounds(span), "limit": limit}
        with self._database.read() as connection:
            found = connection.execute(
                """
                SELECT a.id, p.id IS NOT NULL
                FROM (
                    SELECT id FROM actuals WHERE model = :model AND at >= :start AND at < :end
                    ORDER BY at DESC LIMIT :limit
                ) AS a
                LEFT JOIN predictions AS p ON p.model = :model AND p.id = a.id
                """,
                values,
            ).fetchall()
            label = next((its_id for its_id, known in found if not known), "")
            newest = "SELECT id FROM predictions WHERE model = :model ORDER BY at DESC LIMIT 1"
            prediction = connection.execute(newest, values).fetchone() if label else None
        without = sum(not known for _, known in found)
        return Strangers(len(found), without, label, prediction[0] if prediction else "")

    # -- results ------------------------------------------------------------------------------------------------
    def save_result(self, result: CheckResult) -> None:
        """Store or replace the result under its id."""
        until = shape.microseconds(result.end)
        with self._database.write() as connection:
            connection.execute(
                "REPLACE INTO results (id, model, version, kind, status, until, source) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    result.id,
                    result.model,
                    result.version,
                    result.check,
                    result.status,
                    until,
                    orjson.dumps(result.to_document()),
                ),
            )
            if not result.on_demand:
                connection.execute(
                    """
                    INSERT INTO latest VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
                    SET result = excluded.result, until = excluded.until WHERE excluded.until >= until
                    """,
                    (result.model, result.version, result.check, result.id, until),
                )

    def result(self, result_id: str) -> CheckResult | None:
        """One result by id."""
        with self._database.read() as connection:
            row = connection.execute("SELECT source FROM results WHERE id = ?", (result_id,)).fetchone()
        return None if row is None else CheckResult.from_document(orjson.loads(row[0]))

    def results(
        self,
        span: Span,
        *,
        model: str | None = None,
        version: str | None = None,
        check: CheckKind | None = None,
        status: Status | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[CheckResult]:
        """Results whose window *ends* in the span (inclusive of its end), newest first."""
        where = ["until >= :start", "until <= :end"]
        values: dict[str, Any] = {**_bounds(span), "limit": limit + 1}
        for column, value in (("model", model), ("version", version), ("kind", check), ("status", status)):
            if value is not None:
                where.append(f"{column} = :{column}")
                values[column] = value
        if position := cursor.decode(after, 2):
            where.append("(until, id) < (:after_until, :after_id)")
            values["after_until"], values["after_id"] = position
        query = f"""
            SELECT until, id, source FROM results WHERE {" AND ".join(where)}
            ORDER BY until DESC, id DESC LIMIT :limit
        """  # noqa: S608 - the conditions are the literals above
        with self._database.read() as connection:
            rows = connection.execute(query, values).fetchall()
        items = [CheckResult.from_document(orjson.loads(source)) for _, _, source in rows[:limit]]
        return Page(items, cursor.encode(rows[limit - 1][:2]) if len(rows) > limit else None)

    def latest_results(self) -> list[CheckResult]:
        """The newest scheduled result of every (model, version, check)."""
        query = """
            SELECT source FROM latest JOIN results ON results.id = latest.result
            ORDER BY latest.model, latest.version, latest.kind
        """
        with self._database.read() as connection:
            rows = connection.execute(query).fetchall()
        return [CheckResult.from_document(orjson.loads(source)) for (source,) in rows]

    # -- agents -------------------------------------------------------------------------------------------------
    def heartbeats(self) -> list[Heartbeat]:
        """The latest heartbeat of every host, ordered by host."""
        with self._database.read() as connection:
            rows = connection.execute("SELECT source FROM heartbeats ORDER BY host").fetchall()
        return [heartbeat_of(orjson.loads(source)) for (source,) in rows]

    # -- coordination and upkeep --------------------------------------------------------------------------------
    def acquire_lease(self, name: str, holder: str, ttl: timedelta, now: datetime) -> bool:
        """Take or renew the lease; False while another holder's has not run out."""
        with self._database.write() as connection:
            taken = connection.execute(
                """
                INSERT INTO leases VALUES (:name, :holder, :until) ON CONFLICT DO UPDATE
                SET holder = excluded.holder, until = excluded.until
                WHERE leases.holder = excluded.holder OR leases.until <= :now
                """,
                {
                    "name": name,
                    "holder": holder,
                    "until": shape.microseconds(now + ttl),
                    "now": shape.microseconds(now),
                },
            )
            return taken.rowcount == 1

    def release_lease(self, name: str, holder: str) -> None:
        """Give the lease up if this holder has it."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM leases WHERE name = ? AND holder = ?", (name, holder))

    def roll_over(self, *, max_documents: int, max_age: timedelta, now: datetime) -> list[str]:
        """Nothing: a table has no backing indices."""
        return []

    def retain(self, keep: Mapping[Alias, timedelta], now: datetime) -> int:
        """Delete rows older than their alias's time, and give the space back; how many documents went."""
        gone = 0
        for alias, age in keep.items():
            oldest = shape.microseconds(now - age)
            gone += self._delete_documents(alias, oldest)
            if alias is Alias.EVENTS:
                for table in ("predictions", "repeats", "actuals"):
                    with self._database.write() as connection:
                        connection.execute(f"DELETE FROM {table} WHERE at < ?", (oldest,))  # noqa: S608 - the names above
            elif alias is Alias.LOGS:
                with self._database.write() as connection:
                    connection.execute("DELETE FROM heartbeats WHERE at < ?", (oldest,))
            elif alias is Alias.PROFILES:
                gone += self._delete_old_parts((now - age).timestamp())
            elif alias is Alias.RESULTS:
                with self._database.write() as connection:
                    gone += connection.execute("DELETE FROM results WHERE until < ?", (oldest,)).rowcount
                    connection.execute("DELETE FROM latest WHERE until < ?", (oldest,))
        self._database.reclaim(_RECLAIMED_PAGES)
        return gone

    def _delete_documents(self, alias: Alias, oldest: int) -> int:
        query = """
            DELETE FROM documents WHERE number IN (SELECT number FROM documents WHERE alias = ? AND at < ? LIMIT ?)
        """
        gone = 0
        while True:
            with self._database.write() as connection:
                count = connection.execute(query, (alias, oldest, _DELETED_AT_A_TIME)).rowcount
            gone += count
            if count < _DELETED_AT_A_TIME:
                return gone

    def _delete_old_parts(self, oldest: float) -> int:
        gone = 0
        while True:
            with self._database.write() as connection:
                count = _delete_parts(
                    connection,
                    "number IN (SELECT number FROM parts WHERE start + seconds <= ? LIMIT ?)",
                    (oldest, _DELETED_AT_A_TIME),
                )
                connection.execute("DELETE FROM models WHERE last_seen <= ?", (oldest,))
            gone += count
            if count < _DELETED_AT_A_TIME:
                return gone


def _created(connection: sqlite3.Connection, document: Document) -> Created:
    try:
        at = shape.check(document)
        if document.alias is Alias.PROFILES:
            return _created_part(connection, document, at)
        source = orjson.dumps(document.source)
    except (shape.ShapeError, TypeError, OverflowError, UnicodeError) as error:
        return Created(Outcome.REJECTED, str(error))
    return _created_document(connection, document, shape.microseconds(at), source)


def _created_document(connection: sqlite3.Connection, document: Document, at: int, source: bytes) -> Created:
    fields = document.source
    model, kind = shape.text(fields.get("model")), shape.text(fields.get("kind"))
    message = fields.get("message")
    added = connection.execute(
        """
        INSERT OR IGNORE INTO documents (alias, id, at, model, kind, message, source) VALUES (?, ?, ?, ?, ?, ?, ?)
        """,
        (
            document.alias,
            document.id,
            at,
            model,
            kind,
            message.casefold() if isinstance(message, str) else None,
            source,
        ),
    )
    if not added.rowcount:
        return _CONFLICT
    if document.alias is Alias.EVENTS:
        if kind == "prediction":
            _add_prediction(connection, model, at, fields, added.lastrowid)
        elif kind == "actual":
            _add_actual(connection, model, at, fields)
    elif kind == "heartbeat":
        host = shape.text((fields.get("host") or {}).get("name"))
        connection.execute(
            """
            INSERT INTO heartbeats VALUES (?, ?, ?) ON CONFLICT DO UPDATE
            SET at = excluded.at, source = excluded.source WHERE excluded.at >= at
            """,
            (host, at, source),
        )
    return _CREATED


def _add_prediction(
    connection: sqlite3.Connection, model: str, at: int, fields: Mapping[str, Any], document: int | None
) -> None:
    prediction_id = shape.text(fields.get("id"))
    if not prediction_id:
        return
    prediction = fields.get("prediction")
    value, label = shape.answer(prediction)
    chances = shape.probabilities(prediction)
    added = connection.execute(
        "INSERT OR IGNORE INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            model,
            at,
            prediction_id,
            _bucket(prediction_id),
            shape.text(fields.get("version")),
            _json(shape.segment(fields)),
            value,
            label,
            None if chances is None else _json(chances),
            document,
        ),
    )
    if not added.rowcount:
        connection.execute("INSERT INTO repeats VALUES (?, ?)", (model, at))


def _add_actual(connection: sqlite3.Connection, model: str, at: int, fields: Mapping[str, Any]) -> None:
    prediction_id = shape.text(fields.get("id"))
    if not prediction_id:
        return
    connection.execute(
        """
        INSERT INTO actuals VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
        SET at = excluded.at, value = excluded.value, label = excluded.label WHERE excluded.at >= at
        """,
        (model, prediction_id, at, *shape.answer(fields.get("actual"))),
    )


def _created_part(connection: sqlite3.Connection, document: Document, at: datetime) -> Created:
    fields = document.source
    # Whatever its format: what this version cannot read, the next one will.
    profile = shape.payload(fields)
    start, seconds, rows = int(at.timestamp()), fields["window"]["seconds"], fields["rows"]
    model, version, covers = fields["model"], fields["version"], fields.get("covers") or []
    added = connection.execute(
        """
        INSERT OR IGNORE INTO parts (id, model, version, host, segment, start, seconds, rows, covers, until)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (
            document.id,
            model,
            version,
            fields["host"]["name"],
            _json(shape.segment(fields)),
            start,
            seconds,
            rows,
            _json(covers),
            None if fields.get("until") is None else int(shape.moment(fields["until"], "until").timestamp()),
        ),
    )
    if not added.rowcount:
        return _CONFLICT
    connection.execute("INSERT INTO payloads VALUES (?, ?)", (added.lastrowid, profile))
    if not covers:
        connection.execute(
            """
            INSERT INTO models VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
            SET first_seen = CASE
                    WHEN excluded.rows = 0 THEN first_seen
                    WHEN rows = 0 THEN excluded.first_seen
                    ELSE min(first_seen, excluded.first_seen)
                END,
                last_seen = CASE
                    WHEN excluded.rows = 0 THEN last_seen
                    WHEN rows = 0 THEN excluded.last_seen
                    ELSE max(last_seen, excluded.last_seen)
                END,
                rows = rows + excluded.rows
            """,
            (model, version, start, start + seconds, rows),
        )
    return _CREATED


def _delete_parts(connection: sqlite3.Connection, where: str, values: tuple[Any, ...]) -> int:
    chosen = f"SELECT number FROM parts WHERE {where}"  # noqa: S608 - the callers' literals
    connection.execute(f"DELETE FROM payloads WHERE part IN ({chosen})", values)  # noqa: S608
    return connection.execute(f"DELETE FROM parts WHERE {where}", values).rowcount  # noqa: S608


def _labelled(rows: Sequence[tuple[Any, ...]], total: int, total_labelled: int) -> Labelled:
    columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * 10
    at, version, segment, value, label, chances, labelled, actual_value, actual_label, _ = columns
    segments = _Parsed()
    return Labelled(
        timestamp=np.array(at, dtype=np.float64) / 1e6,
        version=list(version),
        segment=[segments[text] for text in segment],
        predicted_value=_floats(value),
        predicted_label=[text or "" for text in label],
        probabilities=[None if text is None else _chances(text) for text in chances],
        labelled=np.array(labelled, dtype=np.bool_),
        actual_value=_floats(actual_value),
        actual_label=[text or "" for text in actual_label],
        total=total,
        total_labelled=total_labelled,
    )


def _floats(values: Sequence[float | None]) -> np.ndarray[Any, np.dtype[np.float64]]:
    # SQLite keeps NaN as NULL, so a missing number is one either way.
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _features(source: bytes) -> Mapping[str, Any]:
    features = orjson.loads(source).get("features")
    return features if isinstance(features, dict) else {}


def _chances(text: str) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in orjson.loads(text).items()}


class _Parsed(dict[str, Any]):
    """JSON texts parsed once each."""

    def __missing__(self, text: str) -> Any:
        self[text] = parsed = orjson.loads(text)
        return parsed


def _bounds(span: Span) -> dict[str, int]:
    return {"start": shape.microseconds(span.start), "end": shape.microseconds(span.end)}


def _bucket(prediction_id: str) -> int:
    """Spreads ids evenly, the same everywhere and always."""
    return int.from_bytes(blake2b(prediction_id.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "big")


def _json(value: object) -> str:
    return orjson.dumps(value).decode("utf-8")


def _chunks(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
