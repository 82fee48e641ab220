"""One shard of one mapping, in the pool that has its lease: reads, calls the function, keeps the checkpoint.

    runner = ShardRunner(view, stream, shard, lease, services)
    end = await runner.run()          # DONE, RELEASED, LOST or FAILED
    runner.change(); runner.stop()    # from elsewhere: look at the view again; finish what is being called, and end

Three kinds of tasks meet at a `ShardQueue`: one reads ahead, one for each lane calls the function, one saves the lease.
A checkpoint need not be saved before the next call begins: what was processed behind it is processed once more if the
pool dies. So it is saved at once when there was none for a moment, and at intervals while calls come thick and fast.

No call begins unless the lease holds; when it does not hold any more, calls under way are given up (the invoker ends
their workers), and nothing of them is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from enum import Enum

import orjson

from hashrange.errors import ApiError
from hashrange.model.stream_record import renderer
from hashrange.runtime.logging import get_logger
from hashrange_router.streams.reader import Page, Shard, Stream
from hashrange_router.triggers.mapping.calls import Caller
from hashrange_router.triggers.mapping.leases import Lease, LeaseLost
from hashrange_router.triggers.mapping.queue import ShardQueue
from hashrange_router.triggers.mapping.services import TRIMMED, MappingView, Services
from hashrange_router.triggers.mapping.settings import Entry

READ_BYTES = 2 * 1024 * 1024
"""Of one read, as records are stored."""
READ_WAIT_MS = 1000
"""How long the leader keeps a question for records that are not there yet."""
SAVE_GAP_S = 0.1
"""Between two saves of a checkpoint."""
AGAIN_FIRST_S = 0.05
AGAIN_MAX_S = 1.0
"""Pauses after a read or a save that failed."""

_STAMP_MS_BITS = 16


class End(Enum):
    """Why a runner ended."""

    DONE = "all records of the shard have been processed"
    RELEASED = "it was stopped, and others may take the shard"
    LOST = "the lease was lost"
    FAILED = "something went wrong"


class ShardRunner:
    """See the module. `wanted_gone` is set once it was told to stop."""

    def __init__(
        self, view: MappingView, stream: Stream, shard: Shard, lease: Lease, services: Services
    ) -> None:
        self.shard = shard
        self.wanted_gone = False
        self._view = view
        self._lease = lease
        self._services = services
        self._queue = ShardQueue(view.settings, lease.checkpoint)
        self._caller = Caller(view, shard.id, services, stream)
        self._log = get_logger("triggers").bind(mapping=view.uuid, shard=shard.id)
        self._lanes: list[asyncio.Task[None]] = []
        self._signals: list[asyncio.Event] = []
        self._room = asyncio.Event()
        self._dirty = asyncio.Event()
        self._saved = asyncio.Event()
        self._over: asyncio.Future[End] | None = None
        self._busy = 0
        self._oldest = False
        """Whether the next read begins with the oldest record there is: those behind the position are gone."""

    async def run(self) -> End:
        """Work until the shard is done, the lease is gone or `stop` was called. All tasks have ended then."""
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        if self.wanted_gone:
            self._dirty.set()
        tasks = [loop.create_task(self._guarded(self._keep())), loop.create_task(self._guarded(self._read()))]
        self._staff_lanes()
        end: End | None = None
        try:
            end = await self._over
        finally:
            tasks += self._lanes
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._caller.forget()
            if end not in (End.DONE, End.RELEASED, End.LOST) and self._lease.held():
                with suppress(ApiError, LeaseLost):
                    await self._lease.release()
        return end

    def change(self) -> None:
        """The mapping has new settings."""
        self._queue.change(self._view.settings)
        self._settle()
        self._wake_lanes()

    def stop(self) -> None:
        """Begin no more calls; end when those under way have."""
        self.wanted_gone = True
        self._wake_lanes()
        self._dirty.set()

    def _finish(self, end: End) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(end)

    async def _guarded(self, work: Awaitable[None]) -> None:
        """Run a part; if it fails, all of it ends."""
        try:
            await work
        except LeaseLost:
            self._log.warning("the lease of a shard is lost")
            self._finish(End.LOST)
        except Exception as error:  # whatever it is, others may have more luck with this shard
            self._log.error("processing a shard failed", exc_info=error)
            self._finish(End.FAILED)

    # Reading

    async def _read(self) -> None:
        """Read ahead as long as there is room."""
        queue = self._queue
        pause_s = AGAIN_FIRST_S
        while not queue.ended:
            room = queue.room()
            if not room:
                self._room.clear()
                await self._room.wait()
                continue
            after = 0 if self._oldest else queue.position
            asked_ms = self._services.clock.wall_ms()
            try:
                page = await self._services.reader.read(self.shard, after, room, READ_BYTES, READ_WAIT_MS)
            except ApiError as error:
                if await self._unreadable(error):
                    continue
                if pause_s == AGAIN_FIRST_S:
                    self._log.info("records could not be read", reason=str(error))
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, AGAIN_MAX_S)
                continue
            pause_s = AGAIN_FIRST_S
            self._oldest = False
            self._accept(page, asked_ms)

    def _accept(self, page: Page, asked_ms: int) -> None:
        queue = self._queue
        moved = page.after != queue.position or page.ended
        queue.accept(self._entries(page), page.after, page.ended)
        if not page.records:
            queue.caught_up_ms = asked_ms
            if queue.idle:
                self._caller.waiting_since(None)
        if moved:
            self._dirty.set()
        self._wake_lanes()

    def _entries(self, page: Page) -> Iterator[tuple[int, Entry]]:
        """The records that the function wants, as it gets them."""
        if not page.records:
            return
        view, services = self._view, self._services
        show = renderer(
            self._caller.stream.codec, self.shard.view_type, services.site.region, view.stream_arn, True
        )
        now_s = services.clock.monotonic()
        filters = view.filters
        left_out = 0
        for record in page.records:
            body = show(record)
            if filters and not filters.matches(orjson.loads(body)):
                left_out += 1
                continue
            position = int.from_bytes(record.key[:8], "big")
            yield position, Entry(record.sequence, record.stamp >> _STAMP_MS_BITS, now_s, body)
        if left_out:
            self._caller.count_filtered(left_out)

    async def _unreadable(self, error: ApiError) -> bool:
        """What a failed read means; True when there is nothing to wait for before going on."""
        after = self._queue.position
        if error.type_name == "TrimmedDataAccessException":
            self._trimmed("records were trimmed before they were read", after)
            self._oldest = True
            return True
        if error.type_name == "ResourceNotFoundException" and await self._gone():
            self._trimmed("a shard was trimmed away before it was read to its end", after)
            self._accept(Page([], after, True), 0)
            return True
        return False

    async def _gone(self) -> bool:
        """Whether the shard does not exist any more: a pool that has just begun may only not know it yet."""
        try:
            shards = await self._services.reader.shards(self._view.stream_arn)
        except ApiError as error:
            return error.type_name == "ResourceNotFoundException"
        return all(shard.id != self.shard.id for shard in shards)

    def _trimmed(self, what: str, after: int) -> None:
        self._log.error(what, after=after)
        self._caller.count_dropped(1)
        self._view.result = TRIMMED

    # Calling

    def _staff_lanes(self) -> None:
        """Have a task for each lane."""
        while len(self._lanes) < self._queue.lanes:
            self._signals.append(asyncio.Event())
            work = self._guarded(self._lane(len(self._lanes)))
            self._lanes.append(asyncio.get_running_loop().create_task(work))

    def _wake_lanes(self) -> None:
        for signal in self._signals:
            signal.set()

    async def _lane(self, index: int) -> None:
        """Call the function with the batches of one lane, one after the other."""
        queue, services = self._queue, self._services
        loop = asyncio.get_running_loop()
        signal = self._signals[index]
        while not self.wanted_gone:
            unit = queue.poll(index, services.moment()) if index < queue.lanes else None
            if unit is None:
                signal.clear()
                wake = queue.wake(index) if index < queue.lanes else None
                timer = None
                if wake is not None:
                    timer = loop.call_later(max(wake - services.clock.monotonic(), 0.001), signal.set)
                await signal.wait()
                if timer is not None:
                    timer.cancel()
                continue
            self._busy += 1
            await self._holding()
            lane = queue.lane(index)
            if unit.verdict is None:
                await self._caller.call(lane, unit, queue.settings, self._lease.held)
            else:
                await self._caller.give_up(unit, queue.position)
                lane.dropped()
            self._busy -= 1
            self._room.set()
            self._dirty.set()
            self._settle()

    async def _holding(self) -> None:
        """Wait until the lease certainly holds; it is being saved again if it does not."""
        while not self._lease.held():
            self._saved.clear()
            await self._saved.wait()

    def _settle(self) -> None:
        if self._queue.settle():
            self._staff_lanes()
            self._room.set()
            self._wake_lanes()

    # Keeping the lease

    async def _keep(self) -> None:
        """Save the lease when something has happened, and before it runs out."""
        clock, lease = self._services.clock, self._lease
        loop = asyncio.get_running_loop()
        saved_at = 0.0
        pause_s = AGAIN_FIRST_S
        while True:
            timer = loop.call_later(max(lease.renew_at - clock.monotonic(), 0.0), self._dirty.set)
            await self._dirty.wait()
            timer.cancel()
            leaving = self.wanted_gone and not self._busy
            done = self._queue.finished
            gap_s = saved_at + SAVE_GAP_S - clock.monotonic()
            if gap_s > 0 and not leaving and not done:
                await asyncio.sleep(max(gap_s, 0.001))
                continue
            self._dirty.clear()
            try:
                await self._in_time(self._save(done, leaving))
            except ApiError as error:
                self._log.info("a checkpoint could not be saved", reason=str(error))
                self._dirty.set()
                await self._in_time(asyncio.sleep(pause_s))
                pause_s = min(pause_s * 2, AGAIN_MAX_S)
                continue
            pause_s = AGAIN_FIRST_S
            saved_at = clock.monotonic()
            self._saved.set()
            oldest_ms = self._queue.oldest_ms
            if oldest_ms is not None:
                self._caller.waiting_since(oldest_ms)
            if done or leaving:
                self._finish(End.DONE if done else End.RELEASED)
                return

    async def _save(self, done: bool, leaving: bool) -> None:
        await self._lease.save(self._queue.checkpoint(), done)
        if done or leaving:
            with suppress(ApiError):
                await self._lease.release()

    async def _in_time(self, work: Awaitable[None]) -> None:
        """Do something while the lease holds. LeaseLost when it takes longer."""
        task = asyncio.ensure_future(work)
        left_s = self._lease.holds_until - self._services.clock.monotonic()
        try:
            await asyncio.wait({task}, timeout=max(left_s, 0.0))
            if not task.done():
                raise LeaseLost
            task.result()
        finally:
            task.cancel()
