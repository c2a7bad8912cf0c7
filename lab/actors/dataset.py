"""Data sets of actors: clips rendered from a seed, split by identity.

Identity seeds below 10,000 are for training; those from 10,000 on are held out for evaluation.

Dimension key: T frames, H rows, W columns, L = 68 landmarks, E expressions.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import default_rng

from lab.actors.actor import Actor
from lab.actors.clips import claim, read_description, sweep, write_description, write_track
from lab.actors.identity import Identity
from lab.actors.performance import Performance, perform, render_performance
from lab.actors.speech import VOICES, Voice
from lab.errors import UserError

HELD_OUT_FROM = 10_000
_LARGEST_LABELS = 1_500_000_000  # pixels of part labels held in memory while a clip is written


def write_clip(
    folder: Path | str,
    who: Identity | Actor,
    performance: Performance,
    size_px: int = 256,
    *,
    command: str = "python -m lab render",
    on_frame: Callable[[], None] = lambda: None,
) -> Path:
    """Render a performance into a clip folder.

    Args:
        folder: see `claim`.
        who: who performs.
        performance: what is done.
        size_px: width and height of the video.
        command: recorded in the manifest.
        on_frame: called after each frame.

    Returns:
        The folder.

    Raises:
        UserError: if the folder cannot be written, or the clip is too large for memory.
    """
    from lab.media import Audio
    from lab.provenance import Record, sign_and_write

    if len(performance) * size_px**2 > _LARGEST_LABELS:
        raise UserError(
            f"{len(performance)} frames of {size_px} px are too much for one clip; "
            "render shorter or smaller clips"
        )
    folder, started_s = claim(folder), time.time()
    actor = who if isinstance(who, Actor) else Actor(who)
    tracks: dict[str, list[np.ndarray]] = {
        "landmarks_px_TL2": [],
        "visible_TL": [],
        "parts_THW": [],
    }

    def images() -> Iterator[np.ndarray]:
        for frame in render_performance(actor, performance, size_px):
            tracks["landmarks_px_TL2"].append(frame.landmarks_px_L2)
            tracks["visible_TL"].append(frame.visible_L)
            tracks["parts_THW"].append(frame.parts_HW)
            on_frame()
            yield frame.image_HW3

    said = performance.speech
    sign_and_write(
        folder / "video.mp4",
        images(),
        Record(f"rendered actor {actor.identity.seed}", command, "digitalCreation"),
        rate_fps=performance.rate_fps,
        audio=Audio(said.samples_N[:, None], said.rate_hz) if said else None,
    )
    write_track(
        folder,
        **{name: np.stack(track) for name, track in tracks.items()},
        pose_deg_T3=performance.pose_deg_T3,
        shift_cm_T2=performance.shift_cm_T2,
        gaze_deg_T2=performance.gaze_deg_T2,
        expression_TE=performance.expression_TE,
    )
    write_description(
        folder,
        kind="actor",
        rate_fps=performance.rate_fps,
        frames=len(performance),
        size_px=[size_px, size_px],
        identity_seed=actor.identity.seed,
        performance_seed=performance.seed,
        phonemes=said.phonemes if said else (),
    )
    sweep(folder, started_s)
    return folder


def voice_of(identity: Identity) -> Voice:
    """An actor's own voice: one that fits, a little varied."""
    rng = default_rng([identity.seed, 0x701CE])
    fitting = [v for v in VOICES if (v.formant_scale < 1.1) == (identity.masculinity > 0)]
    voice = fitting[rng.integers(len(fitting))]
    return replace(
        voice,
        pitch_hz=voice.pitch_hz * rng.uniform(0.93, 1.08),
        formant_scale=voice.formant_scale * rng.uniform(0.97, 1.03),
        rate=voice.rate * rng.uniform(0.92, 1.08),
    )


def held_out_seeds(seed: int, count: int) -> list[int]:
    """Identity seeds for an evaluation: `count` different ones, all from HELD_OUT_FROM on."""
    rng = default_rng([seed, 0x4E1D])
    chosen = rng.choice(1 << 31, size=count, replace=False)
    return [HELD_OUT_FROM + int(number) for number in chosen]


def training_seeds(seed: int, count: int) -> list[int]:
    """Identity seeds for training: `count` different ones below HELD_OUT_FROM."""
    if not 1 <= count <= HELD_OUT_FROM:
        raise UserError(f"{count} actors; give 1 to {HELD_OUT_FROM}")
    return [int(n) for n in default_rng([seed, 0x72A1]).permutation(HELD_OUT_FROM)[:count]]


def render_dataset(
    out: Path | str,
    actors: int,
    seconds: float,
    *,
    size_px: int = 256,
    rate_fps: float = 25.0,
    seed: int = 0,
    speech: bool = True,
    on_frame: Callable[[int, bool], None] = lambda frames, rendered: None,
) -> Iterator[Path]:
    """Render one clip for each of several actors; finished ones are kept.

    Args:
        out: folder for the clips, `actor_00042` for identity seed 42.
        actors: how many, 1 to 10,000.
        seconds, rate_fps, size_px, speech: as in `perform` and `write_clip`.
        seed: chooses identities and performances.
        on_frame: called with (1, True) for each rendered frame, and with (all of a clip's frames,
            False) for a clip that was there already.

    Yields:
        The folder of each clip once it is finished.

    Raises:
        UserError: if a folder holds another clip, or the arguments cannot be used.
    """
    for number, identity_seed in enumerate(training_seeds(seed, actors)):
        folder = Path(out) / f"actor_{identity_seed:05d}"
        identity = Identity.sample(identity_seed)
        performance_seed = int(default_rng([seed, number, 0x9E4F]).integers(1 << 31))
        performance = perform(performance_seed, seconds, rate_fps, speech, voice_of(identity))
        about = read_description(folder)
        if about is None:
            write_clip(folder, identity, performance, size_px, on_frame=lambda: on_frame(1, True))
        elif _is_same(about, identity_seed, performance, size_px):
            on_frame(len(performance), False)
        else:
            raise UserError(f"{folder} holds another clip; choose another --out or remove it")
        yield folder


def _is_same(
    about: dict[str, Any], identity_seed: int, performance: Performance, size_px: int
) -> bool:
    """Whether a clip's description is that of a performance."""
    return (
        about.get("kind") == "actor"
        and about.get("identity_seed") == identity_seed
        and about.get("performance_seed") == performance.seed
        and about.get("rate_fps") == performance.rate_fps
        and about.get("frames") == len(performance)
        and about.get("size_px") == [size_px, size_px]
        and bool(about.get("phonemes")) == (performance.speech is not None)
    )
