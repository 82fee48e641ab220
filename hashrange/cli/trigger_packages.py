"""Whether the packages that running functions takes are there: they are an extra, which a plain server does without."""

from __future__ import annotations

from importlib.util import find_spec

PACKAGES = ("aiohttp", "awslambdaric")
"""What the pool imports, and what it starts Python handlers with."""


def missing() -> str:
    """A sentence for the user when a package is missing, "" when all are there. Imports none of them."""
    absent = [name for name in PACKAGES if find_spec(name) is None]
    if not absent:
        return ""
    return f"running functions needs {' and '.join(absent)}: pip install 'hashrange[triggers]'"
