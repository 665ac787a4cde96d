"""What must not touch the disk does not: the files' raw bytes are searched."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest

from agent.tests.recorded import only, recorded
from modelward_agent import Recorder

SECRET = "DE89-3704-0044"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "redact.key"
    path.write_bytes(b"0123456789abcdef0123456789abcdef\n")
    path.chmod(0o600)
    return path


def test_named_and_globbed_features_never_touch_the_disk(tmp_path: Path, key_file: Path) -> None:
    journal = tmp_path / "journal"
    recorder = Recorder(
        "fraud", journal=journal, redact={"iban": "hash", "card_*": "drop", "5": "drop"}, redact_key_file=key_file
    )
    for _ in range(3):
        recorder.predict({"iban": SECRET, "card_number": SECRET, "card_name": [SECRET], 5: SECRET, "x": 1}, 1)
    recorder.predict({"x": 2}, 1)
    recorder.log("paid", fields={"iban": SECRET, "card_holder": SECRET})
    recorder.error("refused", fields={"card_holder": SECRET})
    assert recorder.stats.written == 6
    content = b"".join(path.read_bytes() for path in journal.iterdir())
    assert SECRET.encode() not in content
    digest = hashlib.blake2b(SECRET.encode(), key=key_file.read_bytes().strip(), digest_size=16).hexdigest()
    assert recorded(journal)[0]["features"] == {"iban": digest, "x": 1}
    assert recorded(journal)[3]["features"] == {"x": 2}
    assert recorded(journal)[4]["iban"] == digest


def test_segments_are_redacted_too(tmp_path: Path, key_file: Path) -> None:
    journal = tmp_path / "journal"
    recorder = Recorder(
        "fraud",
        journal=journal,
        segment={"customer": SECRET, "region": "eu"},
        redact={"customer": "hash", "clerk": "drop"},
        redact_key_file=key_file,
    )
    recorder.predict({"x": 1}, 1)
    recorder.predict({"x": 1}, 1, segment={"clerk": SECRET})
    recorder.predict_batch({"x": [1]}, [1], segment={"clerk": [SECRET]})
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in journal.iterdir())
    for line in recorded(journal):
        assert set(line["segment"]) == {"customer", "region"}
        assert len(line["segment"]["customer"]) == 32


@pytest.mark.parametrize(
    ("value", "same"), [(1, 1), (1, 1.0), (1.5, 1.5), (True, True), ("ü", "ü"), ([1, 2], (1, 2)), (2**70, 2**70)]
)
def test_equal_values_have_equal_hashes(tmp_path: Path, key_file: Path, value: Any, same: Any) -> None:
    recorder = Recorder("fraud", journal=tmp_path / "j", redact={"v": "hash"}, redact_key_file=key_file)
    recorder.predict({"v": value}, 1)
    recorder.predict({"v": same}, 1)
    recorder.predict({"v": "another"}, 1)
    first, second, third = (line["features"]["v"] for line in recorded(tmp_path / "j"))
    assert (first == second) == (json.dumps(value) == json.dumps(same))
    assert third != first


def test_what_is_missing_still_counts_as_missing(tmp_path: Path, key_file: Path) -> None:
    recorder = Recorder("fraud", journal=tmp_path / "j", redact={"*": "hash"}, redact_key_file=key_file)
    recorder.predict({"a": None, "b": math.nan}, 1)
    assert only(tmp_path / "j")["features"] == {"a": None, "b": "NaN"}


def test_dropping_wins_over_hashing(tmp_path: Path, key_file: Path) -> None:
    recorder = Recorder("fraud", journal=tmp_path / "j", redact={"a*": "hash", "ab": "drop"}, redact_key_file=key_file)
    recorder.predict({"ab": SECRET, "x": 1}, 1)
    assert only(tmp_path / "j")["features"] == {"x": 1}


def test_the_callers_own_dict_stays_as_it_is(tmp_path: Path) -> None:
    features = {"iban": SECRET, "x": 1}
    Recorder("fraud", journal=tmp_path, redact={"iban": "drop"}).predict(features, 1)
    assert features == {"iban": SECRET, "x": 1}


def test_ever_new_names_are_still_redacted_and_do_not_grow_the_memory(tmp_path: Path) -> None:
    recorder = Recorder("fraud", journal=tmp_path, redact={"secret_*": "drop"})
    for n in range(12_000):
        recorder.predict({f"secret_{n}": SECRET, f"x_{n}": 1}, 1)
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert recorder.stats.written == 12_000


def test_operators_add_rules_by_a_file_without_touching_code(
    tmp_path: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "redact.yml"
    rules.write_text("key_file: redact.key\nfeatures:\n  iban: hash\n  'card_*': drop\n")
    monkeypatch.setenv("MODELWARD_REDACT_FILE", str(rules))
    monkeypatch.setenv("MODELWARD_JOURNAL", str(tmp_path / "journal"))
    recorder = Recorder("fraud", redact={"name": "drop", "card_*": "hash"})
    recorder.predict({"iban": SECRET, "card_number": SECRET, "name": SECRET, "x": 1}, 1)
    line = only(tmp_path / "journal")
    assert set(line["features"]) == {"iban", "x"}
    assert SECRET not in json.dumps(line)


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (None, 0, "cannot be read .* create it, mode 0600"),
        (b"0123456789abcdef", 0o640, "open to other users; run: chmod 600"),
        (b"short", 0o600, "5 bytes and at least 16 are needed"),
    ],
)
def test_an_unusable_key_is_refused_before_anything_is_recorded(
    tmp_path: Path, content: bytes | None, mode: int, message: str
) -> None:
    key_file = tmp_path / "key"
    if content is not None:
        key_file.write_bytes(content)
        key_file.chmod(mode)
    with pytest.raises(ValueError, match=message):
        Recorder("fraud", redact={"iban": "hash"}, redact_key_file=key_file)


def test_a_rule_that_cannot_be_kept_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match='redact: iban: "mask" is not an action; write drop or hash'):
        Recorder("fraud", redact={"iban": "mask"})
    with pytest.raises(ValueError, match="hashing needs a key"):
        Recorder("fraud", redact={"iban": "hash"})
    for content in (": :", "features: [iban]", "features: {iban: drop}\nkeyfile: x", "[]"):
        (tmp_path / "redact.yml").write_text(content)
        monkeypatch.setenv("MODELWARD_REDACT_FILE", str(tmp_path / "redact.yml"))
        with pytest.raises(ValueError, match=r"redact\.yml"):
            Recorder("fraud")
    monkeypatch.setenv("MODELWARD_REDACT_FILE", str(tmp_path / "missing.yml"))
    with pytest.raises(ValueError, match=r"missing\.yml"):
        Recorder("fraud")
