"""From a number that a service shows to a person: real Prometheus, Alertmanager and exporters, a real webhook and mail.

Everything runs with the configuration that the appliance's setup hands out, over TLS.
"""

from __future__ import annotations

import ssl
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from modelward_agent.config import Metrics as MetricsSettings
from modelward_agent.metrics import AgentMetrics, MetricsServer
from tests.servers.alertmanager import Alertmanager
from tests.servers.appliance import AppliancePrometheus, Daemon, Rendered, blackbox_exporter, node_exporter
from tests.servers.certificates import Authority
from tests.servers.mail import Mail
from tests.servers.ports import free_port
from tests.servers.web import Web

pytestmark = [pytest.mark.server("prometheus"), pytest.mark.server("alertmanager")]

WITHIN = timedelta(seconds=30)
"""From a critical event to its notification; design, section 7."""

SITE = "https://modelward.example.org"
ALL_WEEK = "monday,tuesday,wednesday,thursday,friday,saturday,sunday"
COLOURS = ("green", "yellow", "red")


def wait_for(wanted: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        if found := wanted():
            return found
        assert time.monotonic() < deadline, f"no {what} within {seconds:g} s"
        time.sleep(0.1)


@dataclass
class Outside:
    """What is not of the appliance: the company's mail server and a webhook, with its own authority."""

    folder: Path
    port_of_mail: int = field(default_factory=free_port)
    port_of_hook: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.authority = Authority(self.folder / "company", "Company CA")
        self.hook = f"https://127.0.0.1:{self.port_of_hook}"

    def context(self) -> ssl.SSLContext:
        issued = self.authority.issue("outside")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.certificate, issued.key)
        return context

    def rendered(self, **variables: str) -> Rendered:
        """An appliance that knows them."""
        site = {
            "smtp-password": "pass $word",
            "slack-team-url": f"{self.hook}/slack",
            "alerting-ca.crt": self.authority.path.read_text(),
        }
        return Rendered(
            self.folder / "appliance",
            site,
            MODELWARD_HOSTS="modelward.example.org",
            COMPOSE_PROFILES="openldap,grafana,kibana",
            MODELWARD_SMTP_HOST="127.0.0.1",
            MODELWARD_SMTP_PORT=str(self.port_of_mail),
            MODELWARD_SMTP_FROM="modelward@example.org",
            MODELWARD_SMTP_USERNAME="modelward",
            MODELWARD_TEAM_EMAILS="team@example.org",
            MODELWARD_TEAM_WEBHOOKS=f"{self.hook}/team",
            MODELWARD_TEAM_SLACK_CHANNEL="#models",
            MODELWARD_MANAGEMENT_WEBHOOKS=f"{self.hook}/management",
            MODELWARD_EXECUTIVE_WEBHOOKS=f"{self.hook}/executive",
            MODELWARD_HEARTBEAT_WEBHOOK=f"{self.hook}/heartbeat",
            **variables,
        )

    def mail(self) -> Mail:
        return Mail(self.context(), self.port_of_mail, "modelward", "pass $word")

    def web(self) -> Web:
        return Web(self.context(), self.port_of_hook)


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    return Outside(tmp_path)


@pytest.fixture
def running() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def names(web: Web, path: str) -> set[str]:
    return {alert["labels"]["alertname"] for to, body in web.posted if to == path for alert in body.get("alerts", ())}


def alert(name: str, **labels: str) -> dict[str, Any]:
    return {
        "labels": {"alertname": name, "team": "platform", "stakeholder": "platform", **labels},
        "annotations": {"summary": f"{name} of a test", "runbook_url": f"/runbooks/{name}", "dashboard": "d/x?orgId=1"},
    }


# -- from end to end -----------------------------------------------------------------------------------------------
def test_a_critical_alert_reaches_webhooks_and_mail_within_thirty_seconds(
    outside: Outside, running: ExitStack, browser: Browser, tmp_path: Path
) -> None:
    rendered = outside.rendered()
    colour = "green"

    def metrics() -> str:
        lines = [f'modelward_elasticsearch_health{{status="{one}"}} {int(one == colour)}' for one in COLOURS]
        return "\n".join(["modelward_store_up 1", "modelward_scheduler_leading 1", *lines, ""])

    mail, web = running.enter_context(outside.mail()), running.enter_context(outside.web())
    collector = running.enter_context(
        Web(rendered.server_context("collector"), rendered.ports["collector"], {"/metrics": metrics})
    )
    running.enter_context(Alertmanager(rendered))
    prometheus = running.enter_context(AppliancePrometheus(rendered))
    wait_for(lambda: prometheus.get("/api/v1/query?query=modelward_store_up")["result"], "scrape of the collector")
    key = (rendered.folder("prometheus") / "secrets" / "collector-metrics-key").read_text().strip()
    assert collector.authorizations[0] == f"Bearer {key}"

    colour, began = "red", time.monotonic()
    wait_for(lambda: "ElasticsearchRed" in names(web, "/team"), "notification of the team")
    letter = wait_for(lambda: next(iter(mail.letters), None), "mail")
    took = time.monotonic() - began
    wait_for(lambda: "ElasticsearchRed" in names(web, "/executive"), "notification of the executives", 10)
    wait_for(lambda: "ElasticsearchRed" in names(web, "/management"), "notification of the management", 10)
    assert took < WITHIN.total_seconds()
    wait_for(lambda: names(web, "/heartbeat") == {"DeadMansSwitch"}, "heartbeat")

    assert (letter.encrypted, letter.user, letter.to) == (True, "modelward", ("team@example.org",))
    assert letter.message["subject"] == "[Critical] Elasticsearch is red, some of its data cannot be read"
    for kind in ("text/plain", "text/html"):
        text = letter.part(kind).replace("&amp;", "&")
        assert f"{SITE}/runbooks/ElasticsearchRed" in text
        assert f"{SITE}:3000/d/modelward-appliance?orgId=1&from=" in text
        assert "&to=now" in text
        assert "A primary shard is not allocated." in text
    said = wait_for(lambda: next((body for to, body in web.posted if to == "/slack"), None), "word in Slack", 10)
    assert said["channel"] == "#models"
    assert said["attachments"][0]["title"] == letter.message["subject"]
    assert f"<{SITE}/runbooks/ElasticsearchRed|Runbook>" in said["attachments"][0]["text"]
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.set_content(letter.part("text/html"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


def test_what_is_over_is_said_to_be_over_to_the_same_people(outside: Outside, running: ExitStack) -> None:
    rendered = outside.rendered()
    mail, web = running.enter_context(outside.mail()), running.enter_context(outside.web())
    alertmanager = running.enter_context(
        Alertmanager(rendered, lambda text: at_once(text).replace("group_interval: 1m", "group_interval: 1s"))
    )
    down = alert("ModelDown", severity="1", kind="availability", model="fraud", team="risk@example.org")
    alertmanager.post(down)
    wait_for(lambda: len(mail.letters) == 2, "mail to team and owner", 30)
    alertmanager.post({**down, "endsAt": datetime.now(UTC).isoformat()})
    wait_for(lambda: len(mail.letters) == 4, "mail of its end to both", 30)
    subjects = {(letter.to[0], str(letter.message["subject"])) for letter in mail.letters}
    said = "ModelDown of a test"
    assert subjects == {
        (to, f"[{state}] {said}")
        for to in ("team@example.org", "risk@example.org")
        for state in ("Critical", "Resolved")
    }
    assert "to=now" not in mail.letters[-1].part("text/plain")
    wait_for(lambda: any(body["status"] == "resolved" for to, body in web.posted if to == "/team"), "word of its end")


def test_what_make_verify_sends_reaches_its_receiver_and_nobody_else(outside: Outside, running: ExitStack) -> None:
    rendered = outside.rendered()
    web = running.enter_context(outside.web())
    collector = running.enter_context(Web(rendered.server_context("collector"), rendered.ports["collector"]))
    alertmanager = running.enter_context(Alertmanager(rendered))
    alertmanager.post(alert("ModelwardVerify", verify="true", verify_id="a1", severity="1"))
    path, body = wait_for(lambda: next(iter(collector.posted), None), "test alert", 10)
    assert (path, body["alerts"][0]["labels"]["verify_id"]) == ("/alerts/verify", "a1")
    key = (rendered.folder("alertmanager") / "secrets" / "collector-alerts-key").read_text().strip()
    assert collector.authorizations == [f"ApiKey {key}"]
    alertmanager.post(alert("GatewayDown", severity="1", kind="service"))
    wait_for(lambda: names(web, "/team") == {"GatewayDown"}, "a real alert after it", 20)
    assert {name for to, _ in web.posted for name in names(web, to)} == {"GatewayDown"}


# -- what is not sent ----------------------------------------------------------------------------------------------
def at_once(text: str) -> str:
    """The same routes without the minutes that minor alerts are held back."""
    return text.replace("group_wait: 2m", "group_wait: 1s").replace("group_wait: 10m", "group_wait: 1s")


def inhibited(alertmanager: Alertmanager) -> dict[str, bool]:
    return {one["labels"]["alertname"]: bool(one["status"]["inhibitedBy"]) for one in alertmanager.alerts()}


def test_what_follows_from_something_worse_is_not_sent(outside: Outside, running: ExitStack) -> None:
    rendered = outside.rendered()
    web = running.enter_context(outside.web())
    alertmanager = running.enter_context(Alertmanager(rendered, at_once))
    follows = [
        alert("CheckOverdue", severity="3", kind="check", model="fraud"),
        alert("ShipFailing", severity="3", kind="delivery", host="scoring-1"),
        alert("ModelDrift", severity="3", kind="drift", model="fraud"),
        alert("ModelLatencyBudgetBurn", severity="2", kind="latency", model="fraud"),
        alert("LogMatchesHigh", severity="3", kind="logs", model="fraud"),
    ]
    stands = [
        alert("StoreUnreachable", severity="1", kind="store"),
        alert("ModelDown", severity="1", kind="availability", model="fraud"),
        alert("ModelDrift2", severity="3", kind="drift", model="churn"),
        alert("DiskWillFill", severity="3", kind="host"),
    ]
    alertmanager.post(*stands, *follows)
    wanted = {one["labels"]["alertname"] for one in stands}
    wait_for(lambda: names(web, "/team") == wanted, f"{wanted} at the team", 30)
    assert inhibited(alertmanager) == dict.fromkeys(wanted, False) | {
        one["labels"]["alertname"]: True for one in follows
    }


def test_in_quiet_hours_only_what_cannot_wait_is_sent(outside: Outside, running: ExitStack) -> None:
    # From midnight to midnight, so that the test does not depend on when it runs.
    hours = {"MODELWARD_QUIET_DAYS": ALL_WEEK, "MODELWARD_QUIET_FROM": "00:00", "MODELWARD_QUIET_TO": "00:00"}
    rendered = outside.rendered(**hours)
    web = running.enter_context(outside.web())
    alertmanager = running.enter_context(Alertmanager(rendered, at_once))
    alertmanager.post(
        alert("ModelDrift", severity="3", kind="drift", model="fraud"),
        alert("ModelSeriesAnomaly", severity="4", kind="forecast", model="fraud"),
        alert("ModelErrorBudgetBurn", severity="2", kind="errors", model="churn"),
    )
    wait_for(lambda: names(web, "/team") == {"ModelErrorBudgetBurn"}, "what cannot wait", 30)
    wait_for(lambda: alertmanager.log().count("route is within mute time") >= 2, "two groups held back", 30)
    assert names(web, "/team") == {"ModelErrorBudgetBurn"}


# -- scraping ------------------------------------------------------------------------------------------------------
def test_a_model_server_is_scraped_once_its_file_is_there(outside: Outside, running: ExitStack) -> None:
    rendered = outside.rendered()
    prometheus = running.enter_context(AppliancePrometheus(rendered))
    assert not [one for one in prometheus.get("/api/v1/targets")["activeTargets"] if one["labels"]["job"] == "agents"]
    folder, secrets = rendered.folder("agent"), rendered.folder("prometheus") / "secrets"
    settings = MetricsSettings.model_validate(
        {
            "listen": "127.0.0.1:0",
            "username": "prometheus",
            "password_file": str(secrets / "agent-metrics-password"),
            "tls": {"certificate": str(folder / "tls" / "tls.crt"), "key_file": str(folder / "tls" / "tls.key")},
        }
    )
    agent = MetricsServer(settings, AgentMetrics(max_models=10, max_features=10), time.monotonic)
    running.callback(agent.close)
    rendered.target("scoring-1.yml", f'- targets: ["127.0.0.1:{agent.port}"]\n')
    found = wait_for(
        lambda: prometheus.get("/api/v1/query?query=up%7Bjob%3D%22agents%22%7D==1")["result"], "scrape of the agent"
    )
    assert found[0]["metric"]["host"] == "127.0.0.1"


@pytest.mark.server("exporters")
def test_only_who_has_a_certificate_is_answered(outside: Outside, running: ExitStack) -> None:
    rendered = outside.rendered()
    daemons: list[Daemon] = [
        node_exporter(rendered),
        blackbox_exporter(rendered),
        Alertmanager(rendered),
        AppliancePrometheus(rendered),
    ]
    for daemon in daemons:
        running.enter_context(daemon)
        anonymous = ssl.create_default_context(cafile=str(daemon.config / "tls" / "ca.crt"))
        with pytest.raises((urllib.error.URLError, ConnectionError, ssl.SSLError)):
            daemon.ask("/metrics", trust=anonymous)
        company = outside.authority.issue("intruder")
        anonymous.load_cert_chain(company.certificate, company.key)
        with pytest.raises((urllib.error.URLError, ConnectionError, ssl.SSLError)):
            daemon.ask("/metrics", trust=anonymous)


@pytest.mark.server("exporters")
def test_a_probe_goes_by_the_sites_own_name_and_reads_the_end_of_the_certificate(
    outside: Outside, running: ExitStack
) -> None:
    rendered = outside.rendered()
    gateway = rendered.folder("gateway") / "tls"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(gateway / "public.crt", gateway / "public.key")
    port = rendered.ports["gateway"]
    running.enter_context(Web(context, port, {"/healthz": lambda: "ok"}))
    blackbox = running.enter_context(blackbox_exporter(rendered))

    def probe(module: str, target: str) -> dict[str, float]:
        lines = blackbox.ask(f"/probe?module={module}&target={target}").decode().splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}

    up = probe("published", f"https://127.0.0.1:{port}/healthz")
    assert up["probe_success"] == 1
    assert 300 * 86_400 < up["probe_ssl_earliest_cert_expiry"] - time.time() < 400 * 86_400
    assert probe("certificate", f"127.0.0.1:{port}")["probe_success"] == 1
    assert probe("published", f"https://127.0.0.1:{port}/elsewhere")["probe_success"] == 0
    assert probe("published", f"https://127.0.0.1:{free_port()}/healthz")["probe_success"] == 0
