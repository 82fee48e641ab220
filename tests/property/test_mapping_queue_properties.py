"""The queue between a shard and its function against a model, with any settings and any outcomes of calls.

Whatever the function does: every record is taken by it or given up, once; the changes of an item are seen in their
order; the checkpoint never passes a record that has not left, and ends behind the last one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hashrange_router.triggers.mapping.answers import Failure, Partial, Success
from hashrange_router.triggers.mapping.lane import Answer, Lane, Unit
from hashrange_router.triggers.mapping.queue import Checkpoint, ShardQueue
from hashrange_router.triggers.mapping.settings import Entry, Moment, Settings
from hypothesis import given, settings
from hypothesis import strategies as st

ANSWER = Answer("request", "$LATEST", "Unhandled")
STEPS_MAX = 5_000


@dataclass
class World:
    """A shard, its function, and what was seen of them."""

    queue: ShardQueue
    records: list[tuple[int, Entry]]
    now_s: float = 0.0
    read: int = 0
    left: dict[int, str] = field(default_factory=dict)
    out: dict[int, Unit] = field(default_factory=dict)
    checkpoint: int = 0

    @property
    def moment(self) -> Moment:
        return Moment(self.now_s, round(self.now_s * 1000))

    def feed(self, count: int) -> None:
        """The next records, as far as there is room."""
        count = min(count, self.queue.room(), len(self.records) - self.read)
        more = [(key, entry._replace(arrived=self.now_s)) for key, entry in self.records[self.read :][:count]]
        self.read += count
        if not self.queue.ended:
            after = more[-1][1].sequence if more else self.queue.position
            self.queue.accept(more, after, self.read == len(self.records))
            if not more:
                self.queue.caught_up_ms = self.moment.wall_ms

    def start(self) -> None:
        """Poll every lane once."""
        for index in range(self.queue.lanes):
            unit = self.queue.poll(index, self.moment)
            if unit is not None:
                assert index not in self.out
                self.out[index] = unit
                self.check_unit(unit)

    def check_unit(self, unit: Unit) -> None:
        """What a unit may have in it, and that it comes in its turn."""
        numbers = [entry.sequence for entry in unit.records]
        assert numbers == sorted(set(numbers))
        assert len(numbers) <= 100
        assert not any(number in self.left for number in numbers)
        assert bool(numbers) or unit.final
        if unit.verdict is not None:
            return
        held = {number for other in self.out.values() if other is not unit for number in _numbers(other)}
        keys = {entry.sequence: key for key, entry in self.records}
        for number in numbers:
            for earlier, key in keys.items():
                if key == keys[number] and earlier < number:
                    assert earlier in self.left or earlier in numbers, "out of order"
                    assert earlier not in held, "an item in two lanes"

    def end(self, index: int, outcome: Success | Partial | Failure | None) -> None:
        """A call has ended; None: it could not be made."""
        unit = self.out.pop(index)
        lane: Lane = self.queue.lane(index)
        if unit.verdict is not None:
            self.leave(_numbers(unit), unit.verdict)
            lane.dropped()
        elif outcome is None:
            lane.refused(self.moment)
        elif isinstance(outcome, Success):
            self.leave(_numbers(unit), "taken")
            lane.succeeded(b'{"n": 1}' if unit.window is not None else None)
        elif isinstance(outcome, Partial):
            self.leave([number for number in _numbers(unit) if number < outcome.lowest], "taken")
            lane.failed_from(outcome.lowest, ANSWER, self.moment, b"{}" if unit.window is not None else None)
        else:
            lane.failed(ANSWER, self.moment)
        self.queue.settle()
        self.check_checkpoint()

    def leave(self, numbers: list[int], how: str) -> None:
        for number in numbers:
            assert number not in self.left, "left twice"
            self.left[number] = how

    def check_checkpoint(self) -> None:
        """It does not go back, and passes nothing that has not left."""
        after = self.queue.checkpoint().after
        assert after >= self.checkpoint
        self.checkpoint = after
        assert all(entry.sequence in self.left for _, entry in self.records if entry.sequence <= after)


def _numbers(unit: Unit) -> list[int]:
    return [entry.sequence for entry in unit.records]


some_settings = st.builds(
    Settings,
    batch_size=st.sampled_from([1, 2, 3, 7, 100]),
    window_s=st.sampled_from([0.0, 0.5, 300.0]),
    lanes=st.integers(1, 4),
    retries_max=st.sampled_from([0, 1, 3]),
    age_max_s=st.sampled_from([-1, 60]),
    bisect=st.booleans(),
    partial=st.booleans(),
    tumbling_ms=st.sampled_from([0, 0, 1000]),
).map(lambda found: replace(found, lanes=1) if found.tumbling_ms else found)

# Times jump about: clocks of leaders differ.
some_records = st.lists(st.tuples(st.integers(0, 5), st.integers(-90_000, 10_000)), max_size=60).map(
    lambda drawn: [
        (key, Entry(10 * (index + 1), max(created, 0) if created > -60_000 else created, 0.0, b"{}"))
        for index, (key, created) in enumerate(drawn)
    ]
)


@settings(max_examples=300, deadline=None)
@given(some_settings, some_records, st.frozensets(st.integers(1, 60), max_size=3), st.data())
def test_everything_leaves_in_order(
    wanted: Settings, records: list[tuple[int, Entry]], poison: frozenset[int], data: st.DataObject
) -> None:
    """`poison`: records (by their place) that every call fails with."""
    world = World(ShardQueue(wanted, Checkpoint(0)), records)
    poisoned = {10 * place for place in poison}
    rng = data.draw(st.randoms(use_true_random=False))
    for step in range(STEPS_MAX):
        if world.queue.finished and not world.out:
            break
        world.feed(rng.choice([0, 1, 2, 5, 50]))
        world.check_checkpoint()
        world.start()
        if world.out and rng.random() < 0.8:
            index = rng.choice(list(world.out))
            unit = world.out[index]
            bad = [number for number in _numbers(unit) if number in poisoned]
            chance = rng.random()
            if chance < 0.1:
                world.end(index, None)
            elif wanted.partial and unit.records and (bad or chance < 0.3):
                lowest = min(bad) if bad else rng.choice(_numbers(unit))
                world.end(index, Partial(lowest, b"{}"))
            elif bad or chance < 0.2:
                world.end(index, Failure("the function failed", "Unhandled"))
            else:
                world.end(index, Success())
        else:
            world.now_s += rng.choice([0.01, 0.3, 5.0])
        if step < 20 and rng.random() < 0.05:
            world.queue.change(replace(wanted, lanes=1 if wanted.tumbling_ms else rng.randint(1, 4)))
            world.queue.settle()
    assert world.queue.finished, "it does not come to an end"
    assert set(world.left) == {entry.sequence for _, entry in records}
    assert world.queue.checkpoint().after == (records[-1][1].sequence if records else 0)
    for number in poisoned & set(world.left):
        assert world.left[number] != "taken"


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 3), st.booleans())
def test_bisecting_gives_up_the_poison_record_alone(
    count: int, place: int, retries: int, partial: bool
) -> None:
    """With halving, whether or not the function says which record it was, all others are taken."""
    records = [(0, Entry(10 * (index + 1), 0, 0.0, b"{}")) for index in range(count)]
    wanted = Settings(batch_size=100, bisect=True, partial=partial, retries_max=retries)
    world = World(ShardQueue(wanted, Checkpoint(0)), records)
    world.feed(100)
    poison, alone = 10 * place, 0
    for _ in range(STEPS_MAX):
        if world.queue.finished:
            break
        world.now_s += 60
        world.start()
        numbers = _numbers(world.out[0])
        if world.out[0].verdict is None and numbers == [poison]:
            alone += 1
        outcome: Success | Partial | Failure = Success()
        if poison in numbers:
            outcome = Partial(poison) if partial else Failure("it failed", "Unhandled")
        world.end(0, outcome)
    expected = {entry.sequence: "taken" for _, entry in records}
    if poison in expected:
        expected[poison] = "RetryAttemptsExhausted"
        assert alone == retries + 1
    assert world.left == expected
