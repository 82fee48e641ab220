"""Services behind the same port whose calls are named by method and path, and run as tasks of their own.

    dispatcher.serve_rest(service)

`find` says whether a request is one of the service's; everything else a router answers is left alone. A call is
authenticated with the service's own name, unless it is `open`, and is counted, timed and logged like every other.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

from hashrange.errors import ApiError
from hashrange_router.http.request import Request

JSON = b"application/json"


@dataclass(slots=True)
class RestReply:
    """What a call is answered with. `headers` are further headers: neither names nor values hold line ends."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON
    headers: dict[str, str] = field(default_factory=dict)

    def lines(self) -> bytes:
        """The further headers as lines."""
        return "".join(f"{name}: {value}\r\n" for name, value in self.headers.items()).encode("latin-1")


@dataclass(frozen=True, slots=True)
class RestCall:
    """One call: the name of its operation, and what runs it. `open` calls need no signature."""

    operation: str
    run: Callable[[], Coroutine[Any, Any, RestReply]]
    open: bool = False


class RestService(Protocol):
    """A service of this kind. `signing_name` is the service in the scope of its requests' signatures."""

    signing_name: str

    def find(self, request: Request) -> RestCall | None:
        """The call that a request is, None when it is not for this service. ApiError for one it does not know."""
        ...

    def refusal(self, error: ApiError) -> RestReply:
        """An error as the service answers it."""
        ...
