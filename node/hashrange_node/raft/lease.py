"""Leases: for how long a leader may answer strong reads from its own state without asking anyone.

The rule that makes it safe: whatever a voter answers to a leader binds the voter. For `lease_ticks` from
receiving the question it helps no one else to lead, or it tells whom it helps how much of that time is left,
and the new leader appends nothing until the longest such rest is over. A leader that sent a question at `t`
and has answers from a quorum therefore knows that nothing can have been committed without it before
`t + lease_ticks`: any quorum that elects another has a voter in common with that one.

Whose clock: every replica counts ticks of its own monotonic clock. What differs between replicas is only the
rate, and `drift_ticks` allows for that. All roundings are to the safe side:

- A question is dated by the tick its round began in, which is not after it was sent. The lease holds while
  the reader's present tick is *below* that date + lease_ticks - drift_ticks. The reader passes the present
  tick, computed from the clock at that moment: a process that was stopped sees at once that its lease is over,
  even if it has not been told of the ticks in between. To be asked again after the read, before answering.
- A voter counts calls of `tick` since it heard its leader. `n` calls mean that more than n - 2 ticks passed
  (the first may come at once, and each is made within its tick), so the promise is over after
  lease_ticks + 2 calls, and a new leader that is told of r remaining ticks waits for r + 2 calls.
- A replica that starts does not know what it promised: it behaves as if it had heard a leader just now. An
  answer to a leader is sent only when the term it was given in is durable, so a replica without any term has
  promised nothing.

A round number is (tick << ROUND_BITS) + counter: it says when the round began, and orders the rounds within
one tick, so that the same numbers date leases and confirm reads by quorum. 0 is no round.

Handing leadership over: the leader gives up its lease before it tells the target to stand for election, so
the target's voters need not wait. If the target does nothing, the leader may not take the lease up again as long
as the order may still arrive: it is over when the target has answered a later round, because a follower ignores
an order that is older than what it has heard since.
"""

from __future__ import annotations

ROUND_BITS = 20

# Ticks since a leader was heard when none ever was.
NEVER_HEARD = 1 << 40

# The end of the lease of a leader that is the only voter.
FOREVER = 1 << 62


def first_round(tick: int) -> int:
    """The first round that may begin in a tick."""
    return (tick << ROUND_BITS) + 1


def lease_end(round_number: int, lease_ticks: int, drift_ticks: int) -> int:
    """The first tick in which a lease does not hold any more whose quorum answered this round."""
    return (round_number >> ROUND_BITS) + lease_ticks - drift_ticks if round_number else 0


def promise_left(calls_since_heard: int, lease_ticks: int) -> int:
    """Ticks for which a voter may still be bound, given the calls of `tick` since it heard its leader."""
    if not lease_ticks:
        return 0
    return max(0, lease_ticks + 2 - calls_since_heard)


def calls_to_wait(ticks_left: int) -> int:
    """How many calls of `tick` make sure that so many ticks have passed."""
    return ticks_left + 2 if ticks_left else 0
