"""What UpdateTable and DeleteTable admit while the table is busy with an earlier change.

Settings are admitted one by one, not by the state of the table as a whole: deletion protection may be set
while an index is filled, throughput may not be changed then. The texts name what is in the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hashrange.errors import limit_exceeded, validation
from hashrange.model.table_document import (
    ACTIVE,
    CREATING,
    DELETING,
    TableDocument,
    find_global_index,
)
from hashrange_router.api.tables_plan import check_settled, in_use

ONE_INDEX_AT_A_TIME = (
    "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
)


def check_update_admitted(document: TableDocument, request: Mapping[str, Any]) -> None:
    """ResourceInUseException or LimitExceededException when the table's state does not allow the request."""
    check_settled(document)
    _check_while_settings_arrive(document)
    _check_while_stream_changes(document, request)
    _check_index_actions(document, request.get("GlobalSecondaryIndexUpdates") or ())
    _check_while_index_changes(document, request)


def check_delete_admitted(document: TableDocument) -> None:
    """Whether the table may be deleted now: not while it is changed, and not when it is protected."""
    check_settled(document)
    if document["DeletionProtectionEnabled"]:
        raise validation(
            "Resource cannot be deleted as it is currently protected against deletion. "
            "Disable deletion protection first."
        )
    if any(index["Status"] != ACTIVE for index in document["GlobalSecondaryIndexes"]):
        raise in_use("Cannot delete table while indexes are being created, updated, or deleted.")
    if "StreamChanging" in document:
        raise in_use("Cannot delete table while stream is being enabled/disabled.")


def _check_while_settings_arrive(document: TableDocument) -> None:
    """A change of a global table's settings that was made in another region is being made here."""
    if "indexes" in document.get("Replication", {}).get("Applying", ()):
        raise in_use(f"Table is being updated: {document['TableName']}")


def _changes_units(request: Mapping[str, Any]) -> bool:
    return bool(request.get("ProvisionedThroughput") or request.get("BillingMode"))


def _check_while_stream_changes(document: TableDocument, request: Mapping[str, Any]) -> None:
    operation = document.get("StreamChanging")
    if operation is None:
        return
    table = document["TableName"]
    where = f"Table: {table} Stream: {document['LatestStreamLabel']} Operation: {operation}"
    if request.get("StreamSpecification") is not None:
        raise in_use(f"A stream status change is currently in progress. {where}")
    if _changes_units(request):
        raise in_use(f"Can't change table IOPS when stream status is being updated. {where}")
    if request.get("TableClass") is not None:
        raise in_use(f"Can't update table class when stream status is being updated. {where}")
    if request.get("OnDemandThroughput"):
        raise in_use("OnDemandThroughput cannot be updated while stream status update is in progress")
    for update in request.get("GlobalSecondaryIndexUpdates") or ():
        if update.get("Create") or update.get("Delete"):
            raise in_use(f"Can't create or delete an index when stream status is being updated. {where}")


def _check_index_actions(document: TableDocument, updates: Any) -> None:
    """One index is made or removed at a time; one that is being removed can be changed no more."""
    busy = [i["IndexName"] for i in document["GlobalSecondaryIndexes"] if i["Status"] != ACTIVE]
    structural = 0
    for update in updates:
        kind, action = next((k, v) for k, v in update.items() if v is not None)
        name = action["IndexName"]
        index = find_global_index(document, name)
        where = f"Table: {document['TableName']} Index: {name}"
        if index is not None and index["Status"] == DELETING:
            raise in_use(f"Index is being deleted. {where}")
        if kind == "Update":
            if index is not None and index["Status"] == CREATING:
                raise in_use(f"Index is being created. {where}")
            continue
        structural += 1
        cancels = kind == "Delete" and busy == [name]
        if structural > 1 or (busy and not cancels):
            raise limit_exceeded(ONE_INDEX_AT_A_TIME)


def _check_while_index_changes(document: TableDocument, request: Mapping[str, Any]) -> None:
    for index in document["GlobalSecondaryIndexes"]:
        if index["Status"] == ACTIVE:
            continue
        doing, noun = ("created", "creation") if index["Status"] == CREATING else ("deleted", "deletion")
        where = f"Table: {document['TableName']} Indexes: [{index['IndexName']}]"
        if _changes_units(request):
            raise in_use(f"Can't change table IOPS when an index is being {doing}. {where}")
        if request.get("StreamSpecification") is not None:
            raise in_use(f"Can't change stream status when an index is being {doing}. {where}")
        if request.get("OnDemandThroughput"):
            raise in_use(
                f"OnDemandThroughput cannot be updated while index {noun} is in progress "
                f"for indexes: [{index['IndexName']}]"
            )
        if request.get("TableClass") is not None:
            raise in_use(f"Table is being updated: {document['TableName']}")
