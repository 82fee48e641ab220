"""Requests, answers and casts between processes, and the life of their connections."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from hashrange_node.raft.messages import Heartbeat

from hashrange.errors import resource_not_found
from hashrange.runtime.rpc import RpcPeers, RpcServer
from hashrange.wire import messages as wire
from hashrange.wire.cluster import CatalogueUpdate, ClusterStatus, RaftBatch, WatchCatalogue
from hashrange.wire.faults import NotLeader, Overloaded, Unreachable
from tests.unit.rpc_support import CODEC, Answers, Pair, node, run, until

READ = wire.ReadItem(7, 1, b"key", True)


def test_answers_of_all_kinds_come_back() -> None:
    answers = [
        b"record",
        None,
        {"nodes": []},
        17,
        NotLeader(7, 3),
        resource_not_found(),
        wire.ConflictError(),
    ]

    async def main() -> None:
        async with Pair(Answers(lambda message: answers[message.partition])) as pair:
            found = [await pair.ask(wire.ReadItem(number, 1, b"", True)) for number in range(len(answers))]
        assert found[:4] == answers[:4]
        assert [type(answer) for answer in found] == [type(answer) for answer in answers]
        assert found[4].leader == 3

    run(main)


def test_many_requests_are_paired_with_their_answers_in_any_order() -> None:
    async def main() -> None:
        async with Pair(Answers()) as pair:
            asking = [asyncio.ensure_future(pair.ask(wire.ReadItem(n, 1, b"", True))) for n in range(200)]
            await until(lambda: len(pair.handler.asked) == 200)
            for _, message, done in reversed(pair.handler.asked):
                done(b"%d" % message.partition)
            assert await asyncio.gather(*asking) == [b"%d" % n for n in range(200)]

    run(main)


def test_what_is_sent_in_one_tick_leaves_in_one_write() -> None:
    async def main() -> None:
        async with Pair(Answers(lambda message: b"r")) as pair:
            await pair.connected()
            connection = pair.peers._links[1].up
            assert connection is not None
            writes: list[bytes] = []
            real = connection.transport

            class Counting:
                def write(self, data: bytes) -> None:
                    writes.append(data)
                    real.write(data)  # type: ignore[union-attr]

                def __getattr__(self, name: str) -> Any:
                    return getattr(real, name)

            connection.transport = Counting()  # type: ignore[assignment]
            await asyncio.gather(*[pair.ask(READ) for _ in range(50)])
        assert sum(len(data) > 1000 for data in writes) == 1

    run(main)


def test_a_handler_that_fails_answers_all_the_same() -> None:
    class Failing(Answers):
        def request(self, peer: Any, message: Any, done: Any) -> None:
            if message.partition == 1:
                raise NotLeader(1, None)
            if message.partition == 2:
                raise RuntimeError("on purpose")
            done(object())  # nothing that can travel

    async def main() -> None:
        async with Pair(Failing()) as pair:
            found = [await pair.ask(wire.ReadItem(number, 1, b"", True)) for number in (1, 2, 3)]
        assert isinstance(found[0], NotLeader)
        assert [error.status for error in found[1:]] == [500, 500]

    run(main)


def test_casts_arrive_and_a_server_may_cast_back() -> None:
    class Watched(Answers):
        def request(self, peer: Any, message: Any, done: Any) -> None:
            done(None)
            peer.cast(CatalogueUpdate(5, True, [(b"Ct", b"{}")]))

    async def main() -> None:
        async with Pair(Watched()) as pair:
            await pair.connected()
            pair.peers.cast(1, RaftBatch([(7, Heartbeat(1, 2, 3, 4, 5))]))
            await until(lambda: bool(pair.handler.told))
            peer, batch = pair.handler.told[0]
            assert batch == RaftBatch([(7, Heartbeat(1, 2, 3, 4, 5))])
            assert (peer.identity.id, peer.identity.az, peer.closed) == (2, "az2", False)
            assert await pair.ask(WatchCatalogue(0)) is None
            await until(lambda: bool(pair.here.told))
            peer, update = pair.here.told[0]
            assert update == CatalogueUpdate(5, True, [(b"Ct", b"{}")])
            assert peer.identity.id == 1

    run(main)


def test_the_own_node_is_handled_here() -> None:
    async def main() -> None:
        async with Pair(Answers()) as pair:
            assert await pair.ask(ClusterStatus(), node=2) == "here"
            pair.peers.cast(2, ClusterStatus())
            assert [message for _, message in pair.here.told] == [ClusterStatus()]
            assert pair.peers.is_up(2)
            assert pair.peers.silent_s(2) == 0.0

    run(main)


def test_a_node_without_an_address_or_a_listener_is_unreachable() -> None:
    async def main() -> None:
        async with Pair(Answers()) as pair:
            pair.addresses[4] = "127.0.0.1:1"
            pair.addresses[5] = "no address at all"
            for number in (3, 4, 5):
                error = await pair.ask(READ, node=number)
                assert isinstance(error, Unreachable)
                assert (error.node, error.sent) == (number, False)
                assert not pair.peers.is_up(number)
                assert pair.peers.silent_s(number) == math.inf
                assert isinstance(await pair.ask(READ, node=number), Unreachable)

    run(main)


def test_a_lost_connection_fails_what_was_sent_and_comes_back() -> None:
    async def main() -> None:
        async with Pair(Answers()) as pair:
            asking = asyncio.ensure_future(pair.ask(READ))
            await until(lambda: bool(pair.handler.asked))
            for connection in list(pair.server.connections):
                connection.close("on purpose")
            error = await asking
            assert isinstance(error, Unreachable)
            assert error.sent
            pair.handler.asked[0][2](b"too late")  # nobody is there to hear it, and nothing breaks
            pair.handler.answer = lambda message: b"again"
            await until(lambda: pair.peers.is_up(1))
            assert await pair.ask(READ) == b"again"
        assert pair.ups == [(1, 101, False), (1, 101, False)]
        assert pair.downs == [1, 1]

    run(main)


def test_a_restarted_node_is_announced_as_such() -> None:
    async def main() -> None:
        async with Pair(Answers(lambda message: b"r")) as pair:
            await pair.connected()
            await pair.server.stop()
            await until(lambda: not pair.peers.is_up(1))
            other = RpcServer(node(1, process=999), CODEC, pair.handler)
            pair.addresses[1] = f"127.0.0.1:{await other.start('127.0.0.1', 0)}"
            await until(lambda: pair.peers.is_up(1))
            identity = pair.peers.identity_of(1)
            assert identity is not None
            assert identity.process == 999
            await other.stop()
        assert pair.ups == [(1, 101, False), (1, 999, True)]

    run(main)


def test_a_request_without_an_answer_in_time_is_given_up() -> None:
    async def main() -> None:
        async with Pair(Answers()) as pair:
            error = await pair.ask(READ, timeout_s=0.2)
            assert isinstance(error, Unreachable)
            assert error.sent
            pair.handler.asked[0][2](b"late")
            pair.handler.answer = lambda message: b"r"
            assert await pair.ask(READ) == b"r"  # the late answer belongs to nobody

    run(main)


def test_senders_are_turned_away_while_too_much_waits() -> None:
    async def main() -> None:
        async with Pair(Answers(lambda message: b"r")) as pair:
            await pair.connected()
            connection = pair.peers._links[1].up
            assert connection is not None
            connection.pause_writing()
            connection._queue_bytes_max = 1000
            asking = [
                asyncio.ensure_future(pair.ask(wire.ReadItem(1, 1, b"k" * 100, True))) for _ in range(20)
            ]
            await until(lambda: any(one.done() for one in asking))
            for _ in range(20):
                pair.peers.cast(1, ClusterStatus())
            refused = [one for one in asking if one.done()]
            assert 5 < len(refused) < 20
            assert all(isinstance(one.result(), Overloaded) for one in refused)
            connection.resume_writing()
            assert {*await asyncio.gather(*[one for one in asking if one not in refused])} == {b"r"}
            assert pair.peers.casts_dropped == 20

    run(main)


def test_stopping_fails_what_waits() -> None:
    async def main() -> None:
        async with Pair(Answers()) as pair:
            waiting = asyncio.ensure_future(pair.ask(READ))
            await until(lambda: bool(pair.handler.asked))
            pair.peers.stop()
            assert isinstance(await waiting, Unreachable)
            assert isinstance(await pair.ask(READ), Unreachable)
            pair.peers.cast(1, ClusterStatus())

    run(main)


def test_a_forgotten_node_is_dialled_again_when_it_is_asked() -> None:
    async def main() -> None:
        async with Pair(Answers(lambda message: b"r")) as pair:
            await pair.connected()
            pair.peers.forget(1)
            await until(lambda: not pair.server.connections)
            await asyncio.sleep(0.3)
            assert not pair.server.connections
            assert await pair.ask(READ) == b"r"

    run(main)


def test_requests_of_a_router_need_no_node_id() -> None:
    async def main() -> None:
        async with Pair(Answers(lambda message: b"r")) as pair:
            router = RpcPeers(type(node(1))("router", 0, "c1", "", 5, "az1"), pair.addresses.get, CODEC)
            answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            router.request(1, READ, answer.set_result)
            assert await answer == b"r"
            assert pair.handler.asked[0][0].identity.kind == "router"
            router.stop()

    run(main)
