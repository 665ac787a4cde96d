"""`make demo`: sets up, starts Modelward, and plays a year of flights back while it watches."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pandas as pd

from demo import flights
from demo.accepting import LOOK_EVERY_SECONDS, Accepting
from demo.replay import replay
from modelward_agent import Recorder
from modelward_agent.profile import profile, wire

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "demo"
HOME = BUILD / "home"
LOG = BUILD / "modelward.log"
MODEL = "arrival-delay"
VERSION = "january"
REPLAYED = ("--clock", "replay", "--agent-window", "1d")
"""Time is the data's, and a day is the finest thing looked at."""

ANY_PORT = {"MODELWARD_AGENT__METRICS__LISTEN": "127.0.0.1:0"}
"""Another agent of this machine may have the usual one."""

READY_WITHIN = 60.0
ENDS_WITHIN = 20.0
SAMPLED = 20_000
"""Rows of January that are kept whole, to estimate performance from before labels are in."""

FIRST_REPLAYED = flights.TRAINED_UNTIL


def main(arguments: list[str] | None = None) -> int:
    """Run the demo until Ctrl-C, or with `--exit` until the year is over; the exit code."""
    options = _options(arguments)
    for ending in (signal.SIGINT, signal.SIGTERM):  # also where a shell had them ignored
        signal.signal(ending, _as_interrupt)
    _require_free(options.port)
    with contextlib.suppress(KeyboardInterrupt), _only_one():
        _run(options)
    print("\nDemo ended.", flush=True)
    return 0


def _run(options: argparse.Namespace) -> None:
    rows, model = _prepare()
    _fresh_home()
    with _modelward(options.port) as (url, child):
        print(url, flush=True)
        print(
            f"  The page of {MODEL} shows what has changed since January: {url}models/{MODEL}\n"
            "  In April a month of flights to other places is accepted as the new normal; nothing else is.\n"
            f"  Replaying 2013 at {options.speed:g} {'day' if options.speed == 1 else 'days'} a second; "
            "Ctrl-C ends it.\n",
            flush=True,
        )
        _watch(rows, model, options, child)


@contextlib.contextmanager
def _only_one() -> Iterator[None]:
    """One demo at a time: each begins by emptying the folder that another would be running in."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"modelward: another demo runs in {BUILD}; end that one first") from None
        yield


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--speed", type=float, default=1.0, help="days of 2013 a second (default 1)")
    parser.add_argument("--port", type=int, default=8321, help="where to open (default 8321)")
    parser.add_argument("--until", type=pd.Timestamp, default=None, help="end the replay at this day of 2013")
    parser.add_argument("--exit", action="store_true", help="end when the replay does, instead of staying up")
    options = parser.parse_args(arguments)
    if not 0 < options.speed <= 1000:
        parser.error(
            f"--speed {options.speed:g}: write a number of days a second above 0 and up to 1000, for example 2"
        )
    if not 0 < options.port <= 65535:
        parser.error(f"--port {options.port}: write a port from 1 to 65535, for example 8322")
    return options


def _prepare() -> tuple[pd.DataFrame, Any]:
    """The flights after January and the trained model; what was made before is used again."""
    _say("Reading the flights of 2013")
    rows = flights.load()
    january = rows[rows["departed"] < FIRST_REPLAYED]
    trained, reference = BUILD / f"model-{_made_by()}.pickle", BUILD / "january.profile.jsonl"
    if trained.exists() and reference.exists():
        # Our own file of an earlier run, in a folder that only this user writes.
        model = pickle.loads(trained.read_bytes())  # noqa: S301
    else:
        _say(f"Training on January's {len(january):,} departures")
        model = flights.train(january)
        _say("Profiling January: the reference")
        data = BUILD / "january.parquet"
        flights.write_training_data(january, model, data)
        command = [_program("modelward-agent"), "profile", str(data), "--model", MODEL, "--version", VERSION]
        command += ["--timestamp", "departed", "--window", "1d", "--segment", flights.SEGMENT]
        command += ["--prediction", "prediction", "--actual", "actual", "--output", str(reference)]
        command += ["--sample", str(SAMPLED)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        partial = trained.with_suffix(".partial")
        partial.write_bytes(pickle.dumps(model))
        partial.replace(trained)
    return rows[rows["departed"] >= FIRST_REPLAYED].reset_index(drop=True), model


def _made_by() -> str:
    """What the model and its reference depend on; another text of these makes them anew."""
    sources = (flights.__file__, profile.__file__, wire.__file__)
    return hashlib.sha256(b"".join(Path(source).read_bytes() for source in sources)).hexdigest()[:12]


def _fresh_home() -> None:
    """Every run begins the year anew: an empty store, and the demo's configuration."""
    shutil.rmtree(HOME, ignore_errors=True)
    shutil.copytree(Path(__file__).parent / "home", HOME)
    for name in ("january.profile.jsonl", "january.profile.sample.jsonl"):
        shutil.copy(BUILD / name, HOME / "models.d" / name)


@contextlib.contextmanager
def _modelward(port: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """`modelward up` as a child, ready to answer; its address, and it. What it says goes to a log file."""
    _say("Starting Modelward")
    with LOG.open("wb") as output:
        child = subprocess.Popen(
            [_program("modelward"), "up", "--home", str(HOME), "--port", str(port), *REPLAYED],
            env={**os.environ, **ANY_PORT},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}/"
        _wait_until_ready(url, child)
        yield url, child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
        try:
            child.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _require_free(port: int) -> None:
    """Before the child is: another Modelward that listens there would answer in its place."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SystemExit(
                f"modelward: 127.0.0.1:{port} cannot be listened at ({error.strerror}); stop what does, "
                "or choose another port: make demo PORT=8322"
            ) from None


def _wait_until_ready(url: str, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise SystemExit(f"modelward: it did not start:\n{LOG.read_text()}")
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(f"{url}readyz", timeout=2).close()  # noqa: S310 - our own loopback address
            return
        time.sleep(0.1)
    raise SystemExit(f"modelward: it was not ready within {READY_WITHIN:g} s; see {LOG}")


def _watch(rows: pd.DataFrame, model: Any, options: argparse.Namespace, child: subprocess.Popen[bytes]) -> None:
    if options.until is not None:
        until = options.until.tz_localize("UTC") if options.until.tzinfo is None else options.until
        rows = rows[rows["departed"] < until].reset_index(drop=True)
    in_place = sys.stdout.isatty()
    shown = 0.0
    with contextlib.closing(Accepting(HOME / "modelward.db", MODEL)) as accepting:
        with Recorder(MODEL, VERSION, journal=HOME / "journal") as recorder:
            for progress in replay(rows, model, recorder, days_per_second=options.speed):
                if child.poll() is not None:
                    raise SystemExit(f"\nmodelward: it ended by itself; see {LOG}")
                _accept(accepting, in_place=in_place)
                if time.monotonic() - shown >= (0.25 if in_place else 5.0):
                    shown = time.monotonic()
                    _show(progress.moment, progress.predictions, progress.actuals, in_place=in_place)
            _show(progress.moment, progress.predictions, progress.actuals, in_place=in_place)
        if options.exit:
            return
        print("\n  The year is over. Modelward stays up until Ctrl-C.", flush=True)
        while True:  # the checks may be some way behind a fast replay
            _accept(accepting, in_place=False)
            time.sleep(LOOK_EVERY_SECONDS)


def _accept(accepting: Accepting, *, in_place: bool) -> None:
    said = accepting.look()
    if said is not None:
        line = f"  {said.at:%d %b %Y}   accepted by {said.by}: {said.describe()}"
        print(f"\n{line}" if in_place else line, flush=True)


def _show(moment: pd.Timestamp, predictions: int, actuals: int, *, in_place: bool) -> None:
    line = f"  {moment:%d %b %Y}   {predictions:>9,} predictions   {actuals:>9,} delays known"
    print(f"\r{line}" if in_place else line, end="" if in_place else "\n", flush=True)


def _say(what: str) -> None:
    print(f"{what} …", flush=True)


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
