"""TagResource, UntagResource, ListTagsOfResource: limits, replacement, and the ARNs that are refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.raw import Raw
from tests.conformance.support import Containing, error, index, prefixed, table, unique


@pytest.fixture
def arn(client: Any) -> Iterator[str]:
    with table(client, "p") as name:
        yield client.describe_table(TableName=name)["Table"]["TableArn"]


def tags(client: Any, arn: str) -> dict[str, str]:
    """All tags of a resource, following the pages."""
    found: dict[str, str] = {}
    page = client.list_tags_of_resource(ResourceArn=arn)
    while True:
        found.update({tag["Key"]: tag["Value"] for tag in page["Tags"]})
        if "NextToken" not in page:
            return found
        page = client.list_tags_of_resource(ResourceArn=arn, NextToken=page["NextToken"])


def tag(key: str, value: str = "v") -> dict[str, str]:
    """One tag."""
    return {"Key": key, "Value": value}


def test_add_replace_remove(client: Any, arn: str) -> None:
    assert tags(client, arn) == {}
    client.tag_resource(ResourceArn=arn, Tags=[tag("a", "1"), tag("b", "")])
    assert tags(client, arn) == {"a": "1", "b": ""}
    client.tag_resource(ResourceArn=arn, Tags=[tag("a", "2"), tag("c", "3")])
    assert tags(client, arn) == {"a": "2", "b": "", "c": "3"}
    client.untag_resource(ResourceArn=arn, TagKeys=["a", "unknown"])
    assert tags(client, arn) == {"b": "", "c": "3"}


def test_success_has_an_empty_body(raw: Raw, arn: str) -> None:
    for operation, more in (("TagResource", {"Tags": [tag("a")]}), ("UntagResource", {"TagKeys": ["a"]})):
        reply = raw.post(operation, {"ResourceArn": arn, **more})
        assert (reply.status, reply.body) == (200, b"")
        assert reply.crc_matches()


def test_fifty_tags(client: Any, arn: str) -> None:
    client.tag_resource(ResourceArn=arn, Tags=[tag(f"key{i}") for i in range(50)])
    assert len(tags(client, arn)) == 50
    assert error(client.tag_resource, ResourceArn=arn, Tags=[tag("one more")])[0] == "ValidationException"
    client.tag_resource(ResourceArn=arn, Tags=[tag("key0", "replaced")])
    assert tags(client, arn)["key0"] == "replaced"
    assert len(tags(client, arn)) == 50


def test_lengths(client: Any, arn: str) -> None:
    client.tag_resource(ResourceArn=arn, Tags=[tag("k" * 128, "v" * 256)])
    assert tags(client, arn) == {"k" * 128: "v" * 256}
    for bad in (tag("k" * 129), tag(""), tag("k", "v" * 257), {"Key": "no value"}, {"Value": "no key"}):
        refused = error(client.tag_resource, ResourceArn=arn, Tags=[bad])
        assert refused == ("ValidationException", Containing("1 validation error detected: "))


def test_empty_lists(client: Any, arn: str) -> None:
    refused = error(client.tag_resource, ResourceArn=arn, Tags=[])
    assert refused == ("ValidationException", Containing("Atleast one Tag needs to be provided as Input."))
    refused = error(client.untag_resource, ResourceArn=arn, TagKeys=[])
    assert refused == (
        "ValidationException",
        Containing("Atleast one Tag Key needs to be provided as Input."),
    )


def test_missing_members(client: Any, arn: str) -> None:
    null = "Value null at '{}' failed to satisfy constraint: Member must not be null"
    assert error(client.tag_resource, ResourceArn=arn) == prefixed(null.format("tags"))
    assert error(client.list_tags_of_resource) == prefixed(null.format("resourceArn"))


@pytest.mark.parametrize(
    "bad", ["x", "not an arn", "arn:aws:s3:::bucket", "arn:aws:dynamodb:us-east-1:000000000000:"]
)
def test_malformed_arns(client: Any, bad: str) -> None:
    assert error(client.tag_resource, ResourceArn=bad, Tags=[tag("a")])[0] == "ValidationException"
    assert error(client.list_tags_of_resource, ResourceArn=bad)[0] == "ValidationException"


def test_an_index_has_no_tags(client: Any) -> None:
    with table(client, "p", gsi=(("by_g", "g"),)) as name:
        arn = client.describe_table(TableName=name)["Table"]["GlobalSecondaryIndexes"][0]["IndexArn"]
        refused = error(client.tag_resource, ResourceArn=arn, Tags=[tag("a")])
        assert refused == (
            "ValidationException",
            Containing("Invalid TableArn: Invalid ResourceArn provided as input " + arn),
        )
        assert index("by_g", "g")["IndexName"] in arn


def test_a_missing_table(client: Any, arn: str) -> None:
    gone = arn.rsplit("/", 1)[0] + "/" + unique()
    assert error(client.tag_resource, ResourceArn=gone, Tags=[tag("a")])[0] == "ResourceNotFoundException"
    # ListTagsOfResource does not say whether the table exists: access is denied first on the real service.
    assert error(client.list_tags_of_resource, ResourceArn=gone)[0] in (
        "ResourceNotFoundException",
        "AccessDeniedException",
    )


def test_tags_go_with_the_table(client: Any) -> None:
    name = unique()
    for _ in range(2):
        with table(client, "p", TableName=name):
            found = client.describe_table(TableName=name)["Table"]["TableArn"]
            assert tags(client, found) == {}
            client.tag_resource(ResourceArn=found, Tags=[tag("a")])
