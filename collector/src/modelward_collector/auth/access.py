"""Logins, sessions and their end: what everything else asks."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import anyio.to_thread
from prometheus_client import CollectorRegistry, Counter, Gauge

from modelward_agent.settings import read_secret
from modelward_collector.auth.audit import Action, AuditTrail, Record
from modelward_collector.auth.directory import Directory
from modelward_collector.auth.kibana import KibanaUnavailableError, kibana_users
from modelward_collector.auth.lockout import LockedError, Lockout, source_of
from modelward_collector.auth.names import known_as
from modelward_collector.auth.person import DirectoryUnavailableError, Person, Refusal, RefusedError
from modelward_collector.auth.pool import DirectoryPool
from modelward_collector.auth.revocations import Revocations
from modelward_collector.auth.role import Role
from modelward_collector.auth.session import Session, Sessions
from modelward_collector.auth.settings import AuthSettings
from modelward_collector.auth.signing import Signer
from modelward_collector.store.protocol import Store, StoreUnavailableError

logger = logging.getLogger(__name__)

READS_EVERY_SECONDS: Final = 5.0
"""How soon a session that another collector ended is over here too."""

RECHECK_WAITS_SECONDS: Final = 3.0
"""How long a request waits for the directory's word on a session; what comes later holds for the next request."""

RECHECK_AGAIN_AFTER_SECONDS: Final = 30.0
"""How soon a directory that did not answer is asked about the same person again."""

REFUSALS_TAKE_SECONDS: Final = 1.0
"""Every refusal takes a whole multiple of this, so that the time tells nothing of why."""

MOST_SEEN: Final = 10_000
OUTCOMES: Final = ("success", *Refusal, "unavailable")


@dataclass(slots=True)
class Standing:
    """What the directory said of someone last, and when to ask again (monotonic seconds)."""

    role: Role | None
    full_name: str
    email: str
    ask_at: float
    known: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """A session in use here, and from where last."""

    session: Session
    address: str


class Access:
    """Who may come in. Methods that are coroutines run in the server's event loop and block nothing."""

    def __init__(
        self,
        settings: AuthSettings,
        store: Store,
        registry: CollectorRegistry,
        now: Callable[[], float] = time.time,
        refusals_take: float = REFUSALS_TAKE_SECONDS,
    ) -> None:
        self.settings = settings
        self._now = now
        self.refusals_take = refusals_take
        session = settings.session
        keys = [read_secret(file) for file in (session.key_file, session.previous_key_file) if file is not None]
        self.signer = Signer(keys)
        self.sessions = Sessions(self.signer, session.idle, session.absolute)
        self.gateway_key = None if settings.gateway_key_file is None else read_secret(settings.gateway_key_file)
        self.directory = Directory(settings.ldap)
        self._pool = DirectoryPool(self.directory)
        lockout = settings.lockout
        self._lockout = Lockout(lockout.user_failures, lockout.address_failures, lockout.longest, time.monotonic)
        self.audit = AuditTrail(store)
        self.revocations = Revocations(store, session.absolute, now)
        self._kibana = None if settings.kibana is None else kibana_users(settings.kibana, self.signer)
        self._recheck = session.recheck.total_seconds()
        self._standings: OrderedDict[str, Standing] = OrderedDict()
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._seen_lock = threading.Lock()
        self._ending = threading.Event()
        self._logins = Counter("modelward_logins", "Logins by their outcome.", ("outcome",), registry=registry)
        for outcome in OUTCOMES:
            self._logins.labels(outcome)
        self._denied = Counter("modelward_access_denied", "Requests beyond their session's role.", registry=registry)
        self._unanswered = Counter(
            "modelward_directory_failures", "Questions that the directory did not answer.", registry=registry
        )
        waiting = Gauge("modelward_audit_waiting", "Records that the store does not have yet.", registry=registry)
        waiting.set_function(lambda: self.audit.waiting)
        dropped = Gauge("modelward_audit_dropped", "Records that are in the log alone.", registry=registry)
        dropped.set_function(lambda: self.audit.dropped)

    # -- life ---------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Begin to write the trail, and to read what others ended."""
        self.audit.start()
        threading.Thread(target=self._read_revocations, name="revocations", daemon=True).start()

    def stop(self) -> None:
        """Write what waits; idempotent."""
        self._ending.set()
        self.audit.stop()

    def _read_revocations(self) -> None:
        complained = False
        while not self._ending.is_set():
            try:
                self.revocations.read()
                complained = False
            except StoreUnavailableError as error:
                if not complained:
                    logger.warning("whose sessions ended cannot be read: %s", error)
                complained = True
            except Exception:
                logger.exception("whose sessions ended cannot be read")
            self._ending.wait(READS_EVERY_SECONDS if self.revocations.known else 1.0)

    # -- logins -------------------------------------------------------------------------------------------------
    async def log_in(self, typed: str, password: str, address: str) -> Session:
        """A new session. `RefusedError`, `LockedError` or `DirectoryUnavailableError` when there is none."""
        begun = time.monotonic()
        user, source = known_as(typed), source_of(address)
        try:
            begins_lockout = self._lockout.attempt(user, source)
        except LockedError:
            self._logins.labels(Refusal.LOCKED_OUT).inc()
            self.audit.record(_refused(typed, address, Refusal.LOCKED_OUT, "Too many failed logins before."))
            raise
        try:
            person = await self._pool.authenticate(typed, password)
        except RefusedError as error:
            self._refuse(typed, address, error)
            if begins_lockout:
                message = f"Failed too often; the next login of {typed}, or from there, has to wait."
                self.audit.record(Record(Action.LOCKOUT, True, _shown(typed), address, message=message))
            await self._take_time(begun)
            raise
        except DirectoryUnavailableError as error:
            self._lockout.undecided(user, source)
            self._logins.labels("unavailable").inc()
            self._unanswered.inc()
            logger.error("nobody can log in: %s", error)
            self.audit.record(Record(Action.LOGIN, False, _shown(typed), address, "unavailable", str(error)))
            raise
        except BaseException:
            self._lockout.undecided(user, source)
            raise
        # The password was right, so this was no guess.
        self._lockout.succeeded(user, source)
        if person.role is None:
            outsider = RefusedError(Refusal.NO_ROLE, f"{person.dn} is in none of the groups that may come in", person)
            self._refuse(person.username, address, outsider)
            raise outsider
        session = Session.begun(person, person.role, self._now())
        self._stand(person)
        self._note(session, address)
        self._logins.labels("success").inc()
        message = f"{session.shown_name} logged in as {session.role}."
        self.audit.record(Record(Action.LOGIN, True, session.username, address, role=session.role, message=message))
        return session

    def _refuse(self, user: str, address: str, error: RefusedError) -> None:
        self._logins.labels(error.reason).inc()
        self.audit.record(_refused(user, address, error.reason, error.message))

    def refuse_form(self, typed: str, address: str) -> None:
        """Note that a login came with no form of this site."""
        self._refuse(typed, address, RefusedError(Refusal.BAD_FORM, "The form's token is missing, old or another's."))

    async def _take_time(self, begun: float) -> None:
        if self.refusals_take > 0:
            took = time.monotonic() - begun
            await asyncio.sleep(self.refusals_take - took % self.refusals_take)

    # -- sessions -----------------------------------------------------------------------------------------------
    async def session_of(self, token: str, address: str) -> Session | None:
        """The session of a cookie, with the role that its person has now; None when it is over.

        Raises `StoreUnavailableError` when nobody can say whether it was ended.
        """
        session = self.sessions.read(token, self._now()) if token else None
        if session is None or self.revocations.ended(session):
            return None
        if self.revocations.undecided(session):
            raise StoreUnavailableError("which sessions were ended cannot be read from the store yet; try again soon")
        standing = await self._standing(session, address)
        if standing is not None:
            if standing.role is None:
                return None
            session = replace(session, role=standing.role, full_name=standing.full_name, email=standing.email)
        self._note(session, address)
        return session

    def renewed(self, session: Session) -> str | None:
        """The cookie's new value, where the use is worth one."""
        fresh = self.sessions.renewed(session, self._now())
        return None if fresh is None else self.sessions.token(fresh)

    async def _standing(self, session: Session, address: str) -> Standing | None:
        """What the directory says of the session's person; None while that is as it was at the login."""
        if not self.directory.can_look_up:
            return None
        key = known_as(session.username)
        standing = self._standings.get(key)
        if standing is None:
            ask_in = self._recheck - (self._now() - session.checked)
            standing = Standing(session.role, session.full_name, session.email, time.monotonic() + ask_in, False)
            self._keep_standing(key, standing)
        if time.monotonic() >= standing.ask_at:
            task = self._asking.get(key)
            if task is None:
                task = asyncio.create_task(self._ask_again(key, session, address))
                self._asking[key] = task
                task.add_done_callback(lambda _: self._asking.pop(key, None))
            if standing.known or time.monotonic() - standing.ask_at < RECHECK_AGAIN_AFTER_SECONDS:
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(task), RECHECK_WAITS_SECONDS)
            standing = self._standings.get(key, standing)
        return standing

    async def _ask_again(self, key: str, session: Session, address: str) -> None:
        try:
            person = await self._pool.look_up(session.login)
        except DirectoryUnavailableError as error:
            # The session goes on: a directory that is away must not put everyone out.
            self._unanswered.inc()
            logger.warning("whether %s still may come in cannot be asked: %s", session.username, error)
            standing = self._standings.get(key)
            if standing is not None:
                standing.ask_at = time.monotonic() + RECHECK_AGAIN_AFTER_SECONDS
            return
        if person is not None and person.role is not None and known_as(person.username) == key:
            self._stand(person)
            return
        self._keep_standing(key, Standing(None, "", "", time.monotonic() + self._recheck, True))
        why = "no longer in the directory" if person is None else "no longer in any group that may come in"
        await anyio.to_thread.run_sync(self._withdraw, session, address, f"{session.shown_name} is {why}.")

    def _withdraw(self, session: Session, address: str, message: str) -> None:
        self._end_user(session.username, Action.WITHDRAWN, address, message)
        if self._kibana is not None:
            try:
                self._kibana.withdraw(session.username)
            except KibanaUnavailableError as error:
                logger.error("%s", error)

    def _stand(self, person: Person) -> None:
        standing = Standing(person.role, person.full_name, person.email, time.monotonic() + self._recheck, True)
        self._keep_standing(known_as(person.username), standing)

    def _keep_standing(self, key: str, standing: Standing) -> None:
        self._standings[key] = standing
        self._standings.move_to_end(key)
        while len(self._standings) > MOST_SEEN:
            self._standings.popitem(last=False)

    def _note(self, session: Session, address: str) -> None:
        with self._seen_lock:
            self._seen[session.id] = Seen(replace(session, seen=self._now()), address)
            self._seen.move_to_end(session.id)
            while len(self._seen) > MOST_SEEN:
                self._seen.popitem(last=False)

    def seen(self) -> list[Seen]:
        """Sessions that this collector saw in use and that are not over, the latest used first."""
        now = self._now()
        idle = self.settings.session.idle.total_seconds()
        with self._seen_lock:
            known = list(self._seen.values())
        live = [
            seen
            for seen in known
            if now - seen.session.seen <= idle
            and now - seen.session.started <= self.sessions.absolute
            and not self.revocations.ended(seen.session)
        ]
        return sorted(live, key=lambda seen: -seen.session.seen)

    # -- their end ----------------------------------------------------------------------------------------------
    def log_out(self, session: Session, address: str) -> None:
        """End this session, here and, within seconds, at every other collector."""
        self.revocations.end_session(session.id)
        with self._seen_lock:
            self._seen.pop(session.id, None)
        message = f"{session.shown_name} logged out."
        self.audit.record(
            Record(Action.LOGOUT, True, session.username, address, message=message, session=session.id, revokes=True)
        )

    def revoke(self, username: str, by: str, address: str) -> None:
        """End all sessions that the user has now."""
        self._end_user(username, Action.REVOKED, address, f"{by} ended all sessions of {username}.", by)

    def _end_user(self, username: str, action: Action, address: str, message: str, by: str = "") -> None:
        self.revocations.end_user(username, self._now())
        self.audit.record(Record(action, True, username, address, message=message, by=by, revokes=True))

    # -- what is behind the gateway -----------------------------------------------------------------------------
    def denied(self, session: Session, needed: Role, address: str, path: str) -> None:
        """Note that someone wanted what the role does not allow."""
        self._denied.inc()
        message = f"{session.shown_name} is {session.role}; this needs {needed}."
        self.audit.record(
            Record(Action.DENIED, False, session.username, address, "role", message, role=session.role, path=path)
        )

    async def kibana_authorization(self, session: Session) -> str:
        """The `Authorization` header by which Kibana knows the person; `KibanaUnavailableError`."""
        if self._kibana is None:
            raise KibanaUnavailableError("Kibana is not configured; set auth.kibana in collector.yml")
        return await anyio.to_thread.run_sync(self._kibana.authorization, session)


def _refused(user: str, address: str, reason: Refusal, message: str) -> Record:
    return Record(Action.LOGIN, False, _shown(user), address, reason, message)


def _shown(typed: str) -> str:
    """What was typed as a name, for the trail: people type passwords there too, but then rarely only once."""
    return "".join(letter if letter.isprintable() else "�" for letter in typed[:256])
