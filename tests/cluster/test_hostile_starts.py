"""Nodes that must not start, or not take part: each says in one sentence why and what to do, and ends.

A cluster of three nodes runs meanwhile and must not be troubled by any of them.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hashrange.cli.role import EXIT_CONFIG, EXIT_START
from hashrange.runtime.cluster_settings import as_toml
from tests.cluster.local_cluster import HASHRANGE, LocalCluster

CREATE = {
    "TableName": "Things",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}

pytestmark = pytest.mark.slow

Start = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with LocalCluster(tmp_path_factory.mktemp("hostile") / "cluster", nodes=4) as running:
        running.create_table(CREATE)
        yield running
        assert running.crashes() == []


@pytest.fixture
def start(cluster: LocalCluster, tmp_path: Path) -> Start:
    """Run a node beside the cluster with some settings; its exit code and what it wrote last."""

    def run(role: str = "node", **settings: Any) -> tuple[int, str]:
        seeds = [f"{each}/{cluster.layout().address(cluster.process(f'node-{each}'))}" for each in (1, 3)]
        config = tmp_path / "config.toml"
        usual = {"id": 9, "az": "az1", "port": 0, "data_dir": str(tmp_path / "data"), "seeds": seeds}
        config.write_text(as_toml({name: v for name, v in {**usual, **settings}.items() if v is not None}))
        done = subprocess.run(
            [*HASHRANGE, role, "--config", str(config)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert "Traceback" not in done.stderr
        said = [line for line in done.stderr.splitlines() if line.startswith("hashrange: ")]
        return done.returncode, "\n".join(said)

    return run


def still_serves(cluster: LocalCluster) -> None:
    cluster.call("PutItem", {"TableName": "Things", "Item": {"pk": {"S": "a"}}})
    assert cluster.down() == []


def test_an_id_that_is_in_use(cluster: LocalCluster, start: Start) -> None:
    code, said = start(id=2, az="az2")
    assert code == EXIT_START
    assert "node 2 may not take part: node 2 is running already, at 127.0.0.1:" in said
    assert said.endswith("give each node an id of its own")
    still_serves(cluster)


def test_a_node_of_another_cluster(cluster: LocalCluster, start: Start, tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "other") as other:
        shutil.copytree(other.data_of(2), tmp_path / "data", ignore=shutil.ignore_patterns("LOCK"))
    code, said = start(id=2, az="az2")
    assert code == EXIT_START
    assert "node 2 may not take part: refused: node 2 belongs to cluster " in said
    assert said.endswith("start it with an empty data directory, or let it join its own cluster")
    still_serves(cluster)


def test_a_directory_of_another_node(cluster: LocalCluster, start: Start, tmp_path: Path) -> None:
    shutil.copytree(cluster.data_of(3), tmp_path / "data", ignore=shutil.ignore_patterns("LOCK"))
    code, said = start(id=8)
    assert code == EXIT_START
    assert "/data belongs to node 3, not to node 8." in said
    still_serves(cluster)


def test_a_copy_of_a_directory_whose_owner_runs(cluster: LocalCluster, start: Start) -> None:
    code, said = start(id=3, az="az3", data_dir=str(cluster.data_of(3)))
    assert code == EXIT_START
    assert "is in use by process" in said
    still_serves(cluster)


def test_a_node_that_was_taken_out(cluster: LocalCluster, start: Start) -> None:
    data = str(cluster.data_of(4))
    cluster.decommission(4)
    code, said = start(id=4, az="az1", data_dir=data)
    assert code == EXIT_START
    assert "node 4 may not take part: node 4 was taken out of the cluster" in said
    still_serves(cluster)


def test_a_port_that_is_taken(cluster: LocalCluster, start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for role, setting in (("node", "port"), ("node", "admin_port"), ("router", "port")):
            unused = {} if role == "node" else {"data_dir": None}
            code, said = start(role, **{setting: port}, **unused)
            assert code == EXIT_START, said
            assert "a port is in use; stop the program that listens there" in said
            assert str(port) in said


def test_settings_that_are_wrong(start: Start) -> None:
    code, said = start(id=0, az="Zone 1", nonsense=1, members=["1/az1/127.0.0.1:1"])
    assert code == EXIT_CONFIG
    assert len(said.splitlines()) == 3
    assert "nonsense: there is no such setting; remove it" in said
    assert "id: must be a whole number from 1 to 65535, not 0" in said
    assert "az: must be a zone such as az1" in said
    code, said = start(seeds=None)
    assert code == EXIT_CONFIG
    assert "name the nodes the cluster begins with, or seeds to join one" in said
