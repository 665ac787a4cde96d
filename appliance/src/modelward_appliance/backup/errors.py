"""What can be wrong with a backup; each message is for the person who wants it back."""

from __future__ import annotations


class BackupError(Exception):
    """A backup cannot be made, read or restored; the message says what, where and what to do."""


class DamagedError(BackupError):
    """The file is not what was written: cut short, changed, or not a backup at all."""


class WrongKeyError(BackupError):
    """None of the given keys made this backup."""


class NewerFormatError(BackupError):
    """A newer Modelward wrote this backup."""
