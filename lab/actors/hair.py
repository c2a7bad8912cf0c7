"""Haircuts: locks of hair grown strand by strand over the skull, on a cap that gives them body.

A lock is a ribbon a centimetre wide with strands painted on it. It grows from its root in small steps:
combed in a direction that the cut prescribes, pulled down by gravity once it leaves the skull, and kept
at a height over the skin. The cap is a second skin a little under the locks, so that none shows through.

Dimension key: S locks, N points along a lock, H rows, W columns.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from lab.actors import anatomy, materials
from lab.actors.facial_hair import hair_rgb, hairline
from lab.actors.fields import bump, grid_triangles, line, noise, smoothstep
from lab.actors.geometry import Head
from lab.actors.identity import Identity
from lab.actors.parts import Part

_STRIPS, _STRIP_WIDTH, _CAP_WIDTH, _TEXTURE_HEIGHT = 6, 56, 304, 288
_TEXTURE_WIDTH = _STRIPS * _STRIP_WIDTH + _CAP_WIDTH


@dataclass(frozen=True)
class Cut:
    """A haircut before an identity's length and volume change it.

    Args:
        comb: how the hair lies: "forward", "side", "back", "part", "tie" or "out".
        top_cm, side_cm: length of the locks on top and at the sides.
        lift_cm: height of the hair over the skull on top; a third of it at the sides if short.
        locks, points: how many, and points along each.
        width_cm: of a lock. curl_cm: how far it waves sideways. spread: disorder of directions.
        hangs: whether it falls below the ears. fringe: share of locks that fall on the forehead.
    """

    comb: str
    top_cm: float
    side_cm: float
    lift_cm: float
    locks: int = 420
    points: int = 5
    width_cm: float = 0.9
    curl_cm: float = 0.0
    spread: float = 0.20
    hangs: bool = False
    fringe: bool = False


_CUTS = {
    "crop": Cut("forward", 3.4, 1.7, 0.70, locks=640, points=4, width_cm=0.60, spread=0.20),
    "side_part": Cut("side", 6.0, 1.6, 1.15, locks=430, width_cm=0.85, spread=0.14),
    "swept_back": Cut("back", 7.5, 3.0, 1.15, locks=380, points=6, width_cm=0.85, spread=0.12),
    "curly": Cut(
        "part", 5.0, 4.0, 1.7, locks=420, points=6, width_cm=0.95, curl_cm=0.35, spread=0.45
    ),
    "afro": Cut("out", 0.8, 0.7, 2.4, locks=1100, points=3, width_cm=0.42, curl_cm=0.2, spread=0.9),
    "bob": Cut("part", 15.5, 11.5, 0.95, locks=260, points=8, width_cm=1.3, hangs=True),
    "long": Cut("part", 25.0, 21.5, 0.95, locks=260, points=9, width_cm=1.4, hangs=True),
    "ponytail": Cut("tie", 17.0, 12.0, 0.50, locks=280, points=7, width_cm=1.0, spread=0.08),
    "bun": Cut("tie", 15.0, 15.0, 0.50, locks=280, points=7, width_cm=1.0, spread=0.08),
    "fringe": Cut("part", 16.0, 12.0, 0.95, 290, 8, width_cm=1.25, hangs=True, fringe=True),
}


def build_hair(identity: Identity, head: Head) -> tuple[list[Part], np.ndarray]:
    """Grow an identity's hair.

    Returns:
        The pieces of hair (none if bald or buzzed: the scalp's paint does it), and their texture
        (H, W, 4) float32: linear albedo and opacity, roots at the top.
    """
    if identity.hair_cut not in _CUTS:
        return [], np.zeros((2, 2, 4), np.float32)
    cut = _tailored(_CUTS[identity.hair_cut], identity)
    rng = identity.random(3)
    skull = _Skull(head.rings)
    roots_u, roots_v = _sample_roots(cut, identity, rng)
    path_SN3 = _grow(cut, identity, skull, roots_u, roots_v, rng)
    pieces = [_ribbons(cut, skull, path_SN3, rng)]
    if cut.comb == "tie":
        pieces.append(_ribbons(cut, skull, _tied_end(identity, rng), rng))
    pieces.append(_cap(cut, identity, head.rings))
    return pieces, _paint_texture(identity, cut, rng)


def _tailored(cut: Cut, identity: Identity) -> Cut:
    """A cut with an identity's length and volume."""
    longer = 1 + 0.10 * identity.hair_length
    fuller = 1 + 0.16 * identity.hair_volume
    curl = cut.curl_cm + (0.16 * max(identity.hair_volume - 0.3, 0) if cut.hangs else 0)
    return replace(
        cut,
        top_cm=cut.top_cm * longer,
        side_cm=cut.side_cm * longer,
        lift_cm=cut.lift_cm * fuller,
        curl_cm=curl,
    )


def _tie_point(identity: Identity) -> np.ndarray:
    """Where tied hair is gathered."""
    return np.array([0, 10.2, -6.5] if identity.hair_cut == "bun" else [0, 6.0, -10.6])


class _Skull:
    """Distance to, and outward direction of, the skin under the hair and the clothes' shoulders."""

    def __init__(self, rings: np.ndarray) -> None:
        self.rings = rings
        u, v = np.meshgrid(np.linspace(-np.pi, np.pi, 90), np.linspace(0.05, 19, 96))
        step = 1e-3
        points = anatomy.surface(u, v, rings)
        along_u = anatomy.surface(u + step, v, rings) - points
        along_v = anatomy.surface(u, v + step, rings) - points
        normals = np.cross(along_v, along_u)
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-12
        self._points_P3, self._normals_P3 = points.reshape(-1, 3), normals.reshape(-1, 3)
        ears = 0.75 * bump(np.abs(u), v, (1.70, 8.0), (0.30, 1.5))
        self._clearance_P = (ears + 0.55 * smoothstep(17.0, 17.8, v)).ravel()
        self._tree = cKDTree(self._points_P3)

    def at(self, position_S3: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Height over the skin (S,), outward normal (S, 3), and clearance that ears need (S,)."""
        nearest = self._tree.query(position_S3)[1]
        normal_S3 = self._normals_P3[nearest]
        height_S = ((position_S3 - self._points_P3[nearest]) * normal_S3).sum(1)
        return height_S, normal_S3, self._clearance_P[nearest]


def _sample_roots(
    cut: Cut, identity: Identity, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Surface parameters (S,) of roots spread evenly over the scalp."""
    count = cut.locks * 8
    u, v = rng.uniform(-np.pi, np.pi, count), rng.uniform(0.3, 12, count)
    point = anatomy.surface(u, v)
    step = 1e-3
    along_u = anatomy.surface(u + step, v) - point
    area = np.linalg.norm(np.cross(along_u, anatomy.surface(u, v + step) - point), axis=1)
    inside = point[:, 1] > hairline(identity, u) + (0.30 if cut.comb == "tie" else 0.10)
    weight = area * inside
    if cut.hangs or cut.comb == "tie":  # the long way down thins the hair out: sow more on top
        weight *= 1 + 1.6 * smoothstep(3.0, 7.5, point[:, 1])
    if cut.fringe:
        weight *= 1 + 2.5 * (np.abs(u) < 0.95) * (v < 5.2) * (v > 3.0)
    chosen = rng.choice(count, cut.locks, replace=False, p=weight / weight.sum())
    return u[chosen], v[chosen]


def _grow(
    cut: Cut,
    identity: Identity,
    skull: _Skull,
    u: np.ndarray,
    v: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Paths of the locks: (S, N, 3)."""
    root_y = anatomy.surface(u, v)[:, 1]
    from_hairline = root_y - hairline(identity, u)
    length_S, lift_S, in_fringe = _lengths(cut, u, root_y, from_hairline, rng)
    sway_S3 = rng.standard_normal((len(u), 3)) * cut.spread
    phase_S = rng.uniform(0, 2 * np.pi, len(u))
    stations = np.linspace(0, 1, cut.points) ** (1.6 if cut.hangs else 1.0)  # dense at the root
    position_S3 = anatomy.surface(u, v, skull.rings)
    direction_S3 = np.zeros_like(position_S3)
    path = [position_S3]
    for step in range(1, cut.points):
        normal_S3 = skull.at(position_S3)[1]
        wanted_S3 = _comb(cut, identity, position_S3, normal_S3, in_fringe)
        wanted_S3 += sway_S3 * np.where(position_S3[:, 1] > 0, 1.0, 0.35)[:, None]
        into_S = (wanted_S3 * normal_S3).sum(1) * _held(cut, position_S3)
        direction_S3 = 0.35 * direction_S3 + _unit(wanted_S3 - 0.85 * into_S[:, None] * normal_S3)
        direction_S3 = _unit(direction_S3)
        step_S = length_S * (stations[step] - stations[step - 1])
        wave_S = cut.curl_cm * np.sin(phase_S + 2.2 * step)
        position_S3 = position_S3 + direction_S3 * step_S[:, None]
        position_S3 = position_S3 + wave_S[:, None] * np.cross(direction_S3, normal_S3)
        rising_S = lift_S * smoothstep(0, 0.35, step / (cut.points - 1))
        position_S3 = _keep_height(cut, skull, position_S3, rising_S, phase_S + step)
        if cut.hangs:
            position_S3 = _open_face(position_S3, in_fringe)
        path.append(position_S3)
    return np.stack(path, 1)


def _unit(vectors_S3: np.ndarray) -> np.ndarray:
    return vectors_S3 / (np.linalg.norm(vectors_S3, axis=-1, keepdims=True) + 1e-9)


def _lengths(
    cut: Cut,
    u: np.ndarray,
    root_y: np.ndarray,
    from_hairline: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each lock: its length (cm), its height over the skull (cm), whether it is of the fringe."""
    on_top = smoothstep(3.0, 7.5, root_y)
    length_S = (cut.side_cm + (cut.top_cm - cut.side_cm) * on_top) * rng.uniform(0.85, 1.1, len(u))
    sides = _side_lift(cut)
    lift_S = cut.lift_cm * (sides + (1 - sides) * on_top) * rng.uniform(0.55, 1.0, len(u))
    lift_S *= 0.35 + 0.65 * smoothstep(0, 2.0, from_hairline)
    in_fringe = (np.abs(u) < 0.95) & (from_hairline < 2.6) & (root_y > 5.0) & cut.fringe
    to_brows = from_hairline + rng.uniform(2.9, 3.4, len(u))
    return np.where(in_fringe, to_brows, length_S), lift_S, in_fringe


def _side_lift(cut: Cut) -> float:
    """Height of the hair at the sides as a share of that on top."""
    if cut.hangs or cut.comb in ("out", "tie"):
        return 1.0
    return 0.6 if cut.comb == "part" else 0.35


def _keep_height(
    cut: Cut, skull: _Skull, position_S3: np.ndarray, lift_S: np.ndarray, phase_S: np.ndarray
) -> np.ndarray:
    """Lift points out of the head; hold those still on the skull at their height over it."""
    height_S, normal_S3, clearance_S = skull.at(position_S3)
    least_S = lift_S + (clearance_S if cut.hangs else 0.35 * clearance_S) + 0.08
    least_S = least_S + 0.5 * cut.curl_cm * np.cos(phase_S)
    excess_S = height_S - least_S
    move_S = np.where(excess_S < 0, -excess_S, -excess_S * _held(cut, position_S3))
    if cut.hangs:
        move_S = np.minimum(move_S, np.where(position_S3[:, 1] < -6, 0.4, 3.0))
    return position_S3 + move_S[:, None] * normal_S3


def _held(cut: Cut, position_S3: np.ndarray) -> np.ndarray:
    """How firmly hair lies on the skull, 0 to 1: fully on top, not at all where it hangs freely."""
    if cut.comb == "out":
        return np.zeros(len(position_S3))
    return smoothstep(-3.0, 1.0, position_S3[:, 1]) if cut.hangs else np.ones(len(position_S3))


def _open_face(position_S3: np.ndarray, in_fringe: np.ndarray) -> np.ndarray:
    """Keep hanging hair beside the face, and fringes above the brows."""
    x, y, z = position_S3.T
    beside = np.interp(y, [-14, -8, -2, 3, 5.2, 6.6], [3.8, 5.5, 6.5, 6.4, 5.6, 0])
    beside = np.where((z > 0) & ~in_fringe, beside, 0)
    x = np.where(np.abs(x) < beside, np.copysign(beside, x), x)
    widest = np.interp(y, [-15, -10, -4], [8.0, 8.6, 9.6])  # falls straight: none stands off
    x = np.clip(x, -widest, widest)
    y = np.where(in_fringe, np.maximum(y, 3.0), y)
    return np.stack([x, y, z], 1)


def _comb(
    cut: Cut,
    identity: Identity,
    position_S3: np.ndarray,
    normal_S3: np.ndarray,
    in_fringe: np.ndarray,
) -> np.ndarray:
    """Direction in which the hair is combed at each point: (S, 3), not yet along the skin."""
    x, y, z = position_S3.T
    parting_x = 2.6 * identity.parting
    away = np.tanh((x - parting_x) / 0.8)
    side = np.sign(x)
    down = smoothstep(6.5, 2.5, y) * smoothstep(0.75, 1.15, np.abs(np.arctan2(x, z + 1.0)))
    zero = np.zeros_like(x)
    if cut.comb == "out":
        return normal_S3
    if cut.comb == "tie":
        to_tie = _tie_point(identity) - position_S3
        return to_tie / (np.linalg.norm(to_tie, axis=1, keepdims=True) + 1e-6)
    if cut.comb == "back":
        flow = np.stack([0.15 * side, 0.25 - 1.0 * smoothstep(-4, -9, z), zero - 1.0], 1)
    elif cut.comb == "side":
        flow = np.stack([away, -0.25 + zero, 0.25 + 0 * zero], 1)
    elif cut.comb == "forward":
        flow = np.stack([0.5 * np.sign(identity.parting) + 0.2 * side, zero, 0.9 + zero], 1)
    else:
        flow = np.stack([away, zero, -0.30 + 0.05 * z], 1)
    fall = np.stack([0.12 * side, zero - 1.0, np.where(cut.hangs, 0.0, -0.35) + zero], 1)
    if cut.comb == "back":
        fall = np.stack([zero, zero - 0.5, zero - 1.0], 1)
    if cut.comb == "part":
        angle = np.abs(np.arctan2(x, z + 1.0))
        down = np.maximum(smoothstep(0.75, 1.15, angle) * smoothstep(9.5, 6.0, y), down)
    combed = flow + (fall - flow) * down[:, None]
    forward = np.stack([0.15 * side, zero - 0.8, zero + 0.7], 1)
    return np.where(in_fringe[:, None], forward, combed)


def _tied_end(identity: Identity, rng: np.random.Generator) -> np.ndarray:
    """The hair beyond the tie: a tail hanging behind, or a knot on top: (S, N, 3)."""
    tie = _tie_point(identity)
    count, points = 70, 8
    along = np.linspace(0, 1, points)[None, :, None]
    spread = rng.standard_normal((count, 1, 3))
    if identity.hair_cut == "bun":
        radius = 2.1 + 0.25 * identity.hair_volume
        axis = spread / np.linalg.norm(spread, axis=2, keepdims=True)
        other = np.cross(axis, rng.standard_normal((count, 1, 3)))
        other /= np.linalg.norm(other, axis=2, keepdims=True)
        turn = 2.6 * (along - 0.5)
        ball = (axis * np.cos(turn) + other * np.sin(turn)) * radius * np.array([1, 0.85, 1])
        return tie + np.array([0, 1.0, -0.2]) + ball * rng.uniform(0.85, 1.0, (count, 1, 1))
    length = 15 + 2.5 * identity.hair_length
    out = np.array([0, 0.9, -2.4]) * np.sin(np.pi * np.clip(along * 1.6, 0, 1)) ** 0.8
    fan = spread * np.array([0.9, 0.4, 0.7]) * (0.25 + along)
    side = np.array([1.8 * np.sign(identity.parting), 0, 0]) * along
    return tie + out + fan + side + np.array([0, -length, -0.5]) * along**1.4


def _cap(cut: Cut, identity: Identity, rings: np.ndarray) -> Part:
    """The hair's body: over the scalp just under the locks, sinking into the skin at the hairline."""
    columns, rows = (73, 30) if cut.comb == "out" else (57, 26)
    u, v = np.meshgrid(np.linspace(-np.pi, np.pi, columns), np.linspace(0.02, 12.2, rows))
    base, step = anatomy.surface(u, v, rings), 1e-3
    normal = np.cross(
        anatomy.surface(u, v + step, rings) - base, anatomy.surface(u + step, v, rings) - base
    )
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-9
    normal[0] = [0, 1, 0]
    canonical_y = anatomy.surface(u, v)[..., 1]
    inside_cm = canonical_y - hairline(identity, u)
    on_top = smoothstep(3.0, 7.5, canonical_y)
    lift = cut.lift_cm * (_side_lift(cut) + (1 - _side_lift(cut)) * on_top)
    body = 0.92 if cut.comb == "out" else 0.45
    height = np.interp(inside_cm, [-0.8, 0.1, 0.9, 3.0], [-0.6, -0.10, 0.25, 1.0])
    height = np.where(height > 0, height * lift * body, height)
    if cut.comb == "part":
        crease = line(base[..., 0] - 2.6 * identity.parting, 0.45) * (base[..., 2] > -4)
        height -= 0.55 * lift * crease * (inside_cm > 0.5) * on_top
    lumps = noise(identity.random(4), (rows, columns), (9, 14), 2)
    lumps[:, -1] = lumps[:, 0]
    height = height + (0.5 * cut.curl_cm + 0.05) * lumps * (inside_cm > 1)
    if cut.comb == "out":
        height += (
            0.14
            * noise(identity.random(8), (rows, columns), (rows, columns), 1)
            * (inside_cm > 0.5)
        )
    first = _STRIPS * _STRIP_WIDTH + 4
    u_texture = (first + (_CAP_WIDTH - 8) * (u / (2 * np.pi) + 0.5)) / _TEXTURE_WIDTH
    grid = (base + normal * height[..., None]).reshape(-1, 3)
    uv_V2 = np.stack([u_texture, 0.05 + 0.9 * v / 12.2], -1).reshape(-1, 2)
    triangles = grid_triangles(columns, rows)
    below = (height.ravel()[triangles] < -0.45).all(1)
    return Part(
        grid, uv_V2, triangles[~below], materials.HAIR, "hair", np.full((len(grid), 3), 0.1)
    )


def _ribbons(cut: Cut, skull: _Skull, path_SN3: np.ndarray, rng: np.random.Generator) -> Part:
    """Locks as ribbons that lie along the skull, the nearest to the camera first (drawn faster)."""
    path_SN3 = path_SN3[np.argsort(-path_SN3[..., 2].mean(1), kind="stable")]
    count, points = path_SN3.shape[:2]
    along = np.gradient(path_SN3, axis=1)
    along /= np.linalg.norm(along, axis=2, keepdims=True) + 1e-9
    normal = skull.at(path_SN3.reshape(-1, 3))[1].reshape(path_SN3.shape)
    across = np.cross(along, normal)
    across /= np.linalg.norm(across, axis=2, keepdims=True) + 1e-9
    tilt = rng.uniform(-0.30, 0.30, (count, 1, 1))
    across = across * np.cos(tilt) + normal * np.sin(tilt)
    share = np.linspace(0, 1, points)
    half = 0.5 * cut.width_cm * np.interp(share, [0, 0.2, 0.6, 1], [0.8, 1.0, 1.0, 0.45])
    half = half[None, :, None] * rng.uniform(0.75, 1.25, (count, 1, 1))
    edges = np.stack([path_SN3 - across * half, path_SN3 + across * half], 2)  # (S, N, 2, 3)
    strip = rng.integers(0, _STRIPS, count)
    mirrored = rng.random(count) < 0.5
    left = strip * _STRIP_WIDTH + 2.0
    right = left + _STRIP_WIDTH - 4
    left, right = np.where(mirrored, right, left), np.where(mirrored, left, right)
    u = np.stack([left, right], -1)[:, None] / _TEXTURE_WIDTH
    uv = np.stack(np.broadcast_arrays(u, share[None, :, None]), -1)
    one = grid_triangles(2, points)
    triangles = (one[None] + (np.arange(count) * points * 2)[:, None, None]).reshape(-1, 3)
    vertices = edges.reshape(-1, 3)
    rigid = 0.35 + 0.65 * smoothstep(-16, -8, vertices[:, 1])
    return Part(
        vertices,
        uv.reshape(-1, 2),
        triangles,
        materials.HAIR,
        "hair",
        np.full((len(vertices), 3), 0.1),
        rigid_V=rigid,
    )


def _paint_texture(identity: Identity, cut: Cut, rng: np.random.Generator) -> np.ndarray:
    """Strands for the locks, side by side, and for the cap to their right: (H, W, 4)."""
    shape = (_TEXTURE_HEIGHT, _TEXTURE_WIDTH)
    v = np.linspace(0, 1, _TEXTURE_HEIGHT, dtype=np.float32)[:, None]
    column = np.arange(_TEXTURE_WIDTH)
    fine = noise(rng, shape, (3, 330), 1)
    clumps = noise(rng, shape, (4, 90), 2)
    if cut.comb == "out":  # small curls instead of strands
        fine, clumps = noise(rng, shape, (70, 150), 1), noise(rng, shape, (30, 64), 2)
    elif cut.curl_cm > 0.2:  # bend the strands
        shift = (5 * np.sin(2 * np.pi * (5 * v[:, 0] + rng.uniform()))).astype(int)
        rows = np.arange(_TEXTURE_HEIGHT)[:, None]
        wrapped = (column[None] + shift[:, None]) % _TEXTURE_WIDTH
        fine, clumps = fine[rows, wrapped], clumps[rows, wrapped]
    is_cap = column >= _STRIPS * _STRIP_WIDTH
    within = np.where(is_cap, 0.5, (column % _STRIP_WIDTH) / (_STRIP_WIDTH - 1))
    to_edge = 1 - np.abs(2 * within - 1) ** 3
    ends = 0.62 + 0.34 * to_edge + 0.10 * clumps[_TEXTURE_HEIGHT // 2]
    gaps = 0.5 + 0.9 * (to_edge - 0.15) + 0.30 * fine + 0.28 * clumps - 0.75 * v**2
    alpha = np.clip(gaps, 0, 1) * smoothstep(0.06, -0.10, v - ends) * smoothstep(0, 0.06, v)
    alpha = np.where(is_cap, 1.0, np.clip(1.25 * alpha, 0, 1))
    shade = np.exp(0.20 * fine + 0.17 * clumps)
    shade = shade * np.where(is_cap, 0.5 if cut.comb == "out" else 0.68, 0.70 + 0.42 * v)
    rgb = hair_rgb(identity) * shade[..., None]
    return np.concatenate([np.clip(rgb, 0.003, 0.9), alpha[..., None]], -1).astype(np.float32)
