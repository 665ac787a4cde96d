"""What the console says of a verdict that remembers: what changed, for how long, against what, what is not known."""

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

from collector.tests.console_fixture import NOW, app_of
from collector.tests.console_remembering import CHURN, CREEP, DAY, ODD, OFFERS, STEP, TODAY, Remembering, noted
from modelward_collector.api.answers import FindingAnswer
from modelward_collector.auth.current import current_session
from modelward_collector.auth.role import Role
from modelward_collector.auth.session import Session
from modelward_collector.checks.acceptance import AcceptanceKind
from modelward_collector.checks.result import Finding, Status
from modelward_collector.console import human
from modelward_collector.console.assets import load
from modelward_collector.console.changes import Change, learning_of, odd_marks, odd_windows
from modelward_collector.console.charts.heatmap import Cell, HeatRow
from modelward_collector.console.links import Links
from modelward_collector.console.pages.accept import accept_page
from modelward_collector.console.pages.feature import feature_page
from modelward_collector.console.site import STATE_WORDS, VERDICT_WORDS, Site
from modelward_collector.span import Span
from modelward_collector.store.acceptances import acceptances

links = Links()
OWN = {"origin": "http://collector.test"}
STRETCH = f"{ODD.isoformat()}/{(ODD + DAY).isoformat()}"


@pytest.fixture(scope="module")
def remembering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remembering]:
    made = Remembering(tmp_path_factory.mktemp("remembering") / "store.db", every=4 * DAY)
    yield made
    made.store.close()


@pytest.fixture
def browse(remembering: Remembering) -> Iterator[TestClient]:
    remembering.store.save_result(noted(remembering.drift(CHURN)))
    with TestClient(app_of(remembering.context()), base_url="http://collector.test", follow_redirects=False) as client:
        yield client


def words(text: str) -> str:
    plain = re.sub(r"<title>.*?</title>|<[^>]+>", " ", text.partition("<main")[2])
    return " ".join(unescape(plain).replace("\u202f", " ").split())


def a_finding(subject: str = "age", status: Status = Status.WARNING, **changes: Any) -> Finding:
    made = Finding(subject, "drift", status, f"{subject} rose: mean 1 → 2 (+0.5 sd)", 0.3, 0.025, 1e-4, since=NOW - DAY)
    return replace(made, **changes)


# -- the model's page --------------------------------------------------------------------------------------------------
def test_at_a_glance_what_changed_since_when_for_how_long_how_sure_and_against_what(browse: TestClient) -> None:
    said = words(browse.get(links.model(CHURN)).text)
    panel = said[said.index("What changed") : said.index("Over time")]
    assert re.search(
        rf"age rose: mean 4\d.*? → .*? sd\) {STEP.day} Nov 2013 \d\d:\d\d for 1[12] days "
        r"(less than )?1 in .*? The last \w+ with \d+ (week)?days.*?; 1\d windows left out, something drifted in them",
        panel,
    )
    assert re.search(
        rf"tenure rises by 0.012 sd a day since {CREEP.day} {CREEP:%b} \(0.36 sd in all\) "
        rf"{CREEP.day} {CREEP:%b} 2013 00:00 for \d+ days 1 in 42 million The last day with 28 days",
        panel,
    )
    assert f"{ODD.day} Nov 2013 is unlike the other 27 days in mean of amount ; left out of what is normal." in panel
    assert "Accept as the new normal" in panel
    assert "plan" not in panel


def test_each_change_leads_to_its_feature(browse: TestClient) -> None:
    text = browse.get(links.model(CHURN)).text
    table = text.partition('class="list stack changes"')[2].partition("</table>")[0]
    assert re.findall(r'<a href="([^"]*)"', table) == [links.feature(CHURN, "age"), links.feature(CHURN, "tenure")]


def test_what_does_not_show_in_this_window_is_not_called_sure() -> None:
    assert Change(a_finding(p_value=0.3), NOW).sure == ""
    assert Change(a_finding(p_value=None), NOW).sure == ""
    assert Change(a_finding(), NOW).sure == "1 in 10\u202f000"
    assert Change(a_finding(status=Status.OK), NOW).sure == ""


@pytest.mark.parametrize(
    ("message", "detail", "what"),
    [
        ("x rose: 1 → 2, for 12 days", {}, "x rose: 1 → 2"),
        ("x rose, since about 09:40 (09:20 to 10:05), for 1 day", {"change": {}}, "x rose"),
        ('x: ", since " rose 1% → 3%', {}, 'x: ", since " rose 1% → 3%'),
        ("x rose (nights are known from Thursday on)", {"learning": "nights are known from Thursday on"}, "x rose"),
    ],
)
def test_what_changed_is_said_without_what_stands_beside_it(message: str, detail: dict[str, Any], what: str) -> None:
    moments = {"at": None, "low": None, "high": "2013-11-19T10:05:00Z"}
    detail = {name: moments if name == "change" else value for name, value in detail.items()}
    assert Change(a_finding(message=message, detail=detail), NOW).what == what


# -- the feature's page ------------------------------------------------------------------------------------------------
def test_a_feature_says_how_long_how_sure_and_what_was_left_out(browse: TestClient) -> None:
    said = words(browse.get(links.feature(CHURN, "age")).text)
    assert re.search(r"Compared with \d+ (week)?days.*? \(1\d left out\)", said)
    assert re.search(r"For 1[12] days By chance (less than )?1 in ", said)
    assert re.search(r"1\d windows are left out because it drifted in them", said)
    said = words(browse.get(links.feature(CHURN, "visits")).text)
    assert "Drawn as the reference: 20 weekdays; weekdays and weekends differ, and like is compared with like." in said


def test_odd_windows_are_listed_with_their_button_and_drawn(browse: TestClient) -> None:
    text = browse.get(links.feature(CHURN, "amount")).text
    assert f"{ODD.day} Nov 2013 unlike the other 27 days in mean Put back" in words(text)
    assert f'href="{links.accept(CHURN, feature="amount", put_back=STRETCH)}"' in unescape(text)
    assert f'<g class="moment odd"><title>{ODD.day} Nov 2013 is unlike the other 27 days in mean; left out' in text
    assert 'id="left-out"' not in browse.get(links.feature(CHURN, "plan")).text


def test_the_reference_that_is_drawn_is_what_was_compared(browse: TestClient, remembering: Remembering) -> None:
    drift = noted(remembering.drift(CHURN))
    comparisons = Site(remembering.context()).comparisons

    def mean(name: str) -> float:
        sides = comparisons.sides(drift, name)
        assert sides.reference is not None
        assert sides.reference.numeric is not None
        return sides.reference.numeric.moments.mean

    assert mean("amount") == pytest.approx(120, abs=0.7)  # 122 with the odd day
    assert mean("visits") == pytest.approx(5, abs=0.1)  # 5.9 with weekends
    assert mean("age") == pytest.approx(41, abs=0.3)  # 44 with the days since it drifts
    window = comparisons.sides(drift, "amount").compared.window.span
    assert window == Span(TODAY - DAY, TODAY)


@pytest.mark.parametrize(("odd_day", "mean"), [(True, 120), (False, 120 + 60 / 28)])
def test_a_week_is_drawn_beside_the_days_that_it_was_compared_with(
    remembering: Remembering, odd_day: bool, mean: float
) -> None:
    odd = [{"start": f"{ODD:%FT%TZ}", "end": f"{ODD + DAY:%FT%TZ}", "what": "mean", "instead": f"{ODD - DAY:%FT%TZ}"}]
    week = {"start": f"{TODAY - 7 * DAY:%FT%TZ}", "end": f"{TODAY:%FT%TZ}"}
    detail = {"window": week, "compared_with": "4 stretches of 7 days", "odd": odd if odd_day else []}
    drift = replace(remembering.drift(CHURN), findings=(a_finding("amount", detail=detail),))
    sides = Site(remembering.context()).comparisons.sides(drift, "amount")
    assert sides.compared.window.span == Span(TODAY - 7 * DAY, TODAY)
    assert sides.reference is not None
    assert sides.reference.numeric is not None
    assert sides.reference.numeric.moments.mean == pytest.approx(mean, abs=0.5)
    assert sides.reference.rows == 28 * 24 * 120


# -- putting back ------------------------------------------------------------------------------------------------------
def test_an_odd_window_is_put_back_after_a_step_that_says_what_will_happen(
    browse: TestClient, remembering: Remembering
) -> None:
    address = links.accept(CHURN, feature="amount", put_back=STRETCH)
    page = browse.get(address).text
    assert "Put back into the reference" in words(page)
    assert f"amount is compared with its traffic of {ODD.day} Nov 2013 too from now on" in words(page)
    form = {name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)}
    assert browse.post(links.accept(CHURN), data=form, headers={"origin": "http://evil.test"}).status_code == 403
    other = {**form, "put_back": f"{(ODD - DAY).isoformat()}/{ODD.isoformat()}"}
    assert "changed=1" in browse.post(links.accept(CHURN), data=other, headers=OWN).headers["location"]
    assert acceptances(remembering.store, CHURN) == []
    answer = browse.post(links.accept(CHURN), data={**form, "reason": "a sale"}, headers=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{links.feature(CHURN, 'amount')}#left-out")
    (said,) = acceptances(remembering.store, CHURN)
    assert (said.kind, said.feature, said.window) == (AcceptanceKind.PUT_BACK, "amount", Span(ODD, ODD + DAY))
    assert f"{ODD.day} Nov 2013 put back into the reference, accepted by" in words(
        browse.get(links.feature(CHURN, "amount")).text
    )


@pytest.mark.parametrize("put_back", ["yesterday", f"{TODAY.isoformat()}/{ODD.isoformat()}", "2199-01-01"])
def test_what_cannot_be_put_back_is_said_and_has_no_form(browse: TestClient, put_back: str) -> None:
    page = browse.get(links.accept(CHURN, feature="amount", put_back=put_back)).text
    assert "There is nothing to put back here" in words(page)
    assert "<form" not in page.partition("<main")[2]
    answer = browse.post(links.accept(CHURN), data={"feature": "amount", "put_back": put_back}, headers=OWN)
    assert answer.status_code == 303
    assert "put_back=" in answer.headers["location"]


def test_a_viewer_sees_odd_windows_and_puts_none_back(browse: TestClient, remembering: Remembering) -> None:
    site = Site(remembering.context())
    token = current_session.set(Session("1", "vera", "uid=vera", "Vera", "", Role.VIEWER, 0.0, 0.0, 0.0))
    try:
        page = site.draw(feature_page(site, CHURN, "amount", {}))
        assert "unlike the other 27 days in mean" in words(page)
        assert "put_back=" not in page
        drawn = site.draw(accept_page(site, CHURN, {"feature": "amount", "put_back": STRETCH}))
        assert "Putting it back needs the role of an editor" in drawn
    finally:
        current_session.reset(token)


# -- still learning ----------------------------------------------------------------------------------------------------
def test_a_young_model_is_still_learning_wherever_its_state_is(browse: TestClient, remembering: Remembering) -> None:
    overview = words(browse.get("/").text)
    assert "1 Still learning" in overview
    assert re.search(rf"{OFFERS} .*? Still learning .*? learning 5 of 5", overview)
    assert OFFERS in words(browse.get("/?state=learning").text)
    page = browse.get(links.model(OFFERS)).text
    assert re.search(
        r"Still learning: weekdays .*?are known from \w+ \d+ November on\. Until then only what is gross is flagged",
        words(page),
    )
    assert "Accept as the new normal" not in page
    assert re.search(r'<rect class="learning"', page)
    result = words(browse.get(links.result(remembering.drift(OFFERS).id)).text)
    assert "Drift Still learning" in result
    assert "6 findings that ask for nothing" in result
    feature = words(browse.get(links.feature(OFFERS, "visits")).text)
    assert "Weekdays are known from" in feature or "Weekdays from" in feature


def test_what_is_not_known_is_said_once_with_how_many_features_it_is_of() -> None:
    nights, days = "nights are known from Thursday on", "weekends are known from Sunday on"
    found = [a_finding(str(n), Status.LEARNING, detail={"learning": nights if n else days}) for n in range(4)]
    assert [(one.words, len(one.features)) for one in learning_of([*found, a_finding()])] == [(nights, 3), (days, 1)]


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_a_word_a_colour_and_a_shape(status: Status) -> None:
    assert STATE_WORDS[status]
    assert VERDICT_WORDS[status]
    style = load()["console.css"].content.decode()
    assert f".state.{status.value} {{ color: var(--" in style
    if status is not Status.NO_DATA:
        assert f".glyph.{status.value} > :first-child {{ fill: var(--" in style


def test_the_api_knows_the_status_too() -> None:
    assert "learning" in FindingAnswer.model_json_schema()["$defs"]["Status"]["enum"]


def test_a_cell_of_what_is_learnt_has_no_level() -> None:
    strip = HeatRow([Cell(0, 0.9, False, "/r", "still learning", True), Cell(1, 0.9, False, "/r", "ok")], 2).draw("x")
    assert re.findall(r'<rect class="(\w+)"', strip) == ["learning", "q4"]


# -- odd windows -------------------------------------------------------------------------------------------------------
def odd(start: Any, what: str = "mean", length: timedelta = DAY) -> dict[str, str]:
    return {"start": start.isoformat(), "end": (start + length).isoformat(), "what": what}


def test_one_odd_day_of_several_features_is_one_line() -> None:
    first = a_finding("a", Status.OK, detail={"odd": [odd(ODD)], "compared_with": "27 days"})
    second = a_finding("b", detail={"odd": [odd(ODD, "share of x"), odd(TODAY)], "compared_with": "26 days"})
    newest, other = odd_windows([first, second])
    assert (newest.features, other.features, other.what) == (["b"], ["a", "b"], ["mean", "share of x"])
    moment: Any = type("Moment", (), {"year": 2013})
    assert other.unlike(moment) == f"{ODD.day} Nov is unlike the other 27 days in mean and share of x"
    assert [mark.kind for mark in odd_marks([newest, other], moment)] == ["odd", "odd"]


def test_where_kinds_of_days_differ_a_day_is_unlike_those_of_its_kind() -> None:
    kinds = [[0, 1, 2, 3, 4], [5, 6]]
    moment: Any = type("Moment", (), {"year": 2013})
    for more in ({"compared_with": "20 weekdays", "kinds": kinds}, {"compared_with": "20 weekdays"}):
        (one,) = odd_windows([a_finding(detail={"odd": [odd(ODD)], **more})])
        assert one.unlike(moment) == f"{ODD.day} Nov is unlike other days of its kind in mean"


def test_a_day_that_is_left_out_of_weeks_is_not_counted_with_them() -> None:
    moment: Any = type("Moment", (), {"year": 2013})
    of_weeks = {"odd": [odd(ODD), odd(TODAY, length=7 * DAY)], "compared_with": "5 stretches of 7 days"}
    week, day = odd_windows([a_finding(detail=of_weeks)])
    assert day.unlike(moment) == f"{ODD.day} Nov is unlike other days of its kind in mean"
    assert "unlike the other 6 windows" in week.unlike(moment)


# -- words -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("p", "said"),
    [
        (None, "–"),
        (0.3, "1 in 3"),
        (0.004, "1 in 250"),
        (1e-4, "1 in 10 000"),
        (1.27e-5, "1 in 79 000"),
        (2.4e-8, "1 in 42 million"),
        (7e-7, "1 in 1.4 million"),
        (1e-12, "less than 1 in a billion"),
        (0.0, "less than 1 in a billion"),
    ],
)
def test_how_rare_something_is_by_chance(p: float | None, said: str) -> None:
    assert human.chance(p).replace("\u202f", " ") == said


def test_how_long_something_goes_on_is_in_whole_days_or_hours() -> None:
    lengths = [timedelta(days=12, hours=5), timedelta(days=1), timedelta(hours=5, minutes=59), timedelta(minutes=3)]
    assert [human.lasting(one) for one in lengths] == ["12 days", "1 day", "5 hours", ""]
    assert [human.last(one) for one in (timedelta(hours=1), DAY, 7 * DAY)] == [
        "the last hour",
        "the last day",
        "the last 7 days",
    ]


def test_the_fixture_is_of_the_newest_engine(remembering: Remembering, tmp_path: Path) -> None:
    assert remembering.drift(CHURN).memory
    assert {finding.status for finding in remembering.drift(OFFERS).findings} == {Status.LEARNING}
