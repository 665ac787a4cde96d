"""Decides when checks run: on the wall clock by APScheduler, in a replay at the data's own time; and the upkeep."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from modelward_agent.durations import format_duration
from modelward_collector.checks.result import CheckKind, CheckResult, Status, worst
from modelward_collector.clock import Clock
from modelward_collector.context import Entry
from modelward_collector.crontab import Crontab, CrontabTrigger
from modelward_collector.engine import Engine
from modelward_collector.lease import RENEW_EVERY_SECONDS, Lease
from modelward_collector.metrics import Metrics
from modelward_collector.models import ModelSpec, Schedule
from modelward_collector.registry import Registry
from modelward_collector.standing import current
from modelward_collector.store.protocol import Store, StoreUnavailableError

logger = logging.getLogger(__name__)

EPOCH = datetime.fromtimestamp(0, UTC)
TICK_SECONDS = 0.25
SYNC_EVERY_SECONDS = 2.0
FOLLOW_EVERY_SECONDS = 15.0
RETRY_SECONDS = 2.0
ENDS_WITHIN_SECONDS = 8.0
STALLED_AFTER_SECONDS = 60.0
"""A replay that is behind and has run nothing for this long has stalled."""

GRACE = timedelta(minutes=2)
"""Added to two intervals before a check is overdue: the delay of its window, and the queue."""

FIRST_RUNS_WITHIN = timedelta(minutes=1)
"""What is due at the start is spread over this time."""

CATCH_UP = 1000
"""Due times of one check that a replay works off singly; further behind it takes bigger steps, up to a day."""

Key = tuple[str, CheckKind]


@dataclass(frozen=True, slots=True)
class Upkeep:
    """A chore of the collector that schedules: `run` gets the clock's now."""

    name: str
    every: timedelta
    run: Callable[[datetime], object]


@dataclass(slots=True)
class _Line:
    """What is known of one (model, check); changed only under the scheduler's lock."""

    schedule: Schedule
    zone: str
    trigger: IntervalTrigger | CrontabTrigger
    added: datetime
    last_run: datetime | None = None
    last_success: datetime | None = None
    last_status: Status | None = None
    last_duration: timedelta | None = None
    last_error: str = ""
    running: bool = False
    due: datetime | None = None  # in a replay
    judged: bool = False
    """Something was there to judge, since this collector began."""
    pause: timedelta | None = None
    """How long it was before the last look at a model that has had too little to judge yet."""

    def describe(self) -> str:
        if self.schedule.cron is not None:
            return f"cron {self.schedule.cron}" + (f" in {self.zone}" if self.zone != "UTC" else "")
        assert self.schedule.every is not None
        return f"every {format_duration(self.schedule.every)}"

    def interval(self, at: datetime) -> timedelta:
        """From one run to the next; where they are not evenly apart, the mean of the two times around that moment."""
        if isinstance(self.trigger, CrontabTrigger):
            return self.trigger.interval(at)
        return timedelta(seconds=self.trigger.interval_length)

    @property
    def succeeded(self) -> datetime:
        """The last time all was well with it: its last success, or that it was added."""
        return self.last_success or self.added

    def missed(self, last: datetime, now: datetime) -> bool:
        """Whether it should have run again since that run."""
        if isinstance(self.trigger, CrontabTrigger):
            return self.trigger.get_next_fire_time(last, last) <= now
        return now - last > self.interval(last)


class Scheduler:
    """Runs every enabled check of every model on its schedule, one run of a check at a time.

    Of several collectors on one store only the lease's holder runs anything; the others follow what it stores.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        engine: Engine,
        clock: Clock,
        metrics: Metrics,
        *,
        upkeep: Iterable[Upkeep] = (),
        threads: int = 4,
        agent_window: timedelta = timedelta(minutes=1),
        first_run_after: timedelta = timedelta(minutes=3),
        lease: Lease | None = None,
    ) -> None:
        self._store = store
        self._registry = registry
        self._engine = engine
        self._clock = clock
        self._metrics = metrics
        self._upkeep = tuple(upkeep)
        self._threads = threads
        self._agent_window = agent_window
        self._first_run_after = first_run_after
        self._lease = lease or Lease(store, "scheduler")
        self._lock = threading.RLock()
        self._lines: dict[Key, _Line] = {}
        self._stopping = threading.Event()
        self._tender: threading.Thread | None = None
        self._replayer: threading.Thread | None = None
        self._led = False
        self._known: dict[Key, list[CheckResult]] = {}
        self._jobs: Any = None
        self._ran_at = time.monotonic()
        self._kept_up: dict[str, datetime] = {}
        self._chores_running = 0
        self.unfinished = False
        """After `stop`: something is still running, and would keep the process from ending by itself."""
        metrics.observe(_ScheduleSeries(self))

    # -- life ---------------------------------------------------------------------------------------------------
    @property
    def running(self) -> bool:
        """It is started, and its threads are alive."""
        threads = [thread for thread in (self._tender, self._replayer) if thread is not None]
        return bool(threads) and not self._stopping.is_set() and all(thread.is_alive() for thread in threads)

    @property
    def holds_lease(self) -> bool:
        """This collector schedules; False while another one does."""
        return self._lease.held

    def start(self) -> None:
        """Begin; returns at once."""
        self._jobs = BackgroundScheduler(
            timezone=UTC,
            executors={
                "default": ThreadPoolExecutor(self._threads, {"thread_name_prefix": "check"}),
                "upkeep": ThreadPoolExecutor(max(1, len(self._upkeep)), {"thread_name_prefix": "upkeep"}),
            },
            # However late a run is, one is wanted; however many were missed, one is enough.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        for chore in self._upkeep:
            self._jobs.add_job(
                self._keep_up,
                IntervalTrigger(seconds=chore.every.total_seconds(), timezone=UTC),
                args=[chore],
                id=f"upkeep {chore.name}",
                executor="upkeep",
            )
        self._jobs.start()
        self._tender = threading.Thread(target=self._tend, name="scheduler", daemon=True)
        self._tender.start()
        if self._clock.replays:
            self._replayer = threading.Thread(target=self._replay, name="replay", daemon=True)
            self._replayer.start()

    def stop(self) -> None:
        """End within seconds, after what is running now if that ends in time; idempotent."""
        if self._stopping.is_set() or self._jobs is None:
            return
        self._stopping.set()
        deadline = time.monotonic() + ENDS_WITHIN_SECONDS
        while self._busy() and time.monotonic() < deadline:
            time.sleep(0.02)
        for thread in (self._tender, self._replayer):
            if thread is not None and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        self.unfinished = self._busy()
        if self.unfinished:
            logger.warning("some checks are still running after %.0f s and are left behind", ENDS_WITHIN_SECONDS)
        self._jobs.shutdown(wait=not self.unfinished)
        self._lease.release()

    def _busy(self) -> bool:
        with self._lock:
            return self._chores_running > 0 or any(line.running for line in self._lines.values())

    def _tend(self) -> None:
        """Set the store up, keep the lease, follow the registry, and follow the collector that has the lease."""
        renewed = synced = followed = float("-inf")
        ready = False
        while not self._stopping.is_set():
            now = time.monotonic()
            try:
                if not ready:
                    self._store.setup()
                    ready = True
                if now - renewed >= RENEW_EVERY_SECONDS:
                    renewed = now
                    self._lease.renew()
                leads = self._lease.held
                if followed == float("-inf") or (not leads and now - followed >= FOLLOW_EVERY_SECONDS):
                    self._follow()
                    followed = now
                if leads and not self._led:
                    self._follow()
                    self._forget_dues()
                self._led = leads
                if now - synced >= SYNC_EVERY_SECONDS:
                    synced = now
                    self.sync()
            except StoreUnavailableError as error:
                logger.warning("the schedule waits for the store: %s", error)
                self._stopping.wait(RETRY_SECONDS)
            except Exception:  # the schedule must outlive whatever goes wrong in one turn
                logger.exception("the scheduler's upkeep failed")
            self._stopping.wait(TICK_SECONDS)

    # -- which checks there are ---------------------------------------------------------------------------------
    def sync(self) -> None:
        """Pick up models that are new, changed or gone."""
        self._registry.poll()
        wanted: dict[Key, tuple[Schedule, str]] = {}
        for spec in self._registry.specs():
            for check in CheckKind:
                schedule = schedule_of(spec, check)
                if schedule.enabled:
                    wanted[(spec.model, check)] = (schedule, spec.timezone)
        with self._lock:
            for key in self._lines.keys() - wanted.keys():
                self._remove(key)
            for key, (schedule, zone) in wanted.items():
                line = self._lines.get(key)
                if line is None or _timing(line.schedule, line.zone) != _timing(schedule, zone):
                    self._add(key, schedule, zone, line)

    def _remove(self, key: Key) -> None:
        del self._lines[key]
        self._metrics.forget(*key)
        for prefix in ("", "first "):
            job = self._jobs.get_job(f"{prefix}{key[1]} {key[0]}") if self._jobs else None
            if job is not None:
                job.remove()

    def _add(self, key: Key, schedule: Schedule, zone: str, before: _Line | None) -> None:
        line = _Line(schedule, zone, self._trigger(key, schedule, zone), self._clock.now())
        if before is not None:
            line.last_run, line.last_success = before.last_run, before.last_success
            line.last_status, line.last_duration = before.last_status, before.last_duration
            line.last_error, line.running = before.last_error, before.running
        elif key in self._known:
            self._recall(line, self._known[key])
        self._lines[key] = line
        if self._clock.replays or self._jobs is None:
            return
        model, check = key
        name = f"{check} {model}"
        self._jobs.add_job(self._run, line.trigger, args=[model, check], id=name, name=name, replace_existing=True)
        now = self._clock.now()
        if line.last_run is None:
            soon = now + self._first_run_after
        elif line.missed(line.last_run, now):
            soon = now
        else:
            return
        self._run_soon(key, soon + _share(key) * min(FIRST_RUNS_WITHIN, line.interval(now)))

    def _run_soon(self, key: Key, at: datetime) -> None:
        assert self._jobs is not None
        name = f"{key[1]} {key[0]}"
        self._jobs.add_job(
            self._run, DateTrigger(at), args=[*key], id=f"first {name}", name=name, replace_existing=True
        )

    def _look_again(self, key: Key, line: _Line) -> None:
        """A model that has only just begun has a verdict as soon as there is enough of it, not at the next interval.

        Each look comes after twice the pause of the one before, until the interval itself is shorter.
        """
        if self._clock.replays or self._jobs is None or line.judged:
            return
        now = self._clock.now()
        line.pause = self._first_run_after if line.pause is None else 2 * line.pause
        if line.pause < line.interval(now):
            self._run_soon(key, now + line.pause)

    def _trigger(self, key: Key, schedule: Schedule, zone: str) -> IntervalTrigger | CrontabTrigger:
        if schedule.cron is not None:
            return CrontabTrigger(Crontab.parse(schedule.cron), ZoneInfo(zone))
        assert schedule.every is not None
        every = schedule.every
        if self._clock.replays:
            # Data comes in windows; between two of them nothing new can be seen.
            every = max(every, self._agent_window)
            return IntervalTrigger(seconds=every.total_seconds(), start_date=EPOCH, timezone=UTC)
        # Each model has its own place in the interval, the same after every start, so a fleet does not fire at once.
        offset = EPOCH + _share(key) * every
        return IntervalTrigger(seconds=every.total_seconds(), start_date=offset, timezone=UTC)

    # -- one run ------------------------------------------------------------------------------------------------
    def _run(self, model: str, check: CheckKind, at: datetime | None = None) -> None:
        key = (model, check)
        with self._lock:
            line = self._lines.get(key)
            if line is None or line.running or self._stopping.is_set() or not self._lease.held:
                return
            line.running = True
        begun = time.monotonic()
        moment = self._clock.now() if at is None else at
        status, error = Status.ERROR, ""
        try:
            results = self._engine.run(model, check, at)
            status = worst(*(result.status for result in results)) if results else Status.NO_DATA
            error = "; ".join(result.summary for result in results if result.status is Status.ERROR)
        except KeyError:
            logger.info("%s is no longer watched", model)
            status = Status.NO_DATA
        except StoreUnavailableError as failure:
            error = str(failure)
            logger.warning("check %s of %s could not run: %s", check, model, failure)
        except Exception as failure:  # one check must not end the schedule
            error = f"{type(failure).__name__}: {failure}"
            logger.exception("check %s of %s could not run", check, model)
        with self._lock:
            line = self._lines.get(key, line)
            line.running = False
            self._ran_at = time.monotonic()
            line.last_run = moment
            line.last_status = status
            line.last_duration = timedelta(seconds=time.monotonic() - begun)
            line.last_error = error
            if status is not Status.ERROR:
                line.last_success = moment
            if status is Status.NO_DATA and key in self._lines:
                self._look_again(key, line)
            else:
                line.judged = True

    def _keep_up(self, chore: Upkeep) -> None:
        if self._stopping.is_set() or not self._lease.held:
            return
        with self._lock:
            self._chores_running += 1
        try:
            chore.run(self._clock.now())
            with self._lock:
                self._kept_up[chore.name] = datetime.now(UTC)
        except StoreUnavailableError as error:
            logger.warning("%s waits for the store: %s", chore.name, error)
        except Exception:  # the next turn tries again
            logger.exception("%s failed", chore.name)
        finally:
            with self._lock:
                self._chores_running -= 1

    # -- what was before, and what another collector does -------------------------------------------------------
    def _follow(self) -> None:
        known: dict[Key, list[CheckResult]] = {}
        results = current(self._store.latest_results())
        for result in results:
            known.setdefault((result.model, result.check), []).append(result)
        self._metrics.restore(results)
        with self._lock:
            self._known = known
            for key, group in known.items():
                line = self._lines.get(key)
                if line is not None and not line.running:
                    self._recall(line, group)

    def _recall(self, line: _Line, group: Sequence[CheckResult]) -> None:
        latest = max(group, key=lambda result: result.ran_at)
        moment = _at(line.schedule, latest) if self._clock.replays else latest.ran_at
        if line.last_run is not None and line.last_run > moment:
            return
        line.last_run = moment
        line.last_status = worst(*(result.status for result in group))
        line.last_duration = timedelta(seconds=sum(result.duration_seconds for result in group))
        line.last_error = "; ".join(result.summary for result in group if result.status is Status.ERROR)
        if line.last_status is not Status.ERROR:
            line.last_success = moment

    # -- replay -------------------------------------------------------------------------------------------------
    def _forget_dues(self) -> None:
        with self._lock:
            for line in self._lines.values():
                line.due = None

    def _replay(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._lease.held and self._led:
                    self.run_due(self._clock.now())
            except StoreUnavailableError as error:
                logger.warning("the replay waits for the store: %s", error)
                self._stopping.wait(RETRY_SECONDS)
            except Exception:  # the replay must outlive whatever goes wrong in one turn
                logger.exception("the replay failed")
            self._stopping.wait(TICK_SECONDS)

    def run_due(self, mark: datetime) -> None:
        """Run, in the order of the data's time, everything that is due up to the mark."""
        while not self._stopping.is_set() and self._lease.held:
            with self._lock:
                self._set_dues()
                due = [(line.due, key[1], key[0]) for key, line in self._lines.items() if line.due is not None]
                if not due:
                    return
                moment, check, model = min(due)
                if moment > mark:
                    return
                line = self._lines[(model, check)]
            self._run(model, check, moment)
            with self._lock:
                line.due = self._after(line, moment, mark)

    def _set_dues(self) -> None:
        """A line without a due time gets the first after its last run, or after its model's first row."""
        for (model, _), line in self._lines.items():
            if line.due is not None:
                continue
            start = line.last_run
            if start is None:
                start = min((seen.first_seen for seen in self._registry.versions(model)), default=None)
            if start is not None:
                line.due = line.trigger.get_next_fire_time(None, start + timedelta(microseconds=1))

    def _after(self, line: _Line, moment: datetime, mark: datetime) -> datetime | None:
        following: datetime | None = line.trigger.get_next_fire_time(moment, moment)
        if following is not None and mark - following > CATCH_UP * line.interval(moment):
            stride = min(timedelta(days=1), (mark - moment) / CATCH_UP)
            following = line.trigger.get_next_fire_time(None, max(following, moment + stride))
        return following

    # -- the page -----------------------------------------------------------------------------------------------
    def kept_up(self) -> dict[str, datetime]:
        """When each chore last went well, on the wall clock."""
        with self._lock:
            return dict(self._kept_up)

    def entries(self) -> list[Entry]:
        """The schedule, by model and check."""
        now = self._clock.now()
        with self._lock:
            lines = sorted(self._lines.items())
            return [self._entry(key, line, now) for key, line in lines]

    def intervals(self) -> dict[Key, timedelta]:
        """How long it is between two runs of each check, on the wall clock; of a replay that cannot be said.

        Of a cron schedule around the last success: a check is late two intervals after that, wherever its runs are
        evenly apart or not.
        """
        if self._clock.replays:
            return {}
        with self._lock:
            return {key: line.interval(line.succeeded) for key, line in self._lines.items()}

    def _entry(self, key: Key, line: _Line, now: datetime) -> Entry:
        model, check = key
        return Entry(
            model=model,
            check=check,
            schedule=line.describe(),
            next_run=line.due if self._clock.replays else self._next_run(key),
            last_run=line.last_run,
            last_success=line.last_success,
            last_status=line.last_status,
            last_duration=line.last_duration,
            running=line.running,
            overdue=self._overdue(line, now),
            last_error=line.last_error,
        )

    def _overdue(self, line: _Line, now: datetime) -> bool:
        since = line.succeeded
        if self._clock.replays:
            # A fast replay is always some way behind; what matters is that it gets on.
            stalled = time.monotonic() - self._ran_at > STALLED_AFTER_SECONDS
            if line.due is None or not (line.last_error or stalled):
                return False
            since = line.last_success or line.due
        return now - since > 2 * line.interval(since) + GRACE

    def _next_run(self, key: Key) -> datetime | None:
        names = (f"{key[1]} {key[0]}", f"first {key[1]} {key[0]}")
        jobs = [job for name in names if (job := self._jobs.get_job(name) if self._jobs else None) is not None]
        return min((job.next_run_time for job in jobs if job.next_run_time is not None), default=None)


class _ScheduleSeries(Collector):
    """How the schedule itself does, for an alert on the one that should raise the others."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        leading = float(self._scheduler.holds_lease)
        yield GaugeMetricFamily("modelward_scheduler_leading", "1 when this collector schedules.", value=leading)
        upkeep = GaugeMetricFamily(
            "modelward_upkeep_last_success_timestamp_seconds", "When a chore last went well.", labels=("chore",)
        )
        for name, moment in self._scheduler.kept_up().items():
            upkeep.add_metric((name,), moment.timestamp())
        yield upkeep
        interval = GaugeMetricFamily(
            "modelward_check_interval_seconds", "Time between two runs of a check.", labels=("model", "check")
        )
        for (model, check), length in self._scheduler.intervals().items():
            interval.add_metric((model, check), length.total_seconds())
        yield interval
        try:
            entries = self._scheduler.entries()
        except StoreUnavailableError:
            return  # in a replay the store tells the time
        overdue = sum(entry.overdue for entry in entries)
        failing = sum(bool(entry.last_error) for entry in entries)
        yield GaugeMetricFamily("modelward_checks_overdue", "Checks without success for too long.", value=overdue)
        yield GaugeMetricFamily("modelward_checks_failing", "Checks whose last run failed.", value=failing)


def schedule_of(spec: ModelSpec, check: CheckKind) -> Schedule:
    """The model's schedule of that check."""
    schedule: Schedule = getattr(spec.checks, check)
    return schedule


def _timing(schedule: Schedule, zone: str) -> tuple[object, ...]:
    return (schedule.every, schedule.cron, schedule.cron and zone)


def _share(key: Key) -> float:
    """The key's own number in [0, 1), the same on every machine."""
    digest = hashlib.blake2b("\n".join(key).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32


def _at(schedule: Schedule, result: CheckResult) -> datetime:
    """The moment that a stored result was run for."""
    delay: timedelta = getattr(schedule, "label_delay", timedelta(0))
    return result.end + delay
