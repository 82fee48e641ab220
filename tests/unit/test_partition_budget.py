"""Ceilings of partitions: what replicas count, refuse and hold back."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_node.replica import index_queue
from hashrange_node.replica.budget import Ceilings, Mode, PartitionBudget

from hashrange.errors import ApiError
from hashrange.expr import ExpressionContext
from hashrange.model.ledger import LEDGER_TABLE
from hashrange.model.throttling import reasons_of
from hashrange.routing.retry import is_fault
from hashrange.wire.codec import Codec
from hashrange.wire.messages import ReadItem, ReadRange, WriteResult
from hashrange.wire.transactions import TransactRead, TransactWrite
from tests.unit.node_support import Bench
from tests.unit.test_node_indexes import DEFINITIONS, INDEX, entries, thing

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/Things"
PROVISIONED = {
    "BillingMode": "PROVISIONED",
    "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
}


def bench(mode: Mode = "on", multiplier: float = 0.01) -> Bench:
    """A node whose partitions may read 30 units a second and write 10."""
    made = Bench()
    made.node.ceilings = Ceilings(mode, multiplier, lambda: made.scheduler.now)
    return made


def put(on: Bench, key: str, **others: Any) -> Any:
    answers = on.put({"pk": {"S": key}, **others})
    while not answers:
        on.scheduler.tick()
    return answers[0]


def puts(on: Bench, limit: int = 100) -> tuple[int, ApiError]:
    """How many are taken, and the refusal of the next one."""
    for number in range(limit):
        answer = put(on, f"k{number}")
        if isinstance(answer, ApiError):
            return number, answer
    raise AssertionError(f"{limit} writes were taken")


def test_writes_have_a_ceiling() -> None:
    on = bench()
    on.create(**PROVISIONED)
    count, refusal = puts(on)
    assert count == 10
    assert refusal.type_name == "ProvisionedThroughputExceededException"
    assert refusal.fields == {
        "ThrottlingReasons": [{"reason": "TableWriteKeyRangeThroughputExceeded", "resource": ARN}]
    }
    on.scheduler.tick(0.5)
    assert puts(on)[0] == 5
    on.scheduler.tick(1_000)
    assert puts(on)[0] == 10  # no more than a second's worth is saved


def test_what_a_write_cost_is_known_afterwards_and_waited_for() -> None:
    on = bench()
    on.create()
    assert isinstance(put(on, "big", text={"S": "x" * 30_500}), WriteResult)
    on.scheduler.tick(1.9)
    _, refusal = puts(on)
    assert refusal.type_name == "ThrottlingException"
    on.scheduler.tick(0.15)
    assert puts(on)[0] == 1


def test_reads_have_a_ceiling() -> None:
    on = bench()
    table = on.create()
    put(on, "big", text={"S": "x" * 40_000})  # 10 units, or 5
    key = table.codec.encode({"pk": {"S": "big"}})
    partition = table.partition_for(key).id

    def reads(consistent: bool) -> int:
        on.scheduler.tick(2.0)
        for number in range(100):
            if isinstance(on.send(ReadItem(partition, 1, key, consistent))[0], ApiError):
                return number
        raise AssertionError

    assert (reads(True), reads(False)) == (3, 6)
    on.scheduler.tick(2.0)
    message = ReadRange(partition, 1, 0, b"", b"\xff" * 9)
    message.max_bytes = 1 << 20
    answers = [on.send(message)[0] for _ in range(4)]
    assert [isinstance(answer, ApiError) for answer in answers] == [False, False, False, True]
    assert reasons_of(answers[3]) == ["TableReadKeyRangeThroughputExceeded"]


def test_a_failed_condition_is_charged_and_other_failures_are_not() -> None:
    on = bench()
    on.create()
    put(on, "a", text={"S": "x" * 4_000})
    on.scheduler.tick(10)
    for _ in range(3):
        message = on.put_message({"pk": {"S": "a"}})
        context = ExpressionContext(None, None)
        message.condition = context.condition("attribute_not_exists(pk)")
        answer = on.send(message)[0]
        assert isinstance(answer, ApiError)
        assert answer.type_name == "ConditionalCheckFailedException"
    assert isinstance(put(on, "b"), ApiError)


def test_only_tables_in_provisioned_mode() -> None:
    on = bench("provisioned-only")
    on.create()
    with pytest.raises(AssertionError, match="100 writes were taken"):
        puts(on)
    other = bench("provisioned-only")
    other.create(**PROVISIONED)
    assert puts(other)[0] == 10


def test_the_ledger_of_transactions_has_no_ceiling() -> None:
    on = bench()
    schema = on.create()
    ceilings = Ceilings("on", 1.0, lambda: 0.0)
    assert isinstance(ceilings.budget(schema, None), PartitionBudget)
    object.__setattr__(schema, "name", LEDGER_TABLE)
    assert ceilings.budget(schema, None) is None


def test_transactions_count_twice() -> None:
    on = bench()
    table = on.create()
    writes = [on.put_message({"pk": {"S": f"t{n}"}}) for n in range(5)]
    message = TransactWrite(writes[0].partition, 1, b"t" * 16, writes)
    answers = on.send(message)
    on.scheduler.run()
    assert answers[0].verdict == 1
    assert isinstance(put(on, "a"), ApiError)
    (again,) = on.send(TransactWrite(writes[0].partition, 1, b"u" * 16, writes))
    assert isinstance(again, ApiError)
    keys = [table.codec.encode({"pk": {"S": f"t{n}"}}) for n in range(5)]
    reads = [on.send(TransactRead(writes[0].partition, 1, keys))[0] for _ in range(7)]
    assert [isinstance(each, ApiError) for each in reads] == [False] * 6 + [True]


def index_budget(on: Bench) -> PartitionBudget:
    budget = on.node.replicas[on.schema().index("by_group").partitions.all[0].id].budget
    assert budget is not None
    return budget


def test_an_index_at_its_ceiling_makes_the_queue_wait() -> None:
    on = bench()
    on.create(GlobalSecondaryIndexes=[INDEX], AttributeDefinitions=DEFINITIONS)
    index_budget(on).charge_write(60)  # 10 units, and 20 of debt
    put(on, "a", g={"S": "x"})
    on.scheduler.run(3, seconds=0.1)
    assert entries(on) == []
    on.scheduler.run(20, seconds=0.1)
    assert entries(on) == [thing("a", "x")]


def test_an_index_far_behind_holds_its_table_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_queue, "BACKLOG_ENFORCED_MAX", 5)
    on = bench(multiplier=1.0)
    on.create(GlobalSecondaryIndexes=[INDEX], AttributeDefinitions=DEFINITIONS)
    index_budget(on).charge_write(10_000)
    answers = [put(on, f"a{number}", g={"S": "x"}) for number in range(10)]
    refusals = [answer for answer in answers if isinstance(answer, ApiError)]
    assert refusals
    on.scheduler.run(5, seconds=0.01)  # by now the queue has been told why it waits
    refusal = put(on, "b", g={"S": "x"})
    assert reasons_of(refusal) == ["IndexWriteKeyRangeThroughputExceeded"]
    on.scheduler.run(60, seconds=0.2)
    assert isinstance(put(on, "b", g={"S": "x"}), WriteResult)


def test_an_index_of_a_table_whose_capacity_is_not_enforced_may_fall_as_far_behind_as_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(index_queue, "BACKLOG_ENFORCED_MAX", 0)
    for mode, taken in (("on", False), ("provisioned-only", True)):
        on = bench(mode=mode)  # type: ignore[arg-type]
        on.create(GlobalSecondaryIndexes=[INDEX], AttributeDefinitions=DEFINITIONS)
        put(on, "a", g={"S": "x"})
        on.scheduler.run(5)
        assert isinstance(put(on, "b", g={"S": "x"}), WriteResult) is taken


def test_a_refusal_travels_and_is_not_sent_again() -> None:
    on = bench()
    on.create(**PROVISIONED)
    _, refusal = puts(on)
    message = on.put_message({"pk": {"S": "a"}})
    arrived = Codec().decode_reply(Codec().encode_reply(message, refusal))
    assert arrived.body() == refusal.body()
    assert not is_fault(arrived)
