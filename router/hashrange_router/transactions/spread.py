"""One run of a transaction over several partitions: prepare everywhere, decide once, finish everywhere.

    round 1   TransactPrepare to every partition, and with a token the claim of its row beside them
    round 2   the decision: one row of the ledger that is written only if nobody has written it
    round 3   TransactFinish to every partition; answered when all have applied it, so that reads find it
    behind    the token's row is marked finished, then the decision is cleared away

Every run has a txid of its own: a message of an earlier run that comes late finds nothing of this one. Whatever
stands against the transaction in round 1, all that may be prepared is undone before the run ends; no decision is
written for it, since whoever finds the locks first decides that it is cancelled. The row of a token outlives its
decision on purpose, in this order: as long as it says that the run is under way, the decision can be found.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from hashrange.errors import ApiError, internal, unavailable, validation
from hashrange.model.ledger import CANCELLED, FINISHED, Participant, committed_in
from hashrange.wire.messages import WriteResult
from hashrange.wire.transactions import (
    AHEAD,
    DONE,
    ITEMS_BYTES_MAX,
    LATE,
    REFUSED,
    REPEATED,
    TOO_LARGE,
    TransactOutcome,
    TransactPrepare,
)
from hashrange_router.api.call import Behind, Each
from hashrange_router.api.context import ANY_EPOCH, RouterContext
from hashrange_router.transactions.actions import Action
from hashrange_router.transactions.finishing import finish
from hashrange_router.transactions.grouping import Group, participants
from hashrange_router.transactions.ledger_rows import Ledger, TokenRow, in_the_way, may_be_done, row_of
from hashrange_router.transactions.reasons import cancelled, reason_code
from hashrange_router.transactions.replay import replay_units

DECIDE_ATTEMPTS: Final = 3
SETTLE_ATTEMPTS: Final = 3
UNKNOWN: Final = "The outcome of the transaction is not known"


class Committed:
    """The transaction is done; what each action did."""

    __slots__ = ("results",)

    def __init__(self, results: list[WriteResult]) -> None:
        self.results = results


class Repeated:
    """A partition says that it was done before, in one entry; with what each action did, as far as that is known."""

    __slots__ = ("results",)

    def __init__(self, results: list[WriteResult | None]) -> None:
        self.results = results


class Taken:
    """The token's row is not as it was thought to be; None: there is none."""

    __slots__ = ("row",)

    def __init__(self, row: TokenRow | None) -> None:
        self.row = row


class Again:
    """Nothing was done; begin again.

    `late` are the numbers of the actions whose items were written in the meantime, at `seen` at the latest. `clock`
    is where the node stands that found the stamp too far ahead, 0 if none did.
    """

    __slots__ = ("cause", "clock", "late", "seen")

    def __init__(self, cause: str, late: list[int], seen: int = 0, clock: int = 0) -> None:
        self.cause = cause
        self.late = late
        self.seen = seen
        self.clock = clock


class SpreadRun:
    """One run. `claim` is the token's row that this run writes in the place of `known`; None without a token."""

    def __init__(
        self,
        context: RouterContext,
        ledger: Ledger,
        actions: list[Action],
        groups: list[Group],
        txid: bytes,
        stamp: int,
        marker: bytes = b"",
        claim: TokenRow | None = None,
        known: TokenRow | None = None,
    ) -> None:
        self._context = context
        self._ledger = ledger
        self._actions = actions
        self._groups = groups
        self._txid = txid
        self._stamp = stamp
        self._marker = marker
        self._claim = claim
        self._known = known

    def steps(self) -> Generator[Any, Any, Committed | Repeated | Taken | Again]:
        """Run; raises what the client is answered when the transaction is cancelled or has failed."""
        messages = Each(
            TransactPrepare(
                group.partition,
                ANY_EPOCH,
                self._txid,
                self._stamp,
                [action.write for action in group.actions],
                self._marker,
            )
            for group in self._groups
        )
        if self._claim is not None:
            messages.append(self._ledger.claim(self._claim, self._known))
        answers = yield messages
        taken: Taken | ApiError | None = None
        if self._claim is not None:
            taken = yield from self._claimed(answers.pop())
        if taken is None and all(
            each.__class__ is TransactOutcome and each.verdict == DONE for each in answers
        ):
            large = self._too_large(answers)
            if large is None:
                return (yield from self._decided(answers))
            taken = large
        return (yield from self._undone(answers, taken))

    # Round 1.

    def _claimed(self, answer: Any) -> Generator[Any, Any, Taken | ApiError | None]:
        """None if the token's row is this run's, else what it is, or why that is not known."""
        assert self._claim is not None
        if isinstance(answer, ApiError) and may_be_done(answer):
            [answer] = yield Each([self._ledger.claim(self._claim, self._known)])
        if in_the_way(answer):
            row = row_of(answer)
            if row is None:
                return Taken(None)
            found = TokenRow.of(self._claim.token, row)
            return None if found.txid == self._txid else Taken(found)
        return answer if isinstance(answer, ApiError) else None

    def _undone(
        self, answers: list[Any], taken: Taken | ApiError | None
    ) -> Generator[Any, Any, Taken | Repeated | Again]:
        """Undo what may be prepared; return or raise what comes of the run."""
        outcome = taken if taken is not None else self._judged(answers)
        may_hold: list[Action] = []
        for group, answer in zip(self._groups, answers, strict=True):
            certain = answer.__class__ is TransactOutcome and answer.verdict != DONE
            if not certain:
                may_hold += group.actions
        final = isinstance(outcome, ApiError)
        more = []
        if final and self._claim is not None:
            more.append(self._ledger.settle(self._row(CANCELLED)))
        yield from finish(self._context, self._txid, participants(may_hold), False, more)
        if isinstance(outcome, ApiError):
            raise outcome
        return outcome

    def _judged(self, answers: list[Any]) -> Repeated | Again | ApiError:
        """What the answers to the prepares come to, if not all have prepared."""
        count = len(self._actions)
        errors: dict[int, ApiError] = {}
        failures: list[ApiError] = []
        verdicts: dict[int, list[tuple[Group, TransactOutcome]]] = {}
        for group, answer in zip(self._groups, answers, strict=True):
            if isinstance(answer, ApiError):
                if reason_code(answer) is not None:
                    errors.update((action.number, answer) for action in group.actions)
                else:
                    failures.append(answer)
                continue
            verdicts.setdefault(answer.verdict, []).append((group, answer))
            if answer.verdict == REFUSED:
                for action, result in zip(group.actions, answer.results, strict=True):
                    if isinstance(result, ApiError):
                        errors[action.number] = result
        for _, answer in verdicts.get(REPEATED, []):
            known: list[Any] = answer.results
            return Repeated(known if len(known) == count else [None] * count)
        grave = [error for error in errors.values() if reason_code(error) is None]
        if errors and not grave:
            return cancelled(count, errors)
        for failure in grave + failures:
            if failure.status < 500:
                return failure
        if any(failure.type_name != "StaleRoute" for failure in grave + failures):
            return unavailable(f"The transaction was cancelled: {(grave + failures)[0].message}")
        again = self._too_late(verdicts)
        if failures:
            again.cause = "stale route"
        return again

    def _too_large(self, answers: list[TransactOutcome]) -> ApiError | None:
        """Why not, if the items that all partitions together would have to store are more than a transaction holds."""
        total = 0
        for group, answer in zip(self._groups, answers, strict=True):
            for action, result in zip(group.actions, answer.results, strict=True):
                total += result.new_size if isinstance(result, WriteResult) else 0
                if total > ITEMS_BYTES_MAX:
                    return cancelled(len(self._actions), {action.number: validation(TOO_LARGE)})
        return None

    def _too_late(self, verdicts: dict[int, list[tuple[Group, TransactOutcome]]]) -> Again:
        stamps = self._context.stamps
        late = []
        seen = 0
        for group, answer in verdicts.get(LATE, []):
            stamps.observe(answer.stamp)
            seen = max(seen, answer.stamp)
            late += [action.number for action in group.actions]
        ahead = [answer.stamp for _, answer in verdicts.get(AHEAD, [])]
        return Again("ahead" if ahead else "late", late, seen, min(ahead, default=0))

    # Rounds 2 and 3.

    def _decided(self, answers: list[TransactOutcome]) -> Generator[Any, Any, Committed | Again]:
        parts = participants(self._actions)
        committed = yield from self._decide(parts)
        if not committed:
            # Somebody took this run for stalled.
            yield from finish(self._context, self._txid, parts, False)
            return Again("given up", [])
        failed = yield from finish(self._context, self._txid, parts, True)
        if failed is not None:
            # It is committed, but a read might not see it yet.
            raise internal(UNKNOWN)
        results: list[Any] = [None] * len(self._actions)
        for group, answer in zip(self._groups, answers, strict=True):
            for action, result in zip(group.actions, answer.results, strict=True):
                results[action.number] = result
        yield Behind(self._tail(results), self._context.transactions.tail_failed)
        return Committed(results)

    def _decide(self, parts: list[Participant]) -> Generator[Any, Any, bool]:
        """Write "committed" if nobody has decided yet; what is decided. Raises if that cannot be found out."""
        unknown = False
        for _ in range(DECIDE_ATTEMPTS):
            message = self._ledger.decide(self._txid, True, parts, has_token=self._claim is not None)
            [answer] = yield Each([message])
            if not isinstance(answer, ApiError):
                return True
            if in_the_way(answer):
                row = row_of(answer)
                if row is not None:
                    return committed_in(row)
                unknown = True
            unknown = unknown or may_be_done(answer)
        if unknown:
            # It must be neither undone nor called a failure: recovery finds out, and finishes it.
            raise internal(UNKNOWN)
        more = [self._ledger.settle(self._row(CANCELLED))] if self._claim is not None else None
        yield from finish(self._context, self._txid, parts, False, more)
        raise unavailable("The transaction was cancelled: the ledger of transactions cannot be reached")

    def _tail(self, results: list[WriteResult]) -> Generator[Any, Any, None]:
        """What is left to do when the client has been answered. The order matters: see above."""
        if self._claim is not None:
            row = self._row(FINISHED, replay_units(self._actions, results))
            for _ in range(SETTLE_ATTEMPTS):
                [answer] = yield Each([self._ledger.settle(row)])
                if not isinstance(answer, ApiError) or in_the_way(answer):
                    break
            if isinstance(answer, ApiError):
                raise answer
        yield self._ledger.clear(self._txid)

    def _row(self, state: str, units: dict[str, int] | None = None) -> TokenRow:
        """The token's row, once this run has come to an end."""
        claim = self._claim
        assert claim is not None
        now_ms = int(self._context.now() * 1000)
        return TokenRow(
            claim.token, claim.digest, self._txid, state, now_ms, marked=claim.marked, units=units
        )
