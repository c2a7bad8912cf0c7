"""The autoencoder: augmentation, shapes, what the losses measure, and that a swap can be learned."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from lab import course, grid, training

ae = course.load("phase1_face_swap/autoencoder", "solution")
TINY = ae.Config(64, (8, 12, 16), 16, (16, 12, 8, 8))


@pytest.fixture(autouse=True)
def torch_alone() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def ramp(size: int) -> Tensor:
    """An image whose red is x and green is y, from 0 to 1 between pixel centres; (1, 4, S, S)."""
    xy = (grid.identity_grid(size, size) + 1) / 2
    return torch.stack([xy[..., 0], xy[..., 1], xy[..., 0], torch.ones(size, size)])[None]


@pytest.mark.parametrize(("wide", "size"), [(144, 128), (36, 32), (32, 32)])
def test_similarity_grid_of_no_noise_is_the_middle(wide: int, size: int) -> None:
    cells = ae.similarity_grid(torch.zeros(1, 4), size, (wide - 1) / (size - 1))
    cut = grid.sample(ramp(wide), cells)
    border = (wide - size) // 2
    assert_close(cut, ramp(wide)[:, :, border : wide - border, border : wide - border])


def test_similarity_grid_scales_turns_and_shifts_each_on_its_own() -> None:
    base = ae.similarity_grid(torch.zeros(1, 4), 9, 1.0)[0]
    scaled, turned, right, down = ae.similarity_grid(
        torch.tensor([[0, 3, 0, 0], [3, 0, 0, 0], [0, 0, 3, 0], [0, 0, 0, 3]]).float(), 9, 1.0
    )
    ratio = (scaled[0, 0] / base[0, 0]).mean()
    assert 1.01 < ratio < 1.2
    assert_close(scaled, base * ratio)
    assert_close(
        turned.norm(dim=-1), base.norm(dim=-1), msg=lambda m: f"{m}\nA turn keeps lengths."
    )
    corner = turned[0, -1]  # the top right corner, x = 1, y = -1
    angle = math.degrees(math.atan2(corner[1], corner[0])) + 45
    assert 2 < abs(angle) < 10
    assert_close((right - base)[..., 1], torch.zeros(9, 9))
    assert_close((down - base)[..., 0], torch.zeros(9, 9))
    assert (right - base)[..., 0].std() < 1e-6 and (right - base)[0, 0, 0] > 0.01
    assert_close((right - base)[..., 0], (down - base)[..., 1])


def test_warp_grid_moves_the_corner_points_by_their_own_noise() -> None:
    noise = torch.zeros(2, 2, 5, 5)
    noise[1, 0, 0, 4] = 2.0  # x of the top right point, second sample only
    flat = grid.identity_grid(17, 33)[None].repeat(2, 1, 1, 1)
    bent = ae.warp_grid(flat, noise, strength=0.1)
    assert_close(bent[0], flat[0])
    shift = bent[1] - flat[1]
    assert_close(shift[0, -1], torch.tensor([0.2, 0.0]), msg=lambda m: f"{m}\nAre x and y swapped?")
    assert_close(shift[..., 1], torch.zeros(17, 33))
    assert shift[-1, 0].abs().max() < 1e-5, "far from the moved point nothing moves"


@pytest.mark.parametrize("strength", [0.02, 0.08])
def test_warp_grid_is_as_strong_as_asked_and_smooth(strength: float) -> None:
    noise = torch.randn(200, 2, 5, 5)
    flat = grid.identity_grid(33, 33)[None].expand(200, -1, -1, -1)
    shift = ae.warp_grid(flat, noise, strength) - flat
    assert float(shift[:, ::8, ::8].std()) == pytest.approx(strength, rel=0.05)
    step = (shift[:, :, 1:] - shift[:, :, :-1]).abs().max()
    assert step < strength, "neighbouring pixels move almost alike"


def test_light_gain_of_no_noise_is_one_and_brighter_as_likely_as_darker() -> None:
    assert_close(ae.light_gain(torch.zeros(2, 4)), torch.ones(2, 3, 1, 1))
    noise = torch.randn(4000, 4)
    logs = ae.light_gain(noise).log()
    assert abs(float(logs.mean())) < 0.01
    assert float(logs.mean(1).std()) == pytest.approx(0.1, rel=0.1), "exposure"
    assert_close(ae.light_gain(-noise).log(), -logs)


def crops(count: int, size: int = 72) -> Tensor:
    return torch.randint(0, 256, (count, 4, size, size), dtype=torch.uint8)


def test_augment_without_noise_cuts_out_the_middle_unchanged() -> None:
    batch = crops(2)
    before = batch.clone()
    warped, face, mask = ae.augment(batch, torch.zeros(2, ae.NOISE), 64)
    middle = batch[:, :, 4:68, 4:68].float() / 255
    assert_close(face, middle[:, :3], atol=1e-5, rtol=0)
    assert_close(mask, middle[:, 3:], atol=1e-5, rtol=0)
    assert_close(warped, face)
    assert torch.equal(batch, before), "the crops were changed"


def test_augment_warps_what_the_encoder_sees_and_not_what_it_shall_give() -> None:
    smooth = (ramp(72) * 255).round().to(torch.uint8).repeat(2, 1, 1, 1)
    noise = torch.zeros(2, ae.NOISE)
    noise[:, 4:54] = torch.randn(2, 50)
    warped, face, _ = ae.augment(smooth, noise, 64)
    straight = ae.augment(smooth, torch.zeros(2, ae.NOISE), 64)[1]
    assert_close(face, straight)
    assert (warped - straight).abs().max() > 0.01


def test_augment_gives_both_the_same_light() -> None:
    grey = torch.full((1, 4, 72, 72), 100, dtype=torch.uint8)
    noise = torch.zeros(1, ae.NOISE)
    noise[:, -4:] = torch.tensor([2.0, 1.0, 0.0, -1.0])
    warped, face, mask = ae.augment(grey, noise, 64)
    assert_close(warped, face)
    assert face[0, 0].mean() > face[0, 1].mean() > face[0, 2].mean() > 100 / 255
    assert_close(mask, torch.full_like(mask, 100 / 255), msg=lambda m: f"{m}\nA mask has no light.")


def test_augment_of_a_sample_ignores_its_neighbours() -> None:
    batch, noise = crops(3), torch.randn(3, ae.NOISE)
    together = ae.augment(batch, noise, 64)
    alone = ae.augment(batch[1:2], noise[1:2], 64)
    for one, many in zip(alone, together, strict=True):
        assert_close(one, many[1:2], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["quick", "standard", "narrow"])
def test_presets_build_and_keep_shapes(name: str) -> None:
    config = ae.PRESETS[name]
    model = ae.FaceSwapAutoencoder(config)
    faces = torch.rand(1, 3, config.size_px, config.size_px)
    with torch.no_grad():
        rgb, mask = model.swap(faces)
    assert rgb.shape == faces.shape and mask.shape == (1, 1, config.size_px, config.size_px)
    assert float(rgb.min()) > 0 and float(rgb.max()) < 1
    assert config.size_px == {"quick": 64, "standard": 128, "narrow": 128}[name]


def test_narrow_preset_fits_into_five_megabytes_in_half_precision() -> None:
    model = ae.FaceSwapAutoencoder(ae.PRESETS["narrow"])
    assert sum(p.numel() for p in model.parameters()) <= 2.5e6


@pytest.mark.parametrize("broken", [{"size_px": 96}, {"code": 16, "decoder_channels": (8, 8)}])
def test_config_rejects_shapes_that_do_not_fit(broken: dict) -> None:
    with pytest.raises(ValueError, match="expected size_px"):
        replace(TINY, **broken)


def test_swap_is_the_targets_code_in_the_sources_decoder() -> None:
    model = ae.FaceSwapAutoencoder(TINY, torch.rand(2, 3) / 2 + 0.25).eval()
    faces = torch.rand(2, 3, 64, 64)
    code = model.encode(faces, ae.TARGET)
    (face, source_mask), (_, target_mask) = (model.decode(code, w) for w in (ae.SOURCE, ae.TARGET))
    got_face, got_mask = model.swap(faces)
    assert_close(got_face, face)
    assert_close(got_mask, source_mask * target_mask, msg=lambda m: f"{m}\nBoth must show face.")
    rebuilt_source, rebuilt_target = model(faces, faces)
    assert not torch.allclose(rebuilt_source[0], rebuilt_target[0]), "two people, two decoders"


def test_swap_rejects_crops_of_another_size() -> None:
    with pytest.raises(ValueError, match=r"expected crops .*\(1, 3, 32, 32\)"):
        ae.FaceSwapAutoencoder(TINY).swap(torch.zeros(1, 3, 32, 32))


def test_code_is_blind_to_skin_colour_and_sees_light() -> None:
    colours = torch.tensor([[0.8, 0.6, 0.5], [0.4, 0.3, 0.2]])
    model = ae.FaceSwapAutoencoder(TINY, colours).eval()
    light = torch.rand(2, 1, 64, 64) * 0.6 + 0.3  # the same light falls on both people
    fair, dark = (light * colours[who].view(1, 3, 1, 1) for who in (0, 1))
    assert_close(model.encode(fair, ae.SOURCE), model.encode(dark, ae.TARGET))
    assert not torch.allclose(model.encode(fair, ae.SOURCE), model.encode(0.8 * fair, ae.SOURCE))


def test_start_keeps_the_signals_size() -> None:
    model = ae.FaceSwapAutoencoder(ae.PRESETS["narrow"])
    with torch.no_grad():
        code = model.encode(torch.rand(8, 3, 128, 128), ae.SOURCE)
        face, _ = model.decode(torch.randn(8, 128), ae.SOURCE)
    assert 0.1 < float(code.std(0).mean()) < 10, "codes of different faces should differ"
    assert float(face.std(0).mean()) > 0.02, "faces of different codes should differ"


def test_gradients_reach_the_shared_encoder_and_only_the_own_decoder() -> None:
    model = ae.FaceSwapAutoencoder(TINY)
    face, mask = model.decode(model.encode(torch.rand(2, 3, 64, 64), ae.SOURCE), ae.SOURCE)
    (face.sum() + mask.sum()).backward()
    reached = {name: p.grad is not None for name, p in model.named_parameters()}
    assert all(reached[name] for name in reached if not name.startswith("decoders.1"))
    assert not any(reached[name] for name in reached if name.startswith("decoders.1"))


def test_model_comes_back_from_its_state_and_settings() -> None:
    model = ae.FaceSwapAutoencoder(TINY, torch.rand(2, 3)).eval()
    state = {"model": ae.FaceSwapAutoencoder(TINY).state_dict(), "ema": model.state_dict()}
    again = ae.FaceSwapAutoencoder.from_checkpoint(state, {"model": model.settings()})
    faces = torch.rand(1, 3, 64, 64)
    assert_close(again.swap(faces)[0], model.swap(faces)[0])
    assert again.config == TINY and not again.training


def test_mean_colour_counts_pixels_of_the_face_only() -> None:
    batch = torch.zeros(70, 4, 4, 4, dtype=torch.uint8)
    batch[:, 0], batch[:, 1], batch[:, 2] = 51, 102, 204
    batch[:, :3, 2:] = 255  # background
    batch[:, 3, :2] = 255  # mask
    assert_close(ae.mean_colour(batch), torch.tensor([0.2, 0.4, 0.8]))
    batch[:, 3] = 0
    with pytest.raises(ValueError, match="empty masks"):
        ae.mean_colour(batch)


def test_mean_colour_is_never_zero() -> None:
    black = torch.zeros(2, 4, 4, 4, dtype=torch.uint8)
    black[:, 3] = 255
    assert float(ae.mean_colour(black).min()) > 0


def test_loss_weight_is_one_more_inside_and_falls_off() -> None:
    mask = torch.zeros(2, 1, 64, 48)
    mask[:, :, 16:48, 16:32] = 1
    weight = ae.loss_weight(mask, outside=0.1)
    assert weight.shape == mask.shape
    assert_close(weight[:, :, 20:44, 18:30], torch.full((2, 1, 24, 12), 1.1))
    assert_close(weight[:, :, :4, :4], torch.full((2, 1, 4, 4), 0.1))
    assert float(weight[0, 0, 13, 24]) > 0.2, "a rim round the face counts too"


def test_weighted_l1_of_hand_made_images() -> None:
    a, b = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    b[0, :, 0, 0] = 0.6
    weight = torch.tensor([[[[3.0, 1.0], [1.0, 1.0]]]])
    assert float(ae.weighted_l1(a, b, weight)) == pytest.approx(0.3)
    assert float(ae.weighted_l1(a, b, 7 * weight)) == pytest.approx(0.3)


@pytest.mark.parametrize(("window", "stride"), [(7, 1), (7, 2), (5, 3)])
def test_box_mean_equals_unfolded_windows(window: int, stride: int) -> None:
    x = torch.rand(2, 3, 17, 22)
    windows = x.unfold(2, window, stride).unfold(3, window, stride)
    assert_close(ae.box_mean(x, window, stride), windows.mean((-1, -2)))


@pytest.mark.parametrize("window", [7, 5])
def test_ssim_map_agrees_with_scikit_image(window: int) -> None:
    from skimage.metrics import structural_similarity

    a = torch.rand(1, 3, 24, 30, dtype=torch.float64)
    b = (a + 0.2 * torch.randn_like(a)).clamp(0, 1)
    expected = structural_similarity(
        *(x[0].permute(1, 2, 0).numpy() for x in (a, b)),
        channel_axis=-1,
        data_range=1,
        win_size=window,
        full=True,
    )[1]
    half = window // 2
    got = ae.ssim_map(a, b, window)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(got, expected[half:-half, half:-half], atol=1e-7)


def test_ssim_map_with_a_stride_is_every_second_window() -> None:
    a, b = torch.rand(2, 1, 20, 25), torch.rand(2, 1, 20, 25)
    assert_close(ae.ssim_map(a, b, stride=2), ae.ssim_map(a, b)[:, :, ::2, ::2])


def test_weighted_dssim_is_zero_for_equal_images_and_looks_where_the_weight_is() -> None:
    a = torch.rand(1, 3, 33, 40)
    b = a.clone()
    b[:, :, :, 20:] = torch.rand(1, 3, 33, 20)
    left, right = torch.zeros(1, 1, 33, 40), torch.zeros(1, 1, 33, 40)
    left[..., :17], right[..., 23:] = 1, 1
    assert float(ae.weighted_dssim(a, a, left)) == pytest.approx(0, abs=1e-6)
    assert float(ae.weighted_dssim(a, b, left)) == pytest.approx(0, abs=1e-6)
    assert 0.2 < float(ae.weighted_dssim(a, b, right)) < 0.8


def test_reconstruction_losses_have_useful_gradients() -> None:
    face = torch.rand(2, 3, 32, 32, requires_grad=True)
    mask = torch.rand(2, 1, 32, 32, requires_grad=True)
    true_face, true_mask = torch.rand(2, 3, 32, 32), torch.zeros(2, 1, 32, 32)
    true_mask[:, :, 8:24, 8:24] = 1
    losses = ae.reconstruction_losses(face, mask, true_face, true_mask)
    assert set(losses) == {"loss", "l1", "dssim", "mask"}
    losses["loss"].backward()
    assert (face.grad.abs().sum((0, 1)) > 0).float().mean() > 0.99
    with torch.no_grad():
        better = ae.reconstruction_losses(
            face - 0.1 * face.grad.sign(), mask - 0.1 * mask.grad.sign(), true_face, true_mask
        )
    assert better["loss"] < losses["loss"]


def blob_faces(count: int, colour: tuple, seed: int) -> tuple[Tensor, Tensor]:
    """A toy person: a disc of one colour that moves about and is lit; (N, 4, 72, 72) and its x."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:72, 0:72]
    images, places = [], rng.uniform(26, 46, count)
    for place, light in zip(places, rng.uniform(0.6, 1.0, count), strict=True):
        disc = ((x - place) ** 2 + (y - 36) ** 2 < 14**2)[None]
        images.append(np.concatenate([disc * light * np.array(colour)[:, None, None], disc]))
    batch = torch.from_numpy(np.stack(images) * 255).to(torch.uint8)
    return batch, torch.from_numpy(places).float()


def test_swap_learns_to_keep_pose_and_light_and_to_change_the_person() -> None:
    sets = [blob_faces(40, (0.9, 0.5, 0.3), 1)[0], blob_faces(40, (0.3, 0.4, 0.9), 2)[0]]
    model = ae.FaceSwapAutoencoder(TINY, torch.stack([ae.mean_colour(s) for s in sets]))
    optimizer = torch.optim.Adam(model.parameters(), 4e-3)
    for step in range(100):
        optimizer.param_groups[0]["lr"] = 4e-3 * min(1, (step + 1) / 20)
        noise = training.normal_noise(range(100 * step, 100 * step + 16), ae.NOISE)
        batch = [
            ae.augment(s[torch.randperm(40)[:8]], n, 64)
            for s, n in zip(sets, noise.chunk(2), strict=True)
        ]
        outputs = model(batch[0][0], batch[1][0])
        loss = sum(
            ae.reconstruction_losses(*out, *true[1:])["loss"]
            for out, true in zip(outputs, batch, strict=True)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    new, places = blob_faces(6, (0.3, 0.4, 0.9), 3)
    face = ae.augment(new, torch.zeros(6, ae.NOISE), 64)[1]
    with torch.no_grad():
        rgb, mask = model.swap(face)
    inside = mask > 0.5
    colour = (rgb * inside).sum((2, 3)) / inside.sum((2, 3))
    light = face.amax((2, 3))[:, 2] / 0.9
    assert_close(colour[:, 0], 0.9 * light, atol=0.2, rtol=0)
    assert bool((colour[:, 0] > colour[:, 2] + 0.3).all()), "the target's colour came through"
    middle = (inside * torch.arange(64.0)).sum((1, 2, 3)) / inside.sum((1, 2, 3))
    assert_close(middle, places - 4, atol=2.5, rtol=0)
