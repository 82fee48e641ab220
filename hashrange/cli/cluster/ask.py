"""Asking the admin port of a process: one short HTTP request on a connection of its own.

Standard library only: a command that shows a status needs no HTTP client package.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 2.0


class AskError(Exception):
    """No answer, or a refusal, whose sentence this is. `status` is 0 when nobody answered."""

    def __init__(self, sentence: str, status: int = 0) -> None:
        super().__init__(sentence)
        self.status = status


async def ask(
    url: str,
    path: str,
    body: dict[str, Any] | None = None,
    timeout_s: float = TIMEOUT_S,
    headers: dict[str, str] | None = None,
) -> bytes:
    """The body of the answer to a GET, or to a POST when there is a `body`; raises AskError."""
    parts = urlsplit(url)
    host, port = parts.hostname, parts.port
    if parts.scheme != "http" or host is None:
        raise AskError(f"{url} is no http URL")
    try:
        async with asyncio.timeout(timeout_s):
            return await _exchange(host, port or 80, path, body, headers or {})
    except TimeoutError:
        raise AskError(f"{url} does not answer") from None
    except OSError as error:
        raise AskError(f"{url} does not answer ({error.strerror or error})") from None


async def ask_json(
    url: str, path: str, body: dict[str, Any] | None = None, timeout_s: float = TIMEOUT_S
) -> Any:
    """The JSON of the answer; raises AskError."""
    answer = await ask(url, path, body, timeout_s)
    try:
        return json.loads(answer)
    except ValueError:
        raise AskError(f"{url}{path} was not answered with JSON") from None


async def _exchange(
    host: str, port: int, path: str, body: dict[str, Any] | None, headers: dict[str, str]
) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        payload = b"" if body is None else json.dumps(body).encode()
        head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\n"
        for name, value in ({"host": f"{host}:{port}", "connection": "close"} | headers).items():
            head += f"{name}: {value}\r\n"
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n"
        writer.write(head.encode() + b"\r\n" + payload)
        answer = await reader.read(-1)
    finally:
        writer.close()
    head_bytes, _, content = answer.partition(b"\r\n\r\n")
    words = head_bytes.split(b"\r\n", 1)[0].split(b" ")
    if len(words) < 2 or not words[1].isdigit():
        raise AskError(f"http://{host}:{port} does not speak HTTP")
    status = int(words[1])
    if status != 200:
        raise AskError(_sentence(content) or f"the answer was {status}", status)
    return content


def _sentence(content: bytes) -> str:
    try:
        return str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        return content.decode("utf-8", "replace").strip()
