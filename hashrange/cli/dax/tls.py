"""TLS for DAX clients: an authority of this installation, and the certificates that each process issues itself.

    authority = await authority_of(controls, transport, now)        # made when it is asked for first
    context = server_context(authority, hosts, now)            # of a certificate that was issued just now

The authority lies in a control document, with its key: whoever may speak to the storage nodes may read it, as they may
read everything. Clients are given its certificate (`hashrange dax certificate`) to trust; a node's own certificate
lives as long as its process, so that nothing has to be renewed or kept.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hashrange.cli.dax.sending import change
from hashrange.model.dax import TLS
from hashrange.wire.documents import ControlDocuments
from hashrange.wire.messages import Transport

CA = "ca"
"""The name of the authority's document: {"Certificate": PEM, "Key": PEM}."""

CA_DAYS = 3_650
LEAF_DAYS = 800
"""Some clients refuse certificates that are valid for more than 825 days."""

HOST_BYTES_MAX = 64


class Authority(NamedTuple):
    """A certificate that clients trust, and the key that others are signed with; both in PEM."""

    certificate: str
    key: str


async def authority_of(controls: ControlDocuments, transport: Transport, now_s: float) -> Authority:
    """The authority of this installation; makes it if there is none. ApiError without a control plane."""
    made: list[dict[str, Any]] = []

    def plan(known: dict[str, Any] | None) -> dict[str, Any]:
        if known is not None:
            return known
        if not made:
            authority = make_authority(now_s)
            made.append({"Certificate": authority.certificate, "Key": authority.key})
        return made[0]

    document = await change(transport, controls, TLS, CA, plan)
    assert document is not None
    return Authority(document["Certificate"], document["Key"])


def make_authority(now_s: float) -> Authority:
    """A new authority. Its key usage allows it to issue certificates of servers only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "hashrange"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"hashrange DAX {os.urandom(4).hex()}"),
        ]
    )
    begin = _moment(now_s)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - datetime.timedelta(days=1))
        .not_valid_after(begin + datetime.timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign=False, issue=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(_pem(certificate), _pem_key(key))


def issue(authority: Authority, hosts: Iterable[str], now_s: float) -> Authority:
    """A server's certificate for some hosts, names and addresses, and its key."""
    parent = x509.load_pem_x509_certificate(authority.certificate.encode())
    signer = serialization.load_pem_private_key(authority.key.encode(), None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key is of another kind")
    key = ec.generate_private_key(ec.SECP256R1())
    begin = _moment(now_s)
    names = list(dict.fromkeys(hosts))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:HOST_BYTES_MAX])]))
        .issuer_name(parent.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - datetime.timedelta(days=1))
        .not_valid_after(min(begin + datetime.timedelta(days=LEAF_DAYS), parent.not_valid_after_utc))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=True, issue=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
    return Authority(_pem(certificate), _pem_key(key))


def server_context(authority: Authority, hosts: Sequence[str], now_s: float) -> ssl.SSLContext:
    """What a listener needs, of a certificate that is issued for it now."""
    leaf = issue(authority, hosts, now_s)
    # The ssl module reads keys from files alone. It is one that nobody else may read, and gone at once.
    descriptor, path = tempfile.mkstemp(prefix="hashrange-", suffix=".pem")
    try:
        os.write(descriptor, (leaf.certificate + authority.certificate + leaf.key).encode())
        return context_of(Path(path), None)
    finally:
        os.close(descriptor)
        Path(path).unlink()


def context_of(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """What a listener needs, of a chain of certificates and a key in files; ssl.SSLError or OSError for others."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


def _usage(*, sign: bool, issue: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=issue,
        crl_sign=issue,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _moment(now_s: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(now_s, datetime.UTC)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _pem_key(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
