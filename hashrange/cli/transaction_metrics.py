"""What routers count of transactions, on the metrics page.

The latency of transactions that succeed is that of their operations (`hashrange_request_duration_seconds`).
"""

from __future__ import annotations

from hashrange_router.transactions.counts import TransactionCounts

from hashrange.runtime.telemetry import Telemetry


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
