"""verify and `python -m lab verify`: plain words for what is left."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lab import media
from lab.cli import main
from lab.provenance import Record, keys, manifest, sign_and_write, verify


@pytest.fixture
def signed(tmp_path: Path, portrait, record: Record) -> Path:
    full = replace(record, weights=("pair_a 12ab",), consent="Ada agrees to be shown here")
    return sign_and_write(tmp_path / "signed.png", portrait(0), full)


def states(path: Path) -> tuple[str, str, str]:
    return tuple(layer.state for layer in verify(path).layers.values())


def test_whole_file_is_believed(signed: Path) -> None:
    found = verify(signed)
    assert states(signed) == ("present", "present", "trusted")
    assert found.says_synthetic
    assert found.conclusion == "Synthetic, and what the manifest says can be believed."
    for words in ("face swap", "made by a neural network", "pair_a 12ab", "Ada agrees"):
        assert words in found.manifest.sentence


def test_video_is_believed(tmp_path: Path, portrait, record: Record) -> None:
    frames = [portrait(1, shift=i) for i in range(10)]
    path = sign_and_write(tmp_path / "a.mp4", frames, record, rate_fps=25)
    assert states(path) == ("present", "present", "trusted")


def test_stripped_manifest_is_traced_by_the_watermark(signed: Path, tmp_path: Path) -> None:
    copy = media.write_image(tmp_path / "copy.jpg", media.read_image(signed))
    found = verify(copy)
    assert states(copy) == ("present", "present", "none")
    assert "the watermark survived" in found.conclusion
    assert "this machine signed that id: face swap, by `python swap.py" in found.watermark.sentence


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".mp4"])
def test_one_flipped_bit_is_called_tampered(tmp_path, portrait, record, suffix: str) -> None:
    """In a PNG the pixels then fail their checksum: the manifest is reported all the same."""
    content = [portrait(0)] * 4 if suffix == ".mp4" else portrait(0)
    path = sign_and_write(tmp_path / f"a{suffix}", content, record, rate_fps=25)
    data = bytearray(path.read_bytes())
    data[len(data) - 700] ^= 1
    path.write_bytes(data)
    found = verify(path)
    assert found.manifest.state == "tampered"
    assert "was changed after signing" in found.manifest.sentence
    assert "no longer to be believed: face swap" in found.manifest.sentence
    assert found.conclusion == "Was signed as synthetic and has been changed since."
    assert main(["verify", str(path)]) == 0


def test_manifest_moved_to_another_picture_does_not_pass(
    signed: Path, tmp_path: Path, portrait
) -> None:
    """Cut the manifest's chunk out of one PNG and paste it into another."""
    data = signed.read_bytes()
    start = data.index(b"caBX") - 4
    chunk = data[start : start + 12 + int.from_bytes(data[start : start + 4], "big")]
    other = media.write_image(tmp_path / "other.png", portrait(5))
    plain = other.read_bytes()
    other.write_bytes(plain[:33] + chunk + plain[33:])
    found = verify(other)
    assert found.manifest.state == "tampered"
    assert found.watermark.state == "absent"


def test_watermark_of_another_file_is_pointed_out(signed, tmp_path, portrait, record) -> None:
    """Somebody with the key signs a picture that carries another file's watermark."""
    plain = media.write_image(tmp_path / "plain.png", media.read_image(signed))
    other = manifest.Statement.of(replace(record, what="something else"))
    manifest.sign(plain, tmp_path / "mixed.png", "x", other)
    found = verify(tmp_path / "mixed.png")
    assert found.manifest.state == "trusted"
    assert "the manifest names another id" in found.watermark.sentence
    assert "do not belong together" in found.conclusion


def test_unknown_signer_is_not_believed(tmp_path: Path, portrait, record: Record) -> None:
    plain = media.write_image(tmp_path / "plain.png", portrait(0))
    statement = manifest.Statement.of(record)
    manifest.sign(plain, tmp_path / "f.png", "x", statement, identity=keys.new_identity())
    found = verify(tmp_path / "f.png")
    assert "unknown key" in found.manifest.sentence
    assert found.conclusion == "Says it is synthetic; who says so is not known."


def test_unmarked_file_is_not_called_real(tmp_path: Path, portrait) -> None:
    path = media.write_image(tmp_path / "plain.png", portrait(0))
    found = verify(path)
    assert states(path) == ("absent", "absent", "none")
    assert not found.says_synthetic
    assert "does not mean that the file is real" in found.conclusion


def test_misleading_suffix_is_seen_through(signed: Path, tmp_path: Path) -> None:
    shutil.copy(signed, tmp_path / "really a picture.mp4")
    assert states(tmp_path / "really a picture.mp4") == ("present", "present", "trusted")


def test_command_prints_each_layer_and_leaves_with_0(signed: Path, capsys) -> None:
    assert main(["verify", str(signed)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == str(signed)
    for line, name in zip(out.splitlines()[1:], ("label", "watermark", "manifest"), strict=False):
        assert line.split()[0] == name


def test_command_leaves_with_1_for_an_unmarked_file(signed, tmp_path, portrait, capsys) -> None:
    plain = media.write_image(tmp_path / "plain.png", portrait(0))
    assert main(["verify", str(signed), str(plain)]) == 1
    assert "No mark found" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["gone.png", "text.png", "empty.mp4", "noise.mp4"])
def test_command_names_an_unreadable_file_in_one_line(
    signed: Path, tmp_path: Path, capsys, name: str
) -> None:
    content = {"text.png": b"hello", "empty.mp4": b"", "noise.mp4": np.random.bytes(3000)}
    if name in content:
        (tmp_path / name).write_bytes(content[name])
    assert main(["verify", str(tmp_path / name), str(signed)]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: cannot read") and printed.err.count("\n") == 1
    assert name in printed.err
    assert "trusted" in printed.out, "the readable file is still reported"


def test_command_prints_json(signed: Path, tmp_path: Path, capsys) -> None:
    assert main(["verify", "--json", str(signed), str(tmp_path / "gone.png")]) == 2
    report = json.loads(capsys.readouterr().out)
    assert report[0]["manifest"]["state"] == "trusted"
    assert report[0]["watermark"]["id"] == report[0]["manifest"]["watermark"]
    assert report[0]["manifest"]["consent"] == "Ada agrees to be shown here"
    assert "no such file" in report[1]["error"]
