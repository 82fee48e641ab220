"""What becomes of deployment packages: kept in pieces, shared, and let go when nothing refers to them any more."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest
from hashrange_router.functions import packages
from hashrange_router.triggers.contracts import TRIGGER_TABLE

from hashrange.errors import ApiError
from tests.conformance.lambda_support import LambdaServer, function, lambda_server, package
from tests.conformance.support import error, unique

DEADLINE_S = 20.0


@pytest.fixture(scope="module")
def server() -> Iterator[LambdaServer]:
    with lambda_server() as running:
        yield running


def rows(server: LambdaServer, content: bytes) -> list[dict[str, Any]]:
    """The rows that a package is kept in."""
    request = {
        "TableName": TRIGGER_TABLE,
        "KeyConditionExpression": "pk = :code",
        "ExpressionAttributeValues": {":code": {"S": "code#" + sha256(content).hexdigest()}},
        "ConsistentRead": True,
    }
    return list(server.running.run(server.local.call("Query", request))["Items"])


def expiring(server: LambdaServer, content: bytes) -> list[bool]:
    return ["expires" in row for row in rows(server, content)]


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def unlike_others() -> bytes:
    return package(f"# {unique()}")


def test_a_package_in_pieces(server: LambdaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "CHUNK_BYTES", 50)
    content = unlike_others()
    code = server.running.run(server.packages.put(content))
    assert code == sha256(content).hexdigest()
    kept = rows(server, content)
    assert len(kept) == -(-len(content) // 50) > 2
    assert server.running.run(server.packages.get(code)) == content
    assert server.running.run(server.packages.put(content)) == code
    assert rows(server, content) == kept
    with pytest.raises(ApiError, match="ResourceNotFoundException"):
        server.running.run(server.packages.get("0" * 64))


def test_a_package_goes_with_the_last_that_refers_to_it(server: LambdaServer) -> None:
    content = unlike_others()
    names = [unique("f") for _ in range(2)]
    for name in names:
        server.client.create_function(**function(name, Code={"ZipFile": content}))
    server.client.delete_function(FunctionName=names[0])
    server.client.publish_version(FunctionName=names[1])
    server.client.update_function_code(FunctionName=names[1], ZipFile=package())
    assert expiring(server, content) == [False], "a version still has it"
    server.client.delete_function(FunctionName=names[1], Qualifier="1")
    eventually(lambda: expiring(server, content) == [True])
    row = rows(server, content)[0]
    ends = int(row["expires"]["N"]) - server.running.clock.wall_ms() / 1000
    assert ends > packages.KEPT_S - 60, "workers that start now still find it"
    code = sha256(content).hexdigest()
    assert server.running.run(server.packages.get(code)) == content
    server.client.create_function(**function(unique("f"), Code={"ZipFile": content}))
    assert expiring(server, content) == [False]


def test_new_code_lets_go_of_the_old(server: LambdaServer) -> None:
    content, name = unlike_others(), unique("f")
    server.client.create_function(**function(name, Code={"ZipFile": content}))
    server.client.update_function_code(FunctionName=name, ZipFile=package())
    eventually(lambda: expiring(server, content) == [True])


def test_a_function_that_is_refused_leaves_no_package(server: LambdaServer) -> None:
    content = unlike_others()
    name = unique("f")
    server.client.create_function(**function(name))
    refused = error(server.client.update_function_code, FunctionName=name, ZipFile=content, RevisionId="old")
    assert refused[0] == "PreconditionFailedException"
    eventually(lambda: expiring(server, content) == [True])
    other = unlike_others()
    server.client.update_function_code(FunctionName=name, ZipFile=other, DryRun=True)
    eventually(lambda: expiring(server, other) == [True])


def test_a_removal_is_taken_back(server: LambdaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "CHUNK_BYTES", 50)
    content = unlike_others()
    code = server.running.run(server.packages.put(content))
    server.running.run(server.packages.remove(code))
    assert set(expiring(server, content)) == {True}
    server.running.run(server.packages.keep(code))
    assert set(expiring(server, content)) == {False}
    server.running.run(server.packages.remove(code))
    server.running.run(server.packages.put(content))
    assert set(expiring(server, content)) == {False}
    server.running.run(server.packages.remove("0" * 64))
    server.running.run(server.packages.keep("0" * 64))


def test_downloads(server: LambdaServer) -> None:
    content = unlike_others()
    name = unique("f")
    server.client.create_function(**function(name, Code={"ZipFile": content}))
    url = server.client.get_function(FunctionName=name)["Code"]["Location"]
    with urllib.request.urlopen(url) as answer:
        assert (answer.read(), answer.headers["content-type"]) == (content, "application/zip")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url[:-64] + "0" * 64)
    assert refused.value.code == 404
    refused.value.close()


def test_subscribers_hear_of_every_change(server: LambdaServer) -> None:
    heard: list[str] = []
    server.running.on_loop(lambda _: server.directory.subscribe(heard.append))
    name = unique("f")
    server.client.create_function(**function(name))
    server.client.update_function_configuration(FunctionName=name, Timeout=9)
    server.client.delete_function(FunctionName=name)
    assert heard == [name] * 3
    with pytest.raises(ApiError, match="Function not found"):
        server.running.on_loop(lambda _: server.directory.resolve(name))
