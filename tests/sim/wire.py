"""What becomes of a message between processes: another object with the same contents, and nothing shared that moves.

Payloads of entries become bytes, as on a real connection; answers and values that nobody changes are passed on as
they are.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from hashrange_node.raft import Append, Entry

from hashrange.wire.cluster import RaftBatch
from hashrange.wire.messages import WriteItem


def carry(message: Any) -> Any:
    """The same message, as the other side gets it."""
    kind = message.__class__
    if kind is RaftBatch:
        return RaftBatch([(group, _carry_raft(each)) for group, each in message.messages])
    if kind is WriteItem:
        carried = copy(message)
        carried.decoded = None
        return carried
    return message


def _carry_raft(message: Any) -> Any:
    if message.__class__ is Append:
        carried = copy(message)
        carried.entries = [_carry_entry(entry) for entry in message.entries]
        return carried
    return message


def _carry_entry(entry: Entry) -> Entry:
    payload = entry.payload
    if payload is not None and payload.__class__ is not bytes:
        payload = payload.encode()
    return Entry(entry.index, entry.term, entry.kind, payload, entry.size)
