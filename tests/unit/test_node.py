"""The node: evaluation on top of unapplied effects, group commit, refusal, recovery, dropped partitions."""

from __future__ import annotations

from pathlib import Path

import orjson
from hashrange_node.log.errors import LogFull
from hashrange_node.log.log import FileLog
from hashrange_node.storage.engine import EngineBusy, EngineFull
from hashrange_node.storage.memory import MemoryEngine

from hashrange.errors import ApiError
from hashrange.expr import compile_condition, compile_update
from hashrange.model import record as records
from hashrange.model.value import item_size
from hashrange.wire.messages import (
    UPDATE,
    ChangeTable,
    ConflictError,
    TableStatistics,
    WriteItem,
    WriteResult,
)

from .node_support import Bench, HeldLog

A = {"pk": {"S": "a"}}


def item(value: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": "a"}, "v": {"S": value}}


def test_a_write_is_answered_only_when_the_log_is_durable() -> None:
    bench = Bench()
    bench.create()
    bench.log.held = []
    answers = bench.put(item("1"))
    bench.scheduler.run()
    assert answers == []
    assert bench.read(A) is None
    bench.log.release()
    assert isinstance(answers[0], WriteResult)
    assert bench.read(A) == b'{"pk":{"S":"a"},"v":{"S":"1"}}'


def test_the_next_write_is_evaluated_on_top_of_the_last_unapplied_one() -> None:
    bench = Bench()
    bench.create()
    bench.log.held = []
    first = bench.put(item("1"))
    conditional = bench.put_message(item("2"))
    conditional.condition = compile_condition("v = :one", None, {":one": {"S": "1"}})
    second = bench.send(conditional)
    bench.scheduler.run()
    bench.log.release()
    assert isinstance(first[0], WriteResult)
    assert isinstance(second[0], WriteResult)
    assert second[0].old_size == first[0].new_size


def test_a_verdict_on_an_unapplied_write_waits_for_it() -> None:
    """Otherwise a client would learn of a write that a crash may still undo."""
    bench = Bench()
    bench.create()
    bench.log.held = []
    bench.put(item("1"))
    conditional = bench.put_message(item("2"))
    conditional.condition = compile_condition("attribute_not_exists(pk)")
    answers = bench.send(conditional)
    bench.scheduler.run()
    assert answers == []
    bench.log.release()
    bench.scheduler.run()
    bench.log.release()
    assert isinstance(answers[0], ApiError)
    assert answers[0].type_name == "ConditionalCheckFailedException"


def test_all_writes_of_a_tick_share_one_append() -> None:
    bench = Bench()
    bench.create()
    appended: list[int] = []
    original = bench.log.append
    bench.log.append = lambda entries: (appended.append(len(entries)), original(entries))[1]  # type: ignore[method-assign]
    for number in range(10):
        bench.put({"pk": {"S": str(number)}})
    bench.tick_until_applied()
    assert appended == [10]


def test_a_batch_gathers_what_arrives_in_the_ticks_behind_each_other_but_not_for_ever() -> None:
    bench = Bench()
    bench.create()
    for number in range(4):
        bench.put({"pk": {"S": f"before{number}"}})
    bench.scheduler.run()
    appended: list[int] = []
    original = bench.log.append
    bench.log.append = lambda entries: (appended.append(len(entries)), original(entries))[1]  # type: ignore[method-assign]
    for number in range(12):
        bench.put({"pk": {"S": str(number)}})
        bench.scheduler.tick()
    bench.tick_until_applied()
    assert sum(appended) == 12
    assert 2 <= len(appended) <= 3


def test_a_lone_writer_does_not_wait_for_others() -> None:
    bench = Bench()
    bench.create()
    bench.put({"pk": {"S": "before"}})
    bench.scheduler.run()
    answers = bench.put({"pk": {"S": "a"}})
    bench.scheduler.tick()
    assert len(answers) == 1


def test_a_full_log_answers_500_and_writes_when_there_is_room() -> None:
    bench = Bench()
    bench.create()
    bench.put(item("old"))
    bench.scheduler.run()
    bench.log.fail = LogFull("no space left")
    refused = bench.put(item("new"))
    bench.scheduler.run()
    assert isinstance(refused[0], ApiError)
    assert refused[0].status == 500
    bench.log.fail = None
    bench.scheduler.run(5, seconds=0.3)
    conditional = bench.put_message(item("newer"))
    conditional.condition = compile_condition("v = :new", None, {":new": {"S": "new"}})
    accepted = bench.send(conditional)
    bench.scheduler.run()
    assert isinstance(accepted[0], WriteResult)


class StubbornEngine(MemoryEngine):
    """Raises what it is told to on the next writes."""

    def __init__(self) -> None:
        super().__init__()
        self.raises: Exception | None = None

    def write(self, mutations, delete_ranges=()):  # type: ignore[no-untyped-def]
        if self.raises is not None:
            raise self.raises
        super().write(mutations, delete_ranges)


def test_a_full_engine_answers_500_refuses_new_writes_and_applies_when_it_can() -> None:
    engine = StubbornEngine()
    bench = Bench(engine=engine)
    bench.create()
    engine.raises = EngineFull("no space left")
    answers = bench.put(item("1"))
    bench.scheduler.run()
    assert answers[0].status == 500
    refused = bench.put(item("2"))
    assert refused[0].status == 500
    assert bench.read(A) is None
    engine.raises = None
    bench.scheduler.run(seconds=1.0)
    assert bench.read(A) == b'{"pk":{"S":"a"},"v":{"S":"1"}}'
    accepted = bench.put(item("3"))
    bench.scheduler.run()
    assert isinstance(accepted[0], WriteResult)
    assert bench.send(TableStatistics("Things"))[0][None][0] == 1


def test_a_busy_engine_is_tried_again_without_an_error() -> None:
    engine = StubbornEngine()
    bench = Bench(engine=engine)
    bench.create()
    engine.raises = EngineBusy("stalled")
    answers = bench.put(item("1"))
    bench.scheduler.run()
    assert answers == []
    engine.raises = None
    bench.scheduler.run(seconds=1.0)
    assert isinstance(answers[0], WriteResult)


def test_stamps_of_an_item_never_go_back() -> None:
    bench = Bench()
    bench.create()
    bench.put(item("1"))
    bench.scheduler.run()
    schema = bench.schema()
    key = schema.codec.encode(A)
    replica = bench.node.replicas[schema.partition_for(key).id]
    before = replica.read(key)
    bench.clock.set_wall_ms(1)
    bench.put(item("2"))
    bench.scheduler.run()
    after = replica.read(key)
    assert before is not None and after is not None
    assert int.from_bytes(after[8:16], "little") > int.from_bytes(before[8:16], "little")


def test_counts_follow_puts_and_deletes() -> None:
    bench = Bench()
    bench.create()
    bench.put(item("1"))
    bench.put(item("22"))
    bench.put({"pk": {"S": "b"}})
    bench.scheduler.run()
    assert bench.send(TableStatistics("Things"))[0] == {None: (2, 6 + 3)}


def test_a_plan_made_on_an_old_document_is_refused() -> None:
    bench = Bench()
    bench.create()
    document = bench.node.catalogue.documents["Things"]
    stale = (document["TableId"], document["Generation"] - 1)
    answers = bench.send(ChangeTable("Things", stale, document, []))
    bench.scheduler.run()
    assert isinstance(answers[0], ConflictError)


def test_a_partition_id_is_never_taken_twice() -> None:
    bench = Bench()
    schema = bench.create()
    document = {**bench.node.catalogue.documents["Things"], "TableName": "Other"}
    answers = bench.send(ChangeTable("Other", None, document, [schema.partitions.all[0].id]))
    bench.scheduler.run()
    assert isinstance(answers[0], ConflictError)


def test_nothing_of_a_dropped_table_comes_back() -> None:
    bench = Bench()
    bench.create()
    bench.put(item("1"))
    bench.scheduler.run()
    bench.log.held = []
    bench.put(item("2"))
    document = bench.node.catalogue.documents["Things"]
    bench.send(ChangeTable("Things", (document["TableId"], document["Generation"]), None, []))
    bench.put(item("3"))
    bench.scheduler.run()
    bench.log.release()
    assert list(bench.engine.scan(b"G", b"R")) == [
        (key, value) for key, value in bench.engine.scan(b"G", b"R") if key == b"G" + bytes(8)
    ]


def test_recovery_replays_what_the_engine_lost(tmp_path: Path) -> None:
    """The engine keeps nothing here; everything comes back from the log, indexes and counts included."""

    def open_log() -> FileLog:
        return FileLog.open(tmp_path, b"0123456789abcdef", call_soon=lambda f, *a: f(*a), durability="os")

    bench = Bench(log=open_log())
    bench.create()
    for number in range(300):
        bench.put({"pk": {"S": f"k{number % 100}"}, "n": {"N": str(number)}})
    bench.scheduler.run()
    expected = list(bench.engine.scan(b"P", b"Q"))
    bench.log.close()
    again = Bench(log=open_log())
    assert list(again.engine.scan(b"P", b"Q")) == expected
    assert again.send(TableStatistics("Things"))[0][None][0] == 100
    answers = again.put(item("after"))
    again.scheduler.run()
    assert isinstance(answers[0], WriteResult)
    again.log.close()


def test_recovery_applies_nothing_twice(tmp_path: Path) -> None:
    """The engine has everything: replay must leave counts as they are."""
    engine = MemoryEngine()

    def open_log() -> FileLog:
        return FileLog.open(tmp_path, b"0123456789abcdef", call_soon=lambda f, *a: f(*a), durability="os")

    bench = Bench(log=open_log(), engine=engine)
    bench.create()
    bench.put(item("1"))
    bench.scheduler.run()
    bench.log.close()
    again = Bench(log=open_log(), engine=engine)
    assert again.send(TableStatistics("Things"))[0][None][0] == 1
    again.log.close()


def test_a_held_log_is_what_the_tests_think_it_is() -> None:
    log = HeldLog()
    log.held = []
    done: list[int] = []
    log.sync(3, done.append)
    assert done == []
    log.release()
    assert done == [3]


def test_the_size_of_an_updated_item_is_that_of_the_whole() -> None:
    """It is measured only where the update reaches; the record must say the same as measuring it all."""
    bench = Bench()
    bench.create()
    stored = {"pk": {"S": "a"}, "m": {"M": {"x": {"S": "äö"}, "y": {"L": [{"N": "1"}]}}}, "n": {"N": "12"}}
    bench.put(stored)
    bench.scheduler.run()
    schema = bench.schema()
    key = schema.codec.encode(A)
    replica = bench.node.replicas[schema.partition_for(key).id]
    for text, values in (
        ("ADD n :one SET ä = :s", {":one": {"N": "999"}, ":s": {"S": "ßß"}}),
        ("SET m.y[3] = :s, m.x = :one", {":one": {"N": "5"}, ":s": {"S": "tail"}}),
        ("REMOVE m.y, n", None),
        ("REMOVE nothing.at.all", None),
        ("SET m = :s", {":s": {"S": ""}}),
    ):
        write = WriteItem(replica.id, 1, UPDATE, key)
        write.key_item = dict(A)
        names = {"#u": "ä"} if "ä" in text else None
        try:
            write.update = compile_update(text.replace("ä", "#u"), names, values)
            answers = bench.send(write)
        except ApiError:
            continue
        bench.scheduler.run()
        if isinstance(answers[0], ApiError):
            continue
        record = replica.read(key)
        assert record is not None
        assert records.size(record) == item_size(orjson.loads(records.item_json(record)))
        assert answers[0].new_size == records.size(record)
