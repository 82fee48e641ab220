"""What is counted of transactions, in plain dicts, and how it appears on the metrics page.

The latency of transactions that succeed is that of their operations (`hashrange_request_duration_seconds`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hashrange.runtime.telemetry import Telemetry

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


def register_transaction_metrics(telemetry: Telemetry, counts: TransactionCounts) -> None:
    """Make the counts visible on /metrics."""
    telemetry.counter(
        "hashrange_transaction_requests_total",
        "Transactions answered, by outcome.",
        lambda: {key: float(count) for key, count in counts.outcomes.items()},
        labels=("operation", "outcome"),
    )
    telemetry.counter(
        "hashrange_transaction_cancellations_total",
        "Items that a transaction was cancelled for, by reason.",
        lambda: {key: float(count) for key, count in counts.reasons.items()},
        labels=("operation", "reason"),
    )
    telemetry.counter(
        "hashrange_transaction_redrives_total",
        "Runs of transactions that were begun again, by cause.",
        lambda: {(cause,): float(count) for cause, count in counts.redrives.items()},
        labels=("cause",),
    )
    telemetry.counter(
        "hashrange_transaction_takeovers_total",
        "Stalled transactions of other routers that were finished for a repeated request.",
        lambda: counts.taken_over,
    )
    telemetry.counter(
        "hashrange_transaction_tail_failures_total",
        "Decisions of transactions that were not cleared away at once.",
        lambda: counts.tails_failed,
    )
