"""What `hashrange functions` speaks: the ordinary Lambda and DynamoDB APIs over HTTP, signed like an SDK's requests.

    api = Api("http://localhost:8000", "us-east-1", find_credentials(os.environ))
    api.dynamodb("DescribeTable", {"TableName": "orders"})
    api.lambda_("GET", "/2015-03-31/functions/totals")

No SDK: a command that starts in a tenth of a second must not load one. Every request has a connection of its own, so
that an `Api` may be used by several threads at once.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from hashrange.cli.functions.signing import ANY, Credentials, signed
from hashrange.runtime.credentials import read_credentials_file

JSON_1_0 = "application/x-amz-json-1.0"
JSON = "application/json"
STREAMS_PREFIX = "DynamoDBStreams_20120810."
DYNAMODB_PREFIX = "DynamoDB_20120810."
TIMEOUT_S = 70.0
UNKNOWN_OPERATION = "UnknownOperationException"


class FunctionsError(Exception):
    """Something that the user can do something about; the text is a sentence."""


class RefusedError(FunctionsError):
    """The server has answered with an error: `type` and `status` are the API's."""

    def __init__(self, status: int, type_name: str, message: str) -> None:
        super().__init__(f"{type_name}: {message}" if message else type_name)
        self.status = status
        self.type = type_name
        self.message = message


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with status 2xx. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def document(self) -> dict[str, Any]:
        """The body as a JSON object; an empty one when there is none."""
        parsed = json.loads(self.body) if self.body.strip() else {}
        return parsed if isinstance(parsed, dict) else {}


def find_credentials(environ: Mapping[str, str]) -> Credentials:
    """The usual variables, else a profile of ~/.aws/credentials, else a key of our own for servers that take any."""
    access_key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if access_key and secret:
        return Credentials(access_key, secret, environ.get("AWS_SESSION_TOKEN") or None)
    path = Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()
    if path.exists():
        found, _ = read_credentials_file(path)
        if found:
            return Credentials(found[0]["access_key"], found[0]["secret"])
    return ANY


class Api:
    """The APIs of one endpoint."""

    def __init__(self, endpoint: str, region: str, credentials: Credentials) -> None:
        parts = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise FunctionsError(f"{endpoint} is no endpoint; write http://host:port")
        self.endpoint = f"{parts.scheme}://{parts.netloc}"
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._secure else 80)
        self._host_header = parts.netloc
        self._region = region
        self._credentials = credentials

    def dynamodb(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """A DynamoDB operation; raises `RefusedError` or `FunctionsError`."""
        headers = {"content-type": JSON_1_0, "x-amz-target": DYNAMODB_PREFIX + operation}
        return self._ask("dynamodb", "POST", "/", headers, json.dumps(request).encode()).document()

    def lambda_(
        self,
        method: str,
        path: str,
        request: dict[str, Any] | None = None,
        query: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """An operation of the Lambda API, by its method and path (already encoded)."""
        body = b"" if request is None else json.dumps(request).encode()
        return self.raw(method, path, body, query).document()

    def raw(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Answer:
        """A request signed for the Lambda API, with any body; the whole answer."""
        target = path
        if query:
            target += "?" + "&".join(
                f"{quote(name)}={quote(value, safe='')}" for name, value in query.items()
            )
        return self._ask("lambda", method, target, {"content-type": JSON, **(headers or {})}, body, timeout_s)

    def _ask(
        self,
        service: str,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes,
        timeout_s: float = TIMEOUT_S,
    ) -> Answer:
        everything = {"host": self._host_header, **headers}
        everything = signed(self._credentials, self._region, service, method, target, everything, body)
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=timeout_s)
        try:
            connection.request(method, target, body or None, everything)
            reply = connection.getresponse()
            content = reply.read()
        except TimeoutError:
            raise FunctionsError(f"{self.endpoint} has not answered within {timeout_s:.0f} seconds") from None
        except socket.gaierror as error:
            raise FunctionsError(
                f"{self._host} is unknown ({error.strerror}); correct --endpoint-url"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise FunctionsError(
                f"{self.endpoint} does not answer ({error or type(error).__name__}); start a server with "
                "`hashrange serve --triggers`, or name another with --endpoint-url"
            ) from None
        finally:
            connection.close()
        answer = Answer(reply.status, {name.lower(): value for name, value in reply.getheaders()}, content)
        if not 200 <= reply.status < 300:
            raise self._refusal(service, answer)
        return answer

    def _refusal(self, service: str, answer: Answer) -> FunctionsError:
        try:
            document = answer.document()
        except ValueError:
            document = {}
        type_name = answer.headers.get("x-amzn-errortype") or str(document.get("__type", ""))
        type_name = type_name.rpartition("#")[2].partition(":")[0] or f"HTTP {answer.status}"
        message = str(document.get("message") or document.get("Message") or "")
        if service == "lambda" and answer.status == 404 and type_name in (UNKNOWN_OPERATION, "HTTP 404"):
            return FunctionsError(
                f"{self.endpoint} runs no functions; start it with `hashrange serve --triggers`, "
                "or a cluster with `hashrange cluster up --triggers 1`"
            )
        return RefusedError(answer.status, type_name, message)
