"""What a person may do."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Role(StrEnum):
    """Each may do all that those before it may: read; run checks, see Prometheus and Alertmanager; everything."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """0, 1, 2."""
        return list(Role).index(self)

    def may(self, needed: Role) -> bool:
        """Whether this role is the needed one or above."""
        return self.rank >= needed.rank


def highest(roles: Iterable[Role]) -> Role | None:
    """The one that may do most; None of none."""
    return max(roles, key=lambda role: role.rank, default=None)
