"""authorizeConnection, against the signatures of the official client."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from amazondax import SigV4Gen
from hashrange_dax.protocol.authorize import VALID_S, Verifier

from hashrange.errors import ApiError

NOW = datetime.datetime(2026, 11, 23, 12, 0, 0)
NOW_S = NOW.replace(tzinfo=datetime.UTC).timestamp()
KEY, SECRET = "AKIDEXAMPLE", "a secret"


def signed(
    secret: str = SECRET,
    region: str = "eu-west-1",
    host: str = "dax.amazonaws.com",
    now: datetime.datetime = NOW,
) -> tuple[str, bytes]:
    """Signature and string to sign, as the client sends them."""
    credentials = SimpleNamespace(access_key=KEY, secret_key=secret, token=None)
    signature = SigV4Gen.generate_signature(credentials, f"https://{host}", region, b"", now)
    return signature.signature, signature.string_to_sign.encode()


@pytest.fixture(name="verifier")
def _verifier() -> Verifier:
    return Verifier({KEY: SECRET}, "us-east-1", lambda: NOW_S)


def refused(attempt: Callable[[], None]) -> str:
    with pytest.raises(ApiError) as caught:
        attempt()
    return caught.value.type_name


def test_the_clients_signature_is_accepted(verifier: Verifier) -> None:
    assert verifier.wanted
    verifier.verify(KEY, *signed())


def test_another_region_is_not_where_regions_are_strict() -> None:
    verifier = Verifier({KEY: SECRET}, "us-east-1", lambda: NOW_S, strict_region=True)
    verifier.verify(KEY, *signed(region="us-east-1"))
    assert refused(lambda: verifier.verify(KEY, *signed(region="eu-west-1"))) == "InvalidSignatureException"


def test_another_secret_is_not(verifier: Verifier) -> None:
    assert refused(lambda: verifier.verify(KEY, *signed("another"))) == "InvalidSignatureException"


def test_an_unknown_key_is_not(verifier: Verifier) -> None:
    assert refused(lambda: verifier.verify("nobody", *signed())) == "UnrecognizedClientException"


def test_only_the_fixed_request_counts(verifier: Verifier) -> None:
    assert refused(lambda: verifier.verify(KEY, *signed(host="example.com"))) == "InvalidSignatureException"


@pytest.mark.parametrize("seconds", [-VALID_S - 1, VALID_S + 1])
def test_old_and_early_signatures_do_not_hold(verifier: Verifier, seconds: int) -> None:
    late = signed(now=NOW + datetime.timedelta(seconds=seconds))
    assert refused(lambda: verifier.verify(KEY, *late)) == "InvalidSignatureException"
    verifier.verify(KEY, *signed(now=NOW + datetime.timedelta(seconds=seconds / 2)))


@pytest.mark.parametrize(
    "to_sign",
    [
        b"",
        b"AWS4-HMAC-SHA256\n20261123T120000Z\n20261123/us-east-1/dynamodb/aws4_request\n00",
        b"AWS4-HMAC-SHA256\n20261123T120000Z\n20261122/us-east-1/dax/aws4_request\n00",
        b"AWS4-HMAC-SHA256\n20269923T120000Z\n20269923/us-east-1/dax/aws4_request\n00",
        b"\xff\xfe",
    ],
)
def test_strings_to_sign_of_another_form(verifier: Verifier, to_sign: bytes) -> None:
    assert refused(lambda: verifier.verify(KEY, "00", to_sign)) == "InvalidSignatureException"


def test_arguments_of_another_type(verifier: Verifier) -> None:
    assert refused(lambda: verifier.verify(KEY, None, b"")) == "InvalidSignatureException"
    assert refused(lambda: verifier.verify(7, "", b"")) == "InvalidSignatureException"


def test_without_secrets_everybody_is_let_in() -> None:
    verifier = Verifier({}, "us-east-1", lambda: NOW_S)
    assert not verifier.wanted
    verifier.verify("anybody", "x", b"y")
