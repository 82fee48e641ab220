"""Conflicts, tokens and their ten minutes, through the SDK, on a server in this process whose clock the test moves.

Where a test needs a transaction that has stopped half way, it prepares one at the node as a coordinator would.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hashrange.cli.embedded import EmbeddedServer
from hashrange.model.value import dump, normalise_item
from hashrange.wire import messages as wire
from hashrange.wire.transactions import CHECK, TransactFinish, TransactOutcome, TransactPrepare
from tests.conformance.clocked import Clocked, clocked
from tests.conformance.support import column, error, n, s, table_parameters, unique
from tests.conformance.test_transact_get import get
from tests.conformance.test_transact_write import check, delete, got, put, reasons, update

CONFLICT = ("TransactionConflictException", "Transaction is ongoing for the item")
REASON = {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}
NONE = {"Code": "None"}


@pytest.fixture(scope="module")
def server() -> Iterator[Clocked]:
    with clocked() as made:
        yield made


@pytest.fixture
def client(server: Clocked) -> Any:
    return server.client


@pytest.fixture(scope="module")
def tables(server: Clocked) -> list[str]:
    made = []
    for _ in range(2):
        parameters = table_parameters("p")
        server.client.create_table(**parameters)
        made.append(parameters["TableName"])
    return made


class Stopped:
    """A transaction that holds locks on items of one table, until it is finished."""

    def __init__(self, server: Clocked, table_name: str, *keys: dict[str, Any], kind: int = wire.PUT) -> None:
        self.server = server
        self.txid = unique().encode()[:16].ljust(16, b"-")

        def prepare(embedded: EmbeddedServer) -> None:
            schema = embedded.node.catalogue.schemas[table_name]
            actions = []
            for key in keys:
                item = {**key, "from": s("the transaction")}
                action = wire.WriteItem(0, 0, kind, schema.codec.encode(key))
                action.item_size, action.item_json, action.key_item = normalise_item(item), dump(item), key
                actions.append(action)
            self.partition = schema.partitions.all[0].id
            message = TransactPrepare(self.partition, 0, self.txid, embedded.node.stamps.next(), actions)
            embedded.node.send(message, self.answers.append)

        self.answers: list[Any] = []
        server.on_loop(prepare)
        self._wait(1)
        assert isinstance(self.answers[0], TransactOutcome)

    def finish(self, commit: bool) -> None:
        """Carry it out, or undo it."""
        message = TransactFinish(self.partition, 0, self.txid, commit, [])
        self.server.on_loop(lambda embedded: embedded.node.send(message, self.answers.append))
        self._wait(2)

    def _wait(self, count: int) -> None:
        for _ in range(1000):
            if len(self.answers) == count:
                return
            self.server.on_loop(lambda embedded: None)
        raise AssertionError("the node does not answer")


# Conflicts with single operations.


def test_single_writes_are_refused_while_a_transaction_has_the_item(
    server: Clocked, client: Any, tables: list[str]
) -> None:
    name, key = tables[0], {"p": s(unique())}
    client.put_item(TableName=name, Item={**key, "v": n(1)})
    stopped = Stopped(server, name, key)
    assert error(client.put_item, TableName=name, Item=key) == CONFLICT
    assert error(client.delete_item, TableName=name, Key=key) == CONFLICT
    assert error(client.update_item, TableName=name, Key=key) == CONFLICT
    assert (
        error(client.put_item, TableName=name, Item=key, ConditionExpression="attribute_not_exists(p)")
        == CONFLICT
    )
    stopped.finish(commit=True)
    assert got(client, name, key) == {**key, "from": s("the transaction")}
    client.put_item(TableName=name, Item=key)


def test_reads_see_what_was_committed_last(server: Clocked, client: Any, tables: list[str]) -> None:
    name, key, fresh = tables[0], {"p": s(unique())}, {"p": s(unique())}
    client.put_item(TableName=name, Item={**key, "v": n(1)})
    stopped = Stopped(server, name, key, fresh)
    assert got(client, name, key) == {**key, "v": n(1)}
    assert got(client, name, fresh) is None
    keys = column(client.scan(TableName=name)["Items"], "p")
    assert key["p"]["S"] in keys and fresh["p"]["S"] not in keys
    batch = client.batch_get_item(RequestItems={name: {"Keys": [key, fresh]}})
    assert batch["Responses"][name] == [{**key, "v": n(1)}]
    stopped.finish(commit=False)
    assert got(client, name, key) == {**key, "v": n(1)}
    assert got(client, name, fresh) is None


def test_a_batch_leaves_the_item_for_later(server: Clocked, client: Any, tables: list[str]) -> None:
    name, key, free = tables[0], {"p": s(unique())}, {"p": s(unique())}
    stopped = Stopped(server, name, key)
    requests = [{"PutRequest": {"Item": key}}, {"PutRequest": {"Item": free}}]
    answer = client.batch_write_item(RequestItems={name: requests})
    assert answer["UnprocessedItems"] == {name: requests[:1]}
    answer = client.batch_write_item(RequestItems={name: requests[:1]})
    assert answer["UnprocessedItems"] == {name: requests[:1]}, "also if it is the only one"
    stopped.finish(commit=False)
    assert client.batch_write_item(RequestItems={name: requests})["UnprocessedItems"] == {}


# Conflicts between transactions.


@pytest.mark.parametrize("spread", [False, True])
def test_a_transaction_is_cancelled_by_another(
    server: Clocked, client: Any, tables: list[str], spread: bool
) -> None:
    name, second = tables[0], tables[1] if spread else tables[0]
    key, free = {"p": s(unique())}, {"p": s(unique())}
    stopped = Stopped(server, name, key)
    for action in (
        put(name, key),
        update(name, key, "SET a = :a", {":a": n(1)}),
        delete(name, key),
        check(name, key, "attribute_not_exists(p)"),
    ):
        assert reasons(client, action, put(second, free)) == [REASON, NONE]
    failing = check(second, free, "attribute_exists(p)")
    found = reasons(client, put(name, key), failing)
    assert [reason["Code"] for reason in found] == ["TransactionConflict", "ConditionalCheckFailed"]
    stopped.finish(commit=False)
    client.transact_write_items(TransactItems=[put(name, key), put(second, free)])


@pytest.mark.parametrize("spread", [False, True])
def test_a_read_is_cancelled_by_a_write(
    server: Clocked, client: Any, tables: list[str], spread: bool
) -> None:
    name, second = tables[0], tables[1] if spread else tables[0]
    key, free = {"p": s(unique())}, {"p": s(unique())}
    stopped = Stopped(server, name, key)
    with pytest.raises(client.exceptions.TransactionCanceledException) as cancelled:
        client.transact_get_items(TransactItems=[get(second, free), get(name, key)])
    assert cancelled.value.response["CancellationReasons"] == [NONE, REASON]
    stopped.finish(commit=True)
    answer = client.transact_get_items(TransactItems=[get(second, free), get(name, key)])
    assert answer["Responses"] == [{}, {"Item": {**key, "from": s("the transaction")}}]


def test_an_item_that_is_only_checked_is_locked_too(server: Clocked, client: Any, tables: list[str]) -> None:
    name, key = tables[0], {"p": s(unique())}
    client.put_item(TableName=name, Item=key)
    stopped = Stopped(server, name, key, kind=CHECK)
    assert error(client.put_item, TableName=name, Item=key) == CONFLICT
    stopped.finish(commit=True)
    assert got(client, name, key) == key


def test_conflicts_are_counted(server: Clocked, client: Any, tables: list[str]) -> None:
    def count() -> float:
        label = 'hashrange_transaction_cancellations_total{operation="TransactWriteItems",reason="TransactionConflict"}'
        return server.metrics().get(label, 0.0)

    name, key = tables[0], {"p": s(unique())}
    stopped = Stopped(server, name, key)
    before = count()
    reasons(client, put(name, key))
    assert count() == before + 1
    stopped.finish(commit=False)


# Tokens.


def counting(names: list[str], keys: list[dict[str, Any]], token: str, **more: Any) -> dict[str, Any]:
    """A request that adds one to items: carried out twice, it would show."""
    actions = [update(name, key, "ADD n :one", {":one": n(1)}) for name, key in zip(names, keys, strict=True)]
    return {"TransactItems": actions, "ClientRequestToken": token, **more}


def counts(client: Any, names: list[str], keys: list[dict[str, Any]]) -> list[str]:
    found = [got(client, name, key) for name, key in zip(names, keys, strict=True)]
    return [item["n"]["N"] if item else "0" for item in found]


@pytest.mark.parametrize("spread", [False, True])
def test_a_repeat_within_ten_minutes_changes_nothing(
    server: Clocked, client: Any, tables: list[str], spread: bool
) -> None:
    names = [tables[0], tables[1] if spread else tables[0]]
    keys = [{"p": s(unique())}, {"p": s(unique())}]
    request = counting(names, keys, unique())
    client.transact_write_items(**request)
    for _ in range(3):
        client.transact_write_items(**request)
        server.clock.advance(190)
    assert counts(client, names, keys) == ["1", "1"]
    server.clock.advance(40)
    client.transact_write_items(**request)
    assert counts(client, names, keys) == ["2", "2"], "after ten minutes it is a new request"


@pytest.mark.parametrize("spread", [False, True])
def test_another_request_with_the_token(
    server: Clocked, client: Any, tables: list[str], spread: bool
) -> None:
    names = [tables[0], tables[1] if spread else tables[0]]
    keys, token = [{"p": s(unique())}, {"p": s(unique())}], unique()
    client.transact_write_items(**counting(names, keys, token))
    code, _ = error(client.transact_write_items, **counting(names, keys[::-1], token))
    assert code == "IdempotentParameterMismatchException"
    assert counts(client, names, keys) == ["1", "1"]
    server.clock.advance(601)
    client.transact_write_items(**counting(names, keys[::-1], token))


def test_the_way_an_answer_is_wanted_makes_no_other_request(client: Any, tables: list[str]) -> None:
    keys, token = [{"p": s(unique())}], unique()
    client.transact_write_items(**counting(tables[:1], keys, token))
    client.transact_write_items(**counting(tables[:1], keys, token, ReturnConsumedCapacity="TOTAL"))
    assert counts(client, tables[:1], keys) == ["1"]


@pytest.mark.parametrize("spread", [False, True])
def test_a_cancelled_request_may_be_sent_again(client: Any, tables: list[str], spread: bool) -> None:
    names = [tables[0], tables[1] if spread else tables[0]]
    key, needed = {"p": s(unique())}, {"p": s(unique())}
    actions = [put(names[0], key), check(names[1], needed, "attribute_exists(p)")]
    token = unique()
    found = reasons(client, *actions, ClientRequestToken=token)
    assert [reason["Code"] for reason in found] == ["None", "ConditionalCheckFailed"]
    client.put_item(TableName=names[1], Item=needed)
    client.transact_write_items(TransactItems=actions, ClientRequestToken=token)
    assert got(client, names[0], key) == key


def test_locks_of_a_dead_coordinator_go_within_seconds(
    server: Clocked, client: Any, tables: list[str]
) -> None:
    name, key = tables[0], {"p": s(unique())}
    client.transact_write_items(TransactItems=[put(each, {"p": s(unique())}) for each in tables])
    Stopped(server, name, key)
    assert error(client.put_item, TableName=name, Item=key) == CONFLICT
    server.clock.advance(6)
    server.on_loop(lambda embedded: embedded.upkeep.locks.look())
    for _ in range(1000):
        if server.metrics()["hashrange_transactions_locks_held"] == 0.0:
            break
        server.on_loop(lambda embedded: None)
    client.put_item(TableName=name, Item=key)
