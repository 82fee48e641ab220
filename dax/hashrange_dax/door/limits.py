"""What the wire door bounds, so that no client holds the memory or the sockets of all the others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WireLimits:
    """Limits of one door. Sizes are bytes, times are seconds."""

    message_bytes_max: int = 20 * 1024 * 1024
    """One request. That of a batch of 25 items of 400 KB each has 10 MB."""

    buffered_bytes_max: int = 512 * 1024 * 1024
    """Requests that are not complete yet, over all connections; beyond it connections are closed."""

    ahead_bytes_max: int = 256 * 1024
    """Requests that a client sends before the one in front of them is answered; beyond it reading pauses."""

    connections_max: int = 10_000
    """Open connections; one more is closed at once, as there is nothing that it could be told."""

    write_buffer_bytes: int = 1024 * 1024
    """Unsent reply bytes of a connection above which no further request of it is looked at."""

    message_timeout_s: float = 120.0
    """From the first byte of a request to its last, and for a client that does not take its replies."""

    idle_timeout_s: float = 3600.0
    """A connection between requests. Clients keep pools open and expect them to last."""

    handshake_timeout_s: float = 60.0
    """From the connection to the end of the handshake; TLS has its own before."""

    backlog: int = 2048
    """Connections the kernel holds before they are accepted."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive")

    @property
    def sweep_interval_s(self) -> float:
        """How often connections are checked for passed deadlines: often enough for the shortest of them."""
        shortest = min(self.message_timeout_s, self.idle_timeout_s, self.handshake_timeout_s)
        return max(0.02, min(5.0, shortest / 4))
