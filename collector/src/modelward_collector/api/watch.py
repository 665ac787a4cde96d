"""What watches the collector itself: `/healthz`, `/readyz`, `/metrics`."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel

from modelward_collector import __version__
from modelward_collector.api.problems import Problem, problem
from modelward_collector.api.shared import ContextOf
from modelward_collector.metrics import Metrics

router = APIRouter(tags=["watch"])


class Alive(BaseModel):
    """The process answers."""

    status: str = "ok"
    version: str = __version__


class Ready(BaseModel):
    """The store answers and the schedule runs; `schedules` is False while another collector holds the lease."""

    status: str = "ok"
    schedules: bool
    clock: str


@router.get("/healthz")
def alive() -> Alive:
    """Whether the process answers; asks nothing of others."""
    return Alive()


@router.get("/readyz", response_model=Ready, responses={503: {"model": Problem}})
def ready(context: ContextOf, request: Request) -> Ready | Response:
    """Whether it can do its work: 503 unless the store answers and the scheduler runs."""
    context.store.ping()
    if not context.scheduler.running:
        return problem(request, 503, "The scheduler is not running; see the collector's log.")
    return Ready(schedules=context.scheduler.holds_lease, clock=context.clock.describe())


@router.get("/metrics", response_class=Response)
def metrics(request: Request) -> Response:
    """The collector's series for Prometheus."""
    exposition: Metrics = request.app.state.metrics
    return Response(exposition.render(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
