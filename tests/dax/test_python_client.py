"""What random programs do not reach: the resource flavour, indexes, paging, old parameters, errors, TLS, signatures.

All through the official client, unmodified.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import boto3
import pytest
from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.types import Binary
from botocore.exceptions import ClientError

from tests.conformance.support import column, error, n, pages, put_all, s, table, wait_until
from tests.dax.clients import dax_client, dax_resource
from tests.dax.programs import plain
from tests.dax.server import DaxServer, dax_server

CREDENTIALS = ("AKIDAXTEST", "a secret of the test")


@pytest.fixture
def name(direct: Any) -> Iterator[str]:
    with table(direct, "p/r:N", gsi=(("by-g", "g/r:N"),), lsi=(("by-l", "p/l"),)) as made:
        yield made


def test_the_resource_flavour_takes_and_gives_python_values(dax: DaxServer, direct: Any, name: str) -> None:
    item = {
        "p": "a", "r": Decimal("-1.5"), "list": [Decimal(1), "two", None, True, {"deep": Decimal("1E-7")}],
        "strings": {"x", "y"}, "numbers": {Decimal(1), Decimal("2.5")}, "bytes": Binary(b"\x00\xff"),
        "many": {Binary(b"a"), Binary(b"")}, "empty": "", "map": {"k": {"k": []}},
    }  # fmt: skip
    with dax_resource(dax.url) as resource:
        there = resource.Table(name)
        there.put_item(Item=item)
        for _ in range(2):
            assert there.get_item(Key={"p": "a", "r": Decimal("-1.50")})["Item"] == item
        assert there.query(KeyConditionExpression=Key("p").eq("a") & Key("r").lt(0))["Items"] == [item]
        assert (
            there.scan(FilterExpression=Attr("list[1]").eq("two") & Attr("strings").contains("x"))["Count"]
            == 1
        )
        updated = there.update_item(
            Key={"p": "a", "r": Decimal("-1.5")},
            UpdateExpression="SET #m.k.k = list_append(#m.k.k, :l) ADD hits :one REMOVE bytes",
            ConditionExpression=Attr("hits").not_exists(),
            ExpressionAttributeNames={"#m": "map"},
            ExpressionAttributeValues={":l": [Decimal(1)], ":one": 1},
            ReturnValues="UPDATED_NEW",
        )
        assert updated["Attributes"] == {"map": {"k": {"k": [Decimal(1)]}}, "hits": Decimal(1)}
        with there.batch_writer() as writer:
            for number in range(60):
                writer.put_item(Item={"p": "many", "r": number})
            writer.delete_item(Key={"p": "a", "r": Decimal("-1.5")})
        assert "Item" not in there.get_item(Key={"p": "a", "r": Decimal("-1.5")})
        assert there.query(KeyConditionExpression=Key("p").eq("many"), Select="COUNT")["Count"] == 60
    assert direct.scan(TableName=name, Select="COUNT", ConsistentRead=True)["Count"] == 60


def test_queries_page_through_tables_and_indexes(direct: Any, cached: Any, name: str) -> None:
    items = [
        {"p": s(f"p{i % 2}"), "r": n(i), "g": s("g"), "l": s(f"{99 - i}"), "v": s("x" * 50)}
        for i in range(23)
    ]
    put_all(cached, name, items)
    by_g: dict[str, Any] = {
        "KeyConditionExpression": "g = :g", "ExpressionAttributeValues": {":g": s("g")}, "IndexName": "by-g"
    }  # fmt: skip
    wait_until(lambda: direct.query(TableName=name, **by_g)["Count"] == 23, "the index")
    by_p: dict[str, Any] = {"KeyConditionExpression": "p = :p", "ExpressionAttributeValues": {":p": s("p1")}}
    for limit in (4, 23, 100):
        for wanted in (by_p, by_p | {"IndexName": "by-l", "ScanIndexForward": False}, by_g):
            parameters = {"TableName": name, "Limit": limit, **wanted}
            expected = pages(direct.query, **parameters)
            for _ in range(2):
                assert [_bare(page) for page in pages(cached.query, **parameters)] == [
                    _bare(p) for p in expected
                ]
        for more in (
            {},
            {"IndexName": "by-g"},
            {"Segment": 1, "TotalSegments": 3},
            {"ProjectionExpression": "r, v"},
        ):
            parameters = {"TableName": name, "Limit": limit, **more}
            expected = pages(direct.scan, **parameters)
            assert [_bare(page) for page in pages(cached.scan, **parameters)] == [
                _bare(page) for page in expected
            ]
    newest = cached.query(TableName=name, **by_g, ScanIndexForward=False, Limit=3)
    assert column(newest["Items"], "l") == ["77", "78", "79"]


def _bare(page: dict[str, Any]) -> dict[str, Any]:
    return plain(page, "")


def test_projections_keep_the_places_of_lists(direct: Any, cached: Any, name: str) -> None:
    deep = {"L": [s("zero"), {"M": {"a": {"L": [n(0), n(1), n(2)]}, "b": s("b")}}, s("two")]}
    key = {"p": s("a"), "r": n(1)}
    cached.put_item(TableName=name, Item={**key, "places": deep, "rest": s("o")})
    for text in (
        "places[2], places[1].a[2], p",
        "places[1].b",
        "rest, nothing",
        "nothing",
        "r, places[0], places[9]",
    ):
        wanted = {"TableName": name, "Key": key, "ProjectionExpression": text}
        expected = direct.get_item(**wanted)["Item"]
        for _ in range(2):
            assert cached.get_item(**wanted)["Item"] == expected, text
        batch = cached.batch_get_item(RequestItems={name: {"Keys": [key], "ProjectionExpression": text}})
        assert batch["Responses"][name] == [expected], text
        found = cached.query(
            TableName=name,
            KeyConditionExpression="p = :p",
            ExpressionAttributeValues={":p": s("a")},
            ProjectionExpression=text,
        )
        assert found["Items"] == [expected], text


def test_the_parameters_of_old_are_understood(cached: Any, name: str) -> None:
    key = {"p": s("a"), "r": n(1)}
    changed = cached.update_item(
        TableName=name,
        Key=key,
        AttributeUpdates={
            "count": {"Action": "ADD", "Value": n(2)},
            "v": {"Action": "PUT", "Value": s("x")},
        },
        Expected={"v": {"Exists": False}},
        ReturnValues="ALL_NEW",
    )
    assert changed["Attributes"] == {**key, "count": n(2), "v": s("x")}
    assert cached.get_item(TableName=name, Key=key, AttributesToGet=["v"])["Item"] == {"v": s("x")}
    found = cached.query(
        TableName=name,
        KeyConditions={"p": {"ComparisonOperator": "EQ", "AttributeValueList": [s("a")]}},
        QueryFilter={"count": {"ComparisonOperator": "GE", "AttributeValueList": [n(2)]}},
    )
    assert found["Count"] == 1
    refused = error(
        cached.delete_item,
        TableName=name,
        Key=key,
        Expected={"v": {"ComparisonOperator": "EQ", "AttributeValueList": [s("y")]}},
    )
    assert refused[0] == "ConditionalCheckFailedException"


def test_errors_are_those_of_the_api(direct: Any, cached: Any, name: str) -> None:
    key = {"p": s("a"), "r": n(1)}
    cached.put_item(TableName=name, Item=key)
    calls: list[tuple[str, dict[str, Any]]] = [
        ("get_item", {"TableName": "there-is-none", "Key": key}),
        ("put_item", {"TableName": name, "Item": key, "ConditionExpression": "attribute_not_exists(p)"}),
        ("update_item", {"TableName": name, "Key": key, "UpdateExpression": "SET a.b = p"}),
        ("update_item", {"TableName": name, "Key": key, "UpdateExpression": "REMOVE p"}),
        ("put_item", {"TableName": name, "Item": {**key, "v": s("x" * 410_000)}}),
        (
            "query",
            {
                "TableName": name,
                "KeyConditionExpression": "r = :r",
                "ExpressionAttributeValues": {":r": n(1)},
            },
        ),
        ("scan", {"TableName": name, "Segment": 4, "TotalSegments": 4}),
        ("scan", {"TableName": name, "IndexName": "there-is-none"}),
    ]
    for method, parameters in calls:
        wanted = error(getattr(direct, method), **parameters)
        assert error(getattr(cached, method), **parameters) == wanted, (method, parameters)
    assert cached.get_item(TableName=name, Key=key)["Item"] == key, "the connection is still in step"


def test_a_cancelled_transaction_says_why(cached: Any, name: str) -> None:
    key = {"p": s("a"), "r": n(1)}
    cached.put_item(TableName=name, Item={**key, "v": s("old")})
    with pytest.raises(ClientError) as refused:
        cached.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": name, "Item": {"p": s("b"), "r": n(1)}}},
                {
                    "Delete": {
                        "TableName": name,
                        "Key": key,
                        "ConditionExpression": "v = :v",
                        "ExpressionAttributeValues": {":v": s("new")},
                        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                    }
                },
            ]
        )
    assert refused.value.response["Error"]["Code"] == "TransactionCanceledException"
    reasons = refused.value.cancellation_reasons
    assert [reasons[0], reasons[3]] == ["None", "ConditionalCheckFailed"]
    assert reasons[5] is not None
    assert "Item" not in cached.get_item(TableName=name, Key={"p": s("b"), "r": n(1)})


def test_consumed_capacity_is_told_of_misses_alone(cached: Any, direct: Any, name: str) -> None:
    key = {"p": s("a"), "r": n(1)}
    direct.put_item(TableName=name, Item=key)
    wanted = {"TableName": name, "Key": key, "ReturnConsumedCapacity": "TOTAL"}
    assert cached.get_item(**wanted)["ConsumedCapacity"]["CapacityUnits"] == 0.5
    assert not cached.get_item(**wanted).get("ConsumedCapacity")
    written = cached.put_item(TableName=name, Item=key, ReturnConsumedCapacity="INDEXES")
    assert written["ConsumedCapacity"]["Table"]["CapacityUnits"] == 1.0


def test_operations_on_tables_are_for_the_ordinary_client(cached: Any) -> None:
    with pytest.raises(NotImplementedError):
        cached.list_tables()


def test_tls_with_the_authority_of_the_installation(
    dax: DaxServer, direct: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dax.control.create_cluster(
        ClusterName="secured",
        NodeType="dax.r5.large",
        ReplicationFactor=1,
        IamRoleArn="arn:aws:iam::000000000000:role/dax",
        ClusterEndpointEncryptionType="TLS",
    )
    try:
        url = dax.wait_available("secured")["ClusterDiscoveryEndpoint"]["URL"]
        assert url.startswith("daxs://")
        with urlopen(f"{dax.endpoint}/dax/ca.pem", timeout=10) as answer:
            (tmp_path / "ca.pem").write_bytes(answer.read())
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        with dax_client(url) as client:
            client.put_item(TableName=name, Item={"p": s("tls"), "r": n(1), "v": s("x")})
            assert client.get_item(TableName=name, Key={"p": s("tls"), "r": n(1)})["Item"]["v"] == s("x")
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(ClientError), dax_client(url):
            pass
    finally:
        dax.control.delete_cluster(ClusterName="secured")


def test_signatures_are_checked_where_there_are_credentials(tmp_path: Path) -> None:
    access_key, secret_key = CREDENTIALS
    file = tmp_path / "credentials"
    file.write_text(f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n")
    options = ("--in-memory", "--credentials-file", str(file))
    with dax_server(*options, log=tmp_path / "log", credentials=CREDENTIALS) as server:
        session = boto3.session.Session(access_key, secret_key, region_name="us-east-1")
        client = session.client("dynamodb", endpoint_url=server.endpoint)
        with table(client) as name:
            with dax_client(server.url, access_key=access_key, secret_key=secret_key) as good:
                good.put_item(TableName=name, Item={"p": s("a")})
                assert good.get_item(TableName=name, Key={"p": s("a")})["Item"] == {"p": s("a")}
            for wrong in ((access_key, "another"), ("AKINOBODY", secret_key)):
                with (
                    pytest.raises(ClientError),
                    dax_client(server.url, access_key=wrong[0], secret_key=wrong[1]),
                ):
                    pass
        client.close()
