"""Errors as problem details (RFC 9457), `application/problem+json`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from modelward_collector.store.protocol import StoreUnavailableError

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 5


class InvalidParameter(BaseModel):
    """One parameter that cannot be used."""

    name: str
    problem: str


class Problem(BaseModel):
    """What went wrong, for people (`detail`) and for programs (`status`, `title`)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str
    invalid_parameters: list[InvalidParameter] | None = None


class NotFoundError(Exception):
    """There is no such thing; the message names it and says where to look."""


class UnusableError(Exception):
    """One parameter cannot be used, as only its reader could tell."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.parameter = InvalidParameter(name=name, problem=problem)


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": HTTPStatus(status).phrase, "content": {"application/problem+json": {}}}
    for status in (404, 422, 503)
}
"""What every route may answer beside its own model, for OpenAPI."""


def problem(
    request: Request,
    status: int,
    detail: str,
    *,
    invalid: list[InvalidParameter] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The response that says so."""
    body = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=request.url.path,
        invalid_parameters=invalid,
    )
    return JSONResponse(
        body.model_dump(exclude_none=True), status, headers=headers, media_type="application/problem+json"
    )


def handle_problems(app: FastAPI, page_not_found: Callable[[Request], Response]) -> None:
    """Answer every error of the application as a problem; to a browser, a page that is not there is a page."""

    @app.exception_handler(NotFoundError)
    def not_found(request: Request, error: NotFoundError) -> JSONResponse:
        return problem(request, 404, str(error))

    @app.exception_handler(StoreUnavailableError)
    def store_unavailable(request: Request, error: StoreUnavailableError) -> JSONResponse:
        return problem(request, 503, str(error), headers={"Retry-After": str(RETRY_AFTER_SECONDS)})

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        wrong = [
            InvalidParameter(name=".".join(str(part) for part in detail["loc"][1:]) or "body", problem=detail["msg"])
            for detail in error.errors()
        ]
        detail = "; ".join(f"{one.name}: {one.problem}" for one in wrong)
        return problem(request, 422, detail, invalid=wrong)

    @app.exception_handler(UnusableError)
    def unusable(request: Request, error: UnusableError) -> JSONResponse:
        return problem(request, 422, str(error), invalid=[error.parameter])

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> Response:
        detail = str(error.detail)
        if error.status_code == 404 and detail == "Not Found":
            if "text/html" in request.headers.get("accept", "") and "/api/" not in request.url.path:
                return page_not_found(request)
            detail = f"There is nothing at {request.url.path}; the paths are listed at /api/v1/openapi.json."
        return problem(request, error.status_code, detail, headers=error.headers)

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> JSONResponse:
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return problem(request, 500, "The collector failed to answer; its log says why.")
