"""The command: footage of every awkward kind in, a signed file out; or one line and exit code 2."""

import importlib.util
import threading
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from lab import checkpoint, media, provenance
from lab.course import load
from lab.course.loading import ROOT
from lab.errors import UserError
from lab.files import sha256
from lab.media.samples import chirp, shift_samples, write_sample
from lab.provenance import manifest

CONSENT = ("--consent", "test footage in the public domain")


@pytest.fixture(scope="module")
def command() -> ModuleType:
    path = ROOT / "phase1_face_swap" / "swap_video.py"
    spec = importlib.util.spec_from_file_location("phase1_swap_video", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """A photograph of one face (NASA, public domain): uint8 (192, 192, 3)."""
    from skimage.data import astronaut

    return np.ascontiguousarray(astronaut()[10:202, 130:322])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model that sees face everywhere: its swap is a grey blur, and cannot be missed."""
    autoencoder = load("phase1_face_swap/autoencoder")
    torch.manual_seed(0)
    config = autoencoder.Config(32, (4, 4), 8, (4, 4, 4))
    network = autoencoder.FaceSwapAutoencoder(config)
    with torch.no_grad():
        for decoder in network.decoders:
            decoder.last.bias[12:] = 9
    path = tmp_path_factory.mktemp("model") / "checkpoint.pt"
    settings = {"model": network.settings()}
    return checkpoint.save(path, {"model": network.state_dict()}, settings, {})


def moving(portrait: np.ndarray, count: int = 6) -> np.ndarray:
    """The portrait, a pixel further to the right in each frame."""
    return np.stack([np.roll(portrait, i, axis=1) for i in range(count)])


def grey(count: int, size: int = 192) -> np.ndarray:
    return np.full((count, size, size, 3), 128, np.uint8)


def run(command: ModuleType, model: Path | str, source: Path, target: Path, *more: str) -> int:
    paths = ["--model", str(model), "--input", str(source), "--output", str(target)]
    return command.main([*paths, "--impl", "solution", *CONSENT, *more])


def one_line(capsys: pytest.CaptureFixture) -> str:
    """What went to standard error; it must be one line that starts with `error:`."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    return lines[0]


def frames_of(path: Path) -> np.ndarray:
    with media.VideoReader(path) as reader:
        return np.stack([frame.image_HW3 for frame in reader])


def changed(before_HW3: np.ndarray, after_HW3: np.ndarray) -> np.ndarray:
    """Where two frames differ by more than coding does; the label's corner is left out."""
    difference_HW = np.abs(before_HW3.astype(int) - after_HW3).mean(2)
    difference_HW[-40:] = 0
    return difference_HW > 30


def test_video_keeps_sound_length_and_rate_and_says_where_it_came_from(
    command, model, portrait, tmp_path, capsys
):
    source, target = tmp_path / "in dir ä" / "input.mp4", tmp_path / "öut" / "swapped.mp4"
    source.parent.mkdir()
    sound = chirp(0.4, 16_000)
    write_sample(source, moving(portrait, 10), rate_fps=Fraction(30000, 1001), audio=sound)
    assert run(command, model, source, target) == 0
    assert "10 frames swapped, 0 without face" in capsys.readouterr().out

    before, after = media.probe(source), media.probe(target)
    assert (after.frames, after.rate_fps) == (before.frames, before.rate_fps)
    assert (after.width_px, after.height_px) == (192, 192)
    heard, original = media.read_audio(target), media.read_audio(source)
    assert heard.rate_hz == original.rate_hz and shift_samples(heard, original, 800) == 0
    assert changed(frames_of(source)[5], frames_of(target)[5]).sum() > 500

    said = manifest.read(target).statement
    assert (said.what, said.consent) == ("face swap", CONSENT[1])
    assert said.weights == (f"checkpoint.pt {sha256(model)}",)
    assert said.inputs == (("input.mp4", sha256(source)),)
    assert "--input input.mp4" in said.command and str(tmp_path) not in said.command
    assert provenance.verify(target).says_synthetic


def test_frames_without_face_pass_through_and_are_counted(
    command, model, portrait, tmp_path, capsys
):
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    write_sample(source, np.concatenate([grey(3), moving(portrait, 4), grey(2)]))
    assert run(command, model, source, target) == 0
    assert "4 frames swapped, 5 without face" in capsys.readouterr().out
    before, after = frames_of(source), frames_of(target)
    assert [bool(changed(a, b).any()) for a, b in zip(before, after, strict=True)] == (
        [False] * 3 + [True] * 4 + [False] * 2
    )


def test_variable_frame_times_are_kept(command, model, portrait, tmp_path):
    source, target = tmp_path / "in.mkv", tmp_path / "out.mp4"
    times = [Fraction(ms, 1000) for ms in (0, 40, 120, 130, 300, 420)]
    write_sample(source, moving(portrait, 6), times_s=times)
    assert run(command, model, source, target) == 0
    with media.VideoReader(target) as reader:
        kept = [frame.time_s for frame in reader]
    np.testing.assert_allclose(kept, [float(t) for t in times], atol=1e-3)


@pytest.mark.parametrize("turn", [90, 180])
def test_rotated_footage_is_swapped_upright(command, model, portrait, tmp_path, turn):
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    stored = np.stack([np.rot90(f, turn // 90) for f in moving(portrait[:, :176], 3)])
    write_sample(source, stored, rotation_deg=turn)
    assert run(command, model, source, target) == 0
    info = media.probe(target)
    assert (info.width_px, info.height_px, info.rotation_deg) == (176, 192, 0)
    assert changed(portrait[:, :176], frames_of(target)[0]).sum() > 500


def test_video_without_any_face_leaves_no_file(command, model, tmp_path, capsys):
    source, target = tmp_path / "in.mp4", tmp_path / "out" / "out.mp4"
    write_sample(source, grey(4))
    assert run(command, model, source, target) == 2
    assert "no face" in one_line(capsys)
    assert not target.exists() and not list(tmp_path.glob("out/*"))


def test_video_that_breaks_off_leaves_no_file(command, model, portrait, tmp_path, capsys):
    whole, source, target = tmp_path / "whole.mp4", tmp_path / "cut.mp4", tmp_path / "out.mp4"
    write_sample(whole, moving(portrait, 12), container_options={"movflags": "faststart"})
    source.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    assert run(command, model, source, target) == 2
    assert "cut.mp4" in one_line(capsys)
    assert not target.exists() and not list(tmp_path.glob(".*"))


def test_picture_gives_a_signed_picture(command, model, portrait, tmp_path, capsys):
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    media.write_image(source, portrait)
    assert run(command, model, source, target, "--blend", "poisson", "--color", "mkl") == 0
    assert "1 face(s) swapped" in capsys.readouterr().out
    assert (changed(portrait, media.read_image(target))).sum() > 100


def test_picture_without_face_leaves_no_file(command, model, tmp_path, capsys):
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    media.write_image(source, grey(1)[0])
    assert run(command, model, source, target) == 2
    assert "no face" in one_line(capsys) and not target.exists()


def test_face_like_a_picture_is_the_one_that_is_swapped(command, model, portrait, tmp_path, capsys):
    likeness, source, target = tmp_path / "her.png", tmp_path / "in.png", tmp_path / "out.png"
    media.write_image(likeness, portrait[:, ::-1])
    media.write_image(source, portrait)
    assert run(command, model, source, target, "--face", f"like:{likeness}") == 0
    strict = ("--face", f"like:{likeness}", "--like-limit", "0.0001")
    assert run(command, model, source, tmp_path / "none.png", *strict) == 2
    assert "no face to swap" in one_line(capsys)


@pytest.mark.parametrize(
    ("flag", "value", "says"),
    [
        ("--face", "smallest", "largest, all or like:IMAGE"),
        ("--face", "like:", "like:IMAGE"),
        ("--face", "like:missing.png", "missing.png"),
        ("--blend", "magic", "--blend"),
        ("--smooth", "-1", "--smooth"),
        ("--smooth", "nan", "--smooth"),
        ("--batch", "0", "--batch"),
        ("--model", "pair-zz", "pair-zz"),
        ("--model", "runs/missing/checkpoint.pt", "checkpoint"),
        ("--output", "swapped.avi", ".mp4"),
        ("--output", "swapped.png", ".mp4"),
        ("--input", "missing.mp4", "missing.mp4"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(
    command, model, portrait, tmp_path, capsys, monkeypatch, flag, value, says
):
    monkeypatch.chdir(tmp_path)
    write_sample(tmp_path / "in.mp4", moving(portrait, 2))
    assert run(command, model, Path("in.mp4"), Path("out.mp4"), flag, value) == 2
    assert says in one_line(capsys)
    assert not (tmp_path / "out.mp4").exists()


def test_output_over_the_input_is_refused(command, model, portrait, tmp_path, capsys):
    source = write_sample(tmp_path / "in.mp4", moving(portrait, 2))
    before = source.read_bytes()
    assert run(command, model, source, tmp_path / "." / "in.mp4") == 2
    assert "is the input" in one_line(capsys)
    assert source.read_bytes() == before


@pytest.mark.parametrize("kind", ["truncated", "foreign", "text", "other model"])
def test_checkpoints_of_other_kinds_are_refused(command, model, portrait, tmp_path, capsys, kind):
    source = write_sample(tmp_path / "in.mp4", moving(portrait, 2))
    broken = tmp_path / "broken.pt"
    if kind == "truncated":
        broken.write_bytes(model.read_bytes()[:3000])
    elif kind == "foreign":
        torch.save({"state_dict": {"a": torch.zeros(2)}}, broken)
    elif kind == "text":
        broken.write_text("not a checkpoint", encoding="utf-8")
    else:
        checkpoint.save(broken, {"model": {"a": torch.zeros(2)}}, {"width": 3}, {})
    assert run(command, broken, source, tmp_path / "out.mp4") == 2
    assert "broken.pt" in one_line(capsys)


def test_footage_of_a_person_needs_consent(command, model, portrait, tmp_path, capsys):
    source = write_sample(tmp_path / "in.mp4", moving(portrait, 2))
    target = tmp_path / "out.mp4"
    arguments = ["--model", str(model), "--input", str(source), "--output", str(target)]
    assert command.main([*arguments, "--impl", "solution"]) == 2
    assert "--consent" in one_line(capsys) and not target.exists()


def test_output_that_cannot_be_written_ends_all_threads(
    command, model, portrait, tmp_path, capsys, monkeypatch
):
    """A thread that still swaps while Python leaves would crash it."""
    source = write_sample(tmp_path / "in.mp4", moving(portrait, 30))

    def full(self, frame_HW3: np.ndarray, time_s: float | None = None) -> None:
        raise UserError("cannot write: no space left")

    monkeypatch.setattr(media.VideoWriter, "write", full)
    before = threading.active_count()
    assert run(command, model, source, tmp_path / "out.mp4") == 2
    assert "no space" in one_line(capsys)
    assert threading.active_count() == before


def test_help_opens_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as left:
        command.main(["--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert "Example:\n  python phase1_face_swap/swap_video.py --model" in text
    assert "(default: feather)" in text
