"""Run seeds: `python -m tests.sim --seeds 200 --start 0`, or one in detail: `--seed 17 --trace`.

Prints progress, and for a seed that fails what was broken and how to run it again. Exit code 1 when one did.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable

from hashrange.runtime.logging import configure
from tests.sim.run import Plan, Simulation
from tests.sim.sabotage import FAULTS, WHOLE, plan_for, sabotaged
from tests.sim.transactions import sabotage as without
from tests.sim.transactions.run import TransactSimulation, transactions_plan
from tests.sim.whole import WholeSimulation, whole_plan

PLANS: dict[str, Callable[[int], Plan]] = {
    "mixed": Plan.of,
    "ordinary": lambda seed: Plan(),
    "forgetful": lambda seed: Plan.forgetful(),
    "whole": whole_plan,
    "transactions": transactions_plan,
    "contested": lambda seed: Plan.contested(),
}
MADE: dict[str, type[Simulation]] = {"whole": WholeSimulation, "transactions": TransactSimulation}


def _options(arguments: argparse.Namespace) -> str:
    chosen = [("--chaos", arguments.chaos), ("--kinds", arguments.kinds), ("--sabotage", arguments.sabotage)]
    chosen.append(("--plan", arguments.plan if arguments.plan != "mixed" else ""))
    return "".join(f" {name} {str(value)!r}" for name, value in chosen if value)


def main() -> int:
    """Run what the arguments say."""
    configure("text", "error")
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="one seed alone")
    parser.add_argument("--trace", action="store_true", help="print every fault")
    parser.add_argument("--keep-going", action="store_true", help="go on after a failure")
    parser.add_argument("--chaos", type=float, default=0.0, help="seconds of faults")
    parser.add_argument("--plan", choices=sorted(PLANS), default="mixed", help="what the runs are like")
    parser.add_argument("--kinds", default="", help="only these faults, separated by commas")
    parser.add_argument("--sabotage", choices=sorted([*FAULTS, *without.FAULTS]), help="a rule to take out")
    arguments = parser.parse_args()
    name = arguments.sabotage
    if name is None:
        return run_seeds(arguments)
    if name in without.FAULTS:
        arguments.plan = "transactions"
    if name in WHOLE:
        arguments.plan = "whole"
    with without.sabotaged(name) if name in without.FAULTS else sabotaged(name):
        return run_seeds(arguments)


def _plan(arguments: argparse.Namespace, seed: int) -> Plan:
    name = arguments.sabotage
    if name in without.FAULTS:
        return without.plan_for(name, seed)
    return plan_for(name) if name else PLANS[arguments.plan](seed)


def run_seeds(arguments: argparse.Namespace) -> int:
    """Run the seeds asked for; 1 when one fails."""
    seeds = (
        [arguments.seed]
        if arguments.seed is not None
        else range(arguments.start, arguments.start + arguments.seeds)
    )
    started = time.monotonic()
    failed: list[int] = []
    totals = [0, 0, 0, 0, 0]
    for number, seed in enumerate(seeds, 1):
        plan = _plan(arguments, seed)
        plan.chaos_s = arguments.chaos or plan.chaos_s
        plan.kinds = tuple(filter(None, arguments.kinds.split(","))) or plan.kinds
        simulation = MADE.get(arguments.plan, Simulation)(seed, plan, tracing=arguments.trace)
        try:
            result = simulation.run()
        except Exception as error:
            failed.append(seed)
            shown = f"{type(error).__name__}: {error}"
            if not isinstance(error, AssertionError) or not str(error):
                shown = traceback.format_exc()
            print(
                f"seed {seed} fails at {simulation.world.now:.3f} s, faults {simulation.faults.kinds}:\n  {shown}"
            )
            print(f"again: python -m tests.sim --seed {seed} --trace{_options(arguments)}")
            if not arguments.keep_going:
                break
            continue
        counted = (result.events, result.operations, result.unknown, result.elections, result.snapshots)
        for place, value in enumerate(counted):
            totals[place] += value
        if arguments.seed is not None:
            print(result)
        elif number % 20 == 0:
            print(f"{number} seeds, {time.monotonic() - started:.1f} s", flush=True)
    seconds = time.monotonic() - started
    events, operations, unknown, elections, snapshots = totals
    each_ms = seconds / max(len(seeds), 1) * 1000
    print(f"{len(seeds)} seeds in {seconds:.1f} s, {each_ms:.0f} ms each; failed: {failed or 'none'}")
    print(f"{events} events, {operations} operations, {unknown} of them with unknown outcome")
    print(f"{elections} elections, {snapshots} snapshots installed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
