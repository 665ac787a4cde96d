"""The command line: `modelward`."""

from __future__ import annotations

import argparse
import getpass
import importlib.util
import json
import logging
import os
import socket
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelward_agent.durations import parse_duration
from modelward_agent.settings import SettingsError
from modelward_collector import __version__
from modelward_collector.checks.acceptance import Acceptance
from modelward_collector.checks.result import CheckKind, CheckResult, Status
from modelward_collector.config import DEFAULT_PORT, ClockKind, load_config
from modelward_collector.store.protocol import StoreUnavailableError

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
BAD_CONFIGURATION = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when all went well, 1 when something failed, 2 when it was asked or set up wrongly."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format=LOG_FORMAT)
    for noisy in ("apscheduler", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Each of its warnings has a traceback, and who asks of the store says in one line why it did not answer.
    logging.getLogger("elastic_transport").setLevel(logging.ERROR)
    try:
        code: int = options.command(options)
    except SettingsError as error:
        print("\n".join(error.lines), file=sys.stderr)
        return BAD_CONFIGURATION
    except StoreUnavailableError as error:
        print(f"modelward: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="modelward",
        description="Watches models in production: scheduled checks on the profiles that agents ship.",
        epilog="`modelward up` is all that one machine needs.",
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-v", "--verbose", action="store_true", help="log what happens, not only what goes wrong")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, text: str, run: Any) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".", parents=[common])
        sub.set_defaults(command=run)
        return sub

    sub = command("up", "run the collector and an agent here, in one terminal, until Ctrl-C", _up)
    sub.add_argument("--home", type=Path, default=Path("modelward-home"), help="folder of everything (%(default)s)")
    sub.add_argument("--port", type=_port, help=f"where to listen on 127.0.0.1 ({DEFAULT_PORT}; 0 for a free one)")
    sub.add_argument("--journal", type=Path, help="folder that applications write to (HOME/journal)")
    sub.add_argument(
        "--clock",
        type=ClockKind,
        choices=list(ClockKind),
        metavar="{wall,replay}",
        help="replay: the schedule goes by the time of the data, for history that is played back (wall)",
    )
    sub.add_argument("--agent-window", type=_duration, metavar="DURATION", help="length of a profile's window (1m)")

    sub = command("run", "run the collector alone, as a service", _run)
    _config(sub)

    sub = command("check-config", "say everything that is wrong with collector.yml and models.d", _check_config)
    _config(sub)

    sub = command("status", "list the models and how they stand, as a running collector says", _status)
    sub.add_argument("--url", default=f"http://127.0.0.1:{DEFAULT_PORT}/", help="the collector's address (%(default)s)")
    sub.add_argument("--json", action="store_true", help="print JSON")

    sub = command("run-check", "run one check now, store its result and print it", _run_check)
    sub.add_argument("model", metavar="MODEL")
    sub.add_argument("check", type=CheckKind, choices=list(CheckKind), metavar="{" + ",".join(CheckKind) + "}")
    sub.add_argument("--at", type=_moment, help="look back from this moment, RFC 3339 (now)")
    sub.add_argument("--json", action="store_true", help="print JSON")
    _config(sub)

    sub = command("accept", "accept what drifts of a model as its new normal, and check it anew", _accept)
    sub.add_argument("model", metavar="MODEL")
    sub.add_argument("--feature", help="this feature, output or (joint) alone (each that drifts)")
    sub.add_argument("--version", help="this version alone (every version)")
    sub.add_argument("--since", type=_moment, help="when the new normal began, RFC 3339 (since when it drifts)")
    sub.add_argument("--reason", default="", metavar="TEXT", help="why, for those who read the audit trail")
    sub.add_argument(
        "--put-back",
        type=_stretch,
        metavar="FROM[/TO]",
        help="the reference's windows in this day or stretch, left out as odd, belong to it after all",
    )
    sub.add_argument("--list", action="store_true", help="list what was accepted of the model, and change nothing")
    sub.add_argument("--json", action="store_true", help="print JSON")
    _config(sub)

    sub = command("suggest-rules", "infer a model's schema and expectations from its reference", _suggest_rules)
    sub.add_argument("model", metavar="MODEL")
    sub.add_argument(
        "--reference",
        type=Path,
        metavar="FILE",
        help="a file that modelward-agent profile made (the reference that models.d names, from the store)",
    )
    sub.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to write the YAML (standard output)")
    _config(sub)

    sub = command("check-ldap", "connect to the directory of auth.ldap, and say what it knows of a user", _check_ldap)
    sub.add_argument("user", nargs="?", metavar="USER", help="look this user up")
    sub.add_argument("--password-file", type=Path, metavar="FILE", help="try to log in with the password in it")
    sub.add_argument("--ask-password", action="store_true", help="ask for the password, and try to log in")
    _config(sub)

    sub = command("revoke-sessions", "end all sessions of a user", _revoke_sessions)
    sub.add_argument("user", metavar="USER")
    _config(sub)

    command("version", "print the version", _version)
    return parser


def _config(parser: argparse.ArgumentParser) -> None:
    default = os.environ.get("MODELWARD_COLLECTOR_CONFIG", "/etc/modelward/collector.yml")
    parser.add_argument("--config", type=Path, default=Path(default), help="collector.yml (%(default)s)")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f'"{text}" is not a port; write a number from 0 to 65535')
    return int(text)


def _duration(text: str) -> Any:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'"{text}" is not a moment; write for example 2026-03-01T00:00:00Z') from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _stretch(text: str) -> Any:
    from modelward_collector.accepting import stretch

    try:
        return stretch(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


# -- commands ------------------------------------------------------------------------------------------------------


def _up(options: argparse.Namespace) -> int:
    # Imported here, as below: `version`, `status` and `--help` should not wait for scipy.
    from modelward_collector.serving import ListenError
    from modelward_collector.up import HomeError, HomeInUseError, Options, up

    chosen = Options(options.home, options.port, options.journal, options.clock, options.agent_window)
    try:
        return up(chosen)
    except (ListenError, HomeError, HomeInUseError) as error:
        print(error, file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    from modelward_collector.app import build, create_app
    from modelward_collector.serving import ListenError, Server, Signals, bind, end_process

    logging.getLogger("modelward").setLevel(logging.INFO)
    logging.getLogger("modelward_collector").setLevel(logging.INFO)
    config = load_config(options.config)
    try:
        listener = bind(config.listen)
    except ListenError as error:
        print(error, file=sys.stderr)
        return 1
    collector = build(config)
    server = Server(create_app(collector), listener, config.listen)
    signals = Signals(collector.context.registry.reload)
    if not server.start():
        return 1
    print(server.url, flush=True)
    while server.alive and not signals.wait(1.0):
        pass
    code = 0 if server.alive else 1
    server.stop()
    return end_process(code, unfinished=collector.context.scheduler.unfinished)


def _check_config(options: argparse.Namespace) -> int:
    from modelward_collector.registry import Registry

    lines: list[str] = []
    folder = options.config.parent / "models.d"
    try:
        folder = load_config(options.config).models_folder
    except SettingsError as error:
        lines += error.lines
    logging.disable(logging.ERROR)  # what the registry would log is printed below, with the rest
    try:
        registry = Registry(folder)
    finally:
        logging.disable(logging.NOTSET)
    for wrong in registry.errors.values():
        lines += wrong
    if lines:
        print("\n".join(lines), file=sys.stderr)
        return BAD_CONFIGURATION
    models = len(registry.specs())
    print(f"{options.config}: ok, {models} {'model' if models == 1 else 'models'} in {folder}")
    return 0


def _status(options: argparse.Namespace) -> int:
    models: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        query = urllib.parse.urlencode({"limit": 1000, **({} if after is None else {"after": after})})
        url = f"{options.url.rstrip('/')}/api/v1/models?{query}"
        if not url.startswith(("http://", "https://")):
            print(
                f'modelward: --url "{options.url}" is not a URL; write http://127.0.0.1:{DEFAULT_PORT}/',
                file=sys.stderr,
            )
            return BAD_CONFIGURATION
        try:
            with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 - checked above
                page = json.load(response)
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")
            with_detail = json.loads(detail).get("detail", detail) if detail.startswith("{") else detail
            print(f"modelward: {url} answered {error.code}: {with_detail}", file=sys.stderr)
            return 1
        except OSError as error:
            reason = getattr(error, "reason", error)
            print(f"modelward: {options.url} does not answer ({reason}); is `modelward up` running?", file=sys.stderr)
            return 1
        models += page["items"]
        after = page["after"]
        if after is None:
            break
    if options.json:
        print(json.dumps(models, indent=2, ensure_ascii=False))
        return 0
    rows = [["MODEL", "STATE", *(kind.upper() for kind in CheckKind), "VERSIONS", "LAST SEEN"]]
    for model in models:
        checks = [_said(model["checks"].get(kind, "-")) for kind in CheckKind]
        name = model["model"] if model["configured"] else f"{model['model']} (not configured)"
        seen = (model["last_seen"] or "never")[:16].replace("T", " ")
        rows.append([name, _said(model["status"]), *checks, ", ".join(model["versions"][:3]) or "-", seen])
    print(_table(rows) if models else "No model is configured or has sent anything yet.")
    return 0


def _said(status: str) -> str:
    return "still learning" if status == "learning" else status.replace("_", " ")


def _run_check(options: argparse.Namespace) -> int:
    from modelward_collector.app import build

    collector = build(load_config(options.config))
    try:
        collector.context.store.setup()
        results = collector.context.engine.run(options.model, options.check, options.at, on_demand=True)
    except KeyError:
        known = ", ".join(spec.model for spec in collector.context.registry.specs()[:20]) or "none yet"
        print(f'modelward: there is no model "{options.model}"; the models are: {known}', file=sys.stderr)
        return BAD_CONFIGURATION
    finally:
        collector.stop()
    if options.json:
        print(json.dumps([result.to_document() for result in results], indent=2, ensure_ascii=False, default=str))
    else:
        print("\n\n".join(_shown(result) for result in results))
    return 1 if any(result.status is Status.ERROR for result in results) else 0


def _accept(options: argparse.Namespace) -> int:
    from modelward_collector.accepting import Asked, NotAcceptedError, accept, proposed
    from modelward_collector.app import build
    from modelward_collector.store.acceptances import AcceptanceRefusedError, acceptances, to_json

    collector = build(load_config(options.config))
    context = collector.context
    try:
        context.store.setup()
        if options.list:
            found = acceptances(context.store, options.model)
            if options.json:
                print(json.dumps([to_json(one) for one in found], indent=2, ensure_ascii=False))
            else:
                print(_accepted_table(found) if found else f"Nothing of {options.model} was ever accepted.")
            return 0
        said = proposed(
            context,
            Asked(
                options.model, _who(), options.feature, options.version, options.since, options.reason, options.put_back
            ),
        )
        accepted = accept(context, said)
    except (NotAcceptedError, AcceptanceRefusedError) as error:
        print(f"modelward: {error}", file=sys.stderr)
        return BAD_CONFIGURATION
    finally:
        collector.stop()
    if accepted.problem:
        print(f"modelward: accepted, but the drift check failed: {accepted.problem}", file=sys.stderr)
    if options.json:
        results = [result.to_document() for result in accepted.results]
        shown = {"acceptances": [to_json(one) for one in accepted.acceptances], "results": results}
        print(json.dumps(shown, indent=2, ensure_ascii=False, default=str))
    else:
        lines = [f"accepted by {one.by}: {one.describe()}" for one in accepted.acceptances]
        lines += dict.fromkeys(one.follows() for one in accepted.acceptances)
        print("\n\n".join(["\n".join(lines), *(_shown(result) for result in accepted.results)]))
    return 1 if accepted.problem or any(result.status is Status.ERROR for result in accepted.results) else 0


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # as in a container, where a number is all that there is
        user = f"user {os.getuid()}"
    return f"{user} on {socket.gethostname()}"


def _suggest_rules(options: argparse.Namespace) -> int:
    from modelward_agent.profile.reference import ReferenceFileError
    from modelward_collector.suggest_command import SuggestError, suggested_file

    try:
        text = suggested_file(options.model, options.reference, options.output, options.config)
    except SuggestError as error:
        print(f"modelward: {error}", file=sys.stderr)
        return BAD_CONFIGURATION
    except OSError as error:
        print(f"modelward: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    except ReferenceFileError as error:
        print(f"modelward: {error}", file=sys.stderr)
        return 1
    if options.output is None:
        print(text, end="")
    else:
        print(f"{options.output}: read it, correct it, and put it in models.d")
    return 0


def _check_ldap(options: argparse.Namespace) -> int:
    settings = load_config(options.config)
    if not _has_ldap("check-ldap"):
        return BAD_CONFIGURATION
    from modelward_collector.auth.commands import auth_of, check_ldap

    if options.user is None and (options.ask_password or options.password_file):
        print("modelward: name the user whose password it is", file=sys.stderr)
        return BAD_CONFIGURATION
    auth = auth_of(settings, options.config)
    return check_ldap(auth, options.user, options.password_file, ask=options.ask_password)


def _has_ldap(command: str) -> bool:
    """Whether python-ldap is here, which needs a compiler and is left out where nobody logs in."""
    if importlib.util.find_spec("_ldap") is not None:
        return True
    print(f"modelward: {command} needs python-ldap; run: pip install 'python-ldap>=3.4,<4'", file=sys.stderr)
    return False


def _revoke_sessions(options: argparse.Namespace) -> int:
    if not _has_ldap("revoke-sessions"):
        return BAD_CONFIGURATION
    from modelward_collector.auth.commands import auth_of, revoke_sessions
    from modelward_collector.stores import open_store

    config = load_config(options.config)
    auth_of(config, options.config)
    store = open_store(config.store)
    try:
        return revoke_sessions(store, options.user)
    finally:
        store.close()


def _version(_: argparse.Namespace) -> int:
    print(f"modelward {__version__}")
    return 0


# -- printing ------------------------------------------------------------------------------------------------------


def _shown(result: CheckResult) -> str:
    head = f"{result.check} of {result.model}{' ' + result.version if result.version else ''}: {result.status}"
    span = f"{result.start:%Y-%m-%d %H:%M} to {result.end:%Y-%m-%d %H:%M} UTC, {result.rows:,} rows"
    worst_first = sorted(result.findings, key=lambda finding: -finding.status.rank)
    findings = [[finding.status, finding.subject, finding.test, finding.message] for finding in worst_first]
    lines = [head, f"  {result.summary}", f"  {span}"]
    if findings:
        lines += ["  " + line for line in _table(findings).splitlines()]
    return "\n".join(lines)


def _accepted_table(found: Sequence[Acceptance]) -> str:
    rows = [["AT", "BY", "WHAT", "OF", "VERSION", "REASON"]]
    for one in found:
        what = f"new normal since {one.since:%Y-%m-%d %H:%M}"
        if one.window is not None:
            what = f"put back {one.window.start:%Y-%m-%d %H:%M} to {one.window.end:%Y-%m-%d %H:%M}"
        of = "everything" if one.feature is None else one.feature
        rows.append([f"{one.at:%Y-%m-%d %H:%M}", one.by, what, of, one.version or "all", one.reason])
    return _table(rows)


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
