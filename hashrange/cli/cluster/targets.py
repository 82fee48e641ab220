"""What a fault is done to: `2` or `node-2` is a node, `router-1` a router, `triggers-1` a trigger pool, `dax-1` a cache
node, `az2` the nodes of a zone.

A zone stands for its nodes. Routers, pools and cache nodes are the clients' side of a local cluster: they are named
one by one.
"""

from __future__ import annotations

from hashrange.cli.cluster.layout import DAX, NODE, ROUTER, TRIGGERS, Layout, LayoutError, Process


def resolve(layout: Layout, names: list[str]) -> list[Process]:
    """The processes that the names stand for, each once; raises LayoutError for a name of nothing."""
    found: list[Process] = []
    for name in names:
        for process in _one(layout, name):
            if process not in found:
                found.append(process)
    return found


def _one(layout: Layout, name: str) -> list[Process]:
    zone = [process for process in layout.of(NODE) if process.az == name]
    if zone:
        return zone
    role, _, number = name.rpartition("-")
    if number.isascii() and number.isdigit() and role in ("", NODE, ROUTER, TRIGGERS, DAX):
        return [layout.find(role or NODE, int(number))]
    known = ", ".join([*layout.zones, *(process.name for process in layout.processes)])
    raise LayoutError(f"there is no {name} in this cluster; there are {known}")
