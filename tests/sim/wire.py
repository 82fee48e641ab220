"""What becomes of messages and answers between processes: they are encoded, and decoded at the other end."""

from __future__ import annotations

from typing import Any

from hashrange_node.raft_codec import RaftMessages

from hashrange.wire.codec import Codec

_CODEC = Codec(raft=RaftMessages())


def carry(message: Any) -> Any:
    """A request or a one-way message, as the other side gets it."""
    return _CODEC.decode_request(_CODEC.encode_request(message))


def carry_reply(message: Any, answer: Any) -> Any:
    """The answer to a message, as the asker gets it."""
    return _CODEC.decode_reply(_CODEC.encode_reply(message, answer))
