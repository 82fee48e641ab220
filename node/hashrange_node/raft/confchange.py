"""Membership: configurations, changes to them, and which changes are allowed.

A configuration has voters and learners (which receive the log and count for nothing). One voter may be added
or taken away in a single step, because any majority before and any majority after have a member in common.
Everything else goes through a joint configuration, in which decisions need a majority of the old voters
(`outgoing`) and of the new ones (`voters`): `enter` makes it, `leave` ends it. A voter that becomes a learner
in a joint change stays an outgoing voter until then; it waits in `learners_next`.

A change is an entry of the log and takes effect when it is *applied*. At most one may be appended and not yet
applied (the leader refuses a second), so an entry is always checked against the configuration that it will
be applied to, and a log that holds a change proves that all changes before it are committed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import accumulate, pairwise
from struct import Struct

_NONE: frozenset[int] = frozenset()
_HEADER = Struct("<BBHHHH")
_CONFIGURATION_VERSION = 1
_CHANGE_HEADER = Struct("<BBH")
_CHANGE_VERSION = 1
_CHANGE = Struct("<BQ")


class InvalidChange(ValueError):  # noqa: N818
    """A change that the configuration does not allow; the text says why."""


class ChangeKind(IntEnum):
    """What happens to one replica. The numbers are part of the stored form."""

    ADD_VOTER = 1  # a new voter, or a learner that becomes one
    ADD_LEARNER = 2  # a new learner, or a voter that becomes one
    REMOVE = 3


class Transition(IntEnum):
    """How a change gets from the old to the new configuration. The numbers are part of the stored form."""

    SIMPLE_IF_POSSIBLE = 0  # one step when one voter changes, else as JOINT_LEAVES_ITSELF
    JOINT_LEAVES_ITSELF = 1  # the leader proposes the end of the joint configuration once it is applied
    JOINT_UNTIL_LEFT = 2  # the joint configuration stays until someone proposes `LEAVE_JOINT`


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a change: a replica and what becomes of it."""

    kind: ChangeKind
    replica: int


@dataclass(frozen=True, slots=True)
class ConfChange:
    """A change of membership as it stands in the log; without any step it leaves the joint configuration."""

    changes: tuple[Change, ...] = ()
    transition: Transition = Transition.SIMPLE_IF_POSSIBLE

    def encode(self) -> bytes:
        """The stored form, little-endian: version, transition, count, then (kind u8, replica u64) each."""
        steps = b"".join(_CHANGE.pack(change.kind, change.replica) for change in self.changes)
        return _CHANGE_HEADER.pack(_CHANGE_VERSION, self.transition, len(self.changes)) + steps

    @classmethod
    def decode(cls, data: bytes) -> ConfChange:
        """Read what `encode` wrote. Raises ValueError for anything else."""
        version, transition, count = _CHANGE_HEADER.unpack_from(data)
        if version != _CHANGE_VERSION or len(data) != _CHANGE_HEADER.size + count * _CHANGE.size:
            raise ValueError("these bytes are not a change of membership")
        steps = _CHANGE.iter_unpack(data[_CHANGE_HEADER.size :])
        changes = tuple(Change(ChangeKind(kind), replica) for kind, replica in steps)
        return cls(changes, Transition(transition))


LEAVE_JOINT = ConfChange()


@dataclass(frozen=True, slots=True)
class Configuration:
    """Who belongs to a group. `outgoing` is empty unless the configuration is joint."""

    voters: frozenset[int] = _NONE
    learners: frozenset[int] = _NONE
    outgoing: frozenset[int] = _NONE
    learners_next: frozenset[int] = _NONE
    leaves_itself: bool = False
    all_voters: frozenset[int] = field(init=False, repr=False, compare=False)
    members: frozenset[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "all_voters", self.voters | self.outgoing)
        object.__setattr__(self, "members", self.all_voters | self.learners)

    @classmethod
    def of(cls, voters: Iterable[int], learners: Iterable[int] = ()) -> Configuration:
        """A plain configuration."""
        return cls(frozenset(voters), frozenset(learners))

    @property
    def joint(self) -> bool:
        """Whether decisions need two majorities."""
        return bool(self.outgoing)

    def encode(self) -> bytes:
        """The stored form, little-endian: version, flags, four counts, then the replica ids in order."""
        groups = (self.voters, self.learners, self.outgoing, self.learners_next)
        ids = [replica for group in groups for replica in sorted(group)]
        header = _HEADER.pack(_CONFIGURATION_VERSION, self.leaves_itself, *map(len, groups))
        return header + Struct(f"<{len(ids)}Q").pack(*ids)

    @classmethod
    def decode(cls, data: bytes) -> Configuration:
        """Read what `encode` wrote. Raises ValueError for anything else."""
        version, leaves_itself, *counts = _HEADER.unpack_from(data)
        if version != _CONFIGURATION_VERSION or len(data) != _HEADER.size + 8 * sum(counts):
            raise ValueError("these bytes are not a configuration")
        ids = Struct(f"<{sum(counts)}Q").unpack_from(data, _HEADER.size)
        ends = list(accumulate(counts, initial=0))
        voters, learners, outgoing, next_learners = (
            frozenset(ids[start:end]) for start, end in pairwise(ends)
        )
        return cls(voters, learners, outgoing, next_learners, bool(leaves_itself))


def apply(configuration: Configuration, change: ConfChange) -> Configuration:
    """The configuration after a change; raises InvalidChange when it is not allowed."""
    if not change.changes:
        return leave(configuration)
    if configuration.joint:
        raise InvalidChange("the joint configuration has to be left first")
    changed = _with_steps(configuration, change.changes)
    plain = change.transition is Transition.SIMPLE_IF_POSSIBLE
    if plain and len(configuration.voters ^ changed.voters) <= 1:
        return changed
    return enter(configuration, change.changes, change.transition is not Transition.JOINT_UNTIL_LEFT)


def enter(configuration: Configuration, changes: Iterable[Change], leaves_itself: bool) -> Configuration:
    """The joint configuration on the way to one with `changes`."""
    if configuration.joint:
        raise InvalidChange("the configuration is joint already")
    if not configuration.voters:
        raise InvalidChange("a configuration without voters cannot become joint")
    before = Configuration(
        configuration.voters, configuration.learners, configuration.voters, _NONE, leaves_itself
    )
    return _with_steps(before, changes)


def leave(configuration: Configuration) -> Configuration:
    """The configuration at the end of a joint one: the outgoing voters go, those demoted become learners."""
    if not configuration.joint:
        raise InvalidChange("the configuration is not joint")
    return Configuration(configuration.voters, configuration.learners | configuration.learners_next)


def _with_steps(configuration: Configuration, changes: Iterable[Change]) -> Configuration:
    voters = set(configuration.voters)
    learners = set(configuration.learners)
    learners_next = set(configuration.learners_next)
    outgoing = configuration.outgoing
    touched: set[int] = set()
    for change in changes:
        replica = change.replica
        if replica <= 0:
            raise InvalidChange(f"{replica} is not a replica id")
        if replica in touched:
            raise InvalidChange(f"replica {replica} is changed twice")
        touched.add(replica)
        voters.discard(replica)
        learners.discard(replica)
        learners_next.discard(replica)
        if change.kind is ChangeKind.ADD_VOTER:
            voters.add(replica)
        elif change.kind is ChangeKind.ADD_LEARNER:
            # Never voter and learner at once: an outgoing voter becomes a learner when the joint phase ends.
            (learners_next if replica in outgoing else learners).add(replica)
    if not voters:
        raise InvalidChange("a configuration needs at least one voter")
    return Configuration(
        frozenset(voters),
        frozenset(learners),
        outgoing,
        frozenset(learners_next),
        configuration.leaves_itself,
    )
