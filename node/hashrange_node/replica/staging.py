"""Where a snapshot waits, whole and checked, before it takes the place of a replica's state.

A receiver begins a `Stage` for each stream and adds chunks to it; `finish` makes it durable and turns it into a
`Staged`, which the installer reads, as often as it has to, and then removes. Files (one a snapshot):

    header   8s magic b"hrsnap\\0\\1"
    chunk    u32 length of the body, u32 CRC-32 of number and body, u32 number; body: msgpack of [(key, value)..]
    end      a chunk with an empty body, whose number is the number of chunks

All numbers little-endian. A file under its final name (`.snap`) was whole and on disk when it got it; what was
damaged later is found by the checksums, and a file without its end is refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from struct import Struct
from typing import BinaryIO, Protocol
from zlib import crc32

import msgpack

from hashrange_node.replica.slices import Entry, RunOffLoop

FINISHED = ".snap"
UNFINISHED = ".part"

_MAGIC = b"hrsnap\0\1"
_FRAME = Struct("<III")
_NUMBER = Struct("<I")
# No chunk is near this; a length beyond it is damage.
_BODY_MAX = 1 << 30


class StagedDamaged(Exception):  # noqa: N818
    """A staged snapshot cannot be read as it was written; the text says where."""


class Staged(Protocol):
    """A snapshot that is here in full. `in_use` is set while it is being installed."""

    name: str
    in_use: bool

    def chunks(self) -> Iterator[list[Entry]]:
        """The entries, in the order in which they were sent. Raises StagedDamaged."""
        ...

    def verify(self) -> None:
        """Read everything once. Raises StagedDamaged. May take long: run off the loop."""
        ...

    def remove(self) -> None:
        """Delete it. Twice is harmless."""
        ...


class Stage(Protocol):
    """A snapshot that is still arriving. One call at a time: the next only after `done`."""

    def add(self, entries: list[Entry], done: Callable[[BaseException | None], None]) -> None:
        """Add a chunk; `done(None)` when it is written, with the error when it cannot be."""
        ...

    def finish(self, done: Callable[[Staged | BaseException], None]) -> None:
        """Make it durable; `done` gets the finished snapshot, or the error."""
        ...

    def discard(self) -> None:
        """Delete what has arrived; a `done` that is outstanding is still called."""
        ...


class Staging(Protocol):
    """Makes stages, and finds finished ones again."""

    def begin(self, name: str) -> Stage: ...

    def open(self, name: str) -> Staged | None:
        """A finished snapshot by its name, None when it is not there."""
        ...

    def clean(self, keep: Iterable[str]) -> None:
        """Delete everything but the finished snapshots named; at the start, before anything arrives."""
        ...


class FileStaging:
    """Fulfils Staging with files in a directory, which it creates. Blocking work is run off the loop."""

    def __init__(self, directory: Path, run_off_loop: RunOffLoop) -> None:
        self._directory = directory
        self._run_off_loop = run_off_loop
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def begin(self, name: str) -> FileStage:
        """Begin a file; nothing is written before the first chunk."""
        return FileStage(self._directory, name, self._run_off_loop)

    def open(self, name: str) -> FileStaged | None:
        """The file of a finished snapshot."""
        path = self._directory / (name + FINISHED)
        return FileStaged(path) if path.is_file() else None

    def clean(self, keep: Iterable[str]) -> None:
        """Delete the files of streams that have ended."""
        kept = {name + FINISHED for name in keep}
        for path in self._directory.iterdir():
            if path.suffix in (FINISHED, UNFINISHED) and path.name not in kept:
                path.unlink(missing_ok=True)


class FileStage:
    """Fulfils Stage with a file."""

    def __init__(self, directory: Path, name: str, run_off_loop: RunOffLoop) -> None:
        self._path = directory / (name + UNFINISHED)
        self._final = directory / (name + FINISHED)
        self._run_off_loop = run_off_loop
        self._file: BinaryIO | None = None
        self._chunks = 0
        self._busy = self._discarded = False

    def add(self, entries: list[Entry], done: Callable[[BaseException | None], None]) -> None:
        """Append a chunk to the file."""

        def work() -> None:
            if self._file is None:
                self._file = self._path.open("wb", buffering=0)
                _write(self._file, _MAGIC)
            _write(self._file, _frame(self._chunks, msgpack.packb(entries)))
            self._chunks += 1

        self._run(work, done)

    def finish(self, done: Callable[[Staged | BaseException], None]) -> None:
        """Write the end, sync the file, and give it its final name."""

        def work() -> None:
            assert self._file is not None, "a snapshot has at least one chunk"
            _write(self._file, _frame(self._chunks, b""))
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
            self._path.rename(self._final)
            directory = os.open(self._final.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

        self._run(work, lambda error: done(error if error is not None else FileStaged(self._final)))

    def discard(self) -> None:
        """Delete the file, once nothing is being written to it."""
        self._discarded = True
        if not self._busy:
            self._delete()

    def _run(self, work: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        assert not self._busy and not self._discarded
        self._busy = True

        def finished(error: BaseException | None) -> None:
            self._busy = False
            if self._discarded:
                self._delete()
            done(error)

        self._run_off_loop(work, finished)

    def _delete(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._path.unlink(missing_ok=True)
        self._final.unlink(missing_ok=True)


class FileStaged:
    """Fulfils Staged with a file."""

    def __init__(self, path: Path) -> None:
        self.name = path.name.removesuffix(FINISHED)
        self.in_use = False
        self._path = path

    def chunks(self) -> Iterator[list[Entry]]:
        """The chunks of the file, each checked when it is read."""
        for number, body in self._bodies():
            try:
                entries = msgpack.unpackb(body, use_list=False)
            except Exception as error:
                raise StagedDamaged(f"chunk {number} of {self._path} cannot be decoded: {error}") from error
            yield list(entries)

    def verify(self) -> None:
        """Check every checksum, and that the end is there."""
        for _ in self._bodies():
            pass

    def remove(self) -> None:
        """Delete the file."""
        self._path.unlink(missing_ok=True)

    def _bodies(self) -> Iterator[tuple[int, bytes]]:
        try:
            with self._path.open("rb") as file:
                if file.read(len(_MAGIC)) != _MAGIC:
                    raise StagedDamaged(f"{self._path} is not a staged snapshot")
                number = 0
                while body := self._body(file, number):
                    yield number, body
                    number += 1
        except OSError as error:
            raise StagedDamaged(f"{self._path} cannot be read: {error}") from error

    def _body(self, file: BinaryIO, expected: int) -> bytes:
        """The body of the next chunk; empty at the end of the snapshot."""
        header = file.read(_FRAME.size)
        if len(header) < _FRAME.size:
            raise StagedDamaged(f"{self._path} ends before the end of the snapshot")
        length, crc, number = _FRAME.unpack(header)
        body = file.read(length) if length <= _BODY_MAX else b""
        if len(body) != length or number != expected or crc32(body, crc32(_NUMBER.pack(number))) != crc:
            raise StagedDamaged(f"chunk {expected} of {self._path} is damaged")
        return body


def _frame(number: int, body: bytes) -> bytes:
    return _FRAME.pack(len(body), crc32(body, crc32(_NUMBER.pack(number))), number) + body


def _write(file: BinaryIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


class MemoryStaging:
    """Fulfils Staging in memory: for nodes that keep nothing, and for simulations. Everything is done at once."""

    def __init__(self) -> None:
        self.finished: dict[str, MemoryStaged] = {}

    def begin(self, name: str) -> MemoryStage:
        """Begin a list of chunks."""
        return MemoryStage(self, name)

    def open(self, name: str) -> MemoryStaged | None:
        """A finished snapshot."""
        return self.finished.get(name)

    def clean(self, keep: Iterable[str]) -> None:
        """Forget all snapshots but those named."""
        kept = set(keep)
        for name in [name for name in self.finished if name not in kept]:
            del self.finished[name]


class MemoryStage:
    """Fulfils Stage in memory."""

    def __init__(self, staging: MemoryStaging, name: str) -> None:
        self._staging = staging
        self._staged = MemoryStaged(staging, name)

    def add(self, entries: list[Entry], done: Callable[[BaseException | None], None]) -> None:
        """Keep a chunk."""
        self._staged.parts.append(list(entries))
        done(None)

    def finish(self, done: Callable[[Staged | BaseException], None]) -> None:
        """Make it one that can be found by name."""
        self._staging.finished[self._staged.name] = self._staged
        done(self._staged)

    def discard(self) -> None:
        """Forget the chunks."""
        self._staged.remove()


class MemoryStaged:
    """Fulfils Staged in memory."""

    def __init__(self, staging: MemoryStaging, name: str) -> None:
        self.name = name
        self.in_use = False
        self.parts: list[list[Entry]] = []
        self._staging = staging

    def chunks(self) -> Iterator[list[Entry]]:
        """The chunks as they came."""
        return (list(part) for part in self.parts)

    def verify(self) -> None:
        """Nothing can have happened to it."""

    def remove(self) -> None:
        """Forget it."""
        self._staging.finished.pop(self.name, None)
