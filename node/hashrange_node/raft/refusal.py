"""Why a replica does not do what it was asked: values that are returned, because they are everyday events."""

from __future__ import annotations

from enum import Enum


class Refusal(Enum):
    """The reason of a refusal. Nothing was appended or sent; the value is a text for people."""

    NOT_LEADER = "this replica does not lead the group"
    OLD_LEASE = "the lease of the leader before may still run"
    TRANSFERRING = "leadership is being handed over"
    OVERLOADED = "too much is waiting to be committed"
    CHANGE_PENDING = "another change of membership is not applied yet"
    CHANGE_INVALID = "the configuration does not allow this change"
    NOT_VOTER = "the replica is not a voter of the group"
    SILENT = "the replica has not answered for an election timeout"
    BUSY = "the group has work in progress"
