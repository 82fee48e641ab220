"""RocksEngine: the storage engine on RocksDB, through rocksdict. The only module that knows rocksdict's ways.

What has to be known about rocksdict 0.3.29, and is taken care of here:
- Its `items()` ends silently at a corrupt block. Scans therefore use the plain iterator and ask it for its
  status at the end.
- An iterator does not keep its ReadOptions alive, which own the bounds: the generator holds them.
- `set_iterate_lower_bound` sets the upper bound. Scans in reverse compare keys with their lower end instead.
- An iterator shows the database as it was when the iterator was made, also before its first seek. Views are
  such iterators: those of `db.snapshot()` show what is written afterwards.
- An iterator that is still alive keeps the database open and locked: `close` ends the scans that are held.
- On reopening it takes the options stored with the database (8 MB of cache, no filter) for the default
  column family, unless that family's options are given by name.
- It raises plain Exception; what happened is in the text.
- Reads, writes and iteration hold the GIL, `flush` releases it. A write that RocksDB wants to delay would
  stop the process: `no_slowdown` makes it an error instead, which is waited out here for a moment.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakSet, ref

from rocksdict import Rdict, ReadOptions, WriteBatch

from .engine import EngineBusy, EngineError, EngineFull, KeyRange, Mutation
from .flushmark import FlushMark
from .options import RocksSettings, database_options, write_options
from .sizes import FileSpan, estimate

STALL_WAIT_SECONDS = 0.02
STALL_STEP_SECONDS = 0.002
SIZE_SAMPLE = 1000
SCANS_HELD_MAX = 64
# A scan has to step over deletions (0.25 µs each) until they reach a file that compaction then drops.
DELETIONS_BEFORE_FLUSH = 20_000

_STALLED = "Write stall"
_NO_SPACE = ("No space left on device", "Disk quota exceeded", "NoSpace")

_GAUGES = {
    "memtable_bytes": "rocksdb.cur-size-all-mem-tables",
    "block_cache_bytes": "rocksdb.block-cache-usage",
    "table_bytes": "rocksdb.live-sst-files-size",
    "level0_files": "rocksdb.num-files-at-level0",
    "pending_compaction_bytes": "rocksdb.estimate-pending-compaction-bytes",
    "running_compactions": "rocksdb.num-running-compactions",
    "running_flushes": "rocksdb.num-running-flushes",
    "background_errors": "rocksdb.background-errors",
    "writes_stopped": "rocksdb.is-write-stopped",
    "keys_estimate": "rocksdb.estimate-num-keys",
}

Entry = tuple[bytes, bytes]


class RocksEngine:
    """Fulfils Engine in the directory `path`, which it creates. Raises EngineError, EngineFull."""

    def __init__(self, path: Path, settings: RocksSettings | None = None) -> None:
        self._path = path
        self._mark = _open_mark(path)
        options = database_options(settings or RocksSettings())
        options.create_if_missing(self._mark is None)
        try:
            self._db = Rdict(str(path), options, column_families={"default": options})
        except Exception as error:
            raise _translated(error, f"the storage engine in {path} cannot be opened") from error
        self._write_options = write_options()
        self._db.set_write_options(self._write_options)
        # Typed Any: rocksdict's annotations do not know of raw mode.
        self._get: Any = self._db.get
        self._put: Any = self._db.put
        self._scans: list[ref[Iterator[Entry]]] = []
        self._views: WeakSet[RocksView] = WeakSet()
        self._deletions = 0
        self._stalls = 0
        self._closed = False
        try:
            if self._mark is None:
                self._mark = FlushMark.create(path)
        except OSError as error:
            self._db.close()
            raise _translated(error, f"the storage engine in {path} cannot be created") from error
        found = self._db.latest_sequence_number()
        if found < self._mark.sequence:
            self._db.close()
            raise EngineError(
                f"the storage engine in {path} has lost data: its last change is number {found}, but "
                f"{self._mark.sequence} had been flushed. {_ADVICE}"
            )

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        try:
            found: bytes | None = self._get(key)
            return found
        except Exception as error:
            raise _translated(error, "reading failed") from error

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """The values of several keys, in their order."""
        try:
            found: list[bytes | None] = self._get(keys)
            return found
        except Exception as error:
            raise _translated(error, "reading failed") from error

    def write(self, mutations: Sequence[Mutation], delete_ranges: Sequence[KeyRange] = ()) -> None:
        """Delete the ranges, then apply the mutations in order; all of it or nothing."""
        if len(mutations) == 1 and not delete_ranges:
            key, value = mutations[0]
            if value is not None:
                # A third of the cost of a batch.
                try:
                    self._put(key, value)
                except Exception as error:
                    self._write_again(error, mutations, delete_ranges)
                return
        try:
            self._write_batch(mutations, delete_ranges)
        except Exception as error:
            self._write_again(error, mutations, delete_ranges)
        if self._deletions > DELETIONS_BEFORE_FLUSH:
            self._flush_deletions()

    def scan(self, lo: bytes, hi: bytes, reverse: bool = False) -> Iterator[Entry]:
        """The entries with lo <= key < hi; valid until the next write."""
        try:
            options = ReadOptions()
            options.set_iterate_upper_bound(hi)
            iterator = self._db.iter(options)
            if reverse:
                iterator.seek_to_last()
                scan = _backward(iterator, options, lo)
            else:
                iterator.seek(lo)
                scan = _forward(iterator, options)
        except Exception as error:
            raise _translated(error, "scanning failed") from error
        scans = self._scans
        scans.append(ref(scan))
        if len(scans) > SCANS_HELD_MAX:
            scans[:] = [each for each in scans if each() is not None]
        return scan

    def view(self, ranges: Sequence[KeyRange]) -> RocksView:
        """The ranges as they are now (13 µs each); what is read through a view stays out of the block cache."""
        iterators = []
        try:
            for lo, hi in ranges:
                if lo < hi:
                    options: Any = ReadOptions()
                    options.set_iterate_upper_bound(hi)
                    options.fill_cache(False)
                    iterators.append((lo, self._db.iter(options), options))
        except Exception as error:
            raise _translated(error, "making a view failed") from error
        view = RocksView(iterators)
        self._views.add(view)
        return view

    def flush(self) -> None:
        """Return when everything written before the call is on stable storage; runs off the loop."""
        assert self._mark is not None
        try:
            sequence = self._db.latest_sequence_number()
            self._db.flush()
            if sequence > self._mark.sequence:
                self._mark.write(sequence)
        except Exception as error:
            raise _translated(error, "flushing failed") from error

    def approximate_size(self, lo: bytes, hi: bytes) -> int:
        """Bytes in the range: exact up to SIZE_SAMPLE entries, else by the table files and the memtable."""
        if lo >= hi:
            return 0
        size = 0
        scan = self.scan(lo, hi)
        for count, (key, value) in enumerate(scan):
            size += len(key) + len(value)
            if count >= SIZE_SAMPLE:
                break
        else:
            return size
        files = [
            FileSpan(bytes(each["start_key"]), bytes(each["end_key"]), int(each["size"]))
            for each in self._db.live_files()
            if each["start_key"] is not None and each["end_key"] is not None
        ]
        return max(size, estimate(files, lo, hi))

    def statistics(self) -> dict[str, float]:
        """RocksDB's gauges, and how often a write had to wait for the disk."""
        found = {name: float(self._db.property_int_value(name_) or 0) for name, name_ in _GAUGES.items()}
        found["write_stalls"] = float(self._stalls)
        return found

    def close(self) -> None:
        """Flush and release the files; scans that are still held end."""
        if self._closed:
            return
        self._closed = True
        for each in self._scans:
            scan: Any = each()
            if scan is not None:
                scan.close()
        self._scans.clear()
        for view in list(self._views):
            view.close()
        assert self._mark is not None
        try:
            self.flush()
        finally:
            self._db.close()
            self._mark.close()

    def _write_batch(self, mutations: Sequence[Mutation], delete_ranges: Sequence[KeyRange]) -> None:
        batch = WriteBatch(raw_mode=True)
        for lo, hi in delete_ranges:
            if lo < hi:
                batch.delete_range(lo, hi)
        put, delete = batch.put, batch.delete
        for key, value in mutations:
            if value is None:
                delete(key)
                self._deletions += 1
            else:
                put(key, value)
        self._db.write(batch)

    def _flush_deletions(self) -> None:
        """Start writing the memtable out, unless that would have to wait for an earlier one."""
        if not self._db.property_int_value("rocksdb.num-immutable-mem-table"):
            self._deletions = 0
            try:
                self._db.flush(wait=False)
            except Exception as error:
                raise _translated(error, "flushing failed") from error

    def _write_again(
        self, error: Exception, mutations: Sequence[Mutation], delete_ranges: Sequence[KeyRange]
    ) -> None:
        """A write was refused: wait a moment if RocksDB is only behind with its flushes, else say why."""
        deadline = time.monotonic() + STALL_WAIT_SECONDS
        while _STALLED in str(error):
            self._stalls += 1
            if time.monotonic() >= deadline:
                raise EngineBusy("the disk does not keep up with the writes") from error
            time.sleep(STALL_STEP_SECONDS)
            try:
                return self._write_batch(mutations, delete_ranges)
            except Exception as again:
                error = again
        raise _translated(error, "writing failed") from error


class RocksView:
    """Fulfils View: one iterator a range, all made before the next write."""

    def __init__(self, iterators: list[tuple[bytes, Any, ReadOptions]]) -> None:
        self._iterators = iterators

    def entries(self) -> Iterator[Entry]:
        """All entries, range by range. Raises EngineError where they cannot be read as they were written."""
        while self._iterators:
            lo, iterator, _ = self._iterators[0]
            try:
                iterator.seek(lo)
            except Exception as error:
                raise _translated(error, "reading a view failed") from error
            key, value, advance = iterator.key, iterator.value, iterator.next
            while (found := key()) is not None:
                yield found, value()
                if not self._iterators:
                    return
                advance()
            _check(iterator)
            del self._iterators[0]

    def close(self) -> None:
        """Release the iterators."""
        self._iterators.clear()


def _forward(iterator: Any, options: ReadOptions) -> Iterator[Entry]:
    key, value, advance = iterator.key, iterator.value, iterator.next
    while (found := key()) is not None:
        yield found, value()
        advance()
    _check(iterator)


def _backward(iterator: Any, options: ReadOptions, lo: bytes) -> Iterator[Entry]:
    key, value, advance = iterator.key, iterator.value, iterator.prev
    while (found := key()) is not None:
        if found < lo:
            return
        yield found, value()
        advance()
    _check(iterator)


def _check(iterator: Any) -> None:
    try:
        iterator.status()
    except Exception as error:
        raise _translated(error, "scanning failed") from error


def _open_mark(path: Path) -> FlushMark | None:
    """The flush mark of an existing database; None where a new one may be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        mark = FlushMark.open(path)
        if mark is None and any(each.suffix == ".sst" for each in path.iterdir()):
            raise EngineError(f"{path} holds table files but no flush mark: it is not whole. {_ADVICE}")
    except ValueError as error:
        raise EngineError(f"{error}. {_ADVICE}") from error
    except OSError as error:
        raise _translated(error, f"the storage engine in {path} cannot be opened") from error
    if mark is not None and not (path / "CURRENT").exists():
        mark.close()
        raise EngineError(f"{path} has lost its file CURRENT. {_ADVICE}")
    return mark


_ADVICE = "Rebuild this node from its peers, or restore the data directory from a copy."


def _translated(error: Exception, what: str) -> EngineError:
    """The error of ours for one of rocksdict's or the operating system's."""
    if isinstance(error, EngineError):
        return error
    text = str(error)
    kind = EngineFull if any(each in text for each in _NO_SPACE) else EngineError
    return kind(f"{what}: {text}")
