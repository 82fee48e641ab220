"""Messages of transactions as bytes: everything comes back as it went, by the short way and by the generated classes
alike, and garbage is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashrange.errors import conditional_check_failed, validation
from hashrange.wire import messages as wire
from hashrange.wire import transact_codec
from hashrange.wire.codec import Codec, FrameError
from hashrange.wire.pb import node_pb2 as pb
from hashrange.wire.pb import rpc_pb2 as rpc
from hashrange.wire.transactions import (
    CHECK,
    TransactFinish,
    TransactOutcome,
    TransactPrepare,
    TransactRead,
    TransactVersions,
    TransactWrite,
)
from tests.property.test_codec_properties import CONDITIONS, UPDATES, contents

codec = Codec()
ids = st.integers(0, 2**64 - 1)
txids = st.binary(min_size=16, max_size=16)
blobs = st.binary(max_size=40)
long_blobs = blobs | st.integers(100, 300).map(lambda size: b"x" * size) | st.just(b"y" * 20_000)
sizes = st.integers(0, 2**32 - 1)
verdicts = st.integers(1, 6)
BY_CLASS: dict[type, Any] = {
    TransactWrite: pb.TransactWrite,
    TransactPrepare: pb.TransactPrepare,
    TransactFinish: pb.TransactFinish,
    TransactRead: pb.TransactRead,
}


@st.composite
def actions(draw: st.DrawFn, partition: int, epoch: int) -> wire.WriteItem:
    kind = draw(st.sampled_from([wire.PUT, wire.DELETE, wire.UPDATE, CHECK]))
    action = wire.WriteItem(partition, epoch, kind, draw(long_blobs))
    action.item_json, action.item_size = draw(long_blobs), draw(sizes)
    action.key_item = draw(st.sampled_from([None, {"pk": {"S": "ä"}}]))
    action.condition = draw(st.sampled_from(CONDITIONS))
    action.update = draw(st.sampled_from(UPDATES))
    action.returns = draw(st.integers(0, 4))
    action.want_old_on_failure = draw(st.booleans())
    return action


@st.composite
def changes(draw: st.DrawFn) -> TransactWrite | TransactPrepare:
    partition, epoch, txid = draw(ids), draw(ids), draw(txids)
    found = draw(st.lists(actions(partition, epoch), max_size=3))
    mark = draw(st.just(b"") | long_blobs)
    if draw(st.booleans()):
        return TransactWrite(partition, epoch, txid, found, mark)
    return TransactPrepare(partition, epoch, txid, draw(ids), found, mark)


finishes = st.builds(TransactFinish, ids, ids, txids, st.booleans(), st.lists(ids, max_size=20))
requests = changes() | finishes | st.builds(TransactRead, ids, ids, st.lists(long_blobs, max_size=4))
units = st.none() | st.lists(
    st.tuples(st.sampled_from(["LSI", "GSI"]), st.text(max_size=5), sizes), min_size=1
)
results = (
    st.none()
    | st.builds(wire.WriteResult, sizes, sizes)
    | st.builds(wire.WriteResult, sizes, sizes, st.none() | long_blobs, units)
    | st.sampled_from([conditional_check_failed(b'{"a":{"S":"b"}}'), validation("no")])
)
outcomes = st.builds(TransactOutcome, verdicts, st.lists(results, max_size=4), ids)


@st.composite
def versions(draw: st.DrawFn) -> TransactVersions:
    records = draw(st.lists(st.none() | long_blobs, max_size=4))
    locked = [draw(st.booleans()) for _ in records]
    return TransactVersions(draw(ids), draw(ids), records, locked)


def contents_of(message: Any) -> Any:
    """What a message holds, its actions and results included."""
    found = contents(message)
    for name in ("actions", "results"):
        if hasattr(message, name):
            found = (found[0], found[1], [contents(each) for each in getattr(message, name)])
            position = type(message).__slots__.index(name)
            found[1][position] = None
    return found


@given(requests)
def test_requests_come_back(message: Any) -> None:
    found = codec.decode_request(codec.encode_request(message))
    assert contents_of(found) == contents_of(message)


@given(requests)
def test_they_are_the_messages_of_the_proto(message: Any) -> None:
    """What is packed by hand is read by the generated classes, and what these write is read here."""
    data = codec.encode_request(message)
    part = BY_CLASS[type(message)].FromString(data[1:])
    written = part.SerializeToString()
    assert contents_of(codec.decode_request(data[:1] + written)) == contents_of(message)


@given(outcomes | versions())
def test_answers_come_back(answer: Any) -> None:
    data = codec.encode_reply(None, answer)
    assert contents_of(codec.decode_reply(data)) == contents_of(answer)
    made = pb.TransactOutcome if isinstance(answer, TransactOutcome) else pb.TransactVersions
    again = made.FromString(data[1:]).SerializeToString()
    assert contents_of(codec.decode_reply(data[:1] + again)) == contents_of(answer)


def test_actions_belong_to_the_partition_of_their_message() -> None:
    action = wire.WriteItem(1, 2, wire.PUT, b"k")
    action.request_id = (3, 4)
    found = codec.decode_request(codec.encode_request(TransactWrite(8, 9, b"t" * 16, [action])))
    assert (found.actions[0].partition, found.actions[0].epoch) == (8, 9)
    assert found.actions[0].request_id is None


def test_a_txid_has_sixteen_bytes() -> None:
    with pytest.raises(ValueError, match="3 bytes"):
        codec.encode_request(TransactFinish(1, 1, b"abc", True, []))
    short = pb.TransactFinish(partition=1, txid=b"abc").SerializeToString()
    with pytest.raises(FrameError, match="3 bytes"):
        codec.decode_request(bytes((rpc.TRANSACT_FINISH,)) + short)


def test_the_usual_messages_take_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read without the generated classes."""
    action = wire.WriteItem(8, 9, wire.UPDATE, b"k" * 20)
    action.key_item, action.update, action.condition = {"pk": {"S": "a"}}, UPDATES[1], CONDITIONS[1]
    sent = [
        TransactWrite(8, 9, b"t" * 16, [action, action], b"digest"),
        TransactPrepare(8, 9, b"t" * 16, 77, [action]),
        TransactFinish(8, 9, b"t" * 16, True, [1, 2**64 - 1]),
    ]
    data = [codec.encode_request(message) for message in sent]
    answer = codec.encode_reply(None, TransactOutcome(1, [wire.WriteResult(1, 2), wire.WriteResult(3, 4)]))

    def refuse(made: Any, data: bytes) -> Any:
        raise AssertionError("read with the generated classes")

    monkeypatch.setattr(transact_codec, "parsed", refuse)
    assert [contents_of(codec.decode_request(each)) for each in data] == [contents_of(each) for each in sent]
    assert [result.new_size for result in codec.decode_reply(answer).results] == [2, 4]


@given(requests, st.data())
def test_damaged_messages_are_refused_or_read_as_something(message: Any, draw: st.DataObject) -> None:
    data = bytearray(codec.encode_request(message))
    at = draw.draw(st.integers(0, len(data) - 1))
    if draw.draw(st.booleans()):
        data[at] = draw.draw(st.integers(0, 255))
    else:
        del data[at:]
    try:
        codec.decode_request(bytes(data))
    except FrameError:
        pass


@given(outcomes | versions(), st.data())
def test_damaged_answers_are_refused_or_read_as_something(answer: Any, draw: st.DataObject) -> None:
    data = bytearray(codec.encode_reply(None, answer))
    at = draw.draw(st.integers(0, len(data) - 1))
    if draw.draw(st.booleans()):
        data[at] = draw.draw(st.integers(0, 255))
    else:
        del data[at:]
    try:
        codec.decode_reply(bytes(data))
    except FrameError:
        pass
