"""`make demo`, as a person runs it: the drift that is really in 2013 is found, named, dated and drawn."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import psutil
import pytest
from playwright.sync_api import Browser, expect

from tests.servers.ports import free_port

ROOT = Path(__file__).parents[1]
SCREENSHOTS = ROOT / "build" / "screenshots"
MODEL = "arrival-delay"
SPEED = 8.0
FOUND_WITHIN = 240.0  # a bound for machines busier than any that the demo is meant for


class Demo:
    """One run of the demo, its output line by line."""

    def __init__(self, folder: Path, until: str) -> None:
        self.port = free_port()
        self.output = folder / "output.txt"
        arguments = ["--speed", str(SPEED), "--port", str(self.port), "--until", until]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "demo", *arguments], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def lines(self) -> list[str]:
        return self.output.read_text().splitlines()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}api/v1/{path}", timeout=20) as answer:
            return json.load(answer)

    def results(self, check: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"results?model={MODEL}&check={check}&limit=100")["items"]
        return found

    def wait_for(self, wanted: Any, what: str) -> Any:
        deadline = time.monotonic() + FOUND_WITHIN
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "\n".join(self.lines)
            if found := wanted():
                return found
            time.sleep(0.5)
        raise AssertionError(f"no {what} within {FOUND_WITHIN:g} s:\n" + "\n".join(self.lines))

    def end(self) -> int:
        """Ctrl-C."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(40)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    running = Demo(tmp_path_factory.mktemp("demo"), until="2013-06-05")
    try:
        running.wait_for(lambda: running.url in running.lines, "address of the console")
        yield running
    finally:
        if running.end() != 0:
            running.process.kill()


pytestmark = pytest.mark.server("chromium")


def test_the_first_line_that_names_the_console_is_its_plain_address(demo: Demo) -> None:
    naming = [line for line in demo.lines if re.search(r"https?://|console", line)]
    assert naming[0] == demo.url


def test_the_drift_of_the_year_is_found_named_and_dated(demo: Demo) -> None:
    def drifting() -> list[dict[str, Any]]:
        return [
            finding
            for result in demo.results("drift")
            if result["end"] >= "2013-05-20"
            for finding in result["findings"]
            if finding["subject"] == "temp" and finding["detail"]["drifted"] and finding["segment"] is None
        ]

    # Late spring is warmer than any week of January; nothing else in this data moves as far.
    temperature = demo.wait_for(drifting, "drift of the temperature in May")[0]
    assert temperature["status"] in ("warning", "critical")
    assert temperature["detail"]["current"]["mean"] > temperature["detail"]["reference"]["mean"] + 8
    assert "2013-02-01" <= temperature["since"] <= "2013-06-05"


def test_a_drift_that_is_meant_is_accepted_and_quiet_from_then_on(demo: Demo) -> None:
    def accepted() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = demo.get(f"models/{MODEL}/acceptances")["items"]
        return found

    (acceptance,) = demo.wait_for(accepted, "acceptance")
    assert (acceptance["feature"], acceptance["by"], acceptance["kind"]) == ("dest", "demo", "new_normal")
    assert "2013-02-20" <= acceptance["since"] <= "2013-03-20"
    assert "2013-04-01" <= acceptance["at"] <= "2013-05-01"
    assert acceptance["reason"]
    assert sum("accepted by demo" in line for line in demo.lines) == 1

    def later() -> list[dict[str, Any]]:
        return [result for result in demo.results("drift") if result["end"] >= "2013-05-20"]

    (newest, *_) = demo.wait_for(later, "drift checks after the acceptance")
    of_it = [finding for finding in newest["findings"] if finding["subject"] == "dest"]
    assert [finding["status"] for finding in of_it] in (["ok"], ["learning"])
    assert of_it[0]["detail"]["compared_with"] != "", "its own traffic since then"
    assert len(accepted()) == 1


def test_performance_is_judged_as_the_delays_become_known(demo: Demo) -> None:
    def judged() -> list[dict[str, Any]]:
        return [result for result in demo.results("performance") if result["numbers"].get("labels", 0) > 1000]

    numbers = demo.wait_for(judged, "labelled predictions")[0]["numbers"]
    assert numbers["mae.low"] < numbers["mae"] < numbers["mae.high"]
    assert 5 < numbers["mae"] < 40
    assert 0.9 < numbers["labels_share"] <= 1


def test_the_console_draws_it(demo: Demo, browser: Browser) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    complaints: list[str] = []
    demo.wait_for(lambda: any(result["end"] >= "2013-05-28" for result in demo.results("drift")), "drift check of May")
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        context = browser.new_context(viewport={"width": 1440, "height": 1000}, color_scheme=scheme)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(f"{demo.url}models/{MODEL}?window=all")
        expect(page.get_by_role("heading", name=MODEL)).to_be_visible()
        expect(page.get_by_text("temp").first).to_be_visible()
        expect(page.get_by_text("new normal since").first).to_be_visible()
        page.screenshot(path=SCREENSHOTS / f"demo-model-{scheme}.png")
        page.screenshot(path=SCREENSHOTS / f"demo-model-{scheme}-whole.png", full_page=True)
        page.goto(f"{demo.url}models/{MODEL}/features/temp?window=all")
        expect(page.get_by_role("heading", name="temp")).to_be_visible()
        page.screenshot(path=SCREENSHOTS / f"demo-feature-{scheme}.png")
        page.goto(f"{demo.url}models/{MODEL}/features/dest?window=all")
        expect(page.get_by_text("New normal since").first).to_be_visible()
        expect(page.locator("svg text", has_text="new normal").first).to_be_visible()
        page.screenshot(path=SCREENSHOTS / f"demo-accepted-{scheme}.png")
        context.close()
    assert complaints == []


def test_ctrl_c_ends_it_and_leaves_nothing_behind(demo: Demo) -> None:
    family = psutil.Process(demo.process.pid).children(recursive=True)
    assert len(family) >= 2, "the collector and the agent run beside the replay"
    assert demo.end() == 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    assert demo.lines[-1] == "Demo ended."


def test_a_second_run_trains_nothing_anew(demo: Demo, tmp_path: Path) -> None:
    again = Demo(tmp_path, until="2013-02-03")
    try:
        again.wait_for(lambda: again.url in again.lines, "address of the console")
        assert not any("Training" in line for line in again.lines)
        assert again.end() == 0
    finally:
        if again.process.poll() is None:
            os.kill(again.process.pid, signal.SIGKILL)
