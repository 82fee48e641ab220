"""The streams that there are, as the router's view of the catalogue has them.

A table's document lists all its streams so far, the disabled ones included (`Streams`). When a table with streams is
deleted, its document stays for as long as they can be read, under a hidden name (`hashrange.model.deleted_table`). So
a stream is looked up in the documents alone; nothing here asks a node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from hashrange.errors import ApiError, resource_not_found, validation
from hashrange.model.deleted_table import is_deleted, is_deleted_name, original_name
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

Place = tuple[str, tuple[int, ...]]

_STREAM = "/stream/"
_FOUND_MAX = 4096


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


class ListedStream(NamedTuple):
    """A stream in a list. `place` is where it stands there."""

    place: Place
    arn: str
    table_name: str
    label: str


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
        if len(self._found) >= _FOUND_MAX:
            self._found.clear()
        table_arn, label = self._parsed(stream_arn)
        for name, document in self._documents(table_arn.rpartition("/")[2]):
            if document["TableArn"] == table_arn:
                for entry in document["Streams"]:
                    if entry["Label"] == label:
                        stream = _stream(document, entry)
                        self._found[stream_arn] = (document, name, stream)
                        return stream
        raise stream_not_found(stream_arn)

    def listed(self, table_name: str | None = None) -> list[ListedStream]:
        """All streams, or those of the tables that have or had a name: by table name, the newest first."""
        found = [
            ListedStream(place_of(entry["Arn"]), entry["Arn"], original_name(document), entry["Label"])
            for _, document in self._documents(table_name)
            for entry in document["Streams"]
        ]
        return sorted(found)

    def _documents(self, table_name: str | None) -> Iterator[tuple[str, TableDocument]]:
        """The documents of tables, or of those that have or had a name, under the names that they have now."""
        for name, document in self._context.documents.items():
            if is_deleted_name(name):
                if table_name is None or original_name(document) == table_name:
                    yield name, document
            elif name == table_name or (table_name is None and not is_system_table(name)):
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


def place_of(stream_arn: str) -> Place:
    """Where a stream stands in a list: by the ARN of its table, then the newest first, since labels are times.

    Any text has a place, so that a list goes on where a stream was that is gone.
    """
    table_arn, _, label = stream_arn.partition(_STREAM)
    return table_arn, tuple(-ord(character) for character in label)


def _stream(document: TableDocument, entry: dict[str, Any]) -> Stream:
    schema = TableSchema.from_document(document)
    return Stream(
        arn=entry["Arn"],
        label=entry["Label"],
        table_name=original_name(document),
        table_id=document["TableId"],
        view_type=entry["ViewType"],
        status=_status(document, entry),
        created_s=entry["CreatedAt"],
        key_schema=document["KeySchema"],
        codec=schema.codec,
        partitions=schema.partitions,
    )


def _status(document: TableDocument, entry: dict[str, Any]) -> str:
    if is_deleted(document):
        return DISABLED
    changing = document.get("StreamChanging") if entry is document["Streams"][-1] else None
    if "DisabledAt" in entry:
        return DISABLING if changing == "DISABLE" else DISABLED
    return ENABLING if changing == "ENABLE" else ENABLED
