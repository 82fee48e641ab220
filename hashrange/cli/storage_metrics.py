"""The gauges and totals of whatever stores data: the embedded server and a node. Read when somebody scrapes."""

from __future__ import annotations

from typing import Protocol

from hashrange_node.checkpoint import Checkpointer
from hashrange_node.meta.controller import Controller
from hashrange_node.node import Node
from hashrange_node.replica.expiry import ExpirySweeper
from hashrange_node.transactions.upkeep import Upkeep

from hashrange.cli.heat_metrics import register_heat_metrics
from hashrange.cli.replica_metrics import register_disk_metrics, register_replica_metrics
from hashrange.cli.storage import Storage
from hashrange.runtime.telemetry import Telemetry


class StorageServer(Protocol):
    """The parts that are asked."""

    telemetry: Telemetry
    node: Node
    storage: Storage
    checkpointer: Checkpointer
    sweeper: ExpirySweeper
    upkeep: Upkeep
    controller: Controller


def register_storage_metrics(server: StorageServer) -> None:
    """Make everything that the parts count visible on /metrics."""
    telemetry, node = server.telemetry, server.node
    log, engine = server.storage.log, server.storage.engine
    telemetry.gauge(
        "hashrange_proposals_queued", "Writes waiting for the log or the engine.", lambda: node.driver.queued
    )
    telemetry.gauge("hashrange_log_bytes", "Bytes of the log on disk.", log.size_bytes)
    telemetry.counter(
        "hashrange_checkpoints_total", "Checkpoints taken.", lambda: server.checkpointer.checkpoints
    )
    telemetry.counter(
        "hashrange_expired_items_total", "Items deleted by time to live.", lambda: server.sweeper.deleted
    )
    telemetry.gauge("hashrange_partitions", "Partitions on this node.", lambda: len(node.replicas))
    telemetry.gauge(
        "hashrange_partitions_led",
        "Partitions that this node leads.",
        lambda: sum(replica.group.serving for replica in node.replicas.values()),
    )
    register_heat_metrics(telemetry, node)
    register_replica_metrics(telemetry, node)
    if server.storage.directory is not None:
        register_disk_metrics(telemetry, server.storage.directory.path)
    telemetry.gauge(
        "hashrange_background_fills", "Index and expiry fills going on.", lambda: server.controller.filling
    )
    telemetry.gauge(
        "hashrange_index_backlog_writes",
        "Writes whose global index changes are still to be delivered, by table.",
        lambda: _by_table(server),
        labels=("table",),
    )
    telemetry.gauge(
        "hashrange_table_items", "Items in a table.", lambda: _counts(server, 0), labels=("table",)
    )
    telemetry.gauge(
        "hashrange_table_bytes", "Bytes of a table's items.", lambda: _counts(server, 1), labels=("table",)
    )
    telemetry.gauge(
        "hashrange_engine",
        "Statistics of the storage engine, by name.",
        lambda: {(name,): float(value) for name, value in engine.statistics().items()},
        labels=("statistic",),
    )
    telemetry.gauge(
        "hashrange_log",
        "Statistics of the log, by name.",
        lambda: {(name,): float(value) for name, value in log.statistics().items()},
        labels=("statistic",),
    )
    _register_transactions(server)


def _register_transactions(server: StorageServer) -> None:
    telemetry, counts = server.telemetry, server.node.transactions.counts
    parts = (
        (
            "hashrange_transactions_prepared_total",
            "Parts of transactions that were prepared.",
            lambda: counts.prepared,
        ),
        (
            "hashrange_transactions_committed_total",
            "Prepared parts that were committed.",
            lambda: counts.committed,
        ),
        (
            "hashrange_transactions_cancelled_total",
            "Prepared parts that were cancelled.",
            lambda: counts.cancelled,
        ),
        (
            "hashrange_transactions_local_total",
            "Transactions of one partition, committed in one entry.",
            lambda: counts.local,
        ),
        (
            "hashrange_transactions_conflicts_total",
            "Requests for items that a transaction had locked.",
            lambda: counts.conflicts,
        ),
        (
            "hashrange_transactions_recovered_total",
            "Parts finished because their transaction had stalled.",
            lambda: counts.recovered,
        ),
    )
    for name, text, read in parts:
        telemetry.counter(name, text, read)
    telemetry.gauge(
        "hashrange_transactions_locks_held",
        "Items locked by transactions.",
        lambda: server.node.transactions.locks_held,
    )
    telemetry.gauge(
        "hashrange_transactions_stalled",
        "Stalled transactions with locks here, at the last look.",
        lambda: server.upkeep.locks.stalled,
    )


def _by_table(server: StorageServer) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    for shipper in server.node.shippers.values():
        key = (shipper.replica.schema.name,)
        found[key] = found.get(key, 0.0) + shipper.backlog
    return found


def _counts(server: StorageServer, which: int) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    for replica in server.node.replicas.values():
        if replica.index_name is None and replica.group.serving:  # one of three replicas counts
            key = (replica.schema.name,)
            found[key] = found.get(key, 0.0) + replica.group.count(0)[which]
    return found
