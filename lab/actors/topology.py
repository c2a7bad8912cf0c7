"""The mesh of the average head: vertices dense where faces have detail, holes for eyes and mouth.

Vertices live in a flat domain (7.5 u, -arc length), both in cm, and are joined by a Delaunay
triangulation; exact loops of vertices run round the eyes and the mouth. Built once a process.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import Delaunay, cKDTree

from lab.actors import anatomy
from lab.actors.anatomy import EYE_HALF_WIDTH_CM, EYE_X_CM, MOUTH_HALF_WIDTH_CM, MOUTH_Y_CM
from lab.actors.fields import smoothstep

CM_PER_RADIAN = 7.5
HALF_DOMAIN_CM = CM_PER_RADIAN * math.pi
LAST_SKIN_RING = 18.6  # below this the skin is under clothes

EYE_RING_POINTS, MOUTH_RING_POINTS = 40, 52
EYE_RING_DISTANCES_CM = (0, 0.05, 0.11, 0.19, 0.29, 0.41, 0.55, 0.72, 0.92)
MOUTH_RING_ACROSS = (0, 0.07, 0.16, 0.30, 0.46, 0.64, 0.82, 1.0, 1.14, 1.35, 1.65, 2.05)


@dataclass(frozen=True, eq=False)
class Topology:
    """The head mesh that all actors share.

    domain_V2: vertex positions in the flat domain, cm.
    triangles_T3: int32, front faces anticlockwise seen from outside.
    u_V, v_V: surface parameters. x_V, y_V: canonical front coordinates, cm.
    front_V: 1 on the front half of the head, fading to 0 past the ears.
    uv_V2: texture coordinates in 0..1.
    weld_V: the vertex with which each one shares its normal (itself, but at the seam and the crown).
    eye_rims: vertex loop of the right-hand (x > 0) and of the left-hand eye's lid edge.
    mouth_rim: vertex loop of the lips' inner edge.
    """

    domain_V2: np.ndarray
    triangles_T3: np.ndarray
    u_V: np.ndarray
    v_V: np.ndarray
    x_V: np.ndarray
    y_V: np.ndarray
    front_V: np.ndarray
    uv_V2: np.ndarray
    weld_V: np.ndarray
    eye_rims: tuple[np.ndarray, np.ndarray]
    mouth_rim: np.ndarray


def to_domain(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Canonical front coordinates to the flat domain: (..., 2)."""
    u, v = anatomy.locate(x, y)
    return np.stack([CM_PER_RADIAN * u, -anatomy.ring_to_arc(v)], -1)


def _eye_ring(side: int, distance_cm: float) -> np.ndarray:
    """Loop round an eye at a distance from the lid edge, in the flat domain."""
    angle = np.arange(EYE_RING_POINTS) * 2 * np.pi / EYE_RING_POINTS
    along = np.cos(angle)
    height = np.where(np.sin(angle) >= 0, anatomy.upper_lid(along), anatomy.lower_lid(along))
    normal_x, normal_y = np.cos(angle) / EYE_HALF_WIDTH_CM, np.sin(angle) / 0.52
    length = np.hypot(normal_x, normal_y)
    x = EYE_X_CM + EYE_HALF_WIDTH_CM * along + distance_cm * normal_x / length
    return to_domain(side * x, height + distance_cm * normal_y / length)


def _mouth_ring(across: float) -> np.ndarray:
    """Loop round the mouth at a lip coordinate (see anatomy.mouth_coordinates)."""
    angle = np.arange(MOUTH_RING_POINTS) * 2 * np.pi / MOUTH_RING_POINTS
    along = np.cos(angle)
    upper = np.sin(angle) >= 0
    edge = anatomy.lip_line(along) + np.where(upper, 1, -1) * anatomy.lip_gap(along)
    border = np.where(upper, anatomy.upper_lip_border(along), anatomy.lower_lip_border(along))
    x = MOUTH_HALF_WIDTH_CM * along * (1 + 0.10 * across)
    return to_domain(x, MOUTH_Y_CM + edge + (border - edge) * across)


def _hexagons(half_width: float, low: float, high: float, spacing: float) -> np.ndarray:
    """Points of a triangular lattice, symmetric about x = 0: (N, 2)."""
    rows = []
    for number, y in enumerate(np.arange(low, high, spacing * 0.866)):
        x = np.arange(0, half_width, spacing) + (spacing / 2 if number % 2 else 0)
        x = np.unique(np.round(np.concatenate([-x, x]), 6))
        rows.append(np.stack([x, np.full(len(x), y)], -1))
    return np.concatenate(rows)


class _PointSet:
    """Collects points, leaving out those too near to one already taken."""

    def __init__(self) -> None:
        self.blocks: list[np.ndarray] = []
        self.count = 0

    def add(self, points_N2: np.ndarray, least_distance_cm: float) -> np.ndarray:
        """Take the points that are far enough from earlier ones; return their indices."""
        keep = np.ones(len(points_N2), bool)
        if self.blocks:
            near = cKDTree(np.concatenate(self.blocks)).query(points_N2)[0]
            keep = near > least_distance_cm
        for first, second in sorted(cKDTree(points_N2).query_pairs(0.9 * least_distance_cm)):
            if keep[first]:
                keep[second] = False
        self.blocks.append(points_N2[keep])
        indices = self.count + np.arange(keep.sum())
        self.count += len(indices)
        return indices

    def all(self) -> np.ndarray:
        return np.concatenate(self.blocks)


def _fill(points: _PointSet) -> None:
    """Lattices, the finest first: nose, face, sides of the head and neck, back of the head."""
    length = float(anatomy.ring_to_arc(np.array(LAST_SKIN_RING)))
    nose = _hexagons(2.3, -5.3, 0.9, 0.145)
    points.add(to_domain(nose[:, 0], nose[:, 1]), 0.11)
    face = _hexagons(6.0, -11.3, 4.2, 0.31)
    points.add(to_domain(face[:, 0], face[:, 1]), 0.22)
    points.add(_hexagons(12.5, -length + 0.01, -0.01, 0.78), 0.55)
    points.add(_hexagons(HALF_DOMAIN_CM - 0.5, -length + 0.01, -0.01, 1.5), 1.0)
    down, across = -np.linspace(0, length, 40), np.linspace(-HALF_DOMAIN_CM, HALF_DOMAIN_CM, 48)
    for x in (-HALF_DOMAIN_CM, HALF_DOMAIN_CM):
        points.add(np.stack([np.full(40, x), down], -1), 1e-6)
    for y in (0.0, -length):
        points.add(np.stack([across, np.full(48, y)], -1), 1e-6)


def _inside(points_N2: np.ndarray, loop_L2: np.ndarray) -> np.ndarray:
    """Which points lie inside a closed loop (even-odd rule)."""
    x, y = points_N2.T
    inside = np.zeros(len(points_N2), bool)
    for (x0, y0), (x1, y1) in zip(np.roll(loop_L2, 1, axis=0), loop_L2, strict=True):
        if y0 != y1:
            crossing = (x1 - x0) * (y - y0) / (y1 - y0) + x0
            inside ^= ((y0 > y) != (y1 > y)) & (x < crossing)
    return inside


def _triangulate(domain_V2: np.ndarray, holes: list[np.ndarray]) -> np.ndarray:
    """Delaunay triangles outside the holes, all turning the same way."""
    triangles = Delaunay(domain_V2).simplices
    centres = domain_V2[triangles].mean(1)
    for hole in holes:
        outside = ~_inside(centres, domain_V2[hole])
        triangles, centres = triangles[outside], centres[outside]
    corner = domain_V2[triangles]
    first, second = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    triangles, area = triangles[np.abs(area) > 1e-7], area[np.abs(area) > 1e-7]
    triangles[area < 0] = triangles[area < 0][:, ::-1]
    return np.ascontiguousarray(triangles.astype(np.int32))


def _welds(domain_V2: np.ndarray) -> np.ndarray:
    """Pair the two sides of the seam behind the head; all crown vertices belong together."""
    weld = np.arange(len(domain_V2), dtype=np.int32)
    left = np.flatnonzero(np.abs(domain_V2[:, 0] + HALF_DOMAIN_CM) < 1e-6)
    right = np.flatnonzero(np.abs(domain_V2[:, 0] - HALF_DOMAIN_CM) < 1e-6)
    order = cKDTree(domain_V2[left, 1:]).query(domain_V2[right, 1:])[1]
    weld[right] = left[order]
    crown = np.flatnonzero(np.abs(domain_V2[:, 1]) < 1e-6)
    weld[crown] = crown[0]
    return weld


@lru_cache(maxsize=1)
def topology() -> Topology:
    """The shared head mesh (about 0.4 s the first time)."""
    points = _PointSet()
    rims = []
    for side in (1, -1):
        rings = [
            points.add(_eye_ring(side, distance), 0.02 if number < 3 else 0.05)
            for number, distance in enumerate(EYE_RING_DISTANCES_CM)
        ]
        rims.append(rings[0])
    rings = [
        points.add(_mouth_ring(across), 0.02 if number < 2 else 0.045)
        for number, across in enumerate(MOUTH_RING_ACROSS)
    ]
    rims.append(rings[0])
    _fill(points)
    domain_V2 = points.all()
    u_V, v_V = domain_V2[:, 0] / CM_PER_RADIAN, anatomy.arc_to_ring(-domain_V2[:, 1])
    base_V3 = anatomy.surface(u_V, v_V)
    arc = -domain_V2[:, 1] / anatomy.ARC_LENGTH_CM
    return Topology(
        domain_V2=domain_V2,
        triangles_T3=_triangulate(domain_V2, rims),
        u_V=u_V,
        v_V=v_V,
        x_V=base_V3[:, 0],
        y_V=base_V3[:, 1],
        front_V=smoothstep(-0.15, 0.3, np.cos(u_V)),
        uv_V2=np.stack([anatomy.angle_to_texture(u_V), arc], -1).astype(np.float32),
        weld_V=_welds(domain_V2),
        eye_rims=(rims[0], rims[1]),
        mouth_rim=rims[2],
    )
