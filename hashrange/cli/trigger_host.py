"""What a program gives to the functions that it serves or runs: its view of the tables, its operations, its clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hashrange_router.api.context import RouterContext
from hashrange_router.api.dispatch import Dispatcher, OperationEntry

from hashrange.cli.functions.signing import ANY, Credentials
from hashrange.runtime.clock import Clock
from hashrange.runtime.telemetry import Telemetry
from hashrange.wire.documents import OnControlDocument
from hashrange.wire.messages import Transport


@dataclass(frozen=True, slots=True)
class Host:
    """What a program gives to its functions. `secrets` are the configured credentials, none where any are taken."""

    context: RouterContext
    entries: dict[bytes, OperationEntry]
    transport: Transport
    dispatcher: Dispatcher
    telemetry: Telemetry
    clock: Clock
    subscribe_controls: Callable[[OnControlDocument], None]
    secrets: dict[str, str]

    @property
    def credentials(self) -> Credentials:
        """What programs of this installation sign with."""
        for access_key, secret in self.secrets.items():
            return Credentials(access_key, secret)
        return ANY
