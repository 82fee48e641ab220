"""BatchWriteItem until nothing is left unprocessed.

Clients of the protocol lose the key attributes of what they are told is unprocessed, so that they could not send it
again. So it is tried again here, for as long as a client would. What still is left then fails as throttled: to put or
delete the whole batch once more does no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from hashrange.errors import ApiError
from hashrange_dax.tier.answer import Answer, Done

TRIES_MAX = 8
FIRST_DELAY_S = 0.05
DELAY_MAX_S = 1.0

Run = Callable[[str, dict[str, Any], Done], None]


class Unprocessed:
    """One BatchWriteItem. `answered` takes the answers of its tries, `done` gets one that leaves nothing out."""

    def __init__(self, run: Run, request: dict[str, Any], done: Done) -> None:
        self._run = run
        self._options = {name: value for name, value in request.items() if name != "RequestItems"}
        self._done = done
        self._tries = 0
        self._told: list[dict[str, Any]] = []

    def answered(self, answer: Answer | ApiError) -> None:
        """Take the answer of a try."""
        if isinstance(answer, ApiError) or answer.body is None:
            self._done(answer)
            return
        reply = orjson.loads(answer.body)
        self._told.append(reply)
        left = reply.get("UnprocessedItems")
        if not left:
            self._done(answer if len(self._told) == 1 else Answer(body=orjson.dumps(_joined(self._told))))
            return
        self._tries += 1
        if self._tries >= TRIES_MAX:
            self._done(_throttled(left))
            return
        delay_s = min(DELAY_MAX_S, FIRST_DELAY_S * 2 ** (self._tries - 1))
        asyncio.get_running_loop().call_later(delay_s, self._again, left)

    def _again(self, left: dict[str, Any]) -> None:
        self._run("BatchWriteItem", {**self._options, "RequestItems": left}, self.answered)


def _throttled(left: dict[str, Any]) -> ApiError:
    count = sum(map(len, left.values()))
    return ApiError(
        "ProvisionedThroughputExceededException",
        f"{count} of the writes could not be made, as their tables are throttled; the others have been. "
        "Send the batch again.",
    )


def _joined(replies: list[dict[str, Any]]) -> dict[str, Any]:
    """One reply of several: capacity added up, metrics of item collections one behind the other."""
    joined: dict[str, Any] = {"UnprocessedItems": {}}
    capacity: dict[str, dict[str, Any]] = {}
    for reply in replies:
        for consumed in reply.get("ConsumedCapacity", ()):
            known = capacity.get(consumed["TableName"])
            if known is None:
                capacity[consumed["TableName"]] = consumed
            else:
                _add(known, consumed)
        for table, metrics in reply.get("ItemCollectionMetrics", {}).items():
            joined.setdefault("ItemCollectionMetrics", {}).setdefault(table, []).extend(metrics)
    if capacity:
        joined["ConsumedCapacity"] = list(capacity.values())
    return joined


def _add(known: dict[str, Any], more: dict[str, Any]) -> None:
    """Add up units, also those of indexes within."""
    for name, value in more.items():
        if isinstance(value, dict):
            _add(known.setdefault(name, {}), value)
        elif not isinstance(value, str):
            known[name] = known.get(name, 0.0) + value
