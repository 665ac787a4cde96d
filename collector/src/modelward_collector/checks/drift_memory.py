"""What a drift check remembers from one run to the next: what drifts, since when, and what its reference leaves out.

A drift is an *episode* of one subject (a feature, an output, how features move together). It begins when the state
becomes drift, and ends when a window of its own shows that it is over, or when somebody accepts it. An episode's time
is in no rolling reference, so that what drifts does not become normal by itself. The memory is part of each result, so
that it is where the results are: a restart, or another collector, goes on from the newest one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from modelward_collector.checks.acceptance import Acceptance, AcceptanceKind
from modelward_collector.checks.result import CheckResult
from modelward_collector.checks.window import JOINT
from modelward_collector.span import Span

DAY: Final = timedelta(days=1)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

BACK_TO_NORMAL: Final = 0.5
"""An episode is over when a window that would have shown it shows less than this share of its effect."""

NEWEST: Final = 0.2
"""What the newest window counts in an episode's effect."""

CALM_ROWS: Final = 2
"""So many times the rows that would show it must several windows have that show little of it one after the other, or
one window when longer ones show it still."""

FORMAT: Final = 1

ADOPTED_BY: Final = "checks.drift.adopt_after"
"""Who accepted what nobody did."""


class Shape(StrEnum):
    """How a subject left what is normal."""

    STEP = "step"
    CREEP = "creep"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at a subject found: its window, whether it drifts, by how much, and with how many rows it would.

    `since` is when the change began as far as that is known, `rows_needed` None when no number of rows would show it.
    `sure` is when chance is out of the question. `measure` is what `effect` is of (a test's name; "" for all there is),
    `effects` are those of each, and `much` the measures that are far off for a day, though not so far that it drifts.
    """

    span: Span
    drifts: bool
    effect: float
    rows: int
    rows_needed: int | None = None
    since: datetime | None = None
    shape: Shape = Shape.STEP
    sure: bool = False
    measure: str = ""
    effects: Mapping[str, float] = field(default_factory=dict)
    much: frozenset[str] = frozenset()

    def effect_of(self, measure: str) -> float:
        """The effect in that measure; that of what stands out most where it is not known apart."""
        return self.effects.get(measure, self.effect)


@dataclass(frozen=True, slots=True)
class Episode:
    """One drift of one subject: out of the reference from `start` to `end` (None: it goes on).

    `said` is when it was first said and `seen` when it was seen last; `effect` (of `measure`) and `rows_needed` are of
    the shortest `length` at which it shows, over its newest windows, of which the last ended at `measured`. One that is
    not `sure` is one window's, until the next shows it too; `beyond_chance` is whether a window alone was. `calm` are
    rows that showed little of it from `calm_since` to `calm_until`. `accepted` names the acceptance that ended it.
    """

    start: datetime
    said: datetime
    seen: datetime
    length: timedelta
    effect: float
    rows_needed: int
    shape: Shape = Shape.STEP
    end: datetime | None = None
    sure: bool = True
    beyond_chance: bool = True
    calm: int = 0
    calm_since: datetime | None = None
    calm_until: datetime | None = None
    accepted: str = ""
    measure: str = ""
    measured: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether it goes on."""
        return self.end is None

    @property
    def tells(self) -> bool:
        """Whether its time is not normal: it goes on, lasted for a day, or was beyond chance.

        What was over within hours and may be chance is as odd windows are, which a reference copes with: a young one
        without them would keep to what it began with, and find the same again and again.
        """
        return self.end is None or (self.sure and (self.beyond_chance or self.end - self.start >= DAY))

    def covers(self, span: Span) -> bool:
        """Whether any of the span is in it."""
        return span.end > self.start and (self.end is None or span.start < self.end)


@dataclass(frozen=True, slots=True)
class Memory:
    """Episodes by subject (`subject_key`), in time order, and days that were taken for days of another kind."""

    episodes: Mapping[str, tuple[Episode, ...]] = field(default_factory=dict)
    unusual: tuple[datetime, ...] = ()

    def open(self, key: str) -> Episode | None:
        """The episode that goes on, if one does."""
        mine = self.episodes.get(key, ())
        return mine[-1] if mine and mine[-1].open else None

    def open_keys(self) -> list[str]:
        """All subjects of which one goes on."""
        return [key for key in self.episodes if self.open(key) is not None]

    def left_out(
        self, accepted: Sequence[Acceptance], version: str, keys: Iterable[str]
    ) -> dict[str, tuple[Span, ...]]:
        """What is in no reference, by subject: episodes, and everything before a new normal."""
        found: dict[str, tuple[Span, ...]] = {}
        far = datetime.max.replace(tzinfo=UTC)
        for key in {*self.episodes, *keys}:
            mine = [one for one in self.episodes.get(key, ()) if one.tells and not one.accepted]
            spans = [Span(one.start, one.end or far) for one in mine]
            since = new_normal(accepted, version, key)
            if since is not None:
                spans = [Span(EPOCH, since.since), *(one for one in spans if one.start >= since.since)]
            if spans:
                found[key] = tuple(spans)
        return found


def new_normal(accepted: Sequence[Acceptance], version: str, key: str) -> Acceptance | None:
    """The newest acceptance of a new normal for the subject."""
    name = key if key == JOINT else key.partition("/")[2]
    mine = [one for one in accepted if one.kind is AcceptanceKind.NEW_NORMAL and one.concerns(version, name)]
    return max(mine, key=lambda one: (one.at, one.since), default=None)


def put_back(accepted: Sequence[Acceptance], version: str, keys: Iterable[str]) -> dict[str, tuple[Span, ...]]:
    """What people put back into the reference although it is odd, by subject."""
    found: dict[str, tuple[Span, ...]] = {}
    for key in keys:
        name = key if key == JOINT else key.partition("/")[2]
        spans = tuple(
            one.window
            for one in accepted
            if one.kind is AcceptanceKind.PUT_BACK and one.window is not None and one.concerns(version, name)
        )
        if spans:
            found[key] = spans
    return found


def explained(memory: Memory, accepted: Sequence[Acceptance], version: str, key: str, span: Span) -> bool:
    """Whether what the window holds is told: it reaches into an episode that is over, or before a new normal."""
    normal = new_normal(accepted, version, key)
    if normal is not None and span.start < normal.since:
        return True
    return any(not one.open and one.sure and one.covers(span) for one in memory.episodes.get(key, ()))


def accepted_now(memory: Memory, accepted: Sequence[Acceptance], version: str) -> Memory:
    """The memory after what was accepted: episodes that a new normal takes in are over."""
    episodes = {}
    for key, mine in memory.episodes.items():
        normal = new_normal(accepted, version, key)
        last = mine[-1]
        if normal is not None and last.open and last.start <= normal.at:
            # Of what drifted before the new normal began, that time stays out.
            mine = (*mine[:-1], replace(last, end=max(last.start, normal.since), accepted=normal.id))
        episodes[key] = mine
    return replace(memory, episodes=episodes)


def remembered(
    memory: Memory, key: str, looks: Sequence[Seen], state: bool, now: datetime, horizon: datetime
) -> tuple[Episode, ...]:
    """The subject's episodes after this run.

    `looks` are of the shortest window first; `state` is whether the drift state is reached. What ended before `horizon`
    is in no reference any more and is forgotten.
    """
    mine = tuple(one for one in memory.episodes.get(key, ()) if one.open or (one.end or now) > horizon)
    current = mine[-1] if mine and mine[-1].open else None
    drifting = [one for one in looks if one.drifts]
    if current is None:
        if state and drifting:
            return _begun(mine, drifting, now)
        return _confirmed(mine, looks, now)
    if drifting:
        certain = current.beyond_chance or any(one.sure for one in drifting)
        current = replace(_measured(current, drifting), beyond_chance=certain)
        return (*mine[:-1], replace(current, seen=now, calm=0, calm_since=None, calm_until=None))
    return (*mine[:-1], _calmer(current, looks))


def _measured(episode: Episode, drifting: Sequence[Seen]) -> Episode:
    """The episode as the shortest window that may tell it shows it: at which length, how large, from how many rows.

    Of what a longer window showed a shorter one may be flagged by chance, and is then the larger. A longer one which
    reaches back to before the episode shows less of it than there is. Each window counts once, however often it is
    looked at.
    """
    telling = [
        one
        for one in drifting
        if (one.sure or one.span.length >= episode.length)
        and (one.span.length <= episode.length or one.span.start >= episode.start)
    ]
    if not telling:
        return episode
    first = telling[0]
    shorter = first.span.length < episode.length
    if not shorter and episode.measured is not None and first.span.end <= episode.measured:
        return episode
    more = episode.shape is Shape.CREEP and first.effect > episode.effect
    # It is of the same as long as that is there, else of what it became.
    other = first.measure != episode.measure and _little(first, episode)
    measure = first.measure if other else episode.measure
    # Else slowly, so that neither one large window nor one small decides how much would show that it is over.
    newest = 1.0 if other or shorter or more else NEWEST
    return replace(
        episode,
        length=min(episode.length, first.span.length),
        effect=_blended(episode.effect, first.effect_of(measure), newest),
        rows_needed=round(_blended(episode.rows_needed, first.rows_needed or first.rows, newest)),
        measure=measure,
        measured=first.span.end,
    )


def _blended(before: float, now: float, share: float) -> float:
    return (1 - share) * before + share * now


def _begun(mine: Sequence[Episode], drifting: Sequence[Seen], now: datetime) -> tuple[Episode, ...]:
    """A new episode; or the one before goes on, when a window after it shows it too."""
    last = mine[-1] if mine else None
    look = next((one for one in drifting if one.sure), drifting[0])
    if last is not None and last.end is not None and not last.accepted:
        # What chance may be goes on only with what was as unsure.
        later = [one for one in drifting if one.span.start >= last.end or _around(one, last, drifting)]
        again = [one for one in drifting if _near(one, last) and (one.sure or (one in later and not last.sure))]
        if again:
            certain = last.beyond_chance or any(one.sure for one in again)
            return (*mine[:-1], replace(_going_on(last, again[0], again[0].measure, now), beyond_chance=certain))
        if look.span.start < last.end and not look.sure:
            return tuple(mine)  # the same window again
    start = min(look.span.start, look.since or look.span.start)
    # Two episodes do not overlap.
    start = max([start, *(one.end for one in mine if one.end is not None)])
    begun = Episode(
        start=start,
        said=now,
        seen=now,
        length=look.span.length,
        effect=look.effect,
        rows_needed=look.rows_needed or look.rows,
        shape=look.shape,
        end=None if look.sure else look.span.end,
        sure=look.sure,
        beyond_chance=look.sure,
        measure=look.measure,
        measured=look.span.end,
    )
    return (*mine, begun)


def _confirmed(mine: tuple[Episode, ...], looks: Sequence[Seen], now: datetime) -> tuple[Episode, ...]:
    """The episode before goes on when it was one window's, and the day after it is far off in the same too.

    By chance that happens to a day now and then, but hardly to the one that follows.
    """
    last = mine[-1] if mine else None
    if last is None or last.end is None or last.sure or last.accepted:
        return mine
    for one in looks:
        if one.span.start >= last.end and _near(one, last) and last.measure in one.much and not _little(one, last):
            return (*mine[:-1], _going_on(last, one, last.measure, now))
    return mine


def _going_on(last: Episode, shows: Seen, measure: str, now: datetime) -> Episode:
    """The episode, open again since a window after it shows it too."""
    goes_on = replace(last, end=None, seen=now, sure=True, calm=0, calm_since=None, calm_until=None)
    if shows.span.length <= last.length:
        return goes_on
    # What the shorter window showed was partly chance.
    return replace(
        goes_on,
        length=shows.span.length,
        effect=shows.effect_of(measure),
        rows_needed=shows.rows_needed or shows.rows,
        shape=shows.shape,
        measure=measure,
        measured=shows.span.end,
    )


def _near(look: Seen, episode: Episode) -> bool:
    return episode.end is not None and look.span.start <= episode.end + look.span.length


def _around(look: Seen, episode: Episode, drifting: Sequence[Seen]) -> bool:
    """Whether it is a longer window most of which came after the episode, and one after all of it shows it too."""
    assert episode.end is not None
    longer = look.span.length >= 2 * episode.length and look.span.end - episode.end >= look.span.length / 2
    return longer and any(one.span.start >= episode.end for one in drifting)


def over_since(episode: Episode | None, looks: Sequence[Seen]) -> datetime | None:
    """When the episode was over although longer windows, which reach back into it, show it still; None if it is not.

    That tells a window that is newer than all of those and shows little of it, with more rows than would show it.
    """
    drifting = [one.span.start for one in looks if one.drifts]
    if episode is None or not drifting:
        return None
    newer = [one for one in looks if one.span.start > max(drifting)]
    return min((one.span.start for one in newer if _shows_the_end(one, episode, CALM_ROWS)), default=None)


def _shows_the_end(look: Seen, episode: Episode, times: int = 1) -> bool:
    return _would_show(look, episode) and look.rows >= times * episode.rows_needed and _little(look, episode)


def _would_show(look: Seen, episode: Episode) -> bool:
    return look.span.start >= episode.start and look.span.length >= episode.length / 2


def _little(look: Seen, episode: Episode) -> bool:
    """Whether a window shows little of it: less than half of its effect, in what shows it.

    However large the floor is: what windows vary by is several times what most of them do. And whatever else varies:
    that weeks have other weather says nothing of whether values are missing still.
    """
    return look.effect_of(episode.measure) < BACK_TO_NORMAL * episode.effect


def _calmer(episode: Episode, looks: Sequence[Seen]) -> Episode:
    """The episode after windows that do not show it: over, when they have rows enough that would have shown it.

    One window may have them alone, or several one after the other, as long as each shows little of it.
    """
    over = [one for one in looks if _shows_the_end(one, episode)]
    if over:
        return replace(episode, end=min(one.span.start for one in over))
    inside = [one for one in looks if _would_show(one, episode)]
    if not inside:
        return episode
    shortest = inside[0]
    if not _little(shortest, episode):
        return replace(episode, calm=0, calm_since=None, calm_until=None)
    if episode.calm_until is not None and shortest.span.start < episode.calm_until:
        return episode  # the same window again
    rows = episode.calm + shortest.rows
    if rows >= CALM_ROWS * episode.rows_needed:
        return replace(episode, end=max(episode.start, episode.calm_since or shortest.span.start))
    since = episode.calm_since or shortest.span.start
    return replace(episode, calm=rows, calm_since=since, calm_until=shortest.span.end)


def accepted_keys(accepted: Sequence[Acceptance], version: str) -> set[str]:
    """The subjects that are named in what was accepted of the version; of a name both the feature and the output."""
    named = {one.feature for one in accepted if one.feature is not None and one.version in (None, version)}
    return {key for name in named for key in ({JOINT} if name == JOINT else {f"features/{name}", f"outputs/{name}"})}


def adoptions(result: CheckResult, after: timedelta) -> list[Acceptance]:
    """What of a result has drifted for so long that it is to be taken for normal by itself."""
    memory = newest_memory([result])
    found = []
    for key in memory.open_keys():
        episode = memory.open(key)
        assert episode is not None
        if key.startswith("segments/"):
            continue  # what is accepted is a feature, in all segments
        if result.end - episode.start >= after:
            name = key if key == JOINT else key.partition("/")[2]
            found.append(
                Acceptance(
                    # The same adoption twice is one, whichever collector makes it.
                    id=f"adopted~{result.model}~{result.version}~{key}~{_rfc3339(episode.start)}",
                    model=result.model,
                    since=episode.start,
                    by=ADOPTED_BY,
                    at=result.end,
                    feature=name,
                    version=result.version,
                    reason=f"drifted for {(result.end - episode.start).days} days",
                )
            )
    return found


def newest_memory(history: Iterable[CheckResult]) -> Memory:
    """What the newest of the results remembers; results of checks that failed remember nothing and are passed over."""
    remembering = [result for result in history if result.memory]
    newest = max(remembering, key=lambda result: result.end, default=None)
    return Memory() if newest is None else from_document(newest.memory)


# -- as part of a result ----------------------------------------------------------------------------------------------


def to_document(memory: Memory) -> dict[str, Any]:
    """JSON values only; `from_document` is the inverse."""
    return {
        "format": FORMAT,
        "unusual": [_rfc3339(moment) for moment in memory.unusual],
        "episodes": {
            key: [
                {
                    "start": _rfc3339(one.start),
                    "end": None if one.end is None else _rfc3339(one.end),
                    "said": _rfc3339(one.said),
                    "seen": _rfc3339(one.seen),
                    "seconds": int(one.length.total_seconds()),
                    "effect": one.effect,
                    "rows_needed": one.rows_needed,
                    "shape": one.shape.value,
                    "sure": one.sure,
                    "beyond_chance": one.beyond_chance,
                    "calm": one.calm,
                    "calm_since": None if one.calm_since is None else _rfc3339(one.calm_since),
                    "calm_until": None if one.calm_until is None else _rfc3339(one.calm_until),
                    "accepted": one.accepted,
                    "measure": one.measure,
                    "measured": None if one.measured is None else _rfc3339(one.measured),
                }
                for one in mine
            ]
            for key, mine in memory.episodes.items()
            if mine
        },
    }


def from_document(document: Mapping[str, Any]) -> Memory:
    """Read `to_document`'s form; an empty memory of a result that has none, or one of a newer format."""
    if document.get("format") != FORMAT:
        return Memory()
    return Memory(
        {
            key: tuple(
                Episode(
                    start=datetime.fromisoformat(one["start"]),
                    end=None if one["end"] is None else datetime.fromisoformat(one["end"]),
                    said=datetime.fromisoformat(one["said"]),
                    seen=datetime.fromisoformat(one["seen"]),
                    length=timedelta(seconds=one["seconds"]),
                    effect=one["effect"],
                    rows_needed=one["rows_needed"],
                    shape=Shape(one["shape"]),
                    sure=one["sure"],
                    beyond_chance=one.get("beyond_chance", one["sure"]),
                    calm=one["calm"],
                    calm_since=None if one["calm_since"] is None else datetime.fromisoformat(one["calm_since"]),
                    calm_until=None if one["calm_until"] is None else datetime.fromisoformat(one["calm_until"]),
                    accepted=one["accepted"],
                    measure=one.get("measure", ""),
                    measured=None if one.get("measured") is None else datetime.fromisoformat(one["measured"]),
                )
                for one in mine
            )
            for key, mine in document["episodes"].items()
        },
        tuple(datetime.fromisoformat(moment) for moment in document["unusual"]),
    )


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
