"""The command `modelward-agent`."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import logging
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from modelward_agent import __version__
from modelward_agent.bounds import MAX_FEATURES, MOST_FEATURES
from modelward_agent.declared import declared_types
from modelward_agent.durations import parse_duration
from modelward_agent.settings import SettingsError
from modelward_agent.values import ValueType

if TYPE_CHECKING:
    from modelward_agent.config import AgentConfig

DEFAULT_CONFIG = Path("/etc/modelward/agent.yml")

_FILES_PRINTED = 20
_MODELS_PRINTED = 5
_STALE_SECONDS = 10.0

_M_ARENA_MAX, _M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -8, -3, -1  # of malloc.h


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="modelward-agent", description="Summarises what models on this host record, and ships it."
    )
    parser.add_argument("--version", action="version", version=f"modelward-agent {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="follow, summarise and ship until it is told to end")
    _add_config(run)
    run.set_defaults(command=_run)

    check = commands.add_parser("check-config", help="say everything that is wrong with the configuration")
    _add_config(check)
    check.set_defaults(command=_check_config)

    status = commands.add_parser("status", help="how far the running agent has got")
    _add_config(status)
    status.add_argument("--json", action="store_true", help="print it as JSON")
    status.set_defaults(command=_status)

    profile = commands.add_parser("profile", help="make a reference profile of a Parquet or CSV file")
    _add_profile(profile)
    profile.set_defaults(command=_profile)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="default: %(default)s")


def _add_profile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="a .parquet or .csv file, one row a prediction")
    parser.add_argument("--model", required=True)
    parser.add_argument("--version", default="", help="the model's version")
    parser.add_argument(
        "--timestamp", metavar="COLUMN", help="when a row was predicted; unset: all rows are one window"
    )
    parser.add_argument("--window", default="1d", help="length of the windows that show how rows usually vary")
    parser.add_argument(
        "--prediction", metavar="COLUMN", help="numbers, classes, {class: probability}, or lists (then with --class)"
    )
    parser.add_argument(
        "--class",
        dest="classes",
        metavar="NAME",
        action="append",
        default=[],
        help="of --prediction's lists of probabilities: once for each class, in their order",
    )
    parser.add_argument(
        "--probability",
        metavar="CLASS=COLUMN",
        action="append",
        default=[],
        help="a column of a class's probabilities; once for each class, instead of --prediction",
    )
    parser.add_argument("--actual", metavar="COLUMN")
    parser.add_argument("--segment", metavar="COLUMN", action="append", default=[], help="may be given several times")
    parser.add_argument("--exclude", metavar="COLUMN", action="append", default=[], help="not a feature")
    parser.add_argument(
        "--max-features",
        type=int,
        default=MAX_FEATURES,
        metavar="N",
        help="profile the first so many by name; as max_features in agent.yml, and with its default: %(default)s",
    )
    parser.add_argument("--separator", metavar="NAME", help="of CSV: comma, semicolon, tab, pipe or one character")
    parser.add_argument("--decimal", default=".", metavar="MARK", help="of CSV: . or ,")
    parser.add_argument("--encoding", default="utf-8", metavar="NAME", help="of CSV, for example cp1252 or utf-16")
    for kind in ("categorical", "numeric", "boolean"):
        what = f"a feature that is {kind} whatever it looks like"
        parser.add_argument(f"--{kind}", metavar="COLUMN", action="append", default=[], help=what)
    parser.add_argument(
        "--types",
        type=Path,
        metavar="FILE",
        help="the model's file of models.d, or agent.yml: what is declared there is read so, as in traffic",
    )
    parser.add_argument(
        "--sample",
        type=int,
        metavar="ROWS",
        help="also keep so many labelled rows, from which performance is estimated before labels are in",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")


# -- run -----------------------------------------------------------------------------------------------------------


class _Lines(logging.Formatter):
    """One JSON object a line, in ECS names: what the agent itself would ship."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "@timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "log.level": record.levelname.lower(),
            "log.logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error.stack_trace"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


def _run(options: argparse.Namespace) -> int:
    from modelward_agent.config import load_config

    return run(options.config, lambda: load_config(options.config))


def run(path: Path, read: Callable[[], AgentConfig]) -> int:
    """Run an agent until it is told to end; its exit status. `read` answers what the file `path` says, at each SIGHUP.

    `SettingsError` when it cannot be used at the start.
    """
    from modelward_agent.daemon import Agent
    from modelward_agent.journal.checkpoint import StateError

    config = read()
    _use_memory_sparingly()
    _allow_many_files()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    log = logging.getLogger("modelward_agent")
    log.addHandler(handler)
    log.setLevel(config.log_level.upper())
    try:
        agent = Agent(config)
    except StateError as error:
        print(f"modelward: {path}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"modelward: {path}: {_cannot_start(error, config.metrics.listen)}", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    signal.signal(signal.SIGHUP, lambda *_: agent.reload(read))
    log.info("following %s, shipping to %s", config.journal.path, ", ".join(config.elasticsearch.urls))
    agent.run()
    log.info("ended")
    return 0


def _use_memory_sparingly() -> None:
    """Have glibc give back what is freed: one heap for all threads, large blocks apart, no tail kept."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, 128 * 1024)
        mallopt(_M_TRIM_THRESHOLD, 1024 * 1024)


def _allow_many_files() -> None:
    """Each followed file is held open: take as many as this user may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _cannot_start(error: OSError, listen: str | None) -> str:
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return f'metrics.listen: "{listen}" cannot be listened on ({error.strerror}); set another address'


# -- check-config --------------------------------------------------------------------------------------------------


def _check_config(options: argparse.Namespace) -> int:
    from modelward_agent.config import load_config
    from modelward_agent.ship.bulk import BulkClient

    config = load_config(options.config)
    try:
        BulkClient(config.elasticsearch).close()
    except (OSError, ValueError) as error:
        message = f"elasticsearch: its certificate, key or secret cannot be used ({error}); correct the file"
        raise SettingsError([f"modelward: {options.config}: {message}"]) from error
    print(f"modelward: {options.config} is good")
    return 0


# -- status --------------------------------------------------------------------------------------------------------


def _status(options: argparse.Namespace) -> int:
    from modelward_agent.config import load_config

    config = load_config(options.config)
    path = config.state / "status.json"
    try:
        status = orjson.loads(path.read_bytes())
        status["running"] = _is_held(config.state / "lock")
        status["age_seconds"] = round(time.time() - datetime.fromisoformat(status["at"]).timestamp(), 1)
        text = orjson.dumps(status, option=orjson.OPT_INDENT_2).decode() if options.json else _status_text(status)
    except OSError as error:
        print(f"modelward: {path}: there is no status ({error.strerror}); is the agent started?", file=sys.stderr)
        return 1
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        said = f"it is damaged ({error}), and a running agent writes it anew every second; is it started?"
        print(f"modelward: {path}: {said}", file=sys.stderr)
        return 1
    print(text)
    return 0 if status["running"] else 1


def _is_held(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _status_text(status: dict[str, Any]) -> str:
    running = f"running, process {status['pid']}, since {status['started']}" if status["running"] else "NOT RUNNING"
    if status["running"] and status["age_seconds"] > _STALE_SECONDS:
        running += f"; this is {status['age_seconds']:.0f} s old: its loop or its state folder is stuck"
    counts = {
        name: ", ".join(f"{count} {reason}" for reason, count in sorted(status[name].items())) or "none"
        for name in ("dropped", "quarantined", "failures")
    }
    lines = [
        f"agent        {status['version']} on {status['host']}, {running}",
        f"ships to     {', '.join(status['elasticsearch'])}",
        f"read         {status['read_per_second']:,.1f} events/s",
        f"shipped      {status['shipped_per_second']:,.1f} documents/s, {status['shipped']:,} in all",
        f"lag          {_size(status['lag_bytes'])} in {status['files_followed']} files",
        f"spool        {status['spool_profiles']:,} profiles wait",
        f"dropped      {counts['dropped']}",
        f"quarantined  {counts['quarantined']}",
        f"failures     {counts['failures']}",
        f"left out     {_left_out(status)}",
        f"last error   {status['last_error'] or 'none'}",
        *_unrecorded(status),
    ]
    if status["files"]:
        lines += ["", f"{'size':>10} {'committed':>10} {'shipped':>10} {'lag':>10}  file"]
        for file in status["files"][:_FILES_PRINTED]:
            sizes = " ".join(f"{_size(file[name]):>10}" for name in ("size", "committed", "shipped", "lag_bytes"))
            lines.append(f"{sizes}  {file['path']}")
        if len(status["files"]) > _FILES_PRINTED:
            lines.append(f"… and {status['files_followed'] - _FILES_PRINTED} more; --json shows them")
    return "\n".join(lines)


def _unrecorded(status: dict[str, Any]) -> list[str]:
    notices = status.get("unrecorded", [])
    lines = []
    for notice in notices[:_MODELS_PRINTED]:
        said = datetime.fromtimestamp(notice["at"], UTC).isoformat(timespec="seconds")
        lines.append(f"unrecorded   {notice['model']}, at {said}: {notice['message']}")
    if len(notices) > _MODELS_PRINTED:
        lines.append(f"unrecorded   … and {len(notices) - _MODELS_PRINTED} more models; --json shows them")
    return lines


def _left_out(status: dict[str, Any]) -> str:
    models = status.get("features_beyond_limit", {})
    if not models:
        return "no features"
    counts = ", ".join(f"{count:,} or more of {model}" for model, count in list(models.items())[:_MODELS_PRINTED])
    more = f", and of {len(models) - _MODELS_PRINTED} more models" if len(models) > _MODELS_PRINTED else ""
    return f"{counts}{more}: features beyond max_features ({status['max_features']:,})"


def _size(count: float) -> str:
    for unit in ("B", "kiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1024
    raise AssertionError


# -- profile -------------------------------------------------------------------------------------------------------


def _profile(options: argparse.Namespace) -> int:
    from modelward_agent.profile.answers import Prediction
    from modelward_agent.profile.reference import TableError, profile_file, write_reference
    from modelward_agent.profile.sample import Reservoir, sample_path, write_sample
    from modelward_agent.profile.table import CsvFormat

    if not options.output.parent.is_dir():
        print(f"modelward: --output {options.output}: there is no folder {options.output.parent}", file=sys.stderr)
        return 2
    try:
        if not options.model.strip():
            raise ValueError("--model: write the model's name, as its Recorder has it")
        window = parse_duration(options.window)
        if not 1 <= options.max_features <= MOST_FEATURES:
            raise ValueError(f"--max-features {options.max_features}: write a number from 1 to {MOST_FEATURES}")
        prediction = Prediction(options.prediction, tuple(options.classes), _probabilities(options.probability))
        sample = None
        if options.sample is not None:
            if options.sample < 1:
                raise ValueError(f"--sample {options.sample}: write how many rows to keep, for example 20000")
            sample = Reservoir(
                options.sample, prediction=prediction, actual=options.actual, timestamp=options.timestamp
            )
        declared = None if options.types is None else _declared(options.types, options.model)
        documents = profile_file(
            options.file,
            model=options.model,
            version=options.version,
            timestamp=options.timestamp,
            window_seconds=round(window.total_seconds()),
            prediction=prediction,
            actual=options.actual,
            segments=options.segment,
            exclude=options.exclude,
            categorical=options.categorical,
            numeric=options.numeric,
            boolean=options.boolean,
            declared=declared,
            max_features=options.max_features,
            written=CsvFormat(options.separator, options.decimal, options.encoding),
            sample=sample,
            warn=lambda text: print(f"modelward: {text}", file=sys.stderr),
        )
        written = write_reference(options.output, documents)
        if sample is not None:
            write_sample(sample_path(options.output), sample.lines())
    except (TableError, ValueError) as error:
        print(f"modelward: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"modelward: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    print(f"modelward: {options.output}: {written} {'profile' if written == 1 else 'profiles'} of {options.model}")
    if sample is not None:
        print(f"modelward: {sample_path(options.output)}: a sample of {len(sample)} labelled rows")
    return 0


def _declared(path: Path, model: str) -> dict[str, ValueType]:
    declared = declared_types(path)
    if model not in declared:
        of = ", ".join(declared) or "no model"
        raise ValueError(f"--types {path}: declares types of {of}, and not of {model}; correct --model or --types")
    return declared[model]


def _probabilities(given: Sequence[str]) -> dict[str, str]:
    """The class of each column, of `CLASS=COLUMN`; the last = separates them, since a class may have one."""
    found = {}
    for text in given:
        name, separator, column = text.rpartition("=")
        if not separator or not name or not column:
            raise ValueError(f"--probability {text!r}: write CLASS=COLUMN, for example fraud=p_fraud")
        found[column] = name
    return found
