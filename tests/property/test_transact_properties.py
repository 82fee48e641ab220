"""Random transactions and single writes, repeated and late messages, pauses of the disk and splits against a dict."""

from __future__ import annotations

import random
from typing import Any

import orjson
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from hashrange.errors import ApiError
from hashrange.model import record as records
from hashrange.wire.messages import WriteItem, WriteResult
from hashrange.wire.transactions import (
    DONE,
    LATE,
    REFUSED,
    REPEATED,
    TransactFinish,
    TransactPrepare,
    TransactWrite,
)
from tests.unit.transact_support import TransactBench, names_on, txid

KEYS = 4
LATELY = 5
ADD = "add"
DELETE = "delete"
CREATE = "create"
CHECK = "check"

STEPS = 120

WEIGHTS = {
    "single": 10,
    "commit": 5,
    "prepare": 8,
    "finish": 8,
    "again": 5,
    "late": 5,
    "hold": 2,
    "release": 2,
    "split": 0.3,
}


class Prepared:
    """A transaction of several parts, as its coordinator knows it."""

    def __init__(self, wanted: dict[str, str], stamp: int) -> None:
        self.wanted = wanted
        self.stamp = stamp
        self.decided: bool | None = None


class Model:
    """A node, and what should be on it. Every message is evaluated when it is sent, so the model need not wait."""

    def __init__(self) -> None:
        self.bench = TransactBench()
        low, high = names_on(self.bench, KEYS // 2, KEYS - KEYS // 2)
        self.names = [*low, *high]
        self.parts: tuple[int, int] | None = None
        self.items: dict[str, int] = {}
        self.locks: dict[str, int] = {}
        self.prepared: dict[int, Prepared] = {}
        self.sent: list[tuple[int, Any, Any]] = []
        self.answers: list[tuple[list[Any], Any]] = []
        self.number = 0

    # ---- what is right

    def holds(self, kind: str, name: str) -> bool:
        """Whether an action's condition holds."""
        present = name in self.items
        return {ADD: True, DELETE: present, CREATE: not present, CHECK: present}[kind]

    def carry_out(self, kind: str, name: str) -> None:
        if kind == DELETE:
            del self.items[name]
        elif kind != CHECK:
            self.items[name] = self.items.get(name, 0) + 1

    def verdict(self, wanted: dict[str, str]) -> bool:
        return all(self.holds(kind, name) and name not in self.locks for name, kind in wanted.items())

    # ---- messages

    def action(self, kind: str, name: str) -> WriteItem:
        bench = self.bench
        if kind == ADD:
            return bench.action("update", name, update="ADD v :one", values={":one": {"N": "1"}})
        condition = "attribute_not_exists(pk)" if kind == CREATE else "attribute_exists(pk)"
        attributes = {"v": {"N": "1"}}
        return bench.action({CREATE: "put"}.get(kind, kind), name, attributes, condition=condition)

    def partition(self, name: str) -> int:
        if self.parts is None:
            return self.bench.replica.id
        return self.parts[self.names.index(name) >= KEYS // 2]

    def by_partition(self, wanted: dict[str, str]) -> dict[int, dict[str, str]]:
        found: dict[int, dict[str, str]] = {}
        for name, kind in wanted.items():
            found.setdefault(self.partition(name), {})[name] = kind
        return found

    def send(self, message: Any, expected: Any) -> list[Any]:
        answers = self.bench.send(message)
        if expected is not None:
            self.answers.append((answers, expected))
        self.bench.scheduler.run(ticks=3)
        return answers

    def single(self, key: int, kind: str) -> None:
        name = self.names[key]
        write = self.action(kind, name)
        write.partition = self.partition(name)
        if name in self.locks:
            expected: Any = "TransactionConflictException"
        elif not self.holds(kind, name):
            expected = "ConditionalCheckFailedException"
        else:
            expected = WriteResult
            self.carry_out(kind, name)
        self.send(write, expected)

    def commit(self, wanted: dict[str, str]) -> None:
        """In one partition: that of the first item."""
        partition, part = next(iter(self.by_partition(wanted).items()))
        self.number += 1
        message = TransactWrite(
            partition, 0, txid(self.number), [self.action(kind, name) for name, kind in part.items()]
        )
        good = self.verdict(part)
        if good:
            for name, kind in part.items():
                self.carry_out(kind, name)
        self.send(message, DONE if good else REFUSED)
        if good:
            self.sent.append((self.number, message, REPEATED))

    def prepare(self, wanted: dict[str, str], ahead: int) -> None:
        """In all partitions; the coordinator cancels at once what not all have taken.

        A stamp that lies ahead is never too late, so the verdict is known at once; for others it is waited for.
        """
        self.number += 1
        number = self.number
        if not ahead:
            self.release()
        stamp = self.bench.stamp() + ahead * 1000 - 1000
        transaction = Prepared(wanted, stamp)
        verdicts: list[int] = []
        for partition, part in self.by_partition(wanted).items():
            message = TransactPrepare(
                partition, 0, txid(number), stamp, [self.action(kind, name) for name, kind in part.items()]
            )
            right = DONE if self.verdict(part) else REFUSED
            if ahead:
                self.send(message, right)
                verdicts.append(right)
            else:
                [outcome] = self.send(message, None)
                assert outcome.verdict == right or (outcome.verdict, right) == (LATE, DONE)
                verdicts.append(outcome.verdict)
            self.sent.append((number, message, None))
        if set(verdicts) == {DONE}:
            for name in wanted:
                self.locks[name] = number
            self.prepared[number] = transaction
        else:
            transaction.decided = False
            self.end(number, wanted, False)

    def end(self, number: int, wanted: dict[str, str], commit: bool) -> None:
        for partition in self.by_partition(wanted):
            message = TransactFinish(partition, 0, txid(number), commit, [])
            self.send(message, type(None))
            self.sent.append((number, message, None))

    def finish(self, which: int, commit: bool) -> None:
        open_ = [number for number, each in self.prepared.items() if each.decided is None]
        if not open_:
            return
        number = open_[which % len(open_)]
        transaction = self.prepared[number]
        transaction.decided = commit
        for name, kind in transaction.wanted.items():
            del self.locks[name]
            if commit:
                self.carry_out(kind, name)
        self.end(number, transaction.wanted, commit)

    def again(self, which: int) -> None:
        """A message comes a second time."""
        if not self.sent:
            return
        self.repeat(*self.sent[-1 - which % min(LATELY, len(self.sent))])

    def late(self, which: int) -> None:
        """A preparation comes again when its transaction has been committed."""
        late = [
            each
            for each in self.sent
            if each[1].__class__ is TransactPrepare
            and each[0] in self.prepared
            and self.prepared[each[0]].decided
        ]
        if late:
            self.repeat(*late[-1 - which % min(LATELY, len(late))])

    def repeat(self, number: int, message: Any, expected: Any) -> None:
        if message.partition not in (self.partition(name) for name in self.names):
            return  # from before the split
        transaction = self.prepared.get(number)
        if message.__class__ is TransactPrepare:
            self.release()
            [outcome] = self.send(message, None)
            if transaction is not None and transaction.decided:
                assert outcome.verdict in (LATE, REFUSED), "it was carried out"
            elif outcome.verdict == DONE and (transaction is None or transaction.decided is False):
                # It was cancelled: the ledger says so to whoever finds the lock.
                [answer] = self.send(TransactFinish(message.partition, 0, message.txid, False, []), None)
                assert answer is None
        elif transaction is None or transaction.decided is not None or expected is not None:
            self.send(message, expected or type(None))

    # ---- faults

    def hold(self) -> None:
        if self.bench.log.held is None:
            self.bench.log.held = []

    def release(self) -> None:
        self.bench.release()
        self.bench.scheduler.run()

    def split(self) -> None:
        if self.parts is None:
            self.release()
            self.parts = self.bench.split()

    # ---- the end

    def check(self) -> None:
        self.release()
        for answers, expected in self.answers:
            assert len(answers) == 1
            [answer] = answers
            if isinstance(expected, str):
                assert isinstance(answer, ApiError)
                assert answer.type_name == expected
            elif isinstance(expected, int):
                assert answer.verdict == expected
            else:
                assert isinstance(answer, expected), answer
        for name in self.names:
            versions = self.bench.versions(name, partition=self.partition(name))
            assert versions.locked == [name in self.locks]
            record = versions.records[0]
            value = int(orjson.loads(records.item_json(record))["v"]["N"]) if record is not None else None
            assert value == self.items.get(name), name
        if self.parts is None:
            assert self.bench.replica.group.count(0)[0] == len(self.items)
        assert not self.bench.errors
        assert not self.bench.fatal


def actions(rng: random.Random, model: Model) -> dict[str, str]:
    """What a transaction does: on items that are there and on some that are not."""
    chosen = rng.sample(model.names, rng.randint(1, 3))
    likely = {True: [ADD, ADD, DELETE, CHECK], False: [ADD, CREATE, CREATE]}
    return {
        name: rng.choice(likely[name in model.items] if rng.random() < 0.9 else [ADD, DELETE, CREATE, CHECK])
        for name in chosen
    }


def step(rng: random.Random, model: Model) -> None:
    """One thing happens."""
    match rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]:
        case "single":
            model.single(rng.randrange(KEYS), rng.choice([ADD, DELETE, DELETE, CREATE]))
        case "commit":
            model.commit(actions(rng, model))
        case "prepare":
            model.prepare(actions(rng, model), rng.randrange(5))
        case "finish":
            model.finish(rng.randrange(4), rng.random() < 0.7)
        case "again":
            model.again(rng.randrange(LATELY))
        case "late":
            model.late(rng.randrange(LATELY))
        case name:
            getattr(model, name)()


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.integers(0, 2**32))
def test_a_node_does_what_a_dict_with_locks_does(seed: int) -> None:
    rng = random.Random(seed)
    model = Model()
    for _ in range(STEPS):
        step(rng, model)
    model.check()
