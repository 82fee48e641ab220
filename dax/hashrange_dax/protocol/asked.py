"""What a client has asked for, as a document of the API, with what its reply needs to know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from hashrange.model.table import TableSchema
from hashrange_dax.codec.expressions import Projection

Path: TypeAlias = tuple[str | int, ...]
Paths: TypeAlias = tuple[Path, ...]

TableOf: TypeAlias = Callable[[str], TableSchema]
NamesOf: TypeAlias = Callable[[int], "tuple[str, ...] | None"]
IdOf: TypeAlias = Callable[[tuple[str, ...]], "int | None"]


class UnknownList(Exception):  # noqa: N818 - not an error: the list is fetched, and the request read again
    """A request names an attribute list that this node has not heard of yet."""

    def __init__(self, list_id: int) -> None:
        super().__init__(f"attribute list {list_id}")
        self.list_id = list_id


class Asked:
    """A request. `tables` and `projections` are of its parts: by table of a batch, by action of a transaction.

    `returned` is its ReturnValues.
    """

    __slots__ = ("indexed", "operation", "projections", "request", "returned", "tables")

    def __init__(
        self,
        operation: str,
        request: dict[str, Any],
        tables: Sequence[TableSchema],
        projections: Sequence[Projection | None] = (None,),
        returned: str | None = None,
    ) -> None:
        self.operation = operation
        self.request = request
        self.tables = tables
        self.projections = projections
        self.returned = returned
        self.indexed = "IndexName" in request
