"""How the nodes of a cache cluster keep their caches alike (see `peers`)."""

from hashrange_dax.coherence.peers import LiveNode, PeerCoherence, PeerStatistics
from hashrange_dax.coherence.receiving import LocalTier

__all__ = ["LiveNode", "LocalTier", "PeerCoherence", "PeerStatistics"]
