"""Clients of the transaction workload: they ask, repeat themselves under the same token, and note what they are told.

What is noted as failed is what nobody may ever see: a cancelled transaction. It is `unknown` when no answer came that
tells, and also when a router that was given up on may still be at work on it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import orjson

from hashrange.errors import ApiError
from tests.cluster.histories.history import CAS, History, Operation
from tests.cluster.histories.history import READ as READ_REGISTER
from tests.sim.checkers import check
from tests.sim.transactions.intents import (
    APPEND,
    DELETE_TOKEN,
    PUT_TOKEN,
    READ,
    READ_SUM,
    READ_TOKEN,
    TOTAL,
    Intent,
    Intents,
    Key,
    Step,
    list_in,
    number_in,
)
from tests.sim.transactions.router import ApiRouter, Lost, TransactCluster

OK = "ok"
FAILED = "failed"
UNKNOWN = "unknown"

ATTEMPTS = 7
PATIENCE_S = (4.0, 14.0)
RETRY_S = (0.05, 2.5)
REPLAY_S = (0.0, 12.0)

REFUSALS = frozenset(
    (
        "TransactionCanceledException",
        "TransactionConflictException",
        "ConditionalCheckFailedException",
    )
)
"""Answers that say that nothing was done."""

NO_ANSWERS = frozenset(
    ("InternalServerError", "ServiceUnavailable", "TransactionInProgressException", "ConnectionLost")
)


@dataclass
class Record:
    """One request as its client saw it. `reads` has what was there, by item; `end` is infinite while unknown."""

    id: int
    process: int
    operation: str
    start: float
    steps: list[Step | None]
    end: float = math.inf
    outcome: str = UNKNOWN
    reads: dict[Key, list[int]] = field(default_factory=dict)
    tokens: list[Operation | None] = field(default_factory=list)
    note: str = ""

    def text(self) -> str:
        """For people."""
        steps = ", ".join(f"{s.kind} {s.key[1]} {s.value}" for s in self.steps if s is not None)
        return (
            f"[{self.start:.3f}, {self.end:.3f}] client {self.process} {self.operation} {self.outcome} "
            f"{steps} {self.reads or ''} {self.note}"
        )


class Records:
    """Everything that all clients have seen."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.all: list[Record] = []
        self.tokens = History(now=now)
        self.answers: dict[str, int] = {}
        self.sums = 0

    def begin(self, process: int, intent: Intent) -> Record:
        """A client is about to send a request."""
        record = Record(len(self.all), process, intent.operation, self.now(), intent.steps)
        for step in intent.steps:
            operation = None
            if step is not None and step.kind in (PUT_TOKEN, DELETE_TOKEN, READ_TOKEN):
                name = "/".join(step.key)
                if step.kind == READ_TOKEN:
                    operation = self.tokens.invoke(process, name, READ_REGISTER)
                elif step.kind == PUT_TOKEN:
                    operation = self.tokens.invoke(process, name, CAS, step.value, None)
                else:
                    operation = self.tokens.invoke(process, name, CAS, None, step.value)
            record.tokens.append(operation)
        self.all.append(record)
        return record

    def close(self, record: Record, outcome: str, answer: Any) -> None:
        """The client knows all that it will ever know."""
        record.outcome = outcome
        if outcome == UNKNOWN:
            record.note = str(answer)
            for operation in filter(None, record.tokens):
                self.tokens.unknown(operation, record.note)
            return
        record.end = self.now()
        if outcome == OK:
            self._take(record, answer)
            return
        reasons = (answer.fields or {}).get("CancellationReasons", []) if isinstance(answer, ApiError) else []
        record.note = f"{answer}"
        for number, operation in enumerate(record.tokens):
            if operation is None:
                continue
            item = _refused_item(answer, reasons[number] if number < len(reasons) else None)
            if item is _UNSAID:
                self.tokens.refuse(operation)
            else:
                self.tokens.fail(operation, number_in(item))

    def _take(self, record: Record, answer: dict[str, Any]) -> None:
        """What a success tells."""
        if record.operation == "TransactGetItems":
            items = [each.get("Item") for each in answer["Responses"]]
        elif record.operation == "GetItem":
            items = [answer.get("Item")]
        else:
            items = [None] * len(record.steps)
        total, summed = 0, False
        for step, operation, item in zip(record.steps, record.tokens, items, strict=True):
            if step is None:
                continue
            if step.kind == READ:
                record.reads[step.key] = list_in(item) if step.value is None else step.value
            elif step.kind == READ_SUM:
                total, summed = total + (number_in(item) or 0), True
            elif operation is not None:
                self.tokens.ok(operation, number_in(item) if step.kind == READ_TOKEN else None)
        if summed:
            self.sums += 1
            check(total == TOTAL, "the sum of all accounts", f"{total} of {TOTAL}: {answer}; {record.text()}")


_UNSAID: Any = object()


def _refused_item(answer: Any, reason: Any) -> Any:
    """The item that a refusal shows, None when there was none; `_UNSAID` when it tells nothing of this item."""
    if isinstance(answer, ApiError) and answer.type_name == "ConditionalCheckFailedException":
        return _decoded((answer.fields or {}).get("Item"))
    if isinstance(reason, dict) and reason.get("Code") == "ConditionalCheckFailed":
        return _decoded(reason.get("Item"))
    return _UNSAID


def _decoded(item: Any) -> Any:
    return orjson.loads(orjson.dumps(item)) if item is not None else None


class Client:
    """One closed loop of requests."""

    def __init__(
        self,
        cluster: TransactCluster,
        records: Records,
        rng: random.Random,
        number: int,
        pause_s: float,
    ) -> None:
        self.cluster = cluster
        self.records = records
        self.number = number
        self.intents = Intents(rng, number)
        self.stopped = False
        self.open = 0
        self._rng = rng
        self._pause_s = pause_s

    def start(self) -> None:
        """Begin."""
        self.cluster.world.after(self._rng.expovariate(1 / self._pause_s), self._next)

    def _next(self) -> None:
        if not self.stopped:
            self.run(self.intents.next(), lambda record: self.start())

    def run(self, intent: Intent, then: Callable[[Record], None]) -> Record:
        """Ask for one thing, until its outcome is known or hope is lost."""
        record = self.records.begin(self.number, intent)
        self.open += 1

        def closed(outcome: str, answer: Any) -> None:
            self.open -= 1
            self.records.close(record, outcome, answer)
            self._learn(intent, record, answer)
            if intent.repeatable and outcome == OK and not self.stopped:
                self._perhaps_replay(intent)
            then(record)

        parties = 2 if intent.repeatable and self._rng.random() < 0.06 else 1
        Pursuit(self, intent, parties, closed).start()
        return record

    def _learn(self, intent: Intent, record: Record, answer: Any) -> None:
        """What the client knows of the items from now on."""
        intents = self.intents
        if record.outcome == OK and record.operation in ("TransactGetItems", "GetItem"):
            items = [each.get("Item") for each in answer.get("Responses", [{"Item": answer.get("Item")}])]
            for step, item in zip(intent.steps, items, strict=True):
                if step is None:
                    continue
                if step.kind == READ:
                    intents.seen[step.key] = list_in(item)
                elif step.kind == READ_TOKEN:
                    intents.held[step.key] = number_in(item)
                elif step.kind == READ_SUM:
                    intents.balances[step.key] = number_in(item) or 0
            return
        for step, operation in zip(intent.steps, record.tokens, strict=True):
            if step is not None and operation is not None:
                if record.outcome == OK:
                    intents.held[step.key] = step.value if step.kind == PUT_TOKEN else None
                elif operation.outcome == "fail" and operation.result != "?":
                    intents.held[step.key] = operation.result
            if step is not None and step.kind == APPEND and record.outcome == OK:
                if step.key in intents.seen:
                    intents.seen[step.key] = [*intents.seen[step.key], step.value]

    def _perhaps_replay(self, intent: Intent) -> None:
        """Send again what was a success, or something else under its token."""
        chance = self._rng.random()
        if chance > 0.13:
            return
        request, same = intent.request, chance < 0.1
        if not same:
            request = deepcopy(request)
            key = {"TableName": "TradesA", "Key": {"pk": {"S": f"other{self.number}"}}}
            request["TransactItems"].append({"Delete": key})

        def again() -> None:
            router = self.router()
            if router is not None and not self.stopped:
                router.ask(intent.operation, request, lambda answer: replayed(answer))

        def replayed(answer: Any) -> None:
            name = answer.type_name if isinstance(answer, ApiError) else OK
            self.records.answers[f"replay: {name}"] = self.records.answers.get(f"replay: {name}", 0) + 1
            expected = OK if same else "IdempotentParameterMismatchException"
            if name != expected and name not in NO_ANSWERS:
                what = "same" if same else "other"
                check(False, "tokens", f"the {what} request again is answered {name}: {answer}; {request}")

        self.cluster.world.after(self._rng.uniform(*REPLAY_S), again)

    def router(self) -> ApiRouter | None:
        """A router that can be asked."""
        ready = [router for router in self.cluster.routers.values() if router.ready]
        return self._rng.choice(ready) if ready else None


class Pursuit:
    """One request, asked for by one or two parties at once, until each has an answer or has given up."""

    def __init__(
        self, client: Client, intent: Intent, parties: int, closed: Callable[[str, Any], None]
    ) -> None:
        self._client = client
        self._intent = intent
        self._closed = closed
        self._left = parties
        self._parties = parties
        self._attempts = 0
        self._abandoned = False
        self._verdicts: list[tuple[str, Any]] = []

    def start(self) -> None:
        """Let all parties ask."""
        for _ in range(self._parties):
            self._ask(1)

    def _ask(self, attempt: int) -> None:
        client = self._client
        world, rng = client.cluster.world, client._rng
        router = client.router()
        answered = False

        def reply(answer: Any) -> None:
            nonlocal answered
            if not answered:
                answered = True
                timer.cancel()
                self._take(attempt, answer)

        if router is None:
            world.after(0.2, lambda: self._ask(attempt))
            return

        def expired() -> None:
            router.give_up(number)
            self._abandoned = True
            reply(Lost())

        timer = world.after(rng.uniform(*PATIENCE_S), expired)
        number = router.ask(self._intent.operation, self._intent.request, reply)

    def _take(self, attempt: int, answer: Any) -> None:
        client = self._client
        name = answer.type_name if isinstance(answer, ApiError) else OK
        answers = client.records.answers
        answers[name] = answers.get(name, 0) + 1
        if name == OK:
            self._end(OK, answer)
        elif name in REFUSALS:
            self._end(FAILED, answer)
        elif name in NO_ANSWERS:
            if self._intent.repeatable and attempt < ATTEMPTS:
                delay = client._rng.uniform(*RETRY_S)
                client.cluster.world.after(delay, lambda: self._ask(attempt + 1))
            else:
                self._end(UNKNOWN, answer)
        else:
            check(False, "answers", f"{name}: {answer}; {self._intent.request}")

    def _end(self, outcome: str, answer: Any) -> None:
        self._verdicts.append((outcome, answer))
        self._left -= 1
        if self._left:
            return
        found = dict(self._verdicts)
        if OK in found:
            self._closed(OK, found[OK])
        elif UNKNOWN in found or self._abandoned:
            self._closed(UNKNOWN, found.get(UNKNOWN, found.get(FAILED)))
        else:
            self._closed(FAILED, found[FAILED])
