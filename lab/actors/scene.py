"""What surrounds an actor: light, background and camera, each a small frozen value.

Everything is plain numbers, so that a scene can be stored, compared and sampled from a seed.
Display values are sRGB in [0, 1]; light is linear.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from lab.errors import UserError

RGB = tuple[float, float, float]


def direction(azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    """(3,) float32 unit vector towards a light.

    Azimuth 0 is behind the camera and + is to the right of the image; elevation + is above.
    """
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    return np.array(
        [
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
            math.cos(azimuth) * math.cos(elevation),
        ],
        np.float32,
    )


@dataclass(frozen=True)
class Light:
    """A key light with shadows, a fill light without, and the glow of sky and ground.

    Args:
        key_azimuth_deg, key_elevation_deg: where the key light stands, see `direction`.
        key_rgb: its linear irradiance; about (2, 2, 2) is a normal lamp.
        fill_azimuth_deg, fill_elevation_deg, fill_rgb: the same for the fill light.
        sky_rgb, ground_rgb: linear ambient light from above and from below.
        gloss: factor on highlights of the skin; 0 is powdered, 1.5 is sweaty.
        exposure_ev: stops added to what the camera meters; +1 doubles the light.
    """

    key_azimuth_deg: float = 28.0
    key_elevation_deg: float = 30.0
    key_rgb: RGB = (2.0, 1.92, 1.82)
    fill_azimuth_deg: float = -45.0
    fill_elevation_deg: float = 8.0
    fill_rgb: RGB = (0.34, 0.36, 0.40)
    sky_rgb: RGB = (0.55, 0.58, 0.62)
    ground_rgb: RGB = (0.26, 0.24, 0.22)
    gloss: float = 1.0
    exposure_ev: float = 0.0

    @classmethod
    def sample(cls, seed: int) -> "Light":
        """A plausible indoor or outdoor light: key within 45 degrees of the camera, 5-48 above."""
        rng = np.random.default_rng((seed, 0x11947))
        azimuth = rng.uniform(-45, 45)
        warmth = rng.uniform(-0.13, 0.15)
        key = rng.uniform(1.3, 2.3)
        fill = rng.uniform(0.2, 0.7)
        ambient = rng.uniform(0.45, 0.9)
        return cls(
            key_azimuth_deg=azimuth,
            key_elevation_deg=rng.uniform(5, 48),
            key_rgb=(key * (1 + warmth), key, key * (1 - warmth)),
            fill_azimuth_deg=-math.copysign(rng.uniform(20, 80), azimuth),
            fill_elevation_deg=rng.uniform(-10, 22),
            fill_rgb=(fill * (1 - warmth), fill, fill * (1 + warmth)),
            sky_rgb=(0.95 * ambient, ambient, 1.05 * ambient),
            ground_rgb=(0.45 * ambient, 0.42 * ambient, 0.39 * ambient),
            gloss=rng.uniform(0.6, 1.4),
            exposure_ev=rng.uniform(-0.25, 0.35),
        )


@dataclass(frozen=True)
class Camera:
    """A camera that looks along -z, and how its sensor behaves.

    Args:
        distance_cm: from the origin of the head (between the ears) to the lens; > 30.
        field_cm: height and width of what the image shows at the origin's depth.
        centre_x_cm, centre_y_cm: the point that appears in the middle of the image.
        noise_levels: standard deviation of sensor noise, in 8-bit levels; 0 is off.
        noise_seed: chooses the noise; give each frame of a video its own.
    """

    distance_cm: float = 110.0
    field_cm: float = 32.0
    centre_x_cm: float = 0.0
    centre_y_cm: float = -2.2
    noise_levels: float = 0.0
    noise_seed: int = 0

    def __post_init__(self) -> None:
        if not (self.distance_cm > 30 and self.field_cm > 0 and self.noise_levels >= 0):
            raise UserError(
                f"camera at {self.distance_cm} cm with a field of {self.field_cm} cm and noise "
                f"{self.noise_levels}: distance must be above 30, field above 0, noise at least 0"
            )

    @classmethod
    def sample(cls, seed: int) -> "Camera":
        """A camera at conversation distance, framed a little differently each time."""
        rng = np.random.default_rng((seed, 0xCA3E6A))
        return cls(
            distance_cm=rng.uniform(85, 150),
            field_cm=rng.uniform(30, 36),
            centre_x_cm=rng.uniform(-1.2, 1.2),
            centre_y_cm=rng.uniform(-3.0, -1.4),
        )


@dataclass(frozen=True)
class Background:
    """A blurred place behind the actor, painted from a seed.

    Args:
        kind: one of `Background.KINDS`.
        seed: chooses layout and colours.
    """

    kind: str = "studio"
    seed: int = 0

    KINDS = (
        "studio",
        "wall",
        "foliage",
        "lights",
        "room",
        "window",
        "shelves",
        "street",
        "curtain",
    )

    def __post_init__(self) -> None:
        if self.kind not in self.KINDS:
            raise UserError(f"no background '{self.kind}'; choose from {', '.join(self.KINDS)}")

    @classmethod
    def sample(cls, seed: int) -> "Background":
        """Any kind, with a layout of its own."""
        rng = np.random.default_rng((seed, 0xBAC6))
        return cls(cls.KINDS[rng.integers(len(cls.KINDS))], int(rng.integers(1 << 31)))

    def image(self, size_px: int) -> np.ndarray:
        """(size, size, 3) float32 display values; the same place at every size. Do not write to it."""
        return _painted(self, size_px)


# Backgrounds are painted at one size and resized: blurred, they lose nothing, and the same seed
# shows the same place at 64 and at 512 px.
_SIDE = 256


@functools.lru_cache(maxsize=64)
def _painted(background: Background, size_px: int) -> np.ndarray:
    rng = np.random.default_rng(background.seed)
    image = _PAINTERS[background.kind](rng)
    # Out of focus, by an amount that a portrait lens would give; then a trace of unevenness.
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(3.5, 8.0))
    image = image * (1 + 0.015 * _clouds(rng, 6, 3))[..., None]
    if size_px != _SIDE:
        shrink = size_px < _SIDE
        image = cv2.resize(
            image,
            (size_px, size_px),
            interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC,
        )
    image = np.clip(image, 0, 1).astype(np.float32)
    image.setflags(write=False)
    return image


def _clouds(rng: np.random.Generator, cells: int, octaves: int) -> np.ndarray:
    """(side, side) smooth noise of about unit variance, `cells` bumps across."""
    total = np.zeros((_SIDE, _SIDE), np.float32)
    gain = 1.0
    for _ in range(octaves):
        grid = rng.standard_normal((cells, cells)).astype(np.float32)
        total += gain * cv2.resize(grid, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
        gain, cells = gain * 0.5, cells * 2
    return total


def _tint(rng: np.random.Generator, low: float, high: float, colourful: float) -> np.ndarray:
    """(3,) a display colour: brightness in [low, high], hue random, `colourful` in [0, 1]."""
    colour = rng.uniform(low, high) + colourful * 0.5 * rng.uniform(-1, 1, 3)
    return np.clip(colour, 0.02, 0.98).astype(np.float32)


def _gradient(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """(side, side, 3) from one colour at the top to another at the bottom."""
    share = np.linspace(0, 1, _SIDE, dtype=np.float32)[:, None, None]
    return np.repeat(top * (1 - share) + bottom * share, _SIDE, axis=1)


def _rectangle(
    image: np.ndarray, left: float, top: float, right: float, bottom: float, colour
) -> None:
    """Fill a rectangle given in pixels, clipped to the image."""
    rows = slice(max(0, round(top)), max(0, round(bottom)))
    image[rows, max(0, round(left)) : max(0, round(right))] = colour


def _studio(rng: np.random.Generator) -> np.ndarray:
    """A paper backdrop with a pool of light."""
    base = _tint(rng, 0.2, 0.75, 0.25)
    y, x = np.mgrid[:_SIDE, :_SIDE].astype(np.float32) / _SIDE
    cx, cy = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.6)
    pool = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / rng.uniform(0.15, 0.5))
    return base * (0.62 + rng.uniform(0.2, 0.7) * pool)[..., None]


def _wall(rng: np.random.Generator) -> np.ndarray:
    """Plaster, boards or bricks, lit from one side."""
    image = _gradient(_tint(rng, 0.35, 0.85, 0.2), _tint(rng, 0.3, 0.7, 0.2))
    style = rng.integers(3)
    if style == 1:
        pitch = int(rng.integers(18, 44))
        for left in range(int(rng.integers(pitch)), _SIDE, pitch):
            image[:, left : left + 2] *= rng.uniform(0.6, 0.85)
    elif style == 2:
        height = int(rng.integers(12, 22))
        for k, top in enumerate(range(0, _SIDE, height)):
            for left in range(-height * (k % 2), _SIDE, 2 * height):
                _rectangle_scale(image, left, top, 2 * height, height, rng.uniform(0.8, 1.1))
            image[top : top + 2] *= 1.15
    image *= np.linspace(1 + rng.uniform(-0.3, 0.3), 1, _SIDE, dtype=np.float32)[None, :, None]
    return image * (1 + 0.05 * _clouds(rng, 12, 4))[..., None]


def _rectangle_scale(
    image: np.ndarray, left: int, top: int, width: int, height: int, factor: float
) -> None:
    """Brighten or darken a rectangle by a factor."""
    image[max(0, top) : top + height - 2, max(0, left) : max(0, left + width - 2)] *= factor


def _foliage(rng: np.random.Generator) -> np.ndarray:
    """Leaves in layers, with sky between them."""
    image = _gradient(_tint(rng, 0.45, 0.9, 0.1), _tint(rng, 0.08, 0.25, 0.1))
    greens = np.array(
        [[0.16, 0.26, 0.08], [0.30, 0.42, 0.14], [0.45, 0.55, 0.22], [0.10, 0.17, 0.07]]
    )
    autumn = rng.uniform(0, 0.35) * np.array([1.0, 0.1, -0.2])
    for k in range(220):
        colour = np.clip(greens[rng.integers(4)] * rng.uniform(0.6, 1.4) + autumn, 0.01, 1)
        centre = (int(rng.integers(_SIDE)), int(_SIDE * rng.beta(1.6, 1.2)))
        axes = (int(rng.integers(6, 26 - k // 16)), int(rng.integers(4, 12)))
        cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour.tolist(), -1)
    return image


def _lights(rng: np.random.Generator) -> np.ndarray:
    """An evening street far out of focus: discs of light on a dark ground."""
    image = _gradient(_tint(rng, 0.05, 0.2, 0.1), _tint(rng, 0.05, 0.25, 0.12))
    image += (0.04 * _clouds(rng, 5, 3))[..., None]
    hues = np.array(
        [[1.0, 0.75, 0.4], [1.0, 0.9, 0.75], [0.6, 0.75, 1.0], [1.0, 0.4, 0.3], [0.5, 0.9, 0.6]]
    )
    for _ in range(int(rng.integers(14, 40))):
        layer = np.zeros_like(image)
        centre = (int(rng.integers(_SIDE)), int(rng.normal(0.42, 0.22) * _SIDE))
        colour = hues[rng.integers(len(hues))] * rng.uniform(0.15, 0.6)
        cv2.circle(layer, centre, int(rng.integers(5, 22)), colour.tolist(), -1)
        image += layer
    return image


def _room(rng: np.random.Generator) -> np.ndarray:
    """A wall with pictures, perhaps a door and a lamp, above a darker sofa or table."""
    image = _gradient(_tint(rng, 0.4, 0.85, 0.18), _tint(rng, 0.35, 0.75, 0.18))
    for _ in range(int(rng.integers(1, 4))):
        left, top = rng.uniform(-20, 230), rng.uniform(0, 110)
        width, height = rng.uniform(25, 75), rng.uniform(25, 70)
        _rectangle(image, left, top, left + width, top + height, _tint(rng, 0.05, 0.5, 0.1))
        border = rng.uniform(2, 6)
        inner = (left + border, top + border, left + width - border, top + height - border)
        _rectangle(image, *inner, _tint(rng, 0.2, 0.85, 0.35))
    if rng.random() < 0.5:
        left = rng.choice([rng.uniform(-30, 40), rng.uniform(180, 240)])
        _rectangle(
            image,
            left,
            rng.uniform(10, 60),
            left + rng.uniform(50, 80),
            _SIDE,
            _tint(rng, 0.2, 0.9, 0.12),
        )
    if rng.random() < 0.5:
        lamp = np.zeros_like(image)
        centre = (int(rng.integers(_SIDE)), int(rng.uniform(20, 150)))
        cv2.circle(lamp, centre, int(rng.integers(14, 30)), (1.0, 0.85, 0.6), -1)
        image += lamp * 0.5 + cv2.GaussianBlur(lamp, (0, 0), 40) * 0.8
    _rectangle(image, 0, rng.uniform(170, 235), _SIDE, _SIDE, _tint(rng, 0.1, 0.5, 0.25))
    return image * (1 + 0.05 * _clouds(rng, 4, 3))[..., None]


def _window(rng: np.random.Generator) -> np.ndarray:
    """A bright window with bars beside a shaded wall."""
    image = _gradient(_tint(rng, 0.3, 0.6, 0.15), _tint(rng, 0.2, 0.5, 0.15))
    left, top = rng.uniform(-60, 150), rng.uniform(-30, 40)
    width, height = rng.uniform(90, 190), rng.uniform(120, 240)
    _rectangle(
        image, left - 7, top - 7, left + width + 7, top + height + 7, _tint(rng, 0.5, 0.9, 0.05)
    )
    view = _gradient(_tint(rng, 0.8, 0.97, 0.1), _tint(rng, 0.45, 0.8, 0.2))
    rows, columns = (
        slice(max(0, int(top)), int(top + height)),
        slice(max(0, int(left)), int(left + width)),
    )
    image[rows, columns] = view[rows, columns]
    for share in (1 / 3, 2 / 3) if width > 130 else (0.5,):
        x = left + width * share
        _rectangle(image, x - 3, top, x + 3, top + height, _tint(rng, 0.5, 0.9, 0.05))
    y = top + height * rng.uniform(0.3, 0.5)
    _rectangle(image, left, y - 3, left + width, y + 3, _tint(rng, 0.5, 0.9, 0.05))
    return image


def _shelves(rng: np.random.Generator) -> np.ndarray:
    """Rows of books."""
    image = _gradient(_tint(rng, 0.08, 0.3, 0.1), _tint(rng, 0.08, 0.3, 0.1))
    board, pitch = _tint(rng, 0.25, 0.7, 0.15), int(rng.integers(46, 80))
    for bottom in range(int(rng.integers(20, pitch)), _SIDE + pitch, pitch):
        left = float(rng.uniform(-10, 5))
        while left < _SIDE:
            width = rng.uniform(5, 16)
            if rng.random() < 0.9:
                height = pitch * rng.uniform(0.55, 0.88)
                _rectangle(
                    image,
                    left,
                    bottom - height,
                    left + width - 1,
                    bottom,
                    _tint(rng, 0.1, 0.75, 0.45),
                )
            left += width
        _rectangle(image, 0, bottom, _SIDE, bottom + 5, board)
    return image


def _street(rng: np.random.Generator) -> np.ndarray:
    """Houses under a sky."""
    image = _gradient(
        np.float32([0.55, 0.68, 0.85]) * rng.uniform(0.7, 1.1), _tint(rng, 0.7, 0.95, 0.06)
    )
    left = float(rng.uniform(-50, 0))
    ground = rng.uniform(170, 230)
    while left < _SIDE:
        width, top = rng.uniform(40, 110), rng.uniform(10, 120)
        _rectangle(image, left, top, left + width, ground, _tint(rng, 0.25, 0.7, 0.2))
        pane, step = _tint(rng, 0.1, 0.85, 0.1), rng.uniform(15, 26)
        for x in np.arange(left + 6, left + width - 8, step):
            for y in np.arange(top + 8, ground - 14, step * rng.uniform(1.0, 1.5)):
                _rectangle(image, x, y, x + 0.5 * step, y + 0.65 * step, pane)
        left += width
    _rectangle(image, 0, ground, _SIDE, _SIDE, _tint(rng, 0.25, 0.55, 0.08))
    return image


def _curtain(rng: np.random.Generator) -> np.ndarray:
    """Cloth in vertical folds."""
    x = np.linspace(0, 1, _SIDE, dtype=np.float32)[None, :]
    y = np.linspace(0, 1, _SIDE, dtype=np.float32)[:, None]
    bend = 0.02 * np.sin(3 * y + rng.uniform(0, 6)) * rng.uniform(-1, 1)
    folds = np.zeros((_SIDE, _SIDE), np.float32)
    for count in rng.uniform(4, 16, 3):
        folds += np.sin(2 * math.pi * count * (x + bend) + rng.uniform(0, 6)) / 3
    return _tint(rng, 0.25, 0.8, 0.3) * (0.85 + 0.22 * folds)[..., None]


_PAINTERS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "studio": _studio,
    "wall": _wall,
    "foliage": _foliage,
    "lights": _lights,
    "room": _room,
    "window": _window,
    "shelves": _shelves,
    "street": _street,
    "curtain": _curtain,
}
