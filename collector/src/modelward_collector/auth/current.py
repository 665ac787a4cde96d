"""The session of the request that is being answered."""

from __future__ import annotations

from contextvars import ContextVar

from modelward_collector.auth.session import Session

current_session: ContextVar[Session | None] = ContextVar("current_session", default=None)
"""None where nobody logs in, and on pages that need no login."""

outside: ContextVar[bool] = ContextVar("outside", default=False)
"""Whether the page is shown without a login although there are logins."""
