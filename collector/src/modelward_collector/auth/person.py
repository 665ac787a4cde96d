"""Who someone is, by the directory."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from modelward_collector.auth.role import Role


@dataclass(frozen=True, slots=True)
class Person:
    """An entry of the directory. `role` is None for someone in none of the groups that may come in.

    `username` is the directory's spelling, whatever was typed; `login` is what was typed, by which the entry is found
    again. `groups` are distinguished names, direct and inherited, as far as they were asked for.
    """

    username: str
    login: str
    dn: str
    full_name: str = ""
    email: str = ""
    role: Role | None = None
    groups: tuple[str, ...] = ()


class Refusal(StrEnum):
    """Why someone is not let in; for the audit trail, not for the one who tries."""

    MALFORMED = "malformed"  # nothing that the directory could be asked: empty, too long, control characters
    UNKNOWN_USER = "unknown_user"
    AMBIGUOUS_USER = "ambiguous_user"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a reason
    DISABLED = "disabled"
    NO_ROLE = "no_role"
    LOCKED_OUT = "locked_out"
    RESERVED_NAME = "reserved_name"
    BAD_FORM = "bad_form"  # the form's token was missing or old


class RefusedError(Exception):
    """The login is refused. The message is for the log."""

    def __init__(self, reason: Refusal, message: str = "", person: Person | None = None) -> None:
        super().__init__(message or reason.value)
        self.reason = reason
        self.message = message
        self.person = person


class DirectoryUnavailableError(Exception):
    """The directory does not answer, or refuses the service account; the message says what to do."""
