"""The console's pages over a real store: what they say, where they lead, and what they do with hostile names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from collector.tests.console_fixture import (
    CREDIT,
    FLIGHTS,
    NOW,
    STRANGE,
    STRANGE_FEATURE,
    Filled,
    FilledEngine,
    ListedRegistry,
    ListedScheduler,
    app_of,
    context_of,
)
from modelward_collector.checks.result import CheckKind
from modelward_collector.console import not_found
from modelward_collector.console.links import Links
from modelward_collector.context import Context
from modelward_collector.span import Span
from modelward_collector.store.protocol import StoreUnavailableError
from modelward_collector.store.sqlite import SqliteStore

links = Links()
OWN = {"origin": "http://collector.test"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    made = Filled(tmp_path_factory.mktemp("console") / "store.db", days=40, extra=2)
    yield made
    made.store.close()


@pytest.fixture(scope="module")
def browse(filled: Filled) -> Iterator[TestClient]:
    with client_of(filled.context()) as client:
        yield client


def client_of(context: Context) -> TestClient:
    return TestClient(app_of(context), base_url="http://collector.test", follow_redirects=False)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "empty.db")
    store.setup()
    yield store
    store.close()


class _Markup(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def markup(text: str) -> _Markup:
    parser = _Markup()
    parser.feed(text)
    return parser


def words(text: str) -> str:
    """What a reader sees, on one line."""
    return re.sub(r"\s+", " ", " ".join(markup(text).texts)).replace("\u202f", " ")


def every_page(client: TestClient, filled: Filled) -> list[str]:
    """The addresses of a page of each kind, for every model."""
    addresses = ["/", "/checks", "/agents", "/logs", "/models/none"]
    addresses += [links.model(model, window="all", features="all") for model in filled.specs]
    addresses += [links.feature(FLIGHTS, "carrier"), links.feature(FLIGHTS, "dep_delay", window="all")]
    addresses += [links.feature(STRANGE, name) for name in (STRANGE_FEATURE, "a/b c?d=e&f#g", "..")]
    addresses += [links.result(result.id) for result in filled.store.latest_results()]
    return addresses


# -- overview -------------------------------------------------------------------------------------------------------


def test_the_overview_says_of_each_model_how_it_stands(browse: TestClient) -> None:
    said = words(browse.get("/").text)
    assert "3 models watched." in said
    for model in (FLIGHTS, CREDIT, STRANGE):
        assert model in said
    row = said.split(FLIGHTS)[1].split(STRANGE)[0].split(CREDIT)[0]
    for expected in ("operations", "tier 1", "Critical", "of 10 features", "MAE", "visibility: missing"):
        assert expected in row


def test_a_state_is_a_shape_and_a_word_beside_its_colour(browse: TestClient) -> None:
    text = browse.get("/").text
    for state in re.findall(r'<span class="state [a-z_]+">(.*?)</span>', text):
        assert "<svg" in state
        assert re.sub(r"<svg.*?</svg>", "", state).strip()


def test_a_model_without_a_file_is_marked_and_says_how_to_configure_it(browse: TestClient) -> None:
    text = browse.get("/").text
    assert "Not configured" in words(text)
    assert "models.d" in words(text)
    assert "modelward check-config" in words(text)


@pytest.mark.parametrize(
    ("query", "shown"),
    [("state=critical", {FLIGHTS}), ("owner=risk", {CREDIT}), ("q=FLIGHT", {FLIGHTS}), ("q=nothing", set())],
)
def test_the_query_string_filters_models(browse: TestClient, query: str, shown: set[str]) -> None:
    text = browse.get(f"/?{query}").text
    listed = {unescape(name) for name in re.findall(r'<a class="name"[^>]*title="([^"]*)"', text)}
    assert shown <= listed
    assert listed - shown <= {STRANGE}
    if not shown:
        assert "No model matches this filter." in words(text)


def test_where_agents_look_at_days_the_overview_does_not_make_up_hours(filled: Filled) -> None:
    context = filled.context()
    coarse: Any = SimpleNamespace(listen=context.config.listen, agents=SimpleNamespace(window=timedelta(days=1)))
    with client_of(replace(context, config=coarse)) as client:
        text = client.get("/").text
    assert f"Rows of {CREDIT} in a day each" in text
    assert re.search(r'aria-label="Rows of credit-risk in an hour each', text) is None


def test_an_empty_collector_tells_how_to_send_the_first_prediction(empty: SqliteStore) -> None:
    with client_of(context_of(empty, [], None)) as client:
        said = words(client.get("/").text)
        assert "No model has sent anything yet" in said
        assert "Recorder(" in said
        for path, expected in (
            ("/checks", "Nothing is scheduled yet"),
            ("/agents", "No agent has been heard of"),
            ("/logs", "No logs have come"),
        ):
            assert expected in words(client.get(path).text)


def test_a_configured_model_without_traffic_has_a_page_of_words(empty: SqliteStore, filled: Filled) -> None:
    with client_of(context_of(empty, [filled.specs[FLIGHTS]], FilledEngine(filled))) as client:
        assert "not judged yet" in words(client.get("/").text)
        said = words(client.get(links.model(FLIGHTS)).text)
    for expected in (
        "No drift check has judged a feature",
        "Distributions appear here",
        "No labels have come",
        "No rows in this span",
        "has not run yet",
        "carry no segment",
    ):
        assert expected in said


def test_a_model_file_that_cannot_be_used_is_told_on_every_page(empty: SqliteStore) -> None:
    context = context_of(empty, [], None)
    errors = {"fraud.yml": ['models.d/fraud.yml: checks.drift.window: "5x" is not a duration; write for example 5m']}
    registry: Any = ListedRegistry([], errors)
    with client_of(replace(context, registry=registry)) as client:
        for path in ("/", "/checks", "/logs"):
            said = words(client.get(path).text)
            assert '"5x" is not a duration' in said
            assert "1 model file cannot be used" in said


def test_many_models_are_paged(empty: SqliteStore, filled: Filled) -> None:
    specs = [filled.specs[CREDIT].model_copy(update={"model": f"m{index:03d}"}) for index in range(205)]
    with client_of(context_of(empty, specs, None)) as client:
        last = client.get("/?page=3").text
        assert "Page 3 of 3, 205 models" in words(last)
        assert len(re.findall(r'class="name"', last)) == 5
        assert (client.get("/?page=99999")).status_code == 200


# -- a model --------------------------------------------------------------------------------------------------------


def test_a_models_page_names_dates_and_draws_its_drift(browse: TestClient) -> None:
    text = browse.get(links.model(FLIGHTS)).text
    said = words(text)
    assert "features drifted: " in said
    assert re.search(r"since \d+ (Oct|Nov) 2013", said)
    for panel in ("Drift of features", "What drifts now", "Performance", "Traffic", "Data quality", "Segments"):
        assert panel in said
    names = re.findall(r'class="heat-name"[^>]*title="([^"]*)"', text)
    assert {"carrier", "visibility"} <= set(names[:4])


def test_each_cell_of_the_heatmap_leads_to_its_result(browse: TestClient) -> None:
    text = browse.get(links.model(FLIGHTS)).text
    strip = re.search(r'<svg class="strip".*?</svg>', text, re.DOTALL)
    assert strip is not None
    addresses = [unescape(address) for address in re.findall(r'<a href="([^"]*)"', strip.group())]
    assert len(addresses) >= 20
    answer = browse.get(addresses[0])
    assert answer.status_code == 200
    assert "Drift" in words(answer.text)


@pytest.mark.parametrize("window", ["24h", "7d", "30d", "1y", "all", "nonsense"])
def test_every_window_can_be_picked(browse: TestClient, window: str) -> None:
    answer = browse.get(links.model(FLIGHTS, window=window))
    assert answer.status_code == 200
    chosen = re.findall(r'aria-current="true" title="([^"]*)"', answer.text)
    expected = {"24h": "24 hours", "7d": "7 days", "30d": "30 days", "1y": "1 year"}.get(window, "All")
    assert chosen[0] == expected


def test_performance_has_its_interval_its_threshold_and_a_choice_of_metrics(browse: TestClient) -> None:
    text = browse.get(links.model(FLIGHTS, metric="rmse")).text
    assert "RMSE over time with its confidence interval" in text
    text = browse.get(links.model(FLIGHTS)).text
    assert "should be at most 16" in words(text)
    assert 'class="threshold"' in text
    assert 'class="band current"' in text
    assert "Predictions whose label is in" in words(text)


def test_what_is_estimated_before_labels_are_in_is_drawn_beside_what_came(browse: TestClient) -> None:
    text = browse.get(links.model(FLIGHTS, metric="mae")).text
    assert "and as estimated before labels are in" in text
    assert 'class="line estimated"' in text
    assert 'class="band estimated"' in text
    assert "past estimates were off by 0.5" in text
    assert 'class="line estimated"' not in browse.get(links.model(FLIGHTS, metric="rmse")).text


def test_versions_stand_side_by_side_on_the_same_axes(browse: TestClient) -> None:
    text = browse.get(links.model(FLIGHTS, window="all")).text
    cards = re.findall(r'<article class="version">.*?</article>', text, re.DOTALL)
    assert len(cards) == 2
    scales = [re.findall(r'<text class="tick end"[^>]*>([^<]*)<', card) for card in cards]
    assert scales[0] == scales[1]


def test_segments_have_their_rows_and_what_drifts_in_them(browse: TestClient) -> None:
    said = words(browse.get(links.model(FLIGHTS)).text)
    segments = said.split("Segments")[-1]
    for origin in ("EWR", "JFK", "LGA"):
        assert f"origin = {origin}" in segments
    assert "carrier" in segments


# -- a feature ------------------------------------------------------------------------------------------------------


def test_a_feature_has_distribution_score_tests_counts_and_segments(browse: TestClient) -> None:
    text = browse.get(links.feature(FLIGHTS, "visibility")).text
    said = words(text)
    for expected in (
        "Drifting",
        "Kolmogorov-Smirnov",
        "decided",
        "Missing",
        "NaN",
        "Median",
        "origin = JFK",
        "floor 0.0",
    ):
        assert expected in said
    assert 'class="line reference"' in text
    assert 'class="line current"' in text


def test_new_and_vanished_categories_are_named(browse: TestClient) -> None:
    said = words(browse.get(links.feature(FLIGHTS, "carrier")).text)
    assert re.search(r"New\s+(B7\s+)?Æroflot", said)
    assert re.search(r"Vanished\s+(B6\s+)?AA", said)


def test_a_feature_can_be_seen_as_a_past_result_saw_it(browse: TestClient, filled: Filled) -> None:
    weeks = Span(NOW - timedelta(days=14), NOW)
    oldest = filled.store.results(weeks, model=FLIGHTS, check=CheckKind.DRIFT).items[-1]
    answer = browse.get(links.feature(FLIGHTS, "temperature", result=oldest.id))
    assert "This is a past result." in words(answer.text)
    gone = browse.get(links.feature(FLIGHTS, "temperature", result="flight-delay~gone"))
    assert gone.status_code == 404


# -- results, checks, agents, logs ----------------------------------------------------------------------------------


def test_a_verdict_shows_the_numbers_behind_it_and_links_its_json(browse: TestClient, filled: Filled) -> None:
    result = next(
        item for item in filled.store.latest_results() if item.model == FLIGHTS and item.check is CheckKind.DRIFT
    )
    text = browse.get(links.result(result.id)).text
    assert f'href="/api/v1/results/{result.id}"' in text
    said = words(text)
    for expected in ("What drifts", "Findings", "carrier", "Bound", "Numbers"):
        assert expected in said
    ranks = re.findall(r'<td><span class="state (\w+)"', text)
    order = ["error", "critical", "warning", "no_data", "ok"]
    assert ranks == sorted(ranks, key=order.index)


def test_checks_that_fail_or_are_overdue_come_first_and_say_why(browse: TestClient) -> None:
    said = words(browse.get("/checks").text)
    assert "1 failing, 2 overdue" in said
    assert said.index("it was not written whole") < said.index("credit-risk")
    assert "last success 5 d ago" in said
    assert "Running" in said


def test_the_number_of_checks_in_trouble_is_on_every_page(browse: TestClient) -> None:
    for path in ("/", "/logs"):
        assert re.search(r'id="attention">2<', browse.get(path).text)


def test_run_now_runs_the_check_and_shows_its_verdict(browse: TestClient) -> None:
    answer = browse.post("/checks/run", data={"model": FLIGHTS, "check": "drift"}, headers=OWN)
    assert answer.status_code == 303
    page = browse.get(answer.headers["location"])
    assert "on demand" in words(page.text)


@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": "http://evil.test"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"},
     {"sec-fetch-site": "cross-site", "origin": "http://collector.test"}],
)  # fmt: skip
def test_a_form_of_another_site_runs_nothing(filled: Filled, headers: dict[str, str]) -> None:
    context = filled.context()
    with client_of(context) as client:
        answer = client.post("/checks/run", data={"model": FLIGHTS, "check": "drift"}, headers=headers)
    assert answer.status_code == 403
    engine: Any = context.engine
    assert engine.runs == []


@pytest.mark.parametrize(
    "form", [{"model": "none", "check": "drift"}, {"model": FLIGHTS, "check": "x"}, {}, {"x": "y" * 9_000}]
)
def test_a_run_of_what_is_not_there_is_a_page_that_says_so(browse: TestClient, form: dict[str, str]) -> None:
    answer = browse.post("/checks/run", data=form, headers=OWN)
    assert answer.status_code == 404
    assert "There is no" in words(answer.text)


def test_agents_show_lag_losses_and_who_is_silent(browse: TestClient) -> None:
    said = words(browse.get("/agents").text)
    assert "2 hosts, 1 silent" in said
    assert said.index("web2.flights") < said.index("web1.flights")
    for expected in ("Silent", "18.4 kB", "1.3 M", "connection refused", "12"):
        assert expected in said


def test_probes_show_what_they_found_and_when_certificates_end(browse: TestClient) -> None:
    said = words(browse.get("/agents").text).split("Probes")[1]
    assert said.index("certificate") < said.index("model server")
    for expected in ("TLS", "expires in 9 days", "in 9 d", "31 ms", "https://m:8443/healthz answered 200"):
        assert expected in said


def test_logs_are_filtered_by_text_model_and_kind(browse: TestClient) -> None:
    everything = words(browse.get("/logs").text)
    assert "ValueError" in everything
    assert "<i>request 5</i> took long" in everything
    errors = words(browse.get("/logs?errors=1").text)
    assert "request 0" in errors
    assert "request 1" not in errors
    one = words(browse.get("/logs?q=request+4").text)
    assert "request 4" in one
    assert "request 5" not in one
    assert "No log line matches" in words(browse.get("/logs?q=nosuchword").text)
    assert "No log line matches" in words(browse.get(f"/logs?model={CREDIT}").text)


# -- what holds for every page --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/models/none", "/models/none/features/x", "/models/a/b/c", "/results/none", "/results/a/b~c", "/static/none.css",
     links.feature(FLIGHTS, "none")],
)  # fmt: skip
def test_what_is_not_there_is_a_page_with_status_404(browse: TestClient, path: str) -> None:
    answer = browse.get(path)
    assert answer.status_code == 404
    assert "Not found" in words(answer.text)
    assert "All models" in words(answer.text)


def test_an_address_that_no_route_knows_has_a_page_too(filled: Filled) -> None:
    answer = not_found(filled.context(), "/nowhere/at<b>all")
    assert answer.status_code == 404
    assert "There is no page at /nowhere/at<b>all." in words(bytes(answer.body).decode())


def test_hostile_names_are_text_and_their_links_lead_to_them(browse: TestClient, filled: Filled) -> None:
    for address in every_page(browse, filled):
        page = markup(browse.get(address).text)
        scripts = [attributes for tag, attributes in page.tags if tag == "script"]
        assert all((attributes.get("src") or "").startswith("/static/") for attributes in scripts)
        handlers = [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
        assert handlers == []
        assert "style" not in {name for _, attributes in page.tags for name in attributes}
    model = browse.get("/").text
    (leads_to,) = {
        attributes["href"]
        for tag, attributes in markup(model).tags
        if tag == "a" and attributes.get("title") == STRANGE and attributes.get("class") == "name"
    }
    text = browse.get(leads_to or "").text
    assert STRANGE in words(text)
    names = [attributes for tag, attributes in markup(text).tags if attributes.get("class") == "heat-name"]
    assert {attributes["title"] for attributes in names} >= {STRANGE_FEATURE, "..", "a/b c?d=e&f#g"}
    for attributes in names:
        feature = browse.get(attributes["href"] or "")
        assert feature.status_code == 200
        assert (attributes["title"] or "?") in "".join(markup(feature.text).texts)


def test_every_link_of_the_console_leads_somewhere(browse: TestClient, filled: Filled) -> None:
    addresses = set()
    for address in ("/", links.model(FLIGHTS), links.model(STRANGE), "/checks", "/logs"):
        for tag, attributes in markup(browse.get(address).text).tags:
            href = attributes.get("href") or ""
            if tag == "a" and not href.startswith(("#", "/api/")):
                addresses.add(href.split("#")[0])
    results = sorted(address for address in addresses if address.startswith("/results/"))
    for address in sorted(addresses - set(results)) + results[:10]:
        assert (browse.get(address)).status_code == 200, address


def test_nothing_is_loaded_from_elsewhere(browse: TestClient, filled: Filled) -> None:
    for address in every_page(browse, filled):
        page = markup(browse.get(address).text)
        for _, attributes in page.tags:
            for name in ("src", "href", "action", "xlink:href"):
                assert not re.match(r"(https?:)?//", attributes.get(name) or "")


def test_pages_are_valid_documents_with_one_heading_and_unique_ids(browse: TestClient, filled: Filled) -> None:
    for address in every_page(browse, filled):
        page = markup(browse.get(address).text)
        assert len([tag for tag, _ in page.tags if tag == "h1"]) == 1, address
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids)), address
        assert [attributes for tag, attributes in page.tags if tag == "html"] == [{"lang": "en"}]


def test_links_keep_the_prefix_of_a_reverse_proxy(filled: Filled) -> None:
    context = context_of(filled.store, list(filled.specs.values()), FilledEngine(filled), base_path="/modelward")
    with client_of(context) as client:
        for address in ("/", links.model(FLIGHTS), "/checks"):
            for _, attributes in markup(client.get(address).text).tags:
                for name in ("href", "src", "action"):
                    value = attributes.get(name)
                    assert value is None or value.startswith(("#", "/modelward/")), value


def test_files_are_kept_by_browsers_until_they_change(browse: TestClient) -> None:
    page = browse.get("/").text
    (address,) = re.findall(r'href="(/static/console.css[^"]*)"', page)
    answer = browse.get(address)
    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]
    again = browse.get("/static/console.css", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304
    assert (browse.get("/static/console.css?v=old")).headers["cache-control"] == "no-cache"


def test_a_store_that_does_not_answer_is_a_page_that_says_so(filled: Filled) -> None:
    class Silent:
        def __getattr__(self, name: str) -> Any:
            def ask(*_: Any, **__: Any) -> Any:
                raise StoreUnavailableError("Elasticsearch at https://es:9200 does not answer; look at its log")

            return ask

    context = replace(filled.context(), store=Silent())
    with client_of(context) as client:
        for address in ("/", links.model(FLIGHTS), "/agents", "/logs"):
            answer = client.get(address)
            assert answer.status_code == 503
            assert "https://es:9200 does not answer" in words(answer.text)


def test_a_scheduler_that_stands_by_or_has_died_is_told(filled: Filled) -> None:
    scheduler: Any = ListedScheduler(filled.entries())
    context = replace(filled.context(), scheduler=scheduler)
    with client_of(context) as client:
        scheduler.holds_lease = False
        assert "Another collector holds the schedule" in words(client.get("/checks").text)
        scheduler.running = False
        assert "The scheduler does not run" in words(client.get("/checks").text)
