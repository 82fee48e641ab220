"""A node of a cluster: log, engine, groups, the control plane's part on it, and the connections to the others.

This is the composition root of `hashrange node`. The way of a message: a frame arrives at the `RpcServer`, whose
handler is this object; it goes to the node, or to the part of the control plane that answers it. What the node sends
itself (index changes, reports) goes through a `RoutedTransport`, as a router's messages do.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from random import Random
from typing import Any

from hashrange_node.checkpoint import Checkpointer
from hashrange_node.log.errors import LogError
from hashrange_node.meta.placement import REMOVED
from hashrange_node.meta.plane import ControlPlane
from hashrange_node.meta.reconcile import ReconcileSettings
from hashrange_node.node import Node
from hashrange_node.raft.settings import Settings
from hashrange_node.raft_codec import RaftMessages
from hashrange_node.replica.expiry import ExpirySweeper
from hashrange_node.replica.scrubber import Scrubber
from hashrange_node.replica.staging import FileStaging, MemoryStaging, Staging
from hashrange_node.resign import Resigning
from hashrange_node.settings import NodeIdentity, ReplicationSettings
from hashrange_node.snapshots import Snapshots
from hashrange_node.storage.engine import EngineError
from hashrange_node.transactions.upkeep import Upkeep

from hashrange import __version__
from hashrange.cli.admin import AdminPort, Faults
from hashrange.cli.capacity import compose_ceilings, compose_vending
from hashrange.cli.process_metrics import register_process_metrics
from hashrange.cli.regions.compose import RegionPages, compose_links, compose_shipper
from hashrange.cli.regions.metrics import register_link_metrics, register_region_metrics
from hashrange.cli.scaling import compose_scaler
from hashrange.cli.storage import LoopScheduler, Storage, fatal
from hashrange.cli.storage_metrics import register_storage_metrics
from hashrange.cli.top.node_page import node_part
from hashrange.cli.top.page import TopPage
from hashrange.routing.map import PlacementMap
from hashrange.routing.transport import RoutedTransport
from hashrange.runtime.clock import Clock, StampClock, SystemClock
from hashrange.runtime.cluster_config import NodeConfig
from hashrange.runtime.logging import get_logger
from hashrange.runtime.rpc import Identity, Peer, RpcPeers, RpcServer
from hashrange.runtime.startup import StartupError
from hashrange.runtime.telemetry import Telemetry
from hashrange.wire.cluster import NodeRecord, Placement, RaftBatch, RegisterNode, ScrubReport
from hashrange.wire.codec import Codec
from hashrange.wire.messages import Done

TRANSIENT_DELAY_S = 1.0
CHECKPOINT_SEGMENTS = 3
REFUSED_S = 3.0
EXIT_REFUSED = 1


def replication_settings(config: NodeConfig) -> ReplicationSettings:
    """The times and limits of the groups, as configured; raises StartupError for those that contradict."""
    defaults = ReplicationSettings()
    try:
        raft = Settings(
            election_ticks=config.election_ticks,
            heartbeat_ticks=config.heartbeat_ticks,
            lease_ticks=config.lease_ticks,
            drift_ticks=config.drift_ticks,
            append_bytes_max=defaults.raft.append_bytes_max,
            inflight_bytes_max=defaults.raft.inflight_bytes_max,
            uncommitted_bytes_max=defaults.raft.uncommitted_bytes_max,
            apply_bytes_max=defaults.raft.apply_bytes_max,
        )
    except ValueError as error:
        raise StartupError(f"{error}; correct it in the node's settings") from None
    return ReplicationSettings(
        raft=raft,
        tick_ms=config.tick_ms,
        quiet_ticks=config.quiet_ticks,
        slow_sync_s=config.slow_sync_s,
        stuck_sync_s=config.stuck_sync_s,
        retention_bytes=config.log_retention_mb << 20,
        snapshot_bytes_per_s=int(config.rebuild_mb_per_s * (1 << 20)),
        scrub_interval_s=config.scrub_interval_s,
        stream_retention_s=config.stream_retention_s,
        stream_rollover_s=config.stream_rollover_s,
        tombstone_retention_s=config.tombstone_retention_s,
    )


def reconcile_settings(config: NodeConfig) -> ReconcileSettings:
    """When the control plane acts, as configured."""
    return ReconcileSettings(
        grace_s=config.replace_grace_s,
        split_bytes=config.split_size_mb << 20,
        split_reads_per_s=config.split_reads_per_s,
        split_writes_per_s=config.split_writes_per_s,
        split_hot_s=config.split_sustained_s,
        balance=config.balance,
    )


class NodeServer:
    """A running node. Made by `start_node`."""

    def __init__(self, config: NodeConfig, clock: Clock, telemetry: Telemetry) -> None:
        self.config = config
        self.clock = clock
        self.telemetry = telemetry
        self.log = get_logger("node")
        self.draining = False
        self.loop = asyncio.get_running_loop()
        self.rng = Random()
        settings = replication_settings(config)
        self.scheduler = LoopScheduler(self.loop)
        self.storage = Storage(config, self.loop, telemetry, config.id)
        directory = self.storage.directory
        self.incarnation = directory.id.hex() if directory is not None else secrets.token_hex(16)
        self.identity = Identity("node", config.id, "", self.incarnation, self.rng.getrandbits(63), config.az)
        self._attempts: dict[int, int] = {}
        self._refusals: dict[int, str] = {}
        self._began = self.loop.time()
        codec = Codec(RaftMessages())
        self.server = RpcServer(self.identity, codec, self, loop=self.loop)
        self.peers = RpcPeers(
            self.identity,
            self.address_of,
            codec,
            loop=self.loop,
            handler=self,
            server=self.server,
            rng=self.rng,
        )
        self.node = Node(
            self.storage.log,
            self.storage.engine,
            self.scheduler,
            StampClock(clock),
            monotonic=clock.monotonic,
            rng=self.rng,
            fatal=fatal,
            on_error=self._report,
            identity=NodeIdentity(id=config.id, az=config.az, standalone=False),
            settings=settings,
            peers=self.peers,
            index_lag_s=config.index_lag_ms / 1000,
        )
        self.node.ceilings = compose_ceilings(config, clock.monotonic)
        self.vending = compose_vending(
            self.node,
            config.capacity_multiplier,
            config.on_demand_window_s,
            clock.monotonic,
            get_logger("capacity").info,
        )
        self.scaler = compose_scaler(self.node, self.vending, clock, config.scaling_speed)
        self._compose_storage()
        self._compose_control()

    def _compose_storage(self) -> None:
        """What looks after the data: snapshots, scrubs, expiry, checkpoints."""
        config, node, directory = self.config, self.node, self.storage.directory
        staging: Staging = MemoryStaging()
        if directory is not None:
            staging = FileStaging(directory.path / "snapshots", self.scheduler.run_off_loop)
        self.snapshots = Snapshots(node, staging, self.scheduler.run_off_loop, self.clock.monotonic)
        self.scrubber = Scrubber(
            node.engine,
            self.scheduler,
            self.peers,
            groups=lambda: list(node.driver.groups.values()),
            damaged=node.driver.disable,
            report=self._report,
            interval_s=config.scrub_interval_s,
        )
        node.scrubbed = self.scrubber.applied
        node.flush_engine = lambda done: self.scheduler.run_off_loop(node.engine.flush, done)
        node.handle(ScrubReport, self.scrubber.on_report)
        self.upkeep = Upkeep(
            node,
            wall_ms=self.clock.wall_ms,
            monotonic=self.clock.monotonic,
            call_later=self.scheduler.call_later,
            report=self._report,
        )
        self.sweeper = ExpirySweeper(
            lambda: list(node.replicas.values()),
            self.clock.wall_ms,
            self.scheduler.call_later,
            config.ttl_interval_ms / 1000,
            self._report,
            self.upkeep.ledger.keeps,
        )
        self.checkpointer = Checkpointer(
            self.storage.log,
            self.storage.engine,
            node.driver,
            run_off_loop=self.scheduler.run_off_loop,
            call_later=self.scheduler.call_later,
            trigger_bytes=CHECKPOINT_SEGMENTS * (config.segment_mb << 20),
            on_error=self._report,
        )

    def _compose_control(self) -> None:
        """The control plane's part, and the ways in and out."""
        config, node, clock = self.config, self.node, self.clock
        self.plane = ControlPlane(
            node,
            self._presence,
            members=[member.id for member in config.members],
            seeds=[seed.id for seed in config.way_in],
            peers=self.peers,
            now=clock.monotonic,
            wall_s=lambda: clock.wall_ms() / 1000,
            rng=self.rng,
            usage=self._usage,
            joined=self._joined,
            refused=self._refused,
            note=get_logger("control").info,
            settings=reconcile_settings(config),
            transient_delay_s=TRANSIENT_DELAY_S if config.delay_transient_statuses else 0.0,
        )
        self.controller = self.plane.controller
        self.places = PlacementMap(config.az, config.id, seeds=[seed.id for seed in config.way_in])
        self.routes = RoutedTransport(
            self.places,
            self.peers,
            now=self.loop.time,
            call_later=self.scheduler.call_later,
            rng=self.rng,
            exists=self.plane.view.mentions,
            doubt=self.plane.follower.doubt,
        )
        node.transport = self.routes
        self.plane.view.on_node.append(self._on_node)
        self.plane.view.on_placement.append(self._on_placement)
        self.peers.listen(self._on_up, self._on_down)
        self.peers.on_refused = self._on_refused
        self.links = compose_links(config, clock)
        self.shipper = compose_shipper(node, self.links, config)
        self.admin = AdminPort(
            self.not_ready,
            self.telemetry.render,
            self.routes.send,
            Faults(self.peers.block, self.links.block) if config.fault_injection else None,
            self._top_page().render,
            RegionPages(self.links, self.shipper),
        )

    def _top_page(self) -> TopPage:
        """What `hashrange top` shows of this node."""
        config, directory = self.config, self.storage.directory
        page = TopPage("node", config.id, config.az, self.not_ready, self.clock.monotonic)
        path = directory.path if directory is not None else None
        page.add(node_part(self.node, self.telemetry, path, config.show_hot_keys))
        return page

    # ---- what the others ask and tell

    def request(self, peer: Peer, message: Any, done: Done) -> None:
        """Answer a message (`Handler`)."""
        if not self.plane.request(peer, message, done):
            self.node.send(message, done)

    def cast(self, peer: Peer, message: Any) -> None:
        """Take note of a one-way message (`Handler`)."""
        if message.__class__ is RaftBatch:
            self.node.on_raft(message)
        else:
            self.plane.cast(peer.identity.id, message)

    def address_of(self, node: int) -> str | None:
        """HOST:PORT of a node, for one attempt: by the catalogue and by the settings in turn, where these differ.

        The catalogue known here may be older than a move of the node, or of all of them.
        """
        record = self.plane.view.nodes.get(node) or self.node.catalogue.nodes.get(node)
        configured = next((seed.address for seed in self.config.way_in if seed.id == node), None)
        if record is None or configured is None or record["address"] == configured:
            return record["address"] if record is not None else configured
        attempt = self._attempts[node] = self._attempts.get(node, 0) + 1
        return record["address"] if attempt % 2 else configured

    def _on_refused(self, node: int, reason: str) -> None:
        """A node will have nothing to do with this one. When none will from the start, this is the wrong cluster."""
        self._refusals[node] = reason
        if self.plane.ready or self.loop.time() - self._began < REFUSED_S:
            return
        if all(seed.id in self._refusals for seed in self.config.way_in):
            self._refused(f"{reason}; start it with an empty data directory, or let it join its own cluster")

    def _refused(self, reason: str) -> None:
        fatal(f"node {self.config.id} may not take part: {reason}", EXIT_REFUSED)

    def _on_up(self, node: int, process: int, restarted: bool) -> None:
        self._refusals.pop(node, None)
        self._attempts.pop(node, None)
        self.routes.node_up(node)
        self.plane.peer_up(node)
        if restarted:
            self.node.groups.wake_shared_with(node)
        else:
            self.node.groups.wake_behind(node)

    def _on_down(self, node: int) -> None:
        self.routes.node_down(node)
        self.plane.peer_down(node)

    def _on_node(self, node: int, record: NodeRecord | None) -> None:
        """Keep a connection to every node of the cluster: its silence is how a failure is noticed."""
        self.places.place_node(node, record)
        if record is None or record["state"] == REMOVED:
            self.peers.forget(node)
        else:
            self.peers.connect(node)

    def _on_placement(self, partition: int, placement: Placement | None) -> None:
        if placement is None:
            self.places.remove(partition)
        else:
            self.places.put(placement)
        self.routes.placed(partition)

    # ---- presenting this node to the control plane

    def _presence(self) -> RegisterNode:
        config = self.config
        return RegisterNode(
            config.id,
            config.az,
            config.address,
            config.admin_address,
            self.incarnation,
            self.identity.cluster,
        )

    def _usage(self) -> tuple[int, float]:
        """Free bytes of the disk and processor seconds of this process."""
        times = os.times()
        free = 0
        if self.storage.directory is not None:
            found = os.statvfs(self.storage.directory.path)
            free = found.f_bavail * found.f_frsize
        return free, times.user + times.system

    def _joined(self, cluster: str) -> None:
        self.identity.cluster = cluster
        self.log.info("belongs to a cluster", cluster=cluster)

    def _report(self, what: str, error: BaseException) -> None:
        self.log.error(what, exc_info=error)

    # ---- life

    def not_ready(self) -> str:
        """Why the node cannot serve; "" when it can."""
        if self.draining:
            return "stopping"
        if not self.identity.cluster:
            waiting = ", ".join(str(member) for member in self.plane.bootstrap.waiting_for)
            return f"waiting for nodes {waiting} to begin a cluster" if waiting else "no cluster is known yet"
        if not self.plane.ready:
            return "the control plane has no leader that has accepted this node yet"
        return ""

    async def start(self) -> None:
        """Bring back the state of the last run, then take part in the cluster."""
        config = self.config
        self.snapshots.resume()
        applied = self.node.recover()
        if applied:
            self.log.info("replayed the log", entries=applied)
        register_storage_metrics(self)
        register_link_metrics(self.telemetry, self.links)
        register_region_metrics(self.telemetry, self.node, self.shipper)
        register_process_metrics(self.telemetry, self.not_ready, self.clock)
        await self.admin.listen(config.admin_host, config.admin_port)
        await self.server.start(config.host, config.port)
        for seed in config.way_in:
            self.peers.connect(seed.id)
        self.plane.start()
        self.shipper.start()
        self.vending.start()
        self.scaler.start()
        self.sweeper.start()
        self.upkeep.start()
        self.checkpointer.start()
        if config.scrub_interval_s > 0:
            self.scrubber.start()

    async def stop(self) -> None:
        """Hand over what is led here, make everything durable, let go of the data directory."""
        self.draining = True
        grace_s = self.config.shutdown_grace_s
        await self._settled(lambda done: Resigning(self.node).all(done, min(3.0, grace_s)), grace_s)
        self.scrubber.stop()
        self.scaler.stop()
        self.vending.stop()
        self.plane.stop()
        self.sweeper.stopped = self.upkeep.stopped = self.checkpointer.stopped = True
        self.node.stop()
        if not await self._settled(self.node.driver.when_idle, grace_s):
            self.log.warning("writes are still waiting for the disk or for others; they were not answered")
        await self.links.close()
        await self.server.stop()
        self.peers.stop()
        self.snapshots.stop()
        self.node.driver.closed = True
        try:
            await self.loop.run_in_executor(self.scheduler.executor, self.storage.engine.flush)
            self.storage.close()
        except EngineError as error:
            self.log.warning(
                "the engine could not be flushed; the next start replays the log", reason=str(error)
            )
            self._close_unflushed()
        await self.admin.close()

    async def _settled(self, begin: Callable[[Callable[[], None]], object], grace_s: float) -> bool:
        """Whether some work told that it was done within a time."""
        event = asyncio.Event()
        begin(event.set)
        try:
            await asyncio.wait_for(event.wait(), grace_s)
        except TimeoutError:
            return False
        return True

    def _close_unflushed(self) -> None:
        try:
            self.storage.close()
        except EngineError:
            pass  # reported already: what it still had to write is in the log


async def start_node(config: NodeConfig, clock: Clock | None = None) -> NodeServer:
    """Start a node; raises StartupError or OSError with what the user can do about it."""
    server = NodeServer(config, clock or SystemClock(), Telemetry(__version__))
    try:
        await server.start()
    except (LogError, EngineError) as error:
        server.storage.release()
        raise StartupError(str(error)) from error
    except BaseException:
        server.node.driver.closed = True
        server.storage.close()
        raise
    return server
