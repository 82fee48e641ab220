"""Which part of the log may go: never an entry that is not applied, and all others before long."""

from __future__ import annotations

from hashrange_node.replica.log_use import LogUse
from hypothesis import given, settings
from hypothesis import strategies as st


def test_everything_applied_may_go() -> None:
    use: LogUse[str] = LogUse()
    assert use.floor(lambda group, index: False) == 0
    use.note("a", 5)
    use.grown(100)
    assert use.floor(lambda group, index: index <= 4) == 0
    assert use.floor(lambda group, index: index <= 5) == 100


def test_what_a_start_found_stays_until_it_is_applied() -> None:
    """A group without a leader keeps its entries, however long others go on."""
    use: LogUse[str] = LogUse(1000, [("without leader", 7), ("busy", 3)], stretch_bytes=100)
    for index in range(4, 400):
        use.note("busy", index)
        use.grown(1000 + 10 * index)
        assert use.floor(lambda group, _: group == "busy") == 0
    assert use.floor(lambda group, index: True) == 1000 + 10 * 399


def test_a_stretch_remembers_each_group_once() -> None:
    use: LogUse[str] = LogUse(stretch_bytes=1000)
    for index in range(1, 100_000):
        use.note("a", index)
        use.grown(index)
    assert len(use._stretches) == 100


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.integers(0, 3), st.integers(1, 5), max_size=4),  # entries of groups in a batch
            st.dictionaries(st.integers(0, 3), st.integers(0, 8), max_size=2),  # then applied, of each
            st.booleans(),  # then asked
        ),
        max_size=50,
    )
)
def test_against_all_entries(steps: list[tuple[dict[int, int], dict[int, int], bool]]) -> None:
    use: LogUse[int] = LogUse(stretch_bytes=7)
    places: list[tuple[int, int]] = []  # of every entry: (group, index); its position is its place
    last = dict.fromkeys(range(4), 0)
    applied = dict.fromkeys(range(4), 0)
    before = 0
    for batch, news, asked in steps:
        for group, count in batch.items():
            places += [(group, last[group] + number + 1) for number in range(count)]
            last[group] += count
            use.note(group, last[group])
        use.grown(len(places))
        for group, count in news.items():
            applied[group] = min(applied[group] + count, last[group])
        if asked:
            floor = use.floor(lambda group, index: applied[group] >= index)
            assert floor >= before
            before = floor
            assert all(applied[group] >= index for group, index in places[:floor])
    assert use.floor(lambda group, index: True) == len(places)
