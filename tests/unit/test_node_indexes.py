"""Global indexes at the node: the durable queue, repeated delivery, background fills; the expiry index."""

from __future__ import annotations

from typing import Any

import orjson
from hashrange_node.replica.expiry import ExpirySweeper
from hashrange_node.storage import keyspace
from hashrange_router.api.tables_update import plan_update

from hashrange.model.table_document import revised
from hashrange.wire.messages import DELETE, ChangeTable, ReadRange, WriteItem

from .node_support import Bench

INDEX: dict[str, Any] = {
    "IndexName": "by_group",
    "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}
DEFINITIONS = [{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "g", "AttributeType": "S"}]


def indexed_bench() -> Bench:
    bench = Bench()
    bench.create(GlobalSecondaryIndexes=[INDEX], AttributeDefinitions=DEFINITIONS)
    return bench


def thing(key: str, group: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": key}, "g": {"S": group}}


def entries(bench: Bench) -> list[Any]:
    """Everything in the index, as items."""
    found: list[Any] = []
    for part in bench.schema().index("by_group").partitions.all:
        message = ReadRange(part.id, 1, 0, b"", b"\xff" * 9)
        message.max_bytes = 1 << 20
        found += [orjson.loads(item) for item in bench.send(message)[0].items]
    return sorted(found, key=lambda item: item["pk"]["S"])


def queued(bench: Bench) -> int:
    return len(list(bench.engine.scan(b"Q", b"R")))


def delete(bench: Bench, key: str) -> None:
    schema = bench.schema()
    encoded = schema.codec.encode({"pk": {"S": key}})
    bench.send(WriteItem(schema.partition_for(encoded).id, 1, DELETE, encoded))


def test_a_put_reaches_the_index_and_leaves_the_queue() -> None:
    bench = indexed_bench()
    bench.put(thing("a", "x"))
    bench.scheduler.run()
    assert entries(bench) == [thing("a", "x")]
    assert queued(bench) == 0


def test_moves_and_deletes_follow() -> None:
    bench = indexed_bench()
    bench.put(thing("a", "x"))
    bench.put(thing("b", "x"))
    bench.put(thing("a", "y"))
    delete(bench, "b")
    bench.scheduler.run()
    assert entries(bench) == [thing("a", "y")]


def test_a_queued_change_survives_a_restart() -> None:
    bench = indexed_bench()
    bench.put(thing("a", "x"))
    bench.tick_until_applied()
    assert queued(bench) == 1
    again = Bench(engine=bench.engine)
    again.scheduler.run()
    assert entries(again) == [thing("a", "x")]
    assert queued(again) == 0


def test_repeated_delivery_changes_nothing() -> None:
    """A crash between delivery and trimming sends everything that was queued again, oldest first."""
    bench = indexed_bench()
    bench.put(thing("a", "x"))
    bench.put(thing("a", "y"))
    bench.put(thing("b", "x"))
    delete(bench, "b")
    bench.tick_until_applied()
    untrimmed = list(bench.engine.scan(b"Q", b"R"))
    assert len(untrimmed) == 4
    bench.scheduler.run()
    assert entries(bench) == [thing("a", "y")]
    bench.engine.write(untrimmed)
    again = Bench(engine=bench.engine)
    again.scheduler.run()
    assert entries(again) == [thing("a", "y")]


def test_an_older_change_never_replaces_a_newer_entry() -> None:
    bench = indexed_bench()
    bench.put({**thing("a", "x"), "v": {"N": "1"}})
    bench.tick_until_applied()
    old = list(bench.engine.scan(b"Q", b"R"))
    bench.scheduler.run()
    bench.put({**thing("a", "x"), "v": {"N": "2"}})
    bench.scheduler.run()
    bench.engine.write(old)
    again = Bench(engine=bench.engine)
    again.scheduler.run()
    assert entries(again) == [{**thing("a", "x"), "v": {"N": "2"}}]


def add_index(bench: Bench) -> None:
    request = {
        "TableName": "Things",
        "AttributeDefinitions": DEFINITIONS,
        "GlobalSecondaryIndexUpdates": [{"Create": INDEX}],
    }
    next_id = bench.node.catalogue.next_partition_id
    document = bench.node.catalogue.documents["Things"]
    plan = plan_update(
        document, request, now=2.0, next_partition_ids=lambda: next_id, region="us-east-1", account="0" * 12
    )
    bench.send(ChangeTable("Things", (document["TableId"], document["Generation"]), plan.document, [next_id]))


def test_a_new_index_is_filled_while_writes_go_on() -> None:
    bench = Bench()
    bench.create()
    for number in range(1000):
        bench.put(thing(f"k{number:04}", "old"))
    bench.scheduler.run()
    add_index(bench)
    for number in range(0, 1000, 10):
        bench.scheduler.tick()
        bench.put(thing(f"k{number:04}", "new"))
        delete(bench, f"k{number + 1:04}")
    bench.scheduler.run(200)
    found = entries(bench)
    assert len(found) == 900
    assert sum(item["g"]["S"] == "new" for item in found) == 100
    assert bench.schema().index("by_group").readable
    assert bench.controller.filling == 0


def test_a_fill_goes_on_after_a_restart() -> None:
    bench = Bench()
    bench.create()
    for number in range(1000):
        bench.put(thing(f"k{number:04}", "g"))
    bench.scheduler.run()
    add_index(bench)
    for _ in range(6):
        bench.scheduler.tick()
    assert not bench.schema().index("by_group").readable
    again = Bench(engine=bench.engine)
    again.scheduler.run(200)
    assert len(entries(again)) == 1000
    assert again.schema().index("by_group").readable


def test_items_that_do_not_fit_the_index_are_left_out_of_a_fill() -> None:
    bench = Bench()
    bench.create()
    bench.put(thing("fits", "g"))
    bench.put({"pk": {"S": "number"}, "g": {"N": "1"}})
    bench.put({"pk": {"S": "empty"}, "g": {"S": ""}})
    bench.put({"pk": {"S": "none"}})
    bench.scheduler.run()
    add_index(bench)
    bench.scheduler.run(100)
    assert entries(bench) == [thing("fits", "g")]


def enable_ttl(bench: Bench, attribute: str | None) -> None:
    document = bench.node.catalogue.documents["Things"]
    changed = revised(document)
    changed["TimeToLive"] = {"AttributeName": attribute} if attribute else {}
    bench.send(ChangeTable("Things", (document["TableId"], document["Generation"]), changed, []))
    bench.scheduler.run(100)


def sweep(bench: Bench) -> ExpirySweeper:
    sweeper = ExpirySweeper(
        lambda: list(bench.node.replicas.values()),
        bench.clock.wall_ms,
        bench.scheduler.call_later,
        1.0,
        bench.node.report,
    )
    sweeper.start()
    bench.scheduler.tick(2.0)
    bench.scheduler.run()
    sweeper.stopped = True
    return sweeper


def expiring(key: str, second: int) -> dict[str, dict[str, str]]:
    return {"pk": {"S": key}, "at": {"N": str(second)}}


def expiry_entries(bench: Bench) -> int:
    part = bench.schema().partitions.all[0].id
    low = keyspace.space_prefix(part, keyspace.EXPIRY)
    return len(list(bench.engine.scan(low, low + b"\xff" * 9)))


def test_expired_items_are_deleted_and_others_are_not() -> None:
    bench = Bench()
    bench.create()
    now = bench.clock.wall_ms() // 1000
    bench.put(expiring("before", now - 10))  # written before time to live was switched on
    enable_ttl(bench, "at")
    bench.put(expiring("past", now - 5))
    bench.put(expiring("future", now + 500))
    bench.put(expiring("ancient", now - 6 * 365 * 86_400))
    bench.put({"pk": {"S": "text"}, "at": {"S": str(now - 5)}})
    bench.scheduler.run()
    assert sweep(bench).deleted == 2
    kept = [key for key in ("before", "past", "future", "ancient", "text") if bench.read({"pk": {"S": key}})]
    assert kept == ["future", "ancient", "text"]


def test_an_item_that_was_given_more_time_stays() -> None:
    bench = Bench()
    bench.create()
    enable_ttl(bench, "at")
    now = bench.clock.wall_ms() // 1000
    bench.put(expiring("a", now + 10))
    bench.scheduler.run()
    bench.put(expiring("a", now + 1000))
    bench.scheduler.run()
    assert expiry_entries(bench) == 1
    bench.clock.advance(20.0)
    assert sweep(bench).deleted == 0
    assert bench.read({"pk": {"S": "a"}}) is not None


def test_switching_time_to_live_off_removes_its_index() -> None:
    bench = Bench()
    bench.create()
    enable_ttl(bench, "at")
    now = bench.clock.wall_ms() // 1000
    bench.put(expiring("a", now + 10))
    bench.scheduler.run()
    enable_ttl(bench, None)
    assert expiry_entries(bench) == 0
    enable_ttl(bench, "at")
    assert expiry_entries(bench) == 1
