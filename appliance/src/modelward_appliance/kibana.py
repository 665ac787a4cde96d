"""Puts data views and dashboards into a running Kibana, as often as one likes.

Kibana's own HTTP APIs, all of them public: data views are replaced by their fixed ids, dashboards are put under
theirs (`PUT /api/dashboards/{id}`, 9.5), and in the default space such features are hidden as the appliance has no use
for.
"""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

CONTENT: Final = Path("kibana") / "content"
API_VERSION: Final = "2023-10-31"
"""The version of Kibana's public APIs, which is a date and has been the same since they have one."""

START_SECONDS: Final = 300.0
"""How long a Kibana that starts is waited for; the first start migrates its indices."""

DEGRADED_SECONDS: Final = 30.0
"""How long a Kibana that says it is degraded may still become available; some parts never do without the internet."""

_BUSY: Final = (429, 503)
_ATTEMPTS: Final = 4
_PAUSE_SECONDS: Final = 1.0
_REQUEST_SECONDS: Final = 60.0
_MOST_SAID: Final = 500

_HIDDEN_CATEGORIES: Final = frozenset({"securitySolution", "enterpriseSearch", "observability"})
_HIDDEN_FEATURES: Final = frozenset({"fleet", "fleetv2", "osquery", "slo", "apm", "uptime", "infrastructure"})
"""Parts of Kibana for data that the appliance has not, some of which look for servers outside of the building."""


class KibanaError(Exception):
    """What could not be done, one line each in `lines`; everything else was."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class _RefusedError(Exception):
    """Kibana's answer to one request, as a person reads it."""


@dataclass(frozen=True, slots=True)
class _Kibana:
    url: str
    authorization: str
    trust: ssl.SSLContext

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One request; OSError when there is no answer. The body of an answer that is no JSON is its text."""
        request = urllib.request.Request(self.url.rstrip("/") + path, method=method)  # noqa: S310 - checked by put_all
        request.add_header("Authorization", self.authorization)
        request.add_header("Elastic-Api-Version", API_VERSION)
        request.add_header("kbn-xsrf", "true")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=_REQUEST_SECONDS, context=self.trust) as answer:  # noqa: S310
                return answer.status, _read(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _read(error.read())

    def do(self, method: str, path: str, body: Any = None) -> Any:
        """One request that must succeed; `_RefusedError` with what was answered when it does not.

        It is repeated when Kibana is busy: each of these requests can be made twice.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                status, answer = self.ask(method, path, body)
            except OSError as error:
                problem = f"no answer ({_reason(error)})"
            else:
                if 200 <= status < 300:
                    return answer
                problem = f"{status} {_said(answer)}"
                if status not in _BUSY:
                    break
            if attempt < _ATTEMPTS:
                time.sleep(_PAUSE_SECONDS)
        raise _RefusedError(problem)


def put_all(
    url: str, ca_file: Path, authorization: str, content_root: Path, *, wait_seconds: float = START_SECONDS
) -> list[str]:
    """Put everything of `content_root/kibana/content`; one line for each thing that was put.

    `url` is Kibana's with its base path, `https://kibana:5601/kibana`; `ca_file` is what to trust; `authorization` is
    the whole header of someone who has all rights in Kibana. A Kibana that starts is waited for. `KibanaError` names
    every request that failed and why; a later run puts what is missing.
    """
    if not url.startswith("https://"):
        raise KibanaError([f'Kibana: "{url}" is not an https URL; correct it'])
    content = content_root / CONTENT
    try:
        views = json.loads((content / "data-views.json").read_text(encoding="utf-8"))
        dashboards = {
            path.stem: json.loads(path.read_text(encoding="utf-8"))
            for path in sorted((content / "dashboards").glob("*.json"))
        }
        trust = ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ValueError) as error:
        raise KibanaError([f"Kibana: its content cannot be read ({error}); restore it"]) from error
    kibana = _Kibana(url, authorization, trust)
    _wait(kibana, wait_seconds)
    done: list[str] = []
    failed: list[str] = []

    def step(what: str, method: str, path: str, body: Any) -> None:
        try:
            kibana.do(method, path, body)
            done.append(f"kibana: {what}")
        except _RefusedError as error:
            failed.append(f"Kibana at {url}: {what} could not be put ({method} {path}): {error}")

    for view in views:
        step(f"data view {view['data_view']['id']}", "POST", "/api/data_views/data_view", view)
    default = {"data_view_id": views[0]["data_view"]["id"], "force": True}
    step("default data view", "POST", "/api/data_views/default", default)
    for its_id, dashboard in dashboards.items():
        step(f"dashboard {its_id}", "PUT", f"/api/dashboards/{quote(its_id, safe='')}", dashboard)
    try:
        done.append(f"kibana: {_hide_unused(kibana)} features hidden")
    except _RefusedError as error:
        failed.append(f"Kibana at {url}: unused features could not be hidden: {error}")
    if failed:
        raise KibanaError(failed)
    return done


def _wait(kibana: _Kibana, seconds: float) -> None:
    """Until Kibana says that it is available, or for a while that it is degraded."""
    began = time.monotonic()
    deadline = began + seconds
    while True:
        try:
            status, answer = kibana.ask("GET", "/api/status")
            level = _level(answer) if status == 200 else ""
            patient = time.monotonic() < began + min(DEGRADED_SECONDS, seconds / 2)
            if level == "available" or (level == "degraded" and not patient):
                return
            if status in (401, 403):
                message = f"Kibana at {kibana.url} refuses the credential ({status}); run the setup again (make deploy)"
                raise KibanaError([message])
            problem = f"{status} {_said(answer)}" if status != 200 else f"it is {level}"
        except ssl.SSLCertVerificationError as error:
            raise KibanaError([_untrusted(kibana.url, error)]) from error
        except OSError as error:
            if isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
                raise KibanaError([_untrusted(kibana.url, error)]) from error
            problem = f"no answer ({_reason(error)})"
        if time.monotonic() >= deadline:
            raise KibanaError(
                [f"Kibana at {kibana.url} is not available after {seconds:.0f} s: {problem}; see its log (make logs)"]
            )
        time.sleep(_PAUSE_SECONDS if seconds > _PAUSE_SECONDS else seconds / 10)


def _hide_unused(kibana: _Kibana) -> int:
    """Hide, in the default space, features of which the appliance has no data; how many are hidden."""
    features = kibana.do("GET", "/api/features")
    unused = {feature["id"] for feature in features if isinstance(feature, dict) and _is_unused(feature)}
    space = kibana.do("GET", "/api/spaces/space/default")
    hidden = sorted(unused | set(space.get("disabledFeatures") or []))
    if hidden != sorted(space.get("disabledFeatures") or []):
        body = {name: value for name, value in space.items() if not name.startswith("_")}
        kibana.do("PUT", "/api/spaces/space/default", {**body, "disabledFeatures": hidden})
    return len(hidden)


def _is_unused(feature: Mapping[str, Any]) -> bool:
    category = feature.get("category")
    return feature.get("id") in _HIDDEN_FEATURES or (
        isinstance(category, dict) and category.get("id") in _HIDDEN_CATEGORIES
    )


def _level(answer: Any) -> str:
    """Kibana's own word for how it is; someone without rights sees only that."""
    try:
        return str(answer["status"]["overall"]["level"])
    except (KeyError, TypeError):
        return "unknown"


def _read(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode("utf-8", "replace")


def _said(answer: Any) -> str:
    message = answer.get("message") if isinstance(answer, dict) else answer
    return " ".join(str(message or answer).split())[:_MOST_SAID]


def _reason(error: OSError) -> str:
    return str(getattr(error, "reason", None) or error)


def _untrusted(url: str, error: OSError) -> str:
    return (
        f"Kibana at {url} shows a certificate that the appliance did not issue ({_reason(error)}); run the setup again"
    )
