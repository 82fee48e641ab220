"""A router's transactions when messages are lost, unanswered or misrouted, at every step of them."""

from __future__ import annotations

from typing import Any

import pytest

from hashrange.errors import ApiError, resource_not_found
from hashrange.model import ledger
from hashrange.runtime.clock import StampClock, wall_ms_of

from .transact_router import FATES, RouterBench

ITEMS = (("Aaa", "x"), ("Bbb", "y"))
TOKEN = "token-1"
SPREAD_STEPS = ("prepare", "decide", "commit", "clear")
TOKEN_STEPS = ("claim", "prepare", "decide", "commit", "settle", "clear")


@pytest.fixture
def bench() -> RouterBench:
    return RouterBench()


def fail_once(step: str, number: int, fate: Any) -> Any:
    return lambda each, before, message: fate if (each, before) == (step, number) else None


def fail_always(step: str, fate: Any) -> Any:
    return lambda each, before, message: fate if each == step else None


def write(bench: RouterBench, *items: tuple[str, str], token: str | None = None, **extra: Any) -> Any:
    return bench.run("TransactWriteItems", bench.adding(*(items or ITEMS), token=token, **extra))


def succeeded(answer: Any) -> bool:
    return not isinstance(answer, ApiError)


def codes(answer: Any) -> list[str]:
    assert isinstance(answer, ApiError) and answer.type_name == "TransactionCanceledException"
    assert answer.fields is not None
    return [reason["Code"] for reason in answer.fields["CancellationReasons"]]


# Without faults.


def test_one_partition_takes_one_message(bench: RouterBench) -> None:
    assert succeeded(write(bench, ("Aaa", "x"), ("Aaa", "y")))
    assert bench.steps == ["write"]
    assert bench.counts(("Aaa", "x"), ("Aaa", "y")) == [1, 1]


def test_several_partitions_take_three_rounds_and_leave_nothing_behind(bench: RouterBench) -> None:
    assert succeeded(write(bench))
    assert bench.steps == ["prepare", "prepare", "decide", "commit", "commit", "clear"]
    assert bench.counts(*ITEMS) == [1, 1]
    assert bench.locks() == 0


def test_a_token_is_claimed_first_and_marked_finished_before_the_decision_goes(bench: RouterBench) -> None:
    assert succeeded(write(bench, token=TOKEN))
    assert bench.steps == ["prepare", "prepare", "claim", "decide", "commit", "commit", "settle", "clear"]
    row = bench.row(ledger.token_key(TOKEN))
    assert row is not None and row["state"] == {"S": "finished"}


def test_a_token_of_one_partition_costs_one_write_more(bench: RouterBench) -> None:
    assert succeeded(write(bench, ("Aaa", "x"), token=TOKEN))
    assert bench.steps == ["claim", "write"]


@pytest.mark.parametrize("items", [ITEMS, (("Aaa", "x"), ("Aaa", "y"))])
def test_a_repeat_changes_nothing_and_is_charged_as_a_read(bench: RouterBench, items: Any) -> None:
    first = write(bench, *items, token=TOKEN, ReturnConsumedCapacity="TOTAL")
    again = write(bench, *items, token=TOKEN, ReturnConsumedCapacity="TOTAL")
    assert bench.counts(*items) == [1, 1]
    assert all("WriteCapacityUnits" in each for each in first["ConsumedCapacity"])
    assert [each["TableName"] for each in again["ConsumedCapacity"]] == sorted({name for name, _ in items})
    assert sum(each["ReadCapacityUnits"] for each in again["ConsumedCapacity"]) == 4.0


# One fault at one step.


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("step", SPREAD_STEPS)
def test_one_fault_leaves_all_or_nothing(bench: RouterBench, step: str, number: int, fate: str) -> None:
    bench.rule = fail_once(step, number, fate)
    answer = write(bench)
    bench.recover()
    assert bench.locks() == 0
    done = bench.counts(*ITEMS)
    if succeeded(answer):
        assert done == [1, 1]
    elif answer.status == 503:
        assert done == [0, 0], "called undone, but done"
    else:
        assert answer.status == 500 and done in ([0, 0], [1, 1])
    assert succeeded(answer) or step == "prepare", "the coordinator can do something about this fault"


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("step", TOKEN_STEPS)
def test_with_a_token_the_request_can_be_repeated_after_any_fault(
    bench: RouterBench, step: str, number: int, fate: str
) -> None:
    bench.rule = fail_once(step, number, fate)
    for _ in range(2):  # the second time it is a repeat of what succeeded
        answer = write(bench, token=TOKEN)
        for _ in range(3):
            if succeeded(answer):
                break
            assert answer.status >= 500 or answer.type_name == "TransactionInProgressException"
            bench.recover()
            answer = write(bench, token=TOKEN)
        assert succeeded(answer)
    bench.recover()
    assert bench.counts(*ITEMS) == [1, 1]
    assert bench.locks() == 0


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("step", ["claim", "write"])
def test_the_same_in_one_partition(bench: RouterBench, step: str, fate: str) -> None:
    bench.rule = fail_once(step, 0, fate)
    items = (("Aaa", "x"), ("Aaa", "y"))
    answer = write(bench, *items, token=TOKEN)
    if not succeeded(answer):
        assert answer.status >= 500
        answer = write(bench, *items, token=TOKEN)
    assert succeeded(answer)
    assert bench.counts(*items) == [1, 1]


# A step that fails for good.


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("step", TOKEN_STEPS)
def test_nothing_is_called_done_or_undone_wrongly(bench: RouterBench, step: str, fate: str) -> None:
    bench.rule = fail_always(step, fate)
    answer = write(bench, token=TOKEN)
    bench.rule = lambda step, number, message: None
    bench.recover()
    done = bench.counts(*ITEMS)
    assert done in ([0, 0], [1, 1])
    if succeeded(answer):
        assert done == [1, 1]
    elif answer.status == 503:
        assert done == [0, 0]
    assert bench.locks() == 0
    bench.recover()
    assert succeeded(write(bench, token=TOKEN))
    assert bench.counts(*ITEMS) == [1, 1]


def test_an_unknown_decision_is_neither_undone_nor_called_a_failure(bench: RouterBench) -> None:
    bench.rule = fail_always("decide", "deaf")
    answer = write(bench)
    assert answer.status == 500
    assert "cancel" not in bench.steps
    bench.recover()
    assert bench.counts(*ITEMS) == [1, 1], "it had been decided"


def test_a_decision_that_cannot_be_made_is_undone(bench: RouterBench) -> None:
    bench.rule = fail_always("decide", "lost")
    answer = write(bench)
    assert answer.status == 503
    assert bench.steps.count("cancel") == 2
    assert bench.locks() == 0 and bench.counts(*ITEMS) == [0, 0]


def test_success_is_not_answered_before_all_have_applied_it(bench: RouterBench) -> None:
    bench.rule = lambda step, number, message: "lost" if step == "commit" and number != 0 else None
    answer = write(bench)
    assert answer.status == 500
    assert bench.steps.count("commit") > 2, "tried again"
    assert "clear" not in bench.steps, "the decision stays for those who have to finish it"


def test_a_coordinator_that_was_given_up_on_begins_again(bench: RouterBench) -> None:
    first = True

    def rule(step: str, number: int, message: Any) -> None:
        nonlocal first
        if step == "decide" and first:
            first = False
            bench.recover()  # somebody takes it for stalled just before it decides
        return

    bench.rule = rule
    assert succeeded(write(bench))
    assert bench.steps.count("decide") == 2
    assert bench.counts(*ITEMS) == [1, 1]
    assert bench.context.transactions.redrives == {"given up": 1}


def test_a_deleted_table_refuses_the_request_and_frees_the_others(bench: RouterBench) -> None:
    bench.rule = fail_once("prepare", 1, resource_not_found())
    answer = write(bench)
    assert answer.type_name == "ResourceNotFoundException"
    assert bench.locks() == 0 and bench.counts(*ITEMS) == [0, 0]


# Conflicts, late and early stamps.


def test_a_lock_of_another_transaction_cancels(bench: RouterBench) -> None:
    bench.rule = fail_always("commit", "lost")
    assert write(bench).status == 500
    bench.rule = lambda step, number, message: None
    assert codes(write(bench, ("Aaa", "other"), ("Bbb", "y"))) == ["None", "TransactionConflict"]
    assert codes(write(bench, ("Bbb", "y"), ("Bbb", "z"))) == ["TransactionConflict", "None"]
    assert bench.count("Aaa", "other") == 0, "and nothing of it stays behind"


def test_a_stamp_that_comes_too_late_is_raised(bench: RouterBench) -> None:
    bench.put({"pk": {"S": "x"}, "n": {"N": "5"}}, "Aaa")
    bench.scheduler.run()
    bench.clock.set_wall_ms(bench.clock.wall_ms() - 10_000)  # the router's clock is behind the item
    assert succeeded(write(bench))
    assert bench.context.transactions.redrives == {"late": 1}
    assert bench.counts(*ITEMS) == [6, 1]


def test_a_stamp_that_is_too_far_ahead_is_lowered(bench: RouterBench) -> None:
    bench.context.stamps.observe((bench.clock.wall_ms() + 60_000) << 16)
    assert succeeded(write(bench))
    assert bench.context.transactions.redrives == {"ahead": 1}


def test_a_router_that_is_far_ahead_does_not_push_the_clocks_of_nodes(bench: RouterBench) -> None:
    class Ahead:
        def wall_ms(self) -> int:
            return bench.clock.wall_ms() + 3_600_000

    bench.context.stamps = StampClock(Ahead())  # type: ignore[arg-type]
    for number in range(20):
        assert succeeded(write(bench, ("Aaa", f"x{number}"), ("Bbb", f"y{number}")))
    assert wall_ms_of(bench.node.stamps.now) == bench.clock.wall_ms()


def test_a_lowered_stamp_is_raised_above_what_the_items_have_seen(bench: RouterBench) -> None:
    bench.context.stamps.observe(bench.context.stamps.next() + (3_600_000 << 16))
    for _ in range(20):
        assert succeeded(write(bench))  # the same items: each time above the last stamp
    assert bench.counts(*ITEMS) == [20, 20]


def test_an_item_that_is_always_written_meanwhile_is_a_conflict_in_the_end(bench: RouterBench) -> None:
    def rule(step: str, number: int, message: Any) -> None:
        if step == "prepare" and message.actions[0].key_item == {"pk": {"S": "y"}}:
            bench.clock.advance(0.01)
            bench.put({"pk": {"S": "y"}, "n": {"N": "0"}}, "Bbb")
            bench.scheduler.run(5)

    bench.rule = rule
    assert codes(write(bench, token=TOKEN)) == ["None", "TransactionConflict"]
    assert bench.locks() == 0
    bench.rule = lambda step, number, message: None
    assert succeeded(write(bench, token=TOKEN)), "its token can be used again at once"


# Tokens.


@pytest.mark.parametrize("items", [ITEMS, (("Aaa", "x"), ("Aaa", "y"))])
def test_another_request_with_the_token_is_refused(bench: RouterBench, items: Any) -> None:
    write(bench, *items, token=TOKEN)
    answer = write(bench, items[0], ("Ccc", "else"), token=TOKEN)
    assert answer.type_name == "IdempotentParameterMismatchException"
    answer = write(bench, ("Ccc", "else"), token=TOKEN)
    assert answer.type_name == "IdempotentParameterMismatchException"
    assert bench.count("Ccc", "else") == 0
    assert bench.counts(*items) == [1, 1]
    assert bench.locks() == 0


@pytest.mark.parametrize("items", [ITEMS, (("Aaa", "x"), ("Aaa", "y"))])
def test_a_token_stands_for_ten_minutes(bench: RouterBench, items: Any) -> None:
    write(bench, *items, token=TOKEN)
    bench.clock.advance(599)
    assert succeeded(write(bench, *items, token=TOKEN))
    assert bench.counts(*items) == [1, 1]
    bench.clock.advance(2)
    assert succeeded(write(bench, *items, token=TOKEN))
    assert bench.counts(*items) == [2, 2]
    other = (("Aaa", "x"), ("Ccc", "else"))
    bench.clock.advance(601)
    assert succeeded(write(bench, *other, token=TOKEN)), "also for another request"


def test_a_cancelled_request_can_be_tried_again_with_its_token(bench: RouterBench) -> None:
    bench.rule = fail_always("commit", "lost")
    assert write(bench).status == 500  # locks both items
    bench.rule = lambda step, number, message: None
    assert codes(write(bench, token=TOKEN)) == ["TransactionConflict", "TransactionConflict"]
    bench.recover()
    assert succeeded(write(bench, token=TOKEN))
    assert bench.counts(*ITEMS) == [2, 2]


def stop_at(bench: RouterBench, step: str, number: int = 0) -> None:
    """Let the router die when it would send this message: nothing more is sent or answered."""
    bench.rule = lambda each, before, message: "never" if each == step and before == number else None
    assert bench.begin("TransactWriteItems", bench.adding(*ITEMS, token=TOKEN)) == []
    bench.scheduler.run(100)
    bench.rule = lambda step, number, message: None


def test_a_request_under_way_is_not_begun_twice(bench: RouterBench) -> None:
    stop_at(bench, "decide")
    bench.clock.advance(4)
    assert write(bench, token=TOKEN).type_name == "TransactionInProgressException"
    assert bench.locks() == 2, "the first is left alone"


@pytest.mark.parametrize("recovery_first", [False, True])
@pytest.mark.parametrize(
    ("step", "number"), [("decide", 0), ("commit", 0), ("commit", 1), ("settle", 0), ("clear", 0)]
)
def test_a_repeat_takes_over_from_a_router_that_died(
    bench: RouterBench, step: str, number: int, recovery_first: bool
) -> None:
    bench.rule = lambda each, before, message: "never" if (each, before) == (step, number) else None
    bench.begin("TransactWriteItems", bench.adding(*ITEMS, token=TOKEN))
    bench.scheduler.run(100)
    bench.rule = lambda step, number, message: None
    if recovery_first:
        bench.recover()
    else:
        bench.clock.advance(6)
    assert succeeded(write(bench, token=TOKEN))
    assert bench.counts(*ITEMS) == [1, 1]
    assert bench.locks() == 0


def test_a_row_of_the_future_does_not_hold_up_its_token(bench: RouterBench) -> None:
    stop_at(bench, "decide")
    bench.clock.set_wall_ms(bench.clock.wall_ms() - 3_600_000)  # the clock of the one that stopped was wrong
    assert succeeded(write(bench, token=TOKEN))
    assert bench.counts(*ITEMS) == [1, 1]


def test_a_repeat_finds_the_decision_long_after_the_ledger_has_looked_after_it(bench: RouterBench) -> None:
    stop_at(bench, "commit")
    bench.recover(30)
    replica = next(each for each in bench.node.replicas.values() if each.schema.name == ledger.LEDGER_TABLE)
    row_keys = [
        key[len(replica.items) :]
        for key, _ in replica.engine.scan(replica.items, replica.items + b"\xff" * 40)
    ]
    for key in row_keys:
        bench.upkeep.ledger.keeps(replica, key)
    bench.scheduler.run(100)
    assert bench.upkeep.ledger.finished == 1
    assert succeeded(write(bench, token=TOKEN))
    assert bench.counts(*ITEMS) == [1, 1], "not carried out a second time"


def test_only_one_of_two_takes_over(bench: RouterBench) -> None:
    stop_at(bench, "decide")
    bench.clock.advance(6)
    held: list[Any] = []

    def rule(step: str, number: int, message: Any) -> str | None:
        if step != "claim" or held:
            return None
        held.append(message)
        return "never"

    # The first one stands still before its claim; the second one overtakes it.
    bench.rule = rule
    first = bench.begin("TransactWriteItems", bench.adding(*ITEMS, token=TOKEN))
    bench.scheduler.run(100)
    assert not first
    bench.recover(6)
    assert succeeded(write(bench, token=TOKEN))
    bench.recover()
    assert bench.counts(*ITEMS) == [1, 1]
    answers = bench.send(held[0])  # its claim comes late
    bench.scheduler.run()
    assert answers[0].type_name == "ConditionalCheckFailedException"


# What moves or goes between two attempts.


def test_a_decision_is_not_cleared_while_the_locks_of_a_table_may_be_elsewhere(bench: RouterBench) -> None:
    bench.rule = fail_once("commit", 0, resource_not_found())  # of a partition: the table is there
    assert succeeded(write(bench))
    assert bench.counts(*ITEMS) == [1, 1]
    assert bench.steps.count("commit") == 3 and bench.locks() == 0
    bench.rule = fail_always("commit", resource_not_found())
    bench.steps.clear()
    assert write(bench).status == 500
    assert "clear" not in bench.steps


def test_a_table_that_is_deleted_after_the_decision_has_nothing_to_finish(bench: RouterBench) -> None:
    def rule(step: str, number: int, message: Any) -> Any:
        if step != "commit" or number:
            return None
        bench.context.tables.pop("Aaa")
        return resource_not_found()

    bench.rule = rule
    assert succeeded(write(bench))
    assert bench.steps.count("commit") == 2


def test_a_request_done_in_one_partition_is_known_after_a_split(bench: RouterBench) -> None:
    items = bench.names_apart("Aaa")
    assert succeeded(write(bench, *items, token=TOKEN))
    assert bench.steps == ["claim", "write"]
    bench.split("Aaa")
    assert succeeded(write(bench, *items, token=TOKEN))
    assert "prepare" in bench.steps and "decide" not in bench.steps
    assert bench.counts(*items) == [1, 1]
    assert bench.locks() == 0
    bench.steps.clear()
    assert succeeded(write(bench, *items, token=TOKEN)), "and its row says so now"
    assert "decide" not in bench.steps
    assert bench.counts(*items) == [1, 1]


def test_a_split_that_the_router_does_not_know_of(bench: RouterBench) -> None:
    items = bench.names_apart("Aaa")
    bench.split("Aaa", learnt_after=1)
    assert succeeded(write(bench, *items))
    assert bench.steps == ["write", "prepare", "prepare", "decide", "commit", "commit", "clear"]
    assert bench.context.transactions.redrives == {"stale route": 1}
    assert bench.counts(*items) == [1, 1]


def test_a_split_between_prepare_and_commit(bench: RouterBench) -> None:
    items = bench.names_apart("Aaa")

    def rule(step: str, number: int, message: Any) -> None:
        if (step, number) == ("decide", 0):
            bench.split("Aaa", learnt_after=1)

    bench.rule = rule
    assert succeeded(write(bench, *items, ("Bbb", "y")))
    assert bench.counts(*items, ("Bbb", "y")) == [1, 1, 1]
    assert bench.locks() == 0


def test_a_split_before_what_was_prepared_is_undone(bench: RouterBench) -> None:
    items = bench.names_apart("Aaa")

    def rule(step: str, number: int, message: Any) -> str | None:
        if (step, number) == ("decide", 2):
            bench.split("Aaa", learnt_after=1)
        return "lost" if step == "decide" else None

    bench.rule = rule
    assert write(bench, *items, ("Bbb", "y")).status == 503
    assert bench.locks() == 0, "nobody has to wait for recovery"
