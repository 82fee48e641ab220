"""Functions from the command line: against an embedded server, and against a cluster with a pool."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.functions_support import HANDLER, TABLE, Functions, command, until, workers_below
from tests.cluster.kill9 import Server, free_port
from tests.cluster.local_cluster import LocalCluster
from tests.conformance.conftest import make_client


class Deployed:
    """A server with functions, a table, and a handler in a file."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.server = server
        self.endpoint = f"http://127.0.0.1:{server.port}"
        self.functions = Functions(self.endpoint)
        self.dynamodb: Any = make_client(self.endpoint)
        self.lambda_: Any = make_client(self.endpoint, "lambda")
        self.handler = directory / "handler.py"
        self.handler.write_text(HANDLER)
        self.dynamodb.create_table(**TABLE)

    def put(self, name: str) -> None:
        """Write an item."""
        self.dynamodb.put_item(TableName="orders", Item={"id": {"S": name}})

    def until_logged(self, text: str, name: str = "handler") -> str:
        """Wait until the function has written something; its log."""
        return str(until(text, lambda: log if text in (log := self.functions.log(name)) else ""))


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Deployed]:
    server = Server(tmp_path / "data", "--triggers")
    try:
        yield Deployed(server, tmp_path)
    finally:
        assert server.stop() == 0
        assert workers_below(tmp_path) == []


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """For tests that leave nothing behind which another one would see."""
    directory = tmp_path_factory.mktemp("shared")
    server = Server(directory / "data", "--triggers")
    try:
        yield Deployed(server, directory)
    finally:
        assert server.stop() == 0
        assert workers_below(directory) == []


@contextmanager
def running(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A command that goes on until it gets a Ctrl-C."""
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_a_handler_is_deployed_in_one_line_and_runs_on_changes(deployed: Deployed, tmp_path: Path) -> None:
    functions = deployed.functions
    said = functions.do("deploy", str(deployed.handler), "--table", "orders", "--batch-size", "10")
    assert "function handler is created: python3." in said
    assert "table orders had no stream: it is switched on, with NEW_AND_OLD_IMAGES" in said
    assert "changes of table orders run handler (batches of up to 10)" in said
    assert "hashrange functions logs handler --follow" in said
    deployed.put("a")
    log = deployed.until_logged("saw INSERT a")
    assert "START RequestId: " in log
    assert "REPORT RequestId: " in log
    (mapping,) = until("a result", lambda: [m for m in functions.listed()["mappings"] if m["result"] == "OK"])
    assert (mapping["function"], mapping["table"], mapping["state"]) == ("handler", "orders", "Enabled")
    assert mapping["iterator_age_ms"] is not None
    (function,) = functions.listed()["functions"]
    assert (function["name"], function["state"], function["errors"]) == ("handler", "Active", 0)
    assert function["invocations"] >= 1
    assert "orders" in functions.do("list")


def test_saying_it_again_changes_only_what_is_different(deployed: Deployed) -> None:
    functions = deployed.functions
    arguments = ("deploy", str(deployed.handler), "--table", "orders")
    functions.do(*arguments, "--env", "AB=1", "--timeout", "7")
    again = functions.do(*arguments)
    assert "function handler is as it was: nothing has changed" in again
    assert "changes of table orders run handler already" in again
    changed = functions.do(
        *arguments,
        "--memory",
        "256",
        "--env",
        "CD=2",
        "--max-retries",
        "2",
        "--filter",
        '{"eventName": ["REMOVE"]}',
    )
    assert "MemorySize is 256" in changed
    assert "the trigger of table orders is updated" in changed
    found = deployed.lambda_.get_function_configuration(FunctionName="handler")
    assert (found["Timeout"], found["MemorySize"]) == (7, 256)
    assert found["Environment"]["Variables"] == {"AB": "1", "CD": "2"}
    (mapping,) = deployed.lambda_.list_event_source_mappings()["EventSourceMappings"]
    assert mapping["MaximumRetryAttempts"] == 2
    assert mapping["FilterCriteria"]["Filters"] == [{"Pattern": '{"eventName": ["REMOVE"]}'}]
    assert mapping["StartingPosition"] == "TRIM_HORIZON"


def test_a_function_is_invoked_with_a_payload_or_from_standard_input(
    shared: Deployed, tmp_path: Path
) -> None:
    functions = shared.functions
    functions.do("deploy", str(shared.handler))
    assert json.loads(functions.do("invoke", "handler"))["records"] == 0
    assert json.loads(functions.do("invoke", "handler", "-", text='{"Records": []}'))["version"] == 1
    (tmp_path / "event.json").write_text("{}")
    assert json.loads(functions.do("invoke", "handler", f"@{tmp_path}/event.json"))["version"] == 1
    assert functions.do("invoke", "handler", "--event") == "queued for handler\n"
    not_json = functions.run("invoke", "handler", "{nothing")
    assert (not_json.returncode, "the payload is not JSON" in not_json.stderr) == (1, True)


def test_a_function_that_fails_shows_why_and_ends_with_code_1(shared: Deployed) -> None:
    broken = shared.handler.with_name("broken.py")
    broken.write_text("def handler(event, context):\n    raise ValueError('no such order')\n")
    shared.functions.do("deploy", str(broken))
    done = shared.functions.run("invoke", "broken", "{}")
    assert done.returncode == 1
    assert json.loads(done.stdout)["errorMessage"] == "no such order"
    assert "broken has failed (Unhandled)" in done.stderr


def test_logs_are_followed(deployed: Deployed, tmp_path: Path) -> None:
    deployed.functions.do("deploy", str(deployed.handler), "--table", "orders")
    output = tmp_path / "followed.txt"
    with running(deployed.functions.start(output, "logs", "handler", "--follow")):
        deployed.put("first")
        until("the first change", lambda: "saw INSERT first" in output.read_text())
        deployed.put("second")
        until("the second change", lambda: "saw INSERT second" in output.read_text())
    assert output.read_text().count("saw INSERT first") == 1
    assert "Traceback" not in output.read_text()


def test_a_watched_file_is_deployed_again_when_it_is_saved(deployed: Deployed, tmp_path: Path) -> None:
    output = tmp_path / "watched.txt"
    arguments = ("deploy", str(deployed.handler), "--table", "orders", "--watch")
    with running(deployed.functions.start(output, *arguments)) as process:
        until("the watch", lambda: "watching" in output.read_text())
        deployed.put("seen")
        until("the log", lambda: "saw INSERT seen" in output.read_text())
        deployed.handler.write_text("def handler(event, context:\n")
        until("the mistake", lambda: "handler.py, line 1:" in output.read_text())
        deployed.handler.write_text(HANDLER.replace('"version": 1', '"version": 2'))
        until("a deployment", lambda: "-- deployed again after" in output.read_text())
        assert json.loads(deployed.functions.do("invoke", "handler"))["version"] == 2
        assert process.poll() is None
    assert process.returncode in (0, 130)


def test_a_function_is_deleted_with_its_triggers(deployed: Deployed) -> None:
    functions = deployed.functions
    functions.do("deploy", str(deployed.handler), "--table", "orders")
    refused = functions.run("delete", "handler", text="n\n")
    assert (refused.returncode, "nothing is deleted" in refused.stderr) == (1, True)
    said = functions.do("delete", "handler", "--yes")
    assert "function handler and its triggers on orders are deleted" in said
    assert functions.listed() == {"functions": [], "mappings": []}
    assert "no functions yet" in functions.do("list")
    gone = functions.run("delete", "handler", "--yes")
    assert (gone.returncode, gone.stderr) == (1, "hashrange: there is no function handler\n")
    metrics = until("metrics", lambda: _metrics(deployed.endpoint))
    assert 'function="handler"' not in metrics


def _metrics(endpoint: str) -> str:
    import urllib.request

    with urllib.request.urlopen(endpoint + "/metrics", timeout=10) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("--table", "nothing"),
            "there is no table nothing (there are orders); create it first, then deploy",
        ),
        (("--batch-size", "5"), "--batch-size: this is about a trigger; name its table with --table"),
        (("--env", "1=2"), "--env takes NAME=VALUE, not '1=2'"),
        (("--table", "orders", "--filter", "{"), "--filter takes JSON"),
        (("--table", "orders", "--start", "NOW"), "--start is TRIM_HORIZON or LATEST, not NOW"),
        (("--table", "orders", "--max-age", "5"), "--max-age is -1 (never), or from 60 seconds on"),
        (("--runtime", "cobol"), "Value 'cobol' at 'runtime' failed"),
    ],
)
def test_mistakes_are_answered_with_what_to_do(
    shared: Deployed, arguments: tuple[str, ...], words: str
) -> None:
    done = shared.functions.run("deploy", str(shared.handler), *arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_without_functions_says_how_to_get_them(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    try:
        done = Functions(f"http://127.0.0.1:{server.port}").run("list")
    finally:
        server.stop()
    assert done.returncode == 1
    assert "runs no functions; start it with `hashrange serve --triggers`" in done.stderr
    nobody = Functions(f"http://127.0.0.1:{free_port()}").run("list")
    assert nobody.returncode == 1
    assert "does not answer" in nobody.stderr


def test_logs_need_a_signature_where_credentials_are_configured(tmp_path: Path) -> None:
    import os

    keys = tmp_path / "credentials"
    keys.write_text("[default]\naws_access_key_id = AKID\naws_secret_access_key = secret\n")
    (tmp_path / "handler.py").write_text(HANDLER)
    server = Server(tmp_path / "data", "--triggers", "--credentials-file", str(keys))
    try:
        functions = Functions(f"http://127.0.0.1:{server.port}")
        environ = {**os.environ, "AWS_SHARED_CREDENTIALS_FILE": str(keys)}
        environ.pop("AWS_ACCESS_KEY_ID", None)
        old, os.environ["AWS_SHARED_CREDENTIALS_FILE"] = (
            os.environ.get("AWS_SHARED_CREDENTIALS_FILE"),
            str(keys),
        )
        try:
            functions.do("deploy", str(tmp_path / "handler.py"))
            functions.do("invoke", "handler")
            assert "START RequestId" in functions.log("handler")
        finally:
            if old is None:
                del os.environ["AWS_SHARED_CREDENTIALS_FILE"]
            else:
                os.environ["AWS_SHARED_CREDENTIALS_FILE"] = old
        refused = functions.run("logs", "handler")
        assert refused.returncode == 1
        assert "UnrecognizedClientException" in refused.stderr
    finally:
        server.stop()


def test_a_pool_needs_to_know_the_way() -> None:
    done = command("triggers")
    assert done.returncode == 2
    assert "seeds: is not set" in done.stderr
    wrong = command("triggers", "--seed", "nowhere")
    assert wrong.returncode == 2
    assert "--seed: 'nowhere' is no seed; write ID/HOST:PORT" in wrong.stderr
    everywhere = command("triggers", "--seed", "1/127.0.0.1:1", "--host", "0.0.0.0")
    assert everywhere.returncode == 2
    assert "advertise: name HOST:PORT where routers reach the pool; host is 0.0.0.0" in everywhere.stderr


@pytest.mark.slow
def test_a_cluster_with_a_pool_runs_functions_also_after_the_pool_was_killed(tmp_path: Path) -> None:
    settings = ("durability=os",)
    with LocalCluster(tmp_path / "c", settings=settings, options=("--triggers", "1")) as cluster:
        functions = Functions(cluster.endpoint)
        dynamodb = make_client(cluster.endpoint, connect_timeout=5, read_timeout=15)
        cluster.create_table(TABLE)
        handler = tmp_path / "handler.py"
        handler.write_text(HANDLER)
        functions.do("deploy", str(handler), "--table", "orders")
        assert json.loads(functions.do("invoke", "handler"))["version"] == 1
        dynamodb.put_item(TableName="orders", Item={"id": {"S": "before"}})
        until("the first change", lambda: "saw INSERT before" in functions.log("handler"))
        pool = next(each for each in cluster.status()["processes"] if each["role"] == "triggers")
        assert pool["state"] == "ready"
        cluster.kill("triggers-1")
        until("the end of the workers", lambda: not workers_below(tmp_path))
        alone = functions.run("invoke", "handler")
        assert alone.returncode == 1
        assert "no trigger pool is running" in alone.stderr
        dynamodb.put_item(TableName="orders", Item={"id": {"S": "meanwhile"}})
        cluster.restart("triggers-1")
        until("the change made meanwhile", lambda: "saw INSERT meanwhile" in functions.log("handler"))
        until("a result", lambda: functions.listed()["mappings"][0]["result"] == "OK")
        assert cluster.stop() == 0
    assert workers_below(tmp_path) == []
    assert cluster.output().splitlines()[-2:] == ["stopping: pools and routers first, then nodes", "stopped"]
