"""What the parts of a mapping's pure core know of one another: its settings, the records, the moment it is.

Times are those of two clocks: `Moment.monotonic` (seconds) for waiting, `Moment.wall_ms` for the age of records, which
is counted from when they were written (milliseconds since 1970).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

LANES_MAX = 10
"""The largest ParallelizationFactor (service model of Lambda)."""


class Moment(NamedTuple):
    """Now, on both clocks."""

    monotonic: float
    wall_ms: int


class Entry(NamedTuple):
    """One record that waits for the function. `body`: its JSON as the function gets it; `arrived`: when it was read."""

    sequence: int
    created_ms: int
    arrived: float
    body: bytes


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a mapping as its core uses them. -1: no limit, as in the API. `lanes`: ParallelizationFactor.

    A tumbling window's state belongs to the whole shard: with windows there is one lane, whatever the factor says.
    """

    batch_size: int = 100
    window_s: float = 0.0
    lanes: int = 1
    retries_max: int = -1
    age_max_s: int = -1
    bisect: bool = False
    partial: bool = False
    tumbling_ms: int = 0

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Settings:
        """Of a mapping's control document; what is missing has the service's default."""
        tumbling_ms = 1000 * int(document.get("TumblingWindowInSeconds") or 0)
        lanes = int(document.get("ParallelizationFactor") or 1)
        return cls(
            batch_size=int(document.get("BatchSize") or 100),
            window_s=float(document.get("MaximumBatchingWindowInSeconds") or 0),
            lanes=1 if tumbling_ms else min(max(lanes, 1), LANES_MAX),
            retries_max=_limit(document.get("MaximumRetryAttempts")),
            age_max_s=_limit(document.get("MaximumRecordAgeInSeconds")),
            bisect=bool(document.get("BisectBatchOnFunctionError")),
            partial="ReportBatchItemFailures" in (document.get("FunctionResponseTypes") or ()),
            tumbling_ms=tumbling_ms,
        )

    @property
    def plain(self) -> bool:
        """Whether what the function returns has no meaning."""
        return not self.partial and not self.tumbling_ms


def _limit(value: Any) -> int:
    return -1 if value is None else int(value)
