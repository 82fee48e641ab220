"""The HTTP front over TLS: the same answers, and ends of connections that TLS cannot halve."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.unit.http_support import TIMEOUT_S, Client, Front, post


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server context with a certificate of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path: Path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server


@pytest.fixture
def front(context: ssl.SSLContext) -> Iterator[Front]:
    with Front(ssl=context) as running:
        yield running


def connect(front: Front) -> Client:
    client = front.connect()
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    client.socket = trusting.wrap_socket(client.socket)
    client.socket.settimeout(TIMEOUT_S)
    return client


def test_requests(front: Front):
    with connect(front) as client:
        client.send(post(b"1") + post(b"x" * 100_000) + post(b"3", "Connection: close"))
        bodies = [client.reply().json()["body"] for _ in range(3)]
        assert bodies == ["1", "x" * 100_000, "3"]
        assert client.closed()


def test_refusals(front: Front):
    with connect(front) as client:
        client.send(b"nonsense\r\n\r\n")
        assert client.reply().status == 400
        assert client.closed()


def test_plain_http_is_refused(front: Front):
    with front.connect() as client:
        client.send(post())
        rest = client.rest()
        assert b"HTTP/" not in rest
    with connect(front) as client:
        client.send(post(b"still here"))
        assert client.reply().json()["body"] == "still here"
