"""python -m tests.bench.admission [accuracy] [new-vendor] [burst] [on-demand] [scaling] [--pictures DIR]

Needs the `bench` extra (matplotlib) and takes some ten minutes for everything; the servers are its own and listen
on this machine only. Prints tables and writes one PNG for each scene.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.bench.admission import scenes
from tests.bench.admission.pictures import draw_accuracy, draw_series
from tests.bench.admission.scenes import Accuracy, Series

SCENES = ("accuracy", "new-vendor", "burst", "on-demand", "scaling")


def _show(series: Series, path: Path) -> None:
    draw_series(series, path)
    print(f"\n{series.title}")
    tens = [series.admitted[begin : begin + 10] for begin in range(0, len(series.admitted), 10)]
    print("admitted a second, means of ten:", *(f"{sum(ten) / len(ten):.1f}" for ten in tens))
    if series.limits:
        print("limit, every ten seconds:", *(f"{limit:g}" for limit in series.limits[::10]))
    else:
        print(f"limit: {series.limit:g}")


def _show_accuracy(found: Accuracy, path: Path) -> None:
    draw_accuracy(found, path)
    print(*found.rows(), sep="\n")
    print(f"admitted against provisioned: {found.error:+.2%}\n")


def main() -> None:
    """Run the scenes named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="*", metavar="scene", help=", ".join(SCENES))
    parser.add_argument("--pictures", type=Path, default=Path(__file__).parent.parent / "pictures")
    arguments = parser.parse_args()
    wanted = arguments.scenes or SCENES
    pictures: Path = arguments.pictures
    pictures.mkdir(parents=True, exist_ok=True)
    if "accuracy" in wanted:
        _show_accuracy(scenes.accuracy(), pictures / "admission-accuracy.png")
    if "new-vendor" in wanted:
        _show_accuracy(scenes.new_vendor(), pictures / "admission-new-vendor.png")
    if "burst" in wanted:
        _show(scenes.burst(), pictures / "admission-burst.png")
    if "on-demand" in wanted:
        growing, capped = scenes.on_demand()
        _show(growing, pictures / "admission-on-demand.png")
        _show(capped, pictures / "admission-maximum.png")
    if "scaling" in wanted:
        _show(scenes.scaling(), pictures / "admission-scaling.png")


if __name__ == "__main__":
    main()
