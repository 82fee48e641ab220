"""Client request tokens: the same request sent twice is carried out once.

Source of the rules: DynamoDB API Reference, TransactWriteItems, ClientRequestToken, and TransactionInProgressException
(a repeat brings a stalled transaction to its end once 5 seconds have passed).
"""

from __future__ import annotations

from collections.abc import Generator
from hashlib import blake2b
from typing import Any, Final

import orjson

from hashrange.errors import ApiError, internal
from hashrange.model.ledger import (
    FINISHED,
    RUNNING,
    TOKEN_KEEP_S,
    committed_in,
    participants_in,
)
from hashrange.wire.transactions import STALLED_S, TXID_BYTES
from hashrange_router.api.call import Each
from hashrange_router.api.context import RouterContext
from hashrange_router.api.rules_transact import ACTIONS, MEMBERS
from hashrange_router.transactions.actions import Action
from hashrange_router.transactions.finishing import finish
from hashrange_router.transactions.grouping import participants
from hashrange_router.transactions.ledger_rows import Ledger, TokenRow, in_the_way, row_of
from hashrange_router.transactions.reasons import in_progress, mismatch
from hashrange_router.transactions.replay import replay_units

DIGEST_BYTES: Final = 16


def digest_of(items: list[Any]) -> bytes:
    """What tells one list of TransactItems from another; their values are canonical."""
    try:
        text = orjson.dumps(items, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        # Nested too deeply to be written: only a member that the service does not know, and ignores, can be that.
        text = orjson.dumps([_known(element) for element in items], option=orjson.OPT_SORT_KEYS)
    return blake2b(text, digest_size=DIGEST_BYTES).digest()


def _known(element: dict[str, Any]) -> dict[str, Any]:
    return {
        kind: {name: value for name, value in element[kind].items() if name in MEMBERS}
        for kind in ACTIONS
        if kind in element
    }


def txid_of(account: str, token: str) -> bytes:
    """The txid of a token's runs in one partition: always the same, so that the partition knows a repeat."""
    return blake2b(f"{account}/{token}".encode(), digest_size=TXID_BYTES).digest()


class Replay:
    """The request was carried out before; half units by table that its answer charges."""

    __slots__ = ("units",)

    def __init__(self, units: dict[str, int]) -> None:
        self.units = units


class TokenUse:
    """One request's use of its token.

    `known` is the row that is believed to be stored, None for none: what the next claim replaces.
    """

    def __init__(self, context: RouterContext, ledger: Ledger, token: str, digest: bytes) -> None:
        self._context = context
        self._ledger = ledger
        self.token = token
        self.digest = digest
        self.txid = txid_of(context.site.account, token)
        self.known: TokenRow | None = None

    def now_ms(self) -> int:
        """The wall clock."""
        return int(self._context.now() * 1000)

    def row(
        self, txid: bytes, state: str, *, local: bool = False, units: dict[str, int] | None = None
    ) -> TokenRow:
        """A row for this request's token, of now. It is marked as long as a local run may have been made."""
        known = self.known
        marked = known is not None and known.marked and not self._expired(known)
        return TokenRow(
            self.token, self.digest, txid, state, self.now_ms(), local=local, marked=marked, units=units
        )

    def runs_here(self) -> bool:
        """Whether the token's row is that of this request, run in one partition: it may be run again as it is."""
        known = self.known
        return (
            known is not None
            and known.local
            and known.state == RUNNING
            and known.digest == self.digest
            and not self._expired(known)
        )

    def meet(self, row: TokenRow | None, actions: list[Action]) -> Generator[Any, Any, Replay | None]:
        """Look at the row that is stored: the answer, or None if its place can be taken (it is `known` then).

        Raises IdempotentParameterMismatchException or TransactionInProgressException.
        """
        self.known = row
        if row is None:
            return None
        if row.state == RUNNING and not row.local:
            return (yield from self._running(row, actions))
        if self._expired(row):
            return None
        if row.digest != self.digest:
            raise mismatch()
        return Replay(row.units) if row.state == FINISHED else None

    def _expired(self, row: TokenRow) -> bool:
        return self.now_ms() - row.since_ms >= TOKEN_KEEP_S * 1000

    def _running(self, row: TokenRow, actions: list[Action]) -> Generator[Any, Any, Replay | None]:
        """A run over several partitions that nobody has seen the end of."""
        age_ms = self.now_ms() - row.since_ms
        if row.digest != self.digest and not self._expired(row):
            raise mismatch()
        if abs(age_ms) < STALLED_S * 1000:
            raise in_progress()
        # A row of the future comes from a clock that is wrong: nobody can tell its age, and to resolve it is safe.
        self._context.transactions.taken_over += 1
        committed = yield from resolve(self._context, self._ledger, row.txid)
        same = row.digest == self.digest
        if not committed:
            if same:
                # What it may have locked are the items of this request: the next run wants them.
                yield from finish(self._context, row.txid, participants(actions), False)
            return None
        units = replay_units(actions, [None] * len(actions)) if same else {}
        finished = TokenRow(self.token, row.digest, row.txid, FINISHED, self.now_ms(), units=units)
        yield Each([self._ledger.settle(finished)])
        if same:
            return Replay(units)
        self.known = finished
        return None


def resolve(context: RouterContext, ledger: Ledger, txid: bytes) -> Generator[Any, Any, bool]:
    """Bring a stalled transaction to its end: whether it was committed. Raises if that cannot be done now."""
    [answer] = yield Each([ledger.decide(txid, False, [])])
    if not isinstance(answer, ApiError):
        return False
    row = row_of(answer) if in_the_way(answer) else None
    if row is None:
        raise answer if not in_the_way(answer) else internal()
    if not committed_in(row):
        return False
    failed = yield from finish(context, txid, participants_in(row), True)
    if failed is not None:
        raise failed
    return True
