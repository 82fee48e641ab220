"""The setting `peers`: other regions and where their routers are.

    eu-west-1=http://10.1.0.5:8000|http://10.1.0.6:8000, ap-northeast-1=https://tables.example:8443

A region's endpoints are routers of one installation: any of them will do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from hashrange.model.regions import same_number

REGION = re.compile(r"[a-z][a-z0-9-]{0,31}")
"""The name of a region, as the setting `region` takes it."""

_ENDPOINT = re.compile(r"https?://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?/?")


def parse_peers(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Region to URLs (without a last slash), of texts `REGION=URL|URL`; ValueError with what is expected."""
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        region, equals, endpoints = (part.strip() for part in text.partition("="))
        if not equals or REGION.fullmatch(region) is None:
            raise ValueError(f"{text!r} is no peer; write REGION=URL, such as eu-west-1=http://10.1.0.5:8000")
        if region in found:
            raise ValueError(f"{region} is named twice; separate the URLs of one region with |")
        urls = tuple(_url(piece.strip(), region) for piece in endpoints.split("|"))
        if len(set(urls)) != len(urls):
            raise ValueError(f"{region} has the same URL twice; remove one")
        found[region] = urls
    return found


def _url(text: str, region: str) -> str:
    match = _ENDPOINT.fullmatch(text)
    if match is None or not 1 <= int(match["port"] or 1) <= 65_535:
        raise ValueError(f"{text!r} is no endpoint of {region}; write a URL such as http://10.1.0.5:8000")
    return text.rstrip("/")


def contradiction(region: str, peers: Iterable[str]) -> str | None:
    """Why these cannot be the other regions of `region`, as texts REGION=URL; None when they can."""
    names = parse_peers(peers)
    if region in names:
        return f"{region} is this region itself; name only the others, or correct the setting region"
    equal = same_number((region, *names))
    if equal is not None:
        return (
            f"{equal[0]} and {equal[1]} have the same number, which decides between two writes of one moment; "
            "rename one of them"
        )
    return None
