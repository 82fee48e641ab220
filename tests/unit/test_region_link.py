"""Links between regions over HTTP: signatures both ways, endpoints that fail, and items that arrive at the leaders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from hashrange_node.regions.contracts import LinkDown
from hashrange_router.auth.mutual import reply_is_genuine, reply_signature, signature_of
from hashrange_router.http.request import Request
from hashrange_router.http.server import serve

from hashrange.cli.embedded import EmbeddedServer, start_embedded
from hashrange.cli.regions import link as link_module
from hashrange.cli.regions.link import HttpLinks
from hashrange.model import record as records
from hashrange.model.regions import region_number
from hashrange.model.table_document import HASH_MAX
from hashrange.runtime.clock import SystemClock
from hashrange.runtime.config import Credential, ServeConfig
from hashrange.wire.messages import PUT, ChangeTable, ReadItem, WhenSettled, WriteItem
from hashrange.wire.regions import (
    APPLIED,
    CONTROL_PATH,
    HELD,
    ITEMS_PATH,
    OLDER,
    RETRY,
    Entry,
    decode_reply,
    encode_request,
    schema_digest,
)

from .region_support import REGIONS, replication, table_document

HERE, THERE = REGIONS[0], REGIONS[1]
MIDDLE = 1 << 63
KEYS = {"access_key": "AKID", "secret": "a secret"}
NOWHERE = "http://127.0.0.1:1"


async def ask(links: HttpLinks, body: bytes, path: str = ITEMS_PATH, region: str = THERE) -> Any:
    """The answer to a request."""
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    links.post(region, path, body, answered.set_result)
    return await asyncio.wait_for(answered, 20)


@asynccontextmanager
async def links_to(*urls: str, credentials: dict[str, str] | None = None) -> AsyncIterator[HttpLinks]:
    """Links of the region `HERE`."""
    signing = Credential.model_validate(credentials) if credentials is not None else None
    links = HttpLinks(HERE, [f"{THERE}={'|'.join(urls)}"], signing, SystemClock())
    try:
        yield links
    finally:
        await links.close()


def with_server(
    test: Callable[[EmbeddedServer, str], Awaitable[None]], credentials: dict[str, str] | None = None
) -> None:
    """Run a test with the embedded server of the region `THERE`."""

    async def run() -> None:
        config = ServeConfig.model_validate(
            {
                "port": 0,
                "in_memory": True,
                "region": THERE,
                "strict_region": True,
                "credentials": [credentials] if credentials is not None else [],
            }
        )
        server = await start_embedded(config)
        try:
            await asyncio.wait_for(test(server, f"http://127.0.0.1:{server.port}"), 30)
        finally:
            await server.stop()

    asyncio.run(run())


async def make_table(server: EmbeddedServer) -> None:
    """The global table `Things` with two partitions."""
    document: Any = table_document()
    document["Partitions"] = [{"id": 1, "lo": 0, "hi": MIDDLE - 1}, {"id": 2, "lo": MIDDLE, "hi": HASH_MAX}]
    document["Replication"] = replication(THERE, (HERE, THERE))
    ids = [part["id"] for part in document["Partitions"]]
    for message in (ChangeTable("Things", None, document, ids), WhenSettled("Things")):
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        server.node.send(message, answered.set_result)
        await answered


def entry(server: EmbeddedServer, name: str, ahead_ms: int = 0, gone: bool = False) -> Entry:
    """A version that `HERE` has written."""
    stamp = server.node.stamps.wall + (ahead_ms << 16)
    key = server.context.tables["Things"].codec.encode({"pk": {"S": name}})
    number = region_number(HERE)
    if gone:
        return key, records.tombstone(stamp, 1, number, 1)
    return key, records.pack(orjson.dumps({"pk": {"S": name}}), 2 + len(name), stamp, 1, region=number)


def request(server: EmbeddedServer, *entries: Entry, **changed: Any) -> bytes:
    """A request with these entries of the table."""
    name, digest = changed.get("name", "Things"), changed.get("digest")
    digest = digest or schema_digest(server.context.tables["Things"])
    return encode_request(changed.get("source", HERE), [(name, digest, list(entries))])


def test_items_arrive_at_their_partitions_and_outcomes_come_in_order() -> None:
    async def test(server: EmbeddedServer, url: str) -> None:
        await make_table(server)
        schema = server.context.tables["Things"]
        assert len(schema.partitions.all) > 1
        async with links_to(url) as links:
            entries = [entry(server, f"item {number}") for number in range(250)]
            now, outcomes = decode_reply(await ask(links, request(server, *entries)))
            assert outcomes == [bytes((APPLIED,)) * 250]
            assert abs(now - server.node.stamps.wall) < 20_000 << 16
            for key, record in entries[::50]:
                read: list[Any] = []
                server.node.send(ReadItem(schema.partition_for(key).id, 1, key, True), read.append)
                assert records.item_version(read[0]) == records.item_version(record)
            mixed = [
                entries[0],
                entry(server, "far ahead", 60_000),
                entry(server, "gone", gone=True),
                (b"short", b"x"),
            ]
            _, outcomes = decode_reply(await ask(links, request(server, *mixed)))
            assert outcomes == [bytes((OLDER, HELD, APPLIED, RETRY))]
            assert links.states[THERE].up

    with_server(test)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"name": "Other"}, "ResourceNotFoundException"),
        ({"digest": b"12345678"}, "ValidationException"),
        ({"source": "mars-1"}, "ReplicaNotFoundException"),
    ],
)
def test_a_table_that_is_not_the_same_is_refused_and_others_are_not(
    changed: dict[str, Any], error: str
) -> None:
    async def test(server: EmbeddedServer, url: str) -> None:
        await make_table(server)
        async with links_to(url) as links:
            _, outcomes = decode_reply(await ask(links, request(server, entry(server, "a"), **changed)))
            assert outcomes[0][0] == error

    with_server(test)


def test_what_is_no_request_is_refused_with_a_sentence() -> None:
    async def test(server: EmbeddedServer, url: str) -> None:
        async with links_to(url) as links:
            answer = await ask(links, b"nonsense")
            assert "400: ValidationException: no message of a region" in str(answer)
            assert links.states[THERE].up is False

    with_server(test)


def test_other_paths_are_plugged_in() -> None:
    async def test(server: EmbeddedServer, url: str) -> None:
        async with links_to(url, credentials=KEYS) as links:
            assert isinstance(await ask(links, b"x", CONTROL_PATH), LinkDown)

            async def twice(body: bytes) -> bytes:
                return body * 2

            server.regions.receiver.plug(CONTROL_PATH, twice)
            assert await ask(links, b"x", CONTROL_PATH) == b"xx"

    with_server(test, KEYS)


@pytest.mark.parametrize(
    ("here", "there", "said"),
    [
        (KEYS, KEYS, None),
        (None, None, None),
        (None, KEYS, "refused the signature"),
        ({**KEYS, "secret": "another"}, KEYS, "refused the signature"),
        ({**KEYS, "access_key": "OTHER"}, KEYS, "refused the signature"),
        (KEYS, None, "did not sign its reply"),
    ],
)
def test_both_sides_show_that_they_have_the_secret(
    here: dict[str, str] | None, there: dict[str, str] | None, said: str | None
) -> None:
    async def test(server: EmbeddedServer, url: str) -> None:
        await make_table(server)
        async with links_to(url, credentials=here) as links:
            answer = await ask(links, request(server, entry(server, "a")))
            if said is None:
                assert decode_reply(answer)[1] == [bytes((APPLIED,))]
            else:
                assert isinstance(answer, LinkDown)
                assert said in str(answer)
                assert "secret" not in str(answer)
                assert links.document()[THERE]["error"] == str(answer)

    with_server(test, there)


def test_a_reply_of_somebody_else_is_not_believed() -> None:
    """One who answers in the region's name, with a signature of another reply."""

    async def run() -> None:
        def impostor(request: Request) -> None:
            authorization = request.headers[b"authorization"].decode()
            signature = reply_signature("a guess", signature_of(authorization), b"body")
            request.reply(200, b"body", extra_headers=f"x-hashrange-signature: {signature}\r\n".encode())

        server = await serve(impostor, "127.0.0.1", 0)
        async with links_to(f"http://127.0.0.1:{server.port}", credentials=KEYS) as links:
            answer = await ask(links, b"")
            assert isinstance(answer, LinkDown)
            assert "did not sign its reply" in str(answer)
        await server.drain(1)

    asyncio.run(run())


def test_whatever_a_stranger_answers_there_is_an_answer_and_the_next_endpoint_has_a_turn() -> None:
    """A header need not be ASCII; and one endpoint that is somebody else's does not keep a region away."""

    async def test(server: EmbeddedServer, url: str) -> None:
        await make_table(server)

        def stranger(request: Request) -> None:
            request.reply(200, b"body", extra_headers=b"x-hashrange-signature: \xe9\xff\r\n")

        strange = await serve(stranger, "127.0.0.1", 0)
        async with links_to(f"http://127.0.0.1:{strange.port}", url, credentials=KEYS) as links:
            answer = await ask(links, request(server, entry(server, "a")))
            assert isinstance(answer, LinkDown)
            assert "did not sign its reply" in str(answer)
            answer = await ask(links, request(server, entry(server, "a")))
            assert decode_reply(answer)[1] == [bytes((APPLIED,))]
        await strange.drain(1)

    with_server(test, KEYS)


def test_a_request_that_fails_in_an_unforeseen_way_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who posts sends nothing again before it has an answer."""

    async def post(*arguments: Any) -> None:
        raise RuntimeError("unforeseen")

    async def run() -> None:
        async with links_to(NOWHERE) as links:
            monkeypatch.setattr(links._client, "post", post)
            assert "unforeseen" in str(await ask(links, b""))

    asyncio.run(run())


def test_the_signature_of_a_reply_is_of_this_reply_to_this_request() -> None:
    signature = reply_signature("secret", "request", b"body")
    assert reply_is_genuine("secret", "request", b"body", signature)
    for other in (
        ("Secret", "request", b"body"),
        ("secret", "another", b"body"),
        ("secret", "request", b"Body"),
    ):
        assert not reply_is_genuine(*other, signature)
    assert signature_of("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=abc") == "abc"
    assert signature_of("") == ""


def test_the_next_endpoint_is_tried_and_stayed_with() -> None:
    async def test(server: EmbeddedServer, url: str) -> None:
        await make_table(server)
        async with links_to(NOWHERE, url) as links:
            for name in ("a", "b"):
                answer = await ask(links, request(server, entry(server, name)))
                assert decode_reply(answer)[1] == [bytes((APPLIED,))]
            assert links.states[THERE].failures == 0
            server.ready = False  # as while it starts: a 503
            answer = await ask(links, request(server, entry(server, "c")))
            assert isinstance(answer, LinkDown)
            server.ready = True

    with_server(test)


def test_links_that_lead_nowhere_or_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "CUT_S", 0.01)

    async def run() -> None:
        async with links_to(NOWHERE) as links:
            assert links.knows(THERE)
            assert not links.knows(REGIONS[2])
            assert "cannot be reached" in str(await ask(links, b""))
            assert "add it to the setting peers" in str(await ask(links, b"", region=REGIONS[2]))
            links.block({THERE})
            assert "the link is cut on purpose" in str(await ask(links, b""))
            links.block(())
            assert "cannot be reached" in str(await ask(links, b""))
            assert links.document()[THERE]["failures"] == 3

    asyncio.run(run())


def test_a_process_tells_of_its_links() -> None:
    async def test(server: EmbeddedServer, url: str) -> None:
        await make_table(server)
        async with links_to(url) as links:
            await ask(links, request(server, entry(server, "a"), entry(server, "far ahead", 60_000)))
        written: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        server.node.send(put(server, "mine"), written.set_result)
        await written
        document = server.region_pages.document()
        (link,) = document["links"]
        assert (document["region"], link["destination"], link["pending_keys"]) == (THERE, HERE, 1)
        metrics = server.telemetry.render().decode()
        labels = f'destination="{HERE}",source="{THERE}",table="Things"'
        assert f"hashrange_region_pending_keys{{{labels}}} 1.0" in metrics
        applied = (
            f'hashrange_region_applied_items_total{{result="applied",source="{HERE}",table="Things"}} 1.0'
        )
        assert applied in metrics
        assert f'hashrange_region_held_stamps{{source="{HERE}",table="Things"}} 1.0' in metrics

    with_server(test)


def put(server: EmbeddedServer, name: str) -> WriteItem:
    """A write of a client here."""
    schema = server.context.tables["Things"]
    key = schema.codec.encode({"pk": {"S": name}})
    write = WriteItem(schema.partition_for(key).id, 1, PUT, key)
    write.item_json, write.item_size = orjson.dumps({"pk": {"S": name}}), 2 + len(name)
    return write
