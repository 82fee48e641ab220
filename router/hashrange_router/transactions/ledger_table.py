"""The table that the ledger of transactions is kept in: found, or created by the first transaction that needs it.

table = yield from ensure_ledger(context)
"""

from __future__ import annotations

from hashrange.model.ledger import KEY, LEDGER_TABLE, TTL_ATTRIBUTE
from hashrange.model.table_document import TableDocument
from hashrange_router.api.context import RouterContext
from hashrange_router.system_table import Steps, SystemTable, ensure_system_table, system_document

LEDGER = SystemTable(LEDGER_TABLE, (KEY,), TTL_ATTRIBUTE, "The ledger of transactions")


def ensure_ledger(context: RouterContext) -> Steps:
    """The ledger as this router knows it, created first if there is none (see `ensure_system_table`)."""
    return ensure_system_table(context, LEDGER)


def ledger_document(context: RouterContext) -> TableDocument:
    """The document of the ledger, to be proposed."""
    return system_document(context, LEDGER)
