"""The shape of one identity's head: the average surface, carved and stretched by its parameters.

All numbers are cm in canonical front coordinates (see lab.actors.anatomy); the weights of the
parameters were tuned by eye and by dlib's detector and landmarks.
"""

from dataclasses import dataclass

import numpy as np

from lab.actors import anatomy, eyelids
from lab.actors.anatomy import MOUTH_Y_CM, RINGS
from lab.actors.expressions import jaw_weights, muscle_shapes
from lab.actors.fields import bump, line, smooth_max, smoothstep
from lab.actors.identity import BUMPS, Identity
from lab.actors.topology import topology


@dataclass(frozen=True, eq=False)
class Head:
    """Neutral shape and its motions.

    rings: the identity's version of anatomy.RINGS. vertices_V3: cm.
    eyes: the eyeballs, by side (1 = x > 0).
    shapes: displacement (V, 3) by expression name (all but jaw_open).
    blink_bows: by side, what to add times w (1 - w) as a lid closes by w.
    jaw_V: share of the jaw's turn.
    """

    rings: np.ndarray
    vertices_V3: np.ndarray
    eyes: dict[int, "eyelids.Eyeball"]
    shapes: dict[str, np.ndarray]
    blink_bows: dict[int, np.ndarray]
    jaw_V: np.ndarray


def build_head(identity: Identity) -> Head:
    """Shape the shared mesh for an identity."""
    mesh = topology()
    rings = identity_rings(identity)
    plain_V3 = _shape_face(identity, rings)
    eyes = {side: eyelids.place_eyeball(plain_V3, identity, side) for side in (1, -1)}
    vertices_V3 = plain_V3.copy()
    for side, eye in eyes.items():
        vertices_V3[:, 2] = eyelids.drape(vertices_V3, eye, side)
    shapes = muscle_shapes(mesh.x_V, mesh.y_V, mesh.front_V)
    bows = {}
    for name, side in (("l", 1), ("r", -1)):
        lids = eyelids.lid_shapes(plain_V3, vertices_V3, eyes[side], identity, side)
        bows[side] = lids.pop("bow")
        shapes |= {f"{key}_{name}": value for key, value in lids.items()}
        shapes[f"smile_{name}"] = shapes[f"smile_{name}"] + 0.3 * shapes[f"squint_{name}"]
    jaw_V = jaw_weights(mesh.x_V, mesh.y_V, mesh.u_V, mesh.v_V)
    return Head(rings, vertices_V3, eyes, shapes, bows, jaw_V)


def identity_rings(identity: Identity) -> np.ndarray:
    """RINGS with an identity's skull: widths, lengths of the face's thirds, neck."""
    rings = RINGS.copy()
    width = rings[:, 3]
    width[:15] *= 1 + 0.030 * identity.head_width
    jaw_share = {9: 0.3, 10: 0.6, 11: 0.9, 12: 1.0, 13: 1.0, 14: 0.8, 15: 0.4}
    for ring, share in jaw_share.items():
        width[ring] *= 1 + 0.050 * share * identity.jaw_width
    rings[12, 1] -= 0.30 * identity.jaw_width
    rings[13, 1] -= 0.35 * identity.jaw_width
    lengthen = {
        9: 0.15 * identity.midface_length,
        10: 0.13 * identity.face_length + 0.05 * identity.mouth_height,
        11: 0.20 * identity.chin_height,
    }
    for first, amount in lengthen.items():  # all below moves down; behind the jaw it moves less
        rings[first:, 0:3] -= np.array([1, 0.7, 0.5]) * amount
    rings[:6, 0:3] += np.linspace(1, 0, 6)[:, None] * 0.30 * identity.forehead_height
    neck = 1 + 0.045 * identity.neck_width
    width[14:18] *= np.array([0.25, 0.6, 1.0, 0.8]) * (neck - 1) + 1
    rings[15:18, 5] *= np.array([0.4, 0.6, 0.6]) * (neck - 1) + 1
    return rings


def _shape_face(identity: Identity, rings: np.ndarray) -> np.ndarray:
    """Vertices (V, 3) before the eyelids are draped over the eyeballs."""
    mesh = topology()
    x_V, y_V, z_V = anatomy.surface(mesh.u_V, mesh.v_V, rings).T.copy()
    z_V += _relief(identity) * mesh.front_V
    aside, sign = np.abs(mesh.x_V), np.sign(mesh.x_V)
    cheekbone = bump(aside, mesh.y_V, (6.3, -2.0), (1.3, 1.6))
    cheek = bump(aside, mesh.y_V, (5.6, -6.0), (1.2, 2.0))
    outward = (0.12 + 0.20 * identity.cheek_width) * cheekbone
    x_V += sign * mesh.front_V * (outward + 0.20 * identity.cheek_fullness * cheek)
    _add_nose(identity, rings, y_V, z_V)
    _add_lips(identity, y_V, z_V)
    _warp(identity, x_V, y_V, z_V)
    vertices_V3 = np.stack([x_V, y_V, z_V], 1)
    return vertices_V3 + _neck_relief(identity, rings)


def _relief(identity: Identity) -> np.ndarray:
    """Depth added to the average face: brow ridge, sockets, cheeks, folds, chin."""
    mesh = topology()
    x, y = mesh.x_V, mesh.y_V
    aside = np.abs(x)
    ridge_y = 1.95 + 0.12 * identity.brow_height - 0.04 * (aside - 2.6) ** 2
    depth = (0.23 + 0.13 * identity.brow_ridge) * line(y - ridge_y, 0.85)
    depth *= smoothstep(5.8, 3.4, aside)
    depth += (0.06 + 0.06 * identity.brow_ridge) * bump(x, y, (0, 1.7), (1.0, 0.8))
    depth -= (0.74 + 0.12 * identity.eye_depth) * bump(aside, y, (3.0, 0.05), (1.75, 1.2))
    depth -= 0.40 * bump(aside, y, (1.45, 0.35), (0.75, 0.9))
    depth += (0.42 + 0.12 * identity.cheek_width) * bump(aside, y, (4.3, -2.5), (1.6, 1.25))
    depth -= (0.10 + 0.03 * identity.age) * bump(aside, y, (2.3, -1.6), (1.2, 0.45))
    depth += (0.20 * identity.cheek_fullness - 0.24) * bump(aside, y, (4.5, -5.9), (1.4, 1.9))
    depth += 0.40 * bump(x, y, (0, -6.4), (2.7, 2.3))
    depth -= (0.06 + 0.05 * max(identity.age, -0.5)) * nasolabial_fold(x, y)
    depth -= 0.09 * bump(x, y, (0, -5.5), (0.22, 0.5))  # philtrum and its two ridges
    depth += 0.05 * bump(aside, y, (0.38, -5.55), (0.2, 0.5))
    depth -= 0.38 * bump(x, y, (0, -8.6), (1.7, 0.50))  # under the lower lip
    chin_x, chin_size = 0.35 + 0.12 * identity.chin_width, 1.35 + 0.22 * identity.chin_width
    chin = bump(aside, y, (chin_x, -9.95), (chin_size, 0.95))
    depth += (0.46 + 0.22 * identity.chin_projection) * chin
    depth -= 0.22 * bump(aside, y, (6.3, 2.6), (1.0, 1.9))  # temples
    depth += 0.12 * bump(aside, y, (2.1, 5.0), (1.6, 1.5))
    return depth


def nasolabial_fold(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """1 on the fold from the wing of the nose to the corner of the mouth, 0 away from it."""
    fold = line(np.abs(x) - (1.9 + 0.40 * (-4.3 - y)), 0.30)
    return fold * smoothstep(-4.0, -4.8, y) * smoothstep(-7.6, -6.2, y)


@dataclass(frozen=True)
class NoseFrame:
    """Where an identity's nose lies, shared by shape and skin: see `nose_frame`."""

    stretch: float  # vertical, about 1
    tip_y_cm: float
    tip_lift_cm: float
    spread: float  # of the wings, about 1


def nose_frame(identity: Identity) -> NoseFrame:
    """Measures of the nose in canonical coordinates."""
    stretch = 1 + 0.06 * identity.nose_length
    return NoseFrame(
        stretch, -3.62 * stretch, 0.14 * identity.nose_tip_up, 1 + 0.09 * identity.nose_width
    )


def _ball(
    aside: np.ndarray, y: np.ndarray, centre: tuple[float, float, float], radius: float, wide: float
) -> np.ndarray:
    """Height of a ball's front, falling away steeply outside it."""
    rest = radius * radius - ((aside - centre[0]) / wide) ** 2 - (y - centre[1]) ** 2
    outside = centre[2] - 1.6 * np.sqrt(np.maximum(-rest, 0))
    return np.where(rest > 0, centre[2] + np.sqrt(np.maximum(rest, 0)), outside)


def _add_nose(identity: Identity, rings: np.ndarray, y_V: np.ndarray, z_V: np.ndarray) -> None:
    """Join bridge, tip, wings and septum smoothly to the face; sink the nostrils. In place."""
    mesh, nose = topology(), nose_frame(identity)
    aside, y = np.abs(mesh.x_V), mesh.y_V
    stretch, tip_y, lift = nose.stretch, nose.tip_y_cm, nose.tip_lift_cm
    midline = anatomy.surface(np.zeros(2), anatomy.ring_at_height(np.array([-0.6, 3.6])), rings)
    tip_z = midline[1, 2] + 2.25 + 0.24 * identity.nose_projection
    root_z = midline[0, 2] - 0.05 + 0.20 * identity.nose_bridge
    down = np.clip((0.7 - y) / (0.7 - tip_y), 0, 1.25)
    ridge = root_z + (tip_z - 0.12 - root_z) * down**1.12
    ridge += 0.18 * identity.nose_hump * line(down - 0.45, 0.25)
    half = (0.62 + 0.11 * identity.nose_bridge_width) * (1 + 0.35 * down)
    half *= 1 + 0.7 * smoothstep(0.15, 0, down)
    ridge -= (1.05 + 0.75 * down) * (np.sqrt((aside / half) ** 2 + 0.35) - 0.59)
    ridge -= 3.5 * smoothstep(1.02, 1.25, down) + 2.0 * smoothstep(0.18, -0.02, down)
    wide = 0.05 * identity.nose_width
    tip = _ball(aside, y, (0.18, tip_y, tip_z - 0.85), 0.85 + wide, 1.05)
    wing_at = (1.18 * nose.spread, -4.03 * stretch, tip_z - 1.95)
    wing = _ball(aside, y, wing_at, 0.70 + wide, 0.92)
    septum = _ball(aside, y, (0, -4.35 * stretch + lift, tip_z - 1.25), 0.50, 0.8)
    whole = smooth_max(ridge, tip, 0.55) - 0.10
    whole = smooth_max(whole, wing, 0.42) - 0.06
    whole = smooth_max(whole, septum, 0.35) - 0.05
    where = smoothstep(2.9, 2.2, aside) * smoothstep(1.6, 0.9, y) * smoothstep(-5.6, -5.0, y)
    where = where * mesh.front_V
    z_V += (smooth_max(z_V, whole, 0.34) - 0.08 - z_V) * where
    at = (0.68 * nose.spread, -4.52 * stretch + 0.02 + 0.6 * lift)
    z_V -= 0.42 * bump(aside, y, at, (0.34 * nose.spread, 0.16)) * where
    z_V -= 0.07 * wing_crease(identity, mesh.x_V, y, 0.13) * where
    y_V += 1.6 * lift * bump(mesh.x_V, y, (0, tip_y), (1.0, 0.9)) * where


def wing_crease(identity: Identity, x: np.ndarray, y: np.ndarray, width: float) -> np.ndarray:
    """1 in the groove behind the wing of the nose."""
    nose, aside = nose_frame(identity), np.abs(x)
    round_wing = np.hypot((aside - 1.18 * nose.spread) / 0.95, y + 4.0 * nose.stretch)
    crease = line(round_wing - 0.82, width)
    return crease * smoothstep(1.2, 1.7, aside) * smoothstep(-3.2, -3.8, y)


def _add_lips(identity: Identity, y_V: np.ndarray, z_V: np.ndarray) -> None:
    """Bulge the lips, roll their inner edge in, close the mouth hole, set their heights. In place."""
    mesh = topology()
    along, across, upper, thickness = anatomy.mouth_coordinates(mesh.x_V, mesh.y_V)
    inside = np.clip(along, -1, 1)
    envelope = np.sqrt(1 - inside**2)
    size = 0.46 + 0.09 * identity.lip_projection
    upper_bulge = 0.85 * size * line(across - 0.55, 0.55)
    lower_bulge = size * (0.85 + 0.1 * identity.lower_lip) * line(across - 0.48, 0.50)
    bulge = np.where(upper, upper_bulge, lower_bulge) * envelope
    roll = 0.55 * line(across, 0.13) * (0.35 + 0.65 * envelope)
    roll += 0.16 * line(np.abs(along) - 1.02, 0.16) * line(across, 1.2)
    z_V += (bulge - roll) * mesh.front_V * (across < 4)
    gap = anatomy.lip_gap(inside) * np.exp(-across / 1.2) * (np.abs(along) <= 1)
    y_V -= 1.12 * np.where(upper, gap, -gap)  # the lips overlap a little: no slit
    profile = np.where(across < 1, across, np.exp(-(across - 1) / 0.8))
    grow = np.where(upper, 0.18 * identity.upper_lip, -0.16 * identity.lower_lip)
    y_V += grow * thickness * profile * envelope * (np.abs(along) < 1) * mesh.front_V


def _warp(identity: Identity, x_V: np.ndarray, y_V: np.ndarray, z_V: np.ndarray) -> None:
    """Move features sideways and up, open the eyes, add asymmetry and free-form bumps. In place."""
    mesh = topology()
    x, y, front = mesh.x_V, mesh.y_V, mesh.front_V
    aside, sign = np.abs(x), np.sign(x)
    eyes = bump(aside, y, (3.1, 0.2), (2.2, 2.0)) * smoothstep(0, 1.2, aside)
    x_V += sign * front * 0.15 * identity.eye_spacing * eyes
    wings = bump(aside, y, (0.9, -4.1), (1.1, 1.0))
    x_V += x * front * 0.9 * (nose_frame(identity).spread - 1) * wings
    mouth = bump(aside, y, (1.6, MOUTH_Y_CM), (2.6, 1.6))
    x_V += x * front * 0.055 * identity.mouth_width * mouth
    x_V += x * front * 0.08 * identity.chin_width * bump(aside, y, (1.5, -10.4), (2.6, 1.4))
    near_eye = np.hypot((aside - anatomy.EYE_X_CM) / 1.6, y / 0.9)
    near_eye = np.exp(-(np.maximum(near_eye - 0.9, 0) ** 2) / 0.25) * front
    off_centre = aside - anatomy.EYE_X_CM
    x_V += off_centre * sign * 0.045 * identity.eye_width * near_eye
    opening = eyelids.opening_scale(identity) - 1
    y_V += (y * opening + off_centre * 0.07 * identity.eye_tilt) * near_eye
    y_V += front * 0.16 * identity.brow_height * bump(aside, y, (3, 2.1), (2.6, 0.8))
    lean = 0.10 * bump(x, y, (0, -4), (2.5, 4)) + 0.08 * smoothstep(-5, -10, y)
    x_V += front * identity.asymmetry * lean * 0.8
    for (at_x, at_y, size_x, size_y), (depth, up, out) in zip(
        BUMPS, identity.bumps_B3, strict=True
    ):
        weight = bump(aside, y, (at_x, at_y), (size_x, size_y)) * front * min(size_x, size_y)
        z_V += 0.30 * depth * weight
        y_V += 0.23 * up * weight
        x_V += 0.18 * out * weight * (sign if at_x > 0 else x / 2)


def _neck_relief(identity: Identity, rings: np.ndarray) -> np.ndarray:
    """Displacement (V, 3) along the neck's outside: the two neck muscles, the larynx, its hollow."""
    mesh = topology()
    angle, v = np.abs(mesh.u_V), mesh.v_V
    down = np.clip((v - 10.0) / 8.3, 0, 1)  # from behind the ear to the collar bone
    muscle_u = np.radians(112) * (1 - down) ** 1.1 + np.radians(10)
    muscle = 0.22 * line(angle - muscle_u, 0.24 + 0.10 * (1 - down))
    muscle *= smoothstep(14.2, 16.0, v)
    hollow = 0.40 * line(angle, 0.12) * line(v - 18.2, 0.5)
    larynx_size = 0.16 + 0.20 * max(identity.masculinity, 0)
    larynx = larynx_size * line(angle, 0.22) * line(v - 16.6, 0.5)
    collar_bone = 0.22 * line(v - 18.25, 0.22) * smoothstep(0.15, 0.4, angle) * (angle < 1.6)
    amount = muscle + larynx - hollow + collar_bone
    outward = np.stack([np.sin(mesh.u_V), 0 * v, np.cos(mesh.u_V)], 1)
    return outward * amount[:, None]
