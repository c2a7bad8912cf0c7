"""One actor: an identity's mesh and textures, built once, and posed for every frame.

World coordinates: cm; x to the right of the image, y up, z towards the camera; the bridge of the nose
lies near (0, 0, 8), the crown at y = 11, the chin near y = -11.5, the shoulders at y = -19.

Dimension key: V vertices, T triangles, H texture rows, W texture columns, E expressions, L landmarks,
J jaw landmarks, K candidates for each of them.
"""

import numba
import numpy as np

from lab.actors import materials, occlusion, parts
from lab.actors.appearance import mean_skin_rgb, paint_eye, paint_skin
from lab.actors.expressions import (
    EXPRESSIONS,
    JAW_ANGLE_DEG,
    JAW_HINGE_YZ_CM,
    expression_vector,
)
from lab.actors.eyelids import EYEBALL_RADIUS_CM
from lab.actors.fields import smoothstep
from lab.actors.geometry import Head, build_head
from lab.actors.glasses import build_glasses
from lab.actors.hair import build_hair
from lab.actors.identity import Identity
from lab.actors.landmarks import attachment
from lab.actors.materials import PART_PAINTED, part_code
from lab.actors.parts import EYE_TEXTURE_HALF_CM, Part
from lab.actors.pose import Pose
from lab.actors.topology import topology

_NECK_PIVOT = np.array([0, -8, -1.5], np.float32)


class Actor:
    """Mesh and textures of one identity (about 0.5 s to build).

    Attributes (float32 unless stated, C-contiguous):
        vertices_V3: neutral shape, cm. uv_V2: in [0, 1] of the material's texture.
        triangles_T3: int32, front faces anticlockwise. material_T: uint8, lab.actors.materials.
        part_T: uint8, position in PARTS, or PART_PAINTED: look it up in skin_part_HW.
        colour_V3: linear albedo where the material has no texture.
        occlusion_V: share of ambient light that arrives, [0, 1].
        weld_V: int32, the vertex with which each one shares its normal.
        skin_texture_HW4: linear albedo and gloss. skin_height_HW: fine relief, cm.
        skin_part_HW: uint8 positions in PARTS.
        hair_texture_HW4: linear albedo and opacity; v runs from root to tip.
        eye_texture_HW3: linear albedo, iris in the middle. eye_iris_radius_uv: its radius.
        landmark_index_L3 (int32), landmark_weight_L3: the 68 landmarks on the mesh.
        jaw_index_JK3 (int32), jaw_weight_JK3: candidates of landmarks 0-16, outermost first.
        skin_tone: 0 lightest to 1 darkest. mean_albedo: mean linear luminance of the skin.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        head = build_head(identity)
        skin = paint_skin(identity)
        self.skin_texture_HW4 = np.concatenate([skin.rgb, skin.gloss[..., None]], -1)
        self.skin_height_HW, self.skin_part_HW = skin.relief, skin.part
        self.eye_texture_HW3, self.eye_iris_radius_uv = paint_eye(identity)
        hair_parts, self.hair_texture_HW4 = build_hair(identity, head)
        self._join(
            [_skin_part(head), *_mouth(identity, head), *_other(identity, head), *hair_parts]
        )
        self._collect_motion(head)
        self.weld_V = np.arange(len(self.vertices_V3), dtype=np.int32)
        self.weld_V[: self._skin_count] = topology().weld_V
        self._bake_occlusion()
        points = attachment()
        self.landmark_index_L3, self.landmark_weight_L3 = points.index_L3, points.weight_L3
        self.jaw_index_JK3, self.jaw_weight_JK3 = points.jaw_index_JK3, points.jaw_weight_JK3
        self.skin_tone = identity.skin_tone
        self.mean_albedo = float(mean_skin_rgb(identity) @ np.array([0.2126, 0.7152, 0.0722]))

    def pose(
        self,
        expression: dict[str, float] | np.ndarray | None = None,
        pose: Pose = Pose(),  # noqa: B008 - frozen
        gaze_deg: tuple[float, float] = (0.0, 0.0),
    ) -> tuple[np.ndarray, np.ndarray]:
        """Move the actor.

        Args:
            expression: weights in [0, 1] by name, or an array in the order of EXPRESSIONS.
            pose: of the head; the shoulders only shift.
            gaze_deg: direction of the eyes in the head, (positive to the right of the image,
                positive up).

        Returns:
            World positions (V, 3) in cm and texture coordinates (V, 2), float32.
        """
        weights_E = expression_vector(expression)
        blink_l, blink_r = weights_E[EXPRESSIONS.index("blink_l")], weights_E[_BLINK_R]
        bows = np.float32([blink_l * (1 - blink_l), blink_r * (1 - blink_r)])
        weights_B = np.concatenate([weights_E[1:], bows])
        active = np.flatnonzero(weights_B)
        jaw_rad = np.float32(np.radians(JAW_ANGLE_DEG) * weights_E[0])
        shift = np.float32([pose.shift_x_cm, pose.shift_y_cm, 0])
        vertices_V3 = np.empty_like(self.vertices_V3)
        _move(
            self.vertices_V3,
            self._shapes_BV3,
            active,
            weights_B,
            self._jaw_V,
            jaw_rad,
            self._rigid_V,
            pose.rotation_33(),
            shift,
            vertices_V3,
        )
        uv_V2 = self.uv_V2.copy()
        turn = np.sin(np.radians(gaze_deg)) * EYEBALL_RADIUS_CM / (2 * EYE_TEXTURE_HALF_CM)
        uv_V2[self._eye_vertices] -= np.float32([turn[0], -turn[1]])
        return vertices_V3, uv_V2

    def _join(self, pieces: list[Part]) -> None:
        """Concatenate the pieces into one mesh; the skin comes first."""
        starts = np.cumsum([0] + [len(piece.vertices_V3) for piece in pieces])

        def joined(arrays: list, dtype: type) -> np.ndarray:
            return np.ascontiguousarray(np.concatenate(arrays), dtype)

        self._skin_count = len(pieces[0].vertices_V3)
        self.vertices_V3 = joined([p.vertices_V3 for p in pieces], np.float32)
        self.uv_V2 = joined([p.uv_V2 for p in pieces], np.float32)
        self.colour_V3 = joined([p.colour_V3 for p in pieces], np.float32)
        self.triangles_T3 = joined(
            [p.triangles_T3 + start for p, start in zip(pieces, starts, strict=False)], np.int32
        )
        counts = [len(p.triangles_T3) for p in pieces]
        self.material_T = np.repeat([p.material for p in pieces], counts).astype(np.uint8)
        labels = [part_code(p.label) if p.label else PART_PAINTED for p in pieces]
        self.part_T = np.repeat(labels, counts).astype(np.uint8)
        self._jaw_V = joined([p.jaw_V for p in pieces], np.float32)
        self._rigid_V = joined([p.rigid_V for p in pieces], np.float32)
        self._fixed_occlusion = [
            (slice(start, start + len(p.vertices_V3)), p.occlusion_V)
            for p, start in zip(pieces, starts, strict=False)
            if p.occlusion_V is not None
        ]
        self._eye_vertices = np.unique(self.triangles_T3[self.material_T == materials.EYE])

    def _collect_motion(self, head: Head) -> None:
        """Stack the linear shapes in the order of EXPRESSIONS, then the two blink corrections."""
        shapes = [head.shapes[name] for name in EXPRESSIONS[1:]]
        shapes += [head.blink_bows[1], head.blink_bows[-1]]
        self._shapes_BV3 = np.ascontiguousarray(shapes, np.float32)

    def _bake_occlusion(self) -> None:
        """Ambient occlusion of the neutral shape, but for pieces that bring their own."""
        normals_V3 = occlusion.vertex_normals(self.vertices_V3, self.triangles_T3, self.weld_V)
        self.occlusion_V = occlusion.bake(
            self.vertices_V3,
            normals_V3,
            self.uv_V2,
            self.triangles_T3,
            self.material_T,
            self.hair_texture_HW4,
        )
        for where, values in self._fixed_occlusion:
            self.occlusion_V[where] = values


_BLINK_R = EXPRESSIONS.index("blink_r")


def _skin_part(head: Head) -> Part:
    mesh = topology()
    return Part(
        head.vertices_V3,
        mesh.uv_V2,
        mesh.triangles_T3,
        materials.SKIN,
        "",
        np.full((len(mesh.u_V), 3), 0.5),
        jaw_V=head.jaw_V,
        rigid_V=smoothstep(17.8, 14.8, mesh.v_V),
    )


def _mouth(identity: Identity, head: Head) -> list[Part]:
    """Teeth, tongue and cavity, placed behind the lips."""
    rim = head.vertices_V3[topology().mouth_rim]
    middle = np.abs(rim[:, 0]) < 1.4
    centre = np.array([0, rim[middle, 1].mean(), rim[middle, 2].min() - 0.25])
    return [
        parts.teeth(centre + np.array([0, -0.36, 0.04]), identity, upper=True),
        parts.teeth(centre + np.array([0, 0.02, -0.16]), identity, upper=False),
        parts.mouth_cavity(centre),
        parts.tongue(centre),
    ]


def _other(identity: Identity, head: Head) -> list[Part]:
    """Eyes, ears, clothes and glasses."""
    pieces = [parts.eyeball(eye, side) for side, eye in head.eyes.items()]
    pieces += [parts.ear(identity, head.rings, side) for side in (1, -1)]
    return [*pieces, parts.clothes(identity, head.rings), *build_glasses(identity, head)]


@numba.njit(cache=True, fastmath=True)
def _move(
    neutral_V3: np.ndarray,
    shapes_BV3: np.ndarray,
    active: np.ndarray,
    weights_B: np.ndarray,
    jaw_V: np.ndarray,
    jaw_rad: float,
    rigid_V: np.ndarray,
    rotation_33: np.ndarray,
    shift_3: np.ndarray,
    out_V3: np.ndarray,
) -> None:
    """Add the active shapes, turn the jaw about its hinge, then the head about the neck."""
    out_V3[:] = neutral_V3
    for b in active:
        for v in range(shapes_BV3.shape[1]):
            for i in range(3):
                out_V3[v, i] += weights_B[b] * shapes_BV3[b, v, i]
    hinge_y, hinge_z = JAW_HINGE_YZ_CM
    for v in range(neutral_V3.shape[0]):
        x, y, z = out_V3[v, 0], out_V3[v, 1], out_V3[v, 2]
        if jaw_rad > 0 and jaw_V[v] > 0:
            cosine, sine = np.cos(jaw_rad * jaw_V[v]), np.sin(jaw_rad * jaw_V[v])
            dy, dz = y - hinge_y, z - hinge_z
            y, z = hinge_y + cosine * dy - sine * dz, hinge_z + sine * dy + cosine * dz
        dx, dy, dz = x - _NECK_PIVOT[0], y - _NECK_PIVOT[1], z - _NECK_PIVOT[2]
        out_V3[v, 0], out_V3[v, 1], out_V3[v, 2] = x, y, z
        for i in range(3):
            turned = rotation_33[i, 0] * dx + rotation_33[i, 1] * dy + rotation_33[i, 2] * dz
            turned += _NECK_PIVOT[i]
            out_V3[v, i] += (turned - out_V3[v, i]) * rigid_V[v] + shift_3[i]
