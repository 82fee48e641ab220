"""`hashrange functions invoke`: one run of a function, its answer on standard output, its log on standard error."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path

import typer

from hashrange.cli.functions import paths
from hashrange.cli.functions.client import Api, FunctionsError

EXIT_FAILED = 1


def run(
    api: Api, name: str, payload: str, event: bool, log: bool, timeout_s: float, say: Callable[[str], None]
) -> int:
    """Invoke it; the exit code of the command."""
    headers = {"x-amz-invocation-type": "Event" if event else "RequestResponse"}
    if log and not event:
        headers["x-amz-log-type"] = "Tail"
    answer = api.raw(
        "POST", paths.function(name, "/invocations"), read_payload(payload), None, headers, timeout_s
    )
    tail = answer.headers.get("x-amz-log-result")
    if tail:
        typer.echo(
            base64.b64decode(tail).decode("utf-8", "replace").rstrip("\n").replace("\r", "\n"), err=True
        )
    if event:
        say(f"queued for {name}")
        return 0
    say(pretty(answer.body))
    failure = answer.headers.get("x-amz-function-error")
    if failure:
        typer.echo(f"hashrange: {name} has failed ({failure}); what it raised is above", err=True)
        return EXIT_FAILED
    return 0


def read_payload(text: str) -> bytes:
    """The event: JSON as it is, the contents of @FILE, or standard input for `-`; raises FunctionsError."""
    if text == "-":
        data = sys.stdin.buffer.read()
    elif text.startswith("@"):
        try:
            data = Path(text[1:]).expanduser().read_bytes()
        except OSError as error:
            raise FunctionsError(f"{text[1:]} cannot be read ({error.strerror})") from None
    else:
        data = text.encode()
    try:
        json.loads(data or b"{}")
    except ValueError as error:
        raise FunctionsError(f"the payload is not JSON: {error}; quote strings, such as '\"text\"'") from None
    return data or b"{}"


def pretty(body: bytes) -> str:
    """JSON for people; anything else as it is."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body.decode("utf-8", "replace")
