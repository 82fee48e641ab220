"""The storage engine behind the state machine, and the data directory it lives in (README.md)."""

from .datadir import DataDirectory, DataDirError
from .engine import Engine, EngineBusy, EngineError, EngineFull, KeyRange, Mutation, View
from .memory import MemoryEngine

__all__ = [
    "DataDirError",
    "DataDirectory",
    "Engine",
    "EngineBusy",
    "EngineError",
    "EngineFull",
    "KeyRange",
    "MemoryEngine",
    "Mutation",
    "View",
]
