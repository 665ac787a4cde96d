"""The console in a real Chromium: quiet, self-contained, live, readable, and within any screen."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, expect

from collector.tests.console_fixture import CREDIT, FLIGHTS, NOW, STRANGE, STRANGE_FEATURE, Filled, app_of
from modelward_collector.checks.result import CheckKind
from modelward_collector.console.links import Links
from modelward_collector.span import Span
from tests.servers.ports import free_port

SCREENSHOTS = Path(__file__).parents[1] / "build" / "screenshots"
WIDTHS = (390, 768, 1440)
links = Links()


class Served:
    """The console on a port of this machine, to be stopped and started again on the same one."""

    def __init__(self, filled: Filled) -> None:
        self.filled = filled
        self.port = free_port()
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        config = uvicorn.Config(app_of(self.filled.context()), port=self.port, log_level="warning")
        server = uvicorn.Server(config)
        self._thread = threading.Thread(target=server.run, daemon=True)
        self._thread.start()
        wait_for(lambda: server.started)
        self._server = server

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(10)
            self._server = None


def wait_for(condition: Any, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    filled = Filled(tmp_path_factory.mktemp("browser") / "store.db", days=60, extra=12)
    console = Served(filled)
    console.start()
    yield console
    console.stop()
    filled.store.close()


def pages(filled: Filled) -> dict[str, str]:
    """A page of each kind, by the name of its screenshot."""
    latest = filled.store.latest_results()
    drift = next(item for item in reversed(latest) if item.model == FLIGHTS and item.check is CheckKind.DRIFT)
    return {
        "overview": "/",
        "model": links.model(FLIGHTS),
        "model-year": links.model(FLIGHTS, window="1y"),
        "model-unconfigured": links.model(STRANGE),
        "feature": links.feature(FLIGHTS, "dep_delay"),
        "feature-categories": links.feature(FLIGHTS, "carrier"),
        "feature-strange": links.feature(STRANGE, STRANGE_FEATURE),
        "result": links.result(drift.id),
        "checks": "/checks",
        "agents": "/agents",
        "logs": "/logs",
        "not-found": "/models/none",
    }


@contextmanager
def open_page(browser: Browser, **options: Any) -> Iterator[tuple[BrowserContext, Page, list[str], list[str]]]:
    """A page, what its console said, and what it asked for."""
    context = browser.new_context(**options)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    try:
        yield context, page, said, asked
    finally:
        context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_says_nothing_to_the_console_and_asks_nobody_else(
    browser: Browser, served: Served, width: int, theme: Any
) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    size: Any = {"width": width, "height": 900}
    with open_page(browser, viewport=size, color_scheme=theme) as (_, page, said, asked):
        for name, path in pages(served.filled).items():
            page.goto(served.url + path)
            page.screenshot(path=SCREENSHOTS / f"{name}-{theme}-{width}.png", full_page=True)
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{name} is {wide} px too wide at {width} px"
            scrolling = page.evaluate(
                """() => [...document.querySelectorAll('main *')].filter(element =>
                    element.clientWidth > 0 && element.scrollWidth > element.clientWidth + 1
                    && ['auto', 'scroll'].includes(getComputedStyle(element).overflowX))
                    .map(element => element.className)"""
            )
            assert scrolling == [], f"{name} scrolls inside at {width} px: {scrolling}"
        errors = [text for text in said if "404" not in text]  # the missing page is one of them
        assert errors == []
        assert {url for url in asked if not url.startswith(served.url + "/")} == set()


def test_a_page_takes_the_readme_screenshot(browser: Browser, served: Served) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with open_page(browser, viewport={"width": 1280, "height": 1100}, device_scale_factor=2) as (_, page, _, _):
        page.goto(served.url + links.model(FLIGHTS))
        page.screenshot(path=SCREENSHOTS / "readme.png")
    assert (SCREENSHOTS / "readme.png").stat().st_size > 20_000


def test_text_has_contrast_in_both_themes(browser: Browser, served: Served) -> None:
    for theme in ("light", "dark"):
        with open_page(browser, color_scheme=theme) as (_, page, _, _):
            page.goto(served.url)
            colours = page.evaluate(
                """() => { const style = getComputedStyle(document.documentElement);
                    return Object.fromEntries(['page','surface','sunken','text','muted','accent','ok','warning',
                    'critical','error','current-text','ok-soft','warning-soft','critical-soft','error-soft','none-soft',
                    'accent-soft'].map(name => [name, style.getPropertyValue('--' + name).trim()])) }"""
            )
        texts = ("text", "muted", "accent", "ok", "warning", "critical", "error")
        pairs = [(text, ground) for text in texts for ground in ("page", "surface", "sunken")]
        pairs += [(name, f"{name}-soft") for name in ("ok", "warning", "critical", "error", "accent")]
        pairs += [("muted", "none-soft"), ("current-text", "surface")]
        poor = {
            f"{theme}: {text} on {ground}": round(contrast(colours[text], colours[ground]), 2)
            for text, ground in pairs
            if contrast(colours[text], colours[ground]) < 4.5
        }
        assert poor == {}


def contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast ratio of two `#rrggbb` colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_chosen_theme_stays_and_wins_over_the_systems(browser: Browser, served: Served) -> None:
    with open_page(browser, color_scheme="light") as (_, page, said, _):
        page.goto(served.url)
        ground = "getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(ground)
        page.click("#theme")
        dark = page.evaluate(ground)
        assert dark != light
        page.goto(served.url + "/checks")
        assert page.evaluate(ground) == dark
        page.click("#theme")
        assert page.evaluate(ground) == light
        assert said == []


def test_focus_by_keyboard_is_seen_and_reaches_everything_in_order(browser: Browser, served: Served) -> None:
    with open_page(browser, viewport={"width": 1440, "height": 900}) as (_, page, _, _):
        page.goto(served.url)
        seen = []
        for _ in range(14):
            page.keyboard.press("Tab")
            seen.append(
                page.evaluate(
                    """() => { const element = document.activeElement; const style = getComputedStyle(element);
                        return [element.textContent.trim().slice(0, 30), style.outlineStyle, style.outlineWidth] }"""
                )
            )
        assert seen[0][0] == "Skip to the content"
        assert [name for name, _, _ in seen[1:4]] == ["Modelward", "Models", "Checks 2"]
        assert all(style != "none" and float(width.removesuffix("px")) >= 2 for _, style, width in seen)


def test_the_heatmap_is_one_stop_a_feature_for_the_keyboard(browser: Browser, served: Served) -> None:
    with open_page(browser) as (_, page, _, _):
        page.goto(served.url + links.model(FLIGHTS))
        stops = page.evaluate("document.querySelectorAll('.heat a:not([tabindex=\"-1\"])').length")
        assert stops == page.evaluate("document.querySelectorAll('.heat-name').length") == 20


def test_the_page_follows_the_store_without_losing_place(browser: Browser, served: Served) -> None:
    filled = served.filled
    latest = next(
        item for item in filled.store.latest_results() if item.model == CREDIT and item.check is CheckKind.QUALITY
    )
    with open_page(browser, viewport={"width": 1440, "height": 500}) as (_, page, said, _):
        page.clock.install()
        page.goto(served.url + links.model(CREDIT))
        page.locator("#quality-fine summary").click()
        page.evaluate("document.querySelector('#quality-fine summary').focus()")
        before = page.evaluate("window.scrollY")
        assert before > 0
        filled.store.save_result(replace(latest, summary="every rule holds, seen live"))
        page.clock.fast_forward(5_001)
        expect(page.get_by_text("every rule holds, seen live").first).to_be_attached(timeout=15_000)
        assert page.evaluate("document.querySelector('#quality-fine').open")
        assert page.evaluate("document.activeElement.closest('#quality-fine') !== null")
        assert page.evaluate("window.scrollY") == before
        assert said == []


def test_a_lost_connection_is_told_with_the_last_update_and_comes_back_on_a_press(
    browser: Browser, served: Served
) -> None:
    with open_page(browser) as (_, page, _, asked):
        page.clock.install()
        page.goto(served.url)
        expect(page.locator("#live")).to_have_text("Live")
        served.stop()
        page.clock.fast_forward(5_001)
        expect(page.locator("#live")).to_contain_text("Connection lost, last updated", timeout=15_000)
        after = len(asked)
        expect(page.locator("h1")).to_have_text("Models")
        page.screenshot(path=SCREENSHOTS / "connection-lost.png")
        page.clock.fast_forward(60_000)
        assert len(asked) == after, "it goes on asking a server that does not answer"
        served.start()
        page.click("#live")
        expect(page.locator("#live")).to_have_text("Live", timeout=15_000)


def test_updating_can_be_paused(browser: Browser, served: Served) -> None:
    with open_page(browser) as (_, page, _, asked):
        page.clock.install()
        page.goto(served.url)
        page.click("#live")
        expect(page.locator("#live")).to_have_text("Paused")
        before = len(asked)
        page.clock.fast_forward(60_000)
        assert len(asked) == before
        page.goto(served.url + "/checks")
        expect(page.locator("#live")).to_have_text("Paused")


def test_everything_works_without_a_script(browser: Browser, served: Served) -> None:
    with open_page(browser, java_script_enabled=False) as (_, page, said, _):
        page.goto(served.url)
        page.select_option("select[name=owner]", "risk")
        page.click("text=Filter")
        expect(page.locator("a.name")).to_have_text([CREDIT])
        page.goto(served.url + links.model(FLIGHTS))
        page.click("nav.picker >> text=All")
        assert "window=all" in page.url
        page.goto(served.url + "/checks")
        page.locator("tr", has_text=FLIGHTS).filter(has_text="Data quality").get_by_role("button").click()
        expect(page.locator("h1")).to_have_text("Data quality")
        expect(page.locator(".page-head")).to_contain_text("on demand")
        assert said == []


def test_run_now_from_the_page_shows_the_verdict(browser: Browser, served: Served) -> None:
    with open_page(browser) as (_, page, said, _):
        page.goto(served.url + "/checks")
        page.locator("tr", has_text=FLIGHTS).filter(has_text="Drift").get_by_role("button").click()
        expect(page.locator("h1")).to_have_text("Drift")
        assert page.url.startswith(f"{served.url}/results/{FLIGHTS}~")
        assert said == []


def test_a_cell_of_the_heatmap_opens_its_result_and_says_what_it_is(browser: Browser, served: Served) -> None:
    with open_page(browser, viewport={"width": 1440, "height": 900}) as (_, page, _, _):
        page.goto(served.url + links.model(FLIGHTS))
        cell = page.locator(".strip").first.locator("a").last
        assert "score" in (cell.locator("title").text_content() or "")
        cell.locator("rect").click()
        expect(page.locator("h1")).to_have_text("Drift")


def test_print_has_no_navigation_and_dark_ink_on_white(browser: Browser, served: Served) -> None:
    with open_page(browser, color_scheme="dark") as (_, page, _, _):
        page.goto(served.url + links.model(FLIGHTS))
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.locator(".top nav").is_hidden()
        assert page.locator(".picker").first.is_hidden()


def test_the_fixture_has_months_of_results(served: Served) -> None:
    found = served.filled.store.results(Span(NOW - timedelta(days=60), NOW), model=FLIGHTS, limit=1_000)
    assert len(found.items) > 300
