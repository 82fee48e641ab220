"""The Lambda API in front of an invoker that the test answers for, on an embedded server in this process.

with lambda_server() as server:
    server.client.create_function(**server.function("hello"))
    server.invoker.answer = lambda invocation: InvocationResult(b"1")
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hashrange_router.api.operations import entries
from hashrange_router.functions.directory import Directory
from hashrange_router.functions.packages import TablePackages
from hashrange_router.functions.service import lambda_service
from hashrange_router.local import InProcessClient
from hashrange_router.triggers.contracts import Invocation, InvocationResult

from hashrange.cli.embedded import EmbeddedServer
from tests.conformance.clocked import Clocked, clocked
from tests.conformance.conftest import make_client

ROLE = "arn:aws:iam::000000000000:role/any"


def package(text: str = "def handler(event, context): return event", name: str = "app.py") -> bytes:
    """A deployment package of one file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        # With a time of its own, so that the same file makes the same package.
        archive.writestr(zipfile.ZipInfo(name), text)
    return out.getvalue()


def function(name: str, **more: Any) -> dict[str, Any]:
    """The request of a CreateFunction that is in order."""
    return {
        "FunctionName": name,
        "Runtime": "python3.11",
        "Role": ROLE,
        "Handler": "app.handler",
        "Code": {"ZipFile": package()},
        **more,
    }


class FakeInvoker:
    """Keeps what it is asked to run, and answers as the test says: by itself with the payload."""

    def __init__(self) -> None:
        self.seen: list[Invocation] = []
        self.answer: Callable[[Invocation], InvocationResult] = lambda one: InvocationResult(one.payload)

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        self.seen.append(invocation)
        return self.answer(invocation)


class FakeEvents:
    """Keeps the events that are queued."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes, str, bytes | None]] = []

    async def put(
        self, function_arn: str, payload: bytes, request_id: str, client_context: bytes | None
    ) -> None:
        self.seen.append((function_arn, payload, request_id, client_context))


class LambdaServer:
    """A running server with the API in front of fakes: SDK clients, and the parts behind it."""

    def __init__(self, running: Clocked) -> None:
        self.running = running
        self.invoker = FakeInvoker()
        self.events = FakeEvents()
        self.directory: Directory
        self.packages: TablePackages
        self.local: InProcessClient
        self.draws: list[float] = []
        running.on_loop(self._serve)
        self.client = make_client(running.endpoint, "lambda")
        self.tables = running.client

    def _serve(self, server: EmbeddedServer) -> None:
        context = server.context
        self.local = InProcessClient(entries(context), context, server.node)
        self.directory = Directory(context, lambda: self.draws.pop(0) if self.draws else 0.999)
        self.packages = TablePackages(self.local, now=context.now)
        server.dispatcher.serve_rest(
            lambda_service(
                context,
                self.local,
                directory=self.directory,
                packages=self.packages,
                invoker=self.invoker,
                events=self.events,
            )
        )

    def stream(self, table: str) -> str:
        """A new table with a stream; returns the stream's ARN."""
        made = self.tables.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        return str(made["TableDescription"]["LatestStreamArn"])


@contextmanager
def lambda_server(**settings: Any) -> Iterator[LambdaServer]:
    """Run one until the block ends."""
    with clocked(**settings) as running:
        made = LambdaServer(running)
        yield made
        made.client.close()
