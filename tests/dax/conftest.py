"""Fixtures of the DAX tests: one server with one cache node a worker, and a client of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.conftest import make_client
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
    """boto3 past the cache."""
    client = make_client(dax.endpoint)
    yield client
    client.close()


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
