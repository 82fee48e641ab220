"""How a consumer behaves; the defaults suit DynamoDB's own limits (two readers and five reads a second a shard)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Start = Literal["TRIM_HORIZON", "LATEST"]


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """Times in seconds.

    start: where an application begins that has never read this stream: with the oldest record there is, or with what is
    written from then on. lease_s: a worker that has not renewed its leases for so long loses them; anything that stops
    a process for longer makes others process its last batches again. poll_s: the pause after a read that found
    nothing. discover_s: how often the shards are listed; one that ends is followed up at once. batch_size: records of
    one batch at most. handler_retries: how often a batch whose handler raised is tried again before the consumer
    stops with the error, None: for ever.
    """

    start: Start = "TRIM_HORIZON"
    lease_s: float = 20.0
    poll_s: float = 0.25
    discover_s: float = 15.0
    batch_size: int = 1_000
    handler_retries: int | None = 3
    retry_first_s: float = 0.1
    retry_max_s: float = 10.0
    threads: int = 64
    """Shards that one worker reads at the same time."""

    def __post_init__(self) -> None:
        if self.start not in ("TRIM_HORIZON", "LATEST"):
            raise ValueError(f"start is TRIM_HORIZON or LATEST, not {self.start!r}")
        if not 1 <= self.batch_size <= 1_000:
            raise ValueError("batch_size is between 1 and 1000: GetRecords gives no more")
        if self.lease_s <= 0 or self.poll_s < 0 or self.discover_s <= 0:
            raise ValueError("lease_s and discover_s are above 0, poll_s is not negative")
        if self.threads < 1:
            raise ValueError("threads is at least 1")

    @property
    def renew_s(self) -> float:
        """How often leases are renewed: three chances before they run out."""
        return self.lease_s / 3.5
