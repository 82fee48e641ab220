"""Signing keys: derived once for each access key, day, region and service, then cached.

Deriving a key takes four HMACs; signing with it one. HMAC's two hash states that depend on the key alone are
kept ready, so that a signature costs two copies of a state instead of setting the key up anew (less than half
the time).
"""

from __future__ import annotations

from hashlib import sha256
from hmac import digest

_BLOCK_BYTES = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


class SigningKey:
    """A derived key, ready to sign (HMAC-SHA256, RFC 2104)."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = sha256(block.translate(_INNER))
        self._outer = sha256(block.translate(_OUTER))

    def sign(self, message: bytes) -> bytes:
        """The signature in hexadecimal, 64 bytes."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest().encode()


def derive(secret_key: str, day: str, region: str, service: str) -> SigningKey:
    """The key for one scope. `day` is YYYYMMDD."""
    key = b"AWS4" + secret_key.encode()
    for part in (day, region, service, "aws4_request"):
        key = digest(key, part.encode(), "sha256")
    return SigningKey(key)


class SigningKeys:
    """A bounded cache of derived keys; the oldest goes first."""

    __slots__ = ("_keys", "_size_max")

    def __init__(self, size_max: int = 1024) -> None:
        self._keys: dict[tuple[str, str, str, str, str], SigningKey] = {}
        self._size_max = size_max

    def get(self, access_key: str, secret_key: str, day: str, region: str, service: str) -> SigningKey:
        """The key of this scope. The secret is part of the look-up, so that a changed one takes effect at
        once."""
        lookup = (access_key, secret_key, day, region, service)
        key = self._keys.get(lookup)
        if key is None:
            if len(self._keys) >= self._size_max:
                del self._keys[next(iter(self._keys))]
            key = self._keys[lookup] = derive(secret_key, day, region, service)
        return key

    def __len__(self) -> int:
        return len(self._keys)
