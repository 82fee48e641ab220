"""Admission: counts what the requests of this router consume and, when throttling is on, refuses them in time.

    context.admission = meter = Meter(context.get)                       # throttling off: counts only
    context.admission = meter = Enforcer(context.get, clock.monotonic, Rules("on", 1.0, alone=True))

Operations ask `read` or `write` before they send a message and `charge_read` or `charge_write` when the answer says
what was consumed (`Admission` in hashrange_router.api.context). Nothing is reserved in between, so requests that are
under way at the same moment may overdraw a budget together; the debt is waited for.

Whoever shares a table's capacity among the routers (the vendor, in a cluster) is told `needs()` about once a second
and `accept` takes its answer over: a grant for each table and index that it was told of. A router that hears nothing
goes on at the rate of its last share.

State is one entry per table name, checked by the identity of the schema: a changed document makes a new schema, and
the first request that brings it along has the budgets fitted to it, keeping balances.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hashrange.errors import ApiError
from hashrange.model.ledger import SYSTEM_PREFIX
from hashrange.model.table import IndexSchema, TableSchema
from hashrange.model.table_document import TableDocument
from hashrange.model.throttling import reasons_of, throttled
from hashrange.model.value import Item
from hashrange.wire.capacity import Answer, CapacityNeed
from hashrange_router.capacity.resource import REFUSED_HALF, Budget, Resource, Rules, TableState

GLOBAL = "GSI"


class Meter:
    """Counts what is consumed and refuses nothing.

    `documents` finds the document of a table, or None; `schemas` are those of the tables that can be used.
    """

    def __init__(
        self,
        documents: Callable[[str], TableDocument | None],
        schemas: Mapping[str, TableSchema] | None = None,
    ) -> None:
        self._documents = documents
        self._schemas = schemas if schemas is not None else {}
        self._states: dict[str, TableState] = {}
        self.throttles: dict[tuple[str, str], int] = {}
        """How often a request of a table was refused for a reason, wherever that was."""

    # The `Admission` protocol.

    def read(self, table: TableSchema, index: str | None) -> None:
        """Every read is admitted."""

    def write(self, table: TableSchema, item: Item | None) -> None:
        """Every write is admitted."""

    def charge_read(self, table: TableSchema, index: str | None, units_half: int) -> None:
        """A read has consumed so much of the table, or of a global index."""
        state = self._states.get(table.name)
        if state is None or state.schema is not table:
            state = self._renewed(table)
        resource = state.table if index is None else state.indexes.get(index)
        if resource is not None:
            resource.reads.used += units_half

    def charge_write(
        self, table: TableSchema, units_half: int, index_units: list[tuple[str, str, int]] | None
    ) -> None:
        """A write has consumed so much of the table, and of global indexes (others in the list are the table's)."""
        state = self._states.get(table.name)
        if state is None or state.schema is not table:
            state = self._renewed(table)
        state.table.writes.used += units_half
        if index_units is not None:
            for kind, name, half in index_units:
                resource = state.indexes.get(name) if kind == GLOBAL else None
                if resource is not None:
                    resource.writes.used += half

    def note(self, table: str, error: ApiError) -> None:
        """Count a refusal for want of capacity; other errors are not counted."""
        for reason in reasons_of(error):
            key = (table, reason)
            self.throttles[key] = self.throttles.get(key, 0) + 1

    def follow(self, name: str, before: TableDocument | None, after: TableDocument | None) -> None:
        """A table has come, changed or gone: what is saved up counts from here, not from the first request.

        To be told after `documents` and `schemas` know.
        """
        if after is None:
            self.forget(name)
        elif name in self._schemas and not name.startswith(SYSTEM_PREFIX):
            self._renewed(self._schemas[name])

    # What is told to others.

    def needs(self) -> list[CapacityNeed]:
        """What was used and refused of each table and index since the last call; nothing for those at rest."""
        found = []
        for name, state in list(self._states.items()):
            document = self._documents(name)
            if document is None or document["TableId"] != state.schema.table_id:
                del self._states[name]
                continue
            for resource in state.resources:
                need = resource.take(self._now_s())
                if need is not None:
                    found.append(need)
        return found

    def accept(self, answer: Answer) -> None:
        """Nothing is enforced: nothing is granted."""

    def resources(self) -> list[Resource]:
        """Every table and global index that a request has named, for the metrics."""
        return [resource for state in self._states.values() for resource in state.resources]

    def forget(self, table: str) -> None:
        """Drop everything about a table that was deleted; not if there is one of that name again."""
        if self._documents(table) is not None:
            return
        self._states.pop(table, None)
        for key in [key for key in self.throttles if key[0] == table]:
            del self.throttles[key]

    def _now_s(self) -> float:
        return 0.0

    def _renewed(self, table: TableSchema) -> TableState:
        """The state of a table whose schema is not the one that the state was made for."""
        before = self._states.get(table.name)
        same = before is not None and before.schema.table_id == table.table_id
        if before is not None and same and before.schema.generation > table.generation:
            return before  # a request that began before the change
        state = TableState(table)
        document = self._documents(table.name)
        if document is None or document["TableId"] != table.table_id:
            return state  # a request for a table that is gone: not to be taken for another of its name
        if before is not None and same:
            state.adopt(before)
        changed = before is not None and same and before.provisioned != state.provisioned
        self._fit(state, document, changed)
        self._states[table.name] = state
        return state

    def _fit(self, state: TableState, document: TableDocument, changed: bool) -> None:
        """Give the state of a table its budgets."""
        Rules("off", 1.0, True).apply(state, document, changed, 0.0)


class Enforcer(Meter):
    """Counts, and refuses what a table or index has no capacity for. `now_s`: monotonic seconds."""

    def __init__(
        self,
        documents: Callable[[str], TableDocument | None],
        now_s: Callable[[], float],
        rules: Rules,
        schemas: Mapping[str, TableSchema] | None = None,
    ) -> None:
        super().__init__(documents, schemas)
        self._clock = now_s
        self._rules = rules
        self.on_dry: Callable[[], None] = lambda: None
        """Called when a bucket runs dry, a request is refused, or a bucket has had no grant yet."""

    def read(self, table: TableSchema, index: str | None) -> None:
        """Refuse a read of the table, or of a global index, that has no capacity left."""
        state = self._states.get(table.name)
        if state is None or state.schema is not table:
            state = self._renewed(table)
        resource = state.table if index is None else state.indexes.get(index, state.table)
        bucket = resource.reads.bucket
        if bucket is not None and bucket.balance <= 0.0 and not bucket.admits(self._clock()):
            raise self._refusal(state, resource, resource.reads, write=False)

    def write(self, table: TableSchema, item: Item | None) -> None:
        """Refuse a write when the table has no capacity left, or a global index that it may change."""
        state = self._states.get(table.name)
        if state is None or state.schema is not table:
            state = self._renewed(table)
        resource = state.table
        bucket = resource.writes.bucket
        if bucket is not None and bucket.balance <= 0.0 and not bucket.admits(self._clock()):
            raise self._refusal(state, resource, resource.writes, write=True)
        for index, resource in state.behind:
            bucket = resource.writes.bucket
            if (
                bucket is not None
                and bucket.balance <= 0.0
                and _may_change(index, item)
                and not bucket.admits(self._clock())
            ):
                raise self._refusal(state, resource, resource.writes, write=True)

    def charge_read(self, table: TableSchema, index: str | None, units_half: int) -> None:
        """A read has consumed so much of the table, or of a global index."""
        state = self._states.get(table.name)
        if state is None or state.schema is not table:
            state = self._renewed(table)
        resource = state.table if index is None else state.indexes.get(index)
        if resource is not None:
            budget = resource.reads
            budget.used += units_half
            if budget.bucket is not None:
                budget.bucket.charge(units_half, self._clock())
                if budget.bucket.balance <= 0.0:
                    self.on_dry()

    def charge_write(
        self, table: TableSchema, units_half: int, index_units: list[tuple[str, str, int]] | None
    ) -> None:
        """A write has consumed so much of the table, and of global indexes (others in the list are the table's)."""
        state = self._states.get(table.name)
        if state is None or state.schema is not table:
            state = self._renewed(table)
        budget = state.table.writes
        budget.used += units_half
        if budget.bucket is not None:
            budget.bucket.charge(units_half, self._clock())
            if budget.bucket.balance <= 0.0:
                self.on_dry()
        if index_units is not None:
            for kind, name, half in index_units:
                resource = state.indexes.get(name) if kind == GLOBAL else None
                if resource is not None:
                    budget = resource.writes
                    budget.used += half
                    if budget.bucket is not None:
                        budget.bucket.charge(half, self._clock())
                        if budget.bucket.balance <= 0.0:
                            self.on_dry()

    def accept(self, answer: Answer) -> None:
        """Take over the grants of an answer to `needs()`; what is granted for a table that is gone is ignored.

        Rates and tokens are taken as they are: whoever grants has applied the multiplier.
        """
        now_s = self._clock()
        until_s = now_s + answer["valid_ms"] / 1000
        for grant in answer["grants"]:
            state = self._states.get(grant["table"])
            if state is None:
                continue
            resource = state.indexes.get(grant["index"]) if grant["index"] else state.table
            if resource is not None:
                for budget, name in ((resource.reads, "read"), (resource.writes, "write")):
                    if budget.bucket is not None:
                        budget.bucket.grant(grant[name], grant[name + "_rate"], until_s, now_s)
                        budget.limit = grant[name + "_limit"]

    def _now_s(self) -> float:
        return self._clock()

    def _fit(self, state: TableState, document: TableDocument, changed: bool) -> None:
        if self._rules.apply(state, document, changed, self._clock()):
            self.on_dry()

    def _refusal(self, state: TableState, resource: Resource, budget: Budget, *, write: bool) -> ApiError:
        budget.refused += REFUSED_HALF
        self.on_dry()
        return throttled(
            budget.limit,
            resource.arn,
            index=resource.index != "",
            write=write,
            provisioned=state.provisioned,
        )


def _may_change(index: IndexSchema, item: Item | None) -> bool:
    """Whether a write may change an index: not a put without the index's keys, which leaves no entry.

    The entry of an item that is overwritten so does go away; it is charged, and later writes wait for it.
    """
    return item is None or all(name in item for name in index.key_names)
