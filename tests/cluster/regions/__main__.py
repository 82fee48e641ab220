"""The command line of the campaign: see the package's description."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace

from tests.cluster.regions.campaign import FAULTS, Options, Outcome, play

CONTROL_HOT = 4
"""Few keys, so that regions get into one another's way often."""

CONTROL_S = 12.0
"""A broken build need not be waited for: what is not equal by then stays so."""


@dataclass(frozen=True)
class Control:
    """A broken build. `signs`: words of which one must be among what is found wrong; `honest`: the same, unbroken."""

    name: str
    honest: tuple[str, ...]
    faults: tuple[str, ...]
    what: str
    signs: tuple[str, ...]


CONTROLS = (
    Control(
        "tie", ("coarse", "log"), ("cut", "nothing"), "the region breaks no ties", ("differ", "not equal")
    ),
    Control(
        "arrival",
        ("clock", "log"),
        ("cut", "nothing"),
        "what comes last wins",
        ("differ", "not equal", "had replaced", "was acknowledged"),
    ),
    Control(
        "graves",
        ("clock", "log"),
        ("cut", "isolate"),
        "what arrives is not compared with tombstones",
        ("is back", "differ", "not equal", "had replaced", "was acknowledged"),
    ),
)


def say(sentence: str) -> None:
    """Print at once, also into a file."""
    print(sentence, flush=True)


def run_control(control: Control, seed: int, options: Options, broken: bool) -> Outcome:
    """Play on the broken build, or on the honest one."""
    changes = (*control.honest, control.name) if broken else control.honest
    control_options = replace(
        options,
        changes=changes,
        faults=control.faults,
        hot=CONTROL_HOT,
        converged_s=CONTROL_S if broken else options.converged_s,
        keep=not broken,
    )
    return play(seed, control_options)


def found_out(control: Control, outcome: Outcome) -> bool:
    """Whether a broken build was found out, and for the right reason."""
    return any(sign in text for sign in control.signs for text in outcome.wrong)


def run_controls(seed: int, options: Options, names: list[str] | None) -> int:
    """Every broken build must be found out, and the same must hold on the real program."""
    bad = 0
    for control in CONTROLS:
        if names is not None and control.name not in names:
            continue
        for broken in (False, True):
            outcome = run_control(control, seed, options, broken)
            as_wanted = found_out(control, outcome) if broken else not outcome.wrong
            bad += not as_wanted
            say(outcome.text())
            say(
                f"control {control.name} {'broken' if broken else 'intact'} ({control.what}): "
                f"{'as it must be' if as_wanted else 'NOT AS IT MUST BE'}"
            )
    return 1 if bad else 0


def main(arguments: list[str]) -> int:
    """Run the campaign or its controls; exit code 1 when anything is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.regions", description=__doc__)
    parser.add_argument("--regions", type=int, default=3, choices=(2, 3))
    parser.add_argument("--nodes", type=int, default=0, help="nodes of each region; 0: embedded servers")
    parser.add_argument("--seed", type=int, default=None, help="seed of the first round; else by the time")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long faults go on")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--clients", type=int, default=4, help="clients of each region")
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument(
        "--controls", nargs="?", const="all", help="run the negative controls instead: all, or names"
    )
    given = parser.parse_args(arguments)
    seed = given.seed if given.seed is not None else int(time.time()) % 1_000_000
    options = Options(
        regions=given.regions,
        nodes=given.nodes,
        seconds=given.seconds,
        clients=given.clients,
        faults=tuple(given.faults.split(",")),
        say=say,
    )
    if given.controls:
        return run_controls(seed, options, None if given.controls == "all" else given.controls.split(","))
    outcomes = []
    for number in range(given.rounds):
        outcomes.append(play(seed + number, options))
        say(outcomes[-1].text())
    failed = [outcome.seed for outcome in outcomes if outcome.wrong]
    say(f"{len(outcomes) - len(failed)} held, {len(failed)} did not{f': seeds {failed}' if failed else ''}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
