"""Wrong peers, garbage, silence and cuts: each has its outcome, and none stops the others."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from hashrange.runtime.rpc import Identity
from hashrange.runtime.rpc import identity as identities
from hashrange.runtime.rpc import server as rpc_server
from hashrange.runtime.rpc.frames import (
    CAST,
    HEADER,
    HELLO,
    PING,
    PONG,
    REFUSED,
    REPLY,
    REQUEST,
    FrameReader,
    encode_frame,
)
from hashrange.runtime.rpc.identity import decode_refused, encode_hello
from hashrange.wire import messages as wire
from hashrange.wire.cluster import ClusterStatus
from hashrange.wire.faults import Unreachable
from tests.unit.rpc_support import CODEC, Answers, Pair, node, run, until

READ = wire.ReadItem(7, 1, b"key", True)


class Raw:
    """A client or server that says whatever a test wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.frames = FrameReader()
        self.got: list[tuple[int, int, bytes]] = []

    @classmethod
    async def dial(cls, port: int, hello: bytes | None = None) -> Raw:
        raw = cls(*await asyncio.open_connection("127.0.0.1", port))
        if hello is not None:
            raw.say(HELLO, hello)
        return raw

    def say(self, kind: int, body: bytes, frame_id: int = 0) -> None:
        self.writer.write(encode_frame(kind, frame_id, body))

    async def frame(self) -> tuple[int, int, bytes] | None:
        """The next frame, None at the end of the stream."""
        while not self.got:
            try:
                data = await self.reader.read(65536)
            except ConnectionError:
                return None
            if not data:
                return None
            self.got = self.frames.feed(data)
        return self.got.pop(0)

    async def ended(self) -> None:
        while await self.frame() is not None:
            pass
        self.writer.close()


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        (encode_hello(node(2, cluster="other"), 1), "belongs to cluster other"),
        (encode_hello(node(2), 3), "this is node 1, not node 3"),
    ],
)
def test_wrong_peers_are_refused_with_a_reason(hello: bytes, reason: str) -> None:
    async def main() -> None:
        async with Pair(Answers()) as pair:
            raw = await Raw.dial(pair.port, hello)
            found = await raw.frame()
            assert found is not None
            assert found[0] == REFUSED
            assert reason in decode_refused(found[2])
            await raw.ended()
            assert not pair.server.connections

    run(main)


def test_another_version_is_refused_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identities, "PROTOCOL", 2)
    hello = encode_hello(node(2), 1)
    monkeypatch.undo()

    async def main() -> None:
        async with Pair(Answers()) as pair:
            raw = await Raw.dial(pair.port, hello)
            found = await raw.frame()
            assert found is not None
            assert "protocol version 2" in decode_refused(found[2])
            await raw.ended()

    run(main)


@pytest.mark.parametrize("asking", [node(2, cluster=""), node(2)])
@pytest.mark.parametrize("server", [node(1, cluster=""), node(1)])
def test_a_cluster_that_is_not_known_yet_is_accepted(asking: Identity, server: Identity) -> None:
    async def main() -> None:
        async with Pair(Answers(lambda message: b"r"), server, asking) as pair:
            assert await pair.ask(READ) == b"r"

    run(main)


def test_nodes_that_found_different_clusters_part() -> None:
    async def main() -> None:
        async with Pair(Answers(), node(1, cluster=""), node(2, cluster="")) as pair:
            await pair.connected()
            pair.asking.cluster, pair.server.identity.cluster = "mine", "other"
            await until(lambda: not pair.peers.is_up(1))
            assert isinstance(await pair.ask(READ), Unreachable)

    run(main)


def test_an_address_of_another_node_is_not_taken_for_the_one_meant() -> None:
    async def main() -> None:
        async with Pair(Answers()) as pair:
            pair.addresses[3] = pair.addresses[1]
            error = await pair.ask(READ, node=3)
            assert isinstance(error, Unreachable)
            assert not error.sent
            assert not pair.handler.asked
            # Refused: not tried again soon, as nothing will have changed.
            retry = pair.peers._links[3]._retry
            assert retry is not None
            assert retry.when() - asyncio.get_running_loop().time() > 4.0

    run(main)


async def spoken(pair: Pair) -> Raw:
    """A raw peer that has been accepted as node 2."""
    raw = await Raw.dial(pair.port, encode_hello(node(2), 1))
    found = await raw.frame()
    assert found is not None
    assert found[0] == HELLO
    return raw


GARBAGE = [
    HEADER.pack(2**32 - 1, REQUEST, 1),
    HEADER.pack(3, REQUEST, 1),
    encode_frame(99, 0, b""),
    encode_frame(REQUEST, 1, b""),
    encode_frame(REQUEST, 1, b"\xff\xff"),
    encode_frame(REQUEST, 1, b"\x02" + b"\xff" * 40),
    encode_frame(CAST, 0, b"\x10\x0a\xff"),
    encode_frame(HELLO, 0, encode_hello(node(2), 1)),
    encode_frame(REPLY, 1, b"\x01"),
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_ends_its_connection_and_no_other(garbage: bytes) -> None:
    async def main() -> None:
        async with Pair(Answers(lambda message: b"r")) as pair:
            await pair.connected()
            raw = await spoken(pair)
            raw.writer.write(garbage)
            await raw.ended()
            early = await Raw.dial(pair.port)  # and before it has said who it is
            early.writer.write(garbage if garbage[4] != HELLO else b"\0" * 20)
            await early.ended()
            assert await pair.ask(READ) == b"r"

    run(main)


def test_random_streams_neither_hang_nor_crash_the_server() -> None:
    rng = random.Random(7)
    valid = [
        encode_frame(REQUEST, 1, CODEC.encode_request(READ)),
        encode_frame(CAST, 0, CODEC.encode_cast(ClusterStatus())),
        encode_frame(PING, 0, b"c1"),
    ]

    def damaged() -> bytes:
        stream = bytearray(b"".join(rng.choices(valid, k=5)))
        for _ in range(rng.randrange(4)):
            stream[rng.randrange(len(stream))] = rng.randrange(256)
        return bytes(stream[: rng.randrange(len(stream) + 1)])

    async def main() -> None:
        async with Pair(Answers(lambda message: b"r")) as pair:
            for number in range(150):
                raw = await spoken(pair) if number % 3 else await Raw.dial(pair.port)
                raw.writer.write(damaged())
                raw.writer.close()
            assert await pair.ask(READ) == b"r"
            await until(lambda: len(pair.server.connections) == 1)

    run(main)


async def serve_raw(pair: Pair, say: Any) -> asyncio.Server:
    """Something at node 3's address that calls `say(raw)` for each connection."""

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await say(Raw(reader, writer))

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0)
    pair.addresses[3] = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    return server


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        encode_frame(PONG, 0, b""),
        encode_frame(REPLY, 1, b"\x01"),
        encode_frame(HELLO, 0, b"\xff"),
        encode_frame(HELLO, 0, encode_hello(node(4))),
        encode_frame(HELLO, 0, encode_hello(node(3))) + encode_frame(REPLY, 1, b"\xff"),
        encode_frame(HELLO, 0, encode_hello(node(3))) + encode_frame(REPLY, 1, b""),
        encode_frame(HELLO, 0, encode_hello(node(3))) + encode_frame(REQUEST, 1, b""),
        b"",
    ],
    ids=range(9),
)
def test_servers_that_talk_nonsense_are_unreachable(answer: bytes) -> None:
    async def say(raw: Raw) -> None:
        await raw.frame()
        raw.writer.write(answer)
        await raw.frame()
        raw.writer.close()

    async def main() -> None:
        async with Pair(Answers(lambda message: b"r")) as pair:
            server = await serve_raw(pair, say)
            error = await pair.ask(READ, node=3)
            assert error.status >= 500
            assert await pair.ask(READ) == b"r"
            server.close()

    run(main)


def test_a_node_that_goes_silent_is_found_out_by_both_sides() -> None:
    async def silent(raw: Raw) -> None:
        await raw.frame()
        raw.say(HELLO, encode_hello(node(3)))
        await raw.ended()

    async def main() -> None:
        async with Pair(Answers()) as pair:
            server = await serve_raw(pair, silent)
            raw = await spoken(pair)  # says nothing any more
            asking = asyncio.ensure_future(pair.ask(READ, node=3, timeout_s=60))
            error = await asking
            assert isinstance(error, Unreachable)
            assert error.sent
            assert not pair.peers.is_up(3)
            assert pair.peers.silent_s(3) > 2.0
            await raw.ended()
            server.close()

    run(main)


def test_a_blocked_node_hears_nothing_until_the_block_ends() -> None:
    async def main() -> None:
        async with Pair(Answers(lambda message: b"r")) as pair:
            assert await pair.ask(READ) == b"r"
            pair.peers.block([1])
            error = await pair.ask(READ, timeout_s=0.3)
            assert isinstance(error, Unreachable)
            assert error.sent
            assert len(pair.handler.asked) == 1
            assert pair.server.connections  # it stays
            waiting = asyncio.ensure_future(pair.ask(READ))
            await asyncio.sleep(0)
            pair.peers.block([])
            assert isinstance(await waiting, Unreachable)  # its frames are gone: nobody waits for them
            await until(lambda: pair.peers.is_up(1))
            assert await pair.ask(READ) == b"r"

    run(main)


def test_a_server_that_blocks_a_node_hears_and_says_nothing() -> None:
    async def main() -> None:
        async with Pair(Answers(lambda message: b"r")) as pair:
            await pair.connected()
            pair.server.block([2])
            assert isinstance(await pair.ask(READ, timeout_s=0.2), Unreachable)
            assert not pair.handler.asked
            other = await Raw.dial(pair.port, encode_hello(node(2), 1))  # a new connection fares no better
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await other.frame()
            third = await Raw.dial(pair.port, encode_hello(node(5), 1))
            assert await third.frame() is not None
            pair.server.block([])
            await until(lambda: pair.peers.is_up(1))
            await until(lambda: len(pair.ups) == 2)
            assert await pair.ask(READ) == b"r"
            other.writer.close()
            third.writer.close()

    run(main)


def test_a_blocked_node_is_not_even_dialled() -> None:
    async def main() -> None:
        async with Pair(Answers(lambda message: b"r")) as pair:
            pair.peers.block([1])
            assert isinstance(await pair.ask(READ, timeout_s=0.3), Unreachable)
            assert not pair.server.connections

    run(main)


def test_a_peer_that_reads_nothing_is_held_back_and_then_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with Pair(Answers(lambda message: b"x" * 400_000)) as pair:
            raw = await spoken(pair)
            raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
            (connection,) = pair.server.connections
            connection._queue_bytes_max = 1 << 20
            for number in range(60):
                raw.say(REQUEST, CODEC.encode_request(READ), number)
            await until(lambda: connection.reading_paused)
            raw.say(REQUEST, CODEC.encode_request(READ), 60)
            raw.writer.transport.resume_reading()  # type: ignore[attr-defined]
            for number in range(61):
                found = await raw.frame()
                assert found is not None
                assert found[:2] == (REPLY, number)
            assert not connection.reading_paused
            raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
            while not connection.closed:
                connection.cast(wire.WriteEntries(1, 1, [(b"k", b"x" * 400_000, 1)]))
                await asyncio.sleep(0)
            raw.writer.close()

    run(main)


def test_answers_go_out_before_the_server_has_stopped() -> None:
    async def main() -> None:
        async with Pair(Answers()) as pair:
            raw = await spoken(pair)
            for number in range(20):
                raw.say(REQUEST, CODEC.encode_request(READ), number)
            await until(lambda: len(pair.handler.asked) == 20)
            for _, _, done in pair.handler.asked:
                done(b"x" * 400_000)
            stopping = asyncio.ensure_future(pair.server.stop())
            for number in range(20):
                found = await raw.frame()
                assert found is not None
                assert found[:2] == (REPLY, number)
            await stopping
            await raw.ended()

    run(main)


def test_a_peer_that_reads_nothing_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_server, "STOP_TIMEOUT_S", 0.2)

    async def main() -> None:
        async with Pair(Answers(lambda message: b"x" * 400_000)) as pair:
            raw = await spoken(pair)
            raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
            for number in range(60):
                raw.say(REQUEST, CODEC.encode_request(READ), number)
            await until(lambda: len(pair.handler.asked) == 60)
            await pair.server.stop()
            raw.writer.close()

    run(main)


def test_frames_for_a_socket_that_is_closing_are_dropped() -> None:
    """uvloop raises on a write to a closed transport, between its end and the news of it."""

    class Closing:
        def is_closing(self) -> bool:
            return True

        def write(self, data: bytes) -> None:
            raise RuntimeError("unable to perform operation on a closed transport")

    async def main() -> None:
        errors: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
        async with Pair(Answers(lambda message: b"r")) as pair:
            await pair.connected()
            (connection,) = pair.server.connections
            real, connection.transport = connection.transport, Closing()  # type: ignore[assignment]
            connection.cast(ClusterStatus())
            await asyncio.sleep(0.01)
            connection.transport = real
        assert not errors

    run(main)


def test_nothing_is_written_to_a_connection_that_is_closing() -> None:
    async def main() -> None:
        async with Pair(Answers()) as pair:
            asking = asyncio.ensure_future(pair.ask(READ))
            await until(lambda: bool(pair.handler.asked))
            peer, _, done = pair.handler.asked[0]
            (connection,) = pair.server.connections
            assert connection.transport is not None
            closed: list[bool] = []
            peer.on_closed(lambda: closed.append(True))
            connection.transport.abort()
            done(b"late")
            peer.cast(ClusterStatus())
            await asyncio.sleep(0)
            assert isinstance(await asking, Unreachable)
            await until(lambda: peer.closed)
            assert closed == [True]
            peer.on_closed(lambda: closed.append(True))
            assert closed == [True, True]
            peer.cast(ClusterStatus())

    run(main)
