"""Between the loop that reads and the thread that ships: pieces of files that are ready to be sent.

The loop offers each piece that it has folded. While there is room the shipper takes it from here; otherwise the offer
is refused, and the shipper later reads that part of the file by its own cursor. The loop waits no longer for room than
it says, so it is never held up by the network, and memory is bounded whatever the rate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Condition

from modelward_agent.journal.follow import FollowedFile
from modelward_agent.ship.documents import Item

ROOM_BYTES = 2 * 2**20
"""Documents that may wait here."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The documents of one stretch of a file, up to its offset `end`."""

    file: FollowedFile
    end: int
    items: list[Item]
    size: int


def piece(file: FollowedFile, end: int, items: list[Item]) -> Piece:
    """A piece with its size in bytes."""
    return Piece(file, end, items, sum([len(item.body) + 96 for item in items]))


class Handover:
    """A bounded queue of pieces, and the lock of what both threads know of a file."""

    def __init__(self, room: int = ROOM_BYTES) -> None:
        self._room = room
        self._pieces: deque[Piece] = deque()
        self._bytes = 0
        self._turn_of_backlog = False
        self._turns = 0
        self.changed = Condition()

    def offer(
        self, file: FollowedFile, start: int, end: int, items: Callable[[], list[Item]], patience: float = 0.0
    ) -> bool:
        """Move the file's cursor past a stretch that was folded, and queue its documents.

        They are not queued when something before them is still to be read, or when there is no room for so many
        seconds. Until the cursor has moved nobody else reads the stretch.
        """
        with self.changed:
            if patience > 0 and file.handed == start and not file.claimed and self._bytes >= self._room:
                self.changed.notify_all()
                self.changed.wait_for(lambda: self._bytes < self._room, patience)
            file.cursor.advance(end)
            if file.handed != start or file.claimed or self._bytes >= self._room:
                self.changed.notify()
                return False
            made = piece(file, end, items())
            self._pieces.append(made)
            self._bytes += made.size
            file.handed = end
            file.queued += 1
            self.changed.notify()
            return True

    def take(self, files: Iterable[FollowedFile]) -> Piece | FollowedFile | None:
        """The next piece, or a file (now claimed) whose next stretch must be read, None when there is neither.

        Whoever gets a file reads from `handed` to at most `folded`, and calls `claimed`.
        """
        with self.changed:
            self._turn_of_backlog = not self._turn_of_backlog
            if self._pieces and not self._turn_of_backlog:
                return self._pop()
            behind = [file for file in files if file.handed < file.folded and not file.queued and not file.closed]
            if behind:
                # The file that waits longest; its mark moves with every turn.
                file = min(behind, key=lambda file: file.turn)
                self._turns += 1
                file.turn = self._turns
                file.claimed = True
                return file
            return self._pop() if self._pieces else None

    def _pop(self) -> Piece:
        taken = self._pieces.popleft()
        self._bytes -= taken.size
        self.changed.notify_all()
        taken.file.queued -= 1
        return taken

    def claimed(self, file: FollowedFile, handed: int) -> None:
        """The stretch of a claimed file was read up to here."""
        with self.changed:
            file.handed = max(file.handed, handed)
            file.claimed = False

    def waiting(self) -> bool:
        """Whether a piece is queued."""
        with self.changed:
            return bool(self._pieces)

    def wait(self, seconds: float) -> None:
        """Return when something was offered, or after this long."""
        with self.changed:
            if not self._pieces:
                self.changed.wait(seconds)

    def wait_for_more(self, seconds: float, hurry: Callable[[], bool]) -> None:
        """Return when there is no more room, after this long, or when woken and `hurry` says so."""
        with self.changed:
            self.changed.wait_for(lambda: self._bytes >= self._room or hurry(), seconds)

    def wake(self) -> None:
        """Let whoever waits go on at once."""
        with self.changed:
            self.changed.notify_all()
