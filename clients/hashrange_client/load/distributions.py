"""Which item comes next: the key distributions of load generators. Pure: chance is an argument.

A `Chooser` gives numbers of items from 0 up to `count - 1`, where `count` may grow while items are inserted:

    uniform      every item alike
    zipfian      item ranks with probability ~ 1 / rank^0.99, scattered over the key space by a hash ("scrambled")
    latest       the same ranks, counted back from the newest item
    hotspot      `hot_share` of the requests for the first `hot_keys` items, the rest for the others
    sequential   one item after the other, round and round

Sources: Gray et al., "Quickly generating billion-record synthetic databases" (SIGMOD 1994) for drawing Zipf
ranks without a table; Cooper et al., "Benchmarking cloud serving systems with YCSB" (SoCC 2010), section 4.2,
for the scrambling, "latest", and the parameters: theta 0.99, ranks of scrambled keys from ten thousand million.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

UNIFORM: Final = "uniform"
ZIPFIAN: Final = "zipfian"
LATEST: Final = "latest"
HOTSPOT: Final = "hotspot"
SEQUENTIAL: Final = "sequential"
DISTRIBUTIONS: Final = (UNIFORM, ZIPFIAN, LATEST, HOTSPOT, SEQUENTIAL)

THETA: Final = 0.99
SCRAMBLED_RANKS: Final = 10_000_000_000
SCRAMBLED_ZETA: Final = 26.46902820178302
"""zeta(10^10, 0.99): the sum that would take minutes; `zeta` agrees with it in a test by Euler and
Maclaurin's formula.
"""

_FNV_OFFSET: Final = 0xCBF29CE484222325
_FNV_PRIME: Final = 1_099_511_628_211
_FNV_PRIME_CUBED: Final = _FNV_PRIME**3 & 0xFFFFFFFFFFFFFFFF
_MASK: Final = 0xFFFFFFFFFFFFFFFF

Chance = Callable[[], float]
"""A number from 0 up to but not including 1."""


class Chooser(Protocol):
    """Draws items."""

    def __call__(self, count: int) -> int:
        """The next item, below `count`; `count` never shrinks."""


def zeta(count: int, theta: float = THETA, known: int = 0, known_sum: float = 0.0) -> float:
    """The sum of 1 / n^theta for n up to `count`, begun from what is known up to `known`."""
    more: float = sum(1.0 / number**theta for number in range(known + 1, count + 1))
    return known_sum + more


def fnv64(value: int) -> int:
    """FNV-1a over the eight bytes of a number below 2^40, lowest byte first, as a non-negative number.

    The three bytes above are zero, so that they only multiply.
    """
    mixed = ((_FNV_OFFSET ^ (value & 255)) * _FNV_PRIME) & _MASK
    mixed = ((mixed ^ (value >> 8 & 255)) * _FNV_PRIME) & _MASK
    mixed = ((mixed ^ (value >> 16 & 255)) * _FNV_PRIME) & _MASK
    mixed = ((mixed ^ (value >> 24 & 255)) * _FNV_PRIME) & _MASK
    mixed = ((mixed ^ (value >> 32)) * _FNV_PRIME * _FNV_PRIME_CUBED) & _MASK
    return mixed if mixed < 1 << 63 else (1 << 64) - mixed


class ZipfRanks:
    """Ranks from 0 (the most frequent) with Zipf's probabilities; the number of ranks may grow."""

    __slots__ = ("_alpha", "_chance", "_count", "_eta", "_second", "_theta", "_zeta", "_zeta_two")

    def __init__(
        self, chance: Chance, count: int, theta: float = THETA, zeta_sum: float | None = None
    ) -> None:
        if count < 1:
            raise ValueError("there is nothing to choose from")
        self._chance = chance
        self._theta = theta
        self._alpha = 1.0 / (1.0 - theta)
        self._zeta_two = zeta(2, theta)
        self._second = 1.0 + 0.5**theta
        self._count = count
        self._zeta = zeta(count, theta) if zeta_sum is None else zeta_sum
        self._set_eta()

    def _set_eta(self) -> None:
        short = 1.0 - (2.0 / self._count) ** (1.0 - self._theta)
        self._eta = short / (1.0 - self._zeta_two / self._zeta) if self._count > 2 else 0.0

    def __call__(self, count: int) -> int:
        """A rank below `count`; the sum is carried on when `count` has grown."""
        if count > self._count:
            self._zeta = zeta(count, self._theta, self._count, self._zeta)
            self._count = count
            self._set_eta()
        drawn = self._chance()
        scaled = drawn * self._zeta
        if scaled < 1.0:
            return 0
        if scaled < self._second:
            return 1
        return int(self._count * (self._eta * drawn - self._eta + 1.0) ** self._alpha)


class Zipfian:
    """Scrambled Zipf: what is popular is so for good, wherever it is in the key space, also when items are added.

    Ranks come from a range far larger than any table and are hashed to its items, so that the most popular
    item has 3.8 % of the requests whatever the table's size. With `most` items that there may be at the end,
    those that are not there yet are drawn again: what exists keeps its popularity while the table grows.
    """

    __slots__ = ("_most", "_ranks")

    def __init__(self, chance: Chance, most: int) -> None:
        self._ranks = ZipfRanks(chance, SCRAMBLED_RANKS, THETA, SCRAMBLED_ZETA)
        self._most = most

    def __call__(self, count: int) -> int:
        most = self._most if self._most > count else count
        while True:
            number = fnv64(self._ranks(SCRAMBLED_RANKS)) % most
            if number < count:
                return number


class Latest:
    """The newest items most: Zipf ranks counted back from the end."""

    __slots__ = ("_ranks",)

    def __init__(self, chance: Chance, count: int) -> None:
        self._ranks = ZipfRanks(chance, count)

    def __call__(self, count: int) -> int:
        rank = self._ranks(count)
        return count - 1 - rank if rank < count else 0


class Uniform:
    """Every item alike."""

    __slots__ = ("_chance",)

    def __init__(self, chance: Chance) -> None:
        self._chance = chance

    def __call__(self, count: int) -> int:
        return int(self._chance() * count)


class Hotspot:
    """Some items get `share` of the requests, all others the rest; alike among themselves."""

    __slots__ = ("_chance", "_hot", "_share")

    def __init__(self, chance: Chance, hot_keys: int, share: float) -> None:
        self._chance = chance
        self._hot = hot_keys
        self._share = share

    def __call__(self, count: int) -> int:
        hot = self._hot if self._hot < count else count
        if self._chance() < self._share or hot == count:
            return int(self._chance() * hot)
        return hot + int(self._chance() * (count - hot))


class Sequential:
    """One after the other; `first` and `step` deal the items out to several processes."""

    __slots__ = ("_next", "_step")

    def __init__(self, first: int = 0, step: int = 1) -> None:
        self._next = first
        self._step = step

    def __call__(self, count: int) -> int:
        number = self._next % count
        self._next += self._step
        return number


def chooser(
    name: str,
    chance: Chance,
    count: int,
    *,
    most: int = 0,
    hot_keys: int = 1,
    hot_share: float = 0.8,
    process: int = 0,
    processes: int = 1,
) -> Chooser:
    """The distribution of this name over `count` items, of which there may be `most` later.

    Raises ValueError for a name that is none.
    """
    if name == UNIFORM:
        return Uniform(chance)
    if name == ZIPFIAN:
        return Zipfian(chance, max(most, count))
    if name == LATEST:
        return Latest(chance, count)
    if name == HOTSPOT:
        return Hotspot(chance, hot_keys, hot_share)
    if name == SEQUENTIAL:
        return Sequential(process, processes)
    raise ValueError(f"there is no distribution {name!r}; choose one of {', '.join(DISTRIBUTIONS)}")
