"""Phase 1 in the demo: a face swap between two actors, beside the truth.

Four clips: the source being herself, the target's performance, the swap, and the truth: the source
rendered in the target's performance. What was learnt on other performances is used on a new one.
"""

import dataclasses
from pathlib import Path

import numpy as np

from lab import provenance, report
from lab.actors.dataset import voice_of
from lab.actors.performance import Performance, perform, render_performance
from lab.evaluate import phase1 as evaluation
from lab.media import Audio
from lab.recipes.phase1_pairs import HELD_OUT_PERFORMANCES
from lab.swapping import build_swap

PAIR = "phase1-pair-a"
SECONDS = 3.0
COMMAND = "python -m lab demo"
_SHEET_ROWS = 4


def section(folder: Path, seed: int, impl: str) -> report.Section:
    """Render, swap, compare, write the clips.

    Args:
        folder: where the page lies; clips go below it.
        seed: chooses the performances, which no weights were trained on.
        impl: whose code swaps; see `lab.course.load`.
    """
    # 1. Two people, and a performance that neither was seen in.
    source, target = evaluation.actors_of(PAIR)
    voice = voice_of(target.identity)
    performance = perform(HELD_OUT_PERFORMANCES + seed, SECONDS, voice=voice)
    elsewhere = perform(HELD_OUT_PERFORMANCES + seed + 1, SECONDS, voice=voice_of(source.identity))

    # 2. The swap, and the truth beside it.
    swap = build_swap(PAIR, impl=impl)
    take = evaluation.make_take(swap, source, target, performance)
    own_THW3 = [frame.image_HW3 for frame in render_performance(source, elsewhere)]

    # 3. Four signed clips and a signed sheet.
    drawn = provenance.Record("rendered actor", COMMAND, "digitalCreation")
    target_path = write(folder / "phase1/target.mp4", take.target_THW3, drawn, performance)
    swapped = provenance.Record(
        "face swap",
        COMMAND,
        "compositeWithTrainedAlgorithmicMedia",
        weights=(swap.weights,),
        inputs=(target_path,),
    )
    media = [
        shown(
            write(folder / "phase1/source.mp4", own_THW3, drawn, elsewhere),
            "The source, on another day",
            "a rendered actor speaks",
        ),
        shown(target_path, "The target's performance: the input", "another rendered actor speaks"),
        shown(
            write(folder / "phase1/swapped.mp4", take.swapped_THW3, swapped, performance),
            "The swap: the source's face in the target's performance",
            "the second actor with the first one's face",
        ),
        shown(
            write(folder / "phase1/truth.mp4", take.truth_THW3, drawn, performance),
            "The truth: the source rendered in the same performance",
            "the first actor does what the second did",
        ),
        shown(
            provenance.sign_and_write(folder / "phase1/sheet.png", sheet_of(take), swapped),
            "Frame by frame; the last column is the distance to the truth inside the face, times 4",
            "a table of frames: target, swap, truth and their difference",
        ),
    ]

    # 4. The figures of this clip.
    figures = [
        *evaluation.truth_figures(PAIR, [take]),
        *evaluation.identity_figures(PAIR, [take], source, target, np.random.default_rng(seed)),
        *evaluation.flicker_figures(PAIR, [take]),
    ]
    return report.Section(
        title="Phase 1: face swap",
        text="One encoder for both faces, a decoder for each. The encoder reads the target's "
        "expression, pose and light; the source's decoder draws them on the source's face. No swap "
        "at all is the baseline: its L1 is 1.",
        media=media,
        figures=[
            dataclasses.replace(figure, name=figure.name.removeprefix(f"{PAIR}: "))
            for figure in figures
        ],
    )


def write(
    path: Path,
    frames_THW3: "np.ndarray | list",
    record: provenance.Record,
    performance: Performance,
) -> Path:
    """Write a clip with the performance's sound, signed."""
    speech = performance.speech
    audio = Audio(speech.samples_N[:, None], speech.rate_hz) if speech else None
    return provenance.sign_and_write(
        path, frames_THW3, record, rate_fps=performance.rate_fps, audio=audio
    )


def shown(path: Path, caption: str, alt: str) -> report.Media:
    """A file on the page, with what `lab verify` reads from it."""
    found = provenance.verify(path)
    sentences = [
        found.conclusion,
        *(f"{name}: {layer.sentence}" for name, layer in found.layers.items()),
    ]
    return report.Media(path, caption, alt, sentences)


def sheet_of(take: evaluation.Take) -> np.ndarray:
    """A few frames of the clip in rows: target, swap, truth, difference."""
    rows = []
    for t in np.linspace(0, len(take.target_THW3) - 1, _SHEET_ROWS).round().astype(int):
        swapped, truth = take.swapped_THW3[t].astype(int), take.truth_THW3[t].astype(int)
        difference = np.clip(4 * np.abs(swapped - truth), 0, 255) * take.region_THW[t][..., None]
        rows.append(
            [
                take.target_THW3[t],
                take.swapped_THW3[t],
                take.truth_THW3[t],
                difference.astype(np.uint8),
            ]
        )
    return report.sheet(rows, ["target", "swap", "truth", "difference x4"])
