"""When requests are due in an open loop: a fixed rate with constant or random gaps. Pure: chance is an argument.

An open loop sends by the clock, whatever the answers are, as users do who do not know of one another. Constant
gaps are the gentlest load of a rate; gaps of a Poisson process (exponentially distributed) are what many
independent users make, and have bursts. A latency counts from the moment at which the request was due, so that
a server that stalls is charged for the requests that came meanwhile ("coordinated omission").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import log
from typing import Final

CONSTANT: Final = "constant"
POISSON: Final = "poisson"
ARRIVALS: Final = (CONSTANT, POISSON)
SEEDS_APART: Final = 7_919
"""What a seed is multiplied with for arrivals, so that they have other chances than keys."""


def arrivals(
    kind: str, rate_per_s: float, start_s: float, chance: Callable[[], float], offset: float = 0.0
) -> Iterator[float]:
    """Due times in seconds from `start_s` on, without end; `offset` shifts constant ones by a part of a gap.

    Several processes share a rate with offsets 0/n, 1/n …: together they send evenly. Raises ValueError for a
    kind that is none.
    """
    if kind == CONSTANT:
        return _constant(rate_per_s, start_s, offset)
    if kind == POISSON:
        return _poisson(rate_per_s, start_s, chance)
    raise ValueError(f"there are no {kind!r} arrivals; choose one of {', '.join(ARRIVALS)}")


def _constant(rate_per_s: float, start_s: float, offset: float) -> Iterator[float]:
    number = 0
    while True:  # each is computed anew: a sum of gaps would drift
        yield start_s + (number + offset) / rate_per_s
        number += 1


def _poisson(rate_per_s: float, start_s: float, chance: Callable[[], float]) -> Iterator[float]:
    due = start_s
    while True:
        due -= log(1.0 - chance()) / rate_per_s
        yield due
