"""Which versions of a model are told apart: a flood of them must not make a check, or a page, endless."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from typing import Any

from modelward_agent.bounds import MAX_VERSIONS, OTHER_VERSION

logger = logging.getLogger(__name__)

_REMEMBERED = 1_000
_reported: deque[str] = deque(maxlen=_REMEMBERED)
"""Models already complained about."""


def told_apart(model: str, versions: Mapping[str, tuple[int, Any]]) -> frozenset[str]:
    """At most `MAX_VERSIONS` of the versions, given with their rows and their latest: most rows first, then newest.

    The others are to be taken together, as `OTHER_VERSION`. That there are some is logged once of each model.
    """
    named = [version for version in versions if version != OTHER_VERSION]
    if len(named) <= MAX_VERSIONS:
        return frozenset(versions)
    if model not in _reported:
        _reported.append(model)
        logger.warning(
            "%s: %d versions had traffic in one window; the %d with most rows are judged, and the rest together as "
            '"%s". A version is for what changes with a deployment, not with a request',
            *(model, len(named), MAX_VERSIONS, OTHER_VERSION),
        )
    ordered = sorted(named, key=lambda version: (versions[version], version), reverse=True)
    return frozenset(ordered[:MAX_VERSIONS])
