"""Replies of the API made of what the cache tier answers: the JSON that a router would have sent.

Items of the cache are whole; what a request wants of them is taken out here. Bytes that are cached are spliced in and
never decoded, unless there is a projection to apply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from hashrange_dax.cache import CacheStore, ItemEntry, QueryEntry
from hashrange_dax.tier import Answer, Group

from hashrange.expr import Projection
from hashrange.model.value import dump

JsonOf = Callable[[ItemEntry], "bytes | None"]
"""The canonical JSON of a cached item, whichever form it is kept in; None for an absent one."""

_EMPTY = b"{}"


def item_body(json: bytes | None, projection: Projection | None) -> bytes:
    """The reply of a GetItem without ConsumedCapacity."""
    if json is None:
        return _EMPTY
    if projection is not None:
        json = dump(projection.apply(orjson.loads(json)))
    return b'{"Item":' + json + b"}"


def query_body(entry: QueryEntry, store: CacheStore) -> bytes:
    """The reply of a Query or Scan without ConsumedCapacity; kept with the entry for the next time."""
    body = entry.http
    if body is None:
        body = entry.body
        assert body is not None
        if entry.projection is not None:
            document: dict[str, Any] = orjson.loads(body)
            document["Items"] = [entry.projection.apply(item) for item in document["Items"]]
            body = orjson.dumps(document)
        entry.http = body
        store.resized(entry)
    return body


def answer_body(answer: Answer, json_of: JsonOf, store: CacheStore) -> bytes:
    """The reply of any operation."""
    if answer.body is not None:
        return answer.body
    if answer.item is not None:
        body = item_body(json_of(answer.item), answer.projection)
    elif answer.query is not None:
        body = query_body(answer.query, store)
    else:
        body = _batch_body(answer, json_of)
    if answer.consumed is None:
        return body
    comma = b"," if len(body) > 2 else b""
    return body[:-1] + comma + b'"ConsumedCapacity":' + answer.consumed + b"}"


def _batch_body(answer: Answer, json_of: JsonOf) -> bytes:
    tables = [_group_json(group, json_of) for group in answer.groups or ()]
    unprocessed = orjson.dumps(answer.unprocessed or {})
    return b'{"Responses":{' + b",".join(tables) + b'},"UnprocessedKeys":' + unprocessed + b"}"


def _group_json(group: Group, json_of: JsonOf) -> bytes:
    items = []
    for _, entry in group.items:
        json = json_of(entry)
        if json is None:
            continue
        if group.projection is not None:
            json = dump(group.projection.apply(orjson.loads(json)))
        items.append(json)
    return orjson.dumps(group.name) + b":[" + b",".join(items) + b"]"
