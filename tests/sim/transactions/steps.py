"""The steps of a coordinator, as they show in the messages that it sends; and traps, in which it dies."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import orjson

from hashrange.model.ledger import KEY, RUNNING
from hashrange.wire.messages import DELETE, WriteItem
from hashrange.wire.transactions import TransactFinish, TransactPrepare, TransactRead, TransactWrite

CLAIM = "claim"
MARK = "mark the token"
WRITE = "write"
PREPARE = "prepare"
DECIDE = "decide"
FINISH = "finish"
FORGET = "forget"
READ = "read"
STEPS = (CLAIM, WRITE, PREPARE, DECIDE, FINISH, FORGET, MARK)

SENDING = "before it is sent"
SENT = "after it is sent"
ANSWERED = "when it is answered"
MOMENTS = (SENDING, SENT, ANSWERED)

_STEPS: dict[type, str] = {
    TransactWrite: WRITE,
    TransactPrepare: PREPARE,
    TransactFinish: FINISH,
    TransactRead: READ,
}


def _row(message: WriteItem) -> tuple[str, str]:
    """Name and state of the row of the ledger that is written; "" if it is none."""
    item = message.key_item or message.decoded
    if item is None and message.item_json:
        item = orjson.loads(message.item_json)
    if not item or KEY not in item:
        return "", ""
    return str(item[KEY].get("S", "")), item.get("state", {}).get("S", "")


def txid_of(message: WriteItem) -> bytes:
    """The transaction that is decided on."""
    return bytes.fromhex(_row(message)[0][2:])


def step_of(message: Any) -> str:
    """Which step of a coordinator a message is; "" for all others."""
    kind = message.__class__
    if kind is not WriteItem:
        return _STEPS.get(kind, "")
    name, state = _row(message)
    if name.startswith("t#"):
        return CLAIM if state == RUNNING else MARK
    if name.startswith("x#"):
        return FORGET if message.kind == DELETE else DECIDE
    return ""


@dataclass
class Trap:
    """Springs at the `count`th time that a step comes to a moment."""

    step: str
    moment: str
    count: int

    def springs(self, step: str, moment: str) -> bool:
        """Whether this is it."""
        if step != self.step or moment != self.moment:
            return False
        self.count -= 1
        return self.count == 0

    def __str__(self) -> str:
        return f"{self.step}, {self.moment}"


def trap(rng: random.Random) -> Trap:
    """Some step, some moment, soon."""
    return Trap(rng.choice(STEPS), rng.choice(MOMENTS), rng.randint(1, 6))
