"""What the plans of this package are made with: where nodes run here, and what is known of clusters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, cast

from hashrange.model import dax
from hashrange.model.dax import ClusterDocument, NodeDocument, Ports, ports_of
from hashrange.wire.documents import ControlDocuments

Request = Mapping[str, Any]

ZONE: Final = "az1"
"""The zone of nodes where there is only one."""


@dataclass(frozen=True, slots=True)
class DaxSite:
    """Where supervised nodes run: the host that clients reach them and the discovery addresses by, the base port.

    `zones` are those over which the nodes of a cluster are spread when a request names none.
    """

    host: str
    base_port: int
    zones: Callable[[], Sequence[str]] = field(default=lambda: (ZONE,))

    def ports(self, slot: int) -> Ports:
        """The ports of a slot."""
        return ports_of(self.base_port, slot)


class Setting(NamedTuple):
    """What planning needs besides the request: names in ARNs, the time in epoch seconds, the site if there is one."""

    region: str
    account: str
    now: float
    site: DaxSite | None


class Seen(NamedTuple):
    """What is known of a cluster besides its own document: its running nodes by id, and the primary's id."""

    nodes: dict[str, NodeDocument]
    primary: str | None


def cluster_document(controls: ControlDocuments, name: str) -> ClusterDocument | None:
    """A cluster as it is wanted, or None."""
    stored = controls.get(dax.CLUSTER, name)
    return cast(ClusterDocument, stored["document"]) if stored is not None else None


def clusters(controls: ControlDocuments) -> list[ClusterDocument]:
    """All clusters, in the order of their names."""
    return [cast(ClusterDocument, each["document"]) for _, each in sorted(controls.of(dax.CLUSTER).items())]


def seen(controls: ControlDocuments, cluster: str) -> Seen:
    """What is known of a cluster's nodes now."""
    nodes = [
        cast(NodeDocument, stored["document"])
        for name, stored in sorted(controls.of(dax.NODE).items())
        if name.rpartition("/")[0] == cluster
    ]
    primary = controls.get(dax.PRIMARY, cluster)
    return Seen(
        {node["NodeId"]: node for node in nodes},
        primary["document"]["NodeId"] if primary is not None else None,
    )
