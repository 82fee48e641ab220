"""Raft messages as bytes: proto/raft.proto, for the codec of frames (`hashrange.wire.codec`).

    codec = Codec(raft=RaftMessages())

The messages that are frequent (Append, Heartbeat and their replies) have a fixed layout: numeric fields in a fixed
order at fixed offsets, packed and read with one struct format that has the field tags as constants. All others, and
bytes laid out otherwise, go through the generated class. The payloads of an Append follow as one run of bytes behind
their sizes. A payload is `bytes`, or an object with `encode()` that keeps what it encoded, so that an entry is
encoded once for all followers and the log; it arrives as bytes (None in a NOOP).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from struct import Struct, pack, unpack_from
from struct import error as StructError  # noqa: N812
from typing import Any

from hashrange.wire.cluster import RaftBatch, SnapshotChunk
from hashrange.wire.fields import FrameError, length_prefix, parsed, read_length
from hashrange.wire.pb import raft_pb2 as pb
from hashrange_node.raft import messages as raft
from hashrange_node.raft.confchange import Configuration

_APPEND: int = pb.KIND_APPEND
_APPEND_REPLY: int = pb.KIND_APPEND_REPLY
_HEARTBEAT: int = pb.KIND_HEARTBEAT
_HEARTBEAT_REPLY: int = pb.KIND_HEARTBEAT_REPLY

# Tag and value of group, kind, sender, to, term, and then
_APPEND_FORM = Struct("<BQBBBIBIBQ BQBQBQBQ")  # index, log_term, commit, round
_APPEND_REPLY_FORM = Struct(
    "<BQBBBIBIBQ BQBQBBBQBQBB"
)  # index, round, rejected, hint_index, hint_term, needs_snapshot
_HEARTBEAT_FORM = Struct("<BQBBBIBIBQ BQBQBB")  # commit, round, quiesce
_HEARTBEAT_REPLY_FORM = Struct("<BQBBBIBIBQ BQHB")  # round, quiesced
_SINGLE = Struct("<HBIH")  # tag and length of the sizes, one size, tag of the data
_APPEND_TAGS = (0x09, 0x10, 0x1D, 0x25, 0x29, 0x31, 0x39, 0x41, 0x51)
_APPEND_REPLY_TAGS = (0x09, 0x10, 0x1D, 0x25, 0x29, 0x31, 0x51, 0x58, 0x61, 0x69, 0x70)
_HEARTBEAT_TAGS = (0x09, 0x10, 0x1D, 0x25, 0x29, 0x41, 0x51, 0x78)
_HEARTBEAT_REPLY_TAGS = (0x09, 0x10, 0x1D, 0x25, 0x29, 0x51, 0x0180)
_SINGLE_SIZE = _SINGLE.size
_KIND_OFFSET = 10
"""Where the kind is in those forms: behind the group and its own tag."""

_MESSAGES = 0x0A
_TERMS, _KINDS, _SIZES, _DATA = 0x01B2, 0x01BA, 0x01C2, 0x01CA
_TERMS_TAG, _KINDS_TAG, _SIZES_TAG, _DATA_TAG = b"\xb2\x01", b"\xba\x01", b"\xc2\x01", b"\xca\x01"

_KINDS_OF: dict[type, int] = {
    raft.Append: pb.KIND_APPEND,
    raft.AppendReply: pb.KIND_APPEND_REPLY,
    raft.Heartbeat: pb.KIND_HEARTBEAT,
    raft.HeartbeatReply: pb.KIND_HEARTBEAT_REPLY,
    raft.VoteRequest: pb.KIND_VOTE_REQUEST,
    raft.VoteReply: pb.KIND_VOTE_REPLY,
    raft.InstallSnapshot: pb.KIND_INSTALL_SNAPSHOT,
    raft.TimeoutNow: pb.KIND_TIMEOUT_NOW,
}
_CLASSES = {kind: made for made, kind in _KINDS_OF.items()}
_FIELD_NAMES = {
    "prev_index": "index", "prev_term": "log_term", "last_index": "index", "last_term": "log_term"
}  # fmt: skip
_ATTRIBUTES = {
    made: [
        (field.name, _FIELD_NAMES.get(field.name, field.name))
        for field in fields(made)
        if field.name not in ("entries", "snapshot")
    ]
    for made in _KINDS_OF
}
"""Of each class the attributes that are plain fields, and the names of those fields."""


class RaftMessages:
    """`RaftCodec` of `hashrange.wire.codec`. Holds no state."""

    def encode_batch(self, batch: RaftBatch) -> bytes:
        """The Batch of proto/raft.proto. ValueError for a replica id above 32 bits."""
        parts: list[bytes] = []
        try:
            for group, message in batch.messages:
                body = _encode(group, message)
                parts += (b"\x0a", length_prefix(len(body)), body)
        except StructError as error:
            raise ValueError(f"a Raft message that cannot travel: {error}") from error
        return b"".join(parts)

    def decode_batch(self, data: bytes) -> RaftBatch:
        """The inverse; FrameError, ValueError or IndexError for bytes that are none."""
        messages: list[tuple[int, Any]] = []
        at, end = 0, len(data)
        while at < end:
            if data[at] != _MESSAGES:
                raise FrameError("not a batch of Raft messages")
            size, at = read_length(data, at + 1)
            stop = at + size
            if stop > end:
                raise FrameError("a batch of Raft messages that ends in the middle of one")
            decode = _DECODERS.get(data[at + _KIND_OFFSET]) if size > _KIND_OFFSET else None
            pair = decode(data, at, stop) if decode is not None else None
            messages.append(pair if pair is not None else _of_part(parsed(pb.Message, data[at:stop])))
            at = stop
        return RaftBatch(messages)

    def encode_chunk(self, chunk: SnapshotChunk) -> bytes:
        """The SnapshotChunk of proto/raft.proto."""
        part = pb.SnapshotChunk(
            group=chunk.group,
            replica=chunk.replica,
            stream=chunk.stream,
            number=chunk.number,
            keys=[key for key, _ in chunk.entries],
            values=[value for _, value in chunk.entries],
        )
        if chunk.message is not None:
            _fill(part.message, chunk.group, chunk.message)
        data: bytes = part.SerializeToString()
        return data

    def decode_chunk(self, data: bytes) -> SnapshotChunk:
        """The inverse; FrameError or ValueError for bytes that are none."""
        part = parsed(pb.SnapshotChunk, data)
        entries = list(zip(part.keys, part.values, strict=True))
        message = _of_part(part.message)[1] if part.HasField("message") else None
        return SnapshotChunk(part.group, part.replica, part.stream, part.number, entries, message)


def _encode(group: int, message: Any) -> bytes:
    kind = message.__class__
    if kind is raft.Append:
        head = _APPEND_FORM.pack(
            0x09, group, 0x10, _APPEND, 0x1D, message.sender, 0x25, message.to, 0x29, message.term,
            0x31, message.prev_index, 0x39, message.prev_term, 0x41, message.commit, 0x51, message.round,
        )  # fmt: skip
        return head + _encode_entries(message.entries, message.term) if message.entries else head
    if kind is raft.AppendReply:
        return _APPEND_REPLY_FORM.pack(
            0x09, group, 0x10, _APPEND_REPLY, 0x1D, message.sender, 0x25, message.to, 0x29, message.term,
            0x31, message.index, 0x51, message.round, 0x58, message.rejected, 0x61, message.hint_index,
            0x69, message.hint_term, 0x70, message.needs_snapshot,
        )  # fmt: skip
    if kind is raft.Heartbeat:
        return _HEARTBEAT_FORM.pack(
            0x09, group, 0x10, _HEARTBEAT, 0x1D, message.sender, 0x25, message.to, 0x29, message.term,
            0x41, message.commit, 0x51, message.round, 0x78, message.quiesce,
        )  # fmt: skip
    if kind is raft.HeartbeatReply:
        return _HEARTBEAT_REPLY_FORM.pack(
            0x09, group, 0x10, _HEARTBEAT_REPLY, 0x1D, message.sender, 0x25, message.to, 0x29, message.term,
            0x51, message.round, 0x0180, message.quiesced,
        )  # fmt: skip
    part = pb.Message()
    _fill(part, group, message)
    data: bytes = part.SerializeToString()
    return data


def _payload(payload: Any) -> bytes:
    if payload is None:
        return b""
    data: bytes = payload.encode()
    return data


def _encode_entries(entries: Sequence[raft.Entry], term: int) -> bytes:
    """The entries of an Append of `term`: sizes and payloads, terms and kinds only when one is special."""
    if len(entries) == 1:
        entry = entries[0]
        payload = entry.payload
        if payload.__class__ is not bytes:
            payload = _payload(payload)
        if not entry.kind and entry.term == term:
            size = len(payload)
            single: bytes = _SINGLE.pack(_SIZES, 4, size, _DATA) + length_prefix(size) + payload
            return single
    special = False
    payloads: list[bytes] = []
    for entry in entries:
        payload = entry.payload
        payloads.append(payload if payload.__class__ is bytes else _payload(payload))
        if entry.kind or entry.term != term:
            special = True
    count = len(payloads)
    sizes = pack(f"<{count}I", *map(len, payloads))
    length = sum(map(len, payloads))
    parts = [_SIZES_TAG, length_prefix(4 * count), sizes, _DATA_TAG, length_prefix(length), *payloads]
    if special:
        parts += (
            _TERMS_TAG,
            length_prefix(8 * count),
            pack(f"<{count}Q", *[entry.term for entry in entries]),
        )
        parts += (_KINDS_TAG, length_prefix(count), bytes([entry.kind for entry in entries]))
    return b"".join(parts)


def _decode_append(data: bytes, at: int, stop: int) -> tuple[int, Any] | None:
    if stop - at < _APPEND_FORM.size:
        return None
    form = _APPEND_FORM.unpack_from(data, at)
    if form[::2] != _APPEND_TAGS:
        return None
    _, group, _, _, _, sender, _, to, _, term, _, index, _, log_term, _, commit, _, round_ = form
    at += _APPEND_FORM.size
    entries: list[raft.Entry] = []
    if at < stop:
        found = _decode_entries(data, at, stop, index, term)
        if found is None:
            return None
        entries = found
    return group, raft.Append(sender, to, term, index, log_term, entries, commit, round_)


def _decode_entries(data: bytes, at: int, stop: int, index: int, term: int) -> list[raft.Entry] | None:
    """The entries at [at, stop), behind the entry at `index`; None if they are laid out in another way.

    One plain entry, the common case where writes are few, is recognised as a whole.
    """
    if stop - at > _SINGLE_SIZE:
        sizes_tag, sizes_length, size, data_tag = _SINGLE.unpack_from(data, at)
        if sizes_tag == _SIZES and sizes_length == 4 and data_tag == _DATA:
            prefix = length_prefix(size)
            start = at + _SINGLE_SIZE + len(prefix)
            if start + size == stop and data.startswith(prefix, at + _SINGLE_SIZE):
                return [raft.Entry(index + 1, term, raft.DATA, data[start:stop], size)]
    return _decode_run(data, at, stop, index, term)


def _decode_run(data: bytes, at: int, stop: int, index: int, term: int) -> list[raft.Entry] | None:
    sizes: tuple[int, ...] = ()
    terms: tuple[int, ...] | None = None
    kinds: bytes = b""
    start = end = 0
    while at < stop:
        tag = data[at] | data[at + 1] << 8
        size, at = read_length(data, at + 2)
        after = at + size
        if after > stop:
            return None
        if tag == _SIZES and not size & 3:
            sizes = unpack_from(f"<{size >> 2}I", data, at)
        elif tag == _DATA:
            start, end = at, after
        elif tag == _TERMS and not size & 7:
            terms = unpack_from(f"<{size >> 3}Q", data, at)
        elif tag == _KINDS:
            kinds = data[at:after]
        else:
            return None
        at = after
    return _entries(data, start, end, index, term, sizes, terms, kinds)


def _entries(
    data: bytes,
    start: int,
    end: int,
    index: int,
    term: int,
    sizes: Sequence[int],
    terms: Sequence[int] | None,
    kinds: Sequence[int],
) -> list[raft.Entry]:
    if start + sum(sizes) != end:
        raise FrameError("an Append whose sizes are not those of its entries")
    entries: list[raft.Entry] = []
    entry = raft.Entry
    if not terms and not kinds:
        for size in sizes:
            index += 1
            after = start + size
            entries.append(entry(index, term, raft.DATA, data[start:after], size))
            start = after
        return entries
    terms = terms or [term] * len(sizes)
    for size, entry_term, kind in zip(sizes, terms, kinds or bytes(len(sizes)), strict=True):
        index += 1
        payload = data[start : start + size] if kind != raft.NOOP else None
        entries.append(entry(index, entry_term, kind, payload, size if kind == raft.DATA else 0))
        start += size
    return entries


def _decode_append_reply(data: bytes, at: int, stop: int) -> tuple[int, Any] | None:
    if stop - at != _APPEND_REPLY_FORM.size:
        return None
    form = _APPEND_REPLY_FORM.unpack_from(data, at)
    if form[::2] != _APPEND_REPLY_TAGS or form[15] > 1 or form[21] > 1:
        return None
    (
        _,
        group,
        _,
        _,
        _,
        sender,
        _,
        to,
        _,
        term,
        _,
        index,
        _,
        round_,
        _,
        rejected,
        _,
        hint,
        _,
        hint_term,
        _,
        needs,
    ) = form
    return group, raft.AppendReply(
        sender, to, term, index, round_, rejected == 1, hint, hint_term, needs == 1
    )


def _decode_heartbeat(data: bytes, at: int, stop: int) -> tuple[int, Any] | None:
    if stop - at != _HEARTBEAT_FORM.size:
        return None
    form = _HEARTBEAT_FORM.unpack_from(data, at)
    if form[::2] != _HEARTBEAT_TAGS or form[15] > 1:
        return None
    return form[1], raft.Heartbeat(form[5], form[7], form[9], form[11], form[13], form[15] == 1)


def _decode_heartbeat_reply(data: bytes, at: int, stop: int) -> tuple[int, Any] | None:
    if stop - at != _HEARTBEAT_REPLY_FORM.size:
        return None
    form = _HEARTBEAT_REPLY_FORM.unpack_from(data, at)
    if form[::2] != _HEARTBEAT_REPLY_TAGS or form[13] > 1:
        return None
    return form[1], raft.HeartbeatReply(form[5], form[7], form[9], form[11], form[13] == 1)


_DECODERS: dict[int, Callable[[bytes, int, int], tuple[int, Any] | None]] = {
    _APPEND: _decode_append,
    _APPEND_REPLY: _decode_append_reply,
    _HEARTBEAT: _decode_heartbeat,
    _HEARTBEAT_REPLY: _decode_heartbeat_reply,
}


def _fill(part: Any, group: int, message: Any) -> None:
    """Set the generated class to a message of any kind."""
    kind = message.__class__
    part.group, part.kind = group, _KINDS_OF[kind]
    for attribute, name in _ATTRIBUTES[kind]:
        setattr(part, name, getattr(message, attribute))
    if kind is raft.InstallSnapshot:
        snapshot = message.snapshot
        part.index, part.log_term = snapshot.index, snapshot.term
        part.configuration = snapshot.configuration.encode()
        if isinstance(snapshot.data, bytes):  # anything else is the sender's own handle
            part.snapshot_data = snapshot.data
    elif kind is raft.Append and message.entries:
        part.MergeFromString(_encode_entries(message.entries, message.term))


def _of_part(part: Any) -> tuple[int, Any]:
    """Group and message of the generated class."""
    made: Any = _CLASSES.get(part.kind)
    if made is None:
        raise FrameError(f"a Raft message of the unknown kind {part.kind}")
    found = {attribute: getattr(part, name) for attribute, name in _ATTRIBUTES[made]}
    if made is raft.InstallSnapshot:
        configuration = Configuration.decode(part.configuration)
        data = part.snapshot_data if part.HasField("snapshot_data") else None
        found["snapshot"] = raft.Snapshot(part.index, part.log_term, configuration, data)
    elif made is raft.Append:
        found["entries"] = _entries(
            part.data,
            0,
            len(part.data),
            part.index,
            part.term,
            part.sizes,
            list(part.terms),
            list(part.kinds),
        )
    return part.group, made(**found)
