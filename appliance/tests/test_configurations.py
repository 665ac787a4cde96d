"""Every configuration that is rendered is one that its own program accepts."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from appliance.tests.sites import DIRECTORY, ROOT, Place, place
from modelward_agent.config import load_config as load_agent
from modelward_appliance.backup.settings import load_settings as load_backup
from modelward_appliance.services import BY_NAME, ELASTICSEARCH_NODES, SERVICES
from modelward_appliance.setup import Setup, write_folder
from modelward_collector.config import load_config as load_collector

ACTIVE_DIRECTORY = {
    **DIRECTORY,
    "COMPOSE_PROFILES": "kibana,grafana,logstash,scale",
    "MODELWARD_LDAP_DIRECTORY": "active-directory",
    "MODELWARD_LDAP_BIND_DN": "CN=svc $modelward,OU=Ops,DC=example,DC=org",
    "MODELWARD_LDAP_USER_DN_TEMPLATE": "",
    "MODELWARD_KIBANA_USERS": "personal",
    "MODELWARD_SMTP_HOST": "mail.example.org",
    "MODELWARD_SMTP_FROM": "modelward@example.org",
    "MODELWARD_SMTP_USERNAME": "modelward",
    "MODELWARD_TEAM_EMAILS": "ml@example.org",
    "MODELWARD_TEAM_SLACK_CHANNEL": "#ml: 'alerts'",
    "MODELWARD_EXECUTIVE_WEBHOOKS": "https://hooks.example.org/a?b=c&d=e",
    "MODELWARD_QUIET_DAYS": "saturday,sunday",
    "MODELWARD_TIME_ZONE": "Europe/Berlin",
    "MODELWARD_HOLIDAYS": "2026-12-25, 2026-12-26",
    "MODELWARD_SITE_NAME": 'Bank\'s "models": {{ all }} # 100 % $x',
    "MODELWARD_RETENTION_EVENTS": "14d",
    "MODELWARD_TEST_WEBHOOK": "https://verify.example.org/test",
    "MODELWARD_ELASTICSEARCH_MMAP": "false",
}
"""What uses most of what there is."""

SITES = {"development": {}, "direct": DIRECTORY, "active-directory": ACTIVE_DIRECTORY}


@pytest.fixture(params=SITES)
def rendered(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Setup, Place]:
    """A prepared setup over the repository's rooms, for each kind of site."""
    made = place(tmp_path)
    (made.state / "site").mkdir()
    for name in ("ldap-bind-password", "smtp-password", "slack-team-url", "pagerduty-management-key"):
        (made.state / "site" / name).write_text(" $a b`\n")
    setup = Setup(made.site(**SITES[request.param]), made.state, ROOT)
    setup.prepare()
    return setup, made


def configured(rendered: tuple[Setup, Place], service: str) -> Path:
    """The service's folder, as bare metal has it."""
    setup, made = rendered
    folder = made.folder / service
    folder.mkdir()
    write_folder(folder, setup.rendered(BY_NAME[service], str(folder)), None)
    return folder


def test_every_room_renders_for_every_site(rendered: tuple[Setup, Place]) -> None:
    setup, _made = rendered
    for service in SERVICES:
        for name, (content, _mode) in setup.rendered(service).items():
            if name.endswith((".yml", ".yaml")) and "/" not in name:
                assert yaml.safe_load(content) is not None, f"{service.name}: {name}"
            if name.endswith(".toml"):
                tomllib.loads(content.decode())


def test_one_node_alone_can_begin_a_cluster(tmp_path: Path) -> None:
    made = place(tmp_path)
    setup = Setup(made.site(COMPOSE_PROFILES="openldap,scale"), made.state, ROOT)
    setup.prepare()
    begins = {}
    for name in ELASTICSEARCH_NODES:
        content, _mode = setup.rendered(BY_NAME[name])["elasticsearch.yml"]
        begins[name] = yaml.safe_load(content).get("cluster.initial_master_nodes")
    assert begins == {"elasticsearch": ["elasticsearch"], "elasticsearch-2": None, "elasticsearch-3": None}


def test_the_collector_accepts_its_own(rendered: tuple[Setup, Place]) -> None:
    config = load_collector(configured(rendered, "collector") / "collector.yml", {})
    assert config.auth is not None
    assert config.auth.ldap.groups.admin
    assert config.listen.tls is not None
    site = rendered[0].site.settings
    assert (config.calendar.timezone, config.calendar.holidays) == (site.time_zone, site.holidays)


def test_the_agent_accepts_its_own(rendered: tuple[Setup, Place]) -> None:
    config = load_agent(configured(rendered, "agent") / "agent.yml")
    assert config.metrics.tls is not None
    assert config.metrics.username == "prometheus"


def test_the_backup_accepts_its_own(rendered: tuple[Setup, Place]) -> None:
    config = load_backup(configured(rendered, "backup") / "backup.yml")
    assert config.elasticsearch is not None
    assert config.state is not None
    assert (config.state / "tls" / "ca.key").is_file()


def accepted(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.server("prometheus")
def test_prometheus_accepts_its_own(rendered: tuple[Setup, Place]) -> None:
    folder = configured(rendered, "prometheus")
    accepted("promtool", "check", "config", folder / "prometheus.yml")
    accepted("promtool", "check", "web-config", folder / "web.yml")


@pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed; run: make servers")
def test_alertmanager_accepts_its_own(rendered: tuple[Setup, Place]) -> None:
    accepted("amtool", "check-config", configured(rendered, "alertmanager") / "alertmanager.yml")
