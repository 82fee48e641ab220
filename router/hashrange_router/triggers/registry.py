"""Which pools are alive: a row for each in the system table, whose counter the pool moves on every two seconds.

    registry = Registry(client, "pool-1", "10.0.1.5:8010", clock)      # in a pool
    await registry.start(); registry.share(1000); registry.alive; await registry.stop()

    pools = PoolList(client, clock)                                    # in a router, which only looks
    await pools.refresh(); pools.alive

A pool is alive while its counter changes: whoever looks compares with what it saw before, on its own monotonic
clock. No two clocks are ever compared. A pool that is seen for the first time counts as alive: whoever sends it a
request finds out soon enough, and sharing a limit with one too many is the safe mistake.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from hashrange.errors import ApiError
from hashrange.runtime.clock import Clock
from hashrange.runtime.logging import get_logger
from hashrange_router.triggers.contracts import TRIGGER_TABLE, LocalClient

PK: Final = "pools"
BEAT_S: Final = 2.0
SILENT_S: Final = 8.0
"""A pool whose counter has not changed for so long is taken for dead."""
EXPIRES_S: Final = 3_600
"""Rows of pools that never came back go away by themselves."""

PoolAddress = tuple[str, str]
"""Id and HOST:PORT of a pool."""


class Watch:
    """What one observer knows of the pools. Pure: it is shown rows, and told the time.

    `own` is the pool that looks; `alone`: there can be no other, whatever rows are left of earlier ones.
    """

    def __init__(self, own: PoolAddress | None = None, alone: bool = False) -> None:
        self._own = own
        self._alone = alone
        self._seen: dict[str, tuple[str, str, float]] = {}
        self.alive: list[PoolAddress] = [own] if own is not None else []
        self.silent: frozenset[str] = frozenset()
        """Pools that have a row and are taken for dead. One that has stopped in order has no row."""

    def blind(self) -> None:
        """Rows could not be seen, and perhaps not be written: that a counter stands still says nothing."""
        self._seen = {}

    def look(self, rows: list[dict[str, Any]], now_s: float) -> bool:
        """Take over all rows as they are at `now_s` (monotonic seconds); True when other pools are alive now."""
        if self._alone:
            return False
        before = self._seen
        seen: dict[str, tuple[str, str, float]] = {}
        for row in rows:
            name, beat = row["sk"]["S"], row["beat"]["N"]
            known = before.get(name)
            stands_still = known is not None and known[0] == beat
            since_s = known[2] if known is not None and stands_still else now_s
            seen[name] = (beat, row["address"]["S"], since_s)
        self._seen = seen
        found = {name: address for name, (_, address, at) in seen.items() if now_s - at < SILENT_S}
        self.silent = frozenset(seen.keys() - found.keys())
        if self._own is not None:
            found[self._own[0]] = self._own[1]
        alive = sorted(found.items())
        changed = alive != self.alive
        self.alive = alive
        return changed


class PoolList:
    """The pools as a program that has none knows them; it asks when somebody wants to know."""

    def __init__(self, client: LocalClient, clock: Clock) -> None:
        self._client = client
        self.clock = clock
        self._watch = Watch()
        self._looked_at: float | None = None
        self._looking: asyncio.Lock | None = None

    @property
    def alive(self) -> list[PoolAddress]:
        """The pools alive when it was last asked, by id."""
        return self._watch.alive

    def is_silent(self, name: str) -> bool:
        """Whether a pool stood still when it was last asked: its guard has killed its workers by now."""
        return name in self._watch.silent

    async def refresh(self, max_age_s: float = BEAT_S) -> list[PoolAddress]:
        """The pools alive; what was read within `max_age_s` is good enough. ApiError when it cannot be read."""
        if self._looking is None:
            self._looking = asyncio.Lock()
        async with self._looking:
            now_s = self.clock.monotonic()
            if self._looked_at is None or now_s - self._looked_at >= max_age_s:
                await _look(self._client, self.clock, self._watch, now_s)
                self._looked_at = now_s
        return self._watch.alive


class Registry:
    """A pool's own row, and what it sees of the others, unless it is `alone` (see `Watch`)."""

    def __init__(
        self, client: LocalClient, pool_id: str, address: str, clock: Clock, alone: bool = False
    ) -> None:
        self._client = client
        self._id = pool_id
        self._address = address
        self._clock = clock
        self._alone = alone
        self._watch = Watch((pool_id, address), alone)
        # A pool that starts again under its id must be seen to move at once.
        self._beat = clock.wall_ms()
        self._changed: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._log = get_logger("triggers")

    @property
    def alive(self) -> list[PoolAddress]:
        """The pools that are alive, by id; this one always is."""
        return self._watch.alive

    def share(self, limit: int) -> int:
        """This pool's part of a limit that all pools keep together."""
        return -(-limit // len(self._watch.alive))

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Be told when other pools are alive than before."""
        self._changed.append(changed)

    async def start(self) -> None:
        """Write the row, look at the others, and go on with both until stopped."""
        if self._alone:
            return  # there is nobody to tell
        await self._try_beat()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Remove the row: the others need not wait until it has been silent."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        key = {"pk": {"S": PK}, "sk": {"S": self._id}}
        with suppress(ApiError):
            await self._client.call("DeleteItem", {"TableName": TRIGGER_TABLE, "Key": key})

    async def beat(self) -> None:
        """Move the own counter on, and look at those of the others. Raises ApiError."""
        self._beat += 1
        row = {
            "pk": {"S": PK},
            "sk": {"S": self._id},
            "address": {"S": self._address},
            "beat": {"N": str(self._beat)},
            "expires": {"N": str(self._clock.wall_ms() // 1000 + EXPIRES_S)},
        }
        began_s = self._clock.monotonic()
        try:
            await self._client.call("PutItem", {"TableName": TRIGGER_TABLE, "Item": row})
        except ApiError:
            self._watch.blind()
            raise
        if await _look(self._client, self._clock, self._watch, began_s):
            for changed in self._changed:
                changed()

    async def _try_beat(self) -> None:
        try:
            await self.beat()
        except ApiError as error:
            self._log.warning("the list of pools could not be reached", reason=str(error))
        except Exception as error:
            # Who stops beating is dead to the others: whatever this was, the next beat may go right.
            self._log.error("a beat has failed", exc_info=error)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            await self._try_beat()


async def _look(client: LocalClient, clock: Clock, watch: Watch, began_s: float) -> bool:
    """Have a watch look at the rows, as far as what began at `began_s` (monotonic seconds) shows that they move."""
    try:
        rows = await read_rows(client)
    except ApiError:
        watch.blind()
        raise
    if clock.monotonic() - began_s > BEAT_S:
        watch.blind()
    return watch.look(rows, clock.monotonic())


async def read_rows(client: LocalClient) -> list[dict[str, Any]]:
    """The rows of all pools."""
    reply = await client.call(
        "Query",
        {
            "TableName": TRIGGER_TABLE,
            "KeyConditionExpression": "pk = :pools",
            "ExpressionAttributeValues": {":pools": {"S": PK}},
            "ConsistentRead": True,
        },
    )
    items: list[dict[str, Any]] = reply["Items"]
    return items
