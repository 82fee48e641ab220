"""The Lambda API as a service of the dispatcher: which requests are its, how they are read, run and answered.

    dispatcher.serve_rest(lambda_service(context, client, directory=directory, packages=packages,
                                         invoker=pool, events=queue))

A request is matched by method and path, checked against the API's model, and given to the handler of its operation.
What `boto3.client("lambda", endpoint_url=...)` sends is served; operations on things that this server does not have
(layers, function URLs, code signing, provisioned concurrency) are refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import orjson

from hashrange.errors import ApiError
from hashrange_router.api.context import RouterContext
from hashrange_router.api.rest import RestCall, RestReply
from hashrange_router.api.validate import Validation
from hashrange_router.functions.decoding import decode, parse_query
from hashrange_router.functions.destinations import DestinationRules
from hashrange_router.functions.directory import Directory
from hashrange_router.functions.documents import Documents
from hashrange_router.functions.errors import as_service, body_of, unknown_operation, unsupported
from hashrange_router.functions.invoke import Invocations
from hashrange_router.functions.mapping_operations import MappingOperations
from hashrange_router.functions.model import Route, lambda_model
from hashrange_router.functions.operations import FunctionOperations
from hashrange_router.http.request import Request
from hashrange_router.triggers.contracts import (
    FUNCTION,
    REQUEST_ID_HEADER,
    CodeStore,
    EventQueue,
    Invoker,
    LocalClient,
)

SIGNING_NAME = "lambda"
PACKAGES_PATH = "/2015-03-31/packages/"
"""Where packages are downloaded from, by their SHA-256: whoever knows that may have the package."""
_REQUEST_ID = re.compile(r"[0-9a-zA-Z-]{1,64}\Z")
_PACKAGE = re.compile(r"/2015-03-31/packages/([0-9a-f]{64})\Z")

_NOT_HERE = {
    "Layer": "there are no layers",
    "UrlConfig": "functions have no URLs",
    "CodeSigning": "code is not signed",
    "ProvisionedConcurrency": "there is no provisioned concurrency",
    "RecursionConfig": "loops are not looked for",
    "RuntimeManagement": "runtimes are those of the machine",
}

Run = Callable[[dict[str, Any], bytes, str], Awaitable[RestReply]]


def lambda_service(
    context: RouterContext,
    client: LocalClient,
    *,
    directory: Directory,
    packages: CodeStore,
    invoker: Invoker,
    events: EventQueue,
    scheme: str = "http",
) -> LambdaService:
    """The service, to be given to `Dispatcher.serve_rest`. `scheme` is that of the port it is served on."""
    names = directory.names
    documents = Documents(context, client, packages, names)
    rules = DestinationRules(
        names,
        lambda name: documents.get(FUNCTION, name) is not None,
        lambda name: context.get(name) is not None,
    )
    functions = FunctionOperations(documents, names, rules)
    mappings = MappingOperations(context, client, documents, directory, rules)
    invocations = Invocations(directory, invoker, events)
    return LambdaService(functions, mappings, invocations, packages, context.new_id, scheme)


class LambdaService:
    """Implements api.rest.RestService."""

    signing_name = SIGNING_NAME

    def __init__(
        self,
        functions: FunctionOperations,
        mappings: MappingOperations,
        invocations: Invocations,
        packages: CodeStore,
        new_id: Callable[[], str],
        scheme: str,
    ) -> None:
        self._model = lambda_model()
        self._validation = Validation(self._model.service, "classic")
        self._functions = functions
        self._packages = packages
        self._new_id = new_id
        self._scheme = scheme
        self._handlers = {**functions.handlers(), **mappings.handlers()}
        self._invoking: dict[str, Run] = {
            "Invoke": invocations.invoke,
            "InvokeAsync": invocations.invoke_async,
            "InvokeWithResponseStream": invocations.invoke_streaming,
        }

    @property
    def supported(self) -> frozenset[str]:
        """The operations with a handler."""
        return frozenset([*self._handlers, *self._invoking, "GetFunction"])

    def find(self, request: Request) -> RestCall | None:
        """The call that a request is; see api.rest.RestService."""
        raw, _, raw_query = request.target.partition(b"?")
        path = raw.decode("latin-1")
        if not path.startswith("/20") or not self._model.serves(path):
            return None
        package = _PACKAGE.match(path)
        if package is not None and request.method == b"GET":
            return RestCall("GetPackage", partial(self._download, package.group(1)), open=True)
        query = parse_query(raw_query)
        found = self._model.match(request.method.decode("latin-1"), path, query)
        if found is None:
            raise unknown_operation()
        route, members = found
        return RestCall(route.operation, partial(self._run, route, members, query, request))

    def refusal(self, error: ApiError) -> RestReply:
        """An error as the service answers it."""
        shown = as_service(error)
        return RestReply(
            shown.status, orjson.dumps(body_of(shown)), headers={"x-amzn-ErrorType": shown.type_name}
        )

    async def _run(
        self, route: Route, members: dict[str, str], query: dict[str, list[str]], request: Request
    ) -> RestReply:
        request_id = _handed_on(request) or self._new_id()
        request.name(request_id)
        operation = route.operation
        if operation not in self.supported:
            raise unsupported(operation, refused(operation))
        document = decode(self._model, route, members, query, request)
        self._validation.validate(operation, document)
        invoking = self._invoking.get(operation)
        if invoking is not None:
            return await invoking(document, request.body, request_id)
        if operation == "GetFunction":
            reply = await self._functions.get_function(document, partial(self._location, request))
        else:
            reply = await self._handlers[operation](document)
        if reply is None:
            return RestReply(204)
        return RestReply(route.status, orjson.dumps(reply))

    def _location(self, request: Request, code: str) -> str:
        host = (request.header(b"host") or b"localhost").decode("latin-1")
        return f"{self._scheme}://{host}{PACKAGES_PATH}{code}"

    async def _download(self, code: str) -> RestReply:
        return RestReply(200, await self._packages.get(code), b"application/zip")


def refused(operation: str) -> str:
    """Why an operation of the API's model has no handler."""
    return next(why for part, why in _NOT_HERE.items() if part in operation)


SUPPORTED = frozenset(
    name
    for name in lambda_model().routes
    if not any(part in name for part in _NOT_HERE)
    or name
    in (
        "GetFunctionCodeSigningConfig",
        "GetFunctionRecursionConfig",
        "GetFunctionUrlConfig",
        "GetRuntimeManagementConfig",
        "ListFunctionUrlConfigs",
        "ListLayers",
        "ListProvisionedConcurrencyConfigs",
    )
)
"""Operations with a handler. A test compares it with the handlers."""


def _handed_on(request: Request) -> str | None:
    """The id of an invocation that another program of the cluster has handed on."""
    found = (request.header(REQUEST_ID_HEADER.encode()) or b"").decode("latin-1")
    return found if _REQUEST_ID.match(found) else None
