"""A server that does nothing: every request gets the same answer at once. What a load generator can do is
measured on it.

    python -m tests.bench.null_server [--port 31000] [--body-bytes 500]

It finds where a request ends (the length that its headers tell) and looks at nothing else, on uvloop: about 10
µs a request, less than any real server. `hashrange bench get --no-preload --endpoint http://127.0.0.1:31000`
then shows what the generator itself costs.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import uvloop

LENGTH = b"Content-Length: "


class NullProtocol(asyncio.Protocol):
    """One connection; answers every complete request with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._pending = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        if self._pending:
            data = self._pending + data
        count, position = 0, 0
        while (end := data.find(b"\r\n\r\n", position)) >= 0:
            place = data.find(LENGTH, position, end)
            size = 0 if place < 0 else int(data[place + len(LENGTH) : data.find(b"\r\n", place)])
            if len(data) < end + 4 + size:
                break
            position = end + 4 + size
            count += 1
        self._pending = data[position:]
        if count and self._transport is not None:
            self._transport.write(self._answer * count)


def answer_of(body_bytes: int) -> bytes:
    """A response with an item of about so many bytes."""
    body = b'{"Item":{"pk":{"S":"p00000000"},"note":{"S":"%s"}}}' % (b"x" * max(0, body_bytes - 51))
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\n"
        b"x-amzn-RequestId: 0123456789ABCDEF0123456789ABCDEF01234567ABCDEF012345\r\nx-amz-crc32: 3276732762\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    ) + body


@asynccontextmanager
async def serving(port: int = 0, body_bytes: int = 500) -> AsyncIterator[str]:
    """Listen; the URL."""
    answer = answer_of(body_bytes)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: NullProtocol(answer), "127.0.0.1", port)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=31_000)
    parser.add_argument("--body-bytes", type=int, default=500)
    arguments = parser.parse_args()
    async with serving(arguments.port, arguments.body_bytes) as url:
        print(url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        uvloop.run(main())
    except KeyboardInterrupt:
        pass
