"""The check for linearizability of one register with read, write, compare-and-set and add.

The method is the search of Wing and Gong in the form of Lowe ("Testing for linearizability", 2017, just-in-time
linearization): walk through sends and answers in the order of time and keep the set of all configurations that
can explain what was seen so far. A configuration is the register's value and which of the operations under way
have taken effect. At an answer, those configurations in which its operation has not taken effect are extended
by other operations under way, in every order, until it has; those that cannot be are dropped. No configuration
left: nothing explains the history. The set is the memo: no configuration is looked at twice.

Four observations keep the set small without changing the answer:

- An operation that leaves the value alone (a read, a failed compare-and-set) takes effect at once when the value
  is what it saw: that takes nothing away from any continuation.
- A value that is written at most once can be left behind only when everybody who saw it has taken effect: it
  never comes back. With unique values this leaves hardly a choice.
- A write whose value nobody saw takes effect just before any other write, hidden by it.
- An unknown write whose value nobody saw may as well not have happened; one whose value was seen happened
  before the first answer that shows it.

The time is then near linear for histories with unique values, and bounded by `budget` for all others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.histories.history import (
    ADD,
    CAS,
    FAIL,
    OK,
    READ,
    REFUSED,
    UNKNOWN,
    UNSAID,
    WRITE,
    Operation,
    by_key,
)

DEFAULT_BUDGET = 5_000_000
"""Extensions tried for one key before giving up; giving up is never taken for a pass."""


class BudgetExceededError(Exception):
    """The search took more steps than allowed: the history is neither explained nor refuted."""


@dataclass
class Verdict:
    """Whether a key's history can be explained. `stuck` is the answer nothing explains; `values` what the
    register may have held just before it.
    """

    linearizable: bool
    stuck: Operation | None = None
    values: list[Any] = field(default_factory=list)
    steps: int = 0


@dataclass(slots=True, eq=False)
class _Step:
    """An operation as the search sees it. `sees` is the value it must find (when `looks`)."""

    operation: Operation
    end: float
    moves: bool
    looks: bool = False
    sees: Any = None
    value: Any = None
    differs: bool = False
    adds: bool = False
    before: _Step | None = None
    bit: int = 0

    @property
    def owed(self) -> bool:
        """Whether it must take effect, and needs the value it sees for that."""
        return self.looks and self.end < math.inf


def check(operations: Iterable[Operation], initial: Any = None, budget: int = DEFAULT_BUDGET) -> Verdict:
    """Decide whether the operations of one key are linearizable; raises `BudgetExceededError`."""
    known = list(operations)
    for operation in known:
        if operation.kind == CAS and operation.outcome == FAIL and operation.result == operation.expected:
            return Verdict(False, operation, [operation.result])
    return _Search(_steps(known, initial), initial, budget).run()


def _steps(operations: list[Operation], initial: Any) -> list[_Step]:
    """What has to be explained: without refused writes, unanswered reads, unknown writes nobody saw."""
    steps = []
    for each in operations:
        if each.outcome == REFUSED:
            continue
        if each.kind == READ:
            if each.outcome == OK:
                steps.append(_Step(each, each.end, False, True, each.result))
        elif each.kind == CAS and each.outcome == FAIL:
            unsaid = each.result == UNSAID
            sees = each.expected if unsaid else each.result
            steps.append(_Step(each, each.end, False, not unsaid, sees, differs=unsaid))
        elif each.kind == CAS:
            steps.append(_Step(each, each.end, True, True, each.expected, each.value))
        elif each.kind == WRITE:
            steps.append(_Step(each, each.end, True, value=each.value))
        else:
            steps.append(_Step(each, each.end, True, adds=True, value=each.value))
    return _settle_unknowns(steps, initial)


def _settle_unknowns(steps: list[_Step], initial: Any) -> list[_Step]:
    """Drop unknown writes without an effect that shows, and bound those whose effect did."""
    if any(step.differs for step in steps):
        return steps
    if any(step.adds for step in steps):
        last: dict[Any, _Step] = {}
        for step in steps:
            if step.adds and step.operation.outcome == UNKNOWN:
                # Equal unknown additions are interchangeable: the earlier sent takes effect first.
                step.before = last.get(step.value)
                last[step.value] = step
        return steps
    written = Counter(step.value for step in steps if step.moves)
    seen: dict[Any, float] = {}
    for step in steps:
        if step.looks:
            shown = math.inf if step.moves and step.operation.outcome == UNKNOWN else step.end
            seen[step.sees] = min(seen.get(step.sees, math.inf), shown)
    kept = []
    for step in steps:
        if step.operation.outcome == UNKNOWN:
            if step.value not in seen:
                continue
            if written[step.value] == 1 and step.value != initial:
                step.end = max(seen[step.value], step.operation.start)
        kept.append(step)
    return kept


class _Search:
    """The walk through the events of one key."""

    def __init__(self, steps: list[_Step], initial: Any, budget: int) -> None:
        self._steps = steps
        self._budget = budget
        self._tried = 0
        self._configurations: set[tuple[int, Any]] = {(0, initial)}
        self._movers: list[_Step] = []
        self._differing: list[_Step] = []
        self._watching: dict[Any, int] = {}
        """Value -> bits of operations under way that see it and leave it alone."""
        self._seeing: dict[Any, int] = {}
        """Value -> bits of all operations under way that must see it."""
        self._hidden = 0
        """Bits of writes under way whose value nobody sees."""
        self._free_bits: list[int] = []
        self._bits = 0
        self._to_see: Counter[Any] = Counter(step.sees for step in steps if step.owed)
        """Value -> operations not yet answered that must see it."""
        self._ever_seen = {step.sees for step in steps if step.looks}
        mixed = any(step.differs or step.adds for step in steps)
        self._may_hide = not mixed
        self._once = self._values_written_once(initial)
        self._all_once = self._only_growing()

    def _values_written_once(self, initial: Any) -> set[Any]:
        if any(step.adds for step in self._steps):
            return set()
        written = Counter(step.value for step in self._steps if step.moves)
        written[initial] += 1
        return {value for value, times in written.items() if times == 1}

    def _only_growing(self) -> bool:
        """A counter that only grows never shows a value twice."""
        movers = [step for step in self._steps if step.moves]
        return bool(movers) and all(step.adds and step.value > 0 for step in movers)

    def run(self) -> Verdict:
        events: list[tuple[float, int, int, _Step]] = []
        for number, step in enumerate(self._steps):
            events.append((step.operation.start, 0, number, step))
            if step.end < math.inf:
                # A bounded unknown closes after the answer that shows it.
                late = 2 if step.operation.outcome == UNKNOWN else 1
                events.append((step.end, late, number, step))
        events.sort(key=lambda event: event[:3])
        for _, phase, _, step in events:
            if phase == 0:
                self._open(step)
                continue
            before = self._configurations
            self._close(step)
            if not self._configurations:
                values = sorted({value for _, value in before}, key=str)
                return Verdict(False, step.operation, values, self._tried)
        return Verdict(True, steps=self._tried)

    def _open(self, step: _Step) -> None:
        """An operation was sent."""
        if self._free_bits:
            step.bit = self._free_bits.pop()
        else:
            step.bit = 1 << self._bits
            self._bits += 1
        if step.owed:
            self._seeing[step.sees] = self._seeing.get(step.sees, 0) | step.bit
        if step.moves:
            self._movers.append(step)
            if self._may_hide and not step.looks and step.value not in self._ever_seen:
                self._hidden |= step.bit
            return
        if step.differs:
            self._differing.append(step)
        else:
            self._watching[step.sees] = self._watching.get(step.sees, 0) | step.bit
        self._configurations = {(self._settled(mask, value), value) for mask, value in self._configurations}

    def _settled(self, mask: int, value: Any) -> int:
        """With every operation under way in effect that sees `value` and leaves it alone."""
        mask |= self._watching.get(value, 0)
        for step in self._differing:
            if step.sees != value:
                mask |= step.bit
        return mask

    def _close(self, step: _Step) -> None:
        """An operation was answered: it has taken effect."""
        bit = step.bit
        if any(not mask & bit for mask, _ in self._configurations):
            self._extend(bit)
        self._configurations = {(mask & ~bit, value) for mask, value in self._configurations}
        self._free_bits.append(bit)
        self._hidden &= ~bit
        if step.owed:
            self._to_see[step.sees] -= 1
            _remove_bit(self._seeing, step.sees, bit)
        if step.moves:
            self._movers.remove(step)
        elif step.differs:
            self._differing.remove(step)
        else:
            _remove_bit(self._watching, step.sees, bit)

    def _extend(self, bit: int) -> None:
        """Keep configurations with `bit`, and all ways to extend the others until they have it."""
        done = {each for each in self._configurations if each[0] & bit}
        stack = [each for each in self._configurations if not each[0] & bit]
        known = set(stack)
        while stack:
            mask, value = stack.pop()
            for step in self._movers:
                if mask & step.bit:
                    continue
                self._tried += 1
                extended = self._take(step, mask, value)
                if extended is None:
                    continue
                if extended[0] & bit:
                    done.add(extended)
                elif extended not in known:
                    known.add(extended)
                    stack.append(extended)
            if self._tried > self._budget:
                raise BudgetExceededError(f"more than {self._budget} steps")
        self._configurations = done

    def _take(self, step: _Step, mask: int, value: Any) -> tuple[int, Any] | None:
        """The configuration after `step`, or None when it cannot take effect now."""
        mask |= step.bit
        if step.looks:
            if value != step.sees:
                return None
            after = step.value
        elif step.adds:
            after = (value or 0) + step.value
            if step.operation.outcome == OK and after != step.operation.result:
                return None
            if step.before is not None and step.before.bit and not mask & step.before.bit:
                return None
        else:
            after = step.value
            mask |= self._hidden
        if self._all_once or value in self._once:
            seen = (mask & self._seeing.get(value, 0)).bit_count()
            if self._to_see[value] > seen:
                return None
        return self._settled(mask, after), after


def _remove_bit(masks: dict[Any, int], value: Any, bit: int) -> None:
    left = masks[value] & ~bit
    if left:
        masks[value] = left
    else:
        del masks[value]


@dataclass
class Violation:
    """A key whose history cannot be explained. `operations` is the smallest part found that cannot.

    `initial` is what the register held before them.
    """

    key: str
    verdict: Verdict
    operations: list[Operation]
    initial: Any = None

    def text(self) -> str:
        """The counterexample, for people."""
        from tests.cluster.histories.report import draw

        return draw(self)


def check_history(operations: Iterable[Operation], budget: int = DEFAULT_BUDGET) -> list[Violation]:
    """The keys whose histories are not linearizable, each with a small counterexample.

    A key on which the search gave up is a violation too, with all its operations.
    """
    from tests.cluster.histories.shrink import shrink, start_late

    violations = []
    for key, found in by_key(operations):
        try:
            verdict = check(found, budget=budget)
        except BudgetExceededError:
            violations.append(Violation(key, Verdict(False), found))
            continue
        if not verdict.linearizable:
            smallest, initial = start_late(shrink(found))
            violations.append(Violation(key, check(smallest, initial), smallest, initial))
    return violations


__all__ = ["ADD", "BudgetExceededError", "Verdict", "Violation", "check", "check_history"]
