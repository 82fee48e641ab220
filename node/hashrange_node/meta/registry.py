"""Who may take part under which node id: a pure function.

A node id belongs to one data directory at a time (its incarnation). Another directory may take an id over when the
one before has been silent: it is a new generation, on which no replica of the one before can be. Two processes under
one id at the same time are a mistake of the operator, and the second is told.
"""

from __future__ import annotations

from hashrange.errors import ApiError, unavailable
from hashrange.wire.cluster import NodeRecord, RegisterNode
from hashrange_node.meta.placement import REMOVED, UP

TAKEOVER_S = 5.0
"""Silence after which the id of a node may be taken over, in seconds."""

REFUSED = "NodeRefused"
"""Type of the error that a node gets which must not take part: it says why."""

UNREGISTERED = "NodeUnknown"
"""Type of the error that a report gets from a node that has to register (again)."""


def register(
    message: RegisterNode, record: NodeRecord | None, cluster: str, silent_s: float, still_there: bool
) -> NodeRecord | ApiError:
    """The record that a node gets, or why it does not.

    `record` is the newest one of its id, `silent_s` for how long that node has not been heard; `still_there`: it was
    heard well after another directory had claimed its id.
    """
    if message.cluster and message.cluster != cluster:
        return _refused(
            f"the data directory belongs to cluster {message.cluster}, this is cluster {cluster}; "
            "start the node with an empty directory, or let it join its own cluster"
        )
    if record is not None and record["incarnation"] == message.incarnation:
        if record["state"] == REMOVED:
            return _refused(
                f"node {message.node} was taken out of the cluster; "
                "to bring it back start it with an empty data directory"
            )
        return {**record, "az": message.az, "address": message.address, "admin": message.admin}
    generation = 1
    if record is not None:
        if record["state"] != REMOVED and silent_s <= TAKEOVER_S:
            text = (
                f"node {message.node} is running already, at {record['address']} with another data directory; "
                "give each node an id of its own"
            )
            # One that was lost a moment ago looks the same at first: the claimant asks again.
            return _refused(text) if still_there else unavailable(text)
        generation = record["generation"] + 1
    return {
        "id": message.node,
        "az": message.az,
        "address": message.address,
        "admin": message.admin,
        "incarnation": message.incarnation,
        "generation": generation,
        "state": UP,
    }


def _refused(reason: str) -> ApiError:
    return ApiError(REFUSED, reason, status=403)
