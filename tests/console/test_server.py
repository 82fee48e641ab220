"""The console over HTTP: who may do what, what is answered to others, and what it shows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.server import Server
from tests.console.load import Client, fill, table
from tests.console.support import Visitor, console

KEY, SECRET = "AKIDCONSOLE", "a-secret-of-the-console"
ITEM = {"id": {"S": "a"}, "n": {"N": "1"}}


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """A read-only console without credentials, over tables with items."""
    with console(tmp_path_factory.mktemp("console") / "log") as (server, visitor):
        with contextlib.closing(Client(server.port)) as client:
            fill(client, orders=30)
        yield visitor


@pytest.fixture(scope="module")
def editing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """A console in edit mode, with credentials; the visitor has not signed in."""
    folder = tmp_path_factory.mktemp("console")
    credentials = folder / "credentials"
    credentials.write_text(f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    options = ("--console-edit", "--console-names", "console.example", "--credentials-file", str(credentials))
    with console(folder / "log", *options) as (_, visitor):
        owner = Visitor(visitor.port)
        assert owner.post("/api/login", {"access_key": KEY, "secret": SECRET}).status == 200
        assert owner.call("CreateTable", table("things", "id")).status == 200
        yield visitor


@pytest.fixture
def signed_in(editing: Visitor) -> Visitor:
    """Somebody who has signed in."""
    visitor = Visitor(editing.port)
    assert visitor.post("/api/login", {"access_key": KEY, "secret": SECRET}).status == 200
    return visitor


def test_every_answer_has_the_policy(reading: Visitor) -> None:
    page = reading.get("/")
    assert page.status == 200
    assert page.headers["cache-control"] == "no-cache"
    names = [part.split('"')[0] for part in page.body.decode().split('="/assets/')[1:]]
    assert len(names) >= 4
    asset = reading.get(f"/assets/{names[-1]}")
    assert asset.status == 200
    assert "immutable" in asset.headers["cache-control"]
    assert asset.headers["etag"]
    for answer in (
        page,
        asset,
        reading.get("/nothing"),
        reading.get("/assets/../service.py"),
        reading.get("/api/session"),
        reading.get("/api/live"),
        reading.send("PUT", "/"),
        reading.call("Scan", {"TableName": "orders"}),
        reading.get("/api/live", host="evil.example"),
    ):
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers
        if answer not in (page, asset):
            assert answer.headers["cache-control"] == "no-store"


def test_modules_refer_to_files_that_are_there(reading: Visitor) -> None:
    page = reading.get("/").body.decode()
    folder = page.split('src="')[-1].split('"')[0].rpartition("/")[0]
    waiting, seen = ["app.js"], set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        answer = reading.get(f"{folder}/{name}")
        assert answer.status == 200, name
        found = [
            line.split('from "./')[1].split('"')[0]
            for line in answer.body.decode().splitlines()
            if 'from "./' in line
        ]
        waiting += [each for each in found if each not in seen]
    assert {"heat.js", "lib.js", "vendor/htm-preact.js"} <= seen


def test_without_credentials_there_is_no_signing_in(reading: Visitor) -> None:
    told = reading.get("/api/session").document
    assert not told["login_required"]
    assert not told["edit"]
    assert told["region"] == "us-east-1"


def test_reads_are_answered_as_the_service_does(reading: Visitor) -> None:
    found = reading.call(
        "Query",
        {
            "TableName": "orders",
            "KeyConditionExpression": "customer = :c",
            "ExpressionAttributeValues": {":c": {"S": "customer-03"}},
            "ReturnConsumedCapacity": "TOTAL",
        },
    )
    assert found.status == 200
    assert found.document["Count"] == 1
    assert found.document["ConsumedCapacity"]["CapacityUnits"] == 0.5
    wrong = reading.call("Query", {"TableName": "orders"})
    assert wrong.status == 400
    assert wrong.document["__type"].endswith("ValidationException")
    assert reading.call("ListStreams", {}).document["Streams"]
    assert reading.call("Scan", {"TableName": "$triggers"}).status == 400


@pytest.mark.parametrize("operation", ["PutItem", "UpdateItem", "DeleteItem", "CreateTable", "DeleteTable"])
def test_a_read_only_console_changes_nothing(reading: Visitor, operation: str) -> None:
    answer = reading.call(operation, {"TableName": "orders"})
    assert answer.status == 403
    assert "read-only" in answer.document["error"]


def test_what_is_on_no_list_is_not_called(reading: Visitor) -> None:
    for operation in ("BatchWriteItem", "UpdateTable", "TransactWriteItems", "Nothing", "%2e%2e"):
        assert reading.call(operation, {}).status == 404


def test_other_pages_get_nowhere(reading: Visitor) -> None:
    assert reading.post("/api/call/ListTables", {}, x_hashrange_console=None).status == 403
    assert reading.post("/api/call/ListTables", {}, origin=None).status == 403
    assert reading.post("/api/call/ListTables", {}, origin="http://evil.example").status == 403
    assert reading.post("/api/call/ListTables", {}, origin="null").status == 403
    assert reading.post("/api/call/ListTables", {}, sec_fetch_site="cross-site").status == 403
    assert reading.get("/api/live", x_hashrange_console=None).status == 403
    assert reading.get("/api/live", host="evil.example").status == 421
    assert reading.get("/", host="evil.example").status == 421
    preflight = reading.send(
        "OPTIONS",
        "/api/live",
        origin="http://evil.example",
        access_control_request_method="GET",
        access_control_request_headers="x-hashrange-console",
    )
    assert "access-control-allow-origin" not in preflight.headers


def test_live_figures_and_heat(reading: Visitor) -> None:
    document = reading.get("/api/live").document
    assert [row["name"] for row in document["view"]["processes"]] == ["server"]
    assert {row["name"] for row in document["view"]["tables"]} >= {"orders", "sessions", "inventory"}
    assert {row["table"] for row in document["view"]["partitions"]} == {"orders", "sessions", "inventory"}
    heat = reading.get("/api/heat?table=orders&after=0").document
    assert heat["bins"] == 64
    assert reading.get("/api/live?after=x").status == 400


def test_nothing_is_shown_before_signing_in(editing: Visitor) -> None:
    stranger = Visitor(editing.port)
    told = stranger.get("/api/session").document
    assert told == {"login_required": True, "signed_in": None, "edit": True}
    assert stranger.get("/").status == 200
    assert stranger.get("/api/live").status == 401
    assert stranger.get("/api/heat?table=things").status == 401
    assert stranger.call("ListTables", {}).status == 401
    assert stranger.call("PutItem", {"TableName": "things", "Item": ITEM}).status == 401
    stranger.cookie = f"hashrange-console-{editing.port}=AAAA.BBBB"
    assert stranger.call("ListTables", {}).status == 401


def test_signing_in_and_out(editing: Visitor) -> None:
    visitor = Visitor(editing.port)
    answer = visitor.post("/api/login", {"access_key": KEY, "secret": SECRET})
    assert answer.status == 200
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert SECRET not in cookie
    assert visitor.get("/api/session").document["signed_in"] == KEY
    assert visitor.call("ListTables", {}).document["TableNames"] == ["things"]
    kept = visitor.cookie
    assert visitor.post("/api/logout").status == 200
    visitor.cookie = kept
    assert visitor.call("ListTables", {}).status == 401


def test_a_name_that_is_configured_and_tls_before_it(editing: Visitor) -> None:
    visitor = Visitor(editing.port)
    visitor.host = "console.example"
    answer = visitor.post(
        "/api/login", {"access_key": KEY, "secret": SECRET}, origin="https://console.example"
    )
    assert answer.status == 200
    assert "Secure" in answer.headers["set-cookie"]


def test_edits_are_the_service_s_own_and_conditions_hold(signed_in: Visitor) -> None:
    assert signed_in.call("PutItem", {"TableName": "things", "Item": ITEM}).status == 200
    change = {
        "TableName": "things",
        "Key": {"id": {"S": "a"}},
        "UpdateExpression": "SET n = :new",
        "ConditionExpression": "n = :old",
        "ExpressionAttributeValues": {":new": {"N": "2"}, ":old": {"N": "1"}},
    }
    assert signed_in.call("UpdateItem", change).status == 200
    lost = signed_in.call("UpdateItem", change)
    assert lost.status == 400
    assert lost.document["__type"].endswith("ConditionalCheckFailedException")
    assert signed_in.call("PutItem", {"TableName": "$triggers", "Item": ITEM}).status == 400
    assert signed_in.call("CreateTable", table("made", "id")).status == 200
    assert signed_in.call("DeleteTable", {"TableName": "made"}).status == 200
    assert (
        signed_in.post("/api/call/PutItem", {"TableName": "things"}, origin="http://evil.example").status
        == 403
    )


def test_keys_are_shown_to_those_who_signed_in_alone(signed_in: Visitor) -> None:
    assert signed_in.get("/api/live").document["view"]["keys_shown"]


def test_too_many_attempts_have_to_wait(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text(f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    with console(tmp_path / "log", "--credentials-file", str(credentials)) as (_, visitor):
        assert visitor.post("/api/login", {"access_key": 1}).status == 400
        # A secret that was typed into the wrong field must not get into the log.
        assert visitor.post("/api/login", {"access_key": SECRET, "secret": SECRET}).status == 403
        wrong = [visitor.post("/api/login", {"access_key": KEY, "secret": str(each)}) for each in range(8)]
        assert [answer.status for answer in wrong[:4]] == [403] * 4
        log = (tmp_path / "log").read_text()
        assert log.count("failed to sign in") >= 5 and KEY in log
        assert SECRET not in log
        assert wrong[-1].status == 429
        assert int(wrong[-1].headers["retry-after"]) >= 1
        assert visitor.post("/api/login", {"access_key": KEY, "secret": SECRET}).status == 429


def test_a_port_in_use_is_said(tmp_path: Path, reading: Visitor) -> None:
    log = tmp_path / "log"
    options = ("--in-memory", "--console", "--console-port", str(reading.port))
    server = Server(*options, log=log)
    assert server.process.wait(60) == 1
    text = log.read_text()
    assert "--console-port" in text
    assert "Traceback" not in text
