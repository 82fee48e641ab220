"""Who is alive, who the primary is, and who takes over: decided from what one node has heard, tick by tick."""

from __future__ import annotations

from hashrange_dax.coherence.membership import (
    DEPOSED_TICKS,
    DOWN_TICKS,
    JOIN_TICKS,
    SILENT_TICKS,
    STEP_TICKS,
    SUSPECT_TICKS,
    Membership,
)

from hashrange.model.dax import NodeDocument, PrimaryDocument


def document(number: int, process: str = "p") -> NodeDocument:
    return NodeDocument(
        NodeId=f"n{number}",
        Number=number,
        AvailabilityZone="a",
        Host="h",
        Port=1,
        HttpPort=2,
        Peer="h:3",
        Admin="",
        Process=process,
        Started=0.0,
        Reboots=0,
    )


def documents(*numbers: int) -> dict[str, NodeDocument]:
    return {f"n{number}": document(number) for number in numbers}


def primary(number: int, term: int = 1) -> PrimaryDocument:
    return PrimaryDocument(NodeId=f"n{number}", Number=number, Term=term)


def member(own: int, *others: int, leader: int | None = None) -> Membership:
    """A node that has a connection with each of the others, in both directions."""
    made = Membership(f"n{own}", own)
    made.nodes(documents(own, *others))
    made.elected(primary(leader) if leader is not None else None)
    for other in others:
        made.opened(f"n{other}")
        made.opened(f"n{other}")
    return made


def lose(of: Membership, node_id: str) -> None:
    of.closed(node_id)
    of.closed(node_id)


def ticks_until_it_takes_over(of: Membership, *heard: str, limit: int = 100) -> int:
    for tick in range(1, limit):
        for node_id in heard:
            of.heard(node_id)
        of.tick()
        if of.takes_over():
            return tick
    return limit


def test_a_node_alone_makes_itself_the_primary_once_it_has_a_document() -> None:
    one = Membership("n1", 1)
    one.elected(None)
    one.tick()
    assert not one.takes_over()
    one.nodes(documents(1))
    one.tick()
    assert one.takes_over()
    one.elected(primary(1))
    one.tick()
    assert not one.takes_over()


def test_without_a_primary_each_node_waits_for_those_before_it() -> None:
    for number, others in ((1, (2, 3)), (2, (1, 3)), (3, (1, 2))):
        of = member(number, *others)
        assert ticks_until_it_takes_over(of, *(f"n{n}" for n in others)) == 1 + (number - 1) * STEP_TICKS


def test_a_silent_node_is_suspect_then_dead_and_alive_when_it_is_heard() -> None:
    of = member(1, 2, leader=1)
    for tick in range(1, SILENT_TICKS):
        assert of.tick() == []
        assert of.is_suspect("n2") is (tick >= SUSPECT_TICKS)
    assert of.is_alive("n2")
    assert of.tick() == ["n2"]
    assert not of.is_alive("n2") and of.living() == ["n1"]
    assert of.tick() == []
    of.heard("n2")
    assert of.is_alive("n2") and of.living() == ["n1", "n2"]


def test_a_node_whose_connections_end_is_dead_soon() -> None:
    of = member(1, 2, leader=1)
    of.closed("n2")
    for _ in range(DOWN_TICKS + 1):
        of.heard("n2")
        assert of.tick() == []
    of.closed("n2")
    for _ in range(DOWN_TICKS - 1):
        assert of.tick() == []
    assert of.tick() == ["n2"]
    of.opened("n2")
    assert of.is_alive("n2")


def test_a_node_that_never_comes_is_given_time_to_join() -> None:
    of = Membership("n1", 1)
    of.nodes(documents(1, 2))
    of.elected(primary(2))
    assert of.is_alive("n2")
    for _ in range(JOIN_TICKS - 1):
        assert of.tick() == []
    assert of.tick() == ["n2"]
    assert of.takes_over()


def test_a_node_without_a_document_is_not_in_the_cluster() -> None:
    of = member(1, 2, leader=1)
    assert of.nodes(documents(1)) == ["n2"]
    assert not of.is_alive("n2")
    of.heard("n2")
    assert of.living() == ["n1"]
    of.closed("n2")
    of.nodes(documents(1, 2))
    assert of.living() == ["n1", "n2"]


def test_a_node_that_begins_anew_is_another_one() -> None:
    of = member(1, 2, leader=1)
    assert of.nodes({"n1": document(1), "n2": document(2, "other")}) == ["n2"]
    assert of.is_alive("n2")


def test_the_next_node_takes_over_soon_after_the_primary_is_dead() -> None:
    two, three = member(2, 1, 3, leader=1), member(3, 1, 2, leader=1)
    lose(two, "n1")
    lose(three, "n1")
    assert ticks_until_it_takes_over(two, "n3") == DOWN_TICKS
    assert ticks_until_it_takes_over(three, "n2") == DOWN_TICKS + STEP_TICKS


def test_the_node_after_it_takes_over_if_the_next_one_is_dead_too() -> None:
    three = member(3, 1, 2, leader=1)
    lose(three, "n1")
    lose(three, "n2")
    assert ticks_until_it_takes_over(three) == DOWN_TICKS


def test_a_primary_that_has_no_document_any_more_is_followed_at_once() -> None:
    two = member(2, 1, leader=1)
    two.nodes(documents(2))
    assert ticks_until_it_takes_over(two) == 1


def test_nobody_takes_over_from_a_primary_that_another_node_hears() -> None:
    two = member(2, 1, 3, leader=1)
    lose(two, "n1")
    for _ in range(3 * SILENT_TICKS):
        two.heard("n3", ["n1", "n2", "n3"])
        two.tick()
        assert not two.takes_over()
    assert not two.is_alive("n1")
    two.heard("n3", ["n2", "n3"])
    two.tick()
    assert two.takes_over()


def test_what_a_dead_node_said_it_heard_counts_for_nothing() -> None:
    two = member(2, 1, 3, leader=1)
    two.heard("n3", ["n1", "n2", "n3"])
    lose(two, "n1")
    lose(two, "n3")
    assert ticks_until_it_takes_over(two) == DOWN_TICKS


def test_a_process_that_stood_still_takes_nobody_for_dead() -> None:
    two = member(2, 1, leader=1)
    two.tick()  # a minute may have passed since the one before: it heard nobody because it did not listen
    assert two.is_alive("n1") and not two.takes_over()


def test_a_primary_that_was_replaced_leaves_its_successor_in_peace_for_a_while() -> None:
    one = member(1, 2, leader=1)
    one.elected(primary(2, term=2))
    lose(one, "n2")
    assert ticks_until_it_takes_over(one) == DEPOSED_TICKS
    assert (one.primary, one.term) == ("n2", 2)


def test_the_heir_is_the_first_of_the_others() -> None:
    of = member(1, 3, 2, leader=1)
    assert of.heir() == "n2"
    of.nodes(documents(1))
    assert of.heir() is None


def test_a_node_has_joined_when_it_hears_and_is_heard_by_all_that_are_alive() -> None:
    of = Membership("n1", 1)
    assert not of.is_joined()
    of.nodes(documents(1, 2))
    of.opened("n2")
    assert not of.is_joined()
    of.opened("n2")
    assert of.is_joined()
    lose(of, "n2")
    assert not of.is_joined()
    for _ in range(DOWN_TICKS):
        of.tick()
    assert of.is_joined()
