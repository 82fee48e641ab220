"""The wire door with the official Python client in front and a node in memory behind: every operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from orjson import dumps

from hashrange.errors import ApiError
from tests.dax.clients import dax_client
from tests.unit.dax_door_support import RunningDoor, running_door

A = {"pk": {"S": "a"}}
ITEM = {
    **A,
    "n": {"N": "1.5"},
    "big": {"N": "12345678901234567890123456789012345678"},
    "l": {"L": [{"S": "x"}, {"N": "-2"}, {"M": {"deep": {"BOOL": True}}}]},
    "ss": {"SS": ["a", "b"]},
    "bs": {"BS": [b"\x00", b"\x01"]},
    "nothing": {"NULL": True},
    "bytes": {"B": b"\xff"},
}
INDEX = {
    "types": [{"AttributeName": "v", "AttributeType": "N"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-v",
            "KeySchema": [{"AttributeName": "v", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}


@pytest.fixture(scope="module", name="door")
def _door() -> Iterator[RunningDoor]:
    with running_door() as door:
        door.table("tbl")
        door.table("ranged", "S", "N", **INDEX)
        door.table("numbers", "N", "B")
        yield door


@pytest.fixture(scope="module", name="client")
def _client(door: RunningDoor) -> Iterator[Any]:
    with dax_client(door.url, retries=0) as client:
        yield client


@pytest.fixture(autouse=True)
def _cold(door: RunningDoor) -> None:
    door.on_loop(door.store.clear)


def failure(call: Callable[[], Any]) -> Any:
    with pytest.raises(Exception) as caught:
        call()
    assert hasattr(caught.value, "codes"), caught.value
    return caught.value


def test_an_item_comes_back_as_it_was_put(client: Any) -> None:
    assert client.put_item(TableName="tbl", Item=ITEM) == {}
    for _ in range(3):
        assert client.get_item(TableName="tbl", Key=A) == {"Item": ITEM}


def test_cached_reads_do_not_reach_the_table(client: Any, door: RunningDoor) -> None:
    client.put_item(TableName="tbl", Item=ITEM)
    client.get_item(TableName="tbl", Key={"pk": {"S": "absent"}})
    before = door.on_loop(lambda: (door.sent, door.tier.metrics.quick_gets))
    for _ in range(2):
        assert client.get_item(TableName="tbl", Key=A) == {"Item": ITEM}
        assert client.get_item(TableName="tbl", Key={"pk": {"S": "absent"}}) == {}
    after = door.on_loop(lambda: (door.sent, door.tier.metrics.quick_gets))
    assert after == (before[0], before[1] + 4)


def test_projections_are_nested_again_by_the_client(client: Any) -> None:
    client.put_item(TableName="tbl", Item=ITEM)
    for consistent in (False, True):
        found = client.get_item(
            TableName="tbl",
            Key=A,
            ProjectionExpression="l[2].deep, #n, l[0], missing",
            ExpressionAttributeNames={"#n": "n"},
            ConsistentRead=consistent,
        )
        assert found == {
            "Item": {"l": {"L": [{"S": "x"}, {"M": {"deep": {"BOOL": True}}}]}, "n": {"N": "1.5"}}
        }


def test_capacity_is_told_where_something_was_read(client: Any) -> None:
    client.put_item(TableName="tbl", Item=ITEM)
    strong = client.get_item(TableName="tbl", Key=A, ConsistentRead=True, ReturnConsumedCapacity="INDEXES")
    assert strong["ConsumedCapacity"] == {
        "TableName": "tbl",
        "CapacityUnits": 1.0,
        "Table": {"CapacityUnits": 1.0},
    }
    assert "ConsumedCapacity" not in client.get_item(TableName="tbl", Key=A, ReturnConsumedCapacity="TOTAL")


@pytest.mark.parametrize(
    ("returned", "attributes"),
    [
        ("NONE", None),
        ("ALL_OLD", {**A, "n": {"N": "1"}, "keep": {"S": "k"}}),
        ("UPDATED_OLD", {"n": {"N": "1"}}),
        ("ALL_NEW", {**A, "n": {"N": "2"}, "keep": {"S": "k"}, "s": {"S": "new"}}),
        ("UPDATED_NEW", {"n": {"N": "2"}, "s": {"S": "new"}}),
    ],
)
def test_update_item(client: Any, returned: str, attributes: Any) -> None:
    client.put_item(TableName="tbl", Item={**A, "n": {"N": "1"}, "keep": {"S": "k"}})
    reply = client.update_item(
        TableName="tbl",
        Key=A,
        UpdateExpression="SET n = n + :one, s = :s",
        ExpressionAttributeValues={":one": {"N": "1"}, ":s": {"S": "new"}},
        ReturnValues=returned,
    )
    assert reply.get("Attributes") == attributes
    assert client.get_item(TableName="tbl", Key=A)["Item"]["n"] == {"N": "2"}


def test_delete_item(client: Any) -> None:
    client.put_item(TableName="tbl", Item=A)
    assert client.delete_item(TableName="tbl", Key=A, ReturnValues="ALL_OLD") == {"Attributes": A}
    assert client.delete_item(TableName="tbl", Key=A, ReturnValues="ALL_OLD") == {}
    assert client.get_item(TableName="tbl", Key=A) == {}


def test_a_failed_condition_comes_once_and_leaves_the_cache(door: RunningDoor) -> None:
    with dax_client(door.url) as retrying:
        retrying.put_item(TableName="tbl", Item={**A, "n": {"N": "7"}})
        before = door.on_loop(lambda: door.tier.metrics.requests["PutItem"])
        error = failure(
            lambda: retrying.put_item(TableName="tbl", Item=A, ConditionExpression="attribute_not_exists(pk)")
        )
        assert error.response["Error"]["Code"] == "ConditionalCheckFailedException"
        assert door.on_loop(lambda: door.tier.metrics.requests["PutItem"]) == before + 1
        assert retrying.get_item(TableName="tbl", Key=A)["Item"]["n"] == {"N": "7"}


def test_query_pages_on_the_table_and_on_an_index(client: Any) -> None:
    for number in ("-1.5", "0", "2", "101"):
        client.put_item(
            TableName="ranged",
            Item={"pk": {"S": "p"}, "sk": {"N": number}, "v": {"N": "1"}, "x": {"S": number}},
        )
    for of_index in (False, True):
        given: dict[str, Any] = {
            "TableName": "ranged",
            "KeyConditionExpression": "v = :k" if of_index else "pk = :k",
            "ExpressionAttributeValues": {":k": {"N": "1"} if of_index else {"S": "p"}},
            "Limit": 3,
            **({"IndexName": "by-v"} if of_index else {}),
        }
        for _ in range(2):
            first = client.query(**given)
            rest = client.query(**given, ExclusiveStartKey=first["LastEvaluatedKey"])
            numbers = [item["sk"]["N"] for item in first["Items"] + rest["Items"]]
            assert sorted(numbers, key=float) == ["-1.5", "0", "2", "101"]
            assert first["Count"] == first["ScannedCount"] == 3 and "LastEvaluatedKey" not in rest
            assert first["Items"][0]["x"]["S"] == first["Items"][0]["sk"]["N"]


def test_query_with_filter_projection_and_count(client: Any) -> None:
    for number in range(4):
        client.put_item(
            TableName="ranged",
            Item={"pk": {"S": "f"}, "sk": {"N": str(number)}, "l": {"L": [{"N": "0"}, {"N": str(number)}]}},
        )
    given: dict[str, Any] = {
        "TableName": "ranged",
        "KeyConditionExpression": "pk = :p AND sk > :zero",
        "FilterExpression": "l[1] <> :two",
        "ExpressionAttributeValues": {":p": {"S": "f"}, ":zero": {"N": "0"}, ":two": {"N": "2"}},
        "ScanIndexForward": False,
        "ReturnConsumedCapacity": "TOTAL",
    }
    for cached in (False, True):
        reply = client.query(**given, ProjectionExpression="sk, l[1]")
        assert ("ConsumedCapacity" in reply) is not cached
        assert reply["Items"] == [
            {"sk": {"N": "3"}, "l": {"L": [{"N": "3"}]}},
            {"sk": {"N": "1"}, "l": {"L": [{"N": "1"}]}},
        ]
        counted = client.query(**given, Select="COUNT")
        assert (counted["Count"], counted["ScannedCount"]) == (2, 3) and "Items" not in counted


def test_scan(client: Any, door: RunningDoor) -> None:
    client.put_item(TableName="numbers", Item={"pk": {"N": "-7"}, "sk": {"B": b"\x00s"}, "v": {"S": "x"}})
    item = {"pk": {"N": "-7"}, "sk": {"B": b"\x00s"}, "v": {"S": "x"}}
    sent = door.on_loop(lambda: door.sent)
    for _ in range(2):
        assert client.scan(TableName="numbers")["Items"] == [item]
    assert door.on_loop(lambda: door.sent) == sent + 1
    halves = [client.scan(TableName="numbers", Segment=n, TotalSegments=2)["Items"] for n in range(2)]
    assert halves[0] + halves[1] == [item]
    assert client.get_item(TableName="numbers", Key={"pk": {"N": "-7.0"}, "sk": {"B": b"\x00s"}})["Item"][
        "v"
    ] == {"S": "x"}


def test_batches(client: Any) -> None:
    written = client.batch_write_item(
        RequestItems={
            "tbl": [
                {"PutRequest": {"Item": {"pk": {"S": "b1"}, "q": {"BOOL": True}}}},
                {"PutRequest": {"Item": {"pk": {"S": "b2"}}}},
                {"DeleteRequest": {"Key": A}},
            ],
            "numbers": [{"PutRequest": {"Item": {"pk": {"N": "1"}, "sk": {"B": b"k"}, "w": {"N": "3"}}}}],
        },
        ReturnConsumedCapacity="TOTAL",
    )
    assert written["UnprocessedItems"] == {}
    assert {each["TableName"] for each in written["ConsumedCapacity"]} == {"tbl", "numbers"}
    for _ in range(2):
        found = client.batch_get_item(
            RequestItems={
                "tbl": {"Keys": [{"pk": {"S": "b1"}}, {"pk": {"S": "b2"}}, A]},
                "numbers": {"Keys": [{"pk": {"N": "1"}, "sk": {"B": b"k"}}], "ProjectionExpression": "w"},
            }
        )
        assert sorted(found["Responses"]["tbl"], key=repr) == [
            {"pk": {"S": "b1"}, "q": {"BOOL": True}},
            {"pk": {"S": "b2"}},
        ]
        assert found["Responses"]["numbers"] == [{"w": {"N": "3"}}]
        assert found["UnprocessedKeys"] == {}


def test_transactions(client: Any) -> None:
    client.put_item(TableName="tbl", Item=ITEM)
    client.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": "tbl", "Item": {"pk": {"S": "t"}, "x": {"N": "1"}}}},
            {
                "Update": {
                    "TableName": "tbl",
                    "Key": A,
                    "UpdateExpression": "SET n = :n REMOVE big",
                    "ExpressionAttributeValues": {":n": {"N": "9"}},
                }
            },
            {
                "ConditionCheck": {
                    "TableName": "tbl",
                    "Key": {"pk": {"S": "no"}},
                    "ConditionExpression": "attribute_not_exists(pk)",
                }
            },
        ]
    )
    found = client.transact_get_items(
        TransactItems=[
            {"Get": {"TableName": "tbl", "Key": {"pk": {"S": "t"}}}},
            {"Get": {"TableName": "tbl", "Key": A, "ProjectionExpression": "l[1], n"}},
            {"Get": {"TableName": "tbl", "Key": {"pk": {"S": "no"}}}},
        ],
        ReturnConsumedCapacity="TOTAL",
    )
    assert found["Responses"] == [
        {"Item": {"pk": {"S": "t"}, "x": {"N": "1"}}},
        {"Item": {"l": {"L": [{"N": "-2"}]}, "n": {"N": "9"}}},
        {},
    ]
    [capacity] = found["ConsumedCapacity"]
    assert capacity["TableName"] == "tbl" and capacity["ReadCapacityUnits"] == capacity["CapacityUnits"]


def test_a_cancelled_transaction_tells_its_reasons(client: Any) -> None:
    client.put_item(TableName="tbl", Item={**A, "n": {"N": "1"}})
    error = failure(
        lambda: client.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": "tbl", "Item": {"pk": {"S": "other"}}}},
                {
                    "Delete": {
                        "TableName": "tbl",
                        "Key": A,
                        "ConditionExpression": "n = :n",
                        "ExpressionAttributeValues": {":n": {"N": "2"}},
                        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                    }
                },
            ]
        )
    )
    assert error.response["Error"]["Code"] == "TransactionCanceledException"
    none, _, no_item, failed, message, item = error.cancellation_reasons
    assert (none, no_item, failed) == ("None", None, "ConditionalCheckFailed")
    assert message == "The conditional request failed" and item.endswith(b"\x01")


def test_there_is_no_such_table(client: Any) -> None:
    error = failure(lambda: client.get_item(TableName="none", Key=A))
    assert error.response["Error"]["Code"] == "ResourceNotFoundException"


def test_errors_of_the_api_come_as_they_are(client: Any) -> None:
    error = failure(lambda: client.get_item(TableName="tbl", Key={"pk": {"S": ""}}))
    assert error.response["Error"]["Code"] == "ValidationException"
    error = failure(lambda: client.scan(TableName="tbl", IndexName="nope"))
    assert error.response["Error"]["Message"] == "The table does not have the specified index: nope"


def test_lists_that_take_their_time(client: Any, door: RunningDoor) -> None:
    """Names that no client has defined: they are written beside the cache, and defined for the reply."""
    door.lists.later = True
    try:
        for number in range(3):
            door.call(
                "PutItem", {"TableName": "tbl", "Item": {"pk": {"S": "beside"}, f"new{number}": {"S": "v"}}}
            )
            for method in ("get_item", "scan"):
                door.on_loop(door.store.clear)
                given = {"Key": {"pk": {"S": "beside"}}} if method == "get_item" else {}
                reply = getattr(client, method)(TableName="tbl", **given)
                items = reply.get("Items") or [reply["Item"]]
                assert {"pk": {"S": "beside"}, f"new{number}": {"S": "v"}} in items
    finally:
        door.lists.later = False


def test_a_list_made_elsewhere_is_fetched(client: Any, door: RunningDoor) -> None:
    client.put_item(TableName="tbl", Item={**A, "fetched": {"S": "1"}})
    door.on_loop(lambda: door.lists.hidden.update(door.lists.names))
    client.put_item(TableName="tbl", Item={**A, "fetched": {"S": "2"}})
    assert client.get_item(TableName="tbl", Key=A)["Item"] == {**A, "fetched": {"S": "2"}}


def test_no_room_for_another_list(client: Any, door: RunningDoor) -> None:
    door.lists.full = True
    try:
        error = failure(lambda: client.put_item(TableName="tbl", Item={**A, "unheard": {"S": "1"}}))
        assert error.response["Error"]["Code"] == "LimitExceededException"
        door.call("PutItem", {"TableName": "tbl", "Item": {"pk": {"S": "u"}, "unheard": {"S": "1"}}})
        error = failure(lambda: client.get_item(TableName="tbl", Key={"pk": {"S": "u"}}))
        assert error.response["Error"]["Message"] == "There are too many attribute lists."
    finally:
        door.lists.full = False


def test_a_fault_of_ours_is_told_as_one(client: Any, door: RunningDoor) -> None:
    def broken(operation: str, request: Any, done: Any, **_: Any) -> None:
        raise RuntimeError("made to fail")

    run = door.tier.run
    door.tier.run = broken  # type: ignore[assignment,method-assign]
    try:
        error = failure(lambda: client.put_item(TableName="tbl", Item=A))
        assert error.response["Error"]["Code"] == "InternalServerError" and error.http_status == 500
    finally:
        door.tier.run = run  # type: ignore[method-assign]
    assert client.put_item(TableName="tbl", Item=A) == {}


def test_unprocessed_writes_are_made_again_here(client: Any, door: RunningDoor) -> None:
    run = door.backend.run
    left = [1, 1]

    def throttled(operation: str, request: Any, done: Any) -> None:
        if operation != "BatchWriteItem" or not left:
            run(operation, request, done)
            return
        left.pop()
        items = request["RequestItems"]["tbl"]
        rest = items[1:]
        request["RequestItems"]["tbl"] = items[:1]

        def answered(reply: Any) -> None:
            if not isinstance(reply, ApiError):
                reply = reply._replace(
                    body=reply.body.replace(
                        b'"UnprocessedItems":{}', b'"UnprocessedItems":' + dumps({"tbl": rest})
                    )
                )
            done(reply)

        run(operation, request, answered)

    door.backend.run = throttled  # type: ignore[method-assign]
    try:
        reply = client.batch_write_item(
            RequestItems={"tbl": [{"PutRequest": {"Item": {"pk": {"S": f"u{n}"}}}} for n in range(4)]},
            ReturnConsumedCapacity="TOTAL",
        )
    finally:
        door.backend.run = run  # type: ignore[method-assign]
    assert not left and reply["UnprocessedItems"] == {}
    assert reply["ConsumedCapacity"] == [{"TableName": "tbl", "CapacityUnits": 4.0}]
    assert (
        len(
            client.batch_get_item(RequestItems={"tbl": {"Keys": [{"pk": {"S": f"u{n}"}} for n in range(4)]}})[
                "Responses"
            ]["tbl"]
        )
        == 4
    )


def test_a_query_known_by_its_bytes_is_answered_from_the_cache_alone(client: Any, door: RunningDoor) -> None:
    given = {"TableName": "tbl", "ProjectionExpression": "l[1], n", "Limit": 50}
    client.put_item(TableName="tbl", Item=ITEM)
    first = client.scan(**given)
    before = door.on_loop(lambda: (door.sent, door.tier.metrics.quick_scans))
    assert client.scan(**given) == first
    assert door.on_loop(lambda: (door.sent, door.tier.metrics.quick_scans)) == (before[0], before[1] + 1)
    door.on_loop(door.store.clear)
    client.put_item(TableName="tbl", Item={"pk": {"S": "more"}, "n": {"N": "77"}})
    assert {"n": {"N": "77"}} in client.scan(**given)["Items"]
    strong = {**given, "ConsistentRead": True}
    client.scan(**strong)
    client.put_item(TableName="tbl", Item={"pk": {"S": "more"}, "n": {"N": "78"}})
    assert {"n": {"N": "78"}} in client.scan(**strong)["Items"]


def test_a_table_made_anew_is_another_one(client: Any, door: RunningDoor) -> None:
    door.table("again")
    client.put_item(TableName="again", Item={**A, "v": {"S": "old"}})
    for _ in range(2):
        assert client.get_item(TableName="again", Key=A)["Item"]["v"] == {"S": "old"}
        assert client.scan(TableName="again")["Count"] == 1
    door.call("DeleteTable", {"TableName": "again"})
    assert failure(lambda: client.scan(TableName="again")).code == "ResourceNotFoundException"
    door.table("again")
    assert client.get_item(TableName="again", Key=A) == {}
    assert client.scan(TableName="again")["Count"] == 0
