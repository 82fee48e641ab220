"""Full verification against botocore's own signers, and every refusal of the service."""

from __future__ import annotations

import calendar
import hashlib
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hashrange_router.auth import Secret, Verifier

from hashrange.errors import ApiError

ACCESS_KEY = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TARGET = "DynamoDB_20120810.GetItem"
BODY = b'{"TableName":"t"}'


@dataclass
class Parts:
    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    wire_body: bytes


class Clock:
    """The time of the server; botocore signs at the machine's."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def verifier(clock: Clock) -> Verifier:
    credentials = {ACCESS_KEY: Secret(SECRET), "temporary": Secret("other", "token/+==")}
    return Verifier(credentials, "us-east-1", clock)


def sign(
    url: str = "http://localhost:8000/",
    body: bytes = BODY,
    headers: dict[str, str] | None = None,
    *,
    access_key: str = ACCESS_KEY,
    secret: str = SECRET,
    token: str | None = None,
    service: str = "dynamodb",
    region: str = "us-east-1",
    method: str = "POST",
    signer: type[SigV4Auth] = SigV4Auth,
    **options: Any,
) -> Parts:
    """A request signed by botocore, in the form the HTTP front delivers it."""
    given = (
        {"X-Amz-Target": TARGET, "Content-Type": "application/x-amz-json-1.0"} if headers is None else headers
    )
    request = AWSRequest(method=method, url=url, data=body, headers=given)
    signer(Credentials(access_key, secret, token), service, region, **options).add_auth(request)
    prepared = request.prepare()
    parts = urlsplit(prepared.url)
    sent: dict[bytes, bytes] = {b"host": parts.netloc.encode(), b"user-agent": b"test"}
    for name, value in request.headers.items():
        key = name.lower().encode()
        sent[key] = sent[key] + b"," + value.encode() if key in sent else value.encode()
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    return Parts(method.encode(), target.encode(), sent, body)


def refusal(verifier: Verifier, parts: Parts, service: str = "dynamodb") -> tuple[str, str | None]:
    with pytest.raises(ApiError) as caught:
        verifier.verify(parts, service)
    assert caught.value.status == 400
    assert caught.value.namespace == "com.amazon.coral.service#"
    assert caught.value.message_key == "message"
    return caught.value.type_name, caught.value.message


MISMATCH = (
    "InvalidSignatureException",
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details.",
)
UNKNOWN = ("UnrecognizedClientException", "The security token included in the request is invalid.")
WRONG_TOKEN = ("UnrecognizedClientException", "The security token included in the request is invalid")


def accepted(verifier: Verifier, parts: Parts, service: str = "dynamodb") -> str:
    """The access key: found the exact way, then twice the short way, which must agree."""
    keys = {verifier.verify(parts, service) for _ in range(3)}
    assert len(keys) == 1
    return keys.pop()


# What botocore signs is accepted.


@pytest.mark.parametrize("body", [b"", b"{}", BODY, bytes(range(256)) * 100])
def test_signed_headers(verifier: Verifier, body: bytes):
    assert accepted(verifier, sign(body=body)) == ACCESS_KEY


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/",
        "http://localhost",
        "http://localhost:8000/a/path/",
        "http://localhost:8000/a//b/./c/../d",
        "http://localhost:8000/..",
        "http://localhost:8000/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/x",
        "http://localhost:8000/with%20space/~tilde/ü".encode("ascii", "ignore").decode(),
        "http://localhost:8000/?a=1",
        "http://localhost:8000/?b=2&a=1&a=0",
        "http://localhost:8000/?key",
        "http://localhost:8000/?a=%2Fslash%20space&Z=%C3%BC",
        "http://localhost:8000/p?x=1&y=",
    ],
)
def test_paths_and_queries(verifier: Verifier, url: str):
    assert accepted(verifier, sign(url)) == ACCESS_KEY


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_methods(verifier: Verifier, method: str):
    assert accepted(verifier, sign(method=method, body=b"", headers={})) == ACCESS_KEY


@pytest.mark.parametrize("service", ["dynamodb", "lambda", "application-autoscaling", "dax"])
def test_services(verifier: Verifier, service: str):
    assert accepted(verifier, sign(service=service), service) == ACCESS_KEY


def test_header_values_are_canonicalised(verifier: Verifier):
    headers = {
        "X-AMZ-TARGET": TARGET,
        "content-TYPE": "application/x-amz-json-1.0",
        "X-Spaces": "  several   blanks\there ",
        "X-Percent": "100%d %b",
        "X-Amz-Meta-Empty": "",
    }
    parts = sign(headers=headers)
    # The front removes the blanks around a value, as HTTP says.
    parts.headers[b"x-spaces"] = b"several   blanks\there"
    assert accepted(verifier, parts) == ACCESS_KEY


def test_repeated_headers_are_joined(verifier: Verifier):
    request = AWSRequest("POST", "http://localhost/", data=BODY, headers={"X-Amz-Target": TARGET})
    request.headers.add_header("X-Amz-Meta-Dup", "first")
    request.headers.add_header("X-Amz-Meta-Dup", "second")
    SigV4Auth(Credentials(ACCESS_KEY, SECRET), "dynamodb", "us-east-1").add_auth(request)
    headers = {name.lower().encode(): value.encode() for name, value in request.headers.items()}
    headers |= {b"host": b"localhost", b"x-amz-meta-dup": b"first,second"}
    assert accepted(verifier, Parts(b"POST", b"/", headers, BODY)) == ACCESS_KEY


def test_a_content_hash_header_is_only_a_header(verifier: Verifier):
    headers = {"X-Amz-Target": TARGET, "X-Amz-Content-SHA256": hashlib.sha256(BODY).hexdigest()}
    parts = sign(headers=headers)
    assert accepted(verifier, parts) == ACCESS_KEY
    parts.wire_body = b"swapped"
    assert refusal(verifier, parts) == MISMATCH


def test_an_unsigned_payload_is_a_mismatch(verifier: Verifier):
    class Unsigned(SigV4Auth):
        def payload(self, request: AWSRequest) -> str:
            return "UNSIGNED-PAYLOAD"

    headers = {"X-Amz-Target": TARGET, "X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
    assert refusal(verifier, sign(headers=headers, signer=Unsigned)) == MISMATCH


def test_session_tokens(verifier: Verifier):
    temporary = {"access_key": "temporary", "secret": "other"}
    assert accepted(verifier, sign(token="token/+==", **temporary)) == "temporary"
    assert refusal(verifier, sign(token="another", **temporary)) == WRONG_TOKEN
    assert refusal(verifier, sign(**temporary)) == UNKNOWN
    assert refusal(verifier, sign(token="token/+==")) == WRONG_TOKEN


def test_a_token_that_was_not_signed_is_still_compared(verifier: Verifier):
    parts = sign()
    assert accepted(verifier, parts) == ACCESS_KEY
    parts.headers[b"x-amz-security-token"] = b"added"
    assert refusal(verifier, parts) == WRONG_TOKEN


@pytest.mark.parametrize("token", [None, "token/+=="])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_presigned_queries(verifier: Verifier, method: str, token: str | None):
    keys = {"access_key": "temporary", "secret": "other"} if token else {}
    parts = sign(
        "http://localhost:8000/?b=2&a=1", b"", {}, method=method, signer=SigV4QueryAuth, token=token, **keys
    )
    assert b"authorization" not in parts.headers
    assert accepted(verifier, parts) == ("temporary" if token else ACCESS_KEY)
    parts.target = parts.target.replace(b"b=2", b"b=3")
    assert refusal(verifier, parts) == MISMATCH


def test_presigned_queries_with_a_wrong_token(verifier: Verifier):
    parts = sign(
        "http://localhost/", b"", {}, signer=SigV4QueryAuth, token="x", access_key="temporary", secret="other"
    )
    assert refusal(verifier, parts) == WRONG_TOKEN


def test_the_example_of_the_documentation():
    """AWS General Reference: ListUsers signed with the example key."""
    headers = {
        b"host": b"iam.amazonaws.com",
        b"content-type": b"application/x-www-form-urlencoded; charset=utf-8",
        b"x-amz-date": b"20150830T123600Z",
        b"authorization": b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        b"SignedHeaders=content-type;host;x-amz-date, "
        b"Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
    }
    now = calendar.timegm((2015, 8, 30, 12, 40, 0))
    verifier = Verifier({ACCESS_KEY: Secret(SECRET)}, "us-east-1", lambda: now)
    parts = Parts(b"GET", b"/?Action=ListUsers&Version=2010-05-08", headers, b"")
    assert accepted(verifier, parts, "iam") == ACCESS_KEY
    parts.target = b"http://iam.amazonaws.com/?Version=2010-05-08&Action=ListUsers"
    assert accepted(verifier, parts, "iam") == ACCESS_KEY


def test_the_date_header_in_http_format(verifier: Verifier):
    parts = sign()
    stamp = time.strptime(parts.headers.pop(b"x-amz-date").decode(), "%Y%m%dT%H%M%SZ")
    assert refusal(verifier, parts)[0] == "IncompleteSignatureException"
    # Signed as an SDK without X-Amz-Date does: the header is sent in HTTP format, the string to sign has the other.
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", stamp)
    basic = time.strftime("%Y%m%dT%H%M%SZ", stamp)
    signer = SigV4Auth(Credentials(ACCESS_KEY, SECRET), "dynamodb", "us-east-1")
    request = AWSRequest(
        "POST", "http://localhost/", data=BODY, headers={"Date": date, "X-Amz-Target": TARGET}
    )
    request.context["timestamp"] = basic
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    names = signer.signed_headers(signer.headers_to_sign(request))
    headers = {
        b"host": b"localhost",
        b"date": date.encode(),
        b"x-amz-target": TARGET.encode(),
        b"authorization": (
            f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={names}, Signature={signature}"
        ).encode(),
    }
    assert accepted(verifier, Parts(b"POST", b"/", headers, BODY)) == ACCESS_KEY


def test_the_short_way_is_taken(verifier: Verifier, monkeypatch: pytest.MonkeyPatch):
    verifier.verify(sign())
    monkeypatch.setattr(verifier, "_verify_exactly", lambda request, service: pytest.fail("the exact way"))
    for body in (b"", b"{}", BODY):
        assert verifier.verify(sign(body=body)) == ACCESS_KEY


# What was changed after signing is not.


@pytest.mark.parametrize("seen_before", [False, True])
@pytest.mark.parametrize(
    "part", ["method", "target", "body", "header", "signature", "host", "missing header"]
)
def test_tampering(verifier: Verifier, part: str, seen_before: bool):
    parts = sign()
    if seen_before:
        verifier.verify(parts)
    match part:
        case "method":
            parts.method = b"PUT"
        case "target":
            parts.target = b"/?a=b"
        case "body":
            parts.wire_body += b" "
        case "header":
            parts.headers[b"x-amz-target"] = b"DynamoDB_20120810.DeleteItem"
        case "signature":
            authorization = parts.headers[b"authorization"]
            parts.headers[b"authorization"] = authorization[:-1] + (
                b"0" if authorization[-1:] != b"0" else b"1"
            )
        case "host":
            parts.headers[b"host"] = b"elsewhere"
        case "missing header":
            del parts.headers[b"content-type"]
    assert refusal(verifier, parts) == MISMATCH
    assert accepted(verifier, sign()) == ACCESS_KEY


def test_a_wrong_secret(verifier: Verifier):
    assert refusal(verifier, sign(secret="wrong")) == MISMATCH


def test_an_unknown_access_key(verifier: Verifier):
    assert refusal(verifier, sign(access_key="nobody")) == UNKNOWN


def test_the_target_must_be_signed(verifier: Verifier):
    parts = sign(headers={})
    assert accepted(verifier, parts) == ACCESS_KEY
    parts.headers[b"x-amz-target"] = TARGET.encode()
    assert refusal(verifier, parts) == (
        "InvalidSignatureException",
        "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.",
    )


def test_the_host_must_be_signed(verifier: Verifier):
    parts = sign()
    parts.headers[b"authorization"] = parts.headers[b"authorization"].replace(b"host;", b"")
    assert refusal(verifier, parts) == (
        "InvalidSignatureException",
        "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
    )


def test_other_algorithms(verifier: Verifier):
    parts = sign()
    parts.headers[b"authorization"] = parts.headers[b"authorization"].replace(b"SHA256", b"SHA25", 1)
    assert refusal(verifier, parts) == (
        "IncompleteSignatureException",
        "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA25' (only AWS4-HMAC-SHA256 for now). ",
    )


def test_credentials_of_other_shapes(verifier: Verifier):
    parts = sign()
    parts.headers[b"authorization"] = (
        b"AWS4-HMAC-SHA256 Credential=a/b/c/d, SignedHeaders=host;x-amz-target, Signature=b"
    )
    assert refusal(verifier, parts) == (
        "IncompleteSignatureException",
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'a/b/c/d'",
    )


def test_a_trailing_slash_of_the_credential_is_ignored(verifier: Verifier):
    parts = sign()
    parts.headers[b"authorization"] = parts.headers[b"authorization"].replace(
        b"aws4_request", b"aws4_request/"
    )
    assert accepted(verifier, parts) == ACCESS_KEY


@pytest.mark.parametrize("date", ["201", "20261332T250000Z", "2026-10-01T12:00:00Z", "yesterday", "\u00fc"])
def test_dates_of_other_formats(verifier: Verifier, date: str):
    parts = sign()
    verifier.verify(parts)
    parts.headers[b"x-amz-date"] = date.encode("latin-1")
    assert refusal(verifier, parts) == (
        "IncompleteSignatureException",
        f"Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601",
    )


# Time.


def basic(unix_s: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(unix_s))


@pytest.mark.parametrize("seen_before", [False, True])
def test_signatures_expire(clock: Clock, seen_before: bool):
    parts = sign()
    date = parts.headers[b"x-amz-date"].decode()
    signed_at = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    now = signed_at
    verifier = Verifier({ACCESS_KEY: Secret(SECRET)}, "us-east-1", lambda: now)
    if seen_before:
        verifier.verify(parts)
    now = signed_at + 900
    assert verifier.verify(parts) == ACCESS_KEY
    now = signed_at + 901
    assert refusal(verifier, parts) == (
        "InvalidSignatureException",
        f"Signature expired: {date} is now earlier than {basic(now - 900)} ({basic(now)} - 15 min.)",
    )
    now = signed_at - 900
    assert verifier.verify(parts) == ACCESS_KEY
    now = signed_at - 901
    assert refusal(verifier, parts) == (
        "InvalidSignatureException",
        f"Signature not yet current: {date} is still later than {basic(now + 900)} ({basic(now)} + 15 min.)",
    )


@pytest.mark.parametrize(
    ("expires", "holds_s", "lifetime"), [(60, 60, "1 min"), (90, 90, "90 sec"), (86_400, 900, "15 min")]
)
def test_presigned_queries_expire(clock: Clock, expires: int, holds_s: int, lifetime: str):
    parts = sign("http://localhost/", b"", {}, signer=SigV4QueryAuth, expires=expires)
    date = parts.target.partition(b"X-Amz-Date=")[2][:16].decode()
    signed_at = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    now = signed_at + holds_s
    verifier = Verifier({ACCESS_KEY: Secret(SECRET)}, "us-east-1", lambda: now)
    assert verifier.verify(parts) == ACCESS_KEY
    now += 1
    assert refusal(verifier, parts) == (
        "InvalidSignatureException",
        f"Signature expired: {date} is now earlier than {basic(now - holds_s)} ({basic(now)} - {lifetime}.)",
    )


@pytest.mark.parametrize("expires", [b"", b"abc", b"9" * 5000, "\u00b2".encode(), b"-5"])
def test_strange_expiries_are_not_counted(verifier: Verifier, expires: bytes):
    parts = sign("http://localhost/", b"", {}, signer=SigV4QueryAuth)
    parts.target = parts.target.replace(b"X-Amz-Expires=3600", b"X-Amz-Expires=" + expires)
    assert refusal(verifier, parts) == MISMATCH


# Scope.


def test_other_regions_are_served_unless_strict(verifier: Verifier, clock: Clock):
    parts = sign(region="eu-west-1")
    assert accepted(verifier, parts) == ACCESS_KEY
    strict = Verifier({ACCESS_KEY: Secret(SECRET)}, "us-east-1", clock, strict_region=True)
    assert refusal(strict, parts) == (
        "InvalidSignatureException",
        "Credential should be scoped to a valid region. ",
    )
    assert accepted(strict, sign()) == ACCESS_KEY


def test_other_services_are_refused(verifier: Verifier):
    wrong = ("InvalidSignatureException", "Credential should be scoped to correct service: 'dynamodb'. ")
    assert refusal(verifier, sign(service="s3")) == wrong
    # Seen before under its own service: the short way must not take it for this one.
    parts = sign(service="lambda")
    assert accepted(verifier, parts, "lambda") == ACCESS_KEY
    assert refusal(verifier, parts) == wrong


def test_all_that_is_wrong_with_the_scope_is_told_at_once(clock: Clock):
    strict = Verifier({ACCESS_KEY: Secret(SECRET)}, "us-east-1", clock, strict_region=True)
    parts = sign()
    parts.headers[b"authorization"] = (
        b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20000101/r/s/t, SignedHeaders=host;x-amz-target, Signature=b"
    )
    assert refusal(strict, parts) == (
        "InvalidSignatureException",
        "Credential should be scoped to a valid region. "
        "Credential should be scoped to correct service: 'dynamodb'. "
        "Credential should be scoped with a valid terminator: 'aws4_request'. "
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP. ",
    )


# Credentials that change, caches that stay bounded.


def test_credentials_may_change_at_any_time(clock: Clock):
    credentials = {ACCESS_KEY: Secret(SECRET)}
    verifier = Verifier(credentials, "us-east-1", clock)
    parts = sign()
    assert accepted(verifier, parts) == ACCESS_KEY
    credentials[ACCESS_KEY] = Secret("rotated")
    assert refusal(verifier, parts) == MISMATCH
    assert accepted(verifier, sign(secret="rotated")) == ACCESS_KEY
    del credentials[ACCESS_KEY]
    assert refusal(verifier, sign(secret="rotated")) == UNKNOWN


def test_caches_are_bounded(clock: Clock):
    class Everyone(dict[str, Secret]):
        def get(self, key: str, default: Secret | None = None) -> Secret:  # type: ignore[override]
            return Secret(SECRET)

    verifier = Verifier(Everyone(), "us-east-1", clock)
    for number in range(1100):
        verifier.verify(sign(access_key=f"key{number}"))
    assert len(verifier._stems) <= 1024
    assert len(verifier._keys) <= 1024
    assert accepted(verifier, sign(access_key="key0")) == "key0"


def test_secrets_are_not_shown():
    assert SECRET not in repr(Secret(SECRET, "token"))
    assert "token" not in repr(Secret(SECRET, "hidden"))
