"""The run of deploy/compose.yaml: everything that its services promise, then faults, then down and up again."""

from __future__ import annotations

import json
import time
from typing import Any

import botocore.session
from botocore.exceptions import ClientError

from tests.deploy.podman import load, scrapes
from tests.deploy.podman.engine import Engine, Project
from tests.deploy.podman.steps import StepError, Steps, wait_for

NODES = ("node-1", "node-2", "node-3")
PROGRAMS = (*NODES, "router-1", "router-2", "dax-1", "triggers-1")
SERVICES = (*PROGRAMS, "endpoint", "prometheus")
KEY, SECRET = "AKIDEPLOY", "a-secret-of-the-test"
TABLE = "written"
READY_S = 120.0
FAULT_WRITES = 300


class ClusterRun:
    """One run; `ports` begin at `base`."""

    def __init__(self, engine: Engine, steps: Steps, file: Any, name: str, base: int, image: str) -> None:
        self.steps = steps
        self.ports = {
            "API_PORT": base,
            "DAX_PORT": base + 1,
            "DAX_HTTP_PORT": base + 2,
            "PROMETHEUS_PORT": base + 3,
            "GRAFANA_PORT": base + 4,
            "CONSOLE_PORT": base + 5,
        }
        variables = {name: str(port) for name, port in self.ports.items()}
        variables |= {"HASHRANGE_IMAGE": image, "HASHRANGE_CREDENTIALS": f"{KEY}:{SECRET}"}
        self.project = Project(engine, file, name, variables)
        self.endpoint = f"http://127.0.0.1:{base}"
        self.prometheus = f"http://127.0.0.1:{base + 3}"
        self.services = list(SERVICES)

    def client(self, service: str, endpoint: str | None = None) -> Any:
        """A boto3 client of the cluster's endpoint."""
        return load.client(service, endpoint or self.endpoint, KEY, SECRET)

    # ---- parts

    def up(self) -> None:
        """Bring the services up, and wait until each passes its health check."""
        begun = time.monotonic()
        self.project.compose("up", "--detach", "--no-build", *self.services)
        self.steps.note(f"containers started in {time.monotonic() - begun:.1f} s")
        for service in PROGRAMS:
            wait_for(f"{service} healthy", lambda name=service: self.project.healthy(name), READY_S)
        dynamodb = self.client("dynamodb")
        wait_for("the endpoint", lambda: dynamodb.list_tables() is not None, READY_S)
        self.steps.note(f"all healthy and the endpoint answers after {time.monotonic() - begun:.1f} s")

    def leader(self) -> str:
        """The service of the node that leads the table's first partition."""
        shown = self.project.inside(
            "router-1", "hashrange", "cluster", "status", "--endpoint", "http://127.0.0.1:8201", "--json"
        )
        for partition in json.loads(shown)["partitions"]:
            if partition["table"] == TABLE and partition["leader"]:
                return f"node-{partition['leader']}"
        raise StepError(f"nobody leads {TABLE}")

    def strangers(self) -> None:
        """Credentials of .env are in force: others are refused."""
        try:
            load.client("dynamodb", self.endpoint, "AKIDOTHER", "no-secret").list_tables()
        except ClientError as error:
            self.steps.note(error.response["Error"]["Code"])
            return
        raise StepError("a request with other credentials was served")

    def items(self) -> None:
        """Tables, items, a condition, a transaction, a batch, a stream."""
        dynamodb = self.client("dynamodb")
        load.make_table(dynamodb, TABLE, stream=True)
        load.make_table(dynamodb, "seen")
        for number in range(50):
            dynamodb.put_item(TableName=TABLE, Item={"id": {"S": f"i{number}"}, "n": {"N": str(number)}})
        load.transact(dynamodb, TABLE, [f"t{number}" for number in range(10)])
        try:
            dynamodb.put_item(
                TableName=TABLE, Item={"id": {"S": "i1"}}, ConditionExpression="attribute_not_exists(id)"
            )
        except dynamodb.exceptions.ConditionalCheckFailedException:
            pass
        else:
            raise StepError("a condition was not checked")
        count = len(load.all_items(dynamodb, TABLE))
        if count != 60:
            raise StepError(f"60 items were written, {count} are there")
        self.steps.note(f"{count} items")

    @property
    def stream_arn(self) -> str:
        """The stream of the table."""
        arn: str = self.client("dynamodb").describe_table(TableName=TABLE)["Table"]["LatestStreamArn"]
        return arn

    def stream(self) -> None:
        """Each of the 60 changes has one record."""
        counted = load.stream_keys(self.client("dynamodbstreams"), self.stream_arn)
        if len(counted) != 60 or set(counted.values()) != {1}:
            raise StepError(f"the stream has {sum(counted.values())} records of {len(counted)} keys")
        self.steps.note("60 records")

    def function(self) -> None:
        """A function runs on every change, and writes through the endpoint."""
        load.make_function(self.client("lambda"), "watch", self.stream_arn)
        dynamodb = self.client("dynamodb")
        wait_for("60 changes seen", lambda: len(load.all_items(dynamodb, "seen")) == 60, 60)
        self.steps.note("60 changes seen by it")

    def cache(self) -> None:
        """The official DAX client, and the ordinary API of the cache node."""
        import amazondax

        session = botocore.session.get_session()
        session.set_credentials(KEY, SECRET)
        dax = amazondax.AmazonDaxClient(
            session, region_name=load.REGION, endpoint_url=f"dax://127.0.0.1:{self.ports['DAX_PORT']}"
        )
        door = self.client("dynamodb", f"http://127.0.0.1:{self.ports['DAX_HTTP_PORT']}")
        try:
            for reader in (dax, dax, door):
                item = reader.get_item(TableName=TABLE, Key={"id": {"S": "i7"}})["Item"]
                if item["n"] != {"N": "7"}:
                    raise StepError(f"the cache answers {item}")
        finally:
            dax.close()

    # ---- faults

    def faults(self) -> load.Writers:
        """Writers go on while a leader and a router are killed and a leader's network is cut."""
        steps, project = self.steps, self.project
        with load.Writers(self.endpoint, TABLE, KEY, SECRET) as writers:
            with steps.step("write through the endpoint"):
                steps.note(writers.go_on(FAULT_WRITES))
            victim = self.leader()
            with steps.step(f"kill {victim}, which leads the table"):
                project.kill(victim)
                steps.note(writers.go_on(FAULT_WRITES))
            with steps.step(f"start {victim} again"):
                self.restart(victim)
                steps.note(writers.go_on(FAULT_WRITES))
            with steps.step("kill router-1"):
                project.kill("router-1")
                steps.note(writers.go_on(FAULT_WRITES))
            with steps.step("start router-1 again, kill router-2"):
                self.restart("router-1")
                wait_for("router-1 behind the endpoint", lambda: self.behind_endpoint("router-1"), 30)
                project.kill("router-2")
                steps.note(writers.go_on(FAULT_WRITES))
                self.restart("router-2")
            victim = self.leader()
            with steps.step(f"cut {victim}, which leads the table, off the network"):
                project.disconnect(victim, "cluster")
                steps.note(writers.go_on(FAULT_WRITES))
            with steps.step("mend the network"):
                project.connect(victim, "cluster")
                wait_for(f"{victim} healthy", lambda: project.healthy(victim), READY_S)
                steps.note(writers.go_on(FAULT_WRITES))
            with steps.step("cut router-1 off from clients and nodes"):
                for network in ("cluster", "front"):
                    project.disconnect("router-1", network)
                steps.note(writers.go_on(FAULT_WRITES))
                for network in ("cluster", "front"):
                    project.connect("router-1", network)
                wait_for("router-1 healthy", lambda: project.healthy("router-1"), READY_S)
        with steps.step("read every acknowledged write"):
            steps.note(writers.check(self.client("dynamodb")))
        return writers

    def restart(self, service: str) -> None:
        """Start a killed container and wait until it is healthy."""
        self.project.start(service)
        wait_for(f"{service} healthy", lambda: self.project.healthy(service), READY_S)

    def behind_endpoint(self, router: str) -> bool:
        """Whether the endpoint sends requests to a router that was started anew: it has answered some."""
        ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8201/metrics').read().decode())"
        lines = self.project.inside(router, "python", "-c", ask).splitlines()
        answered = [line for line in lines if line.startswith("hashrange_requests_total{")]
        return any('operation="PutItem"' in line for line in answered)

    # ---- the whole

    def run(self) -> None:
        """All steps in order."""
        steps, project = self.steps, self.project
        with steps.step("up"):
            self.up()
        with steps.step("refuse other credentials"):
            self.strangers()
        with steps.step("tables, items, a condition, a transaction by boto3"):
            self.items()
        with steps.step("read the stream"):
            self.stream()
        with steps.step("a function on the stream"):
            self.function()
        with steps.step("read through the cache: the official DAX client, and boto3"):
            self.cache()
        with steps.step("Prometheus scrapes every process"):
            steps.note(wait_for("all targets up", lambda: scrapes.all_up(self.prometheus), 60))
            steps.note(wait_for("rules evaluated", lambda: scrapes.rules(self.prometheus), 60))
        writers = self.faults()
        with steps.step("Prometheus scrapes every process again"):
            steps.note(wait_for("all targets up", lambda: scrapes.all_up(self.prometheus), 60))
        with steps.step("down"):
            project.compose("down")
        with steps.step("up again with the same volumes"):
            self.up()
        with steps.step("read every acknowledged write again; the function is there too"):
            steps.note(writers.check(self.client("dynamodb")))
            answer = self.client("lambda").invoke(FunctionName="watch", Payload=b"{}")
            if json.load(answer["Payload"]) != {"records": 0}:
                raise StepError("the function does not answer as before")
        with steps.step("down --volumes leaves nothing"):
            project.compose("down", "--volumes")
            left = project.left_over()
            if left:
                raise StepError(f"left over: {', '.join(left)}")
