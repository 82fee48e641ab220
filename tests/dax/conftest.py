"""Fixtures of the DAX tests: one server with one cache node a worker, and a client of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.conftest import make_client
from tests.conformance.support import wait_until
from tests.dax.clients import dax_client
from tests.dax.server import DaxServer, dax_server


@pytest.fixture(scope="session")
def dax(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaxServer]:
    """This worker's server with its cache node."""
    folder = tmp_path_factory.mktemp("dax")
    with dax_server("--in-memory", log=folder / "log") as server:
        yield server


@pytest.fixture(scope="session")
def direct(dax: DaxServer) -> Iterator[Any]:
    """boto3 past the cache. A table that it has made is known to the cache node, which follows the catalogue."""
    client = make_client(dax.endpoint)
    beside = make_client(dax.http)

    def known(parsed: dict[str, Any], **_: Any) -> None:
        made = parsed.get("TableDescription")
        if made is not None:
            wait_until(
                lambda: table_id(beside, made["TableName"]) == made["TableId"], "the table at the cache node"
            )

    client.meta.events.register("after-call.dynamodb.CreateTable", known)
    yield client
    client.close()
    beside.close()


def table_id(client: Any, name: str) -> str | None:
    """The id of a table, None while it is not known there, or nothing is."""
    try:
        described = client.describe_table(TableName=name)
    except ClientError:
        return None
    found: str = described["Table"]["TableId"]
    return found


@pytest.fixture(scope="session")
def side_door(dax: DaxServer) -> Iterator[Any]:
    """boto3 through the cache's HTTP door."""
    client = make_client(dax.http)
    yield client
    client.close()


@pytest.fixture(scope="module")
def cached(dax: DaxServer) -> Iterator[Any]:
    """The DAX client; of one module, as its threads disturb tests that draw their data."""
    with dax_client(dax.url) as client:
        yield client
