"""What the nodes of a cache cluster say to one another, as bytes: msgpack in the frames of `hashrange.runtime.rpc`.

    HELLO      dialler   who it is, whom it means, a nonce
    CHALLENGE  dialled   who it is, a nonce of its own, and proof that it knows the key (`handshake`)
    PROOF      dialler   the same proof of its own
    WELCOME    dialled   the number of the last change that it has of the dialler
    REFUSED    dialled   why not
    PING       dialler   the nodes that it sees alive
    PONG       dialled   the same, and the number of the last change that it has
    TELL       dialler   changes; the frame's id is the number of the first one
    GOODBYE    dialler   it stops, and has told everything
    FORWARD    dialler   a write to be made; the frame's id names it
    ANSWER     dialled   what came of it

Decoding raises FrameError for bytes that cannot be read, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Final, NamedTuple

import msgpack
import orjson

from hashrange.errors import ApiError
from hashrange.expr.compiled import Compiled
from hashrange.model.item_state import ItemState
from hashrange.model.table import TableSchema
from hashrange.wire.fields import FrameError
from hashrange_dax.contracts import BackendReply, Change, Request

HELLO: Final = 1
CHALLENGE: Final = 2
PROOF: Final = 3
WELCOME: Final = 4
REFUSED: Final = 5
PING: Final = 6
PONG: Final = 7
TELL: Final = 8
GOODBYE: Final = 9
FORWARD: Final = 10
ANSWER: Final = 11

PROTOCOL: Final = 1
"""Version of what is said here; nodes of different versions refuse each other."""

_COMPILED: Final = 1
_LIST: Final = Struct(">BI")
"""The head of a list in msgpack, whatever its length."""
_FILL, _WRITTEN, _INVALID = range(3)

Key = tuple[str, bytes]


class Hello(NamedTuple):
    """Who dials: its cluster, its id and process, the id of the node that it means, and a nonce."""

    protocol: int
    cluster: str
    node_id: str
    process: str
    expected: str
    nonce: bytes


class Challenge(NamedTuple):
    """Who answers, a nonce, and its proof."""

    node_id: str
    process: str
    nonce: bytes
    proof: bytes


def pack(*values: Any) -> bytes:
    """Plain values, to be read with `unpack`."""
    data: bytes = msgpack.packb(values)
    return data


def unpack(data: bytes, *kinds: type) -> list[Any]:
    """Plain values, each of the kind expected."""
    try:
        values = msgpack.unpackb(data)
    except (ValueError, msgpack.UnpackException) as error:
        raise FrameError(f"unreadable values: {error}") from None
    if not isinstance(values, list) or len(values) != len(kinds):
        raise FrameError("other values than expected")
    for value, kind in zip(values, kinds, strict=True):
        if not isinstance(value, kind) or isinstance(value, bool):
            raise FrameError("values of other kinds than expected")
    return values


def decode_hello(data: bytes) -> Hello:
    """The inverse of `pack(*hello)`."""
    return Hello(*unpack(data, int, str, str, str, str, bytes))


def decode_challenge(data: bytes) -> Challenge:
    """The inverse of `pack(*challenge)`."""
    return Challenge(*unpack(data, str, str, bytes, bytes))


def decode_names(data: bytes) -> list[str]:
    """Names of nodes, packed one after the other."""
    try:
        names = msgpack.unpackb(data)
    except (ValueError, msgpack.UnpackException) as error:
        raise FrameError(f"unreadable names: {error}") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise FrameError("names of other kinds than expected")
    return names


# ---- changes


def encode_change(change: Change) -> bytes:
    """One change, as it stands in the log and in a TELL."""
    table_id, key, item_json, stamp, written = change
    data: bytes = msgpack.packb((_WRITTEN if written else _FILL, table_id, key, item_json, stamp))
    return data


def encode_invalid(key: Key) -> bytes:
    """One key that must not be served any more, as it stands in the log and in a TELL."""
    data: bytes = msgpack.packb((_INVALID, key[0], key[1], None, 0))
    return data


def encode_tell(entries: bytes, count: int) -> bytes:
    """So many entries of the log, joined, as they are told."""
    return _LIST.pack(0xDD, count) + entries


def decode_tell(data: bytes, skip: int) -> tuple[int, list[tuple[list[Change], list[Key]]]]:
    """What is in a TELL, without the first `skip`, in its order: runs of changes or, in the second place, of keys.

    The number that comes first counts all of it.
    """
    runs: list[tuple[list[Change], list[Key]]] = []
    before: bool | None = None
    try:
        entries = msgpack.unpackb(data, use_list=False)
        for kind, table_id, key, item_json, stamp in entries[skip:]:
            invalid = kind == _INVALID
            if invalid is not before:
                runs.append(([], []))
                before = invalid
            if invalid:
                runs[-1][1].append((table_id, key))
            else:
                runs[-1][0].append(Change(table_id, key, item_json, stamp, kind == _WRITTEN))
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise FrameError(f"unreadable changes: {error}") from None
    return len(entries), runs


# ---- forwarded writes


def _portable(value: Any) -> Any:
    if isinstance(value, Compiled):
        return msgpack.ExtType(_COMPILED, msgpack.packb(value.to_portable()))
    if isinstance(value, (tuple, list)):
        return list(value)
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"a {type(value).__name__} in a request")


def _restored(code: int, data: bytes) -> Any:
    if code != _COMPILED:
        raise ValueError(f"an extension of type {code}")
    return Compiled.from_portable(msgpack.unpackb(data))


def encode_forward(operation: str, request: Request) -> bytes:
    """A write. Expressions that are compiled already stay so."""
    data: bytes = msgpack.packb((operation, request), default=_portable, strict_types=True)
    return data


def decode_forward(data: bytes) -> tuple[str, Request]:
    """The inverse of `encode_forward`."""
    try:
        operation, request = msgpack.unpackb(data, ext_hook=_restored, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise FrameError(f"an unreadable write: {error}") from None
    if not isinstance(operation, str) or not isinstance(request, dict):
        raise FrameError("a write of another form than expected")
    return operation, request


def encode_answer(answer: BackendReply | ApiError | None) -> bytes:
    """What came of a forwarded write. None: nothing was done, and it may be made elsewhere."""
    data: bytes
    if answer is None:
        data = msgpack.packb(None)
    elif isinstance(answer, ApiError):
        data = msgpack.packb(
            (
                answer.type_name,
                answer.message,
                answer.status,
                answer.namespace,
                answer.message_key,
                orjson.dumps(answer.fields) if answer.fields is not None else None,
                answer.item_size,
            )
        )
    else:
        states = [(s.table.name, s.table.table_id, s.key, s.item_json, s.stamp) for s in answer.states]
        data = msgpack.packb((answer.body, states))
    return data


def decode_answer(
    data: bytes, table_of: Callable[[str, str], TableSchema | None]
) -> BackendReply | ApiError | None:
    """The inverse of `encode_answer`. States of tables that `table_of(name, id)` does not know are left out."""
    try:
        parts = msgpack.unpackb(data, use_list=False)
        if parts is None:
            return None
        if len(parts) == 2:
            return BackendReply(parts[0], _states(parts[1], table_of))
        type_name, message, status, namespace, message_key, fields, item_size = parts
        failure = ApiError(
            type_name,
            message,
            status=status,
            namespace=namespace,
            message_key=message_key,
            fields=_fields(fields) if fields is not None else None,
        )
        failure.item_size = item_size
        return failure
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise FrameError(f"an unreadable answer: {error}") from None


def _states(
    parts: Sequence[tuple[str, str, bytes, bytes | None, int]],
    table_of: Callable[[str, str], TableSchema | None],
) -> list[ItemState]:
    states: list[ItemState] = []
    for name, table_id, key, item_json, stamp in parts:
        table = table_of(name, table_id)
        if table is not None:
            states.append(ItemState(table, key, item_json, stamp))
    return states


def _fields(data: bytes) -> dict[str, Any]:
    """The further members of an error. An item is stored JSON again, as it was."""
    fields: dict[str, Any] = orjson.loads(data)
    if "Item" in fields:
        fields["Item"] = orjson.Fragment(orjson.dumps(fields["Item"]))
    for reason in fields.get("CancellationReasons", ()):
        if isinstance(reason, dict) and "Item" in reason:
            reason["Item"] = orjson.Fragment(orjson.dumps(reason["Item"]))
    return fields
