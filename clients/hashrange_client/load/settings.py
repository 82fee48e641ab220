"""What a run of the load generator does; travels to the worker processes as JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import Any
from urllib.parse import urlsplit

from hashrange_client.load import distributions, schedule, shape, ycsb_shape
from hashrange_client.load.workloads import NAMES, WORKLOADS, Workload, parse_mix

RAW, BOTO3, DAX = "raw", "boto3", "dax"
CLIENTS = (RAW, BOTO3, DAX)
SCHEMES = ("http", "https")
DAX_ACTS = ("get", "strong-get", "put", "insert", "update", "delete", "query", "scan", "read-modify-write")
"""What the DAX client can do."""


class LoadError(Exception):
    """A run that cannot go on, with a sentence for whoever started it."""


@dataclasses.dataclass(frozen=True)
class LoadSettings:
    """One run. `count` requests in all, or as many as fit in `duration_s`; `rate` is requests per second (open loop).

    With `consistent_reads` every read that can be is strongly consistent. `mix` is a workload of one's own
    (`get=0.5,put=0.5`), `distribution` "" that of the workload. `group` is how many items a batch or a transaction has.
    At a fixed rate `backlog` requests may wait for a connection; what is due beyond that is not sent, but counted.
    `endpoint` is where tables are made; `dax_endpoint` (`dax://host:port`) is where the DAX client sends its load.
    `process` is the number of this worker process and `crew` how many there are.
    """

    endpoint: str = "http://127.0.0.1:8000"
    workload: str = "mix"
    table: str = "hashrange-bench"
    connections: int = 16
    processes: int = 1
    duration_s: float = 10.0
    count: int | None = None
    rate: float | None = None
    items: int = 10_000
    item_bytes: int = 500
    warm_up_s: float = 1.0
    access_key: str | None = None
    secret: str | None = None
    region: str = "us-east-1"
    seed: int = 1
    consistent_reads: bool = False
    mix: str = ""
    distribution: str = ""
    hot_keys: int = 1
    hot_share: float = 0.8
    group: int = 10
    arrivals: str = schedule.CONSTANT
    backlog: int = 10_000
    client: str = RAW
    dax_endpoint: str = ""
    process: int = 0
    crew: int = 1

    def check(self) -> None:
        """Raise `LoadError` for the first setting that makes no sense."""
        if not self.mix and self.workload not in WORKLOADS:
            raise LoadError(f"there is no workload {self.workload!r}; choose one of {', '.join(NAMES)}")
        try:
            plan = self.plan
        except ValueError as error:
            raise LoadError(str(error)) from None
        parts = urlsplit(self.endpoint)
        if parts.scheme not in SCHEMES or not parts.hostname or not _has_port(self.endpoint):
            raise LoadError(f"{self.endpoint!r} is no endpoint; write it like http://127.0.0.1:8000")
        if self.connections < self.processes:
            raise LoadError("every process needs a connection; give fewer processes or more connections")
        if self.items < 10:
            raise LoadError("queries read ten items; give at least 10 items")
        if self.items < 2 * self.group and any(act.startswith(("batch", "transact")) for act, _ in plan.acts):
            raise LoadError(f"{self.group} different items are drawn from {self.items}; give more --items")
        self._check_names(plan)

    def _check_names(self, plan: Workload) -> None:
        if self.distribution and self.distribution not in distributions.DISTRIBUTIONS:
            known = ", ".join(distributions.DISTRIBUTIONS)
            raise LoadError(f"there is no distribution {self.distribution!r}; choose one of {known}")
        if not 0.0 <= self.hot_share <= 1.0:
            raise LoadError("the share of hot keys is between 0 and 1, such as 0.8")
        if self.arrivals not in schedule.ARRIVALS:
            raise LoadError(f"there are no {self.arrivals!r} arrivals; choose constant or poisson")
        if self.client not in CLIENTS:
            raise LoadError(f"there is no client {self.client!r}; choose one of {', '.join(CLIENTS)}")
        if self.client == DAX:
            for act, _ in plan.acts:
                if act not in DAX_ACTS:
                    raise LoadError(f"the DAX client has no {act}; use --client raw on the cache's HTTP port")
            if self.dax_endpoint and not (
                urlsplit(self.dax_endpoint).hostname and _has_port(self.dax_endpoint)
            ):
                raise LoadError(
                    f"{self.dax_endpoint!r} is no DAX endpoint; write it like dax://127.0.0.1:8111"
                )
            if self.access_key:
                raise LoadError("the DAX client does not sign; leave --sign away")

    def checked(self) -> LoadSettings:
        """With the workload's own table and size of items where they are left open ("" and 0); raises `LoadError`."""
        if self.mix or self.workload in WORKLOADS:
            try:
                plan = self.plan
            except ValueError as error:
                raise LoadError(str(error)) from None
            table, item_bytes = self.table or plan.table, self.item_bytes or plan.item_bytes
            if item_bytes < plan.min_item_bytes:
                raise LoadError(f"an item has at least {plan.min_item_bytes} bytes; raise --value-bytes")
            filled = dataclasses.replace(self, table=table, item_bytes=item_bytes)
        else:
            filled = self
        filled.check()
        return filled

    @property
    def plan(self) -> Workload:
        """The workload; raises ValueError when there is none like that."""
        return parse_mix(self.mix) if self.mix else WORKLOADS[self.workload]

    @property
    def keys_drawn(self) -> str:
        """The distribution of the keys."""
        return self.distribution or self.plan.distribution

    @property
    def base_items(self) -> int:
        """Items that requests are for: whole partitions, since a query reads a whole one."""
        per_partition = ycsb_shape.PER_PARTITION if self.plan.ycsb else shape.PER_PARTITION
        return self.items - self.items % per_partition

    @property
    def host(self) -> str:
        """Host name of the endpoint."""
        return urlsplit(self.endpoint).hostname or ""

    @property
    def tls(self) -> bool:
        """Whether the endpoint is reached through TLS."""
        return urlsplit(self.endpoint).scheme == "https"

    @property
    def port(self) -> int:
        """TCP port of the endpoint."""
        return urlsplit(self.endpoint).port or (443 if self.tls else 80)

    @property
    def dax_address(self) -> tuple[str, int]:
        """Where the DAX client connects to: without an endpoint of its own, port 8111 of the endpoint's host."""
        parts = urlsplit(self.dax_endpoint or f"dax://{self.host}:8111")
        return parts.hostname or "", parts.port or 8111

    def share(self, process: int) -> LoadSettings:
        """The part of this run that the process of this number does."""

        def part(whole: int) -> int:
            return whole // self.processes + (1 if process < whole % self.processes else 0)

        return dataclasses.replace(
            self,
            connections=part(self.connections),
            processes=1,
            count=None if self.count is None else part(self.count),
            rate=None if self.rate is None else self.rate / self.processes,
            backlog=max(1, part(self.backlog)),
            seed=self.seed + process,
            process=process,
            crew=self.processes,
        )

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(dataclasses.asdict(self))

    @staticmethod
    def from_json(text: str) -> LoadSettings:
        """The inverse of `to_json`."""
        fields: dict[str, Any] = json.loads(text)
        return LoadSettings(**fields)


def _has_port(url: str) -> bool:
    """Whether the port of a URL is a number, or left out."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False
