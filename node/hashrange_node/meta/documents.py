"""Reading partitions out of table documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hashrange.model.table_document import TableDocument


def ranges_in(document: TableDocument) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """All partitions that a document names, as (global index name or None, {id, lo, hi})."""
    for part in document["Partitions"]:
        yield None, part
    for index in document["GlobalSecondaryIndexes"]:
        for part in index["Partitions"]:
            yield index["IndexName"], part


def partitions_of(document: TableDocument | None) -> dict[int, str | None]:
    """All partitions that a document names: id -> global index name, or None for the table itself."""
    if document is None:
        return {}
    return {part["id"]: index for index, part in ranges_in(document)}


def owners(document: TableDocument | None) -> set[str | None]:
    """What has partitions in a document: None for the table itself, and its global indexes by name."""
    if document is None:
        return set()
    return {None, *(index["IndexName"] for index in document["GlobalSecondaryIndexes"])}
