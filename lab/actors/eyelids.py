"""Eyeballs, and the lids that ride on them, open and closed."""

from dataclasses import dataclass

import numpy as np

from lab.actors import anatomy
from lab.actors.anatomy import EYE_HALF_WIDTH_CM, EYE_X_CM
from lab.actors.fields import line, smooth_max, smoothstep
from lab.actors.identity import Identity
from lab.actors.topology import topology

EYEBALL_RADIUS_CM = 1.70  # larger than life: the lids slide on it without folds
LID_THICKNESS_CM = 0.13
_TURN_OUT = 0.20  # the eyes' front is sheared to follow the face, which falls back to the sides


@dataclass(frozen=True)
class Eyeball:
    """Centre in cm."""

    x: float
    y: float
    z: float

    def front_z(self, dx: np.ndarray, dy: np.ndarray, side: int, radius: float) -> np.ndarray:
        """Depth of the eyeball's front at an offset from its centre."""
        rest = np.maximum(radius * radius - dx * dx - dy * dy, 0.05)
        return self.z + np.sqrt(rest) - _TURN_OUT * side * dx


def opening_scale(identity: Identity) -> float:
    """Vertical stretch of the eye's opening."""
    return 1 + 0.10 * identity.eye_height


def place_eyeball(vertices_V3: np.ndarray, identity: Identity, side: int) -> Eyeball:
    """Fit an eyeball behind the rim of an eye's hole."""
    mesh = topology()
    near = np.hypot((np.abs(mesh.x_V) - EYE_X_CM) / EYE_HALF_WIDTH_CM, mesh.y_V / 0.5) < 1.15
    ring = vertices_V3[near & (np.sign(mesh.x_V) == side)]
    depth = np.median(ring[:, 2]) + 0.60 - 0.05 * identity.eye_depth
    centre = ring.mean(0)
    return Eyeball(float(centre[0]), float(centre[1]) + 0.02, float(depth - EYEBALL_RADIUS_CM))


def drape(vertices_V3: np.ndarray, eye: Eyeball, side: int) -> np.ndarray:
    """Depth (V,) of all vertices once the lids lie on the eyeball."""
    mesh = topology()
    here = (np.sign(mesh.x_V) == side) & (mesh.front_V > 0.5)
    along = (np.abs(mesh.x_V) - EYE_X_CM) / EYE_HALF_WIDTH_CM
    dx, dy = vertices_V3[:, 0] - eye.x, vertices_V3[:, 1] - eye.y
    radius = EYEBALL_RADIUS_CM + LID_THICKNESS_CM
    lid_z = eye.front_z(dx, dy, side, radius)
    inside = np.clip(along, -1, 1)
    edge_y = np.where(mesh.y_V >= 0, anatomy.upper_lid(inside), anatomy.lower_lid(inside))
    from_edge = np.abs(mesh.y_V - edge_y)
    draped = smooth_max(vertices_V3[:, 2] - 0.03, lid_z, 0.16)
    margin = smoothstep(0.55, 0.12, from_edge) * (np.abs(along) < 1.06) * here
    draped = draped * (1 - margin) + lid_z * margin
    draped -= 0.09 * line(from_edge, 0.035) * (np.abs(along) <= 1.01) * here
    weight = here * smoothstep(1.75, 1.05, np.hypot(along, mesh.y_V / 0.95))
    return vertices_V3[:, 2] + (draped - vertices_V3[:, 2]) * weight


def lid_shapes(
    plain_V3: np.ndarray, vertices_V3: np.ndarray, eye: Eyeball, identity: Identity, side: int
) -> dict[str, np.ndarray]:
    """Displacements of one eye's lids: "blink", "wide", "squint", and the blink's "bow".

    Args:
        plain_V3: the head before draping; vertices_V3: after.
    """

    def moved(close: float, raise_lower: float = 0.0) -> np.ndarray:
        return _move_lids(plain_V3, vertices_V3, eye, identity, side, close, raise_lower)

    closed, half = moved(1.0) - vertices_V3, moved(0.5) - vertices_V3
    return {
        "blink": closed,
        "bow": 4 * (half - 0.5 * closed),
        "wide": moved(-0.28) - vertices_V3,
        "squint": moved(0.18, 0.15) - vertices_V3,
    }


def _move_lids(
    plain_V3: np.ndarray,
    vertices_V3: np.ndarray,
    eye: Eyeball,
    identity: Identity,
    side: int,
    close: float,
    raise_lower: float,
) -> np.ndarray:
    """Vertices after the lids move by shares of the eye's opening."""
    mesh = topology()
    along = (np.abs(mesh.x_V) - EYE_X_CM) / EYE_HALF_WIDTH_CM
    inside = np.clip(along, -1, 1)
    top, bottom = anatomy.upper_lid(inside), anatomy.lower_lid(inside)
    opening = (top - bottom) * opening_scale(identity)
    here = (np.sign(mesh.x_V) == side) & (mesh.front_V > 0.5) & (np.abs(along) < 1)
    upper = mesh.y_V >= (top + bottom) / 2
    fade_up = np.clip(1 - np.clip((mesh.y_V - top) / 0.92, -0.1, 1), 0, 1) ** 1.2
    fade_down = np.clip(1 - np.clip((bottom - mesh.y_V) / 0.80, -0.1, 1), 0, 1) ** 1.2
    moved_V3 = plain_V3.copy()
    moved_V3[:, 1] -= 0.88 * close * opening * fade_up * (here & upper)
    lift = 0.12 * close if close > 0 else 0.05 * close
    moved_V3[:, 1] += (lift + raise_lower) * opening * fade_down * (here & ~upper)
    moved_V3[:, 2] = drape(moved_V3, eye, side)
    other = np.sign(mesh.x_V) != side
    moved_V3[other] = vertices_V3[other]
    return moved_V3
