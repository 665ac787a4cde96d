"""As whom Kibana asks Elasticsearch on behalf of a person."""

from __future__ import annotations

import base64
import logging
import ssl
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Protocol

from modelward_agent.settings import read_secret
from modelward_collector.auth.role import Role
from modelward_collector.auth.session import Session
from modelward_collector.auth.settings import KibanaSettings, KibanaUsers
from modelward_collector.auth.signing import Signer

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

logger = logging.getLogger(__name__)

SHARED_USER: Final = "modelward_kibana_{role}"
"""Also the names of the roles that personal users get."""

MADE_HERE: Final = {"made_by": "modelward"}
"""Metadata of personal users; others of the native realm are left alone."""

MOST_KNOWN: Final = 10_000
AGAIN_AFTER_SECONDS: Final = 300.0
"""How long it is taken for granted that a personal user is as it was written."""

_PURPOSE: Final = "kibana user 1"
_LONGEST_NAME: Final = 507
_RESERVED: Final = ("elastic", "kibana", "kibana_system", "logstash_system", "beats_system", "apm_system")
_RESERVED_BEGINNINGS: Final = ("modelward_", "agent_", "_")


class KibanaUnavailableError(Exception):
    """Elasticsearch cannot be asked for the person's user; the message says why."""


class KibanaUsersOf(Protocol):
    """What gives a session its `Authorization` header for Kibana."""

    def authorization(self, session: Session) -> str:
        """The header; may block. Raises `KibanaUnavailableError`."""

    def withdraw(self, username: str) -> None:
        """The person may no longer come in."""


def kibana_users(settings: KibanaSettings, signer: Signer) -> KibanaUsersOf:
    """Those that the settings choose."""
    return PersonalUsers(settings, signer) if settings.users is KibanaUsers.PERSONAL else SharedUsers(settings)


def usable_name(username: str) -> bool:
    """Whether Elasticsearch takes it as a name, and it is none of the service users'."""
    name = username.casefold()
    return (
        0 < len(username) <= _LONGEST_NAME
        and all("\x20" < letter < "\x7f" for letter in username)
        and name not in _RESERVED
        and not name.startswith(_RESERVED_BEGINNINGS)
    )


class SharedUsers:
    """One user for each role, of Elasticsearch's file realm."""

    def __init__(self, settings: KibanaSettings) -> None:
        self._headers = {}
        for role in Role:
            file = getattr(settings, f"{role}_password_file")
            self._headers[role] = _basic(SHARED_USER.format(role=role), read_secret(file))

    def authorization(self, session: Session) -> str:
        """The role's."""
        return self._headers[session.role]

    def withdraw(self, username: str) -> None:
        """Nothing to do: without a session nobody gets the header."""


class PersonalUsers:
    """A user for each person, of Elasticsearch's native realm, made when it is first needed.

    Nobody knows the password: it is derived from the collector's own key, so that it need not be kept anywhere and
    every collector comes to the same.
    """

    def __init__(self, settings: KibanaSettings, signer: Signer) -> None:
        self._settings = settings
        self._signer = signer
        self._known: OrderedDict[str, tuple[float, Role, str, str]] = OrderedDict()
        self._lock = threading.Lock()
        self._client: Elasticsearch | None = None

    def authorization(self, session: Session) -> str:
        """The person's own; makes or corrects the user where that was not done lately."""
        if not usable_name(session.username):
            raise KibanaUnavailableError(f'"{session.username}" cannot be a user of Elasticsearch; see docs/access.md')
        password = self._signer.derived(_PURPOSE, session.username)
        about = (session.role, session.full_name, session.email)
        with self._lock:
            known = self._known.get(session.username)
        if known is None or known[1:] != about or time.monotonic() - known[0] > AGAIN_AFTER_SECONDS:
            self._write(session, password)
            with self._lock:
                self._known[session.username] = (time.monotonic(), *about)
                self._known.move_to_end(session.username)
                while len(self._known) > MOST_KNOWN:
                    self._known.popitem(last=False)
        return _basic(session.username, password)

    def withdraw(self, username: str) -> None:
        """Disable the user; the person's saved objects stay."""
        from elasticsearch import ApiError, TransportError

        with self._lock:
            self._known.pop(username, None)
        if not usable_name(username):
            return
        try:
            if self._is_ours(username):
                self._elasticsearch().security.disable_user(username=username)
        except (ApiError, TransportError) as error:
            raise KibanaUnavailableError(f"the user {username} cannot be disabled in Elasticsearch: {error}") from error

    def _write(self, session: Session, password: str) -> None:
        from elasticsearch import ApiError, TransportError

        try:
            if self._is_ours(session.username) is False:
                raise KibanaUnavailableError(
                    f"Elasticsearch has a user {session.username} that was not made here, and is left alone; rename it"
                )
            self._elasticsearch().security.put_user(
                username=session.username,
                password=password,
                roles=[SHARED_USER.format(role=session.role)],
                full_name=session.full_name or None,
                email=session.email or None,
                metadata=MADE_HERE,
                enabled=True,
            )
        except (ApiError, TransportError) as error:
            raise KibanaUnavailableError(
                f"the user {session.username} cannot be written in Elasticsearch: {error}"
            ) from error

    def _is_ours(self, username: str) -> bool | None:
        """Whether the user was made here; None when there is none of the name."""
        from elasticsearch import NotFoundError

        try:
            found = self._elasticsearch().security.get_user(username=username)
        except NotFoundError:
            return None
        return bool(found[username]["metadata"] == MADE_HERE)

    def _elasticsearch(self) -> Elasticsearch:
        if self._client is None:
            # The client takes a third of a second to import.
            from elasticsearch import Elasticsearch

            settings = self._settings
            assert settings.username is not None
            assert settings.password_file is not None
            self._client = Elasticsearch(
                list(settings.urls),
                basic_auth=(settings.username, read_secret(settings.password_file)),
                ssl_context=ssl.create_default_context(cafile=settings.ca_file),
                request_timeout=10,
            )
        return self._client


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
