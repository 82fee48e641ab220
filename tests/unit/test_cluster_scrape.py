"""The processes of a local cluster as targets of Prometheus."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from hashrange.cli.cluster.commands import app
from hashrange.cli.cluster.layout import DAX, Process, plan
from hashrange.cli.cluster.scrape import targets


def test_every_process_is_a_target_with_its_labels(tmp_path: Path) -> None:
    layout = plan(tmp_path, azs=3, nodes=3, routers=1, base_port=9_000, region="eu-west-1", triggers=1)
    layout.processes.append(Process(DAX, 1, "az1"))
    found = targets(layout)
    assert [each["labels"]["process"] for each in found] == [
        "node-1", "node-2", "node-3", "router-1", "triggers-1", "dax-1",
    ]  # fmt: skip
    assert found[1] == {
        "targets": ["127.0.0.1:9202"],
        "labels": {
            "job": "hashrange-nodes",
            "region": "eu-west-1",
            "zone": "az2",
            "role": "node",
            "process": "node-2",
        },
    }
    assert len({each["targets"][0] for each in found}) == len(found)


def test_the_command_prints_what_prometheus_reads(tmp_path: Path) -> None:
    layout = plan(tmp_path, azs=1, nodes=1, routers=1, base_port=9_000, region="us-east-1")
    layout.save()
    done = CliRunner().invoke(app, ["targets", "--data-dir", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output) == targets(layout)


def test_no_cluster_is_said_so(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["targets", "--data-dir", str(tmp_path / "none")])
    assert done.exit_code == 1
