"""A model's page of the console: a year of daily results of 20 features, as long as the processor works on it."""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from bench.rows import ROOT, Row, report
from collector.tests.console_fixture import FLIGHTS, NOW, Filled
from modelward_collector.checks.result import CheckKind
from modelward_collector.console.pages.model import model_page
from modelward_collector.console.site import Site
from modelward_collector.span import Span

FEATURES, DAYS, REPEATED = 20, 10, 36
HOLD_SECONDS = 0.15
ROUNDS = 5


def a_year(path: Path) -> Filled:
    """A store of one model's results: ten days as checks made them, repeated over the year before."""
    filled = Filled(path, days=DAYS, extra=12, only=FLIGHTS)
    stored = filled.store.results(Span(NOW - timedelta(days=DAYS), NOW), model=FLIGHTS, limit=1_000).items
    for past in range(1, REPEATED + 1):
        earlier = timedelta(days=DAYS * past)
        for result in stored:
            if result.check in (CheckKind.DRIFT, CheckKind.PERFORMANCE):
                filled.store.save_result(replace(result, start=result.start - earlier, end=result.end - earlier))
    return filled


def drawn(site: Site) -> float:
    """Seconds of the processor for the page."""
    begun = time.process_time()
    text = site.draw(model_page(site, FLIGHTS, {"window": "1y"}))
    took = time.process_time() - begun
    if text.count('class="heat-name"') != FEATURES:
        raise SystemExit(f"modelward: the page shows {text.count('heat-name')} features")
    return took


def main() -> int:
    """Measure and print; 1 when a row does not hold."""
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build", prefix="console-") as name:
        filled = a_year(Path(name) / "year.db")
        site = Site(filled.context())
        first = drawn(site)
        again = min(drawn(site) for _ in range(ROUNDS))
        filled.store.close()
    what = f"a model's page, a year of daily results of {FEATURES} features"
    return report(
        [
            Row(f"{what}, drawn for the first time", f"{first * 1e3:.0f} ms", "-", True),
            Row(
                "the same again: stretches that are over are remembered",
                f"{again * 1e3:.0f} ms",
                f"at most {HOLD_SECONDS * 1e3:.0f} ms",
                again <= HOLD_SECONDS,
            ),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
