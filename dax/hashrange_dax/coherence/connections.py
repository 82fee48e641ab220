"""The two ends of a connection between cache nodes, as far as the socket and the handshake go.

The node that has something to say dials: of two nodes, each has a connection to the other. What arrives is handed to
an owner, `Receiver` or `Sender`; nothing arrives there before both sides have shown who they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from hashrange.runtime.rpc.connection import Connection
from hashrange.runtime.rpc.frames import FrameReader
from hashrange.wire.fields import FrameError
from hashrange_dax.coherence import messages as wire
from hashrange_dax.coherence.handshake import DIALLED, DIALLER, NONCE_BYTES, challenge, holds, proof
from hashrange_dax.coherence.messages import Challenge, Hello

HANDSHAKE_BYTES_MAX: Final = 4096
"""No frame of a node that has not shown who it is is longer."""

HANDSHAKE_TICKS: Final = 8


class Self(NamedTuple):
    """Who this node is to the others, the key they share (None while it is not known), and a source of nonces."""

    cluster: str
    node_id: str
    process: str
    key: Callable[[], bytes | None]
    random_bytes: Callable[[int], bytes]


class Receiver(Protocol):
    """What the node that is dialled does with what it is told."""

    def admit(self, connection: Accepted) -> int:
        """A node has shown who it is; returns the number of the last change that came from it."""
        ...

    def pinged(self, connection: Accepted, hears: list[str]) -> None:
        """It is there, sees these nodes alive, and is to be answered with `PONG`."""
        ...

    def told(self, connection: Accepted, first: int, changes: bytes) -> None:
        """Changes, the first of which has this number. FrameError for garbage."""
        ...

    def goodbye(self, connection: Accepted) -> None:
        """It stops, and has told everything."""
        ...

    def forwarded_write(self, connection: Accepted, number: int, write: bytes) -> None:
        """A write to be made and answered with `ANSWER`. FrameError for garbage."""
        ...

    def ended(self, connection: Accepted, reason: str) -> None:
        """The connection has ended."""
        ...


class Accepted(Connection):
    """The end of the node that was dialled."""

    def __init__(self, loop: asyncio.AbstractEventLoop, own: Self, owner: Receiver) -> None:
        super().__init__(loop)
        self.reader = FrameReader(HANDSHAKE_BYTES_MAX)
        self._own = own
        self._owner = owner
        self._challenge: Challenge | None = None
        self.hello: Hello | None = None
        """Who dials, once that is said; shown to be true when `admitted`."""
        self.admitted = False
        self.age_ticks = 0
        """Ticks of the owner's timer since it was made."""
        self.said_goodbye = False

    @property
    def node_id(self) -> str:
        """The node that dials, or "" before it has said so."""
        return self.hello.node_id if self.hello is not None else ""

    def on_frame(self, kind: int, frame_id: int, body: bytes) -> None:
        if not self.admitted:
            self._shake(kind, body)
        elif kind == wire.TELL:
            self._owner.told(self, frame_id, body)
        elif kind == wire.FORWARD:
            self._owner.forwarded_write(self, frame_id, body)
        elif kind == wire.PING:
            self._owner.pinged(self, wire.decode_names(body))
        elif kind == wire.GOODBYE:
            self._owner.goodbye(self)
        else:
            raise FrameError(f"a frame of kind {kind}")

    def _shake(self, kind: int, body: bytes) -> None:
        key = self._own.key()
        if kind == wire.HELLO and self.hello is None:
            hello = self.hello = wire.decode_hello(body)
            reason = self._objection(hello)
            if reason is not None or key is None:
                self._refuse(reason or "this node does not know the key of the cluster yet")
                return
            nonce = self._own.random_bytes(NONCE_BYTES)
            made = self._challenge = challenge(key, hello, self._own.node_id, self._own.process, nonce)
            self.send(wire.CHALLENGE, 0, wire.pack(*made))
        elif (
            kind == wire.PROOF and self.hello is not None and self._challenge is not None and key is not None
        ):
            if not holds(body, key, DIALLER, self.hello, self._challenge):
                self._refuse("it does not know the key of the cluster")
                return
            self.admitted = True
            self.reader = FrameReader()  # the other says nothing more until it is welcome
            self.send(wire.WELCOME, self._owner.admit(self), b"")
        else:
            raise FrameError("something else before it has shown who it is")

    def _objection(self, hello: Hello) -> str | None:
        own = self._own
        if hello.protocol != wire.PROTOCOL:
            return f"it speaks version {hello.protocol}, this node version {wire.PROTOCOL}"
        if hello.cluster != own.cluster:
            return f"it belongs to cluster {hello.cluster}, this node to {own.cluster}"
        if hello.expected != own.node_id:
            return f"it means {hello.expected}, this is {own.node_id}"
        return None

    def _refuse(self, reason: str) -> None:
        self.send(wire.REFUSED, 0, wire.pack(reason))
        self.close(f"refused: {reason}", flush=True)

    def on_close(self, reason: str) -> None:
        self._owner.ended(self, reason)


class Sender(Protocol):
    """What the node that dials does with what it hears."""

    def welcome(self, connection: Dialled, last: int) -> None:
        """The other has let this node in; it has its changes up to this number."""
        ...

    def pong(self, connection: Dialled, last: int, hears: list[str]) -> None:
        """The other is there, sees these nodes alive, and has the changes up to this number."""
        ...

    def answered(self, connection: Dialled, number: int, answer: bytes) -> None:
        """What came of a forwarded write. FrameError for garbage."""
        ...

    def room(self, connection: Dialled) -> None:
        """The socket takes more."""
        ...

    def lost(self, connection: Dialled, reason: str) -> None:
        """The connection has ended."""
        ...


class Dialled(Connection):
    """The end of the node that dials `node_id`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, own: Self, node_id: str, owner: Sender) -> None:
        super().__init__(loop)
        self.reader = FrameReader(HANDSHAKE_BYTES_MAX)
        self.node_id = node_id
        self._own = own
        self._owner = owner
        self._hello: Hello | None = None
        self._shown = False
        self.up = False

    def on_open(self) -> None:
        own = self._own
        nonce = own.random_bytes(NONCE_BYTES)
        self._hello = Hello(wire.PROTOCOL, own.cluster, own.node_id, own.process, self.node_id, nonce)
        self.send(wire.HELLO, 0, wire.pack(*self._hello))

    def on_frame(self, kind: int, frame_id: int, body: bytes) -> None:
        if not self.up:
            self._shake(kind, frame_id, body)
        elif kind == wire.ANSWER:
            self._owner.answered(self, frame_id, body)
        elif kind == wire.PONG:
            self._owner.pong(self, frame_id, wire.decode_names(body))
        else:
            raise FrameError(f"a frame of kind {kind}")

    def _shake(self, kind: int, frame_id: int, body: bytes) -> None:
        hello, key = self._hello, self._own.key()
        if kind == wire.CHALLENGE and hello is not None and not self._shown:
            made = wire.decode_challenge(body)
            if (
                key is None
                or made.node_id != self.node_id
                or not holds(made.proof, key, DIALLED, hello, made)
            ):
                self.close("it does not know the key of the cluster, or is another node")
                return
            self._shown = True
            self.send(wire.PROOF, 0, proof(key, DIALLER, hello, made.node_id, made.process, made.nonce))
        elif kind == wire.WELCOME and self._shown:
            self.reader = FrameReader()  # the other says nothing more until it is spoken to
            self.up = True
            self._owner.welcome(self, frame_id)
        elif kind == wire.REFUSED:
            self.close(f"refused: {wire.unpack(body, str)[0]}")
        else:
            raise FrameError("something else before it has shown who it is")

    def on_room(self) -> None:
        if self.up:
            self._owner.room(self)

    def on_close(self, reason: str) -> None:
        self._owner.lost(self, reason)
