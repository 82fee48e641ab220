"""TransactGetItems: items of any partitions as they were at one moment, without a lock.

Each partition reads its items at one point of its log. If there are several, all are read twice: an item whose record
is the same both times (a record carries the index of its log entry) did not change in between, and one that is absent
both times was absent in between unless something was deleted from its partition. So all of them were there, together,
between the two rounds. What has changed is compared with a third round, and so on. An item that a transaction has
locked cancels the read, as in the service.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from hashrange.errors import ApiError, unavailable, validation
from hashrange.expr import Projection
from hashrange.model import record as records
from hashrange.model.key_rules import KeyMismatch
from hashrange.model.table import TableSchema
from hashrange.model.table_units import CapacityTally, read_units_half
from hashrange.model.throttling import is_throttling
from hashrange.model.value import dump
from hashrange.wire.transactions import ITEMS_BYTES_MAX, TOO_LARGE, TransactRead, TransactVersions
from hashrange_router.api import expressions
from hashrange_router.api.call import Each
from hashrange_router.api.context import ANY_EPOCH, RouterContext
from hashrange_router.api.items import encode_key
from hashrange_router.api.rules_transact import DUPLICATES, check_get
from hashrange_router.transactions.grouping import partition_of
from hashrange_router.transactions.reasons import cancelled, conflict

HEADER: Final = records.HEADER_SIZE
ROUNDS: Final = 8
"""Rounds of reads before a conflict is reported."""

Version = tuple[bytes | None, int, int]
"""Record, and what must stay the same for an absent item to have stayed absent: partition and deletions."""


class Get:
    """One item to read."""

    __slots__ = ("key", "number", "projection", "table")

    def __init__(self, number: int, table: TableSchema, key: bytes, projection: Projection | None) -> None:
        self.number = number
        self.table = table
        self.key = key
        self.projection = projection


def parse_gets(context: RouterContext, request: dict[str, Any]) -> list[Get]:
    """The items of a request; raises what refuses or cancels it, in the order of TransactWriteItems."""
    bodies = [element["Get"] for element in request["TransactItems"]]
    projections = []
    for body in bodies:
        check_get(body)
        for value in body["Key"].values():
            context.classic_rules.normalise_value(value)
        projections.append(expressions.projection_of(body, "classic"))
    tables = [context.table(body["TableName"]) for body in bodies]
    gets = []
    wrong: dict[int, ApiError] = {}
    for number, (body, table, projection) in enumerate(zip(bodies, tables, projections, strict=True)):
        try:
            key = encode_key(table, body["Key"])
        except KeyMismatch as error:
            if not wrong:
                wrong[number] = error
            continue
        if projection is not None:
            expressions.check_scalar(projection.nested_heads, table)
        gets.append(Get(number, table, key, projection))
    if wrong:
        raise cancelled(len(bodies), wrong)
    if len({(get.table.name, get.key) for get in gets}) < len(gets):
        raise validation(DUPLICATES)
    return gets


def read(context: RouterContext, gets: list[Get]) -> Generator[Any, Any, list[bytes | None]]:
    """The records of the items, all as of one moment. Raises TransactionCanceledException for conflicts."""
    before: list[Version] | None = None
    changed: list[int] = []
    for _ in range(ROUNDS):
        versions = yield from _round(context, gets)
        if versions is None:
            before = None
            context.transactions.redrive("stale route")
            continue
        if len({version[1] for version in versions}) == 1:
            return [version[0] for version in versions]
        if before is not None:
            changed = [
                number
                for number, (old, new) in enumerate(zip(before, versions, strict=True))
                if (old != new if new[0] is None else old[0] != new[0])
            ]
            if not changed:
                return [version[0] for version in versions]
            context.transactions.redrive("changed while read")
        before = versions
    if changed:
        raise conflict(len(gets), changed)
    raise unavailable("The items of the transaction are being moved")


def _round(context: RouterContext, gets: list[Get]) -> Generator[Any, Any, list[Version] | None]:
    """Every item once; None when partitions have been split meanwhile."""
    groups: dict[int, list[Get]] = {}
    for get in gets:
        table = context.tables.get(get.table.name, get.table)
        groups.setdefault(partition_of(context, table, get.key), []).append(get)
    messages = Each(
        TransactRead(partition, ANY_EPOCH, [get.key for get in group]) for partition, group in groups.items()
    )
    answers = yield messages
    versions: list[Any] = [None] * len(gets)
    locked: list[int] = []
    throttled: dict[int, ApiError] = {}
    stale = False
    for group, answer in zip(groups.values(), answers, strict=True):
        if isinstance(answer, ApiError):
            if is_throttling(answer):
                throttled.update((get.number, answer) for get in group)
            elif answer.type_name == "StaleRoute":
                stale = True
            else:
                raise answer
            continue
        found: TransactVersions = answer
        for get, record, is_locked in zip(group, found.records, found.locked, strict=True):
            versions[get.number] = (record, found.partition, found.deletes)
            if is_locked:
                locked.append(get.number)
    if locked:
        raise conflict(len(gets), locked)
    if throttled:
        raise cancelled(len(gets), throttled)
    return None if stale else versions


def responses(gets: list[Get], found: list[bytes | None]) -> tuple[bytes, list[CapacityTally], int]:
    """The `Responses` member, what was consumed by table, and how many items there are."""
    parts = []
    tallies: dict[str, CapacityTally] = {}
    total = items = 0
    for get, record in zip(gets, found, strict=True):
        name = get.table.name
        tally = tallies.get(name)
        if tally is None:
            tally = tallies[name] = CapacityTally(name, "READ")
        if record is None:
            tally.add_table(2 * read_units_half(0, True))
            parts.append(b"{}")
            continue
        size = records.size(record)
        total += size
        tally.add_table(2 * read_units_half(size, True))
        item = record[HEADER:]
        if get.projection is not None:
            projected = get.projection.apply(expressions.load(item))
            if not projected:
                parts.append(b"{}")
                continue
            item = dump(projected)
        items += 1
        parts.append(b'{"Item":' + item + b"}")
    if total > ITEMS_BYTES_MAX:
        raise validation(TOO_LARGE)
    return b'"Responses":[' + b",".join(parts) + b"]", list(tallies.values()), items
