"""Who may use the console: credentials are checked once, a signed token says so afterwards. Pure.

    sessions = Sessions(key, {"AKID": "secret"}, lifetime_s=43_200)
    token = sessions.issue("AKID", now_s, nonce)
    session = sessions.open(token, now_s)       # None when it was made up, has expired or was ended

A token is `payload.tag`, both in URL-safe base64: the payload holds expiry, nonce and access key, the tag is the
HMAC-SHA-256 of it. The key is one process's own: when the process ends, so do its sessions.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

TOKEN_CHARACTERS_MAX = 1_024


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who has signed in with this access key; `expires_s` is wall time."""

    access_key: str
    expires_s: int
    nonce: str


class Sessions:
    """The sessions of one process. `credentials` are secrets by access key; without any nobody needs a session."""

    def __init__(self, key: bytes, credentials: Mapping[str, str], lifetime_s: int) -> None:
        self._key = key
        self._known = [(_digest(name), _digest(secret)) for name, secret in credentials.items()]
        self._credentials = dict(credentials)
        self._ended: dict[str, int] = {}
        self.lifetime_s = lifetime_s

    @property
    def required(self) -> bool:
        """Whether one has to sign in."""
        return bool(self._known)

    def knows(self, access_key: str) -> bool:
        """Whether this is a configured access key."""
        return access_key in self._credentials

    def accepts(self, access_key: str, secret: str) -> bool:
        """Whether these are configured credentials; takes as long for a wrong key as for a wrong secret."""
        name, given = _digest(access_key), _digest(secret)
        found = False
        for known, expected in self._known:
            same_name, same_secret = hmac.compare_digest(known, name), hmac.compare_digest(expected, given)
            found |= same_name & same_secret
        return found

    def issue(self, access_key: str, now_s: float, nonce: str) -> str:
        """A token for somebody who has just shown credentials; `nonce` is random, without vertical bars."""
        payload = f"{int(now_s) + self.lifetime_s}|{nonce}|{access_key}".encode()
        return f"{_text(payload)}.{_text(self._tag(payload))}"

    def open(self, token: str, now_s: float) -> Session | None:
        """The session of a token; None for one that is not valid, or no longer."""
        if len(token) > TOKEN_CHARACTERS_MAX:
            return None
        head, _, tail = token.partition(".")
        try:
            payload, tag = _bytes(head), _bytes(tail)
        except (ValueError, binascii.Error):
            return None
        if not hmac.compare_digest(self._tag(payload), tag):
            return None
        expires, nonce, access_key = payload.decode().split("|", 2)
        session = Session(access_key, int(expires), nonce)
        if session.expires_s <= now_s or session.nonce in self._ended:
            return None
        return session

    def end(self, session: Session, now_s: float) -> None:
        """Let a token be worth nothing from now on."""
        self._ended = {nonce: until for nonce, until in self._ended.items() if until > now_s}
        self._ended[session.nonce] = session.expires_s

    def _tag(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, "sha256")


class Attempts:
    """How often somebody may fail to sign in: `burst` times at once, then once every `interval_s`.

    All clients share it: the server may be behind a proxy, where they look alike.
    """

    def __init__(self, burst: int, interval_s: float) -> None:
        self._burst = burst
        self._interval_s = interval_s
        self._left = float(burst)
        self._at_s = 0.0

    def wait_s(self, now_s: float) -> float:
        """How long to wait before the next attempt; 0 when it may be made now."""
        self._refill(now_s)
        return 0.0 if self._left >= 1.0 else (1.0 - self._left) * self._interval_s

    def failed(self, now_s: float) -> None:
        """Count an attempt with wrong credentials."""
        self._refill(now_s)
        self._left = max(0.0, self._left - 1.0)

    def _refill(self, now_s: float) -> None:
        passed_s = max(0.0, now_s - self._at_s)
        self._left = min(float(self._burst), self._left + passed_s / self._interval_s)
        self._at_s = now_s


def _digest(text: str) -> bytes:
    """Texts of any length, brought to one length: how long a comparison takes says nothing."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def _text(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    content = text.encode("ascii")
    return urlsafe_b64decode(content + b"=" * (-len(content) % 4))
