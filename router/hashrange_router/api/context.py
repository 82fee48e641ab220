"""What every operation works with: the tables as this router knows them, the site, and the way to the nodes.

A router holds no state of its own: `tables` and `documents` are a view that follows the catalogue. Looking up a
table is one dictionary access; only an unknown name takes the slow path, where it may turn out to be an ARN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Protocol

from hashrange.errors import ApiError, resource_not_found
from hashrange.model.ledger import is_system_table
from hashrange.model.table import Partition, TableSchema
from hashrange.model.table_arn import resolve_table_name
from hashrange.model.table_document import CREATING, DELETING, TableDocument
from hashrange.model.value import Item, ValueRules, Wording
from hashrange.runtime.clock import StampClock
from hashrange.wire.documents import ControlDocuments
from hashrange.wire.transactions import TXID_BYTES
from hashrange_router.api.tables_plan import Site
from hashrange_router.transactions.counts import TransactionCounts


class RegionLinks(Protocol):
    """Links to other regions: HTTP to their routers, signed when credentials are configured."""

    def knows(self, region: str) -> bool:
        """Whether an endpoint of the region is configured."""
        ...

    def post(self, region: str, path: str, body: bytes, done: Callable[[bytes | Exception], None]) -> None:
        """Send to any router of the region; `done` gets the body of the answer, or why there is none, once."""
        ...


class Admission(Protocol):
    """Capacity that is enforced: asked before a message is sent, told afterwards what was consumed.

    `read` and `write` raise the throttling error of the service when the table, or the index concerned, has no
    capacity left; they take nothing. What an operation has consumed is charged once it is known, in half units, and
    may leave a debt that later requests wait for. `index` is a global secondary index, or None for the table.
    """

    def read(self, table: TableSchema, index: str | None) -> None:
        """May this table or index be read now?"""
        ...

    def write(self, table: TableSchema, item: Item | None) -> None:
        """May this table be written now? `item` is the new item of a put, None when it is not known."""
        ...

    def charge_read(self, table: TableSchema, index: str | None, units_half: int) -> None:
        """A read has consumed so much."""
        ...

    def charge_write(
        self, table: TableSchema, units_half: int, index_units: list[tuple[str, str, int]] | None
    ) -> None:
        """A write has consumed so much of the table, local indexes included, and of each index (see `WriteResult`)."""
        ...

    def note(self, table: str, error: ApiError) -> None:
        """Count a request that was refused, here or by a node, if it was for want of capacity."""
        ...


ANY_EPOCH = 0
"""The epoch of messages of a router: none in particular. Its partition ids say all that a node must know."""


class _WallClock:
    """What stamps need of a clock, from a function that gives seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    def wall_ms(self) -> int:
        return int(self._now() * 1000)

    def monotonic(self) -> float:
        return self._now()


class RouterContext:
    """The view of one router. `now` is the wall clock in seconds, `new_id` makes a random UUID text."""

    def __init__(
        self, site: Site, wording: Wording, now: Callable[[], float], new_id: Callable[[], str]
    ) -> None:
        self.site = site
        self.wording: Wording = wording
        self.rules = ValueRules(wording)
        self.classic_rules = ValueRules("classic")
        self.now = now
        self.new_id = new_id
        self.tables: dict[str, TableSchema] = {}
        self.documents: dict[str, TableDocument] = {}
        self.controls = ControlDocuments()
        self.admission: Admission | None = None
        """None where nobody counts what is consumed."""
        self.links: RegionLinks | None = None
        """The way to other regions; None where no peers are configured."""
        self.stamps = StampClock(_WallClock(now))
        """Where transactions take their timestamps."""
        self.new_txid: Callable[[], bytes] = lambda: blake2b(
            new_id().encode(), digest_size=TXID_BYTES
        ).digest()
        """Names one run of a transaction: bytes that nobody else comes up with."""
        self.transactions = TransactionCounts()
        self.next_partition_id: Callable[[], int] = lambda: 1
        self.locate: Callable[[Partition, bytes], Partition] = lambda partition, position: partition
        """What a split has put in the place of a partition, at a key: known earlier than the table's document."""

    def follow(self, name: str, before: TableDocument | None, after: TableDocument | None) -> None:
        """Take over a change of the catalogue."""
        if after is None:
            self.documents.pop(name, None)
            self.tables.pop(name, None)
        else:
            self.documents[name] = after
            if after["Status"] in (CREATING, DELETING):
                self.tables.pop(name, None)
            else:
                self.tables[name] = TableSchema.from_document(after)

    def table(self, name_or_arn: str) -> TableSchema:
        """The table that an item operation names; ResourceNotFoundException while it cannot be used."""
        schema = self.tables.get(name_or_arn)
        if schema is None:
            name = resolve_table_name(name_or_arn, self.site.region, self.site.account)
            schema = self.tables.get(name)
            if schema is None:
                raise resource_not_found()
        return schema

    def get(self, table_name: str) -> TableDocument | None:
        """The document of a table of clients, in any state, or None."""
        return None if is_system_table(table_name) else self.documents.get(table_name)

    def names(self) -> Sequence[str]:
        """The names of all tables of clients, in the order of their bytes."""
        return sorted(name for name in self.documents if not is_system_table(name))
