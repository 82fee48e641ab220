"""Damage on disk: changed bytes in one replica or in two, and a disk that is lost altogether.

A node may notice at its start and refuse it with a sentence, notice later and have its replicas made anew, or be
able to show that nothing is missing. What it must never do is to serve or to vote as if nothing had happened:
that is for the history to show.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from hashrange.cli.cluster.layout import LayoutError
from tests.cluster.campaign.scene import Scene

SLACK = 500
"""Entries that a replica under load may lack and still keep up."""

KINDS = ("log", "sst", "manifest")
REFUSAL_WORDS = ("damage", "lost", "repair", "corrupt")


def files_of(kind: str, data: Path) -> list[Path]:
    """The files of one kind in a node's data directory."""
    patterns = {"log": "log/*", "sst": "rocks/*.sst", "manifest": "rocks/MANIFEST-*"}
    return sorted(path for path in data.glob(patterns[kind]) if path.is_file() and path.stat().st_size > 200)


def flip(path: Path, scene: Scene) -> int:
    """Change one byte within the used part of a file; its offset."""
    used = len(path.read_bytes().rstrip(b"\0"))
    offset = scene.rng.randrange(64, max(65, used - 1))
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ (1 << scene.rng.randrange(8))]))
    return offset


def damage_node(scene: Scene, node: int, kind: str) -> str:
    """Change a byte of a stopped node; a description, or "" when it has no such file."""
    found = files_of(kind, scene.cluster.data_of(node))
    if not found:
        return ""
    path = max(found, key=lambda each: each.stat().st_size)
    return f"{path.parent.name}/{path.name} at {flip(path, scene)}"


def restart_or_replace(scene: Scene, node: int, label: str) -> None:
    """Start a damaged node. If it refuses, with a sentence, its disk is taken away, as an operator would."""
    name = f"node-{node}"
    try:
        scene.cluster.restart(name)
    except LayoutError as refused:
        sentence = str(refused)
        scene.say(f"{label}: {name} refuses to start: {sentence[:160]}")
        if not any(word in scene.cluster.log_of(name).lower() for word in REFUSAL_WORDS):
            scene.wrong.append(
                f"{label}: {name} did not start and did not say that it is damaged: {sentence}"
            )
        scene.notes.append(f"{label}: noticed at the start")
        wipe(scene, node)
        scene.cluster.restart(name)
    else:
        scene.notes.append(f"{label}: {name} started")


def wipe(scene: Scene, node: int) -> None:
    """Take a stopped node's disk away."""
    shutil.rmtree(scene.cluster.data_of(node))


def flip_one(scene: Scene) -> None:
    """F14: one byte changes on one replica while its node is down, in the log, in a table file, in the manifest."""
    for kind in KINDS:
        node = scene.busiest()
        with scene.fault(f"F14 kill node-{node} and change a byte of its {kind}") as since:
            scene.cluster.kill(f"node-{node}")
            place = damage_node(scene, node, kind)
            if place:
                scene.say(f"F14 changed {place}")
                restart_or_replace(scene, node, f"F14 {kind}")
            else:
                scene.notes.append(f"F14 {kind}: node-{node} has no such file yet")
                scene.cluster.restart(f"node-{node}")
            scene.recovered(f"F14 {kind}", since, judge=False)
        scene.settle()
        wait_whole(scene, f"F14 {kind}")


def flip_two(scene: Scene) -> None:
    """F15: the same on two of three replicas at once; then the bytes are put back: nothing may have been invented."""
    first, second = scene.cluster.nodes()[:2]
    with scene.fault(f"F15 change a byte of the logs of node-{first} and node-{second}"):
        scene.cluster.kill(f"node-{first}", f"node-{second}")
        saved = []
        for node in (first, second):
            path = max(files_of("log", scene.cluster.data_of(node)), key=lambda each: each.stat().st_size)
            saved.append((path, path.read_bytes()))
            flip(path, scene)
        for node in (first, second):
            try:
                scene.cluster.restart(f"node-{node}")
                scene.notes.append(f"F15: node-{node} started")
            except LayoutError as refused:
                scene.notes.append(f"F15: node-{node} refused: {str(refused)[:100]}")
        scene.pass_time(5)
        down = [n for n in (first, second) if f"node-{n}" in scene.cluster.down()]
        for node, (path, content) in zip((first, second), saved, strict=True):
            if node in down:
                path.write_bytes(content)
                scene.cluster.restart(f"node-{node}")
        since = time.monotonic()
        scene.recovered("F15 bytes put back", since, judge=False)
    scene.settle()


def lost_disk(scene: Scene) -> None:
    """F16: a node's disk is lost; it comes back empty at the same address and must be given new replicas."""
    node = scene.busiest()
    with scene.fault(f"F16 kill node-{node} and take its disk away") as since:
        scene.cluster.kill(f"node-{node}")
        wipe(scene, node)
        scene.cluster.restart(f"node-{node}")
        scene.recovered(f"F16 node-{node} empty", since, judge=False)
        wait_whole(scene, "F16")
    scene.settle()


def wait_whole(scene: Scene, label: str, timeout_s: float = 90.0) -> None:
    """Wait until every partition, and the control plane, has three replicas that keep up again."""
    try:
        scene.cluster.wait("three replicas of everything", lambda: not scene.cluster.behind(SLACK), timeout_s)
    except TimeoutError as error:
        scene.wrong.append(f"{label}: {error}: {scene.cluster.behind(SLACK)}")
