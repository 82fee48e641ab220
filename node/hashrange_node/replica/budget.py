"""The ceilings of one partition: 3000 read and 1000 write units a second, whatever its table may do. Pure.

    ceilings = Ceilings("on", multiplier=1.0, now_s=clock.monotonic)
    budget = ceilings.budget(schema, index_name)        # one for each replica
    budget.admit_write(); budget.charge_write(half)

They keep one hot partition from taking a node, and hold when the routers' budgets know nothing of it: a table's
capacity may all be used in one partition, but only up to here (DynamoDB Developer Guide, "Designing partition keys").
What a request consumed is charged when it has been evaluated, so that one may overdraw the budget and the next ones
wait. No more than a second's worth is saved up: the ceiling bounds what a partition does in any second, while bursts
are the table's affair.

Reads are counted where they are served: each replica has the whole ceiling for its own reads. Writes are counted at
the leader. Partitions of a global index get their writes from the index queues of the table, which are made to wait
instead of refused (`holds_back`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

from hashrange.errors import CONDITION_FAILED, ApiError
from hashrange.model import record as records
from hashrange.model.ledger import is_system_table
from hashrange.model.table import TableSchema
from hashrange.model.table_document import PROVISIONED
from hashrange.model.table_units import read_units_half, table_write_units_half, write_units_half
from hashrange.model.throttling import KEY_RANGE_EXCEEDED, throttled
from hashrange.model.token_bucket import TokenBucket
from hashrange.wire.messages import Done, RangeResult, WriteResult
from hashrange.wire.transactions import TransactVersions

READS_HALF_PER_S: Final = 2 * 3_000
WRITES_HALF_PER_S: Final = 2 * 1_000
SAVED_S: Final = 1.0

Mode = Literal["on", "provisioned-only"]


class Ceilings:
    """What is enforced on this node. `multiplier` scales the ceilings; `now_s` gives monotonic seconds."""

    def __init__(self, mode: Mode, multiplier: float, now_s: Callable[[], float]) -> None:
        self.mode = mode
        self.multiplier = multiplier
        self.now_s = now_s

    def budget(self, schema: TableSchema, index_name: str | None) -> PartitionBudget | None:
        """The budget of a replica; None for tables that belong to the system."""
        return None if is_system_table(schema.name) else PartitionBudget(self, index_name)


class PartitionBudget:
    """What one replica may still do. The schema comes along with each call: it changes."""

    __slots__ = ("_ceilings", "_index", "_now_s", "_reads", "_writes")

    def __init__(self, ceilings: Ceilings, index_name: str | None) -> None:
        self._ceilings = ceilings
        self._index = index_name
        self._now_s = ceilings.now_s
        reads, writes = READS_HALF_PER_S * ceilings.multiplier, WRITES_HALF_PER_S * ceilings.multiplier
        now_s = ceilings.now_s()
        self._reads = TokenBucket(reads, reads * SAVED_S, reads * SAVED_S, now_s)
        self._writes = TokenBucket(writes, writes * SAVED_S, writes * SAVED_S, now_s)

    def admit_read(self, schema: TableSchema) -> None:
        """Raise the throttling error when the partition has read as much as it may."""
        bucket = self._reads
        if bucket.balance <= 0.0 and not bucket.admits(self._now_s()) and self.enforced(schema):
            raise self._refusal(schema, write=False)

    def admit_write(self, schema: TableSchema) -> None:
        """Raise the throttling error when the partition has written as much as it may."""
        bucket = self._writes
        if bucket.balance <= 0.0 and not bucket.admits(self._now_s()) and self.enforced(schema):
            raise self._refusal(schema, write=True)

    def charge_write(self, units_half: int) -> None:
        """So much was written."""
        self._writes.charge(units_half, self._now_s())

    def charge_result(self, result: WriteResult) -> None:
        """Charge what a write consumed of its table; global indexes have partitions of their own."""
        half = table_write_units_half(result.old_size, result.new_size, result.index_units)
        self._writes.charge(half, self._now_s())

    def charge_results(self, results: Iterable[Any]) -> None:
        """Charge the writes of a transaction, which consume twice as much of the table."""
        half = 0
        for each in results:
            if isinstance(each, WriteResult):
                own = write_units_half(max(each.old_size, each.new_size))
                half += own + table_write_units_half(each.old_size, each.new_size, each.index_units)
        self._writes.charge(half, self._now_s())

    def charge_failed(self, error: ApiError) -> None:
        """Charge a write whose condition failed; other failures cost nothing."""
        if error.type_name == CONDITION_FAILED:
            self._writes.charge(write_units_half(error.item_size), self._now_s())

    def reading(self, schema: TableSchema, consistent: bool, done: Done) -> Done:
        """Admit a read of one item; its answer goes through what is returned, and is charged."""
        self.admit_read(schema)
        bucket, now_s = self._reads, self._now_s

        def charged(answer: Any) -> None:
            if not isinstance(answer, ApiError):
                size = records.size(answer) if answer is not None else 0
                bucket.charge(read_units_half(size, consistent), now_s())
            done(answer)

        return charged

    def reading_several(self, schema: TableSchema, done: Done) -> Done:
        """The same for one of the two rounds in which a transaction reads."""
        self.admit_read(schema)
        bucket, now_s = self._reads, self._now_s

        def charged(answer: Any) -> None:
            if isinstance(answer, TransactVersions):
                sizes = (records.size(each) if each is not None else 0 for each in answer.records)
                bucket.charge(sum(read_units_half(size, True) for size in sizes), now_s())
            done(answer)

        return charged

    def ranging(self, schema: TableSchema, consistent: bool, done: Done) -> Done:
        """Admit a read of a range; its answer goes through what is returned, and is charged."""
        self.admit_read(schema)
        bucket, now_s = self._reads, self._now_s

        def charged(answer: Any) -> None:
            if isinstance(answer, RangeResult):
                half = read_units_half(answer.size_bytes, consistent)
                half += sum(read_units_half(size, consistent) for size in answer.fetched_sizes)
                bucket.charge(half, now_s())
            done(answer)

        return charged

    def holds_back(self, schema: TableSchema) -> bool:
        """Whether entries of a global index have to wait before they are written here."""
        return not self._writes.admits(self._now_s()) and self.enforced(schema)

    def enforced(self, schema: TableSchema) -> bool:
        """Whether the ceilings hold for a table in its billing mode."""
        return self._ceilings.mode == "on" or schema.billing_mode == PROVISIONED

    def _refusal(self, schema: TableSchema, *, write: bool) -> ApiError:
        index = self._index
        return throttled(
            KEY_RANGE_EXCEEDED,
            schema.arn if index is None else schema.index(index).arn,
            index=index is not None,
            write=write,
            provisioned=schema.billing_mode == PROVISIONED,
        )


def index_behind(schema: TableSchema, index_name: str) -> ApiError:
    """The refusal of a write of a table whose global index does not keep up with it."""
    return throttled(
        KEY_RANGE_EXCEEDED,
        schema.index(index_name).arn,
        index=True,
        write=True,
        provisioned=schema.billing_mode == PROVISIONED,
    )
