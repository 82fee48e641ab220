"""What may be sent again, when, and what is answered when time is up: the rules, free of clock and chance.

A message whose carrying-out is repeatable (a read, a write with a request id, a compare-and-set) is sent again
whatever happened to it. Others are sent again only when a fault says that nothing was done. The first round over a
partition's replicas takes no pause; later ones wait 20 to 640 ms, jittered, until the deadline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hashrange.errors import ApiError, internal, unavailable
from hashrange.wire import cluster, documents, regions, streams, transactions
from hashrange.wire import messages as wire
from hashrange.wire.capacity import CapacityReport
from hashrange.wire.faults import LeadershipLost, NotLeader, Overloaded, RoutingError, StaleRoute, Unreachable

PAUSE_MIN_S = 0.02
PAUSE_MAX_S = 0.64


@dataclass(frozen=True, slots=True)
class Rule:
    """How one type of message is sent. `control`: to the control plane's leader, else to the partition's.

    `repeatable`: sending it twice does no harm. `changes`: it may change something, so that an unknown outcome
    must be reported as such. `patience` multiplies the deadline: some answers take their time by design.
    """

    control: bool = False
    repeatable: bool = True
    changes: bool = False
    patience: float = 1.0


RULES: dict[type, Rule] = {
    wire.ReadItem: Rule(),
    wire.ReadRange: Rule(),
    wire.CollectionSize: Rule(),
    wire.WriteItem: Rule(changes=True),
    wire.WriteEntries: Rule(changes=True),
    transactions.TransactWrite: Rule(changes=True),
    transactions.TransactPrepare: Rule(changes=True),
    transactions.TransactFinish: Rule(changes=True),
    transactions.TransactRead: Rule(),
    regions.ApplyReplicated: Rule(changes=True),
    streams.ReadShards: Rule(),
    streams.ReadRecords: Rule(patience=3.0),
    streams.LocateRecord: Rule(),
    wire.ChangeTable: Rule(control=True, changes=True),
    documents.ChangeDocument: Rule(control=True, changes=True),
    wire.TableStatistics: Rule(control=True),
    wire.WhenSettled: Rule(control=True, patience=6.0),
    cluster.RegisterNode: Rule(control=True, changes=True),
    cluster.NodeReport: Rule(control=True),
    CapacityReport: Rule(control=True),
    cluster.WorkDone: Rule(control=True, changes=True),
    cluster.ClusterStatus: Rule(control=True),
    cluster.ClusterCommand: Rule(control=True, repeatable=False, changes=True),
    cluster.ChangeMembers: Rule(repeatable=False, changes=True),
    cluster.TransferLeader: Rule(repeatable=False, changes=True),
    cluster.SplitPartition: Rule(repeatable=False, changes=True),
    cluster.SplitHint: Rule(),
}
"""Every message that is routed. A WriteItem is repeatable because the transport gives it a request id, messages of
transactions because of their txid, ApplyReplicated because of the versions in it, a CapacityReport because of its
number."""


def patience_of(message: Any) -> float:
    """How many times the deadline an answer may take. Reading records takes longer only for readers that wait."""
    if message.__class__ is streams.ReadRecords and not message.wait_ms:
        return 1.0
    return RULES[message.__class__].patience


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Times in seconds. `silence_s`: a node not heard of for so long is not waited for."""

    deadline_s: float = 5.0
    hedge_s: float = 0.05
    silence_s: float = 1.5
    hedged_share: float = 0.1
    """Eventual reads that may be sent to a second replica, as a share of all sent."""

    def pause_s(self, round_number: int, chance: float) -> float:
        """The wait before round 1, 2 ... of attempts; `chance` in [0, 1) jitters it between half and whole."""
        whole = min(PAUSE_MAX_S, PAUSE_MIN_S * 2.0 ** (min(round_number, 16) - 1))
        return whole * (0.5 + chance / 2)


def is_fault(error: ApiError) -> bool:
    """Whether an answer says that the message should be sent again, here or elsewhere.

    A node that cannot take a message for now (a queue is full, its partition is being split) may also say so with
    ServiceUnavailable: nothing was done.
    """
    return isinstance(error, RoutingError) or error.status == 503


def outcome_unknown(fault: ApiError) -> bool:
    """Whether the message may have been carried out all the same."""
    return isinstance(fault, LeadershipLost) or (isinstance(fault, Unreachable) and fault.sent)


def may_repeat(rule: Rule, fault: ApiError) -> bool:
    """Whether a message may be sent again after this fault."""
    return rule.repeatable or not outcome_unknown(fault)


def final_error(where: str, fault: ApiError | None, unknown: bool) -> ApiError:
    """What the sender is told when no attempt is left: 500 if a change may have been made, else 503."""
    reason = _reason(fault)
    if unknown:
        return internal(f"The outcome of the request is not known: {where} {reason}")
    return unavailable(f"The service is temporarily unavailable: {where} {reason}")


def _reason(fault: ApiError | None) -> str:
    if isinstance(fault, NotLeader):
        return "has no leader: a majority of its replicas cannot be reached"
    if isinstance(fault, Unreachable):
        return f"did not answer: node {fault.node} cannot be reached"
    if isinstance(fault, LeadershipLost):
        return "has lost its leader"
    if isinstance(fault, StaleRoute):
        return "is not served by the nodes that should have it"
    if isinstance(fault, Overloaded):
        return f"takes no more for now: {fault.fields['what'] if fault.fields else 'overloaded'}"
    if fault is not None:
        return f"takes no more for now: {fault.message}"
    return "is not known to any node that could be asked"


def hash_of(message: Any) -> int | None:
    """The one hash that a message is about, or None: it goes over a range, or has no key at all."""
    kind = message.__class__
    if kind is wire.ReadItem or kind is wire.WriteItem:
        return int.from_bytes(message.key[:8], "big")
    if kind is wire.CollectionSize:
        return int.from_bytes(message.prefix[:8], "big")
    if kind in _STREAMS:
        lo: int = message.lo
        return lo
    return None


_STREAMS = frozenset((streams.ReadShards, streams.ReadRecords, streams.LocateRecord))


_TRANSACTIONS = frozenset(
    (
        transactions.TransactWrite,
        transactions.TransactPrepare,
        transactions.TransactFinish,
        transactions.TransactRead,
    )
)


def all_hashes_of(message: Any) -> list[int] | None:
    """The hashes of a message that is about several items of one partition; None for any other message."""
    return transactions.hashes_of(message) if message.__class__ in _TRANSACTIONS else None


def lies_within(message: wire.ReadRange, hi: int) -> bool:
    """Whether a range ends within the partition whose last hash is `hi`."""
    return hi == (1 << 64) - 1 or message.high <= (hi + 1).to_bytes(8, "big")
