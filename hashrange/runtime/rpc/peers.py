"""What programs need of the nodes of their cluster: `Peers`; and who may ask them something: `Peer`, `Handler`.

`RpcPeers` implements `Peers` over TCP, a simulation over a virtual network. Everything is called, and calls back, on
the event loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from hashrange.runtime.rpc.identity import Identity

Done = Callable[[Any], None]
REQUEST_TIMEOUT_S = 10.0


class Peers(Protocol):
    """The other nodes, and this one, by node id."""

    def request(self, node: int, message: Any, done: Done, timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        """Ask a node. `done` is called exactly once, before this returns or later, with the answer or an ApiError.

        `Unreachable` with `sent` False: the message never left. With `sent` True (connection lost, no answer in
        time): its outcome is unknown. `Overloaded`: too much waits for that node already, nothing was sent.
        A message to the own node is handled here.
        """
        ...

    def cast(self, node: int, message: Any) -> None:
        """Tell a node something, one way; it may be lost."""
        ...

    def silent_s(self, node: int) -> float:
        """Seconds since anything was heard of a node; `math.inf` if nothing ever was, 0 for the own node."""
        ...

    def is_up(self, node: int) -> bool:
        """Whether there is a connection to a node on which it has been heard lately."""
        ...


class Peer(Protocol):
    """The other end of one connection."""

    @property
    def identity(self) -> Identity:
        """Who it said it is."""
        ...

    @property
    def closed(self) -> bool:
        """Whether the connection has ended; nothing sent to it arrives any more."""
        ...

    def cast(self, message: Any) -> None:
        """Tell it something, one way. A peer that does not take in what it is told is disconnected."""
        ...

    def on_closed(self, callback: Callable[[], None]) -> None:
        """Call back once when the connection ends; at once if it has ended."""
        ...


class Handler(Protocol):
    """Answers what arrives."""

    def request(self, peer: Peer, message: Any, done: Done) -> None:
        """Answer a message: `done` is called exactly once, now or later. What it raises is answered as an error."""
        ...

    def cast(self, peer: Peer, message: Any) -> None:
        """Take note of a one-way message."""
        ...
