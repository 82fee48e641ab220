"""How the partitions of a node are used, on its metrics page: the busiest ones, so that the page stays bounded."""

from __future__ import annotations

from collections.abc import Callable
from heapq import nlargest

from hashrange_node.node import Node
from hashrange_node.replica.group import Group
from hashrange_node.replica.replica import Replica

from hashrange.runtime.telemetry import Telemetry

PARTITIONS_MAX = 200
"""Partitions that get series, those with most requests since the start of the node."""

_LABELS = ("partition", "table", "index")
_TOTALS: tuple[tuple[str, str, Callable[[Group], float]], ...] = (
    (
        "hashrange_partition_reads_total",
        "Reads served of a partition by this node.",
        lambda group: group.reads_served,
    ),
    (
        "hashrange_partition_writes_total",
        "Writes taken to a partition by this node.",
        lambda group: group.writes_taken + group.heat.entries,
    ),
    (
        "hashrange_partition_read_bytes_total",
        "Bytes of items read of a partition, estimated from a sample.",
        lambda group: group.heat.read_bytes,
    ),
    (
        "hashrange_partition_written_bytes_total",
        "Bytes of items written to a partition, estimated from a sample.",
        lambda group: group.heat.write_bytes,
    ),
)


def requests_of(replica: Replica) -> int:
    """Requests that a replica has taken since the start of its node, entries of global indexes included."""
    group = replica.group
    return group.reads_served + group.writes_taken + group.heat.entries


def register_heat_metrics(telemetry: Telemetry, node: Node) -> None:
    """Make the use of partitions visible on /metrics."""

    def rows(read: Callable[[Group], float]) -> Callable[[], dict[tuple[str, ...], float]]:
        return lambda: {
            (str(each.id), each.schema.name, each.index_name or ""): read(each.group)
            for each in nlargest(PARTITIONS_MAX, node.replicas.values(), key=requests_of)
        }

    for name, help_text, read in _TOTALS:
        telemetry.counter(name, help_text, rows(read), _LABELS)
    telemetry.gauge(
        "hashrange_partition_bytes",
        "Bytes of the items of a partition.",
        rows(lambda group: group.count(0)[1]),
        _LABELS,
    )
