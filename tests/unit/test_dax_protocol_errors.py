"""Errors as the clients read them: sequences by client, and the official clients' own reading of them."""

from __future__ import annotations

import pytest
from amazondax.DaxError import DaxServiceError, is_retryable
from hashrange_dax.codec.cbor import decode, decode_all
from hashrange_dax.protocol.authorize import required, unknown_key
from hashrange_dax.protocol.errors import (
    CLIENT,
    FINAL,
    error_reply,
    not_implemented,
    sequence,
    table_missing,
)
from hashrange_dax.protocol.handshake import client_of

from hashrange.errors import ApiError, conditional_check_failed, internal, unavailable, validation
from tests.unit.dax_door_support import handshake

THROTTLED = ApiError("ProvisionedThroughputExceededException", "too much")


def python_error(error: ApiError, codes: tuple[int, ...] | None = None) -> DaxServiceError:
    """An error as the Python client makes it of a reply for it."""
    told, message, info = decode_all(error_reply(error, FINAL, "id", codes=codes))
    return DaxServiceError("GetItem", message, told, *info)


@pytest.mark.parametrize(
    ("error", "code", "again"),
    [
        (conditional_check_failed(), "ConditionalCheckFailedException", False),
        (validation("no"), "ValidationException", False),
        (ApiError("TransactionConflictException", "no"), "TransactionConflictException", False),
        (
            ApiError("IdempotentParameterMismatchException", "no"),
            "IdempotentParameterMismatchException",
            False,
        ),
        (ApiError("AccessDeniedException", "no"), "AccessDeniedException", False),
        (THROTTLED, "ProvisionedThroughputExceededException", True),
        (ApiError("ThrottlingException", "no"), "ThrottlingException", True),
        (internal(), "InternalServerError", True),
        (unavailable("not now"), "ServiceUnavailable", True),
        (ApiError("ResourceNotFoundException", "no"), "ResourceNotFoundException", False),
    ],
)
def test_the_python_client_reads_name_and_what_to_try_again(error: ApiError, code: str, again: bool) -> None:
    read = python_error(error)
    assert read.response["Error"] == {"Code": code, "Message": error.message}
    assert read.http_status == error.status
    assert bool(is_retryable(read)) is again


def test_what_no_repetition_helps_begins_as_each_client_wants_it() -> None:
    assert sequence(conditional_check_failed(), FINAL) == (3, 37, 38, 39, 43)
    assert sequence(conditional_check_failed(), CLIENT) == (4, 37, 38, 39, 43)
    assert table_missing(FINAL) == (3, 23, 24)
    assert python_error(ApiError("ResourceNotFoundException", "no"), table_missing(FINAL)).code == (
        "ResourceNotFoundException"
    )


def test_throttles_and_faults_are_tried_again_by_every_client() -> None:
    for final in (FINAL, CLIENT):
        assert sequence(THROTTLED, final) == (4, 37, 38, 39, 40)
        assert sequence(internal(), final) == (1, 37, 38, 39, 47)
        assert sequence(unavailable("not now"), final)[0] == 1


def test_errors_of_authorization() -> None:
    assert sequence(required(), FINAL) == (4, 23, 31, 33)
    assert sequence(unknown_key(), CLIENT) == (4, 23, 31, 32)
    assert python_error(unknown_key()).auth_error


def test_methods_that_are_not_there() -> None:
    assert sequence(not_implemented("createTable"), CLIENT) == (4, 37, 38, 44)


def test_reasons_of_a_cancelled_transaction() -> None:
    codes, message, info = decode_all(
        error_reply(
            ApiError("TransactionCanceledException", "why"), CLIENT, "id", [b"\x61a", None, b"\x41\x01"]
        )
    )
    assert codes == [4, 37, 38, 39, 58]
    assert (message, info) == ("why", ["id", "TransactionCanceledException", 400, ["a", None, b"\x01"]])


def test_a_text_that_cannot_be_sent_does_not_break_the_reply() -> None:
    _, message, _ = decode_all(error_reply(validation("odd \ud800"), CLIENT, "id"))
    assert message == "odd ?"


def test_the_user_agent_decides_who_it_is() -> None:
    assert client_of(values_of(handshake("DaxPythonClient-2.1.0 more"))).final == FINAL
    assert client_of(values_of(handshake("DaxJSV3Client-3.1.0", b"\xf6"))).final == CLIENT
    assert client_of(values_of(handshake("", b"\x63abc"))).final == CLIENT


def values_of(data: bytes) -> list[object]:
    values, position = [], 0
    while position < len(data):
        value, position = decode(data, position)
        values.append(value)
    return values
