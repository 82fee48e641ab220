"""From an HTTP request to the members of an operation's input: path, query, headers, body."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import orjson

from hashrange_router.functions.errors import serialization
from hashrange_router.functions.model import LambdaModel, Route
from hashrange_router.http.request import Request

_BOOLEANS = {"true": True, "false": False}


def parse_query(query: bytes) -> dict[str, list[str]]:
    """The parameters of a query, each with all its values."""
    return parse_qs(query.decode("latin-1"), keep_blank_values=True)


def decode(
    model: LambdaModel, route: Route, members: dict[str, str], query: dict[str, list[str]], request: Request
) -> dict[str, Any]:
    """The input that a request is, unchecked but for its JSON. A member that the whole body is stays empty."""
    found = {route.payload: ""} if route.payload else _body(request.body)
    shape = model.input(route.operation)
    for member, (place, name) in route.places.items():
        found.pop(member, None)
        if place == "uri":
            found[member] = members[member]
        elif place == "header":
            value = request.header(name.lower().encode())
            if value is not None:
                found[member] = value.decode("latin-1")
        elif name in query:
            found[member] = _parameter(model, shape.members[member], member, query[name])
    return found


def _body(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise serialization("Could not parse request body into json") from None
    if document.__class__ is not dict:
        raise serialization("The request body must be a JSON object")
    found: dict[str, Any] = document
    return found


def _parameter(model: LambdaModel, shape_name: str, member: str, values: list[str]) -> Any:
    """A parameter of the query as the type that the model gives it."""
    kind = model.shape(shape_name).kind
    if kind == "list":
        return values
    value = values[-1]
    if kind in ("integer", "long"):
        if not value.lstrip("-").isdecimal() or len(value) > 18:
            raise serialization(f"STRING_VALUE can not be converted to an Integer: {member}")
        return int(value)
    if kind == "boolean":
        return _BOOLEANS.get(value.lower(), value)
    return value
