"""What can go wrong with the node's log, as types a caller can tell apart.

`LogFull` is an ordinary event (the caller answers "try again later"), `LogDamaged` ends the start-up with
advice for the operator, `LogFailed` is raised by calls made after the process was told to end.
"""

from __future__ import annotations

from pathlib import Path


class LogError(Exception):
    """Base of all errors of the log."""


class LogFull(LogError):  # noqa: N818
    """The disk has no room for the batch. Nothing of it was appended; the log is as it was before."""


class LogFailed(LogError):  # noqa: N818
    """The log can no longer promise durability (an fsync or a write failed); the process is about to end."""


class RecordGone(LogError, KeyError):  # noqa: N818
    """The log does not have the record asked for: it was removed, or the log keeps nothing."""

    def __init__(self, position: int) -> None:
        self.position = position
        super().__init__(f"the log keeps no record of position {position}")


class LogDamaged(LogError):  # noqa: N818
    """The log is not what was written: acknowledged records may be missing or changed.

    `path` is the file, `offset` the byte in it where the damage was noticed, `reason` one clause in plain
    words, `last_good_position` the position up to which every record is intact. Nothing has been changed on
    disk when this is raised.
    """

    def __init__(self, path: Path, offset: int, reason: str, last_good_position: int) -> None:
        self.path = path
        self.offset = offset
        self.reason = reason
        self.last_good_position = last_good_position
        super().__init__(
            f"The log is damaged: {path}, byte {offset}: {reason}. Records up to position "
            f"{last_good_position} are intact; nothing has been changed on disk. Acknowledged writes may be "
            "lost, so this node does not start. A replica of a cluster: remove the node's data directory and "
            "let the node join again under a new identity. A single server: restore the data directory from "
            "a copy, or run `hashrange repair`, which moves the damaged files aside and goes on from what is "
            "intact."
        )


class RecordDamaged(LogDamaged):
    """A record that was written whole cannot be read back: what is on disk has changed since.

    `path` and `offset` say where, `position` which record; the fields of LogDamaged have their meaning there.
    """

    def __init__(self, path: Path, offset: int, reason: str, position: int) -> None:
        self.path = path
        self.offset = offset
        self.reason = reason
        self.position = self.last_good_position = position
        LogError.__init__(
            self,
            f"The log is damaged: {path}, byte {offset}: {reason}. The record at position {position} was written "
            "whole, so the disk or the file system has changed it. Nothing of it has been used. Let other nodes "
            "take over what this one has, and check the disk.",
        )
