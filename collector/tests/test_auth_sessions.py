"""Sessions are signed, short, and over when they are ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelward_collector.auth.audit import Action, AuditTrail, Record
from modelward_collector.auth.person import Person
from modelward_collector.auth.revocations import Revocations
from modelward_collector.auth.role import Role, highest
from modelward_collector.auth.session import LONGEST_TOKEN, PURPOSE, Session, Sessions, set_cookie
from modelward_collector.auth.signing import Signer
from modelward_collector.store.protocol import Store
from modelward_collector.store.sqlite import SqliteStore

KEY, OTHER = "k" * 64, "o" * 64
IDLE, ABSOLUTE = timedelta(minutes=15), timedelta(hours=12)
MINUTE, HOUR = 60.0, 3600.0
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
ADA = Person("ada", "ADA", "uid=ada,dc=example", "Ada Lovelace", "ada@example.org")


def sessions(*keys: str) -> Sessions:
    return Sessions(Signer(keys or (KEY,)), IDLE, ABSOLUTE)


def begun(now: float = NOW) -> Session:
    return Session.begun(ADA, Role.EDITOR, now)


# -- cookies -------------------------------------------------------------------------------------------------------


def test_a_session_is_read_as_it_was_written() -> None:
    session = begun()
    assert sessions().read(sessions().token(session), NOW + 1) == session


def test_what_another_key_signed_is_nothing() -> None:
    assert sessions().read(sessions(OTHER).token(begun()), NOW) is None


def test_after_a_rotation_the_previous_key_still_counts_and_then_no_more() -> None:
    old = sessions(OTHER).token(begun())
    assert sessions(KEY, OTHER).read(old, NOW) is not None
    assert sessions(KEY).read(old, NOW) is None
    # What is written now is signed with the new one.
    assert sessions(KEY).read(sessions(KEY, OTHER).token(begun()), NOW) is not None


def test_what_was_signed_for_something_else_is_no_session() -> None:
    signer = Signer([KEY])
    content = signer.opened(PURPOSE, sessions().token(begun()))
    assert content is not None
    assert sessions().read(signer.sign("login form 1", content), NOW) is None


@given(st.data())
def test_a_token_with_any_one_character_changed_is_nothing(data: st.DataObject) -> None:
    token = sessions().token(begun())
    at = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from('ABCabc019-_=. \n"').filter(lambda one: one != token[at]))
    assert sessions().read(token[:at] + letter + token[at + 1 :], NOW) is None


@given(st.text(max_size=200))
def test_whatever_else_comes_as_a_token_is_nothing(token: str) -> None:
    assert sessions().read(token, NOW) is None


@pytest.mark.parametrize("extra", ["=", ".", "A", "\n", " "])
def test_a_token_has_one_spelling(extra: str) -> None:
    assert sessions().read(sessions().token(begun()) + extra, NOW) is None


def test_a_session_that_is_not_used_ends() -> None:
    token = sessions().token(begun())
    assert sessions().read(token, NOW + 15 * MINUTE) is not None
    assert sessions().read(token, NOW + 15 * MINUTE + 1) is None


def test_a_session_that_is_used_ends_in_the_evening() -> None:
    kept, session, now = sessions(), begun(), NOW
    while now < NOW + 12 * HOUR:
        now += 10 * MINUTE
        read = kept.read(kept.token(session), now)
        assert (read is not None) == (now <= NOW + 12 * HOUR)
        session = kept.renewed(session, now) or session
    assert kept.read(kept.token(session), now + 1) is None


def test_a_cookie_is_renewed_once_a_minute_and_not_at_each_use() -> None:
    session = begun()
    assert sessions().renewed(session, NOW + 59) is None
    renewed = sessions().renewed(session, NOW + 60)
    assert renewed == replace(session, seen=NOW + 60)


def test_long_names_still_fit_a_cookie() -> None:
    session = Session.begun(replace(ADA, username="ä" * 256, login="ö" * 256, full_name="x" * 999), Role.ADMIN, NOW)
    token = sessions().token(session)
    assert len(token) <= LONGEST_TOKEN
    assert sessions().read(token, NOW) == session


def test_a_cookie_is_for_this_host_alone_over_tls_and_out_of_scripts_reach() -> None:
    assert set_cookie("__Host-modelward", "t") == "__Host-modelward=t; Path=/; Secure; HttpOnly; SameSite=Lax"


def test_sessions_differ() -> None:
    assert len({begun().id for _ in range(100)}) == 100


# -- roles ---------------------------------------------------------------------------------------------------------


def test_each_role_may_what_those_before_it_may() -> None:
    assert [[role.may(needed) for needed in Role] for role in Role] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
    assert highest([Role.VIEWER, Role.ADMIN, Role.EDITOR]) is Role.ADMIN
    assert highest([]) is None


# -- ended sessions ------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = SqliteStore(tmp_path / "modelward.db")
    opened.setup()
    yield opened
    opened.close()


def ended(session: Session, at: float = NOW, *, whole_user: bool = False) -> tuple[Record, datetime]:
    action, its_id = (Action.REVOKED, "") if whole_user else (Action.LOGOUT, session.id)
    return Record(action, True, session.username, "", session=its_id, revokes=True), datetime.fromtimestamp(at, UTC)


def written(store: Store, *records: tuple[Record, datetime]) -> None:
    trail = AuditTrail(store)
    for record, at in records:
        trail.record(record, at)
    trail.start()
    trail.stop()
    assert trail.waiting == 0


def test_an_ended_session_stays_ended_after_a_restart_and_at_every_collector(store: Store) -> None:
    gone, stays = begun(NOW - HOUR), begun(NOW - HOUR)
    written(store, ended(gone))
    other = Revocations(store, ABSOLUTE, lambda: NOW)
    other.read()
    assert other.ended(gone)
    assert not other.ended(stays)


def test_all_sessions_of_a_user_end_but_not_those_that_begin_later(store: Store) -> None:
    before, after = begun(NOW - 1), begun(NOW + 1)
    written(store, ended(before, whole_user=True))
    revocations = Revocations(store, ABSOLUTE, lambda: NOW + 2)
    revocations.read()
    assert revocations.ended(before)
    assert revocations.ended(replace(before, username="ADA"))
    assert not revocations.ended(replace(before, username="bob"))
    assert not revocations.ended(after)


def test_until_the_store_was_read_older_sessions_are_neither_alive_nor_over(store: Store) -> None:
    revocations = Revocations(store, ABSOLUTE, lambda: NOW)
    assert revocations.undecided(begun(NOW - 1))
    assert not revocations.undecided(begun(NOW))
    revocations.read()
    assert not revocations.undecided(begun(NOW - 1))


def test_what_was_written_late_is_found_by_the_next_whole_reading(store: Store) -> None:
    clock = [NOW]
    revocations = Revocations(store, ABSOLUTE, lambda: clock[0])
    revocations.read()
    session = begun(NOW - 2 * HOUR)
    written(store, ended(session, NOW - HOUR))
    clock[0] += 60
    revocations.read()
    assert not revocations.ended(session)
    clock[0] += 300
    revocations.read()
    assert revocations.ended(session)


def test_more_than_a_page_of_them_are_all_read(store: Store) -> None:
    gone = [begun(NOW - HOUR) for _ in range(1_050)]
    written(store, *(ended(session, NOW - number) for number, session in enumerate(gone)))
    revocations = Revocations(store, ABSOLUTE, lambda: NOW)
    revocations.read()
    assert all(revocations.ended(session) for session in gone)


def test_what_no_session_can_outlive_is_forgotten(store: Store) -> None:
    clock = [NOW]
    revocations = Revocations(store, ABSOLUTE, lambda: clock[0])
    session = begun()
    revocations.end_session(session.id)
    revocations.end_user("bob", NOW)
    clock[0] += 12 * HOUR + 1
    revocations.read()
    assert not revocations.ended(session)
    assert not revocations.ended(replace(session, username="bob"))
