"""A session: who logged in, when, and what they may do, in a signed cookie."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import orjson

from modelward_collector.auth.person import Person
from modelward_collector.auth.role import Role
from modelward_collector.auth.signing import Signer

COOKIE: Final = "__Host-modelward"
"""The prefix has browsers take it only over TLS, for this host alone, and for every path."""

PURPOSE: Final = "session 1"
LONGEST_TOKEN: Final = 3_500
"""Browsers take cookies of 4,096 bytes with their attributes."""

_SHOWN_NAME: Final = 128
RENEWED_AFTER: Final = timedelta(minutes=1)
"""A use that comes sooner after the one before leaves the cookie as it is."""


@dataclass(frozen=True, slots=True)
class Session:
    """Moments are epoch seconds: `started` at the login, `seen` at the last use, `checked` with the directory."""

    id: str
    username: str
    login: str
    full_name: str
    email: str
    role: Role
    started: float
    seen: float
    checked: float

    @classmethod
    def begun(cls, person: Person, role: Role, now: float) -> Session:
        """A new one."""
        return cls(
            id=secrets.token_urlsafe(16),
            username=person.username,
            login=person.login,
            full_name=person.full_name[:_SHOWN_NAME],
            email=person.email[:_SHOWN_NAME],
            role=role,
            started=now,
            seen=now,
            checked=now,
        )

    @property
    def shown_name(self) -> str:
        """The name for people."""
        return self.full_name or self.username


class Sessions:
    """Sessions to cookies and back."""

    def __init__(self, signer: Signer, idle: timedelta, absolute: timedelta) -> None:
        self._signer = signer
        self._idle = idle.total_seconds()
        self._renewed_after = min(RENEWED_AFTER.total_seconds(), self._idle / 4)
        self.absolute = absolute.total_seconds()

    def token(self, session: Session) -> str:
        """The cookie's value."""
        fields = [
            session.id,
            session.username,
            session.login,
            session.full_name,
            session.email,
            session.role,
            session.started,
            session.seen,
            session.checked,
        ]
        return self._signer.sign(PURPOSE, orjson.dumps(fields))

    def read(self, token: str, now: float) -> Session | None:
        """The session, if it was signed here and has not run out."""
        if len(token) > LONGEST_TOKEN:
            return None
        content = self._signer.opened(PURPOSE, token)
        if content is None:
            return None
        its_id, username, login, full_name, email, role, started, seen, checked = orjson.loads(content)
        session = Session(its_id, username, login, full_name, email, Role(role), started, seen, checked)
        if now - session.seen > self._idle or now - session.started > self.absolute:
            return None
        return session

    def renewed(self, session: Session, now: float) -> Session | None:
        """The session as used now, if that is worth a new cookie."""
        return replace(session, seen=now) if now - session.seen >= self._renewed_after else None


def set_cookie(name: str, value: str, seconds: float | None = None) -> str:
    """A Set-Cookie header that only this host gets back, over TLS, out of reach of scripts and other sites."""
    lasting = "" if seconds is None else f"; Max-Age={int(seconds)}"
    return f"{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax{lasting}"
