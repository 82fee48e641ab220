"""Tags, time to live, ListTables and the small operations around tables, with their exact texts."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_router.api.tables import list_table_names, list_tables
from hashrange_router.api.tables_misc import (
    describe_continuous_backups,
    describe_contributor_insights,
    describe_endpoints,
    describe_kinesis_streaming_destination,
    describe_limits,
    refuse_kinesis_streaming_destination,
    update_continuous_backups,
)
from hashrange_router.api.tables_plan import Site
from hashrange_router.api.tables_quotas import Quotas
from hashrange_router.api.tables_tags import list_tags_of_resource, tag_resource, untag_resource
from hashrange_router.api.tables_ttl import describe_time_to_live, update_time_to_live

from hashrange.errors import ApiError
from hashrange.model.table_document import TableDocument
from tests.unit.table_support import (
    ACCOUNT,
    ARN,
    INVALID,
    NOW,
    REGION,
    SITE,
    Tables,
    active,
    create,
    definitions,
    index,
    refused,
)

VE = "ValidationException"


def tag(key: str, value: str = "v") -> dict[str, str]:
    return {"Key": key, "Value": value}


def many(count: int) -> list[dict[str, str]]:
    return [tag(f"k{i}") for i in range(count)]


def tagged(*tags: dict[str, str]) -> TableDocument:
    return active(Tags=list(tags))


def setting(document: TableDocument, *tags: dict[str, Any]) -> Any:
    return tag_resource({"ResourceArn": ARN, "Tags": list(tags)}, Tables({"tbl": document}), SITE)


def taking(document: TableDocument, *keys: str) -> Any:
    return untag_resource({"ResourceArn": ARN, "TagKeys": list(keys)}, Tables({"tbl": document}), SITE)


def listed(document: TableDocument) -> list[dict[str, str]]:
    reply = list_tags_of_resource({"ResourceArn": ARN}, Tables({"tbl": document}), SITE)
    assert set(reply) == {"Tags"}
    tags: list[dict[str, str]] = reply["Tags"]
    return tags


def test_tags_are_set_over_and_taken_away() -> None:
    plan = setting(tagged(tag("a", "1"), tag("b", "")), tag("a", "2"), tag("A", "3"))
    assert plan.response is None
    assert plan.changed
    assert listed(plan.document) == [tag("a", "2"), tag("b", ""), tag("A", "3")]
    plan = taking(plan.document, "a", "absent")
    assert plan.response is None
    assert listed(plan.document) == [tag("b", ""), tag("A", "3")]


def test_setting_what_is_set_changes_nothing() -> None:
    document = tagged(tag("a", "1"))
    assert not setting(document, tag("a", "1")).changed
    assert not taking(document, "absent").changed


def test_fifty_tags_fit_one_page() -> None:
    document = tagged(*many(50))
    assert len(listed(document)) == 50
    assert setting(document, *[tag(f"k{i}", "new") for i in range(50)]).changed


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ([], "Atleast one Tag needs to be provided as Input."),
        ([{"Value": "v"}], "The Tag Key provided is invalid, Key: null"),
        ([tag("")], "The Tag Key provided is invalid, Key: "),
        ([tag("k" * 129)], "The Tag Key provided is invalid, Key: " + "k" * 129),
        ([tag("bad#char")], "The Tag Key provided is invalid, Key: bad#char"),
        ([{"Key": "a"}], "The Tag Value provided is invalid, Value: null"),
        ([tag("a", "v" * 257)], "The Tag Value provided is invalid, Value: " + "v" * 257),
        ([tag("a", "100%")], "The Tag Value provided is invalid, Value: 100%"),
        ([tag("ok"), tag("aws:foo")], "Tag Key cannot be prefixed with aws:, Key: aws:foo"),
        ([tag("AWS:foo")], "Tag Key cannot be prefixed with aws:, Key: AWS:foo"),
        (
            [tag("dup"), tag("dup")],
            "Duplicate Tag Keys provided as input: Duplicate Tag Key found dup",
        ),
        (many(51), "Number of Tags exceed the current limit for the provided ResourceArn"),
    ],
)
def test_wrong_tags(tags: list[dict[str, str]], message: str) -> None:
    for document in (active(), tagged(tag("z"))):
        assert refused(setting, document, *tags) == (VE, message)


def test_right_but_unusual_tags() -> None:
    for text in ("sp ace", " lead", "ключ", "表", "a+b-c=d.e_f:g/h@i", "myaws:foo", "k" * 128):
        assert setting(active(), tag(text, text)).changed


def test_the_limit_counts_the_tags_after_the_change() -> None:
    message = "Number of Tags exceed the current limit for the provided ResourceArn"
    assert refused(setting, tagged(*many(50)), tag("k1", "new"), tag("k51")) == (VE, message)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([], "Atleast one Tag Key needs to be provided as Input."),
        ([""], "The Tag Key provided is invalid, Key: "),
        (["aws:foo"], "Tag Key cannot be prefixed with aws:, Key: aws:foo"),
        (
            [f"k{i}" for i in range(51)],
            "Number of Tags exceed the current limit for the provided ResourceArn",
        ),
    ],
)
def test_wrong_tag_keys(keys: list[str], message: str) -> None:
    assert refused(taking, active(), *keys) == (VE, message)


NO_TABLE = ARN.replace("tbl", "nope")
IN_STREAM = ARN + "/stream/2026-01-01T00:00:00.000"


@pytest.mark.parametrize(
    ("arn", "kind", "message"),
    [
        ("", VE, "Invalid TableArn"),
        ("tbl", VE, INVALID + "ARNs must start with 'arn:': tbl"),
        (
            "arn:aws:s3:::bucket",
            VE,
            INVALID + "Provided Arn is not a DynamoDB resource arn: arn:aws:s3:::bucket",
        ),
        (
            ARN + "/backup/01",
            VE,
            f"Invalid TableArn: Invalid ResourceArn provided as input {ARN}/backup/01",
        ),
        (
            ARN + "/index/gsi",
            VE,
            f"Invalid TableArn: Invalid ResourceArn provided as input {ARN}/index/gsi",
        ),
        (
            ARN.replace("us-east-1", "eu-west-1"),
            VE,
            "Invalid TableArn: Invalid ResourceArn provided as input "
            "arn:aws:dynamodb:eu-west-1:000000000000:table/tbl",
        ),
        (ARN.replace("000000000000", "111111111111"), "AccessDeniedException", "Access is denied"),
        (
            NO_TABLE,
            "ResourceNotFoundException",
            f"Requested resource not found: ResourceArn: {NO_TABLE} not found",
        ),
        (
            IN_STREAM,
            "ResourceNotFoundException",
            f"Requested resource not found: ResourceArn: {IN_STREAM} not found",
        ),
    ],
)
def test_arns_of_the_tag_operations(arn: str, kind: str, message: str) -> None:
    tables = Tables({"tbl": active()})
    request = {"ResourceArn": arn, "Tags": [tag("a")], "TagKeys": ["a"]}
    for operation in (tag_resource, untag_resource, list_tags_of_resource):
        assert refused(operation, request, tables, SITE) == (kind, message)


def test_the_tags_are_checked_before_the_table_is_looked_up() -> None:
    request = {"ResourceArn": NO_TABLE, "Tags": []}
    assert refused(tag_resource, request, Tables({}), SITE)[1] == (
        "Atleast one Tag needs to be provided as Input."
    )


@pytest.mark.parametrize(("status", "doing"), [("CREATING", "created"), ("DELETING", "deleted")])
def test_tags_of_a_table_in_passing(status: str, doing: str) -> None:
    document = {**tagged(tag("a")), "Status": status}
    message = f"Attempt to change a resource which is still in use: Table is being {doing}: tbl"
    assert refused(setting, document, tag("b")) == ("ResourceInUseException", message)
    assert refused(taking, document, "a") == ("ResourceInUseException", message)
    assert listed(document) == [tag("a")]


# Time to live


def ttl(document: TableDocument, enabled: bool, attribute: str, now: float = NOW, site: Site = SITE) -> Any:
    request = {
        "TableName": "tbl",
        "TimeToLiveSpecification": {"Enabled": enabled, "AttributeName": attribute},
    }
    return update_time_to_live(request, Tables({"tbl": document}), site, now=now)


def described_ttl(document: TableDocument) -> Any:
    return describe_time_to_live({"TableName": ARN}, Tables({"tbl": document}), SITE)


def test_time_to_live_on_and_off() -> None:
    assert described_ttl(active()) == {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}
    on = ttl(active(), True, "expires")
    assert on.response == {"TimeToLiveSpecification": {"Enabled": True, "AttributeName": "expires"}}
    assert described_ttl(on.document) == {
        "TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
    }
    off = ttl(on.document, False, "expires")
    assert off.response["TimeToLiveSpecification"]["Enabled"] is False
    assert described_ttl(off.document) == {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}


def test_a_key_attribute_may_expire_items() -> None:
    assert ttl(active(), True, "a").changed


@pytest.mark.parametrize(
    ("start", "enabled", "attribute", "message"),
    [
        (None, False, "t", "TimeToLive is already disabled"),
        ("t", True, "t", "TimeToLive is already enabled"),
        (
            "t",
            True,
            "u",
            "TimeToLive is active on a different AttributeName: current AttributeName is t",
        ),
        (
            "t",
            False,
            "u",
            "TimeToLive is active on a different AttributeName: current AttributeName is t",
        ),
    ],
)
def test_wrong_changes_of_time_to_live(
    start: str | None, enabled: bool, attribute: str, message: str
) -> None:
    document = active() if start is None else ttl(active(), True, start).document
    assert refused(ttl, document, enabled, attribute) == (VE, message)


def test_a_cooldown_is_kept_when_it_is_set() -> None:
    site = Site(REGION, ACCOUNT, Quotas(ttl_cooldown_s=1800))
    on = ttl(active(), True, "t", site=site).document
    assert refused(ttl, on, False, "t", NOW + 1799, site) == (
        VE,
        "Time to live has been modified multiple times within a fixed interval",
    )
    assert ttl(on, False, "t", NOW + 1801, site).changed


def test_time_to_live_of_missing_and_passing_tables() -> None:
    missing = ("ResourceNotFoundException", "Requested resource not found: Table: tbl not found")
    request = {
        "TableName": "tbl",
        "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "t"},
    }
    assert refused(update_time_to_live, request, Tables({}), SITE, now=NOW) == missing
    assert refused(describe_time_to_live, request, Tables({}), SITE) == missing
    assert refused(ttl, create(), True, "t") == (
        "ResourceInUseException",
        "Attempt to change a resource which is still in use: Table tbl is being created",
    )
    assert refused(described_ttl, create()) == (
        VE,
        "Cannot describe time to live while table is in CREATING state: Current table state is CREATING",
    )


# ListTables and the rest

NAMES = ["A", "B", "a", "b", "c"]


@pytest.mark.parametrize(
    ("limit", "start", "names", "last"),
    [
        (None, None, NAMES, None),
        (2, None, ["A", "B"], "B"),
        (2, "B", ["a", "b"], "b"),
        (2, "b", ["c"], None),
        (1, "b", ["c"], None),
        (5, None, NAMES, None),
        (2, "Bx", ["a", "b"], "b"),
        (2, "zzz", [], None),
        (1, "c", [], None),
    ],
)
def test_pages_of_names(limit: int | None, start: str | None, names: list[str], last: str | None) -> None:
    reply: dict[str, Any] = {"TableNames": names}
    if last is not None:
        reply["LastEvaluatedTableName"] = last
    assert list_table_names(NAMES, limit, start) == reply


def test_a_page_holds_a_hundred_names() -> None:
    names = sorted(f"t{i:03d}" for i in range(101))
    reply = list_tables({}, Tables({name: {} for name in names}))
    assert len(reply["TableNames"]) == 100
    assert reply["LastEvaluatedTableName"] == "t099"


def test_limits_and_endpoints() -> None:
    assert describe_limits(SITE) == {
        "AccountMaxReadCapacityUnits": 80000,
        "AccountMaxWriteCapacityUnits": 80000,
        "TableMaxReadCapacityUnits": 40000,
        "TableMaxWriteCapacityUnits": 40000,
    }
    assert describe_endpoints(Site(REGION, ACCOUNT, Quotas(), "127.0.0.1:8000")) == {
        "Endpoints": [{"Address": "127.0.0.1:8000", "CachePeriodInMinutes": 1440}]
    }


def test_continuous_backups_are_off_and_stay_off() -> None:
    tables = Tables({"tbl": active()})
    off = {
        "ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "ENABLED",
            "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"},
        }
    }
    assert describe_continuous_backups({"TableName": "tbl"}, tables, SITE) == off

    def switch(enabled: bool, **members: Any) -> dict[str, Any]:
        settings = {"PointInTimeRecoveryEnabled": enabled, **members}
        request = {"TableName": "tbl", "PointInTimeRecoverySpecification": settings}
        return update_continuous_backups(request, tables, SITE)

    assert switch(False) == off
    assert refused(switch, True) == (
        VE,
        INVALID + "Point-in-time recovery is not supported by this server yet",
    )
    assert refused(switch, False, RecoveryPeriodInDays=7) == (
        VE,
        "Invalid Request: Cannot specify RecoveryPeriodInDays when disabling point-in-time recovery.",
    )
    assert refused(describe_continuous_backups, {"TableName": "nope"}, tables, SITE) == (
        "TableNotFoundException",
        "Table not found: nope",
    )


def test_insights_and_destinations_are_off() -> None:
    document = active(
        AttributeDefinitions=definitions("a", "b"), GlobalSecondaryIndexes=[index("gsi", "h:b")]
    )
    tables = Tables({"tbl": document})
    assert describe_contributor_insights({"TableName": "tbl"}, tables, SITE) == {
        "TableName": "tbl",
        "ContributorInsightsStatus": "DISABLED",
    }
    by_index = {"TableName": ARN, "IndexName": "gsi"}
    assert describe_contributor_insights(by_index, tables, SITE)["IndexName"] == "gsi"
    with pytest.raises(ApiError, match="Index: ghost not found for table: tbl"):
        describe_contributor_insights({"TableName": "tbl", "IndexName": "ghost"}, tables, SITE)
    assert describe_kinesis_streaming_destination({"TableName": "tbl"}, tables, SITE) == {
        "TableName": "tbl",
        "KinesisDataStreamDestinations": [],
    }
    with pytest.raises(ApiError, match="read the table's stream instead"):
        refuse_kinesis_streaming_destination({"TableName": "tbl"}, tables, SITE)
    with pytest.raises(ApiError, match="not found"):
        refuse_kinesis_streaming_destination({"TableName": "ghost"}, tables, SITE)
