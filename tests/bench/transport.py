"""Framed TCP against a grpc.aio bidirectional stream: the same messages, the same codec, the same batching.

    python -m tests.bench.transport [--seconds 3]

A client process asks a server process, once over `hashrange.runtime.rpc` and once over one gRPC stream in each
direction whose messages are the frames of a tick. Printed are requests per second, the median latency, and the CPU
of both processes for a request. The figures of record are in proto/README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import time
from collections.abc import AsyncIterator, Callable
from multiprocessing.connection import Connection as Pipe
from typing import Any

import grpc
import uvloop

from hashrange.runtime.rpc import Identity, RpcPeers, RpcServer
from hashrange.runtime.rpc.frames import REPLY, REQUEST, FrameReader, encode_frame
from hashrange.wire import messages as wire
from hashrange.wire.cluster import ClusterStatus
from hashrange.wire.codec import Codec

RECORD = b"r" * 524
RESULT = wire.WriteResult(400, 420)
SERVICE, METHOD = "hashrange.Bench", "Frames"
IN_FLIGHT = (1, 64)

Done = Callable[[Any], None]
Ask = Callable[[Any, Done], None]


def read_item() -> wire.ReadItem:
    """A strong read as a router sends it."""
    return wire.ReadItem(12, 3, b"k" * 24, True)


def write_item() -> wire.WriteItem:
    """A put of a 500-byte item as a router sends it."""
    message = wire.WriteItem(12, 3, wire.PUT, b"k" * 24)
    message.item_json, message.item_size, message.request_id = b"x" * 500, 400, (1 << 60, 77)
    return message


def answer(message: Any) -> Any:
    """What the server says at once; to ClusterStatus, the CPU seconds that it has used."""
    if message.__class__ is wire.ReadItem:
        return RECORD
    if message.__class__ is wire.WriteItem:
        return RESULT
    return {"cpu_s": time.process_time()}


class Answers:
    """The handler of the framed server."""

    def request(self, peer: Any, message: Any, done: Done) -> None:
        """Answer at once."""
        done(answer(message))

    def cast(self, peer: Any, message: Any) -> None:
        """Nobody casts here."""


async def serve_frames(ready: Pipe) -> None:
    """Serve over framed TCP until the process is ended."""
    server = RpcServer(Identity("node", 1, "", "", 1, ""), Codec(), Answers())
    ready.send(await server.start("127.0.0.1", 0))
    await asyncio.Event().wait()


async def serve_stream(ready: Pipe) -> None:
    """Serve over gRPC: one message in, the answers to all its frames in one message out."""
    codec = Codec()

    async def frames(requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        reader = FrameReader()
        async for data in requests:
            replies = []
            for _, frame_id, body in reader.feed(data):
                message = codec.decode_request(body)
                replies.append(encode_frame(REPLY, frame_id, codec.encode_reply(message, answer(message))))
            yield b"".join(replies)

    server = grpc.aio.server()
    handler = grpc.stream_stream_rpc_method_handler(frames)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
    ready.send(server.add_insecure_port("127.0.0.1:0"))
    await server.start()
    await asyncio.Event().wait()


class StreamClient:
    """The asking side of one gRPC stream; what is asked within one tick leaves in one message."""

    def __init__(self, port: int) -> None:
        self.codec = Codec()
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self.call = self.channel.stream_stream(f"/{SERVICE}/{METHOD}")()
        self.pending: dict[int, Done] = {}
        self.queue: list[bytes] = []
        self.last_id = 0
        self.wake = asyncio.Event()
        self.tasks = [asyncio.ensure_future(self.write()), asyncio.ensure_future(self.read())]

    def ask(self, message: Any, done: Done) -> None:
        """Send a request."""
        self.last_id += 1
        self.pending[self.last_id] = done
        self.queue.append(encode_frame(REQUEST, self.last_id, self.codec.encode_request(message)))
        self.wake.set()

    async def write(self) -> None:
        """Send what has queued, whenever something has."""
        while await self.wake.wait():
            self.wake.clear()
            queue, self.queue = self.queue, []
            await self.call.write(b"".join(queue))

    async def read(self) -> None:
        """Hand answers to who asked."""
        reader = FrameReader()
        while (data := await self.call.read()) is not grpc.aio.EOF:
            for _, frame_id, body in reader.feed(data):
                self.pending.pop(frame_id)(self.codec.decode_reply(body))

    async def close(self) -> None:
        """End the stream."""
        for task in self.tasks:
            task.cancel()
        self.call.cancel()
        await self.channel.close()


async def measure(ask: Ask, message: Any, in_flight: int, seconds: float) -> str:
    """Keep so many requests in flight for so long; one line of figures."""
    loop = asyncio.get_running_loop()

    async def server_cpu_s() -> float:
        asked: asyncio.Future[Any] = loop.create_future()
        ask(ClusterStatus(), asked.set_result)
        return float((await asked)["cpu_s"])

    ended = asyncio.Event()
    latencies: list[float] = []
    waiting = 0

    def start() -> None:
        nonlocal waiting
        waiting += 1
        begun = time.perf_counter()

        def done(_answer: Any) -> None:
            nonlocal waiting
            waiting -= 1
            now = time.perf_counter()
            latencies.append(now - begun)
            if now < deadline:
                start()
            elif not waiting:
                ended.set()

        ask(message, done)

    server_before, own_before = await server_cpu_s(), time.process_time()
    began = time.perf_counter()
    deadline = began + seconds
    for _ in range(in_flight):
        start()
    await ended.wait()
    took = time.perf_counter() - began
    own, count = time.process_time() - own_before, len(latencies)
    server = await server_cpu_s() - server_before
    return (
        f"{type(message).__name__:9} in flight {in_flight:3}: {count / took:9,.0f}/s  "
        f"p50 {statistics.median(latencies) * 1000:6.3f} ms  "
        f"CPU {own / count * 1e6:6.1f} + {server / count * 1e6:6.1f} us"
    )


async def run_client(transport: str, port: int, seconds: float) -> None:
    """All workloads over one transport."""
    peers = stream = None
    ask: Ask
    if transport == "frames":
        peers = RpcPeers(Identity("router", 0, "", "", 2, ""), lambda node: f"127.0.0.1:{port}", Codec())

        def ask(message: Any, done: Done) -> None:
            peers.request(1, message, done)
    else:
        stream = StreamClient(port)
        ask = stream.ask
    for message in (read_item(), write_item()):
        for in_flight in IN_FLIGHT:
            await measure(ask, message, in_flight, seconds / 5)  # warm
            print(f"{transport:7} {await measure(ask, message, in_flight, seconds)}", flush=True)
    if peers is not None:
        peers.stop()
    if stream is not None:
        await stream.close()


def server_process(transport: str, ready: Pipe) -> None:
    """Entry of the server process."""
    uvloop.run(serve_frames(ready) if transport == "frames" else serve_stream(ready))


def main() -> None:
    """Measure both, one after the other, each with a server process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure")
    seconds = parser.parse_args().seconds
    context = multiprocessing.get_context("spawn")  # gRPC does not survive a fork
    for transport in ("frames", "stream"):
        here, there = context.Pipe()
        server = context.Process(target=server_process, args=(transport, there), daemon=True)
        server.start()
        try:
            uvloop.run(run_client(transport, here.recv(), seconds))
        finally:
            server.terminate()
            server.join()


if __name__ == "__main__":
    main()
