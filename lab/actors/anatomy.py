"""The average head: a lofted surface, and the curves of eyes and mouth drawn on it.

Every feature of a face is defined once, in **canonical front coordinates**: the (x, y) in cm at which
the average head shows it from the front (x to the right of the image, y up, the eyes at y = 0). An
identity moves the surface, and texture, landmarks and expressions ride along with it.

The surface has two parameters: an angle `u` around the head (0 in front, positive to the right of the
image, +-pi at the back) and a ring number `v` (0 at the crown, 19 at the shoulders).
"""

import math

import numpy as np
from scipy.interpolate import PchipInterpolator

from lab.actors.fields import smoothstep

# One ring of the loft a row, from the crown down, in cm: height in front, at the side, behind; half
# width; depth in front, behind; exponent of the super-ellipse; depth of its centre.
RINGS = np.array(
    [
        [11.10, 11.10, 11.10, 0.02, -0.98, -1.02, 2.00, -1.0],
        [10.95, 10.90, 10.85, 2.00, 1.20, -3.50, 2.00, -1.0],
        [10.40, 10.30, 10.10, 4.00, 3.40, -6.00, 2.00, -1.0],
        [9.20, 9.00, 8.60, 5.85, 5.80, -8.40, 2.00, -1.0],
        [7.25, 6.95, 6.35, 7.05, 7.55, -9.85, 2.05, -1.0],
        [5.00, 4.80, 4.10, 7.50, 8.45, -10.4, 2.26, -1.0],
        [2.60, 2.40, 1.50, 7.52, 8.75, -10.4, 2.42, -1.0],
        [0.20, 0.20, -0.60, 7.28, 8.30, -10.0, 2.50, -1.0],
        [-2.20, -1.70, -2.30, 7.05, 8.15, -9.30, 2.46, -1.0],
        [-4.60, -3.00, -3.90, 6.72, 8.50, -8.55, 2.30, -1.0],
        [-6.95, -4.20, -5.30, 6.20, 8.70, -7.95, 2.14, -1.0],
        [-9.05, -4.90, -6.60, 5.52, 8.50, -7.50, 2.00, -1.0],
        [-10.45, -5.20, -7.60, 5.02, 8.20, -7.35, 2.00, -1.0],
        [-11.10, -5.60, -8.30, 4.70, 7.40, -7.30, 2.00, -1.1],
        [-11.50, -6.60, -9.20, 4.52, 6.00, -7.35, 2.00, -1.3],
        [-12.10, -8.80, -10.4, 4.52, 4.30, -7.50, 2.00, -1.7],
        [-13.30, -11.4, -12.2, 4.60, 3.05, -7.70, 2.00, -2.2],
        [-15.80, -14.4, -14.4, 5.05, 2.55, -7.95, 2.00, -2.6],
        [-18.00, -16.4, -15.8, 7.60, 3.10, -8.40, 2.00, -2.8],
        [-19.60, -18.0, -17.0, 12.20, 4.60, -9.20, 2.10, -2.8],
    ]
)
LAST_RING = len(RINGS) - 1
NECK_RING = 15.0  # below it the skin is neck

EYE_X_CM, EYE_HALF_WIDTH_CM = 3.05, 1.40
MOUTH_Y_CM, MOUTH_HALF_WIDTH_CM = -6.80, 2.40


def surface(u: np.ndarray, v: np.ndarray, rings: np.ndarray = RINGS) -> np.ndarray:
    """Points of the lofted head.

    Args:
        u: angle in radians, -pi..pi.
        v: ring number, 0..LAST_RING.
        rings: an identity's version of RINGS.

    Returns:
        (..., 3) positions in cm.
    """
    spline = PchipInterpolator(np.arange(len(rings)), rings, axis=0)
    values = np.moveaxis(spline(np.clip(v, 0, LAST_RING)), -1, 0)
    y_front, y_side, y_back, half_width, z_front, z_back, power, z_centre = values
    cosine, sine = np.cos(u), np.sin(u)
    half_depth = np.where(cosine >= 0, z_front - z_centre, z_centre - z_back)
    radius = (np.abs(sine) / half_width) ** power + (np.abs(cosine) / half_depth) ** power
    radius = (radius + 1e-12) ** (-1 / power)
    to_side = np.clip(1 - cosine, 0, 1)
    to_side = 0.35 * to_side + 0.65 * smoothstep(0, 1, to_side)
    to_back = smoothstep(0, 1, np.clip(-cosine, 0, 1))
    y = np.where(
        cosine >= 0, y_front + (y_side - y_front) * to_side, y_side + (y_back - y_side) * to_back
    )
    return np.stack([radius * sine, y, z_centre + radius * cosine], -1)


# Ring number <-> arc length along the front midline, so that texels are about equally large.
_RING_SAMPLES = np.linspace(0, LAST_RING, 2000)
_MIDLINE = surface(np.zeros_like(_RING_SAMPLES), _RING_SAMPLES)
_ARC_CM = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(_MIDLINE, axis=0), axis=1))])
ARC_LENGTH_CM = float(_ARC_CM[-1])

# The texture gives the face more room than the back of the head: t = 1/2 + atan(k u) / 2 atan(k pi).
_FRONT_STRETCH = 0.9
_SPREAD = math.atan(_FRONT_STRETCH * math.pi)


def ring_to_arc(v: np.ndarray) -> np.ndarray:
    """Ring number to arc length in cm from the crown."""
    return np.interp(v, _RING_SAMPLES, _ARC_CM)


def arc_to_ring(arc_cm: np.ndarray) -> np.ndarray:
    """Arc length in cm from the crown to ring number."""
    return np.interp(arc_cm, _ARC_CM, _RING_SAMPLES)


def angle_to_texture(u: np.ndarray) -> np.ndarray:
    """Angle to the texture's horizontal coordinate in 0..1."""
    return 0.5 + 0.5 * np.arctan(_FRONT_STRETCH * u) / _SPREAD


def texture_to_angle(t: np.ndarray) -> np.ndarray:
    """The texture's horizontal coordinate in 0..1 to angle."""
    return np.tan((t - 0.5) * 2 * _SPREAD) / _FRONT_STRETCH


def ring_at_height(y: np.ndarray) -> np.ndarray:
    """Ring number at which the average front midline has height y (cm)."""
    return np.interp(-np.asarray(y, float), -_MIDLINE[:, 1], _RING_SAMPLES)


def locate(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Surface parameters (u, v) of canonical front coordinates, by Newton's method."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    u = np.arcsin(np.clip(x / 9.5, -0.95, 0.95))
    v = ring_at_height(y)
    step = 1e-4
    for _ in range(30):
        point = surface(u, v)
        along_u = (surface(u + step, v) - point) / step
        along_v = (surface(u, v + step) - point) / step
        miss_x, miss_y = x - point[..., 0], y - point[..., 1]
        determinant = along_u[..., 0] * along_v[..., 1] - along_u[..., 1] * along_v[..., 0]
        determinant = np.where(np.abs(determinant) < 1e-6, 1e-6, determinant)
        move_u = (miss_x * along_v[..., 1] - miss_y * along_v[..., 0]) / determinant
        move_v = (along_u[..., 0] * miss_y - along_u[..., 1] * miss_x) / determinant
        u = u + np.clip(move_u, -0.2, 0.2)
        v = np.clip(v + np.clip(move_v, -0.6, 0.6), 0.01, LAST_RING)
    return u, v


def upper_lid(t: np.ndarray) -> np.ndarray:
    """Height (cm) of the open eye's upper edge; t = -1 at the inner corner, 1 at the outer."""
    return 0.50 * np.clip(1 - t * t, 0, 1) ** 0.62 * (1 - 0.12 * t) + 0.06 * t


def lower_lid(t: np.ndarray) -> np.ndarray:
    """Height (cm) of the open eye's lower edge."""
    return -0.40 * np.clip(1 - t * t, 0, 1) ** 0.70 * (1 + 0.18 * t) + 0.06 * t


def lip_line(t: np.ndarray) -> np.ndarray:
    """Height above MOUTH_Y_CM of the closed mouth's line; t = -1..1 between the corners."""
    return 0.063 * np.cos(1.5 * math.pi * t) * (1 - t * t) - 0.05 * t * t


def lip_gap(t: np.ndarray) -> np.ndarray:
    """Half the opening of the mouth hole in the canonical mesh (closed again by the geometry)."""
    return 0.14 * (1 - np.clip(t * t, 0, 1))


def upper_lip_border(t: np.ndarray) -> np.ndarray:
    """Height above MOUTH_Y_CM of the upper lip's red border, with Cupid's bow."""
    a = np.abs(t)
    arch = 0.80 * np.clip(1 - a, 0, 1) ** 0.80 * (1 + 0.70 * a)
    bow = 0.12 * np.exp(-(((a - 0.2) / 0.13) ** 2)) - 0.07 * np.exp(-((a / 0.1) ** 2))
    return np.where(a < 1, arch + bow, 0) - 0.05 * t * t


def lower_lip_border(t: np.ndarray) -> np.ndarray:
    """Height above MOUTH_Y_CM of the lower lip's red border."""
    return -1.12 * np.clip(1 - np.abs(t) ** 2.3, 0, 1) ** 0.75 - 0.05 * t * t


def mouth_coordinates(
    x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Position relative to the lips.

    Returns:
        along: -1..1 between the corners of the mouth (unclipped).
        across: 0 on the inner edge of a lip, 1 on its red border, growing outwards; >= 0.
        is_upper: whether the point lies above the mouth's line.
        thickness_cm: of the lip there.
    """
    along = x / MOUTH_HALF_WIDTH_CM
    inside = np.clip(along, -1, 1)
    height = y - MOUTH_Y_CM
    is_upper = height >= lip_line(inside)
    edge = lip_line(inside) + np.where(is_upper, lip_gap(inside), -lip_gap(inside))
    border = np.where(is_upper, upper_lip_border(inside), lower_lip_border(inside))
    thickness_cm = np.maximum(np.abs(border - edge), 0.10)
    across = np.abs(height - edge) / thickness_cm
    beyond_cm = (np.abs(along) - 1) * MOUTH_HALF_WIDTH_CM
    outside = np.hypot(across * thickness_cm, beyond_cm) / 0.30 + 0.2
    return along, np.where(np.abs(along) > 1, outside, across), is_upper, thickness_cm


def eye_along(x: np.ndarray, side: int) -> np.ndarray:
    """Position along an eye, -1 at its inner and 1 at its outer corner (unclipped)."""
    return (side * x - EYE_X_CM) / EYE_HALF_WIDTH_CM
