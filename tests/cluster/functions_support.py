"""What tests of functions share: the command line against a server, handlers, and what they leave running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HASHRANGE = (sys.executable, "-m", "hashrange.cli.main")
DEADLINE_S = 60.0
TABLE = {
    "TableName": "orders",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
HANDLER = """
import json

def handler(event, context):
    records = event.get("Records", [])
    for record in records:
        print("saw", record["eventName"], record["dynamodb"]["Keys"]["id"]["S"])
    return {"records": len(records), "version": 1}
"""


def command(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run `hashrange` to its end."""
    return subprocess.run(
        [*HASHRANGE, *arguments],
        capture_output=True,
        text=True,
        input=text,
        timeout=120,
        check=False,
    )


class Functions:
    """`hashrange functions` against one endpoint."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def run(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """One command to its end."""
        return command("functions", *arguments, "--endpoint-url", self.endpoint, text=text)

    def do(self, *arguments: str, text: str = "") -> str:
        """One command that must succeed; what it prints."""
        done = self.run(*arguments, text=text)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, output: Path, *arguments: str) -> subprocess.Popen[bytes]:
        """A command that goes on, with its output in a file."""
        with output.open("wb") as file:
            return subprocess.Popen(
                [*HASHRANGE, "functions", *arguments, "--endpoint-url", self.endpoint],
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def listed(self) -> dict[str, Any]:
        """What `list --json` says."""
        document: dict[str, Any] = json.loads(self.do("list", "--json"))
        return document

    def log(self, name: str) -> str:
        """What `logs` says."""
        return self.do("logs", name)


def until(what: str, check: Callable[[], Any]) -> Any:
    """Wait until a condition holds, and return its value; fail after a long time."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come in time"
        time.sleep(0.1)


def workers_below(directory: Path) -> list[int]:
    """Processes that run functions unpacked below a directory."""
    found = []
    needle = f"LAMBDA_TASK_ROOT={directory}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if any(each.startswith(needle) for each in environment.split(b"\0")):
                found.append(int(entry.name))
    return found
