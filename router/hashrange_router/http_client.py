"""HTTP requests to other programs: one session with kept connections, made by the first request.

    client = HttpClient()
    reply = await client.post("http://h:1/path", {"host": "h:1"}, body, timeout_s=30.0)
    await client.close()

aiohttp is loaded only here, and only when something is sent: a program that never does need not have it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import aiohttp

CONNECT_S: Final = 3.0
KEEP_S: Final = 10.0
"""Connections that have been at rest for longer are not used again: the other side may be closing them."""
REPLY_MAX: Final = 16 * 1024 * 1024


class NotSentError(Exception):
    """No connection could be had, so nothing was sent."""


class NoAnswerError(Exception):
    """The request may have been carried out, but its answer has not been received."""


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An answer; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class HttpClient:
    """Sends requests from one event loop."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, headers: dict[str, str], body: bytes, timeout_s: float) -> HttpReply:
        """POST a body. NotSentError, NoAnswerError; any status is an answer, redirects are not followed."""
        try:
            import aiohttp
            import yarl
        except ImportError as error:
            raise NotSentError("aiohttp is not installed (pip install hashrange)") from error
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_S)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=True)
        limits = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S)
        try:
            # As it is written: a signature may cover the spelling of the path.
            where = yarl.URL(url, encoded=True)
            async with self._session.post(
                where, data=body, headers=headers, timeout=limits, allow_redirects=False
            ) as reply:
                found = bytearray()
                async for piece in reply.content.iter_any():
                    found += piece
                    if len(found) > REPLY_MAX:
                        raise NoAnswerError(f"the answer is longer than {REPLY_MAX} bytes")
                names = {name.lower(): value for name, value in reply.headers.items()}
                return HttpReply(reply.status, names, bytes(found))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSentError(str(error)) from error
        except (aiohttp.InvalidURL, ValueError) as error:
            raise NotSentError(f"no valid URL: {url}") from error
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:  # noqa: UP041 (aiohttp raises its own)
            raise NoAnswerError(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
