"""Frames and their ground truth; the raster kernel on shapes that can be checked by hand."""

import itertools

import numpy as np
import pytest

from lab.actors import Actor, Background, Camera, Identity, Light, Pose, Renderer, warm_up
from lab.actors import raster as raster_module
from lab.actors import shading as shading_module
from lab.actors.materials import HAIR, PARTS, SKIN, TEETH
from lab.actors.renderer import Frame, tone_curve
from lab.errors import UserError

OPAQUE = np.full((2, 2), 255, np.uint8)
SMILE = {"smile_l": 0.7, "smile_r": 0.7, "jaw_open": 0.3}


@pytest.fixture(scope="module")
def actor() -> Actor:
    return Actor(Identity.sample(7))


@pytest.fixture(scope="module")
def frontal(actor: Actor) -> Frame:
    return Renderer(128).render(actor)


# The raster kernel


def draw(
    corners: list[list[float]],
    triangles: list[list[int]],
    materials: list[int],
    size: int = 16,
    opacity_HW: np.ndarray = OPAQUE,
    *,
    for_light: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Nearness and triangle index of each sample for a mesh given on the screen."""
    screen_V3 = np.array(corners, np.float32)
    nearness_NN, triangle_NN = np.empty((size, size), np.float32), np.empty((size, size), np.int32)
    raster_module.raster(
        screen_V3,
        np.full((len(corners), 2), 0.5, np.float32),
        np.array(triangles, np.int32),
        np.array(materials, np.uint8),
        opacity_HW,
        for_light,
        0.0,
        nearness_NN,
        triangle_NN,
    )
    return nearness_NN, triangle_NN


# A square from (2, 3) to (11, 12) in samples; counter-clockwise as seen, so y falls first.
SQUARE = [[2, 3, 0.1], [2, 12, 0.1], [11, 12, 0.2], [11, 3, 0.2]]
FRONT = [[0, 1, 2], [0, 2, 3]]
BACK = [[0, 2, 1], [0, 3, 2]]


def test_raster_covers_the_samples_whose_centres_lie_inside() -> None:
    _, triangle_NN = draw(SQUARE, FRONT, [SKIN, SKIN])
    expected = np.zeros((16, 16), bool)
    expected[3:12, 2:11] = True  # centres 2.5 ... 10.5 and 3.5 ... 11.5
    assert np.array_equal(triangle_NN >= 0, expected)


def test_raster_interpolates_nearness_along_the_plane() -> None:
    nearness_NN, _ = draw(SQUARE, FRONT, [SKIN, SKIN])
    column = np.arange(2, 11)
    expected = 0.1 + 0.1 * (column + 0.5 - 2) / 9
    assert np.allclose(nearness_NN[5, 2:11], expected, atol=1e-6)


def test_raster_leaves_no_crack_between_neighbours() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        middle = [*rng.uniform(5, 27, 2), 0.1]
        ring = [[0, 0, 0.1], [0, 32, 0.1], [32, 32, 0.1], [32, 0, 0.1]]
        fan = [[4, k, (k + 1) % 4] for k in range(4)]
        _, triangle_NN = draw([*ring, middle], fan, [SKIN] * 4, size=32)
        assert (triangle_NN >= 0).all(), f"samples missed around {middle}"


def test_raster_culls_skin_from_behind_but_not_teeth() -> None:
    _, skin_NN = draw(SQUARE, BACK, [SKIN, SKIN])
    _, teeth_NN = draw(SQUARE, BACK, [TEETH, TEETH])
    assert (skin_NN < 0).all()
    assert (teeth_NN >= 0).sum() == 81


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_raster_keeps_the_nearer_triangle_in_any_order(order: list[int]) -> None:
    far = [[0, 0, 0.1], [0, 16, 0.1], [16, 16, 0.1]]
    near = [[0, 0, 0.3], [0, 16, 0.3], [16, 16, 0.3]]
    triangles = [[0, 1, 2], [3, 4, 5]]
    _, triangle_NN = draw(far + near, [triangles[k] for k in order], [SKIN, SKIN])
    assert set(np.unique(triangle_NN)) == {-1, order.index(1)}


@pytest.mark.parametrize(("opacity", "share"), [(0, 0.0), (70, 0.25), (128, 0.5), (255, 1.0)])
def test_raster_turns_opacity_into_coverage(opacity: int, share: float) -> None:
    ring = [[0, 0, 0.1], [0, 16, 0.1], [16, 16, 0.1], [16, 0, 0.1]]
    opacity_HW = np.full((2, 2), opacity, np.uint8)
    _, triangle_NN = draw(ring, FRONT, [HAIR, HAIR], opacity_HW=opacity_HW)
    assert (triangle_NN >= 0).mean() == share


def test_project_puts_the_camera_axis_in_the_middle_and_the_field_on_the_edge() -> None:
    # A camera at (1, -2), 100 cm away, that sees 20 cm at the origin's depth in 64 samples.
    lens = np.array([1, -2, 100, 64 * 100 / 20], np.float32)
    points = np.array([[1, -2, 5], [11, -2, 0], [1, 8, 0]], np.float32)
    screen = np.empty_like(points)
    raster_module.project(points, lens, 64.0, screen)
    expected = [[32, 32, 1 / 95], [64, 32, 1 / 100], [32, 0, 1 / 100]]
    assert np.allclose(screen, expected, atol=1e-4), "y points down on the screen"


# Frames


@pytest.mark.parametrize(("size_px", "supersample"), [(64, 2), (96, 1), (80, 3)])
def test_frame_has_the_documented_shapes(actor: Actor, size_px: int, supersample: int) -> None:
    frame = Renderer(size_px, supersample).render(actor, SMILE)
    assert frame.image_HW3.shape == (size_px, size_px, 3)
    assert frame.image_HW3.dtype == np.uint8
    assert frame.landmarks_px_L2.shape == (68, 2)
    assert frame.landmarks_px_L2.dtype == np.float32
    assert frame.visible_L.shape == (68,)
    assert frame.visible_L.dtype == bool
    assert frame.parts_HW.shape == frame.depth_cm_HW.shape == (size_px, size_px)
    assert frame.parts_HW.dtype == np.uint8
    assert frame.parts_HW.max() < len(PARTS)


def test_render_is_deterministic_and_keeps_no_state(actor: Actor) -> None:
    used = Renderer(64)
    used.render(actor, {"jaw_open": 1.0}, Pose(40, 10, 5), light=Light.sample(3))
    first = used.render(actor, SMILE, Pose(-10))
    second = Renderer(64).render(actor, SMILE, Pose(-10))
    for name in ("image_HW3", "landmarks_px_L2", "visible_L", "parts_HW", "depth_cm_HW"):
        assert np.array_equal(getattr(first, name), getattr(second, name)), name


def test_frame_is_not_overwritten_by_the_next(actor: Actor) -> None:
    renderer = Renderer(64)
    frame = renderer.render(actor)
    before = frame.image_HW3.copy(), frame.parts_HW.copy(), frame.depth_cm_HW.copy()
    renderer.render(actor, pose=Pose(30))
    assert np.array_equal(frame.image_HW3, before[0])
    assert np.array_equal(frame.parts_HW, before[1])
    assert np.array_equal(frame.depth_cm_HW, before[2])


def test_landmarks_name_the_same_places_at_every_size(actor: Actor) -> None:
    small = Renderer(64).render(actor, SMILE, Pose(12, 3, 4)).landmarks_px_L2
    large = Renderer(192).render(actor, SMILE, Pose(12, 3, 4)).landmarks_px_L2
    # Pixel centres are whole numbers: an edge of the image is -0.5, so sizes scale around -0.5.
    assert np.allclose((small + 0.5) * 3, large + 0.5, atol=0.02)


def test_labels_lie_where_landmarks_say(actor: Actor) -> None:
    frame = Renderer(256).render(actor, {"jaw_open": 0.6, "wide_l": 0.5, "wide_r": 0.5})
    points = frame.landmarks_px_L2

    def label_at(landmarks: list[int]) -> str:
        column, row = np.round(points[landmarks].mean(0)).astype(int)
        return PARTS[frame.parts_HW[row, column]]

    assert label_at([37, 38, 40, 41]) == "eye"
    assert label_at([43, 44, 46, 47]) == "eye"
    assert label_at([62, 66]) == "mouth"
    assert label_at([57, 66]) == "lips"
    assert label_at([27, 30]) in ("skin", "glasses")
    assert label_at([2, 31]) in ("skin", "beard", "hair")


def test_depth_is_that_of_the_mesh_and_infinite_on_the_background(frontal: Frame) -> None:
    background = frontal.parts_HW == PARTS.index("background")
    assert np.array_equal(np.isinf(frontal.depth_cm_HW), background)
    assert 0.1 < background.mean() < 0.8
    column, row = np.round(frontal.landmarks_px_L2[30]).astype(int)
    nose = frontal.depth_cm_HW[row, column]
    eyes = frontal.depth_cm_HW[frontal.parts_HW == PARTS.index("eye")]
    assert 90 < nose < 105, "the nose is some 10 cm nearer than the camera's 110 cm"
    assert nose < eyes.min(), "the nose is nearer than the eyes"


def test_mask_is_the_face_without_hair_ears_and_neck(frontal: Frame) -> None:
    mask_HW = frontal.mask_HW
    inside = {PARTS[code] for code in np.unique(frontal.parts_HW[mask_HW])}
    assert {"skin", "eye", "lips", "brow"} <= inside
    assert not inside & {"background", "hair", "ear", "neck", "torso"}
    column, row = np.round(frontal.landmarks_px_L2[17:].mean(0)).astype(int)
    assert mask_HW[row, column]


def test_inner_landmarks_of_a_frontal_face_are_visible(frontal: Frame) -> None:
    assert frontal.visible_L[27:].all()


def test_far_eye_of_a_turned_face_is_hidden(actor: Actor) -> None:
    renderer = Renderer(128)
    right = renderer.render(actor, pose=Pose(yaw_deg=90)).visible_L  # faces the image's right
    left = renderer.render(actor, pose=Pose(yaw_deg=-90)).visible_L
    assert right[36:42].mean() > 0.6
    assert not right[42:48].any()
    assert left[42:48].mean() > 0.6
    assert not left[36:42].any()


def test_landmarks_outside_the_image_are_not_visible(actor: Actor) -> None:
    frame = Renderer(64).render(actor, pose=Pose(shift_x_cm=45))
    assert not frame.visible_L.any()
    assert (frame.landmarks_px_L2[:, 0] > 64).all()


def test_jaw_landmarks_follow_the_visible_contour(actor: Actor) -> None:
    frame = Renderer(128).render(actor, pose=Pose(yaw_deg=25))
    points, parts = frame.landmarks_px_L2, frame.parts_HW
    skin = np.isin(parts, [PARTS.index("skin"), PARTS.index("beard")])
    for k in (12, 13, 14):  # on the far cheek the contour is where the skin ends
        row = round(float(points[k, 1]))
        edge = np.flatnonzero(skin[row]).max()
        assert abs(edge - points[k, 0]) < 3, f"point {k} lies {edge - points[k, 0]:.1f} px inside"


def test_one_pixel_of_motion_moves_the_image_by_one_pixel(actor: Actor) -> None:
    """Sub-pixel motion is smooth: every eighth of a pixel changes the image alike."""
    size_px, camera = 64, Camera()
    plain = Background("studio", 1)
    step_cm = camera.field_cm / size_px / 8
    frames = [
        Renderer(size_px)
        .render(actor, pose=Pose(shift_x_cm=k * step_cm), background=plain)
        .image_HW3.astype(float)
        for k in range(9)
    ]
    change = np.array([np.abs(b - a).mean() for a, b in itertools.pairwise(frames)])
    assert change.max() < 1.6 * change.mean(), f"edges jump: {change.round(2)}"
    whole = np.abs(frames[8] - frames[0]).mean()
    moved = np.abs(frames[8][8:40, 9:-8] - frames[0][8:40, 8:-9]).mean()
    assert moved < 0.45 * whole


def test_light_that_moves_slowly_changes_the_image_smoothly(actor: Actor) -> None:
    renderer = Renderer(96)
    frames = np.stack(
        [
            renderer.render(actor, light=Light(key_azimuth_deg=10 + 1.5 * t)).image_HW3
            for t in range(9)
        ]
    ).astype(float)
    change = np.abs(np.diff(frames, axis=0)).mean()
    off = np.abs(frames[1:-1] - (frames[:-2] + frames[2:]) / 2).mean()
    assert change > 0.2, "the light must make a difference"
    assert off < 0.45, f"{off:.2f} levels beside a steady change; rounding alone gives 0.3"


def test_brighter_key_light_brightens_its_side(actor: Actor) -> None:
    renderer = Renderer(64)
    left = renderer.render(actor, light=Light(key_azimuth_deg=-60)).image_HW3.astype(float)
    right = renderer.render(actor, light=Light(key_azimuth_deg=60)).image_HW3.astype(float)
    face = renderer.render(actor).mask_HW
    columns = np.arange(64)[None] < np.flatnonzero(face.any(0)).mean()
    assert left[face & columns].mean() > right[face & columns].mean() + 10
    assert right[face & ~columns].mean() > left[face & ~columns].mean() + 10


def test_noise_is_off_by_default_and_seeded(actor: Actor) -> None:
    renderer = Renderer(64)
    clean = renderer.render(actor).image_HW3.astype(float)
    noisy = renderer.render(actor, camera=Camera(noise_levels=4)).image_HW3.astype(float)
    again = renderer.render(actor, camera=Camera(noise_levels=4)).image_HW3.astype(float)
    other = renderer.render(actor, camera=Camera(noise_levels=4, noise_seed=1)).image_HW3
    middle = (clean > 30) & (clean < 225)
    assert 3.7 < (noisy - clean)[middle].std() < 4.3
    assert np.array_equal(noisy, again)
    assert not np.array_equal(noisy, other)


def test_every_expression_changes_the_face(actor: Actor) -> None:
    renderer = Renderer(64)
    rest = renderer.render(actor).image_HW3.astype(float)
    for expression in ({"jaw_open": 1.0}, {"blink_l": 1.0}, {"brow_up_in": 1.0}, SMILE):
        moved = renderer.render(actor, expression).image_HW3.astype(float)
        assert np.abs(moved - rest).max() > 20, expression


def test_gaze_moves_the_iris_to_the_side_it_names(actor: Actor) -> None:
    renderer = Renderer(256)

    def dark_centre_px(gaze_deg: tuple[float, float]) -> np.ndarray:
        frame = renderer.render(actor, {"wide_l": 1, "wide_r": 1}, gaze_deg=gaze_deg)
        rows, columns = np.nonzero(frame.parts_HW == PARTS.index("eye"))
        light = frame.image_HW3[rows, columns].astype(float).mean(1)
        weight = np.maximum(0, np.percentile(light, 50) - light)
        return np.array([columns @ weight, rows @ weight]) / weight.sum()

    assert dark_centre_px((15, 0))[0] > dark_centre_px((-15, 0))[0] + 1
    assert dark_centre_px((0, 12))[1] < dark_centre_px((0, -12))[1] - 0.5


def test_tone_curve_rises_from_black_to_white() -> None:
    curve_L = tone_curve()
    assert curve_L[0] == 0
    assert (np.diff(curve_L) >= 0).all()
    assert 0.97 < curve_L[-1] <= 1


def test_kernels_are_compiled_for_one_set_of_types(actor: Actor) -> None:
    """A second set would double the time of the first frame; warm_up must cover real actors."""
    warm_up()
    Renderer(64).render(actor)
    kernels = [
        raster_module.vertex_stage,
        raster_module.strand_stage,
        raster_module.project,
        raster_module.raster,
        raster_module.light_view,
        shading_module.shade,
    ]
    assert {kernel.__name__: len(kernel.signatures) for kernel in kernels} == {
        kernel.__name__: 1 for kernel in kernels
    }


@pytest.mark.parametrize(("size_px", "supersample"), [(8, 2), (2000, 2), (64, 0), (64, 5)])
def test_renderer_refuses_sizes_it_cannot_render(size_px: int, supersample: int) -> None:
    with pytest.raises(UserError, match="choose"):
        Renderer(size_px, supersample)
