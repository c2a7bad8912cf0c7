"""What a face does on its own: head, gaze, blinks, moods and small twitches.

Every function draws its events from its own random stream, in the order of time, and evaluates them
at the given times. So the same seed is the same motion at any frame rate, and a longer performance
begins like a shorter one.

Dimension key: T times; angles in degrees, signs as in `Pose` (yaw to the image's right, pitch down,
roll clockwise) and in `Renderer.render` (gaze to the image's right and up).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.random import Generator

from lab.actors.fields import smoothstep

POSE_LIMIT_DEG = np.array([25.0, 12.0, 8.0])
GAZE_LIMIT_DEG = np.array([26.0, 16.0])

# Moods: amounts at full strength. A suffix-free name means both sides.
_MOODS: tuple[dict[str, float], ...] = (
    {},
    {"smile": 0.75, "squint": 0.35, "upper_up": 0.1},
    {"frown": 0.55, "brow_up_in": 0.6, "blink": 0.12},
    {"brow_up": 0.6, "brow_up_in": 0.4, "wide": 0.5, "jaw_open": 0.12},
    {"brow_down": 0.7, "squint": 0.3, "press": 0.3, "frown": 0.2},
    {"brow_down_l": 0.4, "brow_up_r": 0.7, "squint_l": 0.25, "smile_r": 0.2},
    {"sneer": 0.4, "brow_down": 0.4, "upper_up": 0.25, "frown": 0.2},
    {"blink": 0.2, "brow_up_in": 0.15, "frown": 0.1},
)
# Twitches: what flits over a face within half a second.
_TWITCHES: tuple[dict[str, float], ...] = (
    {"brow_up": 0.7, "brow_up_in": 0.4},
    {"brow_up_l": 0.6},
    {"brow_up_r": 0.6},
    {"brow_down": 0.5},
    {"smile": 0.5, "squint": 0.2},
    {"smile_l": 0.45},
    {"squint": 0.5},
    {"wide": 0.5},
    {"sneer": 0.45},
    {"press": 0.6},
    {"frown": 0.4},
    {"stretch": 0.35},
    {"puff": 0.35, "press": 0.4},
)
# What an idle mouth does when nobody is speaking.
_IDLE_MOUTH: tuple[dict[str, float], ...] = (
    {"jaw_open": 0.3},
    {"jaw_open": 0.7, "lower_down": 0.2},
    {"jaw_open": 0.45, "smile": 0.6},
    {"pucker": 0.8},
    {"funnel": 0.6, "jaw_open": 0.2},
    {"press": 0.7},
    {"stretch": 0.6, "lower_down": 0.3},
    {"upper_up": 0.5, "lower_down": 0.4},
    {"puff": 0.6, "press": 0.5},
)


@dataclass(frozen=True)
class Attention:
    """A turn of the head with the eyes ahead of it."""

    time_s: float
    duration_s: float
    pose_deg: np.ndarray  # (3,) where the head comes to rest


def both_sides(amounts: dict[str, float], expressions: tuple[str, ...]) -> dict[str, float]:
    """Spell out names that stand for both sides: "smile" -> "smile_l", "smile_r"."""
    spelled: dict[str, float] = {}
    for name, amount in amounts.items():
        for full in (name,) if name in expressions else (f"{name}_l", f"{name}_r"):
            spelled[full] = spelled.get(full, 0.0) + amount
    return spelled


def attention_shifts(rng: Generator, seconds: float) -> list[Attention]:
    """Head turns every 1.2 to 4.5 s; the first holds from before the start."""
    posture_deg = rng.normal(0, [5.0, 2.5, 1.5])
    shifts = [Attention(-1.0, 0.5, posture_deg + rng.normal(0, [7.0, 2.5, 1.5]))]
    while shifts[-1].time_s < seconds:
        time_s = max(shifts[-1].time_s, 0) + rng.uniform(1.2, 4.5)
        rest_deg = posture_deg + rng.normal(0, [10.0, 4.0, 2.6])
        turn = abs(rest_deg[0] - shifts[-1].pose_deg[0])
        shifts.append(Attention(time_s, rng.uniform(0.3, 0.5) + 0.02 * turn, rest_deg))
    return shifts


def head_motion(
    rng: Generator,
    shifts: list[Attention],
    stresses: list[tuple[float, float]],
    time_T: np.ndarray,
) -> np.ndarray:
    """Pose of the head: turns, nods on stressed syllables, sway.

    Args:
        rng: draws nods and sway.
        shifts: from `attention_shifts`.
        stresses: (time_s, strength) of stressed vowels.
        time_T: seconds.

    Returns:
        (T, 3) degrees, softly limited to POSE_LIMIT_DEG.
    """
    pose_T3 = np.tile(shifts[0].pose_deg, (len(time_T), 1))
    for before, shift in pairwise(shifts):
        progress_T = _minimum_jerk((time_T - shift.time_s) / shift.duration_s)
        pose_T3 += progress_T[:, None] * (shift.pose_deg - before.pose_deg)
    pose_T3 += sway(rng, time_T, [1.1, 0.8, 0.7])
    for time_s, strength in stresses:
        if rng.random() < 0.6:
            depth_deg = rng.uniform(1.2, 4.5) * strength
            lean_3 = np.array([rng.normal(0, 0.3), 1.0, rng.normal(0, 0.25)])
            bump_T = _bump(time_T, time_s - 0.14, 0.16, 0.04, rng.uniform(0.2, 0.35))
            pose_T3 += bump_T[:, None] * depth_deg * lean_3
    return POSE_LIMIT_DEG * np.tanh(pose_T3 / POSE_LIMIT_DEG)


def gaze_motion(
    rng: Generator, shifts: list[Attention], pose_T3: np.ndarray, time_T: np.ndarray
) -> np.ndarray:
    """Direction of the eyes within the head: fixations, saccades, micro-saccades.

    While a point is fixated the eyes counter the head's turning (the vestibulo-ocular reflex). Most
    points are the camera.

    Returns:
        (T, 2) degrees, to the image's right and up, softly limited to GAZE_LIMIT_DEG.
    """
    end_s = float(time_T[-1])
    rng, start_rng, tremor_rng = rng.spawn(3)
    world_T2 = np.zeros((len(time_T), 2))
    here_2 = np.zeros(2)
    for time_s in _fixation_starts(start_rng, shifts, end_s):
        at_camera = rng.random() < 0.65
        aim_2 = rng.normal(0, [1.0, 1.0] if at_camera else [9.0, 5.0])
        duration_s = 0.021 + 0.0022 * np.hypot(*(aim_2 - here_2))  # the main sequence of saccades
        world_T2 += smoothstep(0, 1, (time_T - time_s) / duration_s)[:, None] * (aim_2 - here_2)
        here_2 = aim_2
    tremor_2 = np.zeros(2)
    for time_s in _renewals(tremor_rng, 0.35, 1.2, end_s):
        aim_2 = tremor_rng.normal(0, 0.35, 2)
        world_T2 += smoothstep(0, 1, (time_T - time_s) / 0.02)[:, None] * (aim_2 - tremor_2)
        tremor_2 = aim_2
    head_T2 = pose_T3[:, :2] * [1, -1]  # pitch is positive down, gaze positive up
    return GAZE_LIMIT_DEG * np.tanh((world_T2 - head_T2) / GAZE_LIMIT_DEG)


def blink_times(
    rng: Generator, shifts: list[Attention], seconds: float
) -> list[tuple[float, float]]:
    """Blinks as (start_s, duration_s): 2 to 6 s apart, 120 to 250 ms long, with head turns if near."""
    blinks: list[tuple[float, float]] = []
    time_s = rng.uniform(0.3, 3.0)
    while time_s < seconds:
        blinks.append((time_s, rng.uniform(0.12, 0.25)))
        wait_s = rng.uniform(2.0, 6.0)
        for shift in shifts:
            moved_s = shift.time_s - time_s
            if abs(moved_s - wait_s) < 0.5 and 2.0 <= moved_s <= 6.0:
                wait_s = moved_s
                break
        time_s += wait_s
    return blinks


def blink_motion(blinks: list[tuple[float, float]], time_T: np.ndarray) -> np.ndarray:
    """(T,) in [0, 1], 1 is shut: quick to close, shut for 45 ms, slower to open."""
    lid_T = np.zeros(len(time_T))
    for start_s, duration_s in blinks:
        moving_s = duration_s - 0.045
        lid_T = np.maximum(lid_T, _bump(time_T, start_s, 0.32 * moving_s, 0.045, 0.68 * moving_s))
    return lid_T


def mood_motion(
    rng: Generator, seconds: float, time_T: np.ndarray
) -> Iterator[tuple[dict[str, float], np.ndarray]]:
    """Slow moods: yields (amounts, (T,) envelope in [0, 1]); each lasts 2.5 to 8 s."""
    start_s = -rng.uniform(0.5, 3.0)
    while start_s < seconds:
        lasts_s, fade_s = rng.uniform(2.5, 8.0), rng.uniform(0.5, 1.2)
        mood = _MOODS[0 if rng.random() < 0.25 else rng.integers(1, len(_MOODS))]
        waver_T = 1 + 0.12 * np.sin(2 * np.pi * (time_T / rng.uniform(1.2, 3.5) + rng.random()))
        envelope_T = _bump(time_T, start_s - fade_s, fade_s, lasts_s - fade_s, fade_s)
        yield mood, rng.uniform(0.3, 0.9) * envelope_T * waver_T
        start_s += lasts_s


def twitch_motion(
    rng: Generator, seconds: float, time_T: np.ndarray, idle_mouth: bool
) -> Iterator[tuple[dict[str, float], np.ndarray]]:
    """Micro-expressions of 0.2 to 0.6 s, and movements of an idle mouth of 0.4 to 1.2 s."""
    rng, mouth_rng = rng.spawn(2)
    for time_s in _renewals(rng, 1.2, 4.0, seconds):
        amounts = _TWITCHES[rng.integers(len(_TWITCHES))]
        rise_s, stay_s, fall_s = rng.uniform([0.08, 0, 0.12], [0.15, 0.15, 0.3])
        yield amounts, rng.uniform(0.4, 1.0) * _bump(time_T, time_s, rise_s, stay_s, fall_s)
    for time_s in _renewals(mouth_rng, 0.4, 1.6, seconds) if idle_mouth else ():
        amounts = _IDLE_MOUTH[mouth_rng.integers(len(_IDLE_MOUTH))]
        rise_s, stay_s, fall_s = mouth_rng.uniform([0.15, 0, 0.2], [0.35, 0.5, 0.4])
        yield amounts, mouth_rng.uniform(0.4, 1.0) * _bump(time_T, time_s, rise_s, stay_s, fall_s)


def stress_brows(
    rng: Generator, stresses: list[tuple[float, float]], time_T: np.ndarray
) -> Iterator[tuple[dict[str, float], np.ndarray]]:
    """Brows that rise with some of the stressed syllables."""
    for time_s, strength in stresses:
        if rng.random() < 0.3:
            height = rng.uniform(0.25, 0.6) * min(strength, 1.2)
            envelope_T = _bump(time_T, time_s - 0.12, 0.16, 0.08, rng.uniform(0.2, 0.4))
            yield {"brow_up": 1.0, "brow_up_in": 0.6}, height * envelope_T


def sway(rng: Generator, time_T: np.ndarray, amounts: list[float]) -> np.ndarray:
    """(T, len(amounts)) slow wandering: sums of sines of random periods, 0.9 to 9 s."""
    tracks = np.zeros((len(time_T), len(amounts)))
    for column, amount in enumerate(amounts):
        period_s = np.exp(rng.uniform(np.log(0.9), np.log(9.0), 6))
        phase = rng.uniform(0, 2 * np.pi, 6)
        waves_T6 = np.sin(2 * np.pi * time_T[:, None] / period_s + phase)
        tracks[:, column] = amount * (waves_T6 * np.sqrt(period_s / 9)).sum(1)
    return tracks


def _fixation_starts(rng: Generator, shifts: list[Attention], end_s: float) -> list[float]:
    """Where a new fixation begins: on its own every 0.4 to 2.5 s, and just before head turns."""
    own_s = [-0.5, *_renewals(rng, 0.4, 2.5, end_s)]
    turns_s = [shift.time_s - 0.06 for shift in shifts[1:]]
    alone_s = [t for t in own_s if all(abs(t - turn) > 0.25 for turn in turns_s)]
    return sorted([*alone_s, *turns_s])


def _renewals(rng: Generator, shortest_s: float, longest_s: float, end_s: float) -> Iterator[float]:
    """Event times with independent uniform waits between them."""
    time_s = rng.uniform(0, longest_s)
    while time_s < end_s:
        yield time_s
        time_s += rng.uniform(shortest_s, longest_s)


def _minimum_jerk(progress_T: np.ndarray) -> np.ndarray:
    """Flash & Hogan's (1985) smoothest way from 0 to 1."""
    p = np.clip(progress_T, 0, 1)
    return p**3 * (10 - 15 * p + 6 * p * p)


def _bump(
    time_T: np.ndarray, start_s: float, rise_s: float, stay_s: float, fall_s: float
) -> np.ndarray:
    """0 up to `start_s`, a rise to 1, a stay, a fall back to 0."""
    up_T = smoothstep(0, 1, (time_T - start_s) / rise_s)
    return up_T - smoothstep(0, 1, (time_T - start_s - rise_s - stay_s) / fall_s)
