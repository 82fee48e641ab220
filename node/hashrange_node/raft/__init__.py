"""Raft without input and output: messages and ticks in, work for a driver out (README.md shows the way)."""

from .confchange import LEAVE_JOINT, Change, ChangeKind, ConfChange, Configuration, InvalidChange, Transition
from .core import RaftCore
from .messages import (
    CONFIG,
    DATA,
    NO_REPLICA,
    NOOP,
    Append,
    AppendReply,
    Entry,
    HardState,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    Snapshot,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from .ready import Leadership, ReadState, Ready, RoleName
from .refusal import Refusal
from .settings import Rng, Settings
from .storage import InitialState, MemoryStorage, Storage

__all__ = [
    "CONFIG",
    "DATA",
    "LEAVE_JOINT",
    "NOOP",
    "NO_REPLICA",
    "Append",
    "AppendReply",
    "Change",
    "ChangeKind",
    "ConfChange",
    "Configuration",
    "Entry",
    "HardState",
    "Heartbeat",
    "HeartbeatReply",
    "InitialState",
    "InstallSnapshot",
    "InvalidChange",
    "Leadership",
    "MemoryStorage",
    "Message",
    "RaftCore",
    "ReadState",
    "Ready",
    "Refusal",
    "Rng",
    "RoleName",
    "Settings",
    "Snapshot",
    "Storage",
    "TimeoutNow",
    "Transition",
    "VoteReply",
    "VoteRequest",
]
