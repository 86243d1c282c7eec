"""Certificates for a server under test: made on the spot, written as PEM."""

import datetime
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from harness.failures import check
from harness.server import Server

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
KINDS: dict[str, Callable[[], Key]] = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
}

_FINGERPRINT = re.compile(r"(?:[0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}|\b[0-9A-Fa-f]{64}\b")


@dataclass(frozen=True)
class Issued:
    certificate: x509.Certificate
    key: Key

    @property
    def fingerprint(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def key_der(self) -> bytes:
        form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.DER, form, none)

    def key_pem(self, password: bytes | None = None) -> bytes:
        hidden = (
            serialization.BestAvailableEncryption(password)
            if password
            else serialization.NoEncryption()
        )
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, form, hidden)


def issue(
    name: str,
    issuer: Issued | None = None,
    authority: bool = False,
    kind: str = "P-256",
    begins: float = -1,
    ends: float = 24,
) -> Issued:
    """A certificate for localhost, signed by `issuer` or by itself; valid as told in hours from now.

    With the extensions that RFC 5280 §4.2.1 wants of it, and so does Python since 3.13.
    """
    key = KINDS[kind]()
    signer = issuer.key if issuer else key
    usages = ["content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    usages += ["crl_sign", "encipher_only", "decipher_only"]
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=authority, **dict.fromkeys(usages, False)
    )
    extensions = [
        (x509.BasicConstraints(authority, None), True),
        (usage, True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False),
        (x509.SubjectAlternativeName([x509.DNSName("localhost")]), False),
    ]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(hours=begins))
        .not_valid_after(now + datetime.timedelta(hours=ends))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Issued(builder.sign(signer, digest), key)


@dataclass(frozen=True)
class Files:
    """A certificate and its key on disk, and the flags that name them."""

    certificate: Path
    key: Path

    @classmethod
    def at(cls, directory: Path) -> "Files":
        return cls(directory / "certificate.pem", directory / "key.pem")

    @property
    def flags(self) -> list[str]:
        return ["--cert", str(self.certificate), "--key", str(self.key)]

    def write(self, issued: Issued, *chain: Issued) -> str:
        """Its fingerprint."""
        pems = [link.pem() for link in (issued, *chain)]
        self.certificate.write_bytes(b"".join(pems))
        self.key.write_bytes(issued.key_pem())
        return issued.fingerprint


def printed_fingerprint(server: Server) -> str:
    """The SHA-256 fingerprint that the server told before its first `listening on` line, in hex."""
    told, _, _ = server.stdout.partition("listening on")
    found = _FINGERPRINT.search(told)
    check(
        found,
        "the SHA-256 fingerprint of the certificate before the `listening on` lines",
        f"it printed {server.stdout!r}",
        server=server,
    )
    return plain(found.group(0))


def plain(fingerprint: str) -> str:
    return fingerprint.replace(":", "").lower()


def fingerprint_of(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()
