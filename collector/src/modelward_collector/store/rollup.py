"""Merges minutes of profiles into hours and hours into days, and deletes what has long been merged.

A roll-up is written as soon as its hour (or day) is over, so it is first a cache: readers take it instead of its
minutes, which stay for windows that begin within the hour. Later the minutes go and it is the record. Every step can
be cut short, or done twice, without any answer changing; what was left undone is done by the next run.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from modelward_agent.profile import Profile, ProfileFormatError, ProfileKey, Segment, from_bytes
from modelward_agent.profile.wire import to_document
from modelward_collector.span import Span
from modelward_collector.store.covering import closures, selected
from modelward_collector.store.protocol import Alias, Document, Outcome, Part, Store
from modelward_collector.store.shape import EPOCH, rfc3339
from modelward_collector.store.windows import segment_of

logger = logging.getLogger(__name__)

HOUR: Final = 3_600
DAY: Final = 86_400

GRACE: Final = timedelta(minutes=5)
"""How long after its end an hour or a day is merged, so that what is still on its way is in it."""

_DOCUMENTS_AT_A_TIME: Final = 50

_Bucket = tuple[str, str, Segment, int]
"""Host, version, segment, and the start in seconds since 1970: what is merged into one part."""


@dataclass(frozen=True, slots=True)
class RolledUp:
    """What one run did: parts written, and parts deleted since those cover them."""

    written: int = 0
    deleted: int = 0

    def __add__(self, other: RolledUp) -> RolledUp:
        return RolledUp(self.written + other.written, self.deleted + other.deleted)


def roll_up(
    store: Store,
    model: str,
    now: datetime,
    *,
    minutes_for: timedelta = timedelta(hours=6),
    hours_for: timedelta = timedelta(days=30),
    hours_since: datetime | None = None,
    since: datetime = EPOCH,
) -> RolledUp:
    """Merge the model's closed hours and days, then delete what they have covered for long enough.

    Parts finer than an hour stay for `minutes_for` after the end of what covers them, parts finer than a day for
    `hours_for`, and those of days that end after `hours_since` however old they are. Only parts from `since` on are
    looked at. A part that comes late is one more part; several late ones of an hour become a further hour part. Parts
    whose profile cannot be read stay as they are.
    """
    span = Span(since, now)
    parts = store.parts(span, model=model)
    written = 0
    for seconds in (HOUR, DAY):
        made = _merge_closed(store, model, parts, seconds, now)
        if made:
            written += made
            parts = store.parts(span, model=model)
    gone = list(_superseded(parts, now, minutes_for, hours_for, hours_since or now))
    if gone:
        store.delete_parts(gone)
    return RolledUp(written, len(gone))


def _merge_closed(store: Store, model: str, parts: Sequence[Part], seconds: int, now: datetime) -> int:
    members = closures({part.id: part for part in parts})
    waiting: list[Document] = []
    written = 0
    for bucket, group in _closed(selected(parts), seconds, now):
        document = _rolled_up(store, model, bucket, group, seconds, members)
        if document is not None:
            waiting.append(document)
            written += 1
        if len(waiting) == _DOCUMENTS_AT_A_TIME:
            _create(store, waiting)
            waiting = []
    _create(store, waiting)
    return written


def _closed(parts: Iterable[Part], seconds: int, now: datetime) -> Iterator[tuple[_Bucket, list[Part]]]:
    """The finer parts within one hour or day that is over; one alone too, so that in the end only days are left."""
    groups: dict[_Bucket, list[Part]] = {}
    for part in parts:
        end = _bucket_end(part, seconds)
        if part.seconds < seconds and part.start + timedelta(seconds=part.seconds) <= end and end + GRACE <= now:
            first = int(end.timestamp()) - seconds
            groups.setdefault((part.host, part.version, segment_of(part), first), []).append(part)
    for bucket in sorted(groups):
        yield bucket, groups[bucket]


def _rolled_up(
    store: Store,
    model: str,
    bucket: _Bucket,
    group: Sequence[Part],
    seconds: int,
    members: dict[str, frozenset[str]],
) -> Document | None:
    host, version, segment, start = bucket
    ends = {part.id: part.end for part in group}
    total = Profile()
    covers: set[str] = set()
    merged: set[str] = set()
    for its_id, content in store.payloads([part.id for part in group]):
        if its_id in merged:
            continue
        try:
            profile = from_bytes(content)
        except ProfileFormatError as error:
            logger.debug("profile %s is not rolled up: %s", its_id, error)
            continue
        total.merge(profile)
        merged.add(its_id)
        # All levels at once: when the hour is deleted, a minute that is delivered again must still be covered.
        covers |= {its_id} | members.get(its_id, frozenset())
    if not merged:
        return None
    ordered = sorted(covers)
    part_id = hashlib.blake2b("\n".join([model, str(seconds), *ordered]).encode(), digest_size=16).hexdigest()
    key = ProfileKey(host, model, version, segment, start, seconds)
    document = to_document(key, total, part=part_id, covers=ordered)
    document["until"] = rfc3339(max(ends[its_id] for its_id in merged))
    return Document(Alias.PROFILES, part_id, document)


def _create(store: Store, documents: Sequence[Document]) -> None:
    for document, created in zip(documents, store.create(documents) if documents else [], strict=True):
        if created.outcome is Outcome.REJECTED:
            # Nothing is lost: what it covers stays, since only what a stored part covers is ever deleted.
            logger.error("roll-up %s of %s was rejected: %s", document.id, document.source["model"], created.reason)


def _superseded(
    parts: Sequence[Part], now: datetime, minutes_for: timedelta, hours_for: timedelta, hours_since: datetime
) -> Iterator[str]:
    """Ids of stored parts that are covered by one that readers take, and that nobody needs apart any more."""
    known = {part.id: part for part in parts}
    members = closures(known)
    for part in selected(parts):
        for its_id in sorted(members.get(part.id, frozenset()) & known.keys()):
            covered = known[its_id]
            level, keep = (HOUR, minutes_for) if covered.seconds < HOUR else (DAY, hours_for)
            # By the end of the whole hour or day, so that all that one part covers goes at once.
            end = _bucket_end(covered, level)
            if end + keep <= now and (level == HOUR or end <= hours_since):
                yield its_id


def _bucket_end(part: Part, seconds: int) -> datetime:
    return EPOCH + timedelta(seconds=int(part.start.timestamp()) // seconds * seconds + seconds)
