"""A table with a stream whose partitions are made up: what the API makes of their answers, without a node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from hashrange_router.api.call import Call
from hashrange_router.api.context import RouterContext
from hashrange_router.api.operations import entries
from hashrange_router.api.tables import create_table
from hashrange_router.api.tables_plan import Site
from hashrange_router.api.tables_quotas import Quotas

from hashrange.errors import ApiError, resource_not_found
from hashrange.model.stream_record import images_of, pack
from hashrange.model.stream_sequence import sequence_from, sequence_of, sequence_text, shard_id
from hashrange.model.table_document import ACTIVE, HASH_MAX, TableDocument, revised
from hashrange.model.table_state import stream_settled
from hashrange.model.value import Item, dump, item_size
from hashrange.wire.documents import ChangeDocument
from hashrange.wire.messages import ConflictError, Done
from hashrange.wire.streams import LocateRecord, ReadRecords, ReadShards, RecordPage, Shard

NAME = "orders"
MIDDLE = 1 << 63
START_S = 1_700_000_000.0
BOTH = "NEW_AND_OLD_IMAGES"


class FakePartition:
    """One partition: the shards that lie with it and their records, as a leader would answer for them."""

    def __init__(self, number: int, lo: int, hi: int) -> None:
        self.id, self.lo, self.hi = number, lo, hi
        self.shards: dict[str, Shard] = {}
        self.records: dict[str, list[tuple[int, int, bytes]]] = {}

    def answer(self, message: Any) -> Any:
        """What a node answers."""
        if isinstance(message, ReadShards):
            mine = [shard.to_document() for shard in self.shards.values() if shard.label == message.label]
            return {"lo": self.lo, "hi": self.hi, "shards": mine}
        shard = self.shards.get(message.shard)
        if shard is None:
            return resource_not_found("no such shard here")
        if isinstance(message, LocateRecord):
            behind = [
                number
                for number, at_ms, _ in self.records[shard.id]
                if message.at_ms is None or at_ms < message.at_ms
            ]
            return {"after": sequence_text(max(behind, default=shard.start))}
        return self._page(shard, message)

    def _page(self, shard: Shard, message: ReadRecords) -> RecordPage | ApiError:
        if 0 < message.after < shard.trimmed:
            return ApiError("TrimmedDataAccessException", "trimmed")
        left = [(number, value) for number, _, value in self.records[shard.id] if number > message.after]
        page: list[tuple[int, bytes]] = []
        room = message.max_bytes
        for number, value in left[: message.limit]:
            room -= len(value)
            if room < 0 and page:
                break
            page.append((number, value))
        after = page[-1][0] if page else max(message.after, shard.start)
        return RecordPage(page, after, not shard.open and len(page) == len(left))


class FakeStream:
    """A router in front of made-up partitions. `asked` are the messages that it sent."""

    def __init__(self, view_type: str = BOTH) -> None:
        self.now_s = START_S
        self.asked: list[Any] = []
        self.ids = iter(range(1, 1_000_000))
        self.generation = 0
        self.partitions: list[FakePartition] = []
        self.context = self.router()
        self.view_type = view_type
        request = {
            "TableName": NAME,
            "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": view_type},
        }
        made = create_table(
            request,
            self.context,
            self.context.site,
            now=self.now_s,
            table_id="t-1",
            next_partition_ids=lambda: 1,
        )
        document = revised(made.document)
        document["Status"] = ACTIVE
        self.document: TableDocument = stream_settled(document)
        self.follow(self.document)
        self.arn: str = self.document["LatestStreamArn"]
        self.label: str = self.document["LatestStreamLabel"]
        self.partitions = [FakePartition(1, 0, HASH_MAX)]
        self.first = self.open(self.partitions[0], None)

    def router(self) -> RouterContext:
        """A context; give it to `operations` for another router of the same cluster."""
        return RouterContext(
            Site("us-east-1", "000000000000", Quotas()),
            "2026",
            lambda: self.now_s,
            lambda: f"id-{next(self.ids)}",
        )

    def follow(self, document: TableDocument, name: str = NAME) -> None:
        """The catalogue has another document of a table."""
        self.context.follow(name, None, document)

    # What becomes of the shards.

    def open(self, partition: FakePartition, parent: str | None, at_index: int = 1) -> Shard:
        """A partition opens a shard."""
        opened_ms = int(self.now_s * 1000)
        shard = Shard(
            shard_id(partition.id, opened_ms),
            self.label,
            self.view_type,
            partition.id,
            partition.lo,
            parent,
            sequence_of(partition.id, at_index, 0),
            opened_ms,
        )
        partition.shards[shard.id] = shard
        partition.records[shard.id] = []
        return shard

    def change(self, shard: Shard, index: int, key: str, new: Item | None, old: Item | None = None) -> int:
        """An entry of the log changes an item; returns the number of its record."""
        partition = next(each for each in self.partitions if shard.id in each.shards)
        number = sequence_of(partition.id, index)
        at_ms = int(self.now_s * 1000)
        wants_old, wants_new = images_of(self.view_type)
        old_image = old if wants_old else None
        new_image = new if wants_new else None
        value = pack(
            "INSERT" if old is None else "MODIFY" if new is not None else "REMOVE",
            self.context.tables[NAME].codec.encode({"p": {"S": key}}),
            dump(old_image) if old_image is not None else None,
            dump(new_image) if new_image is not None else None,
            sum(item_size(image) for image in (old_image, new_image) if image is not None),
            at_ms << 16,
            False,
        )
        partition.records[shard.id].append((number, at_ms, value))
        return number

    def split(self, partition: FakePartition, index: int) -> list[Shard]:
        """A split: the lower child has the parent's shards, which are closed, and both open one."""
        middle = (partition.lo + partition.hi + 1) // 2
        lower = FakePartition(self._next_id(), partition.lo, middle - 1)
        upper = FakePartition(lower.id + 1, middle, partition.hi)
        place = self.partitions.index(partition)
        self.partitions[place : place + 1] = [lower, upper]
        lower.shards, lower.records = partition.shards, partition.records
        open_ones = [shard for shard in lower.shards.values() if shard.open]
        for shard in open_ones:
            self.close(lower, shard, sequence_of(partition.id, index))
        self.now_s += 1
        return [self.open(child, open_ones[-1].id) for child in (lower, upper)]

    def close(self, partition: FakePartition, shard: Shard, end: int) -> Shard:
        """Nothing more comes in a shard."""
        closed = Shard.from_document(
            shard.to_document() | {"end": str(end), "closed": int(self.now_s * 1000)}
        )
        partition.shards[shard.id] = closed
        return closed

    def trim(self, partition: FakePartition, shard: Shard, up_to: int) -> None:
        """Records up to a number are gone."""
        known = partition.shards[shard.id]
        partition.shards[shard.id] = Shard.from_document(known.to_document() | {"trimmed": str(up_to)})
        partition.records[shard.id] = [each for each in partition.records[shard.id] if each[0] > up_to]

    def _next_id(self) -> int:
        return max(partition.id for partition in self.partitions) + 10

    # The way of a request.

    def send(self, message: Any, done: Done) -> None:
        """The router's transport: to whoever owns the hash, as a routed one would."""
        self.asked.append(message)
        if isinstance(message, ChangeDocument):
            known = self.context.controls.get(message.kind, message.name)
            if known is not None:
                done(ConflictError())
                return
            self.generation += 1
            assert message.document is not None
            self.context.controls.put(
                message.kind,
                message.name,
                {"generation": self.generation, "document": message.document},
            )
            done(self.context.controls.get(message.kind, message.name))
            return
        owner = next(each for each in self.partitions if each.lo <= message.lo <= each.hi)
        done(owner.answer(message))

    def ask(self, operation: str, context: RouterContext | None = None, **request: Any) -> dict[str, Any]:
        """Run an operation; raises the error that it is answered with."""
        found = {entry.name: entry for entry in self._entries(context).values()}[operation]
        found.validate(request)
        outcomes: list[Any] = []
        call = Call(operation, None, self, lambda _, outcome: outcomes.append(outcome))
        call.run(found.handle(call, request))
        (outcome,) = outcomes
        if isinstance(outcome, BaseException):
            raise outcome
        reply: dict[str, Any] = orjson.loads(outcome)
        return reply

    def _entries(self, context: RouterContext | None) -> dict[bytes, Any]:
        if context is not None:
            return entries(context)
        if not hasattr(self, "_own"):
            self._own = entries(self.context)
        return self._own

    def refused(self, operation: str, **request: Any) -> tuple[str, str | None]:
        """(type, message) of the refusal."""
        try:
            answer = self.ask(operation, **request)
        except ApiError as error:
            return error.type_name, error.message
        raise AssertionError(f"the call was accepted: {answer}")

    def iterator(self, shard: Shard, kind: str = "TRIM_HORIZON", **more: Any) -> str:
        """GetShardIterator."""
        reply = self.ask(
            "GetShardIterator", StreamArn=self.arn, ShardId=shard.id, ShardIteratorType=kind, **more
        )
        return str(reply["ShardIterator"])

    def records(self, iterator: str, **more: Any) -> dict[str, Any]:
        """GetRecords."""
        return self.ask("GetRecords", ShardIterator=iterator, **more)


def numbers(reply: dict[str, Any]) -> list[int]:
    """The sequence numbers of a page."""
    return [sequence_from(record["dynamodb"]["SequenceNumber"]) for record in reply["Records"]]


def shard_ids(shards: Iterable[Any]) -> list[str]:
    """Ids of shards, whether of messages or of replies."""
    return [shard["ShardId"] if isinstance(shard, dict) else shard.id for shard in shards]
