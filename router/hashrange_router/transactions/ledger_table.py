"""The table that the ledger of transactions is kept in: found, or created by the first transaction that needs it.

    table = yield from ensure_ledger(context)

It is planned like any CreateTable of a client and proposed like one, by a name that no client can write
(`hashrange.model.ledger`). Any number of routers may be at it at the same time: one creates it, the others lose the
race and wait for the same table.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from hashrange.errors import ApiError, unavailable
from hashrange.model.ledger import KEY, LEDGER_TABLE, TTL_ATTRIBUTE
from hashrange.model.table import TableSchema
from hashrange.model.table_arn import table_arn
from hashrange.model.table_document import PAY_PER_REQUEST, TableDocument, timestamp
from hashrange.wire.messages import ChangeTable, ConflictError, WhenSettled
from hashrange_router.api.context import RouterContext
from hashrange_router.api.tables_create import plan_create

ATTEMPTS_MAX = 20
"""Plans and waits before a transaction is told to come again: another change of the catalogue may be faster."""

_PLANNED = "transactions"
"""The name under which the table is planned: the rules on names are for those that clients choose."""

Steps = Generator[Any, Any, TableSchema]


def ensure_ledger(context: RouterContext) -> Steps:
    """The ledger as this router knows it, created first if there is none.

    Yields messages as an operation does. ServiceUnavailable when the table does not become usable in time.
    """
    for _ in range(ATTEMPTS_MAX):
        table = context.tables.get(LEDGER_TABLE)
        if table is not None:
            return table
        if LEDGER_TABLE not in context.documents:
            document = ledger_document(context)
            ids = [part["id"] for part in document["Partitions"]]
            try:
                yield ChangeTable(LEDGER_TABLE, None, document, ids)
            except ConflictError:
                continue  # the view has moved on: the table is there, or the ids are taken
        try:
            yield WhenSettled(LEDGER_TABLE)
        except ApiError as error:
            if error.status < 500:
                raise
    raise unavailable("The ledger of transactions is being created; retry later")


def ledger_document(context: RouterContext) -> TableDocument:
    """The document of the table, to be proposed: on demand, rows expire."""
    first = context.next_partition_id()
    site = context.site
    document = plan_create(
        {
            "TableName": _PLANNED,
            "AttributeDefinitions": [{"AttributeName": KEY, "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": KEY, "KeyType": "HASH"}],
            "BillingMode": PAY_PER_REQUEST,
        },
        now=context.now(),
        table_id=context.new_id(),
        region=site.region,
        account=site.account,
        next_partition_ids=lambda: first,
    )
    document["TableName"] = LEDGER_TABLE
    document["TableArn"] = table_arn(site.region, site.account, LEDGER_TABLE)
    document["TimeToLive"] = {"AttributeName": TTL_ATTRIBUTE, "ChangedAt": timestamp(context.now())}
    return document
