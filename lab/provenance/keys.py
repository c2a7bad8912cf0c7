"""This machine's signing identity: a root certificate, a leaf certificate and the leaf's private key.

Made at first use. The root's private key signs the one leaf and is then forgotten: it is never
written, so nobody can issue a second leaf in its name. What is kept is one file with owner-only
permissions; whoever reads it can sign as this machine.
"""

import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.errors import UserError
from lab.files import keys_dir

ORGANIZATION = "Deepfakes from Scratch"
_FILE = "signing.pem"
_ROOT_DAYS, _LEAF_DAYS = 40 * 365, 20 * 365
_END = b"-----END CERTIFICATE-----\n"


@dataclass(frozen=True)
class SigningIdentity:
    """PEM bytes: the leaf's certificate and private key, and the root that vouches for it."""

    leaf: bytes
    root: bytes
    private_key: bytes

    @property
    def chain(self) -> bytes:
        """Leaf first, then root, as Content Credentials want it."""
        return self.leaf + self.root


def signing_identity() -> SigningIdentity:
    """Read this machine's identity; make it if there is none.

    Processes that start together agree: each writes a whole file of its own, the first to give it
    the final name wins, and all read what is there.

    Raises:
        UserError: if the folder cannot be written or the file is damaged.
    """
    path = keys_dir() / _FILE
    try:
        if not path.exists():
            _publish(new_identity(), path)
        if os.name == "posix" and path.stat().st_mode & 0o077:
            path.chmod(0o600)
        pem = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot keep the signing key in {path}: {error.strerror or error}; make the folder "
            "writable or point XDG_CONFIG_HOME elsewhere"
        ) from error
    pieces = pem.split(_END)
    if len(pieces) != 3 or b"PRIVATE KEY" not in pieces[2]:
        raise UserError(f"{path} is damaged; delete it, a new key is made at the next use")
    return SigningIdentity(pieces[0] + _END, pieces[1] + _END, pieces[2])


def known_root() -> bytes | None:
    """The root certificate that this machine trusts; None if it has never signed anything."""
    return signing_identity().root if (keys_dir() / _FILE).exists() else None


def new_identity() -> SigningIdentity:
    """Make a root and one leaf under it (ES256: ECDSA on P-256 with SHA-256).

    The leaf has what Content Credentials ask of a signer: key usage digitalSignature, extended key
    usage emailProtection, key identifiers, an organisation's name.
    """
    root_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name, leaf_name = _name("course root"), _name("course signer")
    root_id = x509.SubjectKeyIdentifier.from_public_key(root_key.public_key())
    root = (
        _certificate(root_name, root_name, root_key.public_key(), _ROOT_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(root_id, critical=False)
        .sign(root_key, hashes.SHA256())
    )
    leaf_id = x509.SubjectKeyIdentifier.from_public_key(leaf_key.public_key())
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(root_id)
    mail = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
    leaf = (
        _certificate(leaf_name, root_name, leaf_key.public_key(), _LEAF_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(mail, critical=False)
        .add_extension(leaf_id, critical=False)
        .add_extension(issuer_id, critical=False)
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = leaf_key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return SigningIdentity(leaf.public_bytes(pem), root.public_bytes(pem), private)


def _publish(identity: SigningIdentity, path: Path) -> None:
    """Write the identity under `path` unless another process was first; never a partial file."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(identity.chain + identity.private_key)
            handle.flush()
            os.fsync(handle.fileno())
        try:
            os.link(temporary, path)  # fails if the name exists, unlike a rename
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            if not path.exists():
                os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"{ORGANIZATION} {common_name}"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
        ]
    )


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # a clock that runs behind still accepts it
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(**granted: bool) -> x509.KeyUsage:
    every = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(**{**every, **granted})
