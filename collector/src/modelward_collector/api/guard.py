"""What every request passes: host names, cross-site requests, security headers, and the request log."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelward_collector.api.problems import problem

logger = logging.getLogger("modelward.requests")

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
HSTS = "max-age=31536000"

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
QUIET_PATHS = ("/healthz", "/readyz", "/metrics", "/_bulk", "/static/")
"""Asked so often, by machines, that they are logged at DEBUG only."""

OWN_KEYS = ("/_bulk", "/alerts/verify")
"""What programs post to with a key of their own, that the route itself asks for."""

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    """ASGI middleware around the whole application.

    `base_path` is a reverse proxy's prefix, which it may pass on or strip. `host_names` are the names a request's Host
    may have; empty allows any. A request that changes something must come from the collector's own pages, or bring the
    API key; without a key configured, one that no browser sent is let through too. `OWN_KEYS` are exempt.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        base_path: str = "",
        host_names: Sequence[str] = (),
        api_key: str | None = None,
        tls: bool = False,
    ) -> None:
        self._app = app
        self._base_path = base_path
        self._host_names = frozenset(name.lower() for name in host_names)
        self._api_key = api_key
        self._headers = {**SECURITY_HEADERS, **({"Strict-Transport-Security": HSTS} if tls else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._base_path:
            scope = {**scope, "root_path": self._base_path}
        begun = time.perf_counter()
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                await problem(Request(scope), *refusal)(scope, receive, answer)
            else:
                await self._app(scope, receive, answer)
        finally:
            path = scope["path"]
            quiet = any(part in path for part in QUIET_PATHS) and status < 500
            # The query is left out: it may hold what someone searched logs for.
            logger.log(
                logging.DEBUG if quiet else logging.INFO,
                "%s %s %d %.0f ms",
                scope["method"],
                path,
                status,
                (time.perf_counter() - begun) * 1000,
            )

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._host_names and _host_name(host) not in self._host_names:
            return 421, f'The host name "{host}" is not served here; add it to listen.names in collector.yml.'
        if scope["method"] in SAFE_METHODS or scope["path"].rstrip("/").endswith(OWN_KEYS):
            return None
        if self._api_key is not None and _has_key(headers, self._api_key):
            return None
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None:
            same = site in ("same-origin", "none")
        elif origin is not None:
            same = urlsplit(origin).netloc.lower() == host.lower()
        elif self._api_key is None:
            same = True
        else:
            return 401, "Send the key of api.api_key_file: Authorization: ApiKey <key>."
        return None if same else (403, "The request came from another site; use the console, or send the API key.")


def _host_name(host: str) -> str:
    """The Host header's name, without port and brackets, in lower case."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _has_key(headers: Headers, key: str) -> bool:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return scheme.lower() in ("apikey", "bearer") and hmac.compare_digest(given.strip().encode(), key.encode())
