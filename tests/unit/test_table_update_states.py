"""UpdateTable and DeleteTable on tables that are busy, protected or being deleted."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_router.api.tables import delete_table, describe_table
from hashrange_router.api.tables_describe import NO_STATISTICS, TableStatistics, describe
from hashrange_router.api.tables_plan import DeleteIndex, DropTable

from hashrange.errors import ApiError
from hashrange.model.table_document import TableDocument
from hashrange.model.table_state import (
    index_activated,
    index_removed,
)
from tests.unit.table_support import (
    ARN,
    NOW,
    SITE,
    Tables,
    active,
    create,
    refused,
)
from tests.unit.table_update_support import (
    IN_USE,
    ONE_INDEX,
    STREAM,
    adding,
    gsi,
    shown,
    update,
    with_index,
)

CREATING = create()
DELETING = {**active(), "Status": "DELETING"}
FILLING = update(with_index(), **adding()).document
REMOVING = update(with_index(), GlobalSecondaryIndexUpdates=[gsi("Delete", "gsi1")]).document
SWITCHING = update(active(), StreamSpecification=STREAM).document
SWITCH = "Table: tbl Stream: 2026-09-21T14:14:20.123 Operation: ENABLE"
MAXIMUM = {"OnDemandThroughput": {"MaxReadRequestUnits": 1}}

STATE_ERRORS: list[tuple[TableDocument, dict[str, Any], str]] = [
    (CREATING, {"DeletionProtectionEnabled": True}, "Table is being created: tbl"),
    (DELETING, {"DeletionProtectionEnabled": True}, "Table is being deleted: tbl"),
    (
        FILLING,
        {"BillingMode": "PAY_PER_REQUEST"},
        "Can't change table IOPS when an index is being created. Table: tbl Indexes: [gsi2]",
    ),
    (
        FILLING,
        {"StreamSpecification": STREAM},
        "Can't change stream status when an index is being created. Table: tbl Indexes: [gsi2]",
    ),
    (
        FILLING,
        MAXIMUM,
        "OnDemandThroughput cannot be updated while index creation is in progress for indexes: [gsi2]",
    ),
    (FILLING, {"TableClass": "STANDARD"}, "Table is being updated: tbl"),
    (
        REMOVING,
        {"GlobalSecondaryIndexUpdates": [gsi("Delete", "gsi1")]},
        "Index is being deleted. Table: tbl Index: gsi1",
    ),
    (REMOVING, adding("gsi1"), "Index is being deleted. Table: tbl Index: gsi1"),
    (
        REMOVING,
        MAXIMUM,
        "OnDemandThroughput cannot be updated while index deletion is in progress for indexes: [gsi1]",
    ),
    (
        SWITCHING,
        {"StreamSpecification": STREAM},
        f"A stream status change is currently in progress. {SWITCH}",
    ),
    (
        SWITCHING,
        {"BillingMode": "PAY_PER_REQUEST"},
        f"Can't change table IOPS when stream status is being updated. {SWITCH}",
    ),
    (
        SWITCHING,
        {"TableClass": "STANDARD"},
        f"Can't update table class when stream status is being updated. {SWITCH}",
    ),
    (
        SWITCHING,
        adding(),
        f"Can't create or delete an index when stream status is being updated. {SWITCH}",
    ),
    (SWITCHING, MAXIMUM, "OnDemandThroughput cannot be updated while stream status update is in progress"),
]


@pytest.mark.parametrize(("document", "members", "detail"), STATE_ERRORS)
def test_a_busy_table_refuses(document: TableDocument, members: dict[str, Any], detail: str) -> None:
    assert refused(update, document, **members) == ("ResourceInUseException", IN_USE + detail)


@pytest.mark.parametrize("document", [FILLING, REMOVING])
def test_a_second_index_waits_for_the_first(document: TableDocument) -> None:
    assert refused(update, document, **adding("gsi3")) == ("LimitExceededException", ONE_INDEX)


@pytest.mark.parametrize("document", [FILLING, REMOVING, SWITCHING])
def test_a_busy_table_admits_what_is_not_in_the_way(document: TableDocument) -> None:
    plan = update(document, DeletionProtectionEnabled=True)
    assert plan.document["DeletionProtectionEnabled"]
    assert shown(plan)["TableStatus"] == "UPDATING"
    assert update(document, SSESpecification={"Enabled": True}).changed


def test_an_index_being_filled_may_be_deleted() -> None:
    plan = update(FILLING, GlobalSecondaryIndexUpdates=[gsi("Delete", "gsi2")])
    assert plan.actions == (DeleteIndex("gsi2"),)
    assert index_activated(plan.document, "gsi2", NOW) is plan.document


@pytest.mark.parametrize(
    ("document", "detail"),
    [
        (CREATING, "Table is being created: tbl"),
        (DELETING, "Table is being deleted: tbl"),
        (FILLING, "Cannot delete table while indexes are being created, updated, or deleted."),
        (REMOVING, "Cannot delete table while indexes are being created, updated, or deleted."),
        (SWITCHING, "Cannot delete table while stream is being enabled/disabled."),
    ],
)
def test_a_busy_table_is_not_deleted(document: TableDocument, detail: str) -> None:
    tables = Tables({"tbl": document})
    assert refused(delete_table, {"TableName": "tbl"}, tables, SITE, now=NOW) == (
        "ResourceInUseException",
        IN_USE + detail,
    )


def test_a_protected_table_is_not_deleted() -> None:
    tables = Tables({"tbl": active(DeletionProtectionEnabled=True)})
    assert refused(delete_table, {"TableName": ARN}, tables, SITE, now=NOW) == (
        "ValidationException",
        "Resource cannot be deleted as it is currently protected against deletion. "
        "Disable deletion protection first.",
    )


def test_a_deleted_table_shows_neither_keys_nor_indexes() -> None:
    tables = Tables({"tbl": with_index(StreamSpecification=STREAM)})
    statistics = TableStatistics(3, 99, {"gsi1": (2, 50)})
    plan = delete_table({"TableName": "tbl"}, tables, SITE, now=NOW, statistics=lambda _: statistics)
    assert plan.actions == (DropTable(),)
    description = shown(plan)
    assert set(description) == {
        "TableName",
        "TableId",
        "TableArn",
        "TableStatus",
        "ProvisionedThroughput",
        "BillingModeSummary",
        "ItemCount",
        "TableSizeBytes",
        "DeletionProtectionEnabled",
        "StreamSpecification",
        "LatestStreamArn",
        "LatestStreamLabel",
    }
    assert (description["TableStatus"], description["ItemCount"]) == ("DELETING", 3)
    again = describe_table({"TableName": "tbl"}, Tables({"tbl": plan.document}), SITE, now=NOW)
    assert again["Table"]["TableStatus"] == "DELETING"
    assert "KeySchema" not in again["Table"]


def test_statistics_reach_the_table_and_each_index() -> None:
    tables = Tables({"tbl": with_index()})
    statistics = TableStatistics(5, 1000, {"gsi1": (4, 400), "local": (3, 300)})
    reply = describe_table({"TableName": "tbl"}, tables, SITE, now=NOW, statistics=lambda _: statistics)
    table = reply["Table"]
    assert (table["ItemCount"], table["TableSizeBytes"]) == (5, 1000)
    for kind, sizes in (("GlobalSecondaryIndexes", (4, 400)), ("LocalSecondaryIndexes", (3, 300))):
        entry = table[kind][0]
        assert (entry["ItemCount"], entry["IndexSizeBytes"]) == sizes
    assert table["GlobalSecondaryIndexes"][0]["WarmThroughput"] == {
        "ReadUnitsPerSecond": 12000,
        "WriteUnitsPerSecond": 4000,
        "Status": "ACTIVE",
    }


def test_a_refused_update_leaves_the_document_alone() -> None:
    document = with_index()
    before = repr(document)
    with pytest.raises(ApiError):
        update(document, GlobalSecondaryIndexUpdates=[gsi("Delete", "ghost")])
    update(document, DeletionProtectionEnabled=True)
    update(document, **adding())
    assert repr(document) == before


def test_the_last_index_leaves_no_empty_list() -> None:
    document = update(with_index(), GlobalSecondaryIndexUpdates=[gsi("Delete", "gsi1")]).document
    description = describe(index_removed(document, "gsi1"), statistics=NO_STATISTICS, now=NOW)
    assert "GlobalSecondaryIndexes" not in description
    assert len(description["LocalSecondaryIndexes"]) == 1
