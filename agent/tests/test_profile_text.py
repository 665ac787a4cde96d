"""Free text: what counts as it, exact counts of texts by word, merging, and the wire."""

import string
import zlib

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelward_agent.profile import FeatureProfile, Profile, TextSketch, from_bytes, merged, to_bytes, wire
from modelward_agent.profile.text import (
    ALL_LOOKED_AT,
    CLASSES,
    EVERY,
    bucket_of,
    character_shares,
    looks_like_text,
    words_of,
)

WORDS = ["refund", "please", "my", "card", "was", "charged", "twice", "für", "naïve", "中", "№", "2024"]
texts = st.lists(st.sampled_from(WORDS), min_size=4, max_size=12).map(lambda words: "hello to you " + " ".join(words))


def sketch(found: list[str]) -> TextSketch:
    made = TextSketch()
    counts: dict[str, int] = {}
    for text in found:
        counts[text] = counts.get(text, 0) + 1
    made.update_counts(counts)
    return made


@pytest.mark.parametrize(
    ("text", "is_text"),
    [
        ("my card was charged twice", True),
        ("Ich möchte das Geld zurück", True),
        ("我的信用卡被扣了两次款请退款", True),
        ("カードが二重に請求されました", True),
        ("JFK", False),
        ("New York City", False),
        ("550e8400-e29b-41d4-a716-446655440000", False),
        ("a b c d", False),
        ("https://example.org/a/long/path?with=query", False),
        ("", False),
    ],
)
def test_what_looks_like_text_does_whatever_the_language(text: str, is_text: bool) -> None:
    assert looks_like_text(text) is is_text


def test_words_are_folded_numbers_are_alike_and_scripts_without_spaces_are_taken_by_character() -> None:
    assert words_of("Order 123, order 999!") == {"order", "000", ",", "!"}
    assert words_of("我要退款 now") == {"我", "要", "退", "款", "now"}


@given(st.lists(texts, min_size=1, max_size=60))
def test_counts_are_those_of_the_raw_texts(found: list[str]) -> None:
    made = sketch(found)
    for word in {word for text in found for word in words_of(text)}:
        bucket = bucket_of(word)
        having = sum(any(bucket_of(other) == bucket for other in words_of(text)) for text in found)
        assert made.buckets[bucket] == having
        assert made.names()[word] == sum(word in words_of(text) for text in found)
    assert made.n == made.looked == len(found)
    assert made.lengths.moments.mean == pytest.approx(np.mean([len(text) for text in found]))
    for index, belongs in enumerate(
        (
            lambda c: c.isascii() and c.isupper(),
            lambda c: c in string.digits,
            lambda c: c.isascii() and c.isspace(),
            lambda c: c in string.punctuation,
            lambda c: not c.isascii(),
        )
    ):
        by_hand = [sum(map(belongs, text)) / len(text) for text in found]
        assert made.characters[index].mean == pytest.approx(np.mean(by_hand))


@given(st.lists(texts, min_size=1, max_size=40), st.integers(0, 40))
def test_merged_parts_are_the_whole(found: list[str], cut: int) -> None:
    whole, parts = sketch(found), TextSketch()
    for part in (found[:cut], found[cut:]):
        if part:
            parts.merge(sketch(part))
    assert (parts.buckets == whole.buckets).all()
    assert (parts.n, parts.looked, parts.names()) == (whole.n, whole.looked, whole.names())
    for mine, theirs in zip(parts.characters, whole.characters, strict=True):
        assert (mine.n, mine.mean, mine.m2) == pytest.approx((theirs.n, theirs.mean, theirs.m2), abs=1e-9)


def test_of_very_many_texts_every_eighth_is_looked_at_and_all_are_measured() -> None:
    made = TextSketch()
    more = 8_000
    made.update_counts({f"text number {i} has words in it": 1 for i in range(ALL_LOOKED_AT + more)})
    assert (made.n, made.looked) == (ALL_LOOKED_AT + more, ALL_LOOKED_AT + more // EVERY)
    assert made.buckets[bucket_of("words")] == made.looked


def test_an_empty_text_has_no_share_of_anything() -> None:
    assert character_shares(["", "AB c"]).tolist() == [[0.0, 0.5], [0, 0], [0.0, 0.25], [0, 0], [0, 0]]
    assert len(CLASSES) == 5


def with_texts(found: list[str]) -> Profile:
    profile = Profile()
    profile.rows = len(found)
    profile.features["note"] = FeatureProfile()
    profile.features["note"].update_counts({text: found.count(text) for text in set(found)})
    return profile


def text_of(profile: Profile) -> TextSketch:
    found = profile.features["note"].text
    assert found is not None
    return found


def test_the_wire_brings_all_of_it_and_profiles_of_before_have_none() -> None:
    profile = with_texts(["my card was charged twice", "please send it to me now", "ok"])
    read = from_bytes(to_bytes(profile))
    back, mine = text_of(read), text_of(profile)
    assert read.features["note"].strings == 3
    assert (back.n, back.looked, back.names()) == (2, 2, mine.names())
    assert (back.buckets == mine.buckets).all()
    assert back.characters == mine.characters

    plain = with_texts(["JFK", "LGA"])
    assert from_bytes(to_bytes(plain)).features["note"].text is None
    both = merged([plain, profile])
    assert (both.features["note"].strings, text_of(both).n) == (5, 2)


def test_a_reader_of_before_finds_everything_else_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = with_texts(["my card was charged twice", "please send it to me now"])
    content = to_bytes(profile)
    assert content[3] == 1
    # What is new stands after all that was there, and under a key that an older reader does not ask for.
    monkeypatch.setattr(wire, "_SIDES", ())
    older = from_bytes(content)
    theirs, ours = (side.features["note"].categorical for side in (older, profile))
    assert theirs is not None
    assert ours is not None
    assert theirs.counts() == ours.counts()
    header = orjson.loads(content[12 : 12 + int.from_bytes(content[4:8], "big")])
    assert list(header)[-1] == "texts"


def test_strings_of_agents_that_did_not_look_for_texts_are_told_apart() -> None:
    content = to_bytes(with_texts(["JFK", "LGA"]))
    assert b'"texts":{}' in content
    size, head = int.from_bytes(content[4:8], "big"), wire._HEAD.size
    header = orjson.loads(content[head : head + size])
    del header["texts"]
    text = orjson.dumps(header)
    body = text + content[head + size :]
    older = from_bytes(wire._HEAD.pack(b"MWP", 1, len(text), zlib.crc32(body)) + body)
    assert older.features["note"].unexamined == 2
    both = merged([older, with_texts(["EWR"])])
    assert (both.features["note"].strings, both.features["note"].unexamined) == (3, 2)
    assert from_bytes(to_bytes(both)).features["note"].unexamined == 2


def test_a_busy_minute_of_texts_takes_little_on_the_wire() -> None:
    rng = np.random.default_rng(1)
    words = ["".join(rng.choice(list(string.ascii_lowercase), 6)) for _ in range(20_000)]
    found = [" ".join(rng.choice(words, 40)) for _ in range(3_000)]
    profile = with_texts(found[:1])
    profile.features["note"].text = sketch(found)
    profile.features["note"].categorical = None
    assert len(to_bytes(profile)) < 20_000
