"""TransactGetItems when items change, split or are locked between its rounds; and messages that nobody waits for."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from hashrange_router.api.call import Behind, Call, Each
from hashrange_router.transactions.reads import ROUNDS

from hashrange.errors import ApiError, internal, unavailable
from hashrange.model.throttling import KEY_RANGE_EXCEEDED, throttled
from hashrange.wire.messages import Done

from .transact_router import RouterBench

ITEMS = (("Aaa", "x"), ("Bbb", "y"))


@pytest.fixture
def bench() -> RouterBench:
    return RouterBench()


def reading(*items: tuple[str, str]) -> dict[str, Any]:
    keys = [{"Get": {"TableName": table, "Key": {"pk": {"S": name}}}} for table, name in items or ITEMS]
    return {"TransactItems": keys}


def read(bench: RouterBench, *items: tuple[str, str]) -> Any:
    return bench.run("TransactGetItems", reading(*items))


def numbers(answer: Any) -> list[int | None]:
    assert not isinstance(answer, ApiError), answer
    return [int(each["Item"]["n"]["N"]) if each else None for each in answer["Responses"]]


def codes(answer: Any) -> list[str]:
    assert isinstance(answer, ApiError) and answer.type_name == "TransactionCanceledException"
    assert answer.fields is not None
    return [reason["Code"] for reason in answer.fields["CancellationReasons"]]


def put(bench: RouterBench, table: str, name: str, number: int) -> None:
    bench.clock.advance(0.001)
    bench.put({"pk": {"S": name}, "n": {"N": str(number)}}, table)
    bench.scheduler.run(10)


def delete(bench: RouterBench, table: str, name: str) -> None:
    message = bench.put_message({"pk": {"S": name}}, table)
    message.kind, message.key_item = 2, {"pk": {"S": name}}
    bench.send(message)
    bench.scheduler.run(10)


def before_round(bench: RouterBench, number: int, act: Any) -> None:
    """Do something before the messages of a round (from 0) are sent; each has two."""

    def rule(step: str, sent: int, message: Any) -> None:
        if step == "read" and sent == 2 * number:
            act()

    bench.rule = rule


def test_one_partition_is_read_once(bench: RouterBench) -> None:
    put(bench, "Aaa", "x", 1)
    assert numbers(read(bench, ("Aaa", "x"), ("Aaa", "missing"))) == [1, None]
    assert bench.steps == ["read"]


def test_several_partitions_are_read_twice(bench: RouterBench) -> None:
    put(bench, "Aaa", "x", 1)
    assert numbers(read(bench)) == [1, None]
    assert bench.steps == ["read"] * 4


def test_what_changes_between_the_rounds_is_read_again(bench: RouterBench) -> None:
    put(bench, "Aaa", "x", 1)
    before_round(bench, 1, lambda: put(bench, "Aaa", "x", 2))
    assert numbers(read(bench)) == [2, None]
    assert bench.steps == ["read"] * 6


def test_a_change_to_the_same_value_is_a_change(bench: RouterBench) -> None:
    put(bench, "Aaa", "x", 1)
    before_round(bench, 1, lambda: put(bench, "Aaa", "x", 1))
    assert numbers(read(bench)) == [1, None]
    assert bench.steps == ["read"] * 6


def test_an_item_that_comes_and_goes_between_the_rounds_is_noticed(bench: RouterBench) -> None:
    """Absent both times, but not in between: what else was written then may have been written because of it."""

    def act() -> None:
        put(bench, "Bbb", "y", 1)
        delete(bench, "Bbb", "y")

    before_round(bench, 1, act)
    assert numbers(read(bench)) == [None, None]
    assert bench.steps == ["read"] * 6


def test_what_always_changes_is_a_conflict(bench: RouterBench) -> None:
    def rule(step: str, sent: int, message: Any) -> None:
        if step == "read" and sent % 2 == 0:
            put(bench, "Bbb", "y", sent)

    bench.rule = rule
    assert codes(read(bench)) == ["None", "TransactionConflict"]
    assert len(bench.steps) == 2 * ROUNDS


def test_locks_are_conflicts_in_any_round(bench: RouterBench) -> None:
    def act() -> None:
        bench.rule = lambda step, sent, message: "lost" if step == "commit" else None
        bench.run("TransactWriteItems", bench.adding(("Bbb", "y"), ("Ccc", "z")))

    before_round(bench, 1, act)
    assert codes(read(bench)) == ["None", "TransactionConflict"]
    assert codes(read(bench)) == ["None", "TransactionConflict"]
    bench.recover()
    assert numbers(read(bench)) == [None, 1]


def test_a_split_between_the_rounds(bench: RouterBench) -> None:
    one, other = bench.names_apart("Aaa")
    put(bench, *one, 1)
    put(bench, *other, 2)
    before_round(bench, 1, lambda: bench.split("Aaa", learnt_after=1))
    assert numbers(read(bench, one, other, ("Bbb", "y"))) == [1, 2, None]


def test_a_partition_that_cannot_be_read_fails_the_request(bench: RouterBench) -> None:
    bench.rule = lambda step, sent, message: "lost" if step == "read" and sent == 1 else None
    answer = read(bench)
    assert isinstance(answer, ApiError) and answer.status == 503


@pytest.mark.parametrize(
    ("provisioned", "code"), [(True, "ProvisionedThroughputExceeded"), (False, "ThrottlingError")]
)
@pytest.mark.parametrize("operation", ["TransactGetItems", "TransactWriteItems"])
def test_a_partition_without_capacity_is_a_reason(
    bench: RouterBench, operation: str, provisioned: bool, code: str
) -> None:
    error = throttled(KEY_RANGE_EXCEEDED, "arn", index=False, write=False, provisioned=provisioned)
    bench.rule = lambda step, sent, message: error if step in ("read", "prepare") and sent == 1 else None
    request = reading() if operation == "TransactGetItems" else bench.adding(*ITEMS)
    answer = bench.run(operation, request)
    assert codes(answer) == ["None", code]
    assert answer.fields["CancellationReasons"][1]["Message"] == error.message
    assert bench.locks() == 0


# Messages that nobody waits for.


class Way:
    """Answers some messages only when told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, Done]] = []

    def send(self, message: Any, done: Done) -> None:
        self.sent.append((message, done))


def test_steps_left_behind_run_by_themselves() -> None:
    way, outcomes, failures = Way(), [], []  # type: ignore[var-annotated]

    def behind() -> Generator[Any, Any, None]:
        answer = yield "first"
        [one, error] = yield Each([f"{answer}, then", "another"])  # type: ignore[list-item]
        assert one == "seen" and isinstance(error, ApiError)
        yield "last"

    def operation() -> Generator[Any, Any, bytes]:
        assert (yield Behind(behind(), failures.append)) is None
        answer = yield "question"
        return answer.encode()  # type: ignore[no-any-return]

    Call("Any", None, way, lambda call, outcome: outcomes.append(outcome)).run(operation())
    assert [message for message, _ in way.sent] == ["first", "question"]
    way.sent[1][1]("answer")
    assert outcomes == [b"answer"], "it waits for nothing that was left behind"
    way.sent[0][1]("asked")
    assert [message for message, _ in way.sent[2:]] == ["asked, then", "another"]
    way.sent[2][1]("seen")
    way.sent[3][1](unavailable("away"))
    way.sent[4][1](internal())
    assert [type(each) for each in failures] == [ApiError]
    assert len(outcomes) == 1
