"""What the driver of all groups leaves to the node: the way to other nodes, snapshots, and who serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from hashrange.wire.cluster import RaftBatch
from hashrange_node.raft.messages import InstallSnapshot
from hashrange_node.raft.ready import Ready
from hashrange_node.replica.effects import Mutation
from hashrange_node.replica.group import Group


class Hooks(Protocol):
    """What the driver leaves to the node."""

    def post(self, node: int, batch: RaftBatch) -> None:
        """Send messages to another node; they may be lost."""
        ...

    def send_snapshot(self, group: Group, message: InstallSnapshot, node: int) -> None:
        """Send the group's state to a replica that needs it; the outcome goes to the core."""
        ...

    def install(self, group: Group, work: Ready, done: Callable[[], None]) -> None:
        """Put a snapshot in the place of the group's state; `done` when it is durable."""
        ...

    def serving(self, group: Group, serving: bool) -> None:
        """The group begins to be served here, or that is over."""
        ...

    def may_rest(self, group: Group) -> bool:
        """Whether nobody who can be reached lacks anything of the group that is led here."""
        ...

    def scrub(self, group: Group, scrub: tuple[int, bytes, bytes], index: int) -> None:
        """The engine has the entries up to `index`, no more: compute the checksum of a slice."""
        ...

    def split_mutations(self, group: Group, split: dict[str, Any]) -> list[Mutation]:
        """What a split writes besides: the state of the children."""
        ...
