"""What the parts of a cache node need of one another, and of the program that joins them.

    wire door ─┐                      ┌─▶ Backend: the tables
               ├─▶ Tier: the caches ──┤
    HTTP door ─┘                      └─▶ Coherence: the other nodes of the cluster

Requests are documents of the DynamoDB API. Where one of a client of the wire protocol has an expression, a
`hashrange.expr.Compiled` stands in the place of its text. Everything is called, and calls back, on the event loop's
thread; what can be answered at once calls back before it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from hashrange.errors import ApiError
from hashrange.model.item_state import ItemState
from hashrange.model.table import TableSchema

Request = dict[str, Any]


class BackendReply(NamedTuple):
    """What an operation was answered with. `states` are what it read, or what its writes have left, item by item.

    `body` is the JSON of the reply. Query, Scan and transactions tell no states.
    """

    body: bytes
    states: Sequence[ItemState]


BackendDone = Callable[["BackendReply | ApiError"], None]


class Backend(Protocol):
    """The tables behind the cache."""

    def table(self, name_or_arn: str) -> TableSchema:
        """A table that can be used now; ResourceNotFoundException otherwise."""
        ...

    def check(self, operation: str, request: Request) -> None:
        """Hold a request against the API's model and rules; raises what the client is to be answered with."""
        ...

    def run(self, operation: str, request: Request, done: BackendDone) -> None:
        """Run a checked operation. Values in the request are brought into canonical form in place.

        `done` is called exactly once, with an ApiError as a client of the API would get it if that is the answer.
        """
        ...


class Change(NamedTuple):
    """A state of an item that the other nodes of the cluster are told of. Tables go by their id.

    `written` is True for what a write through the cache has left, False for what was read to fill it.
    `item_json` is None for an absent item.
    """

    table_id: str
    key: bytes
    item_json: bytes | None
    stamp: int
    written: bool


class Coherence(Protocol):
    """The other nodes, as the tier sees them."""

    def write(self, operation: str, request: Request, done: BackendDone) -> None:
        """Have a write made: here if this node is the primary or there is none to be reached, else by the primary."""
        ...

    def tell(self, changes: Sequence[Change]) -> None:
        """Tell the other nodes, soon and without waiting for anything."""
        ...

    def invalidated(self, keys: Sequence[tuple[str, bytes]]) -> None:
        """Tell the other nodes that these keys, each with its table's id, must not be served from a cache any more."""
        ...


class AttributeLists(Protocol):
    """The registry of attribute lists: ids are global, durable before they are told, and never used again."""

    def id_of(self, names: tuple[str, ...]) -> int | None:
        """The id of a list of names that is known here already."""
        ...

    def names_of(self, list_id: int) -> tuple[str, ...] | None:
        """The names of an id; None if this node has not heard of it."""
        ...

    def define(self, names: tuple[str, ...], done: Callable[[int | ApiError], None]) -> None:
        """Find or make the id of a list. LimitExceededException when there are too many lists."""
        ...

    def fetch(self, list_id: int, done: Callable[[tuple[str, ...] | ApiError], None]) -> None:
        """The names of an id, also of one made elsewhere a moment ago; a validation error if there is none."""
        ...
