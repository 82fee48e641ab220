"""The life of a cluster between operations of the API: what supervisors and nodes have done (`steps.perform`).

    ensure_cluster(context, site, "dax", 3)             make the default cluster, if there is none
    settle(context, "dax")                              note what has become of it: call it whenever documents changed
    gone(context, "dax", "dax-1", process)              a node's process has ended: its document goes
    forget_if_gone(context, "dax")                      the last node of a cluster on its way out has gone

All of them may be called again, and by several at once.
"""

from __future__ import annotations

from typing import Any

from hashrange.model import dax
from hashrange.model.dax import NODES_MAX, ClusterDocument, NodeDocument
from hashrange_router.api.context import RouterContext
from hashrange_router.dax.clusters import new_cluster, settled, with_nodes
from hashrange_router.dax.describe import AVAILABLE, announced_nodes, node_status, status_of
from hashrange_router.dax.errors import HOW_TO_START, no_capacity, too_many_nodes
from hashrange_router.dax.events import CLUSTER
from hashrange_router.dax.names import cluster_name
from hashrange_router.dax.setting import DaxSite, Seen, Setting, cluster_document, seen
from hashrange_router.dax.steps import Steps, change, record_event, releasing, reserve_slots

NO_NODE_SLOTS = "NodeQuotaForCustomerExceededFault"
NO_CLUSTER_SLOTS = "ClusterQuotaForCustomerExceededFault"


def setting_of(context: RouterContext, site: DaxSite | None) -> Setting:
    """What plans need to know of a router."""
    return Setting(context.site.region, context.site.account, context.now(), site)


def ensure_cluster(
    context: RouterContext,
    site: DaxSite | None,
    name: str,
    nodes: int,
    *,
    managed: bool = True,
    encryption: str = "NONE",
) -> Steps[bool]:
    """Make a cluster of so many nodes unless there is one of that name; returns whether it was made.

    One that is not `managed` has no wanted nodes: they join by themselves. It needs no site.
    """
    name = cluster_name(name)
    if nodes > NODES_MAX:
        raise too_many_nodes(NODES_MAX)
    if managed and site is None:
        raise no_capacity(HOW_TO_START)
    if cluster_document(context.controls, name) is not None:
        return False
    count = 1 + (nodes if managed else 0)
    base_port = site.base_port if site is not None else 0
    slots = yield from reserve_slots(context, base_port, count, NO_NODE_SLOTS)
    setting = setting_of(context, site)
    made = with_nodes(new_cluster(name, slots[0], managed, setting), slots[1:], None, setting)
    made["Encryption"] = encryption

    def plan(known: ClusterDocument | None) -> ClusterDocument:
        return made if known is None else known

    committing = change(context.controls, dax.CLUSTER, name, plan)
    after = yield from releasing(context, slots, committing)
    return after == made


def next_number(context: RouterContext, cluster: str) -> Steps[int]:
    """A number for a node that joins a cluster by itself: no other node of it has ever had it."""
    taken = [0]
    joining = context.new_id()

    def plan(known: ClusterDocument | None) -> ClusterDocument | None:
        if known is None:
            return None
        taken[0] = known["NextNumber"]
        told = {**known["Told"], "Joining": joining}
        return {**known, "NextNumber": known["NextNumber"] + 1, "Told": told}

    yield from change(context.controls, dax.CLUSTER, cluster, plan)
    return taken[0]


def settle(context: RouterContext, cluster: str) -> Steps[None]:
    """Note, with events, which nodes of a supervised cluster are there for the first time, which have left, and when
    it is complete.
    """
    known = cluster_document(context.controls, cluster)
    if known is None or known["Deleting"] or not known["Managed"]:
        return
    news: list[str] = []

    def plan(before: ClusterDocument | None) -> ClusterDocument | None:
        news.clear()
        if before is None or before["Deleting"]:
            return before
        after, told = noted(before, seen(context.controls, cluster))
        news.extend(told)
        return after

    yield from change(context.controls, dax.CLUSTER, cluster, plan)
    for message in news:
        yield from record_event(context, cluster, CLUSTER, message)


def noted(before: ClusterDocument, found: Seen) -> tuple[ClusterDocument, list[str]]:
    """A cluster that knows which of its nodes have been there, and the messages of what is new about them."""
    announced = announced_nodes(before)
    wanted = {node["NodeId"] for node in before["Nodes"]}
    new = [
        node["NodeId"]
        for node in before["Nodes"]
        if node["NodeId"] not in announced and node_status(before, node, found) == AVAILABLE
    ]
    left = [node for node in announced if node not in wanted and node not in found.nodes]
    messages = [f"Added node {node}." for node in new] + [f"Removed node {node}." for node in left]
    after = before
    if new or left:
        kept = [node for node in announced if node not in left]
        after = {**before, "Told": {**before["Told"], "Announced": [*kept, *new]}}
    if status_of(after, found) == AVAILABLE and not after["Told"].get("Settled"):
        messages.append("Cluster created.")
        after = settled(after)
    return after, messages


def gone(context: RouterContext, cluster: str, node_id: str, process: str) -> Steps[bool]:
    """Remove the document of a node whose process has ended, unless a new process has taken its place.

    Returns whether it was removed.
    """
    removed = [False]

    def plan(known: NodeDocument | None) -> NodeDocument | None:
        removed[0] = known is not None and known["Process"] == process
        return None if removed[0] else known

    yield from change(context.controls, dax.NODE, dax.node_name(cluster, node_id), plan)
    return removed[0]


def forget_if_gone(context: RouterContext, cluster: str) -> Steps[bool]:
    """Remove a cluster that has no running node, if it is being deleted or nobody supervises it.

    Returns whether it was removed. Its primary document goes first: a cluster made anew has none.
    """
    controls = context.controls

    def leave(known: Any) -> Any:
        return None

    def plan(known: ClusterDocument | None) -> ClusterDocument | None:
        if known is None or seen(controls, cluster).nodes:
            return known
        return known if known["Managed"] and not known["Deleting"] else None

    known = cluster_document(controls, cluster)
    if known is None or plan(known) is not None:
        return False
    yield from change(controls, dax.PRIMARY, cluster, leave)
    after = yield from change(controls, dax.CLUSTER, cluster, plan)
    if after is not None:
        return False
    for node in announced_nodes(known):
        yield from record_event(context, cluster, CLUSTER, f"Removed node {node}.")
    yield from record_event(context, cluster, CLUSTER, "Cluster deleted.")
    return True
