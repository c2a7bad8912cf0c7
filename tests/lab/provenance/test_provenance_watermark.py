"""The invisible watermark: quality, robustness, false alarms."""

import math
from pathlib import Path

import numpy as np
import pytest

from lab import media
from lab.metrics import psnr
from lab.provenance import bch, tile, watermark

PAYLOAD = 0xC0FFEE42


def canvases() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    ramp = np.linspace(20, 230, 256).astype(np.uint8)
    return {
        "gray": np.full((256, 256, 3), 128, np.uint8),
        "black": np.zeros((256, 256, 3), np.uint8),
        "white": np.full((256, 256, 3), 255, np.uint8),
        "ramp": np.broadcast_to(ramp[None, :, None], (256, 256, 3)).copy(),
        "noise": rng.integers(0, 256, (256, 256, 3), np.uint8),
    }


@pytest.mark.parametrize("moving", [False, True])
def test_embed_keeps_42_db_on_any_ground(portrait, moving: bool) -> None:
    for name, frame in {**canvases(), "portrait": portrait(1)}.items():
        before = frame.copy()
        marked = watermark.embed(frame, PAYLOAD, moving=moving)
        np.testing.assert_array_equal(frame, before, err_msg="the input was changed")
        assert marked.shape == frame.shape and marked.dtype == np.uint8
        assert psnr(frame, marked) >= 42, name


def test_embed_stays_within_five_levels_on_flat_ground() -> None:
    flat = canvases()["gray"]
    change = watermark.embed(flat, PAYLOAD).astype(int) - flat
    assert 0.8 < change.std() < 1.3
    assert np.abs(change).max() <= 5


def test_embed_changes_all_channels_alike(portrait) -> None:
    frame = np.clip(portrait(2), 10, 245)
    change = watermark.embed(frame, PAYLOAD).astype(int) - frame
    assert (change == change[..., :1]).all(), "the mark is in the luma, not in the colour"


def test_mark_stands_still_while_the_picture_moves(portrait) -> None:
    """The sign of the change is the same in both frames: no flicker, only its strength varies."""
    changes = [
        watermark.embed(frame, PAYLOAD, moving=True).astype(float)[..., 0] - frame[..., 0]
        for frame in (portrait(3), portrait(3, shift=6))
    ]
    assert np.corrcoef(changes[0].ravel(), changes[1].ravel())[0, 1] > 0.95


def test_key_is_the_one_that_published_files_carry() -> None:
    """A changed key would make every earlier file unreadable."""
    key = tile.key()
    assert len(key.row) == 717
    assert key.bit[:6].tolist() == [42, 22, 23, 57, 40, 27]
    assert np.angle(key.phase[:3]) == pytest.approx([-2.2352, -1.6146, -0.0951], abs=1e-3)


@pytest.mark.parametrize(
    "name",
    [
        "jpeg 70",
        "0.75x",
        "0.5x",
        "1.6x",
        "crop top left",
        "crop right",
        "crop all round",
        "crop and stretch",
        "mirror",
    ],
)
def test_payload_survives(portrait, attack, name: str) -> None:
    for seed in range(3):
        payload = PAYLOAD + seed
        attacked = attack(name, watermark.embed(portrait(seed), payload))
        assert watermark.detect([attacked]).payload == payload


@pytest.mark.parametrize("size", [(128, 128), (320, 180), (360, 640), (1280, 720)])
def test_payload_survives_jpeg_at_other_sizes(portrait, attack, size: tuple[int, int]) -> None:
    marked = watermark.embed(portrait(4, *size), PAYLOAD)
    assert watermark.detect([attack("jpeg 80", marked)]).payload == PAYLOAD


def test_payload_survives_h264_at_crf_23_and_a_crop(portrait, tmp_path: Path) -> None:
    with media.VideoWriter(tmp_path / "a.mp4", 25, crf=23) as writer:
        for t in range(16):
            frame = portrait(5, shift=round(6 * math.sin(t / 3)))
            marked = watermark.embed(frame, PAYLOAD, moving=True)
            writer.write(np.ascontiguousarray(marked[10:240, 10:240]))
    frames = media.read_frames(tmp_path / "a.mp4")
    found = watermark.detect(iter(frames))
    assert found.payload == PAYLOAD
    assert found.place.vertical == pytest.approx(0.9, abs=0.01)


def test_detect_says_mirrored(portrait, attack) -> None:
    marked = watermark.embed(portrait(6), PAYLOAD)
    assert not watermark.detect([marked]).place.mirrored
    assert watermark.detect([attack("mirror", marked)]).place.mirrored


def test_detect_finds_nothing_in_unmarked_pictures(portrait) -> None:
    frames = [*canvases().values(), *(portrait(seed) for seed in range(8))]
    for frame in frames:
        found = watermark.detect([frame])
        assert not found.present and found.payload is None
        assert found.score < found.needed


def test_detect_never_tells_a_wrong_payload_as_the_mark_fades(portrait) -> None:
    """Between "read" and "absent" lies "present, too faint to read"; never another payload."""
    frame = portrait(7).astype(float)
    told = []
    for seed in range(3):
        payload = PAYLOAD + seed
        marked = watermark.embed(portrait(7), payload).astype(float)
        for strength in np.linspace(0.02, 0.4, 12):
            faint = np.rint(frame + strength * (marked - frame)).clip(0, 255).astype(np.uint8)
            told.append((watermark.detect([faint]).payload, payload))
    assert {found for found, _ in told} >= {None}, "the faintest must not be readable"
    assert all(found in (None, payload) for found, payload in told)


def test_scores_of_unrelated_words_have_unit_deviation() -> None:
    """What the false-alarm bound rests on: without a mark a score is a standard normal or less."""
    rng = np.random.default_rng(8)
    key = tile.key()
    scores = []
    for _ in range(20):
        evidence = rng.standard_normal((256, 256)).astype(np.float32)
        spectrum = watermark._spectra(evidence, [watermark.Place()])[0]
        deviation = float(watermark._deviation(spectrum))
        for payload in rng.integers(0, 1 << 32, 40):
            word = bch.encode(int(payload))
            mark = key.phase * (tile.BEACON + 1j * tile.DATA * key.sign * word[key.bit])
            scores.append(float((spectrum * mark.conj()).real.sum()) / deviation)
    assert abs(np.mean(scores)) < 0.15
    assert 0.85 < np.std(scores) < 1.15


def test_false_alarm_bound_is_the_stated_one_at_the_threshold(portrait) -> None:
    found = watermark.detect([portrait(9)])
    places = len(watermark._places()) * 3 * 128**2 * 25
    words_and_places = 32 * math.log(2) + math.log(places)
    at_threshold = words_and_places - found.needed**2 / 2
    assert at_threshold == pytest.approx(math.log(0.5e-7), abs=1e-6)


def test_embed_instead_of_an_earlier_mark_leaves_only_the_new_one(portrait, attack) -> None:
    once = watermark.embed(portrait(10), PAYLOAD)
    assert watermark.payload_here(once) == PAYLOAD
    assert watermark.payload_here(attack("0.5x", once)) == PAYLOAD
    assert watermark.payload_here(portrait(10)) is None
    twice = watermark.embed(once, 77, instead_of=PAYLOAD)
    assert watermark.detect([attack("jpeg 70", twice)]).payload == 77
    assert psnr(portrait(10), twice) > 41


def test_detect_refuses_no_frames_and_mixed_sizes(portrait) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        watermark.detect([])
    with pytest.raises(ValueError, match="one size"):
        watermark.detect([portrait(0), portrait(0, 320, 256)])
    with pytest.raises(ValueError, match="uint8 RGB"):
        watermark.detect([portrait(0).astype(np.float32)])
