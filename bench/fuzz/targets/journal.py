"""A journal: the bytes are a file's, line by line."""

from __future__ import annotations

import re
from collections.abc import Sequence

import orjson

from modelward_agent.config import Events
from modelward_agent.journal.parse import Malformed, Record
from modelward_agent.journal.source import Entries, JournalSource
from modelward_agent.profile import FeatureProfile, Profile, from_bytes, merged, to_bytes
from modelward_agent.profile.fold import Folder
from modelward_agent.ship.documents import LOGS, Documents
from modelward_agent.told import BusinessSeries, StageSeries
from modelward_collector.store.protocol import Alias, Document
from modelward_collector.store.shape import check

_REASON = re.compile(r"[a-z_0-9]+(?::@?[a-z_]+)?")


def journal(data: bytes) -> None:
    """No bytes raise, every line is answered, and what is a record is folded, shipped and stored."""
    entries = JournalSource().entries(data, final=True)
    assert entries.consumed == len(data)
    assert len(entries.offsets) == len(entries.records)
    for malformed in entries.records:
        if isinstance(malformed, Malformed):
            assert _REASON.fullmatch(malformed.reason), malformed
    records = [record for record in entries.records if isinstance(record, Record)]
    at_once, one_by_one = _folded(records, len(records)), _folded(records, 1)
    assert counts(at_once) == counts(one_by_one)
    shipped(entries)


def _folded(records: Sequence[Record], size: int) -> Profile:
    folder, business, stages = Folder("host"), BusinessSeries(), StageSeries()
    for start in range(0, len(records), max(1, size)):
        tally = folder.fold(records[start : start + max(1, size)])
        business.add(tally.business, lambda version: version)
        stages.add(tally.stages)
    assert all(family.name for family in [*business.collect(), *stages.collect()])
    profiles = [profile for _, profile in folder.take()]
    for profile in profiles:
        assert counts(from_bytes(to_bytes(profile))) == counts(profile)
    return merged(profiles)


def counts(profile: Profile) -> object:
    """Everything in a profile that is exact, in a form to compare."""
    sides = (profile.features, profile.outputs)
    return (
        (profile.rows, profile.errors, profile.actuals, profile.beyond),
        [{name: _counts(feature) for name, feature in side.items()} for side in sides],
    )


def _counts(feature: FeatureProfile) -> object:
    numeric, vector = feature.numeric, feature.vector
    return (
        [getattr(feature, name) for name in FeatureProfile.COUNTS],
        None if numeric is None else (numeric.n, numeric.minimum, numeric.maximum, numeric.zeros, numeric.kll.n),
        None if feature.categorical is None else feature.categorical.n,
        feature.text and feature.text.n,
        feature.vectors if vector is not None else None,
    )


def shipped(entries: Entries) -> None:
    """Of every record a document can be made, which the store takes."""

    def refused(event_id: str, error: Exception) -> None:
        raise AssertionError(f"no document of {event_id}: {error!r}") from error

    found = list(zip(entries.offsets, entries.records, strict=True))
    items = Documents("host", Events(), refused).items("key", found)
    assert len(items) == sum(isinstance(record, Record) for record in entries.records)
    for item in items:
        check(Document(Alias.LOGS if item.alias == LOGS else Alias.EVENTS, item.id, orjson.loads(item.body)))
