"""A real Prometheus scrapes a real server: the short form of `python -m tests.deploy.scrape`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.kill9 import Server
from tests.deploy.observability import rules
from tests.deploy.prometheus_run import Prometheus, program


@pytest.mark.skipif(
    program() is None, reason="prometheus is not on the PATH; Debian: apt-get install prometheus"
)
def test_prometheus_reads_a_server_and_answers_the_dashboards(tmp_path: Path) -> None:
    labels = {
        "job": "hashrange-nodes",
        "region": "us-east-1",
        "zone": "az1",
        "role": "node",
        "process": "node-1",
    }
    server = Server(tmp_path / "data")
    try:
        targets = [{"targets": [f"127.0.0.1:{server.port}"], "labels": labels}]
        with Prometheus(tmp_path, targets) as prometheus:
            prometheus.until_up(30)
            # Rules of rules: the last of them has a value when all have been evaluated.
            prometheus.until("region_zone_process:hashrange_disk_free:ratio", 30)
            prometheus.until("count(up) == 1 and count(hashrange_ready) == 1", 30)
            report = prometheus.report()
    finally:
        server.stop()
    assert report.failed == []
    assert (report.targets, report.rules) == (1, len(rules()))
    assert report.with_data > 20
