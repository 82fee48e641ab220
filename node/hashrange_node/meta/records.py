"""The catalogue's records: their keys in the engine, and their values as JSON.

Cn                 next partition id, decimal
Ct<table name>     table document
Cp<partition, 8B>  placement
CN<node id, 8B>    node record
Cd<kind>0<name>    control document (0 is a NUL), with its generation
Cg                 next generation of a control document, decimal
Cc                 cluster record
Ci                 on nodes outside group 0: the index of group 0 up to which the copy is complete, decimal
Ck                 on nodes that have just joined group 0: the same, until its leader has sent them its state
"""

from __future__ import annotations

from typing import Any

import orjson

from hashrange_node.storage.keyspace import CATALOGUE_PREFIX

NEXT_ID = CATALOGUE_PREFIX + b"n"
TABLE = CATALOGUE_PREFIX + b"t"
PLACEMENT = CATALOGUE_PREFIX + b"p"
NODE = CATALOGUE_PREFIX + b"N"
DOCUMENT = CATALOGUE_PREFIX + b"d"
NEXT_GENERATION = CATALOGUE_PREFIX + b"g"
CLUSTER = CATALOGUE_PREFIX + b"c"
COPIED = CATALOGUE_PREFIX + b"i"
KNOWN = CATALOGUE_PREFIX + b"k"
OWN = (COPIED, KNOWN)
"""What is a node's own, and no part of the catalogue."""
END = bytes((CATALOGUE_PREFIX[0] + 1,))

FIRST_INDEX = 1
"""What the first state of a cluster counts as: group 0's first entry, which changes nothing, has this index."""

Entries = list[tuple[bytes, bytes | None]]


def table_key(name: str) -> bytes:
    """Key of a table's document."""
    return TABLE + name.encode()


def placement_key(partition: int) -> bytes:
    """Key of a partition's placement."""
    return PLACEMENT + partition.to_bytes(8, "big")


def node_key(node: int) -> bytes:
    """Key of a node's record."""
    return NODE + node.to_bytes(8, "big")


def document_key(kind: str, name: str) -> bytes:
    """Key of a control document."""
    return DOCUMENT + kind.encode() + b"\0" + name.encode()


def document_of(key: bytes) -> tuple[str, str]:
    """Kind and name of the control document in a key."""
    kind, _, name = key[2:].partition(b"\0")
    return kind.decode(), name.decode()


def id_of(key: bytes) -> int:
    """The partition or the node in a key."""
    return int.from_bytes(key[2:], "big")


def name_of(key: bytes) -> str:
    """The table in a key."""
    return key[2:].decode()


def dump(record: Any) -> bytes:
    """The stored form of a record."""
    return orjson.dumps(record)


def parse(value: bytes) -> Any:
    """The record of its stored form."""
    return orjson.loads(value)
