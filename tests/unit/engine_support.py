"""What the tests of the storage engines share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from hashrange_node.storage import Engine, EngineBusy, MemoryEngine, Mutation
from hashrange_node.storage.options import RocksSettings
from hashrange_node.storage.rocks import RocksEngine

SMALL = RocksSettings(block_cache_bytes=1 << 20, write_buffer_bytes=1 << 20)
ROOMY = RocksSettings(block_cache_bytes=1 << 20, write_buffer_bytes=16 << 20)
LAST = b"\xff" * 40


def make_engine(kind: str, path: Path) -> Engine:
    return MemoryEngine() if kind == "memory" else RocksEngine(path, ROOMY)


def write_patiently(engine: Engine, mutations: list[Mutation]) -> None:
    """Write, waiting for the disk as long as it takes."""
    while True:
        try:
            return engine.write(mutations)
        except EngineBusy:
            time.sleep(0.001)


def everything(engine: Engine) -> dict[bytes, bytes]:
    return dict(engine.scan(b"", LAST))


def numbered(first: int, count: int, size: int = 100) -> Iterator[tuple[bytes, bytes]]:
    return ((b"key%08d" % n, b"%08d" % n * (size // 8)) for n in range(first, first + count))
