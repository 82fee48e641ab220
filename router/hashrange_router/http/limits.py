"""Everything the HTTP front bounds: sizes, counts and times of one server, validated as a whole.

The protocol's own figures (16 MiB bodies, 16 KB of headers) are the service's; the others keep one client,
hostile or merely slow, from holding the memory or the sockets of all the others.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits of one HTTP server. Sizes are bytes, times are seconds."""

    head_bytes_max: int = 16 * 1024
    """Request line and header block together. Also the piece in which input is parsed (see connection.py)."""

    body_bytes_max: int = 16 * 1024 * 1024
    """Body of one request, before and after inflation; beyond it the answer is 413."""

    long_body_prefix: bytes = b""
    """Targets that begin like this take longer bodies, if it is set: `long_body_bytes_max`."""

    long_body_bytes_max: int = 16 * 1024 * 1024
    """Body of one request to such a target, before and after inflation."""

    body_bytes_total_max: int = 1024 * 1024 * 1024
    """Bodies still arriving, over all connections; beyond it the answer is 503."""

    connections_max: int = 10_000
    """Open connections; one more is answered 503 and closed."""

    requests_in_flight_max: int = 32
    """Requests of one connection given to the application and not answered yet; beyond it reading pauses."""

    write_buffer_bytes: int = 256 * 1024
    """Unsent reply bytes of one connection above which no further request of it is dispatched."""

    compress_from_bytes: int = 4 * 1024
    """Replies larger than this are compressed for clients that accept gzip."""

    head_timeout_s: float = 30.0
    """From the first byte of a request to the end of its header block."""

    body_timeout_s: float = 300.0
    """From the first byte of a request to its last."""

    write_stall_timeout_s: float = 120.0
    """A client that takes none of its reply for so long is cut off."""

    idle_timeout_s: float = 3600.0
    """A connection between requests. SDKs keep pools open and expect them to last."""

    linger_s: float = 2.0
    """After a refused request: how long its remaining input is read and thrown away, so that the client gets
    to read the refusal (closing with unread input makes the kernel reset the connection)."""

    backlog: int = 2048
    """Connections the kernel holds before they are accepted."""

    cors_origins: tuple[str, ...] = ("*",)
    """Origins whose pages may read answers (CORS); `*` allows all, as the service does."""

    keep_trailers: bool = False
    """Whether the trailers of chunked requests are kept, among the headers as `trailer:<name>`; else dropped."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if name in ("cors_origins", "keep_trailers", "long_body_prefix"):
                continue
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive")
        if self.head_bytes_max < 256:
            raise ValueError("head_bytes_max must be at least 256 bytes")
        if self.body_bytes_max < self.head_bytes_max:
            raise ValueError("body_bytes_max must not be smaller than head_bytes_max")
        longest = self.long_body_bytes_max if self.long_body_prefix else 0
        if self.body_bytes_total_max < max(self.body_bytes_max, longest):
            raise ValueError("body_bytes_total_max must not be smaller than body_bytes_max")
        if self.body_timeout_s < self.head_timeout_s:
            raise ValueError("body_timeout_s counts from the first byte and must not be below head_timeout_s")

    def body_max(self, target: bytes) -> int:
        """Bytes that the body of a request to this target may have."""
        if self.long_body_prefix and target.startswith(self.long_body_prefix):
            return self.long_body_bytes_max
        return self.body_bytes_max

    @property
    def sweep_interval_s(self) -> float:
        """How often connections are checked for passed deadlines: often enough for the shortest of them."""
        shortest = min(self.head_timeout_s, self.write_stall_timeout_s, self.idle_timeout_s, self.linger_s)
        return max(0.02, min(5.0, shortest / 4))
