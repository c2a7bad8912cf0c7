"""Thin spectacle frames: two rims, a bridge and two temples, as tubes."""

import numpy as np
from scipy.spatial import cKDTree

from lab.actors import materials
from lab.actors.fields import grid_triangles, linear_rgb
from lab.actors.geometry import Head
from lab.actors.identity import Identity
from lab.actors.parts import Part
from lab.actors.topology import topology

_SIDES = 5  # of a tube's cross-section
_COLOURS = linear_rgb([[28, 26, 28], [70, 42, 28], [96, 94, 98], [120, 92, 52], [36, 44, 70]])


def build_glasses(identity: Identity, head: Head) -> list[Part]:
    """The frame in front of an identity's eyes: one part, or none if it wears no glasses."""
    if identity.glasses == 0:
        return []
    rng = identity.random(7)
    half_width, half_height = rng.uniform(2.25, 2.55), rng.uniform(1.55, 2.0)
    power, thickness = rng.uniform(2.0, 3.6), rng.uniform(0.06, 0.13)
    eye = head.eyes[1]
    middle_x, middle_y = max(eye.x + 0.1, half_width + 0.75), eye.y - 0.25
    angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    cosine, sine = np.cos(angle), np.sin(angle)
    rim_x = middle_x + half_width * np.sign(cosine) * np.abs(cosine) ** (2 / power)
    rim_y = middle_y + half_height * np.sign(sine) * np.abs(sine) ** (2 / power)
    plane_z = _clear_depth(head, rim_x, rim_y)
    tubes = []
    for side in (1, -1):
        rim = np.stack([side * rim_x, rim_y, plane_z - 0.03 * rim_x**2], -1)
        tubes.append(_tube(rim[::side], thickness, closed=True))
        hinge_x = middle_x + half_width
        hinge_y = middle_y + 0.45 * half_height
        temple = [[hinge_x, hinge_y, plane_z - 0.03 * hinge_x**2], [7.9, hinge_y, 4.0]]
        temple = np.array([*temple, [8.0, hinge_y - 0.1, -1.0]]) * [side, 1, 1]
        tubes.append(_tube(temple[::side], thickness, closed=False))
    bridge_x = np.linspace(-(middle_x - half_width), middle_x - half_width, 7)
    arch = 0.25 * (1 - (bridge_x / bridge_x[-1]) ** 2)
    bridge = np.stack([bridge_x, middle_y + 0.35 + arch, plane_z + 0.2 * arch], -1)
    tubes.append(_tube(bridge, thickness, closed=False))
    starts = np.cumsum([0] + [len(vertices) for vertices, _ in tubes])
    vertices_V3 = np.concatenate([vertices for vertices, _ in tubes])
    triangles = [triangles + start for (_, triangles), start in zip(tubes, starts, strict=False)]
    colour = np.broadcast_to(_COLOURS[rng.integers(len(_COLOURS))], vertices_V3.shape)
    uv_V2 = np.zeros((len(vertices_V3), 2))
    return [
        Part(vertices_V3, uv_V2, np.concatenate(triangles), materials.GLASSES, "glasses", colour)
    ]


def _clear_depth(head: Head, x: np.ndarray, y: np.ndarray) -> float:
    """Depth of the frame's plane (at x = 0) at which it touches no skin."""
    front = topology().front_V > 0.5
    skin_V3 = head.vertices_V3[front]
    nearest = cKDTree(skin_V3[:, :2]).query(np.stack([x, y], -1))[1]
    return float((skin_V3[nearest, 2] + 0.03 * x**2).max() + 0.12)


def _tube(path_N3: np.ndarray, radius: float, closed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and triangles of a tube along a path."""
    if closed:
        along = np.roll(path_N3, -1, axis=0) - np.roll(path_N3, 1, axis=0)
    else:
        along = np.gradient(path_N3, axis=0)
    along = along / np.linalg.norm(along, axis=1, keepdims=True)
    helper = np.array([0.0, 0.3, 1.0])
    first = np.cross(along, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(along, first)
    angle = np.arange(_SIDES) * 2 * np.pi / _SIDES
    ring = first[:, None] * np.cos(angle)[:, None] + second[:, None] * np.sin(angle)[:, None]
    grid = path_N3[:, None] + radius * ring
    if closed:
        grid = np.concatenate([grid, grid[:1]])
    return grid.reshape(-1, 3), grid_triangles(_SIDES, len(grid), closed=True)
