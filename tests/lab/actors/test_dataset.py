"""Clips, their split, and the cache of rendered faces."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lab.actors import cache
from lab.actors.actor import Actor
from lab.actors.cache import cached_clip_frames, cached_faces
from lab.actors.clips import (
    Clip,
    claim,
    find_clips,
    mask_from_landmarks,
    open_clip,
    write_description,
    write_track,
)
from lab.actors.dataset import (
    HELD_OUT_FROM,
    held_out_seeds,
    render_dataset,
    training_seeds,
    voice_of,
    write_clip,
)
from lab.actors.identity import Identity
from lab.actors.performance import Performance, perform, render_performance
from lab.errors import UserError
from lab.provenance import verify

SIZE = 64


@pytest.fixture(scope="module")
def actor() -> Actor:
    return Actor(Identity.sample(7))


@pytest.fixture(scope="module")
def performance() -> Performance:
    return perform(21, 0.32, 25)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, actor: Actor, performance: Performance) -> Clip:
    folder = tmp_path_factory.mktemp("Ein Ordner mit Ümlaut") / "clip"
    with (
        pytest.MonkeyPatch.context() as patch
    ):  # conftest's keys come too late for a module's fixture
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config"))
        return open_clip(write_clip(folder, actor, performance, SIZE))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_clip_holds_the_truth_of_its_performance(
    clip: Clip, actor: Actor, performance: Performance
) -> None:
    truth = list(render_performance(actor, performance, SIZE))
    assert (len(clip), clip.kind, clip.rate_fps, clip.size_px) == (8, "actor", 25.0, (SIZE, SIZE))
    assert (clip.identity_seed, clip.performance_seed) == (7, 21)
    np.testing.assert_array_equal(clip.landmarks_px_TL2, [f.landmarks_px_L2 for f in truth])
    np.testing.assert_array_equal(clip.visible_TL, [f.visible_L for f in truth])
    np.testing.assert_array_equal(clip.parts_THW(), [f.parts_HW for f in truth])
    np.testing.assert_array_equal(list(clip.masks()), [f.mask_HW for f in truth])
    np.testing.assert_array_equal(clip.expression_TE, performance.expression_TE)
    np.testing.assert_array_equal(clip.pose_deg_T3, performance.pose_deg_T3)
    np.testing.assert_array_equal(clip.box_px_T4[:, :2], clip.landmarks_px_TL2.min(1))
    assert clip.has_face_T.all()
    assert performance.speech is not None and clip.phonemes == performance.speech.phonemes


def test_clip_video_shows_the_frames_and_is_signed(
    clip: Clip, actor: Actor, performance: Performance
) -> None:
    frames_THW3 = clip.frames_THW3()
    truth = [f.image_HW3 for f in render_performance(actor, performance, SIZE)]
    assert frames_THW3.shape == (8, SIZE, SIZE, 3)
    assert np.median(np.abs(frames_THW3.astype(int) - np.array(truth))) <= 4
    seen = verify(clip.video_path)
    assert (seen.manifest.state, seen.label.state) == ("trusted", "present")
    assert seen.manifest.details["source_type"] == "digitalCreation"
    assert seen.manifest.details["what"] == "rendered actor 7"


def test_clip_has_sound_as_long_as_its_picture(clip: Clip, performance: Performance) -> None:
    audio = clip.audio(16_000)
    assert audio is not None and abs(len(audio.samples_NC) / audio.rate_hz - 0.32) < 0.15
    assert open_clip(clip.folder).phonemes[0][0] == "SIL"


def test_silent_clip_has_no_sound(tmp_path: Path, actor: Actor) -> None:
    clip = open_clip(write_clip(tmp_path / "a", actor, perform(1, 0.08, speech=False), SIZE))
    assert len(clip) == 2 and clip.audio() is None and clip.phonemes == ()


def test_clip_leaves_nothing_but_its_three_files(clip: Clip) -> None:
    assert sorted(p.name for p in clip.folder.iterdir()) == ["clip.json", "track.npz", "video.mp4"]


def test_interrupted_clip_is_unfinished_and_written_anew(tmp_path: Path, actor: Actor) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    folder, short = tmp_path / "clip", perform(2, 0.12)
    with pytest.raises(KeyboardInterrupt):
        write_clip(folder, actor, short, SIZE, on_frame=interrupt)
    assert list(folder.iterdir()) == []
    with pytest.raises(UserError, match="no finished clip"):
        open_clip(folder)
    leftover = folder / ".video.0123abcd.part.mp4"  # as after kill -9
    leftover.write_bytes(b"half")
    import os

    os.utime(leftover, (0, 0))
    assert len(open_clip(write_clip(folder, actor, short, SIZE))) == 3
    assert not leftover.exists()


@pytest.mark.parametrize(
    "damage", ["missing", "no json", "broken json", "cut npz", "no video", "short"]
)
def test_damaged_clip_is_refused_in_one_line(clip: Clip, tmp_path: Path, damage: str) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(clip.folder, folder)
    about, track = folder / "clip.json", folder / "track.npz"
    if damage == "missing":
        shutil.rmtree(folder)
    elif damage == "no json":
        about.unlink()
    elif damage == "broken json":
        about.write_text('{"version": 1,', encoding="utf-8")
    elif damage == "cut npz":
        track.write_bytes(track.read_bytes()[:500])
    elif damage == "no video":
        (folder / "video.mp4").unlink()
    else:
        text = json.loads(about.read_text(encoding="utf-8")) | {"frames": 3}
        about.write_text(json.dumps(text), encoding="utf-8")
    with pytest.raises(UserError) as error:
        open_clip(folder)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)


def test_find_clips_takes_one_clip_or_a_folder_of_clips(clip: Clip, tmp_path: Path) -> None:
    assert [c.folder for c in find_clips(clip.folder)] == [clip.folder]
    assert [c.folder for c in find_clips(clip.folder.parent)] == [clip.folder]
    with pytest.raises(UserError, match="no clip in"):
        find_clips(tmp_path)


def test_claim_keeps_away_from_what_is_not_ours(clip: Clip, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="not empty"):
        claim(tmp_path)
    with pytest.raises(UserError, match="holds a clip"):
        claim(clip.folder)
    with pytest.raises(UserError, match="cannot use"):
        claim(tmp_path / "notes.txt" / "below a file")


def test_dataset_resumes_and_refuses_to_mix(tmp_path: Path) -> None:
    done: list[tuple[int, bool]] = []

    def render(actors: int, seconds: float = 0.08) -> list[Path]:
        done.clear()
        return list(
            render_dataset(
                tmp_path, actors, seconds, size_px=SIZE, on_frame=lambda *what: done.append(what)
            )
        )

    (first,) = render(1)
    written_s = (first / "video.mp4").stat().st_mtime_ns
    assert done == [(1, True), (1, True)]
    again, second = render(2)
    assert again == first and second.name != first.name
    assert (first / "video.mp4").stat().st_mtime_ns == written_s, "finished clips are kept"
    assert done == [(2, False), (1, True), (1, True)]
    with pytest.raises(UserError, match="another clip"):
        render(1, seconds=0.12)


def test_training_and_held_out_identities_never_meet() -> None:
    for seed in range(5):
        training, held_out = training_seeds(seed, 200), held_out_seeds(seed, 200)
        assert max(training) < HELD_OUT_FROM <= min(held_out)
        assert len(set(training)) == len(set(held_out)) == 200
    assert held_out_seeds(1, 3) == held_out_seeds(1, 3) != held_out_seeds(2, 3)
    assert training_seeds(1, 3) == training_seeds(1, 5)[:3], "more actors keep the first ones"
    with pytest.raises(UserError):
        training_seeds(0, HELD_OUT_FROM + 1)


def test_actor_keeps_its_voice_and_men_speak_lower() -> None:
    identities = [Identity.sample(seed) for seed in range(60)]
    pitches_hz = np.array([voice_of(identity).pitch_hz for identity in identities])
    is_male = np.array([identity.masculinity > 0 for identity in identities])
    assert voice_of(identities[0]) == voice_of(Identity.sample(0))
    assert pitches_hz[is_male].max() < pitches_hz[~is_male].min()
    assert len({voice_of(identity).name for identity in identities}) >= 6


def test_mask_from_landmarks_covers_the_face(clip: Clip) -> None:
    for landmarks_px_L2, truth_HW in zip(clip.landmarks_px_TL2, clip.masks(), strict=True):
        mask_HW = mask_from_landmarks(landmarks_px_L2, SIZE, SIZE)
        overlap = (mask_HW & truth_HW).sum() / (mask_HW | truth_HW).sum()
        assert overlap > 0.7
    nowhere = np.full((68, 2), np.nan)
    assert mask_from_landmarks(nowhere, 40, 30).shape == (30, 40)
    assert not mask_from_landmarks(nowhere, 40, 30).any()


def test_footage_clip_has_masks_but_no_labels(clip: Clip, tmp_path: Path) -> None:
    (tmp_path / "video.mp4").write_bytes(clip.video_path.read_bytes())
    landmarks = clip.landmarks_px_TL2.copy()
    landmarks[3] = np.nan
    write_track(tmp_path, landmarks_px_TL2=landmarks, visible_TL=clip.visible_TL)
    write_description(
        tmp_path, kind="footage", rate_fps=25.0, frames=8, size_px=[SIZE, SIZE], consent="ja, Jörg"
    )
    footage = open_clip(tmp_path)
    assert footage.consent == "ja, Jörg" and footage.pose_deg_T3 is None
    assert footage.has_face_T.tolist() == [True] * 3 + [False] + [True] * 4
    masks = list(footage.masks())
    assert masks[0].any() and not masks[3].any()
    with pytest.raises(UserError, match="footage"):
        footage.parts_THW()


def test_cached_clip_is_rendered_once(own_cache: Path) -> None:
    rendered: list[int] = []

    def read() -> cache.FaceFrames:
        return cached_clip_frames(3, 4, 0.12, size_px=48, on_frame=lambda: rendered.append(1))

    first, second = read(), read()
    assert len(rendered) == len(first) == 3
    np.testing.assert_array_equal(first.image_NHW3, second.image_NHW3)
    np.testing.assert_array_equal(first.landmarks_px_NL2, second.landmarks_px_NL2)
    assert set(first.identity_N) == {3} and first.masks_NHW().any((1, 2)).all()
    (path,) = own_cache.rglob("*.npz")
    path.write_bytes(path.read_bytes()[:1000])
    third = read()
    assert len(rendered) == 6, "a damaged file is rendered again"
    np.testing.assert_array_equal(first.image_NHW3, third.image_NHW3)


def test_cache_tells_descriptions_apart(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = cached_clip_frames(3, 4, 0.04, size_px=48)
    other = cached_clip_frames(3, 5, 0.04, size_px=48)
    assert not np.array_equal(one.image_NHW3, other.image_NHW3)
    monkeypatch.setattr(cache, "render_code", lambda: "another renderer")
    cached_clip_frames(3, 4, 0.04, size_px=48)
    assert len(list(own_cache.rglob("*.npz"))) == 3


@pytest.mark.parametrize("held_out", [False, True])
def test_cached_faces_show_different_actors_at_different_moments(held_out: bool) -> None:
    faces = cached_faces(5, 2, frames_each=3, size_px=48, held_out=held_out)
    choose = held_out_seeds if held_out else training_seeds
    assert faces.identity_N.tolist() == np.repeat(choose(5, 2), 3).tolist()
    assert faces.image_NHW3.shape == (6, 48, 48, 3)
    assert len(np.unique(faces.pose_N5[:, 0])) == 6
    with pytest.raises(UserError):
        cached_faces(5, 0)


def test_two_processes_may_fill_the_cache_together(own_cache: Path) -> None:
    code = """
import sys, time, numpy as np
from lab.actors import cache
from lab.actors.pose import Pose
from lab.actors.renderer import Frame
image, points = np.arange(48, dtype=np.uint8).reshape(4, 4, 3), np.ones((68, 2), np.float32)
frame = Frame(image, points, points[:, 0] > 0, image[..., 0], image[..., 0], Pose(), points[:24, 0])
def frames():
    print("rendering", flush=True)
    sys.stdin.readline()
    for _ in range(50):
        yield 3, frame
print(len(cache._cached(frames, lambda: None, kind="clip", seed=1)))
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "rendering\n"
    for process in processes:  # both are at it; now both write
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60)[0] for process in processes] == ["50\n", "50\n"]
    (path,) = [p for p in own_cache.rglob("*") if p.is_file()]
    with np.load(path) as arrays:
        assert len(arrays["identity_N"]) == 50
