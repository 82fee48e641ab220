"""The frames between router and node: every message and answer comes back as it went, garbage is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashrange.errors import ApiError, conditional_check_failed, resource_not_found, unknown_operation
from hashrange.expr import compile_condition, compile_projection, compile_update
from hashrange.wire import messages as wire
from hashrange.wire.codec import FrameError, decode_reply, decode_request, encode_reply, encode_request

ids = st.integers(0, 2**64 - 1)
blobs = st.binary(max_size=40)
sizes = st.integers(0, 2**32 - 1)

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
    | st.builds(wire.WriteEntries, ids, ids, entries)
    | st.builds(wire.CollectionSize, ids, ids, blobs)
)


def contents(thing: Any) -> Any:
    """What a message or answer holds, comparable; a program counts by its portable form."""
    if hasattr(thing, "to_portable"):
        return thing.to_portable()
    if isinstance(thing, ApiError):
        return (thing.body(), thing.status)
    slots = getattr(type(thing), "__slots__", None)
    if slots is None:
        return thing
    return type(thing), [contents(getattr(thing, name)) for name in slots if name != "decoded"]


@given(ids, requests)
def test_requests_come_back(request_id: int, message: Any) -> None:
    found_id, found = decode_request(encode_request(request_id, message))
    assert found_id == request_id
    assert contents(found) == contents(message)


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
answers = st.one_of(
    st.tuples(st.just(wire.ReadItem), st.none() | blobs),
    st.tuples(st.just(wire.WriteItem), st.builds(wire.WriteResult, sizes, sizes, st.none() | blobs, units)),
    st.tuples(st.just(wire.ReadRange), range_results()),
    st.tuples(st.just(wire.WriteEntries), st.none()),
    st.tuples(st.just(wire.CollectionSize), ids),
    st.tuples(
        st.just(wire.WriteItem),
        st.sampled_from(
            [resource_not_found(), conditional_check_failed(b'{"a":{"S":"b"}}'), unknown_operation()]
        ),
    ),
)


@given(ids, answers)
def test_replies_come_back(request_id: int, asked: tuple[type, Any]) -> None:
    message, answer = asked
    found_id, found = decode_reply(encode_reply(request_id, message, answer))
    assert found_id == request_id
    assert contents(found) == contents(answer)


@given(st.binary(max_size=60))
def test_garbage_is_refused_or_read_as_something(data: bytes) -> None:
    """Random bytes may be a frame by chance; what they are not allowed is to raise anything else."""
    for decode in (decode_request, decode_reply):
        try:
            decode(data)
        except FrameError:
            pass


def test_a_frame_without_a_message_is_refused() -> None:
    with pytest.raises(FrameError, match="without a message"):
        decode_request(b"")
    with pytest.raises(FrameError, match="without an answer"):
        decode_reply(b"")
