"""The node's one append-only log, shared by all replication groups (README.md has the rules it keeps)."""

from .errors import LogDamaged, LogError, LogFailed, LogFull, RecordDamaged, RecordGone
from .format import (
    CONFIG,
    ENTRY,
    ENTRY_KINDS,
    HARD_STATE,
    NOOP,
    TRUNCATE,
    Appendable,
    Entry,
    LazyPayload,
    hard_state,
    start_of,
    truncate,
)
from .log import FileLog
from .memory import MemoryLog
from .protocol import NodeLog

__all__ = [
    "CONFIG",
    "ENTRY",
    "ENTRY_KINDS",
    "HARD_STATE",
    "NOOP",
    "TRUNCATE",
    "Appendable",
    "Entry",
    "FileLog",
    "LazyPayload",
    "LogDamaged",
    "LogError",
    "LogFailed",
    "LogFull",
    "MemoryLog",
    "NodeLog",
    "RecordDamaged",
    "RecordGone",
    "hard_state",
    "start_of",
    "truncate",
]
