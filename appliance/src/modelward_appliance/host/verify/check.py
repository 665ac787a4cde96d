"""What a check is, and running many of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

S = TypeVar("S")

AT_A_TIME = 4
"""Some checks only wait, for a prediction or an alert to come through; the others go on meanwhile."""


class Verdict(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class CheckError(Exception):
    """The check failed: what was seen, and what to do about it."""

    def __init__(self, detail: str, fix: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fix = fix


class NotCheckedError(Exception):
    """It could not be checked here: why not, and what would make it possible. It is never counted as passed."""

    def __init__(self, reason: str, fix: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Check(Generic[S]):
    """One thing that is proven.

    `run` answers the detail to show of a check that passed, and raises `CheckError` or `NotCheckedError` otherwise.
    """

    name: str
    proves: str
    run: Callable[[S], str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one check went; `seconds` is how long it took, `fix` is empty when it passed."""

    name: str
    proves: str
    verdict: Verdict
    seconds: float
    detail: str
    fix: str = ""


def run_one(check: Check[S], site: S) -> Outcome:
    """The outcome of one check, whatever it raises."""
    begun = time.monotonic()

    def outcome(verdict: Verdict, detail: str, fix: str = "") -> Outcome:
        return Outcome(check.name, check.proves, verdict, time.monotonic() - begun, detail, fix)

    try:
        return outcome(Verdict.PASSED, check.run(site))
    except CheckError as error:
        return outcome(Verdict.FAILED, error.detail, error.fix)
    except NotCheckedError as error:
        return outcome(Verdict.SKIPPED, error.reason, error.fix)
    except Exception as error:  # a check that breaks is a finding, and must not hide those of the others
        detail = f"the check itself broke: {type(error).__name__}: {error}"
        return outcome(Verdict.FAILED, detail, "run make support-bundle and report it")


def run_all(checks: Sequence[Check[S]], site: S) -> Iterator[Outcome]:
    """The outcomes, each as soon as it is known."""
    with ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="check") as pool:
        futures = [pool.submit(run_one, check, site) for check in checks]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
