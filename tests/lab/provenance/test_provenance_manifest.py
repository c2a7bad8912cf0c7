"""The signed manifest: what it says, and when it is believed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lab import media
from lab.errors import UserError
from lab.provenance import Record, keys, manifest, sign_and_write
from lab.provenance.manifest import Statement

FULL = Record(
    "face swap",
    "python swap.py",
    "compositeWithTrainedAlgorithmicMedia",
    weights=("pair_a 12ab",),
    consent="Jörg agrees to be shown, 2026-11-20",
)


@pytest.fixture
def signed(tmp_path: Path, portrait, record: Record) -> Path:
    return sign_and_write(tmp_path / "signed.png", portrait(0, 96, 96), record)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".mp4", ".mov"])
def test_manifest_comes_back_as_it_was_given(tmp_path: Path, portrait, suffix: str) -> None:
    source = tmp_path / "größe 1.txt"
    source.write_text("abc", encoding="utf-8")
    full = replace(FULL, inputs=(source,))
    frame = portrait(0, 96, 96)
    content = [frame] * 3 if suffix in (".mp4", ".mov") else frame
    path = sign_and_write(tmp_path / f"out ü{suffix}", content, full, rate_fps=25)
    found = manifest.read(path)
    assert found.state == "trusted" and found.problems == ()
    assert found.statement == Statement.of(full)
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc"
    assert found.statement.inputs == (("größe 1.txt", digest),)
    assert found.watermark == f"{found.statement.payload:08x}"


def test_manifest_is_small(tmp_path: Path, portrait, record: Record) -> None:
    """No thumbnail: it would show the picture even after the pixels were replaced."""
    plain = media.write_image(tmp_path / "plain.png", portrait(0))
    statement = Statement.of(record)
    manifest.sign(plain, tmp_path / "signed.png", "x", statement)
    growth = (tmp_path / "signed.png").stat().st_size - plain.stat().st_size
    assert 1000 < growth < 8000


def test_input_with_a_manifest_becomes_the_parent(tmp_path: Path, signed: Path, portrait) -> None:
    plain = media.write_image(tmp_path / "plain.png", portrait(1, 96, 96))
    made = replace(FULL, inputs=(plain, signed))
    path = sign_and_write(tmp_path / "made.jpg", portrait(2, 96, 96), made)
    found = manifest.read(path)
    assert found.state == "trusted"
    assert found.parents == ("signed.png",), "the plain input has no manifest to include"
    again = sign_and_write(
        tmp_path / "again.png", portrait(3, 96, 96), replace(FULL, inputs=(path, signed))
    )
    assert manifest.read(again).parents == ("made.jpg", "signed.png")


def test_one_flipped_bit_is_noticed_wherever_it_matters(signed: Path) -> None:
    whole = signed.read_bytes()
    statement = whole.index(b"python swap.py")
    padding = whole.index(b"cpad") + 300
    places = [statement, padding, len(whole) - 30, *range(len(whole) // 2, len(whole) - 20, 97)]
    for place in places:
        data = bytearray(whole)
        data[place] ^= 4
        signed.write_bytes(data)
        assert manifest.read(signed).state != "trusted", f"byte {place} of {len(whole)}"


def test_changed_content_is_called_tampered(tmp_path: Path, portrait, record: Record) -> None:
    for suffix, code in ((".png", "assertion.dataHash.mismatch"), (".mp4", "bmffHash")):
        frame = portrait(0, 96, 96)
        content = [frame] * 3 if suffix == ".mp4" else frame
        path = sign_and_write(tmp_path / f"a{suffix}", content, record, rate_fps=25)
        data = bytearray(path.read_bytes())
        data[-40] ^= 1
        path.write_bytes(data)
        found = manifest.read(path)
        assert found.state == "tampered"
        assert any(code in problem for problem in found.problems)


def test_saving_again_removes_the_manifest(signed: Path, tmp_path: Path) -> None:
    copy = media.write_image(tmp_path / "copy.png", media.read_image(signed))
    assert manifest.read(copy).state == "none"


def test_forged_authority_with_the_same_names_is_refused(tmp_path: Path, portrait) -> None:
    keys.signing_identity()
    plain = media.write_image(tmp_path / "plain.png", portrait(0, 96, 96))
    forged = tmp_path / "forged.png"
    manifest.sign(plain, forged, "x", Statement.of(FULL), identity=keys.new_identity())
    found = manifest.read(forged)
    assert found.state == "unknown signer"
    assert found.signer == keys.ORGANIZATION, "it carries our name and is refused all the same"


def test_leaf_of_ours_under_a_forged_root_is_refused(tmp_path: Path, portrait) -> None:
    """A chain that mixes our public leaf certificate with somebody else's key cannot sign for us."""
    ours, theirs = keys.signing_identity(), keys.new_identity()
    mixed = keys.SigningIdentity(ours.leaf, ours.root, theirs.private_key)
    plain = media.write_image(tmp_path / "plain.png", portrait(0, 96, 96))
    forged = tmp_path / "forged.png"
    try:
        manifest.sign(plain, forged, "x", Statement.of(FULL), identity=mixed)
    except Exception:
        return  # the library may refuse to sign with a key that does not fit
    assert manifest.read(forged).state == "tampered"


def test_machine_without_a_key_trusts_nobody(signed: Path, fresh_keys: Path) -> None:
    assert manifest.read(signed).state == "unknown signer"
    assert not fresh_keys.exists()


@pytest.mark.parametrize("name", ["notes.txt", "data.npz", "noise.png"])
def test_files_without_a_manifest_have_none(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(500))
    assert manifest.read(tmp_path / name).state == "none"


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*gone\.png"):
        manifest.read(tmp_path / "gone.png")


def test_payload_changes_with_every_part_of_the_statement(tmp_path: Path) -> None:
    source = tmp_path / "in.bin"
    source.write_bytes(b"one")
    base = Statement.of(replace(FULL, inputs=(source,)))
    source.write_bytes(b"two")
    others = [
        Statement.of(replace(FULL, inputs=(source,))),
        replace(base, what="x"),
        replace(base, command="x"),
        replace(base, source_type="digitalCreation"),
        replace(base, weights=()),
        replace(base, consent=None),
    ]
    payloads = {base.payload, *(other.payload for other in others)}
    assert len(payloads) == 7
    assert all(0 <= payload < 1 << 32 for payload in payloads)
    assert replace(base).payload == base.payload
