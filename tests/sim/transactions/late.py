"""Messages that arrive a second time, seconds later, wherever their partition is led by then.

No connection does that. A coordinator that was paused does, a node that reads what a dead router had sent, and two
who finish the same transaction. The ghost is a router of its own that nothing happens to.
"""

from __future__ import annotations

from typing import Any

from hashrange.wire.messages import WriteItem
from tests.sim.transactions.steps import DECIDE, FINISH, PREPARE, WRITE
from tests.sim.whole import WholeCluster, WholeRouter
from tests.sim.wire import carry

LATE_S = (0.5, 16.0)
SOON_S = (0.001, 0.1)


class Ghost(WholeRouter):
    """Sends again what it saw, while `share` is above 0: that part of the messages."""

    share = 0.0
    soon = 0.0
    """The part of them that it sends again at once."""

    def __init__(self, cluster: WholeCluster, number: int) -> None:
        super().__init__(cluster, number)
        self.sent = 0

    def _on_document(self, name: str, before: Any, after: Any) -> None:
        """It needs no tables."""

    def saw(self, message: Any, step: str) -> None:
        """A router sends a message, or has carried a transaction out with it: it is sent again later, perhaps."""
        if not self.share or step not in (PREPARE, DECIDE, FINISH, WRITE):
            return
        random = self.cluster.world.random
        if random.random() < self.share:
            delay = random.uniform(*(SOON_S if random.random() < self.soon else LATE_S))
            copy = carry(message)
            if copy.__class__ is WriteItem:
                copy.request_id = None
            self.process.call_later(delay, lambda: self._send(copy))

    def _send(self, message: Any) -> None:
        self.sent += 1
        self.transport.send(message, lambda answer: None)
