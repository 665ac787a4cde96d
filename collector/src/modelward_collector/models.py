"""What is watched: one `ModelSpec` a file of `models.d/`, validated where text comes in.

A model that nobody configured gets `ModelSpec.unconfigured(name)`: it is profiled, and its own recent past is its
reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from modelward_agent.durations import Duration
from modelward_agent.profile.reference import ReferenceFileError, check_reference
from modelward_agent.settings import ReadableFile
from modelward_agent.values import number_name
from modelward_collector.calendar import Calendar, Holidays, Zone
from modelward_collector.crontab import Crontab
from modelward_collector.expectations import Expectation


class Task(StrEnum):
    """What the model answers, which decides the metrics and the validity of its output."""

    REGRESSION = "regression"
    CLASSIFICATION = "classification"


class FeatureType(StrEnum):
    """What a feature's values should be."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    BOOLEAN = "boolean"
    EMBEDDING = "embedding"


class LabelSpelling(StrEnum):
    """When two texts are one class. Numbers and booleans are one class however they are written."""

    EXACT = "exact"
    LOOSE = "loose"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _as_class(value: Any) -> Any:
    """YAML reads `yes`, `1` and `0.5` as booleans and numbers; as classes they are texts."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return number_name(value) or value if isinstance(value, int | float) else value


ClassName = Annotated[str, BeforeValidator(_as_class)]


class FeatureSchema(_Strict):
    """What one feature may be. Unset bounds are not judged."""

    type: FeatureType
    min: float | None = None
    max: float | None = None
    values: tuple[ClassName, ...] | None = Field(None, description="the whole set of allowed categories")
    dimension: Annotated[int, Field(ge=1)] | None = None
    missing_max: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="largest share of missing values; unset: the reference's share plus a tolerance"
    )
    importance: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _bounds_in_order(self) -> FeatureSchema:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}; swap them")
        return self


class OutputSchema(_Strict):
    """What a prediction may be."""

    classes: tuple[ClassName, ...] | None = Field(None, description="the known classes of a classifier")
    labels: LabelSpelling = Field(
        LabelSpelling.EXACT, description="loose: classes that differ in case or blanks only are one class"
    )
    min: float | None = None
    max: float | None = None


def _holding_profiles(path: Path) -> Path:
    try:
        check_reference(path)
    except ReferenceFileError as error:
        raise ValueError(str(error)) from error
    return path


class ReferenceFile(_Strict):
    """A reference profile made by `modelward-agent profile`."""

    kind: Literal["file"]
    path: Annotated[ReadableFile, AfterValidator(_holding_profiles)]


class ReferenceSpan(_Strict):
    """A span of production, for example the month after the last release."""

    kind: Literal["span"]
    start: datetime
    end: datetime
    version: str | None = None

    @model_validator(mode="after")
    def _in_order(self) -> ReferenceSpan:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("start and end need a zone; write for example 2026-03-01T00:00:00Z")
        if self.start >= self.end:
            raise ValueError("start is not before end")
        return self


class ReferenceRolling(_Strict):
    """The model's own recent past: the `window` that ended `gap` before the window that is checked."""

    kind: Literal["rolling"]
    window: Duration = timedelta(days=28)
    gap: Duration = timedelta(0)


def _of_its_kind(value: Any) -> Any:
    """Without `kind` the keys tell: a path is a file's, a start and an end are a span's."""
    if isinstance(value, Mapping) and "kind" not in value:
        for kind, keys in (("file", {"path"}), ("span", {"start", "end"}), ("rolling", {"window", "gap"})):
            if keys & value.keys():
                return {**value, "kind": kind}
    return value


Reference = Annotated[
    ReferenceFile | ReferenceSpan | ReferenceRolling, Field(discriminator="kind"), BeforeValidator(_of_its_kind)
]


class Schedule(_Strict):
    """When a check runs and on how much: `every` or `cron`, over the last `window`."""

    every: Duration | None = None
    cron: str | None = Field(
        None, description="instead of every, as in crontab(5), for example 0 6 * * 1-5, in the model's timezone"
    )
    window: Duration
    enabled: bool = True

    @field_validator("every", "window")
    @classmethod
    def _some_time(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value < timedelta(seconds=1):
            raise ValueError('"0s" is no time at all; write for example 5m, 1h or 7d')
        return value

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, value: str | None) -> str | None:
        if value is not None:
            Crontab.parse(value)
        return value

    @model_validator(mode="before")
    @classmethod
    def _cron_instead_of_the_default(cls, content: Any) -> Any:
        """`cron` alone replaces the default `every`."""
        if isinstance(content, Mapping) and content.get("cron") is not None and "every" not in content:
            return {**content, "every": None}
        return content

    @model_validator(mode="after")
    def _one_of(self) -> Schedule:
        if (self.every is None) == (self.cron is None):
            raise ValueError("give either every or cron, not both and not neither")
        return self


class DriftCheck(Schedule):
    """How drift is judged; the defaults are meant to be left alone."""

    every: Duration | None = timedelta(hours=1)
    window: Duration = Field(
        timedelta(days=1), description="unset: the last hour, day and week at once; set: this length alone"
    )
    false_alarm_rate: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.01, description="share of unchanged windows in which any feature may be flagged"
    )
    min_rows: Annotated[int, Field(ge=1)] = 100
    persistence: tuple[int, int] = Field((1, 1), description="[k, n]: drifting when k of the last n windows are")
    ignore: tuple[str, ...] = Field(
        (), description="features that are compared with no reference, neither here nor by the quality check"
    )
    by_segment: bool = True
    adopt_after: Duration | None = Field(
        None, description="what has drifted for so long is taken for normal by itself, and said to be; unset: never"
    )

    @property
    def lengths_chosen(self) -> bool:
        """Whether one length is asked for, instead of all that have rows enough."""
        return "window" in self.model_fields_set

    @model_validator(mode="after")
    def _k_of_n(self) -> DriftCheck:
        k, n = self.persistence
        if not 1 <= k <= n:
            raise ValueError(f"persistence [{k}, {n}]: k must be from 1 to n")
        return self


class QualityCheck(Schedule):
    """How data quality is judged beyond the schema."""

    every: Duration | None = timedelta(minutes=5)
    window: Duration = timedelta(hours=1)
    freshness: Duration | None = Field(timedelta(minutes=15), description="longest silence before a warning")
    volume_min: Annotated[int, Field(ge=0)] | None = Field(None, description="fewest rows in a window")
    volume_ratio: tuple[float, float] | None = Field(
        (0.2, 5.0), description="rows per hour against the reference's, [low, high]"
    )
    duplicates_max: Annotated[float, Field(ge=0, le=1)] = 0.05
    unseen_max: Annotated[float, Field(ge=0, le=1)] = 0.01
    missing_tolerance: Annotated[float, Field(ge=0, le=1)] = 0.02


class Threshold(_Strict):
    """The bound of one metric; `min` for metrics that should be high, `max` for those that should be low."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _some(self) -> Threshold:
        if self.min is None and self.max is None:
            raise ValueError("give min or max")
        return self


class PerformanceCheck(Schedule):
    """How performance is judged once labels are in."""

    every: Duration | None = timedelta(hours=1)
    window: Duration = timedelta(days=7)
    label_delay: Duration = Field(timedelta(0), description="the window ends this long before now")
    min_labels: Annotated[int, Field(ge=1)] = 30
    thresholds: dict[str, Threshold] = Field(default_factory=dict)
    positive: ClassName | None = Field(None, description="the positive class of a binary classifier")


class HealthCheck(Schedule):
    """How silence, errors and latency of a model's traffic are judged."""

    every: Duration | None = timedelta(minutes=1)
    window: Duration = timedelta(minutes=15)
    error_rate_max: Annotated[float, Field(ge=0, le=1)] = 0.01
    latency_p99_ms_max: Annotated[float, Field(gt=0)] | None = Field(
        None, description="also the objective of the latency alerts, which have 500 when unset"
    )


class Checks(_Strict):
    """The four checks of a model."""

    drift: DriftCheck = DriftCheck()
    quality: QualityCheck = QualityCheck()
    performance: PerformanceCheck = PerformanceCheck()
    health: HealthCheck = HealthCheck()


class ModelSpec(_Strict):
    """One model that is watched, as its file in `models.d/` says."""

    model: Annotated[str, Field(min_length=1, max_length=200)]
    task: Task | None = None
    description: str = ""
    owner: str = ""
    tier: Annotated[int, Field(ge=1, le=4)] = 3
    reference: Reference = ReferenceRolling(kind="rolling")
    features: dict[str, FeatureSchema] = Field(default_factory=dict)
    output: OutputSchema = OutputSchema()
    timezone: Zone = Field("UTC", description="where the model's users live, whose hours and weekdays are compared")
    holidays: Holidays = Field((), description="days that are like Sundays, for example 2026-12-25")
    expectations: Annotated[tuple[Expectation, ...], Field(max_length=1_000)] = ()
    checks: Checks = Checks()

    configured: bool = Field(True, exclude=True, description="False for a model that was only seen")

    @classmethod
    def unconfigured(cls, model: str) -> ModelSpec:
        """What is assumed of a model that sends profiles and has no file."""
        return cls(model=model, configured=False)

    def under(self, calendar: Calendar) -> ModelSpec:
        """With what the site's calendar says, where the model's own file says nothing of it."""
        given = self.model_fields_set
        said = {name: value for name, value in calendar if name not in given}
        return self.model_copy(update=said)
