"""The primary of a cache cluster: writes go to it, and another node takes over when it has gone."""

from __future__ import annotations

import asyncio

import orjson
from hashrange_dax.coherence import peers
from hashrange_dax.contracts import BackendReply

from hashrange.errors import ApiError, conditional_check_failed
from hashrange.expr.compiled import Compiled
from hashrange.expr.tree import CONDITION
from tests.unit.dax_peers_support import TABLE, Node, Plane, change, cluster, put, run, stop, until


def test_the_first_node_is_the_primary_and_all_see_the_same_nodes() -> None:
    async def main() -> None:
        nodes = await cluster(Plane(), 3)
        for node in nodes:
            living = node.coherence.living()
            assert [(n.document["NodeId"], n.primary) for n in living] == [
                ("n1", True),
                ("n2", False),
                ("n3", False),
            ]
            assert node.coherence.is_primary is (node.number == 1)
        await stop(*nodes)

    run(main)


def test_a_replica_has_its_writes_made_by_the_primary() -> None:
    async def main() -> None:
        one, two, three = nodes = await cluster(Plane(), 3)
        condition = Compiled.of(CONDITION, ("compare", "=", ("path", ("pk",)), ("value", ":0")), [{"S": "x"}])
        request = {**put(b={"B": "AAE="}), "ConditionExpression": condition}
        reply = await two.write(request)
        assert isinstance(reply, BackendReply)
        assert reply.body == b'{"made":"n1"}'
        (state,) = reply.states
        assert state.table is TABLE and state.stamp == 1
        assert orjson.loads(state.item_json or b"") == {"pk": {"S": "k"}, "b": {"B": "AAE="}}
        ((operation, arrived),) = one.tier.writes
        assert (operation, arrived) == ("PutItem", request)
        made = arrived["ConditionExpression"]
        assert (made.kind, made.tree, made.values) == (condition.kind, condition.tree, condition.values)
        assert two.tier.writes == []
        await until(lambda: three.tier.keys == [state.key])
        assert two.coherence.statistics().forwarded == one.coherence.statistics().forwarded_here == 1
        await stop(*nodes)

    run(main)


def test_an_error_comes_back_as_it_was() -> None:
    async def main() -> None:
        one, two = nodes = await cluster(Plane(), 2)
        one.tier.failure = conditional_check_failed(b'{"pk":{"S":"k"}}', 123)
        answer = await two.write()
        assert isinstance(answer, ApiError)
        assert answer.body() == one.tier.failure.body()
        assert (answer.status, answer.item_size) == (400, 123)
        assert two.tier.dropped == []
        await stop(*nodes)

    run(main)


def test_a_large_write_is_forwarded() -> None:
    async def main() -> None:
        one, two = nodes = await cluster(Plane(), 2)
        request = put(v={"S": "x" * (16 << 20)})
        assert isinstance(await two.write(request), BackendReply)
        assert one.tier.writes == [("PutItem", request)]
        await stop(*nodes)

    run(main)


def test_another_node_takes_over_when_the_primary_is_killed_and_what_is_cached_is_given_up() -> None:
    """A write that it had sent to the tables may be made after its end, however orderly its connections ended."""

    async def main() -> None:
        plane = Plane()
        one, two, three = await cluster(plane, 3)
        assert isinstance(await three.write(), BackendReply)
        await until(lambda: two.tier.changes and three.tier.changes)
        one.kill()
        await until(lambda: plane.primary == "n2")
        assert plane.documents.get("dax-primary", "dax")["document"]["Term"] == 2
        await until(lambda: [n.document["NodeId"] for n in three.coherence.living()] == ["n2", "n3"])
        reply = await three.write()
        assert isinstance(reply, BackendReply) and reply.body == b'{"made":"n2"}'
        assert two.tier.clears == three.tier.clears == 1
        await stop(two, three)

    run(main)


def test_another_node_takes_over_when_the_primary_is_silent_and_what_is_cached_is_given_up() -> None:
    async def main() -> None:
        plane = Plane()
        one, two, three = await cluster(plane, 3)
        one.kill(silently=True)
        await until(lambda: plane.primary == "n2")
        await until(lambda: two.tier.clears == three.tier.clears == 1)
        await stop(two, three)

    run(main)


def test_a_silent_replica_that_never_wrote_costs_nobody_the_cache() -> None:
    async def main() -> None:
        plane = Plane()
        one, two, three = await cluster(plane, 3)
        two.coherence.tell([change(b"a", written=False)])
        await until(lambda: one.tier.changes)
        two.kill(silently=True)
        await until(lambda: [n.document["NodeId"] for n in one.coherence.living()] == ["n1", "n3"])
        assert (plane.primary, one.tier.clears) == ("n1", 0)
        await stop(one, three)

    run(main)


def test_a_primary_that_stops_hands_over_and_costs_nobody_the_cache() -> None:
    async def main() -> None:
        plane = Plane()
        one, two, three = await cluster(plane, 3)
        assert isinstance(await one.write(), BackendReply)
        await one.stop()
        assert plane.primary == "n2"
        reply = await three.write()
        assert isinstance(reply, BackendReply) and reply.body == b'{"made":"n2"}'
        await until(lambda: two.tier.changes and three.tier.changes)
        assert two.tier.clears == three.tier.clears == 0
        await stop(two, three)

    run(main)


def test_a_node_that_comes_back_as_another_process_is_heard_again() -> None:
    async def main() -> None:
        plane = Plane()
        one, two = await cluster(plane, 2)
        two.kill()
        again = Node(plane, 2, process="p2")
        await again.start()
        assert await again.coherence.joined(20)
        again.coherence.tell([change(b"a")])
        await until(lambda: one.tier.keys == [b"a"])
        one.coherence.tell([change(b"b")])
        await until(lambda: again.tier.keys == [b"b"])
        assert plane.primary == "n1"
        await stop(one, again)

    run(main)


def test_the_outcome_is_unknown_when_the_primary_is_lost_after_it_was_sent_a_write(monkeypatch) -> None:
    monkeypatch.setattr(peers, "SETTLE_S", 0.05)

    async def main() -> None:
        one, two, three = await cluster(Plane(), 3)
        one.tier.held = []
        answers: list[BackendReply | ApiError] = []
        two.coherence.write("PutItem", put(), answers.append)
        await until(lambda: one.tier.writes)
        one.kill()
        await until(lambda: answers)
        (answer,) = answers
        assert isinstance(answer, ApiError)
        assert (answer.type_name, answer.status) == ("InternalServerError", 500)
        key = (TABLE.table_id, TABLE.codec.encode({"pk": {"S": "k"}}))
        await until(lambda: two.tier.dropped == three.tier.dropped == [key, key])
        assert two.tier.writes == []
        assert two.coherence.statistics().unknown == 1
        await stop(two, three)

    run(main)


def test_a_write_that_cannot_be_sent_is_made_here() -> None:
    async def main() -> None:
        plane = Plane()
        one, two = await cluster(plane, 2)
        one.kill()
        await until(lambda: two.coherence.statistics().connected == 0)
        assert plane.primary == "n1"
        reply = await two.write()
        assert isinstance(reply, BackendReply) and reply.body == b'{"made":"n2"}'
        await stop(two)

    run(main)


def test_a_write_that_a_stopping_primary_sends_back_is_made_here() -> None:
    async def main() -> None:
        one, two = nodes = await cluster(Plane(), 2)
        one.coherence._receiving.stopping = True
        reply = await two.write()
        assert isinstance(reply, BackendReply) and reply.body == b'{"made":"n2"}'
        await stop(*nodes)

    run(main)


def test_a_node_that_stops_answers_the_writes_that_others_have_sent_it_first() -> None:
    async def main() -> None:
        one, two = await cluster(Plane(), 2)
        one.tier.held = []
        writing = asyncio.ensure_future(two.write())
        await until(lambda: one.tier.held)
        stopping = asyncio.ensure_future(one.stop())
        await until(lambda: two.coherence.is_primary)
        one.tier.held[0]()
        await stopping
        reply = await writing
        assert isinstance(reply, BackendReply) and reply.body == b'{"made":"n1"}'
        await until(lambda: two.tier.changes)
        assert two.tier.clears == 0
        await stop(two)

    run(main)


def test_without_the_control_plane_there_is_no_new_primary_and_nodes_write_themselves() -> None:
    async def main() -> None:
        plane = Plane()
        one, two, three = await cluster(plane, 3)
        plane.away = True
        one.kill()
        await until(lambda: [n.document["NodeId"] for n in three.coherence.living()] == ["n2", "n3"])
        reply = await three.write()
        assert isinstance(reply, BackendReply) and reply.body == b'{"made":"n3"}'
        await until(lambda: two.tier.changes)
        assert not any(node.primary for node in three.coherence.living())
        plane.away = False
        await until(lambda: plane.primary == "n2")
        await stop(two, three)

    run(main)
