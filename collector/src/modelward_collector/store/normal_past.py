"""The past of a model without what was not normal in it: what shares and volumes are judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from modelward_agent.profile import FeatureProfile, Profile
from modelward_collector.checks.drift_memory import EPOCH, Memory
from modelward_collector.checks.window import VOLUME, ReferenceProfile
from modelward_collector.models import ModelSpec, ReferenceRolling
from modelward_collector.span import Span
from modelward_collector.store.protocol import Store
from modelward_collector.store.windows import load_past, load_series

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_FEWEST_DAYS: Final = 14
"""A new normal is read by days once it is this many days old, and by hours until then."""


def load_normal_past(
    store: Store, spec: ModelSpec, window_span: Span, version: str, left_out: Mapping[str, Sequence[Span]]
) -> ReferenceProfile | None:
    """`load_past`, and each subject of `left_out` without the windows that reach into its spans.

    For those as much is read from before them, so that what lasts does not use its own reference up. A subject whose
    normal has begun anew (all before that is left out) is compared with the traffic since then, whatever the model's
    reference is; while there is none it is a feature without rows, of which nothing is expected.
    """
    past = load_past(store, spec, window_span, version)
    if past is None:
        return None
    rolling = spec.reference if isinstance(spec.reference, ReferenceRolling) else None
    reach = (rolling or ReferenceRolling(kind="rolling")).window
    end = window_span.start - (rolling.gap if rolling else timedelta(0))
    stretches = {}
    for key, out in left_out.items():
        anew = begins_anew(out)
        if anew or rolling is not None:
            stretches[key] = normal_stretches(out, window_span.start if anew else end, reach)
    features, outputs = dict(past.total.features), dict(past.total.outputs)
    for step in (_DAY, _HOUR):
        keys = [key for key, mine in stretches.items() if key != VOLUME and _step(left_out[key], mine) == step]
        spans = [one for key in keys for one in stretches[key]]
        read: list[tuple[Span, Profile]] = []
        if spans:
            whole = Span(min(one.start for one in spans), max(one.end for one in spans))
            read = load_series(store, spec.model, whole, step, version)
        for key in keys:
            side, _, name = key.partition("/")
            found = [profile for one, profile in read if any(_within(one, stretch) for stretch in stretches[key])]
            into = features if side == "features" else outputs
            into.pop(name, None)
            feature = _merged([profile.features if side == "features" else profile.outputs for profile in found], name)
            if feature is not None:
                if side == "features":
                    feature.missing += sum(
                        p.rows for p in found if name not in p.features and not p.not_told_of([name])
                    )
                into[name] = feature
            elif not found:
                into[name] = FeatureProfile()
    total = _with(past.total, features, outputs)
    return replace(past, total=total, left_out={key: tuple(out) for key, out in left_out.items()})


def begins_anew(out: Sequence[Span]) -> bool:
    """Whether everything before some moment is left out."""
    return any(one.start == EPOCH for one in out)


def normal_stretches(out: Sequence[Span], end: datetime, length: timedelta) -> list[Span]:
    """What is before `end` and not in `out`, the newest first, until it is that long altogether."""
    found: list[Span] = []
    for one in sorted(out, key=lambda span: span.start, reverse=True):
        if one.end < end:
            found.append(Span(max(one.end, end - length), end))
            length -= found[-1].length
            if length <= timedelta(0):
                return found
        end = min(end, one.start)
    if end > EPOCH:
        found.append(Span(max(EPOCH, end - length), end))
    return found


def reaches_back(memory: Memory, reference: ReferenceRolling, now: datetime) -> datetime:
    """How far back what a check compares with goes: longer for what drifts, or did, which has as much from before."""
    end = now - reference.gap
    found = [_midnight(end - reference.window)]
    for spans in memory.left_out([], "", []).values():
        # Of hours of a day the whole day: each hour of it needs another one.
        days = [Span(_midnight(one.start), _midnight(min(one.end, now)) + _DAY) for one in spans]
        found += [stretch.start for stretch in normal_stretches(days, end, reference.window)]
    # An hour that begins within a whole one, and the one that is checked, reach a little further back.
    return min(found) - _DAY


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _step(out: Sequence[Span], stretches: Sequence[Span]) -> timedelta:
    length = sum((one.length for one in stretches), timedelta(0))
    return _HOUR if begins_anew(out) and length < _FEWEST_DAYS * _DAY else _DAY


def _within(one: Span, stretch: Span) -> bool:
    return stretch.start <= one.start and one.end <= stretch.end


def _merged(sides: Sequence[Mapping[str, FeatureProfile]], name: str) -> FeatureProfile | None:
    found = [side[name] for side in sides if name in side]
    if not found:
        return None
    total = FeatureProfile()
    for feature in found:
        total.merge(feature)
    return total


def _with(total: Profile, features: dict[str, FeatureProfile], outputs: dict[str, FeatureProfile]) -> Profile:
    """The same traffic with other summaries; what is not summarised anew is shared."""
    made = Profile()
    for name in Profile.__slots__:
        setattr(made, name, getattr(total, name))
    made.features, made.outputs = features, outputs
    return made
