"""The settings of a pool, from those of the program that it is part of."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from hashrange_router.triggers.settings import PoolSettings

ANYONE = "hashrange"


class Settings(Protocol):
    """What the embedded server and a trigger pool are configured with alike."""

    @property
    def region(self) -> str: ...

    @property
    def function_concurrency(self) -> int: ...

    @property
    def function_workers(self) -> int: ...

    @property
    def function_idle_s(self) -> float: ...

    @property
    def function_endpoint(self) -> str | None: ...

    def secrets(self) -> dict[str, str]:
        """Access key to secret; empty when any credentials are accepted."""
        ...


def pool_settings(
    config: Settings, work_dir: Path, own_endpoint: str, hidden: tuple[Path, ...]
) -> PoolSettings:
    """How functions run here. They find the first access key that is configured in their environment."""
    access_key, secret = next(iter(config.secrets().items()), (ANYONE, ANYONE))
    return PoolSettings(
        work_dir=work_dir.absolute(),
        region=config.region,
        endpoint_url=(config.function_endpoint or own_endpoint).rstrip("/"),
        access_key_id=access_key,
        secret_access_key=secret,
        account_concurrency=config.function_concurrency,
        workers_max=config.function_workers,
        idle_s=config.function_idle_s,
        hidden=tuple(path.absolute() for path in hidden),
    )
