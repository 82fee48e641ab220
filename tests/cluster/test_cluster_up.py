"""`hashrange cluster up` with the real programs: three nodes in three zones serve boto3, lose a node, grow, shrink."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hashrange.cli.cluster import processes
from hashrange.cli.role import EXIT_CONFIG, EXIT_START
from hashrange.runtime.cluster_settings import as_toml
from tests.cluster.local_cluster import HASHRANGE, LocalCluster

TABLE = {
    "TableName": "Music",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "N"},
        {"AttributeName": "genre", "AttributeType": "S"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by_genre",
            "KeySchema": [{"AttributeName": "genre", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}
PROCESS_KEYS = {"role", "id", "az", "pid", "address", "metrics_url", "state"}
PARTITION_KEYS = {"id", "table", "index", "hash_range", "leader", "replicas", "size_bytes", "epoch"}

pytestmark = pytest.mark.slow


def command(*arguments: str, timeout_s: float = 90.0) -> subprocess.CompletedProcess[str]:
    """The real program."""
    return subprocess.run(
        [*HASHRANGE, *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
    )


def table_of(cluster: LocalCluster) -> Any:
    """The table, through an unmodified boto3."""
    import boto3
    from botocore.config import Config

    return boto3.resource(
        "dynamodb",
        endpoint_url=cluster.endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 5}, read_timeout=20),
    ).Table("Music")


def write(table: Any, numbers: range) -> None:
    for number in numbers:
        table.put_item(Item={"pk": f"song {number % 10}", "sk": number, "genre": "folk"})


def numbers_in(table: Any) -> list[int]:
    return sorted(int(item["sk"]) for item in table.scan(ConsistentRead=True)["Items"])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with LocalCluster(tmp_path_factory.mktemp("up") / "cluster") as running:
        running.create_table(TABLE)
        yield running


def test_boto3_works_on_three_nodes(cluster: LocalCluster) -> None:
    from boto3.dynamodb.conditions import Key

    table = table_of(cluster)
    write(table, range(100))
    assert numbers_in(table) == list(range(100))
    assert table.query(KeyConditionExpression=Key("pk").eq("song 3"))["Count"] == 10
    updated = table.update_item(
        Key={"pk": "song 1", "sk": 1},
        UpdateExpression="ADD plays :one",
        ExpressionAttributeValues={":one": 1},
        ReturnValues="ALL_NEW",
    )
    assert updated["Attributes"]["plays"] == 1
    by_genre = {"IndexName": "by_genre", "KeyConditionExpression": Key("genre").eq("folk")}
    cluster.wait("the index", lambda: table.query(**by_genre)["Count"] == 100)


def test_the_status_is_the_documented_one(cluster: LocalCluster) -> None:
    done = command("cluster", "status", "--json", "--data-dir", str(cluster.directory))
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert set(document) == {"processes", "partitions"}
    assert [(row["role"], row["id"], row["az"], row["state"]) for row in document["processes"]] == [
        ("node", 1, "az1", "ready"),
        ("node", 2, "az2", "ready"),
        ("node", 3, "az3", "ready"),
        ("router", 1, "az1", "ready"),
    ]
    assert all(set(row) == PROCESS_KEYS for row in document["processes"])
    assert [(row["table"], row["index"]) for row in document["partitions"]] == [
        ("(control)", None),
        ("Music", None),
        ("Music", "by_genre"),
    ]
    for row in document["partitions"]:
        assert set(row) == PARTITION_KEYS
        assert sorted(replica["node"] for replica in row["replicas"]) == [1, 2, 3]
        assert row["leader"] in (1, 2, 3)
    elsewhere = command("cluster", "status", "--endpoint", document["processes"][0]["metrics_url"][:-8])
    assert "node-3" in elsewhere.stdout
    assert "Music" in elsewhere.stdout


def test_top_shows_the_whole_cluster(cluster: LocalCluster) -> None:
    directory = str(cluster.directory)
    table = table_of(cluster)
    table.get_item(Key={"pk": "song 1", "sk": 1})
    done = command("top", "--once", "--json", "--interval", "0.2", "--data-dir", directory)
    assert done.returncode == 0, done.stderr
    view = json.loads(done.stdout)
    names = ["node-1", "node-2", "node-3", "router-1"]
    assert [(row["name"], row["state"]) for row in view["processes"]] == [(name, "ready") for name in names]
    assert [row["name"] for row in view["tables"]] == ["Music"]
    assert view["tables"][0]["items"] >= 100
    assert sorted(str(row["index"]) for row in view["partitions"]) == ["None", "by_genre"]
    assert all(row["leader"] in names[:3] for row in view["partitions"])
    assert view["note"] == ""
    screen = command("top", "--once", "--interval", "0.2", "--data-dir", directory)
    assert all(word in screen.stdout for word in (*names, "az3", "Music", "by_genre"))
    node = cluster.status()["processes"][0]["metrics_url"][:-8]
    elsewhere = command("top", "--once", "--interval", "0.2", "--endpoint", node)
    assert all(word in elsewhere.stdout for word in ("node-2", "Music", "no router is named"))
    assert "admin port" in command("top", "--once", "--endpoint", cluster.endpoint).stderr


def test_every_process_has_metrics(cluster: LocalCluster) -> None:
    from urllib.request import urlopen

    for row in cluster.status()["processes"]:
        with urlopen(row["metrics_url"], timeout=10) as answer:
            text = answer.read().decode()
        assert "hashrange_build_info" in text
        assert ("hashrange_partitions_led" in text) == (row["role"] == "node")


def test_a_second_up_is_refused(cluster: LocalCluster) -> None:
    done = command("cluster", "up", "--data-dir", str(cluster.directory))
    assert done.returncode == 1
    assert "is running already" in done.stderr
    assert cluster.down() == []


def test_writes_go_on_without_one_node_and_nothing_is_lost(cluster: LocalCluster) -> None:
    table = table_of(cluster)
    before = numbers_in(table)
    led = cluster.leader_of(cluster.partitions("Music")[0]["id"])
    cluster.kill(f"node-{led}")
    write(table, range(1_000, 1_020))
    cluster.restart(f"node-{led}")
    write(table, range(1_020, 1_040))
    assert numbers_in(table) == sorted([*before, *range(1_000, 1_040)])
    assert cluster.crashes() == []


def test_a_cut_zone_is_healed(cluster: LocalCluster) -> None:
    directory = str(cluster.directory)
    table = table_of(cluster)
    assert command("cluster", "cut", "az2", "--data-dir", directory).returncode == 0
    write(table, range(2_000, 2_020))
    assert command("cluster", "heal", "--data-dir", directory).returncode == 0
    assert set(range(2_000, 2_020)) <= set(numbers_in(table))


def test_nodes_are_added_and_leave_while_it_serves(cluster: LocalCluster) -> None:
    table = table_of(cluster)
    before = numbers_in(table)
    added = [cluster.add_node() for _ in range(3)]
    assert [cluster.zone_of(node) for node in added] == ["az1", "az2", "az3"]
    write(table, range(3_000, 3_020))

    def moved() -> bool:
        places = {replica["node"] for row in cluster.partitions() for replica in row["replicas"]}
        return bool(places & set(added))

    cluster.wait("a replica on one of the new nodes", moved)
    directory = str(cluster.directory)
    with ThreadPoolExecutor(len(added)) as pool:  # they leave at the same time
        leaving = [
            pool.submit(command, "cluster", "decommission", f"node-{node}", "--data-dir", directory)
            for node in added
        ]
    for each in leaving:
        assert each.result().returncode == 0, each.result().stderr
    assert cluster.nodes() == [1, 2, 3]
    assert numbers_in(table) == sorted([*before, *range(3_000, 3_020)])
    assert cluster.crashes() == []


def test_it_stops_cleanly_and_starts_again_as_it_was(tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "cluster", settings=("durability=os",)) as cluster:
        cluster.create_table(TABLE)
        write(table_of(cluster), range(20))
        ended = [(process.pid, process.started) for process in cluster.layout().processes]
        assert cluster.stop() == 0
        assert all(processes.state_of(*each) == processes.GONE for each in ended)
        assert cluster.output().splitlines()[-2:] == ["stopping: routers first, then nodes", "stopped"]
        cluster.start()
        assert numbers_in(table_of(cluster)) == list(range(20))
        again = [(process.pid, process.started) for process in cluster.layout().processes]
        supervisor = cluster.layout().supervisor_pid
        assert supervisor is not None
        os.kill(supervisor, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while any(processes.state_of(*each) != processes.GONE for each in again):
            assert time.monotonic() < deadline, "processes outlive their supervisor"
            time.sleep(0.1)
        cluster.stop()
        cluster.start()
        assert numbers_in(table_of(cluster)) == list(range(20))


def test_a_program_that_cannot_start_says_why(tmp_path: Path) -> None:
    for role in ("node", "router"):
        done = command(role, "--config", str(tmp_path / "none.toml"))
        assert done.returncode == EXIT_CONFIG
        assert "there is no file" in done.stderr
    config = tmp_path / "node.toml"
    members = ["1/az1/127.0.0.1:1"]
    settings = {"id": 1, "az": "az1", "port": 0, "members": members, "data_dir": "/dev/null/x"}
    config.write_text(as_toml(settings))
    done = command("node", "--config", str(config))
    assert done.returncode == EXIT_START
    assert done.stderr.startswith("hashrange: /dev/null/x")
    assert "Traceback" not in done.stderr


def test_a_node_stops_when_its_standard_input_ends(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    settings = {"id": 1, "az": "az1", "port": 0, "members": ["1/az1/127.0.0.1:1"], "in_memory": True}
    config.write_text(as_toml(settings))
    done = subprocess.run(
        [sys.executable, "-m", "hashrange.cli.main", "node", "--config", str(config), "--stop-at-eof"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "stopped" in done.stderr
