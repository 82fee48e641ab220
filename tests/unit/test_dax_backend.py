"""The tables behind a cache: replies and errors as a client gets them, and what became of each item."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from hashrange_dax.contracts import BackendReply
from hashrange_router.api.operations import entries

from hashrange.cli.dax.backend import RouterBackend
from hashrange.errors import ApiError, internal, unavailable
from hashrange.expr import Compiled
from hashrange.expr.tree import CONDITION, UPDATE
from hashrange.model import record as records
from hashrange.model.item_state import ItemState
from hashrange.runtime.telemetry import Telemetry
from hashrange.wire.messages import Done, ReadItem, WriteItem
from tests.unit.local_support import LocalNode, make_table, on_loop

T = {"TableName": "Tab"}
KEY = {"pk": {"S": "a"}}


class Tables:
    """A backend over a node, whose messages can be made to fail."""

    def __init__(self, local: LocalNode) -> None:
        self.local = local
        self.context = local.context()
        self.telemetry = Telemetry(process=False)
        self.noted: list[tuple[str, str]] = []
        self.failing: dict[bytes, ApiError] = {}
        self.backend = RouterBackend(
            entries(self.context),
            self.context,
            self,
            self.telemetry,
            lambda table, error: self.noted.append((table, error.type_name)),
        )

    def send(self, message: Any, done: Done) -> None:
        if isinstance(message, ReadItem | WriteItem):
            for part, error in self.failing.items():
                if part in message.key:
                    done(error)
                    return
        self.local.send(message, done)

    async def answer(self, operation: str, **request: Any) -> BackendReply | ApiError:
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.backend.check(operation, request)
        self.backend.run(operation, request, answered.set_result)
        answer = await answered
        assert isinstance(answer, BackendReply | ApiError)
        return answer

    async def reply(self, operation: str, **request: Any) -> tuple[Any, list[ItemState]]:
        """The body, and the states with the stamps that the records have."""
        answer = await self.answer(operation, **request)
        assert isinstance(answer, BackendReply), answer
        return orjson.loads(answer.body), list(answer.states)

    async def stored(self, name: str = "a") -> bytes | None:
        """The record of an item."""
        table = self.backend.table("Tab")
        key = table.codec.encode({"pk": {"S": name}})
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.local.send(ReadItem(table.partition_for(key).id, 0, key, True), answered.set_result)
        record = await answered
        assert record is None or isinstance(record, bytes)
        return record

    async def check_state(self, state: ItemState, name: str = "a") -> None:
        """A state is what is stored now, to the byte and the stamp."""
        assert state.table is self.backend.table("Tab")
        assert state.key == state.table.codec.encode({"pk": {"S": name}})
        record = await self.stored(name)
        if record is None:
            assert state.item_json is None
        else:
            assert (state.item_json, state.stamp) == (records.item_json(record), records.stamp(record))


def on_tables(test: Any, **table: Any) -> None:
    async def run(local: LocalNode) -> None:
        await make_table(local.client(), "Tab", **table)
        await test(Tables(local))

    on_loop(run)


def test_reads_tell_what_they_found() -> None:
    async def test(tables: Tables) -> None:
        body, [state] = await tables.reply("GetItem", **T, Key=dict(KEY))
        assert body == {}
        assert (state.item_json, state.stamp) == (None, 0)
        await tables.reply("PutItem", **T, Item={**KEY, "n": {"N": "1.0"}, "m": {"S": "x"}})
        body, [state] = await tables.reply("GetItem", **T, Key=dict(KEY), ProjectionExpression="n")
        assert body == {"Item": {"n": {"N": "1"}}}
        await tables.check_state(state)
        keys = [{"pk": {"S": "b"}}, dict(KEY)]
        body, states = await tables.reply("BatchGetItem", RequestItems={"Tab": {"Keys": keys}})
        assert len(body["Responses"]["Tab"]) == 1
        assert states[0].item_json is None and states[0].stamp == 0
        await tables.check_state(states[1])

    on_tables(test)


def test_writes_tell_what_they_left() -> None:
    async def test(tables: Tables) -> None:
        stamps = []

        async def run(operation: str, name: str = "a", **request: Any) -> Any:
            body, [state] = await tables.reply(operation, **T, **request)
            await tables.check_state(state, name)
            stamps.append(state.stamp)
            return body

        assert await run("PutItem", Item={**KEY, "n": {"N": "1"}}) == {}
        old = await run("PutItem", Item={**KEY, "n": {"N": "2"}}, ReturnValues="ALL_OLD")
        assert old == {"Attributes": {**KEY, "n": {"N": "1"}}}
        assert (await run("DeleteItem", Key=dict(KEY), ReturnValues="ALL_OLD"))["Attributes"]["n"] == {
            "N": "2"
        }
        assert await run("DeleteItem", Key=dict(KEY)) == {}
        assert await run("PutItem", Item=dict(KEY)) == {}
        assert stamps == sorted(set(stamps)) and stamps[0] > 0
        body, states = await tables.reply(
            "BatchWriteItem",
            RequestItems={
                "Tab": [
                    {"PutRequest": {"Item": {"pk": {"S": "b"}}}},
                    {"DeleteRequest": {"Key": dict(KEY)}},
                ]
            },
        )
        assert body == {"UnprocessedItems": {}}
        await tables.check_state(states[0], "b")
        await tables.check_state(states[1], "a")
        assert min(state.stamp for state in states) > stamps[-1]

    on_tables(test)


RETURNS = ("NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW")
UPDATES: list[dict[str, Any]] = [
    {"UpdateExpression": "SET n = :v, q.r = :v", "ExpressionAttributeValues": {":v": {"N": "7"}}},
    {"UpdateExpression": "SET l[0] = :v REMOVE n", "ExpressionAttributeValues": {":v": {"N": "7"}}},
    {"UpdateExpression": "REMOVE n, z"},
    {"UpdateExpression": "REMOVE z"},
    {"UpdateExpression": "SET n = n"},
    {"AttributeUpdates": {"n": {"Action": "ADD", "Value": {"N": "1"}}}},
    {"AttributeUpdates": {"n": {"Action": "DELETE"}, "s": {"Value": {"S": "s"}}}},
    {},
]


@pytest.mark.parametrize("update", UPDATES, ids=str)
@pytest.mark.parametrize("returned", RETURNS)
def test_updates_answer_as_ever_and_tell_the_new_item(update: dict[str, Any], returned: str) -> None:
    async def run(local: LocalNode) -> None:
        client = local.client()
        await make_table(client, "Tab")
        await make_table(client, "Tub")
        tables = Tables(local)
        before = {"n": {"N": "1"}, "q": {"M": {"r": {"N": "2"}}}, "l": {"L": [{"N": "1"}, {"N": "2"}]}}
        for name in ("a", "absent") if "q.r" not in str(update) and "n = n" not in str(update) else ("a",):
            key = {"pk": {"S": name}}
            if name == "a":
                for table in ("Tab", "Tub"):
                    await client.call("PutItem", {"TableName": table, "Item": {**key, **before}})
            try:
                expected: Any = await client.call(
                    "UpdateItem",
                    orjson.loads(
                        orjson.dumps({"TableName": "Tub", "Key": key, **update, "ReturnValues": returned})
                    ),
                )
            except ApiError as error:
                failed = await tables.answer(
                    "UpdateItem",
                    **T,
                    Key=dict(key),
                    **orjson.loads(orjson.dumps(update)),
                    ReturnValues=returned,
                )
                assert isinstance(failed, ApiError) and failed.message == error.message
                continue
            body, [state] = await tables.reply(
                "UpdateItem", **T, Key=dict(key), **orjson.loads(orjson.dumps(update)), ReturnValues=returned
            )
            assert body == expected
            await tables.check_state(state, name)
            assert state.stamp > 0

    on_loop(run)


def test_expressions_may_come_parsed() -> None:
    async def test(tables: Tables) -> None:
        condition = Compiled.of(CONDITION, ("call", "attribute_not_exists", (("path", ("pk",)),)))
        update = Compiled.of(
            UPDATE, ("update", (("SET", ((("path", ("size",)), ("value", ":0")),)),)), [{"N": "07"}]
        )
        body, [state] = await tables.reply(
            "UpdateItem",
            **T,
            Key=dict(KEY),
            UpdateExpression=update,
            ConditionExpression=condition,
            ReturnValues="UPDATED_NEW",
        )
        assert body == {"Attributes": {"size": {"N": "7"}}}
        await tables.check_state(state)
        failed = await tables.answer("PutItem", **T, Item=dict(KEY), ConditionExpression=condition)
        assert isinstance(failed, ApiError) and failed.type_name == "ConditionalCheckFailedException"
        transaction = [{"Update": {**T, "Key": dict(KEY), "UpdateExpression": update}}]
        body, states = await tables.reply(
            "TransactWriteItems", TransactItems=transaction, ClientRequestToken="t" * 36
        )
        assert (body, states) == ({}, [])

    on_tables(test)


def test_errors_are_worded_as_for_clients() -> None:
    async def test(tables: Tables) -> None:
        with pytest.raises(ApiError) as caught:
            await tables.answer("PutItem", **T, Item=dict(KEY), ReturnValues="ALL_NEW")
        assert caught.value.message == "1 validation error detected: ReturnValues can only be ALL_OLD or NONE"
        with pytest.raises(ApiError, match="UnknownOperation"):
            await tables.answer("Nothing")
        bad = await tables.answer("PutItem", **T, Item=dict(KEY), ConditionExpression="nothing(a)")
        assert isinstance(bad, ApiError)
        assert bad.message == (
            "1 validation error detected: Invalid ConditionExpression: Invalid function name; function: nothing"
        )
        missing = await tables.answer("GetItem", TableName="Missing", Key=dict(KEY))
        assert isinstance(missing, ApiError) and missing.type_name == "ResourceNotFoundException"
        await tables.reply("PutItem", **T, Item={**KEY, "n": {"N": "1"}})
        refused = await tables.answer(
            "DeleteItem",
            **T,
            Key=dict(KEY),
            ConditionExpression="attribute_exists(x)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
        assert isinstance(refused, ApiError)
        assert refused.fields == {"Item": {**KEY, "n": {"N": "1"}}}
        assert ("Tab", "ConditionalCheckFailedException") in tables.noted

    on_tables(test)


def test_what_is_not_done_has_no_state() -> None:
    async def test(tables: Tables) -> None:
        tables.failing = {b"bad": unavailable("no leader")}
        writes = [{"PutRequest": {"Item": {"pk": {"S": name}}}} for name in ("good", "bad")]
        body, [state] = await tables.reply("BatchWriteItem", RequestItems={"Tab": writes})
        assert len(body["UnprocessedItems"]["Tab"]) == 1
        await tables.check_state(state, "good")
        keys = [{"pk": {"S": "bad"}}, {"pk": {"S": "good"}}]
        body, [state] = await tables.reply("BatchGetItem", RequestItems={"Tab": {"Keys": keys}})
        assert body["UnprocessedKeys"] == {"Tab": {"Keys": [{"pk": {"S": "bad"}}]}}
        await tables.check_state(state, "good")
        tables.failing = {b"good": internal()}
        lost = await tables.answer("PutItem", **T, Item={"pk": {"S": "good"}})
        assert isinstance(lost, ApiError) and lost.type_name == "InternalServerError"

    on_tables(test)


def test_capacity_is_counted_once() -> None:
    async def test(tables: Tables) -> None:
        await tables.reply("PutItem", **T, Item={**KEY, "x": {"S": "x" * 3000}})
        await tables.reply("GetItem", **T, Key=dict(KEY), ConsistentRead=True)
        await tables.reply("GetItem", **T, Key=dict(KEY))
        counted = {
            stats.operation: (stats.write_units_half, stats.read_units_half, stats.requests())
            for stats in tables.telemetry.operations()
        }
        assert counted == {"PutItem": (6, 0, 0), "GetItem": (0, 3, 0)}

    on_tables(test)


def test_secondary_indexes_do_not_hide_the_stamp() -> None:
    async def test(tables: Tables) -> None:
        for number in (1, 2, 2):
            _, [state] = await tables.reply("PutItem", **T, Item={**KEY, "g": {"N": str(number)}})
            await tables.check_state(state)

    on_tables(
        test,
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "g", "AttributeType": "N"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-g",
                "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
