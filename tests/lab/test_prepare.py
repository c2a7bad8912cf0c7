"""`python -m lab prepare`: a user's own footage becomes a clip, with consent on record."""

import json
from pathlib import Path

import numpy as np
import pytest

from lab.actors.clips import open_clip
from lab.cli import main
from lab.commands.prepare import FaceTracker
from lab.media import Audio, VideoReader, VideoWriter
from lab.provenance import verify

CONSENT = ["--consent", "Ich bin die Person und stimme zu, für diesen Kurs"]
FACE_AT = slice(2, 8)  # frames of the footage that show a face


@pytest.fixture(scope="module")
def photograph_HW3() -> np.ndarray:
    """A real face (Eileen Collins, NASA, public domain) on 256 x 256 px."""
    from skimage.data import astronaut

    return np.ascontiguousarray(astronaut()[:256, 96:352])


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory, photograph_HW3: np.ndarray) -> Path:
    """Ten frames with sound: the photograph drifting by 2 px a frame, an empty wall at both ends."""
    path = tmp_path_factory.mktemp("footage") / "Aufnahme 1.mov.mp4"
    seconds = np.arange(6400) / 16_000
    sound = Audio(np.sin(2 * np.pi * 440 * seconds)[:, None].astype(np.float32) * 0.3, 16_000)
    wall_HW3 = np.full((256, 256, 3), 120, np.uint8)
    with VideoWriter(path, 25, audio=sound) as writer:
        for index in range(10):
            is_face = FACE_AT.start <= index < FACE_AT.stop
            writer.write(np.roll(photograph_HW3, 2 * index, axis=1) if is_face else wall_HW3)
    return path


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, footage: Path) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "clip ä"
    assert main(["prepare", str(footage), str(out), *CONSENT]) == 0
    return out


def test_prepare_keeps_frames_and_counts_those_without_a_face(prepared: Path) -> None:
    clip = open_clip(prepared)
    assert (clip.kind, len(clip), clip.rate_fps, clip.size_px) == ("footage", 10, 25.0, (256, 256))
    assert clip.has_face_T.tolist() == [FACE_AT.start <= i < FACE_AT.stop for i in range(10)]
    about = json.loads((prepared / "clip.json").read_text(encoding="utf-8"))
    assert about["frames_without_face"] == 4 and about["synthetic"] is False
    assert about["source"]["name"] == "Aufnahme 1.mov.mp4"
    assert clip.consent == CONSENT[1]


def test_prepare_finds_the_face_and_follows_it(prepared: Path) -> None:
    clip = open_clip(prepared)
    eyes_px_T2 = clip.landmarks_px_TL2[FACE_AT, 36:48].mean(1)
    steps_px = np.diff(eyes_px_T2, axis=0)
    assert np.abs(steps_px[:, 0] - 2).max() < 1.2 and np.abs(steps_px[:, 1]).max() < 1.2
    assert np.all(np.abs(eyes_px_T2[0] - [128, 95]) < 25), "Collins' eyes are there"
    masks = list(clip.masks())
    assert not masks[0].any()
    assert 0.1 < masks[4].mean() < 0.4
    nose_x, nose_y = clip.landmarks_px_TL2[4, 30].round().astype(int)
    assert masks[4][nose_y, nose_x]


def test_prepare_copies_picture_and_sound_without_a_label(prepared: Path, footage: Path) -> None:
    clip = open_clip(prepared)
    with VideoReader(footage) as reader:
        original_THW3 = np.stack([frame.image_HW3 for frame in reader])
    difference = np.abs(clip.frames_THW3().astype(int) - original_THW3)
    assert difference.mean() < 3 and difference.max(axis=(0, 3)).mean() < 12
    audio = clip.audio(16_000)
    assert audio is not None and abs(len(audio.samples_NC) / 16_000 - 0.4) < 0.1
    assert not verify(clip.video_path).says_synthetic


def test_prepare_needs_consent(
    footage: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for consent in ([], ["--consent", ""], ["--consent", "  "]):
        assert main(["prepare", str(footage), str(tmp_path / "out"), *consent]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and "--consent" in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_prepare_keeps_synthetic_media_marked(tmp_path: Path) -> None:
    from lab.actors.actor import Actor
    from lab.actors.dataset import write_clip
    from lab.actors.identity import Identity
    from lab.actors.performance import perform

    actor = Actor(Identity.sample(7))
    video = write_clip(tmp_path / "actor", actor, perform(3, 0.2), 192) / "video.mp4"
    assert main(["prepare", str(video), str(tmp_path / "copy")]) == 0, "actors need no consent"
    clip = open_clip(tmp_path / "copy")
    assert verify(clip.video_path).manifest.state == "trusted"
    assert clip.kind == "footage" and clip.has_face_T.all()
    assert json.loads((tmp_path / "copy" / "clip.json").read_text(encoding="utf-8"))["synthetic"]


def test_prepare_without_any_face_says_so_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    video = tmp_path / "wall.mp4"
    with VideoWriter(video, 25) as writer:
        for _ in range(3):
            writer.write(np.full((64, 80, 3), 90, np.uint8))
    assert main(["prepare", str(video), str(tmp_path / "out"), *CONSENT]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: no face in") and "wall.mp4" in error
    assert not (tmp_path / "out").exists()


def test_prepare_refuses_what_it_cannot_read_or_write(
    footage: Path, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(footage.read_bytes()[:700])
    cases = [
        (tmp_path / "missing.mp4", tmp_path / "out", []),
        (broken, tmp_path / "out", []),
        (footage, prepared, []),
        (footage, broken, []),
        (footage, tmp_path / "out", ["--max-side", "3"]),
    ]
    for video, out, more in cases:
        assert main(["prepare", str(video), str(out), *CONSENT, *more]) == 2, (video, out)
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1, error
    assert not (tmp_path / "out").exists()


def test_prepare_shrinks_large_video(footage: Path, tmp_path: Path) -> None:
    out = tmp_path / "small"
    assert main(["prepare", str(footage), str(out), *CONSENT, "--max-side", "128"]) == 0
    clip = open_clip(out)
    assert clip.size_px == (128, 128) and clip.frames_THW3().shape[1:3] == (128, 128)
    assert np.nanmax(clip.landmarks_px_TL2) < 128


def test_tracker_stays_with_the_first_face_when_another_comes_near(
    photograph_HW3: np.ndarray,
) -> None:
    one_HW3 = np.concatenate([photograph_HW3, np.full_like(photograph_HW3, 120)], axis=1)
    two_HW3 = np.concatenate([photograph_HW3, photograph_HW3[:, ::-1]], axis=1)
    tracker = FaceTracker()
    tracker.landmarks(one_HW3)
    assert tracker.landmarks(two_HW3)[:, 0].mean() < 256
    assert np.isnan(tracker.landmarks(np.full((200, 200, 3), 120, np.uint8))).all()
    mirrored_HW3 = np.ascontiguousarray(one_HW3[:, ::-1])
    assert tracker.landmarks(mirrored_HW3)[:, 0].mean() > 256, "found again after it was lost"
