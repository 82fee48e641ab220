"""The command line of the campaign: see the package's description."""

from __future__ import annotations

import argparse
import sys
import time

from tests.cluster.campaign.controls import CONTROLS, Control, program
from tests.cluster.campaign.run import FAULTS, Fault, Options, Outcome, play


def say(sentence: str) -> None:
    """Print at once, also into a file."""
    print(sentence, flush=True)


def main(arguments: list[str]) -> int:
    """Run faults or controls; exit code 1 when anything is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.campaign", description=__doc__)
    parser.add_argument("--short", action="store_true", help="short faults, one round")
    parser.add_argument("--faults", help="which, such as F1,F5; else all")
    parser.add_argument("--seed", type=int, default=None, help="seed of the first round; else by the time")
    parser.add_argument("--rounds", type=int, default=1, help="how often each fault is run")
    parser.add_argument("--boto3", action="store_true", help="put the load on through boto3")
    parser.add_argument("--power", action="store_true", help="kills are power cuts: unsynced writes are lost")
    parser.add_argument("--controls", action="store_true", help="run the negative controls instead")
    parser.add_argument("--list", action="store_true", help="say what there is")
    given = parser.parse_args(arguments)
    if given.list:
        for fault in FAULTS.values():
            say(f"{fault.name:<4} {fault.what}")
        return 0
    seed = given.seed if given.seed is not None else int(time.time()) % 1_000_000
    if given.controls:
        return run_controls(seed, given.faults.split(",") if given.faults else None)
    names = given.faults.split(",") if given.faults else list(FAULTS)
    unknown = [name for name in names if name not in FAULTS]
    if unknown:
        parser.error(f"there is no fault {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    say(f"seed {seed}, faults {', '.join(names)}, {given.rounds} rounds")
    outcomes = []
    for round_number in range(given.rounds):
        for name in names:
            options = Options(short=given.short, boto3=given.boto3, say=say)
            if given.power and not FAULTS[name].zoned:
                options.program = program("power") or options.program
            outcome = play(FAULTS[name], seed + round_number, options)
            say(outcome.text())
            outcomes.append(outcome)
    return summary(outcomes)


def summary(outcomes: list[Outcome]) -> int:
    """Say how many held; the exit code."""
    failed = [outcome for outcome in outcomes if outcome.wrong]
    left_out = [outcome for outcome in outcomes if outcome.left_out]
    say(
        f"{len(outcomes) - len(failed) - len(left_out)} held, {len(failed)} did not, {len(left_out)} left out"
    )
    for outcome in failed:
        say(f"  not held: {outcome.name} with seed {outcome.seed}")
    return 1 if failed else 0


def run_control(control: Control, seed: int, broken: bool) -> Outcome:
    """Play a control's schedule, on the broken build or on the honest one."""
    chosen = program(control.broken if broken else control.honest)
    options = Options(say=say, schedule=control.schedule, keep=not broken)
    if chosen is not None:
        options.program = chosen
    name = f"{control.name} {'broken' if broken else 'intact'}"
    return play(Fault(name, control.schedule), seed, options)


def found_out(control: Control, outcome: Outcome) -> bool:
    """Whether a broken build was found out, and for the right reason."""
    return any(sign in text for sign in control.signs for text in outcome.wrong)


def run_controls(seed: int, names: list[str] | None) -> int:
    """Every broken build must be found out, and the same schedule must hold on the real program."""
    bad = 0
    for control in CONTROLS:
        if names is not None and control.name not in names:
            continue
        for broken in (False, True):
            outcome = run_control(control, seed, broken)
            say(outcome.text())
            as_wanted = found_out(control, outcome) if broken else not outcome.wrong
            bad += not as_wanted
            say(f"control {outcome.name}: {'as it must be' if as_wanted else 'NOT AS IT MUST BE'}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
