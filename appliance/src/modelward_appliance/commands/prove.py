"""`prove`: the parts of `make verify` that can only be done inside of the stack, each in the container that may.

Each prints one line of JSON, and fails with one line for people.
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

HELP = "one step of make verify, inside a container"

MODEL = "modelward-verify"
_TIMEOUT_SECONDS = 20
_CONFIG = Path("/etc/modelward")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which step, and of what."""
    parser.add_argument(
        "step",
        choices=["record", "stored", "prometheus", "alert", "received"],
        help="record ID (agent): write a prediction to the journal; stored ID (collector): whether it arrived; "
        "prometheus PATH (backup): ask its API; alert ID (backup): send one; received ID (collector): whether it came",
    )
    parser.add_argument("subject")
    parser.add_argument("--url", help="prometheus, alert: where it is")
    parser.add_argument("--config", type=Path, default=_CONFIG, help="the service's configuration (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Do the step."""
    try:
        match options.step:
            case "record":
                found = _record(options.subject, options.config)
            case "stored":
                found = _stored(options.subject, options.config)
            case "prometheus":
                found = _get(f"{options.url}/api/v1/{options.subject}", options.config)
            case "alert":
                found = _alert(options.subject, options.url, options.config)
            case _:
                found = _received(options.subject, options.config)
    except urllib.error.HTTPError as error:
        reason = error.read().decode(errors="replace")[:300].strip()
        print(f"modelward: {error.url} answered {error.code}: {reason}", file=sys.stderr)
        return 1
    except urllib.error.URLError as error:
        print(f"modelward: no answer: {error.reason}", file=sys.stderr)
        return 1
    print(json.dumps(found))
    return 0


def _record(identifier: str, config: Path) -> dict[str, Any]:
    from modelward_agent import Recorder
    from modelward_agent.config import load_config

    journal = load_config(config / "agent.yml").journal.path
    with Recorder(MODEL, "1", journal=journal) as recorder:
        recorder.predict({"number": 1.0, "word": "verify"}, 0.5, id=identifier, latency_ms=1.0)
    return {"id": identifier}


def _stored(identifier: str, config: Path) -> dict[str, Any]:
    from contextlib import closing

    from modelward_collector.config import load_config
    from modelward_collector.span import Span
    from modelward_collector.store.protocol import Alias
    from modelward_collector.stores import open_store

    now = datetime.now(UTC)
    span = Span(now - timedelta(hours=1), now + timedelta(minutes=5))
    with closing(open_store(load_config(config / "collector.yml").store)) as store:
        page = store.events(Alias.EVENTS, span, model=MODEL, kind="prediction", limit=100)
    return {"stored": any(item.get("id") == identifier for item in page.items)}


def _get(url: str, config: Path) -> Any:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS, context=_mutual(config)) as answer:  # noqa: S310
        return json.load(answer)


def _alert(identifier: str, url: str, config: Path) -> dict[str, Any]:
    """An alert that only the receiver `verify` gets, over within two minutes."""
    now = datetime.now(UTC)
    alert = {
        "labels": {"alertname": "ModelwardVerify", "verify": "true", "verify_id": identifier},
        "annotations": {"summary": "make verify proves that alerts arrive"},
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(minutes=2)).isoformat(),
    }
    request = urllib.request.Request(  # noqa: S310 - the stack's own Alertmanager
        f"{url}/api/v2/alerts", json.dumps([alert]).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS, context=_mutual(config)) as answer:  # noqa: S310
        return {"status": answer.status}


def _received(identifier: str, config: Path) -> dict[str, Any]:
    import ssl

    from modelward_agent.settings import read_secret
    from modelward_collector.config import load_config

    port = load_config(config / "collector.yml").listen.port
    request = urllib.request.Request(
        f"https://localhost:{port}/alerts/verify",
        headers={"Authorization": f"ApiKey {read_secret(config / 'secrets' / 'collector-alerts-key')}"},
    )
    trust = ssl.create_default_context(cafile=str(config / "tls" / "ca.crt"))
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS, context=trust) as answer:  # noqa: S310
        return {"received": identifier in json.load(answer)["received"]}


def _mutual(config: Path) -> Any:
    from modelward_appliance.backup.parts.prometheus import client_context
    from modelward_appliance.backup.settings import ClientTls

    tls = config / "tls"
    return client_context(ClientTls(ca_file=tls / "ca.crt", certificate=tls / "tls.crt", key_file=tls / "tls.key"))
