"""One feature: its two distributions, how far apart they are and were, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from modelward_agent.profile import FeatureProfile
from modelward_collector.accepting import drifting
from modelward_collector.checks.drift_since import Since
from modelward_collector.checks.result import CheckKind, Finding
from modelward_collector.console import human
from modelward_collector.console.accepted import accepted_lines, accepted_marks, of_feature
from modelward_collector.console.changes import Change, learning_of, odd_marks, odd_windows
from modelward_collector.console.charts import Axis, Distribution, Line, Point, categories, density, line_chart
from modelward_collector.console.comparison import Compared, distribution, feature_of, segments
from modelward_collector.console.history import Past
from modelward_collector.console.pages.missing import missing
from modelward_collector.console.pages.model import RANGES, range_of, span_of
from modelward_collector.console.site import PageView, Site
from modelward_collector.console.standings import Standing, change_of, finding_of, flagged, standing_of
from modelward_collector.stats.phases import said as kind_words
from modelward_collector.store.acceptances import acceptances

_PARTS = 12
"""Segment values and versions that are drawn apart."""

_NAMES = 30
_KINDS = ("current", "second", "third", "fourth")

_TEST_WORDS = {
    "ks": "Kolmogorov-Smirnov",
    "psi": "PSI",
    "wasserstein": "Wasserstein-1, in standard deviations",
    "sliced_wasserstein": "Sliced Wasserstein",
    "js": "Jensen-Shannon",
    "mean": "Mean, in standard deviations",
    "variance": "Variance, ratio",
    "chi_squared": "Chi-squared",
    "linf": "L-infinity",
    "zeros": "Share of zeros",
    "missing": "Share missing",
    "type": "Type",
    "texts": "Share of strings that are text",
    "length_mean": "Mean length, in standard deviations",
    "length_ks": "Lengths, Kolmogorov-Smirnov",
    "characters": "Kinds of characters, in standard deviations",
    "words": "Words, share of texts",
}


@dataclass(frozen=True, slots=True)
class TestRow:
    """One statistic of the feature; `decided` is True for the one that the verdict rests on."""

    name: str
    value: float | None
    p: float | None
    decided: bool


@dataclass(frozen=True, slots=True)
class CountRow:
    """One count of both sides, and its share of the rows."""

    name: str
    reference: int | None
    reference_share: float | None
    current: int | None
    current_share: float | None

    @property
    def changed(self) -> bool:
        """The shares differ by more than a percentage point."""
        if self.reference_share is None or self.current_share is None:
            return False
        return abs(self.reference_share - self.current_share) > 0.01


@dataclass(frozen=True, slots=True)
class Facts:
    """A row of the table of numbers: of the reference and of now."""

    name: str
    reference: float | None
    current: float | None


@dataclass(frozen=True, slots=True)
class Slice:
    """The feature in one segment or version, drawn over the same slice of the reference."""

    name: str
    rows: int
    missing: float | None
    finding: Finding | None
    chart: Markup | None

    @property
    def change(self) -> Since | None:
        """When what is found in it began."""
        return change_of(self.finding)


def feature_page(site: Site, model: str, name: str, query: Mapping[str, str]) -> PageView:
    """The page, of the latest drift result or of the one that `result` in the query names."""
    standing = standing_of(site.context, model)
    if standing is None:
        return missing(site, f"There is no model called “{human.short(model)}”.")
    moment = site.moment()
    asked = query.get("result", "")
    result = site.context.store.result(asked) if asked else standing.drift
    if asked and (result is None or result.model != model):
        return missing(site, "The result that this page was to be drawn from is no longer kept.")
    sides = site.comparisons.sides(result, name) if result is not None else None
    compared = sides.compared if sides else None
    current = sides.current if sides else None
    reference = sides.reference if sides else None
    finding = finding_of(result, name)
    odd = odd_windows([finding] if finding else [])
    chosen = range_of(site, query)
    span = span_of(standing, chosen, moment)
    past = site.history.past(model, CheckKind.DRIFT, span, versions=2, least=standing.spec.checks.drift.every)
    scores = _scores(site, past, name)
    if finding is None and current is None and reference is None and not scores:
        return missing(site, f"The model “{human.short(model)}” has no feature called “{human.short(name)}”.")
    shown = site.comparisons.distribution(result, name) if result is not None else None
    floor = finding.threshold if finding else None
    said = of_feature(acceptances(site.context.store, model), name)
    latest = [item for item in standing.results if item.check is CheckKind.DRIFT]
    chart = line_chart(
        scores,
        label=f"Drift score of {name} over time",
        span=past.span,
        year=moment.year,
        axis=Axis(text=human.score, low=0.0, zero=True),
        thresholds=[(floor, f"floor {human.score(floor)}")] if floor else [],
        moments=[*accepted_marks(said, moment), *odd_marks(odd, moment)],
        height=190,
        gap=past.step * 4,
        named=len(scores) > 1,
    )
    segmented = [item for item in result.findings if item.subject == name and item.segment] if result else []
    return PageView(
        "feature.html",
        f"{human.short(name)} · {model}",
        {
            "standing": standing,
            "name": name,
            "result": result,
            "historical": bool(asked) and (standing.drift is None or standing.drift.id != asked),
            "finding": finding,
            "accepted": accepted_lines(said),
            "acceptable": not asked and name in drifting(latest),
            "unchecked": query.get("unchecked") == "1",
            "change": change_of(finding),
            "told": Change(finding, result.end) if finding and result else None,
            "odd": odd,
            "learning": learning_of([finding] if finding else []),
            "kinds": [kind_words(kind) for kind in finding.detail.get("kinds", ())] if finding else [],
            "window": compared.window.span if compared else None,
            "coarse": sides.coarse if sides else False,
            "contributors": finding.detail.get("contributors", ()) if finding else (),
            "ranges": RANGES,
            "range": chosen,
            "query": {"window": query.get("window"), "result": asked},
            "distribution": _draw(shown, f"{name}: reference and current distribution", big=True),
            "numeric": shown.numeric if shown else False,
            "scores": chart,
            "tests": _tests(finding),
            "counts": _counts(reference, current),
            "facts": _facts(reference, current),
            "source": compared.reference.source if compared and compared.reference else "",
            "has_reference": reference is not None,
            "has_current": current is not None,
            "new": _names(finding, "new"),
            "vanished": _names(finding, "vanished"),
            "by_segment": _by_segment(compared, name, segmented) if compared else [],
            "by_version": _by_version(site, standing, compared, name) if compared else [],
            "schema": standing.spec.features.get(name),
        },
        section="models",
    )


def _scores(site: Site, past: Past, name: str) -> list[Line]:
    by_version: dict[str, list[Point]] = {}
    for result in past.results:
        finding = finding_of(result, name)
        if finding is not None and finding.value is not None:
            by_version.setdefault(result.version, []).append(
                Point(
                    result.end,
                    finding.value,
                    flagged=flagged(finding),
                    href=site.links.result(past.id_of(result)),
                    note="drifting" if flagged(finding) else "",
                )
            )
    newest = sorted(by_version.items(), key=lambda item: item[1][-1].at, reverse=True)[: len(_KINDS)]
    return [Line(version or "all", points, kind) for (version, points), kind in zip(newest, _KINDS, strict=False)]


def _draw(shown: Distribution | None, label: str, *, big: bool) -> Markup | None:
    if shown is None:
        return None
    if shown.numeric:
        return density(shown, label=label, height=280 if big else 110, small=not big)
    return categories(shown, label=label, most=16 if big else 4, small=not big)


def _tests(finding: Finding | None) -> list[TestRow]:
    if finding is None:
        return []
    found = finding.detail.get("tests")
    decided = finding.detail.get("decided_by")
    deciders = {decided} if isinstance(decided, str) else set(decided or ())
    if not isinstance(found, Mapping):
        return []
    return [
        TestRow(_TEST_WORDS.get(name, name.replace("_", " ")), item.get("value"), item.get("p"), name in deciders)
        for name, item in found.items()
        if isinstance(item, Mapping)
    ]


def _counts(reference: FeatureProfile | None, current: FeatureProfile | None) -> list[CountRow]:
    kinds = (
        ("Rows", "rows"),
        ("Missing", "missing"),
        ("Numbers", "numbers"),
        ("Strings", "strings"),
        ("Booleans", "booleans"),
        ("Embeddings", "vectors"),
        ("NaN", "nan"),
        ("+∞", "positive_infinity"),
        ("−∞", "negative_infinity"),
        ("Other types", "other"),
    )
    rows = []
    for words, attribute in kinds:
        before = getattr(reference, attribute) if reference else None
        now = getattr(current, attribute) if current else None
        if not before and not now and attribute not in ("rows", "missing", "nan"):
            continue
        rows.append(
            CountRow(
                words,
                before,
                before / reference.rows if reference and reference.rows and before is not None else None,
                now,
                now / current.rows if current and current.rows and now is not None else None,
            )
        )
    return rows


def _facts(reference: FeatureProfile | None, current: FeatureProfile | None) -> list[Facts]:
    before, now = _numbers(reference), _numbers(current)
    return [Facts(name, before.get(name), now.get(name)) for name in dict.fromkeys([*before, *now])]


def _numbers(feature: FeatureProfile | None) -> dict[str, float]:
    if feature is None:
        return {}
    facts: dict[str, float] = {}
    if feature.numeric is not None and feature.numeric.n:
        sketch = feature.numeric
        low, quarter, median, three, high = (float(value) for value in sketch.quantiles([0.01, 0.25, 0.5, 0.75, 0.99]))
        facts |= {
            "Mean": sketch.moments.mean,
            "Standard deviation": sketch.moments.variance**0.5 if sketch.n > 1 else 0.0,
            "Smallest": sketch.minimum,
            "1 % quantile": low,
            "Lower quartile": quarter,
            "Median": median,
            "Upper quartile": three,
            "99 % quantile": high,
            "Largest": sketch.maximum,
        }
    if feature.categorical is not None and feature.categorical.n:
        facts["Different categories, about"] = round(feature.categorical.distinct)
    if feature.vector is not None and feature.vector.n:
        facts |= {"Dimension": feature.vector.dimension, "Mean length": feature.vector.norm.moments.mean}
    return facts


def _names(finding: Finding | None, kind: str) -> list[str]:
    found = finding.detail.get(kind) if finding else None
    return [str(name) for name in found][:_NAMES] if isinstance(found, Sequence) and not isinstance(found, str) else []


def _by_segment(compared: Compared, name: str, findings: Sequence[Finding]) -> list[Slice]:
    made = []
    for key, value, where in segments(compared.window, compared.version, _PARTS):
        current = feature_of(compared.window.profile(compared.version or None, where), name)
        if current is None:
            continue
        before = feature_of(compared.reference.where(where), name) if compared.reference else None
        mine = [finding for finding in findings if dict(finding.segment or {}) == dict(where)]
        made.append(_slice(f"{key} = {value}", before, current, mine[0] if mine else None))
    return made


def _by_version(site: Site, standing: Standing, compared: Compared, name: str) -> list[Slice]:
    versions = compared.window.versions()
    if len(versions) < 2:
        return []
    made = []
    for version in versions[:_PARTS]:
        current = feature_of(compared.window.profile(version), name)
        if current is None:
            continue
        reference = site.context.engine.reference(standing.spec.model, version, compared.window.span)
        mine = [finding_of(item, name) for item in standing.results if item.version == version]
        finding = next((item for item in mine if item is not None), None)
        made.append(_slice(version, feature_of(reference.total if reference else None, name), current, finding))
    return made


def _slice(name: str, before: FeatureProfile | None, current: FeatureProfile, finding: Finding | None) -> Slice:
    shown = distribution(before, current, bins=24)
    share = current.missing / current.rows if current.rows else None
    return Slice(name, current.rows, share, finding, _draw(shown, f"{name}: distribution", big=False))
