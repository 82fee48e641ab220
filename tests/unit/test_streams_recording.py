"""What is recorded: one record for each change of an item, none for anything else, in the entry of the change."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hashrange_node.replica.effects import Effects
from hashrange_node.storage import keyspace
from hashrange_node.streams.recording import Recording
from hashrange_node.transactions import evaluate

from hashrange.errors import ApiError
from hashrange.expr import compile_condition, compile_update
from hashrange.model import record as records
from hashrange.model.stream_record import unpack
from hashrange.model.stream_sequence import index_of, sequence_of
from hashrange.wire.messages import DELETE, UPDATE, WriteItem
from hashrange.wire.streams import Shard
from hashrange.wire.transactions import DONE, TransactFinish, TransactPrepare, TransactWrite
from tests.unit.stream_node_support import StreamBench


def images(bench: StreamBench) -> list[tuple[str, Any, Any]]:
    def value(image: bytes | None) -> Any:
        return orjson.loads(image).get("v", {}).get("S", "") if image is not None else None

    return [(each.event, value(each.old), value(each.new)) for each in bench.records()]


def test_each_change_has_a_record_with_both_images() -> None:
    bench = StreamBench()
    bench.write("a", v="1")
    bench.write("a", v="2")
    bench.delete("a")
    assert images(bench) == [("INSERT", None, "1"), ("MODIFY", "1", "2"), ("REMOVE", "2", None)]
    found = bench.records()
    assert [each.size for each in found] == [5, 10, 5]
    assert all(each.key == bench.schema().codec.encode({"pk": {"S": "a"}}) for each in found)
    assert all(each.stamp >> 16 == bench.clock.wall_ms() and not each.expired for each in found)


@pytest.mark.parametrize(
    ("view", "wanted"),
    [
        ("KEYS_ONLY", [(None, None, 0), (None, None, 0), (None, None, 0)]),
        ("NEW_IMAGE", [(None, "1", 5), (None, "2", 5), (None, None, 0)]),
        ("OLD_IMAGE", [(None, None, 0), ("1", None, 5), ("2", None, 5)]),
    ],
)
def test_records_have_what_the_view_type_asks_for(view: str, wanted: list[Any]) -> None:
    bench = StreamBench(view)
    bench.write("a", v="1")
    bench.write("a", v="2")
    bench.delete("a")
    found = zip(images(bench), bench.records(), strict=True)
    assert [(old, new, record.size) for (_, old, new), record in found] == wanted
    assert [event for event, _, _ in images(bench)] == ["INSERT", "MODIFY", "REMOVE"]


def test_what_changes_nothing_leaves_no_record() -> None:
    bench = StreamBench()
    bench.write("a", v="1")
    bench.write("a", v="1")
    bench.delete("b")
    update = WriteItem(bench.replica.id, 1, UPDATE, bench.schema().codec.encode({"pk": {"S": "a"}}))
    update.key_item = {"pk": {"S": "a"}}
    update.update = compile_update("SET v = :v", None, {":v": {"S": "1"}})
    bench.do(update)
    refused = bench.put_message({"pk": {"S": "a"}, "v": {"S": "2"}})
    refused.condition = compile_condition("attribute_not_exists(pk)")
    assert isinstance(bench.do(refused), ApiError)
    assert images(bench) == [("INSERT", None, "1")]


def test_a_request_that_comes_again_has_one_record() -> None:
    bench = StreamBench()
    for _ in range(2):
        message = bench.put_message({"pk": {"S": "a"}})
        message.request_id = (1, 1)
        bench.do(message)
    assert len(bench.records()) == 1


def test_a_table_without_a_stream_records_nothing() -> None:
    bench = StreamBench(view_type=None)
    bench.write("a", v="1")
    assert bench.replica.recording is None
    low = keyspace.space_prefix(bench.replica.place.store, keyspace.STREAM)
    assert list(bench.engine.scan(low, low + b"\xff" * 30)) == []
    assert bench.shards() == []


def test_the_sequence_number_is_the_place_in_the_log() -> None:
    bench = StreamBench()
    bench.write("a", v="1")
    index = bench.replica.group.applied_index
    bench.write("b", v="1")
    assert [each.sequence for each in bench.records()] == [
        sequence_of(bench.replica.id, index),
        sequence_of(bench.replica.id, index + 1),
    ]


def test_record_and_change_are_in_one_entry() -> None:
    bench = StreamBench()
    entries: list[Effects] = []
    propose = bench.replica.group.core.propose

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(core, name)

        def propose(self, proposal: Any, size: int) -> Any:
            entries.append(proposal.effects)
            return propose(proposal, size)

    core = bench.replica.group.core
    bench.replica.group.core = Watched()
    bench.write("a", v="1")
    bench.replica.group.core = core
    [effects] = entries
    spaces = [key[9] for key, _ in effects.mutations]
    assert spaces == [keyspace.ITEMS, keyspace.STREAM]


def test_a_deletion_by_time_to_live_says_so() -> None:
    bench = StreamBench()
    recording = bench.replica.recording
    effects = Effects([(b"full", None)], [], None)
    effects.deleted = 77 << 16
    current = records.pack(b'{"a":1}', 3, 5, 6)
    assert recording.add(effects, b"full", b"key", current, 9, 0, True) == 1
    record = unpack(0, effects.mutations[1][1] or b"")
    assert (record.event, record.expired, record.stamp) == ("REMOVE", True, 77 << 16)


def test_other_entries_of_time_to_live_leave_no_record() -> None:
    recording = Recording(1, Shard("s", "l", "NEW_AND_OLD_IMAGES", 1, 0, None, 0, 0))
    for effects in (Effects([], [], None), Effects([(b"expiry", None)], [], None)):
        assert recording.add(effects, b"full", b"key", b"x" * 30, 9, 4, True) == 4
        assert not effects.recorded
    gone = Effects([(b"full", None)], [], None)
    assert recording.add(gone, b"full", b"key", None, 9, 4) == 4


def test_a_transaction_of_one_partition_has_a_record_of_each_changed_item_in_order() -> None:
    bench = StreamBench()
    bench.write("same", v="1")
    actions = [bench.put_message({"pk": {"S": name}, "v": {"S": "1"}}) for name in ("b", "same", "a")]
    message = TransactWrite(bench.replica.id, 1, b"t" * 16, actions)
    assert bench.do(message).verdict == DONE
    index = bench.replica.group.applied_index
    found = bench.records()[1:]
    codec = bench.schema().codec
    assert [each.key for each in found] == [codec.encode({"pk": {"S": name}}) for name in ("b", "a")]
    assert [each.sequence for each in found] == [
        sequence_of(bench.replica.id, index, 0),
        sequence_of(bench.replica.id, index, 1),
    ]
    bench.do(message)
    assert len(bench.records()) == 3, "a transaction that comes again is not recorded again"


@pytest.mark.parametrize("commit", [True, False])
def test_a_transaction_of_several_partitions_is_recorded_when_it_is_carried_out(commit: bool) -> None:
    bench = StreamBench()
    actions = [bench.put_message({"pk": {"S": name}, "v": {"S": "1"}}) for name in "ab"]
    stamp = bench.node.stamps.now + 5
    assert bench.do(TransactPrepare(bench.replica.id, 1, b"t" * 16, stamp, actions)).verdict == DONE
    assert bench.records() == []
    hashes = [int.from_bytes(action.key[:8], "big") for action in actions]
    for _ in range(2):
        bench.do(TransactFinish(bench.replica.id, 1, b"t" * 16, commit, hashes))
    found = bench.records()
    assert [each.event for each in found] == (["INSERT"] * 2 if commit else [])
    assert len({index_of(each.sequence) for each in found}) == (1 if commit else 0)
    assert all(each.stamp == stamp for each in found)


def delete_of(bench: StreamBench, name: str) -> WriteItem:
    return WriteItem(bench.replica.id, 1, DELETE, bench.schema().codec.encode({"pk": {"S": name}}))


def test_what_is_finished_in_several_entries_is_recorded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = StreamBench()
    for name in "abcd":
        bench.write(name, v="x" * 300)
    monkeypatch.setattr(evaluate, "FINISH_BYTES", 500)
    monkeypatch.setattr(evaluate, "_SURELY_FITS", 400)  # old images count, also of what is deleted
    actions = [delete_of(bench, name) for name in "abcd"]
    stamp = bench.node.stamps.now + 5
    bench.do(TransactPrepare(bench.replica.id, 1, b"t" * 16, stamp, actions))
    hashes = [int.from_bytes(action.key[:8], "big") for action in actions]
    bench.do(TransactFinish(bench.replica.id, 1, b"t" * 16, True, hashes))
    found = bench.records()[4:]
    assert [each.key for each in found] == [action.key for action in actions]
    assert len({index_of(each.sequence) for each in found}) == 2
