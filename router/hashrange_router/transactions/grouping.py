"""The actions of a transaction by partition, as the router knows the partitions at this moment.

A split may move an item to another partition while a transaction is under way; whoever sends again groups again.
"""

from __future__ import annotations

from hashrange.errors import resource_not_found
from hashrange.model.ledger import Participant
from hashrange.model.table import Partition, TableSchema
from hashrange_router.api.context import RouterContext
from hashrange_router.transactions.actions import Action


class Group:
    """The actions that concern one partition, in the order of the request."""

    __slots__ = ("actions", "partition", "table")

    def __init__(self, partition: int, table: str) -> None:
        self.partition = partition
        self.table = table
        self.actions: list[Action] = []

    @property
    def hashes(self) -> list[int]:
        """The hashes of the items concerned."""
        return [int.from_bytes(action.write.key[:8], "big") for action in self.actions]


def partition_of(context: RouterContext, table: TableSchema, key: bytes) -> int:
    """The partition of an item, as newly as anybody here knows it."""
    partition: Partition = table.partition_for(key)
    return context.locate(partition, key[:8]).id


def grouped(context: RouterContext, actions: list[Action]) -> list[Group]:
    """The actions by partition; their writes are addressed. ResourceNotFoundException if a table has gone."""
    groups: dict[int, Group] = {}
    for action in actions:
        table = action.table
        current = context.tables.get(table.name)
        if current is not table:
            if current is None or current.table_id != table.table_id:
                raise resource_not_found()
            action.table = table = current
        partition = action.write.partition = partition_of(context, table, action.write.key)
        group = groups.get(partition)
        if group is None:
            group = groups[partition] = Group(partition, table.name)
        group.actions.append(action)
    return list(groups.values())


def participants(actions: list[Action]) -> list[Participant]:
    """Table names and hashes of the items: what the ledger keeps, so that anybody can finish the transaction."""
    tables: dict[str, list[int]] = {}
    for action in actions:
        tables.setdefault(action.table.name, []).append(int.from_bytes(action.write.key[:8], "big"))
    return list(tables.items())


def placed(context: RouterContext, parts: list[Participant]) -> list[tuple[str, int, list[int]]]:
    """(table, partition, hashes) of participants as the ledger names them. Tables that are gone have no partitions."""
    found: dict[int, tuple[str, int, list[int]]] = {}
    for name, hashes in parts:
        table = context.tables.get(name)
        if table is not None:
            for each in hashes:
                partition = partition_of(context, table, each.to_bytes(8, "big"))
                place = found.get(partition)
                if place is None:
                    place = found[partition] = (name, partition, [])
                place[2].append(each)
    return list(found.values())
