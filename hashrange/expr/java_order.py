"""The order in which the service lists placeholders: that of a Java hash set.

Unused names and values are reported as a set, in the iteration order of `java.util.HashSet`; this gives the
same order, so that messages match where they list several.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable


def hash_set_order(keys: Iterable[str], capacity_for: int) -> list[str]:
    """`keys` in the order of a HashSet that was made from `capacity_for` elements."""
    buckets = 16
    while buckets < capacity_for * 4 // 3 + 1:
        buckets *= 2
    return sorted(keys, key=lambda key: _spread(key) & (buckets - 1))


def _spread(key: str) -> int:
    """`String.hashCode` (over UTF-16 units), with the upper half folded into the lower as HashMap does."""
    code = 0
    units = key.encode("utf-16-be", "surrogatepass")
    for index in range(0, len(units), 2):
        code = (code * 31 + (units[index] << 8) + units[index + 1]) & 0xFFFFFFFF
    return code ^ (code >> 16)


def listed(keys: Collection[str], capacity_for: int) -> str:
    """The keys as the service writes a set: `{:a, :b}`."""
    return "{" + ", ".join(hash_set_order(keys, capacity_for)) + "}"
