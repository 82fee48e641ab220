"""Talking to a console as a browser does, and as one should not."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conformance.server import Server, free_port, running

MARK = "x-hashrange-console"


class Answer:
    """An answer of the console."""

    def __init__(self, reply: http.client.HTTPResponse) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self.body = reply.read()

    @property
    def document(self) -> dict[str, Any]:
        """The body as JSON."""
        found: dict[str, Any] = json.loads(self.body)
        return found


class Visitor:
    """A browser: sends what the pages send, and keeps the cookie."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.host = f"127.0.0.1:{port}"
        self.cookie = ""

    def send(self, method: str, path: str, body: Any = None, **headers: str | None) -> Answer:
        """One request; a header that is None is left out. Names are written with underscores."""
        given = {"host": self.host, MARK: "1"}
        if method == "POST":
            given |= {"origin": f"http://{self.host}", "content-type": "application/json"}
        if self.cookie:
            given["cookie"] = self.cookie
        for name, value in headers.items():
            if value is None:
                given.pop(name.replace("_", "-"), None)
            else:
                given[name.replace("_", "-")] = value
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            content = b"" if body is None else json.dumps(body).encode()
            for name, value in (given | {"content-length": str(len(content))}).items():
                connection.putheader(name, value)
            connection.endheaders(content)
            answer = Answer(connection.getresponse())
        kept = answer.headers.get("set-cookie")
        if kept is not None:
            self.cookie = kept.partition(";")[0]
        return answer

    def get(self, path: str, **headers: str | None) -> Answer:
        """A GET."""
        return self.send("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str | None) -> Answer:
        """A POST."""
        return self.send("POST", path, {} if body is None else body, **headers)

    def call(self, operation: str, request: dict[str, Any]) -> Answer:
        """An operation of the DynamoDB API."""
        return self.post(f"/api/call/{operation}", request)


@contextlib.contextmanager
def console(log: Path, *options: str) -> Iterator[tuple[Server, Visitor]]:
    """A server in memory with a console, and a visitor of it."""
    port = free_port()
    with running("--in-memory", "--console", "--console-port", str(port), *options, log=log) as server:
        yield server, Visitor(port)
