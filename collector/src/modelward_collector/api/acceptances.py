"""Accepting what drifts of a model as its new normal, and what was accepted."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from modelward_collector.accepting import (
    LONGEST_REASON,
    Asked,
    NotAcceptedError,
    NothingDriftsError,
    accept,
    proposed,
    stretch,
)
from modelward_collector.api.answers import Answer, ResultSummary, SpanAnswer
from modelward_collector.api.problems import RESPONSES, Problem, UnusableError
from modelward_collector.api.shared import After, ContextOf, Limit, Listing, Moment, listing, spec_of
from modelward_collector.auth.current import who_asks
from modelward_collector.checks.acceptance import AcceptanceKind
from modelward_collector.store import shape
from modelward_collector.store.acceptances import AcceptanceRefusedError, acceptances

router = APIRouter(tags=["acceptances"], responses=RESPONSES)


def _stretch(text: str) -> str:
    stretch(text)
    return text


class AcceptRequest(BaseModel):
    """What to accept. Of nothing that is named: everything that drifts, each since it drifts."""

    model_config = ConfigDict(extra="forbid")

    feature: str | None = Field(None, description="a feature, an output or `(joint)`; null: each that drifts")
    version: str | None = Field(None, description="null: every version")
    since: Moment | None = Field(None, description="when the new normal began; null: since it drifts")
    reason: str = Field("", max_length=LONGEST_REASON)
    put_back: Annotated[str, AfterValidator(_stretch)] | None = Field(
        None, description="a day, `2026-03-10`, or `FROM/TO`: these windows of the reference belong to it after all"
    )


class AcceptanceAnswer(Answer):
    """One decision about a model's reference."""

    id: str
    model: str
    kind: AcceptanceKind
    feature: str | None
    version: str | None
    since: datetime
    window: SpanAnswer | None
    by: str
    at: datetime
    reason: str


class AcceptedAnswer(BaseModel):
    """What was accepted, and what the drift check says after it; `problem` is why it could not, else ""."""

    acceptances: list[AcceptanceAnswer]
    results: list[ResultSummary]
    problem: str


@router.post(
    "/models/{model:path}/accept",
    status_code=HTTPStatus.CREATED,
    responses={409: {**RESPONSES[404], "model": Problem, "description": "Nothing drifts"}},
)
def accept_drift(
    context: ContextOf, request: Request, model: str, wanted: AcceptRequest | None = None
) -> AcceptedAnswer:
    """Accept what drifts as the new normal: the reference begins anew there, and the drift is checked at once."""
    spec_of(context, model)
    wanted = wanted or AcceptRequest()
    put_back = None if wanted.put_back is None else stretch(wanted.put_back)
    asked = Asked(model, who_asks(request.scope), wanted.feature, wanted.version, wanted.since, wanted.reason, put_back)
    try:
        accepted = accept(context, proposed(context, asked))
    except NothingDriftsError as error:
        raise HTTPException(HTTPStatus.CONFLICT, str(error)) from error
    except NotAcceptedError as error:
        raise UnusableError(error.about, str(error)) from error
    except AcceptanceRefusedError as error:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
    return AcceptedAnswer(
        acceptances=[AcceptanceAnswer.model_validate(one) for one in accepted.acceptances],
        results=[ResultSummary.model_validate(result) for result in accepted.results],
        problem=accepted.problem,
    )


@router.get("/models/{model:path}/acceptances")
def accepted_of(context: ContextOf, model: str, limit: Limit = 100, after: After = None) -> Listing[AcceptanceAnswer]:
    """What was accepted of the model, oldest first."""
    spec_of(context, model)
    said = sorted(acceptances(context.store, model), key=lambda one: (one.at, one.id))
    page, following = listing(said, lambda one: f"{shape.rfc3339(one.at)} {one.id}", limit, after)
    return Listing(items=[AcceptanceAnswer.model_validate(one) for one in page], after=following)
