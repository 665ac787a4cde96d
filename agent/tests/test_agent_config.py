"""`agent.yml`: every error at once, each with file, key, value and fix."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from modelward_agent.config import AgentConfig, load_config, parse_size
from modelward_agent.settings import SettingsError, load_yaml_settings, read_yaml

MINIMAL = "elasticsearch:\n  urls: [https://elasticsearch:9200]\n"


def written(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "agent.yml"
    path.write_text(content)
    return path


def errors(path: Path) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load_config(path)
    return [line.removeprefix(f"modelward: {path}: ") for line in raised.value.lines]


def test_the_least_that_must_be_said(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, MINIMAL))
    assert config.window == timedelta(minutes=1)
    assert config.events.keep("any") == 1.0
    assert config.journal.max_bytes == 10 * 2**30


def test_every_error_is_named_at_once(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("x")
    secret.chmod(0o644)
    path = written(
        tmp_path,
        f"""
jornal: {{}}
journal: {{max_bytes: lots}}
window: 2d
commit_interval: 5x
elasticsearch:
  urls: [https://elasticsearch:9200]
  usernme: agent
  password_file: {secret}
  ca_file: missing.pem
metrics: {{listen: 9478, max_features: -1}}
logs: [{{path: /var/log/app.log, format: xml}}]
events: {{models: {{fraud: sample 3}}}}
log_level: loud
""",
    )
    assert sorted(errors(path)) == sorted(
        [
            "jornal: is not a key here; did you mean journal?",
            'journal.max_bytes: "lots" is not a size; write for example 10GiB or 500MB',
            "window: 2d is not from 1s to 1d; write for example 1m",
            'commit_interval: "5x" is not a duration; write for example 5m, 1h or 7d',
            "elasticsearch.usernme: is not a key here; did you mean username?",
            f'elasticsearch.password_file: "{secret}" can be read by everyone on this host; run: chmod 600 {secret}',
            f'elasticsearch.ca_file: "{tmp_path}/missing.pem" is not a file; create it, or correct the path',
            "metrics.listen: 9478 is not text; put it in quotes",
            "metrics.max_features: -1 is below 0; write a value of at least 0",
            "logs[0].format: \"xml\" is not known; write 'text', 'json' or 'journal'",
            'events.models.fraud: "sample 3" is not known; write all, none, or a share such as sample 0.01',
            "log_level: \"loud\" is not known; write 'debug', 'info', 'warning' or 'error'",
        ]
    )


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("elasticsearch: {urls: [ftp://x]}", 'elasticsearch: urls: "ftp://x" is not a URL'),
        ("elasticsearch: {urls: ['https://me:secret@x']}", "with no user in it"),
        ("elasticsearch: {urls: [http://x], username: a}", "username and password_file belong together"),
        (MINIMAL + "metrics: {listen: nowhere}", '"nowhere" is not an address'),
        (MINIMAL + "logs: [{path: a, multiline: '('}]", 'multiline "(" is not a regular expression'),
        (MINIMAL + "logs: [{path: a, fields: {host: b}}]", "the agent's to set"),
        ("window: 1m", "elasticsearch: is missing; add it"),
        ("- a", "must hold keys and values"),
        ("a: 1\na: 2", '"a" is given twice'),
        ("a: [1\nb: 2", "is not valid YAML"),
    ],
)
def test_an_error_says_what_to_do(tmp_path: Path, content: str, error: str) -> None:
    (line,) = errors(written(tmp_path, content))
    assert error in line
    assert "secret" not in line or "user in it" in line


def test_a_password_does_not_pass_in_the_clear(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.touch(0o600)
    secret.write_text("hunter2\n")
    metrics = f"metrics: {{listen: '0.0.0.0:9478', username: prometheus, password_file: {secret}}}"
    (line,) = errors(written(tmp_path, MINIMAL + metrics))
    assert "would pass in the clear on 0.0.0.0:9478; set tls" in line


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    assert errors(tmp_path / "agent.yml") == ["there is no such file; create it, or name another one"]


def test_the_environment_overrides_and_is_named_in_errors(tmp_path: Path) -> None:
    path = written(tmp_path, MINIMAL)
    environ = {"MODELWARD_AGENT__METRICS__LISTEN": "127.0.0.1:1", "MODELWARD_AGENT__ELASTICSEARCH__URLS": "[http://y]"}
    config = load_yaml_settings(path, AgentConfig, "MODELWARD_AGENT", environ)
    assert config.metrics.listen == "127.0.0.1:1"
    assert config.elasticsearch.urls == ("http://y",)
    environ = {"MODELWARD_AGENT__WINDOW": "soon", "MODELWARD_AGENT__HOST__NAME": "x", "MODELWARD_AGENT__NEW": "1"}
    with pytest.raises(SettingsError) as raised:
        load_yaml_settings(path, AgentConfig, "MODELWARD_AGENT", environ)
    assert [line.split(": ")[1] for line in raised.value.lines] == [
        "MODELWARD_AGENT__HOST__NAME",
        "MODELWARD_AGENT__WINDOW",
        "MODELWARD_AGENT__NEW",
    ]


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, MINIMAL + "state: st\njournal: {path: ../j}\n"))
    assert config.state == tmp_path / "st"
    assert config.journal.path == tmp_path / ".." / "j"


@pytest.mark.parametrize(
    ("text", "size"),
    [(7, 7), ("7", 7), ("10GiB", 10 * 2**30), ("500 MB", 500_000_000), ("1.5kB", 1500), ("2kiB", 2048)],
)
def test_sizes(text: Any, size: int) -> None:
    assert parse_size(text) == size


def test_settings_of_any_model_can_be_read(tmp_path: Path) -> None:
    class Inner(BaseModel):
        model_config = ConfigDict(extra="forbid")
        port: int = 1

    class Outer(BaseModel):
        inner: dict[str, Inner] = {}

    path = written(tmp_path, "inner: {a: {prt: 3}}")
    assert read_yaml(path) == {"inner": {"a": {"prt": 3}}}
    with pytest.raises(SettingsError, match=r"inner\.a\.prt: is not a key here; did you mean port\?"):
        load_yaml_settings(path, Outer)


def test_types_are_told_by_model_and_feature(tmp_path: Path) -> None:
    path = written(tmp_path, MINIMAL + "types: {fraud: {zip: categorical, 7: numeric}}\n")
    assert load_config(path).types == {"fraud": {"zip": "categorical", "7": "numeric"}}
    written(tmp_path, MINIMAL + "types: {fraud: {zip: category, image: embedding}, churn: zip}\n")
    known = "is not known; write 'categorical', 'numeric' or 'boolean'"
    assert errors(path) == [
        f'types.fraud.zip: "category" {known}',
        f'types.fraud.image: "embedding" {known}',
        'types.churn: "zip" does not hold keys and values; write them below it, indented',
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty; write the secret into it"),
        (b" \n", "is empty; write the secret into it"),
        (b"\xff\xfe\x00", "is no text; write the secret into it, in UTF-8"),
    ],
)
def test_a_secret_that_is_none_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    secret = tmp_path / "key"
    secret.touch(0o600)
    secret.write_bytes(content)
    path = written(tmp_path, f"elasticsearch: {{urls: [http://x], api_key_file: {secret}}}")
    assert errors(path) == [f'elasticsearch.api_key_file: "{secret}" {problem}']
