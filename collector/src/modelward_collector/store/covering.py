"""Which of the stored parts stand for the traffic of a span, each row once.

A rolled-up part *covers* the parts it was merged from, whether those are still stored or not. So of every row exactly
one listed part is to be read: the largest roll-up that has it, or the part itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from modelward_collector.store.protocol import Part


def selected(parts: Iterable[Part]) -> list[Part]:
    """The parts to merge, ordered by start and id: none is covered by another, and no two share a row.

    Two roll-ups that overlap (which two collectors at work at once could make) are never merged both: the larger one
    stands, and what only the other covers is taken from the parts themselves.
    """
    known = {part.id: part for part in parts}
    members = closures(known)
    covered: set[str] = set()
    chosen: list[Part] = []
    for part in sorted(_rolled_up(known), key=lambda part: (-len(members[part.id]), part.id)):
        if part.id not in covered and covered.isdisjoint(members[part.id]):
            chosen.append(part)
            covered |= members[part.id]
    chosen += [part for part in known.values() if not part.covers and part.id not in covered]
    return sorted(chosen, key=lambda part: (part.start, part.id))


def no_longer_than(parts: Sequence[Part], seconds: int) -> list[Part]:
    """The parts without those roll-ups of a longer window that finer parts can stand for."""
    known = {part.id: part for part in parts}
    members = closures(known)
    kept = dict(known)
    for part in sorted(_rolled_up(known), key=lambda part: -part.seconds):
        if part.seconds > seconds:
            finer = [other for other in kept.values() if other.seconds < part.seconds]
            there = {other.id for other in finer}.union(*(members[other.id] for other in finer if other.covers))
            if members[part.id] <= there:
                del kept[part.id]
    return list(kept.values())


def closures(known: Mapping[str, Part]) -> dict[str, frozenset[str]]:
    """For every roll-up the ids of all it was merged from, through however many levels."""
    found: dict[str, frozenset[str]] = {}
    # A roll-up is longer than what it covers, so the finer ones come first.
    for part in sorted(_rolled_up(known), key=lambda part: part.seconds):
        direct = set(part.covers)
        found[part.id] = frozenset(direct.union(*(found[its_id] for its_id in direct & found.keys())))
    return found


def _rolled_up(known: Mapping[str, Part]) -> list[Part]:
    return [part for part in known.values() if part.covers]
