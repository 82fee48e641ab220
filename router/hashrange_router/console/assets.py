"""The files of the web pages: read once, served under a path with their hash, so that browsers keep them for good.

    assets = Assets.read()
    assets.page            # index.html, its links made to /assets/<hash>/...
    assets.find(b"/assets/<hash>/app.js")

All files share one hash: modules name each other by relative paths, and never see another version's.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

PREFIX = "/assets/"
PAGE = "index.html"
PLACE = "{assets}"
"""In the page: where the files are."""

TYPES = {
    ".css": b"text/css; charset=utf-8",
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
HASH_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    content: bytes
    content_type: bytes


class Assets:
    """All files. `version` is the hash over them."""

    def __init__(self, found: dict[str, bytes]) -> None:
        digest = sha256()
        for name in sorted(found):
            digest.update(f"{name}\0{len(found[name])}\0".encode() + found[name])
        self.version = digest.hexdigest()[:HASH_DIGITS]
        self._folder = f"{PREFIX}{self.version}/"
        self.page = found[PAGE].replace(PLACE.encode(), self._folder.rstrip("/").encode())
        self._files = {
            (self._folder + name).encode(): Asset(content, TYPES["." + name.rpartition(".")[2]])
            for name, content in found.items()
            if name != PAGE
        }
        self.size_bytes = sum(map(len, found.values()))

    @classmethod
    def read(cls) -> Assets:
        """The files of this package."""
        found: dict[str, bytes] = {}
        _collect(files(__package__) / "assets", "", found)
        return cls(found)

    def find(self, path: bytes) -> Asset | None:
        """The file of a path, None when there is none."""
        return self._files.get(path)


def _collect(folder: Traversable, prefix: str, found: dict[str, bytes]) -> None:
    """Files that browsers ask for; licences stay where they are."""
    for entry in folder.iterdir():
        if entry.is_dir():
            _collect(entry, f"{prefix}{entry.name}/", found)
        elif "." + entry.name.rpartition(".")[2] in TYPES:
            found[prefix + entry.name] = entry.read_bytes()
