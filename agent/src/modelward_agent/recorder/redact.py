"""Values that must never touch the disk: dropped, or replaced by a keyed hash, before anything is encoded."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson

from modelward_agent.recorder.value import name_of, plain

REDACT_FILE_VARIABLE = "MODELWARD_REDACT_FILE"

_MIN_KEY_BYTES = 16
_MAX_KEY_BYTES = 64  # of BLAKE2b
_DIGEST_BYTES = 16
_MAX_NAMES = 10_000  # a caller with ever new names must not grow the memory


class Action(StrEnum):
    """What becomes of a value."""

    DROP = "drop"
    HASH = "hash"


class Redaction:
    """Rules by name, exact or glob (`"card_*"`); where several fit, dropping wins.

    A hash is BLAKE2b under the key, 32 hexadecimal digits: equal values stay equal, so a hashed feature can still be
    counted and watched for drift. Null and NaN are not hashed, so they can still be counted as missing.
    """

    def __init__(self, rules: Mapping[str, str], key: bytes = b"") -> None:
        self._rules = [(re.compile(fnmatch.translate(pattern)), _action(pattern, rules[pattern])) for pattern in rules]
        if not key and any(action is Action.HASH for _, action in self._rules):
            raise ValueError("redact: hashing needs a key; give redact_key_file, a file of mode 0600")
        self._key = key if len(key) <= _MAX_KEY_BYTES else hashlib.blake2b(key).digest()
        # Names seen before and the actions of those that have one. One tuple, replaced whole: threads need no lock, and
        # a name is never known without its action.
        self._seen: tuple[set[str], dict[str, Action]] = (set(), {})

    def action(self, name: str) -> Action | None:
        """What becomes of the values under this name."""
        fitting = [action for pattern, action in self._rules if pattern.match(name)]
        if not fitting:
            return None
        return Action.DROP if Action.DROP in fitting else Action.HASH

    def apply(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values without what is dropped and with what is hashed; the given dict stays as it is."""
        known, named = self._seen
        if not values.keys() <= known:
            values = {name_of(name): value for name, value in values.items()}
            known, named = self._learn(values)
        if named.keys().isdisjoint(values):
            return values
        redacted = dict(values)
        for name in named.keys() & values.keys():
            if named[name] is Action.DROP:
                del redacted[name]
            else:
                redacted[name] = self.hashed(values[name])
        return redacted

    def _learn(self, names: Iterable[str]) -> tuple[set[str], dict[str, Action]]:
        known, named = self._seen if len(self._seen[0]) < _MAX_NAMES else (set(), {})
        new = {name: action for name in names if (action := self.action(name)) is not None}
        seen = self._seen = (known | set(names), named | new)
        return seen

    def hashed(self, value: Any) -> str | None:
        """The value's keyed hash: of a string its own bytes, of anything else its JSON."""
        value = plain(value)
        if value is None or value == "NaN":
            return None if value is None else "NaN"
        content = value.encode() if isinstance(value, str) else orjson.dumps(value)
        return hashlib.blake2b(content, key=self._key, digest_size=_DIGEST_BYTES).hexdigest()


def _action(pattern: str, action: str) -> Action:
    try:
        return Action(action)
    except ValueError:
        raise ValueError(f'redact: {pattern}: "{action}" is not an action; write drop or hash') from None


def redaction(rules: Mapping[str, str] | None, key_file: str | os.PathLike[str] | None) -> Redaction | None:
    """The rules of the code and of the file that `MODELWARD_REDACT_FILE` names together; None when there are none.

    The file is YAML or JSON, `{key_file: path, features: {name: drop|hash}}`. Raises ValueError when a rule, the file
    or the key cannot be used: an application must not start with values unprotected that it was told to protect.
    """
    together = dict(rules or {})
    if path := os.environ.get(REDACT_FILE_VARIABLE):
        ordered, ordered_key_file = _read(Path(path))
        key_file = key_file or ordered_key_file
        for pattern, action in ordered.items():
            together[pattern] = Action.DROP if Action.DROP in (action, together.get(pattern)) else action
    return Redaction(together, _key(key_file)) if together else None


def _read(path: Path) -> tuple[Mapping[str, str], str | None]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{REDACT_FILE_VARIABLE}: {path} cannot be read as YAML ({error}); correct it") from error
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, dict) or not set(content) <= {"features", "key_file"}:
        raise ValueError(f"{path}: must hold features: {{name: drop or hash}} and, for hash, key_file: a path")
    key_file = content.get("key_file")
    return {name_of(name): str(action) for name, action in features.items()}, key_file and str(path.parent / key_file)


def _key(key_file: str | os.PathLike[str] | None) -> bytes:
    if key_file is None:
        return b""
    path = Path(key_file)
    try:
        mode = path.stat().st_mode
        key = path.read_bytes().strip()
    except OSError as error:
        raise ValueError(f"redact_key_file: {path} cannot be read ({error.strerror}); create it, mode 0600") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ValueError(f"redact_key_file: {path} is open to other users; run: chmod 600 {path}")
    if len(key) < _MIN_KEY_BYTES:
        raise ValueError(
            f"redact_key_file: {path} holds {len(key)} bytes and at least {_MIN_KEY_BYTES} are needed; "
            f"run: openssl rand -hex 32 > {path}"
        )
    return key
