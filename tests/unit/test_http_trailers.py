"""Trailers of chunked requests: dropped, or kept apart from the headers where a server asks for them."""

from __future__ import annotations

import asyncio

from hashrange_router.http import HttpLimits, Request, serve

CHUNKED = (
    b"POST / HTTP/1.1\r\nhost: x\r\nx-one: 1\r\ntransfer-encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n2\r\nde\r\n0\r\nX-One: 2\r\nX-Two: 3\r\n\r\n"
)


def headers_seen(keep_trailers: bool) -> dict[bytes, bytes]:
    async def work() -> dict[bytes, bytes]:
        seen: list[Request] = []

        def app(request: Request) -> None:
            seen.append(request)
            request.reply(200, request.body)

        server = await serve(app, "127.0.0.1", 0, limits=HttpLimits(keep_trailers=keep_trailers))
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(CHUNKED)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()
        await server.drain(1)
        assert seen[0].body == b"abcde"
        return seen[0].headers

    return asyncio.run(work())


def test_trailers_are_dropped() -> None:
    headers = headers_seen(keep_trailers=False)
    assert headers[b"x-one"] == b"1"
    assert not [name for name in headers if b"two" in name]


def test_trailers_that_are_kept_are_no_headers() -> None:
    headers = headers_seen(keep_trailers=True)
    assert headers[b"x-one"] == b"1"
    assert headers[b"trailer:x-one"] == b"2"
    assert headers[b"trailer:x-two"] == b"3"
    assert b"x-two" not in headers
