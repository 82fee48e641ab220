"""Counts the complete top-level values in a buffer that grows, so that a request can be read once it is there.

    scanner = Scanner(max_size)
    ends = scanner.scan(buffer)          # ends[i] is where the value number i ends
    ...                                  # take what is complete, and remove it from the front of the buffer
    scanner.discard(size)

A call looks at no byte that an earlier one has looked at, and skips the contents of strings, so that all calls
together take time in the number of values however the bytes come in.
"""

from __future__ import annotations

from typing import Final

from hashrange_dax.codec.heads import MAX_DEPTH, CodecError

# What is open, innermost last: how many values are missing (twice the pairs of a map), or how it is indefinite.
_ARRAY_STREAM: Final = -1
_MAP_STREAM_KEY: Final = -2
_MAP_STREAM_VALUE: Final = -3
_BYTES_STREAM: Final = -4
_TEXT_STREAM: Final = -5

_MAX_TAGS: Final = 4

VALUES_MAX: Final = 1_000_000
"""Values within one: each takes far more memory once it is read than it has bytes. Items lie in byte strings."""


def _short_size(first: int) -> int:
    """The size of what a first byte tells all about, or nearly; 0 for anything else."""
    major, number = first >> 5, first & 0x1F
    if number < 24:
        return {0: 1, 1: 1, 2: 1 + number, 3: 1 + number}.get(major, int(major in (4, 5) and not number))
    return 5 if major < 2 and number == 26 else 0


def _head_size(first: int) -> int:
    """The size of a head, with the content of a short string; 0 of a long string's head, and of none at all."""
    major, number = first >> 5, first & 0x1F
    if major in (2, 3):
        return 1 + number if number < 24 else int(number == 31)
    return {24: 2, 25: 3, 26: 5, 27: 9, 28: 0, 29: 0, 30: 0}.get(number, 1)


_SHORT_SIZES: Final = bytes(map(_short_size, range(256)))
_HEAD_SIZES: Final = bytes(map(_head_size, range(256)))


def heads_in(data: bytes, limit: int) -> int:
    """How many heads follow one another in the data, which values can be read from it at most; stops beyond `limit`.

    Data need not be CBOR: nothing is counted from where it no longer can be.
    """
    count = position = 0
    size = len(data)
    sizes = _HEAD_SIZES
    while position < size and count <= limit:
        first = data[position]
        step = sizes[first]
        if not step:
            width = 1 << ((first & 0x1F) - 24)
            if first & 0x1F > 27 or position + width >= size:
                break
            step = 1 + width + int.from_bytes(data[position + 1 : position + 1 + width], "big")
        position += step
        count += 1
    return count


class Scanner:
    """Finds the ends of top-level CBOR values. `max_size` bounds what may lie in the buffer, in bytes.

    `max_values` bounds how many values there may be within one at the top.
    """

    __slots__ = (
        "_needed",
        "_open",
        "_position",
        "_tags",
        "_values",
        "ends",
        "max_depth",
        "max_size",
        "max_values",
    )

    def __init__(self, max_size: int, max_depth: int = MAX_DEPTH, max_values: int = VALUES_MAX) -> None:
        self.max_values = max_values
        self._values = 0
        self.max_size = max_size
        self.max_depth = max_depth
        self.ends: list[int] = []
        """Where each complete value ends, as offsets into the buffer."""
        self._position = 0
        self._needed = 1
        self._open: list[int] = []
        self._tags = 0

    def discard(self, size: int) -> None:
        """The first `size` bytes of the buffer, whole values that were taken, are no longer there."""
        self.ends[:] = [end - size for end in self.ends if end > size]
        self._position -= size
        self._needed -= size

    def scan(self, buffer: bytes | bytearray) -> list[int]:
        """Look at what has come; the ends of all complete values.

        `CodecError` if it is not CBOR, is nested too deep, or a value would make the buffer larger than it may be:
        also if what is there says so, and the rest has not come yet.
        """
        length = len(buffer)
        ends = self.ends
        opened = self._open
        while self._needed <= length:
            # The commonest: small integers and short strings, which cannot lead beyond the limit of bytes.
            if length <= self.max_size and (not opened or opened[-1] > 1):
                position = self._position
                first = buffer[position]
                behind = position + _SHORT_SIZES[first]
                if position < behind <= length:
                    self._tags = 0
                    self._position = behind
                    self._needed = behind + 1
                    if not opened:
                        ends.append(behind)
                        continue
                    opened[-1] -= 1
                    self._values += 1
                    if self._values > self.max_values:
                        break
                    continue
            if not self._step(buffer, length):
                break
        if self._values > self.max_values:
            raise CodecError(f"a value may have {self.max_values} values within")
        return ends

    def _step(self, buffer: bytes | bytearray, length: int) -> bool:
        """Go past one head, and the string that it begins; False if that is not there yet, or there are too many."""
        self._values += 1
        if self._values > self.max_values:
            return False
        position = self._position
        first = buffer[position]
        number = first & 0x1F
        behind = position + 1
        if number > 23:
            if number > 27:
                return self._stream(first, behind)
            behind += 1 << (number - 24)
            if behind > length:
                self._needed = behind
                return False
            number = int.from_bytes(buffer[position + 1 : behind], "big")
        major = first >> 5
        opened = self._open
        if opened and opened[-1] <= _BYTES_STREAM and major != (2 if opened[-1] == _BYTES_STREAM else 3):
            raise CodecError("a part of a string is of another type")
        if major == 2 or major == 3:
            behind += number
            if behind > self.max_size:
                raise CodecError(f"a message may have {self.max_size} bytes")
            if behind > length:
                self._needed = behind
                return False
        elif major == 4 or major == 5:
            number <<= major - 4
            if behind + number > self.max_size:
                raise CodecError(f"a message may have {self.max_size} bytes")
            if number:
                self._begin(number, behind)
                return True
        elif major == 6:
            self._tags += 1
            if self._tags > _MAX_TAGS:
                raise CodecError("too many tags on one value")
            self._go(behind)
            return True
        elif major == 7 and first == 0xF8 and number < 32:
            raise CodecError("a simple value is written too long")
        self._end(behind)
        return True

    def _go(self, position: int) -> None:
        if position > self.max_size:
            raise CodecError(f"a message may have {self.max_size} bytes")
        self._position = position
        self._needed = position + 1

    def _begin(self, state: int, position: int) -> None:
        if len(self._open) >= self.max_depth:
            raise CodecError("nested too deep")
        self._open.append(state)
        self._tags = 0
        self._go(position)

    def _end(self, position: int) -> None:
        """A value ends here, and so may those that it is the last of."""
        self._tags = 0
        self._go(position)
        opened = self._open
        while opened:
            state = opened[-1]
            if state > 1:
                opened[-1] = state - 1
                return
            if state < 0:
                if state == _MAP_STREAM_KEY:
                    opened[-1] = _MAP_STREAM_VALUE
                elif state == _MAP_STREAM_VALUE:
                    opened[-1] = _MAP_STREAM_KEY
                return
            opened.pop()
        self._values = 0
        self.ends.append(position)

    def _stream(self, first: int, behind: int) -> bool:
        """The head of something of indefinite length, or a break."""
        opened = self._open
        if first == 0xFF:
            if not opened or opened[-1] > 0 or opened[-1] == _MAP_STREAM_VALUE or self._tags:
                raise CodecError("a break where nothing can end")
            opened.pop()
            self._end(behind)
            return True
        if opened and opened[-1] <= _BYTES_STREAM:
            raise CodecError("a part of a string is of another type")
        if first == 0x9F:
            self._begin(_ARRAY_STREAM, behind)
        elif first == 0xBF:
            self._begin(_MAP_STREAM_KEY, behind)
        elif first == 0x5F:
            self._begin(_BYTES_STREAM, behind)
        elif first == 0x7F:
            self._begin(_TEXT_STREAM, behind)
        else:
            raise CodecError(f"no CBOR begins with {first:#04x}")
        return True
