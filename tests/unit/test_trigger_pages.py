"""Logs and figures of functions over several pools, and what the metrics page tells of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hashrange_router.triggers.contracts import FUNCTION, MAPPING, TriggerMetrics

from hashrange.cli.functions.signing import ANY
from hashrange.cli.trigger_metrics import figures, forget, register_trigger_metrics
from hashrange.cli.trigger_pages import PagesOfPools, PagesService
from hashrange.errors import ApiError
from hashrange.runtime.telemetry import Telemetry
from hashrange.wire.documents import ControlDocuments

STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-01-01T00:00:00.000"


class FakePools(PagesOfPools):
    """Pools that answer from a dictionary: those in `silent` not before the wait is over, those in `late` later."""

    def __init__(
        self, logs: dict[str, list[int]], silent: tuple[str, ...] = (), late: tuple[str, ...] = ()
    ) -> None:
        async def alive() -> list[tuple[str, str]]:
            return [(name, name) for name in logs]

        super().__init__(alive, ANY, "us-east-1")
        self.entries = logs
        self.silent = silent
        self.late = late

    async def _ask(self, address: str, target: str, timeout_s: float) -> dict[str, Any]:
        if target == "/hashrange/functions":
            counts = {"invocations": 2, "errors": 0}
            ages = {"records": 5, "iterator_age_ms": 10.0 * len(address)}
            return {"functions": {"f": counts}, "mappings": {"m": ages}}
        after = target.partition("after=")[2].partition("&")[0]
        begin = len(self.entries[address]) if after == "latest" else int(after or 0)
        if address in self.silent and "wait_s=0.000" not in target:
            await asyncio.Event().wait()
        for _ in range(20 if address in self.late else 0):
            await asyncio.sleep(0)
        found = [{"time_ms": time, "stream": address, "text": str(time)} for time in self.entries[address]]
        return {"entries": found[begin:], "next": str(len(found))}


def times(page: dict[str, Any]) -> list[int]:
    return [entry["time_ms"] for entry in page["entries"]]


def test_entries_of_several_pools_come_in_the_order_of_their_times() -> None:
    async def run() -> None:
        pools = FakePools({"a": [1, 4], "b": [2, 3]})
        page = await pools.logs("f", "", 0)
        assert times(page) == [1, 2, 3, 4]
        pools.entries["b"].append(9)
        assert times(await pools.logs("f", page["next"], 0)) == [9]
        pools.entries["c"] = [5]
        assert times(await pools.logs("f", page["next"], 0)) == [5, 9]

    asyncio.run(run())


def test_a_pool_with_nothing_to_tell_holds_nobody_up() -> None:
    async def run() -> None:
        pools = FakePools({"a": [1], "b": [2]}, silent=("b",))
        page = await asyncio.wait_for(pools.logs("f", "", 20), 5)
        assert times(page) == [1]
        pools.silent = ()
        assert times(await pools.logs("f", page["next"], 20)) == [2]

    asyncio.run(run())


def test_without_a_wait_every_pool_is_heard() -> None:
    async def run() -> None:
        pools = FakePools({"a": [1], "b": [2]}, late=("a",))
        assert times(await pools.logs("f", "", 0)) == [1, 2]

    asyncio.run(run())


def test_the_latest_position_is_behind_everything() -> None:
    async def run() -> None:
        pools = FakePools({"a": [1], "b": [2]})
        page = await pools.logs("f", "latest", 0)
        assert times(page) == []
        assert times(await pools.logs("f", page["next"], 0)) == []

    asyncio.run(run())


def test_without_a_pool_it_is_said_how_to_start_one() -> None:
    with pytest.raises(ApiError, match="hashrange triggers"):
        asyncio.run(FakePools({}).logs("f", "", 0))


def test_figures_of_pools_are_added_and_the_oldest_age_counts() -> None:
    merged = asyncio.run(FakePools({"a": [], "bb": []}).figures())
    assert merged["functions"] == {"f": {"invocations": 4, "errors": 0}}
    assert merged["mappings"] == {"m": {"records": 10, "iterator_age_ms": 20.0}}


class FakeRequest:
    def __init__(self, target: bytes, method: bytes = b"GET") -> None:
        self.target = target
        self.method = method


@pytest.mark.parametrize(
    ("target", "operation"),
    [
        (b"/hashrange/functions", "FunctionFigures"),
        (b"/hashrange/functions/f%3Alive/logs?wait_s=1", "FunctionLogs"),
        (b"/hashrange/functions/f", None),
        (b"/hashrange/functionsx/f/logs", None),
        (b"/metrics", None),
    ],
)
def test_which_requests_are_pages(target: bytes, operation: str | None) -> None:
    service = PagesService(FakePools({}), str)
    call = service.find(FakeRequest(target))  # type: ignore[arg-type]
    assert (call.operation if call else None) == operation
    assert service.find(FakeRequest(target, b"POST")) is None  # type: ignore[arg-type]


def counted() -> TriggerMetrics:
    metrics = TriggerMetrics()
    metrics.invocations["f"] = 3
    metrics.duration_ms["f"] = 1_500.0
    metrics.records = {("m", "shard-1"): 10, ("m", "shard-2"): 5}
    metrics.iterator_age_ms = {("m", "shard-1"): 250.0, ("m", "shard-2"): 40.0}
    return metrics


def exposition(metrics: TriggerMetrics) -> str:
    controls = ControlDocuments()
    document = {"FunctionName": "f", "EventSourceArn": STREAM}
    controls.put(MAPPING, "m", {"generation": 1, "document": document})
    controls.put(FUNCTION, "f", {"generation": 1, "document": {}})
    telemetry = Telemetry(process=False)
    register_trigger_metrics(
        telemetry,
        metrics,
        controls,
        lambda: {"workers_idle": 2, "invocations_waiting": 1},
        lambda: {"running": 1},
        lambda: 1,
    )
    return telemetry.render().decode()


def test_the_metrics_page_names_function_and_table_of_a_mapping() -> None:
    text = exposition(counted())
    assert 'hashrange_trigger_invocations_total{function="f"} 3.0' in text
    assert 'hashrange_trigger_duration_seconds_total{function="f"} 1.5' in text
    assert 'hashrange_trigger_records_total{function="f",mapping="m",table="orders"} 15.0' in text
    age = (
        'hashrange_trigger_iterator_age_seconds{function="f",mapping="m",shard="shard-1",table="orders"} 0.25'
    )
    assert age in text
    assert 'hashrange_trigger_workers{state="idle"} 2.0' in text
    assert "hashrange_trigger_waiting_invocations 1.0" in text


def test_failures_have_series_before_the_first_one() -> None:
    text = exposition(TriggerMetrics())
    assert 'hashrange_trigger_dropped_records_total{function="f",mapping="m",table="orders"} 0.0' in text
    assert 'hashrange_trigger_dead_letter_errors_total{source="m"} 0.0' in text
    assert 'hashrange_trigger_dead_letter_errors_total{source="f"} 0.0' in text
    assert 'hashrange_trigger_errors_total{function="f"} 0.0' in text


def test_what_is_deleted_is_forgotten() -> None:
    metrics = counted()
    forget(metrics, MAPPING, "m")
    forget(metrics, FUNCTION, "f")
    assert metrics == TriggerMetrics()


def test_the_iterator_age_of_a_mapping_is_that_of_its_oldest_shard() -> None:
    assert figures(counted())["mappings"] == {
        "m": {"records": 15, "retries": 0, "dropped": 0, "filtered": 0, "iterator_age_ms": 250.0}
    }
