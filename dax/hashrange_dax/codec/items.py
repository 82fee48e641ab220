"""Items on the wire: the id of an attribute list, then the values of the attributes but for the key, without names.

The list has the names of these attributes; the id of the empty list is 1. A value is written where its attribute's
name stands in the list. Lists that are made here are sorted by code points; a client's may be in another order,
which is part of the list.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from hashrange.model.value import Item
from hashrange_dax.codec import values
from hashrange_dax.codec.cbor import integer, read_integer
from hashrange_dax.codec.heads import MAP, CodecError, head, read_head

EMPTY_LIST: Final = 1
"""The id of the list without names, which nobody asks for."""

Names = tuple[str, ...]
IdOf = Callable[[Names], "int | None"]


class UnknownNames(LookupError):  # noqa: N818 - what it carries
    """An item cannot be written yet: the list of these names has no id that is known here."""

    def __init__(self, names: Names) -> None:
        super().__init__(names)
        self.names = names


def list_names(item: Item, key_names: Collection[str]) -> Names:
    """The attribute list of an item: the names of its attributes but for the key."""
    return tuple(sorted([name for name in item if name not in key_names]))


def encode_values(item: Item, key_names: Collection[str], id_of: IdOf) -> bytes:
    """List id and values of a canonical item; `UnknownNames` where `id_of` gives None for its names."""
    names = list_names(item, key_names)
    parts = [integer(_id_of(names, id_of))]
    values.append_values([item[name] for name in names], parts.append)
    return b"".join(parts)


def encode_updated(attributes: Item, id_of: IdOf) -> bytes:
    """What UPDATED_OLD and UPDATED_NEW return: list id, and a map of the places in the list to values."""
    names = list_names(attributes, ())
    parts = [integer(_id_of(names, id_of)), head(MAP, len(names))]
    for place, name in enumerate(names):
        parts.append(integer(place))
        values.append_value(attributes[name], parts.append)
    return b"".join(parts)


def split_list_id(data: bytes) -> tuple[int, int]:
    """The list id that an item begins with, and the position behind it. `CodecError`."""
    list_id, position = read_integer(data, 0)
    if list_id < EMPTY_LIST:
        raise CodecError(f"no attribute list has the id {list_id}")
    return list_id, position


def decode_values(data: bytes, names: Names, position: int | None = None) -> Item:
    """The attributes of an item whose list has these names. `position` is behind the list id, if that is known.

    What a client has sent is not canonical yet, see `values`. `CodecError` also for more or fewer values than names.
    """
    if position is None:
        _, position = split_list_id(data)
    found, end = values.decode_values(data, position, len(names))
    if end != len(data):
        raise CodecError("more values than the attribute list has names")
    return dict(zip(names, found, strict=True))


def decode_updated(data: bytes, names: Names) -> Item:
    """The inverse of `encode_updated`. `CodecError`."""
    _, position = split_list_id(data)
    major, count, position = read_head(data, position)
    if major != MAP or count < 0:
        raise CodecError("not a map")
    attributes: Item = {}
    for _ in range(min(count, len(names) + 1)):
        place, position = read_integer(data, position)
        if not 0 <= place < len(names):
            raise CodecError(f"place {place} of an attribute list with {len(names)} names")
        attributes[names[place]], position = values.decode_value(data, position)
    if position != len(data):
        raise CodecError("bytes behind a map")
    return attributes


def _id_of(names: Names, id_of: IdOf) -> int:
    if not names:
        return EMPTY_LIST
    list_id = id_of(names)
    if list_id is None:
        raise UnknownNames(names)
    return list_id
