"""Connections of the wire door: framing, order, limits, authorization, and what is no protocol at all."""

from __future__ import annotations

import datetime
import random
import socket
import ssl
import struct
import time
from types import SimpleNamespace
from typing import Any

import pytest
from amazondax import SigV4Gen
from hashrange_dax.codec.cbor import NULL, array_head, byte_string, integer, text
from hashrange_dax.door import WireLimits
from hashrange_dax.door.connection import VALUES_MAX
from hashrange_dax.protocol import methods as m

from hashrange.cli.dax.tls import make_authority, server_context
from tests.conformance.support import wait_until
from tests.dax.clients import dax_client
from tests.unit.dax_door_support import (
    RawClient,
    RunningDoor,
    handshake,
    key_bytes,
    message,
    running_door,
)

GET = (byte_string(b"HTS"), byte_string(b"0"), bytes.fromhex("bf0300ff"))
FUZZ_SEED = 20261123
FUZZ_ROUNDS = 150


def sample(door: RunningDoor) -> RawClient:
    """A client of the table that the captured bytes are about."""
    door.table("HTS")
    return door.raw()


def test_bytes_as_they_were_captured() -> None:
    """From the published clients' traffic, with the service's answers."""
    with running_door() as door, sample(door) as client:
        for sent, count, answered in (
            ("013a2c43e27e43485453", 2, "80a162706b6153"),
            ("013a495927bb816161", 2, "8002"),
            ("011a27f9bd7102", 2, "80816161"),
            ("013a7d8e7e5643485453" + "4130" + "420201" + "bf0300ff", 2, "80f6"),
            ("011a0fb0cc6a43485453" + "4130" + "bf0300ff", 2, "80a100420201"),
            ("011a0fb0cc6a43485453" + "4131" + "f6", 2, "80f6"),
        ):
            client.send(bytes.fromhex(sent))
            assert client.bytes_of(count).hex() == answered


def test_endpoints() -> None:
    with running_door() as door, door.raw() as client:
        _, [endpoint] = client.ask(m.ENDPOINTS)
        assert endpoint == {0: 1, 1: "127.0.0.1", 2: b"\x7f\0\0\x01", 3: door.port, 4: 1, 5: "local-a", 6: 1}


def test_attribute_lists_by_number() -> None:
    with running_door() as door, door.raw() as client:
        assert client.ask(m.LIST, integer(1)) == [[], []]
        assert client.ask(m.LIST_ID, array_head(0)) == [[], 1]
        assert client.ask(m.LIST_ID, array_head(2) + text("b") + text("a")) == [[], 2]
        assert client.ask(m.LIST, integer(2)) == [[], ["b", "a"]]
        for bad in (integer(99), text("x")):
            assert client.ask(m.LIST, bad, values=3)[2][1] == "ValidationException"
        for names in (array_head(2) + text("a") * 2, array_head(1) + b"\x05", b"\x05"):
            assert client.ask(m.LIST_ID, names, values=3)[2][1] == "ValidationException"


def test_a_request_byte_by_byte_and_many_at_once() -> None:
    with running_door() as door, sample(door) as client:
        request = message(m.GET_ITEM, *GET)
        for byte in request:
            client.send(bytes((byte,)))
        assert client.values(2) == [[], None]
        client.send(request * 500 + message(m.KEY_SCHEMA, key_bytes("HTS")))
        assert client.values(1002)[-2:] == [[], {"pk": "S"}]
        assert door.on_loop(lambda: door.door.buffered_bytes) == 0


def test_the_first_request_may_come_with_the_handshake() -> None:
    with running_door() as door:
        door.table("HTS")
        with RawClient(door.port) as client:
            client.send(handshake() + message(m.GET_ITEM, *GET))
            assert client.values(2) == [[], None]


def test_more_than_is_read_ahead_is_answered_in_order() -> None:
    limits = WireLimits(ahead_bytes_max=2048)
    with running_door(limits=limits) as door, sample(door) as client:
        door.lists.later = True
        lists = [message(m.LIST_ID, array_head(1) + text(f"name-{n:04}")) for n in range(1000)]
        client.send(b"".join(lists))
        answers = client.values(2000)
        assert answers[1::2] == list(range(2, 1002))


def test_a_client_that_does_not_read_is_not_served_on() -> None:
    limits = WireLimits(write_buffer_bytes=64 * 1024)
    with running_door(limits=limits) as door, sample(door) as client:
        door.call("PutItem", {"TableName": "HTS", "Item": {"pk": {"S": "0"}, "v": {"S": "x" * 300_000}}})
        count = 60
        client.send(message(m.GET_ITEM, *GET) * count)
        total = sum(len(value[0]) for value in client.values(2 * count)[1::2])
        assert total > count * 300_000


def test_methods_that_are_not_offered() -> None:
    with running_door() as door:
        for method in m.OTHERS:
            with door.raw() as client:
                codes, _, info = client.ask(method, values=3)
                assert (codes, info[1]) == ([4, 37, 38, 44], "NotImplementedException")
                assert client.closed()


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        handshake()[:-1] + b"\x05",
        handshake() + b"\x02\x00",
        handshake() + b"\x01\x05",
        handshake() + b"\x01\x61x",
        handshake() + b"\xff",
        handshake() + b"\x1c",
        handshake() + message(m.GET_ITEM, b"\x5b" + b"\xff" * 8),
        handshake() + message(m.GET_ITEM, b"\x9b" + b"\xff" * 8),
        handshake() + message(m.GET_ITEM, b"\x81" * 100),
        handshake() + message(m.GET_ITEM, b"\x61\xff", NULL, NULL),
    ],
)
def test_what_is_no_message_closes_the_connection(data: bytes) -> None:
    with running_door() as door, RawClient(door.port) as client:
        client.send(data)
        assert client.closed()
        assert door.on_loop(lambda: (door.door.malformed_count, door.door.buffered_bytes)) == (1, 0)


def test_a_malformed_key_is_answered_and_the_next_request_too() -> None:
    with running_door() as door, door.raw() as client:
        door.table("ranged", "S", "N")
        codes, _, info = client.ask(m.GET_ITEM, key_bytes("ranged"), byte_string(b"\x61a"), NULL, values=3)
        assert (codes, info[1]) == ([4, 37, 38, 39, 46], "ValidationException")
        assert client.ask(m.ENDPOINTS)[0] == []


def test_random_and_damaged_bytes_never_hang_or_break_the_door() -> None:
    rng = random.Random(FUZZ_SEED)
    with running_door() as door, sample(door) as good:
        requests = [
            message(m.GET_ITEM, *GET),
            message(m.PUT_ITEM, byte_string(b"HTS"), byte_string(b"0"), byte_string(b"\x01"), NULL),
            message(m.SCAN, byte_string(b"HTS"), bytes.fromhex("bf0d010300ff")),
            message(m.BATCH_GET, bytes.fromhex("a16348545383f4f6814130"), NULL),
            message(
                m.UPDATE_ITEM,
                byte_string(b"HTS"),
                byte_string(b"0"),
                bytes.fromhex("a1084e83018183138212616e8211008106"),
            ),
        ]
        for _ in range(FUZZ_ROUNDS):
            data = bytearray(handshake() + rng.choice(requests) * 2)
            for _ in range(rng.randrange(1, 6)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            with RawClient(door.port) as client:
                client.send(bytes(data) if rng.random() < 0.9 else rng.randbytes(200))
                client.socket.shutdown(socket.SHUT_WR)
                while True:
                    try:
                        if not client.socket.recv(1 << 16):
                            break
                    except ConnectionResetError:
                        break
            assert good.ask(m.ENDPOINTS)[0] == []
        wait_until(lambda: door.on_loop(lambda: len(door.door.connections)) == 1, "the others are gone")
        assert door.on_loop(lambda: door.door.buffered_bytes) == 0


def test_connections_are_bounded() -> None:
    with running_door(limits=WireLimits(connections_max=3)) as door:
        clients = [door.raw() for _ in range(3)]
        with door.raw() as refused:
            assert refused.closed()
        assert door.on_loop(lambda: (door.door.refused_count, door.tier.metrics.connections)) == (1, 3)
        for client in clients:
            assert client.ask(m.ENDPOINTS)[0] == []
            client.close()
        wait_until(lambda: door.on_loop(lambda: door.tier.metrics.connections) == 0, "no connections")


def test_a_message_may_not_be_too_large() -> None:
    limits = WireLimits(message_bytes_max=100_000, ahead_bytes_max=1000)
    with running_door(limits=limits) as door, door.raw() as client:
        client.send(message(m.GET_ITEM) + b"\x5a" + struct.pack(">I", 200_000))
        assert client.closed()


def test_names_of_no_table_are_not_kept() -> None:
    with running_door() as door, sample(door) as client:
        for name in (b"HTS", b"none", b"x" * 60_000, b"HTS"):
            client.send(message(m.GET_ITEM, byte_string(name), *GET[1:]))
            client.values(2 if name == b"HTS" else 3)
        assert door.on_loop(lambda: door.door.quick.names) == {b"HTS": "HTS"}


def test_an_item_may_not_have_millions_of_values() -> None:
    """Each would take hundreds of bytes of memory."""
    with running_door() as door, door.raw() as client:
        door.table("HTS")
        _, number = client.ask(m.LIST_ID, array_head(1) + text("a"))
        key = byte_string(b"A")
        for count in (100_000, VALUES_MAX):
            item = byte_string(integer(number) + array_head(count) + b"\x80" * count)
            client.send(message(m.PUT_ITEM, byte_string(b"HTS"), key, item, b"\xf6"))
            if count < VALUES_MAX:
                assert client.values(2) == [[], None]
        assert client.closed()


def test_what_is_buffered_is_bounded_over_all_connections() -> None:
    with running_door(limits=WireLimits(buffered_bytes_max=50_000)) as door, door.raw() as client:
        client.send(message(m.GET_ITEM) + b"\x5a" + struct.pack(">I", 100_000) + bytes(60_000))
        assert client.closed()
        wait_until(lambda: door.on_loop(lambda: door.door.buffered_bytes) == 0, "the bytes are given back")


@pytest.mark.parametrize(
    ("sent", "limits"),
    [
        (b"", WireLimits(handshake_timeout_s=1)),
        (handshake()[:5], WireLimits(handshake_timeout_s=1)),
        (handshake() + message(m.GET_ITEM), WireLimits(message_timeout_s=1)),
        (handshake(), WireLimits(idle_timeout_s=1)),
    ],
)
def test_deadlines(sent: bytes, limits: WireLimits) -> None:
    with running_door(limits=limits) as door, RawClient(door.port) as client:
        client.send(sent)
        wait_until(lambda: door.on_loop(lambda: len(door.door.connections)) == 1, "the connection")
        client.send(b"")
        wait_until(lambda: _received(door, sent), "the bytes")
        door.on_loop(lambda: door.clock.advance(2))
        assert client.closed()
        assert door.on_loop(lambda: door.door.timed_out_count) == 1


def _received(door: RunningDoor, sent: bytes) -> bool:
    return door.on_loop(lambda: door.tier.metrics.bytes_in) == len(sent)


def test_a_held_door_takes_connections_and_answers_later() -> None:
    with running_door() as door:
        door.on_loop(door.door.hold)
        with door.raw() as client:
            client.send(message(m.ENDPOINTS))
            wait_until(lambda: door.on_loop(lambda: door.door.buffered_bytes) > 0, "what the client sends")
            assert door.on_loop(lambda: door.door.metrics.bytes_out) == 0
            door.on_loop(door.door.go)
            assert client.values(2)[0] == []
            client.send(message(m.ENDPOINTS))
            assert client.values(2)[0] == []


def test_draining_answers_what_is_under_way() -> None:
    with running_door() as door, door.raw() as busy, door.raw() as idle:
        held: list[Any] = []
        door.lists.define = lambda names, done: held.append(done)  # type: ignore[method-assign]
        busy.send(message(m.LIST_ID, array_head(1) + text("a")))
        wait_until(lambda: door.on_loop(lambda: bool(held)), "the request")
        draining = door.start(door.door.drain(20))
        assert idle.closed()
        door.on_loop(lambda: held[0](5))
        assert busy.values(2) == [[], 5]
        assert busy.closed()
        draining.result(20)
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", door.port), 1).close()


# Authorization


def authorization(secret: str, door: RunningDoor) -> bytes:
    now = datetime.datetime.fromtimestamp(door.clock.wall_ms() / 1000, datetime.UTC).replace(tzinfo=None)
    signed = SigV4Gen.generate_signature(
        SimpleNamespace(access_key="key", secret_key=secret, token=None),
        "https://dax.amazonaws.com",
        "us-east-1",
        b"",
        now,
    )
    return message(
        m.AUTHORIZE,
        text("key"),
        text(signed.signature),
        byte_string(signed.string_to_sign.encode()),
        NULL,
        text("agent"),
    )


def test_authorization_is_not_answered_but_counts() -> None:
    with running_door(secrets={"key": "secret"}) as door, sample(door) as client:
        get = message(m.GET_ITEM, *GET)
        client.send(get)
        assert client.values(3)[0] == [4, 23, 31, 33]
        client.send(authorization("wrong", door) + get)
        assert client.values(3)[0] == [4, 23, 31, 32]
        client.send(get)
        assert client.values(3)[0] == [4, 23, 31, 33]
        client.send(authorization("secret", door) + get)
        assert client.values(2) == [[], None]
        client.send(get)
        assert client.values(2) == [[], None]


def test_authorization_holds_five_minutes_also_for_cached_reads() -> None:
    with running_door(secrets={"key": "secret"}) as door, sample(door) as client:
        get = message(m.GET_ITEM, *GET)
        client.send(authorization("secret", door) + get)
        assert client.values(2) == [[], None]
        door.on_loop(lambda: door.clock.advance(301))
        now = door.on_loop(door.clock.monotonic)
        wait_until(lambda: door.on_loop(lambda: door.door.now) == now, "the next tick")
        client.send(get)
        assert client.values(3)[0] == [4, 23, 31, 33]
        client.send(authorization("secret", door) + get)
        assert client.values(2) == [[], None]


def test_the_official_client_authorizes_itself() -> None:
    with running_door(secrets={"key": "secret"}) as door:
        door.table("tbl")
        with dax_client(door.url, access_key="key", secret_key="secret") as client:
            assert client.get_item(TableName="tbl", Key={"pk": {"S": "a"}}) == {}
        with (
            pytest.raises(Exception) as caught,
            dax_client(door.url, access_key="key", secret_key="wrong") as client,
        ):
            client.get_item(TableName="tbl", Key={"pk": {"S": "a"}})
        assert getattr(caught.value, "auth_error", False), caught.value


def test_without_secrets_authorization_is_taken_as_it_is() -> None:
    with running_door() as door, sample(door) as client:
        client.send(authorization("whatever", door) + message(m.GET_ITEM, *GET))
        assert client.values(2) == [[], None]


def test_tls() -> None:
    authority = make_authority(time.time())
    context = server_context(authority, ["127.0.0.1"], time.time())
    trusting = ssl.create_default_context(cadata=authority.certificate)
    with running_door(tls=context) as door:
        door.table("HTS")
        plain = socket.create_connection(("127.0.0.1", door.port), 20)
        with trusting.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
            secured.sendall(handshake() + message(m.GET_ITEM, *GET))
            received = b""
            while len(received) < 2:
                received += secured.recv(100)
            assert received == b"\x80\xf6"


def test_every_operation_has_its_times() -> None:
    with running_door() as door, sample(door) as client:
        for _ in range(3):
            client.send(message(m.GET_ITEM, *GET))
            client.values(2)
        client.ask(m.SCAN, byte_string(b"none"), NULL, values=3)
        counts = door.on_loop(lambda: {name: times.count() for name, times in door.door.latencies.items()})
        assert (counts["GetItem"], counts["Scan"], counts["PutItem"]) == (3, 1, 0)
        told = door.on_loop(door.tier.metrics.snapshot)
        assert (told["GetItemRequestCount"], told["ScanRequestCount"], told["ErrorRequestCount"]) == (3, 1, 1)
        assert told["NetworkBytesIn"] > 0 and told["NetworkBytesOut"] > 0
