"""What `hashrange functions deploy` asks of a server: requests that are signed, destinations that are named shortly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hashrange_router.auth import Secret, Verifier

from hashrange.cli.functions import logs, settings
from hashrange.cli.functions.client import Answer, Api, FunctionsError, RefusedError, find_credentials
from hashrange.cli.functions.deploy import Deployment, deploy
from hashrange.cli.functions.signing import ANY, Credentials, signed

STREAM = "arn:aws:dynamodb:eu-west-1:000000000000:table/orders/stream/2026-01-01T00:00:00.000"
GIVEN: dict[str, Any] = dict.fromkeys(
    (
        *settings._FUNCTION,
        *settings._MAPPING,
        "ephemeral",
        "start",
        "filters",
        "report_failures",
        "on_failure",
    )
)


class FakeRequest:
    """What the verifier looks at."""

    def __init__(self, method: bytes, target: bytes, headers: dict[bytes, bytes], body: bytes) -> None:
        self.method, self.target, self.headers, self.wire_body, self.body = (
            method,
            target,
            headers,
            body,
            body,
        )


@pytest.mark.parametrize("token", [None, "token"])
def test_requests_carry_a_signature_that_the_server_accepts(token: str | None) -> None:
    import time

    target = "/2015-03-31/functions/arn%3Aaws%3Alambda/logs?after=a%2Bb&wait_s=1"
    credentials = Credentials("AKID", "secret", token)
    headers = signed(credentials, "us-east-1", "lambda", "POST", target, {"host": "h:1"}, b"{}")
    encoded = {name.encode(): value.encode() for name, value in headers.items()}
    verifier = Verifier({"AKID": Secret("secret", token)}, "us-east-1", time.time)
    request = FakeRequest(b"POST", target.encode(), encoded, b"{}")
    assert verifier.verify(request, "lambda") == "AKID"  # type: ignore[arg-type]


class FakeApi(Api):
    """A server that has one table with a stream, and remembers what it was asked."""

    def __init__(self, mappings: list[dict[str, Any]] | None = None) -> None:
        super().__init__("http://localhost:8000", "eu-west-1", ANY)
        self.mappings = mappings or []
        self.asked: list[tuple[str, str, Any]] = []

    def dynamodb(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        specification = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        table = {"StreamSpecification": specification, "LatestStreamArn": STREAM, "TableStatus": "ACTIVE"}
        return {"Table": table}

    def lambda_(
        self,
        method: str,
        path: str,
        request: dict[str, Any] | None = None,
        query: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        self.asked.append((method, path, request))
        if method == "GET" and path.endswith("/configuration"):
            if not any(verb == "POST" and "functions" in where for verb, where, _ in self.asked):
                raise RefusedError(404, "ResourceNotFoundException", "")
            return {"FunctionName": "f", "State": "Active"}
        if method == "GET":
            return {"EventSourceMappings": self.mappings}
        return dict(request or {})

    def sent(self, method: str, what: str) -> Any:
        """The body of the one request like this."""
        (found,) = (body for verb, path, body in self.asked if verb == method and what in path)
        return found


def deployment(tmp_path: Path, **given: Any) -> Deployment:
    path = tmp_path / "f.py"
    path.write_text("def handler(event, context): ...\n")
    return Deployment(path, tables=("orders",), mapping=settings.of_mapping({**GIVEN, **given}))


@pytest.mark.parametrize(
    ("named", "arn"),
    [
        ("table:failed", "arn:aws:dynamodb:eu-west-1:000000000000:table/failed"),
        ("function:alarm", "arn:aws:lambda:eu-west-1:000000000000:function:alarm"),
        ("none", ""),
        ("https://example.com/x", "https://example.com/x"),
        (
            "arn:aws:lambda:eu-west-1:000000000000:function:alarm",
            "arn:aws:lambda:eu-west-1:000000000000:function:alarm",
        ),
    ],
)
def test_destinations_may_be_named_shortly(tmp_path: Path, named: str, arn: str) -> None:
    api = FakeApi()
    deploy(api, deployment(tmp_path, on_failure=named), lambda sentence: None)
    sent = api.sent("POST", "event-source-mappings")
    assert sent["DestinationConfig"] == {"OnFailure": {"Destination": arn}}
    assert sent["StartingPosition"] == "TRIM_HORIZON"
    assert sent["EventSourceArn"] == STREAM


def test_a_trigger_that_is_there_is_told_only_what_differs(tmp_path: Path) -> None:
    there = {"UUID": "u", "BatchSize": 10, "MaximumRetryAttempts": 3, "State": "Enabled"}
    api = FakeApi([there])
    wanted = deployment(tmp_path, batch_size=10, max_retries=5, enabled=True, start="latest")
    deploy(api, wanted, lambda sentence: None)
    assert api.sent("PUT", "event-source-mappings/u") == {"FunctionName": "f", "MaximumRetryAttempts": 5}
    api = FakeApi([there])
    deploy(api, deployment(tmp_path, enabled=False), lambda sentence: None)
    assert api.sent("PUT", "event-source-mappings/u") == {"FunctionName": "f", "Enabled": False}


def test_credentials_are_found_where_the_sdks_look(tmp_path: Path) -> None:
    assert find_credentials({"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}) == ANY
    given = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "t"}
    assert find_credentials(given) == Credentials("a", "b", "t")
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = k\naws_secret_access_key = s\n")
    assert find_credentials({"AWS_SHARED_CREDENTIALS_FILE": str(file)}) == Credentials("k", "s")


@pytest.mark.parametrize("endpoint", ["ftp://x", "http://"])
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(FunctionsError, match="is no endpoint; write http://host:port"):
        Api(endpoint, "us-east-1", ANY)


class LogApi(FakeApi):
    """A server whose log has more entries than a page."""

    def raw(self, method: str, path: str, *rest: Any, query: dict[str, str], **more: Any) -> Answer:  # type: ignore[override]
        begin = int(query.get("after", "0"))
        entries = [{"text": str(number)} for number in range(begin, min(begin + 2, 5))]
        document = {"entries": entries, "next": str(begin + len(entries))}
        return Answer(200, {}, json.dumps(document).encode())


@pytest.mark.parametrize(("most", "shown"), [(None, "01234"), (2, "34"), (0, ""), (9, "01234")])
def test_logs_are_shown_to_their_end(most: int | None, shown: str) -> None:
    printed: list[str] = []
    logs.show(LogApi(), "f", False, most, lambda entry: printed.append(entry["text"]))
    assert "".join(printed) == shown
