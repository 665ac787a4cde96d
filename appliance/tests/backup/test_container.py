"""A container is read as it was written, or not at all."""

from __future__ import annotations

import contextlib
import io
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelward_appliance.backup.container import CHUNK_BYTES, ContainerReader, ContainerWriter, read_header
from modelward_appliance.backup.errors import BackupError, DamagedError, NewerFormatError, WrongKeyError
from modelward_appliance.backup.keys import Key, new_key, parse_keys

KEY = Key(bytes(range(32)))
OTHER = Key(bytes(range(1, 33)))
CHUNK = 32
SEALED = CHUNK + 16


def sealed(content: bytes, key: Key = KEY, chunk_bytes: int = CHUNK) -> bytes:
    file = io.BytesIO()
    with ContainerWriter(file, key, chunk_bytes=chunk_bytes) as writer:
        writer.write(content)
    return file.getvalue()


def opened(container: bytes, *keys: Key) -> bytes:
    return ContainerReader(io.BytesIO(container), keys or (KEY,)).read()


def start_of_chunks(container: bytes) -> int:
    return 22 + int.from_bytes(container[18:22], "big") + 32


@given(st.binary(max_size=5 * CHUNK), st.lists(st.integers(1, 3 * CHUNK), min_size=1))
def test_what_is_written_in_any_pieces_is_read_in_any_pieces(content: bytes, pieces: list[int]) -> None:
    file = io.BytesIO()
    with ContainerWriter(file, KEY, chunk_bytes=CHUNK) as writer:
        at = 0
        for size in pieces:
            writer.write(content[at : at + size])
            at += size
        writer.write(content[at:])
    reader = ContainerReader(file, (KEY,))
    read = b"".join(iter(lambda: reader.read(pieces[0]), b""))
    assert read == content


@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1])
def test_lengths_around_a_chunk_come_back(length: int) -> None:
    assert opened(sealed(b"x" * length)) == b"x" * length


def test_every_flipped_bit_is_found() -> None:
    container = sealed(bytes(range(80)))
    for place in range(len(container)):
        for bit in range(8):
            changed = bytearray(container)
            changed[place] ^= 1 << bit
            with pytest.raises(BackupError):
                opened(bytes(changed))


def test_a_file_cut_short_anywhere_is_found() -> None:
    container = sealed(bytes(80))
    for length in range(len(container)):
        with pytest.raises(DamagedError):
            opened(container[:length])


def test_a_file_cut_at_a_chunk_and_given_an_end_mark_is_found() -> None:
    container = sealed(bytes(3 * CHUNK))
    for chunks in range(3):
        start = container[: start_of_chunks(container) + chunks * SEALED]
        forged = start + (len(start) + 16).to_bytes(8, "big") + b"MWBKPEND"
        with pytest.raises(DamagedError):
            opened(forged)


@given(st.binary(min_size=1, max_size=3 * SEALED))
def test_anything_added_at_the_end_is_found(more: bytes) -> None:
    container = sealed(bytes(80))
    forged = container[:-16] + more
    for added in (container + more, forged + (len(forged) + 16).to_bytes(8, "big") + b"MWBKPEND"):
        with pytest.raises(DamagedError):
            opened(added)


@given(st.permutations(range(4)), st.integers(0, 3))
def test_chunks_that_are_moved_repeated_or_left_out_are_found(order: list[int], twice: int) -> None:
    container = sealed(bytes(4 * CHUNK))
    start = start_of_chunks(container)
    chunks = [container[start + SEALED * number : start + SEALED * (number + 1)] for number in range(4)]
    for chosen in (order, [*range(4), twice], [number for number in range(4) if number != twice]):
        if chosen == list(range(4)):
            continue
        forged = container[:start] + b"".join(chunks[number] for number in chosen)
        with pytest.raises(DamagedError):
            opened(forged + (len(forged) + 16).to_bytes(8, "big") + b"MWBKPEND")


def test_a_chunk_of_another_backup_with_the_same_key_is_found() -> None:
    first, second = sealed(bytes(3 * CHUNK)), sealed(bytes(3 * CHUNK))
    start = start_of_chunks(first)
    assert start == start_of_chunks(second)
    with pytest.raises(DamagedError, match="changed or damaged"):
        opened(first[:start] + second[start : start + SEALED] + first[start + SEALED :])


def test_a_writer_that_failed_leaves_nothing_that_can_be_read() -> None:
    file = io.BytesIO()
    with contextlib.suppress(OSError), ContainerWriter(file, KEY, chunk_bytes=CHUNK) as writer:
        writer.write(bytes(80))
        raise OSError("disk full")
    with pytest.raises(DamagedError, match="cut short"):
        opened(file.getvalue())


def test_another_key_is_refused_by_the_name_of_the_right_one() -> None:
    with pytest.raises(WrongKeyError, match=KEY.id):
        opened(sealed(b"content"), OTHER)


def test_a_backup_made_before_the_key_was_replaced_is_read_with_both() -> None:
    assert opened(sealed(b"content"), OTHER, KEY) == b"content"


def test_a_newer_format_is_refused_by_name() -> None:
    container = bytearray(sealed(b"content"))
    container[17] = 2
    with pytest.raises(NewerFormatError, match=r"format 2.*upgrade"):
        opened(bytes(container))


def test_a_file_that_is_no_backup_is_refused() -> None:
    with pytest.raises(DamagedError, match="no backup"):
        opened(b"hello" * 100)


def test_a_header_tells_when_and_by_which_key_without_it() -> None:
    header = read_header(io.BytesIO(sealed(b"content")))
    assert header.key == KEY.id
    assert KEY.secret.hex() not in header.model_dump_json()


def test_equal_contents_are_not_equal_when_sealed() -> None:
    assert sealed(bytes(80))[-90:-16] != sealed(bytes(80))[-90:-16]


def test_memory_is_bounded_by_the_chunk() -> None:
    tracemalloc.start()
    try:
        with Path("/dev/null").open("wb") as file, ContainerWriter(file, KEY) as writer:
            for _ in range(64):
                writer.write(bytes(CHUNK_BYTES))
        assert tracemalloc.get_traced_memory()[1] < 8 * CHUNK_BYTES
    finally:
        tracemalloc.stop()


def test_a_key_file_holds_keys_and_comments() -> None:
    text = f"# kept in the safe\n{new_key()}\n\n{new_key()}\n"
    assert len(parse_keys(text, "backup-key")) == 2


@pytest.mark.parametrize("text", ["", "# nothing\n", "not base64!\n", "c2hvcnQ=\n"])
def test_a_key_file_without_a_key_says_what_a_key_is(text: str) -> None:
    with pytest.raises(BackupError, match="backup-key: "):
        parse_keys(text, "backup-key")


def test_a_key_never_shows_itself() -> None:
    assert repr(KEY) == f"Key({KEY.id})"
