"""The session of the request that is being answered."""

from __future__ import annotations

from contextvars import ContextVar

from starlette.types import Scope

from modelward_collector.auth.session import Session

current_session: ContextVar[Session | None] = ContextVar("current_session", default=None)
"""None where nobody logs in, and on pages that need no login."""

outside: ContextVar[bool] = ContextVar("outside", default=False)
"""Whether the page is shown without a login although there are logins."""


def who_asks(scope: Scope) -> str:
    """Who the request is from, for the audit trail: the person logged in, a script with the key, or an address."""
    session = current_session.get()
    if session is not None:
        return session.username
    if "visitor" in scope.get("state", {}):
        # The gate lets nobody without a session further, but for who has the API's key.
        return "the API key"
    client = scope.get("client")
    return f"someone at {client[0]}" if client else "someone"
