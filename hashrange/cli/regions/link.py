"""Links to other regions: HTTP to any of their routers, signed and verified where credentials are configured.

    links = HttpLinks("us-east-1", config.peers, config.peer_credentials, clock)
    links.post("eu-west-1", ITEMS_PATH, body, done)       # done(bytes), or done(LinkDown("why"))
    await links.close()

Requests go to one endpoint of a region until it fails, then to the next. Nothing is repeated here but what has not
been sent: whoever posts knows what may be sent twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from hashrange_node.regions.contracts import Answered, LinkDown
from hashrange_router.auth.mutual import REPLY_HEADER, reply_is_genuine, signature_of
from hashrange_router.auth.outgoing import signed
from hashrange_router.http_client import HttpClient, HttpReply, NoAnswerError, NotSentError

from hashrange.runtime.clock import Clock
from hashrange.runtime.config import Credential
from hashrange.runtime.logging import get_logger
from hashrange.runtime.peers import parse_peers
from hashrange.wire.regions import SIGNING_NAME

TIMEOUT_S: Final = 10.0
CUT_S: Final = 3.0
"""After so long a request over a link that is cut on purpose fails, as one over a network that has gone silent."""
SENTENCE_MAX: Final = 300
REFUSALS: Final = frozenset(
    (
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "UnrecognizedClientException",
    )
)
"""Errors that say that a signature is missing or not accepted."""


@dataclass(slots=True)
class LinkState:
    """What is known of the link to a region: `up` is None before the first answer."""

    up: bool | None = None
    error: str = ""
    requests: int = 0
    failures: int = 0
    since: float = 0.0
    """When it last came up or went down, in seconds of the monotonic clock."""


class HttpLinks:
    """The links of one process (`RegionLinks`). `region` is its own, `peers` are texts REGION=URL|URL."""

    def __init__(
        self, region: str, peers: Iterable[str], credentials: Credential | None, clock: Clock
    ) -> None:
        self.region = region
        self._peers = parse_peers(peers)
        self._credentials = credentials
        self._clock = clock
        self._client = HttpClient()
        self._turn: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = get_logger("regions")
        self.states = {region: LinkState() for region in self._peers}
        self.blocked: frozenset[str] = frozenset()
        """Regions that this process is cut off from on purpose."""

    @property
    def regions(self) -> tuple[str, ...]:
        """The other regions that there are endpoints of."""
        return tuple(self._peers)

    def knows(self, region: str) -> bool:
        """Whether an endpoint of the region is configured (`RegionLinks`)."""
        return region in self._peers

    def block(self, regions: Iterable[str]) -> None:
        """Let nothing reach exactly these regions; none: heal everything."""
        self.blocked = frozenset(regions)

    def post(self, region: str, path: str, body: bytes, done: Answered) -> None:
        """Send to any router of the region (`RegionLinks`); `done` is called in a later tick."""
        task = asyncio.get_running_loop().create_task(self._post(region, path, body, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up on what is under way, whose callers hear nothing, and close all connections."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()

    async def _post(self, region: str, path: str, body: bytes, done: Answered) -> None:
        answer: bytes | LinkDown
        try:
            answer = await self._exchange(region, path, body)
        except LinkDown as error:
            answer = error
        except Exception as error:  # whoever posts waits for an answer, and does not send again before
            self._log.exception("a request to another region failed", region=region)
            answer = LinkDown(f"a request to {region} failed: {error!r}")
        self._note(region, answer)
        try:
            done(answer)
        except Exception:
            self._log.exception("what another region answered could not be dealt with", region=region)

    async def _exchange(self, region: str, path: str, body: bytes) -> bytes:
        """One request; to the next endpoint only where nothing was sent, or the answer says that it is not ready."""
        urls = self._peers.get(region)
        if urls is None:
            raise LinkDown(f"no endpoint of {region} is known here; add it to the setting peers")
        if region in self.blocked:
            await asyncio.sleep(CUT_S)
            raise LinkDown(f"{region} did not answer: the link is cut on purpose")
        failure = ""
        for _ in urls:
            url = urls[self._turn.get(region, 0) % len(urls)]
            try:
                reply, genuine = await self._send(region, url, path, body)
            except NotSentError as error:
                failure = f"{url} cannot be reached: {error}"
            except NoAnswerError as error:
                self._turn[region] = self._turn.get(region, 0) + 1
                raise LinkDown(f"{url} did not answer: {error}") from error
            else:
                if reply.status == 200 and genuine:
                    return reply.body
                failure = _explain(region, url, reply)
                if reply.status < 500:
                    # Another one may know better: the next request goes there.
                    self._turn[region] = self._turn.get(region, 0) + 1
                    raise LinkDown(failure)
            self._turn[region] = self._turn.get(region, 0) + 1
        raise LinkDown(failure)

    async def _send(self, region: str, url: str, path: str, body: bytes) -> tuple[HttpReply, bool]:
        """A reply, and whether it comes from one who has the secret; always, where there is none."""
        headers = {"host": urlsplit(url).netloc, "content-type": "application/msgpack"}
        credentials = self._credentials
        if credentials is None:
            return await self._client.post(url + path, headers, body, TIMEOUT_S), True
        secret = credentials.secret.get_secret_value()
        now_s = self._clock.wall_ms() / 1000
        headers = signed(
            credentials.access_key, secret, None, region, SIGNING_NAME, "POST", path, headers, body, now_s
        )
        reply = await self._client.post(url + path, headers, body, TIMEOUT_S)
        signature = signature_of(headers["authorization"])
        return reply, reply_is_genuine(secret, signature, reply.body, reply.headers.get(REPLY_HEADER, ""))

    def _note(self, region: str, answer: bytes | LinkDown) -> None:
        """Remember how the link is; tell when it comes up or goes down, not for every request."""
        state = self.states.get(region)
        if state is None:
            return
        down = isinstance(answer, LinkDown)
        state.requests += 1
        state.failures += down
        state.error = str(answer) if down else ""
        if state.up is down or state.up is None:
            state.up = not down
            state.since = self._clock.monotonic()
            if down:
                self._log.warning("the link to a region is down", region=region, reason=state.error)
            else:
                self._log.info("the link to a region is up", region=region)

    def document(self) -> dict[str, Any]:
        """The links as JSON, by region."""
        now = self._clock.monotonic()
        return {
            region: {
                "up": state.up,
                "error": state.error,
                "since_s": None if state.up is None else round(now - state.since, 3),
                "requests": state.requests,
                "failures": state.failures,
                "endpoints": list(self._peers[region]),
            }
            for region, state in self.states.items()
        }


def _explain(region: str, url: str, reply: HttpReply) -> str:
    """Why a reply is none, for operators."""
    if reply.status == 200:
        return (
            f"{url} did not sign its reply as {region} should; give it the access key of peer_credentials in "
            "credentials or credentials_file"
        )
    text = reply.body[:SENTENCE_MAX].decode("utf-8", "replace").strip()
    if text.partition(":")[0] in REFUSALS:
        return f"{url} refused the signature; check peer_credentials here and credentials there: {text}"
    if reply.status == 404:
        return f"{url} knows no requests of regions; is it a router of {region}, in this version?"
    return f"{url} answered {reply.status}: {text}"
