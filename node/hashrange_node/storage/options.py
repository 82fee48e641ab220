"""How RocksDB is set up, and why; figures in README.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    WriteOptions,
)

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class RocksSettings:
    """What may be chosen per engine.

    Memory stays below block_cache + write_buffers_max * write_buffer + 3 bytes an item.
    """

    block_cache_bytes: int = 64 * MEBIBYTE
    write_buffer_bytes: int = 16 * MEBIBYTE
    write_buffers_max: int = 4
    background_jobs_max: int = 2
    # Writes stop at this number of files in level 0; compaction starts at 4.
    level0_files_max: int = 48


def database_options(settings: RocksSettings) -> Options:
    """Options of a database, and of its one column family."""
    options = Options(raw_mode=True)
    options.set_paranoid_checks(True)
    options.set_write_buffer_size(settings.write_buffer_bytes)
    options.set_max_write_buffer_number(settings.write_buffers_max)
    # A filter in the memtable too: most puts first ask for an item that is not there (1.9 µs -> 1.0).
    options.set_memtable_prefix_bloom_ratio(0.1)
    options.set_memtable_whole_key_filtering(True)
    options.set_max_background_jobs(settings.background_jobs_max)
    # The slow-down of writes would only turn into errors (no_slowdown): begin it where the stop is.
    options.set_level_zero_slowdown_writes_trigger(settings.level0_files_max)
    options.set_level_zero_stop_writes_trigger(settings.level0_files_max)
    options.set_level_compaction_dynamic_level_bytes(True)
    # Compression only where nearly all data ends up: a third less disk at no measurable cost.
    options.set_compression_type(DBCompressionType.none())
    options.set_bottommost_compression_type(DBCompressionType.lz4())
    # Files full of deletions are compacted at once, or scans would crawl over them, holding everything up.
    options.add_compact_on_deletion_collector_factory(1024, 512, 0.0)
    options.set_block_based_table_factory(_table_options(settings))
    # Files are deleted in the background, not by the iterator that held them last.
    options.set_avoid_unnecessary_blocking_io(True)
    options.set_bytes_per_sync(MEBIBYTE)
    options.set_manifest_preallocation_size(64 << 10)
    options.set_max_manifest_file_size(64 * MEBIBYTE)
    options.set_max_log_file_size(4 * MEBIBYTE)
    options.set_keep_log_file_num(2)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    return options


def _table_options(settings: RocksSettings) -> BlockBasedOptions:
    table = BlockBasedOptions()
    table.set_block_cache(Cache(settings.block_cache_bytes))
    table.set_bloom_filter(10, False)
    table.set_block_size(4096)
    # Version 6 binds a block's checksum to its place in its file.
    table.set_format_version(6)
    # Index and filters stay outside the cache: 3 bytes of memory an item, and scans start 2 µs sooner.
    table.set_cache_index_and_filter_blocks(False)
    return table


def write_options() -> WriteOptions:
    """No WAL (the node's log takes its place), and an error instead of a stall: a write holds the GIL."""
    options: Any = WriteOptions()
    options.disable_wal = True
    options.no_slowdown = True
    return cast(WriteOptions, options)
