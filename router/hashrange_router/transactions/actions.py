"""The elements of a TransactWriteItems request as writes, checked as far as that is possible without any item.

The order is the service's: first each action's values and expressions, in the order of the request; then the tables;
then every key against its schema; then that no item is named twice; then sizes. Most of what is wrong refuses the
request as a whole. A key of the wrong type, an update of a key attribute and an update that cannot fit into an item
are found by the service only when it runs the transaction: they cancel it, and only the first of them is told.
Source: observed behaviour of the real service.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from hashrange.errors import ApiError, validation
from hashrange.expr import Bound, BoundUpdate
from hashrange.model.key_rules import KeyMismatch, check_index_keys, check_item_keys
from hashrange.model.table import TableSchema
from hashrange.model.value import Item, check_item_size, dump
from hashrange.wire import messages as wire
from hashrange.wire.messages import WriteItem
from hashrange.wire.transactions import CHECK, ITEMS_BYTES_MAX, TOO_LARGE
from hashrange_router.api import expressions
from hashrange_router.api.context import ANY_EPOCH, RouterContext
from hashrange_router.api.items import encode_key
from hashrange_router.api.rules_transact import DUPLICATES, check_action
from hashrange_router.transactions.reasons import cancelled

_KINDS: Final = {"Put": wire.PUT, "Update": wire.UPDATE, "Delete": wire.DELETE, "ConditionCheck": CHECK}


class Action:
    """One action: its place in the request, table and write. `item` is the new item of a put, else the key.

    `size` is what it adds to the transaction's payload, in bytes.
    """

    __slots__ = ("item", "number", "size", "table", "write")

    def __init__(self, number: int, table: TableSchema, write: WriteItem, item: Item, size: int) -> None:
        self.number = number
        self.table = table
        self.write = write
        self.item = item
        self.size = size


class _Parsed:
    """What can be said of an action before its table is known."""

    __slots__ = ("body", "condition", "item", "kind", "size", "update")

    def __init__(self, kind: str, body: dict[str, Any], normalise: Callable[[Item], int]) -> None:
        check_action(kind, body)
        self.kind = kind
        self.body = body
        self.item: Item = body["Item"] if kind == "Put" else body["Key"]
        self.size = normalise(self.item)
        self.update: BoundUpdate | None = None
        self.condition: Bound | None
        if kind == "Update":
            self.update, self.condition = expressions.update_of(body, "classic")
            if self.update is not None and self.update.values_size is not None:
                self.size += self.update.values_size
        else:
            self.condition = expressions.condition_of(body, "classic")


def parse_actions(context: RouterContext, request: dict[str, Any]) -> list[Action]:
    """The actions of a request, their writes not addressed yet; raises what refuses or cancels it."""
    normalise = context.classic_rules.normalise_item
    parsed = []
    for element in request["TransactItems"]:
        for kind, body in element.items():
            if kind in _KINDS:
                parsed.append(_Parsed(kind, body, normalise))
    tables = [context.table(each.body["TableName"]) for each in parsed]
    actions: list[Action] = []
    mismatch: dict[int, ApiError] = {}
    for number, (each, table) in enumerate(zip(parsed, tables, strict=True)):
        try:
            actions.append(_action(number, each, table))
        except (KeyMismatch, _Late) as error:
            if not mismatch:
                mismatch[number] = error
    if mismatch:
        raise cancelled(len(parsed), mismatch)
    if len({(action.table.name, action.write.key) for action in actions}) < len(actions):
        raise validation(DUPLICATES)
    total = 0
    for action in actions:
        if action.write.kind == wire.PUT:
            check_item_size(action.size)
        total += action.size
    if total > ITEMS_BYTES_MAX:
        raise validation(TOO_LARGE)
    return actions


class _Late(ApiError):  # noqa: N818 - an error that comes late
    """A fault of an update that the service finds only when it runs the transaction."""


def _action(number: int, parsed: _Parsed, table: TableSchema) -> Action:
    item = parsed.item
    if parsed.kind == "Put":
        check_item_keys(table.codec, item)
        for index in table.indexes:
            if index.maintained:
                check_index_keys(index.name, index.codec, item)
        key = table.codec.encode(item)
    else:
        key = encode_key(table, item)
    write = WriteItem(0, ANY_EPOCH, _KINDS[parsed.kind], key)
    if parsed.condition is not None:
        expressions.check_scalar(parsed.condition.program.nested_heads, table)
        write.condition = parsed.condition
    if parsed.kind == "Put":
        write.item_json = dump(item)
        write.item_size = parsed.size
        write.decoded = item
    else:
        write.key_item = item
    if parsed.update is not None:
        _check_update(parsed.update, table)
        write.update = parsed.update
    write.want_old_on_failure = parsed.body.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    return Action(number, table, write, item, parsed.size)


def _check_update(update: BoundUpdate, table: TableSchema) -> None:
    """What the update does to keys, and whether it can fit into an item at all."""
    try:
        update.check_keys(table.key_names)
        update.check_charge()
    except ApiError as error:
        raise _Late(error.type_name, error.message, namespace=error.namespace) from None
    expressions.check_update_keys(update, table)
