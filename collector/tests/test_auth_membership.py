"""Groups of people who are in more of them than the directory lists at once, asked of a real OpenLDAP server."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ldap
import pytest

from collector.tests.directories import a_directory
from modelward_collector.auth import membership
from modelward_collector.auth.directory import Directory
from modelward_collector.auth.membership import DEEPEST, Membership
from modelward_collector.auth.person import DirectoryUnavailableError, Refusal, RefusedError
from modelward_collector.auth.role import Role
from modelward_collector.auth.settings import LdapSettings
from tests.servers.certificates import Authority
from tests.servers.slapd import GROUPS, PEOPLE, SERVICE, SUFFIX, Slapd, cn, group, person, uid

pytestmark = pytest.mark.server("slapd")

PASSWORD = "of a person in many groups"
LIMIT = 5
MANY = [cn(f"many-{number}") for number in range(3 * LIMIT)]


def in_many(*members: str) -> dict[str, Any]:
    return {dn: group(*members) for dn in MANY}


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[Slapd]:
    people = ["direct", "nested", "looped", "special", "wide", "posix", "level", "deep", "nowhere"]
    tree: dict[str, Any] = {
        **{uid(name): person(name, PASSWORD) for name in people},
        **in_many(*(uid(name) for name in people)),
        cn("viewers"): group(uid("direct"), uid("someone-else"), cn("department"), cn("Q&A (EU)"), cn("loop-a")),
        cn("department"): group(cn("team")),
        cn("team"): group(uid("nested")),
        cn("loop-a"): group(cn("loop-b"), cn("viewers")),
        cn("loop-b"): group(cn("loop-a"), cn("loop-b"), uid("looped")),
        cn("Q&A (EU)"): group(uid("special")),
        # More groups within one than are listed at once; the last is of another class, and some are not there.
        cn("editors"): group(*(cn(f"part-{number}") for number in range(4 * LIMIT)), cn("posixes"), cn("gone")),
        **{cn(f"part-{number}"): group(uid("wide" if number == 17 else "other")) for number in range(4 * LIMIT)},
        cn("posixes"): {"objectClass": "posixGroup", "gidNumber": "100", "memberUid": "posix"},
        cn("admins"): group(uid("nobody")),
        # One level more than is followed.
        cn("level-0"): group(uid("level")),
        **{cn(f"level-{depth}"): group(cn(f"level-{depth - 1}")) for depth in range(1, DEEPEST + 1)},
        # What a search finds beside groups, where another server has a part of the tree.
        f"cn=elsewhere,{GROUPS}": {
            "objectClass": ["referral", "extensibleObject"],
            "cn": "elsewhere",
            "ref": "ldap://127.0.0.1:1/cn=elsewhere,dc=example,dc=org",
        },
    }
    with Slapd(authority, tree=tree, limits=[f"sizelimit {LIMIT}"]) as running:
        yield running


def role(directory: Directory, user: str) -> Role | None:
    return directory.authenticate(user, PASSWORD).role


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("direct", Role.VIEWER),
        ("nested", Role.VIEWER),
        ("looped", Role.VIEWER),
        ("special", Role.VIEWER),
        ("wide", Role.EDITOR),
        ("posix", Role.EDITOR),
        ("nowhere", None),
    ],
)
def test_who_is_in_more_groups_than_are_listed_has_the_role_of_the_groups_that_give_one(
    server: Slapd, tmp_path: Path, user: str, expected: Role | None
) -> None:
    directory = a_directory(server, tmp_path)
    assert role(directory, user) is expected
    looked_up = directory.look_up(user)
    assert looked_up is not None
    assert looked_up.role is expected


def test_the_groups_that_are_told_are_those_that_give_the_role(server: Slapd, tmp_path: Path) -> None:
    assert a_directory(server, tmp_path).authenticate("nested", PASSWORD).groups == (cn("viewers"),)


def test_without_nested_groups_only_the_groups_themselves_are_asked(server: Slapd, tmp_path: Path) -> None:
    flat = a_directory(server, tmp_path, nested_groups=False)
    assert [role(flat, user) for user in ("direct", "nested", "posix")] == [Role.VIEWER, None, None]


def test_where_people_and_groups_are_in_one_place_the_answer_is_the_same(server: Slapd, tmp_path: Path) -> None:
    together = a_directory(server, tmp_path, user_base_dn=SUFFIX, group_base_dn=SUFFIX)
    assert [role(together, user) for user in ("nested", "wide", "nowhere")] == [Role.VIEWER, Role.EDITOR, None]


def test_a_group_filter_of_the_sites_own_is_followed_as_well(server: Slapd, tmp_path: Path) -> None:
    own = a_directory(server, tmp_path, group_filter="(&(objectClass=groupOfNames)(member={user_dn}))")
    assert [role(own, user) for user in ("nested", "wide", "posix")] == [Role.VIEWER, Role.EDITOR, None]


def test_a_wrong_password_is_still_one(server: Slapd, tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as refused:
        a_directory(server, tmp_path).authenticate("direct", "wrong")
    assert refused.value.reason is Refusal.WRONG_PASSWORD


def test_groups_within_are_followed_as_deep_as_groups_above(server: Slapd, tmp_path: Path) -> None:
    near = a_directory(server, tmp_path, groups={"viewer": [cn(f"level-{DEEPEST - 1}")]})
    far = a_directory(server, tmp_path, groups={"viewer": [cn(f"level-{DEEPEST}")]})
    assert role(near, "level") is Role.VIEWER
    assert role(far, "level") is None


@pytest.mark.parametrize("name", [cn("no-such-group"), "cn=group,dc=another,dc=example", "group=what,is=this"])
def test_a_group_that_is_not_there_keeps_nobody_out(
    server: Slapd, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    directory = a_directory(server, tmp_path, groups={"viewer": [cn("viewers")], "admin": [name]})
    assert role(directory, "nested") is Role.VIEWER
    assert f"the group {name} is not in the directory" in caplog.text
    assert directory.missing_groups() == [name]


def test_what_is_more_than_can_be_looked_at_is_said_with_what_to_do(
    server: Slapd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "MOST_BELOW", 8)
    directory = a_directory(server, tmp_path)
    with pytest.raises(DirectoryUnavailableError) as unavailable:
        directory.authenticate("nowhere", PASSWORD)
    assert str(unavailable.value) == (
        f"which groups {uid('nowhere')} is in cannot be found out: they are more than the directory lists, and those "
        f"that give a role have more than 8 groups within them; raise the size limit of {SERVICE}, or name groups in "
        "auth.ldap.groups that have less within them"
    )
    # Who is in a group that gives a role has it all the same.
    assert role(directory, "direct") is Role.VIEWER


def test_too_many_members_to_look_at_are_said_too(
    server: Slapd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "MOST_MEMBERS", 10)
    with pytest.raises(DirectoryUnavailableError, match="more than 10 members to look at"):
        a_directory(server, tmp_path).authenticate("nowhere", PASSWORD)


def test_more_groups_than_are_followed_are_asked_for_the_other_way(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "MOST_GROUPS", 10)
    tree = {uid("vera"): person("vera", PASSWORD), **in_many(uid("vera")), cn("viewers"): group(MANY[7])}
    with Slapd(authority, tree=tree) as unlimited:
        assert role(a_directory(unlimited, tmp_path), "vera") is Role.VIEWER


# -- pages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "listed"),
    [
        ([f"sizelimit {LIMIT}", "limits users size.prtotal=unlimited"], True),
        ([f"sizelimit {LIMIT}", "limits users size.prtotal=disabled"], False),
        ([f"limits users size={LIMIT} size.pr=3 size.prtotal=unlimited"], False),
        (["limits users size.pr=3"], True),
        (["limits users size.prtotal=disabled"], True),
    ],
)
def test_a_server_that_pages_is_asked_for_every_page_and_whatever_it_allows_is_enough(
    authority: Authority, tmp_path: Path, limits: Sequence[str], listed: bool
) -> None:
    tree = {uid("vera"): person("vera", PASSWORD), **in_many(uid("vera")), cn("viewers"): group(MANY[7])}
    with Slapd(authority, tree=tree, limits=limits) as paging:
        found = a_directory(paging, tmp_path).authenticate("vera", PASSWORD)
        assert found.role is Role.VIEWER
        assert set(found.groups) == ({*MANY, cn("viewers")} if listed else {cn("viewers")})


def test_pages_are_put_together(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelward_collector.auth.directory.A_PAGE", 2)
    tree = {uid("vera"): person("vera", PASSWORD), **in_many(uid("vera")), cn("viewers"): group(uid("vera"))}
    with Slapd(authority, tree=tree, limits=[f"sizelimit {LIMIT}", "limits users size.prtotal=unlimited"]) as paging:
        found = a_directory(paging, tmp_path).authenticate("vera", PASSWORD)
        assert set(found.groups) == {*MANY, cn("viewers")}


def test_an_ordinary_login_asks_no_more_than_it_must(authority: Authority, tmp_path: Path) -> None:
    tree = {uid("vera"): person("vera", PASSWORD), cn("viewers"): group(uid("vera"))}
    with Slapd(authority, tree=tree, limits=[f"sizelimit {LIMIT}"]) as limited:
        before = len(limited.log)
        assert role(a_directory(limited, tmp_path), "vera") is Role.VIEWER
        # The person, the person's groups, and the groups of those.
        assert limited.log[before:].count(" SRCH base=") == 3


def test_a_name_that_many_have_is_ambiguous_however_few_the_server_gives(authority: Authority, tmp_path: Path) -> None:
    tree = {f"cn={number},{PEOPLE}": {**person("vera", PASSWORD), "cn": str(number)} for number in range(3)}
    with Slapd(authority, tree=tree, limits=["sizelimit 1"]) as limited:
        with pytest.raises(RefusedError) as refused:
            a_directory(limited, tmp_path).authenticate("vera", PASSWORD)
        assert refused.value.reason is Refusal.AMBIGUOUS_USER


# -- any groups in groups ------------------------------------------------------------------------------------------


def test_asked_from_either_side_a_tangle_of_groups_gives_the_same_roles(authority: Authority, tmp_path: Path) -> None:
    chance = random.Random(4)
    people = [uid(f"p{number}") for number in range(12)]
    tangle = [cn(name) for name in ("viewers", "editors", "admins", *(f"t{number}" for number in range(40)))]
    members = {dn: [*chance.sample(tangle, 1), *chance.sample(people, chance.randint(0, 1))] for dn in tangle}
    tree: dict[str, Any] = {dn: person(f"p{number}", PASSWORD) for number, dn in enumerate(people)}
    tree |= {dn: group(*names) for dn, names in members.items()}
    # Half of them are in too many groups to list.
    tree |= in_many(*people[:6])

    def has(group_dn: str, who: str, seen: frozenset[str] = frozenset()) -> bool:
        inner = (name for name in members[group_dn] if name in members and name not in seen)
        return who in members[group_dn] or any(has(name, who, seen | {group_dn}) for name in inner)

    expected = {}
    for who in people:
        roles = [one for one, name in zip(Role, ("viewers", "editors", "admins"), strict=True) if has(cn(name), who)]
        expected[who] = roles[-1] if roles else None
    assert set(expected.values()) == {*Role, None}
    with Slapd(authority, tree=tree, limits=[f"sizelimit {LIMIT}"]) as limited:
        directory = a_directory(limited, tmp_path)
        assert {dn: role(directory, f"p{number}") for number, dn in enumerate(people)} == expected


# -- what only Active Directory does -------------------------------------------------------------------------------


def test_members_that_come_in_ranges_are_all_read() -> None:
    teams = [f"CN=team {number},OU=Groups,DC=corp" for number in range(7)]
    me = "CN=me,OU=People,DC=corp"
    asked: list[str] = []

    def search(base: str, scope: int, text: str, attributes: Sequence[str]) -> list[Any]:
        """Answers as Active Directory does whose MaxValRange is 3; of groups only the last has the person."""
        if scope == ldap.SCOPE_SUBTREE:
            if text == "(|(member=CN=me,OU=People,DC=corp))":
                raise ldap.SIZELIMIT_EXCEEDED({"desc": "Size limit exceeded"})
            return [(teams[6], {})] if me in text else [(team, {}) for team in teams]
        if attributes == ["1.1"] or base != "CN=all,OU=Groups,DC=corp":
            return []
        (name,) = attributes
        asked.append(name)
        start = int(name.partition("range=")[2].partition("-")[0] or 0)
        end = "*" if start + 3 >= len(teams) else str(start + 2)
        return [(base, {"member": [], f"member;range={start}-{end}": [team.encode() for team in teams[start:][:3]]})]

    settings = LdapSettings.model_validate(
        {
            "urls": ["ldaps://dc"],
            "user_dn_template": "{username}@corp",
            "user_base_dn": "OU=People,DC=corp",
            "group_base_dn": "OU=Groups,DC=corp",
            "group_filter": "(member={user_dn})",
            "groups": {"viewer": ["CN=all,OU=Groups,DC=corp"]},
        }
    )
    assert Membership(settings, search, "me", me).groups() == ["CN=all,OU=Groups,DC=corp"]
    assert asked == ["member", "member;range=3-*", "member;range=6-*"]
