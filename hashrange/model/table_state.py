"""What happens to a table after a request was accepted: the transitions that the control plane reports.

The router's planning functions start a change (a table CREATING, an index CREATING or DELETING, a stream
being switched, a table DELETING); the control plane carries it out on the nodes and then calls the function
here that finishes it. Each takes a document and returns the next one, or the same object when there is
nothing to do: a report may arrive twice, or after the table has moved on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hashrange.model.table_document import (
    ACTIVE,
    CREATING,
    DELETING,
    HASH_MAX,
    HASH_MIN,
    PAY_PER_REQUEST,
    TableDocument,
    find_global_index,
    revised,
    timestamp,
    used_attributes,
)


def table_activated(document: TableDocument, now: float) -> TableDocument:
    """The table's partitions are in place: CREATING becomes ACTIVE, and all of its indexes with it."""
    if document["Status"] != CREATING:
        return document
    new = revised(document)
    new["Status"] = ACTIVE
    if new["BillingMode"] == PAY_PER_REQUEST:
        new["BillingModeSummary"] = {"LastUpdateToPayPerRequestDateTime": timestamp(now)}
    for index in new["GlobalSecondaryIndexes"]:
        index["Status"] = ACTIVE
    return new


def index_activated(document: TableDocument, name: str, now: float) -> TableDocument:
    """The index `name` is filled: CREATING becomes ACTIVE, and the table is ACTIVE again."""
    index = find_global_index(document, name)
    if index is None or index["Status"] != CREATING or document["Status"] == CREATING:
        return document
    new = revised(document)
    filled = _index(new, name)
    filled["Status"] = ACTIVE
    filled.pop("Backfilling", None)
    filled["ActiveSince"] = timestamp(now)
    return new


def index_removed(document: TableDocument, name: str) -> TableDocument:
    """The data of the index `name` is gone: its entry goes, and the definitions only it used go with it."""
    index = find_global_index(document, name)
    if index is None or index["Status"] != DELETING:
        return document
    new = revised(document)
    new["GlobalSecondaryIndexes"] = [i for i in new["GlobalSecondaryIndexes"] if i["IndexName"] != name]
    used = used_attributes(new)
    new["AttributeDefinitions"] = [d for d in new["AttributeDefinitions"] if d["AttributeName"] in used]
    return new


def replica_filled(document: TableDocument, region: str) -> TableDocument:
    """The replica in another region has everything that was here: it is ACTIVE, if it was being created."""
    replication = document.get("Replication")
    replica = replication["Replicas"].get(region) if replication is not None else None
    if replica is None or replica["Filled"]:
        return document
    new = revised(document)
    filled = new["Replication"]["Replicas"][region]
    filled["Filled"] = True
    if filled["Status"] == CREATING:
        filled["Status"] = ACTIVE
    return new


def stream_settled(document: TableDocument) -> TableDocument:
    """Every node has switched the table's stream on or off: the table is ACTIVE again."""
    if "StreamChanging" not in document:
        return document
    new = revised(document)
    del new["StreamChanging"]
    return new


def warmed(document: TableDocument, index_name: str | None, read: int, write: int) -> TableDocument:
    """A table on demand, or its index `index_name`, has grown: it is warm for so many units a second at least."""
    owner = document if index_name is None else find_global_index(document, index_name)
    busy = document["Status"] != ACTIVE or document["BillingMode"] != PAY_PER_REQUEST
    if busy or owner is None or (read <= owner["Warm"]["Read"] and write <= owner["Warm"]["Write"]):
        return document
    new = revised(document)
    warm = (new if index_name is None else _index(new, index_name))["Warm"]
    warm["Read"], warm["Write"] = max(warm["Read"], read), max(warm["Write"], write)
    return new


def partitions_replaced(
    document: TableDocument, index_name: str | None, partitions: Sequence[dict[str, int]]
) -> TableDocument:
    """A split or a merge: `partitions` replace all partitions of the table, or of its index `index_name`.

    They must be ascending and cover the whole range without a gap; anything else is a fault of the caller.
    """
    expected = HASH_MIN
    for partition in partitions:
        assert partition["lo"] == expected and partition["hi"] >= expected, (
            "partitions leave a gap or overlap"
        )
        expected = partition["hi"] + 1
    assert expected == HASH_MAX + 1, "partitions do not reach the end of the hash range"
    new = revised(document)
    owner = new if index_name is None else _index(new, index_name)
    owner["Partitions"] = [dict(partition) for partition in partitions]
    return new


def _index(document: TableDocument, name: str) -> dict[str, Any]:
    index = find_global_index(document, name)
    assert index is not None, f"no global secondary index {name}"
    return index
