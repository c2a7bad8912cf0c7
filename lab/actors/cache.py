"""Rendered faces on demand: described by a few numbers, rendered once, kept in the cache folder.

A description (seeds, count, size) is all that a data set is; its pixels can be made again at any
time. Files lie in `lab.files.cache_dir() / "actors"` and are named by a hash of the description and
of the code that renders, so a changed renderer never reads old pictures. The folder may be deleted
at any time. Frames in the cache carry no label: they are input for training, not media; whatever
leaves the program goes through `lab.provenance`.

Dimension key: N frames, H rows, W columns, L = 68 landmarks, E expressions.
"""

import functools
import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import default_rng

from lab.actors.actor import Actor
from lab.actors.dataset import held_out_seeds, training_seeds, voice_of
from lab.actors.identity import Identity
from lab.actors.materials import FACE_PARTS, part_code
from lab.actors.performance import perform, render_performance
from lab.actors.renderer import Frame, Renderer
from lab.errors import UserError
from lab.files import atomic_path, cache_dir

RENDER_VERSION = 1


@dataclass(frozen=True, eq=False)
class FaceFrames:
    """Frames with their ground truth, as arrays.

    Args:
        image_NHW3: uint8 RGB.
        landmarks_px_NL2: float32.
        visible_NL: bool.
        parts_NHW: uint8, positions in PARTS.
        pose_N5: float32 yaw, pitch, roll in degrees, shift x, y in cm.
        expression_NE: float32 in [0, 1].
        identity_N: int64 seeds.
    """

    image_NHW3: np.ndarray
    landmarks_px_NL2: np.ndarray
    visible_NL: np.ndarray
    parts_NHW: np.ndarray
    pose_N5: np.ndarray
    expression_NE: np.ndarray
    identity_N: np.ndarray

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.image_NHW3)

    def masks_NHW(self) -> np.ndarray:
        """bool face masks, as `Frame.mask_HW`."""
        return np.isin(self.parts_NHW, [part_code(name) for name in FACE_PARTS])


def cached_clip_frames(
    identity_seed: int,
    performance_seed: int,
    seconds: float,
    *,
    size_px: int = 256,
    rate_fps: float = 25.0,
    speech: bool = True,
    on_frame: Callable[[], None] = lambda: None,
) -> FaceFrames:
    """The frames of one performance by one actor.

    Args:
        identity_seed, performance_seed: who, and what; the actor speaks with its own voice.
        seconds, rate_fps, speech: as in `perform`.
        size_px: width and height.
        on_frame: called after each frame that is rendered, not for what comes from the cache.
    """

    def frames() -> Iterator[tuple[int, Frame]]:
        identity = Identity.sample(identity_seed)
        performance = perform(performance_seed, seconds, rate_fps, speech, voice_of(identity))
        for frame in render_performance(identity, performance, size_px):
            yield identity_seed, frame

    return _cached(
        frames,
        on_frame,
        kind="clip",
        identity=identity_seed,
        performance=performance_seed,
        seconds=seconds,
        size=size_px,
        rate=rate_fps,
        speech=speech,
    )


def cached_faces(
    seed: int,
    identities: int,
    *,
    frames_each: int = 8,
    size_px: int = 128,
    held_out: bool = False,
    on_frame: Callable[[], None] = lambda: None,
) -> FaceFrames:
    """Many actors, each in several unrelated moments of different performances.

    Args:
        seed: chooses identities and moments.
        identities: how many actors.
        frames_each: frames of each actor, which lie next to each other in the result.
        size_px: width and height.
        held_out: whether to draw identities that training never sees.
        on_frame: as in `cached_clip_frames`.
    """
    if identities < 1 or frames_each < 1:
        raise UserError(f"{identities} actors with {frames_each} frames each; give at least 1")
    choose = held_out_seeds if held_out else training_seeds

    def frames() -> Iterator[tuple[int, Frame]]:
        renderer = Renderer(size_px)
        for number, identity_seed in enumerate(choose(seed, identities)):
            actor = Actor(Identity.sample(identity_seed))
            rng = default_rng([seed, number, 0xCACE])
            for _ in range(frames_each):
                yield identity_seed, random_frame(rng, renderer, actor)

    return _cached(
        frames,
        on_frame,
        kind="faces",
        seed=seed,
        identities=identities,
        each=frames_each,
        size=size_px,
        held_out=held_out,
    )


def random_frame(rng: np.random.Generator, renderer: Renderer, actor: Actor) -> Frame:
    """One moment of a performance drawn by `rng`: expression, pose, light and place at random."""
    performance = perform(int(rng.integers(1 << 31)), 3.0, rate_fps=10.0)
    index = int(rng.integers(len(performance)))
    return renderer.render(
        actor,
        performance.expression_TE[index],
        performance.pose(index),
        tuple(map(float, performance.gaze_deg_T2[index])),
        light=performance.light_at(index),
        background=performance.background,
        camera=performance.camera,
    )


def _cached(
    frames: Callable[[], Iterator[tuple[int, Frame]]],
    on_frame: Callable[[], None],
    **description: Any,
) -> FaceFrames:
    """Read a set of frames from the cache, or render it and keep it."""
    path = _cache_path(description)
    found = _load(path)
    if found is not None:
        return found
    columns: dict[str, list[Any]] = {field.name: [] for field in fields(FaceFrames)}
    for identity_seed, frame in frames():
        pose = frame.pose
        columns["image_NHW3"].append(frame.image_HW3)
        columns["landmarks_px_NL2"].append(frame.landmarks_px_L2)
        columns["visible_NL"].append(frame.visible_L)
        columns["parts_NHW"].append(frame.parts_HW)
        columns["pose_N5"].append(
            np.float32(
                [pose.yaw_deg, pose.pitch_deg, pose.roll_deg, pose.shift_x_cm, pose.shift_y_cm]
            )
        )
        columns["expression_NE"].append(frame.expression_E)
        columns["identity_N"].append(np.int64(identity_seed))
        on_frame()
    made = FaceFrames(**{name: np.stack(column) for name, column in columns.items()})
    # Two processes may render the same set at once: both write the same bytes under a name of their
    # own, and the last rename wins.
    with atomic_path(path) as temporary:
        np.savez(temporary, **{field.name: getattr(made, field.name) for field in fields(made)})
    return made


def _cache_path(description: dict[str, Any]) -> Path:
    text = json.dumps([RENDER_VERSION, render_code(), description], sort_keys=True)
    name = hashlib.sha256(text.encode("utf-8")).hexdigest()[:24]
    return cache_dir() / "actors" / f"{description['kind']}-{name}.npz"


@functools.cache
def render_code() -> str:
    """A hash of the sources in this package: what a rendered picture depends on."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _load(path: Path) -> FaceFrames | None:
    """A cached set; None if it is not there or damaged."""
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            return FaceFrames(**{field.name: arrays[field.name] for field in fields(FaceFrames)})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        path.unlink(missing_ok=True)
        return None
