"""The messages of transactions between a router, the nodes and the ledger.

A transaction whose items all lie in one partition is one `TransactWrite`: evaluated and committed in one log entry.
Any other is prepared at each partition (`TransactPrepare`), decided by one compare-and-set in the ledger
(`hashrange.model.ledger`) and finished at each partition (`TransactFinish`). `TransactRead` reads several items of
one partition at one point of its log.

Actions are `WriteItem`s; of kind `CHECK` they change nothing but the stamp of the item. Their own `partition`,
`epoch` and `request_id` say nothing: those of the message around them hold.

`txid` (16 bytes) names one run of a transaction. A partition keeps the outcome of a `TransactWrite` under its txid
(its marker) for as long as a client may send the same again, so that the message may be repeated at will.
"""

from __future__ import annotations

from typing import Any

from hashrange.errors import ApiError
from hashrange.wire.messages import WriteItem, WriteResult

CHECK = 4
"""The kind of an action that only checks a condition."""

TXID_BYTES = 16
MARKER_KEEP_S = 600
"""How long a marker stands for its transaction (DynamoDB API Reference, ClientRequestToken: 10 minutes)."""
STALLED_S = 5
"""Age at which a prepared transaction counts as stalled, and anybody may finish it."""
MAX_AHEAD_MS = 500
"""How far a transaction's stamp may lie ahead of the clock of a node that prepares it."""

ITEMS_BYTES_MAX = 4 << 20
"""Bytes of the items in one transaction (DynamoDB API Reference, TransactWriteItems): as it makes or finds them."""
TOO_LARGE = "The aggregate size of the items in the transaction cannot exceed 4 MB"

DONE = 1
REPEATED = 2
REFUSED = 3
LATE = 4
AHEAD = 5
MISMATCH = 6


class TransactWrite:
    """Commit all actions, or none, in one log entry of one partition. Answer: `TransactOutcome`.

    The leader takes the stamp. `digest` is that of the client's request, kept with the marker: the same `txid` with
    another one is answered MISMATCH. A marker older than `MARKER_KEEP_S` counts as none. The marker lies at the
    hash of the first action's key, so that it stays with that item in a split.
    """

    __slots__ = ("actions", "digest", "epoch", "partition", "txid")

    def __init__(
        self, partition: int, epoch: int, txid: bytes, actions: list[WriteItem], digest: bytes = b""
    ) -> None:
        self.partition = partition
        self.epoch = epoch
        self.txid = txid
        self.actions = actions
        self.digest = digest


class TransactPrepare:
    """Lock the items of all actions for a transaction, or none of them. Answer: `TransactOutcome`.

    `stamp` is the transaction's timestamp. Accepted only if every condition holds, no other transaction has an item
    locked, no item was written at or after `stamp`, and no item that is absent was deleted at or after it.
    `marker` is the txid of a `TransactWrite` of the same request, if one may have been sent before a split: where
    its marker is found, the answer is REPEATED. Preparing again what is prepared is answered as the first time.
    """

    __slots__ = ("actions", "epoch", "marker", "partition", "stamp", "txid")

    def __init__(
        self,
        partition: int,
        epoch: int,
        txid: bytes,
        stamp: int,
        actions: list[WriteItem],
        marker: bytes = b"",
    ) -> None:
        self.partition = partition
        self.epoch = epoch
        self.txid = txid
        self.stamp = stamp
        self.actions = actions
        self.marker = marker


class TransactFinish:
    """Carry out (`commit`) or undo what is prepared for a transaction in a partition. Answer: None.

    `hashes` are the hashes (64 bits) of the items concerned, by which the message finds its way after a split. What
    is not locked by `txid` has been finished before: that is no error.
    """

    __slots__ = ("commit", "epoch", "hashes", "partition", "txid")

    def __init__(self, partition: int, epoch: int, txid: bytes, commit: bool, hashes: list[int]) -> None:
        self.partition = partition
        self.epoch = epoch
        self.txid = txid
        self.commit = commit
        self.hashes = hashes


class TransactRead:
    """Read items of one partition, all at the same point of its log, at its leader. Answer: `TransactVersions`."""

    __slots__ = ("epoch", "keys", "partition")

    def __init__(self, partition: int, epoch: int, keys: list[bytes]) -> None:
        self.partition = partition
        self.epoch = epoch
        self.keys = keys


class TransactOutcome:
    """What became of a `TransactWrite` or `TransactPrepare`.

    DONE: committed, or prepared; `results` has a `WriteResult` for each action (what committing will do).
    REPEATED: it was committed here before under its txid (or `marker`); nothing was done now. `results` are those
    of then, as far as they are known (sizes only).
    REFUSED: nothing was done. `results` has an ApiError for each action that stands against it, else None.
    LATE: nothing was done: something was written at or after the stamp. A stamp above `stamp` would do.
    AHEAD: nothing was done: the stamp is too far ahead of this node's clock, which is at `stamp`.
    MISMATCH: nothing was done: the txid was used for another request.
    """

    __slots__ = ("results", "stamp", "verdict")

    def __init__(self, verdict: int, results: list[WriteResult | ApiError | None], stamp: int = 0) -> None:
        self.verdict = verdict
        self.results = results
        self.stamp = stamp


class TransactVersions:
    """Items as one partition has them: for each key its record or None, and whether a transaction has it locked.

    `deletes` grows with every deletion in the partition: an item that is absent in two reads was absent in between
    if it is the same in both, and `partition` too (`partition` is the one that answered).
    """

    __slots__ = ("deletes", "locked", "partition", "records")

    def __init__(self, partition: int, deletes: int, records: list[bytes | None], locked: list[bool]) -> None:
        self.partition = partition
        self.deletes = deletes
        self.records = records
        self.locked = locked


TransactMessage = TransactWrite | TransactPrepare | TransactFinish | TransactRead


def hashes_of(message: Any) -> list[int]:
    """The hashes of all items that a message of a transaction is about, in its order."""
    if message.__class__ is TransactFinish:
        return list(message.hashes)
    keys = message.keys if message.__class__ is TransactRead else [each.key for each in message.actions]
    return [int.from_bytes(key[:8], "big") for key in keys]
