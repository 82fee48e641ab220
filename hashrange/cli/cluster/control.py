"""The supervisor's ear: a Unix socket in the cluster's directory that takes commands of other terminals.

One JSON line asks ({"verb", ...}), JSON lines answer: any number of {"progress": sentence}, then {"done": {...}}
or {"error": sentence}. Who may enter the directory may ask; nobody else can reach the socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from hashrange.cli.cluster.layout import LayoutError

NAME = "control"
LINE_BYTES_MAX = 1 << 20

Progress = Callable[[str], None]
Handler = Callable[[dict[str, Any], Progress], Awaitable[dict[str, Any]]]


@contextlib.contextmanager
def _short_path(directory: Path) -> Iterator[str]:
    """A path to the socket that fits a socket address (107 bytes), however deep the directory is."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)


async def listen(directory: Path, handler: Handler) -> asyncio.Server:
    """Take commands until the server is closed. A socket left by an earlier supervisor is replaced."""
    (directory / NAME).unlink(missing_ok=True)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def send(document: dict[str, Any]) -> None:
            with contextlib.suppress(OSError):
                writer.write(json.dumps(document).encode() + b"\n")

        try:
            request = json.loads(await reader.readline())
            send({"done": await handler(request, lambda sentence: send({"progress": sentence}))})
        except LayoutError as error:
            send({"error": str(error)})
        except (ValueError, KeyError, TypeError) as error:
            send({"error": f"the command was not understood: {error!r}"})
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    with _short_path(directory) as path:
        return await asyncio.start_unix_server(serve, path, limit=LINE_BYTES_MAX)


async def command(directory: Path, request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Give the supervisor a command and wait until it is done; raises LayoutError."""
    try:
        with _short_path(directory) as path:
            reader, writer = await asyncio.open_unix_connection(path, limit=LINE_BYTES_MAX)
    except OSError:
        raise LayoutError(
            f"the cluster in {directory} is not running; start it with `hashrange cluster up`"
        ) from None
    try:
        writer.write(json.dumps(request).encode() + b"\n")
        while line := await reader.readline():
            answer = json.loads(line)
            if "progress" in answer:
                progress(answer["progress"])
            elif "error" in answer:
                raise LayoutError(answer["error"])
            else:
                return dict(answer["done"])
    finally:
        writer.close()
    raise LayoutError("the supervisor ended before it had carried out the command")
