"""What peers cost on the caller's thread to record one prediction of 30 numeric features; prints JSON, µs by peer."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable

import whylogs
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult

ROUNDS = 5


class NullExporter(LogRecordExporter):
    """Takes everything and keeps nothing, so that only the caller's side is measured."""

    def export(self, batch):
        return LogRecordExportResult.SUCCESS

    def shutdown(self):
        return None

    def force_flush(self, timeout_millis=30_000):
        return True


def best(record: Callable[[], object], calls: int) -> float:
    """Microseconds a call, the best of the rounds."""
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for _ in range(calls):
            record()
        times.append((time.perf_counter() - begun) / calls * 1e6)
    return min(times)


def main() -> None:
    """Measure each peer and print the JSON."""
    features = {f"feature_{i}": random.random() for i in range(30)}
    schema = whylogs.core.DatasetSchema()
    profile = whylogs.core.DatasetProfile(schema=schema)
    profile.track(features)

    provider = LoggerProvider()
    provider.add_log_record_processor(BatchLogRecordProcessor(NullExporter()))
    logger = logging.getLogger("peer")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(LoggingHandler(level=logging.INFO, logger_provider=provider))

    print(
        json.dumps(
            {
                "whylogs track": best(lambda: profile.track(features), 2_000),
                "OpenTelemetry logs": best(lambda: logger.info("prediction", extra=features), 5_000),
            }
        )
    )
    provider.shutdown()


if __name__ == "__main__":
    main()
