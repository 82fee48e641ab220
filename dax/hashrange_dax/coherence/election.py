"""Who the primary is: a document of the control plane, which nodes replace by compare-and-set when it has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from hashrange.errors import ApiError
from hashrange.model.dax import NODE, PRIMARY, NodeDocument, PrimaryDocument, node_name
from hashrange.runtime.logging import get_logger
from hashrange.wire.documents import ChangeDocument, ControlDocuments
from hashrange.wire.messages import ConflictError, Done
from hashrange_dax.coherence.membership import Membership

PAUSE_TICKS: Final = 4
"""Between two attempts, if the control plane does not take one."""

HAND_OVER_S: Final = 1.0

log = get_logger("dax")


class Election:
    """One node's part in it."""

    def __init__(
        self,
        cluster: str,
        node_id: str,
        membership: Membership,
        controls: ControlDocuments,
        send: Callable[[ChangeDocument, Done], None],
    ) -> None:
        self._cluster = cluster
        self._id = node_id
        self._membership = membership
        self._controls = controls
        self._send = send
        self._under_way = False
        self._pause = 0
        self.won = 0
        """How often this node has made itself the primary."""

    def follow(self) -> None:
        """The document may have changed."""
        found = self._controls.get(PRIMARY, self._cluster)
        self._membership.elected(cast(PrimaryDocument, found["document"]) if found is not None else None)

    def tick(self) -> None:
        """A tick of the owner's timer has passed: become the primary if this node is to."""
        self._pause = max(0, self._pause - 1)
        if self._under_way or self._pause or not self._membership.takes_over():
            return
        log.info("this node is to be the primary", before=self._membership.primary)
        self._under_way = True
        self._appoint(self._id, self._answered)

    def _answered(self, answer: Any) -> None:
        self._under_way = False
        self._pause = PAUSE_TICKS
        if isinstance(answer, ApiError):
            if not isinstance(answer, ConflictError):
                log.warning("the primary could not be elected", reason=str(answer))
            return
        self.won += 1
        self._membership.elected(cast(PrimaryDocument, answer["document"]))

    async def hand_over(self) -> None:
        """This node stops: if it is the primary, have another one follow it, if there is one."""
        heir = self._membership.heir()
        if self._membership.primary != self._id or heir is None:
            return
        answered = asyncio.get_running_loop().create_future()

        def done(answer: Any) -> None:
            if not answered.done():
                answered.set_result(answer)

        self._under_way = True
        self._appoint(heir, done)
        await asyncio.wait([answered], timeout=HAND_OVER_S)

    def _appoint(self, node_id: str, done: Done) -> None:
        found = self._controls.get(PRIMARY, self._cluster)
        node = self._controls.get(NODE, node_name(self._cluster, node_id))
        if node is None:
            done(ConflictError())
            return
        before = cast(PrimaryDocument, found["document"]) if found is not None else None
        after = PrimaryDocument(
            NodeId=node_id,
            Number=cast(NodeDocument, node["document"])["Number"],
            Term=(before["Term"] if before is not None else self._membership.term) + 1,
        )
        expected = found["generation"] if found is not None else None
        self._send(ChangeDocument(PRIMARY, self._cluster, expected, dict(after)), done)
