"""What `expectations:` in a model's file may say: rules on the traffic beyond the schema of single features.

Each is told apart by `expect`. A `feature` is a feature's name, or `prediction`, `score`, `latency_ms` or `actual`
where no feature is called so.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from modelward_collector.pattern import Pattern

Name = Annotated[str, Field(min_length=1, max_length=512)]
Share = Annotated[float, Field(ge=0, le=1)]

MAX_VALUES = 10_000
MAX_COLUMNS = 200


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise ValueError(f"{value} is no bound; leave the key out for no bound")
    return value


def _scalar(value: Any) -> Any:
    if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError(f"{value!r} is neither text nor a number nor true or false; write for example [DE, FR] or [1, 2]")


Scalar = Annotated[Any, BeforeValidator(_scalar)]


class _Expectation(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    severity: Literal["warning", "critical"] = "warning"

    @property
    def subject(self) -> str:
        """What a finding is about."""
        return str(getattr(self, "feature", "rows"))

    def said(self) -> str:
        """The rule, for people."""
        raise NotImplementedError


class _OfRows(_Expectation):
    mostly: Annotated[float, Field(gt=0, le=1)] = Field(1.0, description="share of rows that must hold it")

    @property
    def allowed(self) -> float:
        """Largest share of rows that may break it, in [0, 1)."""
        return max(0.0, round(1.0 - self.mostly, 12))


class _Between(_Expectation):
    min: float | None = None
    max: float | None = Field(None, validate_default=True)

    @field_validator("min")
    @classmethod
    def _min_is_finite(cls, value: float | None) -> float | None:
        return _finite(value)

    @field_validator("max")
    @classmethod
    def _in_order(cls, value: float | None, info: ValidationInfo) -> float | None:
        _finite(value)
        if "min" not in info.data:
            return value
        low = info.data["min"]
        if value is None and low is None:
            raise ValueError("neither min nor max is given; give one or both")
        if value is not None and low is not None and low > value:
            raise ValueError(f"{value:g} is below min {low:g}; swap them")
        return value

    def bounds(self) -> str:
        """The allowed values, for people."""
        if self.min is None:
            return f"at most {self.max:g}"
        if self.max is None:
            return f"at least {self.min:g}"
        return f"from {self.min:g} to {self.max:g}"


class Unique(_OfRows):
    """No value comes twice; `feature: id` is the predictions' id. Missing values are not compared."""

    expect: Literal["unique"]
    feature: Name

    def said(self) -> str:
        """The rule, for people."""
        return f"{self.feature} is unique"


class InSet(_OfRows):
    """Every value is one of `values`: texts, numbers, true and false, however they are written (1, 1.0, "1", true)."""

    expect: Literal["in_set"]
    feature: Name
    values: Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=MAX_VALUES)]

    def said(self) -> str:
        """The rule, for people."""
        named = ", ".join(str(value) for value in self.values[:5])
        return f"{self.feature} is one of {named}" + (f" and {len(self.values) - 5} more" if self.values[5:] else "")


class Regex(_OfRows):
    """The whole of every text matches `pattern`."""

    expect: Literal["regex"]
    feature: Name
    pattern: str

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            Pattern(value)
        except ValueError as error:
            raise ValueError(f'"{value[:80]}" {error}') from error
        return value

    def said(self) -> str:
        """The rule, for people."""
        return f"{self.feature} matches {self.pattern}"


class Range(_OfRows, _Between):
    """Every number is within [min, max]; NaN is not looked at, an infinity is outside of a bound on its side."""

    expect: Literal["range"]
    feature: Name

    def said(self) -> str:
        """The rule, for people."""
        return f"{self.feature} is {self.bounds()}"


class NotNull(_OfRows):
    """Every row has a value that is neither null nor NaN."""

    expect: Literal["not_null"]
    feature: Name

    def said(self) -> str:
        """The rule, for people."""
        return f"{self.feature} is there"


class MissingAtMost(_Expectation):
    """At most `share` of the rows have no value, or NaN."""

    expect: Literal["missing_at_most"]
    feature: Name
    share: Share

    @property
    def allowed(self) -> float:
        """Largest share of rows that may break it, in [0, 1]."""
        return self.share

    def said(self) -> str:
        """The rule, for people."""
        return f"{self.feature} is there"


class Monotone(_OfRows):
    """A feature never falls (or rises) over time, within each value of `by` where that is given.

    The share is of steps from one row to the next; rows of the same moment are not compared.
    """

    expect: Literal["monotone"]
    feature: Name
    direction: Literal["increasing", "decreasing"] = "increasing"
    strictly: bool = False
    by: Name | None = Field(None, description="a feature that tells the sequences apart, for example a meter's id")

    def said(self) -> str:
        """The rule, for people."""
        strictly = "strictly " if self.strictly else ""
        return f"{self.feature} is {strictly}{self.direction} over time" + (f" for each {self.by}" if self.by else "")


class Relation(_OfRows):
    """In every row `left` stands to `right` as `operator` says; rows without both are not looked at.

    Numbers are compared with `tolerance`, texts by their order, which suits dates written year first.
    """

    expect: Literal["relation"]
    left: Name
    operator: Literal["<=", "<", "=="]
    right: Annotated[Name, Field(validate_default=True)]
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    @field_validator("right")
    @classmethod
    def _another(cls, value: str, info: ValidationInfo) -> str:
        if value == info.data.get("left"):
            raise ValueError(f'"{value}" is compared with itself; name another feature')
        return value

    @property
    def subject(self) -> str:
        """What a finding is about."""
        return self.left

    def said(self) -> str:
        """The rule, for people."""
        return f"{self.left} {self.operator} {self.right}"


class Ratio(_OfRows, _Between):
    """`numerator / denominator` is within [min, max]: in every row, or with `of: means` for the two means."""

    expect: Literal["ratio"]
    numerator: Name
    denominator: Name
    of: Literal["rows", "means"] = "rows"

    @field_validator("denominator")
    @classmethod
    def _another(cls, value: str, info: ValidationInfo) -> str:
        if value == info.data.get("numerator"):
            raise ValueError(f'"{value}" is divided by itself; name another feature')
        return value

    @property
    def subject(self) -> str:
        """What a finding is about."""
        return self.numerator

    def said(self) -> str:
        """The rule, for people."""
        what = f"{self.numerator} / {self.denominator}"
        return f"{what if self.of == 'rows' else f'mean {self.numerator} / mean {self.denominator}'} is {self.bounds()}"


class MeanBetween(_Between):
    """The mean of a feature's finite numbers is within [min, max]."""

    expect: Literal["mean_between"]
    feature: Name

    def said(self) -> str:
        """The rule, for people."""
        return f"the mean of {self.feature} is {self.bounds()}"


class QuantileBetween(_Between):
    """The `quantile` of a feature's finite numbers is within [min, max]; 0.5 is the median."""

    expect: Literal["quantile_between"]
    feature: Name
    quantile: Annotated[float, Field(gt=0, lt=1)]

    def said(self) -> str:
        """The rule, for people."""
        return f"the {self.quantile:g} quantile of {self.feature} is {self.bounds()}"


class DistinctBetween(_Between):
    """A feature has so many different values in a window."""

    expect: Literal["distinct_between"]
    feature: Name

    def said(self) -> str:
        """The rule, for people."""
        return f"the number of different {self.feature} is {self.bounds()}"


class RowCountBetween(_Between):
    """A window of the quality check has so many rows of all versions."""

    expect: Literal["row_count_between"]

    def said(self) -> str:
        """The rule, for people."""
        return f"the number of rows is {self.bounds()}"


class SumTo(_OfRows):
    """In every row the features add up to `total`, a number or another feature's name, within `tolerance`."""

    expect: Literal["sum_to"]
    features: Annotated[tuple[Name, ...], Field(min_length=2, max_length=MAX_COLUMNS)]
    total: float | Name = 1.0
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-6

    @field_validator("features")
    @classmethod
    def _differ(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if value.count(name) > 1:
                raise ValueError(f'"{name}" is named twice; name each feature once')
        return value

    @field_validator("total", mode="before")
    @classmethod
    def _number_or_name(cls, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError(f"{value!r} is no total; write a number, or the name of the feature that has it")
        return value

    @property
    def subject(self) -> str:
        """What a finding is about."""
        return self.features[0]

    def said(self) -> str:
        """The rule, for people."""
        named = " + ".join(self.features[:4]) + (" + …" if self.features[4:] else "")
        return f"{named} = {self.total if isinstance(self.total, str) else f'{self.total:g}'}"


Expectation = Annotated[
    Unique
    | InSet
    | Regex
    | Range
    | NotNull
    | MissingAtMost
    | Monotone
    | Relation
    | Ratio
    | MeanBetween
    | QuantileBetween
    | DistinctBetween
    | RowCountBetween
    | SumTo,
    Field(discriminator="expect"),
]

NEED_ROWS = (Unique, Regex, Monotone, Relation, Ratio, SumTo)
"""What profiles alone answer in part, or not at all."""


def need_rows(expectations: tuple[Expectation, ...]) -> bool:
    """Whether rows are worth reading for some of them."""
    return any(
        isinstance(one, NEED_ROWS) and not (isinstance(one, Ratio) and one.of == "means") for one in expectations
    )
