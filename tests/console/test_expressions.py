"""What the item explorer sends: expressions built by `dynamo.js`, run by Node.js and answered by a real server."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.server import running
from tests.console.load import TABLES, Client, fill

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="there is no Node.js on this machine")
READ = {"customer": {"S": "c"}, "placed": {"N": "1"}, "a": {"S": "x"}, "b": {"L": [{"N": "1"}]}}
FORM = {"mode": "scan", "index": "", "hash": {}, "range": [], "filters": [], "backward": False, "limit": 50}


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`dynamo.js` where Node.js takes it for a module."""
    path = tmp_path_factory.mktemp("js") / "dynamo.mjs"
    path.write_bytes((files("hashrange_router.console") / "assets" / "dynamo.js").read_bytes())
    return path


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server with the tables of the load."""
    log = tmp_path_factory.mktemp("server") / "log"
    with running("--in-memory", log=log) as server, contextlib.closing(Client(server.port)) as found:
        fill(found, orders=100)
        yield found


def run(module: Path, call: str, *arguments: Any) -> Any:
    """What a function of the module gives; {"thrown": message} when it throws."""
    script = (
        f"import * as dynamo from {json.dumps(module.as_uri())};"
        "let given; try { given = dynamo." + call + "(..." + json.dumps(arguments) + "); }"
        "catch (error) { given = { thrown: error.message }; } console.log(JSON.stringify(given));"
    )
    assert NODE is not None
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", script], check=True, capture_output=True, timeout=60
    )
    return json.loads(done.stdout)


def described(client: Client, name: str = "orders") -> dict[str, Any]:
    found: dict[str, Any] = client.call("DescribeTable", {"TableName": name})["Table"]
    return found


def test_a_query_of_an_index_with_range_and_filters(module: Path, client: Client) -> None:
    form = FORM | {
        "mode": "query",
        "index": "by-town",
        "hash": {"town": "Lyon"},
        "range": [
            {
                "name": "placed",
                "type": "N",
                "operator": "between",
                "first": "1790000000",
                "second": "1790002000",
            }
        ],
        "filters": [
            {"name": "paid", "type": "BOOL", "operator": "=", "first": "true"},
            {"name": "total", "type": "N", "operator": ">", "first": "100"},
            {"name": "customer", "type": "S", "operator": "begins with", "first": "customer-"},
            {"name": "lines", "type": "S", "operator": "exists"},
            {"name": "nothing", "type": "S", "operator": "does not exist"},
            {"name": "", "type": "S", "operator": "=", "first": "not filled in yet"},
        ],
        "backward": True,
    }
    answer = client.call("Query", run(module, "request", described(client), form))
    items = answer["Items"]
    assert items
    assert all(item["town"] == {"S": "Lyon"} and item["paid"] == {"BOOL": True} for item in items)
    assert all(1_790_000_000 <= int(item["placed"]["N"]) <= 1_790_002_000 for item in items)
    assert all(float(item["total"]["N"]) > 100 for item in items)
    placed = [int(item["placed"]["N"]) for item in items]
    assert placed == sorted(placed, reverse=True)
    assert "by-town" in run(module, "consumed", answer["ConsumedCapacity"])


def test_what_is_missing_or_no_number_is_said(module: Path, client: Client) -> None:
    table = described(client)
    assert "customer, the partition key" in run(module, "request", table, FORM | {"mode": "query"})["thrown"]
    wrong = [{"name": "total", "type": "N", "operator": "=", "first": "many"}]
    assert run(module, "request", table, FORM | {"filters": wrong})["thrown"] == "many is no number"


def test_an_edit_changes_what_was_changed_and_only_if_nobody_else_did(module: Path, client: Client) -> None:
    table = described(client)
    client.call("PutItem", {"TableName": "orders", "Item": READ})
    edited = {"customer": READ["customer"], "placed": READ["placed"], "b": READ["b"], "new": {"NULL": True}}
    asked = run(module, "update", table, READ, edited)
    assert "ConsumedCapacity" in client.call("UpdateItem", asked)
    key = {"customer": READ["customer"], "placed": READ["placed"]}
    assert client.call("GetItem", {"TableName": "orders", "Key": key})["Item"] == edited
    assert client.call("UpdateItem", asked)["__type"].endswith("ConditionalCheckFailedException")
    removal = run(module, "removal", table, READ)
    assert client.call("DeleteItem", removal)["__type"].endswith("ConditionalCheckFailedException")
    assert "ConsumedCapacity" in client.call("DeleteItem", run(module, "removal", table, edited))
    assert "ConsumedCapacity" in client.call("PutItem", run(module, "creation", table, READ))
    assert client.call("PutItem", run(module, "creation", table, READ))["__type"].endswith(
        "ConditionalCheckFailedException"
    )


def test_an_attribute_added_by_somebody_else_is_not_overwritten(module: Path, client: Client) -> None:
    table = described(client)
    item = READ | {"customer": {"S": "other"}}
    client.call("PutItem", {"TableName": "orders", "Item": item | {"theirs": {"S": "kept"}}})
    asked = run(module, "update", table, item, item | {"theirs": {"S": "mine"}})
    assert client.call("UpdateItem", asked)["__type"].endswith("ConditionalCheckFailedException")
    assert "ConsumedCapacity" in client.call(
        "UpdateItem", run(module, "update", table, item, item | {"a": {"S": "y"}})
    )
    key = {"customer": item["customer"], "placed": item["placed"]}
    assert client.call("GetItem", {"TableName": "orders", "Key": key})["Item"]["theirs"] == {"S": "kept"}


def test_items_with_very_many_attributes_can_be_edited(module: Path, client: Client) -> None:
    item = READ | {"customer": {"S": "wide"}} | {f"attribute-{number}": {"N": "1"} for number in range(400)}
    client.call("PutItem", {"TableName": "orders", "Item": item})
    asked = run(module, "update", described(client), item, item | {"attribute-7": {"N": "2"}})
    assert "ConsumedCapacity" in client.call("UpdateItem", asked)
    assert client.call("UpdateItem", asked)["__type"].endswith("ConditionalCheckFailedException")
    stale = run(module, "removal", described(client), item | {"a": {"S": "another"}})
    assert client.call("DeleteItem", stale)["__type"].endswith("ConditionalCheckFailedException")


def test_keys_do_not_change_and_nothing_changed_is_nothing_to_send(module: Path, client: Client) -> None:
    table = described(client)
    assert run(module, "update", table, READ, READ) is None
    assert "part of the key" in run(module, "update", table, READ, READ | {"placed": {"N": "2"}})["thrown"]


def test_plain_json_keeps_all_digits(module: Path) -> None:
    value = {"M": {"n": {"N": "123456789012345678901234567890.5"}, "s": {"SS": ["a"]}, "e": {"L": []}}}
    text = run(module, "plainText", value)
    assert '"n": 123456789012345678901234567890.5' in text
    assert json.loads(text)["s"] == ["a"]


def test_all_tables_have_their_sources(module: Path, client: Client) -> None:
    for each in TABLES:
        names = [source["name"] for source in run(module, "sources", described(client, each["TableName"]))]
        assert names == ["", *(index["IndexName"] for index in each.get("GlobalSecondaryIndexes", ()))]


def test_names_that_every_object_has_are_attributes_like_others(module: Path, client: Client) -> None:
    table = described(client)
    item = READ | {"customer": {"S": "named"}, "toString": {"S": "old"}}
    client.call("PutItem", {"TableName": "orders", "Item": item | {"constructor": {"S": "theirs"}}})
    added = run(module, "update", table, item, item | {"constructor": {"S": "mine"}})
    assert client.call("UpdateItem", added)["__type"].endswith("ConditionalCheckFailedException")
    without = {name: value for name, value in item.items() if name != "toString"}
    assert "ConsumedCapacity" in client.call("UpdateItem", run(module, "update", table, item, without))
    key = {"customer": item["customer"], "placed": item["placed"]}
    found = client.call("GetItem", {"TableName": "orders", "Key": key})["Item"]
    assert found == without | {"constructor": {"S": "theirs"}}
    assert run(module, "columns", table, "", [found, without], 7)["shown"][-1] == "constructor"
    assert run(module, "cell", without, "constructor") == ""
    assert run(module, "cell", found, "constructor") == "theirs"


def test_an_answer_slower_than_its_turn_is_shown_and_then_left_in_peace(tmp_path: Path) -> None:
    path = tmp_path / "polling.mjs"
    path.write_bytes((files("hashrange_router.console") / "assets" / "polling.js").read_bytes())
    script = (
        f"import {{ repeated }} from {json.dumps(path.as_uri())};"
        "let now = 0, asked = 0, waits = [], shown = [];"
        "globalThis.setTimeout = (work, wait) => { waits.push([wait, work]); return 0; };"
        "const ask = async () => {"
        "  asked += 1; now += 30; if (asked === 2) throw new Error('gone'); return asked; };"
        "const told = (data, error) => shown.push(error ? error.message : data);"
        "const stop = repeated(ask, told, 5, () => true, () => now);"
        "const turn = () => new Promise((done) => setImmediate(done));"
        "await turn(); waits[0][1](); await turn(); waits[1][1](); stop(); await turn();"
        "console.log(JSON.stringify({ asked, shown, waits: waits.map(([wait]) => wait) }));"
    )
    assert NODE is not None
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", script], check=True, capture_output=True, timeout=60
    )
    assert json.loads(done.stdout) == {"asked": 3, "shown": [1, "gone"], "waits": [270, 270]}
