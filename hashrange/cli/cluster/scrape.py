"""`hashrange cluster targets`: the processes of a local cluster for a file that Prometheus reads (`file_sd_configs`).

    [{"targets": ["127.0.0.1:8201"],
      "labels": {"job": "hashrange-nodes", "region", "zone", "role": "node", "process": "node-1"}}]

Jobs and labels are those of the configurations in `deploy/prometheus`, so that their rules and dashboards work.
"""

from __future__ import annotations

from typing import Any

from hashrange.cli.cluster.layout import DAX, NODE, ROUTER, TRIGGERS, Layout
from hashrange.runtime.cluster_config import format_address

JOBS = {
    NODE: "hashrange-nodes",
    ROUTER: "hashrange-routers",
    DAX: "hashrange-dax",
    TRIGGERS: "hashrange-triggers",
}


def targets(layout: Layout) -> list[dict[str, Any]]:
    """A group of targets for each process, whether it runs or not: one that is down is to be seen."""
    return [
        {
            "targets": [format_address(layout.host, layout.admin_port(process))],
            "labels": {
                "job": JOBS[process.role],
                "region": layout.region,
                "zone": process.az,
                "role": process.role,
                "process": process.name,
            },
        }
        for process in layout.processes
    ]
