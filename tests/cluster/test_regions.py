"""Global tables on real processes, in short: two embedded servers with a network between them that is cut.

The long forms are commands: `python -m tests.cluster.regions`, `python -m tests.cluster.regions.acceptance`.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.local_cluster import HASHRANGE
from tests.cluster.regions.__main__ import CONTROLS, found_out, run_control
from tests.cluster.regions.acceptance import TABLE, client_of, make_table
from tests.cluster.regions.acceptance import run as acceptance
from tests.cluster.regions.campaign import Options, pending, play
from tests.cluster.regions.scene import NAMES, LocalRegions, wait

pytestmark = pytest.mark.slow

SEED = 3
SHORT = Options(seconds=3.0, clients=3, faults=("cut", "clock", "kill"))


def test_regions_converge_after_cuts_kills_and_wrong_clocks() -> None:
    outcome = play(SEED, SHORT)
    assert outcome.wrong == [], outcome.text()


@pytest.mark.campaign
def test_a_build_without_the_tie_break_is_found_out() -> None:
    tie = next(control for control in CONTROLS if control.name == "tie")
    outcome = run_control(tie, SEED, Options(seconds=3.0, clients=5, pause_s=0.01), broken=True)
    assert found_out(tie, outcome), outcome.text()


def command(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of `hashrange regions`."""
    return subprocess.run(
        [*HASHRANGE, "regions", *arguments, "--data-dir", str(directory)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_regions_up_and_its_commands(tmp_path: Path) -> None:
    with LocalRegions(tmp_path / "regions", NAMES[:2], nodes=1, azs=1) as regions:
        first, second = regions.names
        make_table(regions, print)
        client, other = (client_of(regions, name) for name in regions.names)

        def put(target: Any, number: int, value: str) -> None:
            target.put_item(
                TableName=TABLE, Item={"pk": {"S": "a"}, "sk": {"N": str(number)}, "v": {"S": value}}
            )

        put(client, 1, "mine")
        assert command(regions.directory, "verify", TABLE).returncode == 0
        done = command(regions.directory, "cut", second)
        assert f"{second} is cut off from {first}" in done.stdout, done
        put(client, 1, "earlier")
        put(other, 1, "later")
        put(client, 2, "new")
        wait("what is pending", lambda: pending(regions) == 3)
        differs = command(regions.directory, "verify", TABLE, "--wait", "0")
        assert differs.returncode == 1 and "DIFFERS in 2 items" in differs.stdout, differs
        found = json.loads(command(regions.directory, "status", "--json").stdout)
        assert [region["name"] for region in found["regions"]] == [first, second]
        assert {(link["source"], link["pending_keys"]) for link in found["links"]} == {
            (first, 2),
            (second, 1),
        }
        assert f"{first} reaches every region" in command(regions.directory, "heal").stdout
        equal = command(regions.directory, "verify", TABLE, "--json")
        assert json.loads(equal.stdout)["items"] == {first: 2, second: 2}, equal
        key = {"pk": {"S": "a"}, "sk": {"N": "1"}}
        assert client.get_item(TableName=TABLE, Key=key)["Item"]["v"] == {"S": "later"}
        wait("the end of what is pending", lambda: pending(regions) == 0)
        assert regions.crashes() == []


@pytest.mark.campaign
def test_the_same_directory_brings_the_same_regions_back(tmp_path: Path) -> None:
    with LocalRegions(tmp_path / "regions", NAMES[:2], nodes=1, azs=1) as regions:
        make_table(regions, print)
        client, other = (client_of(regions, name) for name in regions.names)
        item = {"pk": {"S": "a"}, "sk": {"N": "1"}, "v": {"S": "mine"}}
        client.put_item(TableName=TABLE, Item=item)
        wait("the end of what is pending", lambda: pending(regions) == 0)
        assert regions.stop() == []
        regions.start()
        key = {name: item[name] for name in ("pk", "sk")}
        assert other.get_item(TableName=TABLE, Key=key, ConsistentRead=True)["Item"] == item
        other.delete_item(TableName=TABLE, Key=key)
        wait("the deletion", lambda: "Item" not in client.get_item(TableName=TABLE, Key=key))


@pytest.mark.campaign
def test_boto3_writes_in_both_regions_through_a_cut(tmp_path: Path) -> None:
    with LocalRegions(tmp_path / "regions", NAMES[:2]) as regions:
        assert acceptance(regions, 5.0, print) == []
