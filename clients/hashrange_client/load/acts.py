"""The next act and the items it is for, drawn at random from a seed: the same in every run of the same settings."""

from __future__ import annotations

import random
from bisect import bisect_right
from itertools import accumulate

from hashrange_client.load.distributions import chooser
from hashrange_client.load.settings import LoadSettings

INSERTS_PER_S = 10_000
"""What a run without a count may insert, for the popularity of keys that will only be there later."""

GROUPED = ("transact-write", "transact-get", "batch-get", "batch-write")


class ActSource:
    """Draws acts and the numbers of their items.

    Inserted items have numbers of this process alone: the n-th of process p of P is `items + p + n * P`. An
    item counts as there, and is read, once as many others were inserted after it as there are connections: by
    then it was answered.
    """

    __slots__ = (
        "_acts",
        "_base",
        "_bounds",
        "_choose",
        "_crew",
        "_group",
        "_in_flight",
        "_inserted",
        "_process",
        "random",
    )

    def __init__(self, settings: LoadSettings) -> None:
        plan = settings.plan
        self.random = random.Random(settings.seed).random
        """Chance, also for whoever fills requests with values."""
        self._acts = [act for act, _ in plan.acts]
        self._bounds = list(accumulate(share for _, share in plan.acts))
        self._base = settings.base_items
        self._group = settings.group
        self._in_flight = settings.connections
        self._inserted = 0
        self._process, self._crew = settings.process, settings.crew
        due = settings.count or settings.duration_s * (settings.rate or INSERTS_PER_S)
        most = self._base + min(self._base, int(2 * plan.share("insert") * due))
        self._choose = chooser(
            settings.keys_drawn,
            self.random,
            self._base,
            most=most,
            hot_keys=settings.hot_keys,
            hot_share=settings.hot_share,
            process=settings.process,
            processes=settings.crew,
        )

    def next(self) -> tuple[str, tuple[int, ...]]:
        """The next act, and the numbers of its items: one, or as many different ones as a group has."""
        acts = self._acts
        if len(acts) > 1:
            act = acts[min(bisect_right(self._bounds, self.random()), len(acts) - 1)]
        else:
            act = acts[0]
        if act == "insert":
            self._inserted += 1
            return act, (self._base + self._process + (self._inserted - 1) * self._crew,)
        if act in GROUPED:
            return act, self._several()
        return act, (self._one(),)

    def _one(self) -> int:
        there = self._inserted - self._in_flight
        count = self._base + there if there > 0 else self._base
        number = self._choose(count)
        if number < self._base:
            return number
        return self._base + self._process + (number - self._base) * self._crew

    def _several(self) -> tuple[int, ...]:
        """Different items: one that was drawn already is replaced by the next that was not."""
        drawn: dict[int, None] = {}
        while len(drawn) < self._group:
            number = self._one()
            while number in drawn:
                number = (number + 1) % self._base
            drawn[number] = None
        return tuple(drawn)
