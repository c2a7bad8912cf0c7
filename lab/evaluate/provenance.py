"""Figures of the provenance layers: what survives which attack, false alarms, picture quality, speed.

Files are pictures and clips of actors that no weight has seen, and photographs that come with
scikit-image, at 256 px. Each is written by `sign_and_write`, attacked as a file, and read back by
`verify`. Times are processor seconds of one thread.
"""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from lab import actors, media
from lab.actors.dataset import held_out_seeds
from lab.actors.performance import perform, render_performance
from lab.evaluate import Figure
from lab.metrics import psnr
from lab.provenance import (
    Record,
    Verification,
    keys,
    label,
    manifest,
    sign_and_write,
    verify,
    watermark,
)
from lab.provenance.manifest import Statement

SIZE_PX = 256
PICTURED_ACTORS, PICTURES_EACH, PHOTOS = 10, 4, 20
CLIPS, CLIP_SECONDS = 8, 1.5
UNMARKED, LABEL_EVERY = 10_000, 10
FLIPPED_BYTES = 200

Attack = Callable[[np.ndarray, float], np.ndarray]

_PHOTOGRAPHS = (
    "astronaut",
    "camera",
    "cat",
    "coffee",
    "coins",
    "hubble_deep_field",
    "moon",
    "rocket",
)
_RECORD = Record("test file", "python -m lab evaluate provenance", "digitalCreation")


@dataclass(frozen=True)
class Row:
    """How many of the attacked files still showed each layer.

    Args:
        attack: in words. kind: "picture" or "clip". files: how many were attacked.
        bar: the percentage of watermarks that must be read; None if there is no bar.
        label, watermark: in how many it was found, the watermark with the right payload.
        manifest: the states that were read, joined by "/".
    """

    attack: str
    kind: str
    bar: float | None
    files: int
    label: int
    watermark: int
    manifest: str


def figures(seed: int) -> Iterator[Figure]:
    """Measure everything; about 4 minutes on one core."""
    actors.warm_up()
    rng = np.random.default_rng((seed, 0x50))
    pictures, clips = _pictures(seed, rng), _clips(seed)
    yield from _quality(pictures, clips)
    with tempfile.TemporaryDirectory() as folder:
        for row in _survival(Path(folder), pictures, clips, rng):
            yield from _judged(row)
        yield from _tampering(Path(folder), pictures[0], rng)
    yield from _false_alarms(pictures, rng)


def survival_table(seed: int) -> str:
    """The table of the guide: attack by layer, in Markdown."""
    actors.warm_up()
    rng = np.random.default_rng((seed, 0x50))
    with tempfile.TemporaryDirectory() as folder:
        rows = list(_survival(Path(folder), _pictures(seed, rng), _clips(seed), rng))
    lines = ["| files | attack | label | watermark | manifest |", "|---|---|---|---|---|"]
    for row in rows:
        shares = f"{_percent(row.label, row)} | {_percent(row.watermark, row)}"
        lines.append(f"| {row.files} {row.kind}s | {row.attack} | {shares} | {row.manifest} |")
    return "\n".join(lines)


def _judged(row: Row) -> Iterator[Figure]:
    """The watermark of a row beside its bar, the other layers as its detail."""
    detail = f"{row.files} files; label {_percent(row.label, row)}, manifest {row.manifest}"
    name = f"watermark read, {row.kind}s, {row.attack}, %"
    value = 100 * row.watermark / row.files
    if row.bar is None:
        yield Figure(name, value, detail=detail)
    else:
        yield Figure(name, value, row.bar, ">=", detail)


def _percent(count: int, row: Row) -> str:
    return f"{100 * count / row.files:.0f} %"


def _pictures(seed: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Held-out actors with random expression, pose, light and background, then photographs."""
    renderer = actors.Renderer(SIZE_PX)
    found = []
    for identity in held_out_seeds(seed, PICTURED_ACTORS):
        actor = actors.Actor(actors.Identity.sample(identity))
        for _ in range(PICTURES_EACH):
            moved = rng.choice(len(actors.EXPRESSIONS), 3, replace=False)
            expression = {actors.EXPRESSIONS[i]: float(rng.uniform(0, 1)) for i in moved}
            pose = actors.Pose(*(float(rng.uniform(-limit, limit)) for limit in (30, 15, 10)))
            light, background = (
                part.sample(int(rng.integers(1 << 30)))
                for part in (actors.Light, actors.Background)
            )
            frame = renderer.render(actor, expression, pose, (0, 0), light, background)
            found.append(frame.image_HW3)
    return found + [_photo(rng) for _ in range(PHOTOS)]


def _photo(rng: np.random.Generator) -> np.ndarray:
    """A random square of one of the photographs in scikit-image's wheel, at 256 px."""
    image_HW3 = _whole_photo(str(rng.choice(_PHOTOGRAPHS)))
    side = int(rng.integers(SIZE_PX, min(image_HW3.shape[:2]) + 1))
    row, column = (int(rng.integers(0, extent - side + 1)) for extent in image_HW3.shape[:2])
    square_HW3 = np.ascontiguousarray(image_HW3[row : row + side, column : column + side])
    return cv2.resize(square_HW3, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)


@lru_cache(maxsize=len(_PHOTOGRAPHS))
def _whole_photo(name: str) -> np.ndarray:
    from skimage import data

    image = getattr(data, name)()
    return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)


def _clips(seed: int) -> list[list[np.ndarray]]:
    """Short performances of held-out actors, at 25 frames a second."""
    return [
        [
            frame.image_HW3
            for frame in render_performance(
                actors.Identity.sample(identity), perform(identity, CLIP_SECONDS), SIZE_PX
            )
        ]
        for identity in held_out_seeds(seed + 1, CLIPS)
    ]


def _quality(pictures: list[np.ndarray], clips: list[list[np.ndarray]]) -> Iterator[Figure]:
    """How much the watermark changes, and how long it takes."""
    frames = pictures + [clip[0] for clip in clips]
    moving = [False] * len(pictures) + [True] * len(clips)
    marked = [watermark.embed(f, 1, moving=m) for f, m in zip(frames, moving, strict=True)]
    noise_db = [psnr(a, b) for a, b in zip(frames, marked, strict=True)]
    yield Figure("watermark PSNR at 256 px, worst, dB", min(noise_db), 42, ">=")
    yield Figure("watermark PSNR at 256 px, median, dB", float(np.median(noise_db)))
    yield Figure("watermark at 256 px, ms a frame", _mean_ms(_mark, frames), 5, "<=")
    yield Figure("label and watermark at 256 px, ms a frame", _mean_ms(_label_and_mark, frames))
    full_hd = [cv2.resize(frame, (1920, 1080)) for frame in frames[:4]]
    yield Figure("label and watermark at 1080p, ms a frame", _mean_ms(_label_and_mark, full_hd))


def _mark(frame_HW3: np.ndarray) -> np.ndarray:
    return watermark.embed(frame_HW3, 1, moving=True)


def _label_and_mark(frame_HW3: np.ndarray) -> np.ndarray:
    return watermark.embed(label.draw(frame_HW3), 1, moving=True)


def _mean_ms(step: Callable[[np.ndarray], np.ndarray], frames: list[np.ndarray]) -> float:
    step(frames[0])
    started = time.process_time()
    for frame_HW3 in frames:
        step(frame_HW3)
    return 1000 * (time.process_time() - started) / len(frames)


def _as_it_is(frame_HW3: np.ndarray, draw: float) -> np.ndarray:
    return frame_HW3


def _scaled(factor: float) -> Attack:
    def attack(frame_HW3: np.ndarray, draw: float) -> np.ndarray:
        height, width = frame_HW3.shape[:2]
        size = (round(width * factor), round(height * factor))
        return cv2.resize(frame_HW3, size, interpolation=cv2.INTER_AREA)

    return attack


def _cropped(frame_HW3: np.ndarray, draw: float) -> np.ndarray:
    """Keep nine tenths of the width and of the height; `draw` in [0, 1) says which."""
    height, width = frame_HW3.shape[:2]
    tall, wide = height * 9 // 10, width * 9 // 10
    row = int(draw * (height - tall + 1))
    column = int(draw * 997 % 1 * (width - wide + 1))
    return np.ascontiguousarray(frame_HW3[row : row + tall, column : column + wide])


def _stretched(frame_HW3: np.ndarray, draw: float) -> np.ndarray:
    """Cut a tenth off the left and stretch the rest to the old size."""
    height, width = frame_HW3.shape[:2]
    kept_HW3 = np.ascontiguousarray(frame_HW3[:, width // 10 :])
    return cv2.resize(kept_HW3, (width, height), interpolation=cv2.INTER_CUBIC)


def _mirrored(frame_HW3: np.ndarray, draw: float) -> np.ndarray:
    return np.ascontiguousarray(frame_HW3[:, ::-1])


# Attack: the bar on the share of watermarks read (None: only reported), JPEG quality (None: PNG).
_ON_PICTURES: tuple[tuple[str, float | None, Attack, int | None], ...] = (
    ("re-saved as PNG", 98, _as_it_is, None),
    ("JPEG 70", 98, _as_it_is, 70),
    ("JPEG 50", None, _as_it_is, 50),
    ("0.75x", 98, _scaled(0.75), None),
    ("0.5x", 98, _scaled(0.5), None),
    ("0.5x, JPEG 70", None, _scaled(0.5), 70),
    ("10 % crop", 90, _cropped, None),
    ("10 % crop, JPEG 70", None, _cropped, 70),
    ("10 % off one side, stretched", None, _stretched, None),
    ("mirrored", None, _mirrored, None),
)
# Attack: the bar, what is done to each frame, the quality of the H.264 that all must go through.
_ON_CLIPS: tuple[tuple[str, float | None, Attack, int], ...] = (
    ("H.264 crf 23", 98, _as_it_is, 23),
    ("H.264 crf 30", None, _as_it_is, 30),
    ("0.75x, crf 23", 98, _scaled(0.75), 23),
    ("0.5x, crf 18", 98, _scaled(0.5), 18),
    ("0.5x, crf 23", None, _scaled(0.5), 23),
    ("10 % crop, crf 23", 90, _cropped, 23),
)


def _survival(
    folder: Path,
    pictures: list[np.ndarray],
    clips: list[list[np.ndarray]],
    rng: np.random.Generator,
) -> Iterator[Row]:
    """Sign every file, attack copies of it, verify them."""
    payload = f"{Statement.of(_RECORD).payload:08x}"
    files = [
        sign_and_write(folder / f"{i}.png", frame_HW3, _RECORD)
        for i, frame_HW3 in enumerate(pictures)
    ]
    yield _row("none", "picture", None, map(verify, files), payload)
    for name, bar, attack, quality in _ON_PICTURES:
        attacked = folder / ("attacked.png" if quality is None else "attacked.jpg")

        def attack_and_verify(path: Path, attack=attack, quality=quality, attacked=attacked):
            frame_HW3 = attack(media.read_image(path), rng.random())
            options = [] if quality is None else [cv2.IMWRITE_JPEG_QUALITY, quality]
            _, data = cv2.imencode(attacked.suffix, frame_HW3[:, :, ::-1], options)
            attacked.write_bytes(data.tobytes())
            return verify(attacked)

        yield _row(name, "picture", bar, map(attack_and_verify, files), payload)
    files = [
        sign_and_write(folder / f"{i}.mp4", clip, _RECORD, rate_fps=25)
        for i, clip in enumerate(clips)
    ]
    yield _row("none", "clip", None, map(verify, files), payload)
    for name, bar, attack, crf in _ON_CLIPS:

        def attack_and_verify(path: Path, attack=attack, crf=crf):
            draw, attacked = rng.random(), folder / "attacked.mp4"
            with media.VideoReader(path) as reader, media.VideoWriter(attacked, 25, crf=crf) as out:
                for frame in reader:
                    out.write(attack(frame.image_HW3, draw))
            return verify(attacked)

        yield _row(name, "clip", bar, map(attack_and_verify, files), payload)


def _row(
    attack: str, kind: str, bar: float | None, found: Iterable[Verification], payload: str
) -> Row:
    found = list(found)
    return Row(
        attack,
        kind,
        bar,
        len(found),
        sum(one.label.state == "present" for one in found),
        sum(one.watermark.details.get("id") == payload for one in found),
        "/".join(sorted({one.manifest.state for one in found})),
    )


def _tampering(folder: Path, frame_HW3: np.ndarray, rng: np.random.Generator) -> Iterator[Figure]:
    """One flipped byte must show; a forged certificate authority must not be believed."""
    path = sign_and_write(folder / "whole.png", frame_HW3, _RECORD)
    data = path.read_bytes()
    changed = folder / "changed.png"
    noticed = 0
    for place in rng.choice(len(data), FLIPPED_BYTES, replace=False):
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(rng.integers(8))
        changed.write_bytes(flipped)
        noticed += manifest.read(changed).state != "trusted"
    yield Figure("one flipped byte noticed, %", 100 * noticed / FLIPPED_BYTES, 99, ">=")
    media.write_image(changed, frame_HW3)
    forged = folder / "forged.png"
    manifest.sign(changed, forged, "x", Statement.of(_RECORD), identity=keys.new_identity())
    believed = manifest.read(forged).state == "trusted"
    yield Figure("forged authority with our names believed", float(believed), 0, "<=")


def _false_alarms(pictures: list[np.ndarray], rng: np.random.Generator) -> Iterator[Figure]:
    """Search pictures without a mark; by design less than one in ten million alarms."""
    alarms, labels, nearest = 0, 0, 0.0
    for i in range(UNMARKED):
        frame_HW3 = _unmarked(i, pictures, rng)
        found = watermark.detect([frame_HW3])
        alarms += found.present
        nearest = max(nearest, found.score / found.needed)
        if i % LABEL_EVERY == 0:
            labels += label.detect(frame_HW3).present
    yield Figure("watermark false alarms", alarms, 0, "<=", f"of {UNMARKED} unmarked pictures")
    yield Figure("highest score of an unmarked picture over the needed one", nearest, 1, "<=")
    yield Figure("label false alarms", labels, 0, "<=", f"of {UNMARKED // LABEL_EVERY}")


def _unmarked(i: int, pictures: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """One of eight kinds of unmarked picture at 256 px: noises, gradients, stripes and checks (of
    the tile's own periods too), shapes, renders, photographs, and mixtures."""
    kind = i % 8
    rows, columns = np.mgrid[:SIZE_PX, :SIZE_PX].astype(np.float32)
    if kind == 0:  # white noise of any strength
        gray = 128 + rng.uniform(0, 60) * rng.standard_normal((SIZE_PX, SIZE_PX), np.float32)
    elif kind == 1:  # clouds: noise at every scale
        gray = np.full((SIZE_PX, SIZE_PX), 128, np.float32)
        for octave in range(2, 8):
            grain = rng.standard_normal((2**octave, 2**octave), np.float32)
            gray += 60 * rng.uniform(0.4, 0.9) ** octave * cv2.resize(grain, gray.shape)
    elif kind == 2:  # gradients
        gray = rng.uniform(-1, 1) * rows + rng.uniform(-1, 1) * columns + rng.uniform(0, 255)
    elif kind == 3:  # stripes and checks
        period = 128 / rng.integers(4, 23) if rng.random() < 0.5 else rng.uniform(3, 40)
        slope = rng.choice([0, 0, 1, rng.uniform(-2, 2)])
        wave = np.sin(2 * np.pi / period * (columns + slope * rows) + rng.uniform(0, 6))
        if rng.random() < 0.5:
            wave = np.sign(wave * np.sin(2 * np.pi / period * rows + 0.5))
        gray = 128 + rng.uniform(5, 120) * wave
    elif kind == 4:  # shapes and letters
        gray = np.full((SIZE_PX, SIZE_PX), rng.uniform(0, 255), np.float32)
        for _ in range(30):
            at = tuple(int(v) for v in rng.integers(0, SIZE_PX, 2))
            shade = float(rng.uniform(0, 255))
            cv2.circle(gray, at, int(rng.integers(2, 40)), shade, int(rng.choice([-1, 1, 2])))
            word = "".join(chr(c) for c in rng.integers(65, 91, 8))
            cv2.putText(gray, word, at, cv2.FONT_HERSHEY_SIMPLEX, rng.uniform(0.3, 1), shade)
    elif kind == 5:  # photographs
        return _photo(rng)
    else:  # renders, cut and re-lit; and sums of two pictures
        gray = _recut(pictures[rng.integers(len(pictures))], rng)
        if kind == 7:
            gray = (gray + _recut(pictures[rng.integers(len(pictures))], rng)) / 2
    frame_HW3 = np.repeat(np.clip(gray, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 96))]
        frame_HW3 = cv2.imdecode(cv2.imencode(".jpg", frame_HW3, quality)[1], cv2.IMREAD_COLOR)
    return frame_HW3


def _recut(frame_HW3: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random square of a frame, gray, turned and re-lit; (256, 256) float32."""
    gray = cv2.cvtColor(frame_HW3, cv2.COLOR_RGB2GRAY)
    side = int(rng.integers(120, SIZE_PX + 1))
    row, column = rng.integers(0, SIZE_PX - side + 1, 2)
    gray = np.rot90(gray[row : row + side, column : column + side], int(rng.integers(4)))
    gray = cv2.resize(np.ascontiguousarray(gray), (SIZE_PX, SIZE_PX)).astype(np.float32)
    return gray * np.float32(rng.uniform(0.6, 1.4)) + np.float32(rng.uniform(-30, 30))
