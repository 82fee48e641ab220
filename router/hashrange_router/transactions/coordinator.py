"""Carries out the actions of one TransactWriteItems request: once, all of them or none.

    outcome = yield from transact(context, actions, token, digest)

Items that lie in one partition are committed by one TransactWrite, all others by a `SpreadRun`. A run that came too
late (something was written at or after its stamp), that met a split, or that somebody gave up on is begun again under
another name; what the client can do something about, a condition or a lock of another transaction, is answered.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from hashrange.errors import ApiError, internal, unavailable
from hashrange.model.ledger import CANCELLED, FINISHED, RUNNING
from hashrange.runtime.clock import LOGICAL_BITS
from hashrange.wire.messages import WriteResult
from hashrange.wire.transactions import (
    MAX_AHEAD_MS,
    MISMATCH,
    REFUSED,
    REPEATED,
    TransactOutcome,
    TransactWrite,
)
from hashrange_router.api.call import Each
from hashrange_router.api.context import ANY_EPOCH, RouterContext
from hashrange_router.transactions.actions import Action
from hashrange_router.transactions.counts import LOCAL, REPLAYED, SPREAD
from hashrange_router.transactions.grouping import Group, grouped
from hashrange_router.transactions.ledger_rows import Ledger, TokenRow, in_the_way, may_be_done, row_of
from hashrange_router.transactions.ledger_table import ensure_ledger
from hashrange_router.transactions.reasons import cancelled, conflict, mismatch, reason_code
from hashrange_router.transactions.replay import replay_units
from hashrange_router.transactions.spread import Again, Committed, Repeated, SpreadRun, Taken
from hashrange_router.transactions.tokens import Replay, TokenUse

ATTEMPTS: Final = 6
"""Runs of one request, before its client is asked to try again."""


class Outcome:
    """What came of a request: what each action did, or (replayed) the half units by table that are charged."""

    __slots__ = ("kind", "results", "units")

    def __init__(self, kind: str, results: list[WriteResult], units: dict[str, int]) -> None:
        self.kind = kind
        self.results = results
        self.units = units

    @property
    def replayed(self) -> bool:
        """Whether the request had been carried out before."""
        return self.kind == REPLAYED


def transact(
    context: RouterContext, actions: list[Action], token: str | None = None, digest: bytes = b""
) -> Generator[Any, Any, Outcome]:
    """Carry out `actions`; `digest` tells the request from others with its `token`.

    Raises TransactionCanceledException, the errors of tokens, and 500 or 503 as the transport words them: after 503
    nothing was done, after 500 the transaction may be done, now or within seconds.
    """
    groups = grouped(context, actions)
    if token is None and len(groups) == 1:
        # The way of most requests that bring no token: no ledger, no loop.
        txid = context.new_txid()
        first = yield from _write(groups[0], txid, digest)
        if isinstance(first, Outcome):
            return first
        context.transactions.redrive(first)
        return (yield from Coordinator(context, actions, None, digest, txid).steps())
    return (yield from Coordinator(context, actions, token, digest, b"").steps())


class Coordinator:
    """The attempts at one request. `local_txid` is that of a run in one partition that was made before, if any."""

    def __init__(
        self,
        context: RouterContext,
        actions: list[Action],
        token: str | None,
        digest: bytes,
        local_txid: bytes,
    ) -> None:
        self._context = context
        self._actions = actions
        self._token_text = token
        self._digest = digest
        self._local_txid = local_txid
        self._token: TokenUse | None = None
        self._seen = self._clock = 0
        self._late: list[int] = []

    def steps(self) -> Generator[Any, Any, Outcome]:
        """Run until there is something to answer."""
        context = self._context
        ledger = Ledger(context, (yield from ensure_ledger(context)))
        if self._token_text is not None:
            self._token = TokenUse(context, ledger, self._token_text, self._digest)
        for _ in range(ATTEMPTS):
            groups = grouped(context, self._actions)
            if len(groups) == 1:
                outcome = yield from self._local(ledger, groups[0])
            else:
                outcome = yield from self._spread(ledger, groups)
            if isinstance(outcome, Outcome):
                return outcome
            context.transactions.redrive(outcome)
        yield from self._give_up(ledger)
        if self._late:
            raise conflict(len(self._actions), self._late)
        raise unavailable(
            "The transaction was cancelled: its items are being moved, or are too much in demand"
        )

    # One partition.

    def _local(self, ledger: Ledger, group: Group) -> Generator[Any, Any, Outcome | str]:
        token = self._token
        if token is None:
            self._local_txid = self._local_txid or self._context.new_txid()
            return (yield from _write(group, self._local_txid, self._digest))
        if token.runs_here():
            return (yield from _write(group, token.txid, self._digest))
        claim = token.row(token.txid, RUNNING, local=True)
        found = yield from self._claimed(ledger, claim, token.known)
        if found is not claim:
            replay = yield from token.meet(found, self._actions)
            if replay is not None:
                return _replayed(replay)
            if not token.runs_here():
                return "token"
            return (yield from _write(group, token.txid, self._digest, again=True))
        token.known = claim
        return (yield from _write(group, token.txid, self._digest))

    def _claimed(
        self, ledger: Ledger, claim: TokenRow, known: TokenRow | None
    ) -> Generator[Any, Any, TokenRow | None]:
        """Claim the token for a run in one partition: `claim` itself, or the row that stands in its way."""
        [answer] = yield Each([ledger.claim(claim, known)])
        if isinstance(answer, ApiError) and may_be_done(answer):
            [answer] = yield Each([ledger.claim(claim, known)])
        if in_the_way(answer):
            row = row_of(answer)
            return TokenRow.of(claim.token, row) if row is not None else None
        if isinstance(answer, ApiError):
            raise answer
        return claim

    # Several partitions.

    def _spread(self, ledger: Ledger, groups: list[Group]) -> Generator[Any, Any, Outcome | str]:
        context, token = self._context, self._token
        txid = context.new_txid()
        stamp = self._next_stamp()
        claim, marker, known = None, self._local_txid, None
        if token is not None:
            known = token.known
            claim = token.row(txid, RUNNING)
            marker = token.txid if claim.marked else b""
        run = SpreadRun(context, ledger, self._actions, groups, txid, stamp, marker, claim, known)
        outcome = yield from run.steps()
        if isinstance(outcome, Committed):
            return Outcome(SPREAD, outcome.results, {})
        if isinstance(outcome, Taken):
            assert token is not None
            replay = yield from token.meet(outcome.row, self._actions)
            return _replayed(replay) if replay is not None else "token"
        if token is not None:
            token.known = claim
        if isinstance(outcome, Repeated):
            return (yield from self._repeated(ledger, outcome, txid))
        assert isinstance(outcome, Again)
        self._seen = max(self._seen, outcome.seen)
        self._clock = outcome.clock or self._clock
        self._late = outcome.late
        return outcome.cause

    def _next_stamp(self) -> int:
        """The stamp of the next run: this router's, unless its clock is too far ahead for a node.

        Then it is the lowest that may do. Were it any higher than that node's clock, every transaction would push the
        clocks of the nodes, and with them the stamps of all items, on towards the one that is wrong.
        """
        stamp = self._context.stamps.next()
        if self._clock and stamp > self._clock + (MAX_AHEAD_MS << LOGICAL_BITS):
            return max(self._clock, self._seen + 1)
        return stamp

    def _repeated(self, ledger: Ledger, outcome: Repeated, txid: bytes) -> Generator[Any, Any, Outcome]:
        """The request was carried out before a split: say so in the token's row."""
        token = self._token
        units = replay_units(self._actions, outcome.results)
        if token is None:
            # It was this very request, whose outcome had not become known.
            if None in outcome.results:
                raise internal("The transaction was carried out, but what it did is not known")
            return Outcome(LOCAL, [each for each in outcome.results if each is not None], {})
        yield Each([ledger.settle(token.row(txid, FINISHED, units=units))])
        return Outcome(REPLAYED, [], units)

    def _give_up(self, ledger: Ledger) -> Generator[Any, Any, None]:
        """Let the token be used again at once."""
        token = self._token
        if token is not None and token.known is not None and not token.known.local:
            yield Each([ledger.settle(token.row(token.known.txid, CANCELLED))])


def _write(
    group: Group, txid: bytes, digest: bytes, again: bool = False
) -> Generator[Any, Any, Outcome | str]:
    """One run in one partition; "stale route" if the items no longer lie in one.

    `again`: an earlier request may have made the same run. Otherwise it is the transport that has repeated this one.
    """
    writes = [action.write for action in group.actions]
    try:
        outcome: TransactOutcome = yield TransactWrite(group.partition, ANY_EPOCH, txid, writes, digest)
    except ApiError as error:
        if error.type_name == "StaleRoute":
            return "stale route"
        if reason_code(error) is not None:
            raise cancelled(len(writes), dict.fromkeys(range(len(writes)), error)) from None
        raise
    verdict, results = outcome.verdict, outcome.results
    if verdict == REFUSED:
        raise refusal(results)
    if verdict == MISMATCH:
        raise mismatch()
    if verdict == REPEATED and (again or len(results) != len(writes)):
        return Outcome(REPLAYED, [], replay_units(group.actions, _known(results, len(writes))))
    return Outcome(LOCAL, results, {})  # type: ignore[arg-type]


def refusal(results: list[Any]) -> ApiError:
    """The answer to a client whose actions were refused: the cancellation, unless something else went wrong."""
    errors = {number: each for number, each in enumerate(results) if isinstance(each, ApiError)}
    for error in errors.values():
        if reason_code(error) is None:
            return error
    return cancelled(len(results), errors)


def _known(results: list[Any], count: int) -> list[Any]:
    return results if len(results) == count else [None] * count


def _replayed(replay: Replay) -> Outcome:
    return Outcome(REPLAYED, [], replay.units)
