"""One mapping in one pool: finds its shards, takes those that this pool is to have, and follows its document.

    runner = MappingRunner(uuid, services, share)
    runner.change(control)            # its document is new, another one, or gone (None)
    await runner.run()                # until the mapping is gone
    await runner.close(grace_s)       # or: give the shards back

At every look the rows are read before the list of shards: so a row whose shard is not in the list is one of a shard
that has been trimmed away, and never one of a shard that has just begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import Protocol

from hashrange.errors import ApiError
from hashrange.runtime.logging import get_logger
from hashrange.wire.documents import ChangeDocument, ControlDocument
from hashrange_router.streams.reader import Shard, Stream
from hashrange_router.triggers.contracts import MAPPING
from hashrange_router.triggers.mapping.leases import LEASE_S
from hashrange_router.triggers.mapping.lineage import LeaseRow, Plan, begins_at, plan
from hashrange_router.triggers.mapping.services import GONE, MappingView, Services
from hashrange_router.triggers.mapping.shard_runner import End, ShardRunner

TURN_S = 1.0
"""How often the status row may change."""
LOOK_S = 2.0
"""How often rows and shards are looked at when nothing happens here."""
AGAIN_S = 1.0
"""How long a shard rests that could not be processed."""


class Share(Protocol):
    """How the pools that are alive divide the shards of all mappings."""

    def wants_more(self) -> bool:
        """Whether this pool has less than its share."""
        ...

    def surplus(self) -> int:
        """How many shards this pool is to give back."""
        ...


class MappingRunner:
    """See the module. `held`: how many shards each pool has, as last seen; `ready`: how many there are."""

    def __init__(self, uuid: str, services: Services, share: Share) -> None:
        self.held: Mapping[str, int] = {}
        self.ready = 0
        self._uuid = uuid
        self._services = services
        self._share = share
        self._view = MappingView(uuid)
        self._watch = services.leases.watch()
        self._running: dict[str, tuple[ShardRunner, asyncio.Task[End]]] = {}
        self._continued: set[str] = set()
        self._rests_until: dict[str, float] = {}
        self._free_since: dict[str, float] = {}
        self._control: ControlDocument | None = None
        self._usable = False
        self._warmed: str | None = None
        self._warming: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._look_at = 0.0
        self._reported: tuple[int, str | None] | None = None
        self._log = get_logger("triggers").bind(mapping=uuid)

    @property
    def running(self) -> int:
        """Shards that are being processed here."""
        return len(self._running)

    @property
    def leaving(self) -> int:
        """How many of them are to be given back."""
        return sum(runner.wanted_gone for runner, _ in self._running.values())

    def change(self, control: ControlDocument | None) -> None:
        """Take over the document as it is now."""
        self._control = control
        if control is not None:
            try:
                self._view.take(control)
                self._usable = True
            except (ValueError, KeyError, TypeError) as error:
                self._usable = False
                self._log.error("a mapping cannot be used", reason=str(error))
            for runner, _ in self._running.values():
                runner.change()
        self.look()

    def look(self) -> None:
        """Look at rows and shards at once."""
        self._look_at = 0.0
        self._wake.set()

    async def run(self) -> None:
        """Work until the mapping is gone."""
        failed = False
        while True:
            self._wake.clear()
            try:
                if await self._turn():
                    return
                failed = False
            except ApiError as error:
                if not failed:
                    self._log.warning("a mapping cannot be looked after", reason=str(error))
                failed = True
            loop = asyncio.get_running_loop()
            timer = loop.call_later(TURN_S, self._wake.set)
            await self._wake.wait()
            timer.cancel()

    async def close(self, grace_s: float) -> None:
        """Give the shards back; calls that take longer than `grace_s` are given up."""
        if self._warming is not None:
            self._warming.cancel()
        tasks = self._stop_all()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=grace_s)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _turn(self) -> bool:
        """What is due now; True when the mapping is gone."""
        if self._control is None or not self._usable or self._view.wanted != "Enabled":
            self._stop_all()
            if self._running:
                return False
            return await self._at_rest()
        now_s = self._services.clock.monotonic()
        if now_s >= self._look_at:
            self._look_at = now_s + LOOK_S
            try:
                await self._scan()
            except ApiError as error:
                if error.type_name != "ResourceNotFoundException":
                    raise
                # What is running may still read to its end; a stream that is gone does not come back.
                self.ready, self.held = len(self._running), {}
                self._view.result = GONE
        await self._report()
        return False

    async def _at_rest(self) -> bool:
        """Nothing of the mapping runs here, or shall; True when it is gone."""
        services, leases = self._services, self._services.leases
        self.ready, self.held = 0, {}
        if self._control is None:
            await leases.remove(self._uuid)
            counted = services.metrics
            for counts in (counted.records, counted.retries, counted.dropped, counted.filtered):
                counts.pop((self._uuid, ""), None)
            return True
        rows = await leases.rows(self._uuid)
        now_s = services.clock.monotonic()
        self._watch.look(rows, now_s)
        if not all(row.done or self._watch.free(row, now_s) for row in rows.values()):
            return False
        if self._view.wanted == "Deleting":
            await leases.remove(self._uuid)
            with suppress(ApiError):  # another pool was faster, or the next turn is luckier
                await services.client.send(ChangeDocument(MAPPING, self._uuid, self._view.generation, None))
        elif self._usable:
            await self._report()
        return False

    async def _report(self) -> None:
        """Keep the status row as things are."""
        now = (self._view.revision, self._view.result)
        if now != self._reported:
            await self._services.leases.report(self._uuid, *now)
            self._reported = now

    async def _scan(self) -> None:
        """Look at all rows and shards; take some, or give some back."""
        services = self._services
        view = self._view
        rows = await services.leases.rows(self._uuid)
        now_s = services.clock.monotonic()
        stream = await services.reader.stream(view.stream_arn)
        shards = await services.reader.shards(view.stream_arn)
        self._watch.look(rows, now_s)
        planned = plan(shards, rows, view.latest_from_ms)
        self._count(planned, rows, now_s)
        for shard in planned.ready:
            if shard.id not in self._running and self._may_take(shard, rows.get(shard.id), now_s):
                await self._take(stream, shard, rows.get(shard.id))
        await self._clean(planned, rows, now_s)
        for _ in range(min(self._share.surplus(), len(self._running))):
            runner = next((each for each, _ in self._running.values() if not each.wanted_gone), None)
            if runner is not None:
                runner.stop()

    def _count(self, planned: Plan, rows: Mapping[str, LeaseRow], now_s: float) -> None:
        """Take down who has how many shards."""
        held: dict[str, int] = {}
        free_since: dict[str, float] = {}
        for shard in planned.ready:
            row = rows.get(shard.id)
            if shard.id in self._running:
                continue
            if row is None or row.owner is None or self._watch.free(row, now_s):
                free_since[shard.id] = self._free_since.get(shard.id, now_s)
            else:
                held[row.owner] = held.get(row.owner, 0) + 1
        self._free_since = free_since
        self.held = held
        self.ready = len(planned.ready)

    def _may_take(self, shard: Shard, row: LeaseRow | None, now_s: float) -> bool:
        """Whether this pool takes a shard now: its share allows it, it had the parent, or nobody else wants it."""
        since_s = self._free_since.get(shard.id)
        if since_s is None or self._rests_until.get(shard.id, 0.0) > now_s:
            return False
        if row is not None and row.owner is not None and not self._watch.free(row, now_s):
            return False
        return self._share.wants_more() or shard.parent in self._continued or now_s - since_s >= LEASE_S

    async def _take(self, stream: Stream, shard: Shard, row: LeaseRow | None) -> None:
        services = self._services
        start = 0
        if row is None:
            at_ms = begins_at(shard, self._view.latest_from_ms)
            start = 0 if at_ms is None else await services.reader.locate(shard, at_ms)
        lease = await services.leases.take(self._uuid, shard.id, row, start)
        if lease is None:
            return
        runner = ShardRunner(self._view, stream, shard, lease, services)
        task = asyncio.get_running_loop().create_task(runner.run())
        self._running[shard.id] = (runner, task)
        self._warm()
        task.add_done_callback(lambda ended: self._ended(shard.id, ended))
        if self._control is None or self._view.wanted != "Enabled":
            runner.stop()

    def _warm(self) -> None:
        """Have a worker ready for the first record, once for each thing that the mapping may call."""
        warm, named = self._services.warm, self._view.function_arn
        if warm is None or named == self._warmed:
            return
        self._warmed = named
        try:
            function = self._services.directory.resolve(named)
        except ApiError:
            return  # the first call is told why
        self._warming = asyncio.get_running_loop().create_task(_quietly(warm(function)))

    def _ended(self, shard: str, task: asyncio.Task[End]) -> None:
        """A runner has ended, one way or the other."""
        del self._running[shard]
        end = End.LOST if task.cancelled() or task.exception() is not None else task.result()
        if end is End.DONE:
            self._continued.add(shard)
        elif end is End.RELEASED:
            # The others come first.
            self._rests_until[shard] = self._services.clock.monotonic() + LOOK_S
        else:
            self._rests_until[shard] = self._services.clock.monotonic() + AGAIN_S
        self.look()

    async def _clean(self, planned: Plan, rows: Mapping[str, LeaseRow], now_s: float) -> None:
        """Remove rows of shards that are trimmed away; what was never finished of them cannot be any more."""
        leases = self._services.leases
        for name in planned.vanished:
            if name not in self._running and self._watch.free(rows[name], now_s):
                lease = await leases.take(self._uuid, name, rows[name], 0)
                if lease is not None:
                    self._log.error("a shard was trimmed away before it was processed to its end", shard=name)
                    dropped = self._services.metrics.dropped
                    dropped[(self._uuid, "")] = dropped.get((self._uuid, ""), 0) + 1
                    await lease.save(lease.checkpoint, done=True)
                    await lease.release()
        for name in planned.stale:
            await leases.remove(self._uuid, name)
            self._continued.discard(name)
            self._rests_until.pop(name, None)

    def _stop_all(self) -> list[asyncio.Task[End]]:
        for runner, _ in self._running.values():
            if not runner.wanted_gone:
                runner.stop()
        return [task for _, task in self._running.values()]


async def _quietly(work: Awaitable[None]) -> None:
    """Do something that is only a convenience."""
    with suppress(ApiError):
        await work
