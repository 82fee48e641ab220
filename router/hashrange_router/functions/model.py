"""The model of the Lambda API, read from the packaged file on first use: operations, their routes, their inputs.

found = lambda_model().match(b"GET", "/2015-03-31/functions/hello", {})     # (Route, {"FunctionName": "hello"})
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import orjson

from hashrange_router.api.model import ServiceModel, Shape

_PATH: Final = Path(__file__).with_name("lambda_model.json")


@dataclass(frozen=True, slots=True)
class Route:
    """How an operation is named and where its request's members are.

    `segments` are those of the path, a name in braces for a member. `fixed` is the query that tells it from others of
    the same path. `places` maps members to ("uri" | "querystring" | "header", name there); `payload` is the member
    that the body is, "" where the body is a JSON document of the other members. `status` is that of success.
    """

    operation: str
    method: str
    segments: tuple[str, ...]
    fixed: tuple[tuple[str, str], ...]
    places: dict[str, tuple[str, str]]
    payload: str
    status: int


class LambdaModel:
    """All operations served, by what a request names them with."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.service = ServiceModel(document)
        self.routes: dict[str, Route] = {}
        self._found: dict[tuple[str, str, int], list[Route]] = {}
        self.dates: set[str] = set()
        for name, raw in document["lambda"]["routes"].items():
            route = self.routes[name] = _route(name, raw)
            self.dates.add(route.segments[0])
            at = (route.method, route.segments[0], len(route.segments))
            self._found.setdefault(at, []).append(route)
        for routes in self._found.values():
            # The more of a route is spelled out, the earlier it is tried.
            routes.sort(key=lambda route: (-len(route.fixed), sum(part[0] == "{" for part in route.segments)))

    def serves(self, path: str) -> bool:
        """Whether a path begins with a version of this API."""
        return path[1:].partition("/")[0] in self.dates

    def match(
        self, method: str, path: str, query: dict[str, list[str]]
    ) -> tuple[Route, dict[str, str]] | None:
        """The route of a request and the members in its path, percent-decoded; None when there is none."""
        segments = path.strip("/").split("/")
        for route in self._found.get((method, segments[0], len(segments)), ()):
            members = _members(route, segments)
            if members is not None and all(value in query.get(name, ()) for name, value in route.fixed):
                return route, members
        return None

    def input(self, operation: str) -> Shape:
        """The structure of an operation's request."""
        return self.service.operations[operation].input

    def shape(self, name: str) -> Shape:
        """A shape by its name."""
        return self.service.operations["Invoke"].shapes[name]


def _route(name: str, raw: dict[str, Any]) -> Route:
    path, _, query = raw["uri"].partition("?")
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return Route(
        operation=name,
        method=raw["method"],
        segments=tuple(path.strip("/").split("/")),
        fixed=tuple((key, value) for key, _, value in pairs),
        places={member: (place, at) for member, (place, at) in raw.get("places", {}).items()},
        payload=raw.get("payload", ""),
        status=raw["status"],
    )


def _members(route: Route, segments: list[str]) -> dict[str, str] | None:
    """What the braces of a route stand for; None when the path is another."""
    found: dict[str, str] = {}
    for wanted, given in zip(route.segments, segments, strict=True):
        if wanted[0] == "{":
            if not given:
                return None
            found[wanted[1:-1]] = unquote(given)
        elif wanted != given:
            return None
    return found


@cache
def lambda_model() -> LambdaModel:
    """The model of this program."""
    return LambdaModel(orjson.loads(_PATH.read_bytes()))
