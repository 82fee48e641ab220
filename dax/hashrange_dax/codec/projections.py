"""Projected items on the wire: a map of positions in the request's projection to values; clients nest them again.

A client puts the elements of lists in the order of their indexes, which are gone once an item is projected: so items
come here whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hashrange.expr.tree import Path
from hashrange.model.value import AttributeValue, Item
from hashrange_dax.codec import values
from hashrange_dax.codec.cbor import integer
from hashrange_dax.codec.heads import MAP, head


def project(item: Item, paths: Sequence[Path]) -> dict[int, AttributeValue]:
    """What the paths lead to in an item, by the position of each; a path that leads nowhere is left out."""
    found: dict[int, AttributeValue] = {}
    for position, path in enumerate(paths):
        value = _follow(item, path)
        if value is not None:
            found[position] = value
    return found


def encode_projected(projected: Mapping[int, AttributeValue]) -> bytes:
    """A projected item as a CBOR map."""
    parts = [head(MAP, len(projected))]
    for position, value in projected.items():
        parts.append(integer(position))
        values.append_value(value, parts.append)
    return b"".join(parts)


def _follow(item: Item, path: Path) -> AttributeValue | None:
    value: AttributeValue | None = {"M": item}
    for step in path:
        if value is None:
            return None
        if isinstance(step, str):
            value = value.get("M", {}).get(step)
        else:
            elements = value.get("L", ())
            value = elements[step] if step < len(elements) else None
    return value
