"""The API's answers, typed; they say in JSON what the frozen dataclasses inside say."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from modelward_agent.profile import FeatureProfile
from modelward_collector.checks.result import CheckKind, CheckResult, Status
from modelward_collector.context import Entry
from modelward_collector.forecasts import SeriesView
from modelward_collector.models import ModelSpec
from modelward_collector.span import Span


class Answer(BaseModel):
    """Reads attributes of the dataclass that it shows."""

    model_config = ConfigDict(from_attributes=True)


class SpanAnswer(Answer):
    """From `start` until before `end`."""

    start: datetime
    end: datetime


class FindingAnswer(Answer):
    """One judged fact; `value` and `threshold` in the test's own unit."""

    subject: str
    test: str
    status: Status
    message: str
    value: float | None
    threshold: float | None
    p_value: float | None
    since: datetime | None
    segment: dict[str, str] | None
    detail: dict[str, Any]


class ResultSummary(Answer):
    """A result without its findings."""

    id: str
    model: str
    version: str
    check: CheckKind
    status: Status
    summary: str
    start: datetime
    end: datetime
    rows: int
    ran_at: datetime
    duration_seconds: float
    on_demand: bool


class ResultAnswer(ResultSummary):
    """The outcome of one run of one check on one model version."""

    findings: list[FindingAnswer]
    numbers: dict[str, float]


class VersionAnswer(Answer):
    """A version that sent profiles; `rows` is how many predictions are in them."""

    version: str
    first_seen: datetime
    last_seen: datetime
    rows: int


class ModelSummary(BaseModel):
    """A model and how it stands; `checks` holds the worst current status of each check that has run."""

    model: str
    configured: bool
    task: str | None
    owner: str
    tier: int
    description: str
    status: Status
    checks: dict[CheckKind, Status]
    versions: list[str]
    last_seen: datetime | None


class ModelAnswer(ModelSummary):
    """A model in full: its configuration in force, and the current result of every check and version."""

    spec: ModelSpec
    results: list[ResultSummary]


class SegmentsAnswer(BaseModel):
    """The segments that had traffic in the span, {name: values}."""

    span: SpanAnswer
    segments: dict[str, list[str]]


class FeatureAnswer(BaseModel):
    """What was seen of one feature, or output, in a span; counts are rows."""

    feature: str
    rows: int
    missing: int
    missing_share: float
    numbers: int
    strings: int
    booleans: int
    vectors: int
    nan: int
    other: int
    mean: float | None
    standard_deviation: float | None
    minimum: float | None
    maximum: float | None
    quantiles: dict[str, float]
    distinct: float | None

    @classmethod
    def of(cls, name: str, seen: FeatureProfile) -> FeatureAnswer:
        """The feature's summary."""
        numeric = seen.numeric if seen.numeric is not None and seen.numeric.n else None
        ranks = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
        values = [] if numeric is None else [float(value) for value in numeric.quantiles(ranks)]
        return cls(
            feature=name,
            rows=seen.rows,
            missing=seen.missing,
            missing_share=seen.missing / seen.rows if seen.rows else 0.0,
            numbers=seen.numbers,
            strings=seen.strings,
            booleans=seen.booleans,
            vectors=seen.vectors,
            nan=seen.nan,
            other=seen.other,
            mean=None if numeric is None else numeric.moments.mean,
            standard_deviation=None if numeric is None or numeric.n < 2 else numeric.moments.variance**0.5,
            minimum=None if numeric is None else numeric.minimum,
            maximum=None if numeric is None else numeric.maximum,
            quantiles=dict(zip(map(str, ranks), values, strict=False)),
            distinct=None if seen.categorical is None else seen.categorical.distinct,
        )


class BinAnswer(BaseModel):
    """One bar of two distributions drawn over each other: shares of the rows, from 0 to 1.

    A bar of numbers reaches from `low` until `high`; one of categories has a `name`.
    """

    name: str | None
    low: float | None
    high: float | None
    reference: float | None
    window: float


class DistributionAnswer(BaseModel):
    """A feature in a window beside its reference; `reference` is null when there is none to compare with."""

    feature: str
    span: SpanAnswer
    version: str
    reference_source: str | None
    bins: list[BinAnswer]
    window: FeatureAnswer
    reference: FeatureAnswer | None


class PointAnswer(BaseModel):
    """A feature in one step of time."""

    start: datetime
    end: datetime
    seen: FeatureAnswer


class EntryAnswer(Answer):
    """One line of the schedule."""

    model: str
    check: CheckKind
    schedule: str
    next_run: datetime | None
    last_run: datetime | None
    last_success: datetime | None
    last_status: Status | None
    last_duration_seconds: float | None
    running: bool
    overdue: bool
    last_error: str

    @classmethod
    def of(cls, entry: Entry) -> EntryAnswer:
        """The entry as JSON shows it."""
        took = entry.last_duration
        return cls(
            model=entry.model,
            check=entry.check,
            schedule=entry.schedule,
            next_run=entry.next_run,
            last_run=entry.last_run,
            last_success=entry.last_success,
            last_status=entry.last_status,
            last_duration_seconds=None if took is None else took.total_seconds(),
            running=entry.running,
            overdue=entry.overdue,
            last_error=entry.last_error,
        )


class AgentAnswer(Answer):
    """The latest sign of life of one agent; `lag_bytes` is what it has yet to read."""

    host: str
    at: datetime
    version: str
    lag_bytes: int
    shipped: int
    dropped: int
    quarantined: int
    spooled: int
    last_error: str


def span_answer(span: Span) -> SpanAnswer:
    """The span as JSON shows it."""
    return SpanAnswer(start=span.start, end=span.end)


class BandAnswer(Answer):
    """What is expected of the step that ends at `at`, and the 95% band."""

    at: datetime
    expected: float
    low: float
    high: float


class JudgedAnswer(BandAnswer):
    """A point as it was judged when it came; `score` is in standard deviations of a normal value as rare."""

    value: float
    score: float
    anomalous: bool


class NewLevelAnswer(Answer):
    """A level that did not come back, and when it was taken for normal."""

    since: datetime
    taken_for_normal: datetime
    before: float
    after: float


class SeriesAnswer(BaseModel):
    """One series of a model version; `season` is none, day or week, `points_missing` what is needed to forecast.

    `unusual_since` is when the run of anomalies began that the newest point is in, null of none; `says` has both it and
    `new_level` in words.
    """

    version: str
    series: str
    step_seconds: float
    at: datetime
    value: float
    season: str
    points_missing: int
    unusual_since: datetime | None
    new_level: NewLevelAnswer | None
    says: str
    points: list[JudgedAnswer]
    ahead: list[BandAnswer]

    @classmethod
    def of(cls, view: SeriesView) -> SeriesAnswer:
        """The view as JSON says it."""
        ahead = []
        for one in view.ahead:
            low, high = one.bands[0.95]
            ended = datetime.fromtimestamp(one.seconds, UTC) + view.step
            ahead.append(BandAnswer(at=ended, expected=one.median, low=low, high=high))
        outlook = view.outlook
        return cls(
            version=outlook.version,
            series=outlook.series,
            step_seconds=view.step.total_seconds(),
            at=outlook.at,
            value=outlook.value,
            season=outlook.season,
            points_missing=outlook.points_missing,
            unusual_since=outlook.unusual_since,
            new_level=None if outlook.new_level is None else NewLevelAnswer.model_validate(outlook.new_level),
            says=outlook.says(),
            points=[JudgedAnswer.model_validate(point) for point in view.judged],
            ahead=ahead,
        )


def result_answers(results: Iterable[CheckResult]) -> list[ResultAnswer]:
    """The results in full."""
    return [ResultAnswer.model_validate(result) for result in results]
