"""Raft messages as bytes: every kind comes back as it went, by the fixed layouts and by the generated class alike."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hashrange_node import raft_codec
from hashrange_node.raft import messages as raft
from hashrange_node.raft.confchange import Change, ChangeKind, ConfChange, Configuration
from hashrange_node.raft_codec import RaftMessages
from hypothesis import given
from hypothesis import strategies as st

from hashrange.wire.cluster import RaftBatch, SnapshotChunk
from hashrange.wire.codec import Codec, FrameError
from hashrange.wire.fields import length_prefix
from hashrange.wire.pb import raft_pb2 as pb

codec = Codec(RaftMessages())
ids = st.integers(0, 2**64 - 1)
replicas = st.integers(0, 2**32 - 1)
few = st.frozensets(st.integers(1, 9), max_size=3)
configurations = st.builds(Configuration, few, few, few, few, st.booleans())
snapshots = st.builds(raft.Snapshot, ids, ids, configurations, st.none() | st.binary(max_size=8))


@st.composite
def appends(draw: st.DrawFn) -> raft.Append:
    term, prev_index = draw(ids), draw(st.integers(0, 2**63))
    entries = []
    plain = draw(st.booleans())
    for number in range(draw(st.integers(0, 4))):
        kind = raft.DATA if plain else draw(st.sampled_from([raft.DATA, raft.NOOP, raft.CONFIG]))
        payload = None if kind == raft.NOOP else draw(st.binary(max_size=300))
        size = len(payload) if kind == raft.DATA and payload is not None else 0
        entry_term = term if plain else draw(ids)
        entries.append(raft.Entry(prev_index + 1 + number, entry_term, kind, payload, size))
    return raft.Append(
        draw(replicas), draw(replicas), term, prev_index, draw(ids), entries, draw(ids), draw(ids)
    )


def built(made: Any) -> st.SearchStrategy[Any]:
    """Messages of one class with any values in their fields."""
    if made is raft.Append:
        return appends()
    of_type = {"int": ids, "bool": st.booleans(), "Snapshot": snapshots}
    given_fields = {field.name: of_type[str(field.type)] for field in dataclasses.fields(made)}
    given_fields.update(sender=replicas, to=replicas)
    if "lease_ticks" in given_fields:
        given_fields["lease_ticks"] = replicas
    return st.builds(made, **given_fields)


KINDS = [
    made
    for made in vars(raft).values()
    if isinstance(made, type) and issubclass(made, raft.Message) and made is not raft.Message
]
messages = st.one_of([built(made) for made in KINDS])
batches = st.lists(st.tuples(ids, messages), max_size=5)


def test_every_kind_of_message_has_a_number() -> None:
    assert set(raft_codec._KINDS_OF) == set(KINDS)
    assert set(raft_codec._KINDS_OF.values()) == set(pb.Kind.values()) - {pb.KIND_UNSPECIFIED}


@given(batches)
def test_batches_come_back(pairs: list[tuple[int, Any]]) -> None:
    found = codec.decode_cast(codec.encode_cast(RaftBatch(pairs)))
    assert found == RaftBatch(pairs)
    assert [type(message) for _, message in found.messages] == [type(message) for _, message in pairs]


@given(ids, messages)
def test_fixed_layouts_are_those_of_the_proto(group: int, message: Any) -> None:
    """What is packed by hand is read by the generated class, and what that class writes is read here."""
    by_hand = raft_codec._encode(group, message)
    part = pb.Message()
    raft_codec._fill(part, group, message)
    assert pb.Message.FromString(by_hand) == part
    assert raft_codec._of_part(pb.Message.FromString(by_hand)) == (group, message)
    by_class = part.SerializeToString()
    batch = b"\x0a" + length_prefix(len(by_class)) + by_class
    assert RaftMessages().decode_batch(batch).messages == [(group, message)]


@pytest.mark.parametrize("made", [raft.Append, raft.AppendReply, raft.Heartbeat, raft.HeartbeatReply])
@given(data=st.data())
def test_frequent_messages_take_the_fixed_layout(made: Any, data: st.DataObject) -> None:
    message = data.draw(built(made))
    by_hand = raft_codec._encode(5, message)
    decode = raft_codec._DECODERS[raft_codec._KINDS_OF[made]]
    assert decode(by_hand, 0, len(by_hand)) == (5, message)


class Effects:
    """A payload that is encoded when somebody needs the bytes."""

    def __init__(self) -> None:
        self.encoded = 0

    def encode(self) -> bytes:
        self.encoded += 1
        return b"effects"


def test_payloads_are_encoded_by_their_own_rule() -> None:
    effects = Effects()
    change = ConfChange((Change(ChangeKind.ADD_LEARNER, 4),))
    entries = [raft.Entry(8, 3, raft.DATA, effects, 50), raft.Entry(9, 3, raft.CONFIG, change, 0)]
    message = raft.Append(1, 2, 3, 7, 2, entries, 6, 11)
    ((_, found),) = codec.decode_cast(codec.encode_cast(RaftBatch([(5, message)]))).messages
    assert found.entries[0] == raft.Entry(8, 3, raft.DATA, b"effects", 7)
    assert ConfChange.decode(found.entries[1].payload) == change
    assert effects.encoded == 1


@given(
    st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9)), max_size=4), st.booleans(), st.data()
)
def test_chunks_of_snapshots_come_back(
    entries: list[tuple[bytes, bytes]], last: bool, data: st.DataObject
) -> None:
    message = data.draw(built(raft.InstallSnapshot)) if last else None
    chunk = SnapshotChunk(7, 4, 99, 3, entries, message)
    assert codec.decode_request(codec.encode_request(chunk)) == chunk


def test_the_handle_of_a_snapshot_stays_with_its_sender() -> None:
    snapshot = raft.Snapshot(9, 2, Configuration.of([1, 2]), data=object())
    chunk = SnapshotChunk(7, 4, 99, 3, [], raft.InstallSnapshot(1, 2, 3, snapshot, 0))
    found = codec.decode_request(codec.encode_request(chunk)).message.snapshot
    assert found == raft.Snapshot(9, 2, Configuration.of([1, 2]))


@given(st.binary(max_size=90))
def test_garbage_is_refused_or_read_as_something(data: bytes) -> None:
    for kind in (16, 17):
        try:
            codec.decode_cast(bytes((kind,)) + data)
        except FrameError:
            pass


@given(batches.filter(bool), st.data())
def test_damaged_batches_are_refused_or_read_as_something(
    pairs: list[tuple[int, Any]], draw: st.DataObject
) -> None:
    data = bytearray(codec.encode_cast(RaftBatch(pairs)))
    at = draw.draw(st.integers(1, len(data) - 1))
    if draw.draw(st.booleans()):
        data[at] = draw.draw(st.integers(0, 255))
    else:
        del data[at:]
    try:
        codec.decode_cast(bytes(data))
    except FrameError:
        pass


def test_sizes_that_do_not_add_up_are_refused() -> None:
    entries = [raft.Entry(8, 3, raft.DATA, b"abc", 3)]
    data = codec.encode_cast(RaftBatch([(5, raft.Append(1, 2, 3, 7, 2, entries, 6, 11))]))
    wrong = data.replace(b"\x03\x00\x00\x00\xca", b"\x02\x00\x00\x00\xca")
    assert wrong != data
    with pytest.raises(FrameError, match="sizes"):
        codec.decode_cast(wrong)


def test_a_replica_id_that_does_not_fit_is_refused_at_the_sender() -> None:
    with pytest.raises(ValueError, match="cannot travel"):
        codec.encode_cast(RaftBatch([(5, raft.Heartbeat(2**32, 1, 1, 1, 1))]))
