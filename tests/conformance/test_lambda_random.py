"""Requests that make no sense, for every operation of the Lambda API: each is answered, none as a failure of ours.

Members are drawn from the API's own model, a third of them with a value of the wrong kind, and sent as they are.
"""

from __future__ import annotations

import http.client
import json
import random
from base64 import b64encode
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from hashrange_router.functions.model import LambdaModel, Route, lambda_model

from tests.conformance.lambda_support import LambdaServer, function, lambda_server, package

REQUESTS = 60
ODD = (
    None,
    True,
    -1,
    0,
    2**70,
    1.5,
    "",
    "x",
    "ä\0",
    "$LATEST",
    "9" * 30,
    [],
    [None],
    {},
    {"a": None},
    [[]],
    [{}],
)
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=00"
)


class Drawing:
    """Draws requests; what it names is mostly there."""

    def __init__(self, rng: random.Random, model: LambdaModel, stream: str) -> None:
        self.rng = rng
        self.model = model
        self.known = {
            "FunctionName": ["hello", "hello:1", "hello:live", "none"],
            "Qualifier": ["1", "live", "$LATEST", "9"],
            "Name": ["live", "other"],
            "FunctionVersion": ["1", "$LATEST", "ALL"],
            "ZipFile": [b64encode(package()).decode(), "eA==", "***"],
            "EventSourceArn": [stream],
            "Role": ["arn:aws:iam::000000000000:role/any"],
            "Handler": ["app.handler"],
            "Runtime": ["python3.11"],
            "Resource": ["arn:aws:lambda:us-east-1:000000000000:function:hello"],
            "UUID": ["0" * 36],
            "Pattern": ['{"eventName": ["INSERT"]}', "{"],
        }

    def value(self, shape_name: str, member: str, depth: int = 0) -> Any:
        rng = self.rng
        if rng.random() < 0.1 or depth > 4:
            return rng.choice(ODD)
        if member in self.known:
            return rng.choice(self.known[member])
        shape = self.model.shape(shape_name)
        if shape.kind == "structure":
            return {
                name: self.value(child, name, depth + 1)
                for name, child in shape.members.items()
                if name in shape.required or rng.random() < 0.4
            }
        if shape.kind == "list":
            return [self.value(shape.element, "", depth + 1) for _ in range(rng.randrange(3))]
        if shape.kind == "map":
            return {f"K{rng.randrange(9)}": self.value(shape.value, "", depth + 1) for _ in range(2)}
        if shape.enum:
            return rng.choice(shape.enum)
        if shape.kind in ("integer", "long", "double", "float", "timestamp"):
            return rng.choice((shape.minimum or 0, shape.maximum or 5, 7))
        if shape.kind == "boolean":
            return rng.random() < 0.5
        return rng.choice(("text", "a-b", "arn:aws:lambda:us-east-1:000000000000:function:hello"))

    def request(self, route: Route) -> tuple[str, str, bytes, dict[str, str]]:
        """Method, target, body and headers."""
        document = self.value(self.model.service.operations[route.operation].input_shape, "")
        document = document if isinstance(document, dict) else {}
        headers = {"Authorization": AUTHORIZATION, "X-Amz-Date": "20260101T000000Z"}
        query: list[tuple[str, str]] = list(route.fixed)
        path = "/" + "/".join(route.segments)
        for member, (place, name) in route.places.items():
            given = document.pop(member, None)
            text = str(given if given not in (None, "") else self.rng.choice(("hello", "none", "a b", "%")))
            if place == "uri":
                path = path.replace(f"{{{member}}}", quote(text, safe=""))
            elif given is not None and place == "querystring":
                query.append((name, text))
            elif given is not None:
                headers[name] = quote(text)
        body = b"" if route.method == "GET" else json.dumps(document).encode()
        if route.payload and self.rng.random() < 0.5:
            body = self.rng.choice((b"", b"{}", b"{", b"\xff"))
        return route.method, f"{path}?{urlencode(query)}" if query else path, body, headers


@pytest.mark.parametrize("seed", [1, 2])
def test_no_request_makes_the_server_fail(seed: int) -> None:
    with lambda_server() as server:
        _send_nonsense(server, random.Random(seed))


def _send_nonsense(server: LambdaServer, rng: random.Random) -> None:
    model = lambda_model()
    drawing = Drawing(rng, model, server.stream("odd-table"))
    connection = http.client.HTTPConnection(urlsplit(server.running.endpoint).netloc, timeout=30)
    statuses: dict[int, int] = {}
    for _ in range(REQUESTS):
        for route in model.routes.values():
            if server.running.on_loop(lambda _: server.directory.document("hello")) is None:
                server.client.create_function(**function("hello", Publish=True))
                server.client.create_alias(FunctionName="hello", Name="live", FunctionVersion="1")
            method, target, body, headers = drawing.request(route)
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            text = answer.read()
            statuses[answer.status] = statuses.get(answer.status, 0) + 1
            assert answer.status < 500, (route.operation, method, target, body, text)
            if answer.status >= 400:
                assert answer.headers["x-amzn-ErrorType"]
                assert json.loads(text)["Type"] == "User"
    connection.close()
    assert statuses.get(200, 0) > 100, "most requests were refused at the door"
    assert statuses.get(201, 0) > 5
