"""Pools that die, stall and compete: no event is lost, and none is run twice unless somebody has died or stalled."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hashrange_router.triggers.events import rows as event_rows
from hashrange_router.triggers.events.queue import DurableEventQueue
from hashrange_router.triggers.events.runner import RENEW_S, SILENT_S
from hashrange_router.triggers.events.store import EventStore

from hashrange.errors import ApiError
from hashrange.runtime.clock import ManualClock
from tests.triggers.event_support import ARN, Pool, Process, World, failing, fine, rows, until
from tests.unit.local_support import LocalNode, on_loop

LARGE = b'"' + b"z" * 400_000 + b'"'
CONFIG = {
    "MaximumRetryAttempts": 1,
    "DestinationConfig": {
        "OnFailure": {"Destination": "http://one"},
        "OnSuccess": {"Destination": "http://ok"},
    },
    "DeadLetterConfig": {"TargetArn": "http://two"},
}


def ended(task: asyncio.Task[None], process: Process) -> bool:
    """Whether a task of a process is over, as it is when the process is."""
    return task.done() or process.dead


async def until_done(local: LocalNode, world: World, clock: ManualClock, wanted: int) -> None:
    """Let pools that live come and look until nothing is left."""
    pool = Pool(local, world, clock)
    for _ in range(20):
        await pool.look()
        if not [row for row in await rows(local) if row["pk"]["S"].startswith("event")]:
            break
        clock.advance(SILENT_S)
    else:
        raise AssertionError("an event is left")
    assert len(world.sent) >= wanted


@pytest.mark.parametrize("works", [True, False])
@pytest.mark.parametrize("payload", [b"{}", LARGE])
def test_nothing_is_lost_whenever_a_pool_dies(payload: bytes, works: bool) -> None:
    """The pool dies before its first step, its second, and so on, until it gets through."""

    async def once(local: LocalNode, dies_at: int) -> bool:
        world, clock = World(), ManualClock()
        world.handler = fine if works else failing
        world.config = CONFIG
        process = Process(dies_at)
        pool = Pool(local, world, clock, process)
        accepted = asyncio.get_running_loop().create_task(pool.queue.put(ARN, payload, "r1", None))
        await until(partial(ended, accepted, process))
        for _ in range(5):
            await pool.settle()
            if process.dead:
                break
            clock.advance(60.0)
            look = asyncio.get_running_loop().create_task(pool.look())
            await until(partial(ended, look, process))
            look.cancel()
        await asyncio.sleep(0.01)
        was_kept = accepted.done()
        accepted.cancel()
        if was_kept:
            await until_done(local, world, clock, 1 if works else 2)
            assert set(world.runs) == {"r1"}
            assert len(world.runs) <= (1 if works else 2) + 1, "one death costs one more run at most"
        for run in list(pool.runner._running.values()):
            if run.task is not None:
                run.task.cancel()
        await asyncio.sleep(0)
        for row in await rows(local):
            assert row["pk"]["S"].startswith("part#") or not was_kept, "nothing but pieces, which expire"
            key = {"pk": row["pk"], "sk": row["sk"]}
            await local.client().call("DeleteItem", {"TableName": "$triggers", "Key": key})
        return not process.dead

    async def test(local: LocalNode) -> None:
        dies_at = 0
        while not await once(local, dies_at):
            dies_at += 1
        assert dies_at >= (4 if works else 8)

    on_loop(test)


@pytest.mark.parametrize("notices", [True, False])
def test_a_claim_is_taken_over_only_when_its_counter_stands_still(notices: bool) -> None:
    async def test(local: LocalNode) -> None:
        world, clock = World(), ManualClock()
        gate = asyncio.Event()
        slow, other = Pool(local, world, clock), Pool(local, world, clock)
        ran = slow.invoke

        async def wait(invocation: Any) -> Any:
            await gate.wait()
            return await ran(invocation)

        slow.runner._run._invoker = slow
        slow.invoke = wait  # type: ignore[method-assign]
        await slow.queue.put(ARN, b"{}", "r1", None)
        for _ in range(10):
            clock.advance(RENEW_S)
            await slow.runner.renew()
            await other.look()
        assert world.runs == [], "it is being run all the time"
        for _ in range(4):
            clock.advance(RENEW_S)
            await other.look()
        assert world.runs == ["r1"], "it has stalled"
        assert other.runner.statistics()["taken_over"] == 1
        if notices:
            await slow.runner.renew()
            await slow.settle()
        gate.set()
        await slow.settle()
        assert world.runs == ["r1"] * (1 if notices else 2)
        assert await rows(local) == []

    on_loop(test)


def test_one_who_has_lost_an_event_changes_nothing_about_it() -> None:
    async def test(local: LocalNode) -> None:
        store = EventStore(local.client(), ManualClock())
        event = await store.put(ARN, b"{}", "r1", None, "first")
        (seen,), _ = await store.scan(event.queue, event.due_ms, 10)
        assert (seen.owner, seen.claim) == ("first", 1)
        taken = await store.claim(seen, "second")
        assert taken == event
        assert await store.claim(seen, "third") is None, "it is not as it was seen"
        before = await rows(local)
        assert not await store.renew(event, "first")
        assert not await store.release(event, "first")
        assert not await store.finish(event, "first")
        assert not await store.move(event, replace(event, due_ms=event.due_ms + 1), "first")
        assert await store.settle(event, "first", b"[]") is None
        assert await rows(local) == before
        assert await store.renew(event, "second") and await store.finish(event, "second")

    on_loop(test)


def test_pools_that_compete_run_each_event_once() -> None:
    async def test(local: LocalNode) -> None:
        world, clock = World(), ManualClock()
        outside = DurableEventQueue(EventStore(local.client(), clock))
        for number in range(50):
            await outside.put(ARN, b"{}", f"r{number}", None)
        pools = [Pool(local, world, clock) for _ in range(3)]
        await asyncio.gather(*(pool.look() for pool in pools))
        assert sorted(world.runs) == sorted(f"r{number}" for number in range(50))

    on_loop(test)


def test_without_the_condition_of_a_claim_they_would_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control for the one before."""
    claim = event_rows.claim

    def careless(seen: Any, owner: str) -> dict[str, Any]:
        request = claim(seen, owner)
        request["ConditionExpression"] = "attribute_exists(pk)"
        return request

    monkeypatch.setattr(event_rows, "claim", careless)
    with pytest.raises(AssertionError):
        test_pools_that_compete_run_each_event_once()


def test_a_pool_that_stops_leaves_what_it_runs_to_others_at_once() -> None:
    async def test(local: LocalNode) -> None:
        world, clock = World(), ManualClock()
        pool = Pool(local, world, clock)

        async def forever(invocation: Any) -> Any:
            await asyncio.get_running_loop().create_future()

        pool.invoke = forever  # type: ignore[method-assign]
        await pool.queue.put(ARN, b"{}", "r1", None)
        await asyncio.sleep(0)
        await pool.runner.stop()
        assert pool.runner.reserve(ARN) is None
        await Pool(local, world, clock).look()
        assert world.runs == ["r1"]

    on_loop(test)


def test_a_table_that_cannot_be_written_makes_an_event_wait_for_its_claim_to_end() -> None:
    async def test(local: LocalNode) -> None:
        world, clock = World(), ManualClock()
        pool = Pool(local, world, clock)
        call = pool.call
        broken = False

        async def failing_call(operation: str, request: dict[str, Any]) -> dict[str, Any]:
            if broken:
                raise ApiError("ServiceUnavailable", "no", status=503)
            return await call(operation, request)

        pool.store._client = pool
        pool.call = failing_call  # type: ignore[method-assign]

        def handler(invocation: Any) -> Any:
            nonlocal broken
            broken = len(world.runs) == 0
            return fine(invocation)

        world.handler = handler
        await pool.queue.put(ARN, b"{}", "r1", None)
        await pool.settle()
        assert broken and len(await rows(local)) == 1
        await until_done(local, world, clock, 0)
        assert world.runs == ["r1", "r1"]

    on_loop(test)
