"""Each promise of DAX about its caches, as `python -m tests.dax.semantics` prints them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dax.cluster import DaxCluster
from tests.dax.failover import SEVERAL_NODES
from tests.dax.semantics import (
    CHECKS,
    MEMORY_MB,
    ONE_NODE,
    Check,
    Scene,
    read_is_cached,
    run,
    scene_of,
    transactions_forget_and_refill,
    write_through_is_seen,
)
from tests.dax.server import dax_server


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    options = ("--in-memory", "--dax-memory-mb", str(MEMORY_MB))
    log = tmp_path_factory.mktemp("semantics") / "log"
    with dax_server(*options, log=log) as place, scene_of(place) as made:
        yield made


def test_every_promise_is_kept_by_one_node(scene: Scene) -> None:
    """In one test, in their order: times to live are for all that follow."""
    assert run(scene, CHECKS + ONE_NODE) == []


def test_a_promise_that_is_broken_is_told(scene: Scene) -> None:
    """Negative control: what would hold without a cache does not hold."""

    def no_cache(scene: Scene) -> None:
        """What is written past the cache is seen at once."""
        key = scene.key()
        scene.write(key, "old")
        scene.write_around(key, "new")
        assert scene.read(key) == "new"

    checks: tuple[Check, ...] = (no_cache,)
    assert len(run(scene, checks)) == 1


@pytest.mark.slow
def test_promises_are_kept_by_three_nodes(tmp_path: Path) -> None:
    """Those that are about several nodes; all of them are tried by `python -m tests.dax.semantics --nodes 3`."""
    checks = (read_is_cached, write_through_is_seen, transactions_forget_and_refill, *SEVERAL_NODES)
    with DaxCluster(tmp_path / "c", 3) as place, scene_of(place) as made:
        assert run(made, checks) == []
        assert place.local.crashes() == []
