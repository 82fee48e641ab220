"""What a reply between regions is signed with, so that the sender knows it too comes from one who has the secret. Pure.

The header `x-hashrange-signature` of a reply is an HMAC-SHA256, in hexadecimal, with the secret of the access key that
signed the request: over the request's own signature, a line end, and the SHA-256 of the reply's body. It holds for
this reply to this request alone.
"""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest, new
from typing import Final

REPLY_HEADER: Final = "x-hashrange-signature"


def reply_signature(secret: str, request_signature: str, body: bytes) -> str:
    """The value of the header."""
    text = f"{request_signature}\n{sha256(body).hexdigest()}"
    return new(secret.encode(), text.encode(), "sha256").hexdigest()


def reply_is_genuine(secret: str, request_signature: str, body: bytes, presented: str) -> bool:
    """Whether a reply was signed with the secret; anything may be presented."""
    expected = reply_signature(secret, request_signature, body)
    # As bytes: texts are compared only when they are ASCII, and a header of a stranger need not be.
    return compare_digest(expected.encode(), presented.encode("utf-8", "surrogateescape"))


def signature_of(authorization: str) -> str:
    """The signature in an Authorization header; "" when there is none."""
    return authorization.rpartition("Signature=")[2].partition(",")[0].strip()
