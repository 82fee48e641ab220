"""The logs of functions: files that rotate, and the latest lines in memory for whoever follows them.

    logs = Logs(directory, settings, clock)
    logs.append("hello", stream, request_id, "a line")
    entries, cursor = logs.read("hello", after=0, limit=100)     # then read(after=cursor) ...
    await logs.wait("hello", after=cursor, timeout_s=10)         # ... when there is more

An entry may have several lines: tracebacks are one entry. Files are `<function>.log`, and `<function>.log.1` and so
on for what is older; a line is the time, the worker and the text, separated by tabs, and lines of the same entry
follow it indented by a tab.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from hashrange.runtime.clock import Clock
from hashrange.runtime.logging import get_logger
from hashrange_router.triggers.reports import timestamp
from hashrange_router.triggers.settings import PoolSettings

_log = get_logger("triggers")

LINE_BYTES_MAX = 256 * 1024
"""A longer line is cut into several entries, as the service does."""
TAIL_BYTES = 4096
"""What an Invoke that asks for the log gets of it."""

_READ = 65_536
_ENTRY_OVERHEAD = 200
_FILES_OPEN_MAX = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of a log. `cursor` counts the entries of a function, from 1; `stream` names the worker."""

    cursor: int
    time_ms: int
    stream: str
    request_id: str
    text: str


class FunctionLog:
    """One function's log."""

    def __init__(self, path: Path, file_bytes: int, files: int, memory_bytes: int) -> None:
        self._path = path
        self._file_bytes = file_bytes
        self._files = files
        self._memory_bytes = memory_bytes
        self._entries: deque[Entry] = deque()
        self._held = 0
        self._file: BinaryIO | None = None
        self._written = 0
        self._failed = False
        self._cursor = 0
        self._waiting: set[asyncio.Future[None]] = set()

    def append(self, time_ms: int, stream: str, request_id: str, text: str) -> None:
        """Keep an entry; it is in the file after the next flush."""
        self._cursor += 1
        self._entries.append(Entry(self._cursor, time_ms, stream, request_id, text))
        self._held += len(text) + _ENTRY_OVERHEAD
        while self._held > self._memory_bytes and len(self._entries) > 1:
            self._held -= len(self._entries.popleft().text) + _ENTRY_OVERHEAD
        self._write(f"{timestamp(time_ms)}\t{stream}\t{text}".replace("\n", "\n\t").encode() + b"\n")
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    def read(self, after: int, limit: int) -> tuple[list[Entry], int]:
        """At most `limit` entries beyond a cursor, oldest first, and the cursor to go on from."""
        if not self._entries or after >= self._cursor:
            return [], self._cursor
        skip = max(0, after + 1 - self._entries[0].cursor)
        found = list(islice(self._entries, skip, skip + limit))
        return found, found[-1].cursor if found else after

    async def wait(self, after: int) -> None:
        """Until there is an entry beyond a cursor."""
        while after >= self._cursor:
            future = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)

    def flush(self) -> None:
        """Hand what has been written to the operating system."""
        if self._file is not None:
            try:
                self._file.flush()
            except OSError as error:
                self._write_failed(error)

    def close(self) -> None:
        """Close the file; the next entry opens it again."""
        if self._file is not None:
            file, self._file = self._file, None
            try:
                file.close()
            except OSError as error:
                self._write_failed(error)

    def _write(self, line: bytes) -> None:
        try:
            if self._file is None:
                self._file = self._path.open("ab", _READ)
                self._written = self._file.tell()
            if self._written + len(line) > self._file_bytes and self._written:
                self._rotate()
            self._file.write(line)
            self._written += len(line)
            self._failed = False
        except OSError as error:
            self._write_failed(error)

    def _rotate(self) -> None:
        assert self._file is not None
        self._file.close()
        for number in range(self._files - 1, 0, -1):
            older = self._path if number == 1 else self._path.with_name(f"{self._path.name}.{number - 1}")
            if older.exists():
                older.rename(self._path.with_name(f"{self._path.name}.{number}"))
        self._file = self._path.open("wb", _READ)
        self._written = 0

    def _write_failed(self, error: OSError) -> None:
        """A full disk costs the file some lines, not the function its invocation; said once until it works again."""
        self._file = None
        if not self._failed:
            self._failed = True
            _log.error("a function's log cannot be written", path=str(self._path), error=str(error))


class Logs:
    """The logs of all functions of one pool."""

    def __init__(self, directory: Path, clock: Clock, file_bytes: int, files: int, memory_bytes: int) -> None:
        self._directory = directory
        self._clock = clock
        self._bounds = (file_bytes, files, memory_bytes)
        self._logs: dict[str, FunctionLog] = {}

    def of(self, function: str) -> FunctionLog:
        """The log of a function by its name."""
        log = self._logs.get(function)
        if log is None:
            name = re.sub(r"[^A-Za-z0-9_.$-]", "_", function)
            log = self._logs[function] = FunctionLog(self._directory / f"{name}.log", *self._bounds)
        return log

    def append(self, function: str, stream: str, request_id: str, text: str) -> None:
        """Keep an entry of a function's log, with the time it is now."""
        self.of(function).append(self._clock.wall_ms(), stream, request_id, text)

    def read(self, function: str, after: int = 0, limit: int = 1000) -> tuple[list[Entry], int]:
        """Entries beyond a cursor (0: all that are kept), oldest first, and the cursor to go on from.

        Entries that memory has lost meanwhile are left out: cursors count up by one, so a gap shows.
        """
        return self.of(function).read(after, limit)

    async def wait(self, function: str, after: int, timeout_s: float) -> bool:
        """Wait for an entry beyond a cursor; whether there is one."""
        try:
            await asyncio.wait_for(self.of(function).wait(after), timeout_s)
        except TimeoutError:
            return False
        return True

    def flush(self) -> None:
        """Hand all to the operating system, and close files when too many are open."""
        for log in self._logs.values():
            log.flush()
        if len(self._logs) > _FILES_OPEN_MAX:
            self.close()

    def close(self) -> None:
        """Close all files."""
        for log in self._logs.values():
            log.close()


class Capture:
    """What one worker writes, cut into entries of its function's log, and the end of it for LogResult."""

    def __init__(self, log: FunctionLog, clock: Clock, stream: str) -> None:
        self._log = log
        self._clock = clock
        self._stream = stream
        self._partial = b""
        self._tail = bytearray()
        self.request_id = ""

    def feed(self, data: bytes) -> None:
        """Output of the worker. Lines end with \\n; \\r separates the lines of one entry."""
        data = self._partial + data
        lines = data.split(b"\n")
        self._partial = lines.pop()
        for line in lines:
            self._entry(line)
        while len(self._partial) >= LINE_BYTES_MAX:
            self._entry(self._partial[:LINE_BYTES_MAX])
            self._partial = self._partial[LINE_BYTES_MAX:]

    def platform(self, line: str | None) -> None:
        """A line of our own, after all that the worker has written so far."""
        if line is not None:
            self.finish()
            self._entry(line.encode())

    def finish(self) -> None:
        """End a line that the worker has not."""
        if self._partial:
            line, self._partial = self._partial, b""
            self._entry(line)

    def begin(self, request_id: str) -> None:
        """From here on it is the log of another invocation."""
        self.finish()
        self.request_id = request_id
        self._tail.clear()

    def tail(self) -> bytes:
        """The end of this invocation's log."""
        return bytes(self._tail[-TAIL_BYTES:])

    def _entry(self, line: bytes) -> None:
        line = line.rstrip(b"\r").replace(b"\r", b"\n")
        for start in range(0, len(line) or 1, LINE_BYTES_MAX):
            text = line[start : start + LINE_BYTES_MAX].decode(errors="replace")
            self._log.append(self._clock.wall_ms(), self._stream, self.request_id, text)
        self._tail += line + b"\n"
        if len(self._tail) > 4 * TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]


def logs_of(settings: PoolSettings, clock: Clock) -> Logs:
    """The logs below a pool's directory, as its settings bound them."""
    directory = settings.work_dir / "logs"
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Logs(directory, clock, settings.log_file_bytes, settings.log_files, settings.log_memory_bytes)
