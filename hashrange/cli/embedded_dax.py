"""Cache nodes of the embedded server: child processes, the discovery address, and the door that they reach tables by.

    cache = await start_cache(server)      # once the server listens; the default cluster is made
    await cache.stop()

What belongs to the nodes lies in `dax/` below the data directory: configuration, credentials, logs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hashrange_router.dax.lifecycle import ensure_cluster
from hashrange_router.dax.setting import DaxSite, cluster_document

from hashrange.cli.children import describe_exit, own_program, start_child
from hashrange.cli.dax.discovery import Discovery
from hashrange.cli.dax.embedded_door import EmbeddedDoor
from hashrange.cli.dax.fleet import Fleet, Key, Running, Wanted
from hashrange.cli.dax.sending import carry_out
from hashrange.model import dax
from hashrange.model.dax import ports_of
from hashrange.runtime.cluster_config import format_address
from hashrange.runtime.cluster_settings import as_toml
from hashrange.runtime.config import EndpointConfig, LogConfig, ServeConfig
from hashrange.runtime.logging import get_logger
from hashrange.runtime.startup import StartupError

if TYPE_CHECKING:
    from hashrange.cli.embedded import EmbeddedServer

FOLDER = "dax"
DEFAULT_CLUSTER = "dax"
EVERYWHERE = ("0.0.0.0", "::")
BASES_TRIED = 200
LOWEST_BASE = 20_000
HIGHEST_BASE = 32_000
"""Below the ports that the kernel gives to outgoing connections."""

LOG_TAIL_BYTES = 4 << 10

SHARED = frozenset(EndpointConfig.model_fields) | frozenset(LogConfig.model_fields)
OWN = frozenset(("host", "port", "credentials", "credentials_file", "log_format"))

log = get_logger("dax")


def dax_host(config: ServeConfig) -> str:
    """The host that clients reach cache nodes by."""
    if config.dax_host is not None:
        return config.dax_host
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)


def base_port(config: ServeConfig) -> int:
    """The first of the ports of cache clusters: as configured, or one with free ports behind it; StartupError."""
    if config.dax_port:
        # Another server's cache at this address would take clients to the wrong tables.
        first = ports_of(config.dax_port, 0)
        for port in (first.wire, first.http):
            if port == config.port or not _is_free(config.host, port):
                raise StartupError(
                    f"port {port} is in use, which DAX clients are to be served at; stop the program that listens "
                    "there (ss -ltnp shows it), or choose others with --dax-port (0 picks)"
                )
        return config.dax_port
    for _ in range(BASES_TRIED):
        base = random.randrange(LOWEST_BASE, HIGHEST_BASE, dax.PORTS)
        if all(_is_free(config.host, port) for slot in range(4) for port in ports_of(base, slot)):
            return base
    raise StartupError("no free ports were found for cache nodes; name some with --dax-port")


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


class Children:
    """The processes (`fleet.Host`). `settings` are those of every node."""

    def __init__(
        self, directory: Path, settings: dict[str, Any], base: int, host: str, grace_s: float
    ) -> None:
        self.directory = directory
        self._settings = settings
        self._base = base
        self._host = host
        self._grace_s = grace_s
        self._program = own_program()
        self._running: dict[Key, tuple[Running, asyncio.subprocess.Process]] = {}
        self._ending: set[Key] = set()
        self._watchers: set[asyncio.Task[None]] = set()
        self.fleet: Fleet | None = None

    def running(self) -> Mapping[Key, Running]:
        """All processes that are there."""
        return {key: running for key, (running, _) in self._running.items()}

    def held(self) -> Collection[Key]:
        """Nobody stops nodes by hand here."""
        return ()

    def keep(self, wanted: Collection[Key]) -> None:
        """Nothing is known of nodes without a process."""

    async def begin(self, node: Wanted) -> None:
        """Start a node."""
        process = secrets.token_hex(8)
        folder = self.directory / node.node_id
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        config = folder / "config.toml"
        config.touch(mode=0o600)
        config.write_text(as_toml(self.settings_of(node, process)), encoding="utf-8")
        child = await start_child(self._program, "dax", config, folder / "log.txt")
        self._running[node.key] = Running(node, process), child
        watcher = asyncio.get_running_loop().create_task(self._watch(node.key, child))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)

    def settings_of(self, node: Wanted, process: str) -> dict[str, Any]:
        """A node's configuration file."""
        ports = ports_of(self._base, node.slot)
        return {
            **self._settings,
            "id": node.number,
            "az": node.zone,
            "cluster": node.cluster,
            "node": node.node_id,
            "port": ports.http,
            "dax_port": ports.wire,
            "peer_port": ports.peer,
            "admin_port": ports.admin,
            "advertise_host": self._host,
            "reboots": node.reboots,
            "process": process,
        }

    async def _watch(self, key: Key, child: asyncio.subprocess.Process) -> None:
        code = await child.wait()
        self._running.pop(key, None)
        if self.fleet is None:
            return
        if key in self._ending:
            self.fleet.wake()
        else:
            self.fleet.died(key, f"{describe_exit(code)}{self._last_words(key) if code > 0 else ''}")

    def _last_words(self, key: Key) -> str:
        """The last line that a node wrote."""
        try:
            with (self.directory / key[1] / "log.txt").open("rb") as log_file:
                log_file.seek(max(0, log_file.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
                lines = log_file.read().decode("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        return f": {lines[-1]}" if lines else ""

    async def end(self, key: Key) -> None:
        """Stop a node gracefully, in the end by force."""
        if key not in self._running:
            return
        child = self._running[key][1]
        self._ending.add(key)
        try:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(child.wait(), self._grace_s)
            except TimeoutError:
                log.warning("a cache node did not stop in time and is killed", node=key[1])
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
        finally:
            self._ending.discard(key)

    async def end_all(self) -> None:
        """Stop every node."""
        self.fleet = None
        await asyncio.gather(*(self.end(key) for key in list(self._running)))
        await asyncio.gather(*self._watchers)


class EmbeddedCache:
    """The cache tier of an embedded server. Made by `start_cache`."""

    def __init__(
        self,
        door: EmbeddedDoor,
        discovery: Discovery,
        children: Children,
        fleet: Fleet,
        urls: tuple[str, str],
        temporary: Path | None,
    ) -> None:
        """`urls` are those of the default cluster: for DAX clients, and for all others."""
        self.urls = urls
        self.door = door
        self.discovery = discovery
        self.children = children
        self.fleet = fleet
        self._temporary = temporary

    async def stop(self) -> None:
        """Stop the nodes, while the server still answers them."""
        await self.discovery.stop()
        await self.fleet.stop()
        await self.children.end_all()
        await self.door.stop()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


def _settings(config: ServeConfig, door: EmbeddedDoor, credentials: Path | None) -> dict[str, Any]:
    """What every node is configured with: as the server is, and how to reach it."""
    shared = {
        name: value for name, value in config.model_dump().items() if name in SHARED and name not in OWN
    }
    return {
        **shared,
        "host": config.host,
        "admin_host": "127.0.0.1",
        "log_format": "text",
        "seeds": [door.seed],
        "pass_key": door.pass_key,
        "memory_mb": config.dax_memory_mb,
        "credentials_file": str(credentials) if credentials is not None else None,
    }


def _write_credentials(directory: Path, known: Mapping[str, str]) -> Path | None:
    """The keys that the server knows, in a file of the format of ~/.aws/credentials."""
    if not known:
        return None
    path = directory / "credentials"
    path.touch(mode=0o600)
    path.write_text(
        "".join(
            f"[key-{number}]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
            for number, (key, secret) in enumerate(known.items(), start=1)
        ),
        encoding="utf-8",
    )
    return path.absolute()


async def start_cache(server: EmbeddedServer, site: DaxSite) -> EmbeddedCache:
    """Let a server that listens have cache nodes; makes the default cluster, of one node, if there is none."""
    config = server.config
    temporary = Path(tempfile.mkdtemp(prefix="hashrange-dax-")) if config.in_memory else None
    directory = temporary or config.data_dir.absolute() / FOLDER
    directory.mkdir(mode=0o700, exist_ok=True)
    door = EmbeddedDoor(server.node)
    await door.start()
    credentials = _write_credentials(directory, config.secrets())
    children = Children(
        directory,
        _settings(config, door, credentials),
        site.base_port,
        site.host,
        config.shutdown_grace_s + 5.0,
    )
    fleet = Fleet(server.dax_pages, children, lambda sentence: log.info(sentence))
    children.fleet = fleet
    controls = server.context.controls
    for kind in (dax.CLUSTER, dax.NODE):
        controls.watch(kind, lambda name: fleet.wake())
    discovery = Discovery(controls, config.host, site.base_port)
    try:
        await carry_out(server.node, ensure_cluster(server.context, site, DEFAULT_CLUSTER, 1))
    except BaseException:
        await door.stop()
        raise
    cache = EmbeddedCache(door, discovery, children, fleet, _urls(server, site), temporary)
    discovery.start()
    fleet.start()
    return cache


def _urls(server: EmbeddedServer, site: DaxSite) -> tuple[str, str]:
    """Where the default cluster is found."""
    cluster = cluster_document(server.context.controls, DEFAULT_CLUSTER)
    ports = site.ports(cluster["Slot"] if cluster is not None else 0)
    scheme = "daxs" if cluster is not None and cluster["Encryption"] == "TLS" else "dax"
    return (
        f"{scheme}://{format_address(site.host, ports.wire)}",
        f"http://{format_address(site.host, ports.http)}",
    )
