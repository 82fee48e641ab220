"""The steps of a coordinator, as they show in the messages that it sends; and traps, in which it dies."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import orjson

from hashrange.model.ledger import KEY
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


def step_of(message: Any) -> str:
    """Which step of a coordinator a message is; "" for all others."""
    kind = message.__class__
    if kind is not WriteItem:
        return _STEPS.get(kind, "")
    item = message.key_item or message.decoded
    if item is None and message.item_json:
        item = orjson.loads(message.item_json)
    name = str(item[KEY]["S"]) if item and KEY in item else ""
    if name.startswith("t#"):
        state = item.get("state", {}).get("S", "") if item else ""
        return CLAIM if state == "running" else MARK
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
