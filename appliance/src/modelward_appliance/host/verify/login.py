"""People log in by the directory, through the form, as what their groups make them."""

from __future__ import annotations

import secrets

from modelward_appliance.host.verify.check import Check, CheckError
from modelward_appliance.host.verify.client import Answer, Client
from modelward_appliance.host.verify.form import log_in
from modelward_appliance.host.verify.site import Site

TO_LOGIN = (301, 302, 303, 307, 308)
"""How a server sends someone elsewhere."""

_FIX = "see make logs SERVICE=collector: it says what the directory answered"


def login_page(client: Client) -> str:
    """Where a browser that is not logged in is sent."""
    answer = client.get("/", {"Accept": "text/html"})
    if answer.status in TO_LOGIN and (location := answer.headers.get("location")):
        return location
    raise CheckError(f"/ answered {answer.status} and did not send to a login", "see make logs SERVICE=gateway")


def logged_in(site: Site, role: str) -> Client:
    """A client with a session of that role; `CheckError` when the login fails."""
    account = site.account(role)
    client = site.gateway
    answer = log_in(client, login_page(client), account.user, account.password)
    if not _is_in(client, answer):
        raise CheckError(f"{account.user} was not let in (the form answered {answer.status})", _FIX)
    return client


def _is_in(client: Client, answer: Answer) -> bool:
    return answer.status in (*TO_LOGIN, 200, 204) and client.get("/api/v1/models").status == 200


def _right_password(role: str, site: Site) -> str:
    client = logged_in(site, role)
    queried = client.get("/prometheus/api/v1/query?query=up")
    if role == "admin" and queried.status != 200:
        raise CheckError(f"/prometheus/ answered {queried.status} to an admin", "see MODELWARD_LDAP_ADMIN_GROUPS")
    if role == "viewer" and queried.status < 400:
        raise CheckError(
            f"{site.account(role).user} may use Prometheus, so is more than a viewer",
            "give a user who is only in a group of MODELWARD_LDAP_VIEWER_GROUPS",
        )
    return f"{site.account(role).user} is in, as {role}"


def _viewer(site: Site) -> str:
    return _right_password("viewer", site)


def _admin(site: Site) -> str:
    return _right_password("admin", site)


def _wrong_password(site: Site) -> str:
    user = site.account("viewer").user
    client = site.gateway
    answer = log_in(client, login_page(client), user, f"wrong-{secrets.token_hex(8)}")
    if _is_in(client, answer):
        raise CheckError(f"{user} was let in with a wrong password", "run make stop and report it")
    # The right one is next, which also ends the count of wrong ones.
    logged_in(site, "viewer")
    return f"{user} was refused with {answer.status}, and let in with the right one"


CHECKS = (
    Check("login-viewer", "a viewer logs in by the directory", _viewer),
    Check("login-admin", "an admin logs in by the directory", _admin),
    Check("login-wrong-password", "a wrong password is refused", _wrong_password),
)
