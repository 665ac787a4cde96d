"""collector.yml: every error at once, each with file, key, value and fix."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from modelward_agent.settings import SettingsError
from modelward_collector.config import ClockKind, CollectorConfig, ElasticsearchSettings, load_config
from modelward_collector.store.protocol import Alias


def write(folder: Path, text: str) -> Path:
    path = folder / "collector.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_file_listens_on_loopback_and_stores_beside_itself(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, ""), {})
    assert config.listen.url() == "http://127.0.0.1:8321/"
    assert config.store.kind == "sqlite"
    assert config.store.path == tmp_path / "modelward.db"
    assert config.models_folder == tmp_path / "models.d"
    assert config.clock is ClockKind.WALL


def test_retention_is_by_alias(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "retention: {events: 7d}"), {})
    keep = config.retention.by_alias()
    assert set(keep) == set(Alias)
    assert keep[Alias.EVENTS] == timedelta(days=7)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("lsten: {}", "lsten: is not a key here; did you mean listen?"),
        ("listen: {prt: 1}", "listen.prt: is not a key here; did you mean port?"),
        ("listen: {port: 70000}", "listen.port: 70000 is above 65535; write a value of at most 65535"),
        ("listen: {base_path: x}", 'listen.base_path: "x" is no base path; write for example /modelward'),
        ("listen: {host: 0.0.0.0}", 'listen.tls: host "0.0.0.0" is reachable from other machines'),
        ("listen: {host: example.org}", "set listen.tls.certificate and listen.tls.key_file, or listen.host to"),
        ("store: {kind: mysql}", "store: "),
        ("store: {kind: sqlite}", "store.path: is missing; add it"),
        ("store: {kind: elasticsearch, urls: [es:9200]}", 'store.urls: "es:9200" is not a URL; write for example'),
        (
            "store: {kind: elasticsearch, urls: ['http://es:9200'], username: a}",
            "username and password_file belong together; give both or neither",
        ),
        ("clock: moon", "clock: \"moon\" is not known; write 'wall' or 'replay'"),
        ("retention: {events: 5x}", 'retention.events: "5x" is not a duration; write for example 5m, 1h or 7d'),
        ("agents: {window: 7s}", "agents.window: 7s does not divide a day evenly; write for example 1m, 5m or 1h"),
        ("agents: {api_key_file: no.key}", "is not a file; create it, or correct the path"),
        ("executor: {workers: many}", 'executor.workers: "many" is not a whole number; write for example 10'),
        ("metrics: {max_features: -1}", "metrics.max_features: -1 is below 0; write a value of at least 0"),
    ],
)
def test_an_error_names_file_key_value_and_fix(tmp_path: Path, text: str, line: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SettingsError) as raised:
        load_config(path, {})
    (said,) = raised.value.lines
    assert said.startswith(f"modelward: {path}: ")
    assert line in said


def test_all_errors_come_at_once(tmp_path: Path) -> None:
    text = "listen: {host: 0.0.0.0, prt: 1}\nclock: moon\nexecutor: {workers: x}\nretention: {logs: 1}\n"
    with pytest.raises(SettingsError) as raised:
        load_config(write(tmp_path, text), {})
    keys = [line.split(": ")[2] for line in raised.value.lines]
    assert sorted(keys) == ["clock", "executor.workers", "listen.prt", "listen.tls", "retention.logs"]


def test_a_variable_overrides_the_file_and_is_named_in_its_error(tmp_path: Path) -> None:
    path = write(tmp_path, "listen: {port: 1}")
    assert load_config(path, {"MODELWARD_COLLECTOR__LISTEN__PORT": "9000"}).listen.port == 9000
    with pytest.raises(SettingsError, match="MODELWARD_COLLECTOR__LISTEN__PORT"):
        load_config(path, {"MODELWARD_COLLECTOR__LISTEN__PORT": "none"})


def test_with_tls_it_may_listen_to_other_machines(tmp_path: Path) -> None:
    (tmp_path / "a.crt").write_text("")
    key = tmp_path / "a.key"
    key.write_text("a key")
    key.chmod(0o600)
    text = "listen: {host: 0.0.0.0, tls: {certificate: a.crt, key_file: a.key}}"
    assert load_config(write(tmp_path, text), {}).listen.url() == "https://127.0.0.1:8321/"
    key.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        load_config(write(tmp_path, text), {})


def test_elasticsearch_settings_are_read() -> None:
    store = {"kind": "elasticsearch", "urls": ["https://es:9200"]}
    config = CollectorConfig.model_validate({"store": store})
    assert isinstance(config.store, ElasticsearchSettings)
    assert config.store.urls == ("https://es:9200",)
