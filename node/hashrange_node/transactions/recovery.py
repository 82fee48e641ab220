"""Finishing transactions that have stalled: locks older than STALLED_S, at the leaders that hold them.

Their coordinator is dead, or slow. The leader gives the transaction up in the ledger; if it has been decided there
before, that is what counts. Either way the leader then finishes its own locks, and so does every other participant:
nobody has to be told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hashrange.errors import ApiError, unavailable
from hashrange.runtime.clock import wall_ms_of
from hashrange.wire.transactions import STALLED_S, TransactFinish
from hashrange_node.transactions.ledger import Ledger

if TYPE_CHECKING:
    from hashrange_node.node import Node

ASKED_MAX = 256
"""Transactions that the ledger is asked about at a time."""
REPORT_S = 60.0

Part = tuple[int, bytes]
"""A partition and a transaction that has locks in it."""


class StalledLocks:
    """Looks after the locks of a node. `stalled` is how many transactions had stalled at the last look.

    A transaction's age is that of its stamp or, where clocks differ, the time since its locks were first seen here.
    """

    def __init__(
        self,
        node: Node,
        wall_ms: Callable[[], int],
        monotonic: Callable[[], float],
        report: Callable[[str, BaseException], None],
    ) -> None:
        self._node = node
        self._ledger = Ledger(node)
        self._wall_ms = wall_ms
        self._monotonic = monotonic
        self._report = report
        self._seen: dict[Part, float] = {}
        self._asked: set[Part] = set()
        self._reported = float("-inf")
        self.stalled = 0

    def look(self) -> None:
        """Find what has stalled, and begin to finish it."""
        due = self._due()
        self.stalled = len(due)
        if due and not self._ledger.known:
            self._miss_ledger(len(due))
            return
        for part in due:
            if part not in self._asked and len(self._asked) < ASKED_MAX:
                self._asked.add(part)
                self._ask(part)

    def _due(self) -> list[Part]:
        now_ms, now_s = self._wall_ms(), self._monotonic()
        seen: dict[Part, float] = {}
        due: list[Part] = []
        for replica in self._node.replicas.values():
            if not replica.locked or not replica.group.serving or replica.group.split is not None:
                continue
            for txid, locks in replica.locks.transactions().items():
                part = (replica.id, txid)
                since_s = seen[part] = self._seen.get(part, now_s)
                age_s = max((now_ms - wall_ms_of(locks[0].stamp)) / 1000, now_s - since_s)
                if age_s >= STALLED_S and not all(lock.finishing for lock in locks):
                    due.append(part)
        self._seen = seen
        return due

    def _ask(self, part: Part) -> None:
        def decided(committed: bool | None) -> None:
            if committed is None:
                self._asked.discard(part)  # the next look asks again
            else:
                self._finish(part, committed)

        try:
            self._ledger.give_up(part[1], self._wall_ms() // 1000, decided)
        except Exception as error:
            self._asked.discard(part)
            self._report("the ledger of transactions could not be asked", error)

    def _finish(self, part: Part, committed: bool) -> None:
        partition, txid = part
        replica = self._node.replicas.get(partition)
        hashes = [int.from_bytes(lock.key[:8], "big") for lock in replica.locks.of(txid)] if replica else []
        counts = self._node.transactions.counts

        def done(answer: Any) -> None:
            self._asked.discard(part)
            if not isinstance(answer, ApiError):
                counts.recovered += 1

        if hashes:
            self._node.send(TransactFinish(partition, 0, txid, committed, hashes), done)
        else:
            self._asked.discard(part)  # finished by others meanwhile, or led elsewhere

    def _miss_ledger(self, count: int) -> None:
        """Without a ledger nothing was decided, but it may be: nobody can be sure of a cancellation."""
        now_s = self._monotonic()
        if now_s - self._reported >= REPORT_S:
            self._reported = now_s
            self._report(
                f"{count} stalled transactions wait for the ledger", unavailable("It is not known here yet")
            )
