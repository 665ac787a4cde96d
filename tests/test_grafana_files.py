"""What Grafana reads: the committed dashboards are what the code emits and well laid out; the configuration parses."""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from appliance.tests.sites import DIRECTORY, place
from grafana.dashboards import dashboards
from grafana.dashboards.__main__ import FOLDER, files
from grafana.dashboards.look import BAD, BAD_FILL, SITE
from grafana.dashboards.measures import at_the_end
from grafana.render.units import known, shown
from kibana.dashboards import DASHBOARDS as KIBANA_DASHBOARDS
from modelward_appliance.services import BY_NAME
from modelward_appliance.setup import Setup

ROOT = Path(__file__).resolve().parents[1]
ALL = dashboards()
OWN_VARIABLES = {
    "__all",
    "__range",
    "__interval",
    "__rate_interval",
    "__url_time_range",
    "__data",
    "__field",
    "__value",
}
CONSOLE = (
    r"/",
    r"/models",
    r"/models/[^/]+",
    r"/models/[^/]+/features/[^/]+",
    r"/checks",
    r"/logs",
    r"/agents",
    r"/runbooks/[^/]+",
    r"/prometheus/",
    r"/alertmanager/",
)
"""What the gateway serves beside Kibana; architecture, "The appliance"."""


def panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def handed(folder: Path, variables: Mapping[str, str], site: Mapping[str, str] | None = None) -> dict[str, str]:
    """All that the setup hands Grafana, by its name in /etc/modelward."""
    where = place(folder)
    files = where.state / "site"
    files.mkdir(parents=True)
    for name, content in (site or {}).items():
        (files / name).write_text(content)
        (files / name).chmod(0o600)
    setup = Setup(where.site(**variables), where.state, ROOT)
    setup.prepare()
    found = setup.rendered(BY_NAME["grafana"], "/etc/modelward")
    return {name: content.decode() for name, (content, _) in found.items()}


# -- the files ----------------------------------------------------------------------------------------------------
def test_the_committed_files_are_what_the_code_emits() -> None:
    wanted = files()
    assert set(FOLDER.glob("*")) == set(wanted), "run python -m grafana.dashboards"
    stale = [path.name for path, text in wanted.items() if path.read_text() != text]
    assert not stale, "run python -m grafana.dashboards"


def test_a_committed_file_is_json_before_and_after_it_is_rendered(tmp_path: Path) -> None:
    written = handed(tmp_path, DIRECTORY)
    for path in FOLDER.glob("*"):
        before = json.loads(path.read_text())
        after = json.loads(written[f"dashboards/{path.name.removesuffix('.j2')}"])
        meant = json.dumps(ALL[before["uid"]]).replace(SITE, "https://modelward.example.org")
        assert after == json.loads(meant)


def test_every_dashboard_is_there_under_its_fixed_name() -> None:
    names = ("executive", "technical", "operations", "business", "model", "fleet", "appliance")
    assert set(ALL) == {f"modelward-{name}" for name in names}
    titles = [dashboard["title"] for dashboard in ALL.values()]
    assert len(set(titles)) == len(titles)


# -- each dashboard -----------------------------------------------------------------------------------------------
@pytest.fixture(params=sorted(ALL))
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    return ALL[request.param]


def test_a_dashboard_opens_as_all_do(dashboard: dict[str, Any]) -> None:
    assert dashboard["refresh"] == "30s"
    assert dashboard["timezone"] == "browser"
    assert dashboard["graphTooltip"] == 2
    assert dashboard["time"] == {"from": "now-24h" if "business" in dashboard["uid"] else "now-6h", "to": "now"}
    assert dashboard["schemaVersion"] >= 41
    assert dashboard["editable"] is False
    assert dashboard["description"].endswith(".")
    assert "modelward" in dashboard["tags"]


def test_every_panel_says_what_it_is(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        where = f"{dashboard['uid']}: {panel['title']}"
        assert panel["title"], where
        assert panel["description"].endswith("."), where
        assert known(panel["fieldConfig"]["defaults"]["unit"]), where
        assert panel["fieldConfig"]["defaults"]["noValue"], where
        units = [
            one["value"]
            for override in panel["fieldConfig"].get("overrides", [])
            for one in override["properties"]
            if one["id"] == "unit"
        ]
        assert all(known(unit) for unit in units), where


def test_numbers_of_panels_are_unique_and_panels_do_not_overlap(dashboard: dict[str, Any]) -> None:
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert numbers == list(range(1, len(numbers) + 1))
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        place_ = panel["gridPos"]
        assert place_["x"] + place_["w"] <= 24
        for x in range(place_["x"], place_["x"] + place_["w"]):
            for y in range(place_["y"], place_["y"] + place_["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]
    rows = max(y for _, y in taken) + 1
    assert len(taken) == 24 * rows, "there are holes"


def test_every_variable_that_is_used_is_there(dashboard: dict[str, Any]) -> None:
    there = {variable["name"] for variable in dashboard["templating"]["list"]}
    text = json.dumps([dashboard["panels"], dashboard["templating"], dashboard["annotations"], dashboard["links"]])
    used = {one or other for one, other in re.findall(r"\$\{([A-Za-z_]\w*)[^}]*\}|\$([A-Za-z_]\w*)", text)}
    assert used <= there | OWN_VARIABLES, used - there - OWN_VARIABLES
    assert all(variable["label"] and variable["description"] for variable in dashboard["templating"]["list"])


def test_every_query_has_a_source_and_an_expression_of_its_own(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == sorted(set(letters)), panel["title"]
        if panel["datasource"]["type"] == "prometheus":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert all(target["expr"].strip() for target in panel["targets"])
        else:
            assert panel["datasource"] == {"type": "elasticsearch", "uid": "elasticsearch"}


def test_columns_that_are_formatted_are_columns_of_the_table(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        if panel["type"] != "table":
            continue
        options = panel["transformations"][1]["options"]
        headers = set(options["renameByName"].values())
        assert len(headers) == len(options["renameByName"]) == len(options["indexByName"]), panel["title"]
        assert {one["matcher"]["options"] for one in panel["fieldConfig"]["overrides"]} == headers, panel["title"]
        assert {one["displayName"] for one in panel["options"].get("sortBy", [])} <= headers, panel["title"]
        assert panel["options"]["footer"]["enablePagination"] is True, "a table pages, it does not scroll"


def links(dashboard: dict[str, Any]) -> Iterator[str]:
    for link in dashboard["links"]:
        if link.get("url"):
            yield link["url"]
    for panel in panels(dashboard):
        config = panel["fieldConfig"]
        yield from (link["url"] for link in config["defaults"].get("links", []))
        for override in config.get("overrides", []):
            for one in override["properties"]:
                if one["id"] == "links":
                    yield from (link["url"] for link in one["value"])


def test_every_link_leads_somewhere(dashboard: dict[str, Any]) -> None:
    kibana = {one.id for one in KIBANA_DASHBOARDS}
    for url in links(dashboard):
        if url.startswith("/d/"):
            parts = urlsplit(url)
            target = ALL[parts.path.removeprefix("/d/")]
            variables = {variable["name"] for variable in target["templating"]["list"]}
            asked = {name.removeprefix("var-") for name in parse_qs(parts.query) if name.startswith("var-")}
            assert asked <= variables, url
        elif url.startswith(f"{SITE}/kibana/"):
            assert url.removeprefix(f"{SITE}/kibana/app/dashboards#/view/") in kibana, url
        else:
            assert url.startswith(SITE), url
            path = re.sub(r"\$\{[^}]*\}", "x", url.removeprefix(SITE).partition("#")[0])
            assert any(re.fullmatch(pattern, path) for pattern in CONSOLE), url


def test_red_is_for_what_is_bad(dashboard: dict[str, Any]) -> None:
    """Red is a threshold that was passed, or a name that says so."""
    bad_names = re.compile(
        r"(?i)lost|failed|threshold|critical|down|locked|silent|error|unusual|now|today|red|margin|ends"
    )
    for panel in panels(dashboard):
        config = panel["fieldConfig"]
        defaults = config["defaults"]
        steps = defaults.get("thresholds", {}).get("steps", [])
        if steps and steps[0]["color"] in (BAD, BAD_FILL):
            assert len(steps) > 1, panel["title"]
        if defaults.get("color", {}).get("fixedColor") == BAD:
            assert bad_names.search(panel["title"]), panel["title"]
        for override in config.get("overrides", []):
            for one in override["properties"]:
                if one["id"] == "color" and one["value"].get("fixedColor") == BAD:
                    assert bad_names.search(override["matcher"]["options"]), (panel["title"], override)


# -- measures and units -------------------------------------------------------------------------------------------
def test_the_end_is_put_behind_every_selector() -> None:
    given = 'sum by (a) (rate(x_total{b=~"{c}"}[5m])) / y{} offset 1h'
    assert at_the_end(given) == 'sum by (a) (rate(x_total{b=~"{c}"}[5m] @ end())) / y{} @ end() offset 1h'


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "text"),
    [
        (0.99943, "percentunit", 3, "99.943%"),
        (0.0004, "none", None, "0.0004"),
        (2112, "short", None, "2.11 K"),
        (46_800, "s", 0, "13 hours"),
        (0.0189, "s", 1, "18.9 ms"),
        (2.0**21, "bytes", None, "2 MiB"),
        (250.4, "reqps", None, "250 req/s"),
        (float("nan"), "short", None, "–"),
    ],
)
def test_numbers_are_written_as_grafana_does(value: float, unit: str, decimals: int | None, text: str) -> None:
    assert shown(value, unit, decimals) == text


# -- the configuration --------------------------------------------------------------------------------------------
SITES: dict[str, dict[str, str]] = {
    "development": {"MODELWARD_HOSTS": "modelward.example.org", "COMPOSE_PROFILES": "openldap,grafana,kibana,scale"},
    "directory": {**DIRECTORY, "MODELWARD_GRAFANA_PORT": "8443"},
}


def ini(text: str) -> configparser.ConfigParser:
    """As Grafana reads it: `;` begins a comment, and a value is taken as it stands."""
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes=(";", "#"))
    parser.read_string(text)
    return parser


@pytest.mark.parametrize("name", sorted(SITES))
def test_nothing_leaves_the_building_and_nobody_is_in_without_a_login(tmp_path: Path, name: str) -> None:
    found = ini(handed(tmp_path, SITES[name])["grafana.ini"])
    assert found["server"]["protocol"] == "https"
    assert found["server"]["cert_key"] == "/etc/modelward/tls/public.key"
    port = SITES[name].get("MODELWARD_GRAFANA_PORT", "3000")
    assert found["server"]["root_url"] == f"https://modelward.example.org:{port}/"
    assert found["security"]["admin_password"] == "$__file{/etc/modelward/secrets/grafana-admin-password}"
    assert found["security"]["secret_key"] == "$__file{/etc/modelward/secrets/grafana-secret-key}"
    yes = ("cookie_secure", "disable_gravatar", "strict_transport_security", "content_security_policy")
    assert all(found.getboolean("security", key) for key in yes)
    no = [
        ("auth.anonymous", "enabled"),
        ("users", "allow_sign_up"),
        ("analytics", "reporting_enabled"),
        ("analytics", "check_for_updates"),
        ("analytics", "check_for_plugin_updates"),
        ("news", "news_feed_enabled"),
        ("plugins", "preinstall_auto_update"),
        ("plugins", "plugin_admin_enabled"),
        ("snapshots", "external_enabled"),
        ("metrics", "enabled"),
    ]
    assert not [key for section, key in no if found.getboolean(section, key)]
    assert found.getboolean("auth.ldap", "enabled")


@pytest.mark.parametrize("name", sorted(SITES))
def test_sources_are_asked_over_tls_with_secrets_from_files(tmp_path: Path, name: str) -> None:
    written = handed(tmp_path, SITES[name])
    sources = yaml.safe_load(written["provisioning/datasources/modelward.yaml"])["datasources"]
    by_uid = {source["uid"]: source for source in sources}
    assert set(by_uid) == {"prometheus", "elasticsearch"} | ({"victoriametrics"} if name == "development" else set())
    assert [source["uid"] for source in sources if source.get("isDefault")] == ["prometheus"]
    secrets = set(re.findall(r"secrets/([a-z-]+)\}", json.dumps(sources)))
    assert "elasticsearch-kibana-viewer-password" in secrets
    for source in sources:
        assert source["url"].startswith("https://")
        assert source["jsonData"]["tlsAuthWithCACert"] is True
        assert source["jsonData"]["serverName"]
        assert all(value.startswith("$__file{") for value in source["secureJsonData"].values())
    assert by_uid["prometheus"]["jsonData"]["tlsAuth"] is True
    whitelist = ini(written["grafana.ini"])["security"]["data_source_proxy_whitelist"].split()
    assert {urlsplit(source["url"]).netloc for source in sources} == set(whitelist)
    (provider,) = yaml.safe_load(written["provisioning/dashboards/modelward.yaml"])["providers"]
    assert provider["options"]["path"] == "/etc/modelward/dashboards"
    assert provider["allowUiUpdates"] is False


def test_the_secrets_that_grafana_names_are_handed_to_it(tmp_path: Path) -> None:
    found = handed(tmp_path, SITES["development"])
    named = {
        secret
        for content in found.values()
        for secret in re.findall(r"\$__file\{/etc/modelward/(secrets/[a-z-]+|tls/[a-z.-]+)\}", content)
    }
    assert named
    assert named <= set(found), named - set(found)


def ldap(text: str, password: str = "") -> list[dict[str, Any]]:
    """As Grafana reads it: what `$__file` names is put in, then it is TOML."""
    servers = tomllib.loads(re.sub(r"\$__file\{[^}]*\}", lambda _: password, text))["servers"]
    assert isinstance(servers, list)
    return servers


def test_groups_of_the_directory_become_roles_the_widest_first(tmp_path: Path) -> None:
    variables = {
        **DIRECTORY,
        "MODELWARD_LDAP_EDITOR_GROUPS": "cn=data,ou=groups,dc=example,dc=org",
        "MODELWARD_LDAP_VIEWER_GROUPS": "cn=all,ou=groups,dc=example,dc=org",
    }
    (server,) = ldap(handed(tmp_path, variables)["ldap.toml"])
    roles = [(one["org_role"], one.get("grafana_admin", False)) for one in server["group_mappings"]]
    assert roles == [("Admin", True), ("Admin", True), ("Editor", False), ("Viewer", False)]
    assert server["group_mappings"][1]["group_dn"] == "cn=ml,dc=example,dc=org"
    assert (server["host"], server["port"], server["use_ssl"], server["start_tls"]) == (
        "ldap.example.org",
        636,
        True,
        False,
    )
    assert server["ssl_skip_verify"] is False


def test_without_a_service_account_each_person_binds_as_themselves(tmp_path: Path) -> None:
    (server,) = ldap(handed(tmp_path, DIRECTORY)["ldap.toml"])
    assert server["bind_dn"] == "uid=%s,ou=people,dc=example,dc=org"
    assert "bind_password" not in server


@pytest.mark.parametrize("password", ["plain", 'with "quotes" and \\ and $x', "ends with '"])
def test_any_password_of_the_service_account_survives_toml(tmp_path: Path, password: str) -> None:
    variables = {**DIRECTORY, "MODELWARD_LDAP_BIND_DN": 'cn=search "x",dc=example,dc=org'}
    del variables["MODELWARD_LDAP_USER_DN_TEMPLATE"]
    text = handed(tmp_path, variables, {"ldap-bind-password": password})["ldap.toml"]
    assert password not in text
    (server,) = ldap(text, password)
    assert server["bind_password"] == password
    assert server["bind_dn"] == 'cn=search "x",dc=example,dc=org'


def test_servers_of_one_port_are_one_entry_and_start_tls_is_tls(tmp_path: Path) -> None:
    variables = {
        **DIRECTORY,
        "MODELWARD_LDAP_URLS": "ldap://a.example.org,ldap://b.example.org:389 ldap://c.example.org:1389",
        "MODELWARD_LDAP_START_TLS": "true",
    }
    servers = ldap(handed(tmp_path, variables)["ldap.toml"])
    assert [(one["host"], one["port"]) for one in servers] == [
        ("c.example.org", 1389),
        ("a.example.org b.example.org", 389),
    ]
    assert all(one["use_ssl"] and one["start_tls"] for one in servers)
    assert all(one["group_mappings"] for one in servers)


def test_active_directory_is_asked_for_groups_in_groups(tmp_path: Path) -> None:
    variables = {**DIRECTORY, "MODELWARD_LDAP_DIRECTORY": "active-directory"}
    (server,) = ldap(handed(tmp_path, variables)["ldap.toml"])
    assert "1.2.840.113556.1.4.1941:=%s" in server["group_search_filter"]
    assert server["group_search_filter_user_attribute"] == "dn"
    assert server["attributes"]["username"] == "sAMAccountName"
    assert "{" not in server["search_filter"] + server["group_search_filter"]
