"""The window of applied requests of one group: a write that is sent again is answered, not applied again.

A write carries (session, sequence) of its sender and its entry carries the result too, so every replica knows after
applying which requests were answered, and how. The leader looks a request up before it evaluates it; together with
the requests under way that is enough, because it serves only after applying everything of earlier leaders.

The window is part of the group's state: one record per applied batch, in the batch itself, and one with the floors.

    D partition(8) first raft index(8)   msgpack [stamp, [session, sequence, result, session, ...]]
    D partition(8) 0(8)                  msgpack {session: [floor, stamp]}
    D partition(8) 0(8) number(4)        as the first, taken over from the parent in a split

Old requests leave the window batch by batch. The floor of a session is the highest sequence that left: at or below it
a request is too old to tell whether it was applied, and is refused. Replicas batch differently, so their records
differ, but not what they answer within the time a request may be sent again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgpack
import orjson

from hashrange.errors import ApiError
from hashrange.wire.faults import fault_from
from hashrange.wire.messages import WriteResult
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import Engine, Mutation

KEEP_IDS = 4_096
KEEP_S = 60
KEEP_BYTES = 32 << 20
"""Requests are kept until there are more than KEEP_IDS and they are older than KEEP_S seconds by their stamps.
Results beyond KEEP_BYTES in all leave earlier: whole items that writes returned are not kept without limit."""

MAX_FLOORS = 4_096
FLOOR_KEEP_S = 3_600
"""A session's floor goes an hour after it was last raised, or when there are too many: no request lives so long."""

EVICT_BATCHES = 64
EVICT_SHARE = 8
"""Batches leave so many at a time, and this part of what is kept, as the record of the floors is written each time."""

COPY_IDS = 4_096

_STAMPS_PER_S = 1000 << 16  # stamps are milliseconds and 16 bits of a counter
_FLOORS_AT = (0).to_bytes(8, "big")

_pack = msgpack.Packer(autoreset=True, use_bin_type=True).pack


class TooOld:
    """The type of TOO_OLD."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "TOO_OLD"


TOO_OLD: Final = TooOld()
"""What `RequestWindow.find` says of a request of which it can no longer be known whether it was applied."""

_NOTHING: Literal[b"\xc0"] = b"\xc0"


def encode_result(result: Any) -> bytes:
    """The stored form of what answered a request: a WriteResult, None, or an ApiError."""
    if result.__class__ is WriteResult:
        if result.attributes is None and result.index_units is None:
            packed: bytes = _pack((result.old_size, result.new_size, result.stamp))
        else:
            packed = _pack(
                (result.old_size, result.new_size, result.attributes, result.index_units, result.stamp)
            )
        return packed
    if result is None:
        return _NOTHING
    if isinstance(result, ApiError):
        error = (result.type_name, result.message, result.status, result.namespace, result.message_key)
        document: bytes = _pack({"error": error, "fields": orjson.dumps(result.fields)})
        return document
    raise TypeError(f"no result of a request: {result.__class__.__name__}")


def decode_result(data: bytes) -> WriteResult | ApiError | None:
    """What `encode_result` was given. ValueError or TypeError for other bytes."""
    fields = msgpack.unpackb(data)
    if fields is None:
        return None
    if isinstance(fields, dict):
        type_name, message, status, namespace, message_key = fields["error"]
        error = ApiError(
            type_name,
            message,
            status=status,
            namespace=namespace,
            message_key=message_key,
            fields=orjson.loads(fields["fields"]),
        )
        return fault_from(error)
    if len(fields) == 3:
        return WriteResult(fields[0], fields[1], None, None, fields[2])
    # Logs of versions before the cache tier have results without stamps: of 2 fields, or of 4.
    result = WriteResult(*fields)
    if result.index_units is not None:
        result.index_units = [(kind, name, units) for kind, name, units in result.index_units]
    return result


# Requests applied together: the key of their record, the highest stamp, the bytes of their results, their sessions
# and their sequences. A plain tuple, which the garbage collector need not look into: there are thousands.
_Batch = tuple[bytes, int, int, tuple[int, ...], tuple[int, ...]]


class RequestWindow:
    """The applied requests of one group. Nothing in it is read from anywhere but `load`.

    Applying a batch: `add` for each entry that answers a request, then `flush_batch`, whose mutations belong in
    the engine write of the batch. `dirty` says whether there is anything to flush.
    """

    __slots__ = (
        "_batches",
        "_bytes",
        "_count",
        "_floors",
        "_keep_bytes",
        "_keep_ids",
        "_keep_stamps",
        "_new",
        "_prefix",
        "_sessions",
        "_stamp",
    )

    def __init__(
        self, partition: int, keep_ids: int = KEEP_IDS, keep_s: int = KEEP_S, keep_bytes: int = KEEP_BYTES
    ) -> None:
        self._prefix = keyspace.request_window_prefix(partition)
        self._keep_ids = keep_ids
        self._keep_stamps = keep_s * _STAMPS_PER_S
        self._keep_bytes = keep_bytes
        self._sessions: dict[int, dict[int, bytes]] = {}
        self._batches: deque[_Batch] = deque()
        self._floors: dict[int, tuple[int, int]] = {}
        # Added and not flushed: session, sequence, result, session, ... and the highest stamp.
        self._new: list[Any] = []
        self._stamp = 0
        self._count = self._bytes = 0

    def __len__(self) -> int:
        """How many requests the window knows."""
        return self._count

    @property
    def dirty(self) -> bool:
        """Whether requests were added since the last `flush_batch`."""
        return bool(self._new)

    def find(self, session: int, sequence: int) -> WriteResult | ApiError | TooOld | None:
        """How a request was answered; None when it was not applied, TOO_OLD when that cannot be known.

        An answer that is itself None (of a request without a result) comes as a WriteResult of sizes 0.
        """
        known = self._sessions.get(session)
        if known is not None:
            result = known.get(sequence)
            if result is not None:
                return decode_result(result) or WriteResult(0, 0)
        floor = self._floors.get(session)
        if floor is not None and sequence <= floor[0]:
            return TOO_OLD
        return None

    def add(self, session: int, sequence: int, stamp: int, result: bytes) -> None:
        """A request was applied; `result` is its encoded answer, `stamp` that of its write."""
        known = self._sessions.get(session)
        if known is None:
            known = self._sessions[session] = {}
        known[sequence] = result
        self._new += (session, sequence, result)
        if stamp > self._stamp:
            self._stamp = stamp

    def flush_batch(self, first_index: int, stamp: int) -> list[Mutation]:
        """The mutations that store what was added, and let go of what is old at `stamp`.

        `first_index` is the raft index of the first entry of the group that is applied in the same engine write.
        """
        new = self._new
        mutations: list[Mutation] = []
        if new:
            key = self._prefix + first_index.to_bytes(8, "big")
            mutations.append((key, _pack((self._stamp, new))))
            self._take(key, self._stamp, new)
            self._new = []
            self._stamp = 0
        if self._has_old(stamp):
            self._evict(stamp, mutations)
        return mutations

    def load(self, engine: Engine) -> None:
        """Take over what the engine has."""
        self._sessions, self._batches, self._floors = {}, deque(), {}
        self._new, self._stamp = [], 0
        self._count = self._bytes = 0
        for key, value in engine.scan(self._prefix, self._prefix + b"\xff" * 13):
            if key[9:] == _FLOORS_AT:
                floors = msgpack.unpackb(value, strict_map_key=False)
                self._floors = {session: (floor, stamp) for session, (floor, stamp) in floors.items()}
                continue
            stamp, flat = msgpack.unpackb(value)
            self._take(key, stamp, flat)
            for at in range(0, len(flat), 3):
                self._sessions.setdefault(flat[at], {})[flat[at + 1]] = flat[at + 2]

    def copy_for(self, partition: int) -> tuple[RequestWindow, list[Mutation]]:
        """The window of another partition that knows the same requests, and the mutations that store it.

        For the children of a split. Requests that are added and not flushed yet are part of the copy.
        """
        seconds = self._keep_stamps // _STAMPS_PER_S
        copy = RequestWindow(partition, self._keep_ids, seconds, self._keep_bytes)
        mutations: list[Mutation] = []
        flat: list[Any] = []
        stamp = 0

        def store() -> None:
            key = copy._prefix + _FLOORS_AT + len(mutations).to_bytes(4, "big")
            mutations.append((key, _pack((stamp, flat))))
            copy._take(key, stamp, flat)

        unflushed = _batch_of(b"", self._stamp, self._new)
        for _, highest, _, sessions, sequences in (*self._batches, unflushed):
            for session, sequence in zip(sessions, sequences, strict=True):
                result = self._sessions.get(session, {}).get(sequence)
                if result is not None:
                    flat += (session, sequence, result)
                    copy._sessions.setdefault(session, {})[sequence] = result
            stamp = max(stamp, highest)
            if len(flat) >= 3 * COPY_IDS:
                store()
                flat, stamp = [], 0
        if flat:
            store()
        copy._floors = dict(self._floors)
        if copy._floors:
            mutations.append((copy._prefix + _FLOORS_AT, _pack(copy._floors)))
        return copy, mutations

    # ---- what leaves

    def _take(self, key: bytes, stamp: int, flat: Sequence[Any]) -> None:
        batch = _batch_of(key, stamp, flat)
        self._batches.append(batch)
        self._count += len(batch[3])
        self._bytes += batch[2]

    def _has_old(self, stamp: int) -> bool:
        """Whether it is time to let batches go: enough of them, so that it does not happen all the time."""
        if self._bytes > self._keep_bytes:
            return True
        if self._count <= self._keep_ids + self._keep_ids // EVICT_SHARE:
            return False
        batches = self._batches
        return batches[min(EVICT_BATCHES, len(batches) // 2)][1] + self._keep_stamps < stamp

    def _evict(self, stamp: int, mutations: list[Mutation]) -> None:
        batches = self._batches
        raised: dict[int, int] = {}
        allowed = self._keep_bytes
        if self._bytes > allowed:
            allowed -= allowed // EVICT_SHARE
        while batches:
            key, highest, size, sessions, sequences = batches[0]
            old = self._count > self._keep_ids and highest + self._keep_stamps < stamp
            if not old and self._bytes <= allowed:
                break
            batches.popleft()
            self._count -= len(sessions)
            self._bytes -= size
            mutations.append((key, None))
            for session, sequence in zip(sessions, sequences, strict=True):
                known = self._sessions.get(session)
                if known is not None and known.pop(sequence, None) is not None and not known:
                    del self._sessions[session]
                if sequence > raised.get(session, -1):
                    raised[session] = sequence
        if raised:
            self._raise_floors(raised, stamp)
            mutations.append((self._prefix + _FLOORS_AT, _pack(self._floors)))

    def _raise_floors(self, raised: dict[int, int], stamp: int) -> None:
        floors = self._floors
        for session, sequence in raised.items():
            before = floors.pop(session, None)
            floors[session] = (sequence if before is None else max(before[0], sequence), stamp)
        # In the order in which they were raised last: the oldest first.
        gone: list[int] = []
        for session, (_, since) in floors.items():
            if len(floors) - len(gone) <= MAX_FLOORS and since + FLOOR_KEEP_S * _STAMPS_PER_S >= stamp:
                break
            gone.append(session)
        for session in gone:
            del floors[session]


def _batch_of(key: bytes, stamp: int, flat: Sequence[Any]) -> _Batch:
    """The batch of session, sequence, result, session, ..."""
    if len(flat) == 3:
        return key, stamp, len(flat[2]), (flat[0],), (flat[1],)
    return key, stamp, sum(map(len, flat[2::3])), tuple(flat[0::3]), tuple(flat[1::3])
