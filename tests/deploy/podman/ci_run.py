"""The run of deploy/compose.ci.yaml: one container where DynamoDB Local stood."""

from __future__ import annotations

import time
from pathlib import Path

from tests.deploy.podman import load
from tests.deploy.podman.engine import Engine, Project
from tests.deploy.podman.steps import StepError, Steps, wait_for

SERVICE = "dynamodb"


class CiRun:
    """One run; the API is on port `base`."""

    def __init__(self, engine: Engine, steps: Steps, file: Path, name: str, base: int, image: str) -> None:
        self.steps = steps
        self.project = Project(engine, file, name, {"API_PORT": str(base), "HASHRANGE_IMAGE": image})
        self.endpoint = f"http://127.0.0.1:{base}"
        self.services = [SERVICE]

    def run(self) -> None:
        """Up, a table and some items, stop gracefully, down."""
        steps, project = self.steps, self.project
        with steps.step("up"):
            begun = time.monotonic()
            project.compose("up", "--detach", "--no-build")
            wait_for("healthy", lambda: project.healthy(SERVICE), 60)
            steps.note(f"healthy {time.monotonic() - begun:.1f} s after `up`")
        dynamodb = load.client("dynamodb", self.endpoint, "any", "any")
        with steps.step("a table and 100 items by boto3"):
            load.make_table(dynamodb, "things")
            for number in range(100):
                dynamodb.put_item(TableName="things", Item={"id": {"S": str(number)}})
            if len(load.all_items(dynamodb, "things")) != 100:
                raise StepError("100 items were written, and are not there")
        with steps.step("stop gracefully"):
            project.engine.podman("stop", project.container(SERVICE))
            code = project.state(SERVICE)["ExitCode"]
            if code:
                raise StepError(f"it ended with {code}")
        with steps.step("down leaves nothing"):
            project.compose("down", "--volumes")
            if project.left_over():
                raise StepError(f"left over: {', '.join(project.left_over())}")
