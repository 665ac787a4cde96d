"""Who someone is, asked of a real OpenLDAP server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.tests.directories import a_directory, silent, stops_talking
from modelward_collector.auth.directory import Directory
from modelward_collector.auth.membership import DEEPEST
from modelward_collector.auth.names import filled_dn, filled_filter, known_as, same_name, usable_password
from modelward_collector.auth.person import DirectoryUnavailableError, Refusal, RefusedError
from modelward_collector.auth.role import Role
from tests.servers.certificates import Authority
from tests.servers.ports import free_port
from tests.servers.slapd import PEOPLE, SUFFIX, Slapd, cn, group, person, uid

pytestmark = pytest.mark.server("slapd")

PASSWORD = "pässword with $pace"
HALF_A_SECOND = timedelta(seconds=0.5)

TREE: dict[str, Any] = {
    uid("vera"): person("vera", PASSWORD, full_name="Vera Viewer"),
    uid("eddie"): person("eddie", PASSWORD),
    uid("ada"): person("ada", PASSWORD),
    uid("otto"): person("otto", PASSWORD),
    uid("paula"): person("paula", PASSWORD),
    uid("loopy"): person("loopy", PASSWORD),
    uid("deep"): person("deep", PASSWORD),
    uid("posix"): person("posix", PASSWORD),
    uid(r"o\2cbrien\20\28x\29\2a"): person("o,brien (x)*", PASSWORD),
    f"uid=vera,ou=contractors,{SUFFIX}": person("vera", "other"),
    cn("viewers"): group(uid("vera"), uid("ada"), uid(r"o\2cbrien\20\28x\29\2a")),
    cn("team"): group(uid("eddie")),
    cn("department"): group(cn("team")),
    cn("editors"): group(cn("department")),
    cn("admins"): group(uid("ada")),
    cn("loop-a"): group(uid("loopy"), cn("loop-b")),
    cn("loop-b"): group(cn("loop-a")),
    cn("posixes"): {"objectClass": "posixGroup", "gidNumber": "100", "memberUid": "posix"},
    cn("unique"): {"objectClass": "groupOfUniqueNames", "uniqueMember": uid("paula")},
    # One level more than is followed.
    **{cn(f"level-{depth}"): group(cn(f"level-{depth - 1}") if depth else uid("deep")) for depth in range(DEEPEST + 1)},
}


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[Slapd]:
    roots = {f"ou=contractors,{SUFFIX}": {"objectClass": "organizationalUnit", "ou": "contractors"}}
    with Slapd(authority, tree={**roots, **TREE}) as running:
        yield running


@pytest.fixture
def directory(server: Slapd, tmp_path: Path) -> Directory:
    return a_directory(server, tmp_path)


def refusal(directory: Directory, user: str, password: str = PASSWORD) -> Refusal:
    with pytest.raises(RefusedError) as refused:
        directory.authenticate(user, password)
    return refused.value.reason


# -- passwords -----------------------------------------------------------------------------------------------------


def test_someone_with_the_right_password_is_who_the_directory_says(directory: Directory) -> None:
    found = directory.authenticate("vera", PASSWORD)
    assert (found.username, found.full_name, found.email) == ("vera", "Vera Viewer", "vera@example.org")
    assert found.role is Role.VIEWER


def test_the_same_over_start_tls(server: Slapd, tmp_path: Path) -> None:
    found = a_directory(server, tmp_path, urls=[server.ldap_url], start_tls=True).authenticate("vera", PASSWORD)
    assert found.role is Role.VIEWER


def test_the_name_is_the_directorys_however_it_was_typed(directory: Directory) -> None:
    assert directory.authenticate("  VERA ", PASSWORD).username == "vera"


@pytest.mark.parametrize("password", ["wrong", PASSWORD + " ", PASSWORD.upper()])
def test_a_wrong_password_is_refused(directory: Directory, password: str) -> None:
    assert refusal(directory, "vera", password) is Refusal.WRONG_PASSWORD


@pytest.mark.parametrize("password", ["", "\0", f"\0{PASSWORD}", f"{PASSWORD}\0"])
def test_an_empty_password_never_reaches_the_directory_which_would_take_it(
    server: Slapd, directory: Directory, password: str
) -> None:
    before = len(server.log)
    assert refusal(directory, "vera", password) is Refusal.MALFORMED
    assert "BIND" not in server.log[before:]


@pytest.mark.parametrize(
    "user", ["nobody", "ver", "vera*", "*", "(uid=*)", "vera)(uid=*", "*)(|(uid=*", "uid=vera", "vera\\00"]
)
def test_a_name_that_is_no_ones_is_refused(directory: Directory, user: str) -> None:
    assert refusal(directory, user) is Refusal.UNKNOWN_USER


@pytest.mark.parametrize("user", ["", "  ", "ve\nra", "vera\0", "v\u202eera", "v" * 257])
def test_what_cannot_be_a_name_is_not_asked(server: Slapd, directory: Directory, user: str) -> None:
    before = len(server.log)
    assert refusal(directory, user) is Refusal.MALFORMED
    assert "SRCH" not in server.log[before:]


def test_a_name_full_of_what_filters_and_names_are_made_of_is_a_name(directory: Directory) -> None:
    assert directory.authenticate("o,brien (x)*", PASSWORD).role is Role.VIEWER


def test_a_name_that_two_have_is_refused_whichever_password(server: Slapd, tmp_path: Path) -> None:
    everywhere = a_directory(server, tmp_path, user_base_dn=SUFFIX)
    assert refusal(everywhere, "vera", PASSWORD) is Refusal.AMBIGUOUS_USER
    assert refusal(everywhere, "vera", "other") is Refusal.AMBIGUOUS_USER


def test_of_a_user_who_is_not_there_as_many_questions_are_asked(server: Slapd, directory: Directory) -> None:
    def binds(user: str) -> int:
        before = len(server.log)
        refusal(directory, user, "wrong")
        return server.log[before:].count(" BIND dn=")

    assert binds("vera") == binds("nobody")


# -- groups --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "role"), [("vera", Role.VIEWER), ("eddie", Role.EDITOR), ("ada", Role.ADMIN), ("otto", None)]
)
def test_groups_in_groups_give_a_role_and_the_highest_wins(directory: Directory, user: str, role: Role | None) -> None:
    assert directory.authenticate(user, PASSWORD).role is role


def test_without_nested_groups_only_the_persons_own_count(server: Slapd, tmp_path: Path) -> None:
    flat = a_directory(server, tmp_path, nested_groups=False)
    assert flat.authenticate("ada", PASSWORD).role is Role.ADMIN
    assert flat.authenticate("eddie", PASSWORD).role is None


def test_groups_that_are_members_of_each_other_end(server: Slapd, tmp_path: Path) -> None:
    looped = a_directory(server, tmp_path, groups={"viewer": [cn("loop-b")]})
    assert looped.authenticate("loopy", PASSWORD).role is Role.VIEWER


def test_groups_are_followed_to_a_depth_and_no_further(
    server: Slapd, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    near = a_directory(server, tmp_path, groups={"viewer": [cn(f"level-{DEEPEST - 1}")]})
    far = a_directory(server, tmp_path, groups={"viewer": [cn(f"level-{DEEPEST}")]})
    assert near.authenticate("deep", PASSWORD).role is Role.VIEWER
    assert far.authenticate("deep", PASSWORD).role is None
    assert "nested more than" in caplog.text


@pytest.mark.parametrize(("user", "name"), [("posix", "posixes"), ("paula", "unique")])
def test_groups_of_other_kinds_count_too(server: Slapd, tmp_path: Path, user: str, name: str) -> None:
    assert a_directory(server, tmp_path, groups={"editor": [cn(name)]}).authenticate(user, PASSWORD).role is Role.EDITOR


def test_a_groups_name_may_be_written_in_any_way_that_means_it(server: Slapd, tmp_path: Path) -> None:
    written = "CN=Viewers , OU=groups,DC=Example,dc=org"
    assert (
        a_directory(server, tmp_path, groups={"viewer": [written]}).authenticate("vera", PASSWORD).role is Role.VIEWER
    )


def test_member_of_counts_where_the_server_keeps_it(authority: Authority, tmp_path: Path) -> None:
    tree = {uid("vera"): person("vera", PASSWORD), cn("viewers"): group(uid("vera"))}
    with Slapd(authority, tree=tree, member_of=True) as server:
        # A filter that finds no group, as where groups may not be searched.
        by_attribute = a_directory(server, tmp_path, group_filter="(description={user_dn})")
        assert by_attribute.authenticate("vera", PASSWORD).role is Role.VIEWER
        server.replace(cn("viewers"), "member", uid("nobody"))
        assert by_attribute.authenticate("vera", PASSWORD).role is None


def test_member_of_that_a_person_wrote_into_the_own_entry_gives_nothing(authority: Authority, tmp_path: Path) -> None:
    mallory = {**person("mallory", PASSWORD, classes=["extensibleObject"]), "memberOf": cn("admins")}
    tree = {uid("mallory"): mallory, cn("admins"): group(uid("ada"))}
    with Slapd(authority, tree=tree, schemas=["msuser"]) as server:
        assert a_directory(server, tmp_path).authenticate("mallory", PASSWORD).role is None


# -- other ways to bind --------------------------------------------------------------------------------------------


def directly(server: Slapd, folder: Path, **settings: Any) -> Directory:
    template = f"uid={{username}},{PEOPLE}"
    return a_directory(
        server, folder, **{"bind_dn": None, "bind_password_file": None, "user_dn_template": template, **settings}
    )


def test_people_may_bind_directly_without_a_service_account(server: Slapd, tmp_path: Path) -> None:
    found = directly(server, tmp_path)
    assert found.authenticate("eddie", PASSWORD).role is Role.EDITOR
    assert refusal(found, "eddie", "wrong") is Refusal.WRONG_PASSWORD
    assert refusal(found, "nobody") is Refusal.WRONG_PASSWORD
    assert not found.can_look_up


def test_a_name_bound_directly_stays_one_part_of_the_distinguished_name(server: Slapd, tmp_path: Path) -> None:
    found = directly(server, tmp_path)
    assert found.authenticate("o,brien (x)*", PASSWORD).role is Role.VIEWER
    assert refusal(found, f"vera,{PEOPLE}") is Refusal.WRONG_PASSWORD
    assert refusal(found, "eddie+cn=Eddie") is Refusal.WRONG_PASSWORD


def test_looking_up_tells_who_is_still_there(server: Slapd, directory: Directory) -> None:
    server.add(uid("temp"), person("temp", PASSWORD))
    server.replace(cn("viewers"), "member", uid("vera"), uid("ada"), uid("temp"), uid(r"o\2cbrien\20\28x\29\2a"))
    try:
        looked_up = directory.look_up("temp")
        assert looked_up is not None
        assert looked_up.role is Role.VIEWER
        server.replace(cn("viewers"), "member", uid("vera"), uid("ada"), uid(r"o\2cbrien\20\28x\29\2a"))
        looked_up = directory.look_up("temp")
        assert looked_up is not None
        assert looked_up.role is None
    finally:
        server.remove(uid("temp"))
    assert directory.look_up("temp") is None


# -- Active Directory's attributes ---------------------------------------------------------------------------------


def an_account(name: str, **attributes: str) -> dict[str, Any]:
    return {**person(name, PASSWORD, classes=["extensibleObject"]), "sAMAccountName": name, **attributes}


@pytest.fixture(scope="module")
def accounts(authority: Authority) -> Iterator[Slapd]:
    tree = {
        uid("alice"): an_account("alice", userAccountControl="512", accountExpires="0"),
        uid("gone"): an_account("gone", userAccountControl="514"),
        uid("past"): an_account("past", userAccountControl="512", accountExpires="131592384000000000"),
        uid("lasting"): an_account("lasting", userAccountControl="66048", accountExpires="9223372036854775807"),
        cn("viewers"): group(uid("alice"), uid("gone"), uid("past"), uid("lasting")),
    }
    with Slapd(authority, tree=tree, schemas=["msuser"]) as running:
        yield running


def by_account(server: Slapd, folder: Path, **settings: Any) -> Directory:
    # OpenLDAP has the attribute, but cannot search for it.
    return a_directory(server, folder, **{"user_attribute": "sAMAccountName", **settings})


@pytest.mark.parametrize("user", ["gone", "past"])
def test_an_account_that_is_disabled_or_has_expired_is_refused_and_lost(
    accounts: Slapd, tmp_path: Path, user: str
) -> None:
    directory = by_account(accounts, tmp_path)
    assert refusal(directory, user) is Refusal.DISABLED
    assert directory.look_up(user) is None


@pytest.mark.parametrize("user", ["alice", "lasting"])
def test_an_account_that_never_expires_is_let_in(accounts: Slapd, tmp_path: Path, user: str) -> None:
    assert by_account(accounts, tmp_path).authenticate(user, PASSWORD).role is Role.VIEWER


def test_that_an_account_is_disabled_is_not_told_to_who_has_the_wrong_password(accounts: Slapd, tmp_path: Path) -> None:
    assert refusal(by_account(accounts, tmp_path), "gone", "wrong") is Refusal.WRONG_PASSWORD


def test_active_directory_is_asked_by_its_own_rule_for_the_groups_that_count(accounts: Slapd, tmp_path: Path) -> None:
    flat = by_account(accounts, tmp_path, active_directory=True, nested_groups=False)
    assert flat.authenticate("alice", PASSWORD).role is Role.VIEWER
    before = len(accounts.log)
    # OpenLDAP does not know the rule, and so finds no one; that it is asked is all that can be seen here.
    assert by_account(accounts, tmp_path, active_directory=True).authenticate("alice", PASSWORD).role is None
    assert f'SRCH base="{cn("viewers")}" scope=0' in accounts.log[before:]


# -- trouble -------------------------------------------------------------------------------------------------------


def trouble(directory: Directory, user: str = "vera") -> str:
    with pytest.raises(DirectoryUnavailableError) as unavailable:
        directory.authenticate(user, PASSWORD)
    return str(unavailable.value)


def test_a_directory_that_does_not_run_is_named_with_what_to_check(server: Slapd, tmp_path: Path) -> None:
    url = f"ldaps://127.0.0.1:{free_port()}"
    said = trouble(a_directory(server, tmp_path, urls=[url]))
    assert said == f"{url}: no connection (Connection refused); check host and port, and whether the directory runs"


def test_a_name_that_is_not_known_is_said_so(server: Slapd, tmp_path: Path) -> None:
    said = trouble(a_directory(server, tmp_path, urls=["ldaps://directory.invalid"]))
    assert "ldaps://directory.invalid: the name is not known" in said


@pytest.mark.parametrize("start_tls", [False, True])
def test_an_authority_that_did_not_sign_the_certificate_is_not_enough(
    server: Slapd, tmp_path: Path, start_tls: bool
) -> None:
    other = Authority(tmp_path / "other")
    url = server.ldap_url if start_tls else server.ldaps_url
    said = trouble(a_directory(server, tmp_path, urls=[url], start_tls=start_tls, ca_file=str(other.path)))
    assert "its certificate is not trusted" in said
    assert "set ca_file to the authority that signed it" in said


def test_without_a_ca_file_the_systems_authorities_decide(server: Slapd, tmp_path: Path) -> None:
    assert "its certificate is not trusted" in trouble(a_directory(server, tmp_path, ca_file=None))


def test_an_expired_certificate_is_refused_and_said_to_be(authority: Authority, tmp_path: Path) -> None:
    expired = Authority(tmp_path / "authority")
    server = Slapd(expired, certificate=expired.issue("expired", days=-1))
    server.start()
    try:
        assert "its certificate is not trusted (certificate has expired)" in trouble(a_directory(server, tmp_path))
    finally:
        server.close()


def test_a_certificate_for_another_name_is_refused_and_said_to_be(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    server = Slapd(authority, certificate=authority.issue("other", dns=["ldap.example.org"], addresses=[]))
    server.start()
    try:
        assert "its certificate is not for 127.0.0.1" in trouble(a_directory(server, tmp_path))
    finally:
        server.close()


def test_ldaps_on_the_port_of_start_tls_is_said_to_be_no_tls(server: Slapd, tmp_path: Path) -> None:
    url = server.ldap_url.replace("ldap:", "ldaps:")
    assert "check the port, and ldaps:// against start_tls" in trouble(a_directory(server, tmp_path, urls=[url]))


def test_start_tls_that_is_refused_is_not_done_without(server: Slapd, tmp_path: Path) -> None:
    # The port that is TLS already takes the question for garbage.
    url = server.ldaps_url.replace("ldaps:", "ldap:")
    assert "StartTLS" in trouble(a_directory(server, tmp_path, urls=[url], start_tls=True))


@pytest.mark.parametrize("start_tls", [False, True])
def test_a_server_that_says_nothing_is_given_up_in_time(server: Slapd, tmp_path: Path, start_tls: bool) -> None:
    with silent() as port:
        url = f"{'ldap' if start_tls else 'ldaps'}://127.0.0.1:{port}"
        begun = time.monotonic()
        said = trouble(a_directory(server, tmp_path, urls=[url], start_tls=start_tls, timeout=HALF_A_SECOND))
        assert "says nothing for 0.5 s" in said
        assert time.monotonic() - begun < 2


@pytest.mark.parametrize("after", [40, 1_000, 1_700])
def test_a_server_that_falls_silent_in_the_middle_is_given_up_in_time(
    server: Slapd, tmp_path: Path, after: int
) -> None:
    with stops_talking(server, after) as port:
        begun = time.monotonic()
        trouble(a_directory(server, tmp_path, urls=[f"ldaps://127.0.0.1:{port}"], timeout=HALF_A_SECOND))
        assert time.monotonic() - begun < 4


def test_the_next_server_is_asked_and_the_silent_one_then_left_alone(server: Slapd, tmp_path: Path) -> None:
    with silent() as port:
        urls = [f"ldaps://127.0.0.1:{port}", server.ldaps_url]
        directory = a_directory(server, tmp_path, urls=urls, timeout=HALF_A_SECOND)
        assert directory.authenticate("vera", PASSWORD).role is Role.VIEWER
        begun = time.monotonic()
        assert directory.authenticate("vera", PASSWORD).role is Role.VIEWER
        assert time.monotonic() - begun < 0.5


def test_a_refused_password_is_not_tried_at_the_next_server(server: Slapd, tmp_path: Path) -> None:
    directory = a_directory(server, tmp_path, urls=[server.ldaps_url, server.ldaps_url])
    before = len(server.log)
    refusal(directory, "vera", "wrong")
    assert server.log[before:].count(f'BIND dn="{uid("vera")}" method') == 1


def test_a_service_account_that_is_refused_is_named_with_its_file(server: Slapd, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not it")
    wrong.chmod(0o600)
    said = trouble(a_directory(server, tmp_path, bind_password_file=str(wrong)))
    assert "refuses the service account cn=modelward,dc=example,dc=org" in said
    assert str(wrong) in said
    assert "not it" not in said


def test_a_service_password_that_is_emptied_is_not_sent(server: Slapd, tmp_path: Path) -> None:
    emptied = tmp_path / "emptied"
    emptied.write_text("a password\n")
    emptied.chmod(0o600)
    directory = a_directory(server, tmp_path, bind_password_file=str(emptied))
    emptied.write_text("\n")
    assert f"{emptied} is empty" in trouble(directory)


def test_a_base_that_is_not_there_is_named(server: Slapd, tmp_path: Path) -> None:
    base = f"ou=nowhere,{SUFFIX}"
    assert f"there is no {base}" in trouble(a_directory(server, tmp_path, user_base_dn=base))


def test_a_filter_that_is_none_is_named(server: Slapd, tmp_path: Path) -> None:
    assert "(uid=vera is no filter" in trouble(a_directory(server, tmp_path, user_filter="(uid={username}"))


def test_an_attribute_that_nobody_has_is_named(server: Slapd, tmp_path: Path) -> None:
    said = trouble(a_directory(server, tmp_path, user_attribute="employeeNumber"))
    assert "has no usable employeeNumber; correct auth.ldap.user_attribute" in said


def test_nothing_of_a_login_stays_open(server: Slapd, directory: Directory) -> None:
    directory.authenticate("eddie", PASSWORD)
    deadline = time.monotonic() + 5
    while len(list(Path("/proc/self/fd").iterdir())) > _descriptors_after(directory):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _descriptors_after(directory: Directory) -> int:
    directory.authenticate("eddie", PASSWORD)
    return len(list(Path("/proc/self/fd").iterdir()))


# -- names and filters ---------------------------------------------------------------------------------------------


@given(st.text(max_size=60))
def test_whatever_is_typed_stays_one_value_of_the_filter(typed: str) -> None:
    filled = filled_filter("(uid={username})", username=typed)
    inner = filled.removeprefix("(uid=").removesuffix(")")
    assert not set(inner) & set("()*\0")
    unescaped = inner
    for code, letter in (("28", "("), ("29", ")"), ("2a", "*"), ("00", "\0"), ("5c", "\\")):
        unescaped = unescaped.replace(f"\\{code}", letter)
    assert unescaped == typed


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40))
def test_whatever_is_typed_stays_one_part_of_a_distinguished_name(typed: str) -> None:
    import ldap.dn

    parts = ldap.dn.str2dn(filled_dn("uid={username},ou=people,dc=example", typed))
    assert [[(kind, value) for kind, value, _ in part] for part in parts] == [
        [("uid", typed)],
        [("ou", "people")],
        [("dc", "example")],
    ]


def test_names_that_mean_the_same_are_the_same() -> None:
    assert same_name("CN=Ops Team, DC=Example") == same_name("cn=ops  team,dc=example")
    assert same_name(r"cn=a\2cb,dc=x") == same_name(r"cn=a\,b,dc=x")
    assert same_name("cn=a+ou=b,dc=x") == same_name("ou=b+cn=a,dc=x")
    assert same_name("cn=a,dc=x") != same_name("cn=a,dc=y")
    assert same_name(r"cn=a\,dc=x") != same_name("cn=a,dc=x")


def test_a_user_is_one_however_the_name_is_spelled() -> None:
    assert known_as(" Straße ") == known_as("STRASSE")
    assert known_as("\uff56era") == known_as("vera")


def test_what_a_directory_would_take_for_no_password_is_none() -> None:
    assert not usable_password("")
    assert not usable_password("\0")
    assert not usable_password("x" * 1025)
    assert usable_password(" ")
