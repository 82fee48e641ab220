"""What a change of an item leaves in its table's stream: one record, with the images that the view type asks for.

Records are read with boto3's `dynamodbstreams` client. The operations that read them are in test_streams_api.py.
"""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from tests.conformance.stream_support import (
    VIEW_TYPES,
    changes,
    latest_arn,
    read_all,
    replayed,
    sequence,
    shards,
    specification,
    streamed,
    wait_records,
)
from tests.conformance.support import all_items, error, n, put_all, s, table, wait_until

KEY = {"p": s("Fred")}


def item(value: Any) -> dict[str, Any]:
    """Fred with one attribute."""
    return KEY | {"v": value}


def test_the_members_of_a_record(client: Any, streams: Any) -> None:
    with streamed(client, "id") as (name, arn):
        before = int(time.time())
        client.put_item(TableName=name, Item={"id": s("Fred")})
        (record,) = read_all(streams, arn)
        assert set(record) == {"eventID", "eventName", "eventVersion", "eventSource", "awsRegion", "dynamodb"}
        assert re.fullmatch("[0-9a-f]{32}", record["eventID"])
        assert record["eventName"] == "INSERT"
        assert record["eventVersion"] == "1.1"
        assert record["eventSource"] == "aws:dynamodb"
        assert record["awsRegion"] == "us-east-1"
        change = record["dynamodb"]
        assert change["Keys"] == change["NewImage"] == {"id": s("Fred")}
        assert "OldImage" not in change
        assert change["SizeBytes"] == 12
        assert change["StreamViewType"] == "NEW_AND_OLD_IMAGES"
        assert re.fullmatch("[0-9]{21,40}", change["SequenceNumber"])
        created = change["ApproximateCreationDateTime"].timestamp()
        assert created == int(created)
        assert before <= created <= time.time()


IMAGES = {
    "KEYS_ONLY": (False, False),
    "NEW_IMAGE": (False, True),
    "OLD_IMAGE": (True, False),
    "NEW_AND_OLD_IMAGES": (True, True),
}


@pytest.mark.parametrize("view_type", VIEW_TYPES)
def test_the_images_of_each_view_type(client: Any, streams: Any, view_type: str) -> None:
    first, second = item(s("1")), item(s("22"))
    with streamed(client, "p", view_type) as (name, arn):
        client.put_item(TableName=name, Item=first)
        client.put_item(TableName=name, Item=second)
        client.delete_item(TableName=name, Key=KEY)
        records = read_all(streams, arn)
        old, new = IMAGES[view_type]
        assert changes(records) == [
            ("INSERT", KEY, None, first if new else None),
            ("MODIFY", KEY, first if old else None, second if new else None),
            ("REMOVE", KEY, second if old else None, None),
        ]
        assert {record["dynamodb"]["StreamViewType"] for record in records} == {view_type}
        # Keys 5 bytes; the images 7 and 8.
        expected = [5 + 7 * new, 5 + 7 * old + 8 * new, 5 + 8 * old]
        assert [record["dynamodb"]["SizeBytes"] for record in records] == expected


@pytest.mark.parametrize("keys", ["p:N", "p:B", "p/r", "p:N/r:B", "p:B/r:N"])
def test_keys_of_every_type(client: Any, streams: Any, keys: str) -> None:
    values = {"S": s("ä/\0b"), "N": n("-12.5"), "B": {"B": b"\x00\x01\xff"}}
    key = {part.partition(":")[0]: values[part.partition(":")[2] or "S"] for part in keys.split("/")}
    with streamed(client, keys) as (name, arn):
        client.put_item(TableName=name, Item=key | {"v": s("x")})
        client.delete_item(TableName=name, Key=key)
        assert [keys_of for _, keys_of, _, _ in changes(read_all(streams, arn))] == [key, key]


def test_numbers_in_records_are_normalised(client: Any, streams: Any) -> None:
    with streamed(client, "p:N") as (name, arn):
        client.put_item(TableName=name, Item={"p": n("01.0"), "v": {"L": [n("1.50"), {"NS": ["3.0", "2"]}]}})
        ((_, keys, _, new),) = changes(read_all(streams, arn))
        assert keys == {"p": n("1")}
        assert new["v"]["L"][0] == n("1.5")
        assert sorted(new["v"]["L"][1]["NS"]) == ["2", "3"]


def test_updates(client: Any, streams: Any) -> None:
    with streamed(client) as (name, arn):
        update = {"TableName": name, "Key": KEY}
        client.update_item(**update)
        client.update_item(**update, UpdateExpression="SET v = :v", ExpressionAttributeValues={":v": n(1)})
        client.update_item(**update, UpdateExpression="ADD v :v", ExpressionAttributeValues={":v": n(2)})
        client.update_item(**update, UpdateExpression="REMOVE v")
        assert changes(read_all(streams, arn)) == [
            ("INSERT", KEY, None, KEY),
            ("MODIFY", KEY, KEY, item(n(1))),
            ("MODIFY", KEY, item(n(1)), item(n(3))),
            ("MODIFY", KEY, item(n(3)), KEY),
        ]


@pytest.mark.parametrize("view_type", VIEW_TYPES)
def test_writes_that_change_nothing_leave_no_record(client: Any, streams: Any, view_type: str) -> None:
    stored = KEY | {
        "number": n("1.5"),
        "set": {"SS": ["a", "b"]},
        "numbers": {"NS": ["1", "2"]},
        "map": {"M": {"x": n(1), "y": n(2)}},
    }
    same = {
        "map": {"M": {"y": n("2.0"), "x": n("1.0")}},
        "numbers": {"NS": ["2.0", "1"]},
        "set": {"SS": ["b", "a"]},
        "number": n("1.50"),
    } | KEY
    with streamed(client, "p", view_type) as (name, arn):
        client.put_item(TableName=name, Item=stored)
        update = {"TableName": name, "Key": KEY}
        client.put_item(TableName=name, Item=stored)
        client.put_item(TableName=name, Item=same)
        client.update_item(**update)
        client.update_item(
            **update,
            UpdateExpression="SET #n = :n",
            ExpressionAttributeNames={"#n": "number"},
            ExpressionAttributeValues={":n": n("1.500")},
        )
        client.update_item(**update, UpdateExpression="REMOVE nothere")
        client.update_item(
            **update,
            UpdateExpression="ADD numbers :n",
            ExpressionAttributeValues={":n": {"NS": ["1"]}},
        )
        client.delete_item(TableName=name, Key={"p": s("nobody")})
        client.batch_write_item(RequestItems={name: [{"PutRequest": {"Item": same}}]})
        client.transact_write_items(TransactItems=[{"Put": {"TableName": name, "Item": same}}])
        refused = error(
            client.put_item, TableName=name, Item=KEY, ConditionExpression="attribute_not_exists(p)"
        )
        assert refused[0] == "ConditionalCheckFailedException"
        assert [event for event, *_ in changes(read_all(streams, arn))] == ["INSERT"]


def test_replacing_an_item_by_a_bare_key_is_a_change(client: Any, streams: Any) -> None:
    with streamed(client) as (name, arn):
        client.put_item(TableName=name, Item=item(s("x")))
        client.put_item(TableName=name, Item=KEY)
        assert [event for event, *_ in changes(read_all(streams, arn))] == ["INSERT", "MODIFY"]


def test_batches_leave_one_record_an_item(client: Any, streams: Any) -> None:
    items = [{"p": s(f"k{number:02}"), "v": n(number)} for number in range(60)]
    with streamed(client) as (name, arn):
        put_all(client, name, items)
        client.batch_write_item(
            RequestItems={
                name: [{"DeleteRequest": {"Key": {"p": s(f"k{number:02}")}}} for number in range(20)]
            }
        )
        records = read_all(streams, arn)
        assert len(records) == 80
        kept = replayed(records)
        assert sorted(each["p"]["S"] for each in kept.values()) == [f"k{n:02}" for n in range(20, 60)]


def test_transactions_leave_one_record_for_each_item_that_changed(client: Any, streams: Any) -> None:
    with streamed(client) as (name, arn), table(client) as other:
        client.put_item(TableName=name, Item={"p": s("checked")})
        client.put_item(TableName=name, Item={"p": s("deleted")})
        client.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": name, "Item": {"p": s("put")}}},
                {
                    "Update": {
                        "TableName": name,
                        "Key": {"p": s("updated")},
                        "UpdateExpression": "SET v = :v",
                        "ExpressionAttributeValues": {":v": n(1)},
                    }
                },
                {"Delete": {"TableName": name, "Key": {"p": s("deleted")}}},
                {"Delete": {"TableName": name, "Key": {"p": s("nobody")}}},
                {
                    "ConditionCheck": {
                        "TableName": name,
                        "Key": {"p": s("checked")},
                        "ConditionExpression": "attribute_exists(p)",
                    }
                },
                {"Put": {"TableName": other, "Item": {"p": s("elsewhere")}}},
            ]
        )
        refused = error(
            client.transact_write_items,
            TransactItems=[
                {"Put": {"TableName": name, "Item": {"p": s("never")}}},
                {
                    "ConditionCheck": {
                        "TableName": name,
                        "Key": {"p": s("checked")},
                        "ConditionExpression": "attribute_not_exists(p)",
                    }
                },
            ],
        )
        assert refused[0] == "TransactionCanceledException"
        seen = wait_records(streams, arn, 5)
        assert [event for event, *_ in changes(seen[:2])] == ["INSERT", "INSERT"]
        assert sorted((event, keys["p"]["S"]) for event, keys, _, _ in changes(seen[2:])) == [
            ("INSERT", "put"),
            ("INSERT", "updated"),
            ("REMOVE", "deleted"),
        ]


def test_items_that_expire_are_removed_by_the_service(client: Any, streams: Any) -> None:
    now = int(time.time())
    with streamed(client) as (name, arn):
        client.put_item(TableName=name, Item={"p": s("gone"), "expires": n(now - 60)})
        client.update_time_to_live(
            TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
        )
        records = wait_records(streams, arn, 2)
        assert [event for event, *_ in changes(records)] == ["INSERT", "REMOVE"]
        assert "userIdentity" not in records[0]
        identity = records[1]["userIdentity"]
        assert identity == {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
        assert records[1]["dynamodb"]["OldImage"]["expires"] == n(now - 60)


def test_indexes_leave_nothing_in_the_stream(client: Any, streams: Any) -> None:
    with streamed(client, "p/r:N", gsi=(("by_g", "g"),), lsi=(("by_l", "p/l:N"),)) as (name, arn):
        client.put_item(TableName=name, Item={"p": s("a"), "r": n(1), "g": s("g"), "l": n(2)})
        wait_until(lambda: client.scan(TableName=name, IndexName="by_g")["Items"], "the index has the item")
        assert len(read_all(streams, arn)) == 1


def test_a_table_without_a_stream_has_none(client: Any, streams: Any) -> None:
    with table(client) as name:
        client.put_item(TableName=name, Item=KEY)
        assert streams.list_streams(TableName=name)["Streams"] == []
        assert "LatestStreamArn" not in client.describe_table(TableName=name)["Table"]


def test_numbers_and_event_ids_are_unique_and_grow(client: Any, streams: Any) -> None:
    with streamed(client) as (name, arn):
        put_all(client, name, [{"p": s(f"k{number}")} for number in range(200)])
        records = read_all(streams, arn)
        (shard,) = shards(streams, arn)
        found = [sequence(record) for record in records]
        assert found == sorted(set(found), key=int)
        assert {len(text) for text in found} <= set(range(21, 41))
        assert int(shard["SequenceNumberRange"]["StartingSequenceNumber"]) <= int(found[0])
        assert len({record["eventID"] for record in records}) == 200
        again = read_all(streams, arn)
        assert again == records


def test_a_stream_that_is_replayed_gives_the_table(client: Any, streams: Any) -> None:
    with streamed(client, "p/r:N") as (name, arn):
        for number in range(300):
            key = {"p": s(f"k{number * 7 % 10}"), "r": n(number * 3 % 4)}
            if number % 5 == 4:
                client.delete_item(TableName=name, Key=key)
            elif number % 2:
                client.update_item(
                    TableName=name,
                    Key=key,
                    UpdateExpression="ADD v :v",
                    ExpressionAttributeValues={":v": n(number % 3)},
                )
            else:
                client.put_item(TableName=name, Item=key | {"v": n(number % 11)})
        state = replayed(read_all(streams, arn))
        items = all_items(client.scan, TableName=name)
        assert {repr(sorted((k, each[k]) for k in ("p", "r"))): each for each in items} == state


def test_the_largest_items(client: Any, streams: Any) -> None:
    text = "x" * 400_000
    with streamed(client) as (name, arn):
        for suffix in ("a", "b", "c"):
            client.put_item(TableName=name, Item=item(s(text + suffix)))
        records = read_all(streams, arn)
        assert [change["v"]["S"][-1] for _, _, _, change in changes(records)] == ["a", "b", "c"]


def test_every_table_has_a_stream_of_its_own(client: Any, streams: Any) -> None:
    with streamed(client) as (one, first), streamed(client) as (_, second):
        client.put_item(TableName=one, Item=KEY)
        assert len(read_all(streams, first)) == 1
        assert read_all(streams, second) == []


def test_a_stream_that_is_switched_on_later_begins_then(client: Any, streams: Any) -> None:
    with table(client) as name:
        client.put_item(TableName=name, Item=KEY)
        client.update_table(TableName=name, StreamSpecification=specification())
        wait_until(
            lambda: client.describe_table(TableName=name)["Table"]["TableStatus"] == "ACTIVE", "ACTIVE again"
        )
        client.put_item(TableName=name, Item=item(n(1)))
        assert changes(read_all(streams, latest_arn(client, name))) == [("MODIFY", KEY, KEY, item(n(1)))]
