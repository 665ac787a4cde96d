"""All models, the ones that need someone first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from markupsafe import Markup

from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status
from modelward_collector.console import human
from modelward_collector.console.charts import sparkline
from modelward_collector.console.site import STATE_WORDS, Moment, PageView, Site
from modelward_collector.console.standings import (
    Performance,
    Standing,
    drift_counts,
    flagged,
    joint_finding,
    performance,
    standings,
    worst_first,
)
from modelward_collector.span import Span

PER_PAGE = 100
DAY = timedelta(days=1)
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Row:
    """A model's line. `drifted` of `judged` features drift; 0 of 0 before the first drift check.

    `learning` of them are still being learnt.
    """

    standing: Standing
    rows_day: int
    spark: Markup
    drifted: int
    judged: int
    learning: int
    drifting: Sequence[Finding]
    joint: Finding | None
    quality: CheckResult | None
    quality_issues: Sequence[Finding]
    performance: Performance | None

    @property
    def named(self) -> Sequence[Finding]:
        """The drifting features that are named on the page."""
        return self.drifting[:_NAMED]


@dataclass(frozen=True, slots=True)
class StateCount:
    """How many models are in a state."""

    status: Status
    count: int


def overview(site: Site, query: Mapping[str, str]) -> PageView:
    """The page, filtered by `state`, `owner` and `q` (in the model's name), paged by `page`."""
    moment = site.moment()
    everything = standings(site.context)
    state, owner, text = (query.get(name, "").strip() for name in ("state", "owner", "q"))
    wanted = [
        item
        for item in everything
        if (not state or item.status.value == state)
        and (not owner or item.spec.owner == owner)
        and text.casefold() in item.spec.model.casefold()
    ]
    pages = max(1, -(-len(wanted) // PER_PAGE))
    page = min(pages, max(1, int(query["page"]))) if query.get("page", "").isdigit() else 1
    shown = wanted[(page - 1) * PER_PAGE : page * PER_PAGE]
    counts = Counter(item.status for item in everything)
    return PageView(
        "overview.html",
        "Models",
        {
            "rows": [_row(site, item, moment) for item in shown],
            "total": len(everything),
            "matching": len(wanted),
            "counts": [StateCount(status, counts[status]) for status in reversed(Status)],
            "owners": sorted({item.spec.owner for item in everything if item.spec.owner}),
            "states": STATE_WORDS,
            "state": state,
            "owner": owner,
            "q": text,
            "page": page,
            "pages": pages,
        },
        section="models",
    )


def _row(site: Site, standing: Standing, moment: Moment) -> Row:
    # Where agents look at nothing finer than a day, an hour of it would be made up.
    step = max(timedelta(hours=1), site.context.config.agents.window)
    rows = [rows for _, rows in site.traffic.rows(standing.spec.model, Span(moment.now - 24 * step, moment.now), step)]
    last_day = rows[-max(1, round(DAY / step)) :]
    drifted, judged = drift_counts(standing.drift) if standing.drift else (0, 0)
    quality = standing.verdicts.get(CheckKind.QUALITY)
    latest = standing.verdicts.get(CheckKind.PERFORMANCE)
    return Row(
        standing,
        round(sum(last_day)),
        sparkline(rows, label=f"Rows of {standing.spec.model} in {human.each(step)} each, at most {max(rows):,.0f}"),
        drifted,
        judged,
        min(judged, int(standing.drift.numbers.get("learning", 0))) if standing.drift else 0,
        standing.drifting,
        joint_finding(standing.drift) if standing.drift else None,
        quality,
        worst_first(finding for finding in quality.findings if flagged(finding)) if quality else [],
        performance(latest, standing.spec) if latest else None,
    )
