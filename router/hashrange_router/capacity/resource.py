"""The budgets and counters of one table as a router keeps them, made anew when the table's document changes.

A resource is the table itself or one of its global indexes: each has a budget of its own for reads and for writes.
Local indexes consume the table's. Pure.
"""

from __future__ import annotations

from typing import Final, Literal

from hashrange.model.table import IndexSchema, TableSchema
from hashrange.model.table_document import PROVISIONED, TableDocument
from hashrange.model.table_limits import Limit as Rate
from hashrange.model.table_limits import limits
from hashrange.model.throttling import PROVISIONED_EXCEEDED, Limit
from hashrange.model.token_bucket import SHARE_S, TokenBucket
from hashrange.wire.capacity import CapacityNeed

REFUSED_HALF: Final = 2
"""What a refused request is taken to have wanted, in half units: the smallest write, or strong read."""

Throttling = Literal["off", "on", "provisioned-only"]


class Budget:
    """One direction of a resource: its bucket, or None while nothing is enforced, and what was counted.

    `limit` is what a refusal gives as the reason. `provisioned` is what the table asks for, in half units a second, 0
    on demand. Totals only grow.
    """

    __slots__ = ("bucket", "limit", "provisioned", "refused", "refused_reported", "used", "used_reported")

    def __init__(self) -> None:
        self.bucket: TokenBucket | None = None
        self.limit: Limit = PROVISIONED_EXCEEDED
        self.provisioned = 0.0
        self.used = self.used_reported = 0
        self.refused = self.refused_reported = 0

    def take(self) -> tuple[int, int]:
        """What was used and refused since the last call."""
        used, refused = self.used - self.used_reported, self.refused - self.refused_reported
        self.used_reported, self.refused_reported = self.used, self.refused
        return used, refused

    def left(self, now_s: float) -> int:
        """The balance, 0 when there is no bucket."""
        if self.bucket is None:
            return 0
        self.bucket.settle(now_s)
        return int(self.bucket.balance)


class Resource:
    """A table (`index` "") or one of its global indexes."""

    __slots__ = ("arn", "index", "reads", "table", "writes")

    def __init__(self, table: str, index: str, arn: str) -> None:
        self.table = table
        self.index = index
        self.arn = arn
        self.reads = Budget()
        self.writes = Budget()

    def take(self, now_s: float) -> CapacityNeed | None:
        """What happened since the last call; None when nothing did."""
        read_used, read_refused = self.reads.take()
        write_used, write_refused = self.writes.take()
        if not (read_used or read_refused or write_used or write_refused):
            return None
        return CapacityNeed(
            self.table,
            self.index,
            read_used,
            write_used,
            self.reads.left(now_s),
            self.writes.left(now_s),
            read_refused,
            write_refused,
        )


class TableState:
    """What is kept of one table. `behind` are the maintained global indexes whose write budgets hold writes back."""

    __slots__ = ("behind", "indexes", "provisioned", "schema", "table")

    def __init__(self, schema: TableSchema) -> None:
        self.schema = schema
        self.provisioned = schema.billing_mode == PROVISIONED
        self.table = Resource(schema.name, "", schema.arn)
        self.indexes = {each.name: Resource(schema.name, each.name, each.arn) for each in schema.gsis}
        self.behind: tuple[tuple[IndexSchema, Resource], ...] = ()

    def adopt(self, before: TableState) -> None:
        """Go on with the counters and balances of the same table before its document changed."""
        self.table = before.table
        for name in self.indexes:
            known = before.indexes.get(name)
            if known is not None:
                self.indexes[name] = known

    @property
    def resources(self) -> list[Resource]:
        """The table, then its global indexes."""
        return [self.table, *self.indexes.values()]


class Rules:
    """What is enforced, and how much of it: the limits of a table's document become buckets.

    `alone` says that this router is the only one and nobody makes grants: then it saves the whole burst itself.
    Otherwise it begins with a second's worth of the whole rate, until its first grant comes.
    """

    __slots__ = ("_alone", "_mode", "_multiplier")

    def __init__(self, mode: Throttling, multiplier: float, alone: bool) -> None:
        self._mode = mode
        self._multiplier = multiplier
        self._alone = alone

    def apply(self, state: TableState, document: TableDocument, changed: bool, now_s: float) -> bool:
        """Give every resource of a table the buckets that its document asks for; True when one is new.

        `changed`: the billing mode did, so that a grant for the old one says nothing about the new one.
        """
        new = False
        for resource in state.resources:
            found = limits(document, resource.index, multiplier=self._multiplier)
            if found is not None:
                for budget, rate in zip((resource.reads, resource.writes), found, strict=True):
                    new |= self._fit(budget, rate, changed, now_s)
        state.behind = tuple(
            (each, state.indexes[each.name])
            for each in state.schema.gsis
            if each.maintained and state.indexes[each.name].writes.bucket is not None
        )
        return new

    def _fit(self, budget: Budget, rate: Rate, changed: bool, now_s: float) -> bool:
        half = rate.rate_half
        on_demand = rate.reason != PROVISIONED_EXCEEDED
        budget.provisioned = 0.0 if on_demand else half / self._multiplier
        budget.limit = rate.reason
        bucket = budget.bucket
        if self._mode == "off" or (self._mode == "provisioned-only" and on_demand):
            budget.bucket = None
            return False
        capacity = half * (rate.burst_s if self._alone else SHARE_S)
        if bucket is None:
            budget.bucket = TokenBucket(half, capacity, half * SHARE_S, now_s)
            return True
        if changed or not bucket.granted:
            bucket.resize(half, capacity, now_s)
        # Else the next grant, within a second or two, brings this router's share of the new rate.
        return False
