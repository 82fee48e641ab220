"""Tables that the system keeps for itself: found, or created by the first who needs one.

    table = yield from ensure_system_table(context, TRIGGERS)

Such a table is planned like any CreateTable of a client and proposed like one, by a name that no client can write
(`hashrange.model.ledger.is_system_table`): it is replicated, split and repaired like any other, is on demand and has
no ceilings, no budgets and no streams. Any number of programs may be at it at the same time: one creates it, the
others lose the race and wait for the same table.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from hashrange.errors import ApiError, unavailable
from hashrange.model.table import TableSchema
from hashrange.model.table_arn import table_arn
from hashrange.model.table_document import PAY_PER_REQUEST, TableDocument, timestamp
from hashrange.wire.messages import ChangeTable, ConflictError, WhenSettled
from hashrange_router.api.context import RouterContext
from hashrange_router.api.tables_create import plan_create

ATTEMPTS_MAX = 20
"""Plans and waits before the caller is told to come again: another change of the catalogue may be faster."""

Steps = Generator[Any, Any, TableSchema]


@dataclass(frozen=True, slots=True)
class SystemTable:
    """What there is to say of a system table: all key attributes are strings, the hash attribute first.

    `title` is what errors call it ("The ledger of transactions"), `ttl` the attribute of its time to live.
    """

    name: str
    keys: tuple[str, ...]
    ttl: str
    title: str


def ensure_system_table(context: RouterContext, wanted: SystemTable) -> Steps:
    """The table as this program knows it, created first if there is none.

    Yields messages as an operation does. ServiceUnavailable when the table does not become usable in time.
    """
    name = wanted.name
    for _ in range(ATTEMPTS_MAX):
        table = context.tables.get(name)
        if table is not None:
            return table
        if name not in context.documents:
            document = system_document(context, wanted)
            ids = [part["id"] for part in document["Partitions"]]
            try:
                yield ChangeTable(name, None, document, ids)
            except ConflictError:
                continue  # the view has moved on: the table is there, or the ids are taken
        try:
            yield WhenSettled(name)
        except ApiError as error:
            if error.status < 500:
                raise
    raise unavailable(f"{wanted.title} is being created; retry later")


def system_document(context: RouterContext, wanted: SystemTable) -> TableDocument:
    """The document of the table, to be proposed: on demand, rows expire."""
    first = context.next_partition_id()
    site = context.site
    document = plan_create(
        {
            # The rules on names are for those that clients choose.
            "TableName": wanted.name.removeprefix("$"),
            "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in wanted.keys],
            "KeySchema": [
                {"AttributeName": key, "KeyType": kind}
                for key, kind in zip(wanted.keys, ("HASH", "RANGE"), strict=False)
            ],
            "BillingMode": PAY_PER_REQUEST,
        },
        now=context.now(),
        table_id=context.new_id(),
        region=site.region,
        account=site.account,
        next_partition_ids=lambda: first,
    )
    document["TableName"] = wanted.name
    document["TableArn"] = table_arn(site.region, site.account, wanted.name)
    document["TimeToLive"] = {"AttributeName": wanted.ttl, "ChangedAt": timestamp(context.now())}
    return document
