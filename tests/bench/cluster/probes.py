"""The two times that a replicated write cannot be faster than: an fdatasync of the disk, a round trip of a frame."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from hashrange.runtime.rpc import Identity, RpcPeers
from hashrange.wire.codec import Codec
from tests.bench.transport import server_process, write_item

RECORD_BYTES = 700
"""About what the log writes for a put of 500 bytes."""

PREALLOCATED_BYTES = 16 << 20


def fsync_us(directory: Path, seconds: float, at_once: int = 1) -> float:
    """Median microseconds of a small write and an fdatasync to a preallocated file, as the log makes them.

    `at_once` threads do so in files of their own, as the nodes of one machine do.
    """
    found: list[float] = []

    def work(number: int) -> None:
        path = directory / f"probe-{number}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, PREALLOCATED_BYTES)
            os.fdatasync(descriptor)
            offset, deadline = 0, time.perf_counter() + seconds
            while (begun := time.perf_counter()) < deadline:
                os.pwrite(descriptor, b"r" * RECORD_BYTES, offset % (PREALLOCATED_BYTES - RECORD_BYTES))
                os.fdatasync(descriptor)
                found.append((time.perf_counter() - begun) * 1e6)
                offset += RECORD_BYTES
        finally:
            os.close(descriptor)
            path.unlink()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return median(found)


def frame_us(seconds: float) -> float:
    """Median microseconds of one request and its answer between two processes over `hashrange.runtime.rpc`."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=server_process, args=("frames", there), daemon=True)
    server.start()
    try:
        return uvloop.run(_round_trips(here.recv(), seconds))
    finally:
        server.terminate()
        server.join()


async def _round_trips(port: int, seconds: float) -> float:
    loop = asyncio.get_running_loop()
    peers = RpcPeers(Identity("router", 0, "", "", 2, ""), lambda node: f"127.0.0.1:{port}", Codec())
    message = write_item()
    found: list[float] = []
    deadline = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < deadline:
        answered: asyncio.Future[Any] = loop.create_future()
        peers.request(1, message, answered.set_result)
        await answered
        found.append((time.perf_counter() - begun) * 1e6)
    peers.stop()
    return median(found[len(found) // 5 :])  # the first fifth warms up
