"""What a router counts of its transactions, in plain dicts."""

from __future__ import annotations

from typing import Final

WRITE: Final = "TransactWriteItems"
READ: Final = "TransactGetItems"

LOCAL: Final = "local"
SPREAD: Final = "spread"
REPLAYED: Final = "replayed"
CANCELLED: Final = "cancelled"
REFUSED: Final = "refused"
FAILED: Final = "failed"


class TransactionCounts:
    """Totals of one router.

    `outcomes` is by operation and outcome: `local` and `spread` (done, in one partition or in several), `replayed`
    (done before under its token), `cancelled`, `refused` (its token is in use), `failed` (outcome unknown, or a part
    of the cluster could not be reached). `reasons` is by operation and code of the cancellation reasons, one for each
    item concerned. `redrives` is by cause: runs that were begun again unseen by the client.
    """

    __slots__ = ("outcomes", "reasons", "redrives", "tails_failed", "taken_over")

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str], int] = {}
        self.reasons: dict[tuple[str, str], int] = {}
        self.redrives: dict[str, int] = {}
        self.taken_over = 0
        """Stalled transactions of other routers that were brought to their end for a repeated request."""
        self.tails_failed = 0
        """Decisions that could not be cleared away at once; the ledger does it later."""

    def outcome(self, operation: str, outcome: str) -> None:
        """Count one answered request."""
        key = (operation, outcome)
        self.outcomes[key] = self.outcomes.get(key, 0) + 1

    def reason(self, operation: str, code: str) -> None:
        """Count one cancellation reason."""
        key = (operation, code)
        self.reasons[key] = self.reasons.get(key, 0) + 1

    def redrive(self, cause: str) -> None:
        """Count one run that is begun again."""
        self.redrives[cause] = self.redrives.get(cause, 0) + 1

    def tail_failed(self, error: Exception) -> None:
        """Count one tail that did not get through."""
        self.tails_failed += 1
