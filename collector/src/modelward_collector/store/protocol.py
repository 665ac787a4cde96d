"""The `Store` contract: what the collector keeps and asks for. SQLite and Elasticsearch both implement it.

All moments are aware UTC datetimes, spans are half open `[start, end)`. Every method may raise `StoreUnavailableError`.
Methods are synchronous and may be called from several threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from modelward_collector.checks.result import CheckKind, CheckResult, Status
from modelward_collector.span import Span

T = TypeVar("T")


class StoreUnavailableError(Exception):
    """The store did not answer; the message names the store and what to look at."""


class Alias(StrEnum):
    """The kinds of documents, each behind its own alias."""

    EVENTS = "modelward-events"
    LOGS = "modelward-logs"
    PROFILES = "modelward-profiles"
    RESULTS = "modelward-results"
    INCIDENTS = "modelward-incidents"
    AUDIT = "modelward-audit"


class Health(StrEnum):
    """How well the store has what it was given: all of it twice or as often as asked, all of it, or not all of it."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Document:
    """What is created once under an id; `source` is a JSON object with `@timestamp`."""

    alias: Alias
    id: str
    source: Mapping[str, Any]


class Outcome(StrEnum):
    """What became of one document of a `create`."""

    CREATED = "created"
    CONFLICT = "conflict"  # the id exists: delivered before
    REJECTED = "rejected"  # the document can never be stored


@dataclass(frozen=True, slots=True)
class Created:
    """The outcome of one document, with the reason of a rejection."""

    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A stored profile without its payload; `seconds` is the window's length, `covers` the ids merged into it.

    Of a roll-up, `until` is when the last window that was merged into it ended; `end` is the one or the other.
    """

    id: str
    host: str
    model: str
    version: str
    segment: Mapping[str, str]
    start: datetime
    seconds: int
    rows: int
    covers: tuple[str, ...] = ()
    until: datetime | None = None

    @property
    def end(self) -> datetime:
        """When the traffic in it ended, as far as is known."""
        return self.until or self.start + timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class SeenModel:
    """A model version that profiles were received of, configured or not."""

    model: str
    version: str
    first_seen: datetime
    last_seen: datetime
    rows: int


def with_traffic(seen: Iterable[SeenModel]) -> list[SeenModel]:
    """Without versions that only labels (or errors) name, unless the model has no other: they were never served."""
    known = list(seen)
    served = {one.model for one in known if one.rows}
    return [one for one in known if one.rows or one.model not in served]


@dataclass(frozen=True, slots=True)
class Labelled:
    """Predictions of a span, with their actuals where those are in; columns of equal length `n`.

    Predictions are those *made* in the span; the last actual for an id wins, a repeated prediction id counts once.
    `predicted_value` is NaN for labels, `predicted_label` is "" for numbers; likewise the actuals. `labelled` is False
    where no actual has come. `probabilities` holds {class: p} or None. When more than the limit exist, a deterministic
    sample by id is returned and `total` says how many there are; `total_labelled` may then be the sample's share of it.
    """

    timestamp: NDArray[np.float64]  # epoch seconds
    version: list[str]
    segment: list[Mapping[str, str]]
    predicted_value: NDArray[np.float64]
    predicted_label: list[str]
    probabilities: list[Mapping[str, float] | None]
    labelled: NDArray[np.bool_]
    actual_value: NDArray[np.float64]
    actual_label: list[str]
    total: int
    total_labelled: int


@dataclass(frozen=True, slots=True)
class Sampled:
    """Predictions beside what was asked: `features` holds each row's, in the order of `labelled`'s columns.

    Without embeddings; {} where the row's features are not kept.
    """

    labelled: Labelled
    features: list[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Strangers:
    """Of the newest labels that were looked at, how many have an id that no prediction has.

    `label` is such an id, `prediction` one that a prediction has, to compare; "" for none.
    """

    looked: int
    without: int
    label: str = ""
    prediction: str = ""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The latest sign of life of one agent."""

    host: str
    at: datetime
    version: str
    lag_bytes: int
    shipped: int
    dropped: int
    quarantined: int
    spooled: int
    last_error: str


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a listing; `after` is the opaque cursor of the next, None at the end."""

    items: Sequence[T]
    after: str | None


class Store(Protocol):
    """Where everything is kept. See the module's docstring for what holds for all methods."""

    def setup(self) -> None:
        """Create tables, templates, indices and aliases; changes nothing the second time."""

    def ping(self) -> None:
        """Raise `StoreUnavailableError` unless the store can read and write."""

    def health(self) -> Health:
        """How it is, answered within seconds; `StoreUnavailableError` when it does not answer in that time."""

    def close(self) -> None:
        """Release connections; idempotent."""

    # -- documents ----------------------------------------------------------------------------------------------
    def create(self, documents: Sequence[Document]) -> list[Created]:
        """Create each under its id, answering one by one in order; an acknowledged document survives `kill -9`."""

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
        """Documents of events or logs, newest first, with their `_id`; `text` matches `message`."""

    # -- profiles -----------------------------------------------------------------------------------------------
    def parts(self, span: Span, *, model: str, version: str | None = None) -> list[Part]:
        """Every stored part whose whole window lies in the span, covered ones too, ordered by start and id."""

    def payloads(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """The profiles' bytes (the wire form, decoded from base64), in no order; missing ids are left out."""

    def delete_parts(self, ids: Sequence[str]) -> None:
        """Delete parts that a stored roll-up covers."""

    def seen_models(self) -> list[SeenModel]:
        """Every model version that made predictions, ordered by model and version; see `with_traffic`."""

    def watermark(self) -> datetime | None:
        """The start of the latest profile window of any model: what came before it is complete. None without one."""

    # -- labels -------------------------------------------------------------------------------------------------
    def labelled(self, span: Span, *, model: str, limit: int = 200_000) -> Labelled:
        """Predictions made in the span joined with their actuals by id, however late those came."""

    def sampled(self, span: Span, *, model: str, version: str | None = None, limit: int = 20_000) -> Sampled:
        """Predictions made in the span with their features and, where those are in, their actuals; see `Labelled`."""

    def duplicate_ids(self, span: Span, *, model: str) -> int:
        """How many predictions of the span repeat the id of another one."""

    def strangers(self, span: Span, *, model: str, limit: int = 1_000) -> Strangers:
        """Whether the newest labels that came in the span find their predictions, whenever those were made."""

    # -- results ------------------------------------------------------------------------------------------------
    def save_result(self, result: CheckResult) -> None:
        """Store or replace the result under its id."""

    def result(self, result_id: str) -> CheckResult | None:
        """One result by id."""

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

    def latest_results(self) -> list[CheckResult]:
        """The newest scheduled result of every (model, version, check)."""

    # -- agents -------------------------------------------------------------------------------------------------
    def heartbeats(self) -> list[Heartbeat]:
        """The latest heartbeat of every host, ordered by host."""

    # -- coordination and upkeep --------------------------------------------------------------------------------
    def acquire_lease(self, name: str, holder: str, ttl: timedelta, now: datetime) -> bool:
        """Take or renew the lease; False while another holder's has not run out. Atomic between collectors."""

    def release_lease(self, name: str, holder: str) -> None:
        """Give the lease up if this holder has it."""

    def roll_over(self, *, max_documents: int, max_age: timedelta, now: datetime) -> list[str]:
        """Start new backing indices where a bound is exceeded; names of the new ones (none in SQLite)."""

    def retain(self, keep: Mapping[Alias, timedelta], now: datetime) -> int:
        """Delete what is older than its alias's time (whole indices, or rows); how many documents or indices went."""
