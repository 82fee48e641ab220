"""What a node needs to reach other regions. The program gives it an implementation; without one nothing is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class LinkDown(Exception):  # noqa: N818 (a state of the link, told as an outcome)
    """The other region was not reached, or did not answer as a region does. The text is for operators."""


Answered = Callable[["bytes | LinkDown"], None]


class RegionLinks(Protocol):
    """Links to other regions: HTTP to their routers, signed when credentials are configured."""

    def knows(self, region: str) -> bool:
        """Whether an endpoint of the region is configured."""
        ...

    def post(self, region: str, path: str, body: bytes, done: Answered) -> None:
        """Send to any router of the region; `done` gets the body of the answer, or why there is none, once."""
        ...
