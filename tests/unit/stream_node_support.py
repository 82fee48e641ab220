"""A node on memory with a table that has a stream, and helpers to read the stream."""

from __future__ import annotations

from typing import Any

from hashrange_node.streams.shards import decode_row, rows_range

from hashrange.model.stream_record import StreamRecord, unpack
from hashrange.wire.messages import DELETE, WriteItem
from hashrange.wire.streams import LocateRecord, ReadRecords, ReadShards, RecordPage, Shard
from tests.unit.node_support import Bench

BOTH = "NEW_AND_OLD_IMAGES"


def specification(view_type: str = BOTH) -> dict[str, Any]:
    return {"StreamEnabled": True, "StreamViewType": view_type}


class StreamBench(Bench):
    """`Bench` with the table `Things` and its stream; `label` is that of the stream now."""

    def __init__(self, view_type: str | None = BOTH, **table: Any) -> None:
        super().__init__()
        if view_type is not None:
            table["StreamSpecification"] = specification(view_type)
        self.label = "1970-01-01T00:00:01.000"
        self.create(**table)

    @property
    def replica(self) -> Any:
        return self.node.replicas[self.schema().partitions.all[0].id]

    def do(self, message: Any) -> Any:
        """Send, and run until nothing is left to do; the answer."""
        answers = self.send(message)
        self.scheduler.run(10)
        assert len(answers) == 1
        return answers[0]

    def write(self, name: str, **values: str) -> Any:
        item = {"pk": {"S": name}, **{key: {"S": value} for key, value in values.items()}}
        return self.do(self.put_message(item))

    def delete(self, name: str) -> Any:
        return self.do(WriteItem(self.replica.id, 1, DELETE, self.schema().codec.encode({"pk": {"S": name}})))

    def shards(self, label: str | None = None) -> list[Shard]:
        answer = self.do(ReadShards(self.replica.id, 1, 0, label or self.label))
        assert (answer["lo"], answer["hi"]) == (0, 2**64 - 1)
        return [Shard.from_document(document) for document in answer["shards"]]

    def stored_shards(self) -> list[Shard]:
        place = self.replica.place
        return [decode_row(value).shard for _, value in self.engine.scan(*rows_range(place.store, place.lo))]

    def page(
        self, shard: Shard, after: int = 0, limit: int = 1000, max_bytes: int = 1 << 20, wait_ms: int = 0
    ) -> Any:
        return self.do(ReadRecords(self.replica.id, 1, shard.lo, shard.id, after, limit, max_bytes, wait_ms))

    def records(self, shard: Shard | None = None, after: int = 0) -> list[StreamRecord]:
        """All records of a shard: of the only one there is, if none is given."""
        if shard is None:
            [shard] = self.shards()
        page: RecordPage = self.page(shard, after)
        return [unpack(sequence, value) for sequence, value in page.records]

    def locate(self, shard: Shard, at_ms: int | None = None) -> int:
        answer = self.do(LocateRecord(self.replica.id, 1, shard.lo, shard.id, at_ms))
        return int(answer["after"])

    def redefine(self, stream: str | None, view_type: str = BOTH) -> None:
        """Give the table's document another stream, with this label, or none, as the control plane would."""
        document = dict(self.node.catalogue.documents["Things"])
        document["Generation"] += 1
        document.pop("StreamSpecification", None)
        if stream is not None:
            document["StreamSpecification"] = specification(view_type)
            document["LatestStreamLabel"] = stream
            document["LatestStreamArn"] = document["TableArn"] + "/stream/" + stream
        self.document = document
        self.node.streams.keep(self.replica, document, lambda: None)
        self.scheduler.run(10)

    def wait(self, seconds: float) -> None:
        """Let time pass, on the wall and for timers."""
        self.clock.advance(seconds)
        self.scheduler.run(1, seconds)
        self.scheduler.run(10)
