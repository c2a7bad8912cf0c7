"""The recipe of phase 1's embedding: its augmentation, its figures, and that it runs through."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from lab import checkpoint, course, faces
from lab.actors.cache import FaceFrames
from lab.recipes import phase1_embedding as recipe


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def noise_of(value: float, mirrored: bool):
    """Noise that is `value` everywhere but in the column that decides on mirroring."""

    def noise(seeds, count: int) -> torch.Tensor:
        rows = torch.full((len(seeds), count), value)
        rows[:, 2] = -1.0 if mirrored else 1.0
        return rows

    return noise


@pytest.mark.parametrize("mirrored", [False, True])
def test_unshaken_crop_is_the_middle_of_the_stored_one(monkeypatch, mirrored: bool) -> None:
    monkeypatch.setattr(recipe, "normal_noise", noise_of(0.0, mirrored))
    stored = torch.randint(1, 255, (3, 3, 80, 80), dtype=torch.uint8)
    crops, label = recipe.shaken_batch(stored, torch.tensor([5, 6, 7]), [2, 0], [1, 2])
    expected = stored[[2, 0], :, 8:72, 8:72].float() / 255
    expected = expected.flip(-1) if mirrored else expected
    torch.testing.assert_close(crops, expected, atol=1e-3, rtol=0)
    assert label.tolist() == [7, 5]


def test_shaking_depends_on_the_seed_alone_and_stays_in_range() -> None:
    stored = torch.randint(0, 256, (4, 3, 80, 80), dtype=torch.uint8)
    label = torch.arange(4)
    both, _ = recipe.shaken_batch(stored, label, [1, 1], [10, 11])
    again, _ = recipe.shaken_batch(stored, label, [3, 1], [9, 10])
    torch.testing.assert_close(both[0], again[1])
    assert (both[0] - both[1]).abs().mean() > 0.02
    assert both.shape == (2, 3, 64, 64) and both.min() >= 0 and both.max() <= 1


def test_distances_of_known_points() -> None:
    points = np.array([[0.0, 0], [3, 4], [0, 1]])
    same, different = recipe.distances(points, np.array([7, 7, 9]))
    assert_allclose(same, [5])
    assert_allclose(sorted(different), [1, np.sqrt(18)])


def test_auc_and_eer_of_known_distances() -> None:
    assert recipe.auc_and_eer(np.array([1.0, 2]), np.array([3.0, 4])) == (1.0, 0.0)
    # Of the four pairs (same, different), three are in order.
    auc, eer = recipe.auc_and_eer(np.array([1.0, 3]), np.array([2.0, 4]))
    assert_allclose([auc, eer], [0.75, 0.5])


def test_crop_of_any_size_has_the_scale_of_a_64_pixel_crop() -> None:
    encoder = course.load("phase1_face_swap/face_encoder", "solution")
    frame = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    points = encoder.template_points("full", 64) + 10.0
    small = recipe.cut_out(encoder, frame, points, 64)
    large = recipe.cut_out(encoder, frame, points, 80)
    assert (small == frame[10:74, 10:74]).all() and (large == frame[2:82, 2:82]).all()


def test_recipe_runs_through_and_writes_weights_with_a_card(monkeypatch, tmp_path: Path) -> None:
    from skimage import data

    photo = data.astronaut()[:256, 96:352].copy()
    points = faces.landmarks_of(photo, faces.detect_hog(photo)[0])

    def few_frames(seed, identities, *, frames_each, size_px, held_out=False, on_frame=print):
        """Each "identity" is the photograph in other colours."""
        rng = np.random.default_rng(seed + held_out)
        gains = rng.uniform(0.5, 1.0, (identities, 1, 1, 3)).repeat(frames_each, axis=0)
        images = (photo * gains).astype(np.uint8)
        count = len(images)
        empty = np.zeros((count, 0))
        where = np.repeat(points[None], count, axis=0)
        who = np.arange(identities).repeat(frames_each)
        return FaceFrames(images, where, empty, empty, empty, empty, who)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(recipe, "cached_faces", few_frames)
    small = recipe.Embedding(
        identities=3,
        frames_each=4,
        held_out=4,
        held_out_each=2,
        epochs=1,
        batch=6,
        width=8,
        size=16,
    )
    path = small.train(tmp_path / "out")
    assert path == tmp_path / "out" / "phase1-embedding.pt"
    card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert card["held_out"]["frames"] == 8 and 0 <= card["held_out"]["auc"] <= 1
    stored = checkpoint.load_reference("phase1-embedding", folder=tmp_path / "out")
    encoder = course.load("phase1_face_swap/face_encoder", "solution")
    net = encoder.EmbeddingNet(**stored.config)
    net.load_state_dict(stored.state["model"])
    assert net.eval()(torch.rand(1, 3, 64, 64)).isfinite().all()
