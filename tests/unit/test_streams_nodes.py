"""Streams on several nodes: over changes of leader, splits, moves and restarts; readers that wait meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_node.storage import keyspace

from hashrange.errors import ApiError
from hashrange.model.stream_record import unpack
from hashrange.model.stream_sequence import partition_of
from hashrange.model.value import dump, normalise_item
from hashrange.wire.cluster import ClusterCommand
from hashrange.wire.faults import LeadershipLost, NotLeader
from hashrange.wire.messages import PUT, WriteItem
from hashrange.wire.streams import LocateRecord, ReadRecords, ReadShards, RecordPage, Shard

from .meta_nodes import TestCluster, TestNode
from .test_meta_moves import hosts, put, settled

LABEL = "1970-01-01T00:00:01.000"


class Streams:
    """A cluster with the table `Things` and its stream."""

    def __init__(self, azs: str = "abc") -> None:
        self.cluster = TestCluster(azs)
        self.cluster.begin()
        self.cluster.create(
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        )
        self.world = self.cluster.world

    def leader(self, partition: int) -> TestNode:
        def found() -> list[TestNode]:
            return [
                node
                for node in self.cluster.nodes.values()
                if node.up and partition in node.node.replicas and node.node.replicas[partition].group.serving
            ]

        self.world.until(found)
        return found()[0]

    def put(self, *names: str, value: str = "1") -> None:
        for name in names:
            put(self.cluster, {"pk": {"S": name}, "v": {"S": value}})

    def partition_of(self, lo: int) -> int:
        schema = self.cluster.control.node.catalogue.schemas["Things"]
        found: int = schema.partition_for(lo.to_bytes(8, "big")).id
        return found

    def ask(self, message: Any) -> Any:
        return self.cluster.ask(message, seconds=40.0)

    def shards(self) -> list[Shard]:
        found, lo = [], 0
        while lo < 1 << 64:
            answer = self.ask(ReadShards(self.partition_of(lo), 1, lo, LABEL))
            found += [Shard.from_document(document) for document in answer["shards"]]
            lo = answer["hi"] + 1
        return found

    def page(self, shard: Shard, after: int = 0) -> RecordPage:
        found = self.ask(
            ReadRecords(self.partition_of(shard.lo), 1, shard.lo, shard.id, after, 1000, 1 << 20)
        )
        assert isinstance(found, RecordPage), found
        return found

    def keys(self, shard: Shard) -> list[str]:
        return [unpack(number, value).key[8:].decode() for number, value in self.page(shard).records]

    def split(self) -> None:
        answer = self.ask(ClusterCommand("split", {"partition": 1, "at": 1 << 63}))
        assert len(answer["children"]) == 2
        self.world.until(lambda: settled(self.cluster), 120)

    def wait_for(self, shard: Shard, after: int) -> list[Any]:
        """A reader that waits, at the leader itself."""
        node = self.leader(self.partition_of(shard.lo)).node
        answers: list[Any] = []
        message = ReadRecords(self.partition_of(shard.lo), 1, shard.lo, shard.id, after, 10, 1 << 20, 8_000)
        node.send(message, answers.append)
        return answers

    def equal(self, partition: int) -> bool:
        """Whether all replicas have the same records and shards."""
        found = set()
        for node in self.cluster.nodes.values():
            replica = node.node.replicas.get(partition) if node.up else None
            if replica is not None:
                place = replica.place
                found.add(
                    tuple(
                        tuple(node.engine.scan(*keyspace.hashes_of(place.store, space, place.lo, place.hi)))
                        for space in (keyspace.STREAM, keyspace.SHARDS)
                    )
                )
        return len(found) == 1


def test_the_next_leader_has_all_records_and_goes_on() -> None:
    streams = Streams()
    streams.put("a", "b")
    [shard] = streams.shards()
    streams.leader(1).stop()
    streams.put("c")
    assert streams.shards() == [shard]
    assert streams.keys(shard) == ["a", "b", "c"]
    numbers = [number for number, _ in streams.page(shard).records]
    assert numbers == sorted(set(numbers))
    streams.world.run(3)
    assert streams.equal(1)
    assert streams.cluster.errors() == []


def test_a_split_closes_the_shard_and_both_halves_go_on() -> None:
    streams = Streams()
    names = [f"k{number}" for number in range(20)]
    streams.put(*names)
    streams.split()
    streams.put(*names, value="2")
    parent, *children = streams.shards()
    assert parent.end is not None
    assert parent.closed_ms is not None
    assert streams.keys(parent) == names
    assert streams.page(parent).ended
    assert sorted(child.lo for child in children) == [0, 1 << 63]
    for child in children:
        assert (child.open, child.parent) == (True, parent.id)
        assert child.start > parent.end
        assert {partition_of(number) for number, _ in streams.page(child).records} == {child.partition}
    assert sorted(streams.keys(children[0]) + streams.keys(children[1])) == sorted(names)
    for child in children:
        assert streams.equal(child.partition)
    assert streams.cluster.errors() == []


def test_a_reader_that_waits_over_a_split_is_told_that_its_shard_has_ended() -> None:
    streams = Streams()
    streams.put("a")
    [shard] = streams.shards()
    answers: list[Any] = []
    message = ReadRecords(1, 1, shard.lo, shard.id, streams.page(shard).after, 10, 1 << 20, 9_000)
    next(iter(streams.cluster.nodes.values())).node.transport.send(message, answers.append)
    streams.split()
    [page] = answers
    assert isinstance(page, RecordPage)
    assert (page.records, page.ended) == ([], True)


def test_a_reader_that_waits_at_a_leader_that_is_replaced_is_sent_on() -> None:
    streams = Streams()
    streams.put("a")
    [shard] = streams.shards()
    after = streams.page(shard).after
    answers = streams.wait_for(shard, after)
    old = streams.leader(1)
    for other in streams.cluster.nodes:
        if other != old.id:
            streams.world.cut.add(frozenset((old.id, other)))
    streams.world.until(lambda: answers, 20)
    assert isinstance(answers[0], NotLeader | LeadershipLost)
    streams.world.cut.clear()


def test_what_was_not_committed_is_not_read() -> None:
    streams = Streams()
    streams.put("a")
    [shard] = streams.shards()
    old = streams.leader(1)
    for other in streams.cluster.nodes:
        if other != old.id:
            streams.world.cut.add(frozenset((old.id, other)))
    write: list[Any] = []
    replica = old.node.replicas[1]
    message = _put_message(streams, "lost")
    replica.write(message, write.append)
    page: list[Any] = []
    old.node.send(ReadRecords(1, 1, 0, shard.id, 0, 10, 1 << 20), page.append)
    streams.world.run(15)
    assert [isinstance(answer, ApiError) for answer in write] == [True]
    assert [len(answer.records) for answer in page] == [1]
    streams.world.cut.clear()
    streams.world.run(5)
    streams.put("b")
    assert streams.keys(shard) == ["a", "b"]
    streams.world.run(3)
    assert streams.equal(1)


def _put_message(streams: Streams, name: str) -> Any:
    schema = streams.cluster.control.node.catalogue.schemas["Things"]
    item = {"pk": {"S": name}}
    write = WriteItem(1, 1, PUT, schema.codec.encode(item))
    write.item_size, write.item_json = normalise_item(item), dump(item)
    return write


def test_a_replica_that_moves_takes_records_and_shards_along() -> None:
    streams = Streams("aabbcc")
    streams.put("a", "b")
    cluster = streams.cluster
    source = hosts(cluster, 1)[0]
    target = {1: 2, 2: 1}[source]
    cluster.ask(ClusterCommand("move", {"partition": 1, "from": source, "to": target}))
    streams.put("c")
    streams.world.until(lambda: settled(cluster), 120)
    streams.world.run(3)
    assert 1 in cluster.nodes[target].node.replicas
    assert streams.equal(1)
    [shard] = streams.shards()
    assert streams.keys(shard) == ["a", "b", "c"]


@pytest.mark.parametrize("at_ms", [None, 0])
def test_positions_come_from_whoever_leads(at_ms: int | None) -> None:
    streams = Streams()
    streams.put("a")
    [shard] = streams.shards()
    streams.leader(1).stop()
    answer = streams.ask(LocateRecord(1, 1, 0, shard.id, at_ms))
    [(sequence, _)] = streams.page(shard).records
    if at_ms is None:
        assert int(answer["after"]) >= sequence
    else:
        assert int(answer["after"]) == sequence - 1
