"""The control plane's view of the cluster as a document, for people and for `hashrange cluster status`.

    {"cluster": id, "control": {"leader": node, "replicas": [as below]},
     "nodes": [{"id", "az", "address", "admin", "state", "generation", "alive", "silent_s", "replicas", "leaders",
                "disk_free_bytes", "cpu_seconds"}],
     "partitions": [{"id", "table", "index", "hash_range": [lo, hi], "leader": node id or null,
                     "replicas": [{"id", "node", "role", "behind"?, "leaving"?, "damaged"?}],
                     "size_bytes", "items", "reads_per_s", "writes_per_s", "epoch", "split"?, "successors"?}]}

`state` of a node: up, draining, leaving (draining in order to be removed), removed. Partition 0 is the control plane's
own group; its table is "(control)", a name that no table can have.
"""

from __future__ import annotations

from typing import Any

from hashrange.wire.cluster import CONTROL, GroupReport, NodeRecord, Placement
from hashrange_node.meta.catalogue import Catalogue
from hashrange_node.meta.observed import Observed
from hashrange_node.meta.placement import DRAINING
from hashrange_node.meta.reconcile import ReconcileSettings, View, group_order

CONTROL_TABLE = "(control)"


def status(
    catalogue: Catalogue, observed: Observed, settings: ReconcileSettings, now: float
) -> dict[str, Any]:
    """The answer to ClusterStatus."""
    view = observed.view(catalogue.placements, catalogue.nodes, {}, frozenset(), now)
    partitions = [_partition(view, placement) for placement in group_order(catalogue.placements)]
    control = partitions[0] if partitions and partitions[0]["id"] == CONTROL else None
    return {
        "cluster": catalogue.cluster["cluster"] if catalogue.cluster is not None else "",
        "control": {
            "leader": control["leader"] if control is not None else None,
            "replicas": control["replicas"] if control is not None else [],
        },
        "nodes": [_node(view, observed, record, settings, partitions) for record in view.nodes.values()],
        "partitions": partitions,
    }


def _partition(view: View, placement: Placement) -> dict[str, Any]:
    leader = view.leader(placement["id"])
    reports = view.reports.get(placement["id"], {})
    replicas = []
    leads: int | None = None
    for place in placement["replicas"]:
        entry: dict[str, Any] = {"id": place["id"], "node": place["node"]}
        report = reports.get(place["id"])
        entry["role"] = report.role if report is not None else "unknown"
        if place.get("leaving"):
            entry["leaving"] = True
        if report is not None and report.damaged:
            entry["damaged"] = report.damaged
        if leader is not None:
            if place["id"] == leader.replica:
                leads = place["node"]
            elif place["id"] in leader.behind:
                entry["behind"] = leader.behind[place["id"]]
        replicas.append(entry)
    found: dict[str, Any] = {
        "id": placement["id"],
        "table": CONTROL_TABLE if placement["id"] == CONTROL else placement["table"],
        "index": placement["index"],
        "hash_range": [placement["lo"], placement["hi"]],
        "leader": leads,
        "replicas": replicas,
        "epoch": placement["conf"],
        **_amounts(leader, reports),
    }
    for name in ("split", "successors"):
        if name in placement:
            found[name] = placement[name]
    return found


def _amounts(leader: GroupReport | None, reports: Any) -> dict[str, Any]:
    best = leader or max(reports.values(), key=lambda r: r.applied, default=None)
    if best is None:
        return {"size_bytes": None, "items": None, "reads_per_s": 0.0, "writes_per_s": 0.0}
    return {
        "size_bytes": best.size_bytes,
        "items": best.counts.get(0, (0, 0))[0],
        "reads_per_s": round(best.reads_per_s, 1),
        "writes_per_s": round(best.writes_per_s, 1),
    }


def _node(
    view: View,
    observed: Observed,
    record: NodeRecord,
    settings: ReconcileSettings,
    partitions: list[dict[str, Any]],
) -> dict[str, Any]:
    node = record["id"]
    report = observed.reports.get(node)
    state = "leaving" if record["state"] == DRAINING and record.get("retiring") else record["state"]
    return {
        "id": node,
        "az": record["az"],
        "address": record["address"],
        "admin": record["admin"],
        "state": state,
        "generation": record["generation"],
        "alive": view.alive(node, settings),
        "silent_s": round(view.silent_s[node], 1),
        "replicas": sum(any(r["node"] == node for r in p["replicas"]) for p in partitions),
        "leaders": sum(p["leader"] == node for p in partitions),
        "disk_free_bytes": report.disk_free_bytes if report is not None else None,
        "cpu_seconds": round(report.cpu_seconds, 3) if report is not None else None,
    }
