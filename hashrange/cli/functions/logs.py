"""`hashrange functions logs`: what a function has written, and what it writes.

The server answers with pages of entries, each with a position for what comes behind it, and holds a question for what
is not there yet for a while (`wait_s`), so that a new line is seen at once.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import typer

from hashrange.cli.functions import paths
from hashrange.cli.functions.client import Api, FunctionsError, RefusedError

WAIT_S = 20
AGAIN_S = 1.0
FROM_NOW = "latest"

Entry = dict[str, Any]
Print = Callable[[Entry], None]


def printer(as_json: bool) -> Print:
    """What prints an entry: its text, or all of it as JSON."""

    def print_json(entry: Entry) -> None:
        typer.echo(json.dumps(entry))

    def print_text(entry: Entry) -> None:
        typer.echo(str(entry.get("text", "")).rstrip("\n").replace("\r", "\n"))

    return print_json if as_json else print_text


def page(api: Api, name: str, after: str | None, wait_s: int) -> tuple[list[Entry], str]:
    """The entries behind a position (None: all that are kept), and the position behind them."""
    query = {"wait_s": str(wait_s)} if after is None else {"after": after, "wait_s": str(wait_s)}
    answer = api.raw("GET", paths.logs(name), query=query, timeout_s=wait_s + 30.0).document()
    return answer.get("entries", []), str(answer.get("next", ""))


def everything(api: Api, name: str) -> tuple[list[Entry], str]:
    """All entries that are kept, over as many pages as it takes, and the position behind them."""
    entries, after = page(api, name, None, 0)
    more = entries
    while more:
        more, after = page(api, name, after, 0)
        entries = entries + more
    return entries, after


def show(api: Api, name: str, follow: bool, most: int | None, print_entry: Print) -> None:
    """Print what there is (the last `most` entries), and with `follow` what comes, until interrupted."""
    entries, after = everything(api, name)
    for entry in entries if most is None else entries[max(0, len(entries) - most) :]:
        print_entry(entry)
    if follow:
        tail(api, name, after, print_entry, threading.Event())
    elif not entries:
        typer.echo(f"{name} has not written anything yet", err=True)


def tail(api: Api, name: str, after: str, print_entry: Print, over: threading.Event) -> None:
    """Print what comes behind a position until it is over. A server that is away is asked again."""
    away = False
    while not over.is_set():
        try:
            entries, after = page(api, name, after, WAIT_S)
        except RefusedError as refusal:
            if refusal.status < 500:
                raise
            over.wait(AGAIN_S)
            continue
        except FunctionsError as error:
            if not away:
                typer.echo(f"hashrange: {error}; waiting for it", err=True)
            away = True
            over.wait(AGAIN_S)
            continue
        away = False
        for entry in entries:
            print_entry(entry)


def position(api: Api, name: str) -> str:
    """The position behind everything that has been written."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            return page(api, name, FROM_NOW, 0)[1]
        except RefusedError as refusal:
            if refusal.status < 500 or time.monotonic() > deadline:
                raise
            time.sleep(AGAIN_S)
