"""How the store is, asked in the background so that `/metrics` never waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from modelward_collector.store.protocol import Health, Store, StoreUnavailableError

logger = logging.getLogger(__name__)

ASK_EVERY_SECONDS: Final = 10.0
ASK_AGAIN_SECONDS: Final = 2.0
"""After a first question without an answer."""

SILENT_AFTER_SECONDS: Final = 30.0
"""An answer that takes longer than this is none."""


class StoreHealth(Collector):
    """Asks the store every ten seconds for as long as it runs, also while another collector has the lease."""

    def __init__(self, store: Store, *, cluster: bool, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._cluster = cluster
        self._monotonic = monotonic
        self._latest: tuple[float, Health | None] | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to ask; returns at once."""
        self._thread = threading.Thread(target=self._run, name="store health", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; idempotent. What is being asked is left to end by itself."""
        self._stopping.set()

    def ask(self) -> Health | None:
        """How the store is now, None when it did not answer; kept for `/metrics`."""
        health = None
        try:
            health = self._store.health()
        except StoreUnavailableError as error:
            # At the start the scheduler may still be setting the store up, and says itself when it cannot.
            level = logging.DEBUG if self._latest is None else logging.WARNING
            logger.log(level, "the store's health is not known: %s", error)
        except Exception:  # whatever it is, the next turn asks again
            logger.exception("asking for the store's health failed")
        self._latest = (self._monotonic(), health)
        return health

    def _run(self) -> None:
        if self.ask() is None:
            self._stopping.wait(ASK_AGAIN_SECONDS)
            self.ask()
        while not self._stopping.wait(ASK_EVERY_SECONDS):
            self.ask()

    def describe(self) -> Iterable[Metric]:
        """Nothing ahead of time: there is nothing to say before the first answer."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Whether the store answers, and of a cluster its colour."""
        if self._latest is None:
            return
        at, health = self._latest
        up = health is not None and self._monotonic() - at < ASK_EVERY_SECONDS + SILENT_AFTER_SECONDS
        yield GaugeMetricFamily("modelward_store_up", "1 when the store answers.", value=float(up))
        if self._cluster and up:
            colours = GaugeMetricFamily(
                "modelward_elasticsearch_health", "1 for the colour that the cluster has.", labels=("status",)
            )
            for colour in Health:
                colours.add_metric((colour,), float(colour is health))
            yield colours
