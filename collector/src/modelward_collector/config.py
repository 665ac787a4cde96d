"""`collector.yml`: where the collector listens, what it stores in, and how it goes about its work."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from modelward_agent.durations import Duration
from modelward_agent.settings import ReadableFile, SecretFile, SettingsPath, load_yaml_settings
from modelward_collector.auth.settings import AuthSettings
from modelward_collector.calendar import Calendar
from modelward_collector.probes.spec import ProbeSpec
from modelward_collector.store.protocol import Alias

ENV_PREFIX = "MODELWARD_COLLECTOR"
"""`MODELWARD_COLLECTOR__LISTEN__PORT=9000` sets `listen.port`."""

DEFAULT_PORT = 8321


class ClockKind(StrEnum):
    """What "now" is."""

    WALL = "wall"
    REPLAY = "replay"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tls(_Strict):
    """The server's certificate chain and its key, PEM."""

    certificate: ReadableFile
    key_file: SecretFile


class Listen(_Strict):
    """Where the API, the console and (with the embedded store) `_bulk` are served."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = Field(DEFAULT_PORT, description="0 takes a free one")
    base_path: str = Field("", description="prefix behind a reverse proxy, for example /modelward")
    names: tuple[str, ...] = Field((), description="host names that requests may use, beside host and localhost")
    tls: Tls | None = Field(None, validate_default=True)

    @field_validator("base_path")
    @classmethod
    def _begins_with_a_slash(cls, value: str) -> str:
        if value and (not value.startswith("/") or value.endswith("/")):
            raise ValueError(f'"{value}" is no base path; write for example /modelward, with no slash at its end')
        return value

    @field_validator("tls")
    @classmethod
    def _plain_http_stays_here(cls, value: Tls | None, info: ValidationInfo) -> Tls | None:
        host = info.data.get("host")
        if value is None and host is not None and not _is_loopback(host):
            raise ValueError(
                f'host "{host}" is reachable from other machines, and without tls everything would pass in the clear; '
                "set listen.tls.certificate and listen.tls.key_file, or listen.host to 127.0.0.1"
            )
        return value

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return _is_loopback(self.host)

    def url(self, port: int | None = None) -> str:
        """The address a browser on this machine opens, ending in a slash."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - read, not bound
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self.tls else 'http'}://{shown}:{port or self.port}{self.base_path}/"


class SqliteSettings(_Strict):
    """The embedded store, one file."""

    kind: Literal["sqlite"]
    path: SettingsPath


class ElasticsearchSettings(_Strict):
    """An Elasticsearch cluster; give either username and password_file, or api_key_file."""

    kind: Literal["elasticsearch"]
    urls: Annotated[tuple[str, ...], Field(min_length=1)]
    ca_file: ReadableFile | None = None
    username: str | None = None
    password_file: SecretFile | None = None
    api_key_file: SecretFile | None = None
    timeout: Duration = timedelta(seconds=30)

    @field_validator("urls")
    @classmethod
    def _are_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not url.startswith(("http://", "https://")):
                raise ValueError(f'"{url}" is not a URL; write for example https://elasticsearch:9200')
        return value

    @model_validator(mode="after")
    def _one_credential(self) -> ElasticsearchSettings:
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file belong together; give both or neither")
        if self.username is not None and self.api_key_file is not None:
            raise ValueError("give username with password_file, or api_key_file, not both")
        return self


StoreSettings = Annotated[SqliteSettings | ElasticsearchSettings, Field(discriminator="kind")]


class Executor(_Strict):
    """Where checks run: with `workers: 0` in the collector's own threads, else in that many processes."""

    workers: Annotated[int, Field(ge=0, le=256)] = 0
    threads: Annotated[int, Field(ge=1, le=256)] = Field(4, description="checks under way at a time, with workers: 0")


class Retention(_Strict):
    """How long each kind of document is kept."""

    events: Duration = timedelta(days=30)
    logs: Duration = timedelta(days=30)
    profiles: Duration = timedelta(days=400)
    results: Duration = timedelta(days=400)
    incidents: Duration = timedelta(days=400)
    audit: Duration = timedelta(days=400)

    def by_alias(self) -> dict[Alias, timedelta]:
        """The same by alias."""
        return {alias: getattr(self, alias.name.lower()) for alias in Alias}


class Rollover(_Strict):
    """When Elasticsearch starts a new backing index; SQLite has none."""

    max_documents: Annotated[int, Field(ge=1)] = 50_000_000
    max_age: Duration = timedelta(days=7)


class RollUp(_Strict):
    """When minutes of profiles give way to their hour, and hours to their day."""

    minutes_after: Duration = timedelta(days=2)
    hours_after: Duration = timedelta(days=31)


class MetricsSettings(_Strict):
    """Bounds on what `/metrics` shows, and to whom."""

    max_features: Annotated[int, Field(ge=0)] = Field(50, description="features of a model that are series")
    max_versions: Annotated[int, Field(ge=1)] = Field(
        20, description="versions of a model that are series: what is flagged, then what has most rows"
    )
    key_file: SecretFile | None = Field(None, description="with auth, what who reads /metrics sends as Bearer")


class Agents(_Strict):
    """What is known of the agents that deliver."""

    api_key_file: SecretFile | None = Field(None, description="the key agents of the embedded store must present")
    window: Duration = Field(timedelta(minutes=1), description="the agents' profile window")
    delay: Duration = Field(
        timedelta(seconds=90), description="how long after a window's end its profiles are taken to be in; wall clock"
    )

    @field_validator("window")
    @classmethod
    def _divides_a_day(cls, value: timedelta) -> timedelta:
        seconds = int(value.total_seconds())
        if seconds < 1 or 86_400 % seconds:
            raise ValueError(f"{seconds}s does not divide a day evenly; write for example 1m, 5m or 1h")
        return value


class ApiSettings(_Strict):
    """Who may start things through the API, beside the console's own pages."""

    api_key_file: SecretFile | None = Field(None, description="a key that scripts send as Authorization: ApiKey …")
    alerts_key_file: SecretFile | None = Field(
        None, description="the key Alertmanager sends test alerts with; unset: none are received"
    )


class CollectorConfig(_Strict):
    """Everything in `collector.yml`; relative paths start from its folder."""

    listen: Listen = Listen()
    store: StoreSettings = Field(default_factory=lambda: SqliteSettings(kind="sqlite", path=Path("modelward.db")))
    models_dir: SettingsPath | None = Field(None, description="where the models' files are; models.d beside this one")
    calendar: Calendar = Calendar()
    clock: ClockKind = ClockKind.WALL
    executor: Executor = Executor()
    retention: Retention = Retention()
    rollover: Rollover = Rollover()
    roll_up: RollUp = RollUp()
    metrics: MetricsSettings = MetricsSettings()
    agents: Agents = Agents()
    api: ApiSettings = ApiSettings()
    auth: AuthSettings | None = Field(None, description="who may come in; null: everyone who can reach it")
    probes: tuple[ProbeSpec, ...] = Field((), description="HTTP, TCP, DNS and TLS targets that are probed")

    @field_validator("probes")
    @classmethod
    def _names_differ(cls, value: tuple[ProbeSpec, ...]) -> tuple[ProbeSpec, ...]:
        names = [probe.name for probe in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f'the name "{name}" is given twice; give each probe its own')
        return value

    @model_validator(mode="before")
    @classmethod
    def _defaults_beside_the_file(cls, content: object, info: ValidationInfo) -> object:
        """The default paths are relative too, and only validated values are resolved."""
        if isinstance(content, Mapping):
            defaults = {"store": {"kind": "sqlite", "path": "modelward.db"}, "models_dir": "models.d"}
            return {**defaults, **{key: value for key, value in content.items() if value is not None}}
        return content

    @property
    def models_folder(self) -> Path:
        """Where `models.d/*.yml` are."""
        return self.models_dir or Path("models.d")


def load_config(path: Path, environ: Mapping[str, str] | None = None) -> CollectorConfig:
    """Read `collector.yml` with the environment's overrides; `SettingsError` with every error."""
    return load_yaml_settings(path, CollectorConfig, ENV_PREFIX, environ)
