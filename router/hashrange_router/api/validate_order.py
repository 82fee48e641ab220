"""The order in which the members of a structure are checked, which is the order of the errors in one answer.

The real service keeps the members' checks in a Java hash table and walks it: observed answers for PutItem,
UpdateItem, DeleteItem, Query, Scan, CreateTable and TransactWriteItems agree with the order of a table of the
lower-first names, whose capacity is 16 doubled until three quarters of it hold all members. Where two names
share a bucket, the few known cases have the later member of the model first.
"""

from __future__ import annotations

from collections.abc import Iterable

from hashrange_router.api.validate_render import lower_first


def check_order(members: Iterable[str]) -> list[str]:
    """The names of a structure's members, given in the model's order, in the order of their checks."""
    names = list(members)
    capacity = 16
    while len(names) > capacity * 3 // 4:
        capacity *= 2
    names.reverse()
    return sorted(names, key=lambda name: _bucket(lower_first(name), capacity))


def _bucket(name: str, capacity: int) -> int:
    """Index of `name` in a java.util.HashMap (Java 8 and later) with `capacity` buckets, a power of two."""
    hashed = 0
    for character in name:
        hashed = (hashed * 31 + ord(character)) & 0xFFFFFFFF
    return (hashed ^ hashed >> 16) & capacity - 1
