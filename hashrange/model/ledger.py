"""The ledger of transactions: a system table, replicated like any other, that clients cannot name.

Its partition key is `id`. Two kinds of rows:

    t#<client request token>   what a token was used for: digest of the request, txid, state, since when
    x#<txid in hex>            the decision on a transaction: committed or cancelled, written once

The row of a transaction is a register that is assigned once (`attribute_not_exists(id)`): whoever writes it first
has decided, the coordinator with "committed", or anybody else with "cancelled" once the transaction has stalled.
There is no row while nothing is decided. A committed row lists the participants; when all have finished, what
`after_finish` says takes its place. A transaction with a client request token leaves its decision behind for as long
as the token's row may say that it is still running: whoever resolves that must not find an empty register.
`expires` (epoch seconds) is the table's time to live. For a committed row it is when somebody should look after it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

from hashrange.model.value import Item

LEDGER_TABLE = "$transactions"
"""No client can name it: `$` is no character of a table name."""
SYSTEM_PREFIX = "$"
KEY = "id"
TTL_ATTRIBUTE = "expires"

COMMITTED = "committed"
CANCELLED = "cancelled"
RUNNING = "running"
FINISHED = "finished"

TOKEN_KEEP_S = 600
"""A token stands for its request until so long after completion (DynamoDB API Reference, TransactWriteItems)."""
CANCELLED_KEEP_S = 86_400
"""A cancelled row bars the commit of its transaction: longer than any message can be under way."""
COMMITTED_DUE_S = 10
"""Age at which a committed transaction that is not finished is looked after."""
KEEP_S = 86_400
"""How long the decision on a transaction with a token stands: longer than any token's row."""

Participant = tuple[str, list[int]]
"""Table name and the hashes of the transaction's items in it."""


def is_system_table(name: str) -> bool:
    """Whether a table belongs to the system: clients can neither name nor list it."""
    return name.startswith(SYSTEM_PREFIX)


def token_key(token: str) -> Item:
    """The key of a token's row."""
    return {KEY: {"S": f"t#{token}"}}


def transaction_key(txid: bytes) -> Item:
    """The key of a transaction's row."""
    return {KEY: {"S": f"x#{txid.hex()}"}}


def decision_row(
    txid: bytes, committed: bool, participants: list[Participant], now_s: int, *, has_token: bool = False
) -> Item:
    """The row that decides a transaction; `has_token`: a token's row refers to it."""
    row = transaction_key(txid)
    row["state"] = {"S": COMMITTED if committed else CANCELLED}
    row[TTL_ATTRIBUTE] = {"N": str(now_s + (COMMITTED_DUE_S if committed else CANCELLED_KEEP_S))}
    if committed:
        row["participants"] = {"M": {table: {"B": _packed(hashes)} for table, hashes in participants}}
        if has_token:
            row["keep"] = {"N": str(now_s + KEEP_S)}
    return row


def after_finish(row: Item, now_s: int) -> Item | None:
    """What takes the place of a committed row once every participant has finished; None: delete the row."""
    keep = row.get("keep")
    if keep is None or int(keep["N"]) <= now_s:
        return None
    return {KEY: row[KEY], "state": row["state"], TTL_ATTRIBUTE: keep}


def committed_in(row: Item) -> bool:
    """Whether a transaction's row says that it was committed."""
    return bool(row["state"]["S"] == COMMITTED)


def participants_in(row: Item) -> list[Participant]:
    """The participants of a committed row."""
    members = row.get("participants", {"M": {}})["M"]
    return [(table, _unpacked(value["B"])) for table, value in members.items()]


def _packed(hashes: list[int]) -> str:
    return b64encode(b"".join(each.to_bytes(8, "big") for each in hashes)).decode()


def _unpacked(text: str) -> list[int]:
    data = b64decode(text)
    return [int.from_bytes(data[at : at + 8], "big") for at in range(0, len(data), 8)]
