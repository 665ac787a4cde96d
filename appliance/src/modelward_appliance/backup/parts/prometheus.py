"""Prometheus's series, as a snapshot of its own making."""

from __future__ import annotations

import json
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from modelward_appliance.backup.errors import BackupError
from modelward_appliance.backup.parts import Frozen, files_below
from modelward_appliance.backup.settings import ClientTls, PrometheusSettings

_TIMEOUT_SECONDS = 600
_LEFT_OVER_SECONDS = 24 * 3600
_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]+")


class PrometheusPart:
    """All blocks, the newest samples in one more block; hard links, so it takes no room while it lasts."""

    name = "prometheus"

    def __init__(self, settings: PrometheusSettings) -> None:
        self._settings = settings
        self._snapshots = settings.storage / "snapshots"

    @contextmanager
    def frozen(self) -> Iterator[Frozen]:
        """A snapshot that is removed afterwards."""
        self._remove_left_over()
        folder = self._snapshots / self._take()
        try:
            if not folder.is_dir():
                raise BackupError(
                    f"Prometheus made the snapshot {folder.name}, which is not in {self._snapshots}; "
                    "correct prometheus.storage in backup.yml"
                )
            blocks = sorted(path.name for path in folder.iterdir())
            yield Frozen({"blocks": blocks}, files_below(folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _take(self) -> str:
        url = f"{self._settings.url.rstrip('/')}/api/v1/admin/tsdb/snapshot"
        request = urllib.request.Request(url, method="POST")  # noqa: S310 - the operator's own configuration
        try:
            with urllib.request.urlopen(  # noqa: S310
                request, timeout=_TIMEOUT_SECONDS, context=client_context(self._settings.tls)
            ) as answer:
                name = json.load(answer)["data"]["name"]
        except urllib.error.HTTPError as error:
            reason = error.read().decode(errors="replace")[:200].strip()
            raise BackupError(
                f"{url}: Prometheus answered {error.code} ({reason}); it must run with --web.enable-admin-api"
            ) from error
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise BackupError(f"{url}: Prometheus made no snapshot ({error}); is it running?") from error
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise BackupError(f"{url}: Prometheus named its snapshot {name!r}, which is none of its names")
        return name

    def _remove_left_over(self) -> None:
        """Snapshots of backups that were killed would keep deleted blocks' room for ever."""
        if not self._snapshots.is_dir():
            return
        for folder in self._snapshots.iterdir():
            if _NAME.fullmatch(folder.name) and time.time() - folder.stat().st_mtime > _LEFT_OVER_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def client_context(tls: ClientTls | None) -> ssl.SSLContext | None:
    """What a client of the stack trusts and shows; None leaves a plain URL as it is."""
    if tls is None:
        return None
    context = ssl.create_default_context(cafile=str(tls.ca_file))
    context.load_cert_chain(tls.certificate, tls.key_file)
    return context
