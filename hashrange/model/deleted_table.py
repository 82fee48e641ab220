"""Tables that were deleted and whose streams may still be read: how their documents are named, and what is in them.

DeleteTable frees the name at once, but a stream stays readable for as long as its records are kept. So the document
of a table with such a stream moves, in the change that frees its name, to a hidden name made from the table's id, and
its partitions and their shards stay. It is dropped when the last of its streams has passed its time.

A document that has moved is ACTIVE, has no indexes, no stream that is on, and the `TableArn`, `Streams`,
`AttributeDefinitions` and `KeySchema` of the table it was. Whoever lists streams takes these documents besides those
of tables (`is_deleted`), and shows their table as `original_name` says. Its partitions take reads of streams and
nothing else.
"""

from __future__ import annotations

from typing import Any

from hashrange.model.table_document import ACTIVE, TableDocument, revised, timestamp

DELETED_PREFIX = "$deleted/"
"""No client can name such a table: neither `$` nor `/` is a character of a table name."""


def deleted_name(table_id: str) -> str:
    """The hidden name of the deleted table with this id."""
    return DELETED_PREFIX + table_id


def is_deleted(document: TableDocument) -> bool:
    """Whether a document is that of a deleted table."""
    return is_deleted_name(document["TableName"])


def is_deleted_name(name: str) -> bool:
    """Whether a name is the hidden name of a deleted table."""
    return name.startswith(DELETED_PREFIX)


def original_name(document: TableDocument) -> str:
    """The name that a table was made with, also after it was deleted: as its ARN, and those of its streams, say."""
    if not is_deleted(document):
        return str(document["TableName"])
    return str(document["TableArn"]).rpartition(":table/")[2]


def retained(stream: dict[str, Any], now: float, retention_s: float) -> bool:
    """Whether one of a document's `Streams` is still on, or may have records: off for less than `retention_s`."""
    disabled = stream.get("DisabledAt")
    return disabled is None or bool(now < disabled + retention_s)


def retires(document: TableDocument, now: float, retention_s: float) -> bool:
    """Whether a table that is being deleted has to leave streams behind."""
    return any(retained(stream, now, retention_s) for stream in document["Streams"])


def retired(document: TableDocument, now: float, retention_s: float) -> TableDocument:
    """The document of a deleted table, under its hidden name: its stream is off since `now`."""
    new = revised(document)
    new["TableName"] = deleted_name(document["TableId"])
    new["Status"] = ACTIVE
    new["GlobalSecondaryIndexes"] = []
    new["LocalSecondaryIndexes"] = []
    new["TimeToLive"] = {}
    new["Tags"] = {}
    new.pop("StreamSpecification", None)
    new.pop("StreamChanging", None)
    new.pop("Replication", None)
    for stream in new["Streams"]:
        stream.setdefault("DisabledAt", timestamp(now))
    new["Streams"] = [stream for stream in new["Streams"] if retained(stream, now, retention_s)]
    return new


def forgets_at(document: TableDocument, retention_s: float) -> float | None:
    """When the next of a document's streams has passed its time (epoch seconds); None while none will."""
    ends = [stream["DisabledAt"] + retention_s for stream in document["Streams"] if "DisabledAt" in stream]
    return min(ends, default=None)


def streams_forgotten(document: TableDocument, now: float, retention_s: float) -> TableDocument | None:
    """The document without the streams that have passed their time; the same object when there are none.

    None when it was kept for its streams alone and the last one is gone: the table is to be dropped.
    """
    kept = [stream for stream in document["Streams"] if retained(stream, now, retention_s)]
    if is_deleted(document) and not kept:
        return None
    if len(kept) == len(document["Streams"]):
        return document
    new = revised(document)
    new["Streams"] = kept
    return new
