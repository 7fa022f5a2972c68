"""Certificates as one makes them for a Ray that is to use TLS."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def certified(directory: Path, hosts: Iterable[str]) -> dict[str, str]:
    """Have an authority made that vouches for these hosts; returns the environment that says so."""
    authority, its_key = signed("authority", [])
    certificate, key = signed("node", hosts, authority, its_key)
    files = {
        "RAY_TLS_CA_CERT": authority.public_bytes(serialization.Encoding.PEM),
        "RAY_TLS_SERVER_CERT": certificate.public_bytes(serialization.Encoding.PEM),
        "RAY_TLS_SERVER_KEY": key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    }
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return {"RAY_USE_TLS": "1"} | {name: str(directory / name) for name in files}


def signed(
    name: str,
    hosts: Iterable[str],
    authority: x509.Certificate | None = None,
    its_key: ec.EllipticCurvePrivateKey | None = None,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate with its key; that of an authority if there is none that signs it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), *(x509.IPAddress(ip_address(host)) for host in hosts)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if authority is None else authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    return builder.sign(its_key or key, hashes.SHA256()), key
