"""Nobody feeds a cache who does not know the key, and garbage ends one connection and nothing else."""

from __future__ import annotations

import asyncio
import os

import pytest
from hashrange_dax.coherence import messages as wire
from hashrange_dax.coherence import receiving
from hashrange_dax.coherence.handshake import DIALLER, proof
from hashrange_dax.coherence.secret import KIND, NAME

from hashrange.runtime.rpc.frames import HEADER, encode_frame
from tests.unit.dax_peers_support import CLUSTER, Node, Plane, change, cluster, run, stop, until


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Everything until the other closes."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def dial(node: Node) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", node.port)


def hello(**other: object) -> wire.Hello:
    return wire.Hello(wire.PROTOCOL, CLUSTER, "n9", "p", "n1", b"nonce")._replace(**other)


async def frame(reader: asyncio.StreamReader) -> tuple[int, int, bytes]:
    length, kind, number = HEADER.unpack(await reader.readexactly(HEADER.size))
    return kind, number, await reader.readexactly(length - HEADER.size + 4)


GARBAGE = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x00" * 64,
    b"\xff" * 64,
    encode_frame(wire.HELLO, 0, b"\xc1"),
    encode_frame(wire.TELL, 1, wire.encode_tell(wire.encode_change(change(b"evil")), 1)),
    encode_frame(wire.PROOF, 0, b"x" * 32),
    encode_frame(wire.HELLO, 0, b"x" * 10_000),
    encode_frame(wire.HELLO, 0, wire.pack(*hello())) * 2,
    os.urandom(3000),
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_ends_the_connection_and_nothing_else(garbage: bytes) -> None:
    async def main() -> None:
        one, two = nodes = await cluster(Plane(), 2)
        reader, writer = await dial(one)
        writer.write(garbage)
        writer.write_eof()
        await rest(reader)
        writer.close()
        two.coherence.tell([change(b"a")])
        await until(lambda: one.tier.keys == [b"a"])
        await stop(*nodes)

    run(main)


@pytest.mark.parametrize(
    "said",
    [hello(cluster="other"), hello(expected="n2"), hello(protocol=99)],
    ids=["cluster", "node", "protocol"],
)
def test_who_belongs_elsewhere_is_told_so(said: wire.Hello) -> None:
    async def main() -> None:
        (one,) = await cluster(Plane(), 1)
        reader, writer = await dial(one)
        writer.write(encode_frame(wire.HELLO, 0, wire.pack(*said)))
        kind, _, body = await frame(reader)
        assert kind == wire.REFUSED and wire.unpack(body, str)[0]
        assert await rest(reader) == b""
        writer.close()
        await stop(one)

    run(main)


@pytest.mark.parametrize("knows", [False, True])
def test_only_who_knows_the_key_is_listened_to(knows: bool) -> None:
    async def main() -> None:
        plane = Plane()
        (one,) = await cluster(plane, 1)
        key = one.coherence.own.key()
        assert key is not None and len(key) == 32
        said = hello()
        reader, writer = await dial(one)
        writer.write(encode_frame(wire.HELLO, 0, wire.pack(*said)))
        kind, _, body = await frame(reader)
        assert kind == wire.CHALLENGE
        made = wire.decode_challenge(body)
        shown = proof(key if knows else b"guess", DIALLER, said, made.node_id, made.process, made.nonce)
        writer.write(encode_frame(wire.PROOF, 0, shown))
        kind, _, _ = await frame(reader)
        assert kind == (wire.WELCOME if knows else wire.REFUSED)
        if knows:
            writer.write(encode_frame(wire.TELL, 1, wire.encode_tell(wire.encode_change(change(b"a")), 1)))
            await until(lambda: one.tier.keys == [b"a"])
            writer.write(encode_frame(wire.TELL, 2, b"\xc1"))
        assert await rest(reader) == b""
        assert one.tier.keys == ([b"a"] if knows else [])
        writer.close()
        await stop(one)

    run(main)


def test_a_node_with_another_key_is_not_told_anything() -> None:
    async def main() -> None:
        plane = Plane()
        (one,) = await cluster(plane, 1)
        two = Node(plane, 2)
        two.coherence.own = two.coherence.own._replace(key=lambda: b"another")
        two.coherence._receiving._own = two.coherence.own
        await two.start()
        one.coherence.tell([change(b"a")])
        assert not await two.coherence.joined(0.3)
        assert two.tier.changes == []
        await stop(one, two)

    run(main)


def test_two_nodes_that_start_at_once_have_one_key() -> None:
    async def main() -> None:
        plane = Plane()
        nodes = [Node(plane, number) for number in (1, 2, 3)]
        await asyncio.gather(*(node.start() for node in nodes))
        for node in nodes:
            assert await node.coherence.joined(20)
        assert plane.documents.of(KIND).keys() == {NAME}
        assert len({node.coherence.own.key() for node in nodes}) == 1
        await stop(*nodes)

    run(main)


def test_strangers_who_say_nothing_are_few_and_do_not_stay(monkeypatch) -> None:
    monkeypatch.setattr(receiving, "STRANGERS_MAX", 3)
    monkeypatch.setattr(receiving, "HANDSHAKE_TICKS", 1)

    async def main() -> None:
        (one,) = await cluster(Plane(), 1)
        there = [await dial(one) for _ in range(5)]
        for reader, writer in there:
            assert await rest(reader) == b""
            writer.close()
        await stop(one)

    run(main)
