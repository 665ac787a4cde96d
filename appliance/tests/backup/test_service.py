"""The daily run, and what Prometheus is told about it."""

from __future__ import annotations

import http.client
import logging
import ssl
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from modelward_agent.settings import SettingsError
from modelward_appliance.backup.keys import new_key
from modelward_appliance.backup.service import BackupMetrics, BackupService, serve_metrics
from modelward_appliance.backup.settings import BackupSettings, ClientTls, MetricsSettings, load_settings
from modelward_appliance.backup.shelf import Shelf
from modelward_appliance.pki import Authority
from tests.servers.ports import free_port


@pytest.fixture
def settings(tmp_path: Path) -> BackupSettings:
    (tmp_path / "backups").mkdir()
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "secret").write_text("content")
    (tmp_path / "key").write_text(new_key())
    (tmp_path / "key").chmod(0o600)
    return BackupSettings(folder=tmp_path / "backups", key_file=tmp_path / "key", state=tmp_path / "state")


def value(metrics: BackupMetrics, name: str) -> float:
    found = metrics.registry.get_sample_value(name)
    assert found is not None
    return found


def test_a_run_makes_a_backup_and_says_so(settings: BackupSettings) -> None:
    service = BackupService(settings)
    assert value(service.metrics, "modelward_backup_last_success_timestamp_seconds") == 0
    assert service.run()
    (made,) = Shelf(settings.folder).kept()
    assert value(service.metrics, "modelward_backup_last_success_timestamp_seconds") == made.created.timestamp()
    assert value(service.metrics, "modelward_backup_size_bytes") == made.bytes > 0
    assert value(service.metrics, "modelward_backup_failures_total") == 0
    assert value(service.metrics, "modelward_backup_duration_seconds") > 0


def test_a_run_that_fails_is_counted_and_logged_and_the_service_goes_on(
    settings: BackupSettings, caplog: pytest.LogCaptureFixture
) -> None:
    service = BackupService(settings)
    settings.key_file.write_text("no key")
    with caplog.at_level(logging.ERROR):
        assert not service.run()
    assert "no backup was made" in caplog.text
    assert "is not a backup key" in caplog.text
    assert value(service.metrics, "modelward_backup_failures_total") == 1
    settings.key_file.write_text(new_key())
    assert service.run()


def test_the_hour_that_comes_twice_has_one_backup(settings: BackupSettings) -> None:
    service = BackupService(settings.model_copy(update={"at": time(2, 30), "time_zone": "Europe/Berlin"}))
    (job,) = service._scheduler.get_jobs()
    first = job.trigger.get_next_fire_time(None, datetime(2026, 10, 24, 12, tzinfo=UTC))
    assert first == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert job.trigger.get_next_fire_time(first, first) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_after_a_start_the_newest_backup_is_known(settings: BackupSettings) -> None:
    moment = datetime(2031, 5, 4, 1, tzinfo=UTC)
    with Shelf(settings.folder).writing(moment) as (file, _):
        file.write(b"content")
    metrics = BackupMetrics(Shelf(settings.folder))
    assert value(metrics, "modelward_backup_last_success_timestamp_seconds") == moment.timestamp()
    assert value(metrics, "modelward_backup_kept") == 1


def issued(folder: Path) -> ClientTls:
    """A pair of a new authority in the folder, for servers and clients."""
    folder.mkdir()
    authority = Authority(folder)
    authority.pair("backup", ["localhost", "127.0.0.1"])
    return ClientTls(ca_file=folder / "ca.crt", certificate=folder / "backup.crt", key_file=folder / "backup.key")


def test_metrics_are_for_those_with_a_certificate_of_the_authority(settings: BackupSettings, tmp_path: Path) -> None:
    ours, strangers = issued(tmp_path / "ours"), issued(tmp_path / "strangers")
    port = free_port()
    metrics = BackupMetrics(Shelf(settings.folder))
    stop = serve_metrics(MetricsSettings(listen=f"127.0.0.1:{port}", tls=ours), metrics.registry)
    try:
        assert "modelward_backup_failures_total 0.0" in ask(port, ours.ca_file, ours)
        for certificate in (None, strangers):
            with pytest.raises((OSError, http.client.HTTPException)):
                ask(port, ours.ca_file, certificate)
    finally:
        stop()


def ask(port: int, authority: Path, certificate: ClientTls | None) -> str:
    trust = ssl.create_default_context(cafile=str(authority))
    if certificate is not None:
        trust.load_cert_chain(certificate.certificate, certificate.key_file)
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=trust)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_settings_have_the_documented_defaults(settings: BackupSettings) -> None:
    assert (settings.at, settings.time_zone, settings.keep) == (time(1, 0), "UTC", timedelta(days=30))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("at: 25 o'clock", "at: .*is not a time of day; write for example 01:00"),
        ("time_zone: Mars/Olympus", "time_zone: .*is not a time zone; write for example Europe/Berlin"),
        ("keep: ever", "keep: .*is not a duration"),
    ],
)
def test_a_wrong_setting_is_named_with_its_fix(settings: BackupSettings, tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "backup.yml"
    path.write_text(f"folder: {settings.folder}\nkey_file: {settings.key_file}\n{line}\n")
    with pytest.raises(SettingsError, match=said):
        load_settings(path)
