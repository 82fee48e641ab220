"""The groups of a node: opened from what was recovered and what the catalogue places here, ticked, and fed.

`Groups` is the driver's way to the rest of the node (`replica.hooks.Hooks`): it posts messages to other nodes,
parks requests that came before a leader was ready, and wakes idle groups when a node falls silent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from hashrange.wire.cluster import CONTROL, Placement, RaftBatch
from hashrange.wire.messages import Done
from hashrange_node.raft.confchange import Configuration
from hashrange_node.raft.core import RaftCore
from hashrange_node.raft.leader import Leader
from hashrange_node.raft.messages import NO_REPLICA, HardState, InstallSnapshot, Snapshot
from hashrange_node.raft.ready import Ready
from hashrange_node.raft.settings import Rng
from hashrange_node.raft.storage import InitialState
from hashrange_node.replica.effects import Mutation
from hashrange_node.replica.group import FIRST_REPLICA, Group
from hashrange_node.replica.group_log import GroupLog, LogBudget, LogGap
from hashrange_node.replica.place import Place
from hashrange_node.replica.recovery import BUSY_PAUSE_S, Recovered, Recovery, store
from hashrange_node.replica.split import split_mutations
from hashrange_node.resign import DiskWatch
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import EngineBusy, EngineError

if TYPE_CHECKING:
    from hashrange_node.node import Node
    from hashrange_node.snapshots import Snapshots

PARKED_MAX = 1_000
AWAY_S = 5.0
"""A node that is silent for longer has no connection; there is a new one before anything is heard of it again."""
GIVEN_UP = "it had been given up, and the engine has forgotten that: its log is gone"
ERASE_RETRY_S = 1.0
VOLUNTEER_PAUSE_S = 0.03
VOLUNTEER_TRIES = 30


class Groups:
    """Opens, starts and feeds the groups of one node."""

    def __init__(self, node: Node, rng: Rng) -> None:
        self._node = node
        self._driver = node.driver
        self._rng = rng
        self._settings = node.settings
        self.recovered: dict[int, Recovered] = {}
        self.snapshots: Snapshots | None = None
        self.lost: dict[int, str] = {}
        self.control = Group(Place.only(CONTROL), node.driver)
        self.budget = LogBudget(node.settings.log_memory_bytes)
        self.stopped = False
        self._ticking = False
        self._silent: set[int] = set()
        self._disk = DiskWatch(node, node.driver.fatal)
        node.driver.hooks = self
        node.driver.on_active = self._start_ticking

    # ---- opening

    def take(self, recovery: Recovery) -> None:
        """Take over what a replay has found."""
        self.recovered = recovery.found
        # A group of which the log has but a vote is kept too, until it is opened and the vote in the engine.
        last = {
            group_id: found.storage.last_index() if found.storage is not None else 0
            for group_id, found in recovery.found.items()
            if found.storage is not None or found.group.unsaved
        }
        self._driver.retention.recovered(recovery.position, last, self.recovered)

    def open_control(self, initial: dict[int, int] | None = None, replica_id: int = FIRST_REPLICA) -> None:
        """Open group 0. `initial` (replica -> node) for a new cluster's first members; else what was found.

        Raises EngineError on a node of a cluster that has lost which members there are: alone it would elect itself.
        """
        recovered = self.recovered.pop(CONTROL, None)
        group = self.control
        if recovered is not None:
            group.load(self._node.engine)
            group.hard_state, group.unsaved = recovered.group.hard_state, True
        if group.configuration is None:
            if initial is None:
                if not self._node.identity.standalone:
                    raise EngineError(
                        "the log names the control plane's group, but the engine has lost its members. "
                        "Start the node with an empty data directory; it takes its place from the others."
                    )
                initial = {FIRST_REPLICA: self._node.identity.id}
            group.replica_id = replica_id
            group.configuration = Configuration.of(initial)
            group.unsaved = True
        group.nodes = dict(initial or {group.replica_id: self._node.identity.id})
        self._make_core(group, recovered)
        self.start(group)
        if recovered is None and initial and group.replica_id == min(initial):
            self.volunteer(group)

    def forget_control(self) -> None:
        """At the start of a node that has left group 0: what log and engine still have of it is of no use."""
        if self.recovered.pop(CONTROL, None) is not None:
            self._driver.void(CONTROL)

    def renew_control(self) -> Group:
        """The node gets another replica of group 0, after one that has left."""
        left = self.control
        self.control = Group(Place.only(CONTROL), self._driver)
        self.control.listener = left.listener
        self._node.catalogue.group = self.control
        return self.control

    def open(self, placement: Placement) -> Group | None:
        """The group of a partition that has a replica here; None when it has none."""
        replica_id = self.replica_here(placement)
        if replica_id is None or ("successors" in placement and placement["id"] not in self.recovered):
            return None
        if self.awaits_split(placement):
            return None  # `Node.split_applied` opens it
        place = Place(placement["id"], placement["store"], placement["lo"], placement["hi"])
        recovered = self.recovered.pop(place.id, None)
        group = Group(place, self._driver, replica_id)
        if recovered is not None:
            found = recovered.group
            if found.configuration is not None and found.replica_id != replica_id:
                self.destroy(place)
                recovered = None
            else:
                group.load(self._node.engine)
                group.hard_state, group.unsaved = found.hard_state, True
        created = False
        known = group.configuration is not None
        if group.configuration is None:
            created = placement["origin"] == "create" and replica_id in placement["initial"]
            group.configuration = Configuration.of(placement["initial"] if created else ())
        if recovered is not None and recovered.void and (known or created):
            self.lost[group.id] = GIVEN_UP
        self.place(group, placement)
        self._make_core(group, recovered)
        first = sorted(placement["initial"])
        if recovered is None and created and replica_id == first[place.id % len(first)]:
            self.volunteer(group)
        return group

    def volunteer(self, group: Group, left: int = VOLUNTEER_TRIES) -> None:
        """Stand for election in a new group at once: its other members may not know of it yet, so again and again."""

        def stand() -> None:
            if left and not group.dropped and not self.stopped and group.core.leader == NO_REPLICA:
                group.core.campaign()
                self._driver.touch(group)
                self.volunteer(group, left - 1)

        self._node.scheduler.call_later(VOLUNTEER_PAUSE_S, stand)

    def open_child(self, group: Group) -> None:
        """Make the core of a group that a split has just brought into being here, or did before a restart."""
        recovered = self.recovered.pop(group.id, None)
        group.load(self._node.engine)
        if recovered is not None:
            group.hard_state, group.unsaved = recovered.group.hard_state, True
            if recovered.void:
                self.lost[group.id] = GIVEN_UP
        placement = self._node.catalogue.placement(group.id)
        if placement is not None:
            self.place(group, placement)
        self._make_core(group, recovered, fresh=recovered is None)

    def destroy(self, place: Place) -> None:
        """Delete everything of a partition whose replica here is void."""
        store(self._node.engine, [], self._ranges(place))
        # A later replica of the partition must not find the entries of this one.
        self._driver.void(place.id)

    def erase(self, group: Group) -> None:
        """Delete what is left of a replica that is out of service."""
        if self.snapshots is not None:
            self.snapshots.receiver.forget(group.id)
        self._try_to_erase(group.place)

    def _try_to_erase(self, place: Place) -> None:
        if self.stopped or self._driver.closed or place.id in self._driver.groups:
            return  # a new replica of the partition begins with a snapshot, which erases what was there
        try:
            self._node.engine.write([], self._ranges(place))
        except EngineError as error:
            if not isinstance(error, EngineBusy):
                self._node.report(f"what is left of partition {place.id} is not deleted yet", error)
            delay_s = BUSY_PAUSE_S if isinstance(error, EngineBusy) else ERASE_RETRY_S
            self._node.scheduler.call_later(delay_s, lambda: self._try_to_erase(place))
        else:
            self._driver.void(place.id)

    def _ranges(self, place: Place) -> list[tuple[bytes, bytes]]:
        """The key ranges that belong to a partition and to no other one here."""
        own = [each for each in keyspace.ranges_of(place.id) if each[0][:1] != b"P"]
        sharing = list(self._sharing(place))
        if any(each.lo <= place.hi and place.lo <= each.hi for each in sharing):
            return own  # a split has given its data to others
        spaces = [
            keyspace.hashes_of(place.store, space, place.lo, place.hi) for space in keyspace.HASHED_SPACES
        ]
        if sharing:
            return own + spaces
        low = b"P" + place.store.to_bytes(8, "big")
        return [*own, *spaces, (low + bytes((keyspace.EXPIRY,)), low + b"\xff")]

    def _sharing(self, place: Place) -> Iterator[Place]:
        """What else lies here in the store of a partition, opened or not."""
        for group in self._driver.groups.values():
            if group.place.store == place.store and group.id != place.id:
                yield group.place
        placements = self._node.catalogue.placements
        for other, found in self.recovered.items():
            placement = placements.get(other)
            store_id = placement["store"] if placement is not None else other
            if store_id != place.store:
                continue
            if placement is not None and other != place.id:
                yield Place(other, place.store, placement["lo"], placement["hi"])
            if found.group.split is not None:
                for child in found.group.split["children"]:
                    # Perhaps the catalogue known here does not have it yet: then it may lie anywhere.
                    if child in self.recovered and child not in placements and child != place.id:
                        yield Place(child, place.store)

    def awaits_split(self, placement: Placement) -> bool:
        """Whether a partition here is still to be split into this one: until then both would write its keys."""
        if placement["origin"] != "split":
            return False
        return any(
            group.place.store == placement["store"]
            and group.place.lo <= placement["lo"]
            and placement["hi"] <= group.place.hi
            and group.id != placement["id"]
            and group.split is None
            and not group.damaged
            for group in self._driver.groups.values()
        )

    def replica_here(self, placement: Placement) -> int | None:
        """The id of the replica that a placement has on this node."""
        identity = self._node.identity
        mine = [
            r["id"]
            for r in placement["replicas"]
            if r["node"] == identity.id and r["generation"] == identity.generation
        ]
        return mine[-1] if mine else None

    def _make_core(self, group: Group, recovered: Recovered | None, fresh: bool = False) -> None:
        storage = recovered.storage if recovered is not None else None
        assert group.configuration is not None
        if storage is not None and not group.configuration.members:
            # A replica without members takes no entries: these are of one that was here before it.
            storage = None
            self._driver.void(group.id)
        if storage is None:
            storage = self.make_log(group.id, group.applied_index, group.applied_term)
        else:
            storage = self._anchored(group, storage)
        group.storage = storage
        term = max(group.hard_state.term, group.applied_term, storage.term(storage.last_index()))
        if term > group.hard_state.term:
            # A log from before votes were recorded: its group had one member, which voted for itself.
            group.hard_state = HardState(term, group.replica_id)
        initial = InitialState(group.hard_state, group.applied_index, group.configuration, fresh)
        group.core = RaftCore(
            group.replica_id,
            group.storage,
            initial,
            self._rng,
            self._settings.raft,
            self._driver.now_tick(),
        )

    def _anchored(self, group: Group, storage: GroupLog) -> GroupLog:
        """The replayed log of a group on top of what the engine has of it."""
        applied, term = group.applied_index, group.applied_term
        missing = storage.first_index() - 1 > applied
        try:
            storage.anchor(applied, term)
        except LogGap as error:
            if missing:
                # What it acknowledged is not all there: it must not vote.
                self.lost[group.id] = str(error)
            # Else the engine has a snapshot, and a crash left the log as it was before: that is void.
            storage.install(applied, term)
        return storage

    def make_log(self, group_id: int, base_index: int = 0, base_term: int = 0) -> GroupLog:
        """The log of a group, for its core."""
        log = self._node.log
        return GroupLog(
            group_id,
            base_index,
            base_term,
            read=log.read if log.readable else None,
            budget=self.budget,
            make_snapshot=lambda: self._snapshot_of(group_id),
        )

    def _snapshot_of(self, group_id: int) -> Snapshot | None:
        """What stands for everything applied; its data is read when it is sent."""
        group = self._driver.groups.get(group_id)
        if group is None:
            return None
        if not group.applied_index or group.configuration is None or group.driver.applier.busy(group):
            return None
        return Snapshot(group.applied_index, group.applied_term, group.core.configuration)

    def place(self, group: Group, placement: Placement) -> None:
        """Take over where the replicas of a group are."""
        for replica in placement["replicas"]:
            group.nodes[replica["id"]] = replica["node"]

    def start(self, group: Group) -> None:
        """Let a group that has been opened take part, unless its state was lost."""
        self._driver.start(group)
        if group.id in self.lost:
            self._driver.disable(group, self.lost.pop(group.id))

    # ---- time

    def _start_ticking(self) -> None:
        if not self._ticking:
            self._ticking = True
            self._node.scheduler.call_later(self._settings.tick_ms / 1000, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        if self.stopped or self._driver.closed:
            return
        try:
            self._driver.tick(self._driver.now_tick())
            if self._node.peers is not None:
                self._watch_nodes()
                self._disk.look()
        finally:  # without ticks nothing here would ever find that a leader is gone
            if self._driver.active or self._node.peers is not None:
                self._start_ticking()

    def _watch_nodes(self) -> None:
        """Wake the idle groups of a node that has fallen silent: nobody else would notice."""
        peers = self._node.peers
        assert peers is not None
        tick_s = self._settings.tick_ms / 1000
        limit_s = self._settings.raft.election_ticks * tick_s / 2
        for node in self._node.catalogue.node_ids():
            silent_s = peers.silent_s(node)
            if silent_s < limit_s:
                self._silent.discard(node)
            elif node not in self._silent and node != self._node.identity.id:
                self._silent.add(node)
                self.wake_led_by(node, int(min(silent_s, 3600.0) / tick_s))

    def doubt_leader(self, group: Group) -> None:
        """A leader was looked for here. If the group is idle, perhaps its leader is one no longer: see to it."""
        if group.core is not None and group.core.quiesced and not group.core.is_leader:
            self._driver.wake(group)

    def wake_led_by(self, node: int, silent_ticks: int) -> None:
        """A node is silent: the idle groups that it leads need another leader."""
        for group in list(self._driver.groups.values()):
            if group.core.quiesced and group.leader_node == node:
                self._driver.wake(group, silent_ticks)

    def wake_behind(self, node: int) -> None:
        """There is a connection to a node again: groups led here that rest without it go on if it lacks something."""
        for group in list(self._driver.groups.values()):
            if group.core.quiesced and group.core.is_leader and node in self._behind(group):
                self._driver.wake(group)

    def may_rest(self, group: Group) -> bool:
        """Whether a group that is led here may go idle: nobody who can be reached lacks anything.

        Followers call when they are left behind, but a replica that is to get its first snapshot cannot.
        """
        peers = self._node.peers
        return peers is None or all(peers.silent_s(node) > AWAY_S for node in self._behind(group))

    @staticmethod
    def _behind(group: Group) -> list[int]:
        """The nodes of the followers that lack something, as their leader knows."""
        core = group.core
        role = core.role
        if not isinstance(role, Leader):
            return []
        last = core.log.last_index
        return [
            group.nodes[each.id]
            for each in role.tracker.followers
            if each.match != last and each.id in group.nodes
        ]

    def wake_shared_with(self, node: int) -> None:
        """A node was started anew: the idle groups it shares with this one have to find it."""
        for group in list(self._driver.groups.values()):
            if group.core.quiesced and node in group.nodes.values():
                self._driver.wake(group)

    # ---- the driver's hooks

    def post(self, node: int, batch: RaftBatch) -> None:
        """Send messages to another node; they may be lost."""
        if self._node.peers is not None:
            self._node.peers.cast(node, batch)

    def on_raft(self, batch: RaftBatch) -> None:
        """Messages from another node."""
        groups = self._driver.groups
        for group_id, message in batch.messages:
            group = groups.get(group_id)
            if group is not None and group.replica_id == message.to and not group.installing:
                self._driver.step(group, message)
        self._driver.stepped(batch.messages)

    def send_snapshot(self, group: Group, message: InstallSnapshot, node: int) -> None:
        """Send the group's state to a replica that needs it."""
        if self.snapshots is not None:
            self.snapshots.send(group, message, node)
        else:
            group.core.report_snapshot(message.to, False)

    def install(self, group: Group, work: Ready, done: Callable[[], None]) -> None:
        """Put a snapshot in the place of the group's state."""
        assert self.snapshots is not None, "a node without snapshots was sent one"
        self.snapshots.install(group, work, done)

    def split_mutations(self, group: Group, split: dict[str, Any]) -> list[Mutation]:
        """The state of the children of a split."""
        return split_mutations(group, split)

    def scrub(self, group: Group, scrub: tuple[int, bytes, bytes], index: int) -> None:
        """The checksum of a slice is wanted, as it is now."""
        self._node.scrubbed(group, index, scrub)

    def serving(self, group: Group, serving: bool) -> None:
        """Requests that waited for a leader go on, here or elsewhere."""
        if not serving and self.snapshots is not None:
            self.snapshots.cancel(group)
        parked, group.parked = group.parked, []
        for resume in parked:
            self._node.scheduler.call_soon(resume)

    def park(self, group: Group, resume: Callable[[], None], done: Done) -> None:
        """Let a request wait while this replica is about to lead; refuse it when another one does."""
        core = group.core
        about_to_lead = core is not None and (group.led or group.alone)
        if not about_to_lead or len(group.parked) >= PARKED_MAX or self.stopped:
            self.doubt_leader(group)
            done(group.not_leader())
            return
        waiting = True

        def once() -> None:
            nonlocal waiting
            if waiting:
                waiting = False
                resume()

        def expire() -> None:
            nonlocal waiting
            if waiting:
                waiting = False
                done(group.not_leader())

        group.parked.append(once)
        self._node.scheduler.call_later(self._settings.park_s, expire)
