"""Majorities, and majorities of two sets at once: the arithmetic that all of Raft's safety rests on.

Only voters are ever passed in here; learners are not counted (counting them once lost data in another
system). While membership changes (joint consensus) a decision needs a majority of the incoming and of the
outgoing voters. An empty set decides nothing and so never stands in the way: that makes the plain
configuration a joint one whose outgoing half is empty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import Enum

# What an empty set has agreed on: more than anything, because it never limits the other half.
EVERYTHING = 1 << 63


class VoteResult(Enum):
    """How an election stands."""

    PENDING = "pending"
    WON = "won"
    LOST = "lost"


def majority(count: int) -> int:
    """How many of `count` voters decide."""
    return count // 2 + 1


def agreed(values: list[int]) -> int:
    """The highest number that a majority has reached, given the number each voter has reached."""
    if not values:
        return EVERYTHING
    values.sort()
    return values[(len(values) - 1) // 2]


def agreed_jointly(incoming: list[int], outgoing: list[int]) -> int:
    """The highest number that majorities of both halves have reached."""
    first = agreed(incoming)
    if not outgoing:
        return first
    second = agreed(outgoing)
    return first if first < second else second


def vote_result(voters: Collection[int], votes: Mapping[int, bool]) -> VoteResult:
    """How an election stands among `voters`; `votes` holds the answers that came in, of anyone."""
    if not voters:
        return VoteResult.WON
    granted = refused = 0
    for voter in voters:
        vote = votes.get(voter)
        if vote is not None:
            if vote:
                granted += 1
            else:
                refused += 1
    needed = majority(len(voters))
    if granted >= needed:
        return VoteResult.WON
    if len(voters) - refused < needed:
        return VoteResult.LOST
    return VoteResult.PENDING


def joint_vote_result(
    incoming: Collection[int], outgoing: Collection[int], votes: Mapping[int, bool]
) -> VoteResult:
    """How an election stands when both halves have to elect: lost in one is lost, won needs both."""
    first = vote_result(incoming, votes)
    second = vote_result(outgoing, votes)
    if first is second:
        return first
    if VoteResult.LOST in (first, second):
        return VoteResult.LOST
    return VoteResult.PENDING


def has_quorum(incoming: Collection[int], outgoing: Collection[int], present: Iterable[int]) -> bool:
    """Whether those present are a majority of both halves."""
    votes = dict.fromkeys(present, True)
    return joint_vote_result(incoming, outgoing, votes) is VoteResult.WON
