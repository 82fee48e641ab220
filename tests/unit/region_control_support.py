"""Regions of a global table in one process: each with a catalogue, the operations of a router and its loop.

Links are calls that take effect when `World.run` lets them: in any order, and with what goes wrong with links.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

import orjson
from hashrange_router.api.call import Call
from hashrange_router.api.context import RouterContext
from hashrange_router.api.operations import entries
from hashrange_router.api.tables_plan import Site
from hashrange_router.api.tables_quotas import Quotas
from hashrange_router.regions.control import answer, parsed
from hashrange_router.regions.reconcile import Reconciler
from hashrange_router.regions.steps import Scope, run
from hashrange_router.scaling.service import scaling_service

from hashrange.errors import ApiError
from hashrange.model.table_document import ACTIVE, CREATING, DELETING, TableDocument
from hashrange.model.table_state import index_activated, index_removed, stream_settled, table_activated
from hashrange.wire import messages as wire
from hashrange.wire.documents import ChangeDocument
from hashrange.wire.messages import ChangeTable, ConflictError, WhenSettled

NOW = 1_800_000_000.0
TABLE: dict[str, Any] = {
    "TableName": "orders",
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
}


class World:
    """Time, and what is to happen: regions by name, links that may be cut, answers that may be lost."""

    def __init__(self, *regions: str, seed: int = 1) -> None:
        self.now = NOW
        self.random = Random(seed)
        self.queue: list[tuple[float, int, Callable[[], None]]] = []
        self._turn = count()
        self.cut: set[frozenset[str]] = set()
        self.lossy = 0.0
        """Share of answers that are lost, and of messages that come twice."""
        self.regions = {name: Region(self, name) for name in regions}

    def __getitem__(self, name: str) -> Region:
        return self.regions[name]

    def later(self, delay_s: float, callback: Callable[[], None]) -> None:
        self.queue.append((self.now + delay_s, next(self._turn), callback))

    def run(self, seconds: float) -> None:
        """Let so much time go by."""
        end = self.now + seconds
        while self.queue:
            due = min(self.queue, key=lambda each: each[:2])
            if due[0] > end:
                break
            self.queue.remove(due)
            self.now = max(self.now, due[0])
            due[2]()
        self.now = end

    def post(self, source: str, region: str, body: bytes, done: Callable[[Any], None]) -> None:
        """A message on its way: it arrives a little later, or not."""

        def arrive() -> None:
            target = self.regions.get(region)
            if target is None or frozenset((source, region)) in self.cut:
                self.later(self.random.random(), lambda: done(RuntimeError(f"{region} cannot be reached")))
                return
            lost = self.random.random() < self.lossy
            if self.random.random() < self.lossy:
                target.receive(body, lambda reply: None)
            target.receive(
                body,
                lambda reply: self.later(
                    self.random.random() * 0.05,
                    lambda: done(RuntimeError("no answer") if lost else reply),
                ),
            )

        self.later(self.random.random() * 0.05, arrive)


class Region:
    """One region: a catalogue that settles tables and indexes by itself, and a router."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.known: set[str] | None = None
        """Regions with an endpoint here; None: all."""
        self.items: dict[str, int] = {}
        ids = count(1)
        site = Site(name, "000000000000", Quotas())
        self.context = RouterContext(site, "2026", lambda: world.now, lambda: f"{name}-{next(ids)}")
        self.context.links = self
        self._partitions = 0
        self.context.next_partition_id = lambda: self._partitions + 1
        self._generations = count(1)
        self.entries = {entry.name: entry for entry in entries(self.context).values()}
        for entry in scaling_service(self.context).entries.values():
            self.entries.setdefault(entry.name, entry)  # tags are those of tables
        self.scope = Scope(self.context, self)
        self.problems: list[BaseException] = []
        self.notes: list[dict[str, Any]] = []
        self.reconciler = Reconciler(
            self.scope,
            self,
            call_later=world.later,
            monotonic=lambda: world.now,
            note=lambda event, **details: self.notes.append(details),
            report=lambda what, error: self.problems.append(error),
        )
        self.reconciler.start()

    # RegionLinks

    def knows(self, region: str) -> bool:
        return region != self.name and (self.known is None or region in self.known)

    def post(self, region: str, path: str, body: bytes, done: Callable[[Any], None]) -> None:
        self.world.post(self.name, region, body, done)

    def receive(self, body: bytes, done: Callable[[Any], None]) -> None:
        def finish(outcome: Any) -> None:
            done(outcome if isinstance(outcome, Exception) else orjson.dumps(outcome))

        try:
            steps = answer(self.scope, parsed(body))
        except ApiError as error:
            done(error)
            return
        run(self, steps, finish)

    # Transport

    def send(self, message: Any, done: Callable[[Any], None]) -> None:
        if isinstance(message, ChangeTable):
            done(self._change(message))
        elif isinstance(message, ChangeDocument):
            done(self._change_document(message))
        elif isinstance(message, WhenSettled):
            self.world.later(0.02, lambda: done(None))
        elif isinstance(message, wire.TableStatistics):
            done({None: (self.items.get(message.name, 0), 0)})
        else:
            raise AssertionError(f"nobody expected {message}")

    def _change(self, change: ChangeTable) -> Any:
        before = self.context.documents.get(change.name)
        expected = (before["TableId"], before["Generation"]) if before is not None else None
        if change.expected != expected or any(each <= self._partitions for each in change.partition_ids):
            return ConflictError()
        self._partitions = max([self._partitions, *change.partition_ids])
        after = copy.deepcopy(change.document)
        if before is not None and after is not None:
            assert after["Generation"] == before["Generation"] + 1
        self.follow(change.name, after)
        return after

    def follow(self, name: str, after: TableDocument | None) -> None:
        before = self.context.documents.get(name)
        self.context.follow(name, before, after)
        self.reconciler.follow(name, before, after)
        if after is not None:
            self.world.later(0.01, lambda: self._settle(name))

    def _settle(self, name: str) -> None:
        """What the control plane does."""
        document = self.context.documents.get(name)
        if document is None:
            return
        if document["Status"] == DELETING:
            self.follow(name, None)
            return
        after = document
        if document["Status"] == CREATING:
            after = table_activated(document, self.world.now)
        elif "StreamChanging" in document:
            after = stream_settled(document)
        else:
            for index in document["GlobalSecondaryIndexes"]:
                if index["Status"] == CREATING:
                    after = index_activated(document, index["IndexName"], self.world.now)
                elif index["Status"] == DELETING:
                    after = index_removed(document, index["IndexName"])
            for region, replica in document.get("Replication", {}).get("Replicas", {}).items():
                if not replica["Filled"] and after is document:
                    after = copy.deepcopy(document)
                    after["Replication"]["Replicas"][region].update(Filled=True, Status=ACTIVE)
                    after["Generation"] += 1
        if after is not document:
            self.follow(name, after)

    def _change_document(self, change: ChangeDocument) -> Any:
        known = self.context.controls.get(change.kind, change.name)
        if change.expected != (known["generation"] if known is not None else None):
            return ConflictError()
        after: Any = None
        if change.document is not None:
            after = {"generation": next(self._generations), "document": copy.deepcopy(change.document)}
        self.context.controls.put(change.kind, change.name, after)
        return after

    # The API

    def call(self, operation: str, **request: Any) -> Any:
        """The reply to a request, after as much time as it takes; ApiError."""
        entry = self.entries[operation]
        outcomes: list[Any] = []
        try:
            entry.validate(request)
            call = Call(operation, None, self, lambda call, outcome: outcomes.append(outcome))
            call.entry = entry
            call.run(entry.handle(call, request))
        except ApiError as error:
            raise entry.finish_error(operation, error) from None
        for _ in range(2_000):
            if outcomes:
                break
            self.world.run(0.01)
        if isinstance(outcomes[0], ApiError):
            raise entry.finish_error(operation, outcomes[0])
        if isinstance(outcomes[0], Exception):
            raise outcomes[0]
        return orjson.loads(outcomes[0]) if outcomes[0] else None

    def refused(self, operation: str, **request: Any) -> tuple[str, str]:
        """Type and text of the refusal."""
        try:
            reply = self.call(operation, **request)
        except ApiError as error:
            return error.type_name, str(error.message)
        raise AssertionError(f"it was accepted: {reply}")

    def table(self, name: str = "orders") -> dict[str, Any]:
        """DescribeTable."""
        found: dict[str, Any] = self.call("DescribeTable", TableName=name)["Table"]
        return found

    def replicas(self, name: str = "orders") -> dict[str, str]:
        """Status of each other replica."""
        return {each["RegionName"]: each["ReplicaStatus"] for each in self.table(name).get("Replicas", [])}

    def replicate(self, region: str, name: str = "orders", **action: Any) -> Any:
        """UpdateTable with a Create."""
        create = {"Create": {"RegionName": region, **action}}
        return self.call("UpdateTable", TableName=name, ReplicaUpdates=[create])

    def has(self, name: str = "orders") -> bool:
        """Whether there is such a table."""
        return self.context.get(name) is not None
