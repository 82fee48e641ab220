"""`hashrange top` as a user runs it, on a real server: one screen, JSON, hot keys and who may see them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conformance.conftest import make_client
from tests.conformance.server import running
from tests.conformance.support import error, s, table

LOOKS = 20
HASHRANGE = (sys.executable, "-m", "hashrange.cli.main")


def top(endpoint: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The real program, once."""
    return subprocess.run(
        [*HASHRANGE, "top", "--endpoint", endpoint, "--once", *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env={"COLUMNS": "110", "LINES": "40"},
    )


def document(endpoint: str, *arguments: str) -> Any:
    """What it says with --json."""
    done = top(endpoint, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextmanager
def load(client: Any, name: str) -> Iterator[None]:
    """Requests all the time: most for one key, some that fail, some that find nothing."""
    stopped = threading.Event()

    def work() -> None:
        number = 0
        while not stopped.is_set():
            number += 1
            client.put_item(
                TableName=name, Item={"p": s(f"other-{number}"), "f": s("x" * 1500), "g": s("here")}
            )
            for _ in range(3):
                client.get_item(TableName=name, Key={"p": s("the hot one")})
            error(
                client.put_item, TableName=name, Item={"p": s("a")}, ConditionExpression="attribute_exists(q)"
            )

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(30)


def test_a_server_under_load(embedded_endpoint: str) -> None:
    client = make_client(embedded_endpoint)
    with table(client, "p", gsi=(("by-g", "g", "KEYS_ONLY"),)) as name, load(client, name):

        def loaded() -> Any:
            view = document(embedded_endpoint, "--interval", "1")
            rows = {row["name"]: row for row in view["tables"]}
            hot = {each["index"] for each in view["keys"] if each["table"] == name}
            return view if name in rows and rows[name]["load"]["errors"] and hot == {None, "by-g"} else None

        # Each look takes seconds where other tests leave little of the machine.
        view = next((found for found in (loaded() for _ in range(LOOKS)) if found), None)
        assert view is not None, "the load on the screen"
        [row] = [row for row in view["tables"] if row["name"] == name]
        assert row["load"]["reads"] > row["load"]["writes"] > 0
        assert row["load"]["p99_s"] >= row["load"]["p50_s"] > 0
        assert row["read_units"] > 0
        assert row["write_units"] > 0
        assert row["items"] > 0
        assert [index["name"] for index in row["indexes"]] == ["by-g"]
        mine = [each for each in view["partitions"] if each["table"] == name]
        assert sorted(str(each["index"]) for each in mine) == ["None", "by-g"]
        assert all(each["leader"] == "server" for each in mine)
        keys = [(each["index"], each["key"], each["whole"]) for each in view["keys"] if each["table"] == name]
        assert (None, {"p": s("the hot one")}, True) in keys
        assert ("by-g", {"g": s("here")}, False) in keys
        screen = top(embedded_endpoint, "--interval", "0.5")
        assert screen.returncode == 0, screen.stderr
        for word in (name, "by-g", "server", '{"p":{"S":"the hot one"}}', "p99", "throttled/s"):
            assert word in screen.stdout
    client.close()


def test_keys_are_kept_back_when_they_are_to_be(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text("[default]\naws_access_key_id = test\naws_secret_access_key = test\n")
    credentials.chmod(0o600)
    for number, options in enumerate(
        (("--show-hot-keys", "false"), ("--credentials-file", str(credentials)), ("--show-hot-keys", "true"))
    ):
        with running("--in-memory", *options, log=tmp_path / f"log-{number}") as server:
            client = make_client(server.endpoint)
            with table(client, "p") as name:
                for _ in range(20):
                    client.get_item(TableName=name, Key={"p": s("secret")})
                from urllib.request import urlopen

                with urlopen(server.endpoint + "/hashrange/top", timeout=10) as answer:
                    page = answer.read().decode()
            client.close()
        assert name in page
        assert ("secret" in page) == (number == 2)
        assert json.loads(page)["keys_shown"] is (number == 2)
