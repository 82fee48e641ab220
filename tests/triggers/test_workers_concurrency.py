"""How many run at once, which worker is used again, and what a change of a function does to its workers."""

from __future__ import annotations

import json
from pathlib import Path

from hashrange_router.triggers.contracts import FunctionVersion, InvocationResult

from tests.triggers.workers_support import Lab, laboratory, reason_of, until

BORN = "import random, time\nborn = random.random()\ndef handler(e, c):\n    time.sleep(e or 0)\n    return born\n"
SLOW = (
    "import random, time\nborn = random.random()\ndef handler(e, c):\n    time.sleep(0.3)\n    return born\n"
)


def births(results: list[InvocationResult | BaseException]) -> set[float]:
    found = set()
    for result in results:
        assert isinstance(result, InvocationResult), result
        found.add(json.loads(result.payload))
    return found


def test_a_warm_worker_is_used_again(lab: Lab) -> None:
    function = lab.python(BORN)
    cold = lab.invoke(function)
    assert cold.init_ms is not None
    warm = [lab.invoke(function) for _ in range(20)]
    assert births([cold, *warm]) == {json.loads(cold.payload)}
    assert [result.init_ms for result in warm] == [None] * 20
    assert b"Init Duration" in cold.log_tail
    assert b"Init Duration" not in warm[0].log_tail
    assert lab.metrics.cold_starts[function.name] == 1


def test_calls_in_a_row_need_one_worker(lab: Lab) -> None:
    function = lab.python(BORN)

    async def row() -> None:
        for _ in range(100):
            await lab.pool.invoke(lab.invocation(function))

    lab.run(row())
    assert lab.metrics.cold_starts[function.name] == 1


def test_calls_at_once_run_at_once(lab: Lab) -> None:
    assert len(births(lab.together(lab.python(SLOW), 3))) == 3


def test_reserved_concurrency(lab: Lab) -> None:
    function = lab.python(SLOW, reserved=2)
    results = lab.together(function, 5)
    refused = [result for result in results if isinstance(result, BaseException)]
    assert [reason_of(error) for error in refused] == [
        "ReservedFunctionConcurrentInvocationLimitExceeded"
    ] * 3
    assert lab.metrics.throttles[function.name] == 3
    assert lab.value(function), "they are free again"
    nothing = lab.together(lab.python(SLOW, reserved=0), 1)
    assert reason_of(nothing[0]) == "ReservedFunctionConcurrentInvocationLimitExceeded"


def test_the_account_is_limited_too(tmp_path: Path) -> None:
    with laboratory(tmp_path, account_concurrency=4) as lab:
        function = lab.python(SLOW)
        lab.pool.share(2)
        results = lab.together(function, 3)
        refused = [result for result in results if isinstance(result, BaseException)]
        assert [reason_of(error) for error in refused] == ["ConcurrentInvocationLimitExceeded"]


def test_more_calls_than_workers_wait_their_turn(tmp_path: Path) -> None:
    with laboratory(tmp_path, workers_max=2) as lab:
        function = lab.python(SLOW)
        assert len(births(lab.together(function, 6))) == 2
        other = lab.python(BORN)
        assert len(births(lab.together(other, 1))) == 1, "an idle worker makes room"
        until(lambda: lab.workers() <= 2, "its process is gone")


def test_waiting_for_a_worker_has_an_end(tmp_path: Path) -> None:
    with laboratory(tmp_path, workers_max=1, queue_wait_s=0.2) as lab:
        function = lab.python(BORN, timeout_s=3)

        busy = lab.begin(function, 2)
        (refused,) = lab.together(function, 1)
        assert reason_of(refused) == "ConcurrentInvocationLimitExceeded"
        assert busy.result().error is None
        assert lab.pool.statistics()["invocations_waiting"] == 0


def test_a_burst_does_not_wait_for_its_last_start(lab: Lab) -> None:
    function = lab.python(BORN)
    lab.value(function)
    results = lab.together(function, 20)
    assert len(births(results)) <= 20
    assert lab.metrics.invocations[function.name] == 21


def test_a_warmed_function_starts_nothing_for_its_first_call(lab: Lab) -> None:
    function = lab.python(BORN)
    lab.run(lab.pool.warm(function))
    result = lab.invoke(function)
    assert result.init_ms is None
    assert lab.metrics.cold_starts[function.name] == 1
    broken = lab.python("import nothing_like_this\n")
    lab.run(lab.pool.warm(broken))
    assert lab.failure(broken)["errorType"] == "Runtime.ImportModuleError"


def test_idle_workers_are_stopped(tmp_path: Path) -> None:
    with laboratory(tmp_path, idle_s=0.5) as lab:
        function = lab.python(BORN)
        first = lab.value(function)
        until(lambda: lab.workers() == 0, "nobody is left")
        assert lab.value(function) != first


def workers_of(lab: Lab, function: FunctionVersion) -> int:
    return sum(worker.function.arn == function.arn for worker in lab.pool._owner_of)


def test_an_update_ends_idle_workers(lab: Lab) -> None:
    function = lab.python(BORN, environment={"A": "1"})
    first = lab.value(function)
    changed = lab.update(function, environment={"A": "2"})
    until(lambda: workers_of(lab, function) == 0, "the old one is gone")
    assert lab.value(changed) != first


def test_an_update_lets_busy_workers_finish(lab: Lab) -> None:
    function = lab.python(BORN)

    busy = lab.begin(function, 0.5)
    changed = lab.update(function, environment={"B": "2"})
    new = lab.invoke(changed, 0)
    assert not busy.done()
    old = busy.result()
    assert (old.error, new.error) == (None, None)
    assert old.payload != new.payload
    until(lambda: workers_of(lab, function) == 1, "the old one is gone")


def test_a_deleted_function_has_no_workers(lab: Lab) -> None:
    function = lab.python(BORN)
    lab.value(function)
    del lab.register.functions[function.name]
    for subscriber in lab.register.subscribers:
        lab.loop.call_soon_threadsafe(subscriber, function.name)
    until(lambda: workers_of(lab, function) == 0, "it is gone")
    assert (function.arn, function.revision) not in lab.pool._fleets


def test_code_is_fetched_once_and_shared(lab: Lab) -> None:
    before = lab.shelf.reads
    function = lab.python(BORN + "# a package of its own\n")
    lab.together(function, 3)
    twin = lab.update(function, arn=function.arn + ":1", version="1")
    lab.value(twin)
    assert lab.shelf.reads == before + 1
