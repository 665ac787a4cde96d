"""The login, the log-out, the audit page, and what the gateway asks."""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from modelward_collector.api.problems import RETRY_AFTER_SECONDS, problem
from modelward_collector.auth.access import Access
from modelward_collector.auth.current import current_session
from modelward_collector.auth.destination import local
from modelward_collector.auth.gate import (
    cookie_of,
    is_background,
    is_page,
    session_in,
    to_login,
    visitor_in,
)
from modelward_collector.auth.kibana import KibanaUnavailableError
from modelward_collector.auth.lockout import LockedError
from modelward_collector.auth.person import DirectoryUnavailableError, Refusal, RefusedError
from modelward_collector.auth.role import Role
from modelward_collector.auth.session import COOKIE, Session, set_cookie
from modelward_collector.console.forms import form_of
from modelward_collector.console.pages.audit import audit_page
from modelward_collector.console.pages.login import Notice, denied_page, login_page
from modelward_collector.console.pages.missing import unavailable
from modelward_collector.console.site import PageView, Site
from modelward_collector.store.protocol import StoreUnavailableError

logger = logging.getLogger(__name__)

FORM_COOKIE: Final = "__Host-modelward-login"
FORM_PURPOSE: Final = "login form 1"
FORM_SECONDS: Final = 3_600

BEHIND: Final[Mapping[str, Role]] = {
    "kibana": Role.VIEWER,
    "prometheus": Role.EDITOR,
    "alertmanager": Role.EDITOR,
}
"""What the gateway lets people through to, and the role that needs."""

ASKED_FOR: Final = "x-modelward-asked-for"
"""The path and query that the browser asked the gateway for."""

_STATUS: Final[Mapping[Notice, int]] = {
    Notice.WRONG: 401,
    Notice.LOCKED: 429,
    Notice.NO_ROLE: 403,
    Notice.UNAVAILABLE: 503,
    Notice.OLD_FORM: 400,
}


def auth_router(access: Access, site: Site) -> APIRouter:
    """The routes; `Gate` stands before them."""
    router = APIRouter(include_in_schema=False)
    base_path = site.links.root
    home = site.links.to("/")

    def drawn(view: PageView) -> HTMLResponse:
        return _drawn(site, view)

    async def form(
        request: Request, going_to: str, notice: Notice | None = None, username: str = "", seconds: float = 0.0
    ) -> Response:
        nonce = cookie_of(request.headers, FORM_COOKIE) or secrets.token_urlsafe(16)
        token = access.signer.derived(FORM_PURPOSE, nonce)
        status = 200 if notice is None else _STATUS[notice]
        view = login_page(token, going_to, notice, status, username=username, seconds=seconds)
        # Drawing needs the store no more than a moment ago, but a template is drawn off the loop like any other.
        response = await run_in_threadpool(drawn, view)
        response.headers.append("set-cookie", set_cookie(FORM_COOKIE, nonce, FORM_SECONDS))
        if notice in (Notice.LOCKED, Notice.UNAVAILABLE):
            response.headers["Retry-After"] = str(int(seconds) or RETRY_AFTER_SECONDS)
        return response

    @router.get("/login")
    async def login(request: Request) -> Response:
        going_to = local(request.query_params.get("next", ""), home)
        visitor = visitor_in(request)
        try:
            session = await access.session_of(cookie_of(request.headers), visitor.address)
        except StoreUnavailableError:
            session = None
        if session is not None:
            return RedirectResponse(going_to, 303, headers={"Cache-Control": "no-store"})
        return await form(request, going_to)

    @router.post("/login")
    async def log_in(request: Request) -> Response:
        fields = await form_of(request)
        going_to = local(fields.get("next", ""), home)
        username, password = fields.get("username", ""), fields.get("password", "")
        visitor = visitor_in(request)
        nonce = cookie_of(request.headers, FORM_COOKIE)
        expected = access.signer.derived(FORM_PURPOSE, nonce)
        if not nonce or not hmac.compare_digest(fields.get("token", "").encode(), expected.encode()):
            access.refuse_form(username, visitor.address)
            return await form(request, going_to, Notice.OLD_FORM, username=username)
        try:
            session = await access.log_in(username, password, visitor.address)
        except LockedError as error:
            return await form(request, going_to, Notice.LOCKED, username=username, seconds=error.seconds + 1)
        except RefusedError as error:
            notice = Notice.NO_ROLE if error.reason is Refusal.NO_ROLE else Notice.WRONG
            return await form(request, going_to, notice, username=username)
        except DirectoryUnavailableError:
            return await form(request, going_to, Notice.UNAVAILABLE, username=username)
        response = RedirectResponse(going_to, 303, headers={"Cache-Control": "no-store"})
        response.headers.append("set-cookie", set_cookie(COOKIE, access.sessions.token(session)))
        response.headers.append("set-cookie", set_cookie(FORM_COOKIE, "", 0))
        return response

    @router.post("/logout")
    def log_out(request: Request) -> Response:
        session = session_in(request)
        if session is not None:
            access.log_out(session, visitor_in(request).address)
        response = RedirectResponse(site.links.to("/login"), 303, headers={"Cache-Control": "no-store"})
        response.headers.append("set-cookie", set_cookie(COOKIE, "", 0))
        return response

    @router.get("/audit")
    def audit(request: Request) -> HTMLResponse:
        try:
            view = audit_page(site, request.query_params, access.seen(), session_in(request))
        except StoreUnavailableError as error:
            view = unavailable(site, str(error))
        return drawn(view)

    @router.post("/audit/revoke")
    async def revoke(request: Request) -> Response:
        session = session_in(request)
        assert session is not None
        username = (await form_of(request)).get("user", "")
        if username:
            access.revoke(username, session.username, visitor_in(request).address)
        return RedirectResponse(site.links.to("/audit", ended=username), 303)

    # -- the gateway's own questions ------------------------------------------------------------------------------
    async def session_asked_about(request: Request) -> Session | None:
        return await access.session_of(cookie_of(request.headers), visitor_in(request).address)

    @router.get("/auth/check/{what}")
    async def check(what: str, request: Request) -> Response:
        needed = BEHIND.get(what)
        if needed is None:
            return Response(status_code=404)
        session = await session_asked_about(request)
        if session is None:
            return Response(status_code=401)
        address = visitor_in(request).address
        if not session.role.may(needed):
            access.denied(session, needed, address, request.headers.get(ASKED_FOR, "").partition("?")[0])
            return Response(status_code=403)
        headers = {"X-Modelward-User": _as_header(session.username), "X-Modelward-Role": session.role}
        if what == "kibana":
            try:
                headers["X-Kibana-Authorization"] = await access.kibana_authorization(session)
            except KibanaUnavailableError as error:
                logger.error("%s", error)
                return Response(status_code=500)
        renewed = None if is_background(request.headers) else access.renewed(session)
        if renewed is not None:
            headers["Set-Cookie"] = set_cookie(COOKIE, renewed)
        return Response(status_code=204, headers=headers)

    @router.api_route("/auth/required", methods=["GET", "HEAD"])
    async def required(request: Request) -> Response:
        if is_page(request.scope, request.headers):
            return to_login(base_path, local(request.headers.get(ASKED_FOR, ""), ""))
        return problem(request, 401, f"Log in first, at {base_path}/login.")

    @router.api_route("/auth/denied", methods=["GET", "HEAD"])
    async def denied_behind(request: Request) -> Response:
        session = await session_asked_about(request)
        if session is not None and is_page(request.scope, request.headers):
            current_session.set(session)
            return await run_in_threadpool(drawn, denied_page(session, Role.EDITOR))
        return problem(request, 403, f"This needs the role {Role.EDITOR} or above.")

    return router


def denied(site: Site, session: Session, needed: Role) -> Response:
    """The page for someone whose role does not allow what was asked for."""
    return _drawn(site, denied_page(session, needed))


def _drawn(site: Site, view: PageView) -> HTMLResponse:
    return HTMLResponse(site.draw(view), view.status, headers={"Cache-Control": "no-store"})


def _as_header(username: str) -> str:
    return username.encode("ascii", "replace").decode()
