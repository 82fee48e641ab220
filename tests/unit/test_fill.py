"""Background fills: what is in flight when one begins, deletion and re-creation of an index, refusals."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hashrange_node.log.errors import LogFull
from hashrange_node.replica import index_queue
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import EngineError
from hashrange_node.storage.memory import MemoryEngine
from hashrange_router.api.tables_update import plan_update

from hashrange.errors import ApiError
from hashrange.model.table_document import revised
from hashrange.wire.messages import ChangeTable, ConflictError, ReadRange

from .node_support import Bench

DEFINITIONS = [
    {"AttributeName": "pk", "AttributeType": "S"},
    {"AttributeName": "g", "AttributeType": "S"},
    {"AttributeName": "h", "AttributeType": "S"},
]


def index_on(attribute: str) -> dict[str, Any]:
    return {
        "IndexName": "by",
        "KeySchema": [{"AttributeName": attribute, "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }


def plan_index(bench: Bench, update: dict[str, Any]) -> ChangeTable:
    catalogue = bench.node.catalogue
    document = catalogue.documents["Things"]
    used = {part["AttributeName"] for part in update.get("Create", {}).get("KeySchema", ())}
    request = {
        "TableName": "Things",
        "AttributeDefinitions": [d for d in DEFINITIONS if d["AttributeName"] in used],
        "GlobalSecondaryIndexUpdates": [update],
    }
    ids: list[int] = []

    def next_id() -> int:
        ids.append(catalogue.next_partition_id + len(ids))
        return ids[-1]

    plan = plan_update(
        document, request, now=2.0, next_partition_ids=next_id, region="us-east-1", account="0" * 12
    )
    return ChangeTable("Things", (document["TableId"], document["Generation"]), plan.document, ids)


def create_index(bench: Bench, attribute: str) -> None:
    assert bench.send(plan_index(bench, {"Create": index_on(attribute)})) == []


def delete_index(bench: Bench) -> None:
    assert bench.send(plan_index(bench, {"Delete": {"IndexName": "by"}})) == []


def entries(bench: Bench) -> list[str]:
    """The keys of the items that have an entry in the index."""
    found: list[str] = []
    for part in bench.schema().index("by").partitions.all:
        message = ReadRange(part.id, 1, 0, b"", b"\xff" * 9)
        message.max_bytes = 1 << 30
        found += [orjson.loads(item)["pk"]["S"] for item in bench.send(message)[0].items]
    return sorted(found)


def switch_ttl(bench: Bench, attribute: str | None) -> None:
    document = bench.node.catalogue.documents["Things"]
    changed = revised(document)
    changed["TimeToLive"] = {"ChangedAt": changed["Generation"]}
    if attribute is not None:
        changed["TimeToLive"]["AttributeName"] = attribute
    bench.send(ChangeTable("Things", (document["TableId"], document["Generation"]), changed, []))


def expiry_entries(bench: Bench) -> int:
    low = keyspace.space_prefix(bench.schema().partitions.all[0].id, keyspace.EXPIRY)
    return len(list(bench.engine.scan(low, low + b"\xff" * 9)))


def test_a_fill_sees_the_writes_that_were_under_way_when_its_index_was_made() -> None:
    """They were evaluated before the index was known, and reach the engine only after the fill began."""
    bench = Bench()
    bench.create()
    bench.log.held = []
    create_index(bench, "g")
    bench.scheduler.run()
    bench.put({"pk": {"S": "under way"}, "g": {"S": "x"}})
    while not bench.schema().indexes:
        bench.log.release()
        bench.scheduler.tick()
    for _ in range(100):
        bench.log.release()
        bench.scheduler.tick()
    assert bench.read({"pk": {"S": "under way"}}) is not None
    assert entries(bench) == ["under way"]


def test_an_expiry_fill_sees_the_writes_that_were_under_way() -> None:
    bench = Bench()
    bench.create()
    bench.log.held = []
    switch_ttl(bench, "at")
    bench.scheduler.run()
    bench.put({"pk": {"S": "under way"}, "at": {"N": "1700000000"}})
    while bench.schema().ttl_attribute is None:
        bench.log.release()
        bench.scheduler.tick()
    for _ in range(100):
        bench.log.release()
        bench.scheduler.tick()
    assert expiry_entries(bench) == 1


def test_an_index_becomes_active_while_writes_never_cease() -> None:
    bench = Bench()
    bench.create()
    for number in range(300):
        bench.put({"pk": {"S": f"k{number}"}, "g": {"S": "x"}})
    bench.scheduler.run()
    create_index(bench, "g")
    for number in range(400):
        bench.put({"pk": {"S": f"n{number}"}, "g": {"S": "x"}})
        bench.scheduler.tick()
    assert bench.schema().index("by").readable


def test_changes_queued_for_a_deleted_index_do_not_reach_its_successor() -> None:
    """An index of the same name may have another key: entries of the old one would stay in it for good."""
    bench = Bench()
    bench.create()
    create_index(bench, "g")
    bench.scheduler.run(100)
    bench.node.shipper(bench.node.replicas[bench.schema().partitions.all[0].id])._lag_s = 5.0
    bench.put({"pk": {"S": "old"}, "g": {"S": "x"}})
    bench.scheduler.run()
    delete_index(bench)
    bench.scheduler.run()
    for _ in range(20):
        if bench.schema().indexes:
            bench.scheduler.tick(seconds=1.0)
    create_index(bench, "h")
    for _ in range(10):
        bench.scheduler.run(seconds=1.0)
    assert bench.schema().index("by").readable
    assert entries(bench) == []


def test_changes_left_of_a_deleted_index_do_not_reach_its_successor_after_a_restart() -> None:
    bench = Bench()
    bench.create()
    create_index(bench, "g")
    bench.scheduler.run(100)
    bench.node.shipper(bench.node.replicas[bench.schema().partitions.all[0].id])._lag_s = 1e9
    bench.put({"pk": {"S": "old"}, "g": {"S": "x"}})
    bench.scheduler.run()
    delete_index(bench)
    bench.scheduler.run()
    assert list(bench.engine.scan(b"Q", b"R"))
    again = Bench(engine=bench.engine)
    again.scheduler.run(100)
    create_index(again, "h")
    again.scheduler.run(100)
    once_more = Bench(engine=bench.engine)
    once_more.scheduler.run(100)
    assert entries(once_more) == []
    assert not list(bench.engine.scan(b"Q", b"R"))


@pytest.mark.parametrize("ticks", range(4, 44, 3))
def test_the_end_of_a_deleted_index_s_fill_does_not_activate_its_successor(ticks: int) -> None:
    bench = Bench()
    bench.create()
    for number in range(600):
        bench.put({"pk": {"S": f"k{number:04}"}, "g": {"S": "x"}, "h": {"S": "y"}})
    bench.scheduler.run()
    create_index(bench, "g")
    for _ in range(ticks):
        bench.scheduler.tick()
    answers: list[Any] = [ConflictError()]
    while answers and isinstance(answers[0], ConflictError):  # its activation was under way
        answers = bench.send(plan_index(bench, {"Delete": {"IndexName": "by"}}))
        for _ in range(4):
            bench.scheduler.tick()
    for _ in range(100):
        if not bench.schema().indexes:
            break
        bench.scheduler.tick()
    create_index(bench, "h")
    for _ in range(200):
        bench.scheduler.tick()
        indexes = bench.schema().indexes
        if indexes and indexes[0].readable:
            assert len(entries(bench)) == 600
    assert bench.schema().index("by").readable


def test_time_to_live_switched_off_while_the_disk_was_full_starts_anew() -> None:
    """Items written while it was off must be found when it is switched on again."""
    bench = Bench()
    bench.create()
    switch_ttl(bench, "at")
    bench.scheduler.run()
    appended = bench.log.append

    def full_after_the_document(batch: Any) -> int:
        position: int = appended(batch)
        bench.log.append = refusing  # type: ignore[method-assign]
        return position

    def refusing(batch: Any) -> int:
        raise LogFull("no space left")

    bench.log.append = full_after_the_document  # type: ignore[method-assign]
    switch_ttl(bench, None)
    bench.scheduler.run()
    assert bench.schema().ttl_attribute is None
    bench.log.append = appended  # type: ignore[method-assign]
    bench.scheduler.run(2, seconds=0.3)
    bench.put({"pk": {"S": "a"}, "at": {"N": "1700000000"}})
    bench.scheduler.run(10, seconds=0.2)
    switch_ttl(bench, "at")
    bench.scheduler.run(100)
    assert expiry_entries(bench) == 1


def test_time_to_live_switched_off_just_before_a_crash_starts_anew() -> None:
    bench = Bench()
    bench.create()
    switch_ttl(bench, "at")
    bench.put({"pk": {"S": "b"}, "at": {"N": "1700000000"}})
    bench.scheduler.run(100)
    switch_ttl(bench, None)
    while bench.schema().ttl_attribute is not None:
        bench.scheduler.tick()
    again = Bench(engine=bench.engine)  # the deletion of the expiry index was not in the log yet
    again.put({"pk": {"S": "a"}, "at": {"N": "1700000000"}})
    again.scheduler.run(100)
    assert expiry_entries(again) == 0
    switch_ttl(again, "at")
    again.scheduler.run(100)
    assert expiry_entries(again) == 2


class UnreadableEngine(MemoryEngine):
    """Scans of items fail as long as it is told so."""

    unreadable = False

    def scan(self, lo: bytes, hi: bytes, reverse: bool = False) -> Any:
        if self.unreadable and lo.startswith(b"P"):
            raise EngineError("a block cannot be read")
        return super().scan(lo, hi, reverse)


def test_a_fill_goes_on_when_the_engine_can_be_read_again() -> None:
    engine = UnreadableEngine()
    bench = Bench(engine=engine)
    bench.create()
    bench.put({"pk": {"S": "a"}, "g": {"S": "x"}})
    bench.scheduler.run()
    engine.unreadable = True
    create_index(bench, "g")
    try:
        bench.scheduler.run()
    except EngineError:
        bench.errors.append(("escaped", EngineError()))
    assert all(what != "escaped" for what, _ in bench.errors)
    engine.unreadable = False
    bench.scheduler.run(100, seconds=0.2)
    assert entries(bench) == ["a"]
    assert bench.schema().index("by").readable


def test_a_fill_takes_no_more_at_once_than_a_log_entry_should_hold() -> None:
    bench = Bench()
    bench.create()
    for number in range(40):
        bench.put({"pk": {"S": f"k{number}"}, "g": {"S": "x"}, "v": {"S": "v" * 300_000}})
    bench.scheduler.run()
    sizes: list[int] = []
    original = bench.log.append

    def measured(batch: Any) -> int:
        sizes.extend(len(p if isinstance(p, bytes) else p.encode()) for _, _, _, p, _ in batch)
        position: int = original(batch)
        return position

    bench.log.append = measured  # type: ignore[method-assign]
    create_index(bench, "g")
    bench.scheduler.run(400)
    assert len(entries(bench)) == 40
    assert max(sizes) < 4 << 20


def test_writes_are_refused_while_their_index_changes_queue_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue lies in memory: an index that does not keep up must slow its writers down."""
    monkeypatch.setattr(index_queue, "BACKLOG_MAX", 50)
    bench = Bench()
    bench.create()
    create_index(bench, "g")
    bench.scheduler.run(100)
    shipper = bench.node.shipper(bench.node.replicas[bench.schema().partitions.all[0].id])
    shipper._lag_s = 1.0
    answers = []
    for number in range(100):
        answers.append(bench.put({"pk": {"S": f"k{number}"}, "g": {"S": "x"}}))
        bench.scheduler.run(4)
    refused = [answer for (answer,) in answers if isinstance(answer, ApiError)]
    assert len(refused) == 50
    assert {error.type_name for error in refused} == {"ServiceUnavailable"}
    bench.scheduler.run(10, seconds=1.0)
    again = bench.put({"pk": {"S": "again"}, "g": {"S": "x"}})
    bench.scheduler.run(10, seconds=1.0)
    assert not isinstance(again[0], ApiError)
    assert len(entries(bench)) == 51
