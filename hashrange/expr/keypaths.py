"""Rules about key attributes in expressions, for when the table is known.

They take what compiled expressions say of the attributes they name: `heads` (top-level attributes) and
`nested_heads` (those into which a document path leads).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from hashrange.errors import validation


def check_filter_names(
    heads: Collection[str], key_names: Iterable[str], parameter: str = "Filter Expression"
) -> None:
    """A validation error if the filter of a Query names a key attribute of what is queried.

    `parameter` is "QueryFilter" for the legacy filter. A Scan may filter on keys.
    """
    for name in key_names:
        if name in heads:
            raise validation(
                f"{parameter} can only contain non-primary key attributes: Primary key attribute: {name}"
            )


def check_scalar_keys(
    nested_heads: Collection[str], key_names: Iterable[str], index_key_names: Iterable[str] = ()
) -> None:
    """A validation error if an expression looks into a key attribute, of the table or of an index."""
    if not nested_heads:
        return
    for kind, names in (("Key", key_names), ("IndexKey", index_key_names)):
        for name in names:
            if name in nested_heads:
                raise validation(
                    "Key attributes must be scalars; list random access '[]' and map lookup '.' "
                    f"are not allowed: {kind}: {name}"
                )
