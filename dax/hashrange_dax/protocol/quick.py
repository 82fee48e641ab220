"""The short way of a GetItem that is cached: recognised by its first bytes, and by the few options most have.

    quick = QuickGet(tier, table_of, forms)
    data = quick.reply(received)       # None: not that simple, or not cached; take the long way

Nothing is decoded but where table and key begin and end. What this way does not recognise it leaves alone.
"""

from __future__ import annotations

from typing import Final

from hashrange.errors import ApiError
from hashrange_dax.codec.cbor import CodecError, byte_string, integer
from hashrange_dax.codec.items import UnknownNames
from hashrange_dax.codec.keys import wire_keys
from hashrange_dax.forms import Forms
from hashrange_dax.tier import Tier

from .asked import TableOf
from .methods import GET_ITEM, SERVICE
from .replies import ABSENT, FOUND

_PREFIX: Final = integer(SERVICE) + integer(GET_ITEM)
_TABLE_AT: Final = len(_PREFIX)

_PLAIN: Final = frozenset(
    map(
        bytes.fromhex,
        [
            *("f6", "a0", "bfff", "bf0300ff", "bf02f4ff", "bf02f40300ff", "bf030002f4ff"),
            *("a10300", "a102f4", "a202f40300", "a2030002f4"),
        ],
    )
)
"""Options that ask for nothing: no projection, no strong read, no capacity."""

_BYTES, _BYTES_8, _BYTES_16 = 0x40, 0x58, 0x59
_NAMES_MAX: Final = 4096


class QuickGet:
    """Answers simple GetItems from the item cache."""

    def __init__(self, tier: Tier, table_of: TableOf, forms: Forms) -> None:
        self._hit = tier.hit
        self._table_of = table_of
        self._wire_of = forms.wire_of
        self.names: dict[bytes, str] = {}
        """Names of tables that there are, by their bytes."""

    def reply(self, data: bytes) -> bytes | None:
        """The reply to a request that is all of `data`."""
        if not data.startswith(_PREFIX):
            return None
        try:
            # The table, and behind it the key: byte strings of up to 64 KiB.
            start = _TABLE_AT + 1
            size = data[_TABLE_AT] - _BYTES
            if size >= 24:
                start, size = _length(data, _TABLE_AT)
            end = start + size
            table_name = data[start:end]
            start = end + 1
            size = data[end] - _BYTES
            if size >= 24:
                start, size = _length(data, end)
            end = start + size
        except IndexError:
            return None
        if size < 0 or data[end:] not in _PLAIN:
            return None
        try:
            name = self.names.get(table_name)
            table = self._table_of(name if name is not None else table_name.decode())
            if name is None:
                self._know(table_name)
            entry = self._hit(table, wire_keys(table.codec).key_of(data[start:end]))
            if entry is None:
                return None
            if entry.absent:
                return ABSENT
            wire = entry.wire
            return FOUND + byte_string(wire if wire is not None else self._wire_of(entry))
        except (ApiError, CodecError, UnknownNames, UnicodeDecodeError, LookupError):
            return None

    def _know(self, raw: bytes) -> None:
        """Keep the name of a table that there is: others may be long, and many."""
        if len(self.names) >= _NAMES_MAX:
            self.names.clear()
        self.names[raw] = raw.decode()


def _length(data: bytes, position: int) -> tuple[int, int]:
    """Where the content of a byte string begins whose length takes one or two bytes, and the length; or -1."""
    first = data[position]
    if first == _BYTES_8:
        return position + 2, data[position + 1]
    if first == _BYTES_16:
        return position + 3, data[position + 1] << 8 | data[position + 2]
    return position, -1
