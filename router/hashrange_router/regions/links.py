"""The links to other regions as a router uses them: one request for the control of global tables, and its answer.

    reply = yield from ask(links, "eu-west-1", {"Type": "probe", "Table": name, "Source": own})

The program implements `RegionLinks`: it knows endpoints and credentials. Without peers there are no links.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import orjson

from hashrange.wire.regions import CONTROL_PATH
from hashrange_router.api.call import Elsewhere
from hashrange_router.api.context import RegionLinks


class RegionAwayError(Exception):
    """The other region was not reached, or did not answer as a region does. The text is for operators."""


def ask(
    links: RegionLinks, region: str, message: dict[str, Any]
) -> Generator[Elsewhere, Any, dict[str, Any]]:
    """The answer of another region to a control message; RegionAwayError when there is none."""
    body = orjson.dumps(message)
    answer = yield Elsewhere(lambda done: links.post(region, CONTROL_PATH, body, done))
    if isinstance(answer, Exception):
        raise RegionAwayError(str(answer))
    try:
        reply = orjson.loads(answer)
    except orjson.JSONDecodeError as error:
        raise RegionAwayError(f"{region} did not answer with JSON: {error}") from error
    if not isinstance(reply, dict) or not isinstance(reply.get("State"), str):
        raise RegionAwayError(f"{region} did not answer as a region does")
    return reply
