"""What a router answers besides API calls: health, metrics, and everything unknown.

`GET /` is what load balancers and the service's own canaries ask for. `/health/live` says that the process
runs, `/health/ready` that it can serve (503 while it starts or drains), `/metrics` is for Prometheus. Where there is
no admin port, `/hashrange/top` is what `hashrange top` asks for.
"""

from __future__ import annotations

from collections.abc import Callable

from hashrange_router.http.request import Request

TEXT = b"text/plain; charset=utf-8"
JSON = b"application/json"
TOP_PATH = "/hashrange/top"


class Pages:
    """The pages of one router. `ready` tells whether it can serve, `metrics` renders the exposition.

    `top` is the document for `hashrange top` as JSON, None where it is found on an admin port. `more` answers further
    requests with GET, given their path, or says that it does not.
    """

    def __init__(
        self,
        address: str,
        ready: Callable[[], bool],
        metrics: Callable[[], bytes],
        metrics_type: str,
        top: Callable[[], bytes] | None = None,
        more: Callable[[Request, bytes], bool] | None = None,
    ) -> None:
        self._address = address.encode()
        self._ready = ready
        self._metrics = metrics
        self._metrics_type = metrics_type.encode()
        self._top = top
        self._more = more

    def __call__(self, request: Request) -> None:
        """Answer one request that is no API call."""
        method = request.method
        path = request.target.partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            request.reply_unknown_operation()
        elif path == b"/":
            host = request.header(b"host") or self._address
            request.reply(200, b"healthy: %b " % host, TEXT)
        elif path == b"/health/live":
            request.reply(200, b"live\n", TEXT)
        elif path == b"/health/ready":
            if self._ready():
                request.reply(200, b"ready\n", TEXT)
            else:
                request.reply(503, b"not ready\n", TEXT)
        elif path == b"/metrics":
            request.reply(200, self._metrics(), self._metrics_type)
        elif path == TOP_PATH.encode() and self._top is not None:
            request.reply(200, self._top(), JSON)
        elif self._more is None or not self._more(request, path):
            request.reply_unknown_operation()
