"""A node on memory with a global table, as one of several regions: writes to it, and what it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hashrange_node.regions import versions
from hashrange_node.storage import keyspace
from hashrange_router.api.tables_create import plan_create

from hashrange.model import record as records
from hashrange.model.regions import region_number
from hashrange.model.stream_record import StreamRecord, unpack
from hashrange.model.table_document import TableDocument
from hashrange.wire.messages import ChangeTable
from hashrange.wire.regions import ApplyReplicated, ReplicatedOutcome

from .transact_support import TransactBench

REGIONS = ("us-east-1", "eu-west-1", "ap-northeast-1")
NUMBER = {name: region_number(name) for name in REGIONS}


def table_document(**extra: Any) -> TableDocument:
    """The document of a table `Things` with the partition 1."""
    request = {
        "TableName": "Things",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
        **extra,
    }
    ids = iter(range(1, 20))
    return plan_create(
        request,
        now=1.0,
        table_id="id-Things",
        region="us-east-1",
        account="000000000000",
        next_partition_ids=lambda: next(ids),
    )


def replication(own: str, regions: Sequence[str] = REGIONS) -> dict[str, Any]:
    """The member `Replication` of a table that all regions have."""
    replicas = {
        name: {"Status": "ACTIVE", "Slot": slot, "Filled": True} for slot, name in enumerate(sorted(regions))
    }
    return {"Region": own, "Version": [1, own], "Replicas": replicas}


class RegionBench(TransactBench):
    """The node of one region, with the global table `Things`."""

    def __init__(self, own: str = REGIONS[0], regions: Sequence[str] = REGIONS, **extra: Any) -> None:
        super().__init__(**extra)
        self.own = own
        self.sweeper: Any = None
        self.replicate(regions)

    def change(self, **members: Any) -> None:
        """Change members of the table's document; None takes one away."""
        document: Any = dict(self.node.catalogue.documents["Things"])
        expected = (document["TableId"], document["Generation"])
        for name, value in members.items():
            document[name] = value
            if value is None:
                del document[name]
        document["Generation"] += 1
        assert self.ask(ChangeTable("Things", expected, document, [])) is not None

    def replicate(self, regions: Sequence[str] | None) -> None:
        """Let the table be a global one in these regions; None: no longer."""
        self.change(Replication=replication(self.own, regions) if regions is not None else None)

    def kept(self, space: int) -> dict[bytes, bytes]:
        """What the table's store has in a space, by relative key."""
        prefix = keyspace.space_prefix(self.schema().partitions.all[0].id, space)
        return {key[len(prefix) :]: value for key, value in self.engine.scan(prefix, prefix + b"\xff" * 40)}

    @property
    def marks(self) -> dict[bytes, tuple[int, int]]:
        """Stamp and bits of the marked items."""
        return {key: versions.unpack_mark(value) for key, value in self.kept(keyspace.MARKS).items()}

    @property
    def tombstones(self) -> dict[bytes, bytes]:
        """The tombstones."""
        return self.kept(keyspace.TOMBSTONES)

    def state(self) -> dict[bytes, tuple[tuple[int, int], bytes]]:
        """Version and JSON of every item that is there: what all regions must agree on."""
        return {
            key: (records.item_version(record), records.item_json(record))
            for key, record in self.kept(keyspace.ITEMS).items()
        }

    def version(self, name: str) -> bytes:
        """What this region would send of an item: its record, or its tombstone."""
        key = self.key(name)
        record = self.kept(keyspace.ITEMS).get(key)
        return record if record is not None else self.tombstones[key]

    def stream_records(self) -> list[StreamRecord]:
        """What the table's stream has recorded."""
        return [
            unpack(int.from_bytes(key[-15:], "big"), value)
            for key, value in self.kept(keyspace.STREAM).items()
        ]

    def receive(self, *entries: tuple[bytes, bytes], source: str = REGIONS[1]) -> bytes:
        """Take what another region sends; the outcomes."""
        answer = self.ask(self.message(*entries, source=source))
        assert isinstance(answer, ReplicatedOutcome), answer
        return answer.outcomes

    def message(self, *entries: tuple[bytes, bytes], source: str = REGIONS[1]) -> ApplyReplicated:
        """A message from another region to the table's only partition."""
        return ApplyReplicated(self.replica.id, 1, source, list(entries))
