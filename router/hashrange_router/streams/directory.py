"""The streams that there are, as the router's view of the catalogue has them.

A table's document lists all its streams so far, the disabled ones included (`Streams`). When a table with streams is
deleted, its document stays for as long as they can be read, under a name of the system: `$deleted/<table id>`. So a
stream is looked up in the documents alone; nothing here asks a node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hashrange.errors import ApiError, resource_not_found, validation
from hashrange.model.key import KeyCodec
from hashrange.model.ledger import is_system_table
from hashrange.model.table import Partitions, TableSchema
from hashrange.model.table_arn import access_denied, resolve_resource_name
from hashrange.model.table_document import TableDocument
from hashrange_router.api.context import RouterContext

ENABLING = "ENABLING"
ENABLED = "ENABLED"
DISABLING = "DISABLING"
DISABLED = "DISABLED"

DELETED_PREFIX = "$deleted/"
"""Documents of deleted tables whose streams can still be read have names that begin with this."""

_STREAM = "/stream/"


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """One stream of one table. `created_s`: epoch seconds. `codec` is that of the table's keys.

    `partitions` own the table's hashes by the document that this was made from; a split may have come since.
    """

    arn: str
    label: str
    table_name: str
    table_id: str
    view_type: str
    status: str
    created_s: float
    key_schema: list[dict[str, str]]
    codec: KeyCodec
    partitions: Partitions


class StreamDirectory:
    """Finds streams for one router or pool."""

    def __init__(self, context: RouterContext) -> None:
        self._context = context
        self._found: dict[str, tuple[TableDocument, str, Stream]] = {}

    def get(self, stream_arn: str) -> Stream:
        """The stream that an ARN names, as it is now.

        ValidationException for a text that is no ARN of a stream, ResourceNotFoundException when there is none.
        """
        found = self._found.get(stream_arn)
        if found is not None:
            document, name, stream = found
            if self._context.documents.get(name) is document:
                return stream
            del self._found[stream_arn]
        table_arn, label = self._parsed(stream_arn)
        for name, document in self._documents():
            if document["TableArn"] == table_arn:
                for entry in document["Streams"]:
                    if entry["Label"] == label:
                        stream = _stream(name, document, entry)
                        self._found[stream_arn] = (document, name, stream)
                        return stream
        raise stream_not_found(stream_arn)

    def all(self, table_name: str | None = None) -> list[Stream]:
        """All streams, or those of the tables that have or had a name: by table name, the newest first."""
        found = [
            _stream(name, document, entry)
            for name, document in self._documents()
            if table_name is None or table_name_of(document) == table_name
            for entry in document["Streams"]
        ]
        # Labels are times: reversed, they put the newest first; names stay ascending because sorting is stable.
        found.sort(key=lambda stream: (stream.label, stream.arn), reverse=True)
        found.sort(key=lambda stream: stream.table_name)
        return found

    def _documents(self) -> Iterator[tuple[str, TableDocument]]:
        for name, document in self._context.documents.items():
            if not is_system_table(name) or name.startswith(DELETED_PREFIX):
                yield name, document

    def _parsed(self, stream_arn: str) -> tuple[str, str]:
        """(ARN of the table, label); ValidationException for what names no stream of this site."""
        table_arn, separator, label = stream_arn.partition(_STREAM)
        site = self._context.site
        try:
            known = separator and label and resolve_resource_name(table_arn, site.region, site.account)
        except ApiError as error:
            if error.type_name == access_denied().type_name:
                raise
            known = None
        if not known:
            raise validation(f"Invalid StreamArn: {stream_arn}")
        return table_arn, label


def stream_not_found(stream_arn: str) -> ApiError:
    """ResourceNotFoundException for an ARN that names no stream."""
    return resource_not_found(f"Requested resource not found: Stream: {stream_arn} not found")


def table_name_of(document: TableDocument) -> str:
    """The name that a table has, or had before it was deleted: a document's own name may be a hidden one."""
    return str(document["TableArn"]).rpartition("/")[2]


def _stream(name: str, document: TableDocument, entry: dict[str, Any]) -> Stream:
    schema = TableSchema.from_document(document)
    return Stream(
        arn=entry["Arn"],
        label=entry["Label"],
        table_name=table_name_of(document),
        table_id=document["TableId"],
        view_type=entry["ViewType"],
        status=_status(name, document, entry),
        created_s=entry["CreatedAt"],
        key_schema=document["KeySchema"],
        codec=schema.codec,
        partitions=schema.partitions,
    )


def _status(name: str, document: TableDocument, entry: dict[str, Any]) -> str:
    if is_system_table(name):
        return DISABLED
    changing = document.get("StreamChanging") if entry is document["Streams"][-1] else None
    if "DisabledAt" in entry:
        return DISABLING if changing == "DISABLE" else DISABLED
    return ENABLING if changing == "ENABLE" else ENABLED
