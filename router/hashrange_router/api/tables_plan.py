"""What a table operation is given and what it answers, free of any way to carry it out.

An operation that changes nothing returns its reply. One that changes a table returns a `Plan`: the new
document to propose to the control plane, the reply to give once it is committed, and what the nodes then
have to do. The embedded server and a replicated control plane drive the same functions; whoever proposes
must make sure that the document the plan was made from is still the current one (compare its `Generation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hashrange.errors import ApiError, resource_in_use, table_not_found
from hashrange.model.table_document import CREATING, DELETING, TableDocument
from hashrange_router.api.tables_quotas import Quotas


class Catalogue(Protocol):
    """The tables as the control plane knows them."""

    def get(self, table_name: str) -> TableDocument | None:
        """The document of a table in any state, or None."""

    def names(self) -> Sequence[str]:
        """The names of all tables, in the order of their bytes."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where the server stands: names in ARNs, its limits, and the address that clients reach it by."""

    region: str
    account: str
    quotas: Quotas
    address: str = "localhost"


@dataclass(frozen=True, slots=True)
class CreateTable:
    """Make the partitions of the new table and its indexes, then report `table_activated`."""


@dataclass(frozen=True, slots=True)
class DropTable:
    """Remove the table's partitions and then its document."""


@dataclass(frozen=True, slots=True)
class CreateIndex:
    """Make the partitions of the index, fill it from the table, then report `index_activated`."""

    name: str


@dataclass(frozen=True, slots=True)
class DeleteIndex:
    """Stop maintaining the index, remove its partitions, then report `index_removed`."""

    name: str


@dataclass(frozen=True, slots=True)
class SwitchStream:
    """Make every node of the table write its stream, or stop; then report `stream_settled`."""

    enable: bool
    arn: str


Action = CreateTable | DropTable | CreateIndex | DeleteIndex | SwitchStream


@dataclass(frozen=True, slots=True)
class Plan:
    """A change of one table: the new document, the reply after it is committed, and what is left to do."""

    document: TableDocument
    response: dict[str, Any] | None
    """The body of the reply; None is an empty body."""
    actions: tuple[Action, ...] = ()
    changed: bool = False
    """Whether `document` differs from the one the plan was made from; if not there is nothing to propose."""


UpdatePlan = Plan


def existing_table(catalogue: Catalogue, name: str) -> TableDocument:
    """The document of a table; ResourceNotFoundException in the words of the table operations."""
    document = catalogue.get(name)
    if document is None:
        raise table_not_found(name)
    return document


def in_use(detail: str) -> ApiError:
    """ResourceInUseException: the table is in a state that does not allow the change."""
    return resource_in_use(f"Attempt to change a resource which is still in use: {detail}")


def check_settled(document: TableDocument) -> None:
    """ResourceInUseException while the table is being created or deleted."""
    if document["Status"] == CREATING:
        raise in_use(f"Table is being created: {document['TableName']}")
    if document["Status"] == DELETING:
        raise in_use(f"Table is being deleted: {document['TableName']}")
