"""What the console lets through: operations by name, hosts, origins; and the headers of its answers. Pure.

Two lists say everything that a browser can have done: `READS` always, `EDITS` in edit mode. A request for the API of
the console (`/api/...`) passes when

- its Host is an address or a name that was configured: a name that somebody else's DNS points here is neither,
- it has the header `x-hashrange-console`, which no other site's page can send unasked (there is no CORS),
- its Origin, which every POST must have, is the console's own, and `Sec-Fetch-Site` does not say otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

MARK = b"x-hashrange-console"

DYNAMODB = "DynamoDB_20120810"
STREAMS = "DynamoDBStreams_20120810"


@dataclass(frozen=True, slots=True)
class Allowed:
    """An operation that may be called. `target` names it in the JSON services, `path` in those with paths."""

    name: str
    target: str = ""
    path: str = ""
    service: str = "dynamodb"


def _json(prefix: str, *names: str) -> dict[str, Allowed]:
    return {name: Allowed(name, f"{prefix}.{name}") for name in names}


READS: dict[str, Allowed] = {
    **_json(
        DYNAMODB,
        "DescribeTable",
        "DescribeTimeToLive",
        "GetItem",
        "ListTables",
        "ListTagsOfResource",
        "Query",
        "Scan",
    ),
    **_json(STREAMS, "DescribeStream", "ListStreams"),
    "ListEventSourceMappings": Allowed(
        "ListEventSourceMappings", path="/2015-03-31/event-source-mappings", service="lambda"
    ),
}
"""Operations that change nothing."""

EDITS: dict[str, Allowed] = _json(
    DYNAMODB, "CreateTable", "DeleteItem", "DeleteTable", "PutItem", "UpdateItem"
)
"""Operations that change something: refused by the server unless it is in edit mode."""

SECURITY_HEADERS = (
    b"content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'\r\n"
    b"x-content-type-options: nosniff\r\n"
    b"x-frame-options: DENY\r\n"
    b"referrer-policy: no-referrer\r\n"
    b"cross-origin-opener-policy: same-origin\r\n"
    b"cross-origin-resource-policy: same-origin\r\n"
)
"""Of every answer."""


class RefusedError(Exception):
    """A request that is not let through: the status of the answer, and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def operation(name: str, edit: bool) -> Allowed:
    """An operation that may be called; RefusedError otherwise."""
    found = READS.get(name) or (EDITS.get(name) if edit else None)
    if found is not None:
        return found
    if name in EDITS:
        raise RefusedError(
            403, f"{name} changes data, and this console is read-only; start the server with --console-edit"
        )
    raise RefusedError(404, f"the console does not call {name}")


def check_host(headers: Mapping[bytes, bytes], names: frozenset[str]) -> None:
    """RefusedError unless the request was sent to an address, to this machine itself, or to one of `names`."""
    host = headers.get(b"host", b"").decode("latin-1").lower()
    name = host_name(host)
    if name and (name in names or name == "localhost" or name.endswith(".localhost")):
        return
    try:
        ip_address(name)
    except ValueError:
        raise RefusedError(
            421,
            f"the console is not known as {name or 'a server without a name'}; open it by its address, "
            "or name it with --console-names",
        ) from None


def host_name(host: str) -> str:
    """The name or address of a Host header, without its port and without brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def check_source(method: bytes, headers: Mapping[bytes, bytes]) -> None:
    """RefusedError unless a request for the API comes from the console's own pages."""
    if headers.get(MARK) != b"1":
        raise RefusedError(403, "this is for the pages of the console; open its address in a browser")
    origin = headers.get(b"origin")
    if origin is None:
        if method == b"POST":
            raise RefusedError(403, "a request that may change something must tell its Origin")
    elif not same_origin(origin, headers.get(b"host", b"")):
        raise RefusedError(403, "the request comes from a page of another origin")
    if headers.get(b"sec-fetch-site", b"same-origin") not in (b"same-origin", b"none"):
        raise RefusedError(403, "the request comes from a page of another site")


def same_origin(origin: bytes, host: bytes) -> bool:
    """Whether a page of this origin was served under this Host; a proxy may have spoken TLS."""
    return bool(host) and origin.lower() in (b"http://" + host.lower(), b"https://" + host.lower())


def cookie_of(headers: Mapping[bytes, bytes], name: str) -> str:
    """The value of a cookie; "" when it was not sent."""
    for part in headers.get(b"cookie", b"").decode("latin-1").split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return ""
