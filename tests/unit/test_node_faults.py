"""The node when something goes wrong: refusals nobody expects, failing handlers, recovery under pressure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hashrange_node.log.errors import LogFailed
from hashrange_node.log.log import FileLog
from hashrange_node.replica.driver import Driver
from hashrange_node.replica.expiry import ExpirySweeper
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import EngineBusy, EngineError
from hashrange_node.storage.memory import MemoryEngine

from hashrange.errors import ApiError
from hashrange.model.table_document import revised
from hashrange.wire.messages import ChangeTable, WhenSettled, WriteItem, WriteResult

from .node_support import Bench


def item(key: str, value: str = "v") -> dict[str, dict[str, str]]:
    return {"pk": {"S": key}, "v": {"S": value}}


def open_log(path: Path) -> FileLog:
    return FileLog.open(path, b"0123456789abcdef", call_soon=lambda f, *a: f(*a), durability="os")


@pytest.mark.parametrize("error", [ValueError("a log record holds less"), LogFailed("closed")])
def test_whatever_the_log_refuses_is_answered_and_tried_again(error: Exception) -> None:
    bench = Bench()
    bench.create()
    bench.log.fail = error
    refused = bench.put(item("a"))
    bench.scheduler.run()
    assert [answer.status for answer in refused] == [500]
    assert bench.put(item("a"))[0].status == 500
    bench.log.fail = None
    bench.scheduler.run(5, seconds=0.3)
    assert bench.node.driver.queued == 0
    accepted = bench.put(item("a"))
    bench.scheduler.run()
    assert accepted[0].old_size > 0, "the outcome was unknown, and it took effect"


def test_a_handler_that_fails_is_answered_for() -> None:
    bench = Bench()
    bench.create()

    class Broken:
        program = None

        def matches(self, item: Any) -> bool:
            raise RecursionError("our bug")

    write = bench.put_message(item("a"))
    write.condition = Broken()  # type: ignore[assignment]
    answers = bench.send(write)
    bench.scheduler.run()
    assert isinstance(answers[0], ApiError)
    assert answers[0].status == 500
    assert bench.errors


def test_writes_waiting_for_a_slow_disk_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Driver, "MAX_QUEUED_BYTES", 1_000_000)
    bench = Bench()
    bench.create()
    bench.log.held = []
    answers = [bench.put(item(f"k{number}", "v" * 100_000)) for number in range(20)]
    refused = [answer[0].type_name for answer in answers if answer]
    assert refused == ["ServiceUnavailable"] * len(refused)
    assert 8 <= len(refused) <= 12
    for _ in range(20):
        bench.log.release()
        bench.scheduler.tick()
    again = bench.put(item("k", "v" * 100_000))
    for _ in range(20):
        bench.log.release()
        bench.scheduler.tick()
    assert isinstance(again[0], WriteResult)


def test_a_failing_subscriber_does_not_keep_news_from_the_others() -> None:
    """The router's view would fall behind for good, and its plans would never fit again."""
    bench = Bench()
    told: list[str] = []

    def failing(name: str, before: Any, after: Any) -> None:
        raise EngineError("a block cannot be read")

    bench.node.catalogue.subscribe(failing)
    bench.node.catalogue.subscribe(lambda name, before, after: told.append(name))
    bench.create()
    assert told
    assert bench.errors


class BusyEngine(MemoryEngine):
    """Refuses every other write."""

    def __init__(self) -> None:
        super().__init__()
        self.refusing = False
        self.writes: list[int] = []

    def write(self, mutations: Any, delete_ranges: Any = ()) -> None:
        self.refusing = not self.refusing
        if self.refusing:
            raise EngineBusy("the disk does not keep up with the writes")
        self.writes.append(sum(len(value) for _, value in mutations if value is not None))
        super().write(mutations, delete_ranges)


def test_recovery_waits_for_a_disk_that_does_not_keep_up(tmp_path: Path) -> None:
    bench = Bench(log=open_log(tmp_path))
    bench.create()
    for number in range(10):
        bench.put(item(f"k{number}"))
    bench.scheduler.run()
    bench.log.close()
    pauses: list[float] = []
    again = Bench(log=open_log(tmp_path), engine=BusyEngine(), pause=pauses.append)
    assert pauses
    again.scheduler.run(5, seconds=0.1)
    assert again.read({"pk": {"S": "k9"}}) is not None
    again.log.close()


def test_recovery_writes_large_items_in_small_batches(tmp_path: Path) -> None:
    bench = Bench(log=open_log(tmp_path))
    bench.create()
    for number in range(60):
        bench.put(item(f"k{number}", "v" * 390_000))
        bench.scheduler.run()
    bench.log.close()
    engine = BusyEngine()
    again = Bench(log=open_log(tmp_path), engine=engine, pause=lambda seconds: None)
    assert max(engine.writes) < 10 << 20
    again.scheduler.run(5, seconds=0.1)
    assert again.read({"pk": {"S": "k59"}}) is not None
    again.log.close()


class DyingEngine(MemoryEngine):
    """Fails for good after some writes, and keeps what was written."""

    left = 10**9

    def write(self, mutations: Any, delete_ranges: Any = ()) -> None:
        if self.left == 0:
            raise EngineError("the machine died")
        self.left -= 1
        super().write(mutations, delete_ranges)


def test_recovery_may_be_interrupted_between_any_two_writes(tmp_path: Path) -> None:
    """The applied index must never be ahead of what was applied, also around deleted ranges."""
    bench = Bench(log=open_log(tmp_path))
    bench.create("Gone")
    bench.put(item("a"), "Gone")
    bench.create("Kept")
    bench.put(item("b"), "Kept")
    bench.scheduler.run()
    document = bench.node.catalogue.documents["Gone"]
    bench.send(ChangeTable("Gone", (document["TableId"], document["Generation"]), None, []))
    bench.scheduler.run()
    bench.put(item("c"), "Kept")
    bench.scheduler.run()
    expected = [e for e in bench.engine.scan(b"C", b"R") if not e[0].startswith(b"G")]
    bench.log.close()
    for writes in range(8):
        engine = DyingEngine()
        engine.left = writes
        log = open_log(tmp_path)
        try:
            Bench(log=log, engine=engine)
        except EngineError:
            pass
        log.close()
        engine.left = 10**9
        log = open_log(tmp_path)
        Bench(log=log, engine=engine).scheduler.run()
        assert [e for e in engine.scan(b"C", b"R") if not e[0].startswith(b"G")] == expected
        log.close()


def ttl_bench(engine: Any = None) -> tuple[Bench, ExpirySweeper]:
    bench = Bench(engine=engine)
    bench.create()
    document = bench.node.catalogue.documents["Things"]
    changed = revised(document)
    changed["TimeToLive"] = {"AttributeName": "at", "ChangedAt": 1}
    bench.send(ChangeTable("Things", (document["TableId"], document["Generation"]), changed, []))
    bench.scheduler.run()
    sweeper = ExpirySweeper(
        lambda: list(bench.node.replicas.values()),
        bench.clock.wall_ms,
        bench.scheduler.call_later,
        1.0,
        bench.node.report,
    )
    sweeper.start()
    return bench, sweeper


class UnreadableEngine(MemoryEngine):
    """Scans fail as long as it is told so."""

    unreadable = False

    def scan(self, lo: bytes, hi: bytes, reverse: bool = False) -> Any:
        if self.unreadable:
            raise EngineError("a block cannot be read")
        return super().scan(lo, hi, reverse)


def test_the_sweeper_goes_on_after_an_error() -> None:
    engine = UnreadableEngine()
    bench, sweeper = ttl_bench(engine)
    bench.put({"pk": {"S": "a"}, "at": {"N": str(bench.clock.wall_ms() // 1000 - 5)}})
    bench.scheduler.run()
    engine.unreadable = True
    bench.scheduler.run(seconds=0.5)
    assert bench.errors
    engine.unreadable = False
    bench.scheduler.run(seconds=0.5)
    assert sweeper.deleted == 1


def test_a_sweep_never_takes_the_expiry_entry_that_a_later_write_needs() -> None:
    """The item loses its expiry and gets it back while the sweeper's verdict waits for the log."""
    bench, sweeper = ttl_bench()
    due = bench.clock.wall_ms() // 1000 - 5
    bench.put({"pk": {"S": "a"}, "at": {"N": str(due)}})
    bench.scheduler.run()
    bench.log.held = []
    bench.put({"pk": {"S": "a"}})
    bench.scheduler.tick(2.0)  # the sweeper finds the entry of the first write
    bench.put({"pk": {"S": "a"}, "at": {"N": str(due)}})
    for _ in range(20):
        bench.log.release()
        bench.scheduler.tick()
    low = keyspace.space_prefix(bench.schema().partitions.all[0].id, keyspace.EXPIRY)
    assert len(list(bench.engine.scan(low, low + b"\xff" * 9))) == 1
    for _ in range(40):
        bench.log.release()
        bench.scheduler.tick(0.2)
    assert sweeper.deleted == 1


def test_a_slow_disk_is_not_given_the_same_expired_items_again_and_again() -> None:
    bench, _ = ttl_bench()
    due = bench.clock.wall_ms() // 1000 - 5
    for number in range(250):
        bench.put({"pk": {"S": f"k{number}"}, "at": {"N": str(due)}})
    bench.scheduler.run()
    bench.log.held = []
    bench.scheduler.run(seconds=0.5)
    assert bench.node.driver.queued <= 250


def test_changes_of_a_dropped_table_start_no_sender() -> None:
    bench = Bench()
    index = {
        "IndexName": "by",
        "KeySchema": [{"AttributeName": "v", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    definitions = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "v")]
    bench.create(GlobalSecondaryIndexes=[index], AttributeDefinitions=definitions)
    document = bench.node.catalogue.documents["Things"]
    write: WriteItem = bench.put_message(item("a"))
    bench.send(ChangeTable("Things", (document["TableId"], document["Generation"]), None, []))
    bench.send(write)
    bench.scheduler.run()
    assert bench.node.shippers == {}


def test_whoever_waits_for_a_table_is_answered_after_all_views_know_it() -> None:
    """The answer may bring on a pipelined request at once, which then has to find the table."""
    bench = Bench()
    told: list[str] = []

    def follow(name: str, before: Any, after: Any) -> None:
        if before is None:
            bench.node.send(WhenSettled(name), lambda answer: told.append("answered"))
        told.append(after["Status"])

    bench.node.catalogue.subscribe(follow)
    bench.create()
    assert told == ["CREATING", "ACTIVE", "answered"]


def test_nothing_is_sent_or_written_after_the_end() -> None:
    bench = Bench()
    index = {
        "IndexName": "by",
        "KeySchema": [{"AttributeName": "v", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    definitions = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "v")]
    bench.create(GlobalSecondaryIndexes=[index], AttributeDefinitions=definitions)
    bench.put(item("a"))
    bench.tick_until_applied()
    bench.node.stop()
    bench.put(item("b"))
    bench.node.driver.closed = True
    bench.log.fail = LogFailed("the log is closed")
    bench.scheduler.run(seconds=1.0)
    assert bench.errors == []
    assert len(list(bench.engine.scan(b"Q", b"R"))) == 1
