"""`backup.yml`: what is backed up, where to, when, and how long it is kept."""

from __future__ import annotations

from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from modelward_agent.config import parse_listen
from modelward_agent.durations import Duration
from modelward_agent.settings import ReadableFile, SecretFile, SettingsPath, load_yaml_settings

ENV_PREFIX = "MODELWARD_BACKUP"


def _time_of_day(value: Any) -> Any:
    try:
        return time.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(f'"{value}" is not a time of day; write for example 01:00') from None


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f'"{value}" is not a time zone; write for example Europe/Berlin, or UTC') from None
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClientTls(_Strict):
    """What a server is trusted by, and what shows it who asks."""

    ca_file: ReadableFile
    certificate: ReadableFile
    key_file: SecretFile


class ElasticsearchSettings(_Strict):
    """The cluster, and where its snapshot repositories are mounted here (`path.repo` there)."""

    urls: Annotated[tuple[str, ...], Field(min_length=1)]
    ca_file: ReadableFile
    username: str
    password_file: SecretFile
    repositories: SettingsPath
    repositories_there: str = Field(description="the same folder as Elasticsearch sees it")
    kibana: bool = Field(False, description="also what people saved in Kibana")


class PrometheusSettings(_Strict):
    """Prometheus with its admin API, and where its data is mounted here."""

    url: str = Field(description="with its prefix, for example https://prometheus:9090/prometheus")
    tls: ClientTls | None = None
    storage: SettingsPath


class MetricsSettings(_Strict):
    """Where Prometheus finds the service; only certificates of the authority may ask."""

    listen: Annotated[str, AfterValidator(parse_listen)] = "0.0.0.0:9479"
    tls: ClientTls


class BackupSettings(_Strict):
    """All of `backup.yml`. What is not given is not backed up."""

    folder: SettingsPath
    key_file: SecretFile
    keep: Duration = timedelta(days=30)
    at: Annotated[time, BeforeValidator(_time_of_day)] = time(1, 0)
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    state: SettingsPath | None = Field(None, description="the copy of the state folder: secrets, authority, site")
    elasticsearch: ElasticsearchSettings | None = None
    prometheus: PrometheusSettings | None = None
    databases: dict[str, SettingsPath] = Field(default_factory=dict, description="SQLite databases by part's name")
    metrics: MetricsSettings | None = None


def load_settings(path: Path) -> BackupSettings:
    """Read `backup.yml`; `SettingsError` with every error there is."""
    return load_yaml_settings(path, BackupSettings, ENV_PREFIX)
