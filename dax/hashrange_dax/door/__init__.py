"""The wire door: the listener of the DAX protocol, its connections, and what becomes of their requests.

    door = WireDoor(tier, backend, attribute_lists, endpoints, secrets, region, clock, metrics, limits)
    await door.listen("127.0.0.1", 8111, None)
    ...
    await door.drain(grace_s=10)

Modules: `listener` (listening, time, draining), `connection` (bytes in, messages out of them, one answer at a time),
`exchange` (one request from its arguments to its reply), `limits`.
"""

from __future__ import annotations

from .exchange import Endpoint
from .limits import WireLimits
from .listener import WireDoor

__all__ = ["Endpoint", "WireDoor", "WireLimits"]
