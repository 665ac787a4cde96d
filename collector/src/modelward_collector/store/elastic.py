"""The store on Elasticsearch: aliases over backing indices that roll over, by what every distribution and licence has.

Everything that the collector itself writes is refreshed, so it is found at once; what agents send is found within a
second.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from elasticsearch import ApiError, ConflictError, Elasticsearch, NotFoundError, TransportError
from elasticsearch.exceptions import SerializationError

from modelward_collector.checks.result import CheckKind, CheckResult, Status
from modelward_collector.span import Span
from modelward_collector.store import cursor, shape
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
    StoreUnavailableError,
    Strangers,
    with_traffic,
)
from modelward_collector.store.templates import STATE_INDEX, component_templates, index_template, state_index

_PAGE: Final = 5_000
"""Documents one search answers; the server allows 10,000."""

_PAYLOADS_AT_A_TIME: Final = 100
_IDS_AT_A_TIME: Final = 5_000
_BULK_DOCUMENTS: Final = 1_000
_BULK_BYTES: Final = 8 * 1024 * 1024

_MOST_DUPLICATES: Final = 10_000
"""Repeated ids that are counted one by one; beyond it an estimate does, as a few more or less then make no odds."""

_MOST_HOSTS: Final = 10_000
_HEALTH_SECONDS: Final = 5.0
"""A cluster that has not said by then how it is is as good as away."""

_ATTEMPTS: Final = 5
"""How often a write that another one came before is tried anew."""

_SAMPLING_SEED: Final = 20130101

_CREATED: Final = Created(Outcome.CREATED)
_CONFLICT: Final = Created(Outcome.CONFLICT)

_NEWEST_FIRST: Final = [{"@timestamp": "desc"}, {"_index": "desc"}, {"_seq_no": "desc"}]
_OLDEST_FIRST: Final = [{"@timestamp": "asc"}, {"_index": "asc"}, {"_seq_no": "asc"}]
"""Sequence numbers are unique in an index, so the three together order all documents and a cursor loses none."""

_Query = Mapping[str, Any]


class ElasticStore:
    """A `Store` in an Elasticsearch cluster of version 9. Nothing is asked of the server before it is used."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        ca_file: Path | None = None,
        username: str | None = None,
        password: str | None = None,
        api_key: str | None = None,
        timeout: float = 30.0,
    ) -> None:
        self._name = f"Elasticsearch at {', '.join(urls)}"
        credentials: dict[str, Any] = {}
        if username is not None and password is not None:
            credentials["basic_auth"] = (username, password)
        if api_key is not None:
            credentials["api_key"] = api_key
        if ca_file is not None:
            credentials["ca_certs"] = str(ca_file)
        # One try more than there are nodes, since a kept connection may have been closed meanwhile.
        self._client = Elasticsearch(list(urls), request_timeout=timeout, max_retries=len(urls), **credentials)

    def setup(self) -> None:
        """Put the templates, and make the first backing index of each alias that has none."""
        with self._asking():
            for name, template in component_templates().items():
                self._client.cluster.put_component_template(name=name, template=template)
            for alias in Alias:
                self._client.indices.put_index_template(name=alias, **index_template(alias))
            for alias in Alias:
                if not self._client.indices.exists_alias(name=alias):
                    self._make(f"{alias}-000001", aliases={alias: {"is_write_index": True}})
            if not self._client.indices.exists(index=STATE_INDEX):
                self._make(STATE_INDEX, **state_index())

    def _make(self, index: str, **body: Any) -> None:
        try:
            self._client.indices.create(index=index, **body)
        except ApiError as error:
            # Another collector that starts at the same moment was quicker.
            if error.error != "resource_already_exists_exception":
                raise

    def ping(self) -> None:
        """Raise `StoreUnavailableError` unless the cluster takes a write."""
        with self._asking():
            self._client.index(index=STATE_INDEX, id="ping", document={"kind": "ping"})

    def health(self) -> Health:
        """The cluster's colour."""
        with self._asking():
            client = self._client.options(request_timeout=_HEALTH_SECONDS, max_retries=0)
            return Health(client.cluster.health(timeout="2s")["status"])

    def close(self) -> None:
        """Close the connections; idempotent."""
        self._client.close()

    # -- documents ----------------------------------------------------------------------------------------------
    def create(self, documents: Sequence[Document]) -> list[Created]:
        """Create each under its id, whichever backing index may have it already."""
        outcomes: list[Created | None] = [None] * len(documents)
        sound: list[int] = []
        bodies: dict[int, bytes] = {}
        for number, document in enumerate(documents):
            try:
                shape.check(document)
                if document.alias is Alias.PROFILES:
                    shape.payload(document.source)
                bodies[number] = orjson.dumps(document.source)
                sound.append(number)
            except (shape.ShapeError, TypeError) as error:
                outcomes[number] = Created(Outcome.REJECTED, str(error))
        with self._asking():
            there = self._in_older_indices([documents[number] for number in sound])
            wanted = []
            for number in sound:
                if (documents[number].alias, documents[number].id) in there:
                    outcomes[number] = _CONFLICT
                else:
                    wanted.append(number)
            for chunk in _bulk_chunks(wanted, bodies):
                operations: list[Any] = []
                for number in chunk:
                    document = documents[number]
                    operations += [{"create": {"_index": document.alias, "_id": document.id}}, bodies[number]]
                answer = self._client.bulk(operations=operations, refresh=True, require_alias=True)
                for number, item in zip(chunk, answer["items"], strict=True):
                    outcomes[number] = self._created(item["create"])
        return [outcome for outcome in outcomes if outcome is not None]

    def _created(self, item: Mapping[str, Any]) -> Created:
        status = item["status"]
        if status == 201:
            return _CREATED
        if status == 409:
            return _CONFLICT
        error = item["error"]
        reason = error["reason"] + (f": {cause['reason']}" if (cause := error.get("caused_by")) else "")
        if status == 400:
            return Created(Outcome.REJECTED, reason)
        raise StoreUnavailableError(f"{self._name}: {item['_index']}: {reason} ({status}); {_advice(status)}")

    def _in_older_indices(self, documents: Sequence[Document]) -> set[tuple[str, str]]:
        """Of the documents those that a backing index has which is not written to any more."""
        found: set[tuple[str, str]] = set()
        for alias in {document.alias for document in documents}:
            if older := [index for index, writes in self._behind(alias).items() if not writes]:
                ids = [document.id for document in documents if document.alias is alias]
                found.update((alias, hit["_id"]) for hit in self._by_ids(ids, index=",".join(older), source=False))
        return found

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
        query = _all_of(
            _within("@timestamp", span),
            _term("model", model),
            _term("kind", kind),
            None if not text else {"match": {"message": {"query": text, "operator": "and"}}},
        )
        position = cursor.decode(after, 3)
        with self._asking(), _cursors(after):
            hits = list(self._hits(alias, query, _NEWEST_FIRST, limit + 1, position))
        items = [{"_id": hit["_id"], **hit["_source"]} for hit in hits[:limit]]
        return Page(items, cursor.encode(hits[limit - 1]["sort"]) if len(hits) > limit else None)

    # -- profiles -----------------------------------------------------------------------------------------------
    def parts(self, span: Span, *, model: str, version: str | None = None) -> list[Part]:
        """Every stored part whose whole window lies in the span, covered ones too, ordered by start and id."""
        query = _all_of(_within("@timestamp", span), {"term": {"model": model}}, _term("version", version))
        fields: Sequence[Any] = [
            "host.name",
            "model",
            "version",
            "segment_key",
            "window.seconds",
            "rows",
            "covers",
            {"field": "@timestamp", "format": "epoch_millis"},
            {"field": "until", "format": "epoch_millis"},
        ]
        found: dict[str, Part] = {}
        unknown: list[str] = []
        with self._asking():
            for hit in self._hits(Alias.PROFILES, query, _OLDEST_FIRST, source=False, docvalue_fields=fields):
                part = _part_of_fields(hit["_id"], hit.get("fields", {}))
                if part is None:
                    unknown.append(hit["_id"])
                else:
                    found[part.id] = part
            # Made by something that gives no segment_key, or with names beyond what is indexed: to be opened.
            for hit in self._by_ids(unknown, index=Alias.PROFILES, source={"excludes": ["profile"]}):
                part = _part_of_source(hit["_id"], hit["_source"])
                if part is not None:
                    found[part.id] = part
        listed = [part for part in found.values() if part.start + timedelta(seconds=part.seconds) <= span.end]
        return sorted(listed, key=lambda part: (part.start, part.id))

    def payloads(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """The profiles' bytes, in no order; missing ids are left out."""
        for chunk in _chunks(ids, _PAYLOADS_AT_A_TIME):
            with self._asking():
                hits = list(self._by_ids(chunk, index=Alias.PROFILES, source=["profile"]))
            for its_id, source in {hit["_id"]: hit["_source"] for hit in hits}.items():
                with contextlib.suppress(shape.ShapeError):
                    yield its_id, shape.payload(source)

    def delete_parts(self, ids: Sequence[str]) -> None:
        """Delete parts that a stored roll-up covers."""
        with self._asking():
            for chunk in _chunks(ids, _IDS_AT_A_TIME):
                self._mark_superseding(chunk)
                hits = self._by_ids(chunk, index=Alias.PROFILES, source=False)
                self._delete(hits)

    def _mark_superseding(self, ids: Sequence[str]) -> None:
        """Say of the roll-ups that stand for the ids that their rows are to be counted from now on."""
        fields = ["window.seconds", "covers"]
        rolled_up = list(
            self._hits(
                Alias.PROFILES, {"terms": {"covers": list(ids)}}, _OLDEST_FIRST, source=False, docvalue_fields=fields
            )
        )
        # An hour and its day both cover a minute; the hour is the one that takes its place.
        rolled_up.sort(key=lambda hit: (hit["fields"]["window.seconds"][0], hit["_id"]))
        left = set(ids)
        operations: list[Any] = []
        for hit in rolled_up:
            covers = left.intersection(hit["fields"]["covers"])
            if covers:
                left -= covers
                operations += [
                    {"update": {"_index": hit["_index"], "_id": hit["_id"]}},
                    {"doc": {"superseding": True}},
                ]
        if operations:
            self._bulk(operations)

    def seen_models(self) -> list[SeenModel]:
        """Every model version that made predictions, ordered by model and version."""
        rows = {"rows": {"sum": {"field": "rows"}}}
        moments = {"first": {"min": {"field": "@timestamp"}}, "last": _LAST, "until": {"max": {"field": "until"}}}
        aggregations = {
            **moments,
            # Labels that come later are no sign of life.
            "traffic": {"filter": {"range": {"rows": {"gt": 0}}}, "aggs": moments},
            "counted": {"filter": _COUNTED, "aggs": rows},
        }
        with self._asking():
            buckets = list(self._composite(Alias.PROFILES, ("model", "version"), aggregations))
        seen = []
        for bucket in buckets:
            told = bucket["traffic"] if bucket["traffic"]["doc_count"] else bucket
            last = _last_end(told)
            if last is not None:
                seen.append(
                    SeenModel(
                        bucket["key"]["model"],
                        bucket["key"]["version"],
                        _from_millis(told["first"]["value"]) if told["first"]["value"] is not None else last,
                        last,
                        int(bucket["counted"]["rows"]["value"]),
                    )
                )
        return with_traffic(sorted(seen, key=lambda one: (one.model, one.version)))

    def watermark(self) -> datetime | None:
        """The start of the latest profile window of any model: what came before it is complete. None without one."""
        with self._asking():
            answer = self._search(Alias.PROFILES, size=0, aggs={"start": {"max": {"field": "@timestamp"}}})
        start = answer["aggregations"]["start"]["value"]
        return None if start is None else _from_millis(start)

    # -- labels -------------------------------------------------------------------------------------------------
    def labelled(self, span: Span, *, model: str, limit: int = 200_000) -> Labelled:
        """Predictions made in the span joined with their actuals by id, however late those came.

        Beyond the limit, `total_labelled` is the sample's share of the total.
        """
        return self._joined(span, model, None, limit, [])[0]

    def sampled(self, span: Span, *, model: str, version: str | None = None, limit: int = 20_000) -> Sampled:
        """The same of one version or of all, with the features of each."""
        labelled, predictions = self._joined(span, model, version, limit, ["features"])
        asked = [source.get("features") for source in predictions]
        return Sampled(labelled, [features if isinstance(features, Mapping) else {} for features in asked])

    def _joined(
        self, span: Span, model: str, version: str | None, limit: int, more: Sequence[str]
    ) -> tuple[Labelled, Sequence[Mapping[str, Any]]]:
        query = _predictions(span, model, version)
        wanted = ["@timestamp", "id", "version", "segment", "prediction", *more]
        with self._asking():
            total = int(
                self._search(Alias.EVENTS, size=0, query=query, track_total_hits=True)["hits"]["total"]["value"]
            )
            options: dict[str, Any] = {}
            if sampled := total > limit:
                total -= self.duplicate_ids(span, model=model)
                query, options = _sample(query, limit / total)
            predictions: dict[str, Mapping[str, Any]] = {}
            for hit in self._hits(Alias.EVENTS, query, _OLDEST_FIRST, source=wanted, **options):
                if len(predictions) < limit:
                    predictions.setdefault(shape.text(hit["_source"].get("id")), hit["_source"])
            actuals = self._actuals(list(predictions), model)
        found = _labelled(predictions, actuals)
        sources = list(predictions.values())
        if not sampled:
            return _with_totals(found, len(predictions), len(actuals)), sources
        share = len(actuals) / len(predictions) if predictions else 0.0
        return _with_totals(found, total, round(share * total)), sources

    def _actuals(self, ids: Sequence[str], model: str) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        for chunk in _chunks(ids, _IDS_AT_A_TIME):
            query = _all_of({"term": {"kind": "actual"}}, {"term": {"model": model}}, {"terms": {"id": list(chunk)}})
            for hit in self._hits(Alias.EVENTS, query, _OLDEST_FIRST, source=["id", "actual"]):
                found[shape.text(hit["_source"].get("id"))] = hit["_source"]
        return found

    def duplicate_ids(self, span: Span, *, model: str) -> int:
        """How many predictions of the span repeat the id of another one."""
        # Of the commonest ids first, so those that came twice are found before the many that did not.
        repeated = {"terms": {"field": "id", "size": _MOST_DUPLICATES, "min_doc_count": 2, "execution_hint": "map"}}
        aggregations = {
            "repeated": repeated,
            "all": {"value_count": {"field": "id"}},
            "different": {"cardinality": {"field": "id", "precision_threshold": 40_000}},
        }
        with self._asking():
            answer = self._search(Alias.EVENTS, size=0, query=_predictions(span, model), aggs=aggregations)
        buckets = answer["aggregations"]["repeated"]["buckets"]
        counted = sum(bucket["doc_count"] - 1 for bucket in buckets)
        if len(buckets) < _MOST_DUPLICATES:
            return int(counted)
        different = answer["aggregations"]["all"]["value"] - answer["aggregations"]["different"]["value"]
        return int(max(counted, different))

    def strangers(self, span: Span, *, model: str, limit: int = 1_000) -> Strangers:
        """Whether the newest labels that came in the span find their predictions, whenever those were made."""
        of_model = {"term": {"model": model}}
        labels = _all_of(_within("@timestamp", span), {"term": {"kind": "actual"}}, of_model)
        predictions = {"term": {"kind": "prediction"}}
        with self._asking():
            hits = self._hits(Alias.EVENTS, labels, _NEWEST_FIRST, limit, source=["id"])
            ids = list(dict.fromkeys(shape.text(hit["_source"].get("id")) for hit in hits))
            known: set[str] = set()
            if ids:
                query = _all_of(predictions, of_model, {"terms": {"id": ids}})
                known = {
                    shape.text(hit["_source"].get("id"))
                    for hit in self._hits(Alias.EVENTS, query, _OLDEST_FIRST, source=["id"])
                }
            strange = [its_id for its_id in ids if its_id not in known]
            newest = None
            if strange:
                found = self._hits(Alias.EVENTS, _all_of(predictions, of_model), _NEWEST_FIRST, 1, source=["id"])
                newest = next(found, None)
        prediction = "" if newest is None else shape.text(newest["_source"].get("id"))
        return Strangers(len(ids), len(strange), strange[0] if strange else "", prediction)

    # -- results ------------------------------------------------------------------------------------------------
    def save_result(self, result: CheckResult) -> None:
        """Store or replace the result under its id, in whichever backing index has it."""
        document = result.to_document()
        its_id = _result_id(result.id)
        with self._asking():
            there = next(self._by_ids([its_id], index=Alias.RESULTS, source=False), None)
            index = Alias.RESULTS if there is None else there["_index"]
            found = {**document, "flagged": _flagged(result)}
            self._client.index(index=index, id=its_id, document=found, refresh=True)
            if not result.on_demand:
                self._save_latest(result, document)

    def _save_latest(self, result: CheckResult, document: Mapping[str, Any]) -> None:
        its_id = f"latest~{_digest(result.model, result.version, result.check)}"
        kept = {"kind": "latest", "end": document["end"], "result": document}
        for _ in range(_ATTEMPTS):
            there = self._state(its_id)
            if there is None:
                condition: dict[str, Any] = {"op_type": "create"}
            else:
                if datetime.fromisoformat(there["_source"]["end"]) > result.end:
                    return
                condition = _unchanged(there)
            with contextlib.suppress(ConflictError):
                self._client.index(index=STATE_INDEX, id=its_id, document=kept, refresh=True, **condition)
                return
        raise StoreUnavailableError(f"{self._name}: {STATE_INDEX}/{its_id} is being written by several; try again")

    def result(self, result_id: str) -> CheckResult | None:
        """One result by id."""
        with self._asking():
            hit = next(self._by_ids([_result_id(result_id)], index=Alias.RESULTS, source=True), None)
        return None if hit is None else CheckResult.from_document(hit["_source"])

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
        query = _all_of(
            {"range": {"end": {"gte": shape.rfc3339(span.start), "lte": shape.rfc3339(span.end)}}},
            _term("model", model),
            _term("version", version),
            _term("check", check),
            _term("status", status),
        )
        position = cursor.decode(after, 2)
        with self._asking(), _cursors(after):
            sort = [{"end": "desc"}, {"id": "desc"}]
            hits = list(self._hits(Alias.RESULTS, query, sort, limit + 1, position))
        items = [CheckResult.from_document(hit["_source"]) for hit in hits[:limit]]
        return Page(items, cursor.encode(hits[limit - 1]["sort"]) if len(hits) > limit else None)

    def latest_results(self) -> list[CheckResult]:
        """The newest scheduled result of every (model, version, check)."""
        with self._asking():
            hits = list(self._hits(STATE_INDEX, {"term": {"kind": "latest"}}, [{"_seq_no": "asc"}]))
        results = [CheckResult.from_document(hit["_source"]["result"]) for hit in hits]
        return sorted(results, key=lambda result: (result.model, result.version, result.check))

    # -- agents -------------------------------------------------------------------------------------------------
    def heartbeats(self) -> list[Heartbeat]:
        """The latest heartbeat of every host, ordered by host."""
        with self._asking():
            answer = self._search(
                Alias.LOGS,
                query={"term": {"kind": "heartbeat"}},
                collapse={"field": "host.name"},
                sort=_NEWEST_FIRST,
                size=_MOST_HOSTS,
            )
        return sorted((heartbeat_of(hit["_source"]) for hit in answer["hits"]["hits"]), key=lambda beat: beat.host)

    # -- coordination and upkeep --------------------------------------------------------------------------------
    def acquire_lease(self, name: str, holder: str, ttl: timedelta, now: datetime) -> bool:
        """Take or renew the lease; False while another holder's has not run out, or when another was quicker."""
        lease = {"kind": "lease", "holder": holder, "until": shape.rfc3339(now + ttl)}
        with self._asking():
            there = self._state(f"lease~{name}")
            if there is None:
                condition: dict[str, Any] = {"op_type": "create"}
            else:
                held = there["_source"]
                if held["holder"] != holder and datetime.fromisoformat(held["until"]) > now:
                    return False
                condition = _unchanged(there)
            try:
                self._client.index(index=STATE_INDEX, id=f"lease~{name}", document=lease, **condition)
            except ConflictError:
                return False
        return True

    def release_lease(self, name: str, holder: str) -> None:
        """Give the lease up if this holder has it."""
        with self._asking():
            there = self._state(f"lease~{name}")
            if there is not None and there["_source"]["holder"] == holder:
                # A conflict means that somebody else has it by now.
                with contextlib.suppress(ConflictError, NotFoundError):
                    self._client.delete(index=STATE_INDEX, id=f"lease~{name}", **_unchanged(there))

    def roll_over(self, *, max_documents: int, max_age: timedelta, now: datetime) -> list[str]:
        """Start new backing indices where a bound is exceeded; `now` is the server's."""
        conditions = {"max_docs": max_documents, "max_age": f"{int(max_age.total_seconds())}s"}
        made = []
        with self._asking():
            for alias in Alias:
                answer = self._client.indices.rollover(alias=alias, conditions=conditions)
                if answer["rolled_over"]:
                    made.append(answer["new_index"])
        return made

    def retain(self, keep: Mapping[Alias, timedelta], now: datetime) -> int:
        """Delete whole backing indices whose newest document is too old, never the one that is written to."""
        gone = 0
        with self._asking():
            for alias, age in keep.items():
                for index, writes in self._behind(alias).items():
                    if not writes and self._newest(index) < now - age:
                        self._client.indices.delete(index=index)
                        gone += 1
                if alias is Alias.RESULTS:
                    old = _all_of({"term": {"kind": "latest"}}, {"range": {"end": {"lt": shape.rfc3339(now - age)}}})
                    self._delete(self._hits(STATE_INDEX, old, [{"_seq_no": "asc"}], source=False))
        return gone

    def _newest(self, index: str) -> datetime:
        newest = self._search(index, size=0, aggs={"newest": {"max": {"field": "@timestamp"}}})
        value = newest["aggregations"]["newest"]["value"]
        return shape.EPOCH if value is None else _from_millis(value)

    # -- asking the server --------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except ApiError as error:
            status = error.meta.status
            if status == 400:
                raise  # what was asked is wrong, not the server
            raise StoreUnavailableError(f"{self._name}: {_reason(error)} ({status}); {_advice(status)}") from error
        except SerializationError:
            raise
        except TransportError as error:
            advice = "see whether it runs, and whether its address and ca_file are right"
            raise StoreUnavailableError(f"{self._name} does not answer: {error.message}; {advice}") from error

    def _search(self, index: str, **body: Any) -> Any:
        return self._client.search(index=index, **body)

    def _hits(
        self,
        index: str,
        query: _Query,
        sort: Sequence[Mapping[str, str]],
        limit: int | None = None,
        after: Sequence[Any] | None = None,
        **options: Any,
    ) -> Iterator[Any]:
        """Every hit in the sort's order, or the first `limit`, a page at a time."""
        left = math.inf if limit is None else limit
        position = after
        while left > 0:
            size = int(min(left, _PAGE))
            if position is not None:
                options["search_after"] = position
            answer = self._search(index, query=query, sort=sort, size=size, track_total_hits=False, **options)
            hits = answer["hits"]["hits"]
            yield from hits
            left -= len(hits)
            if len(hits) < size:
                return
            position = hits[-1]["sort"]

    def _by_ids(self, ids: Sequence[str], *, index: str, source: Any) -> Iterator[Any]:
        """The hits with these ids; an id may be in two backing indices."""
        for chunk in _chunks(ids, _PAGE):
            # Every id at most twice: once before a rollover, once after.
            yield from self._hits(
                index, {"ids": {"values": list(chunk)}}, [{"_index": "asc"}, {"_seq_no": "asc"}], source=source
            )

    def _composite(
        self, index: str, fields: Sequence[str], aggregations: Mapping[str, Any]
    ) -> Iterator[Mapping[str, Any]]:
        composite: dict[str, Any] = {
            "size": 1_000,
            "sources": [{field: {"terms": {"field": field}}} for field in fields],
        }
        while True:
            answer = self._search(index, size=0, aggs={"all": {"composite": composite, "aggs": aggregations}})
            yield from answer["aggregations"]["all"]["buckets"]
            if "after_key" not in answer["aggregations"]["all"]:
                return
            composite["after"] = answer["aggregations"]["all"]["after_key"]

    def _behind(self, alias: Alias) -> dict[str, bool]:
        """The backing indices of an alias, oldest first, and whether each is the one that is written to."""
        answer = self._client.indices.get_alias(name=alias)
        return {
            index: bool(answer[index]["aliases"][alias].get("is_write_index", len(answer.body) == 1))
            for index in sorted(answer.body)
        }

    def _state(self, its_id: str) -> Any | None:
        try:
            return self._client.get(index=STATE_INDEX, id=its_id)
        except NotFoundError as error:
            if error.error == "index_not_found_exception":
                raise
            return None

    def _delete(self, hits: Iterator[Any]) -> None:
        operations = [{"delete": {"_index": hit["_index"], "_id": hit["_id"]}} for hit in hits]
        if operations:
            self._bulk(operations)

    def _bulk(self, operations: Sequence[Any]) -> None:
        answer = self._client.bulk(operations=operations, refresh=True)
        for item in answer["items"]:
            (outcome,) = item.values()
            if outcome["status"] not in (200, 201, 404):
                reason = outcome["error"]["reason"]
                raise StoreUnavailableError(
                    f"{self._name}: {outcome['_index']}: {reason} ({outcome['status']}); {_advice(outcome['status'])}"
                )


_ORIGINAL: Final = {"bool": {"must_not": {"exists": {"field": "covers"}}}}

_COUNTED: Final = {"bool": {"should": [_ORIGINAL, {"term": {"superseding": True}}]}}
"""Parts whose rows are to be added up: those that came from agents, and roll-ups in whose favour such were deleted."""

_LAST: Final = {
    "filter": _ORIGINAL,
    "aggs": {
        "lengths": {
            "terms": {"field": "window.seconds", "size": 1_000},
            "aggs": {"start": {"max": {"field": "@timestamp"}}},
        }
    },
}
"""The latest start of each length of window, of parts that came from agents."""


def _last_end(bucket: Mapping[str, Any]) -> datetime | None:
    ends = [
        _from_millis(length["start"]["value"]) + timedelta(seconds=int(length["key"]))
        for length in bucket["last"]["lengths"]["buckets"]
        if length["start"]["value"] is not None
    ]
    if bucket["until"]["value"] is not None:
        ends.append(_from_millis(bucket["until"]["value"]))
    return max(ends, default=None)


def _part_of_fields(its_id: str, fields: Mapping[str, Sequence[Any]]) -> Part | None:
    """The part as its doc values have it; None when those are not enough."""
    try:
        seconds = int(fields["window.seconds"][0])
        until = fields.get("until")
        return Part(
            id=its_id,
            host=fields["host.name"][0],
            model=fields["model"][0],
            version=fields["version"][0],
            segment=orjson.loads(fields["segment_key"][0]),
            start=_from_millis(fields["@timestamp"][0]),
            seconds=seconds,
            rows=int(fields["rows"][0]),
            covers=tuple(fields.get("covers", ())),
            until=None if until is None else _from_millis(until[0]),
        )
    except (KeyError, IndexError, ValueError):
        return None


def _part_of_source(its_id: str, source: Mapping[str, Any]) -> Part | None:
    """The part as its document has it; None for a document that is no profile."""
    try:
        until = source.get("until")
        return Part(
            id=its_id,
            host=shape.text(source["host"]["name"]),
            model=shape.text(source["model"]),
            version=shape.text(source["version"]),
            segment=shape.segment(source),
            start=shape.moment(source["@timestamp"]),
            seconds=int(source["window"]["seconds"]),
            rows=int(source["rows"]),
            covers=tuple(source.get("covers") or ()),
            until=None if until is None else shape.moment(until, "until"),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _labelled(predictions: Mapping[str, Mapping[str, Any]], actuals: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    answers = [shape.answer(source.get("prediction")) for source in predictions.values()]
    labels = [shape.answer(actuals[its_id].get("actual")) if its_id in actuals else None for its_id in predictions]
    return {
        "timestamp": np.array(
            [shape.microseconds(shape.moment(source["@timestamp"])) for source in predictions.values()],
            dtype=np.float64,
        )
        / 1e6,
        "version": [shape.text(source.get("version")) for source in predictions.values()],
        "segment": [shape.segment(source) for source in predictions.values()],
        "predicted_value": _floats([value for value, _ in answers]),
        "predicted_label": [label or "" for _, label in answers],
        "probabilities": [shape.probabilities(source.get("prediction")) for source in predictions.values()],
        "labelled": np.array([label is not None for label in labels], dtype=np.bool_),
        "actual_value": _floats([None if label is None else label[0] for label in labels]),
        "actual_label": ["" if label is None else label[1] or "" for label in labels],
    }


def _with_totals(columns: Mapping[str, Any], total: int, total_labelled: int) -> Labelled:
    return Labelled(**columns, total=total, total_labelled=total_labelled)


def _floats(values: Sequence[float | None]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _flagged(result: CheckResult) -> dict[str, Any]:
    """What is not well in the result, in a form that can be counted by."""
    flagged = [finding for finding in result.findings if finding.status in (Status.WARNING, Status.CRITICAL)]
    return {
        "subjects": sorted({finding.subject for finding in flagged}),
        "tests": sorted({finding.test for finding in flagged}),
        "count": len(flagged),
    }


def _predictions(span: Span, model: str, version: str | None = None) -> _Query:
    return _all_of(
        _term("version", version),
        _within("@timestamp", span),
        {"term": {"kind": "prediction"}},
        {"term": {"model": model}},
        {"exists": {"field": "id"}},
    )


def _sample(query: _Query, share: float) -> tuple[_Query, dict[str, Any]]:
    """The query for about this share of its documents, chosen by a hash of their id: always the same ones."""
    # A little less, since the number that is drawn varies, and more than was asked for is cut off at one end.
    margin = 0.97
    drawn = {
        "function_score": {
            "query": query,
            "random_score": {"seed": _SAMPLING_SEED, "field": "id"},
            "boost_mode": "replace",
        }
    }
    return drawn, {"min_score": 1.0 - share * margin}


def _all_of(*conditions: _Query | None) -> _Query:
    return {"bool": {"filter": [condition for condition in conditions if condition is not None]}}


def _term(field: str, value: str | None) -> _Query | None:
    return None if value is None else {"term": {field: str(value)}}


def _within(field: str, span: Span) -> _Query:
    return {"range": {field: {"gte": shape.rfc3339(span.start), "lt": shape.rfc3339(span.end)}}}


@contextlib.contextmanager
def _cursors(after: str | None) -> Iterator[None]:
    """A cursor of the right length that the server cannot use is no cursor either."""
    try:
        yield
    except ApiError as error:
        if after is not None and error.meta.status == 400:
            raise ValueError(f'"{after:.60}" is no cursor; take it from the page before, or leave it out') from error
        raise


def _from_millis(value: float | str) -> datetime:
    return shape.EPOCH + timedelta(milliseconds=round(float(value)))


def _unchanged(there: Any) -> dict[str, Any]:
    return {"if_seq_no": there["_seq_no"], "if_primary_term": there["_primary_term"]}


def _result_id(result_id: str) -> str:
    """The result's id, or a digest of one that is longer than an id may be."""
    if len(result_id.encode("utf-8", "surrogatepass")) <= shape.MAX_ID_BYTES:
        return result_id
    return _digest(result_id)


def _digest(*names: str) -> str:
    return blake2b("\0".join(names).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _bulk_chunks(numbers: Sequence[int], bodies: Mapping[int, bytes]) -> Iterator[list[int]]:
    chunk: list[int] = []
    size = 0
    for number in numbers:
        if chunk and (len(chunk) == _BULK_DOCUMENTS or size + len(bodies[number]) > _BULK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(number)
        size += len(bodies[number])
    if chunk:
        yield chunk


def _chunks(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def _reason(error: ApiError) -> str:
    try:
        return str(error.body["error"]["reason"])
    except (KeyError, TypeError, IndexError):
        return str(error.message)


def _advice(status: int) -> str:
    if status == 401:
        return "check store.username and its password file, or the API key"
    if status == 403:
        return "the user lacks a privilege: all on modelward-*, manage_index_templates and monitor on the cluster"
    if status == 404:
        return "start the collector, which sets it up, or restore a snapshot"
    if status == 429:
        return "it is overloaded, or a disk is over its flood-stage watermark; look at its logs"
    return "look at its logs and at _cluster/health"
