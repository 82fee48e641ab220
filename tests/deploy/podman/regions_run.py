"""The run of deploy/compose.regions.yaml: a global table, a cut between its regions, and what comes of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.deploy.podman import load, scrapes
from tests.deploy.podman.engine import Engine, Project
from tests.deploy.podman.steps import StepError, Steps, wait_for

REGIONS = {"us": "us-east-1", "eu": "eu-west-1"}
PROGRAMS = [f"{short}-{each}" for short in REGIONS for each in ("node-1", "node-2", "node-3", "router-1")]
KEY, SECRET = "AKIDEPLOY", "a-secret-of-the-test"
TABLE = "global"
READY_S = 180.0
ITEMS = 100
EQUAL_S = 60.0


class RegionsRun:
    """One run; the regions' APIs are on the ports `base` and `base` + 1."""

    def __init__(self, engine: Engine, steps: Steps, file: Path, name: str, base: int, image: str) -> None:
        self.steps = steps
        variables = {
            "US_PORT": str(base),
            "EU_PORT": str(base + 1),
            "PROMETHEUS_PORT": str(base + 3),
            "HASHRANGE_IMAGE": image,
            "HASHRANGE_CREDENTIALS": f"{KEY}:{SECRET}",
            "HASHRANGE_PEER_CREDENTIALS": f"{KEY}:{SECRET}",
        }
        self.project = Project(engine, file, name, variables)
        self.endpoints = {"us": f"http://127.0.0.1:{base}", "eu": f"http://127.0.0.1:{base + 1}"}
        self.prometheus = f"http://127.0.0.1:{base + 3}"
        self.services = [*PROGRAMS, "prometheus"]

    def client(self, short: str) -> Any:
        """boto3's client of a region."""
        return load.client("dynamodb", self.endpoints[short], KEY, SECRET, REGIONS[short])

    def up(self) -> None:
        """Bring both regions up, and wait until every process passes its health check."""
        begun = time.monotonic()
        self.project.compose("up", "--detach", "--no-build", *self.services)
        for service in PROGRAMS:
            wait_for(f"{service} healthy", lambda name=service: self.project.healthy(name), READY_S)
        for short in REGIONS:
            dynamodb = self.client(short)
            wait_for(f"the endpoint of {short}", lambda one=dynamodb: one.list_tables() is not None, READY_S)
        self.steps.note(f"both regions answer after {time.monotonic() - begun:.1f} s")

    def make_global(self) -> None:
        """A table in the one region, then a replica of it in the other."""
        dynamodb = self.client("us")
        load.make_table(dynamodb, TABLE, stream=True)
        dynamodb.update_table(TableName=TABLE, ReplicaUpdates=[{"Create": {"RegionName": REGIONS["eu"]}}])
        wait_for("the replica", self.replicas_active, 60)

    def replicas_active(self) -> bool:
        """Whether both regions say that the table and its replica are active."""
        for short in REGIONS:
            table = self.client(short).describe_table(TableName=TABLE)["Table"]
            statuses = {replica["ReplicaStatus"] for replica in table.get("Replicas", [])}
            if table["TableStatus"] != "ACTIVE" or statuses != {"ACTIVE"}:
                return False
        return True

    def write(self, short: str, prefix: str, count: int = ITEMS) -> None:
        """Items with this prefix, marked with the region that wrote them."""
        dynamodb = self.client(short)
        for number in range(count):
            item = {"id": {"S": f"{prefix}-{number}"}, "by": {"S": short}}
            dynamodb.put_item(TableName=TABLE, Item=item)

    def equal(self) -> int:
        """The number of items when both regions have the same, else 0."""
        mine, other = (load.all_items(self.client(short), TABLE) for short in REGIONS)
        return len(mine) if mine == other else 0

    def wait_equal(self, least: int) -> None:
        """Wait until both regions have the same items, at least so many."""
        begun = time.monotonic()
        count = wait_for("equal tables", lambda: self.equal() >= least and self.equal(), EQUAL_S)
        self.steps.note(f"equal after {time.monotonic() - begun:.1f} s: {count} items")

    def cut(self) -> None:
        """Take the sea away: no process of the one region reaches the other."""
        for service in PROGRAMS:
            if service.startswith("eu-"):
                self.project.disconnect(service, "link")

    def mend(self) -> None:
        """Bring it back."""
        for service in PROGRAMS:
            if service.startswith("eu-"):
                aliases = [f"router-{REGIONS['eu']}"] if "router" in service else []
                self.project.connect(service, "link", *aliases)

    def conflict(self) -> None:
        """Both regions write the same keys and keys of their own; each goes on with what it has."""
        for short in REGIONS:
            self.write(short, "same")
            self.write(short, f"cut-{short}")
        for short in REGIONS:
            by = {
                item["by"]["S"]
                for key, item in load.all_items(self.client(short), TABLE).items()
                if key.startswith("same")
            }
            if by != {short}:
                raise StepError(f"{short} has seen writes of {by} over a link that is cut")

    def winners(self) -> None:
        """Of keys written in both regions during the cut, the later writes have won: those of the second region."""
        for short in REGIONS:
            items = load.all_items(self.client(short), TABLE)
            by = {item["by"]["S"] for key, item in items.items() if key.startswith("same")}
            if by != {"eu"}:
                raise StepError(f"in {short}, keys written in both regions are those of {by}")

    def run(self) -> None:
        """All steps in order."""
        steps, project = self.steps, self.project
        with steps.step("up"):
            self.up()
        with steps.step("Prometheus scrapes every process of both regions"):
            steps.note(wait_for("all targets up", lambda: scrapes.all_up(self.prometheus), 60))
            steps.note(wait_for("rules evaluated", lambda: scrapes.rules(self.prometheus), 60))
        with steps.step("make a table in us-east-1 and a replica of it in eu-west-1"):
            self.make_global()
        with steps.step("write in both regions, read in the other"):
            for short in REGIONS:
                self.write(short, short)
            self.wait_equal(2 * ITEMS)
        with steps.step("cut the regions apart, write conflicting items in both"):
            self.cut()
            self.conflict()
        with steps.step("mend the link"):
            self.mend()
            self.wait_equal(5 * ITEMS)
        with steps.step("the later of two writes has won in both"):
            self.winners()
        with steps.step("kill us-node-1 and write in us-east-1"):
            project.kill("us-node-1")
            self.write("us", "killed")
            self.wait_equal(6 * ITEMS)
            project.start("us-node-1")
            wait_for("us-node-1 healthy", lambda: project.healthy("us-node-1"), READY_S)
        with steps.step("down"):
            project.compose("down")
        with steps.step("up again with the same volumes"):
            self.up()
        with steps.step("everything is there, and goes on to be shipped"):
            self.write("eu", "later")
            self.wait_equal(7 * ITEMS)
        with steps.step("down --volumes leaves nothing"):
            project.compose("down", "--volumes")
            left = project.left_over()
            if left:
                raise StepError(f"left over: {', '.join(left)}")
