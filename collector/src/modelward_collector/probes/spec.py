"""What is probed, as `collector.yml` says: HTTP, TCP, DNS and TLS targets."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from modelward_agent.durations import Duration
from modelward_agent.settings import ReadableFile

LONGEST_TIMEOUT = timedelta(minutes=1)

Host = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[^\s/@]+$")]
Port = Annotated[int, Field(ge=1, le=65_535)]


class _Probe(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=200)]
    every: Duration = timedelta(minutes=1)
    timeout: Duration = Field(timedelta(seconds=5), description="for the whole probe, name look-up included")

    @field_validator("timeout")
    @classmethod
    def _bounded(cls, value: timedelta) -> timedelta:
        if not timedelta(seconds=1) <= value <= LONGEST_TIMEOUT:
            raise ValueError("a timeout is from 1s to 1m")
        return value

    @field_validator("every")
    @classmethod
    def _not_all_the_time(cls, value: timedelta) -> timedelta:
        if value < timedelta(seconds=5):
            raise ValueError("a probe runs at most every 5s")
        return value


class HttpProbe(_Probe):
    """An address that must answer with an expected status, and a body that matches, if one is given.

    A redirect is an answer like any other and is not followed. `body` is searched in the first MiB, as UTF-8.
    """

    kind: Literal["http"]
    url: str
    method: Literal["GET", "HEAD"] = "GET"
    status: Annotated[tuple[int, ...], Field(min_length=1)] = (200,)
    body: str | None = Field(None, description="a regular expression that the answer must contain")
    ca_file: ReadableFile | None = Field(None, description="the authority of an https address; unset: the system's")

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            port = parts.port
        except ValueError as error:
            raise ValueError(f'"{value}" is not an address ({error})') from error
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
            raise ValueError(f'"{value}" is not an address; write for example https://model.example:8443/healthz')
        if parts.username is not None or parts.password is not None:
            raise ValueError("an address with a password would be in every log; probe one that needs none")
        if not all(0x20 < ord(character) < 0x7F for character in value):
            raise ValueError(f"{value!r} has a space or another character that addresses have not; percent-encode it")
        return value

    @field_validator("status", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return (value,) if isinstance(value, int) else value

    @field_validator("status")
    @classmethod
    def _are_statuses(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if wrong := [status for status in value if not 100 <= status <= 599]:
            raise ValueError(f"{wrong[0]} is not an HTTP status; they are from 100 to 599")
        return value

    @field_validator("body")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f'"{value}" is not a regular expression: {error}') from error
        return value


class TcpProbe(_Probe):
    """A port that must accept a connection."""

    kind: Literal["tcp"]
    host: Host
    port: Port


class DnsProbe(_Probe):
    """A name that must resolve through the system's resolver, to every one of the `expected` addresses if given."""

    kind: Literal["dns"]
    host: Host
    type: Literal["A", "AAAA"] = "A"
    expected: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _addresses_of_the_type(self) -> DnsProbe:
        version = 4 if self.type == "A" else 6
        for text in self.expected:
            try:
                address = ipaddress.ip_address(text)
            except ValueError as error:
                raise ValueError(f'expected: "{text}" is not an IP address') from error
            if address.version != version:
                raise ValueError(f'expected: "{text}" is not an address of type {self.type}')
        return self


class TlsProbe(_Probe):
    """A server that must show a certificate chain that verifies, and is not about to expire."""

    kind: Literal["tls"]
    host: Host
    port: Port = 443
    days_min: Annotated[int, Field(ge=0, le=3650)] = Field(21, description="fewer days left are a warning")
    ca_file: ReadableFile | None = Field(None, description="the authority that signed it; unset: the system's")
    sni: Host | None = Field(None, description="the name on the certificate, when it is not the host")


ProbeSpec = Annotated[HttpProbe | TcpProbe | DnsProbe | TlsProbe, Field(discriminator="kind")]
"""One configured target."""
