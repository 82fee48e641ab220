"""Strong reads: from the leader's own state under its lease, or confirmed by a quorum.

The lease is asked for before the read and again after it: a process that was stopped in between must not answer with
what may be old. Without a lease (a leader that was idle, or whose followers are slow) a round of messages confirms
that this replica still leads; the read waits until everything committed before is applied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hashrange.errors import ApiError
from hashrange.wire.faults import Overloaded
from hashrange.wire.messages import Done
from hashrange_node.raft.refusal import Refusal
from hashrange_node.replica.driver import Driver
from hashrange_node.replica.group import Group

Refuse = Callable[[Exception, Done], None]


class StrongReads:
    """The two ways to a strong read, for all groups of a node."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self.confirmed = 0

    def leased(self, group: Group) -> bool:
        """Whether the replica may answer from its applied state now.

        Not while a split is under way: the children may serve elsewhere before it is applied here.
        """
        if group.alone and group.serving:
            return True
        return not group.closing and group.core.lease_valid(self._driver.now_tick())

    def confirm(
        self, group: Group, read: Callable[[], Any], done: Done, refuse: Refuse | None = None
    ) -> None:
        """Answer `read()` once a quorum has confirmed this leader; ApiErrors when it does not lead."""

        def ready(error: ApiError | None) -> None:
            if error is not None:
                done(error)
                return
            try:
                answer = read()
            except Exception as failure:
                if refuse is None:
                    raise
                refuse(failure, done)
                return
            done(answer)

        self.confirmed += 1
        refusal = group.core.read_index(ready)
        if refusal is None:
            group.asked[ready] = None
            self._driver.wake_reads(group)
        elif refusal is Refusal.OVERLOADED:
            done(Overloaded(f"partition {group.id}: {refusal.value}"))
        else:
            done(group.not_leader())
