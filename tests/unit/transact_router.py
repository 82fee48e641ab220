"""A router's transactions over a real node, and a transport in between that does what a test says to messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from hashrange_node.transactions.upkeep import Upkeep
from hashrange_router.api.call import Call
from hashrange_router.api.context import RouterContext
from hashrange_router.api.operations import entries
from hashrange_router.api.tables_plan import Site
from hashrange_router.api.tables_quotas import Quotas

from hashrange.errors import ApiError, internal, unavailable
from hashrange.model import ledger
from hashrange.model import record as records
from hashrange.model.table import Partition
from hashrange.model.value import Item
from hashrange.runtime.clock import StampClock
from hashrange.wire import messages as wire
from hashrange.wire.cluster import SplitPartition
from hashrange.wire.faults import StaleRoute
from hashrange.wire.transactions import TransactFinish, TransactPrepare, TransactRead, TransactWrite

from .node_support import Bench

Rule = Callable[[str, int, Any], Any]
"""(step, how many of this step there were before, message) -> what happens to it; None: nothing special.

`lost`: it does not arrive, and is known not to have (503). `unknown`: it does not arrive, but might have (500).
`deaf`: it arrives, and its answer does not (500). `stale`: it does not arrive, and has to be sent elsewhere.
`never`: it is never answered. Any ApiError may be given instead."""

MIDDLE = 1 << 63

FATES = ("lost", "unknown", "deaf", "stale")


def step_of(message: Any) -> str:
    """What a message is for, in a word."""
    kind = message.__class__
    if kind is TransactFinish:
        return "commit" if message.commit else "cancel"
    if kind is wire.WriteItem:
        row = message.decoded or message.key_item
        name: str = row[ledger.KEY]["S"]
        if name.startswith("t#"):
            return "claim" if row["state"] == {"S": ledger.RUNNING} else "settle"
        if message.kind == wire.DELETE:
            return "clear"
        return "decide" if row["state"]["S"] == ledger.COMMITTED else "give up"
    names: dict[type, str] = {TransactPrepare: "prepare", TransactRead: "read", TransactWrite: "write"}
    return names.get(kind, str(kind.__name__))


class RouterBench(Bench):
    """A node with tables `Aaa`, `Bbb` and `Ccc` of one partition each and the ledger, and a router in front of it."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("Aaa", "Bbb", "Ccc"):
            self.create(name)
        self.upkeep = Upkeep(
            self.node,
            wall_ms=self.clock.wall_ms,
            monotonic=self.clock.monotonic,
            call_later=self.scheduler.call_later,
            report=lambda what, error: self.errors.append((what, error)),
        )
        self.children: dict[int, list[Partition]] = {}
        self.learnt: set[int] = set()
        self.context = self.router()
        self.rule: Rule = lambda step, number, message: None
        self.steps: list[str] = []
        self.operations = {entry.name: entry for entry in entries(self.context).values()}
        self.run(
            "TransactWriteItems", self.adding(("Aaa", "warm-up"), ("Bbb", "warm-up"))
        )  # makes the ledger
        self.steps.clear()

    def router(self) -> RouterContext:
        """A context of a router of its own."""
        ids = iter(range(1, 1_000_000))
        context = RouterContext(
            Site("us-east-1", "000000000000", Quotas()),
            "2026",
            lambda: self.clock.wall_ms() / 1000,
            lambda: f"id-{next(ids)}",
        )
        context.stamps = StampClock(self.clock)
        context.locate = self._locate
        catalogue = self.node.catalogue
        context.next_partition_id = lambda: catalogue.next_partition_id
        for name, document in catalogue.documents.items():
            context.follow(name, None, document)
        catalogue.subscribe(context.follow)
        return context

    # What the router sends.

    def send_routed(self, message: Any, done: wire.Done) -> None:
        """The router's transport."""
        step = step_of(message)
        fate = self.rule(step, self.steps.count(step), message)
        self.steps.append(step)
        if fate is None:
            self.node.send(message, done)
        elif isinstance(fate, ApiError):
            done(fate)
        elif fate == "deaf":
            self.node.send(message, lambda answer: done(internal("no answer")))
        elif fate == "lost":
            done(unavailable("not reached"))
        elif fate == "unknown":
            done(internal("nobody knows"))
        elif fate == "stale":
            done(StaleRoute(message.partition, []))

    def begin(self, operation: str, request: dict[str, Any]) -> list[Any]:
        """Start a call; the list receives its outcome: the reply as a document, or an ApiError."""
        outcomes: list[Any] = []
        bench = self

        class Way:
            def send(self, message: Any, done: wire.Done) -> None:
                bench.send_routed(message, done)

        def finish(call: Call, outcome: Any) -> None:
            outcomes.append(orjson.loads(outcome) if isinstance(outcome, bytes) else outcome)

        document = orjson.loads(orjson.dumps(request))
        entry = self.operations[operation]
        call = Call(operation, None, Way(), finish)
        try:
            entry.validate(document)
            generator = entry.handle(call, document)
        except ApiError as error:
            return [error]
        call.run(generator)
        return outcomes

    def run(self, operation: str, request: dict[str, Any]) -> Any:
        """Run a call to its end."""
        outcomes = self.begin(operation, request)
        self.scheduler.run(200)
        assert outcomes, f"not answered; sent so far: {self.steps}"
        if isinstance(outcomes[0], Exception) and not isinstance(outcomes[0], ApiError):
            raise outcomes[0]
        return outcomes[0]

    def recover(self, seconds: float = 6.0) -> None:
        """Let time pass, and nodes look after what has stalled."""
        self.clock.advance(seconds)
        for _ in range(3):
            self.upkeep.locks.look()
            self.scheduler.run(50)

    def split(self, table: str, learnt_after: int = 0) -> None:
        """Split the only partition of a table. The router learns of it once a message has gone astray so often."""
        schema = self.schema(table)
        parent = schema.partitions.all[0]
        ids = [parent.id + 100, parent.id + 101]
        assert self.send(SplitPartition(parent.id, MIDDLE, ids)) == []
        self.scheduler.run(seconds=0.1)
        children = [Partition(ids[0], 0, MIDDLE - 1), Partition(ids[1], MIDDLE, parent.hi)]
        self.children[parent.id] = children
        before = self.rule
        left = learnt_after

        def rule(step: str, number: int, message: Any) -> str | None:
            nonlocal left
            if getattr(message, "partition", 0) == parent.id:
                left -= 1
                if left <= 0:
                    self.learnt.add(parent.id)
                return "stale"
            return before(step, number, message)

        self.rule = rule
        if learnt_after == 0:
            self.learnt.add(parent.id)

    def _locate(self, partition: Partition, position: bytes) -> Partition:
        if partition.id not in self.learnt:
            return partition
        value = int.from_bytes(position[:8], "big")
        return next(each for each in self.children[partition.id] if each.lo <= value <= each.hi)

    # Requests and state.

    def names_apart(self, table: str) -> tuple[tuple[str, str], tuple[str, str]]:
        """Two items of a table that a split in the middle takes apart."""
        codec = self.schema(table).codec
        found: dict[bool, str] = {}
        for number in range(100):
            name = f"k{number}"
            found.setdefault(codec.encode({"pk": {"S": name}})[0] < 128, name)
        return (table, found[True]), (table, found[False])

    @staticmethod
    def adding(*items: tuple[str, str], token: str | None = None, **extra: Any) -> dict[str, Any]:
        """A request that adds one to `n` of each item: done twice, it would be seen."""
        request: dict[str, Any] = {
            "TransactItems": [
                {
                    "Update": {
                        "TableName": table,
                        "Key": {"pk": {"S": name}},
                        "UpdateExpression": "ADD n :one",
                        "ExpressionAttributeValues": {":one": {"N": "1"}},
                    }
                }
                for table, name in items
            ],
            **extra,
        }
        if token is not None:
            request["ClientRequestToken"] = token
        return request

    def count(self, table: str, name: str) -> int:
        """How often one was added to an item."""
        schema = self.schema(table)
        key = schema.codec.encode({"pk": {"S": name}})
        partition = self._locate(schema.partition_for(key), key)
        [record] = self.send(wire.ReadItem(partition.id, 0, key, True))
        item = records.item_json(record) if record is not None else None
        return 0 if item is None else int(orjson.loads(item)["n"]["N"])

    def counts(self, *items: tuple[str, str]) -> list[int]:
        """The same for several items."""
        return [self.count(table, name) for table, name in items]

    def row(self, key: Item) -> Item | None:
        """A row of the ledger."""
        found = self.read(key, ledger.LEDGER_TABLE)
        return orjson.loads(found) if found is not None else None

    def locks(self) -> int:
        """Items locked in all tables."""
        return self.node.transactions.locks_held
