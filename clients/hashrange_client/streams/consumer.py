"""The consumer: which shards this worker reads, reading them, and keeping the leases.

One task a shard reads a batch, hands it over, waits until it has been processed, and moves the checkpoint. One task
renews the leases, one lists the shards, and takes what is free: a worker that has fewer shards than its share asks the
one that has most for one of them. boto3 blocks, so its calls run in threads of the consumer's own.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from hashrange_client.streams.leases import LATEST, SHARD_END, TRIM_HORIZON, Lease, LeaseLostError, LeaseTable
from hashrange_client.streams.lineage import ShardTree
from hashrange_client.streams.reading import ShardReader, list_shards
from hashrange_client.streams.settings import ConsumerSettings

log = logging.getLogger("hashrange_client.streams")
Result = TypeVar("Result")

LEASE_THREADS = 8
"""Besides one for each shard: handlers that take their time must not keep leases from being renewed."""


@dataclass(slots=True)
class Batch:
    """Records of one shard, in order, as GetRecords gives them (boto3's form)."""

    shard: str
    records: list[dict[str, Any]]
    _done: asyncio.Future[None] = field(repr=False)

    def __len__(self) -> int:
        return len(self.records)


class _Shard:
    """A shard that this worker reads."""

    __slots__ = ("lease", "lock", "task")

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.lock = asyncio.Lock()
        self.task: asyncio.Task[None] | None = None


class Consumer:
    """Reads the stream of `table` (a name, or the ARN of a stream) for an application.

    `dynamodb` and `streams` are boto3 clients of the services "dynamodb" and "dynamodbstreams"; clients may be shared
    between threads. Workers of one application share its shards. Use it as an async context manager and iterate over
    it, or call `run`. `trimmed` counts reads that came too late for records that the stream had trimmed away.
    """

    def __init__(
        self,
        table: str,
        application: str,
        *,
        dynamodb: Any,
        streams: Any,
        settings: ConsumerSettings | None = None,
        worker: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings or ConsumerSettings()
        self.worker = worker or uuid.uuid4().hex
        self.stream = table if ":stream/" in table or "/stream/" in table else ""
        self.trimmed = 0
        self._table = table
        self._dynamodb = dynamodb
        self._streams = streams
        self._leases = LeaseTable(dynamodb, application, self.worker, self.settings.lease_s, monotonic)
        self._threads = ThreadPoolExecutor(self.settings.threads + LEASE_THREADS, "stream-consumer")
        self._shards: dict[str, _Shard] = {}
        self._batches: asyncio.Queue[Batch | BaseException] = asyncio.Queue()
        self._discover = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False

    # ---- using it

    async def __aenter__(self) -> Consumer:
        """Find the stream and the application's table, and begin."""
        if not self.stream:
            described = await self._call(self._dynamodb.describe_table, TableName=self._table)
            arn = described["Table"].get("LatestStreamArn")
            if arn is None:
                raise ValueError(f"the table {self._table} has no stream; enable one with UpdateTable")
            self.stream = arn
        await self._call(self._leases.create)
        await self._begin()
        self._tasks = [asyncio.create_task(self._keep()), asyncio.create_task(self._look())]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop reading, and give the leases back: what was not processed is read again by whoever takes them."""
        self._closed = True
        tasks = [*self._tasks, *(shard.task for shard in self._shards.values() if shard.task is not None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for shard in list(self._shards.values()):
            try:
                await self._call(self._leases.release, shard.lease)
            except Exception as error:  # the lease runs out by itself
                log.warning("the lease of %s could not be given back: %s", shard.lease.shard, error)
        self._shards.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __aiter__(self) -> AsyncIterator[Batch]:
        """Batches of all shards as they come. Asking for the next says that the one before has been processed."""
        while True:
            batch = await self._batches.get()
            if isinstance(batch, BaseException):
                raise batch
            if batch._done.cancelled():
                continue  # another worker has the shard now
            yield batch
            if not batch._done.done():
                batch._done.set_result(None)

    def run(
        self,
        handler: Callable[[Batch], object],
        *,
        until: Callable[[], bool] = lambda: False,
        check_s: float = 0.2,
    ) -> None:
        """Call `handler(batch)` for every batch, in a thread for each shard, until `until()` says stop.

        A coroutine function is awaited instead. A handler that raises gets the batch again, after a growing pause;
        after `handler_retries` the exception ends the consumer.
        """
        asyncio.run(self.serve(handler, until=until, check_s=check_s))

    async def serve(
        self,
        handler: Callable[[Batch], Any],
        *,
        until: Callable[[], bool] = lambda: False,
        check_s: float = 0.2,
    ) -> None:
        """The same, in a running event loop."""
        handling: set[asyncio.Task[None]] = set()
        try:
            async with self:
                while not until():
                    try:
                        batch = await asyncio.wait_for(self._batches.get(), check_s)
                    except TimeoutError:
                        continue
                    if isinstance(batch, BaseException):
                        raise batch
                    if batch._done.cancelled():
                        continue  # another worker has the shard now
                    task = asyncio.create_task(self._handle(handler, batch))
                    handling.add(task)
                    task.add_done_callback(handling.discard)
        finally:
            for task in handling:
                task.cancel()

    async def _handle(self, handler: Callable[[Batch], Any], batch: Batch) -> None:
        tries, pause = 0, self.settings.retry_first_s
        while not batch._done.done():
            try:
                if asyncio.iscoroutinefunction(handler):
                    await handler(batch)
                else:
                    await self._call(handler, batch)
            except Exception as error:
                tries += 1
                most = self.settings.handler_retries
                if most is not None and tries > most:
                    self._batches.put_nowait(error)
                    return
                log.warning("the handler failed on %d records of %s: %r", len(batch), batch.shard, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, self.settings.retry_max_s)
            else:
                if not batch._done.done():
                    batch._done.set_result(None)

    # ---- shards

    async def _begin(self) -> None:
        """Make the first shards known, if the application has never read the stream."""
        if await self._call(self._leases.begun, self.stream):
            return
        shards = await self._call(list_shards, self._streams, self.stream)
        for shard in shards:
            checkpoint = TRIM_HORIZON
            if self.settings.start == LATEST:
                closed = "EndingSequenceNumber" in shard["SequenceNumberRange"]
                checkpoint = SHARD_END if closed else LATEST
            await self._call(self._leases.add, shard["ShardId"], self.stream, checkpoint)
        await self._call(self._leases.begin, self.stream)

    async def _look(self) -> None:
        """List the shards, and take those that are ours to read; again and again."""
        while True:
            self._discover.clear()
            try:
                await self._balance()
            except Exception as error:
                log.warning("the shards of %s could not be listed: %s", self.stream, error)
            waiting = self.settings.lease_s / 2 if self._shards else self.settings.poll_s * 4
            try:
                await asyncio.wait_for(self._discover.wait(), min(waiting, self.settings.discover_s))
            except TimeoutError:
                pass

    async def _balance(self) -> None:
        tree = ShardTree.of(await self._call(list_shards, self._streams, self.stream))
        leases = await self._call(self._leases.leases, self.stream)
        for shard in tree.shards:
            if shard not in leases:
                await self._call(self._leases.add, shard, self.stream, TRIM_HORIZON)
                leases[shard] = Lease(shard, self.stream, "", 0, TRIM_HORIZON)
        for shard, lease in leases.items():
            if shard not in tree and lease.finished:
                await self._call(self._leases.forget, lease)
        finished = {shard for shard, lease in leases.items() if lease.finished}
        ready = {shard: leases[shard] for shard in tree.ready(finished)}
        free = self._leases.observe(ready)
        # Ours, and not read here: the answer to taking it was lost.
        free |= {s for s, held in ready.items() if held.owner == self.worker and s not in self._shards}
        owners = Counter(lease.owner for shard, lease in ready.items() if shard not in free)
        owners.setdefault(self.worker, 0)
        share = math.ceil(len(ready) / len(owners)) if ready else 0
        for shard in [each for each in ready if each in free and each not in self._shards]:
            if len(self._shards) >= min(share, self.settings.threads):
                return
            await self._take(ready[shard])
        await self._ask_for_one(ready, owners, share)

    async def _ask_for_one(self, ready: dict[str, Lease], owners: Counter[str], share: int) -> None:
        """Take one shard over from the worker that has most, if that brings both nearer to their share."""
        busiest, most = owners.most_common(1)[0]
        if busiest != self.worker and most > share and len(self._shards) < share:
            for lease in ready.values():
                if lease.owner == busiest:
                    await self._take(lease)
                    return

    async def _take(self, lease: Lease) -> None:
        try:
            taken = await self._call(self._leases.take, lease)
        except LeaseLostError:
            return
        shard = self._shards[lease.shard] = _Shard(taken)
        shard.task = asyncio.create_task(self._read(shard))

    async def _keep(self) -> None:
        """Renew the leases."""
        while True:
            await asyncio.sleep(self.settings.renew_s)
            for shard in list(self._shards.values()):
                await self._update(shard, self._leases.renew)

    async def _update(self, shard: _Shard, how: Callable[..., Lease], *more: str) -> bool:
        """Renew or checkpoint. False: the shard is not ours any more, and is read no further."""
        try:
            async with shard.lock:
                shard.lease = await self._call(how, shard.lease, *more)
        except LeaseLostError:
            log.info("the shard %s has gone to another worker", shard.lease.shard)
            self._drop(shard)
            return False
        except Exception as error:
            log.warning("the lease of %s could not be renewed: %s", shard.lease.shard, error)
        return True

    def _drop(self, shard: _Shard) -> None:
        if self._shards.get(shard.lease.shard) is shard:
            del self._shards[shard.lease.shard]
        if shard.task is not None and shard.task is not asyncio.current_task():
            shard.task.cancel()

    # ---- reading

    async def _read(self, shard: _Shard) -> None:
        reader = ShardReader(
            self._streams,
            self.stream,
            shard.lease.shard,
            shard.lease.checkpoint,
            self.settings.batch_size,
        )
        pause = self.settings.poll_s
        while shard.lease.shard in self._shards:
            try:
                records = await self._call(reader.read)
            except self._streams.exceptions.ResourceNotFoundException:
                records, reader.ended = [], True  # trimmed away altogether
            except Exception as error:
                log.warning("reading %s failed: %s", shard.lease.shard, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause + 0.1, self.settings.retry_max_s)
                continue
            if reader.trimmed:
                self.trimmed += reader.trimmed
                reader.trimmed = 0
                log.error("records of %s were trimmed before they were read", shard.lease.shard)
            if records and not await self._process(shard, records):
                return
            if reader.ended:
                if await self._finish(shard):
                    return
            pause = self.settings.poll_s
            if not records:
                await asyncio.sleep(pause)

    async def _process(self, shard: _Shard, records: list[dict[str, Any]]) -> bool:
        """Hand a batch over, and move the checkpoint when it has been processed."""
        batch = Batch(shard.lease.shard, records, asyncio.get_running_loop().create_future())
        self._batches.put_nowait(batch)
        try:
            await batch._done
        except asyncio.CancelledError:
            batch._done.cancel()
            raise
        return await self._checkpoint(shard, records[-1]["dynamodb"]["SequenceNumber"])

    async def _checkpoint(self, shard: _Shard, checkpoint: str) -> bool:
        """Move the checkpoint, however long that takes. False: the shard is not ours any more."""
        pause = self.settings.retry_first_s
        while await self._update(shard, self._leases.checkpoint, checkpoint):
            if shard.lease.checkpoint == checkpoint:
                return True
            await asyncio.sleep(pause)
            pause = min(2 * pause, self.settings.retry_max_s)
        return False

    async def _finish(self, shard: _Shard) -> bool:
        if await self._checkpoint(shard, SHARD_END):
            await self._call(self._leases.release, shard.lease)
        self._drop(shard)
        self._discover.set()  # its children can be read now
        return True

    def _call(self, function: Callable[..., Result], *args: Any, **kwargs: Any) -> Awaitable[Result]:
        return asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *args, **kwargs))
