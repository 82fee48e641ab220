"""The messages between a router and a node, as plain slotted objects.

A router turns an API request into one or more of these and hands each to a transport together with a
`done` callback. In the embedded server the transport is the node itself (`Node.handle`) and a read is
answered before the call returns; between processes the same objects are encoded into frames. The reply
is given to `done` as is; an `ApiError` given to `done` means that the message failed.

`partition` and `epoch` name the partition and the version of its descriptor that the router knew. Keys
are relative to the partition: hash, partition key, sort key (`hashrange.model.key`). Items travel as the
canonical JSON bytes that are stored, records as those bytes behind the fixed header
(`hashrange.model.record`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from hashrange.errors import ApiError

if TYPE_CHECKING:
    from hashrange.expr import Bound, BoundUpdate, Projection
    from hashrange.model.value import Item
    from hashrange.wire.documents import ChangeDocument
    from hashrange.wire.streams import StreamMessage
    from hashrange.wire.transactions import TransactMessage

PUT = 1
DELETE = 2
UPDATE = 3

RETURN_NONE = 0
RETURN_ALL_OLD = 1
RETURN_UPDATED_OLD = 2
RETURN_ALL_NEW = 3
RETURN_UPDATED_NEW = 4
RETURN_IMAGES = 5
"""Of an update: the item before and after, as `images` puts them together."""


class ReadItem:
    """Read one item. Answer: its record (bytes), or None."""

    __slots__ = ("consistent", "epoch", "key", "partition")

    def __init__(self, partition: int, epoch: int, key: bytes, consistent: bool) -> None:
        self.partition = partition
        self.epoch = epoch
        self.key = key
        self.consistent = consistent


class WriteItem:
    """Put, update or delete one item, evaluated at the leader. Answer: `WriteResult`.

    `item_json` and `item_size` are the new item of a PUT. `key_item` holds the key attributes (UPDATE and
    DELETE). `decoded` is the item of `item_json` when the sender has it at hand; it never travels.
    `want_old_on_failure` asks for the stored item in a ConditionalCheckFailedException. `expiry_s` marks
    a deletion by time to live: it takes place only if the item still expires at that second. `request_id` is
    (session, sequence) of a sender that may send the write again: the state machine applies it once. Sequences
    of a session grow; None when the sender never repeats itself.
    """

    __slots__ = (
        "condition",
        "decoded",
        "epoch",
        "expiry_s",
        "item_json",
        "item_size",
        "key",
        "key_item",
        "kind",
        "partition",
        "request_id",
        "returns",
        "update",
        "want_old_on_failure",
    )

    def __init__(self, partition: int, epoch: int, kind: int, key: bytes) -> None:
        self.partition = partition
        self.epoch = epoch
        self.kind = kind
        self.key = key
        self.item_json: bytes = b""
        self.item_size: int = 0
        self.decoded: Item | None = None
        self.key_item: Item | None = None
        self.condition: Bound | None = None
        self.update: BoundUpdate | None = None
        self.returns: int = RETURN_NONE
        self.want_old_on_failure: bool = False
        self.expiry_s: int | None = None
        self.request_id: tuple[int, int] | None = None


class WriteResult:
    """What a write did: item sizes in bytes (0 = no item) before and after, and what to return.

    `attributes` is the JSON of the `Attributes` member, or None. `index_units` lists what each touched
    index consumed, as (LSI or GSI, index name, half units). `stamp` is that of the state which the write left: of
    the item's record, or of the deletion, also where there was nothing to delete; 0 where nobody needs it.
    """

    __slots__ = ("attributes", "index_units", "new_size", "old_size", "stamp")

    def __init__(
        self,
        old_size: int,
        new_size: int,
        attributes: bytes | None = None,
        index_units: list[tuple[str, str, int]] | None = None,
        stamp: int = 0,
    ) -> None:
        self.old_size = old_size
        self.new_size = new_size
        self.attributes = attributes
        self.index_units = index_units
        self.stamp = stamp


def images(old: bytes | None, new: bytes) -> bytes:
    """The JSON of an item before an update (None: there was none) and after it, as one `attributes`."""
    before = old or b""
    return len(before).to_bytes(4, "little") + before + new


def split_images(attributes: bytes) -> tuple[bytes | None, bytes]:
    """What `images` was given."""
    end = 4 + int.from_bytes(attributes[:4], "little")
    return attributes[4:end] or None, attributes[end:]


class ReadRange:
    """Read a run of items or index entries of one partition in key order. Answer: `RangeResult`.

    `space` is 0 for the items themselves (and for a global index, whose entries are the items of its own
    partitions) and 1..5 for a local index. `low` and `high` bound the relative keys, half open. Reading
    stops after `limit` evaluated items (None: no limit) or before `max_bytes` of item data would be
    exceeded. `fetch` names what a local index lacks: the whole item is then read from the table.
    """

    __slots__ = (
        "consistent",
        "count_only",
        "epoch",
        "fetch",
        "filter",
        "high",
        "limit",
        "low",
        "max_bytes",
        "partition",
        "projection",
        "reverse",
        "space",
    )

    def __init__(self, partition: int, epoch: int, space: int, low: bytes, high: bytes) -> None:
        self.partition = partition
        self.epoch = epoch
        self.space = space
        self.low = low
        self.high = high
        self.reverse: bool = False
        self.limit: int | None = None
        self.max_bytes: int = 0
        self.filter: Bound | None = None
        self.projection: Projection | None = None
        self.count_only: bool = False
        self.fetch: bool = False
        self.consistent: bool = True


class RangeResult:
    """Items (JSON bytes) that passed the filter, and how far the read got.

    `size_bytes` is the size of all evaluated entries; `fetched_units_sizes` the sizes of items that had
    to be read from the table besides. `last` is the JSON of the last evaluated entry when the read
    stopped at its limit or its page size, else None: the range is exhausted.
    """

    __slots__ = ("count", "fetched_sizes", "items", "last", "scanned", "size_bytes")

    def __init__(self) -> None:
        self.items: list[bytes] = []
        self.count = 0
        self.scanned = 0
        self.size_bytes = 0
        self.fetched_sizes: list[int] = []
        self.last: bytes | None = None


class WriteEntries:
    """Put or delete entries of a global index, newest stamp wins. Answer: None.

    `entries` are (relative key, record or None for a deletion, stamp): an entry is applied only if the
    stored one is older. A deleted entry leaves no stamp behind, so `fence` is what keeps a delivery that was held up
    on the way from bringing it back: (partition that sends, its leader's term, number of its last change), growing
    with every delivery; what is not above the last one applied changes nothing. None: nothing is sent twice.
    """

    __slots__ = ("entries", "epoch", "fence", "partition")

    def __init__(
        self,
        partition: int,
        epoch: int,
        entries: list[tuple[bytes, bytes | None, int]],
        fence: tuple[int, int, int] | None = None,
    ) -> None:
        self.partition = partition
        self.epoch = epoch
        self.entries = entries
        self.fence = fence


class CollectionSize:
    """Ask for the approximate size of one item collection. Answer: bytes (int)."""

    __slots__ = ("epoch", "partition", "prefix")

    def __init__(self, partition: int, epoch: int, prefix: bytes) -> None:
        self.partition = partition
        self.epoch = epoch
        self.prefix = prefix


class ChangeTable:
    """Compare-and-set of one table's document in the control plane. Answer: the new document.

    `expected` is (TableId, Generation) of the document that the change was planned on, or None when the
    table must not exist. `document` None removes the table. `partition_ids` are the ids that the plan
    took: they must all be unused. A lost race is answered with `ConflictError`.
    """

    __slots__ = ("document", "expected", "name", "partition_ids")

    def __init__(
        self,
        name: str,
        expected: tuple[str, int] | None,
        document: dict[str, Any] | None,
        partition_ids: list[int],
    ) -> None:
        self.name = name
        self.expected = expected
        self.document = document
        self.partition_ids = partition_ids


class TableStatistics:
    """Ask for the counts of a table. Answer: {None or index name: (items, bytes)}."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class WhenSettled:
    """Ask to be told when a table has left CREATING or DELETING. Answer: None.

    A server that shows transient states on purpose answers at once.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class ConflictError(ApiError):
    """The control plane changed since the plan was made: plan again."""

    def __init__(self) -> None:
        super().__init__("InternalServerError", "The catalogue changed meanwhile", status=500)


Message: TypeAlias = (
    "ReadItem | WriteItem | ReadRange | WriteEntries | CollectionSize | ChangeTable | TableStatistics | WhenSettled"
    " | ChangeDocument | StreamMessage | TransactMessage"
)
Done = Callable[[Any], None]


class Transport(Protocol):
    """Carries messages to the node that leads their partition."""

    def send(self, message: Message, done: Done) -> None:
        """Send; `done` is called exactly once, before this returns or in any later tick."""
        ...
