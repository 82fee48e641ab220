"""Carrying out the members of a batch, as far as the capacity of their tables goes.

Every member is admitted by itself. What it will cost at least is charged before anything is sent, so that a batch
takes what there is and not more; the difference to what it did cost is charged when it is known. A member that is
refused, here or by its node, has the refusal as its answer: the batch gives it back as unprocessed.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from hashrange.errors import ApiError
from hashrange.model import record as records
from hashrange.model.table import TableSchema
from hashrange.model.table_units import read_units_half, table_write_units_half, write_units_half
from hashrange.wire.messages import ReadItem, WriteItem
from hashrange_router.api.call import Each
from hashrange_router.api.context import Admission


def carry_out(
    admission: Admission | None, tables: list[TableSchema], messages: list[ReadItem | WriteItem]
) -> Generator[Each, Any, list[Any]]:
    """Send the members, each to the table beside it; returns an answer or an ApiError for each, in their order."""
    if admission is None:
        return (yield Each(messages))  # type: ignore[no-any-return]
    answers: list[Any] = [
        _admit(admission, table, message) for table, message in zip(tables, messages, strict=True)
    ]
    admitted = [not isinstance(answer, ApiError) for answer in answers]
    sent = Each(message for message, go in zip(messages, admitted, strict=True) if go)
    received = iter((yield sent) if sent else ())
    done = 0
    for number, go in enumerate(admitted):
        if go:
            answer = next(received)
            done += not isinstance(answer, ApiError)
            _settle(admission, tables[number], messages[number], answers[number], answer)
            answers[number] = answer
    if done:  # else the batch is answered, and counted, as a whole
        for table, answer in zip(tables, answers, strict=True):
            if isinstance(answer, ApiError):
                admission.note(table.name, answer)
    return answers


def _admit(admission: Admission, table: TableSchema, message: ReadItem | WriteItem) -> int | ApiError:
    """The half units charged in advance, or the refusal."""
    try:
        if isinstance(message, ReadItem):
            admission.read(table, None)
            half = read_units_half(0, message.consistent)
            admission.charge_read(table, None, half)
        else:
            admission.write(table, message.decoded)
            half = write_units_half(message.item_size)
            admission.charge_write(table, half, None)
    except ApiError as refusal:
        return refusal
    return half


def _settle(
    admission: Admission, table: TableSchema, message: ReadItem | WriteItem, advance: int, answer: Any
) -> None:
    """Charge what a member cost beyond the advance; what failed has cost nothing."""
    if isinstance(message, ReadItem):
        half = 0
        if not isinstance(answer, ApiError):
            half = read_units_half(records.size(answer) if answer is not None else 0, message.consistent)
        if half != advance:
            admission.charge_read(table, None, half - advance)
        return
    half, index_units = 0, None
    if not isinstance(answer, ApiError):
        index_units = answer.index_units
        half = table_write_units_half(answer.old_size, answer.new_size, index_units)
    if half != advance or index_units is not None:
        admission.charge_write(table, half - advance, index_units)
