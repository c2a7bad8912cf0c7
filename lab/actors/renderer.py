"""The renderer: an actor, an expression, a pose and a scene become a frame with its ground truth."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lab.actors import raster, shading
from lab.actors.actor import Actor
from lab.actors.expressions import EXPRESSIONS, expression_vector
from lab.actors.materials import FACE_PARTS, part_code
from lab.actors.pose import Pose
from lab.actors.relief import hull_normals, textures_of
from lab.actors.scene import Background, Camera, Light, direction
from lab.errors import UserError

_SHADOW_TEXELS = 176
_SHADOW_EXTENT_CM = 36.0  # side of the square that the shadow map covers
_SHADOW_CENTRE = np.array([0.0, -3.0, 0.0], np.float32)
_VISIBLE_WITHIN_CM = 0.5  # a landmark this far under the nearest surface still counts as visible
_FACE_CODES = np.array([part_code(name) for name in FACE_PARTS], np.uint8)


@dataclass(frozen=True)
class Frame:
    """One rendered image and the truth about it.

    Pixel coordinates: x right, y down, (0, 0) is the centre of the top-left pixel.

    Args:
        image_HW3: uint8 RGB.
        landmarks_px_L2: float32 (68, 2), iBUG order; the jaw follows the visible contour.
        visible_L: bool (68,); False if hidden by something else or outside the image.
        parts_HW: uint8, positions in `PARTS`.
        depth_cm_HW: float32 distance from the camera along its axis; inf is background.
        pose: of the head.
        expression_E: float32, in the order of `EXPRESSIONS`.
    """

    image_HW3: np.ndarray
    landmarks_px_L2: np.ndarray
    visible_L: np.ndarray
    parts_HW: np.ndarray
    depth_cm_HW: np.ndarray
    pose: Pose
    expression_E: np.ndarray

    @property
    def mask_HW(self) -> np.ndarray:
        """bool: the face, that is skin, brows, eyes, lips, mouth, beard and glasses."""
        return np.isin(self.parts_HW, _FACE_CODES)


class Renderer:
    """Renders frames of one size; keeps its buffers, so make one and use it often.

    Args:
        size_px: width and height of the image, 16 to 1024.
        supersample: samples along each side of a pixel, 1 to 4.
    """

    def __init__(self, size_px: int = 256, supersample: int = 2) -> None:
        if not 16 <= size_px <= 1024:
            raise UserError(f"image size {size_px} px; choose 16 to 1024")
        if not 1 <= supersample <= 4:
            raise UserError(f"supersample {supersample}; choose 1 to 4")
        self.size_px, self.supersample = size_px, supersample
        side = size_px * supersample
        self._nearness_NN = np.empty((side, side), np.float32)
        self._triangle_NN = np.empty((side, side), np.int32)
        self._height_SS = np.empty((_SHADOW_TEXELS, _SHADOW_TEXELS), np.float32)
        self._shadow_SS = np.empty_like(self._height_SS)
        self._shadow_triangle_SS = np.empty((_SHADOW_TEXELS, _SHADOW_TEXELS), np.int32)
        self._image_HW3 = np.empty((size_px, size_px, 3), np.float32)

    def render(
        self,
        actor: Actor,
        expression: dict[str, float] | np.ndarray | None = None,
        pose: Pose = Pose(),  # noqa: B008 - frozen
        gaze_deg: tuple[float, float] = (0.0, 0.0),
        light: Light = Light(),  # noqa: B008
        background: Background = Background(),  # noqa: B008
        camera: Camera = Camera(),  # noqa: B008
    ) -> Frame:
        """Render one frame; the same arguments always give the same bytes.

        Args:
            actor: whom to show.
            expression: weights in [0, 1] by name, or an array in the order of `EXPRESSIONS`.
            pose: rotation and shift of the head.
            gaze_deg: direction of the eyes in the head: (+ image right, + up).
            light, background, camera: the scene.
        """
        expression_E = expression_vector(expression)
        vertices_V3, uv_V2 = actor.pose(expression_E, pose, gaze_deg)
        textures = textures_of(actor, camera.field_cm / self.size_px)
        side = self.size_px * self.supersample
        lens = np.array(
            [
                camera.centre_x_cm,
                camera.centre_y_cm,
                camera.distance_cm,
                side * camera.distance_cm / camera.field_cm,
            ],
            np.float32,
        )

        # What each sample sees.
        packed_VA = np.empty((len(vertices_V3), raster.ATTRIBUTES), np.float32)
        screen_V3 = np.empty_like(vertices_V3)
        raster.vertex_stage(
            vertices_V3,
            uv_V2,
            actor.occlusion_V,
            actor.colour_V3,
            actor.triangles_T3,
            actor.weld_V,
            packed_VA,
        )
        raster.strand_stage(
            actor.triangles_T3,
            actor.material_T,
            hull_normals(actor),
            pose.rotation_33(),
            packed_VA,
        )
        raster.project(vertices_V3, lens, float(side), screen_V3)
        raster.raster(
            screen_V3,
            uv_V2,
            actor.triangles_T3,
            actor.material_T,
            textures.opacity_HW,
            False,
            0.0,
            self._nearness_NN,
            self._triangle_NN,
        )

        # What the key light sees.
        lighting = self._lighting(actor, vertices_V3, uv_V2, textures.opacity_HW, pose, light, lens)

        # Colours, labels and depth.
        parts_HW = np.empty((self.size_px, self.size_px), np.uint8)
        depth_cm_HW = np.empty((self.size_px, self.size_px), np.float32)
        shading.shade(
            screen_V3,
            packed_VA,
            actor.triangles_T3,
            actor.material_T,
            actor.part_T,
            self._nearness_NN,
            self._triangle_NN,
            textures.skin_HWC,
            textures.skin_part_HW,
            textures.hair_HW4,
            textures.eye_HW3,
            textures.iris_radius_uv,
            lighting,
            self._shadow_SS,
            tone_curve(),
            background.image(self.size_px),
            self._image_HW3,
            parts_HW,
            depth_cm_HW,
        )
        depth_cm_HW[depth_cm_HW == 0] = np.inf
        landmarks_px_L2, visible_L = self._landmarks(actor, vertices_V3, lens)
        return Frame(
            self._develop(camera),
            landmarks_px_L2,
            visible_L,
            parts_HW,
            depth_cm_HW,
            pose,
            expression_E,
        )

    def _lighting(
        self,
        actor: Actor,
        vertices_V3: np.ndarray,
        uv_V2: np.ndarray,
        opacity_HW: np.ndarray,
        pose: Pose,
        light: Light,
        lens: np.ndarray,
    ) -> shading.Lighting:
        """Draw the shadow map and collect the light's numbers for the kernels."""
        key = direction(light.key_azimuth_deg, light.key_elevation_deg)
        basis_33 = _basis(key)
        screen_V3 = np.empty_like(vertices_V3)
        raster.light_view(
            vertices_V3, basis_33, _SHADOW_CENTRE, _SHADOW_EXTENT_CM, _SHADOW_TEXELS, screen_V3
        )
        raster.raster(
            screen_V3,
            uv_V2,
            actor.triangles_T3,
            actor.material_T,
            opacity_HW,
            True,
            -1000.0,
            self._height_SS,
            self._shadow_triangle_SS,
        )
        shading.soften_shadow(self._height_SS, self._shadow_SS)
        rotation_33 = pose.rotation_33()
        return shading.Lighting(
            key_direction=_vector(key),
            key_rgb=_vector(light.key_rgb),
            fill_direction=_vector(direction(light.fill_azimuth_deg, light.fill_elevation_deg)),
            fill_rgb=_vector(light.fill_rgb),
            sky_rgb=_vector(light.sky_rgb),
            ground_rgb=_vector(light.ground_rgb),
            camera=_vector(lens[:3]),
            head_x=_vector(rotation_33[0]),
            head_y=_vector(rotation_33[1]),
            head_z=_vector(rotation_33[2]),
            shadow_right=_vector(basis_33[0]),
            shadow_up=_vector(basis_33[1]),
            shadow_towards=_vector(basis_33[2]),
            shadow_centre=_vector(_SHADOW_CENTRE),
            shadow_scale=_SHADOW_TEXELS / _SHADOW_EXTENT_CM,
            exposure=_exposure(light, actor.mean_albedo),
            gloss=float(light.gloss),
        )

    def _landmarks(
        self, actor: Actor, vertices_V3: np.ndarray, lens: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Landmarks in pixels, (68, 2), and whether each is seen, (68,).

        The 17 jaw points are where a contour would be drawn: of the candidates on each level of
        the jaw, the one furthest out, seen along the line through the eyes.
        """
        points_L3 = np.einsum(
            "lkc,lk->lc", vertices_V3[actor.landmark_index_L3], actor.landmark_weight_L3
        )
        jaw_JK3 = np.einsum("jkvc,jkv->jkc", vertices_V3[actor.jaw_index_JK3], actor.jaw_weight_JK3)
        screen_L3 = self._project(points_L3, lens)
        levels, candidates = jaw_JK3.shape[:2]
        screen_JK3 = self._project(jaw_JK3.reshape(-1, 3), lens).reshape(levels, candidates, 3)
        across = screen_L3[45, :2] - screen_L3[36, :2]
        outwards = np.sign(np.arange(levels) - levels // 2)
        best = ((screen_JK3[..., :2] @ across) * outwards[:, None]).argmax(1)
        best[levels // 2] = 0
        screen_L3[:levels] = screen_JK3[np.arange(levels), best]

        # A landmark is hidden if a surface stands clearly nearer on its sample.
        side = self.size_px * self.supersample
        column, row = np.floor(screen_L3[:, 0]).astype(int), np.floor(screen_L3[:, 1]).astype(int)
        inside = (column >= 0) & (row >= 0) & (column < side) & (row < side)
        nearness = self._nearness_NN[np.clip(row, 0, side - 1), np.clip(column, 0, side - 1)]
        depth = 1.0 / screen_L3[:, 2]
        seen = 1.0 / np.maximum(nearness, 1e-6) > depth - _VISIBLE_WITHIN_CM
        landmarks_px_L2 = screen_L3[:, :2] / self.supersample - 0.5
        return landmarks_px_L2.astype(np.float32), inside & seen

    def _project(self, points_P3: np.ndarray, lens: np.ndarray) -> np.ndarray:
        screen_P3 = np.empty((len(points_P3), 3), np.float32)
        side = float(self.size_px * self.supersample)
        raster.project(np.ascontiguousarray(points_P3, np.float32), lens, side, screen_P3)
        return screen_P3

    def _develop(self, camera: Camera) -> np.ndarray:
        """Quantise to 8 bits, with the sensor's noise if the camera has any."""
        levels = self._image_HW3 * 255.0 + 0.5
        if camera.noise_levels > 0:
            rng = np.random.default_rng(camera.noise_seed)
            levels += camera.noise_levels * rng.standard_normal(levels.shape, np.float32)
            np.clip(levels, 0, 255, out=levels)
        return levels.astype(np.uint8)


def _vector(values: Sequence[float] | np.ndarray) -> shading.Vector:
    """Three plain floats, the form in which kernels take vectors."""
    x, y, z = values
    return float(x), float(y), float(z)


def _basis(towards: np.ndarray) -> np.ndarray:
    """(3, 3) float32: rows right, up and `towards`, orthonormal."""
    helper = np.array([0.0, 1.0, 0.0] if abs(towards[1]) < 0.9 else [1.0, 0.0, 0.0])
    right = np.cross(helper, towards)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(towards, right), towards]).astype(np.float32)


def _exposure(light: Light, mean_albedo: float) -> float:
    """Factor from linear light to the tone curve, as a camera would meter a face.

    The light on a few directions of a face is averaged and mostly compensated (75 %), the skin's
    own brightness half: light skin stays lighter than dark skin, and both keep their detail.
    """
    luma = np.array([0.2126, 0.7152, 0.0722])
    normals = np.array([[0, 0, 1], [0.6, 0, 0.8], [-0.6, 0, 0.8], [0, 0.5, 0.87], [0, -0.4, 0.92]])
    key = direction(light.key_azimuth_deg, light.key_elevation_deg)
    fill = direction(light.fill_azimuth_deg, light.fill_elevation_deg)
    arriving = (
        np.maximum(0, (normals @ key + 0.2) / 1.2).mean() * np.dot(luma, light.key_rgb)
        + np.maximum(0, (normals @ fill + 0.3) / 1.3).mean() * np.dot(luma, light.fill_rgb)
        + 0.45 * (np.dot(luma, light.sky_rgb) + np.dot(luma, light.ground_rgb))
    )
    return float(0.72 * arriving**-0.75 * (mean_albedo / 0.35) ** -0.5 * 2.0**light.exposure_ev)


@functools.cache
def tone_curve(samples: int = 2048) -> np.ndarray:
    """(samples,) float32 display values of linear light x, spaced evenly in x / (1 + x).

    A filmic curve (Narkowicz 2015, "ACES filmic tone mapping curve", softened) and sRGB gamma:
    highlights roll off instead of clipping, darks keep their contrast.
    """
    at = np.linspace(0, 1, samples, endpoint=False)
    x = at / (1 - at) * 0.8
    curved = np.clip(x * (2.2 * x + 0.10) / (x * (2.0 * x + 0.70) + 0.20), 0, 1)
    srgb = np.where(curved <= 0.0031308, 12.92 * curved, 1.055 * curved ** (1 / 2.4) - 0.055)
    return srgb.astype(np.float32)


def warm_up() -> None:
    """Compile all kernels, or load them from numba's cache, so that the first frame is fast.

    About 10 s the first time after an installation, 1 s later; see `lab evaluate actors`.
    """
    Renderer(16).render(_smallest_actor())


def _smallest_actor() -> Actor:
    """One triangle with every array that an actor has: enough for kernels to learn their types."""
    corners_V3 = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    actor = Actor.__new__(Actor)
    actor.vertices_V3, actor.colour_V3 = corners_V3, corners_V3.copy()
    actor.uv_V2 = np.ascontiguousarray(corners_V3[:, :2])
    actor.triangles_T3 = np.array([[0, 1, 2]], np.int32)
    actor.material_T, actor.part_T = np.zeros(1, np.uint8), np.zeros(1, np.uint8)
    actor.occlusion_V, actor.weld_V = np.ones(3, np.float32), np.arange(3, dtype=np.int32)
    actor.skin_texture_HW4 = np.zeros((64, 64, 4), np.float32)
    actor.skin_height_HW = np.zeros((64, 64), np.float32)
    actor.skin_part_HW = np.zeros((64, 64), np.uint8)
    actor.hair_texture_HW4 = np.zeros((2, 2, 4), np.float32)
    actor.eye_texture_HW3, actor.eye_iris_radius_uv = np.zeros((2, 2, 3), np.float32), 0.1
    actor.landmark_index_L3 = np.zeros((68, 3), np.int32)
    actor.landmark_weight_L3 = np.full((68, 3), 1 / 3, np.float32)
    actor.jaw_index_JK3 = np.zeros((17, 1, 3), np.int32)
    actor.jaw_weight_JK3 = np.full((17, 1, 3), 1 / 3, np.float32)
    actor.mean_albedo, actor.skin_tone = 0.3, 0.5
    actor._shapes_BV3 = np.zeros((len(EXPRESSIONS) + 1, 3, 3), np.float32)
    actor._jaw_V, actor._rigid_V = np.zeros(3, np.float32), np.ones(3, np.float32)
    actor._eye_vertices = np.zeros(0, np.int64)
    return actor
