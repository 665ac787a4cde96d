"""The login and the audit page in a real Chromium, through the real gateway."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from collector.tests.site import PASSWORD, Place, deployed
from tests.servers.certificates import Authority

pytestmark = [pytest.mark.server("nginx"), pytest.mark.server("slapd")]

WIDTHS = (390, 1280)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Place]:
    with deployed(tmp_path_factory.mktemp("site"), authority, many_logins=True) as running:
        yield running


@pytest.fixture
def context(browser: Browser, place: Place) -> Iterator[BrowserContext]:
    opened = browser.new_context(ignore_https_errors=True, base_url=f"https://localhost:{place.nginx.port}")
    yield opened
    opened.close()


def enter(page: Page, user: str, password: str = PASSWORD) -> None:
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_someone_is_led_to_the_login_and_back(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto("/logs?q=timeout")
    expect(page).to_have_title("Log in · Modelward")
    expect(page.get_by_label("User name")).to_be_focused()
    enter(page, "ada", "wrong")
    expect(page.get_by_role("alert")).to_contain_text("That did not work.")
    expect(page.get_by_label("User name")).to_have_value("ada")
    expect(page.get_by_label("Password")).to_be_focused()
    enter(page, "ada")
    expect(page).to_have_url(re.compile(r"/logs\?q=timeout$"))
    expect(page.get_by_role("searchbox")).to_have_value("timeout")


def test_the_menu_says_who_one_is_and_logs_out(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto("/login")
    enter(page, "vera")
    page.get_by_text("Vera Viewer").first.click()
    expect(page.get_by_text("vera · Viewer")).to_be_visible()
    expect(page.get_by_role("link", name="Audit")).to_have_count(0)
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_title("Log in · Modelward")
    page.go_back()
    page.reload()
    expect(page).to_have_title("Log in · Modelward")


def test_a_page_that_is_open_goes_to_the_login_when_its_session_is_ended(
    browser: Browser, context: BrowserContext, place: Place
) -> None:
    page = context.new_page()
    page.goto("/agents")
    enter(page, "eddie")
    expect(page.get_by_role("heading", name="Agents")).to_be_visible()
    admins = browser.new_context(ignore_https_errors=True, base_url=f"https://localhost:{place.nginx.port}")
    audit = admins.new_page()
    audit.goto("/audit")
    enter(audit, "ada")
    audit.get_by_role("button", name="End sessions of eddie").first.click()
    expect(audit.get_by_role("status")).to_have_text("All sessions of eddie have ended.")
    expect(audit.get_by_role("cell", name="Sessions ended").first).to_be_visible(timeout=20_000)
    admins.close()
    expect(page).to_have_title("Log in · Modelward", timeout=20_000)
    enter(page, "eddie")
    expect(page).to_have_url(re.compile(r"/agents$"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_pages_fit_the_screen_and_break_no_policy(browser: Browser, place: Place, width: int, scheme: str) -> None:
    context = browser.new_context(
        ignore_https_errors=True,
        base_url=f"https://localhost:{place.nginx.port}",
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": 800},
    )
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto("/login")
    fits(page, width)
    enter(page, "ada")
    for path in ("/audit", "/audit?user=nobody-at-all", "/audit?refusals=1&window=24h"):
        page.goto(path)
        fits(page, width)
    page.goto("/audit")
    page.locator("#person summary").click()
    fits(page, width)
    context.close()
    assert said == []


def fits(page: Page, width: int) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= width
