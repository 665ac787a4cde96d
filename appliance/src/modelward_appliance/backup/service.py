"""The `backup` service: one backup a day, and what Prometheus must know about it."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from zoneinfo import ZoneInfo

from apscheduler.schedulers.background import BackgroundScheduler
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from modelward_appliance.backup.errors import BackupError
from modelward_appliance.backup.settings import BackupSettings, MetricsSettings
from modelward_appliance.backup.shelf import Shelf
from modelward_appliance.backup.take import take
from modelward_collector.crontab import Crontab, CrontabTrigger

logger = logging.getLogger("modelward.backup")

_LATE_SECONDS = 6 * 3600
"""A run that was missed, because the server was down, is made up for this long."""


class BackupMetrics:
    """What is known of the backups; after a start, from the files that are there."""

    def __init__(self, shelf: Shelf) -> None:
        self.registry = CollectorRegistry()
        self._shelf = shelf
        registry = self.registry
        self.last_success = Gauge(
            "modelward_backup_last_success_timestamp_seconds", "When the newest good backup was made", registry=registry
        )
        self.size = Gauge("modelward_backup_size_bytes", "Size of the newest good backup", registry=registry)
        self.kept = Gauge("modelward_backup_kept", "Good backups that are kept", registry=registry)
        self.duration = Gauge("modelward_backup_duration_seconds", "How long the last run took", registry=registry)
        self.failures = Counter("modelward_backup_failures", "Runs that made no backup", registry=registry)
        # Backups are also made and removed by hand, so the folder is what is asked.
        self.last_success.set_function(self._newest_moment)
        self.size.set_function(lambda: next((float(backup.bytes) for backup in shelf.kept()), 0.0))
        self.kept.set_function(lambda: float(len(shelf.kept())))

    def _newest_moment(self) -> float:
        return next((backup.created.timestamp() for backup in self._shelf.kept()), 0.0)


class BackupService:
    """Runs until it is asked to end; a backup under way is ended with it and leaves nothing behind."""

    def __init__(self, settings: BackupSettings) -> None:
        self._settings = settings
        self.metrics = BackupMetrics(Shelf(settings.folder))
        zone = ZoneInfo(settings.time_zone)
        self._scheduler = BackgroundScheduler(timezone=zone, daemon=True)
        self._scheduler.add_job(
            self.run,
            CrontabTrigger(Crontab.parse(f"{settings.at.minute} {settings.at.hour} * * *"), zone),
            coalesce=True,
            max_instances=1,
            misfire_grace_time=_LATE_SECONDS,
        )
        self._ended = threading.Event()

    def run(self) -> bool:
        """Make a backup now; whether that worked. Why not is logged and counted."""
        begun = time.monotonic()
        try:
            made = take(self._settings)
        except BackupError as error:
            self.metrics.failures.inc()
            logger.error("no backup was made: %s", error)
            return False
        except Exception:  # one broken run must not end the service
            self.metrics.failures.inc()
            logger.exception("no backup was made")
            return False
        finally:
            self.metrics.duration.set(time.monotonic() - begun)
        logger.info("%s: %d bytes, read back and proven", made.path, made.bytes)
        for path in made.expired:
            logger.info("%s: deleted, older than what is kept", path)
        return True

    def serve(self) -> None:
        """Serve `/metrics` and run daily until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        if self._settings.metrics is not None:
            serve_metrics(self._settings.metrics, self.metrics.registry)
        self._scheduler.start()
        logger.info("daily at %s %s to %s", self._settings.at, self._settings.time_zone, self._settings.folder)
        self._ended.wait()
        self._scheduler.shutdown(wait=False)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ended.set()


def serve_metrics(settings: MetricsSettings, registry: CollectorRegistry) -> Callable[[], None]:
    """`/metrics` over TLS in a thread, for clients with a certificate of the authority; what ends it."""
    host, _, port = settings.listen.rpartition(":")
    server, _thread = start_http_server(
        int(port),
        host.strip("[]"),
        registry,
        certfile=str(settings.tls.certificate),
        keyfile=str(settings.tls.key_file),
        client_cafile=str(settings.tls.ca_file),
        client_auth_required=True,
    )

    def stop() -> None:
        server.shutdown()
        server.server_close()

    return stop
