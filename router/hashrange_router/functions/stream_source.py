"""Which event sources a mapping may have: the streams of tables of this server, as their documents tell them."""

from __future__ import annotations

import re
from collections.abc import Callable

from hashrange.model.table_document import TableDocument
from hashrange_router.functions.errors import invalid
from hashrange_router.functions.names import Names

_STREAM = re.compile(
    r"arn:aws[a-zA-Z-]*:dynamodb:([a-z0-9-]+):(\d{12}):table/([a-zA-Z0-9_.-]+)/stream/(.+)\Z"
)


def check_source(arn: str | None, names: Names, table: Callable[[str], TableDocument | None]) -> None:
    """An event source must be a stream that is on; InvalidParameterValueException otherwise."""
    if not arn:
        raise invalid("EventSourceArn is required: the ARN of a stream of a table")
    found = _STREAM.match(arn)
    if found is None:
        raise invalid(
            f"Unrecognized event source. This server has streams of DynamoDB tables as event sources only: {arn}"
        )
    region, account, name, label = found.groups()
    document = table(name) if (region, account) == (names.region, names.account) else None
    for stream in document["Streams"] if document is not None else ():
        if stream["Label"] == label and "DisabledAt" not in stream:
            return
    raise invalid(f"Stream not found: {arn}")
