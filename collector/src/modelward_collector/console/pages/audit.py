"""Who logged in, who was refused, who accepted what, and who is here now; for administrators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from modelward_collector.auth.access import Seen
from modelward_collector.auth.audit import Action, field
from modelward_collector.auth.session import Session
from modelward_collector.checks.acceptance import AcceptanceKind
from modelward_collector.console.site import PageView, Site
from modelward_collector.span import Span
from modelward_collector.store.acceptances import ACCEPT
from modelward_collector.store.protocol import Alias

PER_PAGE: Final = 100
RANGES: Final[Mapping[str, tuple[str, timedelta]]] = {
    "24h": ("24 hours", timedelta(days=1)),
    "7d": ("7 days", timedelta(days=7)),
    "30d": ("30 days", timedelta(days=30)),
    "400d": ("All", timedelta(days=400)),
}
DEFAULT_RANGE: Final = "7d"

ACTION_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    Action.LOGIN: ("Logged in", "Login refused"),
    Action.LOGOUT: ("Logged out", "Logged out"),
    Action.LOCKOUT: ("Locked out", "Locked out"),
    Action.DENIED: ("Not allowed", "Not allowed"),
    Action.WITHDRAWN: ("Access withdrawn", "Access withdrawn"),
    Action.REVOKED: ("Sessions ended", "Sessions ended"),
    ACCEPT: ("New normal accepted", "New normal refused"),
}
"""In words, for success and failure."""

REASON_WORDS: Final[Mapping[str, str]] = {
    "malformed": "no usable name or password",
    "unknown_user": "no such user",
    "ambiguous_user": "several users of that name",
    "wrong_password": "wrong password",
    "disabled": "disabled in the directory",
    "no_role": "in no group that may come in",
    "locked_out": "too many failures before",
    "bad_form": "form missing or old",
    "unavailable": "the directory did not answer",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One record as it is shown; `state` is ok, warning or critical."""

    at: datetime
    what: str
    state: str
    user: str
    address: str
    detail: str


@dataclass(frozen=True, slots=True)
class Here:
    """Someone logged in."""

    user: str
    name: str
    role: str
    address: str
    since: datetime
    used: datetime
    own: bool


def audit_page(site: Site, query: Mapping[str, str], seen: Sequence[Seen], own: Session | None) -> PageView:
    """Records of the `window`, newest first, of one `user`, only `refusals`; `before` pages on."""
    moment = site.moment()
    chosen = query.get("window", DEFAULT_RANGE)
    chosen = chosen if chosen in RANGES else DEFAULT_RANGE
    end = moment.drawn + timedelta(minutes=5)
    user, refusals, after = query.get("user", "").strip(), query.get("refusals") == "1", query.get("after") or None
    lines, following = _lines(site, Span(moment.drawn - RANGES[chosen][1], end), user, refusals, after)
    return PageView(
        "audit.html",
        "Audit",
        {
            "lines": lines,
            "following": following or "",
            "paged": after is not None,
            "ranges": RANGES,
            "range": chosen,
            "user": user,
            "refusals": refusals,
            "here": [_here(one, own) for one in seen],
            "ended": query.get("ended", ""),
            "wall": moment.drawn,
        },
        section="audit",
    )


def _lines(site: Site, span: Span, user: str, refusals: bool, after: str | None) -> tuple[list[Line], str | None]:
    found: list[Line] = []
    # Filters are applied here: the trail is small, and a store is asked for whole pages.
    for _ in range(50):
        try:
            page = site.context.store.events(Alias.AUDIT, span, limit=PER_PAGE, after=after)
        except ValueError:
            return found, None
        for document in page.items:
            line = _line(document)
            if line is None or (user and user.casefold() not in line.user.casefold()):
                continue
            if refusals and line.state == "ok":
                continue
            found.append(line)
        after = page.after
        if after is None or len(found) >= PER_PAGE:
            break
    return found, after


def _line(document: Mapping[str, Any]) -> Line | None:
    try:
        at = datetime.fromisoformat(field(document, "@timestamp")).astimezone(UTC)
    except ValueError:
        return None
    action, outcome = field(document, "event", "action"), field(document, "event", "outcome")
    words = ACTION_WORDS.get(action)
    if words is None:
        return None
    failed = outcome == "failure"
    state = "critical" if action in (Action.LOCKOUT, Action.WITHDRAWN) else "warning" if failed else "ok"
    reason = REASON_WORDS.get(field(document, "event", "reason"), "")
    message = field(document, "message")
    detail = ": ".join(part for part in (reason, message) if part) if failed else message
    path = field(document, "url", "path")
    what = words[1 if failed else 0]
    if field(document, "acceptance", "kind") == AcceptanceKind.PUT_BACK:
        what = "Put back into reference"
    return Line(
        at,
        what,
        state,
        field(document, "user", "name"),
        field(document, "source", "ip"),
        f"{detail} ({path})" if path else detail,
    )


def _here(seen: Seen, own: Session | None) -> Here:
    session = seen.session
    return Here(
        session.username,
        session.full_name,
        session.role,
        seen.address,
        datetime.fromtimestamp(session.started, UTC),
        datetime.fromtimestamp(session.seen, UTC),
        own is not None and own.id == session.id,
    )
