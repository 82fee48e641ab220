"""The logs of functions, and what is counted of them, on the port that serves the Lambda API.

    GET /hashrange/functions                            {"functions": {name: {...}}, "mappings": {uuid: {...}}}
    GET /hashrange/functions/<name>/logs?after=&wait_s=   {"entries": [{"time_ms", "stream", "text"}], "next"}

`after` is the `next` of an earlier answer, or `latest`; without it everything that is kept is told. With `wait_s` the
answer comes when there is something to tell, after so many seconds at the latest. A pool answers for itself; a router
asks all pools. Requests are signed as for the Lambda API: what functions write is data.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Coroutine
from typing import Any, Protocol
from urllib.parse import parse_qsl, quote, unquote

import orjson
from hashrange_router.api.rest import RestCall, RestReply
from hashrange_router.http.request import Request

from hashrange.cli.cluster.ask import AskError, ask
from hashrange.cli.functions.signing import Credentials, signed
from hashrange.cli.trigger_metrics import merge_figures
from hashrange.errors import ApiError, unavailable

ROOT = "/hashrange/functions"
LATEST = "latest"
WAIT_MAX_S = 60.0
PAGE_ENTRIES = 1_000
ASK_TIMEOUT_S = 5.0
SERVICE = "lambda"

Page = dict[str, Any]


class FunctionPages(Protocol):
    """Where logs and figures come from."""

    async def logs(self, name: str, after: str, wait_s: float) -> Page:
        """The entries of a function's log behind a position ("" for all), oldest first; see the module."""
        ...

    async def figures(self) -> Page:
        """What is counted of functions and mappings."""
        ...


class PagesService:
    """The pages as a service of the dispatcher (`hashrange_router.api.rest`). `name_of` is the name of what a caller
    calls NAME, NAME:ALIAS or an ARN; it raises the error of a function that is not there."""

    signing_name = SERVICE

    def __init__(self, pages: FunctionPages, name_of: Callable[[str], str]) -> None:
        self._pages = pages
        self._name_of = name_of
        self._waiting: set[asyncio.Task[Page]] = set()

    def stop(self) -> None:
        """Answer who waits for entries: nobody is to hold up the end of the program."""
        for task in self._waiting:
            task.cancel()

    def find(self, request: Request) -> RestCall | None:
        """The page that a request is for."""
        path, _, query = request.target.partition(b"?")
        if request.method != b"GET" or not path.startswith(ROOT.encode()):
            return None
        parts = path.decode("latin-1").removeprefix(ROOT).split("/")
        if parts == [""]:
            return RestCall("FunctionFigures", lambda: _reply(self._pages.figures()))
        if len(parts) == 3 and parts[0] == "" and parts[2] == "logs":
            wanted = dict(parse_qsl(query.decode("latin-1")))
            return RestCall("FunctionLogs", lambda: _reply(self._logs(unquote(parts[1]), wanted)))
        return None

    async def _logs(self, name: str, wanted: dict[str, str]) -> Page:
        try:
            wait_s = min(max(float(wanted.get("wait_s", "0")), 0.0), WAIT_MAX_S)
        except ValueError:
            raise ApiError("ValidationException", "wait_s is a number of seconds") from None
        after = wanted.get("after", "")
        task = asyncio.get_running_loop().create_task(self._pages.logs(self._name_of(name), after, wait_s))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        try:
            return await task
        except asyncio.CancelledError:
            raise unavailable("the server is being stopped") from None

    def refusal(self, error: ApiError) -> RestReply:
        """An error in the form of the Lambda API."""
        body = orjson.dumps({"Type": "User", "Message": error.message, "message": error.message})
        return RestReply(error.status, body, headers={"x-amzn-ErrorType": error.type_name})


async def _reply(page: Coroutine[Any, Any, Page]) -> RestReply:
    return RestReply(200, orjson.dumps(await page))


class PagesOfPools:
    """The pages of all pools together, as a router tells them. `pools` gives id and HOST:PORT of those alive."""

    def __init__(
        self,
        pools: Callable[[], Coroutine[Any, Any, list[tuple[str, str]]]],
        credentials: Credentials,
        region: str,
    ) -> None:
        self._pools = pools
        self._credentials = credentials
        self._region = region

    async def figures(self) -> Page:
        """The sums of what the pools count; a pool that does not answer is left out."""
        asked = [self._ask(address, ROOT, ASK_TIMEOUT_S) for _, address in await self._pools()]
        pages = await asyncio.gather(*asked, return_exceptions=True)
        return merge_figures([page for page in pages if isinstance(page, dict)])

    async def logs(self, name: str, after: str, wait_s: float) -> Page:
        """The entries of all pools, by time. The position behind them holds one for each pool."""
        pools = await self._pools()
        if not pools:
            raise unavailable("no trigger pool is alive: start one with `hashrange triggers`")
        positions = {pool: LATEST for pool, _ in pools} if after == LATEST else _read(after)
        asked: dict[asyncio.Future[Page], str] = {
            asyncio.ensure_future(self._logs_of(address, name, positions.get(pool, ""), wait_s)): pool
            for pool, address in pools
        }
        # The first that has something to tell ends the wait; who is still waiting by then had nothing to tell.
        done: set[asyncio.Future[Page]] = set()
        pending = set(asked)
        while pending and (wait_s == 0 or not any(_entries(each) for each in done)):
            found, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            done |= found
        for each in pending:
            each.cancel()
        if not any(each.exception() is None for each in done):
            raise unavailable(f"no trigger pool answers: {next(iter(done)).exception()}")
        entries = []
        for each in done:
            if each.exception() is None:
                entries += each.result()["entries"]
                positions[asked[each]] = each.result()["next"]
        entries.sort(key=lambda entry: entry["time_ms"])
        return {"entries": entries, "next": _write(positions)}

    async def _logs_of(self, address: str, name: str, after: str, wait_s: float) -> Page:
        query = f"after={quote(after, safe='')}&wait_s={wait_s:.3f}"
        return await self._ask(address, f"{ROOT}/{quote(name, safe='')}/logs?{query}", wait_s + ASK_TIMEOUT_S)

    async def _ask(self, address: str, target: str, timeout_s: float) -> Page:
        headers = signed(self._credentials, self._region, SERVICE, "GET", target, {"host": address}, b"")
        answer = await ask(f"http://{address}", target, None, timeout_s, headers)
        try:
            page = orjson.loads(answer)
        except orjson.JSONDecodeError:
            page = None
        if not isinstance(page, dict):
            raise AskError(f"{address}{target} was not answered with JSON")
        return page


def _entries(answered: asyncio.Future[Page]) -> bool:
    return answered.exception() is None and bool(answered.result()["entries"])


def _write(positions: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(positions)).decode()


def _read(text: str) -> dict[str, str]:
    """The positions of an earlier answer. One that no longer makes sense begins anew."""
    try:
        positions = orjson.loads(base64.urlsafe_b64decode(text)) if text else {}
    except ValueError:
        return {}
    return positions if isinstance(positions, dict) else {}
