"""The rows of the ledger as messages: how a coordinator claims a token, decides a transaction and clears up.

The ledger is a table like any other (`hashrange.model.ledger`); its rows are read by writing them: every message
here is a conditional write that brings back the row that stands in its way. So each of them may be sent again: who
finds its own row has been there before.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from hashrange.errors import CONDITION_FAILED, ApiError
from hashrange.expr import Bound, compile_condition
from hashrange.model import ledger
from hashrange.model.table import TableSchema
from hashrange.model.value import Item, dump, item_size
from hashrange.routing.retry import outcome_unknown
from hashrange.wire import messages as wire
from hashrange.wire.messages import WriteItem
from hashrange_router.api.context import ANY_EPOCH, RouterContext
from hashrange_router.transactions.grouping import partition_of

_ABSENT: Final = compile_condition(f"attribute_not_exists({ledger.KEY})")
_UNCHANGED: Final = "txid = :txid and since = :since"
_OF_RUN: Final = "txid = :txid"

EXPIRY_SLACK_S: Final = 60
"""A token's row outlives the token by so much: its age is looked at before its time to live."""


class TokenRow:
    """What the ledger says of a client request token.

    `state` is RUNNING, FINISHED or CANCELLED. `local`: the run needs no decision, its partition keeps the outcome.
    `marked`: a run in one partition may have been made for this request, and its marker must be looked for.
    `since_ms` is when the state began; a finished row has the half units that reading the items costs, by table.
    """

    __slots__ = ("digest", "local", "marked", "since_ms", "state", "token", "txid", "units")

    def __init__(
        self,
        token: str,
        digest: bytes,
        txid: bytes,
        state: str,
        since_ms: int,
        *,
        local: bool = False,
        marked: bool = False,
        units: dict[str, int] | None = None,
    ) -> None:
        self.token = token
        self.digest = digest
        self.txid = txid
        self.state = state
        self.since_ms = since_ms
        self.local = local
        self.marked = marked or local
        self.units = units or {}

    def item(self) -> Item:
        """The row as it is stored."""
        expires_s = self.since_ms // 1000 + ledger.TOKEN_KEEP_S + EXPIRY_SLACK_S
        row = ledger.token_key(self.token)
        row["txid"] = {"S": self.txid.hex()}
        row["digest"] = {"S": self.digest.hex()}
        row["state"] = {"S": self.state}
        row["since"] = {"N": str(self.since_ms)}
        row[ledger.TTL_ATTRIBUTE] = {"N": str(expires_s)}
        if self.local:
            row["local"] = {"BOOL": True}
        if self.marked:
            row["marked"] = {"BOOL": True}
        if self.units:
            row["units"] = {"M": {table: {"N": str(half)} for table, half in self.units.items()}}
        return row

    @staticmethod
    def of(token: str, row: Item) -> TokenRow:
        """The inverse of `item`."""
        return TokenRow(
            token,
            bytes.fromhex(row["digest"]["S"]),
            bytes.fromhex(row["txid"]["S"]),
            row["state"]["S"],
            int(row["since"]["N"]),
            local="local" in row,
            marked="marked" in row,
            units={table: int(half["N"]) for table, half in row.get("units", {"M": {}})["M"].items()},
        )


class Ledger:
    """Makes the messages to the ledger, as the router knows its partitions now."""

    __slots__ = ("_context", "_table")

    def __init__(self, context: RouterContext, table: TableSchema) -> None:
        self._context = context
        self._table = table

    def claim(self, row: TokenRow, instead_of: TokenRow | None) -> WriteItem:
        """Write a token's row where there is none, or in the place of a known one."""
        if instead_of is None:
            return self._put(row.item(), _ABSENT)
        values = {":txid": {"S": instead_of.txid.hex()}, ":since": {"N": str(instead_of.since_ms)}}
        return self._put(row.item(), compile_condition(_UNCHANGED, None, values))

    def settle(self, row: TokenRow) -> WriteItem:
        """Write what became of the run that a token's row names, if it still names it."""
        return self._put(row.item(), compile_condition(_OF_RUN, None, {":txid": {"S": row.txid.hex()}}))

    def decide(
        self, txid: bytes, committed: bool, parts: list[ledger.Participant], *, has_token: bool = False
    ) -> WriteItem:
        """Assign the decision on a transaction, once and for all."""
        now_s = int(self._context.now())
        return self._put(ledger.decision_row(txid, committed, parts, now_s, has_token=has_token), _ABSENT)

    def clear(self, txid: bytes) -> WriteItem:
        """Delete the decision on a transaction that every participant has finished."""
        key_item = ledger.transaction_key(txid)
        write = self._write(wire.DELETE, key_item)
        write.key_item = key_item
        return write

    def _put(self, row: Item, condition: Bound) -> WriteItem:
        write = self._write(wire.PUT, row)
        write.item_json = dump(row)
        write.item_size = item_size(row)
        write.decoded = row
        write.condition = condition
        write.want_old_on_failure = True
        return write

    def _write(self, kind: int, row: Item) -> WriteItem:
        key = self._table.codec.encode(row)
        return WriteItem(partition_of(self._context, self._table, key), ANY_EPOCH, kind, key)


def in_the_way(answer: Any) -> bool:
    """Whether a conditional write was refused because of what is stored."""
    return isinstance(answer, ApiError) and answer.type_name == CONDITION_FAILED


def may_be_done(error: ApiError) -> bool:
    """Whether the message that failed like this may have been carried out all the same."""
    return error.status == 500 or outcome_unknown(error)


def row_of(refusal: ApiError) -> Item | None:
    """The row that a refused write brought back; None if there is none (any more)."""
    if refusal.fields is None or "Item" not in refusal.fields:
        return None
    row: Item = orjson.loads(orjson.dumps(refusal.fields["Item"]))  # it may be a fragment of JSON
    return row
