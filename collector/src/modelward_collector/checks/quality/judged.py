"""What the rules look at, and how a group of them reports."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelward_agent.profile import FeatureProfile, Profile
from modelward_collector.checks.quality.expectation import Expectation, expectations
from modelward_collector.checks.result import Finding, Status
from modelward_collector.checks.window import ReferenceProfile
from modelward_collector.models import ModelSpec

NAMED = 10
"""How many categories, features or classes a finding names."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One version's traffic, and what is known of how it should be.

    The rules note in `shares` what share of a subject's rows breaks them, by (test, subject), where they found any.
    `unprofiled` are features that are expected, or are there, and of which either profile does not tell, since it has
    no room for more (`max_features`): they are neither expected nor unexpected.
    """

    spec: ModelSpec
    profile: Profile
    known: Profile | None
    expected: Mapping[str, Expectation]
    shares: dict[tuple[str, str], float] = field(default_factory=dict)
    unprofiled: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, spec: ModelSpec, profile: Profile, reference: ReferenceProfile | None, segments: Collection[str] = ()
    ) -> Judged:
        """`known` is the reference's total, None when there is no reference or it is empty.

        What tells `segments` apart, here or in the reference, need not be a feature as well.
        """
        known = reference.total if reference and reference.total.rows else None
        expected = expectations(spec, known)
        told_apart = {*segments, *(reference.optional() if reference is not None else ())}
        for name in told_apart - profile.features.keys() - spec.features.keys():
            expected.pop(name, None)
        unprofiled = profile.not_told_of(expected)
        if known is not None:
            unprofiled |= known.not_told_of(name for name in profile.features if name not in expected)
        for name in unprofiled & expected.keys():
            del expected[name]
        return cls(spec, profile, known, expected, unprofiled=frozenset(unprofiled))

    @property
    def rows(self) -> int:
        """Predictions of the version."""
        return self.profile.rows

    def present(self) -> list[tuple[Expectation, FeatureProfile]]:
        """The expected features that have values here."""
        features = self.profile.features
        return [
            (expectation, features[name])
            for name, expectation in self.expected.items()
            if name in features and features[name].present
        ]


def group(
    judged: Judged,
    test: str,
    violations: list[Finding],
    checked: Mapping[str, float],
    message: str,
    *,
    subject: str = "features",
    detail: Mapping[str, Any] | None = None,
) -> list[Finding]:
    """The violations of a rule, and one finding that says what else was looked at and is fine."""
    judged.shares.update({(test, name): share for name, share in checked.items()})
    broken = {finding.subject for finding in violations}
    fine = {name: value for name, value in checked.items() if name not in broken}
    if not fine:
        return violations
    top = dict(sorted(fine.items(), key=lambda item: (-item[1], item[0]))[:NAMED])
    largest = max(fine.values())
    note = Finding(
        subject,
        test,
        Status.OK,
        f"{count_of(len(fine), 'feature') if subject == 'features' else subject}: {message}",
        value=largest,
        detail={"largest": top, **(detail or {})},
    )
    return [*violations, note]


def count_of(n: int, thing: str) -> str:
    """`1 row`, `1,204 rows`."""
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"
