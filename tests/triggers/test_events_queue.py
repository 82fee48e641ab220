"""The queue of asynchronous invocations: attempts, waits, ages, outcomes; on a real node, with a clock set by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hashrange_router.triggers.events.queue import DurableEventQueue
from hashrange_router.triggers.events.runner import EventSettings
from hashrange_router.triggers.events.store import EventStore

from hashrange.errors import ApiError
from hashrange.runtime.clock import ManualClock, SystemClock
from tests.triggers.event_support import ARN, Pool, World, failing, fine, rows, throttled, until
from tests.unit.local_support import LocalNode, on_loop

TO_TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/failed"
TO_URL = "http://localhost:1/dead"


def test_an_event_put_in_a_pool_is_run_there_and_leaves_nothing_behind() -> None:
    async def test(local: LocalNode) -> None:
        world = World()
        pool = Pool(local, world, ManualClock())
        await pool.queue.put(ARN, b'{"a":1}', "r1", b'{"c":2}')
        await pool.settle()
        assert world.runs == ["r1"]
        invocation = world.seen[0]
        assert (invocation.payload, invocation.client_context) == (b'{"a":1}', b'{"c":2}')
        assert invocation.source == "async" and invocation.invoked_arn == ARN
        assert await rows(local) == []

    on_loop(test)


def test_one_put_elsewhere_is_found_and_a_large_one_arrives_whole() -> None:
    async def test(local: LocalNode) -> None:
        world, clock = World(), ManualClock()
        outside = DurableEventQueue(EventStore(local.client(), clock))
        payloads = {"small": b"{}", "large": b'"' + b"x" * 1_000_000 + b'"', "empty": b""}
        for name, payload in payloads.items():
            await outside.put(ARN, payload, name, None)
        assert len(await rows(local)) == 3 + 3, "the large one lies in three pieces"
        pool = Pool(local, world, clock)
        await pool.look()
        assert {each.request_id: each.payload for each in world.seen} == payloads
        assert await rows(local) == []

    on_loop(test)


def test_errors_of_the_function_are_tried_again_after_one_and_two_minutes_then_told() -> None:
    async def test(local: LocalNode) -> None:
        world, clock = World(), ManualClock()
        world.handler = failing
        world.config = {
            "DestinationConfig": {"OnFailure": {"Destination": TO_TABLE}},
            "DeadLetterConfig": {"TargetArn": TO_URL},
        }
        pool = Pool(local, world, clock)
        await pool.queue.put(ARN, b'{"a":1}', "r1", None)
        await pool.settle()
        for attempts, delay_s in ((1, 59.9), (2, 0.1), (2, 119.9), (3, 0.1), (3, 10_000.0)):
            clock.advance(delay_s)
            await pool.look()
            assert len(world.runs) == attempts, delay_s
        (to, record), (dead, letter) = world.sent
        assert (to, dead) == (TO_TABLE, TO_URL)
        assert record["requestContext"] == {
            "requestId": "r1",
            "functionArn": ARN + ":$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        }
        assert record["version"] == "1.0" and record["timestamp"] == "2023-11-14T22:16:20.000Z"
        assert record["requestPayload"] == {"a": 1}
        assert record["responseContext"] == {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        }
        assert record["responsePayload"] == {"errorMessage": "no", "errorType": "ValueError"}
        assert letter["RequestID"] == "r1" and letter["ErrorMessage"] == "no" and letter["body"] == {"a": 1}
        assert await rows(local) == []

    on_loop(test)


@pytest.mark.parametrize("retries", [0, 1])
def test_fewer_attempts_are_made_when_so_set(retries: int) -> None:
    async def test(local: LocalNode) -> None:
        world, clock = World(), ManualClock()
        world.handler, world.config = failing, {"MaximumRetryAttempts": retries}
        pool = Pool(local, world, clock, settings=EventSettings(delay_scale=0.001))
        await pool.queue.put(ARN, b"{}", "r1", None)
        for _ in range(4):
            await pool.settle()
            clock.advance(0.12)
            await pool.look()
        assert len(world.runs) == 1 + retries
        assert await rows(local) == [] and world.sent == []

    on_loop(test)


def test_throttles_are_waited_out_longer_and_longer_and_not_counted() -> None:
    async def test(local: LocalNode) -> None:
        world, clock = World(), ManualClock()
        world.handler, world.config = throttled, {"MaximumRetryAttempts": 0}
        pool = Pool(local, world, clock)
        await pool.queue.put(ARN, b"{}", "r1", None)
        await pool.settle()
        waited = []
        for _ in range(12):
            (row,) = await rows(local)
            due_ms = int(row["sk"]["S"].partition("#")[0])
            waited.append((due_ms - clock.wall_ms()) / 1000)
            clock.advance(waited[-1])
            await pool.look()
        assert waited == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
        world.handler = fine
        clock.advance(300)
        await pool.look()
        assert world.runs == ["r1"] and await rows(local) == []

    on_loop(test)


def test_an_event_that_is_too_old_is_given_up_and_told() -> None:
    async def test(local: LocalNode) -> None:
        world, clock = World(), ManualClock()
        world.handler = throttled
        world.config = {
            "MaximumEventAgeInSeconds": 60,
            "DestinationConfig": {"OnFailure": {"Destination": TO_URL}},
        }
        pool = Pool(local, world, clock)
        await pool.queue.put(ARN, b"[1]", "r1", None)
        await pool.settle()
        clock.advance(61)
        await pool.look()
        ((_, record),) = world.sent
        assert record["requestContext"]["condition"] == "EventAgeExceeded"
        assert record["requestPayload"] == [1] and "responseContext" not in record
        assert await rows(local) == []

    on_loop(test)


def test_success_is_told_too() -> None:
    async def test(local: LocalNode) -> None:
        world = World()
        world.config = {"DestinationConfig": {"OnSuccess": {"Destination": TO_URL}}}
        pool = Pool(local, world, ManualClock())
        await pool.queue.put(ARN + ":7", b"not json", "r1", None)
        await pool.settle()
        ((to, record),) = world.sent
        assert to == TO_URL
        assert record["requestContext"]["condition"] == "Success"
        assert record["requestContext"]["functionArn"] == ARN + ":7"
        assert record["requestPayload"] == "not json" and record["responsePayload"] == {"ok": True}
        assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}

    on_loop(test)


@pytest.mark.parametrize(("status", "again"), [(400, 5), (503, 400)])
def test_an_outcome_that_cannot_be_delivered_is_tried_again_without_running_the_function(
    status: int, again: int
) -> None:
    async def test(local: LocalNode) -> None:
        world, clock = World(), ManualClock()
        large = b'"' + b"y" * 500_000 + b'"'
        world.config = {"DestinationConfig": {"OnSuccess": {"Destination": TO_URL}}}
        world.refuse = ApiError("SomethingException", "no", status=status)
        pool = Pool(local, world, clock)
        await pool.queue.put(ARN, large, "r1", None)
        await pool.settle()
        attempts = 1
        while await rows(local):
            attempts += 1
            clock.advance(300)
            await pool.look()
            if status == 503 and attempts == 20:
                world.refuse = None
        assert attempts == (5 if status == 400 else 21)
        assert world.runs == ["r1"]
        assert pool.metrics.dead_letter_errors == ({"hello": 1} if status == 400 else {})
        if status == 503:
            assert world.sent[0][1]["requestPayload"] == large[1:-1].decode()

    on_loop(test)


def test_one_of_two_deliveries_that_fails_is_the_only_one_made_again() -> None:
    async def test(local: LocalNode) -> None:
        world, clock = World(), ManualClock()
        world.handler = failing
        world.config = {
            "MaximumRetryAttempts": 0,
            "DestinationConfig": {"OnFailure": {"Destination": TO_TABLE}},
            "DeadLetterConfig": {"TargetArn": TO_URL},
        }
        pool = Pool(local, world, clock)
        send = pool.send

        async def half(destination: str, document: dict[str, Any]) -> None:
            if destination == TO_URL and clock.monotonic() == 0:
                raise ApiError("Nope", "no", status=500)
            await send(destination, document)

        pool.runner._run._destinations = pool
        pool.send = half  # type: ignore[method-assign]
        await pool.queue.put(ARN, b"{}", "r1", None)
        await pool.settle()
        clock.advance(1)
        await pool.look()
        assert [to for to, _ in world.sent] == [TO_TABLE, TO_URL]

    on_loop(test)


def test_an_event_for_a_function_that_is_not_known_yet_waits_and_is_dropped_in_the_end() -> None:
    async def test(local: LocalNode) -> None:
        for comes in (True, False):
            world, clock = World(), ManualClock()
            world.known = False
            pool = Pool(local, world, clock)
            await pool.queue.put(ARN, b"{}", "r1", None)
            await pool.settle()
            world.known = comes
            clock.advance(1 if comes else 61)
            await pool.look()
            assert world.runs == (["r1"] if comes else [])
            assert await rows(local) == []

    on_loop(test)


def test_no_more_are_run_at_once_than_set_and_the_rest_follow() -> None:
    async def test(local: LocalNode) -> None:
        world, clock = World(), SystemClock()
        pool = Pool(local, world, clock, settings=EventSettings(running_max=3))
        most = 0

        def handler(invocation: Any) -> Any:
            nonlocal most
            most = max(most, pool.runner.statistics()["running"])
            return fine(invocation)

        world.handler = handler
        for number in range(40):
            await EventStore(pool, clock).put(ARN, b"{}", f"r{number}", None, None)
        await pool.runner.start()
        await until(lambda: len(world.runs) >= 40, 0.005)
        await pool.runner.stop(1.0)
        assert sorted(world.runs) == sorted(f"r{number}" for number in range(40))
        assert 1 < most <= 3

    on_loop(test)


def test_a_function_that_takes_its_time_leaves_room_for_others() -> None:
    async def test(local: LocalNode) -> None:
        world, clock = World(), ManualClock()
        pool = Pool(local, world, clock, settings=EventSettings(running_max=4, function_max=3))
        gate = asyncio.Event()
        ran = pool.invoke

        async def wait(invocation: Any) -> Any:
            if invocation.invoked_arn == ARN:
                await gate.wait()
            return await ran(invocation)

        pool.invoke = wait  # type: ignore[method-assign]
        for number in range(6):
            await pool.queue.put(ARN, b"{}", f"slow{number}", None)
        await pool.queue.put(ARN.replace("hello", "other"), b"{}", "fast", None)
        await pool.runner.sweep()
        await until(lambda: "fast" in world.runs)
        await until(lambda: pool.runner.statistics()["running"] == 3)
        assert world.runs == ["fast"]
        gate.set()
        await until(lambda: len(world.runs) == 7)
        await pool.settle()
        assert await rows(local) == []

    on_loop(test)


def test_a_long_queue_is_emptied_without_looking_through_it_again_and_again() -> None:
    async def test(local: LocalNode) -> None:
        world, clock = World(), SystemClock()
        pool = Pool(local, world, clock, settings=EventSettings(running_max=5, function_max=4, bell_s=3600.0))
        store = EventStore(local.client(), clock)
        for number in range(1500):
            await store.put(ARN, b"{}", f"r{number}", None, None)
        looks = 0
        call = pool.call

        async def counted(operation: str, request: dict[str, Any]) -> dict[str, Any]:
            nonlocal looks
            looks += operation == "Query"
            return await call(operation, request)

        pool.store._client = pool
        pool.call = counted  # type: ignore[method-assign]
        await pool.runner.start()
        await until(lambda: len(world.runs) >= 1500, 0.005)
        await pool.runner.stop(1.0)
        assert len(set(world.runs)) == 1500 and await rows(local) == []
        assert looks < 16 * 20

    on_loop(test)


def test_a_ring_of_the_bell_is_heard_and_what_falls_due_is_run_in_time() -> None:
    async def test(local: LocalNode) -> None:
        world, clock = World(), SystemClock()
        # Nothing but the bell and the time they are due could make the pool look again.
        settings = EventSettings(scan_s=3600.0, bell_s=0.01, delay_scale=0.001)
        pool = Pool(local, world, clock, settings=settings)
        await pool.runner.start()
        await asyncio.sleep(0.05)
        tries = 0

        def handler(invocation: Any) -> Any:
            nonlocal tries
            tries += 1
            return failing(invocation) if tries < 3 else fine(invocation)

        world.handler = handler
        await DurableEventQueue(EventStore(local.client(), clock)).put(ARN, b"{}", "r1", None)
        await until(lambda: len(world.runs) >= 3, 0.005)
        await pool.runner.stop(1.0)
        assert await rows(local) == []

    on_loop(test)
