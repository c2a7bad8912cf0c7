"""Figures of the face swap: the shipped pairs against the truth, and what they stand on.

The truth of a swap is the source actor rendered in the target's performance: same expression, pose,
light and background. The performances are drawn from `--seed`; no weights were trained on them.

The *face region* is where both the truth and the target show face (skin, brows, eyes, lips, mouth,
beard, glasses). Elsewhere no swap of faces can be right: hair, ears and neck stay the target's.

All but the speed is measured on the swapper's frames as they are: before label, watermark and codec.
"""

import dataclasses
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lab import checkpoint, course, faces, metrics
from lab.actors import Actor, Background, Camera, Identity, Light, Pose, Renderer
from lab.actors.dataset import held_out_seeds, write_clip
from lab.actors.performance import Performance, perform, render_performance
from lab.course.loading import ROOT
from lab.evaluate import Figure
from lab.recipes.phase1_pairs import HELD_OUT_PERFORMANCES
from lab.swapping import Swap, build_swap

PAIRS = ("phase1-pair-a", "phase1-pair-b")
PERFORMANCES, FRAMES = 6, 25  # per pair: so many performances, so many frames in a row of each
IDENTITY_EVERY = 3  # frames between two that are shown to dlib's embedding
GALLERY = 8  # reference pictures of each actor, each from another performance
SIZE_PX = 256
SPEED_FRAMES = 250
DETECTOR_FRAMES = 60
_HALF_WINDOW = np.ones((7, 7), np.uint8)  # SSIM's window


@dataclass(frozen=True, eq=False)
class Take:
    """A few frames of one performance: the target, the truth, and what the swapper made of it."""

    target_THW3: np.ndarray
    truth_THW3: np.ndarray
    swapped_THW3: np.ndarray
    target_face_THW: np.ndarray
    region_THW: np.ndarray
    touched_THW: np.ndarray
    found_T: np.ndarray


def figures(seed: int) -> Iterator[Figure]:
    """Measure everything; about 2 minutes on two cores."""
    rng = np.random.default_rng([seed, 0x5A9])
    swaps = [build_swap(name, impl="solution") for name in PAIRS]
    actors = [actors_of(name) for name in PAIRS]
    for name, swap, pair in zip(PAIRS, swaps, actors, strict=True):
        takes = [make_take(swap, *pair, draw_performance(rng)) for _ in range(PERFORMANCES)]
        yield from truth_figures(name, takes)
        yield from identity_figures(name, takes, *pair, rng)
        yield from flicker_figures(name, takes)
    yield from speed_figures(PAIRS[0], actors[0][1], rng)
    yield from detector_figures(seed)
    yield from embedding_figures(seed)


def actors_of(name: str) -> tuple[Actor, Actor]:
    """Source and target of shipped weights, as their card names them."""
    recipe = checkpoint.load_reference(name).provenance["recipe"]
    source, target = (Identity.sample(recipe[f"{who}_seed"]) for who in ("source", "target"))
    return Actor(source), Actor(target)


def draw_performance(rng: np.random.Generator) -> Performance:
    """A stretch from the middle of a held-out performance."""
    seed = HELD_OUT_PERFORMANCES + int(rng.integers(1 << 30))
    whole = perform(seed, seconds=2 * FRAMES / 25)
    part = slice(FRAMES, 2 * FRAMES)
    cut: dict[str, Any] = {
        field.name: value[part]
        for field in dataclasses.fields(whole)
        if isinstance(value := getattr(whole, field.name), np.ndarray)
    }
    return dataclasses.replace(whole, **cut, speech=None)


def make_take(swap: Swap, source: Actor, target: Actor, performance: Performance) -> Take:
    """Render target and truth, and swap the target."""
    truth = list(render_performance(source, performance, SIZE_PX))
    before = list(render_performance(target, performance, SIZE_PX))
    # The swapper goes on from the take before, as over a cut in a film.
    frames = ((f.image_HW3, i / performance.rate_fps) for i, f in enumerate(before))
    swapped = list(swap.swapper.swap_frames(frames))
    target_face = np.stack([frame.mask_HW for frame in before])
    return Take(
        np.stack([frame.image_HW3 for frame in before]),
        np.stack([frame.image_HW3 for frame in truth]),
        np.stack([frame.image_HW3 for frame in swapped]),
        target_face,
        target_face & np.stack([frame.mask_HW for frame in truth]),
        np.stack([frame.mask_HW for frame in swapped]),
        np.array([frame.faces > 0 for frame in swapped]),
    )


def truth_figures(name: str, takes: list[Take]) -> Iterator[Figure]:
    """Distance to the truth, and what was touched that should not have been."""
    swapped_l1, target_l1, ssim, centred = [], [], [], []
    for take in takes:
        for after, before, truth, region in zip(
            take.swapped_THW3, take.target_THW3, take.truth_THW3, take.region_THW, strict=True
        ):
            swapped_l1.append(metrics.l1(after, truth, region))
            target_l1.append(metrics.l1(before, truth, region))
            # Windows that reach beyond the region would compare the hair of two people.
            within = cv2.erode(region.astype(np.uint8), _HALF_WINDOW) > 0
            ssim.append(metrics.ssim(after, truth, within))
            centred.append(metrics.ssim(after, truth, region))
    count = f"{len(ssim)} frames, {len(takes)} performances"
    ratio = float(np.sum(swapped_l1) / np.sum(target_l1))
    yield Figure(f"{name}: L1 in the face over no swap's", ratio, 0.40, "<=", count)
    detail = "windows inside the face region"
    yield Figure(f"{name}: SSIM in the face", float(np.mean(ssim)), 0.85, ">=", detail)
    yield Figure(
        f"{name}: SSIM, windows reaching beyond it too", float(np.mean(centred)), detail="reported"
    )
    found = 100 * float(np.mean([take.found_T.mean() for take in takes]))
    yield Figure(f"{name}: frames with a face found, %", found, 99.0, ">=")
    outside = sum(
        int((take.swapped_THW3 != take.target_THW3)[~take.touched_THW].sum()) for take in takes
    )
    yield Figure(f"{name}: values changed outside the mask", outside, 0, "<=", "bit for bit")


def identity_figures(
    name: str, takes: list[Take], source: Actor, target: Actor, rng: np.random.Generator
) -> Iterator[Figure]:
    """Who is seen, by dlib's embedding: the median distance to a gallery of each actor."""
    galleries = [gallery_of(actor, rng) for actor in (source, target)]
    to_source, to_target = [], []
    for take in takes:
        for frame_HW3 in take.swapped_THW3[::IDENTITY_EVERY]:
            code = embedding_of(frame_HW3)
            distances = [np.inf, 0.0]  # a face that dlib cannot find is nobody's
            if code is not None:
                distances = [float(np.median(np.linalg.norm(g - code, axis=1))) for g in galleries]
            to_source.append(distances[0])
            to_target.append(distances[1])
    nearer = 100 * float(np.mean(np.array(to_source) < np.array(to_target)))
    yield Figure(
        f"{name}: nearer to the source than to the target, %",
        nearer,
        97.0,
        ">=",
        f"medians {np.median(to_source):.3f} and {np.median(to_target):.3f}; {len(to_source)} frames",
    )
    limit = faces.SAME_ACTOR_THRESHOLD
    within = 100 * float(np.mean(np.array(to_source) < limit))
    detail = f"threshold {limit:g}, calibrated on actors"
    yield Figure(f"{name}: recognised as the source, %", within, 85.0, ">=", detail)


def gallery_of(actor: Actor, rng: np.random.Generator) -> np.ndarray:
    """Embeddings (N, 128) of an actor in other performances; frames without detection are left out."""
    frames = (
        next(render_performance(actor, draw_performance(rng), SIZE_PX)) for _ in range(GALLERY)
    )
    codes = [embedding_of(frame.image_HW3) for frame in frames]
    return np.stack([code for code in codes if code is not None])


def embedding_of(frame_HW3: np.ndarray) -> np.ndarray | None:
    """dlib's embedding (128,) of the largest face that dlib finds, or None."""
    face = faces.largest_face(faces.detect_hog(frame_HW3))
    if face is None:
        return None
    return faces.embed(frame_HW3, faces.landmarks_of(frame_HW3, face))


def flicker_figures(name: str, takes: list[Take]) -> Iterator[Figure]:
    """Change from frame to frame beyond motion, inside the target's face.

    All three clips are warped by the flow of the target, so that only the pictures differ.
    """
    errors = {"swapped": 0.0, "target": 0.0, "truth": 0.0}
    for take in takes:
        for which in errors:
            clip = list(getattr(take, f"{which}_THW3"))
            errors[which] += metrics.flow_warp_error(
                clip, list(take.region_THW), list(take.target_THW3)
            )
    yield Figure(
        f"{name}: flow-warped error over the real clip's",
        errors["swapped"] / errors["target"],
        1.3,
        "<=",
        f"the truth's: {errors['truth'] / errors['target']:.2f}",
    )


def speed_figures(name: str, target: Actor, rng: np.random.Generator) -> Iterator[Figure]:
    """The command, from a file to a signed file, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        seed = HELD_OUT_PERFORMANCES + int(rng.integers(1 << 30))
        clip = write_clip(Path(folder) / "clip", target, perform(seed, SPEED_FRAMES / 25), SIZE_PX)
        started_s = time.perf_counter()
        script = ROOT / "phase1_face_swap" / "swap_video.py"
        paths = ["--input", clip / "video.mp4", "--output", Path(folder) / "swapped.mp4"]
        said = subprocess.run(
            [sys.executable, script, "--model", name, *paths, "--impl", "solution"],
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
        ).stdout
        whole_s = time.perf_counter() - started_s
    rate_fps = float(re.search(r"([\d.]+) frames/s", said)[1])
    detail = f"{SPEED_FRAMES} frames; with start and loading {whole_s:.1f} s"
    yield Figure("file to signed file at 256 px, frames/s", rate_fps, 20.0, ">=", detail)


def detector_figures(seed: int) -> Iterator[Figure]:
    """How the detectors compare on actors they have never seen, in random pose and light."""
    module = course.load("phase1_face_swap/face_detector", "solution")
    rng = np.random.default_rng([seed, 0xDE7])
    renderer, frames = Renderer(SIZE_PX), []
    for identity in held_out_seeds(seed, DETECTOR_FRAMES // 3):
        actor = Actor(Identity.sample(identity))
        for _ in range(3):
            pose = Pose(*map(float, rng.uniform(-1, 1, 3) * (30, 15, 10)))
            light = Light.sample(int(rng.integers(1 << 31)))
            background = Background.sample(int(rng.integers(1 << 31)))
            frames.append(
                renderer.render(
                    actor, {}, pose, light=light, background=background, camera=Camera()
                )
            )
    detectors = {"HOG": module.DlibHogDetector(), "MTCNN": module.MtcnnDetector.published()}
    for label, detector in detectors.items():
        detector.detect(frames[0].image_HW3)
        started_s, hits, spare = time.perf_counter(), 0, 0
        for frame in frames:
            found = detector.detect(frame.image_HW3)
            true = [face for face in found if is_on_face(face, frame.landmarks_px_L2)]
            hits, spare = hits + bool(true), spare + len(found) - len(true)
        each_ms = 1000 * (time.perf_counter() - started_s) / len(frames)
        yield Figure(
            f"{label} finds the actor, %",
            100 * hits / len(frames),
            detail=f"{len(frames)} frames, {spare} false, {each_ms:.0f} ms each",
        )


def is_on_face(face: faces.Face, landmarks_px_L2: np.ndarray) -> bool:
    """True if a box holds the nose and is neither half nor double the face's width."""
    x0, y0, x1, y1 = face.box_px
    x, y = landmarks_px_L2[30]
    share = (x1 - x0) / np.ptp(landmarks_px_L2[:, 0])
    return bool(x0 < x < x1 and y0 < y < y1 and 0.5 < share < 2)


def embedding_figures(seed: int) -> Iterator[Figure]:
    """Our own recogniser beside dlib's, on held-out actors; nothing if its weights do not ship."""
    from lab.actors.cache import cached_faces
    from lab.recipes.phase1_embedding import auc_and_eer, distances, embed_detected

    if not (checkpoint.WEIGHTS_DIR / "phase1-embedding.pt").is_file():
        return
    stored = checkpoint.load_reference("phase1-embedding")
    encoder = course.load("phase1_face_swap/face_encoder", "solution")
    network = encoder.EmbeddingNet(**stored.config)
    network.load_state_dict(stored.state["model"])
    shots = cached_faces(seed, 16, frames_each=4, size_px=SIZE_PX, held_out=True)
    ours, dlibs, who = embed_detected(encoder, network.eval().requires_grad_(False), shots)
    for label, codes in (("our embedding", ours), ("dlib's embedding", dlibs)):
        auc, eer = auc_and_eer(*distances(codes, who))
        detail = f"equal error rate {100 * eer:.1f} %; 16 actors"
        yield Figure(f"{label}: same or different actor, AUC", auc, detail=detail)
