"""Failed logins make the next one wait, by name and by address."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from modelward_collector.auth.lockout import FORGOTTEN_AFTER_SECONDS, LockedError, Lockout, source_of

LONGEST = timedelta(minutes=15)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lockout(clock: Clock, user: int = 3, address: int = 10, **more: int) -> Lockout:
    return Lockout(user, address, LONGEST, clock, **more)


def wait(locked: Lockout, user: str, address: str) -> float:
    """How long an attempt has to wait; 0.0 when it was let through, and failed."""
    try:
        locked.attempt(user, address)
    except LockedError as error:
        return error.seconds
    return 0.0


def test_the_wait_begins_after_some_failures_and_doubles_with_each(clock: Clock) -> None:
    locked = lockout(clock)
    assert [wait(locked, "ada", f"10.0.0.{number}") for number in range(3)] == [0.0, 0.0, 0.0]
    waits = []
    for number in range(10):
        seconds = wait(locked, "ada", f"10.0.1.{number}")
        waits.append(seconds)
        clock.now += seconds
        assert wait(locked, "ada", f"10.0.1.{number}") == 0.0
    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]


def test_one_address_that_tries_many_names_has_to_wait(clock: Clock) -> None:
    locked = lockout(clock)
    assert [wait(locked, f"user{number}", "10.0.0.1") for number in range(10)] == [0.0] * 10
    assert wait(locked, "someone", "10.0.0.1") == 5
    assert wait(locked, "someone", "10.0.0.2") == 0


def test_the_wait_does_not_grow_while_one_waits(clock: Clock) -> None:
    locked = lockout(clock)
    for _ in range(3):
        wait(locked, "ada", "a")
    assert [wait(locked, "ada", "a") for _ in range(50)] == [5] * 50


def test_a_host_that_changes_its_address_within_its_network_is_one() -> None:
    assert source_of("2001:db8::1") == source_of("2001:db8::ffff:2") != source_of("2001:db8:0:1::1")
    assert source_of("::ffff:10.0.0.1") == source_of("10.0.0.1") != source_of("10.0.0.2")
    assert source_of("") == ""


def test_that_a_lockout_begins_is_said_once(clock: Clock) -> None:
    locked = lockout(clock)
    assert [locked.attempt("ada", f"{number}") for number in range(3)] == [False, False, True]
    clock.now += 5
    assert not locked.attempt("ada", "x")


def test_the_right_password_ends_the_users_count_but_not_the_addresss_other_failures(clock: Clock) -> None:
    locked = lockout(clock, user=3, address=4)
    for user in ("eve", "eve", "mal"):
        wait(locked, user, "10.0.0.1")
    locked.attempt("ada", "10.0.0.1")
    locked.succeeded("ada", "10.0.0.1")
    assert wait(locked, "bob", "10.0.0.1") == 0
    assert wait(locked, "bob", "10.0.0.1") == 5


def test_logins_that_succeed_never_lock_anyone_out(clock: Clock) -> None:
    locked = lockout(clock, user=1, address=1)
    for _ in range(100):
        locked.attempt("ada", "10.0.0.1")
        locked.succeeded("ada", "10.0.0.1")
    assert len(locked) == 0


def test_a_directory_that_does_not_answer_counts_against_nobody(clock: Clock) -> None:
    locked = lockout(clock, user=1, address=1)
    for _ in range(10):
        locked.attempt("ada", "10.0.0.1")
        locked.undecided("ada", "10.0.0.1")
    assert len(locked) == 0


def test_failures_are_forgotten_after_an_hour_of_peace(clock: Clock) -> None:
    locked = lockout(clock)
    for _ in range(2):
        wait(locked, "ada", "a")
    clock.now += FORGOTTEN_AFTER_SECONDS + 1
    assert [wait(locked, "ada", "a") for _ in range(3)] == [0, 0, 0]
    assert wait(locked, "ada", "a") == 5


def test_a_thousand_attempts_at_once_are_a_thousand(clock: Clock) -> None:
    locked = lockout(clock, user=5, address=10_000)
    through = []

    def attempt() -> None:
        if wait(locked, "ada", "a") == 0:
            through.append(1)

    threads = [threading.Thread(target=attempt) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(through) == 5


def test_however_many_names_are_tried_the_memory_is_bounded(clock: Clock) -> None:
    locked = lockout(clock, most_keys=100)
    for number in range(10_000):
        wait(locked, f"user{number}", f"{number}")
    assert len(locked) == 100


def test_whoever_fails_on_is_not_the_one_forgotten(clock: Clock) -> None:
    locked = lockout(clock, user=50, address=10_000, most_keys=10)
    for number in range(60):
        wait(locked, "ada", "a")
        wait(locked, f"user{number}", "a")
    assert wait(locked, "ada", "a") > 0


def test_a_person_who_mistypes_each_day_and_then_gets_it_right_is_never_locked_out(clock: Clock) -> None:
    locked = lockout(clock, address=10)
    for _ in range(100):
        assert wait(locked, "ada", "10.0.0.1") == 0.0
        locked.attempt("ada", "10.0.0.1")
        locked.succeeded("ada", "10.0.0.1")
        clock.now += 900.0
    assert len(locked) == 0


def test_who_gets_one_name_right_is_not_forgiven_for_guessing_others(clock: Clock) -> None:
    locked = lockout(clock, user=100, address=10)
    for number in range(9):
        locked.attempt(f"victim-{number}", "10.0.0.1")
        locked.succeeded("mallory", "10.0.0.1") if wait(locked, "mallory", "10.0.0.1") == 0.0 else None
    locked.attempt("victim-9", "10.0.0.1")
    assert wait(locked, "victim-10", "10.0.0.1") > 0.0
