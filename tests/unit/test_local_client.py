"""Operations of the own process: like a client's, and in addition on the table of the trigger pools."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hashrange_router.capacity.admission import Enforcer
from hashrange_router.capacity.resource import Rules
from hashrange_router.triggers.contracts import TRIGGER_TABLE

from hashrange.errors import ApiError, unavailable
from hashrange.wire.messages import ChangeTable, CollectionSize, ConflictError
from tests.unit.local_support import LocalNode, make_table, on_loop

ROW = {"pk": {"S": "pools"}, "sk": {"S": "a"}}


def put(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"TableName": TRIGGER_TABLE, "Item": {**ROW, "n": {"N": str(number)}}, **more}


def get() -> dict[str, Any]:
    return {"TableName": TRIGGER_TABLE, "Key": dict(ROW), "ConsistentRead": True}


def test_the_first_request_makes_the_table_and_rows_are_read_back() -> None:
    async def test(local: LocalNode) -> None:
        client = local.client()
        assert await client.call("GetItem", get()) == {}
        await client.call("PutItem", put())
        assert (await client.call("GetItem", get()))["Item"]["n"] == {"N": "1"}
        document = local.node.catalogue.documents[TRIGGER_TABLE]
        assert document["BillingMode"] == "PAY_PER_REQUEST" and document["Streams"] == []
        assert document["TimeToLive"]["AttributeName"] == "expires"
        query = {
            "TableName": TRIGGER_TABLE,
            "KeyConditionExpression": "pk = :p",
            "ExpressionAttributeValues": {":p": {"S": "pools"}},
        }
        assert (await client.call("Query", query))["Count"] == 1
        assert (await client.call("Scan", {"TableName": TRIGGER_TABLE}))["Count"] == 1

    on_loop(test)


def test_programs_that_race_for_the_table_use_the_same_one() -> None:
    async def test(local: LocalNode) -> None:
        clients = [local.client() for _ in range(4)]
        rows = [
            {"TableName": TRIGGER_TABLE, "Item": {"pk": {"S": "x"}, "sk": {"S": f"{number}"}}}
            for number in range(8)
        ]
        await asyncio.gather(*(clients[number % 4].call("PutItem", row) for number, row in enumerate(rows)))
        assert (await clients[0].call("Scan", {"TableName": TRIGGER_TABLE}))["Count"] == 8

    on_loop(test)


def test_a_view_that_lags_behind_waits_for_the_table_that_somebody_else_has_made() -> None:
    async def test(local: LocalNode) -> None:
        await local.client().call("PutItem", put())
        late = local.client()
        late._context.documents.clear()
        late._context.tables.clear()
        conflicts = []

        class Transport:
            def send(self, message: Any, done: Any) -> None:
                def answered(answer: Any) -> None:
                    if isinstance(answer, ConflictError):
                        conflicts.append(answer)
                        document = local.node.catalogue.documents[TRIGGER_TABLE]
                        late._context.follow(TRIGGER_TABLE, None, document)
                    done(answer)

                local.send(message, answered)

        late._transport = Transport()
        assert (await late.call("GetItem", get()))["Item"]["n"] == {"N": "1"}
        assert len(conflicts) == 1

    on_loop(test)


def test_a_table_that_cannot_be_made_is_told_as_an_error() -> None:
    async def test(local: LocalNode) -> None:
        class NoControlPlane:
            def send(self, message: Any, done: Any) -> None:
                done(unavailable("no leader") if isinstance(message, ChangeTable) else None)

        with pytest.raises(ApiError) as failure:
            await local.client(NoControlPlane()).call("GetItem", get())
        assert failure.value.status == 503

    on_loop(test)


def test_a_failed_condition_shows_the_row_in_its_way_as_plain_json() -> None:
    async def test(local: LocalNode) -> None:
        client = local.client()
        await client.call("PutItem", put(1))
        with pytest.raises(ApiError) as failure:
            await client.call(
                "PutItem",
                put(
                    2,
                    ConditionExpression="attribute_not_exists(pk)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                ),
            )
        assert failure.value.type_name == "ConditionalCheckFailedException"
        assert failure.value.fields is not None
        assert failure.value.fields["Item"]["n"] == {"N": "1"}

    on_loop(test)


def test_rows_are_replaced_in_one_transaction() -> None:
    async def test(local: LocalNode) -> None:
        client = local.client()
        await client.call("PutItem", put(1))

        def moved(seen: int) -> dict[str, Any]:
            delete = {
                "TableName": TRIGGER_TABLE,
                "Key": dict(ROW),
                "ConditionExpression": "n = :n",
                "ExpressionAttributeValues": {":n": {"N": str(seen)}},
            }
            item = {**ROW, "sk": {"S": "b"}}
            return {
                "TransactItems": [{"Delete": delete}, {"Put": {"TableName": TRIGGER_TABLE, "Item": item}}]
            }

        with pytest.raises(ApiError) as failure:
            await client.call("TransactWriteItems", moved(2))
        assert failure.value.type_name == "TransactionCanceledException"
        await client.call("TransactWriteItems", moved(1))
        rows = (await client.call("Scan", {"TableName": TRIGGER_TABLE}))["Items"]
        assert [row["sk"]["S"] for row in rows] == ["b"]

    on_loop(test)


def test_requests_are_checked_as_those_of_clients() -> None:
    async def test(local: LocalNode) -> None:
        client = local.client()
        for operation, request, error in (
            ("GetItem", {"TableName": TRIGGER_TABLE}, "ValidationException"),
            ("GetItem", {"TableName": "$transactions", "Key": ROW}, "ValidationException"),
            ("GetItem", {"TableName": "missing", "Key": ROW}, "ResourceNotFoundException"),
            ("GetItem", {"TableName": TRIGGER_TABLE, "Key": {"pk": {"S": "x"}}}, "ValidationException"),
            ("DescribeTable", {"TableName": TRIGGER_TABLE}, "ResourceNotFoundException"),
            ("PutEverything", {}, "UnknownOperationException"),
        ):
            with pytest.raises(ApiError) as failure:
                await client.call(operation, request)
            assert failure.value.type_name == error, operation
        assert await client.call("ListTables", {}) == {"TableNames": []}

    on_loop(test)


def test_tables_of_users_are_at_hand_too() -> None:
    async def test(local: LocalNode) -> None:
        client = local.client()
        await make_table(client, "Things")
        await client.call("PutItem", {"TableName": "Things", "Item": {"pk": {"S": "1"}, "a": {"N": "1.0"}}})
        reply = await client.call("GetItem", {"TableName": "Things", "Key": {"pk": {"S": "1"}}})
        assert reply["Item"]["a"] == {"N": "1"}

    on_loop(test)


def test_a_message_is_answered_or_raises() -> None:
    async def test(local: LocalNode) -> None:
        client = local.client()
        await make_table(client, "Things")
        table = client._context.tables["Things"]
        key = table.codec.partition_prefix([{"S": "1"}])
        assert await client.send(CollectionSize(table.partition_for(key).id, 0, key)) == 0
        with pytest.raises(ApiError):
            await client.send(CollectionSize(999, 0, key))

    on_loop(test)


def test_no_budget_holds_for_the_table() -> None:
    async def test(local: LocalNode) -> None:
        client = local.client()
        context = client._context
        now = asyncio.get_running_loop().time
        meter = Enforcer(context.get, now, Rules("on", 0.0001, alone=True), context.tables)
        context.admission = meter
        await make_table(client, "Things")
        with pytest.raises(ApiError) as failure:
            for _ in range(100):
                await client.call("PutItem", {"TableName": "Things", "Item": {"pk": {"S": "1"}}})
        assert "Throttl" in failure.value.type_name or "Exceeded" in failure.value.type_name
        for number in range(100):
            await client.call("PutItem", put(number))

    on_loop(test)


def test_a_loop_over_calls_lets_others_have_their_turn() -> None:
    async def test(local: LocalNode) -> None:
        client = local.client()
        await client.call("PutItem", put())
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        for _ in range(2000):
            await client.call("GetItem", get())
        task.cancel()
        assert turns > 2

    on_loop(test)
