"""Settings for every test: helpers are importable by name, one server a worker, optional tests by a flag."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.conformance.server import running  # noqa: E402  (the path above comes first)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --network and --campaigns."""
    parser.addoption(
        "--network",
        action="store_true",
        help="also run the tests that install packages from a registry (npm)",
    )
    parser.addoption(
        "--campaigns",
        action="store_true",
        help="also run the tests that repeat a long campaign's faults and negative controls (five minutes)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Registers our markers."""
    config.addinivalue_line("markers", "network: installs packages from a registry; runs with --network only")
    config.addinivalue_line("markers", "campaign: part of a long campaign; runs with --campaigns only")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names bytes after their argument: a compressed parameter may hold the time, and workers must agree on names."""
    return argname if isinstance(val, bytes | bytearray) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the tests that need a registry, and those of long campaigns, unless asked for."""
    optional = {"network": "--network", "campaign": "--campaigns"}
    unwanted = [marker for marker, option in optional.items() if not config.getoption(option)]
    left_out = [item for item in items if any(item.get_closest_marker(marker) for marker in unwanted)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]


@pytest.fixture(scope="session")
def embedded_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of this worker's own server, in memory, or on disk with HASHRANGE_TEST_STORAGE=disk."""
    folder: Path = tmp_path_factory.mktemp("server")
    storage = ["--in-memory"]
    if os.environ.get("HASHRANGE_TEST_STORAGE") == "disk":
        storage = ["--data-dir", str(folder / "data"), "--durability", "os"]
    with running(*storage, "--ttl-interval-ms", "50", log=folder / "log") as server:
        yield server.endpoint
