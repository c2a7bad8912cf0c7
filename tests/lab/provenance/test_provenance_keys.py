"""This machine's signing key."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from lab.errors import UserError
from lab.provenance import keys


def test_identity_is_made_once_and_kept(fresh_keys: Path) -> None:
    assert keys.known_root() is None, "asking what is trusted must not make a key"
    assert not fresh_keys.exists()
    first = keys.signing_identity()
    assert keys.signing_identity() == first
    assert keys.known_root() == first.root
    assert [path.name for path in fresh_keys.iterdir()] == ["signing.pem"]


def test_key_is_for_its_owner_only(fresh_keys: Path) -> None:
    keys.signing_identity()
    path = fresh_keys / "signing.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(fresh_keys.stat().st_mode) == 0o700
    path.chmod(0o644)
    keys.signing_identity()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600, "loosened permissions are tightened again"


def test_first_use_by_several_at_once_gives_one_identity(fresh_keys: Path) -> None:
    together = Barrier(8)

    def first_use(_: int) -> keys.SigningIdentity:
        together.wait()
        return keys.signing_identity()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(first_use, range(8)))) == 1
    assert len(list(fresh_keys.iterdir())) == 1


def test_root_key_is_not_kept_and_leaf_is_signed_by_it() -> None:
    identity = keys.new_identity()
    leaf = x509.load_pem_x509_certificate(identity.leaf)
    root = x509.load_pem_x509_certificate(identity.root)
    leaf.verify_directly_issued_by(root)
    kept = load_pem_private_key(identity.private_key, None)
    assert kept.public_key() == leaf.public_key() != root.public_key()
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_damaged_key_file_is_named(fresh_keys: Path) -> None:
    keys.signing_identity()
    path = fresh_keys / "signing.pem"
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(UserError, match=r"signing\.pem is damaged; delete it"):
        keys.signing_identity()


def test_folder_that_cannot_be_made_is_named(fresh_keys: Path) -> None:
    fresh_keys.parent.write_text("a file in the way", encoding="utf-8")
    with pytest.raises(UserError, match="cannot keep the signing key"):
        keys.signing_identity()
