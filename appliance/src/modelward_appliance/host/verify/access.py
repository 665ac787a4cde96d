"""What nobody may see without having logged in, and headers that nobody believes."""

from __future__ import annotations

import http.client

from modelward_appliance.host.verify.check import Check, CheckError
from modelward_appliance.host.verify.client import Client, UnreachableError, trusting
from modelward_appliance.host.verify.login import TO_LOGIN, logged_in
from modelward_appliance.host.verify.site import HERE, Site

PRIVATE = (
    "/",
    "/api/v1/models",
    "/api/v1/events",
    "/metrics",
    "/kibana/",
    "/kibana/api/status",
    "/prometheus/",
    "/prometheus/api/v1/query?query=up",
    "/alertmanager/",
    "/alertmanager/api/v2/alerts",
    "/alerts/verify",
    "/_bulk",
)
"""A path of each thing behind the gateway."""

FORGED = {
    "Authorization": "Basic ZWxhc3RpYzplbGFzdGlj",
    "X-Modelward-User": "admin",
    "X-Modelward-Role": "admin",
    "X-Remote-User": "admin",
    "Remote-User": "admin",
    "X-Forwarded-User": "admin",
    "X-WebAuth-User": "admin",
    "X-Auth-Request-User": "admin",
    "es-security-runas-user": "elastic",
    "X-Original-URI": "/healthz",
    "X-Original-URL": "/healthz",
    "X-Rewrite-URL": "/healthz",
    "X-Forwarded-For": "127.0.0.1",
}
"""Headers by which a proxy might tell who someone is, or what is asked."""

_REFUSED = (401, 403, 404)
_REPORT = "this is a hole: run make stop, then make support-bundle, and report it"


def _refused(client: Client, path: str, headers: dict[str, str]) -> None:
    answer = client.get(path, headers)
    if answer.status in TO_LOGIN and "login" in answer.headers.get("location", ""):
        return
    if answer.status in _REFUSED:
        return
    if answer.status >= 500:
        raise CheckError(f"{path} answered {answer.status}", "see make logs SERVICE=gateway and SERVICE=collector")
    raise CheckError(f"{path} answered {answer.status} to someone who did not log in", _REPORT)


def _strangers(site: Site) -> str:
    for path in PRIVATE:
        _refused(site.gateway, path, {})
    return f"{len(PRIVATE)} paths, each refused or sent to the login"


def _forged_headers(site: Site) -> str:
    for path in PRIVATE:
        _refused(site.gateway, path, FORGED)
    return f"{len(FORGED)} headers on {len(PRIVATE)} paths, each refused"


def _viewer_stays_viewer(site: Site) -> str:
    client = logged_in(site, "viewer")
    for path in ("/prometheus/api/v1/query?query=up", "/alertmanager/api/v2/alerts"):
        answer = client.get(path, FORGED)
        if answer.status < 400:
            raise CheckError(f"{path} answered {answer.status} to a viewer who claims to be an admin", _REPORT)
    return "Prometheus and Alertmanager refused to a viewer who claims to be an admin"


def _ingest_without_certificate(site: Site) -> str:
    host = f"[{site.host}]" if ":" in site.host else site.host
    client = Client(f"https://{host}:{site.environment.ingest_port}", HERE, trusting(site.authority))
    try:
        answer = client.request("POST", "/_bulk", b"{}\n", {"Content-Type": "application/x-ndjson"})
    except UnreachableError:
        return "the connection was closed"
    if answer.status < 400 or answer.status >= 500:
        raise CheckError(f"POST /_bulk answered {answer.status} to a client without a certificate", _REPORT)
    return f"answered {answer.status}"


def _plain_http(site: Site) -> str:
    """Nothing is ever answered in the clear but where to go instead."""
    seen = []
    for port in (site.environment.port, site.environment.ingest_port):
        connection = http.client.HTTPConnection(HERE, port, timeout=10)
        try:
            connection.request("GET", "/", headers={"Host": site.host})
            response = connection.getresponse()
            location = response.getheader("Location", "")
        except (OSError, http.client.HTTPException):
            seen.append(f"port {port} closed")
            continue
        finally:
            connection.close()
        redirects = response.status in TO_LOGIN and location.startswith("https://")
        if not redirects and response.status != 400:
            raise CheckError(f"port {port} answered {response.status} over plain HTTP", "see make logs SERVICE=gateway")
        seen.append(f"port {port} {'redirects' if redirects else 'answers 400'}")
    return ", ".join(seen)


CHECKS = (
    Check("no-login", "nothing is answered without a login", _strangers),
    Check("forged-headers", "headers that claim an identity are ignored", _forged_headers),
    Check("viewer-stays-viewer", "a viewer cannot claim another role", _viewer_stays_viewer),
    Check("ingest-certificate", "nobody delivers without a certificate", _ingest_without_certificate),
    Check("plain-http", "plain HTTP gets no content", _plain_http),
)
