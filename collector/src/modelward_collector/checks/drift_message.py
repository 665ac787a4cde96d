"""A drift verdict in words."""

from __future__ import annotations

from modelward_agent.profile.text import CLASSES, bucket_of
from modelward_collector.stats.effect import FLOOR
from modelward_collector.stats.feature import BOOLEAN_NAMES, EMPTY, FeatureView
from modelward_collector.stats.identities import TESTS as IDENTITY_TESTS
from modelward_collector.stats.identities import never_seen
from modelward_collector.stats.outcome import Outcome
from modelward_collector.stats.text import RARER, TextView


def message_of(
    name: str, kind: str, reference: FeatureView, current: FeatureView, leading: Outcome, drifts: bool
) -> str:
    """One line on what changed, by the test that decided: `dep_delay rose: mean 12.6 → 24.1 (+0.35 sd)`."""
    if kind == EMPTY:
        return f"{name} has no values"
    if not drifts:
        if FLOOR < leading.effect <= leading.floor:
            return f"{name} differs no more from the reference than the reference's own windows do"
        return f"{name} is distributed as in the reference"
    test, value = leading.name, leading.value
    r, c = reference.numeric, current.numeric
    if test == "missing":
        return _missing(name, reference, current)
    if test == "type":
        if kind == "embedding" and reference.dimension != current.dimension:
            return f"{name} changed its dimension: {reference.dimension} → {current.dimension}"
        return f"{name} changed its type: {_share(value)} more of its values are not {kind}, most are {current.kind}"
    if kind == "embedding":
        return f"{name} moved: its embeddings differ along the random projections ({test} {value:+.2f})"
    if reference.text is not None and current.text is not None and test in TEXT_TESTS:
        return _text(name, leading, reference.text, current.text)
    if test == "texts":
        return (
            f"{name} has {'more' if value > 0 else 'fewer'} texts among its strings: {_of(reference)} → {_of(current)}"
        )
    if test == "linf" and leading.subject is not None:
        return _category(name, leading.subject, value, reference, current)
    if test in IDENTITY_TESTS:
        return _identities(name, test, value, reference, current)
    if test == "chi_squared":
        return _mix(name, reference, current)
    if r is None or c is None:
        return f"{name} changed"
    if test == "mean":
        verb = "rose" if value > 0 else "fell"
        return f"{name} {verb}: mean {number(r.mean)} → {number(c.mean)} ({value:+.2f} sd)"
    if test == "variance":
        verb = "spreads more" if value > 1 else "spreads less"
        return f"{name} {verb}: sd {number(r.sd)} → {number(c.sd)} (variance × {number(value)})"
    if test == "zeros":
        return f"{name} is 0 {'more' if value > 0 else 'less'} often: {_share(r.zeros / r.n)} → {_share(c.zeros / c.n)}"
    before, after = float(r.quantiles([0.5])[0]), float(c.quantiles([0.5])[0])
    return (
        f"{name} changed its shape: median {number(before)} → {number(after)}, mean {number(r.mean)} → {number(c.mean)}"
    )


TEXT_TESTS = ("length_mean", "length_ks", "characters", "words")


def _text(name: str, leading: Outcome, reference: TextView, current: TextView) -> str:
    test, subject = leading.name, leading.subject
    if test == "characters" and subject is not None:
        index = CLASSES.index(subject)
        before, after = reference.characters[index].mean, current.characters[index].mean
        of = f"characters {subject}" if subject.startswith("beyond") else subject
        return f"{name} has {'more' if after > before else 'fewer'} {of}: {_share(before)} → {_share(after)} of a text"
    if test == "words" and subject is not None:
        if subject == RARER:
            return f"{name} has other words, of rarer ones"
        bucket = bucket_of(subject)
        before, after = reference.share(bucket), current.share(bucket)
        more = "more" if after > before else "fewer"
        return f'{name}: "{subject}" is in {more} texts: {_share(before)} → {_share(after)}'
    r, c = reference.lengths, current.lengths
    if test == "length_mean":
        return (
            f"{name} got {'longer' if c.mean > r.mean else 'shorter'}: {number(r.mean)} → {number(c.mean)} characters"
        )
    before, after = float(r.quantiles([0.5])[0]), float(c.quantiles([0.5])[0])
    return f"{name} has other lengths: median {number(before)} → {number(after)} characters"


def _of(view: FeatureView) -> str:
    texts, strings = view.texts
    return _share(texts / strings) if strings else "none"


def number(value: float) -> str:
    """Three significant digits, without an exponent where that is readable."""
    return f"{value:.3g}" if abs(value) < 1_000 or abs(value) >= 1e9 else f"{value:,.0f}"


def _share(share: float) -> str:
    percent = 100 * share
    return f"{percent:.2g}%" if abs(percent) < 10 else f"{percent:.0f}%"


def _missing(name: str, reference: FeatureView, current: FeatureView) -> str:
    if current.missing == current.rows:
        return f"{name} is gone: no row has a value"
    if reference.missing == reference.rows:
        return f"{name} is new: the reference has no value of it"
    before, after = reference.missing / reference.rows, current.missing / current.rows
    return f"{name} is missing {'more' if after > before else 'less'} often: {_share(before)} → {_share(after)}"


def _category(name: str, category: str, change: float, reference: FeatureView, current: FeatureView) -> str:
    before, after = _share_of(reference, category), _share_of(current, category)
    if reference.pair:
        verb = "rose" if change > 0 else "fell"
        said = category if reference.kind == "numeric" else f'"{category}"'
        return f"{name}: {said} {verb} {_share(before)} → {_share(after)}"
    if before == 0:
        return f'{name} has a new category: "{category}" at {_share(after)}'
    if after == 0:
        return f'{name} lost a category: "{category}" was {_share(before)}'
    return f'{name}: "{category}" {"rose" if change > 0 else "fell"} {_share(before)} → {_share(after)}'


def _share_of(view: FeatureView, category: str) -> float:
    """Share of the category; 0 and 1 are false and true where the view has booleans, and the other way round."""
    shares = view.categories.shares if view.categories is not None else {}
    other = {**BOOLEAN_NAMES, **{alias: digit for digit, alias in BOOLEAN_NAMES.items()}}.get(category, category)
    return shares.get(category, shares.get(other, 0.0) if view.pair else 0.0)


def _identities(name: str, test: str, value: float, reference: FeatureView, current: FeatureView) -> str:
    known, now = reference.identities, current.identities
    if test == "new_values" and known is not None and now is not None:
        share = never_seen(known.registers, now)[0]
        usual = min(1.0, max(0.0, share - value))
        return (
            f"{name}: {_share(share)} of values were never seen in the reference ({_share(usual)} in its own windows)"
        )
    if test == "distinct" and now is not None and value > 0:
        before, after = _about(now.distinct / value), _about(now.distinct)
        return f"{name} has {'more' if value > 1 else 'fewer'} different values: {before} → {after} in {now.n:,} rows"
    return f"{name} has another mix of values, of many rare ones"


def _about(count: float) -> str:
    """Two significant digits: estimates are off by some percent."""
    return f"{float(f'{count:.2g}'):,.0f}"


def _mix(name: str, reference: FeatureView, current: FeatureView) -> str:
    before = reference.categories.shares if reference.categories is not None else {}
    after = current.categories.shares if current.categories is not None else {}
    moved = sorted({*before, *after}, key=lambda one: -abs(after.get(one, 0.0) - before.get(one, 0.0)))[:2]
    words = ", ".join(f'"{one}" {_share(before.get(one, 0.0))} → {_share(after.get(one, 0.0))}' for one in moved)
    return f"{name} has another mix of categories: {words}"
