"""Try the image and a compose file for real: `python -m tests.deploy.podman --compose deploy/compose.yaml`.

Builds the image, brings the services up, lets boto3 work on them from outside, kills containers and cuts networks
while writers go on, reads every acknowledged write again, asks a real Prometheus about its targets, and does it once
more after `down` and `up`. Each step is one line with its result and its time. Needs root and podman (`engine.py` says
what to install), and podman-compose from PyPI.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import traceback
from pathlib import Path

import yaml

from tests.deploy.podman.ci_run import CiRun
from tests.deploy.podman.cluster_run import ClusterRun
from tests.deploy.podman.engine import ROOT, Engine, EngineError
from tests.deploy.podman.images import build_project, prepare
from tests.deploy.podman.regions_run import RegionsRun
from tests.deploy.podman.steps import StepError, Steps

RUNS = {
    "compose.yaml": ClusterRun,
    "compose.regions.yaml": RegionsRun,
    "compose.ci.yaml": CiRun,
}
IMAGE = "localhost/hashrange:deploy-test"
DEFAULT = re.compile(r"\$\{(?P<variable>\w+):-(?P<value>[^}]*)\}")
LEFT_OUT = "grafana"
NO_DISCUSSION = (StepError, EngineError)


def other_images(file: Path) -> list[str]:
    """The images of a compose file besides the project's own, each with the default of its variable."""
    services = yaml.safe_load(file.read_text(encoding="utf-8"))["services"].values()
    named = [DEFAULT.sub(lambda match: match["value"], service["image"]) for service in services]
    return sorted({image for image in named if image != "hashrange"})


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.deploy.podman", description=__doc__)
    parser.add_argument("--compose", type=Path, default=ROOT / "deploy" / "compose.yaml", metavar="FILE")
    parser.add_argument(
        "--ports", type=int, default=30_000, metavar="BASE", help="first of six ports of this machine"
    )
    parser.add_argument("--name", default="hashrange-try", help="name of the compose project")
    parser.add_argument("--image", help="use this image instead of building one")
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    options = parser.parse_args()
    options.compose = options.compose.resolve()
    if options.compose.name not in RUNS:
        parser.error(f"--compose must be one of {', '.join(RUNS)}")
    return options


def main() -> int:
    """Run; 0 when every step was OK."""
    options = parse()
    steps = Steps()
    begun = time.monotonic()
    run = None
    try:
        engine = Engine()
        with steps.step("prepare images"):
            prepared = prepare(engine, other_images(options.compose))
            steps.note(str(prepared))
        if options.image is None:
            with steps.step("build the image"):
                build_project(engine, IMAGE)
                steps.note(f"{engine.image_size_mb(IMAGE):.0f} MB with its base")
        run = RUNS[options.compose.name](
            engine, steps, options.compose, options.name, options.ports, options.image or IMAGE
        )
        run.project.remove()
        for image in prepared.missing:
            steps.say(f"left out: {LEFT_OUT}, because the image {image} cannot be had here")
        if LEFT_OUT in options.compose.read_text(encoding="utf-8") and not prepared.missing:
            run.services.append(LEFT_OUT)
        run.run()
    except Exception as error:
        if not isinstance(error, NO_DISCUSSION):
            traceback.print_exc()
        print(f"hashrange: {error}", file=sys.stderr)
        if run is not None:
            for service in run.services:
                print(f"--- {service}\n{run.project.log_end(service)}", file=sys.stderr)
        return 1
    finally:
        if run is not None and not options.keep:
            run.project.remove()
    print(f"{steps.done} steps, all OK, {time.monotonic() - begun:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
