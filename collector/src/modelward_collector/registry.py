"""Every model that is watched: those that `models.d/*.yml` configure, and those that only sent profiles."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from modelward_agent.settings import SettingsError, load_yaml_settings
from modelward_collector.calendar import Calendar
from modelward_collector.models import ModelSpec
from modelward_collector.store.protocol import SeenModel, Store, StoreUnavailableError

logger = logging.getLogger(__name__)

SEEN_MAX_AGE_SECONDS = 5.0
"""How old the list of seen models may be before the store is asked again."""

Signature = tuple[tuple[str, int, int], ...]


class Registry:
    """The specs in force. A file that cannot be used is shown in `errors`, and its last good spec stays in force.

    `calendar` is that of models whose files do not give one. Safe to use from several threads. `reload` is for SIGHUP,
    `poll` for a timer.
    """

    def __init__(self, folder: Path, store: Store | None = None, calendar: Calendar | None = None) -> None:
        self._folder = folder
        self._store = store
        self._calendar = calendar or Calendar()
        self._lock = threading.Lock()
        self._signature: Signature | None = None
        self._good: dict[Path, ModelSpec] = {}
        self._configured: dict[str, ModelSpec] = {}
        self._errors: dict[str, tuple[str, ...]] = {}
        self._seen: tuple[SeenModel, ...] = ()
        self._seen_at = float("-inf")
        self.reload()

    # -- files --------------------------------------------------------------------------------------------------
    def reload(self) -> None:
        """Read every file again, whether it changed or not."""
        with self._lock:
            self._signature = self._sign()
            self._read()

    def poll(self) -> bool:
        """Read the files again when one was added, changed or removed; whether that was so."""
        with self._lock:
            signature = self._sign()
            # A file with errors may be mended by what it refers to, a reference file that has come meanwhile.
            if signature == self._signature and not self._errors:
                return False
            changed = signature != self._signature
            self._signature = signature
            before = self._configured
            self._read(quiet=not changed)
            return changed or before != self._configured

    def _files(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        return sorted(path for path in self._folder.iterdir() if path.suffix in (".yml", ".yaml"))

    def _sign(self) -> Signature:
        signature = []
        for path in self._files():
            try:
                stat = path.stat()
            except OSError:
                continue
            signature.append((path.name, stat.st_mtime_ns, stat.st_size))
        return tuple(signature)

    def _read(self, quiet: bool = False) -> None:
        errors: dict[str, tuple[str, ...]] = {}
        good: dict[Path, ModelSpec] = {}
        owner: dict[str, Path] = {}
        for path in self._files():
            try:
                spec = load_yaml_settings(path, ModelSpec)
            except SettingsError as error:
                errors[str(path)] = tuple(error.lines)
                kept = self._good.get(path)
                if kept is None:
                    continue
                spec = kept
            first = owner.setdefault(spec.model, path)
            if first != path:
                problem = f'"{spec.model}" is configured in {first.name} already'
                advice = "give this file's model another name, or remove one of the two files"
                errors[str(path)] = (f"modelward: {path}: model: {problem}; {advice}",)
                continue
            good[path] = spec
        for lines in errors.values():
            if not quiet:
                logger.error("%s", "\n".join(lines))
        self._good = good
        self._configured = {spec.model: spec.under(self._calendar) for spec in good.values()}
        self._errors = errors

    @property
    def errors(self) -> Mapping[str, Sequence[str]]:
        """What is wrong with the files as they are now, {file: [line]}; the spec before stays in force."""
        return self._errors

    # -- models -------------------------------------------------------------------------------------------------
    def seen(self) -> Sequence[SeenModel]:
        """Every model version that sent profiles, as of a few seconds ago.

        While the store is down the last answer stands.
        """
        if self._store is not None and time.monotonic() - self._seen_at > SEEN_MAX_AGE_SECONDS:
            self._seen_at = time.monotonic()
            try:
                self._seen = tuple(self._store.seen_models())
            except StoreUnavailableError as error:
                logger.warning("the list of seen models is stale: %s", error)
        return self._seen

    def specs(self) -> list[ModelSpec]:
        """Configured and seen models, sorted by name; `configured` is False for those without a file."""
        configured = self._configured
        names = {seen.model for seen in self.seen()} | configured.keys()
        return [configured.get(name) or self._unconfigured(name) for name in sorted(names)]

    def known(self) -> list[tuple[ModelSpec, list[str]]]:
        """Every model with its versions, the one seen last first, as of the latest `seen`; the store is not asked."""
        configured, seen = self._configured, self._seen
        versions: dict[str, list[str]] = {name: [] for name in configured}
        for one in sorted(seen, key=lambda one: (one.last_seen, one.version), reverse=True):
            versions.setdefault(one.model, []).append(one.version)
        return [(configured.get(name) or self._unconfigured(name), versions[name]) for name in sorted(versions)]

    def spec(self, model: str) -> ModelSpec | None:
        """One model's spec, None when it is neither configured nor seen."""
        configured = self._configured.get(model)
        if configured is not None:
            return configured
        if any(seen.model == model for seen in self.seen()):
            return self._unconfigured(model)
        return None

    def _unconfigured(self, model: str) -> ModelSpec:
        return ModelSpec.unconfigured(model).under(self._calendar)

    def versions(self, model: str) -> list[SeenModel]:
        """The versions of a model that sent profiles, the one seen last first."""
        mine = [seen for seen in self.seen() if seen.model == model]
        return sorted(mine, key=lambda seen: (seen.last_seen, seen.version), reverse=True)
