"""`agent.yml`: what the agent reads, where it sends it, and how it shows itself."""

from __future__ import annotations

import re
import socket
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from modelward_agent.bounds import MAX_FEATURES, MAX_VERSIONS, MOST_FEATURES
from modelward_agent.durations import Duration, format_duration
from modelward_agent.logfilters.filters import LogFilter
from modelward_agent.logfilters.pattern import check_pattern
from modelward_agent.logfilters.query import parse
from modelward_agent.settings import ReadableFile, SecretFile, SettingsPath, load_yaml_settings
from modelward_agent.values import ValueType

ENV_PREFIX = "MODELWARD_AGENT"
"""`MODELWARD_AGENT__METRICS__LISTEN=0.0.0.0:9478` sets `metrics.listen`."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kMGT]?i?B)?")
_SIZE_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE_UNITS |= {"kiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}

_LARGEST_SIZE = 2**63 - 1

_DAY = timedelta(days=1)


def parse_size(value: Any) -> Any:
    """`10GiB`, `500 MB` or a plain number as bytes; ValueError that says how to write it."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (found := _SIZE.fullmatch(value)):
        size = float(found[1]) * _SIZE_UNITS[found[2] or "B"]
        return int(min(size, _LARGEST_SIZE))
    raise ValueError(f'"{value}" is not a size; write for example 10GiB or 500MB')


Bytes = Annotated[int, BeforeValidator(parse_size)]


def parse_listen(value: str) -> str:
    """`host:port` as it is; ValueError that says how to write it."""
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f'"{value}" is not an address; write for example 127.0.0.1:9478, or [::]:9478')
    return value


def _at_most_a_day(value: timedelta) -> timedelta:
    if not timedelta(seconds=1) <= value <= _DAY:
        raise ValueError(f"{format_duration(value)} is not from 1s to 1d; write for example 1m")
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Journal(_Strict):
    """The folder that applications write their journal files to, and how much of it may be kept."""

    path: SettingsPath = Path("/var/lib/modelward/journal")
    max_bytes: Bytes = Field(10 * 2**30, description="beyond this the oldest files of Recorders are deleted")


class LogFormat(StrEnum):
    """What a line of a log file is."""

    TEXT = "text"
    JSON = "json"
    JOURNAL = "journal"


class Log(_Strict):
    """Log files to follow; `path` may have `*`, `?` and `**`."""

    path: SettingsPath
    format: LogFormat = LogFormat.TEXT
    multiline: str | None = Field(None, description="a regular expression that the first line of an entry matches")
    model: str | None = Field(None, description="the model whose log this is")
    version: str = ""
    fields: dict[str, str] = Field(default_factory=dict, description="added to every entry")

    @model_validator(mode="after")
    def _can_be_read(self) -> Log:
        for name in ("@timestamp", "kind", "host"):
            if name in self.fields:
                raise ValueError(f'fields: "{name}" is the agent\'s to set; choose another name')
        if self.format is LogFormat.JOURNAL and (self.multiline or self.model or self.fields):
            raise ValueError("multiline, model and fields are not for format journal, whose lines say it; remove them")
        if self.multiline is not None:
            try:
                re.compile(self.multiline)
            except (re.error, RecursionError, OverflowError) as error:
                raise ValueError(
                    f'multiline "{self.multiline}" is not a regular expression ({error}); correct it'
                ) from error
        return self


class LogFilterSettings(_Strict):
    """Log and error entries that match are counted in `modelward_log_matches_total`, by filter and model."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")] = Field(
        description="the label `filter`; small letters, digits and underscores"
    )
    pattern: str | None = Field(
        None, description="a regular expression, looked for in the first 2,048 characters of the message"
    )
    query: str | None = Field(
        None,
        description='terms with AND, OR, NOT and parentheses, such as `log.level:error AND NOT message:"timed out"`',
    )
    path: SettingsPath | None = Field(
        None, description="only entries of these files; `*` stands for any characters, `/` too"
    )
    model: str | None = Field(None, description="only entries of this model")
    enabled: bool = Field(True, description="`{name: errors, enabled: false}` switches off what is there by itself")

    @model_validator(mode="after")
    def _can_be_run(self) -> LogFilterSettings:
        if self.enabled and (self.pattern is None) == (self.query is None):
            raise ValueError(f'"{self.name}" needs a pattern or a query, and not both; give one')
        try:
            if self.pattern is not None:
                check_pattern(self.pattern)
        except ValueError as error:
            raise ValueError(f"pattern: {error}") from error
        try:
            if self.query is not None:
                parse(self.query)
        except ValueError as error:
            raise ValueError(f"query: '{self.query}' {error}") from error
        return self

    @property
    def built(self) -> LogFilter:
        """The filter as it runs."""
        return LogFilter(
            self.name,
            None if self.pattern is None else check_pattern(self.pattern),
            None if self.query is None else parse(self.query),
            None if self.path is None else str(self.path),
            self.model,
        )


ERRORS = LogFilterSettings(name="errors", query="log.level:(error OR critical)")
"""The filter that is there unless one of its name is given."""


class Compress(StrEnum):
    """When requests are compressed."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Elasticsearch(_Strict):
    """Where documents go: Elasticsearch, or the collector's own `_bulk`."""

    urls: Annotated[tuple[str, ...], Field(min_length=1)]
    ca_file: ReadableFile | None = Field(None, description="the authority to trust; unset: those of the system")
    username: str | None = None
    password_file: SecretFile | None = None
    api_key_file: SecretFile | None = None
    certificate: ReadableFile | None = Field(None, description="the agent's own certificate, where one is asked for")
    key_file: SecretFile | None = None
    connect_timeout: Duration = timedelta(seconds=5)
    timeout: Duration = timedelta(seconds=60)
    batch_bytes: Annotated[Bytes, Field(ge=64 * 1024, le=64 * 2**20)] = 2 * 2**20
    compress: Compress = Field(Compress.AUTO, description="auto: unless the host is this one, at a loopback address")
    batch_seconds: Annotated[float, Field(ge=0.01, le=60)] = Field(
        1.0, description="how long an event may wait for others to travel with"
    )
    backoff_seconds: Annotated[float, Field(ge=0.05, le=600)] = Field(
        30.0, description="longest pause between two attempts"
    )

    @model_validator(mode="after")
    def _one_credential(self) -> Elasticsearch:
        for url in self.urls:
            if not re.fullmatch(r"https?://[^/@\s]+(/\S*)?", url):
                raise ValueError(
                    f'urls: "{url}" is not a URL; write for example https://elasticsearch:9200, with no user in it'
                )
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file belong together; give both or neither")
        if self.username is not None and self.api_key_file is not None:
            raise ValueError("username and api_key_file exclude each other; remove one")
        if (self.certificate is None) != (self.key_file is None):
            raise ValueError("certificate and key_file belong together; give both or neither")
        return self


class MetricsTls(_Strict):
    """The certificate chain and key of `/metrics`, PEM."""

    certificate: ReadableFile
    key_file: SecretFile


class Metrics(_Strict):
    """Where Prometheus finds the agent."""

    listen: Annotated[str, AfterValidator(parse_listen)] | None = Field(
        "127.0.0.1:9478", description="null serves nothing"
    )
    tls: MetricsTls | None = None
    username: str | None = None
    password_file: SecretFile | None = None
    max_features: Annotated[int, Field(ge=0, le=10_000)] = Field(
        50, description="features of one model that get a series of their own; the rest share `other`"
    )
    max_models: Annotated[int, Field(ge=1, le=10_000)] = Field(
        200, description="model versions that get series of their own; the rest share `other`"
    )

    @model_validator(mode="after")
    def _credential_and_tls(self) -> Metrics:
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file belong together; give both or neither")
        if self.username is not None and self.tls is None and self.listen is not None:
            host = self.listen.rpartition(":")[0].strip("[]")
            if host not in ("127.0.0.1", "::1", "localhost"):
                raise ValueError(
                    f"the password of {self.username} would pass in the clear on {self.listen}; set tls, "
                    "or listen on 127.0.0.1"
                )
        return self


class EventsPolicy(_Strict):
    """Which raw events are shipped; profiles see every row whatever this says."""

    keep: Annotated[float, Field(ge=0, le=1)]

    @classmethod
    def read(cls, value: Any) -> Any:
        """`all`, `none` or `sample 0.01`."""
        if value in ("all", "none"):
            return cls(keep=1.0 if value == "all" else 0.0)
        if isinstance(value, str) and (found := re.fullmatch(r"sample (0?\.\d+|[01](?:\.0*)?)", value)):
            return cls(keep=float(found[1]))
        if isinstance(value, EventsPolicy):
            return value
        raise ValueError(f'"{value}" is not known; write all, none, or a share such as sample 0.01')

    def __str__(self) -> str:
        """As it is written in `agent.yml`."""
        return {1.0: "all", 0.0: "none"}.get(self.keep, f"sample {self.keep:g}")


Policy = Annotated[EventsPolicy, BeforeValidator(EventsPolicy.read)]


class Events(_Strict):
    """The policy of every model, and of single ones by name. Errors, business events and logs are always shipped."""

    default: Policy = Field(
        EventsPolicy(keep=1.0), description="which predictions are shipped one by one; profiles see every row anyway"
    )
    models: dict[str, Policy] = Field(default_factory=dict, description="the same for single models, by name")

    def keep(self, model: str) -> float:
        """The share of the model's predictions (with their actuals) that is shipped, in [0, 1]."""
        return self.models.get(model, self.default).keep


class AgentConfig(_Strict):
    """All of `agent.yml`."""

    host: Annotated[str, Field(min_length=1, max_length=200)] = Field(default_factory=socket.gethostname)
    state: SettingsPath = Path("/var/lib/modelward/agent")
    journal: Journal = Journal()
    logs: tuple[Log, ...] = ()
    log_filters: Annotated[tuple[LogFilterSettings, ...], Field(max_length=20)] = Field(
        (), description="beside `errors` (level error or worse), unless one of that name is given"
    )
    window: Annotated[Duration, AfterValidator(_at_most_a_day)] = timedelta(minutes=1)
    commit_interval: Annotated[Duration, AfterValidator(_at_most_a_day)] = timedelta(minutes=1)
    elasticsearch: Elasticsearch
    metrics: Metrics = Metrics()
    events: Events = Events()
    max_features: Annotated[int, Field(ge=1, le=MOST_FEATURES)] = Field(
        MAX_FEATURES, description="of a model's features the first so many by name are profiled"
    )
    max_versions: Annotated[int, Field(ge=1, le=10_000)] = Field(
        MAX_VERSIONS,
        description="versions of one model that are told apart, of those with traffic in the last hour; the rest is "
        "profiled as the version `other`",
    )
    types: dict[str, dict[str, ValueType]] = Field(
        default_factory=dict,
        description="by model and feature what its values are read as, as `features` in the model's file says it: "
        "`{fraud: {zip: categorical}}`. Numbers of more than 256 values are told apart as categories only so",
    )
    heartbeat_interval: Annotated[Duration, AfterValidator(_at_most_a_day)] = timedelta(seconds=30)
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _each_filter_once(self) -> AgentConfig:
        names = [one.name for one in self.log_filters]
        for name in dict.fromkeys(names):
            if names.count(name) > 1:
                raise ValueError(f'log_filters: "{name}" is there twice; give each filter a name of its own')
        return self

    @property
    def filters(self) -> tuple[LogFilter, ...]:
        """The filters that run, with the one that is there by itself."""
        given = [one.name for one in self.log_filters]
        both = ((ERRORS,) if ERRORS.name not in given else ()) + self.log_filters
        return tuple(one.built for one in both if one.enabled)


def load_config(path: Path) -> AgentConfig:
    """Read `agent.yml` and the environment; `SettingsError` with every error there is."""
    return load_yaml_settings(path, AgentConfig, ENV_PREFIX)
