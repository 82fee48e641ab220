"""Settings of the pool: where it works, what its workers are told, and the limits that bound them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


def _default_workers() -> int:
    return max(16, 16 * (os.cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """One pool's settings. Times in seconds, sizes in bytes unless the name says otherwise."""

    work_dir: Path
    """The pool's own directory: unpacked code, directories of workers, log files. Made when it is missing."""

    region: str = "us-east-1"
    account: str = "000000000000"

    endpoint_url: str = ""
    """AWS_ENDPOINT_URL in workers, so that SDKs in handlers reach this store. Empty: not set."""

    access_key_id: str = "hashrange"
    secret_access_key: str = "hashrange"
    session_token: str = ""
    """Credentials that handlers find in their environment."""

    account_concurrency: int = 1000
    """Invocations at once over all functions and all pools."""

    workers_max: int = 0
    """Worker processes of this pool; beyond it idle ones make room, then invocations wait. 0: by the CPUs."""

    queue_wait_s: float = 10.0
    """How long an invocation waits for a worker while `workers_max` are busy, before it is throttled."""

    idle_s: float = 600.0
    """A worker that had nothing to do for so long is stopped."""

    init_timeout_s: float = 10.0
    """From the start of a worker until it asks for its first event; a function with a longer timeout has that."""

    cpu_quota: bool = False
    """Cap the CPU of a worker in proportion to its memory (one CPU at 1,769 MB) even when the machine is idle.
    Off, the proportion only decides who goes first. Needs cgroups."""

    own_user: bool = True
    """As root: run each function as a user of its own, without any right."""

    first_uid: int = 210_000
    """Users of functions are numbered from here (10,000 of them), if `own_user`."""

    hidden: tuple[Path, ...] = ()
    """Directories that workers do not see, where the machine allows it (data directories); homes and the pool's own
    are hidden anyway."""

    silence_s: float = 4.5
    """The guard kills every worker when the pool has not been heard of for so long. Others take the pool's work over
    no earlier (`mapping.leases`)."""

    log_file_bytes: int = 10 * 1024 * 1024
    log_files: int = 5
    """A function's log goes to files of so many bytes, of which so many are kept."""

    log_memory_bytes: int = 4 * 1024 * 1024
    """The latest lines of each function's log, kept in memory for those who follow it."""

    code_cache_bytes: int = 2 * 1024 * 1024 * 1024
    """Unpacked packages that no worker uses are removed beyond this."""

    def __post_init__(self) -> None:
        for name in ("account_concurrency", "queue_wait_s", "idle_s", "init_timeout_s", "silence_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive")
        if self.workers_max < 0 or self.log_files < 1 or self.log_file_bytes < 1 or self.log_memory_bytes < 1:
            raise ValueError("limits of workers and logs must be positive")

    @property
    def workers(self) -> int:
        """Worker processes at most."""
        return self.workers_max or _default_workers()
