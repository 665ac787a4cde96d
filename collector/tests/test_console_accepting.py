"""Accepting a drift on the console: refusals first, then the step that says what will happen, then what pages show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from collector.tests.console_fixture import CREDIT, FLIGHTS, NOW, STRANGE, STRANGE_FEATURE, Filled, app_of
from modelward_collector.auth.current import current_session
from modelward_collector.auth.role import Role
from modelward_collector.auth.session import Session
from modelward_collector.checks.acceptance import Acceptance, AcceptanceKind
from modelward_collector.checks.result import CheckKind
from modelward_collector.console.accepted import accepted_lines, accepted_marks
from modelward_collector.console.charts import Line, Mark, Point, line_chart
from modelward_collector.console.links import Links
from modelward_collector.console.pages.audit import audit_page
from modelward_collector.console.site import Site
from modelward_collector.context import Context
from modelward_collector.span import Span
from modelward_collector.store.acceptances import accept, acceptances, new_id
from modelward_collector.store.protocol import StoreUnavailableError

links = Links()
OWN = {"origin": "http://collector.test"}
DAY = timedelta(days=1)
ACCEPT = links.accept(FLIGHTS)


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Filled]:
    made = Filled(tmp_path / "store.db", days=24, extra=0)
    yield made
    made.store.close()


@pytest.fixture
def context(filled: Filled) -> Context:
    return filled.context()


@pytest.fixture
def browse(context: Context) -> Iterator[TestClient]:
    with TestClient(app_of(context), base_url="http://collector.test", follow_redirects=False) as client:
        yield client


def words(text: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def hidden(text: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text)
    return {name: unescape(value) for name, value in found}


def an_acceptance(**changes: Any) -> Acceptance:
    made = Acceptance(new_id(), FLIGHTS, NOW - 6 * DAY, "ada", NOW - 4 * DAY, "carrier", reason="<i>merged</i>")
    return replace(made, **changes)


# -- refusals ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": "http://evil.test"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site", **OWN}],
)
def test_a_form_of_another_site_accepts_nothing(
    browse: TestClient, filled: Filled, context: Context, headers: dict[str, str]
) -> None:
    form = hidden(browse.get(ACCEPT).text)
    assert browse.post(ACCEPT, data=form, headers=headers).status_code == 403
    assert acceptances(filled.store, FLIGHTS) == []
    engine: Any = context.engine
    assert engine.runs == []


def test_to_look_at_the_page_accepts_nothing(browse: TestClient, filled: Filled) -> None:
    assert browse.get(ACCEPT, params={"seen": hidden(browse.get(ACCEPT).text)["seen"]}).status_code == 200
    assert acceptances(filled.store, FLIGHTS) == []


@pytest.mark.parametrize("form", [{}, {"seen": "x"}, {"reason": "y" * 9_000}])
def test_what_was_not_seen_is_not_accepted(browse: TestClient, filled: Filled, form: dict[str, str]) -> None:
    answer = browse.post(ACCEPT, data=form, headers=OWN)
    assert answer.status_code == 303
    assert "What drifts has changed since you looked" in words(browse.get(answer.headers["location"]).text)
    assert acceptances(filled.store, FLIGHTS) == []


def test_what_changed_since_it_was_seen_is_shown_anew_with_the_reason_kept(browse: TestClient, filled: Filled) -> None:
    form = {**hidden(browse.get(links.accept(FLIGHTS, feature="carrier")).text), "reason": "merged"}
    found = filled.store.latest_results()
    latest = next(item for item in found if (item.model, item.check, item.end) == (FLIGHTS, CheckKind.DRIFT, NOW))
    findings = [replace(item, since=NOW - timedelta(hours=9)) for item in latest.findings]
    filled.store.save_result(replace(latest, findings=tuple(findings)))
    answer = browse.post(ACCEPT, data=form, headers=OWN)
    page = browse.get(answer.headers["location"]).text
    assert "since 20 Nov 2013 03:00 from now on" in words(page)
    assert 'value="merged"' in page
    assert acceptances(filled.store, FLIGHTS) == []


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (links.accept(FLIGHTS, feature="carier"), "did you mean carrier?"),
        (links.accept(FLIGHTS, feature="hour"), "hour of flight-delay does not drift"),
        (links.accept(FLIGHTS, version="9"), 'has no version "9"'),
    ],
)
def test_what_cannot_be_accepted_is_said_and_has_no_form(
    browse: TestClient, filled: Filled, path: str, says: str
) -> None:
    page = browse.get(path).text
    assert says in words(page)
    assert "<form" not in page.split("<main")[1]
    feature = re.search(r"feature=(\w+)", path)
    answer = browse.post(ACCEPT, data={"feature": feature[1] if feature else "", "version": "9"}, headers=OWN)
    assert answer.status_code == 303
    assert acceptances(filled.store, FLIGHTS) == []


def test_nobodys_drift_is_a_page_that_is_not_there(browse: TestClient) -> None:
    assert browse.get(links.accept("nobody")).status_code == 404
    answer = browse.post(links.accept("nobody"), data={}, headers=OWN)
    assert browse.get(answer.headers["location"]).status_code == 404


def test_while_the_store_is_away_nothing_is_accepted(
    browse: TestClient, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = hidden(browse.get(ACCEPT).text)

    def away(_: object) -> None:
        raise StoreUnavailableError("the store is away")

    monkeypatch.setattr(context.store, "create", away)
    assert browse.post(ACCEPT, data=form, headers=OWN).status_code == 503


def test_a_viewer_sees_what_was_accepted_and_no_way_to_accept(filled: Filled, context: Context) -> None:
    accept(filled.store, an_acceptance())
    token = current_session.set(Session("1", "vera", "uid=vera", "Vera", "", Role.VIEWER, 0.0, 0.0, 0.0))
    try:
        from modelward_collector.console.pages.accept import accept_page
        from modelward_collector.console.pages.feature import feature_page
        from modelward_collector.console.pages.model import model_page

        site = Site(context)
        for page in (model_page(site, FLIGHTS, {}), feature_page(site, FLIGHTS, "carrier", {})):
            drawn = site.draw(page)
            assert "Accept as the new normal" not in drawn
            assert "accepted by ada" in drawn
        drawn = site.draw(accept_page(site, FLIGHTS, {}))
        assert "Accepting it needs the role of an editor" in drawn
        assert ACCEPT not in drawn
    finally:
        current_session.reset(token)


# -- accepting ---------------------------------------------------------------------------------------------------------
def test_the_step_before_says_of_each_thing_what_will_happen(browse: TestClient) -> None:
    assert f'href="{ACCEPT}"' in browse.get(links.model(FLIGHTS)).text
    said = words(browse.get(ACCEPT).text)
    for name in ("carrier", "visibility"):
        assert re.search(
            rf"{name} is compared with its traffic since \d+ \w+ 2013 \d\d:\d\d from now on; the reference begins anew",
            said,
        )
    assert "hour is compared" not in said


def test_what_drifts_is_accepted_without_a_script_and_checked_at_once(
    browse: TestClient, filled: Filled, context: Context
) -> None:
    form = {**hidden(browse.get(ACCEPT).text), "reason": "the new  routes"}
    answer = browse.post(ACCEPT, data=form, headers=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{links.model(FLIGHTS)}#changes")
    said = acceptances(filled.store, FLIGHTS)
    assert {"carrier", "visibility"} <= {one.feature for one in said}
    assert {(one.by, one.reason, one.at) for one in said} == {("someone at testclient", "the new routes", NOW)}
    engine: Any = context.engine
    assert engine.runs == [(FLIGHTS, CheckKind.DRIFT)]
    assert "accepted by someone at testclient on 20 Nov 2013 12:00 : the new routes" in words(
        browse.get(links.model(FLIGHTS)).text
    )


def test_one_feature_is_accepted_from_its_page(browse: TestClient, filled: Filled) -> None:
    page = links.feature(FLIGHTS, "carrier")
    address = links.accept(FLIGHTS, feature="carrier")
    assert f'href="{address}"' in browse.get(page).text
    answer = browse.post(ACCEPT, data=hidden(browse.get(address).text), headers=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, page)
    assert [one.feature for one in acceptances(filled.store, FLIGHTS)] == ["carrier"]


def test_names_may_hold_anything(browse: TestClient, filled: Filled) -> None:
    address = links.accept(STRANGE, feature=STRANGE_FEATURE)
    assert unescape(address) in unescape(browse.get(links.feature(STRANGE, STRANGE_FEATURE)).text)
    page = browse.get(address).text
    assert "<b onmouseover" not in page
    answer = browse.post(links.accept(STRANGE), data=hidden(page), headers=OWN)
    assert answer.headers["location"] == links.feature(STRANGE, STRANGE_FEATURE)
    assert [one.feature for one in acceptances(filled.store, STRANGE)] == [STRANGE_FEATURE]
    assert "<b onmouseover" not in browse.get(links.model(STRANGE)).text


def test_a_check_that_fails_afterwards_is_said_and_loses_nothing(
    browse: TestClient, filled: Filled, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = hidden(browse.get(ACCEPT).text)

    def fails(*_: object) -> None:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(context.engine, "run", fails)
    answer = browse.post(ACCEPT, data=form, headers=OWN)
    assert "The drift check that should have followed failed" in browse.get(answer.headers["location"]).text
    assert acceptances(filled.store, FLIGHTS)


def test_where_nothing_drifts_there_is_no_button(browse: TestClient) -> None:
    for page in (links.model(CREDIT), links.feature(FLIGHTS, "hour")):
        assert "Accept as the new normal" not in browse.get(page).text
    assert "nothing of credit-risk drifts" in words(browse.get(links.accept(CREDIT)).text)


def test_a_past_result_is_not_accepted(browse: TestClient, filled: Filled) -> None:
    past = filled.store.results(Span(NOW - 3 * DAY, NOW - 2 * DAY), model=FLIGHTS, check=CheckKind.DRIFT).items[-1]
    page = browse.get(links.feature(FLIGHTS, "carrier", result=past.id)).text
    assert "Accept as the new normal" not in page


# -- what pages show ---------------------------------------------------------------------------------------------------
def test_a_new_normal_is_said_on_both_pages_and_drawn_on_their_charts(browse: TestClient, filled: Filled) -> None:
    accept(filled.store, an_acceptance())
    said = "since 14 Nov 2013 12:00 , accepted by ada on 16 Nov 2013 12:00 : <i>merged</i>"
    note = "new normal of carrier since 14 Nov 2013 12:00, accepted by ada on 16 Nov 2013 12:00: &lt;i&gt;merged"
    model, feature = (browse.get(page).text for page in (links.model(FLIGHTS), links.feature(FLIGHTS, "carrier")))
    assert f"carrier : new normal {said}" in words(model)
    assert f"New normal {said}" in words(feature)
    for page in (model, feature):
        assert f'<g class="moment"><title>{note}' in page
        assert "<i>merged" not in page
    other = browse.get(links.feature(FLIGHTS, "hour")).text
    assert "accepted by ada" not in other
    assert 'class="moment"' not in other


def test_older_ones_are_folded_away(browse: TestClient, filled: Filled) -> None:
    accept(filled.store, *(an_acceptance(at=NOW - hours * timedelta(hours=1)) for hours in range(5)))
    page = browse.get(links.model(FLIGHTS)).text
    assert re.search(r'<details id="accepted-before"><summary>2 before</summary>', page)


def test_what_was_put_back_is_said_and_not_drawn(browse: TestClient, filled: Filled) -> None:
    window = Span(NOW.replace(hour=0) - 15 * DAY, NOW.replace(hour=0) - 13 * DAY)
    accept(
        filled.store,
        an_acceptance(kind=AcceptanceKind.PUT_BACK, window=window, since=window.start, feature=None, reason=""),
    )
    page = browse.get(links.model(FLIGHTS)).text
    assert "Everything : 5 to 6 Nov 2013 put back into the reference, accepted by ada" in words(page)
    assert 'class="moment"' not in page


def test_what_was_accepted_at_once_is_one_line() -> None:
    many = [an_acceptance(feature=f"f{number}") for number in range(6)]
    other = an_acceptance(feature="x", version="2", since=NOW - DAY)
    everything = an_acceptance(feature=None)
    assert [line.of for line in accepted_lines([*many, other, everything])] == [
        "everything",
        "x of 2",
        "f0, f1, f2, f3 and 2 more",
    ]


def test_the_audit_page_says_what_was_accepted(filled: Filled, context: Context) -> None:
    window = Span(NOW - 9 * DAY, NOW - 8 * DAY)
    accept(
        filled.store,
        an_acceptance(),
        an_acceptance(by="eddie", kind=AcceptanceKind.PUT_BACK, window=window, since=window.start),
    )
    site = Site(context)
    said = words(site.draw(audit_page(site, {}, [], None)))
    assert "New normal accepted ada – flight-delay: new normal of carrier since 2013-11-14 12:00 UTC: <i>merged" in said
    assert "Put back into reference eddie – flight-delay: 2013-11-11 12:00 to 2013-11-12 12:00 UTC belongs to" in said
    assert "New normal accepted" not in words(site.draw(audit_page(site, {"refusals": "1"}, [], None)))


# -- the mark on a chart -----------------------------------------------------------------------------------------------
def drawn(*marks: Mark) -> str:
    points = [Point(NOW - hours * timedelta(hours=1), float(hours)) for hours in range(10, -1, -1)]
    chart = line_chart(
        [Line("x", points)], label="x over time", span=Span(NOW - 10 * DAY / 24, NOW), year=2013, moments=marks
    )
    assert chart is not None
    return str(chart)


def test_a_moment_is_a_line_at_its_place_that_says_what_it_is() -> None:
    text = drawn(Mark(NOW - timedelta(hours=5), "new <normal>", "it's <so>"))
    assert re.search(r'<g class="moment"><title>it&#39;s &lt;so&gt;</title><line class="reach" x1="50.00%"', text)
    assert "new &lt;normal&gt;</text>" in text
    assert 'aria-label="x over time; it&#39;s &lt;so&gt;"' in text


def test_a_moment_outside_the_span_is_not_drawn_and_takes_no_room() -> None:
    assert drawn(Mark(NOW + DAY, "new normal", "no"), Mark(NOW - 2 * DAY, "new normal", "no")) == drawn()


def test_moments_of_one_place_are_one_line_and_names_do_not_meet() -> None:
    text = drawn(
        Mark(NOW - timedelta(hours=9), "new normal", "a"),
        Mark(NOW - timedelta(hours=9), "new normal", "b"),
        Mark(NOW - timedelta(hours=9) + timedelta(minutes=20), "new normal", "c"),
        Mark(NOW - timedelta(hours=7), "new normal", "d"),
        Mark(NOW, "new normal", "e"),
    )
    assert text.count('<g class="moment">') == 4
    assert "<title>a\nb</title>" in text
    assert re.findall(r'<text class="([\w ]+)" x="[\d.]+%" y="-6">new normal', text) == [
        "start",
        "start second",
        "end",
    ]


def test_marks_are_of_what_is_a_new_normal() -> None:
    window = Span(NOW - DAY, NOW)
    said = [an_acceptance(), an_acceptance(kind=AcceptanceKind.PUT_BACK, window=window)]
    moment: Any = type("Moment", (), {"year": 2013})
    (mark,) = accepted_marks(said, moment)
    assert mark.note == "new normal of carrier since 14 Nov 12:00, accepted by ada on 16 Nov 12:00: <i>merged</i>"
