"""One actor: its arrays keep the renderer's contract, and it moves as its words say."""

import numpy as np
import pytest

from lab.actors import EXPRESSIONS, PARTS, Actor, Identity, Pose
from lab.actors import materials as material
from lab.actors.expressions import expression_vector
from lab.actors.topology import topology
from lab.errors import UserError


def seed_with(**wanted: object) -> int:
    """The first seed whose identity has these values (True: anything but zero)."""
    for seed in range(2000):
        person = Identity.sample(seed)
        if all(
            (getattr(person, name) > 0) if value is True else getattr(person, name) == value
            for name, value in wanted.items()
        ):
            return seed
    raise AssertionError(f"no identity with {wanted} among 2000")


@pytest.fixture(scope="module")
def actor() -> Actor:
    return Actor(Identity.sample(seed_with(hair_cut="bob", glasses=0.0)))


def landmarks(actor: Actor, vertices_V3: np.ndarray) -> np.ndarray:
    corners = vertices_V3[actor.landmark_index_L3]
    return np.einsum("lkc,lk->lc", corners, actor.landmark_weight_L3)


def nose_tip(actor: Actor, pose: Pose) -> np.ndarray:
    return landmarks(actor, actor.pose(None, pose)[0])[30]


def test_actor_arrays_have_the_types_the_renderer_compiles_for(actor: Actor) -> None:
    vertices, triangles = len(actor.vertices_V3), len(actor.triangles_T3)
    expected = {
        "vertices_V3": (np.float32, (vertices, 3)),
        "uv_V2": (np.float32, (vertices, 2)),
        "colour_V3": (np.float32, (vertices, 3)),
        "occlusion_V": (np.float32, (vertices,)),
        "weld_V": (np.int32, (vertices,)),
        "triangles_T3": (np.int32, (triangles, 3)),
        "material_T": (np.uint8, (triangles,)),
        "part_T": (np.uint8, (triangles,)),
        "landmark_index_L3": (np.int32, (68, 3)),
        "jaw_index_JK3": (np.int32, actor.jaw_weight_JK3.shape),
    }
    for name, (dtype, shape) in expected.items():
        array = getattr(actor, name)
        assert (array.dtype, array.shape) == (dtype, shape), name
        assert array.flags.c_contiguous, name
        assert np.isfinite(array).all(), name
    assert actor.skin_part_HW.shape == actor.skin_texture_HW4.shape[:2]
    assert actor.skin_part_HW.max() < len(PARTS)
    assert actor.occlusion_V.min() > 0 and actor.occlusion_V.max() <= 1


def test_actor_mesh_stays_within_the_frame_budget() -> None:
    for cut in ("afro", "long", "fringe"):  # the costliest
        actor = Actor(Identity.sample(seed_with(hair_cut=cut)))
        count = len(actor.triangles_T3)
        assert count < 28_000, f"{cut}: {count} triangles cost more than a frame's time"
        assert actor.triangles_T3.max() < len(actor.vertices_V3)


def test_actor_is_the_same_for_the_same_identity(actor: Actor) -> None:
    again = Actor(actor.identity)
    np.testing.assert_array_equal(actor.vertices_V3, again.vertices_V3)
    np.testing.assert_array_equal(actor.skin_texture_HW4, again.skin_texture_HW4)
    np.testing.assert_array_equal(actor.hair_texture_HW4, again.hair_texture_HW4)


def test_actor_wears_glasses_exactly_if_its_identity_does(actor: Actor) -> None:
    wearer = Actor(Identity.sample(seed_with(glasses=True)))
    assert (wearer.material_T == material.GLASSES).any()
    assert not (actor.material_T == material.GLASSES).any()


def test_pose_yaw_turns_the_face_to_the_right_of_the_image(actor: Actor) -> None:
    still, turned = nose_tip(actor, Pose()), nose_tip(actor, Pose(yaw_deg=20))
    assert turned[0] > still[0] + 2


def test_pose_pitch_nods_down(actor: Actor) -> None:
    still, turned = nose_tip(actor, Pose()), nose_tip(actor, Pose(pitch_deg=15))
    assert turned[1] < still[1] - 1


def test_pose_roll_is_clockwise_in_the_image(actor: Actor) -> None:
    still, turned = nose_tip(actor, Pose()), nose_tip(actor, Pose(roll_deg=15))
    assert turned[0] > still[0] + 0.5, "the nose lies above the pivot: clockwise moves it right"


def test_pose_shift_moves_everything(actor: Actor) -> None:
    still, moved = actor.pose()[0], actor.pose(None, Pose(shift_x_cm=2, shift_y_cm=1))[0]
    np.testing.assert_allclose(moved - still, np.broadcast_to([2, 1, 0], still.shape), atol=1e-5)


def test_neutral_pose_is_the_stored_shape(actor: Actor) -> None:
    np.testing.assert_allclose(actor.pose()[0], actor.vertices_V3, atol=1e-5)


def test_gaze_moves_only_the_eye_texture(actor: Actor) -> None:
    (still_V3, still_V2), (moved_V3, moved_V2) = actor.pose(), actor.pose(gaze_deg=(20, 10))
    np.testing.assert_array_equal(still_V3, moved_V3)
    eyes = np.unique(actor.triangles_T3[actor.material_T == material.EYE])
    change = moved_V2 - still_V2
    assert (np.delete(change, eyes, axis=0) == 0).all()
    assert (change[eyes, 0] < 0).all(), "looking right shifts the texture's coordinates left"
    assert (change[eyes, 1] > 0).all(), "looking up: v grows downwards"


def test_blink_closes_the_eye(actor: Actor) -> None:
    def opening(expression: dict[str, float]) -> float:
        points = landmarks(actor, actor.pose(expression)[0])
        return float(np.linalg.norm(points[[37, 38]] - points[[41, 40]], axis=1).mean())

    assert opening({}) > 0.6
    assert opening({"blink_r": 1}) < 0.12
    assert opening({"blink_l": 1}) == pytest.approx(opening({})), "landmarks 36-41: right eye"


def test_jaw_opens_the_mouth_in_proportion(actor: Actor) -> None:
    openings = []
    for weight in (0.0, 0.5, 1.0):
        points = landmarks(actor, actor.pose({"jaw_open": weight})[0])
        openings.append(points[62, 1] - points[66, 1])
    assert abs(openings[0]) < 0.15
    assert openings[1] == pytest.approx(openings[2] / 2, rel=0.2)
    assert openings[2] > 2


def test_every_expression_moves_the_face_and_not_the_shoulders(actor: Actor) -> None:
    still_V3 = actor.pose()[0]
    cloth = np.unique(actor.triangles_T3[actor.material_T == material.CLOTH])
    for name in EXPRESSIONS:
        moved = np.linalg.norm(actor.pose({name: 1.0})[0] - still_V3, axis=1)
        assert moved.max() > 0.1, name
        assert moved[cloth].max() == 0, name
        skull = topology().y_V > 8
        assert moved[: len(skull)][skull].max() < 0.05, name


def test_expression_vector_names_what_is_wrong() -> None:
    with pytest.raises(UserError, match="no expression 'grin'"):
        expression_vector({"grin": 1})
    with pytest.raises(UserError, match="expected 24"):
        expression_vector(np.zeros(5))
    assert expression_vector({"pucker": 3.0}).max() == 1
