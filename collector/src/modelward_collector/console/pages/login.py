"""The login, and what is said to someone whose role does not allow a page."""

from __future__ import annotations

from enum import StrEnum

from modelward_collector.auth.role import Role
from modelward_collector.auth.session import Session
from modelward_collector.console.site import PageView

ROLE_WORDS = {Role.VIEWER: "a viewer", Role.EDITOR: "an editor", Role.ADMIN: "an administrator"}


class Notice(StrEnum):
    """Why the login is shown again."""

    WRONG = "wrong"
    LOCKED = "locked"
    NO_ROLE = "no_role"
    UNAVAILABLE = "unavailable"
    OLD_FORM = "old_form"


def login_page(
    token: str,
    going_to: str,
    notice: Notice | None = None,
    status: int = 200,
    *,
    username: str = "",
    seconds: float = 0.0,
) -> PageView:
    """The form, with the notice above it; `seconds` is how long someone who is locked out has to wait."""
    values = {
        "token": token,
        "going_to": going_to,
        "notice": None if notice is None else notice.value,
        "username": username[:256],
        "seconds": int(seconds),
    }
    return PageView("login.html", "Log in", values, status=status)


def denied_page(session: Session, needed: Role) -> PageView:
    """Page 403: the role does not allow it."""
    return PageView(
        "message.html",
        "Not allowed",
        {
            "heading": "Not allowed",
            "what": f"This needs {ROLE_WORDS[needed]}, and you are {ROLE_WORDS[session.role]}.",
            "next": "Roles come from the groups of your directory; whoever looks after it can add you to one.",
        },
        status=403,
    )
