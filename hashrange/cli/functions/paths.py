"""Paths of the Lambda API and of the logs, with names encoded."""

from __future__ import annotations

from urllib.parse import quote

FUNCTIONS = "/2015-03-31/functions"
MAPPINGS = "/2015-03-31/event-source-mappings"
LOGS = "/hashrange/functions"


def function(name: str, tail: str = "") -> str:
    """The path of a function, by its name or ARN; `tail` begins with a slash."""
    return f"{FUNCTIONS}/{quote(name, safe='')}{tail}"


def mapping(identifier: str) -> str:
    """The path of an event source mapping, by its UUID."""
    return f"{MAPPINGS}/{quote(identifier, safe='')}"


def logs(name: str) -> str:
    """The path of a function's log."""
    return f"{LOGS}/{quote(name, safe='')}/logs"
