"""Whose hours and weekdays count, and which days are holidays."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _is_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f'"{value}" is no time zone; write for example Europe/Berlin') from error
    return value


Zone = Annotated[str, AfterValidator(_is_zone)]
Holidays = tuple[date, ...]


class Calendar(BaseModel):
    """That of every model whose file does not give its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timezone: Zone = Field("UTC", description="where the models' users live, unless a model's file says otherwise")
    holidays: Holidays = Field((), description="days that are like Sundays for every model whose file gives none")
