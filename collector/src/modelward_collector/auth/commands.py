"""`modelward check-ldap` and `modelward revoke-sessions`."""

from __future__ import annotations

import getpass
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

from modelward_agent.settings import SettingsError, read_secret
from modelward_collector.auth.audit import Action, Record
from modelward_collector.auth.directory import Directory
from modelward_collector.auth.person import DirectoryUnavailableError, Person, RefusedError
from modelward_collector.auth.settings import AuthSettings
from modelward_collector.config import CollectorConfig
from modelward_collector.store.protocol import Alias, Document, Outcome, Store


def auth_of(config: CollectorConfig, path: Path) -> AuthSettings:
    """The section `auth`; `SettingsError` without it."""
    if config.auth is None:
        raise SettingsError(
            [f"modelward: {path}: auth: is not there, so nobody logs in; add it as docs/access.md says"]
        )
    return config.auth


def check_ldap(settings: AuthSettings, user: str | None, password_file: Path | None, *, ask: bool) -> int:
    """Connect to every server, verify its certificate, bind, look for the groups, and for the user if one is given.

    With a password (`password_file`, or asked for) the user's login is tried too. Prints what was found; 0 when all
    is well, 1 when something is not.
    """
    ldap = settings.ldap
    password = read_secret(password_file) if password_file is not None else None
    if password is None and ask:
        password = getpass.getpass(f"Password of {user}: ")
    good = True
    for url in ldap.urls:
        # Each for itself: with several, one that works hides one that does not.
        good &= _check_server(Directory(ldap.model_copy(update={"urls": (url,)})), url, user, password)
    return 0 if good else 1


def _check_server(directory: Directory, url: str, user: str | None, password: str | None) -> bool:
    ldap = directory.settings
    good = True
    try:
        if directory.can_look_up:
            missing = directory.missing_groups()
            print(f"{url}: its certificate is trusted, and {ldap.bind_dn} may bind")
            for dn in missing:
                good = False
                print(f"{url}: there is no group {dn}, or it may not be read; correct auth.ldap.groups")
        elif password is None:
            directory.reach()
            print(f"{url}: its certificate is trusted; whether people can bind is seen with a user's password only")
        if user is None:
            return good
        if password is not None:
            return _found(url, directory.authenticate(user, password), "logged in") and good
        if directory.can_look_up:
            person = directory.look_up(user)
            if person is not None:
                return _found(url, person, "found") and good
            print(f'{url}: there is no one "{user}" below {ldap.user_base_dn} by {ldap.user_filter}, or it is disabled')
            return False
    except DirectoryUnavailableError as error:
        print(error)
        return False
    except RefusedError as error:
        print(f'{url}: "{user}" is refused: {error}')
        return False
    return good


def _found(url: str, person: Person, how: str) -> bool:
    print(f"{url}: {person.username} {how}: {person.dn}")
    about = [f"name {person.full_name or 'none'}", f"mail {person.email or 'none'}", f"groups {len(person.groups)}"]
    print(f"{url}: {person.username}: {', '.join(about)}")
    for group in person.groups:
        print(f"  {group}")
    if person.role is None:
        print(f"{url}: {person.username} is in none of the groups of auth.ldap.groups, and would not be let in")
        return False
    print(f"{url}: {person.username} comes in as {person.role}")
    return True


def revoke_sessions(store: Store, user: str) -> int:
    """End all sessions of the user, at every collector on this store within seconds."""
    by = f"{getpass.getuser()} on the command line"
    record = Record(Action.REVOKED, True, user, "", message=f"{by} ended all sessions of {user}.", by=by, revokes=True)
    document = Document(Alias.AUDIT, str(uuid.uuid4()), record.to_document(datetime.now(UTC)))
    (created,) = store.create([document])
    if created.outcome is Outcome.REJECTED:
        print(f"modelward: the store refuses the record: {created.reason}", file=sys.stderr)
        return 1
    print(f"All sessions of {user} end within seconds. To keep someone out, take them from the directory's groups.")
    return 0
