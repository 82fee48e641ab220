"""Random transactions and single writes, repeated and late messages, pauses of the disk and splits against a dict."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
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
ADD = "add"
DELETE = "delete"
CREATE = "create"
CHECK = "check"

kinds = st.sampled_from([ADD, ADD, DELETE, CREATE, CHECK])
actions = st.dictionaries(st.integers(0, KEYS - 1), kinds, min_size=1, max_size=3)
steps = st.one_of(
    st.tuples(st.just("single"), st.integers(0, KEYS - 1), st.sampled_from([ADD, DELETE, CREATE])),
    st.tuples(st.just("commit"), actions),
    st.tuples(st.just("prepare"), actions, st.integers(0, 3)),
    st.tuples(st.just("finish"), st.integers(0, 50), st.booleans()),
    st.tuples(st.just("again"), st.integers(0, 50)),
    st.tuples(st.just("hold")),
    st.tuples(st.just("release")),
    st.tuples(st.just("split")),
)


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
        """In all partitions; the coordinator cancels at once what not all have taken."""
        self.release()
        self.number += 1
        number = self.number
        stamp = self.bench.stamp() + ahead * 1000 - 1000
        transaction = Prepared(wanted, stamp)
        verdicts: list[int] = []
        for partition, part in self.by_partition(wanted).items():
            message = TransactPrepare(
                partition, 0, txid(number), stamp, [self.action(kind, name) for name, kind in part.items()]
            )
            [outcome] = self.send(message, None)
            verdicts.append(outcome.verdict)
            if outcome.verdict != LATE:
                assert (outcome.verdict == DONE) == self.verdict(part)
            else:
                assert self.verdict(part), "what stands against it for good is told first"
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
        number, message, expected = self.sent[which % len(self.sent)]
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


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=40))
def test_a_node_does_what_a_dict_with_locks_does(chosen: list[tuple[Any, ...]]) -> None:
    model = Model()
    for name, *arguments in chosen:
        if name in ("commit", "prepare"):
            arguments[0] = {model.names[key]: kind for key, kind in arguments[0].items()}
        getattr(model, name)(*arguments)
    model.check()
