"""Who may accept a drift where people log in: whoever may run checks, and under the own name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from collector.tests.collecting import send_traffic
from collector.tests.site import Browser, Place, deployed, wait_for
from modelward_collector.checks.result import CheckKind, Finding, Status
from modelward_collector.store.acceptances import acceptances
from tests.servers.certificates import Authority

pytestmark = [pytest.mark.server("nginx"), pytest.mark.server("slapd")]

API = "/api/v1/models/delay/accept"
PAGE = "/models/delay/accept"
JSON = {"Accept": "application/json", "Content-Type": "application/json", "Sec-Fetch-Mode": "cors"}
BEGAN = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=4)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Place]:
    with deployed(tmp_path_factory.mktemp("site"), authority) as running:
        context = running.collector.context
        send_traffic(context.store, BEGAN - timedelta(hours=4), 8, seconds=3600, rows=300)
        wait_for(lambda: context.registry.spec("delay"), "the model to be seen")
        context.engine.run("delay", CheckKind.DRIFT)
        yield running


def since(hours: int) -> str:
    return f'{{"since": "{(BEGAN - timedelta(hours=hours)).isoformat()}"}}'


def said(place: Place) -> list[str]:
    return [one.by for one in acceptances(place.collector.context.store, "delay")]


def test_without_a_session_nothing_is_accepted(place: Place) -> None:
    before = said(place)
    assert place.browser().request("POST", API, since(1), JSON).status == 401
    answer = place.browser().post(PAGE, {"since": BEGAN.isoformat()})
    assert (answer.status, answer.header("location")) == (303, "/login")
    assert said(place) == before


def test_a_viewer_reads_what_was_accepted_and_accepts_nothing(place: Place) -> None:
    before = said(place)
    browser = place.logged_in("vera")
    assert browser.request("POST", API, since(1), JSON).status == 403
    assert browser.post(PAGE, {"since": BEGAN.isoformat()}).status == 403
    assert browser.get("/api/v1/models/delay/acceptances", JSON).status == 200
    assert said(place) == before


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_cannot_accept_for_an_editor(place: Place, site: str) -> None:
    before = said(place)
    browser = place.logged_in("eddie")
    assert browser.request("POST", API, since(1), {**JSON, "Sec-Fetch-Site": site}).status == 403
    assert browser.post(PAGE, {"since": BEGAN.isoformat()}, {"Sec-Fetch-Site": site}).status == 403
    assert said(place) == before


def test_an_editor_accepts_under_the_own_name_whatever_the_request_says(place: Place) -> None:
    answer = place.logged_in("eddie").request("POST", API, since(2), JSON)
    assert answer.status == 201, answer.text
    assert said(place)[-1] == "eddie"
    by_another = '{"by": "ada", ' + since(1)[1:]
    assert place.logged_in("eddie").request("POST", API, by_another, JSON).status == 422


def test_an_editor_accepts_on_the_page_and_a_viewer_sees_what_would_happen(place: Place) -> None:
    store = place.collector.context.store
    (latest,) = (item for item in store.latest_results() if item.check is CheckKind.DRIFT)
    found = Finding("distance", "drift", Status.WARNING, "distance is larger", 0.3, 0.05, since=BEGAN)
    store.save_result(replace(latest, end=latest.end + timedelta(hours=1), findings=(found,)))
    page = place.logged_in("vera").get(PAGE)
    assert "distance</strong> is compared with its traffic since" in page.text
    assert "Accepting it needs the role of an editor" in page.text
    assert PAGE not in page.text
    assert "Accept as the new normal" not in place.logged_in("vera").get("/models/delay").text
    editor = place.logged_in("eddie")
    assert f'href="{PAGE}"' in editor.get("/models/delay").text
    answer = editor.post(PAGE, {**editor.get(PAGE).hidden, "reason": "by hand", "by": "ada"})
    assert (answer.status, answer.header("location")) == (303, "/models/delay#changes")
    last = acceptances(store, "delay")[-1]
    assert (last.by, last.feature, last.since, last.reason) == ("eddie", "distance", BEGAN, "by hand")


def test_a_script_accepts_as_the_key(place: Place) -> None:
    key = {**JSON, "Authorization": f"ApiKey {place.secrets('collector-api-key')}"}
    assert Browser(place.collector_port, place.ca).request("POST", API, since(3), key).status == 201
    assert said(place)[-1] == "the API key"


def test_the_audit_page_says_who_accepted_what(place: Place) -> None:
    place.logged_in("eddie").request("POST", API, since(2)[:-1] + ', "reason": "the new routes"}', JSON)
    page = place.logged_in("ada").get("/audit?user=eddie").text
    assert "New normal accepted" in page
    assert "delay: new normal of everything since" in page
    assert "the new routes" in page
    assert "New normal accepted" not in place.logged_in("ada").get("/audit?refusals=1").text
