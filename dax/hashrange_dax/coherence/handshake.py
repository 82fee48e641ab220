"""How two nodes show one another that they belong to the same cluster: each proves that it knows the cluster's key.

The key lies in the control plane (`secret`), which only programs of this installation can read. Each side signs both
nonces and all that was said, so that a proof is of no use on another connection, in another role or for another node.
"""

from __future__ import annotations

import hmac
from typing import Final

from hashrange_dax.coherence.messages import Challenge, Hello, pack

NONCE_BYTES: Final = 16
DIALLED: Final = b"dialled"
DIALLER: Final = b"dialler"


def proof(key: bytes, role: bytes, hello: Hello, node_id: str, process: str, nonce: bytes) -> bytes:
    """What a side in a role (`DIALLED` or `DIALLER`) shows; the last three are those of the node that was dialled."""
    return hmac.digest(key, role + pack(*hello, node_id, process, nonce), "sha256")


def challenge(key: bytes, hello: Hello, node_id: str, process: str, nonce: bytes) -> Challenge:
    """The answer of the node that is dialled."""
    return Challenge(node_id, process, nonce, proof(key, DIALLED, hello, node_id, process, nonce))


def holds(shown: bytes, key: bytes, role: bytes, hello: Hello, challenged: Challenge) -> bool:
    """Whether what a side has shown is right."""
    said = proof(key, role, hello, challenged.node_id, challenged.process, challenged.nonce)
    return hmac.compare_digest(shown, said)
