"""What a verdict was judged by: a digest of all that a person can change about it."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from modelward_collector.checks.result import CheckKind
from modelward_collector.models import ModelSpec, ReferenceFile


def basis_of(spec: ModelSpec, check: CheckKind) -> str:
    """Twelve hex digits: the same as long as the model's file and its reference file say the same of this check.

    When a check runs, and who owns the model, are no matter.
    """
    settings = getattr(spec.checks, check).model_dump(mode="json", exclude={"every", "cron", "enabled"})
    said: dict[str, Any] = {
        "check": settings,
        "ignore": spec.checks.drift.ignore,
        "types": {name: schema.type for name, schema in spec.features.items()},
        **spec.model_dump(mode="json", include={"task", "reference", "output", "timezone", "holidays"}),
    }
    if check is CheckKind.QUALITY:
        said |= spec.model_dump(mode="json", include={"features", "expectations"})
    if isinstance(spec.reference, ReferenceFile):
        try:
            status = spec.reference.path.stat()
            said["file"] = [status.st_mtime_ns, status.st_size]
        except OSError:
            said["file"] = None
    return hashlib.blake2b(orjson.dumps(said, option=orjson.OPT_SORT_KEYS), digest_size=6).hexdigest()
