"""Transactions of large items: what they may come to, and that no log entry becomes too large for a message."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_node.replica.group import Group
from hashrange_node.transactions import evaluate

from hashrange.errors import ApiError
from hashrange.wire.faults import Overloaded
from hashrange.wire.transactions import DONE, REFUSED, TOO_LARGE, TransactFinish, TransactOutcome

from .transact_router import RouterBench
from .transact_support import TransactBench, txid

NAMES = [f"k{number}" for number in range(12)]
LARGE = {"large": {"S": "x" * 390_000}}  # eleven of them are more than 4 MB


@pytest.fixture
def bench() -> TransactBench:
    made = TransactBench()
    for name in NAMES:
        made.write(made.action("put", name, LARGE))
    return made


def texts(outcome: TransactOutcome) -> list[str | None]:
    return [each.message if isinstance(each, ApiError) else None for each in outcome.results]


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of the values in every proposed entry."""
    found: list[int] = []
    propose = Group.propose

    def counting(self: Group, effects: Any, done: Any) -> bool:
        found.append(sum(len(value) for _, value in effects.mutations if value is not None))
        return propose(self, effects, done)

    monkeypatch.setattr(Group, "propose", counting)
    return found


@pytest.mark.parametrize("kind", ["check", "update"])
@pytest.mark.parametrize("prepare", [False, True])
def test_items_count_as_the_transaction_finds_or_makes_them(
    bench: TransactBench, kind: str, prepare: bool
) -> None:
    def run(names: list[str], number: int) -> TransactOutcome:
        update = "SET a = pk" if kind == "update" else None
        actions = [bench.action(kind, name, update=update) for name in names]
        if prepare:
            return bench.prepare(number, bench.stamp(), *actions)
        return bench.commit(number, *actions)

    refused = run(NAMES, 1)
    assert refused.verdict == REFUSED
    assert texts(refused) == [None] * 10 + [TOO_LARGE, None], "the first one beyond the limit is told"
    assert run(NAMES[:10], 2).verdict == DONE


def test_what_is_deleted_takes_no_room(bench: TransactBench) -> None:
    assert bench.commit(1, *[bench.action("delete", name) for name in NAMES]).verdict == DONE


def test_failed_conditions_bring_back_no_more_than_a_transaction_holds(bench: TransactBench) -> None:
    actions = [bench.action("check", name, condition="attribute_not_exists(pk)", old=True) for name in NAMES]
    outcome = bench.commit(1, *actions)
    attached = ["Item" in (each.fields or {}) for each in outcome.results if isinstance(each, ApiError)]
    assert attached == [True] * 10 + [False] * 2


def test_a_read_of_too_much_is_refused_where_the_items_are(bench: TransactBench) -> None:
    assert len(bench.versions(*NAMES[:10]).records) == 10
    answer: Any = bench.versions(*NAMES)
    assert answer.message == TOO_LARGE


def test_an_entry_too_large_for_a_message_is_refused(
    bench: TransactBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "ENTRY_BYTES_MAX", 1_000_000)
    actions = [bench.action("update", name, update="SET a = pk") for name in NAMES[:3]]
    assert texts(bench.commit(1, *actions)) == [None, None, TOO_LARGE]
    assert bench.commit(2, *actions[:2]).verdict == DONE


def test_locks_of_much_are_ended_by_several_entries(
    bench: TransactBench, monkeypatch: pytest.MonkeyPatch, entries: list[int]
) -> None:
    monkeypatch.setattr(evaluate, "FINISH_BYTES", 1_000_000)
    actions = [bench.action("update", name, update="SET a = pk") for name in NAMES[:10]]
    assert bench.prepare(1, bench.stamp(), *actions).verdict == DONE
    entries.clear()
    assert bench.finish(1) is None
    assert len(entries) == 4 and max(entries) < 1_500_000
    assert all(b'"a":' in (bench.get(name) or b"") for name in NAMES[:10])
    assert not bench.replica.locked


def streamed() -> TransactBench:
    made = TransactBench(StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    for name in NAMES:
        made.write(made.action("put", name, LARGE))
    return made


def test_what_a_stream_has_of_deleted_items_counts_for_the_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "ENTRY_BYTES_MAX", 1_000_000)
    bench = streamed()
    actions = [bench.action("delete", name) for name in NAMES]
    assert texts(bench.commit(1, *actions[:3])) == [None, None, TOO_LARGE]
    assert bench.commit(2, *actions[:2]).verdict == DONE


def test_deletions_that_a_stream_records_are_ended_by_several_entries(
    monkeypatch: pytest.MonkeyPatch, entries: list[int]
) -> None:
    monkeypatch.setattr(evaluate, "FINISH_BYTES", 1_000_000)
    bench = streamed()
    actions = [bench.action("delete", name) for name in NAMES]
    assert bench.prepare(1, bench.stamp(), *actions).verdict == DONE
    entries.clear()
    assert bench.finish(1) is None
    assert len(entries) == 4 and max(entries) < 1_500_000
    assert not any(bench.get(name) for name in NAMES)
    assert not bench.replica.locked


def test_an_end_that_is_refused_half_way_is_told_so_and_taken_up_again(
    bench: TransactBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "FINISH_BYTES", 1_000_000)
    actions = [bench.action("update", name, update="SET a = pk") for name in NAMES[:10]]
    bench.prepare(1, bench.stamp(), *actions)
    propose, before = Group.propose, [0]

    def refusing(self: Group, effects: Any, done: Any) -> bool:
        before[0] += 1
        if before[0] == 2:
            done(Overloaded("a test"))
            return False
        return propose(self, effects, done)

    monkeypatch.setattr(Group, "propose", refusing)
    answers = bench.send(TransactFinish(bench.replica.id, 0, txid(1), True, []))
    bench.scheduler.run()
    assert [each.type_name for each in answers] == ["Overloaded"]
    assert len(bench.replica.locked) == 7
    assert bench.finish(1) is None
    assert not bench.replica.locked
    assert all(b'"a":' in (bench.get(name) or b"") for name in NAMES[:10])


def test_the_partitions_of_a_transaction_count_together() -> None:
    bench = RouterBench()
    for table in ("Aaa", "Bbb"):
        for number in range(6):
            bench.put({"pk": {"S": str(number)}, **LARGE}, table)
    bench.scheduler.run()
    items = [(table, str(number)) for table in ("Aaa", "Bbb") for number in range(6)]
    answer = bench.run("TransactWriteItems", bench.adding(*items))
    reasons = answer.fields["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None"] * 10 + ["ValidationError", "None"]
    assert reasons[10]["Message"] == TOO_LARGE
    assert bench.locks() == 0
