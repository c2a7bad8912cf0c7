"""An actor's textures as the shading kernel reads them: at a fitting resolution, relief included.

The painted relief (pores, wrinkles, lip lines) is a height in cm above the skin. Lighting needs
what it does to the normal. For a surface P(u, v) with unit normal n, raised by h(u, v), the normal
becomes n + h_u (n x P_v) / |P_u x P_v| - h_v (n x P_u) / |P_u x P_v| (Blinn 1978). The two
directions depend on the mesh alone and vary slowly; they are found per vertex of the neutral head,
spread over the texture, and multiplied with the slopes. The sum is stored per texel in the frame
of the head, so that a frame costs one rotation per pixel.

Dimension key: V vertices, T triangles, H texture rows, W columns.
"""

import weakref
from dataclasses import dataclass

import cv2
import numpy as np

from lab.actors import raster
from lab.actors.actor import Actor
from lab.actors.materials import EAR, HAIR, SKIN
from lab.actors.shading import SKIN_CHANNELS

_TEXEL_CM = 0.04  # of the full skin texture, on the face
_COARSE = 8  # the directions are spread at this fraction of the texture's resolution
_STEEPEST = 0.7  # longest bend: beyond it, relief would turn the normal away from the viewer

_HULL_CENTRE = np.array([0.0, 2.5, -1.0], np.float32)  # of the skull, cm

_hulls: "weakref.WeakKeyDictionary[Actor, np.ndarray]" = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Textures:
    """An actor's textures at one level, as the kernels read them.

    Args:
        skin_HWC: float32 linear albedo, gloss, and the bend of the normal in the head's frame.
        skin_part_HW: uint8 part labels, at full resolution.
        hair_HW4: float32 linear albedo and opacity.
        opacity_HW: uint8 opacity of the hair, at twice the resolution of `hair_HW4`.
        eye_HW3: float32 linear albedo of the eyeball; iris in the middle.
        iris_radius_uv: as a share of the eye's texture.
    """

    skin_HWC: np.ndarray
    skin_part_HW: np.ndarray
    hair_HW4: np.ndarray
    opacity_HW: np.ndarray
    eye_HW3: np.ndarray
    iris_radius_uv: float


_prepared: "weakref.WeakKeyDictionary[Actor, dict[int, Textures]]" = weakref.WeakKeyDictionary()


def textures_of(actor: Actor, pixel_cm: float) -> Textures:
    """Textures for images whose pixels are `pixel_cm` wide at the head; made once per level.

    Each level halves the resolution; a texel is at least half a pixel wide. Finer ones would only
    alias, and miss the cache.
    """
    level = int(np.clip(np.log2(pixel_cm / _TEXEL_CM), 0, 3))
    levels = _prepared.setdefault(actor, {})
    if level not in levels:
        levels[level] = _at_level(actor, level)
    return levels[level]


def hull_normals(actor: Actor) -> np.ndarray:
    """(V, 3) float32: unit direction out of the hairdo at the hair's vertices, zero elsewhere.

    In the head's frame. On the skull it points away from the middle of the head; below, where hair
    hangs, away from the neck.
    """
    if actor not in _hulls:
        hull_V3 = np.zeros_like(actor.vertices_V3)
        hair = np.unique(actor.triangles_T3[actor.material_T == HAIR])
        outwards = actor.vertices_V3[hair] - _HULL_CENTRE
        outwards[:, 1] *= np.where(outwards[:, 1] > 0, 1.0, 0.25)
        hull_V3[hair] = outwards / (np.linalg.norm(outwards, axis=1, keepdims=True) + 1e-6)
        _hulls[actor] = hull_V3
    return _hulls[actor]


def _at_level(actor: Actor, level: int) -> Textures:
    albedo_HW4, relief_HW = actor.skin_texture_HW4, actor.skin_height_HW
    albedo_HW4, relief_HW = _shrunk(albedo_HW4, level), _shrunk(relief_HW, level)
    rows, columns = relief_HW.shape
    along_u, along_v = _bend_directions(actor, rows, columns)
    slope_u = np.gradient(relief_HW, axis=1) * columns
    slope_v = np.gradient(relief_HW, axis=0) * rows
    bend = along_u * slope_u[..., None] + along_v * slope_v[..., None]
    steep = np.linalg.norm(bend, axis=-1, keepdims=True)
    bend /= np.maximum(1, steep / _STEEPEST)
    skin = np.empty((rows, columns, SKIN_CHANNELS), np.float32)
    skin[..., :4], skin[..., 4:] = albedo_HW4, bend
    return Textures(
        skin,
        actor.skin_part_HW,
        _shrunk(actor.hair_texture_HW4, level + 1),
        raster.opacity_of(_shrunk(actor.hair_texture_HW4, level)),
        actor.eye_texture_HW3,
        float(actor.eye_iris_radius_uv),
    )


def _shrunk(texture: np.ndarray, level: int) -> np.ndarray:
    """A texture at 1 / 2 ** level of its size, by averaging."""
    rows, columns = (max(2, side >> level) for side in texture.shape[:2])
    if texture.shape[:2] == (rows, columns):
        return texture
    return cv2.resize(texture, (columns, rows), interpolation=cv2.INTER_AREA)


def _bend_directions(actor: Actor, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """How the normal bends per unit of slope along u and along v: two arrays (rows, columns, 3)."""
    chosen = np.isin(actor.material_T, (SKIN, EAR))
    triangles_T3 = np.ascontiguousarray(actor.triangles_T3[chosen])
    vertices_V3, uv_V2 = actor.vertices_V3, actor.uv_V2
    a, b, c = triangles_T3.T
    e1, e2 = vertices_V3[b] - vertices_V3[a], vertices_V3[c] - vertices_V3[a]
    (u1, v1), (u2, v2) = (uv_V2[b] - uv_V2[a]).T, (uv_V2[c] - uv_V2[a]).T
    # Surface directions of u and v times the triangle's area in (u, v): sums weight by area.
    sign = np.sign(u1 * v2 - u2 * v1)[:, None]
    p_u = (e1 * v2[:, None] - e2 * v1[:, None]) * sign
    p_v = (e2 * u1[:, None] - e1 * u2[:, None]) * sign
    size = np.abs(u1 * v2 - u2 * v1)
    sums = np.zeros((len(vertices_V3), 10), np.float32)
    for corner in (a, b, c):
        for k in range(3):
            sums[:, k] += np.bincount(corner, p_u[:, k], len(sums))
            sums[:, 3 + k] += np.bincount(corner, p_v[:, k], len(sums))
            sums[:, 6 + k] += np.bincount(corner, np.cross(e1, e2)[:, k], len(sums))
        sums[:, 9] += np.bincount(corner, size, len(sums))
    p_u, p_v = (sums[:, k : k + 3] / (sums[:, 9:] + 1e-12) for k in (0, 3))
    normal = sums[:, 6:9] / (np.linalg.norm(sums[:, 6:9], axis=1, keepdims=True) + 1e-12)
    cross = np.cross(p_u, p_v)
    side = np.sign((cross * normal).sum(1, keepdims=True))
    scale = side / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1.0)
    both = np.concatenate([np.cross(normal, p_v) * scale, np.cross(p_u, normal) * scale], 1)

    # Spread over a coarse texture: draw the mesh in (u, v), take the mean of each corner's vector.
    rows_c, columns_c = rows // _COARSE, columns // _COARSE
    screen_V3 = np.ones_like(vertices_V3)
    screen_V3[:, :2] = uv_V2 * (columns_c, rows_c)
    nearness, triangle = (
        np.empty((rows_c, columns_c), np.float32),
        np.empty((rows_c, columns_c), np.int32),
    )
    two_sided = np.full(len(triangles_T3), EAR, np.uint8)
    raster.raster(
        screen_V3,
        uv_V2,
        triangles_T3,
        two_sided,
        raster.opacity_of(actor.hair_texture_HW4),
        False,
        0.0,
        nearness,
        triangle,
    )
    spread = both[triangles_T3[triangle]].mean(2)
    spread[triangle < 0] = 0
    full = cv2.resize(spread.astype(np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR)
    return full[..., :3], full[..., 3:]
