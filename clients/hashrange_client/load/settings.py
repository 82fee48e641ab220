"""What a run of the load generator does; travels to the worker processes as JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import Any
from urllib.parse import urlsplit

WORKLOADS = ("get", "put", "update", "query", "mix")


class LoadError(Exception):
    """A run that cannot go on, with a sentence for whoever started it."""


@dataclasses.dataclass(frozen=True)
class LoadSettings:
    """One run. `count` requests in all, or as many as fit in `duration_s`; `rate` is requests per second.

    With `consistent_reads` every GetItem and Query asks for a strongly consistent read.
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

    def check(self) -> None:
        """Raise `LoadError` for the first setting that makes no sense."""
        if self.workload not in WORKLOADS:
            raise LoadError(f"there is no workload {self.workload!r}; choose one of {', '.join(WORKLOADS)}")
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise LoadError(f"{self.endpoint!r} is no endpoint; write it like http://127.0.0.1:8000")
        if self.connections < self.processes:
            raise LoadError("every process needs a connection; give fewer processes or more connections")
        if self.items < 10:
            raise LoadError("queries read ten items; give at least 10 items")

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

    def share(self, process: int) -> LoadSettings:
        """The part of this run that the process of this number does."""

        def part(whole: int) -> int:
            return whole // self.processes + (1 if process < whole % self.processes else 0)

        connections = part(self.connections)
        return dataclasses.replace(
            self,
            connections=connections,
            processes=1,
            count=None if self.count is None else part(self.count),
            rate=None if self.rate is None else self.rate * connections / self.connections,
            seed=self.seed + process,
        )

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(dataclasses.asdict(self))

    @staticmethod
    def from_json(text: str) -> LoadSettings:
        """The inverse of `to_json`."""
        fields: dict[str, Any] = json.loads(text)
        return LoadSettings(**fields)
