"""Messages of streams as bytes: everything comes back as it went, and garbage is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashrange.model.stream_sequence import SEQUENCE_MAX
from hashrange.wire import stream_codec
from hashrange.wire.codec import Codec, FrameError
from hashrange.wire.pb import node_pb2 as pb
from hashrange.wire.pb import rpc_pb2 as rpc
from hashrange.wire.streams import LocateRecord, ReadRecords, ReadShards, RecordPage

codec = Codec()
ids = st.integers(0, 2**64 - 1)
small = st.integers(0, 2**32 - 1)
names = st.text(max_size=70)
sequences = st.integers(0, SEQUENCE_MAX)
values = st.binary(max_size=40) | st.integers(100, 300).map(bytes) | st.just(b"y" * 70_000)
requests = (
    st.builds(ReadShards, ids, ids, ids, names)
    | st.builds(ReadRecords, ids, ids, ids, names, sequences, small, ids, small)
    | st.builds(LocateRecord, ids, ids, ids, names, st.none() | ids)
)
pages = st.builds(RecordPage, st.lists(st.tuples(sequences, values), max_size=5), sequences, st.booleans())


def contents(message: Any) -> tuple[type, list[Any]]:
    return type(message), [getattr(message, name) for name in type(message).__slots__]


@given(requests)
def test_requests_come_back(message: Any) -> None:
    assert contents(codec.decode_request(codec.encode_request(message))) == contents(message)


@given(requests, pages)
def test_pages_come_back(message: Any, page: RecordPage) -> None:
    assert contents(codec.decode_reply(codec.encode_reply(message, page))) == contents(page)


@given(pages)
def test_pages_are_what_the_generated_classes_read(page: RecordPage) -> None:
    part = pb.RecordPage.FromString(stream_codec.encode_page(page))
    assert [record.value for record in part.records] == [value for _, value in page.records]
    assert part.ended == page.ended


@given(st.sampled_from([rpc.READ_SHARDS, rpc.READ_RECORDS, rpc.LOCATE_RECORD]), st.binary(max_size=60))
def test_garbage_is_refused_or_read(number: int, data: bytes) -> None:
    try:
        codec.decode_request(bytes((number,)) + data)
    except FrameError:
        pass


@given(st.binary(max_size=60))
def test_garbage_for_a_page_is_refused_or_read(data: bytes) -> None:
    try:
        codec.decode_reply(bytes((rpc.ANSWER_RECORD_PAGE,)) + data)
    except FrameError:
        pass


def test_sequence_numbers_of_another_length_are_refused() -> None:
    data = pb.ReadRecords(shard="s", after=b"\x01").SerializeToString()
    with pytest.raises(FrameError):
        codec.decode_request(bytes((rpc.READ_RECORDS,)) + data)
