"""The node's one append-only log, shared by all replication groups (README.md has the rules it keeps)."""

from .errors import LogDamaged, LogError, LogFailed, LogFull
from .format import ENTRY, HARD_STATE, TRUNCATE, Appendable, Entry, LazyPayload, hard_state, truncate
from .log import FileLog
from .memory import MemoryLog
from .protocol import NodeLog

__all__ = [
    "ENTRY",
    "HARD_STATE",
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
    "hard_state",
    "truncate",
]
