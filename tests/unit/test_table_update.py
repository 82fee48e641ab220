"""UpdateTable and DeleteTable: the rules with their exact texts, what changes, and what the reply shows."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_router.api.tables import delete_table, describe_table, update_table
from hashrange_router.api.tables_describe import NO_STATISTICS, describe
from hashrange_router.api.tables_plan import CreateIndex, DeleteIndex, SwitchStream

from hashrange.model.table_document import HASH_MAX, TableDocument
from hashrange.model.table_state import (
    index_activated,
    index_removed,
    stream_settled,
)
from tests.unit.table_support import (
    ARN,
    INVALID,
    NOW,
    SITE,
    Tables,
    active,
    definitions,
    index,
    refused,
)
from tests.unit.table_update_support import (
    DAY,
    MORNING,
    NOTHING,
    ONE_INDEX,
    ONLY,
    REFER,
    STREAM,
    adding,
    gsi,
    provisioned,
    provisioned_with_index,
    shown,
    units,
    update,
    with_index,
)

REQUEST_ERRORS: list[tuple[dict[str, Any], str]] = [
    ({}, NOTHING),
    ({"GlobalSecondaryIndexUpdates": []}, NOTHING),
    ({"AttributeDefinitions": definitions("a")}, NOTHING),
    ({"WarmThroughput": {}, "OnDemandThroughput": {}}, NOTHING),
    (
        {"GlobalSecondaryIndexUpdates": [], "DeletionProtectionEnabled": False},
        INVALID + "List of GlobalSecondaryIndexUpdates is empty",
    ),
    (
        {"VectorIndexUpdates": [{"Delete": {"IndexName": "vec"}}]},
        INVALID + "Vector indexes are not supported by this server yet: VectorIndexUpdates",
    ),
    # One concern a request: encryption, then class, then protection, then warm throughput names the error.
    (
        {"SSESpecification": {}, "TableClass": "STANDARD", "DeletionProtectionEnabled": True},
        INVALID + "Server-Side Encryption" + ONLY,
    ),
    ({"TableClass": "STANDARD", "DeletionProtectionEnabled": True}, INVALID + "TableClass" + ONLY),
    (
        {"DeletionProtectionEnabled": False, "WarmThroughput": {"ReadUnitsPerSecond": 1}},
        INVALID + "DeletionProtection" + ONLY,
    ),
    (
        {"BillingMode": "PAY_PER_REQUEST", "DeletionProtectionEnabled": True},
        INVALID + "DeletionProtection" + ONLY,
    ),
    (
        {"WarmThroughput": {"ReadUnitsPerSecond": 1}, "StreamSpecification": STREAM},
        INVALID + "WarmThroughput must be the only operation in the request",
    ),
    (
        {"WarmThroughput": {"ReadUnitsPerSecond": 1}, **adding()},
        INVALID + "Create global secondary index cannot be specified when updating WarmThroughput",
    ),
    (
        {"OnDemandThroughput": {"MaxReadRequestUnits": 1}, "StreamSpecification": STREAM},
        INVALID + "OnDemandThroughput can only be combined with BillingMode in an UpdateTable request",
    ),
    (
        {"ProvisionedThroughput": units(1, 1), "StreamSpecification": STREAM},
        INVALID + "You cannot modify stream status while updating table IOPS",
    ),
    (
        {"ProvisionedThroughput": units(1, 1), **adding()},
        INVALID + "You cannot create or delete index while updating table IOPS",
    ),
    (
        {"StreamSpecification": STREAM, "GlobalSecondaryIndexUpdates": [gsi("Delete", "gsi1")]},
        INVALID + "You cannot create or delete index while changing stream status",
    ),
    (
        {"BillingMode": "PAY_PER_REQUEST", "ProvisionedThroughput": units(1, 1)},
        INVALID + "ProvisionedThroughput cannot be specified when BillingMode is PAY_PER_REQUEST",
    ),
    (
        {"BillingMode": "PROVISIONED"},
        INVALID + "ProvisionedThroughput must be specified when BillingMode is PROVISIONED",
    ),
    (
        {"ProvisionedThroughput": units(10**12, 10**12 + 1)},
        "Given value 1000000000001 for WriteCapacityUnits is out of bounds",
    ),
    (
        {"StreamSpecification": {"StreamEnabled": True}},
        INVALID + "If stream is being enabled then UpdateViewType is required",
    ),
    (
        {"StreamSpecification": {**STREAM, "StreamEnabled": False}},
        INVALID + "If stream is being disabled, then UpdateViewType must not be specified",
    ),
    (
        {"GlobalSecondaryIndexUpdates": [{}]},
        INVALID + "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
        "GlobalSecondaryIndexUpdate.Delete must not be null",
    ),
    (
        {"GlobalSecondaryIndexUpdates": [{**gsi("Update", "gsi1"), **gsi("Delete", "gsi1")}]},
        INVALID + "Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object",
    ),
    (
        {"GlobalSecondaryIndexUpdates": [gsi("Delete", "gsi1"), gsi("Update", "gsi1")]},
        INVALID + "Only one global secondary index update per index is allowed simultaneously. Index: gsi1",
    ),
    (
        {"GlobalSecondaryIndexUpdates": [gsi("Update", "gsi1", WarmThroughput={})]},
        INVALID + "WarmThroughput must have at least one of ReadUnitsPerSecond or WriteUnitsPerSecond "
        "specified for index: gsi1",
    ),
    (
        {"GlobalSecondaryIndexUpdates": [gsi("Create", "gsi2", "h:c")]},
        INVALID + "AttributeDefinitions is not specified for index: gsi2",
    ),
    (
        {
            "AttributeDefinitions": definitions("d"),
            "GlobalSecondaryIndexUpdates": [gsi("Create", "gsi2", "h:c")],
        },
        INVALID + "Some index key attributes are not defined in AttributeDefinitions. "
        "Keys: [c], AttributeDefinitions: [d]",
    ),
    (adding(projection={}), INVALID + "Unknown ProjectionType: null"),
]


@pytest.mark.parametrize(("members", "message"), REQUEST_ERRORS)
def test_what_the_request_alone_decides_comes_before_the_table(members: dict[str, Any], message: str) -> None:
    for tables in ({}, {"tbl": active()}):
        call = ({"TableName": "tbl", **members}, Tables(tables), SITE)
        assert refused(update_table, *call, now=NOW, next_partition_ids=lambda: 1) == (
            "ValidationException",
            message,
        )


def test_a_missing_table() -> None:
    request = {"TableName": "nope", "DeletionProtectionEnabled": True}
    not_found = ("ResourceNotFoundException", "Requested resource not found: Table: nope not found")
    assert (
        refused(update_table, request, Tables({}), SITE, now=NOW, next_partition_ids=lambda: 1) == not_found
    )
    assert refused(delete_table, request, Tables({}), SITE, now=NOW) == not_found
    assert refused(describe_table, request, Tables({}), SITE, now=NOW) == not_found


TABLE_ERRORS: list[tuple[TableDocument, dict[str, Any], str, str]] = [
    (
        provisioned(),
        {"ProvisionedThroughput": units(10, 10)},
        "ValidationException",
        "The provisioned throughput for the table will not change. The requested value equals the "
        "current value. "
        "Current ReadCapacityUnits provisioned for the table: 10. Requested ReadCapacityUnits: 10. "
        "Current WriteCapacityUnits provisioned for the table: 10. Requested WriteCapacityUnits: 10. "
        "" + REFER,
    ),
    (
        provisioned_with_index(),
        {"GlobalSecondaryIndexUpdates": [gsi("Update", "gsi1", ProvisionedThroughput=units(2, 2))]},
        "ValidationException",
        "The provisioned throughput for the index gsi1 will not change. "
        "The requested value equals the current value. "
        "Current ReadCapacityUnits provisioned for index gsi1: 2. Requested ReadCapacityUnits: 2. "
        "Current WriteCapacityUnits provisioned for index gsi1: 2. Requested WriteCapacityUnits: 2. " + REFER,
    ),
    (
        provisioned(),
        {"ProvisionedThroughput": units(40001, 10)},
        "LimitExceededException",
        "The requested ReadCapacityUnits, 40001, is above the per table maximum for the account in "
        "us-east-1. "
        "Per table maximum: 40000. " + REFER,
    ),
    (
        active(),
        {"ProvisionedThroughput": units(1, 1)},
        "ValidationException",
        INVALID + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified "
        "when BillingMode is PAY_PER_REQUEST",
    ),
    (
        with_index(),
        {"BillingMode": "PROVISIONED", "ProvisionedThroughput": units(1, 1)},
        "ValidationException",
        INVALID + "ProvisionedThroughput must be specified for index: gsi1",
    ),
    (
        provisioned(),
        {"OnDemandThroughput": {"MaxReadRequestUnits": 5}},
        "ValidationException",
        INVALID + "MaxReadRequestUnits for OnDemandThroughput cannot be specified "
        "when the table BillingMode is PROVISIONED",
    ),
    (
        active(),
        {"OnDemandThroughput": {"MaxReadRequestUnits": 0}},
        "ValidationException",
        INVALID + "Requested MaxReadRequestUnits for OnDemandThroughput for table is outside of valid range",
    ),
    (
        active(),
        {"WarmThroughput": {"ReadUnitsPerSecond": 11999}},
        "ValidationException",
        INVALID + "Requested ReadUnitsPerSecond for WarmThroughput for table is lower than current "
        "WarmThroughput, decreasing WarmThroughput is not supported",
    ),
    (
        active(StreamSpecification=STREAM),
        {"StreamSpecification": STREAM},
        "ValidationException",
        "Table already has an enabled stream: TableName: tbl",
    ),
    (
        active(),
        {"StreamSpecification": {"StreamEnabled": False}},
        "ValidationException",
        "Table has no stream to disable: TableName: tbl",
    ),
    (
        active(),
        {"SSESpecification": {}},
        "ValidationException",
        INVALID + "Table is already encrypted by default",
    ),
    (
        active(SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "arn:aws:kms:x"}),
        {"SSESpecification": {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "arn:aws:kms:x"}},
        "ValidationException",
        INVALID + "Table is already encrypted with given KMSMasterKeyId. "
        "Use KMSMasterKeyId parameter if you want to change Master Key",
    ),
    (
        with_index(),
        {"GlobalSecondaryIndexUpdates": [gsi("Delete", "ghost")]},
        "ResourceNotFoundException",
        "Requested resource not found: Index ghost for table tbl",
    ),
    (
        with_index(),
        {"GlobalSecondaryIndexUpdates": [gsi("Delete", "local")]},
        "ValidationException",
        "Cannot delete an index that is not a GlobalSecondaryIndex: local",
    ),
    (
        with_index(),
        {"GlobalSecondaryIndexUpdates": [gsi("Update", "local")]},
        "ValidationException",
        "Cannot update an index that is not a GlobalSecondaryIndex: local",
    ),
    (
        with_index(),
        adding("local"),
        "ValidationException",
        "Attempting to create an index which already exists",
    ),
    (
        with_index(),
        adding("gsi1"),
        "ValidationException",
        "Attempting to create an index which already exists",
    ),
    (
        with_index(),
        {
            "GlobalSecondaryIndexUpdates": [gsi("Delete", "gsi1"), gsi("Create", "gsi2", "h:c")],
            "AttributeDefinitions": definitions("c"),
        },
        "LimitExceededException",
        ONE_INDEX,
    ),
    (
        with_index(),
        {"GlobalSecondaryIndexUpdates": [gsi("Update", "gsi1", ProvisionedThroughput=units(1, 1))]},
        "ValidationException",
        INVALID + "The only Updates for index: gsi1 when TableThroughputMode is PAY_PER_REQUEST "
        "can be to OnDemandThroughput, WarmThroughput",
    ),
    (
        with_index(),
        {"GlobalSecondaryIndexUpdates": [gsi("Update", "gsi1")]},
        "ValidationException",
        INVALID + "The only Updates for index: gsi1 when TableThroughputMode is PAY_PER_REQUEST "
        "can be to OnDemandThroughput, WarmThroughput",
    ),
    (
        provisioned_with_index(),
        {
            "GlobalSecondaryIndexUpdates": [
                gsi("Update", "gsi1", OnDemandThroughput={"MaxWriteRequestUnits": 1})
            ]
        },
        "ValidationException",
        INVALID + "MaxWriteRequestUnits for OnDemandThroughput for index : gsi1 cannot be specified "
        "when the table BillingMode is PROVISIONED",
    ),
    (
        provisioned_with_index(),
        adding(),
        "ValidationException",
        INVALID + "Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: gsi2",
    ),
    (
        with_index(),
        adding(ProvisionedThroughput=units(1, 1)),
        "ValidationException",
        INVALID + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: gsi2 "
        "when BillingMode is PAY_PER_REQUEST",
    ),
    (
        active(
            AttributeDefinitions=definitions("a", "b"),
            GlobalSecondaryIndexes=[index(f"gsi{i}", "h:b") for i in range(20)],
        ),
        adding("more"),
        "LimitExceededException",
        "Subscriber limit exceeded: Number of global secondary indexes exceeds per-table limit of 20",
    ),
    (
        with_index(),
        {
            "AttributeDefinitions": definitions("a", kind="N"),
            "GlobalSecondaryIndexUpdates": [gsi("Create", "gsi2", "h:a")],
        },
        "ValidationException",
        INVALID + "Attribute a is defined as N, but the table uses it as S",
    ),
]


@pytest.mark.parametrize(("document", "members", "kind", "message"), TABLE_ERRORS)
def test_what_depends_on_the_table(
    document: TableDocument, members: dict[str, Any], kind: str, message: str
) -> None:
    assert refused(update, document, **members) == (kind, message)


def test_an_increase_shows_the_old_units_and_takes_effect_with_the_document() -> None:
    plan = update(provisioned(1, 1), ProvisionedThroughput=units(2, 1), now=NOW + 60)
    assert shown(plan)["TableStatus"] == "UPDATING"
    assert shown(plan)["ProvisionedThroughput"] == {
        "NumberOfDecreasesToday": 0,
        "LastIncreaseDateTime": round(NOW + 60, 3),
        **units(1, 1),
    }
    after = describe(plan.document, statistics=NO_STATISTICS, now=NOW + 61)
    assert after["TableStatus"] == "ACTIVE"
    assert after["ProvisionedThroughput"]["ReadCapacityUnits"] == 2
    assert after["WarmThroughput"] == {
        "ReadUnitsPerSecond": 2,
        "WriteUnitsPerSecond": 1,
        "Status": "ACTIVE",
    }


def lowered(document: TableDocument, now: float, times: int) -> TableDocument:
    for _ in range(times):
        read = document["Throughput"]["Read"] - 1
        document = update(document, now=now, ProvisionedThroughput=units(read, 10)).document
    return document


def test_warm_throughput_never_falls() -> None:
    document = lowered(provisioned(), MORNING, 1)
    assert document["Warm"] == {"Read": 10, "Write": 10}


def test_a_fifth_decrease_waits_an_hour_and_a_midnight_clears_the_count() -> None:
    document = lowered(provisioned(20, 10), MORNING, 4)
    assert document["Throughput"]["Decreases"] == 4
    kind, message = refused(update, document, now=MORNING + 3599, ProvisionedThroughput=units(1, 99))
    assert kind == "LimitExceededException"
    assert message == (
        "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. "
        "After the first 4 decreases, each subsequent decrease in the same UTC day can be performed at most "
        "once every 3600 seconds. Number of decreases today: 4. "
        "Last decrease at Tuesday, September 22, 2026 at 9:00:00 AM Coordinated Universal Time. "
        "Next decrease can be made at Tuesday, September 22, 2026 at 10:00:00 AM Coordinated Universal Time"
    )
    assert update(document, now=MORNING + 60, ProvisionedThroughput=units(99, 99)).changed
    fifth = update(document, now=MORNING + 3600, ProvisionedThroughput=units(1, 10))
    assert shown(fifth)["ProvisionedThroughput"]["NumberOfDecreasesToday"] == 4
    assert fifth.document["Throughput"]["Decreases"] == 5
    midnight = (MORNING // DAY + 1) * DAY
    assert describe(document, statistics=NO_STATISTICS, now=midnight)["ProvisionedThroughput"] == {
        "NumberOfDecreasesToday": 0,
        "LastDecreaseDateTime": MORNING,
        **units(16, 10),
    }


def test_just_before_midnight_the_next_decrease_is_at_midnight() -> None:
    late = (NOW // DAY + 1) * DAY - 600
    document = lowered(provisioned(20, 10), late, 4)
    _, message = refused(update, document, now=late + 1, ProvisionedThroughput=units(1, 10))
    assert message is not None and message.endswith(
        "Next decrease can be made at Tuesday, September 22, 2026 at 12:00:00 AM Coordinated Universal Time"
    )
    assert update(document, now=late + 600, ProvisionedThroughput=units(1, 10)).changed


def test_the_index_has_a_decrease_budget_of_its_own() -> None:
    document = provisioned_with_index()
    plan = update(
        document,
        GlobalSecondaryIndexUpdates=[gsi("Update", "gsi1", ProvisionedThroughput=units(1, 3))],
    )
    described = shown(plan)
    assert described["TableStatus"] == "ACTIVE"
    assert described["GlobalSecondaryIndexes"][0]["IndexStatus"] == "UPDATING"
    assert described["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"] == {
        "NumberOfDecreasesToday": 0,
        "LastIncreaseDateTime": round(NOW + 60, 3),
        "LastDecreaseDateTime": round(NOW + 60, 3),
        **units(2, 2),
    }
    after = plan.document["GlobalSecondaryIndexes"][0]
    assert (after["Throughput"]["Read"], after["Throughput"]["Decreases"]) == (1, 1)
    assert plan.document["Throughput"]["Decreases"] == 0


def test_billing_mode_goes_both_ways() -> None:
    document = provisioned_with_index()
    plan = update(document, BillingMode="PAY_PER_REQUEST", OnDemandThroughput={"MaxReadRequestUnits": 9})
    assert shown(plan)["TableStatus"] == "UPDATING"
    assert shown(plan)["BillingModeSummary"] == {"BillingMode": "PAY_PER_REQUEST"}
    on_demand = describe(plan.document, statistics=NO_STATISTICS, now=NOW + 61)
    assert on_demand["BillingModeSummary"] == {
        "BillingMode": "PAY_PER_REQUEST",
        "LastUpdateToPayPerRequestDateTime": round(NOW + 60, 3),
    }
    assert on_demand["ProvisionedThroughput"]["ReadCapacityUnits"] == 0
    assert on_demand["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]["WriteCapacityUnits"] == 0
    assert on_demand["WarmThroughput"]["WriteUnitsPerSecond"] == 4000
    assert on_demand["OnDemandThroughput"] == {"MaxReadRequestUnits": 9}

    back = update(
        plan.document,
        now=NOW + 120,
        BillingMode="PROVISIONED",
        ProvisionedThroughput=units(3, 4),
        GlobalSecondaryIndexUpdates=[gsi("Update", "gsi1", ProvisionedThroughput=units(5, 6))],
    )
    assert shown(back)["TableStatus"] == "UPDATING"
    assert shown(back)["ProvisionedThroughput"] == {"NumberOfDecreasesToday": 0, **units(3, 4)}
    assert shown(back)["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]["ReadCapacityUnits"] == 5
    again = describe(back.document, statistics=NO_STATISTICS, now=NOW + 121)
    assert again["BillingModeSummary"] == {
        "BillingMode": "PROVISIONED",
        "LastUpdateToPayPerRequestDateTime": round(NOW + 60, 3),
    }
    assert "OnDemandThroughput" not in again
    assert again["WarmThroughput"]["ReadUnitsPerSecond"] == 12000


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"BillingMode": "PAY_PER_REQUEST"}, "UPDATING"),
        ({"TableClass": "STANDARD"}, "UPDATING"),
        ({"DeletionProtectionEnabled": False}, "ACTIVE"),
        ({"WarmThroughput": {"ReadUnitsPerSecond": 12000}}, "ACTIVE"),
        ({"OnDemandThroughput": {"MaxReadRequestUnits": -1}}, "ACTIVE"),
    ],
)
def test_setting_what_is_set_changes_nothing(members: dict[str, Any], status: str) -> None:
    document = active()
    plan = update(document, **members)
    assert not plan.changed
    assert plan.document is document
    assert shown(plan)["TableStatus"] == status


def test_on_demand_maxima_are_merged_and_cleared_by_minus_one() -> None:
    document = active(OnDemandThroughput={"MaxReadRequestUnits": 1000, "MaxWriteRequestUnits": 500})
    plan = update(document, OnDemandThroughput={"MaxReadRequestUnits": 2000})
    assert plan.document["OnDemand"] == {"MaxReadRequestUnits": 2000, "MaxWriteRequestUnits": 500}
    plan = update(plan.document, OnDemandThroughput={"MaxReadRequestUnits": -1})
    assert shown(plan)["OnDemandThroughput"] == {"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": 500}
    assert plan.document["OnDemand"] == {"MaxWriteRequestUnits": 500}
    plan = update(plan.document, OnDemandThroughput={"MaxWriteRequestUnits": -1})
    assert shown(plan)["OnDemandThroughput"] == {"MaxWriteRequestUnits": -1}
    assert "OnDemand" not in plan.document


def test_raising_warm_throughput_shows_the_old_values() -> None:
    plan = update(active(), WarmThroughput={"WriteUnitsPerSecond": 4001})
    assert shown(plan)["TableStatus"] == "ACTIVE"
    assert shown(plan)["WarmThroughput"] == {
        "ReadUnitsPerSecond": 12000,
        "WriteUnitsPerSecond": 4000,
        "Status": "UPDATING",
    }
    after = describe(plan.document, statistics=NO_STATISTICS, now=NOW + 61)
    assert after["WarmThroughput"]["WriteUnitsPerSecond"] == 4001


def test_a_stream_gets_a_new_arn_each_time_it_is_enabled() -> None:
    first = update(active(), StreamSpecification=STREAM)
    label = "2026-09-21T14:14:20.123"
    assert first.actions == (SwitchStream(True, f"{ARN}/stream/{label}"),)
    assert shown(first)["TableStatus"] == "UPDATING"
    assert shown(first)["StreamSpecification"] == STREAM
    assert shown(first)["LatestStreamLabel"] == label

    settled = stream_settled(first.document)
    assert describe(settled, statistics=NO_STATISTICS, now=NOW)["TableStatus"] == "ACTIVE"
    off = update(settled, now=NOW + 61, StreamSpecification={"StreamEnabled": False})
    assert off.actions == (SwitchStream(False, f"{ARN}/stream/{label}"),)
    assert "StreamSpecification" not in shown(off)
    assert shown(off)["LatestStreamLabel"] == label
    again = update(stream_settled(off.document), now=NOW + 60, StreamSpecification=STREAM)
    assert shown(again)["LatestStreamLabel"] == "2026-09-21T14:14:20.124"
    assert [stream["Label"] for stream in again.document["Streams"]] == [
        label,
        "2026-09-21T14:14:20.124",
    ]
    assert again.document["Streams"][0]["DisabledAt"] == round(NOW + 61, 3)


def test_encryption_is_shown_updating_and_kept_enabled() -> None:
    plan = update(active(), SSESpecification={"Enabled": True})
    assert shown(plan)["SSEDescription"] == {"Status": "UPDATING"}
    assert shown(plan)["TableStatus"] == "ACTIVE"
    kept = plan.document["SSEDescription"]
    assert (kept["Status"], kept["SSEType"]) == ("ENABLED", "KMS")
    off = update(plan.document, SSESpecification={"Enabled": False})
    assert shown(off)["SSEDescription"] == {**kept, "Status": "UPDATING"}
    assert "SSEDescription" not in off.document


def test_the_class_is_shown_after_the_change() -> None:
    plan = update(active(), TableClass="STANDARD_INFREQUENT_ACCESS")
    assert shown(plan)["TableStatus"] == "UPDATING"
    assert "TableClassSummary" not in shown(plan)
    assert plan.document["TableClassSummary"] == {
        "TableClass": "STANDARD_INFREQUENT_ACCESS",
        "LastUpdateDateTime": round(NOW + 60, 3),
    }


def test_an_index_is_added_filled_and_removed() -> None:
    document = with_index()
    added = update(
        document,
        AttributeDefinitions=[*definitions("c"), *definitions("unused"), *definitions("b", kind="N")],
        GlobalSecondaryIndexUpdates=[gsi("Create", "gsi2", "h:c")],
    )
    assert added.actions == (CreateIndex("gsi2"),)
    assert shown(added)["TableStatus"] == "UPDATING"
    entry = shown(added)["GlobalSecondaryIndexes"][1]
    assert (entry["IndexName"], entry["IndexStatus"], entry["Backfilling"]) == ("gsi2", "CREATING", True)
    assert shown(added)["AttributeDefinitions"] == definitions("a", "b", "c")
    assert added.document["GlobalSecondaryIndexes"][1]["Partitions"] == [{"id": 50, "lo": 0, "hi": HASH_MAX}]

    filled = index_activated(added.document, "gsi2", NOW)
    description = describe(filled, statistics=NO_STATISTICS, now=NOW)
    assert description["TableStatus"] == "ACTIVE"
    assert description["GlobalSecondaryIndexes"][1]["IndexStatus"] == "ACTIVE"
    assert "Backfilling" not in description["GlobalSecondaryIndexes"][1]

    removed = update(filled, GlobalSecondaryIndexUpdates=[gsi("Delete", "gsi2")])
    assert removed.actions == (DeleteIndex("gsi2"),)
    assert shown(removed)["TableStatus"] == "UPDATING"
    assert shown(removed)["GlobalSecondaryIndexes"][1]["IndexStatus"] == "DELETING"
    gone = describe(index_removed(removed.document, "gsi2"), statistics=NO_STATISTICS, now=NOW)
    assert gone["TableStatus"] == "ACTIVE"
    assert [i["IndexName"] for i in gone["GlobalSecondaryIndexes"]] == ["gsi1"]
    assert gone["AttributeDefinitions"] == definitions("a", "b")
