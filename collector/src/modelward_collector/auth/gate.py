"""What every request passes when `auth` is configured: without a session nothing is answered but the login."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelward_collector.api.guard import SAFE_METHODS
from modelward_collector.api.problems import RETRY_AFTER_SECONDS, problem
from modelward_collector.auth.access import Access
from modelward_collector.auth.current import current_session, outside
from modelward_collector.auth.role import Role
from modelward_collector.auth.session import COOKIE, Session, set_cookie
from modelward_collector.auth.visitor import Visitor, visitor_of
from modelward_collector.store.protocol import StoreUnavailableError

logger = logging.getLogger(__name__)

OPEN: Final = frozenset({"/healthz", "/readyz", "/login", "/favicon.ico", "/_bulk", "/alerts/verify", "/runbooks"})
# Runbooks tell nothing of this site, and are read when the store that knows the sessions is away.
OPEN_BELOW: Final = ("/static/", "/_alias/", "/runbooks/")
"""Answered without a session; `_bulk` and `_alias` have the agents' own key, `alerts/verify` has Alertmanager's."""

OF_THE_GATEWAY: Final = "/auth/"
METRICS: Final = "/metrics"

FOR_ADMINS: Final = ("/audit", "/api/v1/audit")
FOR_ALL: Final = frozenset({"/logout"})

BACKGROUND_HEADER: Final = "x-modelward-background"
"""Sent by pages that refresh by themselves: that does not keep a session from ending."""


class Gate:
    """ASGI middleware within `Guard`. Whatever is not open needs a session, and the role for it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        access: Access,
        denied_page: Callable[[Session, Role], Response],
        base_path: str = "",
        api_key: str | None = None,
        metrics_key: str | None = None,
    ) -> None:
        self._app = app
        self._access = access
        self._denied_page = denied_page
        self._base_path = base_path
        self._api_key = api_key
        self._metrics_key = metrics_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, with its session, or answer why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = within(scope["path"], self._base_path)
        visitor = visitor_of(scope, self._access.gateway_key)
        state = scope.setdefault("state", {})
        state["visitor"] = visitor
        state["session"] = None
        headers = Headers(scope=scope)
        if path in OPEN or path.startswith(OPEN_BELOW):
            shown = outside.set(True)
            try:
                await self._app(scope, receive, send)
            finally:
                outside.reset(shown)
            return
        if path == METRICS:
            if self._metrics_key is None or _has_key(headers, "bearer", self._metrics_key):
                await self._app(scope, receive, send)
            else:
                detail = "Send the key of metrics.key_file: Authorization: Bearer <key>."
                await problem(Request(scope), 401, detail)(scope, receive, send)
            return
        if path.startswith(OF_THE_GATEWAY):
            # These answer credentials, and only to the gateway's own questions.
            if visitor.asking:
                await self._app(scope, receive, send)
            else:
                await problem(Request(scope), 404, f"There is nothing at {scope['path']}.")(scope, receive, send)
            return
        needed = needed_role(scope["method"], path)
        if self._api_key is not None and _has_key(headers, "apikey", self._api_key):
            if Role.EDITOR.may(needed):
                await self._app(scope, receive, send)
            else:
                await problem(Request(scope), 403, "The API key is not an administrator.")(scope, receive, send)
            return
        try:
            session = await self._access.session_of(cookie_of(headers), visitor.address)
        except StoreUnavailableError as error:
            retry = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            await problem(Request(scope), 503, str(error), headers=retry)(scope, receive, send)
            return
        if session is None:
            await self._log_in_first(scope, headers)(scope, receive, send)
            return
        if not session.role.may(needed):
            self._access.denied(session, needed, visitor.address, path)
            await self._denied(scope, headers, session, needed)(scope, receive, send)
            return
        await self._answer(scope, receive, send, session, headers)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, session: Session, headers: Headers) -> None:
        scope["state"]["session"] = session
        renewed = None if is_background(headers) else self._access.renewed(session)

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and renewed is not None:
                answered = MutableHeaders(scope=message)
                # A log-out's own cookie stands.
                if "set-cookie" not in answered:
                    answered.append("set-cookie", set_cookie(COOKIE, renewed))
            await send(message)

        token = current_session.set(session)
        try:
            await self._app(scope, receive, with_cookie)
        finally:
            current_session.reset(token)

    def _log_in_first(self, scope: Scope, headers: Headers) -> Response:
        if is_page(scope, headers):
            return to_login(self._base_path, asked_for(scope) if scope["method"] in SAFE_METHODS else "")
        return problem(Request(scope), 401, f"Log in first, at {self._base_path}/login.")

    def _denied(self, scope: Scope, headers: Headers, session: Session, needed: Role) -> Response:
        if is_page(scope, headers):
            token = current_session.set(session)
            try:
                return self._denied_page(session, needed)
            finally:
                current_session.reset(token)
        return problem(Request(scope), 403, f"This needs the role {needed}; {session.username} is {session.role}.")


def within(path: str, base_path: str) -> str:
    """The path without the prefix of the reverse proxy, which may pass it on or strip it."""
    if base_path and (path == base_path or path.startswith(f"{base_path}/")):
        return path[len(base_path) :] or "/"
    return path


def needed_role(method: str, path: str) -> Role:
    """Which role a request of the console or the API needs."""
    if any(path == place or path.startswith(f"{place}/") for place in FOR_ADMINS):
        return Role.ADMIN
    return Role.VIEWER if method in SAFE_METHODS or path in FOR_ALL else Role.EDITOR


def asked_for(scope: Scope) -> str:
    """The path and query as they were sent."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    return (path.partition(b"?")[0] + (b"?" + query if query else b"")).decode("ascii", "replace")


def to_login(base_path: str, asked: str) -> Response:
    """A redirect to the login, which then comes back."""
    target = f"{base_path}/login" + (f"?next={quote(asked, safe='')}" if asked not in ("", "/") else "")
    return RedirectResponse(target, 303, headers={"Cache-Control": "no-store"})


def is_page(scope: Scope, headers: Headers) -> bool:
    """Whether a browser asks for a page, rather than a program or a script of a page."""
    if scope["method"] not in ("GET", "HEAD", "POST") or headers.get("sec-fetch-mode", "navigate") != "navigate":
        return False
    return "text/html" in headers.get("accept", "") and "/api/" not in scope["path"]


def is_background(headers: Headers) -> bool:
    """Whether the request came by itself, with nobody doing anything."""
    return headers.get(BACKGROUND_HEADER, "").lower() in ("1", "true")


def cookie_of(headers: Headers, name: str = COOKIE) -> str:
    """The cookie's value; "" without it, and where there are several of the name."""
    found = []
    for header in headers.getlist("cookie"):
        for pair in header.split(";"):
            key, _, value = pair.strip().partition("=")
            if key == name:
                found.append(value)
    return found[0] if len(found) == 1 else ""


def visitor_in(request: Request) -> Visitor:
    """Who sends the request, as the gate found."""
    visitor: Visitor = request.scope["state"]["visitor"]
    return visitor


def session_in(request: Request) -> Session | None:
    """The request's session, as the gate found."""
    session: Session | None = request.scope["state"]["session"]
    return session


def _has_key(headers: Headers, scheme: str, key: str) -> bool:
    given_scheme, _, given = headers.get("authorization", "").partition(" ")
    return given_scheme.lower() == scheme and hmac.compare_digest(given.strip().encode(), key.encode())
