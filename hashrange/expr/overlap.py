"""Document paths that one expression may not use together.

Two paths of an update's actions or of a projection overlap when one begins with the other, and conflict when
they use the same place as a list and as a map. Both are refused whatever the item looks like.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hashrange.expr.tree import Path, path_text

_ENDS = object()


def find_clash(paths: Sequence[Path]) -> str | None:
    """The service's message about the first two paths that cannot stand together, or None.

    Paths are compared from the last to the first, so an overlap at the end of an expression is reported
    before a conflict at its beginning (observed behaviour of the real service).
    """
    root: dict[Any, Any] = {}
    for number in range(len(paths) - 1, -1, -1):
        path = paths[number]
        node = root
        for depth, step in enumerate(path):
            if _ENDS in node:
                return _message("overlap", path, node[_ENDS])
            if node and isinstance(next(iter(node)), int) is not isinstance(step, int):
                return _message("conflict", path, _below(node))
            inner = node.get(step)
            if inner is None:
                inner = node[step] = {}
                if depth + 1 == len(path):
                    inner[_ENDS] = path
                    break
            elif depth + 1 == len(path):
                return _message("overlap", path, _below(inner))
            node = inner
    return None


def _below(node: dict[Any, Any]) -> Path:
    """Some path that runs through `node`: the one that was met first."""
    while _ENDS not in node:
        node = next(iter(node.values()))
    path: Path = node[_ENDS]
    return path


def _message(verb: str, one: Path, two: Path) -> str:
    return (
        f"Two document paths {verb} with each other; must remove or rewrite one of these paths; "
        f"path one: {path_text(one)}, path two: {path_text(two)}"
    )
