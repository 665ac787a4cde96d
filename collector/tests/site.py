"""The appliance's access as it is deployed: directory, collector, gateway, and recorders in others' places."""

from __future__ import annotations

import html
import os
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPResponse, HTTPSConnection
from pathlib import Path
from urllib.parse import urlencode

from modelward_appliance.services import BY_NAME
from modelward_appliance.settings import load_site
from modelward_appliance.setup import Setup
from modelward_collector.app import Collector, build, create_app
from modelward_collector.config import load_config
from modelward_collector.serving import Server, bind
from tests.servers.certificates import Authority
from tests.servers.elasticsearch import Elasticsearch
from tests.servers.nginx import Nginx
from tests.servers.ports import free_ports
from tests.servers.recorder import Recorder
from tests.servers.slapd import GROUPS, PEOPLE, SERVICE, SERVICE_PASSWORD, SUFFIX, Slapd, cn, group, person, uid

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse $tap|e"

TREE = {
    uid("vera"): person("vera", PASSWORD, full_name="Vera Viewer"),
    uid("eddie"): person("eddie", PASSWORD, full_name="Eddie Editor"),
    uid("ada"): person("ada", PASSWORD, full_name="Ada Admin"),
    uid("otto"): person("otto", PASSWORD, full_name="Otto Outside"),
    cn("viewers"): group(uid("vera")),
    cn("data-science"): group(uid("eddie")),
    # Groups in groups.
    cn("editors"): group(cn("data-science")),
    cn("admins"): group(uid("ada")),
}


@dataclass
class Browser:
    """Keeps cookies, follows nothing by itself."""

    port: int
    ca: Path
    host: str = "localhost"
    cookies: dict[str, str] = field(default_factory=dict)

    def request(
        self,
        method: str,
        target: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = HTTPSConnection(
            self.host, self.port, timeout=30, context=ssl.create_default_context(cafile=str(self.ca))
        )
        sent = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent |= dict(headers or {})
        connection.request(method, target, body, {name: value for name, value in sent.items() if value})
        answer = Answer.of(connection.getresponse())
        connection.close()
        for line in answer.all("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            if "Max-Age=0" in line:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answer

    def get(self, target: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", target, headers=headers)

    def post(self, target: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Answer:
        sent = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        return self.request("POST", target, urlencode(form), sent)

    def log_in(self, user: str, password: str = PASSWORD, going_to: str = "", **headers: str) -> Answer:
        """Through the form, as a browser does."""
        page = self.get("/login" + (f"?{urlencode({'next': going_to})}" if going_to else ""))
        return self.post("/login", {**page.hidden, "username": user, "password": password}, headers)


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: list[tuple[str, str]]
    text: str

    @classmethod
    def of(cls, response: HTTPResponse) -> Answer:
        text = response.read().decode(errors="replace")
        return cls(response.status, [(name.lower(), value) for name, value in response.getheaders()], text)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def header(self, name: str) -> str:
        values = self.all(name)
        assert len(values) < 2, f"{name} came {len(values)} times: {values}"
        return values[0] if values else ""

    @property
    def hidden(self) -> dict[str, str]:
        """The hidden fields of its form."""
        found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', self.text)
        return {name: html.unescape(value) for name, value in found}


@dataclass
class Place:
    """All that runs, and where."""

    folder: Path
    slapd: Slapd
    collector: Collector
    nginx: Nginx
    kibana: Recorder
    prometheus: Recorder
    alertmanager: Recorder
    elasticsearch: Recorder
    secrets: Callable[[str], str]
    setup: Setup
    collector_port: int
    stop_collector: Callable[[], None]
    start_collector: Callable[[], Collector]
    cookies: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def ca(self) -> Path:
        return self.folder / "gateway" / "tls" / "ca.crt"

    def browser(self, host: str = "localhost") -> Browser:
        return Browser(self.nginx.port, self.ca, host)

    def logged_in(self, user: str, *, anew: bool = False) -> Browser:
        """A browser in which the user is logged in; the session is one for all tests unless `anew`."""
        browser = self.browser()
        if anew or user not in self.cookies:
            answer = browser.log_in(user)
            assert answer.status == 303, (answer.status, answer.text[:2000])
            if not anew:
                self.cookies[user] = dict(browser.cookies)
        else:
            browser.cookies = dict(self.cookies[user])
        return browser

    def raw(self, request: bytes, *, port: int | None = None, tls: bool = True) -> bytes:
        """What comes back for these very bytes."""
        with socket.create_connection(("127.0.0.1", port or self.nginx.port), timeout=10) as plain:
            context = ssl.create_default_context(cafile=str(self.ca))
            stream = context.wrap_socket(plain, server_hostname="localhost") if tls else plain
            stream.sendall(request)
            answer = b""
            while more := stream.recv(65_536):
                answer += more
            return answer


@contextmanager
def deployed(
    folder: Path,
    authority: Authority,
    *,
    many_logins: bool = False,
    node: Elasticsearch | None = None,
    overrides: Mapping[str, str] | None = None,
) -> Iterator[Place]:
    """Everything running, out of the appliance's own setup; `overrides` are the collector's variables.

    With `many_logins` the gateway lets a hundred times as many through; with `node` agents reach that one.
    """
    state, volumes = folder / "state", folder / "volumes"
    (state / "site").mkdir(parents=True)
    (state / "site" / "ldap-ca.crt").write_bytes(authority.path.read_bytes())
    password = state / "site" / "ldap-bind-password"
    password.write_text(SERVICE_PASSWORD + "\n")
    password.chmod(0o600)
    gateway_port, collector_port = free_ports(2)
    with ExitStack() as running:
        slapd = running.enter_context(Slapd(authority, tree=TREE, member_of=True))
        variables = {
            "MODELWARD_HOSTS": "localhost,modelward.test",
            "MODELWARD_PORT": str(gateway_port),
            "COMPOSE_PROFILES": "kibana",
            "MODELWARD_LDAP_URLS": slapd.ldaps_url,
            "MODELWARD_LDAP_BASE_DN": SUFFIX,
            "MODELWARD_LDAP_USER_BASE_DN": PEOPLE,
            "MODELWARD_LDAP_GROUP_BASE_DN": GROUPS,
            "MODELWARD_LDAP_BIND_DN": SERVICE,
            "MODELWARD_LDAP_NESTED_GROUPS": "true",
            "MODELWARD_LDAP_VIEWER_GROUPS": cn("viewers"),
            "MODELWARD_LDAP_EDITOR_GROUPS": cn("editors"),
            "MODELWARD_LDAP_ADMIN_GROUPS": cn("admins"),
            "MODELWARD_ADDRESS_GATEWAY": f"127.0.0.1:{gateway_port}",
            "MODELWARD_ADDRESS_COLLECTOR": f"127.0.0.1:{collector_port}",
        }

        def place_of(name: str) -> Path:
            return volumes / name

        def hand_out(setup: Setup, name: str) -> None:
            where = place_of(name)
            for relative, (content, mode) in setup.rendered(BY_NAME[name], str(where)).items():
                path = where / relative
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                path.chmod(mode)

        # The others' certificates come first: the gateway's configuration names the ports that they then have.
        setup = Setup(load_site(variables, state / "site"), state, ROOT)
        setup.prepare()
        recorders = {}
        for name in ("kibana", "prometheus", "alertmanager", "elasticsearch"):
            hand_out(setup, name)
            tls = place_of(name) / "tls"
            asks = tls / "ca.crt" if name in ("prometheus", "alertmanager") else None
            recorders[name] = running.enter_context(Recorder(tls / "tls.crt", tls / "tls.key", asks))
            variables[f"MODELWARD_ADDRESS_{name.upper()}"] = f"127.0.0.1:{recorders[name].port}"
        if node is not None:
            variables["MODELWARD_ADDRESS_ELASTICSEARCH"] = f"127.0.0.1:{node.port}"
        setup = Setup(load_site(variables, state / "site"), state, ROOT)
        setup.prepare()
        hand_out(setup, "collector")
        hand_out(setup, "gateway")

        environ = {
            **os.environ,
            "MODELWARD_COLLECTOR__STORE": f"{{kind: sqlite, path: {folder / 'modelward.db'}}}",
            "MODELWARD_COLLECTOR__LISTEN__HOST": "127.0.0.1",
            **(overrides or {}),
        }
        started: list[tuple[Server, Collector]] = []

        def start_collector() -> Collector:
            config = load_config(place_of("collector") / "collector.yml", environ)
            collector = build(config)
            assert collector.access is not None
            server = Server(create_app(collector), bind(config.listen), config.listen)
            assert server.start()
            started.append((server, collector))
            return collector

        def stop_collector() -> None:
            if started:
                started.pop()[0].stop()

        running.callback(stop_collector)
        collector = start_collector()
        moved = {"rate=60r/m": "rate=100r/s"} if many_logins else {}
        if node is not None:
            # The test node's certificate is of another authority.
            trusted = folder / "trusted.pem"
            trusted.write_bytes(node.ca.read_bytes())
            own = place_of("gateway") / "tls" / "ca.crt"
            moved[f"proxy_ssl_trusted_certificate {own};"] = f"proxy_ssl_trusted_certificate {trusted};"
        nginx = running.enter_context(Nginx(place_of("gateway"), gateway_port, moved=moved))
        yield Place(
            volumes,
            slapd,
            collector,
            nginx,
            recorders["kibana"],
            recorders["prometheus"],
            recorders["alertmanager"],
            recorders["elasticsearch"],
            lambda name: (state / "secrets" / name).read_text().strip(),
            setup,
            collector_port,
            stop_collector,
            start_collector,
        )


def wait_for(holds: Callable[[], object], what: str, seconds: float = 15) -> None:
    """Return as soon as it holds; fail, naming what was waited for, when it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.02)
