"""kibana.yml as a site gets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from appliance.tests.sites import DIRECTORY, ROOT, place
from modelward_appliance.services import BY_NAME
from modelward_appliance.setup import Setup


def rendered(folder: Path) -> tuple[dict[str, Any], int, Path]:
    there = place(folder)
    run = Setup(there.site(**DIRECTORY), there.state, ROOT)
    run.prepare()
    content, mode = run.rendered(BY_NAME["kibana"])["kibana.yml"]
    return yaml.safe_load(content), mode, there.state


def test_it_serves_below_the_gateway_over_tls_and_trusts_only_the_authority(tmp_path: Path) -> None:
    config, _, _ = rendered(tmp_path)
    assert config["server.basePath"] == "/kibana"
    assert config["server.rewriteBasePath"] is True
    assert config["server.publicBaseUrl"] == "https://modelward.example.org/kibana"
    assert config["server.ssl.enabled"] is True
    assert config["elasticsearch.hosts"] == ["https://elasticsearch:9200"]
    assert config["elasticsearch.ssl.certificateAuthorities"] == ["/etc/modelward/tls/ca.crt"]
    assert config["elasticsearch.ssl.verificationMode"] == "full"


def test_it_takes_the_gateways_credential_and_its_own_token(tmp_path: Path) -> None:
    config, _, state = rendered(tmp_path)
    assert "basic" in config["xpack.security.authc.http.schemes"]
    token = (state / "secrets" / "kibana-service-token").read_text().strip()
    assert config["elasticsearch.serviceAccountToken"] == token
    keys = {config[f"xpack.{name}.encryptionKey"] for name in ("security", "encryptedSavedObjects", "reporting")}
    assert len(keys) == 3
    assert all(len(key) >= 32 for key in keys)


def test_only_its_own_user_may_read_it_since_it_holds_secrets(tmp_path: Path) -> None:
    _, mode, _ = rendered(tmp_path)
    assert mode == 0o600


def test_nothing_leaves_the_building(tmp_path: Path) -> None:
    config, _, _ = rendered(tmp_path)
    assert config["telemetry.optIn"] is False
    assert config["newsfeed.enabled"] is False
    assert config["map.includeElasticMapsService"] is False
    assert config["xpack.fleet.isAirGapped"] is True
