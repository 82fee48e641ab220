"""The routers that die on purpose: at every step that is drawn, of transactions that are drawn, and nowhere else."""

from __future__ import annotations

import random

import pytest

from hashrange.model.ledger import RUNNING, decision_row, token_key
from hashrange.wire.messages import PUT, ReadItem, WriteItem
from hashrange.wire.transactions import TransactFinish, TransactPrepare, TransactWrite
from tests.cluster.broken_router import STEPS, Deaths, name_of

TXID = b"t" * 16


def row(item: dict[str, dict[str, str]]) -> WriteItem:
    write = WriteItem(1, 0, PUT, item["id"]["S"].encode())
    write.decoded = item
    return write


CLAIM = row({**token_key("token"), "state": {"S": RUNNING}})
PREPARES = [TransactPrepare(number, 0, TXID, 7, []) for number in (2, 3)]
DECIDE = row(decision_row(TXID, True, [], 7))
FINISH = TransactFinish(2, 0, TXID, True, [1])
LOCAL = TransactWrite(2, 0, b"l" * 16, [])

AFTER = {
    "claim": [("claim", CLAIM)],
    "prepare": [("prepare", PREPARES[0])],
    "prepared": [("prepared", PREPARES[1])],
    "decide": [("decide", DECIDE)],
    "finish": [("finish", FINISH)],
    "local": [("local", LOCAL)],
}


class Chosen(random.Random):
    """Draws one step for every transaction."""

    def __init__(self, step: str) -> None:
        super().__init__(1)
        self.step = step

    def choice(self, seq: object) -> str:  # type: ignore[override]
        return self.step


@pytest.mark.parametrize("step", STEPS)
def test_it_dies_when_the_step_drawn_is_answered(step: str) -> None:
    died: list[tuple[str, object]] = []
    message: object = None
    deaths = Deaths(1.0, Chosen(step), lambda at: died.append((at, message)))
    for each in (CLAIM, *PREPARES):
        deaths.sending(each)
    for message in (ReadItem(1, 0, b"", True), CLAIM, PREPARES[0], PREPARES[1], DECIDE, FINISH, LOCAL):
        deaths.answered(message)
    assert died[:1] == AFTER[step]
    assert {at for at, _ in died} == {step}


def test_a_share_of_none_leaves_everything_alone() -> None:
    died: list[str] = []
    deaths = Deaths(0.0, random.Random(1), died.append)
    for message in (CLAIM, DECIDE, FINISH, LOCAL):
        deaths.sending(message)
        deaths.answered(message)
    assert died == []


def test_processes_are_told_by_the_directory_of_their_configuration() -> None:
    assert name_of(["router", "--config", "/x/router-2/config.toml", "--stop-at-eof"]) == "router-2"
    assert name_of(["cluster", "up", "--data-dir", "/x"]) == ""
