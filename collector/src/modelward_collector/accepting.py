"""Accepting what drifts as the new normal: what somebody asks for becomes acceptances, or an error says why not."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from modelward_collector.checks.acceptance import Acceptance, AcceptanceKind
from modelward_collector.checks.drift_history import JOINT_TEST, TEST
from modelward_collector.checks.result import CheckKind, CheckResult, Finding, Status
from modelward_collector.span import Span
from modelward_collector.standing import current
from modelward_collector.store import acceptances as stored
from modelward_collector.store import shape
from modelward_collector.store.protocol import StoreUnavailableError

if TYPE_CHECKING:
    # Only a name here, as for the pages: the whole of the collector comes with it.
    from modelward_collector.context import Context

logger = logging.getLogger(__name__)

REMEMBERING: Final = (CheckKind.DRIFT, CheckKind.QUALITY, CheckKind.PERFORMANCE)
"""The checks whose results tell what can be accepted."""

LONGEST_REASON: Final = 500
"""In characters; more would not be read on a page."""

_NAMED: Final = 10
"""Features or versions that an error lists at most."""

_DAY: Final = timedelta(days=1)


class NotAcceptedError(Exception):
    """It cannot be accepted as asked; the message says why and what to do, `about` is which part of it is wrong."""

    def __init__(self, about: str, message: str) -> None:
        super().__init__(message)
        self.about = about


class UnknownModelError(NotAcceptedError):
    """There is no such model."""


class NothingDriftsError(NotAcceptedError):
    """What was named does not drift, so that nothing tells since when the new normal is."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for. With `put_back` it is that the windows in it belong to the reference after all.

    `feature` None: each thing that drifts, or with `since` or `put_back` everything. `version` None: every version.
    `since` None: the moment since which it drifts by the newest result.
    """

    model: str
    by: str
    feature: str | None = None
    version: str | None = None
    since: datetime | None = None
    reason: str = ""
    put_back: Span | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was accepted, and the results of the checks after it; `problem` is why there are none, else ""."""

    acceptances: Sequence[Acceptance]
    results: Sequence[CheckResult]
    problem: str = ""


def propose(latest: Iterable[CheckResult], asked: Asked, now: datetime) -> list[Acceptance]:
    """The acceptances that what is asked for comes to; nothing is stored.

    `latest` are the newest results of the model, of any version, of the checks that remember. `NotAcceptedError` for
    what makes no sense.
    """
    results = _results(list(latest), asked)
    reason = " ".join(asked.reason.split())
    if len(reason) > LONGEST_REASON:
        raise NotAcceptedError("reason", f"the reason has {len(reason):,} characters; say it in {LONGEST_REASON}")
    if asked.feature is not None:
        _check_feature(results, asked.model, asked.feature)

    def made(since: datetime, feature: str | None) -> Acceptance:
        return Acceptance(
            id=stored.new_id(),
            model=asked.model,
            since=since,
            by=asked.by,
            at=now,
            feature=feature,
            version=asked.version,
            reason=reason,
            kind=AcceptanceKind.NEW_NORMAL if asked.put_back is None else AcceptanceKind.PUT_BACK,
            window=asked.put_back,
        )

    if asked.put_back is not None:
        if asked.since is not None:
            raise NotAcceptedError("since", "what is put back has no since of its own; leave one of the two out")
        _check_past("put_back", asked.put_back.start, asked.put_back.end, now)
        return [made(asked.put_back.start, asked.feature)]
    if asked.since is not None:
        _check_past("since", asked.since, asked.since, now)
        return [made(asked.since, asked.feature)]
    found = drifting(one for one in results if one.check is CheckKind.DRIFT)
    for name, since in violating(one for one in results if one.check is not CheckKind.DRIFT).items():
        found[name] = max(since, found.get(name, since))
    if asked.feature is not None:
        found = {name: since for name, since in found.items() if name == asked.feature}
    if not found:
        raise NothingDriftsError("since", _nothing(results, asked))
    return [made(min(since, now), name) for name, since in found.items()]


def drifting(results: Iterable[CheckResult]) -> dict[str, datetime]:
    """What drifts by these drift results, in their order, and since when.

    Of several versions it is the latest moment, since what came before is not yet what all of them see now; a segment
    counts where its feature does not drift as a whole.
    """
    listed = list(results)
    found: dict[str, datetime] = {}
    for in_segment in (False, True):
        mine: dict[str, datetime] = {}
        for result in listed:
            for finding in result.findings:
                if (
                    finding.test in (TEST, JOINT_TEST)
                    and finding.status in (Status.WARNING, Status.CRITICAL)
                    and bool(finding.segment) == in_segment
                ):
                    since = finding.since or result.start
                    mine[finding.subject] = max(since, mine.get(finding.subject, since))
        found = {**found, **{name: since for name, since in mine.items() if name not in found}}
    return found


def violating(results: Iterable[CheckResult]) -> dict[str, datetime]:
    """What of data quality (`traffic` is its volume) and performance is not as in the past, and since when.

    Of several versions it is the latest moment. What a schema or an expectation forbids cannot be accepted.
    """
    found: dict[str, datetime] = {}
    for finding in (one for result in results for one in result.findings):
        if _lasts(finding) and finding.status.flagged and finding.since is not None:
            found[finding.subject] = max(finding.since, found.get(finding.subject, finding.since))
    return found


def _lasts(finding: Finding) -> bool:
    return "episode" in finding.detail and finding.test not in (TEST, JOINT_TEST)


def proposed(context: Context, asked: Asked) -> list[Acceptance]:
    """The same of a collector's model as its newest results are; nothing is stored."""
    if context.registry.spec(asked.model) is None:
        known = ", ".join(spec.model for spec in context.registry.specs()[:_NAMED]) or "none yet"
        raise UnknownModelError("model", f'there is no model "{asked.model}"; the models are: {known}')
    latest = [
        result
        for result in context.store.latest_results()
        if result.model == asked.model and result.check in REMEMBERING
    ]
    return propose(latest, asked, context.clock.now())


def accept(context: Context, said: Sequence[Acceptance]) -> Accepted:
    """Store them, and check the model's drift anew at once, so that what was accepted is quiet at once.

    The same goes for data quality and performance that are not as in the past. Once stored they stay: a check that
    fails is told in `problem`, and runs again when it is due.
    `AcceptanceRefusedError` or `StoreUnavailableError` when they could not be stored.
    """
    stored.accept(context.store, *said)
    results: list[CheckResult] = []
    problem = ""
    try:
        unwell = [
            (one.model, one.check)
            for one in context.store.latest_results()
            if one.check is not CheckKind.DRIFT and violating([one])
        ]
        for model in dict.fromkeys(one.model for one in said):
            for check in (CheckKind.DRIFT, *dict.fromkeys(check for its_model, check in unwell if its_model == model)):
                results += context.engine.run(model, check)
    except StoreUnavailableError as error:
        logger.warning("accepted, and the drift check could not follow: %s", error)
        problem = str(error)
    except Exception as error:  # whatever it is, the acceptance is in the store
        logger.exception("the drift check after an acceptance failed")
        problem = f"{type(error).__name__}: {error}"
    return Accepted(tuple(said), tuple(results), problem)


def stretch(text: str) -> Span:
    """`2026-03-10` as that day; `FROM/TO` of days, the last one included, or of moments; UTC. ValueError for people."""
    first, slash, last = text.strip().partition("/")
    try:
        start, end = _ends(first)
        if slash:
            _, end = _ends(last)
        elif start == end:
            raise ValueError
    except ValueError:
        raise ValueError(f'"{text}" is no stretch of time; write a day, 2026-03-10, or FROM/TO') from None
    if end <= start:
        raise ValueError(f'"{text}" ends before it begins; write FROM/TO')
    return Span(start, end)


def _ends(text: str) -> tuple[datetime, datetime]:
    """A day's start and end, or a moment twice."""
    try:
        day = datetime.combine(date.fromisoformat(text.strip()), datetime.min.time(), UTC)
    except ValueError:
        moment = datetime.fromisoformat(text.strip())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        return moment, moment
    return day, day + _DAY


def _results(latest: Sequence[CheckResult], asked: Asked) -> list[CheckResult]:
    if asked.version is None:
        return current(latest)
    mine = [result for result in latest if result.version == asked.version]
    if not mine:
        versions = sorted({result.version for result in latest}, reverse=True)
        judged = f"its versions are: {_list(versions)}" if versions else "no drift check of it has run yet"
        raise NotAcceptedError("version", f'{asked.model} has no version "{asked.version}"; {judged}')
    return mine


def _check_feature(results: Sequence[CheckResult], model: str, feature: str) -> None:
    found = [
        item.subject
        for result in results
        for item in result.findings
        if item.test in (TEST, JOINT_TEST) or _lasts(item)
    ]
    known = list(dict.fromkeys(found))
    if feature in known:
        return
    if not known:
        raise NotAcceptedError(
            "feature", f"the newest drift check of {model} judged no feature; wait for one that does, or name none"
        )
    near = difflib.get_close_matches(feature, known, n=3, cutoff=0.5)
    others = f"did you mean {' or '.join(near)}?" if near else f"its features are: {_list(sorted(known))}"
    raise NotAcceptedError("feature", f'{model} has no feature "{feature}" in its newest drift result; {others}')


def _check_past(about: str, start: datetime, end: datetime, now: datetime) -> None:
    if start < shape.EPOCH:
        raise NotAcceptedError(about, f"{_said(start)} is before 1970")
    if end > now:
        raise NotAcceptedError(about, f"{_said(end)} is in the future; it is {_said(now)}")


def _nothing(results: Sequence[CheckResult], asked: Asked) -> str:
    what = "nothing" if asked.feature is None else asked.feature
    of = asked.model if asked.version is None else f"{asked.model} {asked.version}"
    verb = "drifts" if asked.feature is None else "does not drift"
    results = [result for result in results if result.check is CheckKind.DRIFT]
    failed = [result for result in results if result.status in (Status.ERROR, Status.NO_DATA)]
    why = f" as far as is known ({failed[0].summary})" if failed and len(failed) == len(results) else ""
    return f"{what} of {of} {verb}{why}; say --since to begin the reference anew"


def _list(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _said(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
