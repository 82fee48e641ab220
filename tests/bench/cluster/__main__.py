"""What a cluster of this machine's own costs: rates, processor time by process, latencies, fail-over, scaling.

    python -m tests.bench.cluster                         the whole run, some fifteen minutes on two cores
    python -m tests.bench.cluster --quick                 the same with short runs, for development
    python -m tests.bench.cluster --nodes 3 --profile     one size, with a profile of PutItem by py-spy
    python -m tests.bench.cluster --parts throughput,single --json now.json --markdown now.md

Every cluster runs on free ports and in a temporary directory, with fsync on; `--scratch` puts it on the disk to be
measured. Figures are medians over the runs, ± is (highest - lowest) / median. The client runs on the same machine:
trust processor time and ratios more than rates.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from pathlib import Path
from statistics import median

from hashrange.runtime import logging
from tests.bench.cluster import failover, load, plane, probes, profile, report
from tests.bench.cluster.report import Figures, Scaling
from tests.bench.cluster.scene import Scene, say
from tests.bench.tools import has_wrk

PARTS = ("throughput", "single", "failover", "scaling", "plane")
CONNECTIONS = 64
PARTITIONS = 18
"""Divisible by three, six and nine: every node can lead the same number."""


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--nodes", type=_numbers, default=[3, 6, 9], help="sizes for scaling; the first is used for all else")
    add("--parts", type=_names, default=list(PARTS), help=f"of {', '.join(PARTS)}")
    add("--quick", action="store_true", help="short runs: the program is tried, not the cluster")
    add("--profile", action="store_true", help="sample router, leader and follower under PutItem with py-spy")
    add("--keep-profiles", type=Path, metavar="DIR", help="keep py-spy's raw output there")
    add("--seconds", type=int, help="duration of a run  [default: 5; quick: 2]")
    add("--runs", type=int, help="runs of each workload  [default: 3; quick: 2]")
    add("--items", type=int, help="items to preload  [default: 10000; quick: 2000]")
    add("--item-bytes", type=int, default=500)
    add("--partitions", type=int, default=PARTITIONS, help="partitions of the table when scaling")
    add("--tool", choices=("wrk", "load"), default="wrk" if has_wrk() else "load")
    add("--scratch", type=Path, help="folder for the clusters' data, on the disk to measure")
    add("--json", type=Path, metavar="FILE")
    add("--markdown", type=Path, metavar="FILE")
    options = parser.parse_args(words)
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; choose of {', '.join(PARTS)}")
    if options.profile and not profile.available():
        parser.error("--profile needs py-spy; install it with pip install py-spy")
    options.seconds = options.seconds or (2 if options.quick else 5.0)
    options.runs = options.runs or (2 if options.quick else 3)
    options.items = options.items or (2_000 if options.quick else 10_000)
    return options


def main() -> None:
    """Measure, print, write files."""
    options = arguments()
    logging.configure("text", "error")
    # Ended by a signal, this program must still stop its cluster.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    figures = Figures(about=_about(options))
    with tempfile.TemporaryDirectory(prefix="hashrange-bench-", dir=options.scratch) as name:
        scratch = Path(name)
        if "plane" in options.parts:
            say("messages of the control plane")
            figures.plane = plane.measure()
        if options.profile or {"throughput", "single", "failover"} & set(options.parts):
            one_partition(options, figures, scratch)
        if "scaling" in options.parts:
            for nodes in options.nodes:
                figures.scaling.append(scaling(options, nodes, scratch, figures.signs))
    figures.about["load_after"] = os.getloadavg()[0]
    text = report.as_markdown(figures)
    print(text)
    if options.profile:
        print("\n" + report.lines(figures))
    if options.json:
        options.json.write_text(json.dumps(report.as_json(figures), indent=2) + "\n")
    if options.markdown:
        options.markdown.write_text(text + "\n")
    if figures.signs:
        raise SystemExit(f"{len(figures.signs)} processes failed meanwhile: the figures cannot be trusted")


def one_partition(options: argparse.Namespace, figures: Figures, scratch: Path) -> None:
    """Everything that is measured on the smallest cluster, with the table in one partition."""
    with Scene(scratch / "one", options.nodes[0], options.items, options.item_bytes) as scene:
        say("idle")
        figures.idle_percent = load.idle(scene, options.seconds)
        if "throughput" in options.parts:
            figures.throughput = _run(scene, load.THROUGHPUT, options, scratch)
        if "single" in options.parts:
            single(scene, options, figures, scratch)
        if options.profile:
            taken = profile.take(scene, 3 * options.seconds, scratch, options.tool, options.keep_profiles)
            # The time that is split is that of runs without py-spy, and with the leader where it is now.
            put = _run(scene, (profile.WORKLOAD,), options, scratch)[0]
            figures.profiles = [(each, put) for each in taken]
        if "failover" in options.parts:
            figures.failover = failover.measure(scene, times=options.runs, writers=4)
    figures.signs += scene.signs


def single(scene: Scene, options: argparse.Namespace, figures: Figures, scratch: Path) -> None:
    """Latencies of one connection, between measurements of the disk and of a frame's round trip."""
    short = options.seconds / 2
    alone, together, frames = [], [], []
    for turn in range(2):
        alone.append(probes.fsync_us(scratch, short))
        together.append(probes.fsync_us(scratch, short, at_once=3))
        frames.append(probes.frame_us(short))
        if turn == 0:
            figures.single = _run(scene, load.SINGLE, options, scratch)
    figures.fsync_us, figures.fsync_at_once_us = median(alone), median(together)
    figures.frame_us = median(frames)
    say(f"fsync {figures.fsync_us:.0f} µs ({' / '.join(f'{us:.0f}' for us in alone)}), three at once "
        f"{figures.fsync_at_once_us:.0f} µs, frame {figures.frame_us:.0f} µs")  # fmt: skip


def scaling(options: argparse.Namespace, nodes: int, scratch: Path, signs: list[str]) -> Scaling:
    """One size of cluster, every node leading as many partitions as the others.

    Once with as many connections for each node whatever the size, so that each node has as much to do at a time; once
    with 64 in all, where the same requests are spread ever thinner and batches get smaller.
    """
    with Scene(scratch / f"nodes-{nodes}", nodes, options.items, options.item_bytes) as scene:
        led = scene.spread(options.partitions)
        idle = sum(load.idle(scene, options.seconds).values())
        in_step = CONNECTIONS * nodes // options.nodes[0]
        workloads = [
            load.Workload(name, operation, connections, strong=operation == "get")
            for connections in dict.fromkeys((in_step, CONNECTIONS))
            for name, operation in (("PutItem", "put"), ("GetItem, strong", "get"))
        ]
        results = _run(scene, tuple(workloads), options, scratch)
    signs += scene.signs
    return Scaling(nodes, options.partitions, led, idle, results)


def _run(
    scene: Scene, workloads: tuple[load.Workload, ...], options: argparse.Namespace, scratch: Path
) -> list[load.Result]:
    return load.run_all(
        scene, workloads, runs=options.runs, seconds=options.seconds, scratch=scratch, tool=options.tool
    )


def _about(options: argparse.Namespace) -> dict[str, object]:
    return {
        "tool": options.tool,
        "runs": options.runs,
        "seconds": options.seconds,
        "items": options.items,
        "item_bytes": options.item_bytes,
        "quick": options.quick,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "load_before": os.getloadavg()[0],
    }


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


if __name__ == "__main__":
    main()
