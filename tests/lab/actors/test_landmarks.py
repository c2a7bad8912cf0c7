"""Landmarks on the mesh: iBUG order, symmetric, tied to the skin."""

import numpy as np

from lab.actors.landmarks import CANDIDATES, attachment
from lab.actors.topology import topology

# iBUG's mirror image of each landmark.
MIRROR = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *(27, 28, 29, 30, 35, 34, 33, 32, 31),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
    *(64, 63, 62, 61, 60, 67, 66, 65),
)


def canonical_points() -> np.ndarray:
    mesh, points = topology(), attachment()
    xy_V2 = np.stack([mesh.x_V, mesh.y_V], 1)
    return np.einsum("lkc,lk->lc", xy_V2[points.index_L3], points.weight_L3)


def test_landmarks_weights_are_barycentric() -> None:
    points = attachment()
    for weight in (points.weight_L3, points.jaw_weight_JK3):
        assert weight.min() >= 0
        np.testing.assert_allclose(weight.sum(-1), 1, atol=1e-5)
    assert points.jaw_index_JK3.shape == (17, CANDIDATES, 3)


def test_landmarks_are_mirror_symmetric() -> None:
    points = canonical_points()
    mirrored = points[list(MIRROR)] * [-1, 1]
    np.testing.assert_allclose(points, mirrored, atol=0.12)


def test_landmarks_lie_where_ibug_puts_them() -> None:
    points = canonical_points()
    x, y = points.T
    assert x[36] < x[39] < x[42] < x[45], "eye corners from the left of the image to the right"
    assert y[37] > y[41] and y[44] > y[46], "upper lids above lower lids"
    assert (np.diff(y[27:31]) < 0).all(), "the bridge of the nose runs down"
    assert x[48] < x[51] < x[54] and y[51] > y[57], "outer lip: corner, middle, corner; top, bottom"
    assert y[8] == y[:17].min(), "landmark 8 is the chin"
    assert x[0] < x[17] < x[21] < 0 < x[22] < x[26] < x[16]


def test_jaw_candidates_run_from_the_side_to_the_front() -> None:
    mesh, points = topology(), attachment()
    angle_JK = np.einsum("jkv,jkv->jk", mesh.u_V[points.jaw_index_JK3], points.jaw_weight_JK3)
    away = np.abs(angle_JK[[0, 3, 13, 16]])
    assert (np.diff(away, axis=1) < 0).all()
