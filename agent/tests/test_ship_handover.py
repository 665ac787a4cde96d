"""What the loop hands to the shipper: each stretch of a file is read once while the shipper keeps up."""

from __future__ import annotations

import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from modelward_agent.config import Events
from modelward_agent.journal.follow import Cursor, FollowedFile
from modelward_agent.journal.parse import Kind, Record
from modelward_agent.journal.source import JournalSource
from modelward_agent.ship.documents import EVENTS, Documents, Item
from modelward_agent.ship.handover import Handover, Piece

DEADLINE = 10.0


@pytest.fixture
def file(tmp_path: Path) -> FollowedFile:
    return FollowedFile(
        key="k",
        path=str(tmp_path / "f"),
        descriptor=-1,
        device=1,
        inode=1,
        source=JournalSource(),
        recorder=True,
        cursor=Cursor(0),
        committed=0,
        handed=0,
        shipped=0,
    )


def documents(size: int) -> list[Item]:
    return [Item(EVENTS, "id", b"x" * size)]


def test_a_stretch_waits_for_room_and_is_handed_over_when_there_is_some(file: FollowedFile) -> None:
    handover = Handover(room=1_000)
    assert handover.offer(file, 0, 10, lambda: documents(1_000))
    offered: list[bool] = []
    loop = threading.Thread(target=lambda: offered.append(handover.offer(file, 10, 20, lambda: documents(1), DEADLINE)))
    loop.start()
    taken: list[Piece | FollowedFile | None] = []
    until = time.monotonic() + DEADLINE
    while len(taken) < 2 and time.monotonic() < until:
        if (one := handover.take([file])) is not None:
            taken.append(one)
    loop.join()
    assert offered == [True]
    assert [piece.end for piece in taken if isinstance(piece, Piece)] == [10, 20]


def test_while_it_waits_for_room_the_shipper_does_not_read_the_stretch(file: FollowedFile) -> None:
    handover = Handover(room=1_000)
    handover.offer(file, 0, 10, lambda: documents(1_000))
    made = threading.Event()
    release = threading.Event()

    def slow() -> list[Item]:
        made.set()
        release.wait(DEADLINE)
        return documents(1)

    loop = threading.Thread(target=handover.offer, args=(file, 10, 20, slow, DEADLINE))
    loop.start()
    assert file.folded == 10
    assert isinstance(handover.take([file]), Piece)
    assert made.wait(DEADLINE)
    release.set()
    second = handover.take([file])
    loop.join()
    assert isinstance(second, Piece)
    assert second.end == 20
    assert not file.claimed


def test_without_room_in_time_the_shipper_reads_the_stretch_itself(file: FollowedFile) -> None:
    handover = Handover(room=1_000)
    handover.offer(file, 0, 10, lambda: documents(1_000))
    assert not handover.offer(file, 10, 20, lambda: documents(1), 0.01)
    assert (file.folded, file.handed) == (20, 10)
    assert isinstance(handover.take([file]), Piece)
    assert handover.take([file]) is file
    # Nothing is waited for, or handed over, before the shipper has caught up.
    begun = time.monotonic()
    assert not handover.offer(file, 20, 30, lambda: documents(1), DEADLINE)
    assert time.monotonic() - begun < DEADLINE / 2
    handover.claimed(file, 30)
    assert handover.offer(file, 30, 40, lambda: documents(1), DEADLINE)


def test_waiting_for_more_ends_when_there_is_no_more_room(file: FollowedFile) -> None:
    handover = Handover(room=1_000)
    loop = threading.Thread(target=handover.offer, args=(file, 0, 10, lambda: documents(1_000)))
    begun = time.monotonic()
    loop.start()
    handover.wait_for_more(DEADLINE, lambda: False)
    loop.join()
    assert time.monotonic() - begun < DEADLINE / 2
    handover.wait_for_more(DEADLINE, lambda: True)
    assert time.monotonic() - begun < DEADLINE / 2


def test_documents_take_no_more_memory_than_they_are_long() -> None:
    records = [
        Record(Kind.PREDICTION, 0.0, {"model": "m", "features": {"a": 1.5, "b": number}, "prediction": 0.5})
        for number in range(2_000)
    ]
    made = Documents("host", Events())
    tracemalloc.start()
    items = made.items("key", enumerate(records))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    long = sum(len(item.body) for item in items)
    assert held < long + 1_000 * len(items)
