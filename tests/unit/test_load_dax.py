"""The load generator's DAX protocol, read back by the server's own decoders, and by cbor2."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import cbor2
import pytest
from hashrange_client.load import dax_wire, shape, ycsb_shape
from hashrange_client.load.dax_wire import GREETING, METHODS, DaxReplies, DaxSource, encode, skip
from hashrange_client.load.http import ProtocolError
from hashrange_client.load.settings import LoadError, LoadSettings
from hashrange_dax.codec import expressions, items, keys
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashrange.model.key import KeyCodec, KeyPart

LIST = 7
NAMES_OF = {number: name for name, number in METHODS.items()}
PAIR = KeyCodec((KeyPart("pk", "S"),), (KeyPart("sk", "S"),))
LONE = KeyCodec((KeyPart("pk", "S"),), ())


def values_of(data: bytes) -> list[Any]:
    """All CBOR values of a request."""
    found, position = [], 0
    while position < len(data):
        end = skip(data, position)
        found.append(cbor2.loads(data[position:end]))
        position = end
    return found


@contextlib.contextmanager
def cache_node(reply: bytes) -> Iterator[tuple[int, list[list[Any]]]]:
    """A server that knows greetings and answers one request of each connection; its port, and what it was asked."""
    listener = socket.create_server(("127.0.0.1", 0))
    asked: list[list[Any]] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    data = b""
                    while len(data) <= len(GREETING) or not complete(data):
                        data += connection.recv(65_536)
                    assert data.startswith(GREETING)
                    asked.append(values_of(data[len(GREETING) :]))
                    connection.sendall(reply[:1])
                    connection.sendall(reply[1:])

    def complete(data: bytes) -> bool:
        try:
            return len(values_of(data[len(GREETING) :])) >= 3
        except IndexError:
            return False

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], asked
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def steps(workload: str, **changes: Any) -> list[tuple[str, list[Any], list[Any] | None]]:
    """Operation and values of some requests, and of what follows them."""
    with cache_node(b"\x80" + encode(LIST)) as (port, asked):
        asked_for = LoadSettings(
            workload=workload,
            table="",
            item_bytes=0,
            client="dax",
            dax_endpoint=f"dax://127.0.0.1:{port}",
            **changes,
        ).checked()
        source = DaxSource(asked_for)
    (request,) = asked
    assert request[:2] == [1, METHODS["defineAttributeListId"]]
    sample = (ycsb_shape if asked_for.plan.ycsb else shape).item(0, asked_for.item_bytes)
    assert request[2] == sorted(set(sample) - {"pk", "sk"})
    found = []
    for _ in range(200):
        operation, data, follow = source.next()
        values = values_of(data)
        assert values[:2] == [1, METHODS[operation]]
        assert values[2] == asked_for.table.encode()
        found.append((operation, values, values_of(follow[1]) if follow else None))
    return found


def test_numbers_of_methods_are_written_as_amazons_clients_write_them() -> None:
    assert encode(METHODS["GetItem"]).hex() == "1a0fb0cc6a"
    assert encode(METHODS["PutItem"]).hex() == "3a7d8e7e56"
    assert encode(METHODS["Query"]).hex() == "3a3781c2ae"
    assert encode(METHODS["defineAttributeListId"]).hex() == "3a495927bb"
    assert (
        b"\x01" + encode(METHODS["GetItem"]) + encode(b"HTS") + encode(b"A0") + dax_wire.options()
    ).hex() == ("011a0fb0cc6a43485453424130bf0300ff")


SIMPLE_LEAF = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(max_size=300)
)
SIMPLE = st.recursive(SIMPLE_LEAF, lambda inner: st.lists(inner, max_size=30), max_leaves=15)
LEAF = SIMPLE_LEAF | st.floats(allow_nan=False) | st.decimals(allow_nan=False, allow_infinity=False)
ANY = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
UNHURRIED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@UNHURRIED
@given(SIMPLE)
def test_what_is_encoded_is_cbor(value: Any) -> None:
    assert cbor2.loads(encode(value)) == value


@UNHURRIED
@given(ANY)
def test_the_end_of_a_value_is_found_and_a_part_is_known_to_be_one(value: Any) -> None:
    data = cbor2.dumps(value)
    assert skip(data, 0) == len(data)
    assert skip(b"\xbf" + data + data + b"\xff", 0) == 2 * len(data) + 2
    with pytest.raises(IndexError):
        skip(data[:-1], 0)


def test_reads_have_keys_as_the_server_reads_them() -> None:
    codec = keys.wire_keys(PAIR)
    for operation, values, _ in steps("get"):
        assert operation == "GetItem"
        partition, sort = values[3][1:10].decode(), values[3][10:].decode()
        assert values[3] == codec.encode({"pk": {"S": partition}, "sk": {"S": sort}})
        assert shape.key(int(partition[1:]) * 10 + int(sort[1:])) == {
            "pk": {"S": partition},
            "sk": {"S": sort},
        }
        assert values[4] == {3: 0}
    assert steps("strong-get")[0][1][4] == {2: True, 3: 0}
    assert steps("get", consistent_reads=True)[0][1][4] == {2: True, 3: 0}
    _, values, _ = steps("ycsb-c")[0]
    assert values[3] == keys.wire_keys(LONE).encode({"pk": {"S": values[3].decode()}})
    assert values[3].startswith(b"user00000")


def test_puts_carry_the_item_behind_its_list() -> None:
    names = tuple(sorted(set(shape.item(0, 500)) - {"pk", "sk"}))
    for _, values, _ in steps("put")[:20]:
        assert items.split_list_id(values[4])[0] == LIST
        found = items.decode_values(values[4], names)
        wanted = shape.item(0, 500)
        assert found == {name: wanted[name] for name in names}
    inserted = [values for operation, values, _ in steps("ycsb-d") if operation == "PutItem"]
    fields = tuple(f"field{number}" for number in range(10))
    for values in inserted:
        record = items.decode_values(values[4], fields)
        assert {len(value["S"]) for value in record.values()} == {100}
    assert len({values[3] for values in inserted}) == len(inserted) > 2


def test_updates_queries_and_scans_are_what_the_server_understands() -> None:
    updated = steps("update")[0][1]
    assert updated[4][8] == bytes.fromhex("830181831482126" + "16e" + "82110081" + "01")
    assert expressions.update(updated[4][8]) is not None
    operation, read, update = steps("read-modify-write")[0]
    assert operation == "GetItem"
    assert update is not None
    assert update[3] == read[3]
    changed = next(values for name, values, _ in steps("ycsb-a") if name == "UpdateItem")
    assert expressions.update(changed[4][8]) is not None
    queried = steps("query", consistent_reads=True)[0][1]
    assert expressions.key_condition(queried[3]) is not None
    assert queried[4][2] == 1
    limits = set()
    for _, values, _ in steps("scan"):
        assert set(keys.decode_start_key(PAIR, values[3][9], of_index=False)) == {"pk", "sk"}
        limits.add(values[3][13])
    assert min(limits) >= 1
    assert max(limits) <= 100
    assert len(limits) > 50


ERROR = cbor2.dumps([4, 37, 38, 39, 50]) + cbor2.dumps("no") + cbor2.dumps(["id", "ThrottlingException", 400])
GOOD = (
    b"\x80\xf6",
    b"\x80\xa1\x00" + encode(b"x" * 20),
    b"\x80\xa1\x00" + encode(b"x" * 200),
    b"\x80\xa1\x00" + encode(b"x" * 2_000),
    b"\x80\xa1\x00" + encode(b"x" * 200_000),
    b"\x80" + cbor2.dumps({7: [[b"k", b"v"]] * 100, 8: 100, 10: 100}),
)


@pytest.mark.parametrize("reply", GOOD, ids=range(len(GOOD)))
def test_successes_are_known_by_their_length(reply: bytes) -> None:
    replies = DaxReplies()
    assert replies.whole(reply)
    assert not replies.whole(reply[:-1])
    reader = replies.reader()
    assert reader.feed(reply[:1]) is None
    outcome = reader.feed(reply[1:])
    assert outcome is not None
    assert outcome.error == ""


def test_errors_have_their_type() -> None:
    assert not DaxReplies().whole(ERROR)
    reader = DaxReplies().reader()
    assert reader.feed(ERROR[:9]) is None
    outcome = reader.feed(ERROR[9:])
    assert outcome is not None
    assert outcome.error == "ThrottlingException"
    bare = DaxReplies().reader().feed(cbor2.dumps([1]) + cbor2.dumps("x") + cbor2.dumps(None))
    assert bare is not None
    assert bare.error == "DAX error"


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n", b"\x80\xf6\xf6"])
def test_what_is_no_reply_is_refused(reply: bytes) -> None:
    with pytest.raises(ProtocolError):
        DaxReplies().reader().feed(reply)


def test_a_cluster_that_refuses_the_list_is_told() -> None:
    with (
        cache_node(ERROR) as (port, _),
        pytest.raises(LoadError, match="has answered ThrottlingException"),
    ):
        dax_wire.attribute_list(("127.0.0.1", port), ["a"])
