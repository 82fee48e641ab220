"""Signatures that are missing, incomplete or doubled: what clients are told while no credentials are configured.

The same answers come from full verification, which starts with the same look at the request.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from hashlib import sha256

import pytest
from hashrange_router.auth import Secret, Verifier, check_presence

from hashrange.errors import ApiError

SIGNATURE = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
COMPLETE = (
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261001/us-east-1/dynamodb/aws4_request, "
    f"SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={SIGNATURE}"
)
NO_CREDENTIAL = "Authorization header requires 'Credential' parameter. "
NO_SIGNATURE = "Authorization header requires 'Signature' parameter. "
NO_SIGNED_HEADERS = "Authorization header requires 'SignedHeaders' parameter. "
NO_DATE = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "


@dataclass
class Parts:
    target: bytes = b"/"
    headers: dict[bytes, bytes] = field(default_factory=dict)
    method: bytes = b"POST"
    wire_body: bytes = b"{}"


def request(authorization: str | None = None, date: str | None = "20261001T120000Z", **parts: bytes) -> Parts:
    made = Parts(**parts)  # type: ignore[arg-type]
    if authorization is not None:
        made.headers[b"authorization"] = authorization.encode()
    if date is not None:
        made.headers[b"x-amz-date"] = date.encode()
    return made


def refusal(parts: Parts) -> ApiError:
    """The error, which must be the same however the request is checked, and the second time as well."""
    verifier = Verifier({"a": Secret("b")}, "us-east-1", lambda: 0.0)
    errors = []
    for check in (check_presence, check_presence, verifier.verify):
        with pytest.raises(ApiError) as caught:
            check(parts)
        errors.append(caught.value)
    assert errors[0].body() == errors[1].body() == errors[2].body()
    assert errors[0].status == 400
    return errors[0]


def test_a_complete_header_is_accepted():
    for _ in range(3):
        check_presence(request(COMPLETE))
        check_presence(request(COMPLETE.replace(", ", ",")))
        check_presence(request("AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=short"))
        check_presence(request("AWS4-HMAC-SHA256 Signature=s,SignedHeaders=host,Credential=a"))


def test_any_algorithm_of_the_family_and_a_date_header_will_do():
    parts = request("AWS4-X Credential=a, SignedHeaders=, Signature=b", date=None)
    parts.headers[b"date"] = b"Thu, 01 Oct 2026 12:00:00 GMT"
    check_presence(parts)


def test_a_complete_query_is_accepted():
    check_presence(
        request(
            date=None,
            target=b"/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2F20261001%2Fr%2Fdynamodb%2Faws4_request"
            b"&X-Amz-Date=20261001T120000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=b",
        )
    )


@pytest.mark.parametrize("authorization", [None, "", "AWS4", "Basic abc", "Bearer x.y.z", "AWS3-HTTPS a=b"])
def test_missing(authorization: str | None):
    error = refusal(request(authorization))
    assert error.body() == (
        b'{"__type":"com.amazon.coral.service#MissingAuthenticationTokenException",'
        b'"message":"Request is missing Authentication Token"}'
    )


@pytest.mark.parametrize(
    ("authorization", "date", "message"),
    [
        ("AWS4-", None, NO_CREDENTIAL + NO_SIGNATURE + NO_SIGNED_HEADERS + NO_DATE),
        ("AWS4-HMAC-SHA256", "20261001T120000Z", NO_CREDENTIAL + NO_SIGNATURE + NO_SIGNED_HEADERS),
        ("AWS4-HMAC-SHA256 Credential=a", "2026", NO_SIGNATURE + NO_SIGNED_HEADERS),
        ("AWS4-HMAC-SHA256 Credential=a, Signature=b", "2026", NO_SIGNED_HEADERS),
        (
            "AWS4-HMAC-SHA256 Credential=, SignedHeaders=host, Signature=",
            "2026",
            NO_CREDENTIAL + NO_SIGNATURE,
        ),
        ("AWS4-HMAC-SHA256 SignedHeaders=, Signature=b", "2026", NO_CREDENTIAL),
        (COMPLETE, None, NO_DATE),
        (COMPLETE, "", NO_DATE),
    ],
)
def test_incomplete_headers(authorization: str, date: str | None, message: str):
    error = refusal(request(authorization, date))
    assert error.type_name == "IncompleteSignatureException"
    assert error.message == f"{message}Authorization={authorization}"
    assert b'"__type":"com.amazon.coral.service#IncompleteSignatureException","message":"' in error.body()


def test_parts_without_an_equal_sign():
    authorization = "AWS4-HMAC-SHA256 Credential=has space/20261001, SignedHeaders=host, Signature=b"
    error = refusal(request(authorization))
    digest = b64encode(sha256(authorization.encode()).digest()).decode()
    assert error.type_name == "IncompleteSignatureException"
    assert error.message == (
        "Invalid key=value pair (missing equal-sign) in Authorization header "
        f"(hashed with SHA-256 and encoded with Base64): '{digest}'."
    )


def test_incomplete_queries():
    error = refusal(request(target=b"/?X-Amz-Algorithm=&X-Amz-Signature=b"))
    assert error.type_name == "IncompleteSignatureException"
    assert error.message == (
        "AWS query-string parameters must include 'X-Amz-Algorithm'. "
        "AWS query-string parameters must include 'X-Amz-Credential'. "
        "AWS query-string parameters must include 'X-Amz-SignedHeaders'. "
        "AWS query-string parameters must include 'X-Amz-Date'. "
        "Re-examine the query-string parameters."
    )


@pytest.mark.parametrize("authorization", [COMPLETE, "Bearer abc"])
def test_both_forms(authorization: str):
    check_presence(request(COMPLETE))
    error = refusal(request(authorization, target=b"/?X-Amz-Algorithm=AWS4-HMAC-SHA256"))
    assert error.type_name == "InvalidSignatureException"
    assert error.message == (
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
    )
