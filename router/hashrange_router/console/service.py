"""The console's HTTP application: pages for everybody, an API for those who have signed in.

    GET  /                       the page
    GET  /assets/<hash>/<file>   its files
    GET  /api/session            what the page must know first: whether one has to sign in, whether edits are allowed
    POST /api/login              {"access_key", "secret"}: sets the cookie
    POST /api/logout
    GET  /api/live?after=N       what `hashrange top` shows, and the points of charts since look N
    GET  /api/heat?table=T&index=I&after=N    columns of a heat map
    POST /api/call/<Operation>   an operation of the DynamoDB API; its answer as it is

What is let through is decided in `rules.py`, who somebody is in `sessions.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import orjson

from hashrange.runtime.logging import get_logger
from hashrange_router.console import heat, rules
from hashrange_router.console.assets import PREFIX, TYPES, Assets
from hashrange_router.console.calls import Caller
from hashrange_router.console.live import Live
from hashrange_router.console.rules import RefusedError
from hashrange_router.console.sessions import Attempts, Session, Sessions
from hashrange_router.http.request import Request

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
FOR_GOOD = b"cache-control: public, max-age=31536000, immutable\r\n"
NOT_KEPT = b"cache-control: no-store\r\n"
ASK_AGAIN = b"cache-control: no-cache\r\n"
OPEN = frozenset((b"/api/session", b"/api/login", b"/api/logout"))
LOGIN_BYTES_MAX = 4_096

log = get_logger("console")


@dataclass(frozen=True, slots=True)
class Setting:
    """What a console is configured with. `names` are hosts that it is known as, besides addresses."""

    edit: bool
    names: frozenset[str]
    cookie: str
    about: dict[str, Any]
    """Told to the page: region, version, what is looked at."""


class Console:
    """The application. `wall_s` and `monotonic_s` are clocks, `nonce` makes random texts."""

    def __init__(
        self,
        setting: Setting,
        sessions: Sessions,
        live: Live,
        caller: Caller,
        wall_s: Callable[[], float],
        monotonic_s: Callable[[], float],
        nonce: Callable[[], str],
    ) -> None:
        self._setting = setting
        self._sessions = sessions
        self._live = live
        self._caller = caller
        self._wall_s = wall_s
        self._monotonic_s = monotonic_s
        self._nonce = nonce
        self._assets = Assets.read()
        self._attempts = Attempts(burst=5, interval_s=5.0)
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, request: Request) -> None:
        """Answer one request."""
        path, _, query = request.target.partition(b"?")
        try:
            rules.check_host(request.headers, self._setting.names)
            if request.method not in (b"GET", b"HEAD", b"POST"):
                raise RefusedError(405, "use GET or POST")
            if not path.startswith(b"/api/"):
                self._file(request, path)
                return
            rules.check_source(request.method, request.headers)
            session = self._session_of(request)
            if path not in OPEN and session is None and self._sessions.required:
                raise RefusedError(401, "sign in first")
            self._api(request, path, query, session)
        except RefusedError as error:
            _refuse(request, error)

    # Files

    def _file(self, request: Request, path: bytes) -> None:
        if request.method == b"POST":
            raise RefusedError(405, "use GET")
        if path == b"/":
            tag = b'etag: "%b"\r\n' % self._assets.version.encode()
            _reply(request, 200, self._assets.page, TYPES[".html"], ASK_AGAIN + tag)
            return
        asset = self._assets.find(path)
        if asset is not None:
            tag = b'etag: "%b"\r\n' % path.removeprefix(PREFIX.encode())
            _reply(request, 200, asset.content, asset.content_type, FOR_GOOD + tag)
        else:
            _reply(request, 404, b"there is no such page\n", TEXT, NOT_KEPT)

    # The API

    def _api(self, request: Request, path: bytes, query: bytes, session: Session | None) -> None:
        if request.method == b"POST":
            if path == b"/api/login":
                self._login(request)
            elif path == b"/api/logout":
                self._logout(request, session)
            elif path.startswith(b"/api/call/"):
                name = path.removeprefix(b"/api/call/").decode("latin-1")
                allowed = rules.operation(name, self._setting.edit)
                self._later(request, self._call(request, allowed, session))
            else:
                raise RefusedError(404, "there is no such page")
            return
        if path == b"/api/session":
            self._tell_session(request, session)
        elif path == b"/api/live":
            self._later(request, self._look(request, _number(query, "after")))
        elif path == b"/api/heat":
            resource = _text(query, "table"), _text(query, "index")
            columns = self._live.history.columns(resource, _number(query, "after"))
            _json(request, 200, {"bins": heat.BINS, "columns": columns})
        else:
            raise RefusedError(404, "there is no such page")

    async def _look(self, request: Request, after: int) -> None:
        _json(request, 200, await self._live.look(after))

    async def _call(self, request: Request, allowed: rules.Allowed, session: Session | None) -> None:
        access_key = session.access_key if session is not None else ""
        answer = await self._caller.call(allowed, request.body, access_key)
        if allowed.name in rules.EDITS:
            log.info("edit", operation=allowed.name, access_key=access_key, status=answer.status)
        _reply(request, answer.status, answer.body, answer.content_type, NOT_KEPT)

    def _tell_session(self, request: Request, session: Session | None) -> None:
        told: dict[str, Any] = {
            "login_required": self._sessions.required,
            "signed_in": session.access_key if session is not None else None,
            "edit": self._setting.edit,
        }
        if session is not None or not self._sessions.required:
            told |= self._setting.about
        _json(request, 200, told)

    # Signing in

    def _session_of(self, request: Request) -> Session | None:
        token = rules.cookie_of(request.headers, self._setting.cookie)
        return self._sessions.open(token, self._wall_s()) if token else None

    def _login(self, request: Request) -> None:
        now_s = self._monotonic_s()
        wait_s = self._attempts.wait_s(now_s)
        if wait_s:
            seconds = int(wait_s) + 1
            sentence = f"too many attempts; wait {seconds} s"
            body = orjson.dumps({"error": sentence})
            _reply(request, 429, body, JSON, NOT_KEPT + b"retry-after: %d\r\n" % seconds)
            return
        access_key, secret = _credentials(request.body)
        if not self._sessions.accepts(access_key, secret):
            self._attempts.failed(now_s)
            # What is no key of ours may be a secret in the wrong field: it stays out of the log.
            known = access_key if self._sessions.knows(access_key) else "unknown"
            log.warning("somebody failed to sign in", access_key=known)
            raise RefusedError(403, "the access key or the secret is wrong")
        token = self._sessions.issue(access_key, self._wall_s(), self._nonce())
        log.info("signed in", access_key=access_key)
        cookie = self._cookie(request, token, self._sessions.lifetime_s)
        _reply(request, 200, b"{}", JSON, NOT_KEPT + cookie)

    def _logout(self, request: Request, session: Session | None) -> None:
        if session is not None:
            self._sessions.end(session, self._wall_s())
        _reply(request, 200, b"{}", JSON, NOT_KEPT + self._cookie(request, "", 0))

    def _cookie(self, request: Request, token: str, age_s: int) -> bytes:
        secure = "; Secure" if (request.header(b"origin") or b"").startswith(b"https:") else ""
        line = (
            f"set-cookie: {self._setting.cookie}={token}; Path=/; Max-Age={age_s}; HttpOnly; "
            f"SameSite=Strict{secure}\r\n"
        )
        return line.encode()

    # Life

    def _later(self, request: Request, work: Coroutine[Any, Any, None]) -> None:
        """Answer a request when some work is done."""

        async def guarded() -> None:
            try:
                await work
            except Exception:
                log.exception("a page of the console failed")
                if not request.answered:
                    _refuse(request, RefusedError(500, "this is a mistake in hashrange; its log says more"))

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Wait for what is under way."""
        await self._live.stop()
        await asyncio.gather(*self._tasks)


def _credentials(body: bytes) -> tuple[str, str]:
    try:
        document = orjson.loads(body) if len(body) <= LOGIN_BYTES_MAX else None
    except orjson.JSONDecodeError:
        document = None
    if isinstance(document, dict):
        access_key, secret = document.get("access_key"), document.get("secret")
        if isinstance(access_key, str) and isinstance(secret, str):
            return access_key, secret
    raise RefusedError(400, "send access_key and secret")


def _text(query: bytes, name: str) -> str:
    return parse_qs(query.decode("latin-1")).get(name, [""])[0]


def _number(query: bytes, name: str) -> int:
    text = _text(query, name) or "0"
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise RefusedError(400, f"{name} must be a whole number")
    return int(text)


def _json(request: Request, status: int, document: dict[str, Any]) -> None:
    _reply(request, status, orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS), JSON, NOT_KEPT)


def _refuse(request: Request, error: RefusedError) -> None:
    _json(request, error.status, {"error": str(error)})


def _reply(request: Request, status: int, body: bytes, content_type: bytes, lines: bytes) -> None:
    request.reply(status, body, content_type, lines + rules.SECURITY_HEADERS)
