"""Agents by their heartbeats."""

from __future__ import annotations

from fastapi import APIRouter

from modelward_collector.api.answers import AgentAnswer
from modelward_collector.api.problems import RESPONSES
from modelward_collector.api.shared import After, ContextOf, Limit, Listing, listing

router = APIRouter(tags=["agents"], responses=RESPONSES)


@router.get("/agents")
def agents(context: ContextOf, limit: Limit = 100, after: After = None) -> Listing[AgentAnswer]:
    """The latest heartbeat of every host, by host."""
    page, following = listing(context.store.heartbeats(), lambda beat: beat.host, limit, after)
    return Listing(items=[AgentAnswer.model_validate(beat) for beat in page], after=following)
