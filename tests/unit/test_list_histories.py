"""The checker of list histories: every anomaly is found and named, and what is right is left alone."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.cluster.histories import list_check as names
from tests.cluster.histories.__main__ import main
from tests.cluster.histories.list_check import check_lists
from tests.cluster.histories.lists import (
    APPEND,
    OK,
    READ,
    REFUSED,
    UNKNOWN,
    ListHistory,
    Op,
    Transaction,
    parse_transactions,
    read_transactions,
)

APART = 10.0


class Made:
    """A history made by hand. Transactions overlap unless they are told when to begin and end."""

    def __init__(self) -> None:
        self.transactions: list[Transaction] = []

    def do(
        self,
        appends: dict[str, int | list[int]] | None = None,
        reads: dict[str, list[int]] | None = None,
        at: tuple[float, float] = (0.0, APART),
        outcome: str = OK,
        lone: bool = False,
    ) -> Transaction:
        """A transaction: what it appends to each key, and the lists that it reads."""
        ops: list[Op] = []
        for key, values in (appends or {}).items():
            ops += [(APPEND, key, each) for each in (values if isinstance(values, list) else [values])]
        ops += [(READ, key, None) for key in reads or {}]
        end = at[1] if outcome != UNKNOWN else float("inf")
        made = Transaction(len(self.transactions), 1, at[0], ops, end, outcome, dict(reads or {}), lone=lone)
        self.transactions.append(made)
        return made

    def kinds(self) -> list[str]:
        """The names of what is found."""
        return [finding.kind for finding in check_lists(self.transactions)]


@pytest.fixture
def made() -> Made:
    return Made()


def test_a_history_without_anomalies(made: Made) -> None:
    made.do({"x": 1, "y": 2})
    made.do({"x": 3})
    made.do(reads={"x": [1], "y": [2]})
    made.do(reads={"x": [1, 3], "y": [2]})
    made.do(reads={"x": [], "y": []})
    assert made.kinds() == []


def test_g0_dirty_writes(made: Made) -> None:
    made.do({"x": 1, "y": 2})
    made.do({"x": 3, "y": 4})
    made.do(reads={"x": [1, 3]})
    made.do(reads={"y": [4, 2]})
    assert made.kinds()[0] == names.G0


def test_g1a_an_aborted_read(made: Made) -> None:
    made.do({"x": 1}, outcome=REFUSED)
    made.do(reads={"x": [1]})
    assert made.kinds() == [names.G1A]


def test_g1b_an_intermediate_read(made: Made) -> None:
    made.do({"x": [1, 2]})
    made.do(reads={"x": [1]})
    made.do(reads={"x": [1, 2]})
    assert names.G1B in made.kinds()


def test_g1b_is_not_what_a_transaction_sees_of_itself(made: Made) -> None:
    made.do({"x": [1, 2]}, {"x": [1, 2]})
    made.do(reads={"x": [1, 2]})
    assert made.kinds() == []


def test_g1c_a_circle_of_information(made: Made) -> None:
    made.do({"x": 1}, {"y": [2]})
    made.do({"y": 2}, {"x": [1]})
    assert made.kinds() == [names.G1C]


def test_g_single_read_skew_over_three(made: Made) -> None:
    made.do({"x": 1})
    made.do({"y": 2}, {"x": [1]})
    made.do(reads={"y": [2], "x": []})
    assert made.kinds() == [names.G_SINGLE]


def test_a_fractured_read(made: Made) -> None:
    made.do({"x": 1, "y": 2})
    made.do(reads={"x": [1], "y": []})
    made.do(reads={"x": [1], "y": [2]})
    assert made.kinds() == [names.FRACTURED_READ]


def test_a_fractured_read_of_an_append_nobody_saw(made: Made) -> None:
    made.do({"x": 1, "y": 2})
    made.do(reads={"x": [1], "y": []})
    assert made.kinds() == [names.FRACTURED_READ]


def test_g2_write_skew(made: Made) -> None:
    made.do({"x": 1}, {"y": []})
    made.do({"y": 2}, {"x": []})
    made.do(reads={"x": [1], "y": [2]})
    assert made.kinds() == [names.G2]


def test_a_lost_update(made: Made) -> None:
    made.do({"x": 1})
    made.do({"x": 2}, {"x": [1]})
    made.do({"x": 3}, {"x": [1]})
    made.do(reads={"x": [1, 2, 3]})
    assert names.LOST_UPDATE in made.kinds()


def test_a_stale_read(made: Made) -> None:
    made.do({"x": 1}, at=(0, 1))
    made.do(reads={"x": [1]}, at=(2, 3))
    made.do(reads={"x": []}, at=(4, 5))
    assert names.STALE_READ in made.kinds()


def test_the_order_of_real_time_between_appends(made: Made) -> None:
    made.do({"x": 1}, at=(0, 1))
    made.do({"x": 2}, at=(2, 3))
    made.do(reads={"x": [2, 1]}, at=(4, 5))
    assert made.kinds() == [names.REAL_TIME]


def test_a_read_of_what_is_not_yet_appended(made: Made) -> None:
    made.do(reads={"x": [1]}, at=(0, 1))
    made.do({"x": 1}, at=(2, 3))
    assert made.kinds() == [names.REAL_TIME]


def test_overlapping_transactions_may_take_effect_in_any_order(made: Made) -> None:
    made.do({"x": 1}, at=(0, 2))
    made.do({"x": 2}, at=(1, 3))
    made.do(reads={"x": [2, 1]}, at=(4, 5))
    assert made.kinds() == []


def test_a_duplicate_append(made: Made) -> None:
    made.do({"x": 1})
    made.do({"x": 2})
    made.do(reads={"x": [1, 2, 1]})
    assert names.DUPLICATE in made.kinds()


def test_a_lost_append(made: Made) -> None:
    made.do({"x": 1}, at=(0, 1))
    made.do({"x": 2}, at=(2, 3))
    made.do(reads={"x": [2]}, at=(4, 5))
    assert names.LOST_APPEND in made.kinds()


def test_a_lost_append_of_a_transaction_seen_elsewhere(made: Made) -> None:
    made.do({"x": 1, "y": 2}, at=(0, 1))
    made.do(reads={"x": [1]}, at=(2, 3))
    made.do(reads={"y": []}, at=(2, 3))
    assert made.kinds() == [names.LOST_APPEND]


def test_incompatible_orders(made: Made) -> None:
    made.do({"x": 1})
    made.do({"x": 2})
    made.do(reads={"x": [1, 2]})
    made.do(reads={"x": [2]})
    assert made.kinds() == [names.INCOMPATIBLE]


def test_an_invented_value(made: Made) -> None:
    made.do({"x": 1})
    made.do(reads={"x": [1, 7]})
    assert made.kinds() == [names.INVENTED]


def test_an_unknown_append_may_have_happened_or_not(made: Made) -> None:
    made.do({"x": 1}, outcome=UNKNOWN)
    made.do({"x": 2}, outcome=UNKNOWN)
    made.do(reads={"x": [2]}, at=(50, 51))
    made.do(reads={"x": [2]}, at=(60, 61))
    assert made.kinds() == []


def test_an_unknown_append_may_take_effect_late_but_only_once_seen_everywhere(made: Made) -> None:
    made.do({"x": 1, "y": 2}, outcome=UNKNOWN)
    made.do(reads={"x": [], "y": []}, at=(50, 51))
    made.do(reads={"x": [1], "y": [2]}, at=(60, 61))
    assert made.kinds() == []
    made.do(reads={"y": []}, at=(70, 71))
    assert names.STALE_READ in made.kinds()


def test_half_of_an_unknown_transaction_is_an_anomaly(made: Made) -> None:
    made.do({"x": 1, "y": 2}, outcome=UNKNOWN)
    made.do(reads={"x": [1], "y": []}, at=(50, 51))
    assert made.kinds() == [names.FRACTURED_READ]


def test_an_unknown_append_does_not_take_effect_before_it_is_sent(made: Made) -> None:
    made.do(reads={"x": [1]}, at=(0, 1))
    made.do({"x": 1}, at=(2, 3), outcome=UNKNOWN)
    assert made.kinds() == [names.REAL_TIME]


def test_single_operations_and_transactions_are_one_history(made: Made) -> None:
    made.do({"x": 1, "y": 2}, at=(0, 1))
    made.do({"x": 3}, {"x": [1, 3]}, at=(2, 3))
    made.do(reads={"y": []}, at=(2, 3))
    assert made.kinds() == [names.LOST_APPEND]


def test_lone_reads_need_not_see_a_transaction_everywhere_at_once(made: Made) -> None:
    made.do({"x": 1, "y": 2}, outcome=UNKNOWN)
    made.do(reads={"x": [1]}, at=(1.0, 2.0), lone=True)
    made.do(reads={"y": []}, at=(3.0, 4.0), lone=True)
    made.do(reads={"y": [2]}, at=(5.0, 6.0), lone=True)
    assert made.kinds() == []


@pytest.mark.parametrize("lone", [(True, False), (False, True), (True, True)])
def test_lone_reads_of_a_key_keep_to_real_time(made: Made, lone: tuple[bool, bool]) -> None:
    made.do({"x": 1})
    made.do(reads={"x": [1]}, at=(1.0, 2.0), lone=lone[0])
    made.do(reads={"x": []}, at=(3.0, 4.0), lone=lone[1])
    assert made.kinds() == [names.STALE_READ]


def test_a_value_appended_twice_by_the_clients_is_no_history(made: Made) -> None:
    made.do({"x": 1})
    made.do({"x": 1})
    with pytest.raises(ValueError, match="by two transactions"):
        made.kinds()


def test_findings_tell_what_joins_the_transactions(made: Made) -> None:
    made.do({"x": 1, "y": 2})
    made.do(reads={"x": [1], "y": []})
    (finding,) = check_lists(made.transactions)
    assert finding.why == "T0 -wr x-> T1 -rw y-> T0"
    assert "T0 (client 1, 0.0 .. 10000.0 ms): append 1 to x; append 2 to y" in finding.text()


def recorded(path: Path | None = None) -> ListHistory:
    ticks = itertools.count()
    history = ListHistory(path, now=lambda: float(next(ticks)))
    first = history.invoke(1, [(APPEND, "x", 1), (APPEND, "y", 2)])
    history.ok(first)
    second = history.invoke(2, [(READ, "x", None), (READ, "y", None)])
    third = history.invoke(3, [(APPEND, "x", 3)])
    history.ok(second, {"x": [1], "y": [2]})
    history.unknown(third, "timeout")
    history.refuse(history.invoke(3, [(APPEND, "y", 4)]), "conflict")
    history.close()
    return history


def test_histories_are_written_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "lists.jsonl"
    history = recorded(path)
    found = read_transactions(path)
    assert [each.text() for each in found] == [each.text() for each in history.transactions]
    assert [(each.start, each.end) for each in found] == [
        (each.start, each.end) for each in history.transactions
    ]
    assert found[2].outcome == UNKNOWN and found[3].outcome == REFUSED


@pytest.mark.parametrize("line", ["nonsense", '{"event": "ok", "id": 5}', '{"event": "invoke", "id": 1}'])
def test_lines_that_make_no_sense_are_named(line: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        parse_transactions([line])


def test_the_command_checks_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lists.jsonl"
    history = recorded(path)
    assert main([str(path)]) == 0
    assert "4 transactions" in capsys.readouterr().out
    wrong = ListHistory(path, now=itertools.count(100).__next__)
    for each in history.transactions:
        wrong.invoke(1, each.ops)
    wrong.ok(wrong.invoke(2, [(READ, "x", None)]), {"x": [9]})
    wrong.close()
    assert main([str(path)]) == 1
    assert "invented value" in capsys.readouterr().out
