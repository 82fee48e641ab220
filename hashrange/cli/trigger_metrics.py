"""What a trigger pool counts, on the metrics page: functions by name, mappings by UUID, and the pool itself.

Functions and mappings have their series from the start, at 0: of a series that begins with its first failure, the
`increase` of Prometheus is 0. Series of what is deleted are forgotten: `TriggerMetrics` would keep them for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hashrange_router.triggers.contracts import FUNCTION, MAPPING, TriggerMetrics

from hashrange.runtime.telemetry import Telemetry
from hashrange.wire.documents import ControlDocuments

MILLISECONDS = 1_000.0
RUNNING = "running"
WORKERS = "workers_"
WAITING = "invocations_waiting"
_OF_FUNCTIONS = (
    ("hashrange_trigger_invocations_total", "Runs of functions.", "invocations"),
    ("hashrange_trigger_errors_total", "Runs of functions that ended with an error.", "errors"),
    ("hashrange_trigger_throttles_total", "Invocations refused for want of a free slot.", "throttles"),
    ("hashrange_trigger_cold_starts_total", "Workers started.", "cold_starts"),
)
_OF_MAPPINGS = (
    ("hashrange_trigger_records_total", "Records of streams that functions have been run with.", "records"),
    ("hashrange_trigger_retries_total", "Batches that were tried again.", "retries"),
    ("hashrange_trigger_dropped_records_total", "Records given up, and sent to OnFailure.", "dropped"),
    ("hashrange_trigger_filtered_records_total", "Records that no filter wanted.", "filtered"),
)
OF_BATCHES = ("records", "retries", "dropped", "filtered")
_FUNCTION = ("function",)
_MAPPING = ("mapping", "function", "table")

Series = dict[tuple[str, ...], float]


def register_trigger_metrics(
    telemetry: Telemetry,
    metrics: TriggerMetrics,
    controls: ControlDocuments,
    workers: Callable[[], Mapping[str, int]],
    events: Callable[[], Mapping[str, int]],
    pools: Callable[[], int],
) -> None:
    """Make all of it visible on /metrics; every argument is asked at each scrape."""
    for name, help_text, member in _OF_FUNCTIONS:
        telemetry.counter(name, help_text, _by_function(metrics, member, controls), _FUNCTION)
    telemetry.counter(
        "hashrange_trigger_duration_seconds_total",
        "Time that functions have run.",
        lambda: {(name,): ms / MILLISECONDS for name, ms in metrics.duration_ms.items()},
        _FUNCTION,
    )
    telemetry.gauge(
        "hashrange_trigger_concurrent_executions",
        "Runs of functions going on.",
        _by_function(metrics, "concurrent"),
        _FUNCTION,
    )
    for name, help_text, member in _OF_MAPPINGS:
        telemetry.counter(name, help_text, _by_mapping(metrics, controls, member), _MAPPING)
    telemetry.gauge(
        "hashrange_trigger_iterator_age_seconds",
        "Age of the last record of the last finished batch.",
        lambda: {
            (*_names(controls, mapping), shard): ms / MILLISECONDS
            for (mapping, shard), ms in metrics.iterator_age_ms.items()
        },
        (*_MAPPING, "shard"),
    )
    telemetry.counter(
        "hashrange_trigger_dead_letter_errors_total",
        "Records of failures that their destination did not take; the source is a function or a mapping.",
        _dead_letters(metrics, controls),
        ("source",),
    )
    telemetry.gauge(
        "hashrange_trigger_workers",
        "Worker processes, by state.",
        lambda: {
            (name.removeprefix(WORKERS),): float(count)
            for name, count in workers().items()
            if name.startswith(WORKERS)
        },
        ("state",),
    )
    telemetry.gauge(
        "hashrange_trigger_waiting_invocations",
        "Invocations that wait for a worker.",
        lambda: workers().get(WAITING, 0),
    )
    telemetry.gauge(
        "hashrange_trigger_running_events",
        "Asynchronous events that this pool runs now.",
        lambda: events().get(RUNNING, 0),
    )
    telemetry.counter(
        "hashrange_trigger_events_total",
        "What became of asynchronous events at this pool.",
        lambda: {(what,): float(count) for what, count in events().items() if what != RUNNING},
        ("outcome",),
    )
    telemetry.gauge("hashrange_trigger_pools", "Trigger pools that are alive, as this one sees it.", pools)


def _by_function(
    metrics: TriggerMetrics, member: str, controls: ControlDocuments | None = None
) -> Callable[[], Series]:
    """With `controls`, functions that were not counted yet have 0."""

    def read() -> Series:
        zeros: Series = {(name,): 0.0 for name in controls.of(FUNCTION)} if controls is not None else {}
        return zeros | {(name,): float(count) for name, count in getattr(metrics, member).items()}

    return read


def _dead_letters(metrics: TriggerMetrics, controls: ControlDocuments) -> Callable[[], Series]:
    def read() -> Series:
        zeros: Series = {(name,): 0.0 for kind in (FUNCTION, MAPPING) for name in controls.of(kind)}
        return zeros | {(source,): float(count) for source, count in metrics.dead_letter_errors.items()}

    return read


def _by_mapping(metrics: TriggerMetrics, controls: ControlDocuments, member: str) -> Callable[[], Series]:
    """Sums over shards: a mapping meets a new shard every few hours, for ever."""

    def read() -> Series:
        sums = dict.fromkeys(controls.of(MAPPING), 0.0)
        for (mapping, _), count in getattr(metrics, member).items():
            sums[mapping] = sums.get(mapping, 0.0) + count
        return {_names(controls, mapping): total for mapping, total in sums.items()}

    return read


def _names(controls: ControlDocuments, mapping: str) -> tuple[str, str, str]:
    """UUID, function and table of a mapping."""
    found = controls.get(MAPPING, mapping)
    document: dict[str, Any] = found["document"] if found is not None else {}
    table = str(document.get("EventSourceArn", "")).partition(":table/")[2].partition("/stream/")[0]
    return mapping, str(document.get("FunctionName", "")), table


def forget(metrics: TriggerMetrics, kind: str, name: str) -> None:
    """Drop the series of a function or mapping that is deleted."""
    if kind == FUNCTION:
        for by_name in (
            metrics.invocations,
            metrics.errors,
            metrics.throttles,
            metrics.duration_ms,
            metrics.concurrent,
            metrics.cold_starts,
            metrics.dead_letter_errors,
        ):
            by_name.pop(name, None)
    elif kind == MAPPING:
        metrics.dead_letter_errors.pop(name, None)
        for by_shard in (
            metrics.records,
            metrics.retries,
            metrics.dropped,
            metrics.filtered,
            metrics.iterator_age_ms,
        ):
            for key in [key for key in by_shard if key[0] == name]:
                del by_shard[key]


def functions_part(metrics: TriggerMetrics, controls: ControlDocuments) -> dict[str, Any]:
    """What `hashrange top` shows of the functions of this pool (`hashrange.cli.top.page`)."""
    found = figures(metrics)
    return {
        "functions": [{"name": name, **numbers} for name, numbers in found["functions"].items()],
        "mappings": [
            {"mapping": mapping, "function": function, "table": table, **found["mappings"][mapping]}
            for mapping, function, table in (_names(controls, each) for each in found["mappings"])
        ],
    }


def figures(metrics: TriggerMetrics) -> dict[str, Any]:
    """What `hashrange functions list` shows: runs and errors of functions, records and iterator age of mappings."""
    functions = {
        name: {
            "invocations": count,
            "errors": metrics.errors.get(name, 0),
            "throttles": metrics.throttles.get(name, 0),
            "concurrent": metrics.concurrent.get(name, 0),
            "duration_ms": round(metrics.duration_ms.get(name, 0.0), 3),
        }
        for name, count in metrics.invocations.items()
    }
    mappings: dict[str, dict[str, float]] = {}
    for member in OF_BATCHES:
        for (mapping, _), count in getattr(metrics, member).items():
            each = mappings.setdefault(mapping, dict.fromkeys(OF_BATCHES, 0))
            each[member] += count
    for (mapping, _), ms in metrics.iterator_age_ms.items():
        each = mappings.setdefault(mapping, dict.fromkeys(OF_BATCHES, 0))
        each["iterator_age_ms"] = max(each.get("iterator_age_ms", 0.0), ms)
    return {"functions": functions, "mappings": mappings}


def merge_figures(pages: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of several pools as one: counts are added, of ages the highest is taken."""
    merged: dict[str, dict[str, dict[str, float]]] = {"functions": {}, "mappings": {}}
    for page in pages:
        for kind, known in merged.items():
            for name, numbers in page.get(kind, {}).items():
                into = known.setdefault(name, {})
                for key, value in numbers.items():
                    before = into.get(key, 0)
                    into[key] = max(before, value) if key == "iterator_age_ms" else before + value
    return merged
