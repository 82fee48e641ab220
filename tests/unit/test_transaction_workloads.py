"""The workloads of transactions, on a server made by hand: what a right one does passes, a wrong one is found out."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest

from tests.cluster.histories.list_check import check_lists
from tests.cluster.histories.lists import OK, UNKNOWN, ListHistory
from tests.cluster.workloads import tokens
from tests.cluster.workloads.appends import Appends
from tests.cluster.workloads.bank import Bank
from tests.cluster.workloads.client import Refused, Unknown, Unsent

TABLES = ["A", "B"]


class Server:
    """Carries out what the workloads send, one call at a time. `fault` may answer in its place, or afterwards."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.tokens: set[str] = set()
        self.lose = 0.0
        """Share of answers that are lost, half of them before anything was done."""
        self.forgets_tokens = False
        self.skips = 0
        """Every so many transactions leave their last action out."""
        self._calls = 0
        self._random = random.Random(3)

    async def ready(self) -> None:
        pass

    def close(self) -> None:
        pass

    async def call(self, operation: str, document: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        chance = self._random.random()
        if chance < self.lose / 2:
            raise Unknown("lost on the way")
        answer = self.answer(operation, document)
        if chance < self.lose:
            raise Unknown("the answer was lost")
        return answer

    def answer(self, operation: str, document: dict[str, Any]) -> dict[str, Any]:
        self._calls += 1
        if operation == "GetItem":
            return self.get(document)
        if operation == "UpdateItem":
            self.carry_out([{"Update": document}])
            return {"Attributes": self.items[self.place(document)]}
        if operation == "TransactGetItems":
            return {"Responses": [self.get(each["Get"]) for each in document["TransactItems"]]}
        token = document.get("ClientRequestToken", "")
        if token and token in self.tokens and not self.forgets_tokens:
            return {}
        actions = document["TransactItems"]
        if self.skips and self._calls % self.skips == 0 and len(actions) > 1:
            actions = actions[:-1]
        self.carry_out(actions)
        self.tokens.add(token)
        return {}

    def place(self, action: dict[str, Any]) -> tuple[str, str]:
        return action["TableName"], (action.get("Key") or action["Item"])["pk"]["S"]

    def get(self, action: dict[str, Any]) -> dict[str, Any]:
        item = self.items.get(self.place(action))
        return {} if item is None else {"Item": item}

    def carry_out(self, actions: list[dict[str, Any]]) -> None:
        parts = [next(iter(each.items())) for each in actions]
        if not all(self.holds(action) for _, action in parts):
            raise Refused("TransactionCanceledException", "[ConditionalCheckFailed]")
        for kind, action in parts:
            place = self.place(action)
            if kind == "Delete":
                del self.items[place]
            elif kind == "Put":
                self.items[place] = action["Item"]
            else:
                self.items[place] = self.updated(action, self.items.get(place) or action["Key"])

    def holds(self, action: dict[str, Any]) -> bool:
        item = self.items.get(self.place(action))
        money = int(item["money"]["N"]) if item is not None and "money" in item else None
        values = action.get("ExpressionAttributeValues", {})
        condition = action.get("ConditionExpression", "")
        if condition == "attribute_not_exists(pk)":
            return item is None
        if condition == "attribute_exists(pk)":
            return item is not None
        if condition == "money >= :least":
            return money is not None and money >= int(values[":least"]["N"])
        if condition == "money = :held":
            return money == int(values[":held"]["N"])
        return not condition

    def updated(self, action: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
        values = action["ExpressionAttributeValues"]
        if ":new" in values:
            held = item.get("list", values[":none"])["L"]
            return {**item, "list": {"L": [*held, *values[":new"]["L"]]}}
        return {**item, "money": {"N": str(int(item["money"]["N"]) + int(values[":x"]["N"]))}}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "PAUSE_S", 0.0)
    monkeypatch.setattr(tokens, "PAUSE_MAX_S", 0.0)


def appended(server: Server, steps: int = 600, *, torn: bool = False) -> Appends:
    """Several clients at a time append and read; then everything is read."""

    async def client(load: Appends, number: int) -> None:
        for _ in range(steps // 6):
            try:
                await load.step(server, number)
            except (Unknown, Refused):
                pass

    async def whole() -> Appends:
        load = Appends(TABLES, ListHistory(), 1, torn=torn)
        await asyncio.gather(*(client(load, number) for number in range(6)))
        await load.look(server, 9, time.monotonic() + 20)
        return load

    return asyncio.run(whole())


def banked(server: Server, steps: int = 400) -> Bank:
    """The same with a bank."""

    async def whole() -> Bank:
        load = Bank(TABLES, 1)
        await load.open(server, time.monotonic() + 20)
        for _ in range(steps):
            try:
                await load.step(server, 1)
            except (Unknown, Refused):
                pass
        await load.look_at_all(server, time.monotonic() + 20)
        return load

    return asyncio.run(whole())


def test_a_right_server_passes_whatever_is_lost_on_the_way() -> None:
    server = Server()
    server.lose = 0.2
    load = appended(server)
    assert check_lists(load.history.transactions) == [] and load.wrong == []
    outcomes = {each.outcome for each in load.history.transactions}
    assert {OK, UNKNOWN} <= outcomes
    assert load.transactions > 200 and load.single > 50
    server = Server()
    server.lose = 0.2
    bank = banked(server)
    assert bank.wrong == [] and bank.transfers > 50 and bank.looks > 50


def test_repeating_what_was_done_is_found_out() -> None:
    server = Server()
    server.lose, server.forgets_tokens = 0.2, True
    kinds = {finding.kind for finding in check_lists(appended(server).history.transactions)}
    assert "duplicate append" in kinds


def test_half_a_transaction_is_found_out() -> None:
    server = Server()
    server.skips = 40
    assert {finding.kind for finding in check_lists(appended(server).history.transactions)} & {
        "lost append",
        "fractured read",
        "stale read",
    }
    server = Server()
    server.skips = 25
    assert any("add up to" in complaint for complaint in banked(server).wrong)


def test_reads_item_by_item_are_found_out() -> None:
    load = appended(Server(), steps=1_500, torn=True)
    assert check_lists(load.history.transactions)


def test_a_token_is_sent_until_the_outcome_is_known() -> None:
    answers: list[Exception | str] = [
        Unknown("lost"),
        Unsent("no router"),
        Refused("TransactionInProgressException", ""),
        "done",
    ]

    async def what() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert asyncio.run(tokens.insist(Server(), what)) == "done"


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        ([Refused("TransactionCanceledException", "")], Refused),
        ([Unknown("lost"), Refused("TransactionCanceledException", "")], Refused),
        ([Unsent("no router")], Unsent),
        ([Unknown("lost"), Unsent("no router")], Unknown),
        ([Refused("TransactionInProgressException", "")], Unknown),
    ],
)
def test_what_is_not_known_in_the_end_is_said_to_be_unknown(
    failures: list[Exception], expected: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "PATIENCE_S", 0.02)
    left = list(failures)

    async def what() -> None:
        raise left.pop(0) if len(left) > 1 else left[0]

    with pytest.raises(expected):
        asyncio.run(tokens.insist(Server(), what))
