"""How a local cluster is laid out: its processes, ports, directories and configuration files.

Pure, but for reading and writing `cluster.json`, which holds all of it:

    DIR/cluster.json        what belongs to the cluster, with process ids and addresses
    DIR/LOCK                locked while `hashrange cluster up` runs
    DIR/control             socket of the supervisor
    DIR/node-1/             config.toml, log.txt, data/
    DIR/router-1/           config.toml, log.txt
    DIR/triggers-1/         config.toml, log.txt, work/ (code and logs of functions)
    DIR/dax-1/              config.toml, log.txt

Cache nodes are there because the control plane wants them: each has the number of its slot (`hashrange.model.dax`).

A cluster takes ports from one base: routers share the base itself, and each of the first ten has a port
for its console; each process has ports of its own above it (`PORTS` in all). Clusters whose bases are
that far apart fit on one machine.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hashrange.model.dax import PORTS as DAX_RANGE
from hashrange.model.dax import ports_of
from hashrange.runtime.cluster_config import format_address

FORMAT = 1
STATE_NAME = "cluster.json"
NODE = "node"
ROUTER = "router"
TRIGGERS = "triggers"
DAX = "dax"
CONSOLE_PORTS = 89
CONSOLES_MAX = 10
NODE_PORTS = 100
NODE_ADMIN_PORTS = 200
ROUTER_ADMIN_PORTS = 300
TRIGGERS_PORTS = 400
TRIGGERS_ADMIN_PORTS = 500
DAX_PORTS = 600
PORTS = DAX_PORTS + DAX_RANGE
PROCESSES_MAX = 99

ADMIN_PORTS = {NODE: NODE_ADMIN_PORTS, ROUTER: ROUTER_ADMIN_PORTS, TRIGGERS: TRIGGERS_ADMIN_PORTS}

EDIT = "edit"
READ = "read"
"""What a console may do."""

STARTING = "starting"
READY = "ready"
STOPPED = "stopped"
FAILED = "failed"


class LayoutError(Exception):
    """A cluster cannot be laid out, found or used like this; the text is a sentence for the user."""


@dataclass(slots=True)
class Process:
    """One process of a cluster. `started` is its start time in the kernel's ticks: with the pid it names it.

    `state` is the supervisor's view: starting, ready, stopped (asked to), failed (ended by itself or killed). `dax` are
    the settings of a cache node that the control plane decides.
    """

    role: str
    id: int
    az: str
    pid: int | None = None
    started: int | None = None
    state: str = STOPPED
    exit: str = ""
    dax: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`node-1`, `router-1`, `triggers-1`, `dax-1`."""
        return f"{self.role}-{self.id}"


@dataclass(slots=True)
class Layout:
    """A cluster on this machine. `initial` are the nodes it began with; `settings` go to every node, the others to
    every router and every trigger pool.

    `boot` names the run of the machine that the process ids belong to.
    """

    directory: Path
    base_port: int
    host: str
    region: str
    azs: int
    initial: list[int]
    settings: dict[str, Any] = field(default_factory=dict)
    router_settings: dict[str, Any] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    next_node: int = 1
    supervisor_pid: int | None = None
    supervisor_started: int | None = None
    boot: str = ""
    trigger_settings: dict[str, Any] = field(default_factory=dict)
    dax_nodes: int = 0
    """Nodes of the default cache cluster when it is made; 0: it is not."""
    dax_settings: dict[str, Any] = field(default_factory=dict)
    region_settings: dict[str, Any] = field(default_factory=dict)
    """About other regions: of nodes and routers, which alone speak to them."""
    console: str = ""
    """Whether routers serve the console: "", "read" or "edit"."""

    def of(self, role: str) -> list[Process]:
        """The processes of one role, by id."""
        return [process for process in self.processes if process.role == role]

    def find(self, role: str, number: int) -> Process:
        """One process; raises LayoutError when there is none."""
        for process in self.processes:
            if process.role == role and process.id == number:
                return process
        raise LayoutError(f"there is no {role} {number} in this cluster")

    def zone(self, number: int) -> str:
        """The zone that the n-th process of a role goes into."""
        return f"az{(number - 1) % self.azs + 1}"

    @property
    def zones(self) -> list[str]:
        """All zones that a process is in."""
        return sorted({process.az for process in self.processes}, key=lambda az: (len(az), az))

    def directory_of(self, process: Process) -> Path:
        """Where a process keeps its configuration, log and data."""
        return self.directory / process.name

    def address(self, process: Process) -> str:
        """HOST:PORT that a process serves: a router's or cache node's clients, a node's peers, a pool's routers."""
        return format_address(self.host, self._port(process))

    def _port(self, process: Process) -> int:
        if process.role == ROUTER:
            return self.base_port
        if process.role == DAX:
            return ports_of(self.dax_base_port, process.id).wire
        return self.base_port + (TRIGGERS_PORTS if process.role == TRIGGERS else NODE_PORTS) + process.id

    def admin_port(self, process: Process) -> int:
        """The port of a process's health, metrics and administration."""
        if process.role == DAX:
            return ports_of(self.dax_base_port, process.id).admin
        return self.base_port + ADMIN_PORTS[process.role] + process.id

    def admin_url(self, process: Process) -> str:
        """The URL of a process's admin port."""
        return f"http://{format_address(self.host, self.admin_port(process))}"

    @property
    def endpoint(self) -> str:
        """The URL that clients use."""
        return f"http://{format_address(self.host, self.base_port)}"

    @property
    def dax_base_port(self) -> int:
        """The first of the ports of cache clusters."""
        return self.base_port + DAX_PORTS

    @property
    def dax_endpoint(self) -> str:
        """The URL that DAX clients of the first cache cluster use."""
        return f"dax://{format_address(self.host, self.dax_base_port)}"

    def console_port(self, process: Process) -> int | None:
        """The port of a router's console, None where it has none."""
        if not self.console or process.role != ROUTER or process.id > CONSOLES_MAX:
            return None
        return self.base_port + CONSOLE_PORTS + process.id

    @property
    def console_url(self) -> str:
        """The URL of the first router's console, "" without one."""
        port = self.console_port(self.of(ROUTER)[0])
        return f"http://{format_address(self.host, port)}" if port is not None else ""

    def _console_of(self, process: Process) -> dict[str, Any]:
        """The settings of a router's console: it shows all processes, also those that no node knows of."""
        port = self.console_port(process)
        if port is None:
            return {}
        others = [each for role in (ROUTER, TRIGGERS) for each in self.of(role) if each.name != process.name]
        return {
            "console": True,
            "console_host": self.host,
            "console_port": port,
            "console_edit": self.console == EDIT,
            "console_sources": [format_address(self.host, self.admin_port(each)) for each in others],
        }

    def add_node(self, az: str | None) -> Process:
        """A further node, in the zone given or the one with the fewest nodes. Ids are never used again."""
        if az is not None and az not in {process.az for process in self.of(NODE)}:
            known = ", ".join(sorted({process.az for process in self.of(NODE)}))
            raise LayoutError(f"there is no zone {az} in this cluster; its zones are {known}")
        if self.next_node > PROCESSES_MAX:
            raise LayoutError(f"a cluster on one machine has at most {PROCESSES_MAX} nodes over its life")
        if az is None:
            counts = dict.fromkeys(self.zones, 0)
            for process in self.of(NODE):
                counts[process.az] += 1
            az = min(counts, key=lambda zone: (counts[zone], zone))
        process = Process(NODE, self.next_node, az)
        self.next_node += 1
        self.processes.append(process)
        return process

    def set_pools(self, count: int) -> None:
        """Let the cluster have so many trigger pools: they keep nothing, so that they may come and go."""
        self.processes = [each for each in self.processes if each.role != TRIGGERS or each.id <= count]
        there = {each.id for each in self.of(TRIGGERS)}
        self.processes += [
            Process(TRIGGERS, number, self.zone(number))
            for number in range(1, count + 1)
            if number not in there
        ]

    def config_of(self, process: Process) -> dict[str, Any]:
        """The settings of a process's configuration file."""
        common: dict[str, Any] = {
            "id": process.id,
            "az": process.az,
            "host": self.host,
            "region": self.region,
            "admin_host": self.host,
            "admin_port": self.admin_port(process),
            "log_format": "text",
            "fault_injection": True,
        }
        others = [each for each in self.of(NODE) if process.role != NODE or each.id != process.id]
        seeds = [f"{each.id}/{self.address(each)}" for each in others]
        if process.role == ROUTER:
            return {
                **common,
                "port": self.base_port,
                "reuse_port": True,
                "seeds": seeds,
                "dax_base_port": self.dax_base_port,
                "dax_zones": sorted({each.az for each in self.of(NODE)}),
                **self._console_of(process),
                **self.region_settings,
                **self.router_settings,
            }
        if process.role == DAX:
            return self._config_of_dax(process, {**common, "seeds": seeds})
        if process.role == TRIGGERS:
            return {
                **common,
                "port": self._port(process),
                "seeds": seeds,
                "function_endpoint": self.endpoint,
                "work_dir": str(self.directory_of(process).absolute() / "work"),
                "hide": [str(self.directory.absolute())],
                **self.trigger_settings,
            }
        members = []
        if process.id in self.initial:
            # All of them, also one that has left since: the list is what the cluster began with.
            for number in self.initial:
                founder = Process(NODE, number, self.zone(number))
                members.append(f"{number}/{founder.az}/{self.address(founder)}")
        return {
            **common,
            "port": self._port(process),
            "data_dir": str(self.directory_of(process).absolute() / "data"),
            "members": members,
            "seeds": seeds,
            **self.region_settings,
            **self.settings,
        }

    def _config_of_dax(self, process: Process, common: dict[str, Any]) -> dict[str, Any]:
        """A cache node enforces what routers do, and has settings of its own besides."""
        ports = ports_of(self.dax_base_port, process.id)
        return {
            **common,
            **self.router_settings,
            **self.dax_settings,
            "port": ports.http,
            "dax_port": ports.wire,
            "peer_port": ports.peer,
            **process.dax,
        }

    def to_json(self) -> dict[str, Any]:
        """The document that is kept in cluster.json; addresses are there for readers."""
        return {
            "format": FORMAT,
            "endpoint": self.endpoint,
            "base_port": self.base_port,
            "host": self.host,
            "region": self.region,
            "azs": self.azs,
            "initial": self.initial,
            "next_node": self.next_node,
            "settings": self.settings,
            "router_settings": self.router_settings,
            "trigger_settings": self.trigger_settings,
            "dax_nodes": self.dax_nodes,
            "dax_settings": self.dax_settings,
            "region_settings": self.region_settings,
            "console": self.console,
            "supervisor": {"pid": self.supervisor_pid, "started": self.supervisor_started},
            "boot": self.boot,
            "processes": [
                {
                    **asdict(process),
                    "address": self.address(process),
                    "metrics_url": self.admin_url(process) + "/metrics",
                    "log": str(self.directory_of(process) / "log.txt"),
                }
                for process in self.processes
            ],
        }

    def save(self) -> None:
        """Write cluster.json as a whole or not at all."""
        path = self.directory / STATE_NAME
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(self.to_json(), indent=2) + "\n", encoding="utf-8")
        draft.replace(path)


def load(directory: Path) -> Layout:
    """The cluster of a directory; raises LayoutError."""
    path = directory / STATE_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise LayoutError(f"{path} was written by another version of hashrange; use that one")
        names = Process.__slots__
        return Layout(
            directory=directory,
            base_port=document["base_port"],
            host=document["host"],
            region=document["region"],
            azs=document["azs"],
            initial=document["initial"],
            settings=document["settings"],
            router_settings=document["router_settings"],
            processes=[
                Process(**{name: each[name] for name in names if name in each})
                for each in document["processes"]
            ],
            next_node=document["next_node"],
            supervisor_pid=document["supervisor"]["pid"],
            supervisor_started=document["supervisor"]["started"],
            boot=document["boot"],
            trigger_settings=document.get("trigger_settings", {}),
            dax_nodes=document.get("dax_nodes", 0),
            dax_settings=document.get("dax_settings", {}),
            console=document.get("console", ""),
            region_settings=document.get("region_settings", {}),
        )
    except FileNotFoundError:
        raise LayoutError(
            f"there is no cluster in {directory}; name its directory with --data-dir, "
            "or start one with `hashrange cluster up`"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise LayoutError(f"{path} is damaged ({error!r}); correct it, or use another --data-dir") from None
    except OSError as error:
        raise LayoutError(f"{path} cannot be read ({error.strerror}); check its permissions") from None


def plan(
    directory: Path,
    *,
    azs: int,
    nodes: int,
    routers: int,
    base_port: int,
    region: str,
    host: str = "127.0.0.1",
    settings: dict[str, Any] | None = None,
    router_settings: dict[str, Any] | None = None,
    triggers: int = 0,
    trigger_settings: dict[str, Any] | None = None,
    dax_nodes: int = 0,
    dax_settings: dict[str, Any] | None = None,
    console: str = "",
) -> Layout:
    """A new cluster: nodes, routers and pools go round the zones; the first node of three zones is a founder."""
    if azs == 2:
        raise LayoutError("two zones cannot outvote one another: --azs is 1 (no replication), or 3 and more")
    if nodes < azs:
        raise LayoutError(f"{azs} zones need at least {azs} nodes; raise --nodes or lower --azs")
    if not 1 <= routers <= PROCESSES_MAX or nodes > PROCESSES_MAX:
        raise LayoutError(f"a cluster on one machine has 1 to {PROCESSES_MAX} nodes and routers")
    if not 1 <= base_port <= 65_535 - PORTS:
        raise LayoutError(
            f"--port is from 1 to {65_535 - PORTS}: a cluster takes {PORTS} ports from there on"
        )
    founders = [1] if azs == 1 else [1, 2, 3]
    layout = Layout(directory, base_port, host, region, azs, founders, settings or {}, router_settings or {})
    layout.processes = [Process(NODE, number, layout.zone(number)) for number in range(1, nodes + 1)]
    layout.processes += [Process(ROUTER, number, layout.zone(number)) for number in range(1, routers + 1)]
    layout.next_node = nodes + 1
    layout.trigger_settings = trigger_settings or {}
    layout.dax_nodes = dax_nodes
    layout.dax_settings = dax_settings or {}
    layout.console = console
    layout.set_pools(triggers)
    return layout


def make_directory(directory: Path) -> None:
    """Make a cluster's directory if need be; raises LayoutError for one that holds something else."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        mine = {STATE_NAME, "LOCK", "control"}
        if not (directory / STATE_NAME).exists() and any(
            each.name not in mine and not each.name.startswith(("node-", "router-", "triggers-", "dax-"))
            for each in directory.iterdir()
        ):
            raise LayoutError(f"{directory} holds something else than a cluster; give another --data-dir")
        if not os.access(directory, os.W_OK | os.X_OK):
            raise LayoutError(f"{directory} cannot be written by this user; give another --data-dir")
    except FileExistsError:
        raise LayoutError(f"{directory} is not a directory; give another --data-dir") from None
    except OSError as error:
        raise LayoutError(f"{directory} cannot be used ({error.strerror}); give another --data-dir") from None
