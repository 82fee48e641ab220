"""The stream of a table in a simulated run: a consumer that reads it while things break, and what must be in it.

What was written is known from the log: every committed entry says what it did to items. Of each change, and of nothing
else, there must be one record, with the number that follows from its place in the log, in shards that follow one
another without a gap. A consumer that goes on from where it was gets each once, those of one item in order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hashrange_node.replica.effects import decode
from hashrange_node.storage import keyspace
from hashrange_node.streams import shards as rules

from hashrange.errors import ApiError
from hashrange.model import record as records
from hashrange.model.stream_record import unpack
from hashrange.model.stream_sequence import partition_of, sequence_of
from hashrange.model.table import TableSchema
from hashrange.wire.streams import ReadRecords, ReadShards, RecordPage, Shard
from tests.sim.checkers import Checker, check
from tests.sim.cluster import Cluster, RouterMachine

RETRY_S = 0.3
WAIT_MS = 400


class Change(NamedTuple):
    """What one entry did to one item: JSON before and after, None where there was none."""

    key: bytes
    old: bytes | None
    new: bytes | None


def changes(checker: Checker, stores: set[int], applied: dict[int, int]) -> dict[int, Change]:
    """By sequence number, all changes of items in some stores; `applied` says how far groups have come at the end."""
    found: dict[int, Change] = {}
    state: dict[bytes, bytes] = {}
    by_group: dict[int, dict[int, list[int]]] = {}
    for group, index, term in checker.payloads:
        by_group.setdefault(group, {}).setdefault(index, []).append(term)
    for group in sorted(by_group):  # a partition has a lower id than what it was split into
        for index in sorted(by_group[group]):
            known = checker.committed.get(group, {}).get(index)
            if known is None and index > applied.get(group, 0):
                continue
            term = known[0] if known is not None else max(by_group[group][index])
            payload = checker.payloads.get((group, index, term))
            if payload is None:
                continue  # without data
            number = 0
            for key, value in decode(payload).mutations:
                if key[:1] != b"P" or key[9] != keyspace.ITEMS:
                    continue
                if int.from_bytes(key[1:9], "big") not in stores:
                    continue
                old, new = state.get(key), records.item_json(value) if value is not None else None
                if old != new:
                    found[sequence_of(group, index, number)] = Change(key[10:], old, new)
                    number += 1
                if new is None:
                    state.pop(key, None)
                else:
                    state[key] = new
    return found


def stored(cluster: Cluster, partitions: list[Any]) -> tuple[dict[str, Shard], dict[int, Change]]:
    """The shards and records that the leaders of some partitions have."""
    shards: dict[str, Shard] = {}
    found: dict[int, Change] = {}
    for placement in partitions:
        for machine in cluster.machines.values():
            group = machine.node.driver.groups.get(placement["id"]) if machine.up else None
            if group is None or not group.serving:
                continue
            store, lo = placement["store"], placement["lo"]
            for _, value in machine.node.engine.scan(*rules.rows_range(store, lo)):
                shard = rules.decode_row(value).shard
                shards[shard.id] = shard
            space = keyspace.hashes_of(store, keyspace.STREAM, placement["lo"], placement["hi"])
            for key, value in machine.node.engine.scan(*space):
                sequence = rules.sequence_in(key)
                check(sequence not in found, "a record is there once", sequence)
                found[sequence] = change_of(sequence, value)
    return shards, found


def change_of(sequence: int, value: bytes) -> Change:
    """What a record says, which has both images."""
    record = unpack(sequence, value)
    wanted = "INSERT" if record.old is None else "REMOVE" if record.new is None else "MODIFY"
    check(record.event == wanted, "the event is that of the images", record)
    return Change(record.key, record.old, record.new)


def check_stream(
    cluster: Cluster, partitions: list[Any], schema: TableSchema, trimming: bool
) -> dict[int, Change]:
    """Compare the stream of a table with what was written; all changes."""
    applied = {
        number: max(
            machine.node.driver.groups[number].core.log.applied
            for machine in cluster.machines.values()
            if machine.up and number in machine.node.driver.groups
        )
        for number in {
            number for machine in cluster.machines.values() for number in machine.node.driver.groups
        }
    }
    expected = changes(cluster.checker, {placement["store"] for placement in partitions}, applied)
    shards, found = stored(cluster, partitions)
    for sequence, change in found.items():
        check(expected.get(sequence) == change, "a record is of a change", (sequence, change))
        holders = [
            shard
            for shard in shards.values()
            if shard.partition == partition_of(sequence)
            and shard.start < sequence
            and (shard.end is None or sequence <= shard.end)
        ]
        check(len(holders) == 1, "a record lies in one shard", (sequence, holders))
    for sequence in expected.keys() - found.keys():
        gone = trimming and not any(
            shard.partition == partition_of(sequence) and shard.start < sequence and sequence > shard.trimmed
            for shard in shards.values()
            if shard.end is None or sequence <= shard.end
        )
        check(gone, "a change has a record", (sequence, expected[sequence]))
    _check_lineage(shards, partitions, schema)
    if not trimming:
        roots = sum(shard.parent is None for shard in shards.values())
        check(roots == 1, "every shard but the first has a parent", roots)
    return expected


def _check_lineage(shards: dict[str, Shard], partitions: list[Any], schema: TableSchema) -> None:
    stream = schema.stream
    assert stream is not None
    for shard in shards.values():
        check(shard.label == stream.label, "a shard is of the stream", shard)
        parent = shards.get(shard.parent or "")
        if parent is not None:
            check(
                parent.end is not None and parent.end < shard.start and parent.opened_ms < shard.opened_ms,
                "a parent ends before its child begins",
                (parent, shard),
            )
    open_in = sorted(shard.partition for shard in shards.values() if shard.open)
    check(open_in == sorted(part["id"] for part in partitions), "every partition has one open shard", open_in)


class Consumer:
    """Reads a stream at a router from begin to end; `read` is what it got, in its order."""

    def __init__(self, router: RouterMachine) -> None:
        self._router = router
        self.shards: dict[str, Shard] = {}
        self.after: dict[str, int] = {}
        self.finished: set[str] = set()
        self.reading: set[str] = set()
        self.read: list[tuple[int, bytes]] = []

    def start(self) -> None:
        """Begin."""
        self._list(0, self._router.messages.schema)

    def _later(self, callback: Any) -> None:
        self._router.process.call_later(RETRY_S, callback)

    # ---- shards

    def _list(self, lo: int, schema: TableSchema) -> None:
        """List the shards from a hash on, one partition after the other."""
        assert schema.stream is not None
        partition = schema.partition_for(lo.to_bytes(8, "big")).id
        message = ReadShards(partition, 1, lo, schema.stream.label)

        def answered(answer: Any) -> None:
            if isinstance(answer, ApiError):
                self._later(lambda: self._list(lo, self._router.messages.schema))
                return
            for document in answer["shards"]:
                shard = Shard.from_document(document)
                self.shards[shard.id] = shard
            if answer["hi"] < keyspace.HASH_MAX:
                self._list(answer["hi"] + 1, schema)
            else:
                self._read_all()
                self._later(lambda: self._list(0, self._router.messages.schema))

        self._router.send(message, answered)

    def _read_all(self) -> None:
        """Read every shard whose parent is finished."""
        for shard in self.shards.values():
            if shard.id in self.finished or shard.id in self.reading:
                continue
            if shard.parent is None or shard.parent in self.finished:
                self.reading.add(shard.id)
                self._read(shard)

    # ---- records

    def _read(self, shard: Shard) -> None:
        partition = self._router.messages.schema.partition_for(shard.lo.to_bytes(8, "big")).id
        after = self.after.get(shard.id, 0)
        message = ReadRecords(partition, 1, shard.lo, shard.id, after, 50, 1 << 20, WAIT_MS)

        def answered(answer: Any) -> None:
            if not isinstance(answer, RecordPage):
                self._later(lambda: self._read(shard))
                return
            self.read.extend(answer.records)
            self.after[shard.id] = answer.after
            if answer.ended:
                self.finished.add(shard.id)
                self.reading.discard(shard.id)
                self._read_all()
            else:
                self._router.process.call_soon(lambda: self._read(shard))

        self._router.send(message, answered)

    # ---- at the end

    def has_all(self, count: int) -> bool:
        """Whether so many records have come."""
        return len(self.read) >= count

    def check(self, expected: dict[int, Change]) -> None:
        """Compare what was read with what was written."""
        seen: set[int] = set()
        last: dict[bytes, int] = {}
        for sequence, value in self.read:
            change = change_of(sequence, value)
            check(sequence not in seen, "a record is read once", sequence)
            seen.add(sequence)
            check(expected.get(sequence) == change, "what is read was written", (sequence, change))
            before = last.get(change.key, 0)
            check(before < sequence, "the changes of an item come in order", (before, sequence))
            last[change.key] = sequence
        check(seen == expected.keys(), "all that was written is read", expected.keys() - seen)
