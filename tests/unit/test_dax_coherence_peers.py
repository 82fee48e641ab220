"""Cache nodes that tell one another what has changed, over real sockets."""

from __future__ import annotations

import asyncio

from hashrange_dax.coherence import link as links

from tests.unit.dax_peers_support import TABLE, Node, Plane, change, cluster, put, run, stop, until


def test_everybody_else_hears_of_changes_and_invalidated_keys_in_order() -> None:
    async def main() -> None:
        one, two, three = nodes = await cluster(Plane(), 3)
        two.coherence.tell([change(b"a", b"1", 5), change(b"b", None, 6, written=False)])
        two.coherence.invalidated([("id-1", b"a")])
        two.coherence.tell([change(b"a", b"2", 7)])
        for other in (one, three):
            await until(lambda other=other: len(other.tier.changes) == 3)
            assert other.tier.changes == [
                change(b"a", b"1", 5),
                change(b"b", None, 6, written=False),
                change(b"a", b"2", 7),
            ]
            assert other.tier.dropped == [("id-1", b"a")]
        assert two.tier.changes == [] and two.tier.dropped == []
        assert [node.tier.clears for node in nodes] == [0, 0, 0]
        assert one.coherence.statistics().received == 4
        await stop(*nodes)

    run(main)


def test_large_values_are_told() -> None:
    async def main() -> None:
        one, two = nodes = await cluster(Plane(), 2)
        told = [change(b"%d" % number, b"x" * 400_000, number) for number in range(1, 30)]
        one.coherence.tell(told)
        await until(lambda: len(two.tier.changes) == len(told))
        assert two.tier.changes == told
        await stop(*nodes)

    run(main)


def test_a_lost_connection_goes_on_where_it_was() -> None:
    async def main() -> None:
        one, two = nodes = await cluster(Plane(), 2)
        expected = []
        for number in range(200):
            key = b"%d" % number
            expected.append(key)
            one.coherence.tell([change(key)])
            if number % 40 == 20:
                for connection in two.connections():
                    connection.close("a test cuts it")
            await asyncio.sleep(0)
        await until(lambda: len(two.tier.changes) == len(expected))
        assert two.tier.keys == expected
        assert two.tier.clears == 0
        await stop(*nodes)

    run(main)


def test_a_node_that_has_missed_changes_gives_up_what_it_has_cached() -> None:
    async def main() -> None:
        one, two = nodes = await cluster(Plane(), 2, log_bytes_max=1000)
        for connection in two.connections():
            connection.close("a test cuts it")
        for number in range(100):
            one.coherence.tell([change(b"%d" % number)])
        await until(lambda: two.tier.clears == 1)
        one.coherence.tell([change(b"last")])
        await until(lambda: two.tier.keys[-1:] == [b"last"])
        assert two.tier.clears == 1
        await stop(*nodes)

    run(main)


def test_what_was_read_is_not_told_while_too_much_waits() -> None:
    async def main() -> None:
        one, two = nodes = await cluster(Plane(), 2, log_bytes_max=1000)
        for connection in two.connections():
            connection.close("a test cuts it")
        for number in range(100):
            one.coherence.tell([change(b"%d" % number, written=False)])
        one.coherence.tell([change(b"last")])
        await until(lambda: two.tier.keys[-1:] == [b"last"])
        assert two.tier.clears == 0
        assert 0 < one.coherence.statistics().fills_dropped == 101 - len(two.tier.changes)
        await stop(*nodes)

    run(main)


def test_a_node_that_comes_later_gives_up_what_it_read_before_it_was_told() -> None:
    async def main() -> None:
        plane = Plane()
        one, two = nodes = await cluster(plane, 2)
        one.coherence.tell([change(b"a")])
        await until(lambda: two.tier.changes)
        coherence = one.coherence
        await until(lambda: coherence.changes.first == 2)  # nobody needs it any more
        three = Node(plane, 3)
        await three.start()
        assert await three.coherence.joined(20)
        await until(lambda: three.tier.clears == 1)
        assert two.tier.clears == one.tier.clears == 0
        await stop(*nodes, three)

    run(main)


def test_changes_are_forgotten_once_all_have_them() -> None:
    async def main() -> None:
        one, two = nodes = await cluster(Plane(), 2)
        one.coherence.tell([change(b"%d" % number) for number in range(5000)])
        await until(lambda: len(two.tier.changes) == 5000)
        await until(lambda: one.coherence.statistics().log_bytes == 0)
        await stop(*nodes)

    run(main)


def test_changes_are_not_kept_for_a_node_that_stays_away(monkeypatch) -> None:
    monkeypatch.setattr(links, "RESUME_TICKS", 1)

    async def main() -> None:
        one, two = await cluster(Plane(), 2)
        two.kill()
        one.coherence.tell([change(b"a")])
        assert one.coherence.statistics().log_bytes
        await until(lambda: one.coherence.statistics().log_bytes == 0)
        await stop(one)

    run(main)


def test_a_node_alone_keeps_nothing_for_others() -> None:
    async def main() -> None:
        (one,) = await cluster(Plane(), 1)
        one.coherence.tell([change(b"a"), change(b"b", written=False)])
        one.coherence.invalidated([(TABLE.table_id, b"c")])
        assert one.coherence.statistics().log_bytes == 0
        assert one.coherence.changes.head == 2
        assert (await one.write(put())).body == b'{"made":"n1"}'
        await stop(one)

    run(main)
