"""A paper model of clusters too large to measure here: processors, partitions, disk, network, control plane.

    python -m tests.bench.cluster.model RUN.json            # RUN.json from `python -m tests.bench.cluster --json`

It multiplies what one machine has measured; the formulas and what they leave out are in deploy/README.md. Prints the
tables of that section, so that they can be made again from another run.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.cluster.report import table

BUSY = 0.6
"""Part of a core that is planned for: beyond it, waiting times grow faster than load."""

REPLICAS = 3
ITEM_BYTES, LOG_OVERHEAD_BYTES, FRAME_OVERHEAD_BYTES, HTTP_OVERHEAD_BYTES = 500, 200, 90, 400
WRITE_AMPLIFICATION = 10.0
"""Bytes that RocksDB writes in all for each byte put, by levelled compaction: an assumption, not measured here."""

HOT_WRITES_PER_S, HOT_READS_PER_S = 1_000.0, 3_000.0
"""A partition with more is split (`split_writes_per_s`, `split_reads_per_s`)."""

LED_MIN = 4
"""Partitions led by each node at least, so that load can be spread."""

CHANGES_PER_S = 1.0
"""Changes of the catalogue while it grows or heals: splits and moves of replicas; leaders change without one."""

ROUND_MAX_S = 0.1
"""A round of the planner runs on the loop of a node: it should not take longer than a tick of its groups."""

RATES = (10_000, 100_000, 1_000_000)
SHARES = ((0.5, "50/50"), (0.9, "90/10"))


@dataclass(frozen=True)
class Costs:
    """Microseconds of processor time for a request, and of the control plane's messages."""

    router_get: float
    router_put: float
    leader_get: float
    leader_put: float
    follower_put: float
    take_fixed: float
    take_each: float
    round_fixed: float
    round_each: float
    change_send: float
    report_bytes_each: float
    catalogue_bytes_each: float

    @staticmethod
    def of(run: dict[str, Any]) -> Costs:
        """From the JSON of a run with the parts throughput and plane."""
        put, get = run["throughput"][:2]
        plane = run["plane"]
        return Costs(
            router_get=_role_us(get, "router"),
            router_put=_role_us(put, "router"),
            leader_get=_role_us(get, "leader"),
            leader_put=_role_us(put, "leader"),
            follower_put=_role_us(put, "follower") / (REPLICAS - 1),
            take_fixed=max(0.0, plane["report_take"]["fixed_us"]),
            take_each=plane["report_take"]["each_us"],
            round_fixed=max(0.0, plane["round"]["fixed_us"]),
            round_each=plane["round"]["each_us"],
            change_send=plane["change_send_us"],
            report_bytes_each=plane["report_bytes"]["each_us"],
            catalogue_bytes_each=plane["catalogue_bytes"],
        )


@dataclass(frozen=True)
class Plan:
    """What a load needs. Cores are planned at `BUSY`; a router and a node are one process of about one core each."""

    rate: float
    share: str
    routers: int
    nodes: int
    partitions: int
    node_disk_mb_per_s: float
    node_log_mb_per_s: float
    node_network_mb_per_s: float
    router_network_mb_per_s: float
    reports_per_s: float
    control_percent: float
    round_ms: float
    feed_percent: float
    catalogue_mb: float


def plan(costs: Costs, rate: float, gets: float, share: str) -> Plan:
    """The model, for `rate` requests per second of which the part `gets` are strong reads, the rest puts."""
    reads, writes = rate * gets, rate * (1 - gets)
    core = BUSY * 1e6
    routers = _up((reads * costs.router_get + writes * costs.router_put) / core)
    work = reads * costs.leader_get + writes * (costs.leader_put + (REPLICAS - 1) * costs.follower_put)
    nodes = REPLICAS * _up(work / core / REPLICAS)
    partitions = max(
        LED_MIN * nodes, _up(writes / (HOT_WRITES_PER_S / 2)), _up(reads / (HOT_READS_PER_S / 2))
    )
    record = ITEM_BYTES + LOG_OVERHEAD_BYTES
    frame = ITEM_BYTES + FRAME_OVERHEAD_BYTES
    logged = writes * REPLICAS * record / nodes
    engine = writes * REPLICAS * ITEM_BYTES * WRITE_AMPLIFICATION / nodes
    # In and out together: the request or answer that holds the item, and the copies to the followers at both ends.
    network = (rate * frame + 2 * writes * (REPLICAS - 1) * frame) / nodes
    front = rate * (frame + ITEM_BYTES + HTTP_OVERHEAD_BYTES) / routers
    reports = nodes * costs.take_fixed + REPLICAS * partitions * costs.take_each
    one_round = costs.round_fixed + partitions * costs.round_each
    watchers = routers + nodes
    return Plan(
        rate=rate,
        share=share,
        routers=routers,
        nodes=nodes,
        partitions=partitions,
        node_disk_mb_per_s=(logged + engine) / 1e6,
        node_log_mb_per_s=logged / 1e6,
        node_network_mb_per_s=network / 1e6,
        router_network_mb_per_s=front / 1e6,
        reports_per_s=nodes,
        control_percent=(reports + one_round) / 1e4,
        round_ms=one_round / 1e3,
        feed_percent=CHANGES_PER_S * watchers * costs.change_send / 1e4,
        catalogue_mb=partitions * costs.catalogue_bytes_each / 1e6,
    )


def limits(costs: Costs) -> list[tuple[str, str]]:
    """Where single parts saturate, whatever the number of machines."""
    core = BUSY * 1e6
    each = REPLICAS * costs.take_each + costs.round_each
    return [
        ("a router process, gets/s", f"{core / costs.router_get:,.0f}"),
        ("a router process, puts/s", f"{core / costs.router_put:,.0f}"),
        ("one partition's leader, strong gets/s", f"{core / costs.leader_get:,.0f}"),
        ("one partition's leader, puts/s", f"{core / costs.leader_put:,.0f}"),
        ("a node that leads a third of what it holds, puts/s led",
         f"{core / (costs.leader_put + (REPLICAS - 1) * costs.follower_put):,.0f}"),
        ("partitions at which the control leader's core is planned for", f"{core / each:,.0f}"),
        (f"partitions at which a round takes {ROUND_MAX_S * 1000:.0f} ms",
         f"{(ROUND_MAX_S * 1e6 - costs.round_fixed) / costs.round_each:,.0f}"),
    ]  # fmt: skip


def as_markdown(costs: Costs) -> str:
    """Parameters, the plans and the limits."""
    names = {
        "router_get": "router, strong GetItem (`r_g`)",
        "router_put": "router, PutItem (`r_p`)",
        "leader_get": "leader, strong GetItem (`l_g`)",
        "leader_put": "leader, PutItem (`l_p`)",
        "follower_put": "each follower, PutItem (`f_p`)",
        "take_each": "control leader, a replica in a report (`t`)",
        "round_each": "control leader, a partition in a round (`p`)",
        "change_send": "feed, a change to one watcher (`c`)",
    }
    parameters = [(label, f"{getattr(costs, name):.1f}") for name, label in names.items()]
    plans = [plan(costs, rate, gets, share) for rate in RATES for gets, share in SHARES]
    rows = [
        (
            f"{each.rate:,.0f}",
            each.share,
            f"{each.routers:,}",
            f"{each.nodes:,}",
            f"{each.partitions:,}",
            f"{each.node_disk_mb_per_s:.1f} ({each.node_log_mb_per_s:.1f})",
            f"{each.node_network_mb_per_s:.1f}",
            f"{each.router_network_mb_per_s:.1f}",
            f"{each.reports_per_s:,.0f}",
            f"{each.control_percent:.1f}",
            f"{each.round_ms:.1f}",
            f"{each.feed_percent:.2f}",
            f"{each.catalogue_mb:.2f}",
        )
        for each in plans
    ]
    heads = ("requests/s", "get/put", "routers", "nodes", "partitions", "disk (log) MB/s a node", "network MB/s a node",
             "network MB/s a router", "reports/s", "control leader, % of a core", "round, ms", "feed, % of a core",
             "catalogue MB")  # fmt: skip
    return "\n\n".join(
        (
            table(("parameter", "CPU µs"), parameters),
            table(heads, rows),
            table(("saturates at", ""), limits(costs)),
        )
    )


def main() -> None:
    """Print the tables for one run."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.cluster.model", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("run", type=Path, metavar="RUN.json")
    print(as_markdown(Costs.of(json.loads(parser.parse_args().run.read_text()))))


def _role_us(result: dict[str, Any], role: str) -> float:
    """Median over the runs of the processor time of all processes of a role."""
    names = [name for name, found in result["roles"].items() if found == role]
    each = [[run["processes"][name] for name in names if name in run["processes"]] for run in result["runs"]]
    return float(median(sum(used["user"] + used["system"] for used in run) for run in each))


def _up(count: float) -> int:
    return max(1, math.ceil(count))


if __name__ == "__main__":
    main()
