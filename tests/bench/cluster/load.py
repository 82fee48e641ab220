"""Workloads on a running cluster: rates, latencies, and the processor time of every process for one request.

Processor time is everything that the processes use while a run lasts, the idle work of a cluster (ticks, heartbeats,
reports) included; `idle` measures that alone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.bench.cluster import cpu
from tests.bench.cluster.scene import Scene, say
from tests.bench.servers import Server
from tests.bench.tools import Sample, measure


@dataclass(frozen=True)
class Workload:
    """What to send: each connection sends its next request when it has the answer to the last."""

    name: str
    operation: str
    connections: int = 64
    strong: bool = False


THROUGHPUT = (
    Workload("PutItem", "put"),
    Workload("GetItem, strong", "get", strong=True),
    Workload("GetItem, eventual", "get"),
    Workload("UpdateItem ADD", "update"),
    Workload("Query, 10 items", "query"),
)
SINGLE = (
    Workload("PutItem", "put", 1),
    Workload("GetItem, strong", "get", 1, strong=True),
    Workload("GetItem, eventual", "get", 1),
)


@dataclass
class Run:
    """One run: what the client saw, and microseconds of processor time a request by process."""

    sample: Sample
    cpu_us: dict[str, cpu.Cpu]

    @property
    def total_us(self) -> float:
        """Processor time of all processes for a request."""
        return sum(each.total for each in self.cpu_us.values())


@dataclass
class Result:
    """All runs of a workload. `roles` has the role of each process during them."""

    workload: Workload
    roles: dict[str, str]
    runs: list[Run] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Median of requests per second."""
        return float(median(run.sample.requests_per_s for run in self.runs))

    @property
    def total_us(self) -> float:
        """Median of the processor time of all processes for a request."""
        return float(median(run.total_us for run in self.runs))

    @property
    def errors(self) -> int:
        """Errors over all runs."""
        return sum(run.sample.errors for run in self.runs)

    def latency_us(self, name: str) -> float:
        """Median of `p50_us` or `p99_us`."""
        return float(median(getattr(run.sample, name) for run in self.runs))

    def process_us(self, name: str) -> cpu.Cpu:
        """Mean of a process's processor time for a request."""
        each = [run.cpu_us[name] for run in self.runs if name in run.cpu_us]
        return sum(each, cpu.Cpu()).scaled(1 / len(each)) if each else cpu.Cpu()

    def role_us(self, role: str) -> float:
        """Median of the processor time for a request of all processes of one role together."""
        names = [name for name, found in self.roles.items() if found == role]
        return float(median(sum(run.cpu_us[name].total for name in names) for run in self.runs))

    def spread(self, total: bool = False) -> float:
        """(highest - lowest) / median, of the rates or of the processor times."""
        figures = [run.total_us if total else run.sample.requests_per_s for run in self.runs]
        middle = median(figures)
        return float((max(figures) - min(figures)) / middle) if middle else 0.0


def run_once(scene: Scene, workload: Workload, seconds: int, scratch: Path, tool: str) -> Run:
    """One run of a workload."""
    settings = scene.settings(
        workload.operation,
        connections=workload.connections,
        seconds=seconds,
        strong=workload.strong,
    )
    before = scene.cpu()
    sample = measure(tool, Server("cluster", settings.endpoint), settings, scratch)
    after = scene.cpu()
    answered = max(1, sample.requests + (sample.errors if tool == "load" else 0))
    used = {name: (after[name] - before[name]).scaled(1e6 / answered) for name in after if name in before}
    return Run(sample, used)


def run_all(
    scene: Scene, workloads: tuple[Workload, ...], *, runs: int, seconds: int, scratch: Path, tool: str
) -> list[Result]:
    """Several runs of each workload, in turns, so that a machine that slows down hurts all alike."""
    for workload in workloads:
        run_once(scene, workload, max(1, seconds // 2), scratch, tool)  # warm
    scene.quiet()
    results = [Result(workload, scene.roles()) for workload in workloads]
    for turn in range(runs):
        for result in results:
            roles = scene.roles()
            if roles != result.roles:
                say("a leader has moved since the first run; roles are those of the last one")
                result.roles = roles
            run = run_once(scene, result.workload, seconds, scratch, tool)
            result.runs.append(run)
            say(
                f"{result.workload.name} at {result.workload.connections}, run {turn + 1}: "
                f"{run.sample.requests_per_s:,.0f}/s, p50 {run.sample.p50_us / 1000:.2f} ms, "
                f"{run.total_us:.0f} µs of processor time a request"
            )
    return results


def idle(scene: Scene, seconds: float) -> dict[str, float]:
    """Percent of a core that each process uses while nobody asks for anything."""
    scene.quiet()
    before, begun = scene.cpu(), time.monotonic()
    time.sleep(seconds)
    after, took = scene.cpu(), time.monotonic() - begun
    return {name: 100 * (after[name] - before[name]).total / took for name in after if name in before}
