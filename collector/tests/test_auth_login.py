"""Logins as people meet them: through the gateway, at the real collector, by a real directory."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from collector.tests.directories import silent
from collector.tests.site import PASSWORD, Answer, Browser, Place, deployed, wait_for
from modelward_collector.auth.access import Access
from modelward_collector.auth.session import COOKIE, PURPOSE
from modelward_collector.auth.signing import Signer
from modelward_collector.span import Span
from modelward_collector.store.protocol import Alias, StoreUnavailableError
from tests.servers.certificates import Authority
from tests.servers.slapd import cn, person, uid

pytestmark = [pytest.mark.server("nginx"), pytest.mark.server("slapd")]

TIMEOUT = 2


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Place]:
    overrides = {
        "MODELWARD_COLLECTOR__AUTH__LDAP__TIMEOUT": f"{TIMEOUT}s",
        "MODELWARD_COLLECTOR__AUTH__SESSION__RECHECK": "1s",
        "MODELWARD_COLLECTOR__AUTH__LOCKOUT__ADDRESS_FAILURES": "1000",
    }
    with deployed(tmp_path_factory.mktemp("site"), authority, many_logins=True, overrides=overrides) as running:
        yield running


@pytest.fixture(autouse=True)
def quick_refusals(place: Place) -> Iterator[None]:
    access = access_of(place)
    access.refusals_take = 0.0
    yield
    access.refusals_take = 1.0


def access_of(place: Place) -> Access:
    access = place.collector.access
    assert access is not None
    return access


def trail(place: Place) -> list[dict[str, Any]]:
    """The audit trail, oldest first."""
    wait_for(lambda: access_of(place).audit.waiting == 0, "the trail to be written")
    now = datetime.now(UTC)
    span = Span(now - timedelta(hours=1), now + timedelta(hours=1))
    return [dict(item) for item in reversed(place.collector.context.store.events(Alias.AUDIT, span, limit=1000).items)]


def counted(place: Place, outcome: str) -> float:
    text = place.collector.metrics.render().decode()
    (value,) = re.findall(rf'^modelward_logins_total{{outcome="{outcome}"}} (\S+)$', text, re.MULTILINE)
    return float(value)


def said(answer: Answer) -> str:
    """What the page says above its form."""
    (notice,) = re.findall(r'role="alert"[^>]*>(.*?)</div>', answer.text, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", notice).split())


# -- the form ------------------------------------------------------------------------------------------------------


def test_a_login_sets_a_cookie_for_this_host_alone_and_is_written_down(place: Place) -> None:
    before = counted(place, "success")
    browser = place.browser()
    answer = browser.log_in("ada", going_to="/logs?q=x")
    assert (answer.status, answer.header("location")) == (303, "/logs?q=x")
    (cookie,) = [line for line in answer.all("set-cookie") if line.startswith(f"{COOKIE}=")]
    assert cookie.partition(";")[2] == " Path=/; Secure; HttpOnly; SameSite=Lax"
    assert counted(place, "success") == before + 1
    record = trail(place)[-1]
    assert record["event"] == {"action": "login", "outcome": "success"}
    assert record["user"] == {"name": "ada", "roles": ["admin"]}
    assert record["source"] == {"ip": "127.0.0.1"}


@pytest.mark.parametrize(
    ("user", "password", "reason"),
    [
        ("ada", "wrong", "wrong_password"),
        ("no-such-person", PASSWORD, "unknown_user"),
        ("ada", "", "malformed"),
        ("", "x", "malformed"),
        ("*", PASSWORD, "unknown_user"),
    ],
)
def test_a_refusal_says_the_same_whatever_was_wrong_and_the_trail_says_what(
    place: Place, user: str, password: str, reason: str
) -> None:
    before = counted(place, reason)
    browser = place.browser()
    answer = browser.log_in(user, password)
    assert answer.status == 401
    expected = "That did not work. The user name or the password is not right, or the account is disabled."
    assert said(answer) == expected
    assert COOKIE not in browser.cookies
    assert counted(place, reason) == before + 1
    record = trail(place)[-1]
    assert record["event"] == {"action": "login", "outcome": "failure", "reason": reason}
    assert record["user"]["name"] == user
    access_of(place)._lockout.succeeded(user, "127.0.0.1")


def test_refusals_take_the_same_time(place: Place) -> None:
    access_of(place).refusals_take = 1.0
    took = {}
    for user, password in (("eddie", "wrong"), ("nobody-there", "wrong"), ("*", "x")):
        begun = time.monotonic()
        place.browser().log_in(user, password)
        took[user] = time.monotonic() - begun
    assert max(took.values()) - min(took.values()) < 0.2
    assert min(took.values()) >= 1.0


def test_what_was_typed_is_shown_again_but_never_as_markup_and_never_the_password(place: Place) -> None:
    answer = place.browser().log_in('<script>"x"</script>', "my-secret-password")
    assert 'value="&lt;script&gt;&#34;x&#34;&lt;/script&gt;"' in answer.text
    assert '<script>"x' not in answer.text
    assert "my-secret-password" not in answer.text


def test_a_form_of_another_browser_or_none_is_refused_though_the_password_is_right(place: Place) -> None:
    other = place.browser().get("/login").hidden
    for token in ({"token": ""}, {}, other):
        browser = place.browser()
        browser.get("/login")
        answer = browser.post("/login", {**token, "username": "ada", "password": PASSWORD})
        assert answer.status == 400
        assert COOKIE not in browser.cookies
    without_cookie = place.browser().post("/login", {**other, "username": "ada", "password": PASSWORD})
    assert without_cookie.status == 400
    assert trail(place)[-1]["event"]["reason"] == "bad_form"


def test_the_form_can_be_sent_again_after_a_refusal(place: Place) -> None:
    browser = place.browser()
    page = browser.log_in("ada", "wrong", going_to="/agents")
    answer = browser.post("/login", {**page.hidden, "username": "ada", "password": PASSWORD})
    assert (answer.status, answer.header("location")) == (303, "/agents")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_login_that_another_site_sends_is_refused(place: Place, site: str) -> None:
    assert place.browser().log_in("ada", **{"Sec-Fetch-Site": site}).status == 403


def test_a_login_never_goes_on_to_another_site(place: Place) -> None:
    for target in (
        "//evil.example/",
        "https://evil.example/",
        "/\\evil.example",
        "/%09/evil.example",
        "javascript:alert(1)",
    ):
        answer = place.browser().log_in("ada", going_to=target)
        assert (answer.status, answer.header("location")) == (303, "/")


def test_whoever_is_logged_in_needs_no_login(place: Place) -> None:
    answer = place.logged_in("ada").get("/login?next=/logs")
    assert (answer.status, answer.header("location")) == (303, "/logs")


def test_the_login_page_tells_nothing_of_the_models(place: Place) -> None:
    text = place.browser().get("/login").text
    assert "attention" not in text
    assert 'href="/checks"' not in text
    assert "openapi" not in text


# -- lock-out ------------------------------------------------------------------------------------------------------


def test_after_some_failures_even_the_right_password_has_to_wait(place: Place) -> None:
    place.slapd.add(uid("lea"), person("lea", PASSWORD))
    statuses = [place.browser().log_in("lea", "wrong").status for _ in range(5)]
    assert statuses == [401] * 5
    before = place.slapd.log.count(f'dn="{uid("lea")}"')
    for name in ("lea", "LEA", " lea "):
        answer = place.browser().log_in(name, PASSWORD)
        assert answer.status == 429
        assert said(answer).startswith("Too many attempts. Try again in")
        assert 1 <= int(answer.header("retry-after")) <= 6
    assert place.slapd.log.count(f'dn="{uid("lea")}"') == before
    records = [record["event"] for record in trail(place)[-5:]]
    assert {"action": "lockout", "outcome": "success"} in records
    assert records[-1]["reason"] == "locked_out"
    assert counted(place, "locked_out") >= 3


def test_a_name_that_is_nobodys_is_locked_out_just_the_same(place: Place) -> None:
    assert [place.browser().log_in("nobody-7", "wrong").status for _ in range(7)] == [401] * 5 + [429] * 2


# -- sessions ------------------------------------------------------------------------------------------------------


def test_a_logout_ends_the_session_also_for_whoever_copied_the_cookie(place: Place) -> None:
    browser = place.logged_in("eddie", anew=True)
    copied = dict(browser.cookies)
    answer = browser.post("/logout", {})
    assert (answer.status, answer.header("location")) == (303, "/login")
    assert COOKIE not in browser.cookies
    thief = place.browser()
    thief.cookies = copied
    assert thief.get("/").status == 303
    assert thief.get("/prometheus/graph").status == 303
    assert trail(place)[-1]["event"]["action"] == "logout"


def test_a_logout_survives_a_restart_of_the_collector(place: Place) -> None:
    browser, other = place.logged_in("eddie", anew=True), place.logged_in("ada", anew=True)
    copied = dict(browser.cookies)
    browser.post("/logout", {})
    trail(place)
    place.stop_collector()
    place.collector = place.start_collector()
    browser.cookies = copied
    wait_for(lambda: other.get("/").status == 200, "the collector to know which sessions ended")
    assert browser.get("/").status == 303


def test_a_logout_by_a_link_or_from_another_site_does_nothing(place: Place) -> None:
    browser = place.logged_in("vera", anew=True)
    assert browser.get("/logout").status in (404, 405)
    assert browser.post("/logout", {}, {"Sec-Fetch-Site": "cross-site"}).status == 403
    assert browser.get("/").status == 200


def test_two_cookies_of_the_name_are_none(place: Place) -> None:
    browser = place.logged_in("vera")
    token = browser.cookies[COOKIE]
    answer = place.browser().get("/", {"Cookie": f"{COOKIE}={token}; {COOKIE}={token}"})
    assert answer.status == 303


def test_a_session_signed_with_another_key_is_none(place: Place) -> None:
    session = access_of(place).sessions.read(place.logged_in("vera").cookies[COOKIE], time.time())
    assert session is not None
    forged = Signer(["x" * 64]).sign(PURPOSE, json.dumps([session.id, "ada", "ada", "", "", "admin", 1, 1, 1]).encode())
    assert place.browser().get("/", {"Cookie": f"{COOKIE}={forged}"}).status == 303


def test_a_session_that_was_not_used_is_over(place: Place) -> None:
    access = access_of(place)
    session = access.sessions.read(place.logged_in("vera").cookies[COOKIE], time.time())
    assert session is not None
    idle = access.sessions.token(replace(session, seen=session.seen - 16 * 60))
    assert place.browser().get("/", {"Cookie": f"{COOKIE}={idle}"}).status == 303


def test_use_renews_the_cookie_also_through_kibana_but_not_what_happens_by_itself(place: Place) -> None:
    access = access_of(place)
    session = access.sessions.read(place.logged_in("vera").cookies[COOKIE], time.time())
    assert session is not None
    token = access.sessions.token(replace(session, seen=session.seen - 10 * 60))
    for path in ("/", "/kibana/app/home"):
        cookie = {"Cookie": f"{COOKIE}={token}"}
        (renewed,) = place.browser().get(path, cookie).all("set-cookie")
        read = access.sessions.read(renewed.partition(";")[0].partition("=")[2], time.time())
        assert read is not None
        assert time.time() - read.seen < 60
        by_itself = {**cookie, "Kbn-System-Request": "true", "X-Modelward-Background": "1"}
        assert place.browser().get(path, by_itself).all("set-cookie") == []


# -- roles ---------------------------------------------------------------------------------------------------------


def test_a_viewer_reads_and_starts_nothing(place: Place) -> None:
    browser = place.logged_in("vera")
    assert browser.get("/checks").status == 200
    assert browser.post("/checks/run", {"model": "x", "check": "health"}).status == 403
    api = "/api/v1/models/x/checks/health/run"
    assert browser.request("POST", api, headers={"Accept": "application/json"}).status == 403
    assert trail(place)[-1]["event"]["action"] == "denied"
    assert place.logged_in("eddie").request("POST", api, headers={"Accept": "application/json"}).status == 404


def test_only_an_admin_ends_the_sessions_of_others(place: Place) -> None:
    victim = place.logged_in("eddie", anew=True)
    assert place.logged_in("vera").post("/audit/revoke", {"user": "eddie"}).status == 403
    assert victim.get("/").status == 200
    admin = place.logged_in("ada", anew=True)
    assert "eddie@" not in admin.get("/audit").text
    assert admin.post("/audit/revoke", {"user": "EDDIE"}).status == 303
    assert victim.get("/").status == 303
    assert victim.get("/kibana/").status == 303
    record = trail(place)[-1]
    assert (record["event"]["action"], record["user"]["name"], record["by"]) == ("revoked", "EDDIE", "ada")
    # Who may come in may come in again.
    place.cookies.pop("eddie", None)
    assert place.logged_in("eddie").get("/").status == 200


def test_metrics_are_for_who_has_the_key(place: Place) -> None:
    direct = Browser(place.collector_port, place.ca)
    assert direct.get("/metrics").status == 401
    key = place.secrets("collector-metrics-key")
    answer = direct.get("/metrics", {"Authorization": f"Bearer {key}"})
    assert answer.status == 200
    assert "modelward_logins_total" in answer.text


def test_a_script_with_the_api_key_does_what_an_editor_may(place: Place) -> None:
    direct = Browser(place.collector_port, place.ca)
    key = {"Authorization": f"ApiKey {place.secrets('collector-api-key')}", "Accept": "application/json"}
    assert direct.get("/api/v1/models", key).status == 200
    assert direct.get("/api/v1/models", {**key, "Authorization": "ApiKey wrong"}).status == 401
    assert direct.get("/audit", key).status == 403
    # Through the gateway nobody's Authorization counts.
    assert place.browser().get("/api/v1/models", key).status == 401


def test_what_programs_send_with_a_key_of_their_own_needs_no_login(place: Place) -> None:
    direct = Browser(place.collector_port, place.ca)
    key = {"Authorization": f"ApiKey {place.secrets('collector-alerts-key')}", "Accept": "application/json"}
    assert direct.get("/alerts/verify", key).status == 200
    assert direct.get("/alerts/verify").status == 401
    assert direct.get("/", key).status == 401
    assert direct.get("/healthz").status == 200


# -- who leaves ----------------------------------------------------------------------------------------------------


def test_who_leaves_the_group_loses_access_and_who_changes_it_gets_the_other_role(place: Place) -> None:
    place.slapd.add(uid("zoe"), person("zoe", PASSWORD, full_name="Zoe Zero"))
    place.slapd.replace(cn("viewers"), "member", uid("vera"), uid("zoe"))
    browser = place.logged_in("zoe", anew=True)
    assert browser.get("/prometheus/graph").status == 403
    place.slapd.replace(cn("admins"), "member", uid("ada"), uid("zoe"))
    wait_for(lambda: browser.get("/audit").status == 200, "the new role")
    place.slapd.replace(cn("admins"), "member", uid("ada"))
    wait_for(lambda: browser.get("/audit").status == 403, "the old role")
    place.slapd.replace(cn("viewers"), "member", uid("vera"))
    wait_for(lambda: browser.get("/").status == 303, "the session to end")
    assert browser.get("/kibana/").status == 303
    record = trail(place)[-1]
    assert (record["event"]["action"], record["user"]["name"]) == ("withdrawn", "zoe")
    place.slapd.remove(uid("zoe"))


def test_who_is_deleted_loses_access(place: Place) -> None:
    place.slapd.add(uid("yan"), person("yan", PASSWORD))
    place.slapd.replace(cn("viewers"), "member", uid("vera"), uid("yan"))
    browser = place.logged_in("yan", anew=True)
    place.slapd.remove(uid("yan"))
    wait_for(lambda: browser.get("/").status == 303, "the session to end")


# -- trouble -------------------------------------------------------------------------------------------------------


def test_while_the_directory_is_down_sessions_go_on_and_logins_are_told_so(place: Place) -> None:
    browser = place.logged_in("ada", anew=True)
    before = counted(place, "unavailable")
    place.slapd.stop()
    try:
        for standing in access_of(place)._standings.values():
            standing.ask_at = 0.0
        for path in ("/", "/kibana/", "/prometheus/graph"):
            assert browser.get(path).status == 200
        answer = place.browser().log_in("eddie")
        assert answer.status == 503
        assert said(answer).startswith("The directory does not answer. Nobody can log in until it does")
        assert answer.header("retry-after")
    finally:
        place.slapd.start()
    assert counted(place, "unavailable") == before + 1
    assert trail(place)[-1]["event"]["reason"] == "unavailable"
    assert place.browser().log_in("eddie").status == 303


def test_while_nobody_can_say_which_sessions_ended_none_from_before_counts(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = place.logged_in("ada", anew=True)
    ended = access_of(place).revocations

    def away() -> None:
        raise StoreUnavailableError("the store is away")

    with monkeypatch.context() as restarted:
        restarted.setattr(ended, "read", away)
        restarted.setattr(ended, "_whole_at", float("-inf"))
        restarted.setattr(ended, "_begun", time.time() + 1)
        for path in ("/", "/prometheus/graph"):
            answer = browser.get(path)
            assert (answer.status, bool(answer.header("retry-after"))) == (503, True)
    assert browser.get("/").status == 200


def test_a_directory_that_says_nothing_holds_up_logins_for_a_while_and_nothing_else(place: Place) -> None:
    browser = place.logged_in("ada", anew=True)
    settings = access_of(place).directory.settings
    with silent() as port:
        object.__setattr__(settings, "urls", (f"ldaps://127.0.0.1:{port}",))
        try:
            begun = time.monotonic()
            assert place.browser().log_in("eddie").status == 503
            assert time.monotonic() - begun < 2 * TIMEOUT
            begun = time.monotonic()
            assert browser.get("/static/console.css").status == 200
            assert time.monotonic() - begun < 1
            # The first request after that waits for the directory's word, and not for long.
            begun = time.monotonic()
            assert [browser.get("/").status for _ in range(3)] == [200] * 3
            assert time.monotonic() - begun < 2 * TIMEOUT
        finally:
            object.__setattr__(settings, "urls", (place.slapd.ldaps_url,))
    assert place.browser().log_in("eddie").status == 303
