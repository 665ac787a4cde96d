"""What stands in for Kibana, which cannot be had here: a TLS server that checks requests as Kibana does and keeps them.

It takes the bodies that `kibana.schema` describes (written after Kibana's published schemas), wants the headers that
Kibana wants, and knows one user. It is no Kibana: that a dashboard renders is only seen on a real one (`make verify`).
"""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from kibana.schema import Dashboard, DefaultDataView, PutDataView
from tests.servers.certificates import Issued

AUTHORIZATION: Final = "Basic bW9kZWx3YXJkX3NldHVwOnNlY3JldA=="
BASE: Final = "/kibana"

FEATURES: Final = [
    {"id": "discover_v2", "category": {"id": "kibana"}},
    {"id": "dashboard_v2", "category": {"id": "kibana"}},
    {"id": "siemV5", "category": {"id": "securitySolution"}},
    {"id": "apm", "category": {"id": "observability"}},
    {"id": "fleetv2", "category": {"id": "management"}},
    {"id": "indexPatterns", "category": {"id": "management"}},
]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    authorization: str | None
    body: Any


class KibanaServer:
    """Listens on 127.0.0.1 with the given certificate until `close`. `answer` may answer in its place."""

    def __init__(self, issued: Issued) -> None:
        self.asked: list[Asked] = []
        self.data_views: dict[str, Any] = {}
        self.dashboards: dict[str, Any] = {}
        self.default_data_view: str | None = None
        self.space: dict[str, Any] = {"id": "default", "name": "Default", "disabledFeatures": [], "_reserved": True}
        self.level = "available"
        self.answer: Callable[[Asked], tuple[int, Any] | None] = lambda _: None
        server = self

        class Handler(_Handler):
            kibana = server

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.certificate, issued.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        """With the base path."""
        return f"https://127.0.0.1:{self._server.server_address[1]}{BASE}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def written(self) -> list[str]:
        """Method and path of what would change something."""
        return [f"{asked.method} {asked.path}" for asked in self.asked if asked.method != "GET"]


class _Handler(http.server.BaseHTTPRequestHandler):
    kibana: KibanaServer

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def _handle(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        asked = Asked(self.command, self.path, self.headers.get("authorization"), json.loads(raw) if raw else None)
        self.kibana.asked.append(asked)
        status, content = self.kibana.answer(asked) or self._refused(asked) or self._done(asked)
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "text/plain" if isinstance(content, str) else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refused(self, asked: Asked) -> tuple[int, Any] | None:
        if asked.authorization != AUTHORIZATION:
            return 401, {"statusCode": 401, "error": "Unauthorized", "message": "Unauthorized"}
        if asked.method != "GET":
            if "kbn-xsrf" not in self.headers:
                return 400, {"statusCode": 400, "message": "Request must contain a kbn-xsrf header."}
            if self.headers.get("content-type") != "application/json":
                return 415, {"statusCode": 415, "message": "Unsupported Media Type"}
        if self.headers.get("elastic-api-version", "2023-10-31") != "2023-10-31":
            return 400, {"statusCode": 400, "message": "No version is available for this route"}
        return None

    def _done(self, asked: Asked) -> tuple[int, Any]:
        kibana = self.kibana
        name = asked.path.removeprefix(BASE)
        match asked.method, name.split("/")[1:]:
            case "GET", ["api", "status"]:
                return 200, {"status": {"overall": {"level": kibana.level}}}
            case "GET", ["api", "features"]:
                return 200, FEATURES
            case "GET", ["api", "spaces", "space", "default"]:
                return 200, kibana.space
            case "PUT", ["api", "spaces", "space", "default"]:
                if any(key.startswith("_") for key in asked.body):
                    return 400, {"message": "[request body._reserved]: definition for this key is missing"}
                kibana.space = asked.body | {"_reserved": True}
                return 200, kibana.space
            case "POST", ["api", "data_views", "data_view"]:
                return self._taken(
                    PutDataView, lambda: kibana.data_views.update({asked.body["data_view"]["id"]: asked.body})
                )
            case "POST", ["api", "data_views", "default"]:
                if asked.body.get("data_view_id") not in kibana.data_views:
                    return 404, {"message": "no such data view"}
                kibana.default_data_view = asked.body["data_view_id"]
                return self._taken(DefaultDataView, lambda: None)
            case "PUT", ["api", "dashboards", its_id]:
                return self._taken(Dashboard, lambda: kibana.dashboards.update({its_id: asked.body}))
        return 404, {"statusCode": 404, "error": "Not Found", "message": "Not Found"}

    def _taken(self, schema: type[BaseModel], keep: Callable[[], None]) -> tuple[int, Any]:
        try:
            schema.model_validate(self.kibana.asked[-1].body)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            return 400, {
                "statusCode": 400,
                "error": "Bad Request",
                "message": f"[request body.{where}]: {first['msg']}",
            }
        keep()
        return 200, {"id": "taken"}

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class has it
        pass
