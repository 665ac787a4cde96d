"""Which groups someone is in: asked from the person up, or, where those are too many to list, from the groups down."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import ldap
import ldap.dn
import ldap.filter

from modelward_collector.auth.names import filled_filter, same_name
from modelward_collector.auth.person import DirectoryUnavailableError
from modelward_collector.auth.settings import LdapSettings

logger = logging.getLogger(__name__)

Attributes = Mapping[str, list[bytes]]
Entry = tuple[str, Attributes]
Search = Callable[[str, int, str, Sequence[str]], list[Entry]]
"""What finds the entries of a base, scope and filter, with those attributes, over one connection."""

DEEPEST: Final = 16
MOST_GROUPS: Final = 2_000
"""Bounds on following groups of groups up from a person."""

MOST_BELOW: Final = 1_000
MOST_MEMBERS: Final = 10_000
"""Bounds on following groups down: of groups, and of members that may be groups."""

MOST_RANGES: Final = 200
"""Answers that one group's members may take; Active Directory gives 1,500 in each."""

GROUPS_A_SEARCH: Final = 50

ABSENT: Final = (ldap.NO_SUCH_OBJECT, ldap.REFERRAL, ldap.INVALID_DN_SYNTAX)
"""What is answered for a group that is not there, or is another server's."""

TOO_MUCH: Final = (
    ldap.SIZELIMIT_EXCEEDED,
    ldap.ADMINLIMIT_EXCEEDED,
    ldap.TIMELIMIT_EXCEEDED,
    ldap.UNWILLING_TO_PERFORM,
)
"""What a server answers that does not give so much; the last, where too much had to be looked through."""

_NAMING: Final = re.compile(r"\(\s*([A-Za-z][\w.-]*)[^()=]*=\s*\{user_dn\}\s*\)")
_MEMBERS: Final = re.compile(r"\(\s*([A-Za-z][\w.-]*)[^()=]*=\s*\{(?:user_dn|username)\}\s*\)")
"""The attributes of the group filter whose values are members: by distinguished name, and by any name."""

_RANGE: Final = re.compile(r"([^;]+);range=\d+-(\d+)", re.IGNORECASE)


class TooManyError(Exception):
    """A bound on the groups that are followed is reached."""


@dataclass(frozen=True, slots=True)
class Membership:
    """One person's groups. `named` are those that the server itself keeps with the person's entry."""

    settings: LdapSettings
    search: Search
    username: str
    dn: str
    named: tuple[str, ...] = ()

    def groups(self) -> list[str]:
        """All groups, direct and inherited; only those that give a role, where all are more than can be listed.

        `DirectoryUnavailableError` when it cannot be found out.
        """
        try:
            return self._upward()
        except TOO_MUCH as error:
            limit = type(error).__name__
        except TooManyError as error:
            limit = str(error)
        logger.info("the groups of %s cannot be listed (%s); those that give a role are asked for it", self.dn, limit)
        return self._downward()

    # -- from the person up -------------------------------------------------------------------------------------
    def _upward(self) -> list[str]:
        """The person's groups, then the groups of those, and so on; each once, however they loop."""
        template = self.settings.group_filter
        known: dict[str, str] = {}
        level = [*self.named, *self._having([self._filter()])]
        for _ in range(DEEPEST):
            new = {same_name(group): group for group in level}
            new = {key: group for key, group in new.items() if key not in known}
            known |= new
            if len(known) > MOST_GROUPS:
                raise TooManyError(f"more than {MOST_GROUPS}")
            if not new or not self.settings.nested_groups:
                break
            # A group has no user name; its own distinguished name is no one's.
            filters = [filled_filter(template, user_dn=group, username=group) for group in new.values()]
            level = list(self._having(filters))
        else:
            logger.warning("groups of %s are nested more than %d deep; the rest is not looked at", self.dn, DEEPEST)
        return list(known.values())

    def _having(self, filters: Sequence[str]) -> Iterator[str]:
        """The groups that any of the filters finds."""
        for some in _portions(filters):
            yield from (dn for dn, _ in self._below(f"(|{''.join(some)})"))

    def _filter(self) -> str:
        return filled_filter(self.settings.group_filter, user_dn=self.dn, username=self.username)

    def _below(self, text: str) -> list[Entry]:
        return self.search(self.settings.group_base_dn, ldap.SCOPE_SUBTREE, text, ["1.1"])

    # -- from the groups down -----------------------------------------------------------------------------------
    def _downward(self) -> list[str]:
        """Of the groups that give a role, those that the person is in, itself or through groups within it."""
        mapped = {same_name(dn): dn for dns in self.settings.groups.by_role().values() for dn in dns}
        named = {same_name(group) for group in self.named}
        found = {key for key, dn in mapped.items() if key in named or self._is_in(dn)}
        undecided = {key: dn for key, dn in mapped.items() if key not in found}
        if self.settings.nested_groups and undecided:
            try:
                found |= self._inherited(undecided, named)
            except TooManyError as error:
                problem = f"which groups {self.dn} is in cannot be found out: they are more than the directory lists"
                if not found:
                    raise DirectoryUnavailableError(
                        f"{problem}, and {error}; raise the size limit of {self.settings.bind_dn or 'people'}, or name "
                        "groups in auth.ldap.groups that have less within them"
                    ) from error
                logger.warning("%s, and %s; the rest is not looked at", problem, error)
        return [dn for key, dn in mapped.items() if key in found]

    def _is_in(self, group: str) -> bool:
        """Whether the person is a member of that group itself."""
        try:
            return bool(self.search(group, ldap.SCOPE_BASE, self._filter(), ["1.1"]))
        except ABSENT:
            logger.warning("the group %s is not in the directory; correct auth.ldap.groups", group)
            return False

    def _inherited(self, mapped: Mapping[str, str], named: set[str]) -> set[str]:
        """The keys of those that the person is in through groups within them; each group is looked at once."""
        containing: dict[str, set[str]] = {}
        """By a group within: the groups that it is a member of."""
        its_own: set[str] = set()
        seen, level, members = set(mapped), list(mapped.values()), 0
        for _ in range(DEEPEST - 1):
            new: dict[str, str] = {}
            for group in level:
                possible = self._possible_groups(group)
                members += len(possible)
                if members > MOST_MEMBERS:
                    raise TooManyError(f"those that give a role have more than {MOST_MEMBERS} members to look at")
                for key, dn in self._those(possible, self._has_members()).items():
                    containing.setdefault(key, set()).add(same_name(group))
                    new[key] = dn
            new = {key: dn for key, dn in new.items() if key not in seen}
            seen |= new.keys()
            if len(seen) > MOST_BELOW:
                raise TooManyError(f"those that give a role have more than {MOST_BELOW} groups within them")
            its_own |= (named & new.keys()) | self._those(new, self._filter()).keys()
            level = list(new.values())
        if level:
            logger.warning("groups that give a role are nested more than %d deep; the rest is not looked at", DEEPEST)
        return _above(its_own, containing) & mapped.keys()

    def _possible_groups(self, group: str) -> dict[str, str]:
        """Members of that group that are where groups are, and not where people are."""
        groups, people = (f",{same_name(base)}" for base in (self.settings.group_base_dn, self.settings.user_base_dn))
        apart = not groups.endswith(people)
        found = {same_name(member): member for member in self._members(group)}
        return {
            key: member
            for key, member in found.items()
            if f",{key}".endswith(groups) and not (apart and key.endswith(people))
        }

    def _members(self, group: str) -> Iterator[str]:
        """The names that the group has as members, a range at a time where the server gives no more at once."""
        wanted = sorted(set(_NAMING.findall(self.settings.group_filter)))
        for _ in range(MOST_RANGES):
            if not wanted:
                return
            try:
                found = self.search(group, ldap.SCOPE_BASE, "(objectClass=*)", wanted)
            except ABSENT:
                return
            wanted = []
            for name, values in (pair for _, attributes in found for pair in attributes.items()):
                yield from (value.decode(errors="replace") for value in values)
                # Active Directory answers with member;range=0-1499 what it was asked as member, and ends with a *.
                if (part := _RANGE.fullmatch(name)) and values:
                    wanted.append(f"{part[1]};range={int(part[2]) + 1}-*")
        raise TooManyError(f"{group} has more members than are read")

    def _has_members(self) -> str:
        """What every group satisfies that anyone is in, as the group filter sees it."""
        names = sorted(set(_MEMBERS.findall(self.settings.group_filter)))
        return f"(|{''.join(f'({name}=*)' for name in names)})" if names else "(objectClass=*)"

    def _those(self, entries: Mapping[str, str], text: str) -> dict[str, str]:
        """Those of the entries that the filter finds."""
        found: set[str] = set()
        for some in _portions(list(entries.values())):
            found |= {same_name(dn) for dn in self._found(some, text)}
        return {key: dn for key, dn in entries.items() if key in found}

    def _found(self, entries: Sequence[str], text: str) -> Iterator[str]:
        """Some of the entries by their own parts of their names; namesakes elsewhere are found with them."""
        if len(entries) > 1:
            parts = "".join(_own_part(dn) for dn in entries)
            try:
                found = self._below(f"(&{text}(|{parts}))")
            except TOO_MUCH:
                half = len(entries) // 2
                yield from self._found(entries[:half], text)
                yield from self._found(entries[half:], text)
            else:
                yield from (dn for dn, _ in found)
            return
        for dn in entries:
            with suppress(*ABSENT):
                yield from (name for name, _ in self.search(dn, ldap.SCOPE_BASE, text, ["1.1"]))


def _portions(items: Sequence[str]) -> Iterator[Sequence[str]]:
    return (items[start : start + GROUPS_A_SEARCH] for start in range(0, len(items), GROUPS_A_SEARCH))


def _own_part(dn: str) -> str:
    """A filter for the first part of the name."""
    values = ldap.dn.str2dn(dn)[0]
    return f"(&{''.join(f'({kind}={ldap.filter.escape_filter_chars(value)})' for kind, value, _ in values)})"


def _above(keys: Iterable[str], containing: Mapping[str, set[str]]) -> set[str]:
    """Those, what contains them, what contains that, and so on."""
    found: set[str] = set()
    waiting = set(keys)
    while waiting:
        found |= waiting
        waiting = {above for key in waiting for above in containing.get(key, ())} - found
    return found
