"""The same random program through boto3 on the server and through the DAX client gives the same answers.

    HASHRANGE_TEST_DAX_STEPS=5000 pytest tests/dax/test_differential.py     # longer programs

Twelve shapes of keys, all types, all data operations. Each read is repeated through the cache: an answer from memory
is the answer that the table gave.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.conformance.support import unique, wait_active
from tests.dax.programs import SHAPES, Program, Shape, Step, outcome

STEPS = int(os.environ.get("HASHRANGE_TEST_DAX_STEPS", "90"))
READS = {"get_item", "batch_get_item", "query", "scan"}


@contextmanager
def two_tables(client: Any, shape: Shape) -> Iterator[tuple[str, str]]:
    """Two tables with the same key."""
    names = unique("one"), unique("two")
    for name in names:
        client.create_table(**shape.table(name))
    for name in names:
        wait_active(client, name)
    yield names
    for name in names:
        client.delete_table(TableName=name)


def told(number: int, step: Step, first: Any, second: Any) -> str:
    """What is shown of a difference."""
    return f"step {number}: {step.method} {step.parameters}\n boto3: {first}\n   DAX: {second}"


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.text)
def test_a_random_program_gives_the_same_answers(direct: Any, cached: Any, shape: Shape) -> None:
    codes: set[str] = set()
    with two_tables(direct, shape) as (one, two):
        for number, step in enumerate(Program(SHAPES.index(shape), shape).steps(STEPS)):
            wanted = outcome(direct, one, step)
            found = outcome(cached, two, step)
            assert found == wanted, told(number, step, wanted, found)
            if isinstance(wanted, str):
                codes.add(wanted)
            elif step.method in READS:
                again = outcome(cached, two, step)
                assert again == wanted, told(number, step, wanted, again)
    assert "ConditionalCheckFailedException" in codes


def test_the_http_door_gives_the_same_answers_too(direct: Any, side_door: Any) -> None:
    shape = Shape("p:S/r:N")
    with two_tables(direct, shape) as (one, two):
        for number, step in enumerate(Program(99, shape).steps(STEPS)):
            wanted = outcome(direct, one, step)
            found = outcome(side_door, two, step)
            assert found == wanted, told(number, step, wanted, found)
            if not isinstance(wanted, str) and step.method in READS:
                again = outcome(side_door, two, step)
                assert again == wanted, told(number, step, wanted, again)


def test_a_table_that_two_doors_write_shows_both_the_same(direct: Any, cached: Any, side_door: Any) -> None:
    """One cache: what one door has written the other reads at once, and both read what the table holds."""
    shape = Shape("p:B/r:S")
    program = Program(7, shape)
    with two_tables(direct, shape) as (one, two):
        for number, step in enumerate(program.steps(STEPS)):
            door = (cached, side_door)[number % 2]
            wanted = outcome(direct, one, step)
            found = outcome(door, two, step)
            assert found == wanted, told(number, step, wanted, found)
            for key in program.keys if step.method not in READS else ():
                look = Step("get_item", {"TableName": "TABLE", "Key": key})
                stored = outcome(direct, one, look)
                for each in (cached, side_door):
                    assert outcome(each, two, look) == stored, told(number, step, stored, look)
