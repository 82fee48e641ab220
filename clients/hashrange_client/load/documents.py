"""The request of each act as a document: what boto3 takes, and what the templates of the raw client are cut
from. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from hashrange_client.load import shape, ycsb_shape
from hashrange_client.load.settings import LoadSettings
from hashrange_client.load.workloads import OPERATION_OF, SCAN_ITEMS_MAX


class Shape(Protocol):
    """A kind of items: `shape` or `ycsb_shape`."""

    PER_PARTITION: int

    def partition_key(self, number: int, /) -> str:
        """The partition key value of an item."""

    def sort_key(self, number: int, /) -> str:
        """Its sort key value, empty when there is none."""

    def key(self, number: int, /) -> dict[str, Any]:
        """Its key."""

    def item(self, number: int, item_bytes: int, /) -> dict[str, Any]:
        """The whole item."""

    def table_definition(self, table: str, /) -> dict[str, Any]:
        """A CreateTable request."""


class Fill(Protocol):
    """What varies in a request beside its key."""

    def field(self) -> str:
        """Name of the field that an update changes."""

    def text(self, length: int) -> str:
        """A new value of a field."""

    def limit(self) -> int:
        """Items that a scan asks for."""


def shape_of(settings: LoadSettings) -> Shape:
    """The kind of items of a run."""
    return ycsb_shape if settings.plan.ycsb else shape


class Documents:
    """Makes requests of one run."""

    def __init__(self, settings: LoadSettings) -> None:
        self._settings = settings
        self._ycsb = settings.plan.ycsb
        self.shape = shape_of(settings)

    def make(self, act: str, numbers: tuple[int, ...], fill: Fill) -> dict[str, Any]:
        """The request of an act; of a read-modify-write the reading one (the other is that of `update`)."""
        table, key = self._settings.table, self.shape.key(numbers[0])
        operation = OPERATION_OF[act]
        if operation == "PutItem":
            return {"TableName": table, "Item": self._item(numbers[0], fill, fresh=act == "insert")}
        if operation == "UpdateItem":
            return {"TableName": table, "Key": key, **self._update(fill)}
        if operation == "DeleteItem":
            return {"TableName": table, "Key": key}
        if operation == "Query":
            return {
                "TableName": table,
                "KeyConditionExpression": "pk = :p",
                "ExpressionAttributeValues": {":p": key["pk"]},
                **self._consistency(),
            }
        if operation == "Scan":
            return {
                "TableName": table,
                "Limit": fill.limit(),
                "ExclusiveStartKey": key,
                **self._consistency(),
            }
        if operation != "GetItem":
            return self._of_several(operation, numbers, fill)
        strong = {"ConsistentRead": True} if act == "strong-get" else self._consistency()
        return {"TableName": table, "Key": key, **strong}

    def _of_several(self, operation: str, numbers: tuple[int, ...], fill: Fill) -> dict[str, Any]:
        table = self._settings.table
        keys = [self.shape.key(number) for number in numbers]
        if operation == "BatchGetItem":
            return {"RequestItems": {table: {"Keys": keys, **self._consistency()}}}
        if operation == "TransactGetItems":
            return {"TransactItems": [{"Get": {"TableName": table, "Key": key}} for key in keys]}
        items = [self._item(number, fill, fresh=False) for number in numbers]
        if operation == "BatchWriteItem":
            return {"RequestItems": {table: [{"PutRequest": {"Item": item}} for item in items]}}
        return {"TransactItems": [{"Put": {"TableName": table, "Item": item}} for item in items]}

    def _consistency(self) -> dict[str, Any]:
        return {"ConsistentRead": True} if self._settings.consistent_reads else {}

    def _item(self, number: int, fill: Fill, fresh: bool) -> dict[str, Any]:
        """An item; with `fresh` fields, a record has new values."""
        size = self._settings.item_bytes
        if not (self._ycsb and fresh):
            return self.shape.item(number, size)
        length = ycsb_shape.field_bytes(size)
        fields = {f"field{field}": {"S": fill.text(length)} for field in range(ycsb_shape.FIELDS)}
        return {**ycsb_shape.key(number), **fields}

    def _update(self, fill: Fill) -> dict[str, Any]:
        if not self._ycsb:
            return {
                "UpdateExpression": f"ADD {shape.COUNTER} :one",
                "ExpressionAttributeValues": {":one": {"N": "1"}},
            }
        value = fill.text(ycsb_shape.field_bytes(self._settings.item_bytes))
        return {
            "UpdateExpression": f"SET {fill.field()} = :v",
            "ExpressionAttributeValues": {":v": {"S": value}},
        }


class RandomFill:
    """New values from chance."""

    __slots__ = ("_chance", "_filler")

    def __init__(self, settings: LoadSettings, chance: Callable[[], float]) -> None:
        self._chance = chance
        length = ycsb_shape.field_bytes(settings.item_bytes) if settings.plan.ycsb else 1
        self._filler = ycsb_shape.FILLER * (length // len(ycsb_shape.FILLER) + 2)

    def field(self) -> str:
        return f"field{int(self._chance() * ycsb_shape.FIELDS)}"

    def text(self, length: int) -> str:
        at = int(self._chance() * len(ycsb_shape.FILLER))
        return self._filler[at : at + length]

    def limit(self) -> int:
        return 1 + int(self._chance() * SCAN_ITEMS_MAX)
