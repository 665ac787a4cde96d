"""One journal, many writers: threads, forks, spawned workers, and processes that are killed."""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from agent.tests.recorded import recorded
from modelward_agent import Recorder
from modelward_agent.journal.parse import Record, parse_line


def in_a_fork(work: object) -> int:
    """Run the callable in a forked child; its pid, once it has ended well."""
    pid = os.fork()
    if pid == 0:
        try:
            assert callable(work)
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status == 0
    return pid


def test_threads_share_a_recorder_without_losing_or_mixing_lines(tmp_path: Path) -> None:
    recorder = Recorder("m", journal=tmp_path, max_file_bytes=50_000)
    made: list[list[str]] = [[] for _ in range(8)]

    def work(mine: list[str]) -> None:
        mine.extend(recorder.predict({"x": n, "text": "y" * (n % 300)}, 1) for n in range(500))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [id for mine in made for id in mine]  # noqa: A001
    assert len(set(ids)) == 4000
    assert sorted(line["id"] for line in recorded(tmp_path)) == sorted(ids)
    assert recorder.stats.written == 4000


def test_a_forked_child_writes_its_own_file_with_its_own_ids_and_counts(tmp_path: Path) -> None:
    recorder = Recorder("m", journal=tmp_path)
    recorder.predict({"who": "parent"}, 1)
    before = recorder.path

    def child() -> None:
        assert recorder.path is None
        for _ in range(100):
            recorder.predict({"who": "child"}, 1)
        assert recorder.stats.written == 100

    pids = [in_a_fork(child) for _ in range(3)]
    recorder.predict({"who": "parent"}, 1)
    assert recorder.path == before
    lines = recorded(tmp_path)
    assert len({line["id"] for line in lines}) == len(lines) == 302
    for pid in pids:
        (file,) = tmp_path.glob(f"m-{pid}-*")
        assert file.read_bytes().count(b'"child"') == 100


def test_a_child_does_not_hold_the_parents_file(tmp_path: Path) -> None:
    """Else the agent could not tell that the parent has ended."""
    recorder = Recorder("m", journal=tmp_path)
    recorder.predict({"x": 1}, 1)
    target = recorder.path
    assert target is not None

    def child() -> None:
        for link in list(Path("/proc/self/fd").iterdir()):
            with suppress(FileNotFoundError):  # the descriptor of the listing itself
                assert link.readlink() != target

    in_a_fork(child)


def test_forks_in_the_middle_of_other_threads_recording_do_not_hang_or_mix(tmp_path: Path) -> None:
    recorder = Recorder("m", journal=tmp_path, max_file_bytes=3000)
    stop = threading.Event()
    made: list[str] = []

    def work() -> None:
        while not stop.is_set():
            made.append(recorder.predict({"x": 1}, 1))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()

    def child() -> None:
        signal.alarm(30)
        for _ in range(50):
            recorder.predict({"x": 2}, 1)
        assert recorder.stats == type(recorder.stats)(written=50, failed=0, dropped=0)

    for _ in range(20):
        in_a_fork(child)
    stop.set()
    for thread in threads:
        thread.join()
    lines = recorded(tmp_path)
    ids = [line["id"] for line in lines]
    assert len(set(ids)) == len(ids) == len(made) + 20 * 50


def test_a_recorder_goes_to_a_spawned_worker_with_its_settings(tmp_path: Path) -> None:
    recorder = Recorder("m", "3", journal=tmp_path, segment={"region": "eu"}, redact={"name": "drop"})
    program = "import pickle, sys; pickle.load(sys.stdin.buffer).predict({'name': 'Ada', 'x': 1}, 2)"
    subprocess.run([sys.executable, "-c", program], input=pickle.dumps(recorder), check=True)
    (line,) = recorded(tmp_path)
    assert (line["version"], line["segment"], line["features"]) == ("3", {"region": "eu"}, {"x": 1})


WORKER = """
import sys
from modelward_agent import Recorder
recorder = Recorder("m", journal=sys.argv[1], max_file_bytes=200_000)
n = 0
while n < int(sys.argv[2]):
    recorder.predict({"n": n, "text": "x" * (n % 1000)}, n)
    n += 1
    if n % 100 == 0:
        print(n, flush=True)
"""


def test_many_processes_write_one_journal(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path), "1000"], stdout=subprocess.DEVNULL)
        for _ in range(4)
    ]
    assert [worker.wait(60) for worker in workers] == [0] * 4
    lines = recorded(tmp_path)
    assert len({line["id"] for line in lines}) == len(lines) == 4000


def test_a_killed_process_leaves_every_line_that_it_reported(tmp_path: Path) -> None:
    chance = random.Random(7)
    for round in range(5):  # noqa: A001
        journal = tmp_path / str(round)
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(journal), "100000000"], stdout=subprocess.PIPE, text=True
        )
        assert worker.stdout is not None
        assert worker.stdout.readline() == "100\n"
        time.sleep(chance.random() / 20)  # the moment is what is tried, not a wait
        worker.kill()
        reported = int((worker.stdout.read().split("\n")[-2:] or ["100"])[0] or 100)
        worker.wait(30)
        worker.stdout.close()
        numbers = []
        for path in sorted(journal.iterdir()):
            content = path.read_bytes()
            # The kernel may cut the very last write of a process that it kills.
            whole = content[: content.rfind(b"\n") + 1]
            for line in whole.splitlines(keepends=True):
                parsed = parse_line(line)
                assert isinstance(parsed, Record)
                numbers.append(parsed.document["features"]["n"])
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= reported
