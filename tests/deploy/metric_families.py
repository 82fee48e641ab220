"""Every metric that processes export, with its type and labels, taken from the code that registers them.

Each `register_..._metrics` of the command line is called with an object that has every attribute: values are read at
scrapes only, but names, types and labels are there at once. What is registered elsewhere is found in METRICS.md and has
no known labels; such a metric is checked by name alone.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.parser import text_string_to_metric_families

import hashrange.cli
from hashrange.runtime.operation_stats import OperationStats, exposition
from hashrange.runtime.telemetry import Telemetry

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "hashrange/runtime/METRICS.md"
TARGET_LABELS = frozenset(("job", "instance", "region", "zone", "role", "process"))
"""What the scrape configurations add to every series."""


@dataclass(frozen=True)
class Family:
    """One metric; `labels` is None where they are not known."""

    kind: str
    labels: frozenset[str] | None


_LINK = frozenset(("table", "source", "destination"))
OF_REGIONS = {
    "hashrange_region_pending_keys": Family("gauge", _LINK),
    "hashrange_region_oldest_pending_seconds": Family("gauge", _LINK),
    "hashrange_region_replication_latency_seconds": Family("histogram", _LINK),
    "hashrange_region_shipped_items_total": Family("counter", _LINK),
    "hashrange_region_applied_items_total": Family("counter", frozenset(("table", "source", "result"))),
    "hashrange_region_held_stamps": Family("gauge", frozenset(("table", "source"))),
    "hashrange_region_link_up": Family("gauge", frozenset(("destination",))),
}
"""What nodes with replicas of global tables tell besides: registered by the shipper, not by the command line."""


def _registrations() -> list[Any]:
    """All functions that register metrics."""
    found = []
    for module_info in pkgutil.walk_packages(hashrange.cli.__path__, "hashrange.cli."):
        if not module_info.name.endswith("metrics"):
            continue
        module = importlib.import_module(module_info.name)
        found += [
            function
            for name, function in vars(module).items()
            if re.fullmatch(r"register_\w+_metrics", name) and function.__module__ == module_info.name
        ]
    from hashrange.cli import front

    return [*found, front.register_front_metrics]


def _registered() -> dict[str, Family]:
    telemetry = Telemetry("1", process=False)
    for register in _registrations():
        page = Telemetry(process=False)  # of its own: no process has all of them, and two may share a name
        arguments = [
            page if name == "telemetry" else MagicMock(telemetry=page)
            for name in inspect.signature(register).parameters
        ]
        register(*arguments)
        telemetry._callbacks.update(page._callbacks)
        telemetry._families.update(page._families)
        telemetry._histograms.update(page._histograms)
    found = {
        name: Family(kind, frozenset(labels)) for name, (kind, _, labels, _) in telemetry._callbacks.items()
    }
    found |= {
        name: Family("histogram", frozenset(labels)) for name, (_, labels, _) in telemetry._families.items()
    }
    return found | {name: Family("histogram", frozenset()) for name in telemetry._histograms}


def _operations() -> dict[str, Family]:
    """The families of operations, from a page with one of each."""
    stats = OperationStats("GetItem", "music")
    stats.observe(0.001)
    stats.fail("ValidationException")
    stats.read_units_half = stats.write_units_half = stats.returned_items = stats.returned_bytes = 1
    found = {}
    for family in text_string_to_metric_families(exposition([stats]).decode()):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name] = Family(family.type, frozenset(labels))
    return found


def _process() -> dict[str, Family]:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return {
        family.name + ("_total" if family.type == "counter" else ""): Family(family.type, frozenset())
        for family in registry.collect()
    }


@cache
def families() -> dict[str, Family]:
    """Name to family, of all roles together, and what Prometheus makes itself."""
    documented = re.findall(r"^\| `(hashrange_[a-z0-9_]+)` \| (\w+)", PAGE.read_text(), re.MULTILINE)
    found = {name: Family(kind, None) for name, kind in documented}
    found |= OF_REGIONS | _process() | _operations() | _registered()
    found["hashrange_log_fsync_seconds"] = Family("histogram", frozenset())
    found["up"] = Family("gauge", frozenset())
    found["ALERTS"] = Family("gauge", None)
    return found


def family_of(name: str, known: dict[str, Family] | None = None) -> tuple[Family, frozenset[str]] | None:
    """The family that a series' name belongs to, and the labels that its part of the name adds; None: there is none."""
    known = families() if known is None else known
    found = known.get(name)
    if found is not None:
        return None if found.kind == "histogram" else (found, frozenset())
    for suffix, more in (("_bucket", {"le"}), ("_count", set()), ("_sum", set())):
        found = known.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
        if found is not None and found.kind == "histogram":
            return found, frozenset(more)
    return None
