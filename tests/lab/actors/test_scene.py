"""Lights, backgrounds and cameras drawn from seeds."""

import dataclasses

import cv2
import numpy as np
import pytest

from lab.actors.scene import Background, Camera, Light, direction
from lab.errors import UserError


def test_direction_points_where_its_angles_say() -> None:
    assert np.allclose(direction(0, 0), [0, 0, 1]), "azimuth 0 is behind the camera"
    assert np.allclose(direction(90, 0), [1, 0, 0], atol=1e-6), "+ is to the right of the image"
    assert np.allclose(direction(0, 90), [0, 1, 0], atol=1e-6), "+ is above"
    assert np.isclose(np.linalg.norm(direction(37, -21)), 1)


@pytest.mark.parametrize("kind", [Light, Background, Camera])
def test_sample_depends_on_the_seed_alone(kind: type) -> None:
    assert kind.sample(5) == kind.sample(5)
    assert kind.sample(5) != kind.sample(6)
    assert hash(kind.sample(5)) == hash(kind.sample(5))


def test_sampled_lights_stay_in_their_ranges() -> None:
    lights = [Light.sample(seed) for seed in range(300)]
    azimuth = np.array([light.key_azimuth_deg for light in lights])
    elevation = np.array([light.key_elevation_deg for light in lights])
    assert -45 <= azimuth.min() < -40
    assert 40 < azimuth.max() <= 45
    assert elevation.min() >= 5
    assert elevation.max() <= 48
    assert all(np.sign(x.fill_azimuth_deg) == -np.sign(x.key_azimuth_deg) for x in lights)


def test_sampled_backgrounds_are_of_every_kind() -> None:
    assert {Background.sample(seed).kind for seed in range(200)} == set(Background.KINDS)


@pytest.mark.parametrize("kind", Background.KINDS)
def test_background_is_a_display_image_with_something_in_it(kind: str) -> None:
    image = Background(kind, 4).image(96)
    assert image.shape == (96, 96, 3)
    assert image.dtype == np.float32
    assert image.min() >= 0
    assert image.max() <= 1
    assert image.std() > 0.01
    assert np.abs(image - Background(kind, 5).image(96)).mean() > 0.01


@pytest.mark.parametrize("kind", Background.KINDS)
def test_background_shows_the_same_place_at_every_size(kind: str) -> None:
    small, large = Background(kind, 9).image(64), Background(kind, 9).image(320)
    shrunk = cv2.resize(large, (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(small - shrunk).mean() < 0.02


def test_background_image_is_shared_and_cannot_be_spoilt() -> None:
    image = Background("room", 1).image(64)
    with pytest.raises(ValueError, match="read-only"):
        image[0, 0] = 0
    assert Background("room", 1).image(64) is image


def test_backgrounds_hold_no_faces() -> None:
    from lab import faces

    for seed in range(18):
        image = (Background.sample(seed).image(192) * 255).astype(np.uint8)
        assert not faces.detect_hog(image, 1), f"dlib sees a face in background {seed}"


def test_background_of_unknown_kind_is_refused() -> None:
    with pytest.raises(UserError, match="no background 'moon'; choose from studio"):
        Background("moon")


@pytest.mark.parametrize("change", [{"distance_cm": 10}, {"field_cm": 0}, {"noise_levels": -1}])
def test_camera_refuses_what_it_cannot_be(change: dict[str, float]) -> None:
    with pytest.raises(UserError, match="camera at"):
        dataclasses.replace(Camera(), **change)
