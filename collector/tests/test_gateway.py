"""The real nginx, on the configuration that setup renders, before the real collector and a real directory."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collector.tests.elastic import opened
from collector.tests.site import ROOT, Place, deployed, wait_for
from modelward_agent.config import Compress
from modelward_agent.config import Elasticsearch as AgentElasticsearch
from modelward_agent.ship.bulk import BulkClient, RefusedError
from modelward_agent.ship.documents import Item
from modelward_appliance.services import BY_NAME
from modelward_appliance.settings import load_site
from modelward_appliance.setup import Setup
from modelward_collector.store.protocol import Alias
from tests.servers.certificates import Authority
from tests.servers.elasticsearch import Elasticsearch
from tests.servers.missing import program
from tests.servers.recorder import Recorded

pytestmark = [pytest.mark.server("nginx"), pytest.mark.server("slapd")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Place]:
    with deployed(tmp_path_factory.mktemp("site"), authority) as running:
        yield running


def credential(place: Place, role: str) -> str:
    password = place.secrets(f"elasticsearch-kibana-{role}-password")
    return "Basic " + base64.b64encode(f"modelward_kibana_{role}:{password}".encode()).decode()


# -- who gets through ----------------------------------------------------------------------------------------------

BEHIND = ["/", "/api/v1/models", "/logs", "/kibana/", "/kibana/app/home", "/prometheus/graph", "/alertmanager/"]


@pytest.mark.parametrize("path", BEHIND)
def test_a_browser_without_a_session_is_sent_to_the_login_and_comes_back(place: Place, path: str) -> None:
    if "/api/" in path:
        return
    answer = place.browser().get(path + "?a=1&b=%2F")
    assert answer.status == 303
    asked = path + "?a=1&b=%2F"
    browser = place.browser()
    login = browser.get(answer.header("location"))
    assert login.hidden["next"] == asked
    entered = browser.log_in("ada", going_to=asked)
    assert (entered.status, entered.header("location")) == (303, asked)


@pytest.mark.parametrize("path", BEHIND)
def test_a_program_without_a_session_is_told_in_json(place: Place, path: str) -> None:
    answer = place.browser().get(path, {"Accept": "application/json", "Sec-Fetch-Mode": "cors"})
    assert answer.status == 401
    assert answer.header("content-type") == "application/problem+json"
    assert answer.all("www-authenticate") == []


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/_bulk", "/_alias/modelward-events", "/auth/check/kibana"])
@pytest.mark.parametrize("user", [None, "ada"])
def test_what_is_for_machines_inside_is_not_there(place: Place, path: str, user: str | None) -> None:
    browser = place.browser() if user is None else place.logged_in(user)
    assert browser.get(path).status == 404
    assert browser.get(path, {"X-Modelward-Asking": "1"}).status == 404


ROLES = {
    "vera": {"/": 200, "/kibana/": 200, "/prometheus/graph": 403, "/alertmanager/": 403, "/audit": 403},
    "eddie": {"/": 200, "/kibana/": 200, "/prometheus/graph": 200, "/alertmanager/": 200, "/audit": 403},
    "ada": {"/": 200, "/kibana/": 200, "/prometheus/graph": 200, "/alertmanager/": 200, "/audit": 200},
}


@pytest.mark.parametrize("user", ROLES)
def test_each_role_gets_where_it_may(place: Place, user: str) -> None:
    browser = place.logged_in(user)
    assert {path: browser.get(path).status for path in ROLES[user]} == ROLES[user]


def test_who_may_not_is_told_on_a_page_and_in_the_trail(place: Place) -> None:
    browser = place.logged_in("vera")
    answer = browser.get("/prometheus/graph?g0.expr=up")
    assert "This needs an editor, and you are a viewer." in answer.text
    problem = browser.get("/prometheus/api/v1/query", {"Accept": "application/json", "Sec-Fetch-Mode": "cors"})
    assert (problem.status, problem.header("content-type")) == (403, "application/problem+json")
    page = place.logged_in("ada").get("/audit").text
    assert "Vera Viewer is viewer; this needs editor. (/prometheus/graph)" in page


def test_someone_in_no_group_is_told_so_and_not_let_in(place: Place) -> None:
    browser = place.browser()
    answer = browser.log_in("otto")
    assert answer.status == 403
    assert "has no access here" in answer.text
    assert browser.get("/").status == 303


# -- what reaches those behind -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("user", "role"), [("vera", "viewer"), ("eddie", "editor"), ("ada", "admin")])
def test_kibana_gets_the_roles_credential(place: Place, user: str, role: str) -> None:
    place.logged_in(user).get("/kibana/app/home?x=%20y")
    request = place.kibana.last
    assert request.target == "/kibana/app/home?x=%20y"
    assert request.header("authorization") == credential(place, role)
    assert request.header("cookie") is None
    assert request.header("host") == f"localhost:{place.nginx.port}"


IDENTITY = [
    "Authorization",
    "Proxy-Authorization",
    "Cookie",
    "X-Modelward-User",
    "X-Modelward-Role",
    "X-Modelward-Gateway",
    "X-Modelward-Asking",
    "X-Modelward-Background",
    "X-Kibana-Authorization",
    "X-Forwarded-For",
    "X-Forwarded-User",
    "X-Forwarded-Host",
    "X-Forwarded-Groups",
    "Forwarded",
    "X-Real-IP",
    "Remote-User",
    "X-Remote-User",
    "es-security-runas-user",
    "es-secondary-authorization",
    "ES-Client-Authentication",
    "X-Elastic-Internal-User",
    "Proxy",
]
FORGED = "forged"


def forged(place: Place, path: str, user: str, spell: Any = str, times: int = 1) -> int:
    """The status of a request with every header of who someone is, beside the session's cookie."""
    cookies = "; ".join(f"{name}={value}" for name, value in place.logged_in(user).cookies.items())
    lines = [f"GET {path} HTTP/1.1", f"Host: localhost:{place.nginx.port}", "Connection: close", f"Cookie: {cookies}"]
    for name in IDENTITY:
        value = f"{name}={FORGED}" if name == "Cookie" else FORGED
        lines += [f"{spell(name)}: {value}"] * times
    return int(place.raw("\r\n".join([*lines, "", ""]).encode()).split()[1])


def seen(request: Recorded) -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.headers if FORGED in value or "__Host-" in value]


@pytest.mark.parametrize("spell", [str, str.lower, str.upper, lambda name: name.replace("-", "_")])
def test_nothing_that_a_client_says_of_who_it_is_gets_through(place: Place, spell: Any) -> None:
    for path, recorder in (("/kibana/", place.kibana), ("/prometheus/", place.prometheus)):
        assert forged(place, path, "ada", spell) == 200
        request = recorder.last
        assert seen(request) == []
        assert len([name for name in request.names if name == "authorization"]) <= 1
    assert place.kibana.last.header("authorization") == credential(place, "admin")
    assert place.kibana.last.header("x-forwarded-for") == "127.0.0.1"
    assert place.prometheus.last.header("authorization") is None


def test_nor_does_anything_that_it_says_twice(place: Place) -> None:
    before = len(place.kibana.requests)
    # nginx refuses some headers when they come twice.
    assert forged(place, "/kibana/", "ada", times=2) in (200, 400)
    assert [seen(request) for request in place.kibana.requests[before:] if seen(request)] == []


def test_prometheus_and_alertmanager_are_reached_by_the_gateways_certificate_alone(place: Place) -> None:
    browser = place.logged_in("eddie")
    browser.get("/prometheus/api/v1/query?query=up")
    browser.post("/alertmanager/api/v2/silences", {"a": "b"})
    assert (place.prometheus.last.client, place.alertmanager.last.client) == ("gateway", "gateway")
    assert place.alertmanager.last.body == b"a=b"
    assert place.prometheus.last.header("cookie") is None


@pytest.mark.parametrize(
    "path",
    [
        "/prometheus/-/reload",
        "/prometheus/-/quit",
        "/alertmanager/-/reload",
        "/prometheus/api/v1/admin/tsdb/delete_series",
        "/prometheus/api/v1/write",
        "/prometheus/api/v1/otlp/v1/metrics",
        "/prometheus/debug/pprof/heap",
        "/prometheus//-/reload",
        "/prometheus/%2d/reload",
        "/prometheus/x/../-/reload",
        "/prometheus/x/..%2f-/reload",
    ],
)
def test_not_even_an_admin_reloads_ends_or_deletes_through_the_gateway(place: Place, path: str) -> None:
    before = len(place.prometheus.requests) + len(place.alertmanager.requests)
    assert place.logged_in("ada").post(path, {}).status in (403, 404)
    assert len(place.prometheus.requests) + len(place.alertmanager.requests) == before


@pytest.mark.parametrize(
    "path",
    [
        "/kibana/..%2fprometheus/graph",
        "/kibana/../prometheus/graph",
        "/kibana/%2e%2e/prometheus/graph",
        "/kibana/%2e%2e%2fprometheus/graph",
        "//prometheus/graph",
        "/./prometheus/graph",
        "/static/../prometheus/graph",
        "/login/../prometheus/graph",
        "/healthz/..;/prometheus/graph",
        "/Prometheus/graph",
        "/PROMETHEUS/graph",
        "/prometheus%2fgraph",
        "/%70rometheus/graph",
        "/kibana/..\\prometheus\\graph",
    ],
)
def test_no_way_of_writing_a_path_gets_a_viewer_to_prometheus(place: Place, path: str) -> None:
    browser = place.logged_in("vera")
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    before = len(place.prometheus.requests)
    for target in (path, f"https://localhost:{place.nginx.port}{path}"):
        head = f"GET {target} HTTP/1.1\r\nHost: localhost:{place.nginx.port}\r\nConnection: close\r\nCookie: {cookies}"
        answer = place.raw(f"{head}\r\n\r\n".encode())
        status = int(answer.split()[1])
        assert status in (200, 400, 403, 404), answer[:300]
        assert b"recorded" not in answer or b"/kibana" in place.kibana.last.target.encode()
    assert len(place.prometheus.requests) == before


@pytest.mark.parametrize(
    "path",
    [
        *("/auth/check/kibana", "//auth/check/kibana", "/x/../auth/check/kibana", "/%61uth/check/kibana"),
        *("/auth%2fcheck/kibana", "/static/..%2fauth/check/kibana", "/Auth/check/kibana", "/auth/check/kibana/"),
        "/auth/./check//kibana",
    ],
)
def test_the_credential_for_kibana_is_never_answered_to_a_client(place: Place, path: str) -> None:
    cookies = "; ".join(f"{name}={value}" for name, value in place.logged_in("ada").cookies.items())
    head = f"GET {path} HTTP/1.1\r\nHost: localhost:{place.nginx.port}\r\nConnection: close\r\nCookie: {cookies}"
    answer = place.raw(f"{head}\r\nX-Modelward-Asking: 1\r\nX-Modelward-Gateway: guess\r\n\r\n".encode())
    assert b"Basic " not in answer
    assert int(answer.split()[1]) in (400, 404)


def test_the_collector_itself_answers_the_gateways_questions_to_the_holder_of_its_key_alone(place: Place) -> None:
    cookies = "; ".join(f"{name}={value}" for name, value in place.logged_in("ada").cookies.items())
    key = place.secrets("gateway-key")
    almost = key[:-1] + ("y" if key.endswith("x") else "x")

    def asked(**headers: str) -> tuple[int, str | None]:
        trust = ssl.create_default_context(cafile=str(place.ca))
        connection = http.client.HTTPSConnection("localhost", place.collector_port, context=trust)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", "/auth/check/kibana", headers={"Cookie": cookies, **sent})
        answer = connection.getresponse()
        connection.close()
        return answer.status, answer.getheader("x-kibana-authorization")

    assert asked(X_Modelward_Asking="1") == (404, None)
    assert asked(X_Modelward_Asking="1", X_Modelward_Gateway=almost) == (404, None)
    assert asked(X_Modelward_Gateway=key) == (404, None)
    assert asked(X_Modelward_Asking="1", X_Modelward_Gateway=key) == (204, credential(place, "admin"))


def test_where_a_login_comes_from_is_what_the_gateway_saw(place: Place) -> None:
    browser = place.browser()
    browser.log_in("nobody-far-away", "x", **{"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9"})
    assert "203.0.113.9" not in place.logged_in("ada").get("/audit").text


def test_what_kibana_answers_sets_no_cookie_and_asks_for_no_password(place: Place) -> None:
    browser = place.logged_in("ada")
    place.kibana.answered = {"Set-Cookie": "__Host-modelward=stolen; Path=/; Secure", "WWW-Authenticate": "Basic"}
    place.kibana.status = 401
    try:
        answer = browser.get("/kibana/api/x")
    finally:
        place.kibana.answered, place.kibana.status = {}, 200
    assert answer.status == 401
    assert answer.all("set-cookie") == []
    assert answer.all("www-authenticate") == []


def test_what_another_sites_page_sends_to_kibana_is_refused(place: Place) -> None:
    browser = place.logged_in("eddie")
    before = len(place.kibana.requests) + len(place.alertmanager.requests)
    for path in ("/kibana/api/x", "/alertmanager/api/v2/silences"):
        for site in ("cross-site", "same-site"):
            assert browser.post(path, {}, {"Sec-Fetch-Site": site}).status == 403
    assert len(place.kibana.requests) + len(place.alertmanager.requests) == before
    assert browser.post("/kibana/api/x", {}).status == 200


def test_kibanas_own_headers_and_large_bodies_reach_it(place: Place) -> None:
    browser = place.logged_in("eddie")
    headers = {"kbn-xsrf": "true", "Elastic-Api-Version": "1", "X-Elastic-Internal-Origin": "Kibana"}
    body = b"x" * 3_000_000
    assert browser.request("POST", "/kibana/api/saved_objects/_import", body, headers).status == 200
    request = place.kibana.last
    assert request.body == body
    assert {name: request.header(name) for name in headers} == headers


def test_websockets_reach_kibana(place: Place) -> None:
    cookies = "; ".join(f"{name}={value}" for name, value in place.logged_in("vera").cookies.items())
    head = f"GET /kibana/socket HTTP/1.1\r\nHost: localhost:{place.nginx.port}\r\nCookie: {cookies}\r\n"
    with socket.create_connection(("127.0.0.1", place.nginx.port), timeout=10) as plain:
        stream = ssl.create_default_context(cafile=str(place.ca)).wrap_socket(plain, server_hostname="localhost")
        stream.sendall(f"{head}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += stream.recv(4096)
        assert answer.startswith(b"HTTP/1.1 101")
        stream.sendall(b"ping")
        while not answer.endswith(b"PING"):
            answer += stream.recv(4096)


# -- the connection ------------------------------------------------------------------------------------------------


def test_plain_http_is_sent_to_https_with_its_method(place: Place) -> None:
    answer = place.raw(f"POST /login?x=1 HTTP/1.1\r\nHost: localhost:{place.nginx.port}\r\n\r\n".encode(), tls=False)
    assert answer.startswith(b"HTTP/1.1 308 ")
    assert f"Location: https://localhost:{place.nginx.port}/login?x=1".encode() in answer


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1", "", "localhost:1", "LOCALHOST@evil"]
)
def test_a_name_that_is_not_this_sites_is_refused(place: Place, host: str) -> None:
    answer = place.raw(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.split()[1] in (b"421", b"400"), answer[:200]


def test_a_name_in_the_request_line_does_not_stand_for_another_in_the_header(place: Place) -> None:
    here = f"localhost:{place.nginx.port}"
    for line, header in ((here, "evil.example"), ("evil.example", here)):
        head = f"GET https://{line}/login HTTP/1.1\r\nHost: {header}\r\nConnection: close\r\n\r\n"
        answer = place.raw(head.encode())
        assert answer.split()[1] in (b"421", b"400"), answer[:200]
        assert b"evil.example" not in answer


def test_a_second_name_of_the_site_is_served_as_itself(place: Place) -> None:
    host = f"modelward.test:{place.nginx.port}"
    answer = place.raw(f"GET /login HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_is_refused(place: Place, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cafile=str(place.ca))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", place.nginx.port), timeout=10) as plain, pytest.raises(OSError):
        context.wrap_socket(plain, server_hostname="localhost")


@pytest.mark.parametrize("path", ["/login", "/kibana/", "/prometheus/", "/nothing"])
def test_every_answer_has_each_security_header_once(place: Place, path: str) -> None:
    for browser in (place.browser(), place.logged_in("ada")):
        answer = browser.get(path)
        assert answer.header("strict-transport-security") == "max-age=31536000"
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("referrer-policy") == "same-origin"
        assert answer.header("server") == "nginx"


def test_a_body_that_no_page_sends_is_not_read(place: Place) -> None:
    assert place.browser().request("POST", "/login", b"x" * 300_000).status == 413


def test_the_access_log_has_no_query_no_cookie_and_no_secret(place: Place) -> None:
    browser = place.logged_in("eddie")
    browser.get("/kibana/app/discover?q=hunter2")
    browser.get("/logs?q=hunter2")
    wait_for(lambda: '"path":"/logs"' in place.nginx.log, "the access log")
    lines = [json.loads(line) for line in place.nginx.log.splitlines()]
    text = place.nginx.log + (place.nginx.folder / "console.log").read_text()
    assert "hunter2" not in text
    assert browser.cookies["__Host-modelward"] not in text
    assert "Basic " not in text
    kibana = [line for line in lines if line["url"]["path"] == "/kibana/app/discover"][-1]
    assert kibana["user"]["name"] == "eddie"
    assert kibana["source"]["ip"] == "127.0.0.1"
    assert kibana["http"]["response"]["status_code"] == 200


# -- agents --------------------------------------------------------------------------------------------------------


def agent_context(place: Place, folder: Path, organization: str = "agents", name: str = "host-1") -> ssl.SSLContext:
    authority: Any = place.setup._authority
    pair = authority.issue(name, [name], organization=organization)
    certificate, key = folder / "agent.crt", folder / "agent.key"
    certificate.write_bytes(pair.certificate)
    key.write_bytes(pair.key)
    key.chmod(0o600)
    context = ssl.create_default_context(cafile=str(place.ca))
    context.load_cert_chain(certificate, key)
    return context


def ingest(place: Place, context: ssl.SSLContext, method: str, path: str, body: bytes = b"", **headers: str) -> int:
    connection = http.client.HTTPSConnection("localhost", place.nginx.ingest_port, timeout=10, context=context)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body or None, sent)
    status = connection.getresponse().status
    connection.close()
    return status


BASIC = "Basic " + base64.b64encode(b"agent_host-1:secret").decode()


def test_an_agent_delivers_as_itself_and_its_gzip_goes_on_as_it_is(place: Place, tmp_path: Path) -> None:
    context = agent_context(place, tmp_path)
    body = gzip.compress(b'{"create":{}}\n{}\n' * 100_000)
    path = "/_bulk?filter_path=errors,items.*.status"
    about = {"Content_Type": "application/x-ndjson", "Content_Encoding": "gzip", "Accept": "application/json"}
    assert ingest(place, context, "POST", path, body, Authorization=BASIC, **about) == 200
    request = place.elasticsearch.last
    assert (request.method, request.target, request.body) == ("POST", path, body)
    assert request.header("authorization") == BASIC
    assert request.header("content-encoding") == "gzip"
    assert request.header("content-type") == "application/x-ndjson"


def test_large_bodies_go_on_and_larger_ones_are_refused(place: Place, tmp_path: Path) -> None:
    context = agent_context(place, tmp_path)
    assert ingest(place, context, "POST", "/_bulk", b"x" * 30_000_000, Authorization=BASIC) == 200
    assert len(place.elasticsearch.last.body) == 30_000_000


def test_an_agent_asks_where_its_aliases_write(place: Place, tmp_path: Path) -> None:
    context = agent_context(place, tmp_path)
    assert ingest(place, context, "GET", "/_alias/modelward-events", Authorization=BASIC) == 200
    assert place.elasticsearch.last.target == "/_alias/modelward-events"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/_search"),
        ("GET", "/modelward-events/_search"),
        ("DELETE", "/modelward-events-000001"),
        ("PUT", "/_security/user/x"),
        ("DELETE", "/_alias/modelward-events"),
        ("GET", "/_alias/modelward-audit"),
        ("GET", "/_alias/*"),
        ("GET", "/_bulk"),
        ("POST", "/x/_bulk"),
        ("POST", "/_bulk/../_search"),
        ("POST", "/_bulk/..%2f_search"),
        ("POST", "/modelward-events/_doc"),
    ],
)
def test_nothing_but_delivering_is_passed_on(place: Place, tmp_path: Path, method: str, path: str) -> None:
    context = agent_context(place, tmp_path)
    before = len(place.elasticsearch.requests)
    assert ingest(place, context, method, path, Authorization=BASIC) in (400, 403, 404)
    assert len(place.elasticsearch.requests) == before


def test_who_an_agent_claims_to_be_beside_its_password_is_not_passed_on(place: Place, tmp_path: Path) -> None:
    context = agent_context(place, tmp_path)
    claims = {"es_security_runas_user": "elastic", "X_Forwarded_For": "1.2.3.4", "es_secondary_authorization": BASIC}
    assert ingest(place, context, "POST", "/_bulk", b"{}\n", Authorization=BASIC, **claims) == 200
    names = place.elasticsearch.last.names
    assert names <= {"host", "authorization", "content-length", "connection", "accept-encoding", "content-type"}


def test_without_a_certificate_of_the_authority_nobody_delivers(place: Place, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger").issue("agent")
    without = ssl.create_default_context(cafile=str(place.ca))
    other = ssl.create_default_context(cafile=str(place.ca))
    other.load_cert_chain(stranger.certificate, stranger.key)
    before = len(place.elasticsearch.requests)
    for context in (without, other):
        try:
            status = ingest(place, context, "POST", "/_bulk", b"{}\n", Authorization=BASIC)
        except OSError:
            continue
        assert status == 400
    assert len(place.elasticsearch.requests) == before


@pytest.mark.parametrize(
    ("organization", "name"),
    [("services", "collector"), ("agents2", "x"), ("x,O=agents", "x"), ("services", "x,O=agents"), ("Agents", "x")],
)
def test_a_certificate_of_something_else_delivers_nothing(
    place: Place, tmp_path: Path, organization: str, name: str
) -> None:
    context = agent_context(place, tmp_path, organization, name)
    assert ingest(place, context, "POST", "/_bulk", b"{}\n", Authorization=BASIC) == 403


# -- when something is down ----------------------------------------------------------------------------------------


def test_while_kibana_is_down_a_page_says_so(place: Place) -> None:
    browser = place.logged_in("vera")
    place.kibana.__exit__(None, None, None)
    answer = browser.get("/kibana/")
    assert answer.status == 503
    assert "This service does not answer" in answer.text
    assert answer.header("retry-after") == "15"


def test_while_the_collector_is_down_nothing_behind_is_reached(place: Place) -> None:
    browser = place.logged_in("ada")
    before = len(place.prometheus.requests)
    place.stop_collector()
    try:
        for path in ("/", "/prometheus/graph", "/alertmanager/"):
            answer = browser.get(path)
            assert (answer.status, "does not answer" in answer.text) == (503, True)
    finally:
        place.start_collector()
    assert len(place.prometheus.requests) == before
    # The session outlives the collector that made it.
    assert browser.get("/prometheus/graph").status == 200


def test_the_configuration_names_no_secret_but_where_it_is_needed(place: Place) -> None:
    key = place.secrets("gateway-key")
    named = [path.name for path in place.nginx.folder.rglob("*") if path.is_file() and key in path.read_text("latin1")]
    assert sorted(named) == ["gateway-key", "gateway_key.conf"]


def test_a_flood_of_logins_is_slowed_down_before_it_reaches_the_collector(place: Place) -> None:
    browser = place.browser()
    statuses = {browser.post("/login", {"username": "x"}).status for _ in range(60)}
    assert statuses == {400, 429}
    assert browser.get("/login").status == 200


# -- with a real Elasticsearch -------------------------------------------------------------------------------------


def test_the_real_agents_client_delivers_through_the_gateway_into_elasticsearch(
    tmp_path: Path, authority: Authority, elasticsearch: Elasticsearch
) -> None:
    store = opened(elasticsearch)
    store.setup()
    with deployed(tmp_path, authority, node=elasticsearch) as place:
        agent_context(place, tmp_path)
        password = tmp_path / "password"
        password.write_text(elasticsearch.agent.password)
        password.chmod(0o600)
        settings = AgentElasticsearch(
            urls=(f"https://localhost:{place.nginx.ingest_port}",),
            ca_file=place.ca,
            certificate=tmp_path / "agent.crt",
            key_file=tmp_path / "agent.key",
            username=elasticsearch.agent.name,
            password_file=password,
            compress=Compress.ALWAYS,
        )
        client = BulkClient(settings)
        try:
            index, _ = client.write_index(Alias.LOGS)
            entry = {"@timestamp": "2026-11-21T12:00:00Z", "kind": "log", "message": "through the gateway"}
            item = Item(Alias.LOGS, f"gateway-{tmp_path.name}", json.dumps(entry).encode())
            indices = {str(Alias.LOGS): index}
            assert [result.status for result in client.create([item], indices)] == [201]
            assert [result.status for result in client.create([item], indices)] == [409]
            password.write_text("wrong")
            with pytest.raises(RefusedError):
                BulkClient(settings).write_index(Alias.LOGS)
        finally:
            client.close()
    store.close()


@pytest.mark.parametrize("profiles", ["", "kibana", "kibana,grafana,scale"])
def test_nginx_takes_what_is_rendered_for_containers(tmp_path: Path, profiles: str) -> None:
    variables = {
        "MODELWARD_HOSTS": "modelward.example.org,10.1.2.3,2001:db8::1",
        "COMPOSE_PROFILES": f"openldap,{profiles}".strip(","),
        "MODELWARD_PORT": "8443",
    }
    (tmp_path / "state").mkdir()
    setup = Setup(load_site(variables, tmp_path / "state" / "site"), tmp_path / "state", ROOT)
    setup.prepare()
    folder = tmp_path / "gateway"
    for name, (content, _) in setup.rendered(BY_NAME["gateway"], str(folder)).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    config = folder / "nginx.conf"
    text = config.read_text()
    assert "resolver 127.0.0.11 " in text
    assert ("location /kibana/" in text) == ("kibana" in profiles)
    assert ("https://elasticsearch-3:9200;" in text) == ("scale" in profiles)
    text = text.replace("/var/log/modelward/gateway/", f"{tmp_path}/")
    config.write_text(re.sub(r"(?<=pid |ath )/tmp/", f"{tmp_path}/", text))
    checked = subprocess.run(
        [program("nginx", "nginx", "/usr/sbin/nginx"), "-t", "-e", "stderr", "-c", config],
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr.replace('the "user" directive', "")
