"""The expectations of `models.d`, judged: from profiles where those can tell, from a sample of rows where not."""

from __future__ import annotations

from modelward_agent.profile import Profile
from modelward_collector.checks.quality import expectations_profile as profiles
from modelward_collector.checks.quality import expectations_rows as samples
from modelward_collector.checks.quality.expectations_profile import column
from modelward_collector.checks.quality.expectations_sample import EventSample
from modelward_collector.checks.quality.expectations_verdict import Seen, not_judged, of_shares
from modelward_collector.checks.result import Finding
from modelward_collector.expectations import (
    DistinctBetween,
    Expectation,
    InSet,
    MeanBetween,
    MissingAtMost,
    Monotone,
    NotNull,
    QuantileBetween,
    Range,
    Ratio,
    Regex,
    Relation,
    RowCountBetween,
    SumTo,
    Unique,
)

__all__ = ["judge", "judge_all"]

NO_ROWS = "it takes rows, and the store keeps none of this window's; set events for the model in agent.yml"


def judge_all(
    rules: tuple[Expectation, ...],
    profile: Profile,
    sample: EventSample | None,
    *,
    all_rows: int,
    duplicate_ids: int,
) -> list[Finding]:
    """A finding for each rule on one version's traffic; of a window without rows only the number of rows is judged.

    `sample` are rows of that version. `all_rows` and `duplicate_ids` are of all versions.
    """
    return [
        judge(rule, profile, sample, all_rows=all_rows, duplicate_ids=duplicate_ids)
        for rule in rules
        if profile.rows or isinstance(rule, RowCountBetween)
    ]


def judge(
    rule: Expectation, profile: Profile, sample: EventSample | None, *, all_rows: int, duplicate_ids: int
) -> Finding:
    """The finding on one rule."""
    rows = profile.rows
    kept = sample if sample is not None and len(sample) else None
    match rule:
        case RowCountBetween():
            return profiles.row_count_between(rule, all_rows)
        case NotNull() | MissingAtMost():
            return of_shares(rule, rule.allowed, [profiles.missing(rule, profile)], "there are no rows")
        case Ratio(of="means"):
            return profiles.ratio_of_means(rule, profile)
        case Relation():
            evidence = [samples.relation(rule, kept, rows)] if kept else []
            evidence.append(profiles.relation(rule, profile))
            return of_shares(rule, rule.allowed, evidence, _why(kept, "no row has both"))
        case Ratio():
            evidence = [samples.ratio(rule, kept, rows)] if kept else []
            evidence.append(profiles.ratio_of_rows(rule, profile))
            return of_shares(rule, rule.allowed, evidence, _why(kept, "no row has both"))
        case SumTo():
            evidence = [samples.total(rule, kept, rows)] if kept else []
            evidence.append(profiles.total(rule, profile))
            return of_shares(rule, rule.allowed, evidence, _why(kept, "no row has them all"))
        case Monotone():
            evidence = [samples.monotone(rule, kept, rows)] if kept else []
            return of_shares(rule, rule.allowed, evidence, _why(kept, "no two rows can be compared"))
        case Unique(feature="id") if column(profile, "id") is None:
            if kept is None and not duplicate_ids:
                return not_judged(rule, NO_ROWS)
            evidence = [Seen(duplicate_ids, max(all_rows, duplicate_ids), unit="ids")]
            return of_shares(rule, rule.allowed, evidence, "there are no rows")
    feature = column(profile, rule.feature)
    if feature is None or not feature.present:
        return not_judged(rule, f"{rule.feature} has no value")
    match rule:
        case Unique():
            evidence = [profiles.repeated(rule, feature)]
            evidence += [samples.repeated(rule, kept, rows)] if kept else []
            return of_shares(rule, rule.allowed, evidence, _why(kept, "there is no value"))
        case Regex():
            told = profiles.not_matching(rule, feature)
            evidence = [samples.not_matching(rule, kept, rows)] if kept else []
            evidence = [*evidence, told] if told.unknown else [told, *evidence]
            return of_shares(rule, rule.allowed, evidence, _why(kept, "there is no text"))
        case InSet():
            return of_shares(rule, rule.allowed, [profiles.outside_set(rule, feature)], "there is no value")
        case Range():
            return of_shares(rule, rule.allowed, [profiles.out_of_range(rule, feature)], "there is no number")
        case MeanBetween():
            return profiles.mean_between(rule, feature)
        case QuantileBetween():
            return profiles.quantile_between(rule, feature)
        case DistinctBetween():
            return profiles.distinct_between(rule, feature)


def _why(kept: EventSample | None, otherwise: str) -> str:
    return NO_ROWS if kept is None else otherwise
