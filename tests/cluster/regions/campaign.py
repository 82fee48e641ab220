"""One run of the campaign: load in all regions, faults among them, then all must be equal and as it had to be."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hashrange.cli.cluster.layout import LayoutError
from hashrange.cli.regions.place import Place, RegionPlace
from hashrange.cli.regions.verify import Verdict, verify
from tests.cluster.regions.judge import judge
from tests.cluster.regions.load import CREATE, HOT, PAUSE_S, TABLE, Load
from tests.cluster.regions.scene import (
    NAMES,
    EmbeddedRegions,
    LocalRegions,
    Scene,
    api,
    make_global,
    read_versions,
    wait,
)
from tests.cluster.regions.stored import versions

CONVERGED_S = 60.0
SKEW_MS = 5_000
WARM_UP_S = 1.0
SETTINGS = {"ttl_interval_ms": "500"}
FAULTS = ("cut", "isolate", "clock", "kill", "nothing")
WEIGHTS = (30, 15, 20, 20, 15)


@dataclass
class Options:
    """How a run is done. `nodes` of each region, 0 for embedded servers; `changes` of the program (`odd_program`)."""

    regions: int = 2
    nodes: int = 0
    seconds: float = 6.0
    clients: int = 4
    hot: int = HOT
    pause_s: float = PAUSE_S
    converged_s: float = CONVERGED_S
    changes: tuple[str, ...] = ("clock", "log")
    faults: tuple[str, ...] = FAULTS
    keep: bool = True
    say: Callable[[str], None] = print


@dataclass
class Outcome:
    """What came of a run; passed when `wrong` is empty."""

    seed: int
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def text(self) -> str:
        """Several lines for people."""
        lines = [f"seed {self.seed}: {'WRONG' if self.wrong else 'ok'}, {self.seconds:.0f} s"]
        lines += [f"    {note}" for note in self.notes]
        lines += [f"  ! {complaint}" for complaint in self.wrong]
        return "\n".join(lines)


def play(seed: int, options: Options) -> Outcome:
    """Run once, on regions of its own."""
    outcome = Outcome(seed)
    directory = Path(tempfile.mkdtemp(prefix="hashrange-regions-"))
    began = time.monotonic()

    def say(sentence: str) -> None:
        options.say(f"[{time.monotonic() - began:6.1f} s] {sentence}")

    try:
        with _scene(directory / "regions", options) as scene:
            _run(scene, seed, options, outcome, say)
    except Exception as error:
        outcome.wrong.append(f"the run broke off: {error}\n{traceback.format_exc()}")
    outcome.seconds = time.monotonic() - began
    if outcome.wrong and options.keep:
        outcome.notes.append(f"everything is kept in {directory}")
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return outcome


def _scene(directory: Path, options: Options) -> LocalRegions | EmbeddedRegions:
    names = NAMES[: options.regions]
    if not options.nodes:
        flags = [part for name, value in SETTINGS.items() for part in ("--" + name.replace("_", "-"), value)]
        return EmbeddedRegions(directory, names, changes=options.changes, options=tuple(flags))
    return LocalRegions(
        directory,
        names,
        nodes=options.nodes,
        azs=min(3, options.nodes) if options.nodes != 2 else 1,
        changes=options.changes,
        settings=tuple(f"{name}={value}" for name, value in SETTINGS.items()),
    )


def _run(scene: Scene, seed: int, options: Options, outcome: Outcome, say: Callable[[str], None]) -> None:
    say(f"{', '.join(scene.names)} are up")
    make_global(scene, CREATE)
    time_to_live = {"TableName": TABLE, "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "ends"}}
    api(scene.endpoint(scene.names[0]), "UpdateTimeToLive", time_to_live)
    say("the table is in all of them")
    load = Load(
        {name: scene.endpoint(name) for name in scene.names},
        seed,
        clients=options.clients,
        pause_s=options.pause_s,
        hot=options.hot,
    )
    load.start()
    try:
        pass_time(WARM_UP_S)
        done = _faults(scene, random.Random(seed), options, say)
    finally:
        told = load.finish()
    outcome.notes.append(told.text())
    outcome.notes.append("faults: " + ", ".join(f"{count} x {name}" for name, count in done.items()))
    say("healing")
    scene.heal()
    _converge(scene, options, outcome)
    outcome.wrong += scene.crashes()
    outcome.wrong += scene.stop()
    stored = {name: versions(scene.data(name), TABLE) for name in scene.names}
    made = read_versions(scene.version_logs())
    outcome.notes.append(
        f"{len(stored[scene.names[0]])} keys compared in {len(stored)} regions, {len(made)} versions written down"
    )
    outcome.wrong += judge(told, stored, made)


def pass_time(seconds: float) -> None:
    """Let the load go on for a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(min(0.2, max(0.0, deadline - time.monotonic())))


def _faults(scene: Scene, rng: random.Random, options: Options, say: Callable[[str], None]) -> Counter[str]:
    """One fault after another until the time is over; cuts and clocks overlap with what comes next."""
    done: Counter[str] = Counter()
    deadline = time.monotonic() + options.seconds
    weights = [WEIGHTS[FAULTS.index(name)] for name in options.faults]
    while time.monotonic() < deadline:
        (fault,) = rng.choices(options.faults, weights)
        done[fault] += 1
        name = rng.choice(scene.names)
        others = [other for other in scene.names if other != name]
        if fault == "cut":
            other = rng.choice(others)
            say(f"cut between {name} and {other}")
            scene.cut(name, other)
        elif fault == "isolate":
            say(f"{name} is cut off from all")
            for other in others:
                scene.cut(name, other)
        elif fault == "clock":
            offset = rng.choice((-SKEW_MS, -700, -200, 200, 700, SKEW_MS))
            say(f"the clock of {name} is off by {offset} ms")
            scene.set_clock(name, offset)
        elif fault == "kill":
            say(f"{name}: {scene.kill(name, rng)} is killed, and comes back")
        pass_time(min(rng.uniform(0.5, 3.0), max(0.1, options.seconds / 5)))
        if rng.random() < 0.35:
            say("everything is healed for a moment")
            scene.heal()
            pass_time(rng.uniform(0.2, 1.0))
    return done


def _converge(scene: Scene, options: Options, outcome: Outcome) -> None:
    """Wait until all regions are equal, nothing is pending, and indexes are up to date; how long it took is noted."""
    began = time.monotonic()
    place = place_of(scene)
    limit_s = options.converged_s
    verdict: Verdict | None = None
    while time.monotonic() - began < limit_s:
        try:
            verdict = asyncio.run(verify(place, TABLE, max(1.0, limit_s - (time.monotonic() - began))))
            break
        except LayoutError as error:
            # A leader is being elected, or a router has just come back.
            outcome.notes.append(f"not yet: {error}")
            pass_time(0.5)
    if verdict is None or not verdict.equal:
        outcome.wrong.append(f"regions are not equal {limit_s:.0f} s after everything was healed")
        outcome.notes += verdict.text().splitlines()[:12] if verdict else []
        return
    outcome.notes.append(f"equal {time.monotonic() - began:.1f} s after everything was healed")
    for what, condition in (
        ("pending changes in no region", lambda: pending(scene) == 0),
        ("the end of what has expired", lambda: not _expired(scene)),
        ("indexes that follow", lambda: not stale_indexes(scene)),
    ):
        try:
            wait(what, condition, limit_s)
        except TimeoutError as error:
            outcome.wrong.append(f"{error}; {describe_links(scene)}")
    outcome.notes.append(f"settled {time.monotonic() - began:.1f} s after everything was healed")
    outcome.notes.append(describe_links(scene))


def place_of(scene: Scene) -> Place:
    """The regions as `hashrange regions verify` knows them."""
    regions = [
        RegionPlace(name, int(scene.endpoint(name).rpartition(":")[2]), Path(name)) for name in scene.names
    ]
    return Place(Path(), regions)


def pending(scene: Scene) -> int:
    """Keys that any region has not sent yet."""
    return sum(link.pending for link in scene.links().values())


def describe_links(scene: Scene) -> str:
    """Shipped and pending, by direction."""
    told = []
    for (_, source, destination), link in sorted(scene.links().items()):
        p50, p99 = link.quantile_s(0.5), link.quantile_s(0.99)
        latency = (
            f", p50 {1000 * p50:.0f} ms, p99 {1000 * p99:.0f} ms"
            if p50 is not None and p99 is not None
            else ""
        )
        told.append(f"{source} to {destination}: {link.shipped} sent, {link.pending} pending{latency}")
    return "; ".join(told)


def scan(endpoint: str, table: str, index: str | None = None) -> list[dict[str, dict[str, str]]]:
    """All items of a table or an index."""
    request = {"TableName": table, **({"IndexName": index} if index else {"ConsistentRead": True})}
    found: list[dict[str, dict[str, str]]] = []
    while True:
        page = api(endpoint, "Scan", request)
        found += page["Items"]
        if "LastEvaluatedKey" not in page:
            return found
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _expired(scene: Scene) -> list[str]:
    """Items with a time to live that are still there, in any region."""
    return [
        item["pk"]["S"]
        for name in scene.names
        for item in scan(scene.endpoint(name), TABLE)
        if item["pk"]["S"].startswith("t")
    ]


def stale_indexes(scene: Scene) -> list[str]:
    """Regions whose index does not have exactly the items of the table."""

    def contents(name: str, index: str | None) -> dict[str, str]:
        items = scan(scene.endpoint(name), TABLE, index)
        return {item["pk"]["S"]: item["v"]["S"] + item["genre"]["S"] for item in items}

    return [name for name in scene.names if contents(name, None) != contents(name, "by_genre")]
