"""The pending keys of a partition for one region: where each key stands, and what is left in the engine."""

from __future__ import annotations

from hashrange_node.regions.window import Lane
from hypothesis import given
from hypothesis import strategies as st


def lane(limit: int = 1_000) -> Lane:
    """A lane whose scan has ended."""
    made = Lane(1, limit)
    made.found([], None)
    return made


def test_a_key_is_in_one_request_only_and_ready_again_when_it_was_changed_meanwhile() -> None:
    pending = lane()
    assert pending.mark(b"a", 5)
    assert not pending.mark(b"a", 6)
    assert pending.take(10) == [b"a"]
    assert not pending.mark(b"a", 7)
    assert not pending.mark(b"a", 8)
    assert pending.take(10) == []
    assert pending.pending == 1
    assert pending.landed(b"a") == 5
    assert pending.ready == {b"a": 7}
    assert pending.oldest == 7


def test_what_failed_or_sleeps_keeps_its_first_change() -> None:
    pending = lane()
    for key in (b"a", b"b", b"c"):
        pending.mark(key, 5)
    pending.take(10)
    for key in (b"a", b"b", b"c"):
        pending.mark(key, 9)
    pending.failed(b"a")
    pending.sleep(b"b")
    pending.expire(b"c")
    assert pending.ready == {b"a": 5, b"c": 9}
    assert (pending.asleep, pending.again) == ({b"b": 5}, {})
    pending.wake([b"b", b"never there"])
    assert pending.ready == {b"a": 5, b"c": 9, b"b": 5}


def test_a_fill_says_nothing_of_age_and_a_change_does() -> None:
    pending = lane()
    pending.mark(b"a", 0)
    assert pending.oldest == 0
    pending.mark(b"a", 7)
    assert pending.oldest == 7


def test_what_cannot_be_sent_is_pending_until_it_is_changed() -> None:
    pending = lane()
    pending.mark(b"a", 5)
    pending.take(1)
    pending.expire(b"a")
    assert (pending.pending, len(pending.ready), pending.oldest) == (1, 0, 5)
    assert pending.mark(b"a", 9)
    assert (pending.pending, pending.stale) == (1, {})


def test_somebody_who_waits_is_called_when_what_was_pending_is_delivered() -> None:
    pending, called = lane(), []
    pending.when_passed(lambda: called.append("at once"))
    assert called == ["at once"]
    pending.mark(b"a", 1)
    pending.mark(b"b", 2)
    pending.when_passed(lambda: called.append("both"))
    pending.mark(b"c", 3)
    pending.take(2)
    pending.mark(b"a", 4)
    pending.landed(b"a")
    assert called == ["at once"]
    pending.landed(b"b")
    assert called == ["at once", "both"]


def test_during_a_scan_nobody_knows_what_is_pending() -> None:
    pending, called = Lane(1), []
    pending.when_passed(lambda: called.append(1))
    pending.found([(b"a", 1)], b"a\0")
    assert not called
    pending.take(1)
    pending.landed(b"a")
    assert not called
    pending.found([], None)
    assert called


def test_beyond_the_limit_keys_are_left_to_the_engine() -> None:
    pending = lane(limit=2)
    for key in (b"a", b"b", b"c"):
        pending.mark(key, 1)
    assert pending.scanning
    assert list(pending.ready) == [b"a", b"b"]
    assert not pending.room
    pending.take(2)
    pending.landed(b"a")
    pending.landed(b"b")
    assert pending.room
    pending.found([(b"c", 1)], None)
    assert not pending.scanning
    assert list(pending.ready) == [b"c"]


def test_a_key_left_out_behind_the_cursor_makes_the_scan_begin_again() -> None:
    pending = Lane(1, 1)
    pending.found([(b"m", 1)], b"m\0")
    pending.mark(b"a", 1)
    pending.take(1)
    pending.landed(b"m")
    pending.found([], None)
    assert pending.scanning
    assert pending.cursor == b""
    pending.found([(b"a", 1)], None)
    assert not pending.scanning


KEYS = [bytes((letter,)) for letter in b"abcdefgh"]


@given(
    st.integers(1, 6),
    st.lists(
        st.tuples(
            st.sampled_from(["mark", "take", "land", "fail", "sleep", "wake", "scan"]), st.sampled_from(KEYS)
        )
    ),
)
def test_every_mark_is_delivered_in_the_end(limit: int, steps: list[tuple[str, bytes]]) -> None:
    """Against a model: the engine's marks with stamps, cleared when the version that landed is not older."""
    pending = lane(limit)
    engine: dict[bytes, int] = {}
    sent: dict[bytes, int] = {}
    clock = 0

    def scan() -> None:
        if pending.scanning and pending.room:
            found = [(key, stamp) for key, stamp in sorted(engine.items()) if key >= pending.cursor][:2]
            pending.found(found, found[-1][0] + b"\0" if len(found) == 2 else None)

    def land(key: bytes) -> None:
        pending.landed(key)
        if engine.get(key, clock + 1) <= sent.pop(key):
            del engine[key]

    for step, key in steps:
        if step == "mark":
            clock += 1
            engine[key] = clock
            pending.mark(key, clock)
        elif step == "take":
            for taken in pending.take(2):
                assert taken not in sent
                sent[taken] = engine.get(taken, clock)
        elif step == "wake":
            pending.wake(KEYS)
        elif step == "scan":
            scan()
        elif key in sent:
            if step == "land":
                land(key)
            else:
                (pending.failed if step == "fail" else pending.sleep)(key)
                del sent[key]
        parts = [pending.ready, pending.flying, pending.asleep, pending.stale]
        assert sum(map(len, parts)) == len({each for part in parts for each in part})
        assert pending.scanning or set(engine) <= {each for part in parts for each in part}
    for _ in range(200):
        for key in list(sent):
            land(key)
        pending.wake(KEYS)
        scan()
        for taken in pending.take(3):
            sent[taken] = engine.get(taken, clock)
        if not engine and not sent and not pending.scanning:
            break
    assert not engine
    assert not pending.scanning
