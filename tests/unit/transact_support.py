"""A node on memory whose tables are used by transactions: messages by short names, and the answers to them."""

from __future__ import annotations

from typing import Any

from hashrange_node.meta.catalogue import Catalogue
from hashrange_node.replica.replica import Replica
from hashrange_node.storage import keyspace
from hashrange_node.transactions.upkeep import Upkeep
from hashrange_router.api.tables_create import plan_create

from hashrange.expr import compile_condition, compile_update
from hashrange.model import ledger
from hashrange.wire.cluster import SplitPartition
from hashrange.wire.messages import DELETE, PUT, UPDATE, ChangeTable, WriteItem
from hashrange.wire.transactions import (
    CHECK,
    TransactFinish,
    TransactOutcome,
    TransactPrepare,
    TransactRead,
    TransactVersions,
    TransactWrite,
)

from .node_support import Bench

MIDDLE = 1 << 63
KINDS = {"put": PUT, "delete": DELETE, "update": UPDATE, "check": CHECK}


def txid(number: int) -> bytes:
    return number.to_bytes(16, "big")


def ledger_change(catalogue: Catalogue) -> ChangeTable:
    """What creates the ledger."""
    first = catalogue.next_partition_id
    document = plan_create(
        {
            "TableName": "Ledger",
            "KeySchema": [{"AttributeName": ledger.KEY, "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": ledger.KEY, "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        },
        now=1.0,
        table_id="id-ledger",
        region="us-east-1",
        account="000000000000",
        next_partition_ids=lambda: first,
    )
    document["TableName"] = ledger.LEDGER_TABLE
    document["TimeToLive"] = {"AttributeName": ledger.TTL_ATTRIBUTE, "ChangedAt": 1}
    return ChangeTable(ledger.LEDGER_TABLE, None, document, [first])


class TransactBench(Bench):
    """A bench with one table, `Things`, of one partition to begin with."""

    def __init__(self, log: Any = None, engine: Any = None, create: bool = True, **extra: Any) -> None:
        super().__init__(log, engine)
        self.upkeep = Upkeep(
            self.node,
            wall_ms=self.clock.wall_ms,
            monotonic=self.clock.monotonic,
            call_later=self.scheduler.call_later,
            report=lambda what, error: self.errors.append((what, error)),
        )
        if create:
            self.create(**extra)

    def create_ledger(self) -> None:
        self.send(ledger_change(self.node.catalogue))
        self.scheduler.run()

    @property
    def replica(self) -> Replica:
        return self.node.replicas[self.schema().partitions.all[0].id]

    def stamp(self) -> int:
        """A stamp of a coordinator whose clock is like this node's."""
        return self.node.stamps.next()

    def key(self, name: str) -> bytes:
        return self.schema().codec.encode({"pk": {"S": name}})

    def action(
        self,
        kind: str,
        name: str,
        attributes: dict[str, Any] | None = None,
        condition: str | None = None,
        update: str | None = None,
        values: dict[str, Any] | None = None,
        old: bool = False,
    ) -> WriteItem:
        """An action on the item `name`."""
        if kind == "put":
            action = self.put_message({"pk": {"S": name}, **(attributes or {})})
        else:
            action = WriteItem(0, 0, KINDS[kind], self.key(name))
            action.key_item = {"pk": {"S": name}}
        if condition is not None:
            action.condition = compile_condition(condition, None, values)
        if update is not None:
            action.update = compile_update(update, None, values)
        action.want_old_on_failure = old
        return action

    def commit(
        self, number: int, *actions: WriteItem, digest: bytes = b"d", partition: int | None = None
    ) -> TransactOutcome:
        return self.ask(TransactWrite(partition or self.replica.id, 0, txid(number), list(actions), digest))

    def prepare(
        self, number: int, stamp: int, *actions: WriteItem, marker: bytes = b"", partition: int | None = None
    ) -> TransactOutcome:
        message = TransactPrepare(partition or self.replica.id, 0, txid(number), stamp, list(actions), marker)
        return self.ask(message)

    def finish(self, number: int, commit: bool = True, partition: int | None = None) -> Any:
        return self.ask(TransactFinish(partition or self.replica.id, 0, txid(number), commit, []))

    def versions(self, *names: str, partition: int | None = None) -> TransactVersions:
        keys = [self.key(name) for name in names]
        return self.ask(TransactRead(partition or self.replica.id, 0, keys))

    def ask(self, message: Any) -> Any:
        answers = self.send(message)
        self.scheduler.run()
        assert len(answers) == 1, "one answer to every message"
        return answers[0]

    def release(self) -> None:
        """Let the log finish the syncs that it held, and hold no more."""
        self.scheduler.run()
        while self.log.held:
            self.log.release()
            self.scheduler.run()
        self.log.held = None

    def write(self, action: WriteItem) -> Any:
        """Send an action as an ordinary write."""
        action.partition = self.schema().partition_for(action.key).id
        return self.ask(action)

    def get(self, name: str) -> bytes | None:
        return self.read({"pk": {"S": name}})

    def split(self, at: int = MIDDLE) -> tuple[int, int]:
        """Split the table's partition; the catalogue does not learn of it. Returns the children's ids."""
        parent = self.replica.id
        children = [parent + 100, parent + 101]
        assert self.ask(SplitPartition(parent, at, children)) is None
        self.scheduler.run(seconds=0.1)
        return children[0], children[1]

    def stored(self, space: int) -> list[bytes]:
        """The relative keys in a space of the table's store."""
        prefix = keyspace.space_prefix(self.schema().partitions.all[0].id, space)
        return [key[len(prefix) :] for key, _ in self.engine.scan(prefix, prefix + b"\xff" * 40)]

    def advance(self, seconds: float) -> None:
        """Let time pass, in steps in which timers go off."""
        for _ in range(max(1, int(seconds * 2))):
            self.clock.advance(0.5)
            self.scheduler.run(ticks=3, seconds=0.5 / 3)


def names_on(bench: TransactBench, low: int, high: int, at: int = MIDDLE) -> tuple[list[str], list[str]]:
    """Names of items whose hashes lie below `at`, and at or above it."""
    below: list[str] = []
    above: list[str] = []
    for number in range(1000):
        name = f"k{number}"
        found = below if int.from_bytes(bench.key(name)[:8], "big") < at else above
        found.append(name)
        if len(below) >= low and len(above) >= high:
            break
    return below[:low], above[:high]
