"""The directory (LDAP): who is it, is the password right, which groups.

Everything here blocks, within `timeout` for each step; `DirectoryPool` keeps it off the event loop.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, TypeVar

import ldap
import ldap.dn
import ldap.filter
from ldap.controls import SimplePagedResultsControl
from ldap.ldapobject import SimpleLDAPObject

from modelward_agent.settings import read_secret
from modelward_collector.auth.channel import ChannelError, authorities, opened
from modelward_collector.auth.membership import ABSENT, Attributes, Entry, Membership
from modelward_collector.auth.names import filled_dn, filled_filter, same_name, usable_password, usable_username
from modelward_collector.auth.person import DirectoryUnavailableError, Person, Refusal, RefusedError
from modelward_collector.auth.role import highest
from modelward_collector.auth.settings import LdapSettings

logger = logging.getLogger(__name__)

T = TypeVar("T")

IN_CHAIN: Final = "1.2.840.113556.1.4.1941"
"""Active Directory's matching rule that follows membership through all levels."""

NOBODY: Final = "cn=nobody-of-this-name"
"""Bound in place of a user who is not there, so that the answer takes the same way."""

A_PAGE: Final = 500
"""Entries; Active Directory gives 1,000 at once, and OpenLDAP 500, unless configured."""

MOST_ENTRIES: Final = 10_000
"""That one search may find in all pages."""

AVOIDED_FOR_SECONDS: Final = 30.0
"""How long a server that did not answer is tried last."""

_DISABLED: Final = 0x0002
_NEVER_EXPIRES: Final = frozenset({0, 0x7FFF_FFFF_FFFF_FFFF})
_AD_EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)
_LOCKED_FOR_GOOD: Final = b"000001010000Z"

_WRONG: Final = (ldap.INVALID_CREDENTIALS, ldap.INAPPROPRIATE_AUTH, ldap.INVALID_DN_SYNTAX, ldap.NO_SUCH_OBJECT)
_CANNOT_ASK: Final = (
    ldap.SERVER_DOWN,
    ldap.CONNECT_ERROR,
    ldap.TIMEOUT,
    ldap.TIMELIMIT_EXCEEDED,
    ldap.BUSY,
    ldap.UNAVAILABLE,
    ldap.PROTOCOL_ERROR,
    ldap.LOCAL_ERROR,
)
_AD_ATTRIBUTES: Final = (
    *("userAccountControl", "accountExpires", "primaryGroupID", "objectSid"),
    *("sAMAccountName", "userPrincipalName"),
)
_AD_DISABLED: Final = ("data 533", "data 701", "data 775")
"""In Active Directory's refusal of a bind: disabled, expired, locked; said even where the password is wrong."""


class Directory:
    """One directory on one or several servers. Safe to use from several threads: each question has its connection."""

    def __init__(self, settings: LdapSettings) -> None:
        self.settings = settings
        self._seconds = settings.timeout.total_seconds()
        self._mapped = {same_name(dn): role for role, dns in settings.groups.by_role().items() for dn in dns}
        self._authorities = authorities(None if settings.ca_file is None else str(settings.ca_file))
        self._avoided: dict[str, float] = {}
        self._lock = threading.Lock()

    @property
    def longest_seconds(self) -> float:
        """After which any question has been answered or given up: connections to every server, and a few answers."""
        return self._seconds * (2 * len(self.settings.urls) + 4)

    @property
    def can_look_up(self) -> bool:
        """Whether people can be asked after without their password."""
        return self.settings.bind_dn is not None

    # -- the two questions --------------------------------------------------------------------------------------
    def authenticate(self, typed: str, password: str) -> Person:
        """Who this is. `RefusedError` when the name or password is wrong; `role` is None for someone without any."""
        username = usable_username(typed)
        if username is None or not usable_password(password):
            raise RefusedError(Refusal.MALFORMED)
        if self.can_look_up:
            return self._at_some_server(lambda url: self._found_and_bound(url, username, password))
        return self._at_some_server(lambda url: self._bound_directly(url, username, password))

    def look_up(self, login: str) -> Person | None:
        """Who that is now; None for someone who is gone, disabled or no longer one. Only with a service account."""

        def asked(url: str) -> Person | None:
            with self._as_service(url) as connection:
                try:
                    dn, attributes = self._entry(connection, login)
                except RefusedError:
                    return None
                return None if _disabled(attributes) else self._person(connection, login, dn, attributes)

        return self._at_some_server(asked)

    def reach(self) -> None:
        """Connect, verify the certificate, and no more."""

        def asked(url: str) -> None:
            with self._connection(url):
                pass

        self._at_some_server(asked)

    def missing_groups(self) -> list[str]:
        """Those of the groups that give a role that the directory does not have. Only with a service account."""

        def asked(url: str) -> list[str]:
            with self._as_service(url) as connection:
                return [dn for dn in self._all_mapped() if not self._is_there(connection, dn)]

        return self._at_some_server(asked)

    def _all_mapped(self) -> list[str]:
        return [dn for dns in self.settings.groups.by_role().values() for dn in dns]

    def _is_there(self, connection: SimpleLDAPObject, dn: str) -> bool:
        try:
            return bool(self._search(connection, dn, ldap.SCOPE_BASE, "(objectClass=*)", ["1.1"]))
        except ABSENT:
            return False

    # -- ways to bind -------------------------------------------------------------------------------------------
    def _found_and_bound(self, url: str, username: str, password: str) -> Person:
        with self._as_service(url) as service:
            try:
                dn, attributes = self._entry(service, username)
            except RefusedError:
                # A user who is not there takes a bind too, or the time would tell who is.
                with suppress(RefusedError), self._bound(url, f"{NOBODY},{self.settings.user_base_dn}", password):
                    pass
                raise
            with self._bound(url, dn, password):
                pass
            if _disabled(attributes):
                raise RefusedError(Refusal.DISABLED)
            return self._person(service, username, dn, attributes)

    def _bound_directly(self, url: str, username: str, password: str) -> Person:
        template = self.settings.user_dn_template or ""
        principal = "=" not in template
        if principal and set(username) & set("@\\/"):
            raise RefusedError(Refusal.MALFORMED)
        name = filled_dn(template, username)
        with self._bound(url, name, password) as connection:
            dn, attributes = self._entry(connection, username, None if principal else name)
            if principal:
                _same_person(connection, name, dn, attributes)
            if _disabled(attributes):
                raise RefusedError(Refusal.DISABLED)
            return self._person(connection, username, dn, attributes)

    # -- connections --------------------------------------------------------------------------------------------
    def _at_some_server(self, ask: Callable[[str], T]) -> T:
        """The answer of the first server that gives one; those that failed lately are asked last."""
        with self._lock:
            now = time.monotonic()
            urls = sorted(self.settings.urls, key=lambda url: self._avoided.get(url, 0.0) > now)
        problems = []
        for url in urls:
            try:
                answer = ask(url)
            except (ChannelError, *_CANNOT_ASK) as error:
                problems.append(str(error) if isinstance(error, ChannelError) else f"{url}: {words_of(error)}")
                with self._lock:
                    self._avoided[url] = time.monotonic() + AVOIDED_FOR_SECONDS
                continue
            except ldap.LDAPError as error:
                raise DirectoryUnavailableError(f"{url}: {words_of(error)}") from error
            with self._lock:
                self._avoided.pop(url, None)
            return answer
        raise DirectoryUnavailableError("; ".join(problems))

    @contextmanager
    def _connection(self, url: str) -> Iterator[SimpleLDAPObject]:
        opened_to = opened(
            url,
            self._authorities,
            start_tls=self.settings.start_tls,
            seconds=self._seconds,
            longest=self.longest_seconds,
        )
        connection = ldap.initialize("ldap://", fileno=opened_to)
        try:
            connection.set_option(ldap.OPT_PROTOCOL_VERSION, ldap.VERSION3)
            connection.set_option(ldap.OPT_REFERRALS, ldap.OPT_OFF)
            connection.set_option(ldap.OPT_TIMEOUT, self._seconds)
            yield connection
        finally:
            with suppress(ldap.LDAPError):
                connection.unbind_s()

    @contextmanager
    def _as_service(self, url: str) -> Iterator[SimpleLDAPObject]:
        settings = self.settings
        assert settings.bind_dn is not None
        assert settings.bind_password_file is not None
        # Read each time, so that a changed password needs no restart.
        password = read_secret(settings.bind_password_file)
        if not password:
            raise DirectoryUnavailableError(f"{settings.bind_password_file} is empty; write the password into it")
        with self._connection(url) as connection:
            try:
                connection.simple_bind_s(settings.bind_dn, password)
            except _WRONG as error:
                raise DirectoryUnavailableError(
                    f"{url} refuses the service account {settings.bind_dn} ({words_of(error)}); "
                    f"correct auth.ldap.bind_dn, or the password in {settings.bind_password_file}"
                ) from error
            yield connection

    @contextmanager
    def _bound(self, url: str, name: str, password: str) -> Iterator[SimpleLDAPObject]:
        """A connection as that person; `RefusedError` when the directory does not take the password."""
        with self._connection(url) as connection:
            try:
                connection.simple_bind_s(name, password)
            except _WRONG as error:
                said = words_of(error)
                disabled = self.settings.active_directory and any(code in said for code in _AD_DISABLED)
                raise RefusedError(Refusal.DISABLED if disabled else Refusal.WRONG_PASSWORD, said) from error
            except (ldap.UNWILLING_TO_PERFORM, ldap.CONSTRAINT_VIOLATION) as error:
                raise RefusedError(Refusal.DISABLED, words_of(error)) from error
            yield connection

    # -- entries ------------------------------------------------------------------------------------------------
    def _entry(self, connection: SimpleLDAPObject, username: str, own: str | None = None) -> Entry:
        """The one entry of that name, or the one that `own` names; `RefusedError` of none, and of several."""
        settings = self.settings
        wanted = [settings.user_attribute, "cn", "displayName", "mail", "nsAccountLock", *_AD_ATTRIBUTES]
        if not settings.active_directory:
            # All operational attributes, thus memberOf only where the server keeps it: as an ordinary attribute,
            # which some schemas allow, people might write it themselves.
            wanted.append("+")
        text = filled_filter(settings.user_filter, username=username)
        base, scope = (settings.user_base_dn, ldap.SCOPE_SUBTREE) if own is None else (own, ldap.SCOPE_BASE)
        found = self._search(connection, base, scope, text, wanted, limit=2)
        if not found:
            raise RefusedError(Refusal.UNKNOWN_USER)
        if len(found) > 1:
            raise RefusedError(Refusal.AMBIGUOUS_USER, f"{text} finds several below {base}")
        return found[0]

    def _person(self, connection: SimpleLDAPObject, login: str, dn: str, attributes: Attributes) -> Person:
        name = self.settings.user_attribute
        username = usable_username(_text(attributes, name))
        if username is None:
            raise DirectoryUnavailableError(f"{dn} has no usable {name}; correct auth.ldap.user_attribute")
        groups = tuple(self._groups(connection, username, dn, attributes))
        roles = (self._mapped.get(same_name(group)) for group in groups)
        return Person(
            username=username,
            login=login,
            dn=dn,
            full_name=_text(attributes, "displayName") or _text(attributes, "cn"),
            email=_text(attributes, "mail"),
            role=highest(role for role in roles if role is not None),
            groups=groups,
        )

    def _groups(self, connection: SimpleLDAPObject, username: str, dn: str, attributes: Attributes) -> Iterable[str]:
        if self.settings.active_directory:
            return self._mapped_groups(connection, dn, attributes)
        named = tuple(value.decode(errors="replace") for value in attributes.get("memberOf", ()))
        return Membership(self.settings, partial(self._search, connection), username, dn, named).groups()

    def _mapped_groups(self, connection: SimpleLDAPObject, dn: str, attributes: Attributes) -> Iterator[str]:
        """Of the groups that give a role, those the person is in, as Active Directory itself works it out."""
        members = [dn]
        primary = self._primary_group(connection, attributes)
        if primary is not None:
            # The primary group has no member attribute of its people.
            members.append(primary)
        rule = f":{IN_CHAIN}:" if self.settings.nested_groups else ""
        text = "".join(f"(member{rule}={ldap.filter.escape_filter_chars(member)})" for member in members)
        for mapped in dict.fromkeys(self._all_mapped()):
            if primary is not None and same_name(primary) == same_name(mapped):
                yield mapped
                continue
            try:
                found = self._search(connection, mapped, ldap.SCOPE_BASE, f"(|{text})", ["1.1"])
            except ABSENT:
                logger.warning("the group %s is not in the directory; correct auth.ldap.groups", mapped)
                continue
            if found:
                yield mapped

    def _primary_group(self, connection: SimpleLDAPObject, attributes: Attributes) -> str | None:
        sid, number = attributes.get("objectSid", [b""])[0], _text(attributes, "primaryGroupID")
        if len(sid) < 12 or not number.isdecimal():
            return None
        # A SID ends in the number within its domain, 32 bits, little-endian.
        of_group = sid[:-4] + int(number).to_bytes(4, "little")
        text = "(objectSid={})".format("".join(f"\\{byte:02x}" for byte in of_group))
        found = self._search(connection, self.settings.group_base_dn, ldap.SCOPE_SUBTREE, text, ["1.1"])
        return found[0][0] if len(found) == 1 else None

    def _search(
        self,
        connection: SimpleLDAPObject,
        base: str,
        scope: int,
        text: str,
        attributes: Sequence[str],
        limit: int = 0,
    ) -> list[Entry]:
        """Entries; what the server says of other servers is left out. More than `limit` are cut to one more than it."""
        try:
            found = connection.search_ext_s(base, scope, text, attributes, timeout=self._seconds, sizelimit=limit)
        except ldap.SIZELIMIT_EXCEEDED:
            # More than the two that already are too many, or more than the server gives at once.
            found = [("", {}), ("", {})] if limit else self._pages(connection, base, scope, text, attributes)
        except ldap.FILTER_ERROR as error:
            raise DirectoryUnavailableError(f"{text} is no filter; correct auth.ldap") from error
        except ldap.NO_SUCH_OBJECT as error:
            if scope == ldap.SCOPE_BASE:
                raise
            raise DirectoryUnavailableError(f"there is no {base}, or it may not be read; correct auth.ldap") from error
        return [(dn, attributes) for dn, attributes in found if dn is not None]

    def _pages(
        self, connection: SimpleLDAPObject, base: str, scope: int, text: str, attributes: Sequence[str]
    ) -> list[Entry]:
        """All that is found, page by page (RFC 2696), where the server offers that."""
        found: list[Entry] = []
        cookie = b""
        while len(found) <= MOST_ENTRIES:
            # Not critical: a server that does not know the control says again that it is too much.
            page = SimplePagedResultsControl(False, size=A_PAGE, cookie=cookie)
            number = connection.search_ext(
                base, scope, text, attributes, serverctrls=[page], timeout=self._seconds, sizelimit=0
            )
            _, entries, _, controls = connection.result3(number, timeout=self._seconds)
            found += entries
            answered = [one.cookie for one in controls if one.controlType == SimplePagedResultsControl.controlType]
            cookie = answered[0] if answered else b""
            if not cookie:
                return found
        raise ldap.SIZELIMIT_EXCEEDED({"desc": f"more than {MOST_ENTRIES} entries"})


def _same_person(connection: SimpleLDAPObject, bound: str, dn: str, attributes: Attributes) -> None:
    """`RefusedError` unless the entry found is of who bound: a principal's name may be another's account name."""
    account = _text(attributes, "sAMAccountName").casefold()
    try:
        said = str(connection.whoami_s())
    except (ldap.PROTOCOL_ERROR, ldap.UNWILLING_TO_PERFORM):
        # Samba does not say. A principal's name is unique, and an account's within its domain.
        said = bound
        its_own = _text(attributes, "userPrincipalName").casefold() if "@" in bound else account
        same = (bound if "@" in bound else bound.rpartition("\\")[2]).casefold() == its_own != ""
    else:
        kind, _, name = said.partition(":")
        # Active Directory answers u:DOMAIN\\account.
        account_said = name.rpartition("\\")[2].casefold()
        same = same_name(name) == same_name(dn) if kind == "dn" else account_said == account != ""
    if not same:
        raise RefusedError(Refusal.AMBIGUOUS_USER, f"the directory calls who bound {said}, but the entry found is {dn}")


def _disabled(attributes: Attributes) -> bool:
    """Whether the entry says that its person may not log in, now or ever."""
    control, expires = _text(attributes, "userAccountControl"), _text(attributes, "accountExpires")
    if control.lstrip("-").isdecimal() and int(control) & _DISABLED:
        return True
    if expires.isdecimal() and int(expires) not in _NEVER_EXPIRES:
        # In steps of 100 ns.
        expired = _AD_EPOCH + timedelta(microseconds=int(expires) // 10) <= datetime.now(UTC)
    else:
        expired = _text(attributes, "nsAccountLock").casefold() == "true"
    return expired or attributes.get("pwdAccountLockedTime", [b""])[0] == _LOCKED_FOR_GOOD


def _text(attributes: Attributes, name: str) -> str:
    """The attribute's first value, whichever case the server writes the name in; "" without one."""
    for key, values in attributes.items():
        if key.casefold() == name.casefold() and values:
            return values[0].decode(errors="replace").strip()
    return ""


def words_of(error: ldap.LDAPError) -> str:
    """What libldap knows of the error, on one line."""
    about = error.args[0] if error.args and isinstance(error.args[0], Mapping) else {}
    parts = [str(about.get(key, "")).strip() for key in ("desc", "info")]
    return " ".join(": ".join(part for part in parts if part).split()) or type(error).__name__
