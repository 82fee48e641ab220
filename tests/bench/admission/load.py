"""Writers that want so many units a second, and what they were given, second by second.

A writer is one connection. It sends at its pace whatever the answers are, as a client that does not hold back would;
what it cannot send in time because an answer is late it leaves out.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.workloads.client import RawClient, Refused, Unknown, Unsent

THROTTLED = ("ProvisionedThroughputExceededException", "ThrottlingException")


@dataclass
class Tally:
    """Per second since the start: requests admitted, throttled and failed."""

    admitted: Counter[int] = field(default_factory=Counter)
    throttled: Counter[int] = field(default_factory=Counter)
    failed: Counter[int] = field(default_factory=Counter)

    def rates(self, seconds: int) -> list[int]:
        """Admitted requests in each second."""
        return [self.admitted[second] for second in range(seconds)]

    def total(self, begin: int, end: int) -> int:
        """Admitted requests from one second to another."""
        return sum(self.admitted[second] for second in range(begin, end))


class Writer:
    """One connection that puts items of one write unit into a table, `wanted(second)` a second."""

    def __init__(self, endpoint: str, table: str, wanted: Callable[[float], float], name: str) -> None:
        self.client = RawClient(endpoint)
        self.tally = Tally()
        self._table = table
        self._wanted = wanted
        self._name = name
        self._sent = 0

    async def run(self, begun: float, seconds: float) -> None:
        """Write until so many seconds after `begun` (of `time.monotonic`)."""
        due = max(time.monotonic() - begun, 0.0)
        while due < seconds:
            pace = self._wanted(due)
            if pace <= 0:
                due += 0.1
                await self._until(begun + due)
                continue
            await self._until(begun + due)
            await self._put(begun)
            due = max(due + 1 / pace, time.monotonic() - begun - 1 / pace)
        self.client.close()

    async def _until(self, moment: float) -> None:
        pause = moment - time.monotonic()
        if pause > 0:
            await asyncio.sleep(pause)

    async def _put(self, begun: float) -> None:
        self._sent += 1
        item = {"pk": {"S": f"{self._name}-{self._sent}"}}
        counted = self.tally.admitted
        try:
            await self.client.call("PutItem", {"TableName": self._table, "Item": item})
        except Refused as refusal:
            counted = self.tally.failed
            if refusal.type_name in THROTTLED:
                counted = self.tally.throttled
        except (Unknown, Unsent):
            counted = self.tally.failed
        counted[int(time.monotonic() - begun)] += 1


async def run(writers: list[Writer], seconds: float) -> None:
    """Let all of them write at once."""
    begun = time.monotonic()
    await asyncio.gather(*(writer.run(begun, seconds) for writer in writers))


def together(writers: list[Writer]) -> Tally:
    """The tallies of some writers as one."""
    whole = Tally()
    for writer in writers:
        whole.admitted.update(writer.tally.admitted)
        whole.throttled.update(writer.tally.throttled)
        whole.failed.update(writer.tally.failed)
    return whole


def table(name: str, **members: Any) -> dict[str, Any]:
    """The CreateTable request of a table with the hash key `pk`."""
    return {
        "TableName": name,
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        **members,
    }


def provisioned(units: int) -> dict[str, Any]:
    """Members of a CreateTable request."""
    throughput = {"ReadCapacityUnits": units, "WriteCapacityUnits": units}
    return {"BillingMode": "PROVISIONED", "ProvisionedThroughput": throughput}
