"""Where the 68 iBUG landmarks lie on the head mesh.

The 51 inner points are defined by canonical front coordinates and tied to mesh triangles, so that they
follow every identity and expression. The 17 jaw points mark a contour, which depends on the view: each
has a row of candidates from the ear's side towards the midline, and the renderer takes the outermost.

Order (iBUG, as dlib): "right" is the person's, on the left of the image. 0-16 jaw, 17-26 brows, 27-30
bridge of the nose, 31-35 its base, 36-41 and 42-47 eyes, 48-59 outer lips, 60-67 inner lips.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

from lab.actors import anatomy
from lab.actors.anatomy import EYE_HALF_WIDTH_CM, EYE_X_CM, MOUTH_HALF_WIDTH_CM, MOUTH_Y_CM
from lab.actors.topology import CM_PER_RADIAN, Topology, to_domain, topology

CANDIDATES = 15
# Right half of the jaw from the ear to the chin: angle (degrees), ring.
_JAW = (
    (82, 6.9),
    (80, 7.9),
    (78, 9.05),
    (74, 10.15),
    (64, 11.25),
    (50, 12.15),
    (32, 12.6),
    (13, 13.0),
    (0, 13.03),
)
_BROW = ((5.2, 1.3), (4.4, 2.0), (3.25, 2.25), (2.1, 2.2), (0.98, 1.8))
_NOSE = (
    *((0, 0.1), (0, -1.15), (0, -2.4), (0, -3.65)),
    *((-1.25, -4.45), (-0.65, -4.68), (0, -4.85), (0.65, -4.68), (1.25, -4.45)),
)
_EYE_ALONG = ((1, 1), (0.36, 1), (-0.36, 1), (-1, 1), (-0.36, 0), (0.36, 0))  # (along, is upper)
_OUTER_LIP = (
    *((-1, 1), (-0.58, 1), (-0.2, 1), (0, 1), (0.2, 1), (0.58, 1), (1, 1)),
    *((0.6, 0), (0.25, 0), (0, 0), (-0.25, 0), (-0.6, 0)),
)
_INNER_LIP = (
    *((-0.93, 1), (-0.34, 1), (0, 1), (0.34, 1), (0.93, 1)),
    *((0.34, -1), (0, -1), (-0.34, -1)),
)


@dataclass(frozen=True, eq=False)
class Attachment:
    """Points tied to the mesh: three vertices and their weights each.

    index_L3, weight_L3: the 68 landmarks (rows 0-16 are the jaw's outermost candidates).
    jaw_index_JK3, jaw_weight_JK3: candidates of the 17 jaw points.
    """

    index_L3: np.ndarray
    weight_L3: np.ndarray
    jaw_index_JK3: np.ndarray
    jaw_weight_JK3: np.ndarray


@lru_cache(maxsize=1)
def attachment() -> Attachment:
    """The landmarks of the shared mesh."""
    mesh = topology()
    inner_xy = _inner_points()
    inner = to_domain(inner_xy[:, 0], inner_xy[:, 1])
    angle = np.radians([-a for a, _ in _JAW] + [a for a, _ in _JAW[-2::-1]])
    arc = -anatomy.ring_to_arc(np.array([v for _, v in _JAW] + [v for _, v in _JAW[-2::-1]]))
    shrink = np.linspace(1, 0.30, CANDIDATES)
    jaw = np.stack(
        np.broadcast_arrays(CM_PER_RADIAN * angle[:, None] * shrink, arc[:, None]), -1
    ).reshape(-1, 2)
    jaw_index, jaw_weight = _attach(mesh, jaw)
    jaw_index_JK3 = jaw_index.reshape(17, CANDIDATES, 3)
    jaw_weight_JK3 = jaw_weight.reshape(17, CANDIDATES, 3)
    index, weight = _attach(mesh, inner)
    # Lid and inner lip points sit on the rim of a hole: take its nearest vertex.
    rims = [(slice(36, 42), mesh.eye_rims[1]), (slice(42, 48), mesh.eye_rims[0])]
    for where, rim in [*rims, (slice(60, 68), mesh.mouth_rim)]:
        rows = slice(where.start - 17, where.stop - 17)
        index[rows] = rim[cKDTree(mesh.domain_V2[rim]).query(inner[rows])[1]][:, None]
        weight[rows] = [1, 0, 0]
    return Attachment(
        np.concatenate([jaw_index_JK3[:, 0], index]),
        np.concatenate([jaw_weight_JK3[:, 0], weight]),
        jaw_index_JK3,
        jaw_weight_JK3,
    )


def _inner_points() -> np.ndarray:
    """Canonical front coordinates of landmarks 17-67: (51, 2)."""
    points = [(-x, y) for x, y in _BROW] + [(x, y) for x, y in _BROW[::-1]] + list(_NOSE)
    for side, order in ((-1, (0, 1, 2, 3, 4, 5)), (1, (3, 2, 1, 0, 5, 4))):
        for along, upper in (_EYE_ALONG[i] for i in order):
            lid = anatomy.upper_lid if upper else anatomy.lower_lid
            x = side * (EYE_X_CM + EYE_HALF_WIDTH_CM * along)
            points.append((x, float(lid(np.array(along)))))
    for along, upper in _OUTER_LIP:
        border = anatomy.upper_lip_border if upper else anatomy.lower_lip_border
        x = MOUTH_HALF_WIDTH_CM * along * (1.1 if abs(along) < 1 else 1.04)
        points.append((x, MOUTH_Y_CM + float(border(np.array(along)))))
    for along, sign in _INNER_LIP:
        t = np.array(along)
        height = float(anatomy.lip_line(t) + sign * anatomy.lip_gap(t))
        points.append((MOUTH_HALF_WIDTH_CM * along, MOUTH_Y_CM + height))
    return np.array(points)


def _attach(mesh: Topology, points_P2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The triangle that holds each point of the flat domain, and its barycentric weights."""
    corner = mesh.domain_V2[mesh.triangles_T3]
    first, second = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    index = np.empty((len(points_P2), 3), np.int32)
    weight = np.empty((len(points_P2), 3), np.float32)
    for number, point in enumerate(points_P2):
        offset = point - corner[:, 0]
        b = (offset[:, 0] * second[:, 1] - offset[:, 1] * second[:, 0]) / area
        c = (first[:, 0] * offset[:, 1] - first[:, 1] * offset[:, 0]) / area
        best = int(np.argmax(np.minimum(np.minimum(b, c), 1 - b - c)))
        share = np.clip([1 - b[best] - c[best], b[best], c[best]], 0, 1)
        index[number], weight[number] = mesh.triangles_T3[best], share / share.sum()
    return index, weight
