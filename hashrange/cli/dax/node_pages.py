"""What a cache node tells on its admin port besides what a router does.

GET  /dax/stats       {"id", "cluster", "state", "primary", "metrics": {name in AWS/DAX, or of its own: number}}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from hashrange_router.http.request import Request

from hashrange.cli.dax.pages import JSON, STATS_PATH
from hashrange.runtime.cluster_config import DaxConfig

if TYPE_CHECKING:
    from hashrange.cli.dax_server import DaxServer


class NodePages:
    """The pages of one cache node (`admin.MorePages`)."""

    def __init__(self, server: DaxServer) -> None:
        self._server = server

    def admin(self, request: Request, path: bytes) -> bool:
        """Answer a GET; False if it is no page of these."""
        if path != STATS_PATH.encode():
            return False
        request.reply(200, orjson.dumps(stats_of(self._server)), JSON)
        return True

    def command(self, request: Request, path: bytes, document: dict[str, Any]) -> bool:
        """A cache node takes no commands."""
        return False


def stats_of(server: DaxServer) -> dict[str, Any]:
    """What a node has counted since its start."""
    config = server.config
    assert isinstance(config, DaxConfig)
    told: dict[str, float] = dict(server.tier.metrics.snapshot())
    coherence = server.coherence
    told["KnownRequests"] = len(server.cached.memo)
    told["KnownRequestsBytes"] = server.cached.memo.used_bytes
    if server.lists is not None:
        told["AttributeLists"] = server.lists.lists
        told["AttributeListsBytes"] = server.lists.names_bytes
        told["AttributeListsRefused"] = server.lists.refused
    return {
        "id": config.node_id,
        "cluster": config.cluster,
        "state": server.not_ready() or "ready",
        "primary": coherence is not None and coherence.is_primary,
        "metrics": told,
    }
