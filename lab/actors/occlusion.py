"""Ambient occlusion: how much of the sky each vertex of a neutral actor sees.

The mesh is drawn from some thirty directions; a vertex that the depth map does not hide receives light
from that direction, in proportion to the cosine.
"""

import numpy as np

from lab.actors import raster

_DIRECTIONS, _TEXELS, _EXTENT_CM, _BIAS_CM = 36, 128, 34.0, 0.30
_CENTRE = np.array([0, -3, 0], np.float32)


def _directions() -> np.ndarray:
    """Unit vectors on a spiral over the sphere, without those from straight below: (N, 3)."""
    height = 1 - 2 * (np.arange(_DIRECTIONS) + 0.5) / _DIRECTIONS
    radius = np.sqrt(1 - height**2)
    turn = np.arange(_DIRECTIONS) * 2.399963
    vectors = np.stack([radius * np.cos(turn), height, radius * np.sin(turn)], -1)
    return vectors[height > -0.75].astype(np.float32)


def _basis(towards: np.ndarray) -> np.ndarray:
    """Rows right, up and `towards`, orthonormal: (3, 3)."""
    helper = np.array([0.0, 1.0, 0.0] if abs(towards[1]) < 0.9 else [1.0, 0.0, 0.0])
    right = np.cross(helper, towards)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(towards, right), towards]).astype(np.float32)


def bake(
    vertices_V3: np.ndarray,
    normals_V3: np.ndarray,
    uv_V2: np.ndarray,
    triangles_T3: np.ndarray,
    material_T: np.ndarray,
    hair_texture_HW4: np.ndarray,
) -> np.ndarray:
    """Share of ambient light that arrives at each vertex: (V,) float32 in [0.08, 1]."""
    lit_V = np.full(len(vertices_V3), 1e-3, np.float32)
    total_V = np.full(len(vertices_V3), 2e-3, np.float32)
    opacity_HW = raster.opacity_of(hair_texture_HW4)
    height_SS = np.empty((_TEXELS, _TEXELS), np.float32)
    triangle_SS = np.empty((_TEXELS, _TEXELS), np.int32)
    screen_V3 = np.empty_like(vertices_V3)
    for towards in _directions():
        raster.light_view(vertices_V3, _basis(towards), _CENTRE, _EXTENT_CM, _TEXELS, screen_V3)
        raster.raster(
            screen_V3,
            uv_V2,
            triangles_T3,
            material_T,
            opacity_HW,
            True,
            -1000.0,
            height_SS,
            triangle_SS,
        )
        cosine_V = np.maximum(normals_V3 @ towards, 0)
        column, row = np.clip(screen_V3[:, :2].astype(int), 0, _TEXELS - 1).T
        seen_V = screen_V3[:, 2] + _BIAS_CM >= height_SS[row, column]
        lit_V += cosine_V * seen_V
        total_V += cosine_V
    return np.clip(lit_V / total_V, 0.08, 1).astype(np.float32)


def vertex_normals(
    vertices_V3: np.ndarray, triangles_T3: np.ndarray, weld_V: np.ndarray
) -> np.ndarray:
    """Smooth unit normals (V, 3) float32 of the neutral shape."""
    empty_V2 = np.zeros((len(vertices_V3), 2), np.float32)
    packed_VA = np.empty((len(vertices_V3), raster.ATTRIBUTES), np.float32)
    raster.vertex_stage(
        vertices_V3,
        empty_V2,
        np.zeros(len(vertices_V3), np.float32),
        np.zeros_like(vertices_V3),
        triangles_T3,
        weld_V,
        packed_VA,
    )
    return np.ascontiguousarray(packed_VA[:, raster.NORMAL : raster.NORMAL + 3])
