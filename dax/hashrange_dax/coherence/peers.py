"""The other nodes of a cache cluster: writes go to the primary, and everybody hears what has changed.

    coherence = PeerCoherence(cluster="dax", node_id="dax-a", number=1, process=process,
                              controls=context.controls, send=routing.settled.send, backend=backend)
    coherence.tier = Tier(backend, coherence, ...)
    port = await coherence.start("127.0.0.1", 0)      # then the node's document is written, with this port in `Peer`
    await coherence.joined(timeout_s=2.0)             # then clients are let in
    ...
    await coherence.stop()                            # then the node's document is removed

Every node has a connection to every other one, on which it tells what it has written or read, and forwards writes if
the other is the primary. Who is there says the control plane (`hashrange.model.dax`), who is alive the connections;
the primary is elected in the control plane. While that is away there may be no primary: then each node makes its own
writes. That is safe at any time, as the tables are the truth and stamps tell which state is the newer one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, cast

from hashrange.errors import ApiError, internal
from hashrange.model.dax import NODE, PRIMARY, NodeDocument, node_name
from hashrange.model.table import TableSchema
from hashrange.wire.documents import ChangeDocument, ControlDocuments
from hashrange.wire.messages import Done
from hashrange_dax.coherence import messages as wire
from hashrange_dax.coherence.changes import ChangeLog
from hashrange_dax.coherence.connections import Self
from hashrange_dax.coherence.election import Election
from hashrange_dax.coherence.link import Link
from hashrange_dax.coherence.membership import TICK_S, Membership
from hashrange_dax.coherence.messages import Key
from hashrange_dax.coherence.receiving import LocalTier, Receiving
from hashrange_dax.coherence.secret import PeerKey
from hashrange_dax.contracts import Backend, BackendDone, Change, Request
from hashrange_dax.tier.requests import written_keys

LOG_BYTES_MAX: Final = 16 << 20
"""Changes that are kept for nodes that have not said they have them."""

PING_TICKS: Final = 2
DRAIN_S: Final = 5.0
"""How long a stop waits for writes that others have sent here."""

GONE_S: Final = 1.0
"""How long a stop waits for what was sent to go out."""

SETTLE_S: Final = 3.0
"""A write of which nobody knows what came of it has been made by then, or never will be."""


class LiveNode(NamedTuple):
    """A node that is alive."""

    document: NodeDocument
    primary: bool


class PeerStatistics(NamedTuple):
    """What a node has had to do with the others since it started."""

    connected: int
    """Others that this node has a connection to."""
    primary: bool
    """Whether this node is the primary."""
    term: int
    told: int
    """Changes and keys that others were to be told of."""
    received: int
    """Changes and keys that others have told of."""
    fills_dropped: int
    """What was read and not told, as too much waited."""
    clears: int
    """How often the item cache was given up, as something may have been missed."""
    forwarded: int
    """Writes that were sent to the primary."""
    forwarded_here: int
    """Writes that others have sent here."""
    unknown: int
    """Writes that were sent, and of which nobody knows what came of them."""
    elections: int
    """How often this node has made itself the primary."""
    log_bytes: int
    """Changes that are kept for others."""


class PeerCoherence:
    """One node's side of it (`contracts.Coherence`)."""

    tier: LocalTier
    """To be set before `start`."""

    def __init__(
        self,
        *,
        cluster: str,
        node_id: str,
        number: int,
        process: str,
        controls: ControlDocuments,
        send: Callable[[ChangeDocument, Done], None],
        backend: Backend,
        loop: asyncio.AbstractEventLoop | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
        log_bytes_max: int = LOG_BYTES_MAX,
    ) -> None:
        """`process`, `node_id` and `number` are those of the node's document; `send` carries changes of documents.

        Of the backend only the tables are asked for.
        """
        self.loop = loop or asyncio.get_running_loop()
        self._cluster = cluster
        self._id = node_id
        self._controls = controls
        self._backend = backend
        self._key = PeerKey(controls, send, self.loop.call_later, random_bytes)
        self.own = Self(cluster, node_id, process, lambda: self._key.value, random_bytes)
        self.changes = ChangeLog(log_bytes_max)
        self._membership = Membership(node_id, number)
        self._election = Election(cluster, node_id, self._membership, controls, send)
        self._receiving = Receiving(
            self.loop, self.own, self._membership, lambda: self.tier, self._joined_perhaps
        )
        self._links: dict[str, Link] = {}
        self._listener: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ticks = 0
        self._telling = False
        self._joining: list[asyncio.Future[None]] = []
        self._told = self._forwarded = self._unknown = 0

    # ---- life

    async def start(self, host: str, port: int) -> int:
        """Listen for the others and follow the documents; OSError if the address is taken. Returns the port."""
        self._listener = await self.loop.create_server(self._receiving.accept, host, port)
        self._controls.watch(NODE, self._node_changed)
        self._controls.watch(PRIMARY, self._primary_changed)
        self._key.start()
        self._primary_changed(self._cluster)
        self._nodes_changed()
        self._timer = self.loop.call_later(TICK_S, self._tick)
        found: int = self._listener.sockets[0].getsockname()[1]
        return found

    async def joined(self, timeout_s: float) -> bool:
        """Wait until this node and all that are alive hear one another, and there is a primary, or the time is up.

        Returns whether it has come to that.

        The node's document must be written by then.
        """
        joined = self.loop.create_future()
        self._joining.append(joined)
        self._joined_perhaps()
        await asyncio.wait([joined], timeout=timeout_s)
        return joined.done()

    async def stop(self) -> None:
        """Hand over what this node is, tell what is to be told, and leave. No writes may come any more."""
        receiving = self._receiving
        receiving.stopping = True
        self._key.stop()
        if self._timer is not None:
            await self._election.hand_over()
            await receiving.drain(DRAIN_S)
            self._timer.cancel()
        if self._listener is not None:
            self._listener.close()
        links, self._links = list(self._links.values()), {}
        gone = [link.stop(goodbye=True) for link in links]
        waiting = [*receiving.stop(), *(each for each in gone if each is not None)]
        if waiting:
            await asyncio.wait(waiting, timeout=GONE_S)
        if self._listener is not None:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._listener.wait_closed(), GONE_S)

    # ---- who is there

    @property
    def is_primary(self) -> bool:
        """Whether this node is the primary, as the document says that is in view."""
        return self._membership.primary == self._id

    def living(self) -> list[LiveNode]:
        """The nodes that are alive as far as this one can see, by number; itself among them once it has a document."""
        primary = self._membership.primary
        found: list[LiveNode] = []
        for node_id in self._membership.living():
            document = self._document(node_id)
            if document is not None:
                found.append(LiveNode(document, node_id == primary))
        return found

    def statistics(self) -> PeerStatistics:
        """Counters for metrics."""
        receiving = self._receiving
        return PeerStatistics(
            connected=sum(link.up is not None for link in self._links.values()),
            primary=self.is_primary,
            term=self._membership.term,
            told=self._told,
            received=receiving.received,
            fills_dropped=self.changes.dropped,
            clears=receiving.clears,
            forwarded=self._forwarded,
            forwarded_here=receiving.forwarded,
            unknown=self._unknown,
            elections=self._election.won,
            log_bytes=self.changes.bytes,
        )

    # ---- contracts.Coherence

    def write(self, operation: str, request: Request, done: BackendDone) -> None:
        """See `contracts.Coherence`. InternalServerError when nobody knows what came of it."""
        primary = self._membership.primary
        link = self._links.get(primary) if primary is not None else None
        if link is None or link.up is None or self._membership.is_suspect(link.node_id):
            self.tier.write_here(operation, request, done)
            return

        def answered(data: bytes | None) -> None:
            if data is None:
                self._outcome_unknown(operation, request, done)
                return
            answer = wire.decode_answer(data, self._table_of)
            if answer is None:
                self.tier.write_here(operation, request, done)
            else:
                done(answer)

        if link.forward(wire.encode_forward(operation, request), answered):
            self._forwarded += 1
        else:
            self.tier.write_here(operation, request, done)

    def _outcome_unknown(self, operation: str, request: Request, done: BackendDone) -> None:
        self._unknown += 1
        try:
            found = written_keys(self._backend, operation, request)
        except ApiError:
            found = []  # it is wrong, and was refused
        keys = [(key.table.table_id, key.encoded) for key in found]

        def invalidate() -> None:
            self.tier.drop(keys)
            self.invalidated(keys)

        # Once more when the write cannot be under way any more: the old state may have been read meanwhile.
        self.loop.call_later(SETTLE_S, invalidate)
        invalidate()
        done(internal("The primary was lost while it made the write: whether it was made is not known"))

    def tell(self, changes: Sequence[Change]) -> None:
        """See `contracts.Coherence`."""
        if not self._links:
            for change in changes:
                if change.written:
                    self.changes.skip()
            return
        for change in changes:
            self.changes.append(wire.encode_change(change), dispensable=not change.written)
        self._told += len(changes)
        self._send_changes()

    def invalidated(self, keys: Sequence[Key]) -> None:
        """See `contracts.Coherence`."""
        if not self._links:
            for _ in keys:
                self.changes.skip()
            return
        for key in keys:
            self.changes.append(wire.encode_invalid(key), dispensable=False)
        self._told += len(keys)
        self._send_changes()

    def _send_changes(self) -> None:
        """Send with the end of the tick: uvloop writes then too, so that an answer does not leave much earlier."""
        if not self._telling:
            self._telling = True
            self.loop.call_soon(self._end_tick)

    def _end_tick(self) -> None:
        self._telling = False
        for link in self._links.values():
            link.pump()

    def _table_of(self, name: str, table_id: str) -> TableSchema | None:
        """A table that a state is of, unless another one has its name by now."""
        try:
            table = self._backend.table(name)
        except ApiError:
            return None
        return table if table.table_id == table_id else None

    # ---- link.LinkOwner

    def address_of(self, node_id: str) -> tuple[str, int] | None:
        """See `link.LinkOwner`."""
        document = self._document(node_id)
        if document is None:
            return None
        host, _, port = document["Peer"].rpartition(":")
        return host.strip("[]"), int(port)

    def link_up(self, node_id: str) -> None:
        """See `link.LinkOwner`."""
        self._membership.opened(node_id)
        self._joined_perhaps()

    def link_down(self, node_id: str) -> None:
        """See `link.LinkOwner`."""
        self._membership.closed(node_id)

    def link_heard(self, node_id: str, hears: list[str]) -> None:
        """See `link.LinkOwner`."""
        self._membership.heard(node_id, hears)

    # ---- what the control plane says

    def _document(self, node_id: str) -> NodeDocument | None:
        found = self._controls.get(NODE, node_name(self._cluster, node_id))
        return cast(NodeDocument, found["document"]) if found is not None else None

    def _primary_changed(self, name: str) -> None:
        if name == self._cluster:
            self._election.follow()
            if self._membership.primary is not None:
                self._receiving.writes(self._membership.primary)

    def _node_changed(self, name: str) -> None:
        if name.startswith(node_name(self._cluster, "")) and not self._receiving.stopping:
            self._nodes_changed()

    def _nodes_changed(self) -> None:
        prefix = node_name(self._cluster, "")
        documents = {
            name.removeprefix(prefix): cast(NodeDocument, found["document"])
            for name, found in self._controls.of(NODE).items()
            if name.startswith(prefix)
        }
        for node_id in self._membership.nodes(documents):
            successor = documents.get(node_id)
            self._receiving.died(node_id, successor["Process"] if successor is not None else None)
            if successor is None:
                self._links.pop(node_id).stop(goodbye=False)
        for node_id in self._membership.others():
            link = self._links.get(node_id)
            if link is None:
                link = self._links[node_id] = Link(self, node_id)
            link.dial()
        self._joined_perhaps()

    def _joined_perhaps(self) -> None:
        # Clients that see no primary wait seconds before they look again.
        if self._joining and self._membership.is_joined() and self._membership.primary is not None:
            joining, self._joining = self._joining, []
            for each in joining:
                if not each.done():
                    each.set_result(None)

    # ---- time

    def _tick(self) -> None:
        self._timer = self.loop.call_later(TICK_S, self._tick)
        self._ticks += 1
        for node_id in self._membership.tick():
            self._links[node_id].end("it has gone silent")
            self._receiving.died(node_id)
        self._receiving.tick()
        hears = wire.pack(*self._membership.living()) if self._ticks % PING_TICKS == 0 else None
        for link in list(self._links.values()):
            link.tick()
            if hears is not None:
                link.ping(hears)
        if self._links:
            self.changes.forget(int(min(self.changes.head, *(link.needs() for link in self._links.values()))))
        self._election.tick()
        self._joined_perhaps()
