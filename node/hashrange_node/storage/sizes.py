"""How many bytes of a key range lie in table files: an estimate by interpolation, pure.

Keys begin with a hash, so they lie evenly between the first and the last key of a file.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

# Bytes of the keys that are compared as a number; enough to tell hashes apart.
PRECISION_BYTES = 16


class FileSpan(NamedTuple):
    """A table file: its first and last key (inclusive) and its size in bytes."""

    first: bytes
    last: bytes
    size: int


def estimate(files: Iterable[FileSpan], lo: bytes, hi: bytes) -> int:
    """Bytes that the files hold of lo <= key < hi, taking keys as evenly spread inside each file."""
    return sum(_share(each, lo, hi) for each in files if each.last >= lo and each.first < hi)


def _share(span: FileSpan, lo: bytes, hi: bytes) -> int:
    if lo <= span.first and span.last < hi:
        return span.size
    first, last = _number(span.first), _number(span.last)
    if last == first:
        return span.size
    inside = min(_number(hi), last) - max(_number(lo), first)
    return max(0, span.size * inside // (last - first))


def _number(key: bytes) -> int:
    return int.from_bytes(key[:PRECISION_BYTES].ljust(PRECISION_BYTES, b"\0"), "big")
