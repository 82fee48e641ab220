"""What regions tell one another about items: messages of a link between regions, and to the leader of a partition.

A link is HTTP to the other region's routers (`POST /regions/v1/items`), the bodies are msgpack:

    request   {"source": region name, "tables": [[table name, key digest, [[key, record], ...]], ...]}
    reply     {"now": the receiver's clock as a stamp, "tables": [outcomes (bytes, one an entry) or error, ...]}
              error: [type, message]; the whole table's entries are to be sent again later

`key` is the relative key of an item (the same in every region), `record` what is stored of it: header and JSON, or
the header alone of a tombstone. The key digest says that both regions mean the same key schema. Nothing here is
sent twice on purpose, and everything may be: an entry takes effect only if its version is the greater one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import msgpack

from hashrange.model.table import TableSchema

APPLIED: Final = 0
"""It is stored now."""
OLDER: Final = 1
"""What is stored has the same version or a greater one: nothing to do."""
HELD: Final = 2
"""Its stamp lies too far ahead of the receiver's clock: to be sent again when that has caught up."""
RETRY: Final = 3
"""Not now, for example because a transaction holds the item: to be sent again."""

ITEMS_PATH: Final = "/regions/v1/items"
CONTROL_PATH: Final = "/regions/v1/control"
SIGNING_NAME: Final = "hashrange-regions"

Entry = tuple[bytes, bytes]
"""Relative key and record."""
Batch = tuple[str, bytes, Sequence[Entry]]
"""Table, key digest, entries."""
Outcome = bytes | tuple[str, str]
"""Of the entries of a table, one byte each; or type and message of an error."""


@dataclass(slots=True)
class ApplyReplicated:
    """Versions of items that another region has: each is stored if it is greater than what is here.

    Answer: `ReplicatedOutcome`. `source` is the name of the region that sends.
    """

    partition: int
    epoch: int
    source: str
    entries: list[Entry]


@dataclass(slots=True)
class ReplicatedOutcome:
    """What became of the entries, one byte each (APPLIED, OLDER, HELD, RETRY). `now`: the leader's clock as a stamp."""

    outcomes: bytes
    now: int


def key_digest(key_schema: Sequence[Sequence[str]]) -> bytes:
    """Names one key schema: [name, type] of its attributes, in their order."""
    return blake2b(msgpack.packb([list(part) for part in key_schema]), digest_size=8).digest()


def schema_digest(schema: TableSchema) -> bytes:
    """Names the key schema of a table, as a message about it does."""
    return key_digest([(part.name, part.type) for part in schema.codec.own_parts])


def encode_request(source: str, batches: Sequence[Batch]) -> bytes:
    """The body of a request."""
    packed: bytes = msgpack.packb({"source": source, "tables": batches})
    return packed


def decode_request(body: bytes) -> tuple[str, list[tuple[str, bytes, list[Entry]]]]:
    """Source and batches of a request; ValueError for what is none."""
    try:
        document: Any = msgpack.unpackb(body, use_list=False)
        batches = [
            (name, digest, [(key, record) for key, record in entries])
            for name, digest, entries in document["tables"]
        ]
        source = document["source"]
    except (KeyError, TypeError, ValueError, msgpack.UnpackException) as error:
        raise ValueError(f"no message of a region: {error}") from error
    sound = isinstance(source, str) and all(
        isinstance(name, str)
        and isinstance(digest, bytes)
        and all(isinstance(key, bytes) and isinstance(record, bytes) for key, record in entries)
        for name, digest, entries in batches
    )
    if not sound:
        raise ValueError("no message of a region: a field has the wrong type")
    return source, batches


def encode_reply(now: int, outcomes: Sequence[Outcome]) -> bytes:
    """The body of a reply."""
    packed: bytes = msgpack.packb({"now": now, "tables": outcomes})
    return packed


def decode_reply(body: bytes) -> tuple[int, list[Outcome]]:
    """Clock and outcomes of a reply, in the order of the request's tables; ValueError for what is none."""
    try:
        document: Any = msgpack.unpackb(body, use_list=False)
        now, outcomes = document["now"], list(document["tables"])
    except (KeyError, TypeError, ValueError, msgpack.UnpackException) as error:
        raise ValueError(f"no reply of a region: {error}") from error
    if not isinstance(now, int) or not all(isinstance(each, bytes | tuple) for each in outcomes):
        raise ValueError("no reply of a region: a field has the wrong type")
    return now, outcomes
