"""The registry of attribute lists: numbers that are global, durable before they are told, and never used again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hashrange_dax.registry import FIRST_ID, LIST_BYTES_MAX, AttributeRegistry, first_number

from hashrange.errors import ApiError, unavailable
from hashrange.model.dax import ATTRIBUTES
from hashrange.wire.documents import ChangeDocument, ControlDocuments
from hashrange.wire.messages import ConflictError, Done


class Plane:
    """A control plane that makes a change when it is sent, and answers and shows it when a test says so."""

    def __init__(self) -> None:
        self.documents = ControlDocuments()
        self.answers: list[Callable[[], None]] = []
        self.failure: ApiError | None = None
        self.sent: list[ChangeDocument] = []

    def send(self, change: ChangeDocument, done: Done) -> None:
        self.sent.append(change)
        answer: Any = self.failure
        if answer is None and self.documents.get(change.kind, change.name) is not None:
            answer = ConflictError()
        if answer is None:
            assert change.expected is None and change.document is not None
            answer = {"generation": len(self.sent), "document": change.document}
            self.documents.put(change.kind, change.name, answer)
        self.answers.append(lambda: done(answer))

    def answer(self) -> None:
        answers, self.answers = self.answers, []
        for each in answers:
            each()


class Desk:
    """One node's registry, its view of the documents, and its timers."""

    def __init__(self, plane: Plane, **settings: Any) -> None:
        self.plane = plane
        self.view = ControlDocuments()
        self.see()
        self.timers: list[Callable[[], None]] = []
        self.lists = AttributeRegistry(
            self.view, plane.send, lambda delay_s, call: self.timers.append(call), **settings
        )

    def see(self) -> None:
        for kind, name, document in self.plane.documents.all():
            self.view.put(kind, name, document)

    def define(self, *names: str) -> list[int | ApiError]:
        answers: list[int | ApiError] = []
        self.lists.define(names, answers.append)
        return answers

    def made(self, *names: str) -> int | ApiError:
        answers = self.define(*names)
        while not answers:
            self.plane.answer()
        (answer,) = answers
        return answer

    def fetch(self, number: int) -> list[tuple[str, ...] | ApiError]:
        answers: list[tuple[str, ...] | ApiError] = []
        self.lists.fetch(number, answers.append)
        return answers


def test_numbers_begin_at_two_and_one_is_the_empty_list() -> None:
    desk = Desk(Plane())
    assert desk.define() == [1]
    assert desk.lists.names_of(1) == ()
    assert desk.lists.id_of(()) == 1
    assert desk.made("a", "b") == 2
    assert desk.made("c") == 3
    assert desk.lists.id_of(("a", "b")) == 2
    assert desk.lists.names_of(3) == ("c",)
    assert desk.plane.documents.of(ATTRIBUTES)["2"]["document"] == {"Names": ["a", "b"]}
    assert (desk.lists.lists, desk.lists.names_bytes) == (2, 3)


def test_nobody_is_told_a_number_before_it_is_durable() -> None:
    desk = Desk(Plane())
    first, second = desk.define("a"), desk.define("a")
    assert first == second == []
    assert desk.lists.id_of(("a",)) is None
    assert desk.lists.names_of(2) is None
    desk.plane.answer()
    assert first == second == [2]
    assert len(desk.plane.sent) == 1
    assert desk.define("a") == [2]


def test_a_node_that_starts_knows_all_lists_and_uses_no_number_again() -> None:
    plane = Plane()
    desk = Desk(plane)
    desk.made("a")
    desk.made("b")
    again = Desk(plane)
    assert again.lists.names_of(3) == ("b",)
    assert again.made("b") == 3
    assert again.made("c") == 4


def test_numbers_of_one_installation_mean_nothing_to_another() -> None:
    """A client may live on while a server that keeps nothing on disk is started anew."""
    first, second = (first_number(name) for name in ("installation-1", "installation-2"))
    assert abs(first - second) > 10_000
    assert all(FIRST_ID <= each < 1 << 31 for each in (first, second))
    before, after = Desk(Plane(), first=first), Desk(Plane(), first=second)
    number = before.made("alpha")
    assert isinstance(number, int)
    assert after.made("beta") == second
    assert after.lists.names_of(number) is None


def test_an_installation_goes_on_with_the_numbers_it_has() -> None:
    plane = Plane()
    assert Desk(plane, first=700).made("alpha") == 700
    assert Desk(plane, first=90).made("beta") == 701


def test_lists_made_elsewhere_come_into_view() -> None:
    plane = Plane()
    one, two = Desk(plane), Desk(plane)
    assert one.made("a") == 2
    two.see()
    assert two.lists.id_of(("a",)) == 2
    assert two.lists.names_of(2) == ("a",)


def test_of_two_nodes_that_take_the_same_number_the_second_goes_on_to_the_next() -> None:
    plane = Plane()
    one, two = Desk(plane), Desk(plane)
    first, second = one.define("a"), two.define("b")
    plane.answer()
    plane.answer()
    assert (first, second) == ([2], [3])
    one.see()
    two.see()
    for desk in (one, two):
        assert (desk.lists.names_of(2), desk.lists.names_of(3)) == (("a",), ("b",))


def test_of_the_same_list_made_twice_both_stay_valid_and_the_lower_number_is_used() -> None:
    plane = Plane()
    one, two = Desk(plane), Desk(plane)
    first, second = one.define("a"), two.define("a")
    plane.answer()
    plane.answer()
    assert (first, second) == ([2], [3])
    assert two.lists.id_of(("a",)) == 3
    one.see()
    two.see()
    for desk in (one, two):
        assert desk.define("a") == [2]
        assert desk.lists.names_of(2) == desk.lists.names_of(3) == ("a",)


def test_a_list_that_comes_into_view_during_a_lost_race_is_not_made_again() -> None:
    plane = Plane()
    one, two = Desk(plane), Desk(plane)
    one.define("a")
    answers = two.define("a")
    two.see()
    plane.answer()
    assert answers == [2]
    assert plane.documents.of(ATTRIBUTES).keys() == {"2"}


def test_an_order_of_names_of_its_own_is_a_list_of_its_own() -> None:
    desk = Desk(Plane())
    assert desk.made("a", "b") == 2
    assert desk.made("b", "a") == 3


def test_after_a_failure_the_number_is_not_tried_for_another_list() -> None:
    plane = Plane()
    desk = Desk(plane)
    plane.failure = unavailable("away")
    answer = desk.made("a")
    assert isinstance(answer, ApiError) and answer.status == 503
    plane.failure = None
    assert desk.made("b") == 3
    assert desk.made("a") == 4


def test_a_list_that_was_made_although_its_answer_was_lost_counts() -> None:
    plane = Plane()
    desk = Desk(plane)
    desk.define("a")
    plane.answers.clear()
    desk.see()
    assert desk.lists.id_of(("a",)) == 2


def test_there_is_a_limit_of_lists() -> None:
    desk = Desk(Plane(), lists_max=2)
    pending = desk.define("a")
    assert desk.made("b") == 3
    assert pending == [2]
    (refused,) = desk.define("c")
    assert isinstance(refused, ApiError)
    assert refused.type_name == "LimitExceededException"
    assert "attribute_lists_max" in (refused.message or "")
    assert desk.define("a") == [2]
    assert (desk.lists.lists, desk.lists.refused) == (2, 1)


def test_lists_under_way_count() -> None:
    desk = Desk(Plane(), lists_max=1)
    pending = desk.define("a")
    (refused,) = desk.define("b")
    assert isinstance(refused, ApiError) and refused.type_name == "LimitExceededException"
    desk.plane.answer()
    assert pending == [2]


def test_there_is_a_limit_of_bytes() -> None:
    desk = Desk(Plane(), names_bytes_max=10)
    assert desk.made("ä" * 4) == 2
    (refused,) = desk.define("abc")
    assert isinstance(refused, ApiError) and refused.type_name == "LimitExceededException"
    assert desk.made("ab") == 3


@pytest.mark.parametrize("names", [("",), ("a", "a"), ("x" * (LIST_BYTES_MAX + 1),)])
def test_what_can_be_no_list_is_refused(names: tuple[str, ...]) -> None:
    desk = Desk(Plane())
    (refused,) = desk.define(*names)
    assert isinstance(refused, ApiError) and refused.type_name == "ValidationException"
    assert desk.plane.sent == []


def test_a_list_made_elsewhere_a_moment_ago_is_waited_for() -> None:
    plane = Plane()
    one, two = Desk(plane), Desk(plane)
    assert one.made("a") == 2
    first, second = two.fetch(2), two.fetch(2)
    assert first == second == []
    two.see()
    assert first == second == [("a",)]
    assert two.fetch(2) == [("a",)]
    for timer in two.timers:
        timer()
    assert first == [("a",)]


def test_a_list_that_does_not_come_is_an_error() -> None:
    desk = Desk(Plane())
    answers = desk.fetch(2)
    (timer,) = desk.timers
    timer()
    (answer,) = answers
    assert isinstance(answer, ApiError) and answer.type_name == "ValidationException"


@pytest.mark.parametrize("number", [-1, 0, 1_000_000])
def test_numbers_that_cannot_be_are_not_waited_for(number: int) -> None:
    desk = Desk(Plane())
    (answer,) = desk.fetch(number)
    assert isinstance(answer, ApiError)
    assert desk.timers == []


def test_a_document_that_goes_is_not_forgotten() -> None:
    desk = Desk(Plane())
    assert desk.made("a") == 2
    desk.see()
    desk.view.put(ATTRIBUTES, "2", None)
    assert desk.lists.names_of(2) == ("a",)
    assert desk.made("b") == 3
