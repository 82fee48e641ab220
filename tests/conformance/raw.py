"""Requests as bytes, for what boto3 would not send: wrong JSON or headers, no signature, broken bodies."""

from __future__ import annotations

import http.client
import json
import socket
import zlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

JSON_10 = "application/x-amz-json-1.0"
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host;x-amz-date;x-amz-target, Signature=" + "0" * 64
)


@dataclass(frozen=True)
class Reply:
    """One HTTP answer. `headers` has lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> tuple[str, str | None]:
        """(`__type`, text) of an error; the text is None when the body has none."""
        body = self.json
        return body["__type"], body.get("message", body.get("Message"))

    def crc_matches(self) -> bool:
        """Whether x-amz-crc32 is the decimal CRC-32 of the body."""
        return self.headers.get("x-amz-crc32") == str(zlib.crc32(self.body))


class Raw:
    """Sends requests to one endpoint, each on a connection of its own unless one is given."""

    def __init__(self, endpoint: str) -> None:
        url = urlsplit(endpoint)
        self.host = url.hostname or "127.0.0.1"
        self.port = url.port or 80

    def connect(self) -> http.client.HTTPConnection:
        """A new keep-alive connection."""
        return http.client.HTTPConnection(self.host, self.port, timeout=30)

    def socket(self) -> socket.socket:
        """A bare TCP connection, for malformed HTTP."""
        return socket.create_connection((self.host, self.port), timeout=30)

    def headers(self, operation: str | None, **changes: str | None) -> dict[str, str]:
        """The usual headers of a request; a change to None leaves one out, `_` in a name means `-`."""
        headers: dict[str, str | None] = {
            "content-type": JSON_10,
            "x-amz-target": f"DynamoDB_20120810.{operation}" if operation else None,
            "x-amz-date": "20260101T000000Z",
            "authorization": AUTHORIZATION,
        }
        headers.update({name.replace("_", "-"): value for name, value in changes.items()})
        return {name: value for name, value in headers.items() if value is not None}

    def send(
        self,
        method: str,
        path: str = "/",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        connection: http.client.HTTPConnection | None = None,
    ) -> Reply:
        """One request with exactly these headers (http.client adds Host and Content-Length)."""
        own = connection is None
        link = connection or self.connect()
        try:
            link.request(method, path, body=body, headers=headers or {})
            answer = link.getresponse()
            body = answer.read()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)
        finally:
            if own:
                link.close()

    def post(
        self,
        operation: str | None,
        body: Any = None,
        connection: http.client.HTTPConnection | None = None,
        **changes: str | None,
    ) -> Reply:
        """POST / for an operation; a body that is not bytes is sent as JSON."""
        payload = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        return self.send("POST", "/", payload, self.headers(operation, **changes), connection)

    def exchange(self, request: bytes) -> bytes:
        """Write raw bytes and read until the server closes or falls silent after an answer."""
        with self.socket() as link:
            link.sendall(request)
            received = b""
            try:
                while chunk := link.recv(65536):
                    received += chunk
            except TimeoutError:
                pass
            return received
