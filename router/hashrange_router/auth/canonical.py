"""The canonical request: the one spelling of a request that client and server both hash.

Rules: AWS General Reference, "Create a signed AWS API request", in the form every service but S3 uses: the
path is normalised and encoded once more, the query sorted, header values trimmed and their inner runs of
blanks reduced to one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from urllib.parse import quote, unquote_to_bytes

_PATH_SAFE = "/-_.~"
_QUERY_SAFE = "-_.~"
_SIGNATURE_NAME = "X-Amz-Signature"


def canonical_request(
    method: bytes,
    target: bytes,
    headers: Mapping[bytes, bytes],
    signed_headers: Iterable[str],
    body: bytes,
) -> bytes:
    """The canonical request. A signed header that the request lacks counts as empty, so its signature cannot
    match."""
    path, _, query = target.partition(b"?")
    names = [name.encode("latin-1") for name in signed_headers]
    lines = [method, canonical_path(path), canonical_query(query)]
    lines += [name + b":" + b" ".join(headers.get(name, b"").split()) for name in names]
    lines += [b"", b";".join(names), sha256(body).hexdigest().encode()]
    return b"\n".join(lines)


def canonical_path(path: bytes) -> bytes:
    """The path without empty, `.` and `..` segments, percent-encoded a second time."""
    if not path.startswith(b"/"):
        # Absolute form, as sent to proxies: only its path is signed.
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    kept: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del kept[-1:]
        elif segment not in (b"", b"."):
            kept.append(segment)
    normal = b"/" + b"/".join(kept) + (b"/" if kept and path.endswith(b"/") else b"")
    return quote(normal, safe=_PATH_SAFE).encode()


def canonical_query(query: bytes) -> bytes:
    """The query sorted by encoded name and value, without the signature itself."""
    if not query:
        return b""
    pairs: list[tuple[str, str]] = []
    for pair in query.split(b"&"):
        if not pair:
            continue
        name, _, value = pair.partition(b"=")
        encoded = _encode(name)
        if encoded != _SIGNATURE_NAME:
            pairs.append((encoded, _encode(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs)).encode()


def _encode(text: bytes) -> str:
    """Decodes whatever the client left or made encoded, and encodes it the one canonical way."""
    return quote(unquote_to_bytes(text.replace(b"+", b" ")), safe=_QUERY_SAFE)
