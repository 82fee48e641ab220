"""The virtual network: connections between processes, with everything that happens to connections.

`Network` carries requests and casts between endpoints (nodes and routers); `SimPeers` is one process's end of it and
fulfils the Peers protocol of `hashrange.runtime.rpc`. What it imitates:

- one connection a pair; requests and answers arrive in order, after a delay;
- Raft batches may be lost, doubled and overtaken, whatever the connection does: that is what the core promises to
  bear;
- a direction that is cut holds everything back; healed in time it arrives late, else the connection is closed after
  HALF_OPEN_S of silence and everything on it is lost. Then open requests fail as Unreachable(sent=True);
- a process that dies resets its connections; one that is stopped keeps them until its peers lose patience;
- nothing that was sent to a process reaches the one that takes its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from hashrange.runtime.rpc.identity import Identity
from hashrange.wire.cluster import RaftBatch
from hashrange.wire.faults import Unreachable
from tests.sim.events import Process, World
from tests.sim.wire import carry, carry_reply

HALF_OPEN_S = 3.0
PING_S = 0.5
RECONNECT_S = (0.05, 0.6)
REFUSED_S = 0.01

Done = Callable[[Any], None]


class Handler(Protocol):
    """Who answers at an endpoint."""

    def request(self, peer: Any, message: Any, done: Done) -> None: ...

    def cast(self, peer: Any, message: Any) -> None: ...

    def failed(self, error: Exception) -> None:
        """Something that arrived made a callback raise."""
        ...


@dataclass
class Weather:
    """How the network is: seconds of delay in one direction, and what happens to casts."""

    delay_s: tuple[float, float] = (0.0002, 0.002)
    lost: float = 0.01
    doubled: float = 0.01
    overtaken: float = 0.05
    overtaken_s: float = 0.02


@dataclass
class Direction:
    """One way of a pair of endpoints. It outlives connections: a cut link stays cut."""

    cut_since: float | None = None
    slow_s: float = 0.0
    last_arrival: float = 0.0


class Connection:
    """An open connection between two processes. `held` waits for a cut direction, in order."""

    def __init__(self, first: Endpoint, second: Endpoint) -> None:
        self.ends = (first, second)
        self.closed_at: float | None = None
        self.died: Endpoint | None = None
        """Whose process ended: what it had sent before still arrives."""
        self.pending: dict[int, tuple[Endpoint, int, Done, Any]] = {}
        self.held: list[tuple[Endpoint, Endpoint, Callable[[], None]]] = []
        self.on_closed: list[tuple[Endpoint, Callable[[], None]]] = []


class Endpoint:
    """One process on the network. `identity` is what it says of itself."""

    def __init__(self, network: Network, identity: Identity, process: Process, handler: Handler) -> None:
        self.network = network
        self.identity = identity
        self.id = identity.id
        self.process = process
        self.handler = handler
        self.on_up: list[Callable[[int, int, bool], None]] = []
        self.on_down: list[Callable[[int], None]] = []
        self.known: dict[int, int] = {}


class Network:
    """All endpoints and the state of the links between them."""

    def __init__(self, world: World, weather: Weather) -> None:
        self.world = world
        self.weather = weather
        self.endpoints: dict[int, Endpoint] = {}
        self.directions: dict[tuple[int, int], Direction] = {}
        self.connections: dict[tuple[int, int], Connection] = {}
        self.silent_since: dict[tuple[int, int], float] = {}
        self.on_raft: Callable[[RaftBatch], None] = lambda batch: None
        """Told of all Raft messages that are sent."""
        self._requests = 0

    # ---- endpoints

    def join(self, identity: Identity, process: Process, handler: Handler) -> SimPeers:
        """A process comes onto the network in the place of an earlier one of that id."""
        number = identity.id
        endpoint = self.endpoints[number] = Endpoint(self, identity, process, handler)
        for other in self.endpoints:
            self._reconnect_soon(number, other)
        return SimPeers(endpoint)

    def gone(self, number: int) -> None:
        """The process of that number was killed."""
        for pair in [pair for pair in self.connections if number in pair]:
            connection = self.connections[pair]
            first, second = connection.ends
            connection.died = first if first.id == number else second
            self._close(pair)

    def stopped(self, number: int) -> None:
        """The process was paused: those who hear nothing of it close their connections in a while."""
        for pair in self.connections:
            if number in pair:
                self._close_if_silent_later(pair)

    def resumed(self, number: int) -> None:
        """The process goes on."""
        for other in self.endpoints:
            self._reconnect_soon(number, other)

    # ---- links

    def direction(self, sender: int, to: int) -> Direction:
        """The state of one way."""
        found = self.directions.get((sender, to))
        if found is None:
            found = self.directions[sender, to] = Direction()
        return found

    def cut(self, sender: int, to: int) -> None:
        """From now on nothing gets from `sender` to `to`."""
        way = self.direction(sender, to)
        if way.cut_since is None:
            way.cut_since = self.world.now
            self.silent_since.setdefault((to, sender), self.world.now)
            self._close_if_silent_later(_pair(sender, to))

    def heal(self) -> None:
        """All links work and are fast again."""
        for (sender, to), way in self.directions.items():
            way.slow_s = 0.0
            if way.cut_since is not None:
                way.cut_since = None
                self._release(sender, to)
        for a, b in self.connections:
            self.silent_since.pop((a, b), None)
            self.silent_since.pop((b, a), None)
        for number in self.endpoints:
            self.resumed(number)

    def reset(self, a: int, b: int) -> None:
        """The connection between two breaks; a new one can be made at once."""
        self._close(_pair(a, b))

    def open_ways(self, a: int, b: int) -> bool:
        """Whether both ways between two are open."""
        return self.direction(a, b).cut_since is None and self.direction(b, a).cut_since is None

    def _close_if_silent_later(self, pair: tuple[int, int]) -> None:
        connection = self.connections.get(pair)
        if connection is not None:
            delay = HALF_OPEN_S + self.world.random.uniform(0, PING_S)
            self.world.after(delay, lambda: self._close_if_silent(pair, connection))

    def _close_if_silent(self, pair: tuple[int, int], connection: Connection) -> None:
        if connection.closed_at is not None:
            return
        since = [self.direction(a, b).cut_since for a, b in (pair, pair[::-1])]
        silent = any(cut is not None and cut <= self.world.now - HALF_OPEN_S for cut in since)
        if silent or any(end.process.paused for end in connection.ends):
            self._close(pair)

    def _release(self, sender: int, to: int) -> None:
        connection = self.connections.get(_pair(sender, to))
        if connection is None:
            return
        held, connection.held = connection.held, []
        for origin, target, deliver in held:
            if origin.id == sender:
                self._send(connection, origin, target, deliver)
            else:
                connection.held.append((origin, target, deliver))

    # ---- connections

    def _close(self, pair: tuple[int, int]) -> None:
        connection = self.connections.pop(pair, None)
        if connection is None:
            return
        connection.closed_at = self.world.now
        connection.held.clear()
        arrivals = [self.direction(*way).last_arrival for way in (pair, pair[::-1])]
        noticed = max(self.world.now, *arrivals) + self._delay(*pair)
        self.world.at(noticed, lambda: self._fail_pending(connection))
        for end, callback in connection.on_closed:
            self.world.at(noticed, callback, end.process)
        for end, other in (connection.ends, connection.ends[::-1]):
            self.silent_since.setdefault((end.id, other.id), self.world.now)
            for listener in end.on_down:
                self.world.at(noticed, _told(listener, other.id), end.process)
        self._reconnect_soon(*pair)

    def _fail_pending(self, connection: Connection) -> None:
        pending, connection.pending = connection.pending, {}
        for asker, number, done, timer in pending.values():
            timer.cancel()
            self.world.after(0, _answer(done, Unreachable(number, sent=True)), asker.process)

    def _reconnect_soon(self, a: int, b: int) -> None:
        if a != b and _pair(a, b) not in self.connections:
            self.world.after(self.world.random.uniform(*RECONNECT_S), lambda: self._connect(a, b))

    def _connect(self, a: int, b: int) -> Connection | None:
        pair = _pair(a, b)
        found = self.connections.get(pair)
        if found is not None or a == b:
            return found
        first, second = (self.endpoints.get(number) for number in pair)
        if first is None or second is None or not self.open_ways(a, b):
            return None
        if not all(end.process.alive and not end.process.paused for end in (first, second)):
            return None
        connection = self.connections[pair] = Connection(first, second)
        for end, other in ((first, second), (second, first)):
            self.silent_since.pop((end.id, other.id), None)
            known = end.known.get(other.id)
            end.known[other.id] = other.identity.process
            restarted = known is not None and known != other.identity.process
            for listener in end.on_up:
                self.world.after(
                    self._delay(a, b),
                    _told(listener, other.id, other.identity.process, restarted),
                    end.process,
                )
        return connection

    def _delay(self, sender: int, to: int) -> float:
        return self.world.random.uniform(*self.weather.delay_s) + self.direction(sender, to).slow_s

    def _send(
        self,
        connection: Connection,
        origin: Endpoint,
        target: Endpoint,
        deliver: Callable[[], None],
        in_order: bool = True,
    ) -> None:
        """Let `deliver` run at the target once it arrives, if it does."""
        way = self.direction(origin.id, target.id)
        arrival = self.world.now + self._delay(origin.id, target.id)
        if in_order:
            arrival = way.last_arrival = max(arrival, way.last_arrival)
        elif self.world.random.random() < self.weather.overtaken:
            arrival += self.world.random.uniform(0, self.weather.overtaken_s)

        def arrive() -> None:
            closed_at = connection.closed_at
            if closed_at is not None and closed_at <= arrival and connection.died is not origin:
                return
            if way.cut_since is not None and way.cut_since <= arrival:
                connection.held.append((origin, target, deliver))
                return
            try:
                deliver()
            except Exception as error:  # as on a real connection: it fails whoever was called, nobody else
                target.handler.failed(error)

        self.world.at(arrival, arrive, target.process)

    # ---- what endpoints do

    def request(self, asker: Endpoint, to: int, message: Any, done: Done, timeout_s: float) -> None:
        """Ask another endpoint."""
        connection = self._connect(asker.id, to)
        if connection is None:
            asker.process.call_later(REFUSED_S, _answer(done, Unreachable(to, sent=False)))
            return
        target = _other(connection, asker)
        self._requests += 1
        number = self._requests
        timer = asker.process.call_later(timeout_s, lambda: self._expired(connection, number))
        connection.pending[number] = (asker, to, done, timer)
        carried = carry(message)
        peer = SimPeer(connection, target, asker)

        def answered(answer: Any) -> None:
            if target.process.alive and connection.closed_at is None:
                sent = carry_reply(message, answer)
                self._send(connection, target, asker, lambda: self._reply(connection, number, sent))

        deliver = lambda: target.handler.request(peer, carried, _once(answered))  # noqa: E731
        self._send(connection, asker, target, deliver)

    def _reply(self, connection: Connection, number: int, answer: Any) -> None:
        waiting = connection.pending.pop(number, None)
        if waiting is not None:
            _, _, done, timer = waiting
            timer.cancel()
            done(answer)

    def _expired(self, connection: Connection, number: int) -> None:
        waiting = connection.pending.pop(number, None)
        if waiting is not None:
            waiting[2](Unreachable(waiting[1], sent=True))

    def cast(self, sender: Endpoint, to: int, message: Any) -> None:
        """Tell another endpoint something, perhaps in vain."""
        is_raft = isinstance(message, RaftBatch)
        if is_raft:
            self.on_raft(message)
        connection = self._connect(sender.id, to)
        chance = self.world.random.random
        if connection is None or chance() < self.weather.lost:
            return
        target = _other(connection, sender)
        peer = SimPeer(connection, target, sender)
        for _ in range(2 if is_raft and chance() < self.weather.doubled else 1):
            carried = carry(message)
            self._send(
                connection,
                sender,
                target,
                lambda carried=carried: target.handler.cast(peer, carried),  # type: ignore[misc]
                in_order=not is_raft,
            )


class SimPeer:
    """The other end of a connection, as a handler sees it: `cast` goes back on the same connection."""

    def __init__(self, connection: Connection, here: Endpoint, there: Endpoint) -> None:
        self._connection = connection
        self._here = here
        self._there = there
        self.identity = there.identity

    @property
    def closed(self) -> bool:
        return self._connection.closed_at is not None

    def on_closed(self, callback: Callable[[], None]) -> None:
        if self.closed:
            self._here.process.call_soon(callback)
        else:
            self._connection.on_closed.append((self._here, callback))

    def cast(self, message: Any) -> None:
        if not self.closed and self._here.process.alive:
            network = self._here.network
            carried = carry(message)
            there = self._there
            back = SimPeer(self._connection, there, self._here)
            network._send(self._connection, self._here, there, lambda: there.handler.cast(back, carried))


class SimPeers:
    """One process's view of the network: fulfils Peers."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def listen(self, on_up: Callable[[int, int, bool], None], on_down: Callable[[int], None]) -> None:
        self.endpoint.on_up.append(on_up)
        self.endpoint.on_down.append(on_down)

    def request(self, node: int, message: Any, done: Done, timeout_s: float = 10.0) -> None:
        here = self.endpoint
        if node == here.id:
            here.handler.request(None, message, done)
        else:
            here.network.request(here, node, message, _once(done), timeout_s)

    def cast(self, node: int, message: Any) -> None:
        here = self.endpoint
        if node == here.id:
            here.handler.cast(None, message)
        else:
            here.network.cast(here, node, message)

    def silent_s(self, node: int) -> float:
        here = self.endpoint
        network = here.network
        if node == here.id:
            return 0.0
        if node not in here.known:
            return float("inf")
        other = network.endpoints[node]
        since = network.silent_since.get((here.id, node))
        if since is None:
            return PING_S / 2 if other.process.alive and not other.process.paused else 2 * PING_S
        return (network.world.now - since) * here.process.rate

    def is_up(self, node: int) -> bool:
        here = self.endpoint
        return node == here.id or _pair(here.id, node) in here.network.connections


def _pair(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)


def _other(connection: Connection, endpoint: Endpoint) -> Endpoint:
    first, second = connection.ends
    return second if first is endpoint else first


def _answer(done: Done, answer: Any) -> Callable[[], None]:
    return lambda: done(answer)


def _told(listener: Callable[..., None], *arguments: Any) -> Callable[[], None]:
    return lambda: listener(*arguments)


def _once(done: Done) -> Done:
    """`done`, which notices when it is called twice: nobody may be answered twice."""
    called = False

    def checked(answer: Any) -> None:
        nonlocal called
        assert not called, f"answered twice, the second time with {answer!r}"
        called = True
        done(answer)

    return checked
