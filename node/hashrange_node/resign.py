"""Handing leadership over when this node is not fit to lead: before a stop, and while its disk is slow.

A leader whose disk is slow still commits, by its followers' disks, but each of its own writes waits. One whose sync
never ends holds everything up that is proposed to it: its process ends, so that others can take over (a stalled sync
cannot be told from a lost one).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hashrange_node.raft.refusal import Refusal
from hashrange_node.replica.group import Group

if TYPE_CHECKING:
    from hashrange_node.node import Node

POLL_S = 0.05


def hand_over(node: Node, group: Group) -> bool:
    """Let the follower that has most lead a group; False when no follower can be asked."""
    role: Any = group.core.role
    voters = group.core.configuration.voters
    candidates = [each for each in role.tracker.followers if each.id in voters and each.active]
    for progress in sorted(candidates, key=lambda each: -each.match):
        if not isinstance(group.core.transfer(progress.id), Refusal):
            node.driver.wake_reads(group)
            return True
    return False


class Resigning:
    """Gives up all leaderships of a node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def led(self) -> list[Group]:
        """The groups led here that others could lead."""
        return [g for g in self._node.driver.groups.values() if g.led and not g.alone and not g.damaged]

    def all(self, done: Callable[[], None], left_s: float = 3.0) -> None:
        """Hand everything over; `done` when that has happened or the time is up."""
        led = self.led()
        if not led or left_s <= 0:
            done()
            return
        for group in led:
            if group.core.is_leader:
                hand_over(self._node, group)
        self._node.scheduler.call_later(POLL_S, lambda: self.all(done, left_s - POLL_S))


class DiskWatch:
    """Looks at the running sync of the log, and whether the engine has room, once a tick."""

    def __init__(self, node: Node, fatal: Callable[[str], None]) -> None:
        self._node = node
        self._fatal = fatal
        self._resigning = Resigning(node)
        self.slow = False

    def look(self) -> None:
        """Hand over when the sync takes long; end the process when it does not end."""
        running_s = self._node.log.statistics().get("fsync_running_seconds", 0.0)
        settings = self._node.settings
        if running_s > settings.stuck_sync_s:
            self._fatal(
                f"The disk has not finished a sync of the log for {running_s:.0f} seconds. The process ends so that "
                "the other replicas take over; check the disk, then start the node again."
            )
            return
        full = self._node.driver.applier.stalled is not None
        slow = running_s > settings.slow_sync_s
        if full or (slow and not self.slow):
            # A leader that cannot apply commits nothing that anybody is told of.
            for group in self._resigning.led():
                if group.core.is_leader:
                    hand_over(self._node, group)
        self.slow = slow
