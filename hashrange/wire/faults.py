"""Why a message was not carried out where it was sent: answers between the programs, never shown to clients.

They are `ApiError`s, so that they travel and are handled like every other answer; a router turns those that it
cannot repair (another leader, a newer route, a retry) into the 500 or 503 that clients know and retry.
"""

from __future__ import annotations

from typing import Any

from hashrange.errors import ApiError


class RoutingError(ApiError):
    """The message did not take effect where it was sent and may be sent again, as the subclass says."""

    def __init__(
        self, type_name: str, message: str, status: int, fields: dict[str, Any] | None = None
    ) -> None:
        super().__init__(type_name, message, status=status, fields=fields)


class NotLeader(RoutingError):  # noqa: N818
    """Nothing was done: this replica does not lead. `leader` is the node that does, None when unknown."""

    def __init__(self, partition: int, leader: int | None) -> None:
        super().__init__(
            "NotLeader",
            f"partition {partition} is led elsewhere",
            503,
            {"partition": partition, "leader": leader},
        )
        self.partition = partition
        self.leader = leader


class StaleRoute(RoutingError):  # noqa: N818
    """Nothing was done: the partition is not here. `successors` are placements (JSON) of what replaced it.

    An empty list means that this node knows nothing of the partition: it was dropped, moved, or is yet to come.
    """

    def __init__(self, partition: int, successors: list[dict[str, Any]]) -> None:
        super().__init__(
            "StaleRoute",
            f"partition {partition} is not on this node",
            503,
            {"partition": partition, "successors": successors},
        )
        self.partition = partition
        self.successors = successors


class LeadershipLost(RoutingError):  # noqa: N818
    """The outcome of a write is unknown: its leader was replaced while it was under way.

    A write with a request id may be sent again: the state machine applies it once.
    """

    def __init__(self, partition: int) -> None:
        super().__init__(
            "LeadershipLost",
            f"the leader of partition {partition} was replaced",
            500,
            {"partition": partition},
        )
        self.partition = partition


class Unreachable(RoutingError):  # noqa: N818
    """The node did not answer. `sent` False: the message never left; True: its outcome is unknown."""

    def __init__(self, node: int, sent: bool) -> None:
        super().__init__("Unreachable", f"node {node} cannot be reached", 503, {"node": node, "sent": sent})
        self.node = node
        self.sent = sent


class Overloaded(RoutingError):  # noqa: N818
    """Nothing was done: a bounded queue is full. The message may be sent again after a pause."""

    def __init__(self, what: str) -> None:
        super().__init__("Overloaded", what, 503, {"what": what})


def fault_from(error: ApiError) -> ApiError:
    """The fault that an ApiError of the same type name carries in its fields; other errors as they are."""
    fields = error.fields or {}
    if error.type_name == "NotLeader":
        return NotLeader(fields["partition"], fields["leader"])
    if error.type_name == "StaleRoute":
        return StaleRoute(fields["partition"], fields["successors"])
    if error.type_name == "LeadershipLost":
        return LeadershipLost(fields["partition"])
    if error.type_name == "Unreachable":
        return Unreachable(fields["node"], fields["sent"])
    if error.type_name == "Overloaded":
        return Overloaded(fields["what"])
    return error
