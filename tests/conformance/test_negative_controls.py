"""The suite's own helpers can fail: a test that cannot turn red proves nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.raw import Reply
from tests.conformance.support import (
    CONDITION_FAILED,
    Containing,
    OneOf,
    error,
    invalid,
    n,
    pages,
    prefixed,
    s,
    same_items,
    table,
    wait_until,
)


def test_an_accepted_call_is_no_error(client: Any) -> None:
    with table(client, "p") as name, pytest.raises(AssertionError, match="was accepted"):
        error(client.put_item, TableName=name, Item={"p": s("x")})


def test_another_refusal_is_no_match(client: Any) -> None:
    with table(client, "p") as name:
        refused = error(client.put_item, TableName=name, Item={})
        assert refused != CONDITION_FAILED
        assert refused != invalid("something else")
        assert refused != prefixed(refused[1])


def test_tolerant_texts_are_not_too_tolerant() -> None:
    assert OneOf("a", "b") == "a"
    assert OneOf("a", "b") != "c"
    assert Containing("a", "b") == "xaxbx"
    assert Containing("a", "b") != "xa"
    assert Containing("a") != 5


def test_a_wrong_checksum_is_seen() -> None:
    assert Reply(200, {"x-amz-crc32": "2745614147"}, b"{}").crc_matches()
    assert not Reply(200, {"x-amz-crc32": "2745614147"}, b"{ }").crc_matches()
    assert not Reply(200, {}, b"{}").crc_matches()


def test_same_items_sees_a_missing_a_changed_and_a_doubled_item() -> None:
    item = {"p": s("x"), "v": {"M": {"a": n(1), "b": n(2)}}}
    assert same_items([item], [{"v": {"M": {"b": n(2), "a": n(1)}}, "p": s("x")}])
    assert not same_items([item], [])
    assert not same_items([item], [item, item])
    assert not same_items([item], [{**item, "p": s("y")}])


def test_paging_that_never_ends_is_seen() -> None:
    with pytest.raises(AssertionError, match="does not end"):
        pages(lambda **_: {"Items": [], "LastEvaluatedKey": {"p": s("x")}})


def test_waiting_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.conformance.support.DEADLINE_S", 0.05)
    with pytest.raises(AssertionError, match="not within"):
        wait_until(lambda: False, "never")
