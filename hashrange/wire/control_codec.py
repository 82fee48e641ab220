"""Control messages as bytes: proto/control.proto, for the codec of frames (`hashrange.wire.codec`).

`ENCODERS` and `DECODERS` hold a function for each message by its number on the wire (`MessageType` of
proto/rpc.proto). Most messages map field by field; the rest is here. Documents travel as JSON.
"""

from __future__ import annotations

from typing import Any

import orjson

from hashrange.wire import capacity, cluster, documents
from hashrange.wire import messages as wire
from hashrange.wire.fields import Decoder, Encoder, Plain, parsed
from hashrange.wire.pb import control_pb2 as pb
from hashrange.wire.pb import rpc_pb2 as rpc

PLAIN: dict[int, Plain] = {
    rpc.TABLE_STATISTICS: Plain(wire.TableStatistics, pb.TableStatistics),
    rpc.CHANGE_DOCUMENT: Plain(documents.ChangeDocument, pb.ChangeDocument),
    rpc.WHEN_SETTLED: Plain(wire.WhenSettled, pb.WhenSettled),
    rpc.REGISTER_NODE: Plain(cluster.RegisterNode, pb.RegisterNode),
    rpc.WORK_DONE: Plain(cluster.WorkDone, pb.WorkDone),
    rpc.CHANGE_MEMBERS: Plain(cluster.ChangeMembers, pb.ChangeMembers),
    rpc.TRANSFER_LEADER: Plain(cluster.TransferLeader, pb.TransferLeader),
    rpc.SPLIT_PARTITION: Plain(cluster.SplitPartition, pb.SplitPartition),
    rpc.SPLIT_HINT: Plain(cluster.SplitHint, pb.SplitHint),
    rpc.CLUSTER_COMMAND: Plain(cluster.ClusterCommand, pb.ClusterCommand),
    rpc.CLUSTER_STATUS: Plain(cluster.ClusterStatus, pb.ClusterStatus),
    rpc.WATCH_CATALOGUE: Plain(cluster.WatchCatalogue, pb.WatchCatalogue),
    rpc.BOOTSTRAP: Plain(cluster.Bootstrap, pb.Bootstrap),
    rpc.SCRUB_REPORT: Plain(cluster.ScrubReport, pb.ScrubReport),
    rpc.REPLICA_DAMAGED: Plain(cluster.ReplicaDamaged, pb.ReplicaDamaged),
    rpc.CAPACITY_REPORT: Plain(
        capacity.CapacityReport,
        pb.CapacityReport,
        {"needs": Plain(capacity.CapacityNeed, pb.CapacityNeed)},
    ),
}

_REPORT_SCALARS = (
    "term", "applied", "joint", "size_bytes", "reads_per_s", "writes_per_s", "damaged", "split_applied", "queued"
)  # fmt: skip

_REPORT_LISTS = ("voters", "learners")


def _encode_change_table(message: wire.ChangeTable) -> bytes:
    part = pb.ChangeTable(name=message.name, partition_ids=message.partition_ids)
    if message.expected is not None:
        table_id, generation = message.expected
        part.expected.SetInParent()
        part.expected.table_id, part.expected.generation = table_id, generation
    if message.document is not None:
        part.document_json = orjson.dumps(message.document)
    data: bytes = part.SerializeToString()
    return data


def _decode_change_table(data: bytes) -> wire.ChangeTable:
    part = parsed(pb.ChangeTable, data)
    expected = (part.expected.table_id, part.expected.generation) if part.HasField("expected") else None
    document = orjson.loads(part.document_json) if part.HasField("document_json") else None
    return wire.ChangeTable(part.name, expected, document, list(part.partition_ids))


def _encode_node_report(message: cluster.NodeReport) -> bytes:
    whole = pb.NodeReport(
        node=message.node,
        generation=message.generation,
        disk_free_bytes=message.disk_free_bytes,
        cpu_seconds=message.cpu_seconds,
    )
    add = whole.groups.add
    for group in message.groups:
        _fill_group(add(), group)
    data: bytes = whole.SerializeToString()
    return data


def _fill_group(part: Any, group: cluster.GroupReport) -> None:
    """Most groups are idle followers: what is empty costs a look and nothing more."""
    part.partition, part.replica, part.role = group.partition, group.replica, group.role
    for name in _REPORT_SCALARS:
        value = getattr(group, name)
        if value:
            setattr(part, name, value)
    if group.heat_at is not None:
        part.heat_at = group.heat_at
    if group.voters:
        part.voters.extend(group.voters)
    if group.learners:
        part.learners.extend(group.learners)
    for replica, entries in group.behind.items():
        part.behind[replica] = entries
    for space, (entries, size) in group.counts.items():
        counts = part.counts[space]
        counts.entries, counts.size_bytes = entries, size


def _decode_node_report(data: bytes) -> cluster.NodeReport:
    whole = parsed(pb.NodeReport, data)
    groups = [_group_of(part) for part in whole.groups]
    return cluster.NodeReport(whole.node, whole.generation, whole.disk_free_bytes, whole.cpu_seconds, groups)


def _group_of(part: Any) -> cluster.GroupReport:
    """Most groups are idle: only what was sent is looked at."""
    group = cluster.GroupReport(0, 0, "", 0, 0)
    for field, value in part.ListFields():
        name = field.name
        if name in _REPORT_LISTS:
            value = list(value)
        elif name == "behind":
            value = dict(value)
        elif name == "counts":
            value = {space: (counts.entries, counts.size_bytes) for space, counts in value.items()}
        setattr(group, name, value)
    return group


def _encode_catalogue_update(message: cluster.CatalogueUpdate) -> bytes:
    part = pb.CatalogueUpdate(index=message.index, full=message.full, after_index=message.after_index)
    for key, value in message.entries:
        part.entries.add(key=key, value=value)
    data: bytes = part.SerializeToString()
    return data


def _decode_catalogue_update(data: bytes) -> cluster.CatalogueUpdate:
    part = parsed(pb.CatalogueUpdate, data)
    entries = [(entry.key, entry.value if entry.HasField("value") else None) for entry in part.entries]
    return cluster.CatalogueUpdate(part.index, part.full, entries, part.after_index)


def encode_totals(totals: dict[str | None, tuple[int, int]]) -> bytes:
    """The answer to TableStatistics."""
    part = pb.TableTotals()
    for index, (items, size) in totals.items():
        part.totals.add(index=index, items=items, size_bytes=size)
    data: bytes = part.SerializeToString()
    return data


def decode_totals(data: bytes) -> dict[str | None, tuple[int, int]]:
    """The inverse of `encode_totals`."""
    return {
        total.index if total.HasField("index") else None: (total.items, total.size_bytes)
        for total in parsed(pb.TableTotals, data).totals
    }


NUMBERS: dict[type, int] = {
    wire.ChangeTable: rpc.CHANGE_TABLE,
    cluster.NodeReport: rpc.NODE_REPORT,
    cluster.CatalogueUpdate: rpc.CATALOGUE_UPDATE,
    **{plain.made: number for number, plain in PLAIN.items()},
}
ENCODERS: dict[int, Encoder] = {
    rpc.CHANGE_TABLE: _encode_change_table,
    rpc.NODE_REPORT: _encode_node_report,
    rpc.CATALOGUE_UPDATE: _encode_catalogue_update,
    **{number: plain.encode for number, plain in PLAIN.items()},
}
DECODERS: dict[int, Decoder] = {
    rpc.CHANGE_TABLE: _decode_change_table,
    rpc.NODE_REPORT: _decode_node_report,
    rpc.CATALOGUE_UPDATE: _decode_catalogue_update,
    **{number: plain.decode for number, plain in PLAIN.items()},
}
