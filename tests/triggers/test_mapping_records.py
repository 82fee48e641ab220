"""Records of a stream reach the function: in order, batched, filtered, retried, given up; and what is left of that."""

from __future__ import annotations

import asyncio
from typing import Any

from hashrange_router.triggers.contracts import InvocationResult

from hashrange.errors import ApiError
from tests.triggers.mapping_support import (
    FUNCTION_ARN,
    STREAM_ARN,
    UUID,
    World,
    elapse,
    failed,
    numbers_of,
    simulate,
)


def test_records_arrive_and_the_checkpoint_follows() -> None:
    async def play(world: World) -> None:
        world.stream.open("shardId-a")
        numbers = [world.stream.write("shardId-a", f"k{index % 3}") for index in range(7)]
        await world.pool("one")
        await world.map(BatchSize=3)
        await world.until(lambda: world.function.taken == numbers)
        assert [len(taken) for _, _, taken in world.function.calls] == [3, 3, 1]
        await world.until(lambda: world.checkpoint_is("shardId-a", numbers[-1]))
        later = world.stream.write("shardId-a", "k1")
        await world.until(lambda: world.function.taken == [*numbers, later])
        await world.until(lambda: world.status_is(1, "OK"))
        assert world.pools["one"].metrics.records == {(UUID, "shardId-a"): 8}

    simulate(play)


def test_another_pool_goes_on_where_one_has_stopped() -> None:
    async def play(world: World) -> None:
        world.stream.open("shardId-a")
        first = [world.stream.write("shardId-a", "k") for _ in range(5)]
        one = await world.pool("one")
        await world.map()
        await world.until(lambda: world.function.taken == first)
        await one.stop()
        world.leave("one")
        del world.pools["one"]
        second = [world.stream.write("shardId-a", "k") for _ in range(5)]
        await world.pool("two")
        await world.until(lambda: world.function.taken == first + second)

    simulate(play)


def test_a_poison_record_is_cut_out_and_reported() -> None:
    async def play(world: World) -> None:
        world.stream.open("shardId-a")
        numbers = [world.stream.write("shardId-a", f"k{index}") for index in range(20)]
        poison = numbers[7]

        async def handler(event: dict[str, Any], pool: str) -> Any:
            return failed() if poison in numbers_of(event) else None

        world.function.handler = handler
        await world.pool("one")
        await world.map(
            BisectBatchOnFunctionError=True,
            MaximumRetryAttempts=2,
            DestinationConfig={
                "OnFailure": {"Destination": "arn:aws:lambda:us-east-1:000000000000:function:sink"}
            },
        )
        good = [number for number in numbers if number != poison]
        await world.until(lambda: world.function.taken == good)
        [(destination, document)] = world.letters.sent
        assert destination.endswith(":sink")
        assert document["requestContext"]["condition"] == "RetryAttemptsExhausted"
        assert document["requestContext"]["functionArn"] == FUNCTION_ARN
        assert document["responseContext"] == {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        }
        info = document["DDBStreamBatchInfo"]
        assert info["startSequenceNumber"] == info["endSequenceNumber"] == f"{poison:021d}"
        assert (info["batchSize"], info["streamArn"], info["shardId"]) == (1, STREAM_ARN, "shardId-a")
        assert sum(taken == [poison] for _, _, taken in world.function.calls) == 3
        assert world.pools["one"].metrics.dropped == {(UUID, "shardId-a"): 1}
        await world.until(lambda: world.checkpoint_is("shardId-a", numbers[-1]))

    simulate(play)


def test_a_function_that_names_its_failures() -> None:
    """Records before the first one named are not seen again; what is named comes until it is taken."""

    async def play(world: World) -> None:
        world.stream.open("shardId-a")
        numbers = [world.stream.write("shardId-a", f"k{index}") for index in range(10)]
        refusals = {numbers[4]: 2, numbers[6]: 1}
        seen: list[int] = []

        async def handler(event: dict[str, Any], pool: str) -> Any:
            bad = []
            for number in numbers_of(event):
                if refusals.get(number):
                    refusals[number] -= 1
                    bad.append(number)
                elif not bad:
                    seen.append(number)
            return {"batchItemFailures": [{"itemIdentifier": f"{number:021d}"} for number in bad]}

        world.function.handler = handler
        await world.pool("one")
        await world.map(FunctionResponseTypes=["ReportBatchItemFailures"])
        await world.until(lambda: sorted(set(seen)) == numbers)
        assert seen == numbers
        assert [taken[0] for _, _, taken in world.function.calls] == [numbers[0], numbers[4], numbers[4]]

    simulate(play)


def test_throttles_use_up_no_retries() -> None:
    async def play(world: World) -> None:
        world.stream.open("shardId-a")
        number = world.stream.write("shardId-a", "k")
        refusals = 30

        async def handler(event: dict[str, Any], pool: str) -> Any:
            nonlocal refusals
            if refusals:
                refusals -= 1
                raise ApiError("TooManyRequestsException", "Rate Exceeded.", status=429)
            return None

        world.function.handler = handler
        world.function.missing = True
        await world.pool("one")
        await world.map(MaximumRetryAttempts=0)
        await elapse(60)
        assert not world.function.calls and await world.status() == (1, "PROBLEM: Function call failed")
        world.function.missing = False
        await world.until(lambda: world.function.taken == [number])
        assert not world.letters.sent and not world.pools["one"].metrics.dropped
        assert world.pools["one"].metrics.retries[(UUID, "shardId-a")] > 30

    simulate(play)


def test_records_that_grow_too_old_are_reported_without_a_call() -> None:
    async def play(world: World) -> None:
        world.stream.open("shardId-a")
        old = [world.stream.write("shardId-a", "k", age_ms=120_000) for _ in range(2)]
        new = world.stream.write("shardId-a", "k")
        await world.pool("one")
        await world.map(
            MaximumRecordAgeInSeconds=60, DestinationConfig={"OnFailure": {"Destination": "http://x"}}
        )
        await world.until(lambda: world.function.taken == [new])
        assert [taken for _, _, taken in world.function.calls] == [[new]]
        [(_, document)] = world.letters.sent
        assert document["requestContext"]["condition"] == "MaximumRecordAgeExceeded"
        assert document["requestContext"]["approximateInvokeCount"] == 0
        assert "responseContext" not in document
        assert document["DDBStreamBatchInfo"]["endSequenceNumber"] == f"{old[-1]:021d}"

    simulate(play)


def test_a_destination_out_of_order_is_tried_again_then_counted() -> None:
    async def play(world: World) -> None:
        world.stream.open("shardId-a")
        world.stream.write("shardId-a", "a")

        async def handler(event: dict[str, Any], pool: str) -> Any:
            return failed()

        world.function.handler = handler
        world.letters.broken = 3
        await world.pool("one")
        await world.map(MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": "http://x"}})
        await world.until(lambda: len(world.letters.sent) == 1)
        world.letters.broken = 1000
        world.stream.write("shardId-a", "b")
        await world.until(lambda: world.pools["one"].metrics.dead_letter_errors == {UUID: 1})
        world.function.handler = None
        last = world.stream.write("shardId-a", "c")
        await world.until(lambda: world.function.taken == [last])

    simulate(play)


def test_filters_leave_records_out_and_the_checkpoint_passes_them() -> None:
    async def play(world: World) -> None:
        world.stream.open("shardId-a")
        wanted = world.stream.write("shardId-a", "k", "yes")
        numbers = [world.stream.write("shardId-a", "k", "no") for _ in range(3)]
        await world.pool("one")
        pattern = '{"eventName": ["INSERT"], "dynamodb": {"NewImage": {"v": {"S": ["yes"]}}}}'
        await world.map(FilterCriteria={"Filters": [{"Pattern": pattern}]})
        await world.until(lambda: world.checkpoint_is("shardId-a", numbers[-1]))
        assert [taken for _, _, taken in world.function.calls] == [[wanted]]
        assert world.pools["one"].metrics.filtered == {(UUID, "shardId-a"): 3}

    simulate(play)


def test_a_batch_waits_for_its_window() -> None:
    async def play(world: World) -> None:
        world.stream.open("shardId-a")
        await world.pool("one")
        await world.map(MaximumBatchingWindowInSeconds=20, BatchSize=5)
        await elapse(5)
        first = world.stream.write("shardId-a", "k")
        began = asyncio.get_running_loop().time()
        await world.until(lambda: world.function.calls)
        assert world.function.calls[0][0] - began >= 19.9
        more = [world.stream.write("shardId-a", "k") for _ in range(5)]
        began = asyncio.get_running_loop().time()
        await world.until(lambda: len(world.function.calls) == 2)
        assert world.function.calls[1][0] - began < 1
        assert world.function.taken == [first, *more]

    simulate(play)


def test_the_order_of_items_over_lanes_and_a_change_of_their_number() -> None:
    async def play(world: World) -> None:
        world.stream.open("shardId-a")
        keys = [f"k{index}" for index in range(8)]
        expected: dict[str, list[int]] = {key: [] for key in keys}

        async def handler(event: dict[str, Any], pool: str) -> Any:
            await elapse(0.05 * (1 + numbers_of(event)[0] % 3))
            return failed() if len(world.function.calls) % 5 == 0 else None

        world.function.handler = handler
        await world.pool("one")
        await world.map(ParallelizationFactor=4, BatchSize=3)
        for turn, factor in enumerate((4, 2, 10, 1)):
            for index in range(60):
                key = keys[(index * 7 + turn) % len(keys)]
                expected[key].append(world.stream.write("shardId-a", key))
                await elapse(0.01)
            await world.map(ParallelizationFactor=factor)
        everything = sum(len(numbers) for numbers in expected.values())
        await world.until(lambda: len(world.function.taken) == everything)
        assert {key: world.of_key(key) for key in keys} == expected
        assert world.function.together == 1
        last = max(number for numbers in expected.values() for number in numbers)
        await world.until(lambda: world.checkpoint_is("shardId-a", last))

    simulate(play)


def test_trimmed_records_are_counted_and_the_rest_is_read() -> None:
    async def play(world: World) -> None:
        world.stream.open("shardId-a")
        first = world.stream.write("shardId-a", "k")
        one = await world.pool("one")
        await world.map()
        await world.until(lambda: world.function.taken == [first])
        await world.map(State="Disabled")
        await world.until(lambda: world.status_is(2, "OK"))
        lost = [world.stream.write("shardId-a", "k") for _ in range(3)]
        last = world.stream.write("shardId-a", "k")
        world.stream.trim("shardId-a", lost[-1])
        await world.map(State="Enabled")
        await world.until(lambda: world.function.taken == [first, last])
        assert sum(one.metrics.dropped.values()) == 1

    simulate(play)


def test_large_events_are_cut_at_6_mb() -> None:
    async def play(world: World) -> None:
        world.stream.open("shardId-a")
        numbers = [world.stream.write("shardId-a", "k", "x" * 390_000) for _ in range(40)]
        sizes: list[int] = []

        async def handler(event: dict[str, Any], pool: str) -> InvocationResult | None:
            sizes.append(len(event["Records"]))
            return None

        world.function.handler = handler
        await world.pool("one")
        await world.map(BatchSize=1000, MaximumBatchingWindowInSeconds=300)
        await world.until(lambda: world.function.taken == numbers[:32])
        world.stream.close("shardId-a")
        await world.until(lambda: world.function.taken == numbers)
        assert sizes == [16, 16, 8]

    simulate(play)
