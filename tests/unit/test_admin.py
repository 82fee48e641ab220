"""The admin port: health, metrics, the control plane's view, commands, faults; and what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hashrange.cli.admin import AdminPort, Faults
from hashrange.cli.cluster.ask import AskError, ask, ask_json
from hashrange.errors import unavailable, validation
from hashrange.wire.cluster import ClusterCommand, ClusterStatus


def answering(
    scenario: Callable[[str], Awaitable[None]],
    *,
    reason: str = "",
    send: Callable[[Any, Callable[[Any], None]], None] = lambda message, done: done({}),
    faults: Faults | None = None,
) -> None:
    """Run a scenario against an admin port, given its URL."""

    async def main() -> None:
        port = AdminPort(lambda: reason, lambda: b"hashrange_build_info 1\n", send, faults)
        await port.listen("127.0.0.1", 0)
        try:
            await scenario(f"http://127.0.0.1:{port.port}")
        finally:
            await port.close()

    asyncio.run(main())


async def refused(url: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
    with pytest.raises(AskError) as caught:
        await ask(url, path, body)
    return caught.value.status, str(caught.value)


def test_health_and_metrics() -> None:
    async def scenario(url: str) -> None:
        assert await ask(url, "/health/live") == b"live\n"
        assert await ask(url, "/health/ready?verbose") == b"ready\n"
        assert await ask(url, "/metrics") == b"hashrange_build_info 1\n"
        assert await refused(url, "/") == (404, "there is no such page")
        assert await refused(url, "/faults") == (404, "there is no such page")

    answering(scenario)


def test_a_process_that_cannot_serve_says_why() -> None:
    async def scenario(url: str) -> None:
        assert await refused(url, "/health/ready") == (503, "no leader of the control plane is known")
        assert await ask(url, "/health/live") == b"live\n"

    answering(scenario, reason="no leader of the control plane is known")


def test_the_view_and_commands_go_to_the_control_plane() -> None:
    sent: list[Any] = []

    def send(message: Any, done: Callable[[Any], None]) -> None:
        sent.append(message)
        if isinstance(message, ClusterStatus):
            done({"nodes": [{"id": 1}], "partitions": []})
        elif message.verb == "drain":
            done(validation("there is no node 9"))
        elif message.verb == "move":
            done(unavailable("no leader"))
        else:
            done({"message": "partition 7 will be split", "children": {8: "lower", 9: "upper"}})

    async def scenario(url: str) -> None:
        assert (await ask_json(url, "/cluster"))["nodes"] == [{"id": 1}]
        answer = await ask_json(url, "/cluster/split", {"partition": 7})
        assert answer["children"] == {"8": "lower", "9": "upper"}
        assert await refused(url, "/cluster/drain", {"node": 9}) == (400, "there is no node 9")
        assert await refused(url, "/cluster/move", {}) == (503, "no leader")
        assert await refused(url, "/cluster/explode", {}) == (404, "there is no such command")
        assert sent[1] == ClusterCommand("split", {"partition": 7})
        assert len(sent) == 4

    answering(scenario, send=send)


def test_faults() -> None:
    blocked: list[set[int]] = []
    regions: list[set[str]] = []

    async def scenario(url: str) -> None:
        assert await ask_json(url, "/faults") == {"block": [], "block_regions": []}
        assert await ask_json(url, "/faults", {"block": [3, 2]}) == {"block": [2, 3], "block_regions": []}
        cut = await ask_json(url, "/faults", {"block_regions": ["eu-west-1"]})
        assert cut == {"block": [2, 3], "block_regions": ["eu-west-1"]}
        assert await ask_json(url, "/faults") == cut
        assert await ask_json(url, "/faults", {"block": [], "block_regions": []}) == {
            "block": [],
            "block_regions": [],
        }
        for wrong in ({"block": ["1"]}, {"block": 1}, {}, {"block": [True]}, {"block_regions": [1]}):
            assert (await refused(url, "/faults", wrong))[0] == 400
        assert blocked == [{2, 3}, set()]
        assert regions == [{"eu-west-1"}, set()]

    answering(scenario, faults=Faults(blocked.append, regions.append))


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST /cluster/split HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", b"415"),
        (
            b"POST /cluster/split HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
            b"415",
        ),
        (
            b"POST /faults HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{",
            b"400",
        ),
        (
            b"POST /faults HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]",
            b"400",
        ),
        (b"DELETE /cluster HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
    ],
)
def test_what_a_web_page_could_send_is_refused(request_bytes: bytes, status: bytes) -> None:
    def send(message: Any, done: Callable[[Any], None]) -> None:
        raise AssertionError("it was sent on")

    async def scenario(url: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(request_bytes)
        assert (await reader.readline()).split(b" ")[1] == status
        writer.close()

    answering(scenario, send=send, faults=Faults(lambda nodes: None))


def test_nobody_there_and_something_else_there() -> None:
    async def main() -> None:
        with pytest.raises(AskError, match="does not answer"):
            await ask("http://127.0.0.1:1", "/health/live")
        with pytest.raises(AskError, match="is no http URL"):
            await ask("ftp://x", "/")

        async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(chatter, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(AskError):
            await ask(url, "/cluster")
        server.close()

    asyncio.run(main())
