"""Data messages and answers as bytes: everything comes back as it went, by the short way and by the generated
classes alike, and garbage is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashrange.errors import ApiError, conditional_check_failed, resource_not_found, unknown_operation
from hashrange.expr import compile_condition, compile_projection, compile_update
from hashrange.wire import data_codec, faults, hot
from hashrange.wire import messages as wire
from hashrange.wire.codec import Codec, FrameError
from hashrange.wire.pb import node_pb2 as pb

codec = Codec()

ids = st.integers(0, 2**64 - 1)
blobs = st.binary(max_size=40)
sizes = st.integers(0, 2**32 - 1)
stamps = st.integers(0, 2**64 - 1)

CONDITIONS = [None, compile_condition("a = :v AND size(b) > :n", None, {":v": {"S": "x"}, ":n": {"N": "1"}})]
UPDATES = [None, compile_update("SET a.b[1] = :v REMOVE c", None, {":v": {"L": [{"NULL": True}]}})]
PROJECTIONS = [None, compile_projection("a, b.c[2]")]


@st.composite
def write_items(draw: st.DrawFn) -> wire.WriteItem:
    message = wire.WriteItem(draw(ids), draw(ids), draw(st.sampled_from([1, 2, 3])), draw(blobs))
    message.item_json, message.item_size = draw(blobs), draw(sizes)
    message.key_item = draw(st.sampled_from([None, {"pk": {"S": "ä"}}]))
    message.condition = draw(st.sampled_from(CONDITIONS))
    message.update = draw(st.sampled_from(UPDATES))
    message.returns = draw(st.integers(0, 4))
    message.want_old_on_failure = draw(st.booleans())
    message.expiry_s = draw(st.none() | ids)
    message.request_id = draw(st.none() | st.tuples(ids, ids))
    return message


@st.composite
def read_ranges(draw: st.DrawFn) -> wire.ReadRange:
    message = wire.ReadRange(draw(ids), draw(ids), draw(st.integers(0, 64)), draw(blobs), draw(blobs))
    message.reverse, message.count_only = draw(st.booleans()), draw(st.booleans())
    message.limit = draw(st.none() | sizes)
    message.max_bytes = draw(sizes)
    message.filter = draw(st.sampled_from(CONDITIONS))
    message.projection = draw(st.sampled_from(PROJECTIONS))
    message.fetch, message.consistent = draw(st.booleans()), draw(st.booleans())
    return message


entries = st.lists(st.tuples(blobs, st.none() | blobs, ids), max_size=4)
requests = (
    st.builds(wire.ReadItem, ids, ids, blobs, st.booleans())
    | write_items()
    | read_ranges()
    | st.builds(wire.WriteEntries, ids, ids, entries, st.none() | st.tuples(ids, ids, ids))
    | st.builds(wire.CollectionSize, ids, ids, blobs)
)


def contents(thing: Any) -> Any:
    """What a message or answer holds, comparable; a program counts by its portable form."""
    if hasattr(thing, "to_portable"):
        return thing.to_portable()
    if isinstance(thing, ApiError):
        return (thing.body(), thing.status, thing.item_size)
    slots = getattr(type(thing), "__slots__", None)
    if slots is None:
        return thing
    return type(thing), [contents(getattr(thing, name)) for name in slots if name != "decoded"]


@given(requests)
def test_requests_come_back(message: Any) -> None:
    assert contents(codec.decode_request(codec.encode_request(message))) == contents(message)


@st.composite
def range_results(draw: st.DrawFn) -> wire.RangeResult:
    result = wire.RangeResult()
    result.items = draw(st.lists(blobs, max_size=3))
    result.count, result.scanned, result.size_bytes = draw(sizes), draw(sizes), draw(ids)
    result.fetched_sizes = draw(st.lists(sizes, max_size=3))
    result.last = draw(st.none() | blobs)
    return result


units = st.none() | st.lists(
    st.tuples(st.sampled_from(["LSI", "GSI"]), st.text(max_size=5), sizes), min_size=1
)
json_documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
ERRORS = [
    resource_not_found(),
    conditional_check_failed(b'{"a":{"S":"b"}}', 70_000),
    unknown_operation(),
    wire.ConflictError(),
    faults.NotLeader(7, 2),
    faults.NotLeader(7, None),
    faults.StaleRoute(7, []),
    faults.StaleRoute(7, [{"id": 8, "lo": 0, "hi": 2**64 - 1}]),
    faults.LeadershipLost(7),
    faults.Unreachable(3, sent=True),
    faults.Overloaded("the queue of proposals is full"),
]
totals = st.dictionaries(st.none() | st.text(max_size=4), st.tuples(ids, ids), max_size=3)
read, write = wire.ReadItem(1, 1, b"k", True), wire.WriteItem(1, 1, 1, b"k")
answers = st.one_of(
    st.tuples(st.just(read), st.none() | blobs),
    st.tuples(st.just(write), st.builds(wire.WriteResult, sizes, sizes, st.none() | blobs, units, stamps)),
    st.tuples(st.just(wire.ReadRange(1, 1, 0, b"", b"")), range_results()),
    st.tuples(st.just(wire.WriteEntries(1, 1, [])), st.none()),
    st.tuples(st.just(wire.CollectionSize(1, 1, b"")), ids),
    st.tuples(st.just(wire.TableStatistics("t")), totals),
    st.tuples(st.just(wire.WhenSettled("t")), json_documents),
    st.tuples(st.just(write), st.sampled_from(ERRORS)),
)


@given(answers)
def test_replies_come_back(asked: tuple[Any, Any]) -> None:
    message, answer = asked
    found = codec.decode_reply(codec.encode_reply(message, answer))
    assert type(found) is type(answer)
    assert contents(found) == contents(answer)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_come_back_as_the_class_that_they_were(error: ApiError) -> None:
    found = codec.decode_reply(codec.encode_reply(write, error))
    assert type(found) is type(error)
    assert vars_of(found) == vars_of(error)


def vars_of(error: ApiError) -> Any:
    return getattr(error, "__dict__", {}), contents(error)


@given(requests)
def test_short_ways_write_what_the_generated_classes_read(message: Any) -> None:
    """Whatever is packed by hand is the protobuf message of the .proto, and the other way round."""
    data = codec.encode_request(message)
    if isinstance(message, wire.ReadItem):
        by_class = data_codec.decode_read_item(data[1:])
        other = data_codec.encode_read_item(message)
        assert pb.ReadItem.FromString(other) == pb.ReadItem.FromString(data[1:])
    elif isinstance(message, wire.WriteItem):
        by_class = data_codec.decode_write_item(data[1:])
        other = data_codec.encode_write_item(message)
        assert pb.WriteItem.FromString(other) == pb.WriteItem.FromString(data[1:])
    else:
        return
    assert contents(by_class) == contents(message)
    assert contents(codec.decode_request(data[:1] + other)) == contents(message)


@given(st.builds(wire.WriteResult, sizes, sizes, st.none() | blobs, units, stamps))
def test_write_results_are_those_of_the_proto(result: wire.WriteResult) -> None:
    assert contents(data_codec.decode_write_result(hot.encode_write_result(result)[1:])) == contents(result)


def test_the_hot_messages_take_the_short_way() -> None:
    key_item = {"pk": {"S": "a"}}
    message = wire.WriteItem(1, 2, 3, b"k" * 200)
    message.request_id, message.key_item = (1, 2), key_item
    message.condition, message.update = CONDITIONS[1], UPDATES[1]
    data = codec.encode_request(message)
    assert data == hot.encode_write_item(message)
    found = hot.decode_write_item(data)
    assert found is not None
    assert contents(found) == contents(message)
    small = wire.ReadItem(2**64 - 1, 7, b"k" * 127, False)
    assert hot.decode_read_item(hot.encode_read_item(small)) is not None
    result = hot.encode_write_result(wire.WriteResult(1, 2, None, None, 3))
    assert hot.decode_write_result(result) is not None
    # As written before results had stamps.
    older = codec.decode_reply(result[:1] + pb.WriteResult(old_size=1, new_size=2).SerializeToString())
    assert (older.old_size, older.new_size, older.stamp) == (1, 2, 0)


@given(st.none() | blobs.filter(bool), blobs)
def test_images_come_apart_again(old: bytes | None, new: bytes) -> None:
    assert wire.split_images(wire.images(old, new)) == (old, new)


def test_one_expression_is_compiled_once_at_the_receiver() -> None:
    message = wire.WriteItem(1, 2, 1, b"k")
    message.request_id = (1, 2)
    found = []
    for value in "xy":
        message.condition = compile_condition("zz = :v", None, {":v": {"S": value}})
        found.append(codec.decode_request(codec.encode_request(message)).condition)
    assert found[0].program is found[1].program
    assert [bound.matches({"zz": {"S": "y"}}) for bound in found] == [False, True]


@given(st.binary(max_size=60), st.integers(0, 50))
def test_garbage_is_refused_or_read_as_something(data: bytes, kind: int) -> None:
    """Random bytes may be a message by chance; what they are not allowed is to raise anything else."""
    for decode in (codec.decode_request, codec.decode_reply, codec.decode_cast):
        try:
            decode(bytes((kind,)) + data)
        except FrameError:
            pass


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


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(FrameError, match="without a message"):
        codec.decode_request(b"")
    with pytest.raises(FrameError, match="without an answer"):
        codec.decode_reply(b"")
    with pytest.raises(FrameError, match="unknown type 200"):
        codec.decode_request(b"\xc8")
    with pytest.raises(FrameError, match="unknown type 200"):
        codec.decode_reply(b"\xc8")
    with pytest.raises(TypeError, match="no message"):
        codec.encode_request(object())
