"""Control messages as bytes: every message of the cluster has an encoding, and every field comes back."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashrange.wire import capacity, cluster, control_codec
from hashrange.wire import messages as wire
from hashrange.wire.codec import Codec, FrameError
from hashrange.wire.documents import ChangeDocument
from hashrange.wire.pb import rpc_pb2 as rpc

codec = Codec()
ids = st.integers(0, 2**64 - 1)
texts = st.text(max_size=6)
blobs = st.binary(max_size=12)
documents = st.dictionaries(texts, ids | texts | st.lists(ids, max_size=2) | st.none(), max_size=3)

# Those that are part of another message, and those that only nodes' codecs know.
PARTS = {cluster.GroupReport}
OF_RAFT = {cluster.RaftBatch, cluster.SnapshotChunk}
MESSAGES = [
    made
    for made in vars(cluster).values()
    if dataclasses.is_dataclass(made) and made not in PARTS and made not in OF_RAFT
]


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of an annotation, as far as messages use them."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return st.one_of([values_of(argument) for argument in arguments])
    if origin is list:
        return st.lists(values_of(arguments[0]), max_size=3)
    if origin is tuple:
        return st.tuples(*map(values_of, arguments))
    if origin is dict and arguments[0] is int:
        keys = st.integers(0, 2**32 - 1)
        values = st.integers(-1, 2**62) if arguments[1] is int else values_of(arguments[1])
        return st.dictionaries(keys, values, max_size=3)
    if dataclasses.is_dataclass(kind):
        return built(kind)
    plain = {
        int: ids,
        str: texts,
        bytes: blobs,
        bool: st.booleans(),
        float: st.floats(allow_nan=False),
        types.NoneType: st.none(),
    }
    return plain.get(kind, documents)  # all else is a JSON document


def built(made: Any) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(made)
    return st.builds(made, **{field.name: values_of(hints[field.name]) for field in dataclasses.fields(made)})


@pytest.mark.parametrize("made", MESSAGES, ids=lambda made: made.__name__)
@given(data=st.data())
def test_control_messages_come_back(made: Any, data: st.DataObject) -> None:
    message = data.draw(built(made))
    found = codec.decode_request(codec.encode_request(message))
    assert type(found) is made
    assert found == message


@given(texts, st.none() | st.tuples(texts, ids), st.none() | documents, st.lists(ids, max_size=3))
def test_changes_of_tables_come_back(
    name: str, expected: tuple[str, int] | None, document: dict[str, Any] | None, partitions: list[int]
) -> None:
    message = wire.ChangeTable(name, expected, document, partitions)
    found = codec.decode_request(codec.encode_request(message))
    assert [getattr(found, field) for field in wire.ChangeTable.__slots__] == [
        getattr(message, field) for field in wire.ChangeTable.__slots__
    ]


@given(st.builds(ChangeDocument, texts, texts, st.none() | ids, st.none() | documents))
def test_changes_of_control_documents_come_back(message: ChangeDocument) -> None:
    assert codec.decode_request(codec.encode_request(message)) == message


amounts = st.integers(-(2**63), 2**63 - 1)
needs = st.builds(capacity.CapacityNeed, texts, texts, ids, ids, amounts, amounts, ids, ids)


@given(st.builds(capacity.CapacityReport, texts, ids, st.lists(needs, max_size=3)))
def test_reports_of_capacity_come_back(report: capacity.CapacityReport) -> None:
    assert codec.decode_request(codec.encode_request(report)) == report


@pytest.mark.parametrize("made", [wire.TableStatistics, wire.WhenSettled])
def test_questions_about_tables_come_back(made: Any) -> None:
    found = codec.decode_request(codec.encode_request(made("täble")))
    assert type(found) is made
    assert found.name == "täble"


def test_every_type_has_a_number_and_every_number_a_type() -> None:
    """No two messages share a number, and proto/rpc.proto names no message that nobody can read."""
    numbers = set(control_codec.NUMBERS.values())
    assert len(numbers) == len(control_codec.NUMBERS)
    assert set(control_codec.ENCODERS) == set(control_codec.DECODERS) == numbers
    assert {number for number in rpc.MessageType.values() if number >= rpc.CHANGE_TABLE} == numbers


def test_what_only_nodes_understand_is_no_message_for_others() -> None:
    with pytest.raises(TypeError, match="RaftBatch"):
        codec.encode_cast(cluster.RaftBatch([]))
    with pytest.raises(FrameError, match="unknown type 16"):
        codec.decode_cast(bytes((rpc.RAFT_BATCH,)))


@given(st.sampled_from(sorted(control_codec.NUMBERS.values())), st.binary(max_size=40))
def test_garbage_is_refused_or_read_as_something(kind: int, data: bytes) -> None:
    try:
        codec.decode_request(bytes((kind,)) + data)
    except FrameError:
        pass
