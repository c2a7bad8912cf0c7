"""Performances: what an actor does before the camera, apart from who the actor is.

`perform` draws a performance from a seed: head, eyes, face, speech, light and place. Rendering the
same performance with another identity shows the other person doing exactly the same: that is the
truth which a face swap or a reenactment is compared with.

Dimension key: T frames, E expressions (order of EXPRESSIONS), G points of the fine time grid.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import default_rng

from lab.actors import articulation, behaviour
from lab.actors.actor import Actor
from lab.actors.expressions import EXPRESSIONS
from lab.actors.fields import smoothstep
from lab.actors.identity import Identity
from lab.actors.phonemes import MOUTH_NAMES, SILENCE, base, stress
from lab.actors.pose import Pose
from lab.actors.renderer import Frame, Renderer
from lab.actors.scene import Background, Camera, Light
from lab.actors.speech import Speech, Voice, speak
from lab.errors import UserError

LONGEST_S = 3600.0
_GRID_HZ = 200.0  # motion is made on this grid, and read off at the frames' times
_MOUTHS_OWN = (*MOUTH_NAMES, "smile_l", "smile_r", "frown_l", "frown_r", "puff")


@dataclass(frozen=True, eq=False)
class Performance:
    """Everything that varies in a clip, at times i / rate_fps.

    Args:
        seed: what it was drawn from.
        rate_fps: frames a second.
        expression_TE: float32 amounts in [0, 1], in the order of EXPRESSIONS.
        pose_deg_T3: float32 yaw, pitch, roll, as in `Pose`.
        shift_cm_T2: float32 shift to the image's right and up.
        gaze_deg_T2: float32 direction of the eyes in the head, to the right and up.
        light: the light on average.
        light_turn_deg_T2: float32 how far the key light's azimuth and elevation are off from it.
        background, camera: constant.
        speech: what is said, or None in a silent performance.
    """

    seed: int
    rate_fps: float
    expression_TE: np.ndarray
    pose_deg_T3: np.ndarray
    shift_cm_T2: np.ndarray
    gaze_deg_T2: np.ndarray
    light: Light
    light_turn_deg_T2: np.ndarray
    background: Background
    camera: Camera
    speech: Speech | None

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.expression_TE)

    def pose(self, index: int) -> Pose:
        """The head's pose in one frame."""
        return Pose(*map(float, self.pose_deg_T3[index]), *map(float, self.shift_cm_T2[index]))

    def light_at(self, index: int) -> Light:
        """The light in one frame."""
        azimuth_deg, elevation_deg = map(float, self.light_turn_deg_T2[index])
        return replace(
            self.light,
            key_azimuth_deg=self.light.key_azimuth_deg + azimuth_deg,
            key_elevation_deg=self.light.key_elevation_deg + elevation_deg,
        )


def perform(
    seed: int,
    seconds: float,
    rate_fps: float = 25.0,
    speech: bool = True,
    voice: str | Voice | None = None,
) -> Performance:
    """Draw a performance.

    Args:
        seed: decides everything; not the identity, which it does not know.
        seconds: duration, up to an hour.
        rate_fps: frames a second, 1 to 240. It changes when the motion is looked at, not the motion.
        speech: whether the actor speaks; otherwise the mouth moves on its own now and then.
        voice: a name from speech.VOICES, a Voice, or None to let the seed choose.

    Returns:
        round(seconds * rate_fps) frames, at least one.

    Raises:
        UserError: if duration, rate or voice cannot be used.
    """
    if not 0 < seconds <= LONGEST_S:
        raise UserError(
            f"a performance of {seconds:g} s; give more than 0 and at most {LONGEST_S:g}"
        )
    if not 1 <= rate_fps <= 240:
        raise UserError(f"a rate of {rate_fps:g} frames a second; give 1 to 240")
    if seed < 0:
        raise UserError(f"seed {seed}; give a number that is not negative")
    said = speak(seed, seconds, voice) if speech else None
    time_G = np.arange(int(np.ceil(seconds * _GRID_HZ)) + 2) / _GRID_HZ
    time_T = np.arange(max(1, round(seconds * rate_fps))) / rate_fps

    def stream(number: int) -> np.random.Generator:
        return default_rng([seed, 0xAC7, number])

    def at_frames(track_G: np.ndarray) -> np.ndarray:
        columns = track_G.reshape(len(time_G), -1).T
        return np.stack([np.interp(time_T, time_G, c) for c in columns], -1).astype(np.float32)

    stresses = _stressed_vowels(said) if said else []
    shifts = behaviour.attention_shifts(stream(1), seconds)
    pose_G3 = behaviour.head_motion(stream(2), shifts, stresses, time_G)
    gaze_G2 = behaviour.gaze_motion(stream(3), shifts, pose_G3, time_G)
    shift_G2 = behaviour.sway(stream(4), time_G, [0.35, 0.2]) + pose_G3[:, :2] * [0.03, -0.03]
    face_GE = _face(seed, seconds, said, stresses, shifts, time_G)
    return Performance(
        seed=seed,
        rate_fps=float(rate_fps),
        expression_TE=at_frames(face_GE),
        pose_deg_T3=at_frames(pose_G3),
        shift_cm_T2=at_frames(shift_G2),
        gaze_deg_T2=at_frames(gaze_G2),
        light=Light.sample(seed),
        light_turn_deg_T2=at_frames(behaviour.sway(stream(5), time_G, [2.0, 1.0])),
        background=Background.sample(seed),
        camera=Camera.sample(seed),
        speech=said,
    )


def render_performance(
    who: Identity | Actor, performance: Performance, size_px: int = 256
) -> Iterator[Frame]:
    """Render a performance frame by frame.

    Args:
        who: an identity, or an actor that has been built already (building takes half a second).
        performance: what to do.
        size_px: width and height.

    Yields:
        One frame with its ground truth for each of the performance's frames.
    """
    actor = who if isinstance(who, Actor) else Actor(who)
    renderer = Renderer(size_px)
    for index in range(len(performance)):
        gaze_x_deg, gaze_y_deg = map(float, performance.gaze_deg_T2[index])
        yield renderer.render(
            actor,
            performance.expression_TE[index],
            performance.pose(index),
            (gaze_x_deg, gaze_y_deg),
            light=performance.light_at(index),
            background=performance.background,
            camera=performance.camera,
        )


def _stressed_vowels(speech: Speech) -> list[tuple[float, float]]:
    """(time_s, loudness) of each stressed vowel."""
    return [
        (start_s + 0.3 * (end_s - start_s), loudness)
        for symbol, start_s, end_s, loudness in articulation.with_loudness(speech)
        if stress(symbol) == 1
    ]


def _face(
    seed: int,
    seconds: float,
    said: Speech | None,
    stresses: list[tuple[float, float]],
    shifts: list[behaviour.Attention],
    time_G: np.ndarray,
) -> np.ndarray:
    """(G, E) expression amounts in [0, 1]: moods, twitches and blinks, with the speaking mouth over them."""

    def stream(number: int) -> np.random.Generator:
        return default_rng([seed, 0xFACE, number])

    # 1. What the face does on its own.
    parts = [
        *behaviour.mood_motion(stream(1), seconds, time_G),
        *behaviour.twitch_motion(stream(2), seconds, time_G, idle_mouth=said is None),
        *behaviour.stress_brows(stream(3), stresses, time_G),
    ]
    blinks = behaviour.blink_times(stream(4), shifts, seconds)
    lid_G = behaviour.blink_motion(blinks, time_G)
    parts.append(({"squint": 0.15}, lid_G))
    face = {name: np.zeros(len(time_G)) for name in EXPRESSIONS}
    for amounts, envelope_G in parts:
        for name, amount in behaviour.both_sides(amounts, EXPRESSIONS).items():
            face[name] += amount * envelope_G
    for name in ("blink_l", "blink_r"):
        face[name] = np.minimum(face[name], 1) * (1 - lid_G) + lid_G  # a blink shuts from anywhere
        face[name.replace("blink", "wide")] *= 1 - lid_G

    # 2. The speaking mouth leaves the mood less room, and closes when a sound needs it.
    if said is not None:
        talk_G = articulation.voice_activity(said, time_G)
        for name in _MOUTHS_OWN:
            if name in face:
                face[name] *= 1 - 0.6 * talk_G
        _add_speech(face, said, time_G)

    # 3. Pressed lips and puffed cheeks need a closed jaw.
    openness_G = smoothstep(0, 1, face["jaw_open"] / 0.3)
    for name in ("press", "puff"):
        face[name] *= 1 - openness_G
    return np.clip(np.stack([face[name] for name in EXPRESSIONS], -1), 0, 1)


def _add_speech(face: dict[str, np.ndarray], said: Speech, time_G: np.ndarray) -> None:
    """Add the mouth's shapes to what the face does, then lay the closures over the sum."""
    shapes_GM = articulation.mouth_shapes(said, time_G)
    for column, name in enumerate(MOUTH_NAMES):
        if name == "smile":
            face["smile_l"] += shapes_GM[:, column]
            face["smile_r"] += shapes_GM[:, column]
        else:
            shapes_GM[:, column] = np.clip(shapes_GM[:, column] + face[name], 0, 1)
    shapes_GM[:, MOUTH_NAMES.index("jaw_open")] += _breaths(said, time_G)
    closed_GM = articulation.close_lips(
        np.clip(shapes_GM, 0, 1), *articulation.closure(said, time_G)
    )
    for column, name in enumerate(MOUTH_NAMES):
        if name != "smile":
            face[name] = closed_GM[:, column]


def _breaths(said: Speech, time_G: np.ndarray) -> np.ndarray:
    """(G,) the jaw's share in breathing in before a phrase."""
    jaw_G = np.zeros(len(time_G))
    for symbol, start_s, end_s in said.phonemes:
        if base(symbol) == SILENCE and end_s - start_s > 0.25 and end_s < time_G[-2]:
            rise_G = smoothstep(0, 1, (time_G - end_s + 0.28) / 0.18)
            jaw_G = np.maximum(
                jaw_G, 0.1 * (rise_G - smoothstep(0, 1, (time_G - end_s + 0.05) / 0.12))
            )
    return jaw_G
