"""Figures of `lab.media`: what goes in comes out, at its time, in its colours, in little memory."""

import os
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from lab.errors import UserError
from lab.evaluate import Figure
from lab.media import Audio, VideoReader, VideoWriter, read_audio, read_frames
from lab.media.audio import converted
from lab.media.samples import (
    chirp,
    frame_number,
    numbered_frames,
    shift_samples,
    write_sample,
)

_STATM = Path("/proc/self/statm")
_RATES = (24, 25, 30, 50, 60, Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001))
_KINDS = {
    "a.mp4": {},
    "a.mkv": {},
    "a.mov": {"codec": "prores_ks", "pixels": "yuv422p10le"},
    "a.webm": {"codec": "libvpx-vp9", "options": {"cpu-used": "8"}, "audio_codec": "libopus"},
    "a.avi": {"codec": "mjpeg", "pixels": "yuvj420p", "full_range": True, "audio_codec": "mp3"},
    "a.flv": {},
    "a.ts": {},
    "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
}
_CHART = np.array(
    [(r, g, b) for r in (0, 85, 170, 255) for g in (0, 85, 170, 255) for b in (0, 85, 170, 255)],
    np.uint8,
).reshape(8, 8, 3)


def figures(seed: int) -> Iterator[Figure]:
    """Everything is made in a temporary folder; `seed` draws sizes, rates, pictures and sound."""
    rng = np.random.default_rng(seed)
    with TemporaryDirectory() as folder:
        yield from _memory(Path(folder), seed)
        yield from _times(Path(folder), rng)
        yield from _pictures(Path(folder), seed)
        yield from _sound(Path(folder), rng)
        yield from _damage(Path(folder), rng)
        yield from _speed(Path(folder), seed)


def _memory(folder: Path, seed: int) -> Iterator[Figure]:
    if not _STATM.exists():  # only Linux tells a process what it holds right now
        return
    seconds, rate = 600, 25
    frames = numbered_frames(rate, 64, 64, seed)
    minute = chirp(60, 8000, seed=seed)
    sound = Audio(np.tile(minute.samples_NC, (seconds // 60, 1)), minute.rate_hz)
    with VideoWriter(folder / "long.mp4", rate, audio=sound) as writer:
        for i in range(seconds * rate):
            writer.write(frames[i % rate])
    with (
        VideoReader(folder / "long.mp4") as reader,
        VideoWriter(folder / "copy.mp4", rate, audio=folder / "long.mp4") as writer,
    ):
        held_mib = []
        for i, frame in enumerate(reader):
            writer.write(frame.image_HW3, frame.time_s)
            if i % 100 == 0:
                held_mib.append(resident_mib())
    first_minute = 60 * rate // 100
    growth_mib = max(held_mib[first_minute:]) - max(held_mib[:first_minute])
    kept_mib = (seconds - 60) * rate * frames[0].nbytes / (1 << 20)
    detail = f"after the first minute; kept frames would be {kept_mib:.0f}"
    yield Figure("memory growth, 10 min read and written, MiB", growth_mib, 16, "<=", detail)


def resident_mib() -> float:
    """Memory that this process holds now."""
    pages = int(_STATM.read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def _times(folder: Path, rng: np.random.Generator) -> Iterator[Figure]:
    whole, worst_us = 0, 0.0
    for name, settings in _KINDS.items():
        width, height = (int(2 * n) for n in rng.integers(40, 100, 2))
        count, rate = int(rng.integers(20, 50)), Fraction(_RATES[rng.integers(len(_RATES))])
        settings = {key: value for key, value in settings.items() if key != "audio_codec"}
        frames = numbered_frames(count, width, height, int(rng.integers(1000)))
        path = write_sample(folder / name, frames, rate_fps=rate, **settings)
        with VideoReader(path) as reader:
            read = list(reader)
        numbers = [frame_number(frame.image_HW3) for frame in read]
        whole += numbers == list(range(count)) and reader.info.frames == count
        expected = [reader.info.start_s + float(i / rate) for i in range(count)]
        worst_us = max(
            worst_us, *(1e6 * abs(f.time_s - t) for f, t in zip(read, expected, strict=False))
        )
    yield Figure(
        "files with every frame once and in order, %",
        100 * whole / len(_KINDS),
        100,
        ">=",
        f"{len(_KINDS)} containers, drawn rates and sizes",
    )
    yield Figure("largest error of a frame's time, constant rate, us", worst_us, 1, "<=")

    worst_us = 0.0
    for trial in range(4):
        frames = numbered_frames(40, 64, 48, trial)
        times = rng.uniform(0, 1) + np.cumsum(rng.uniform(0.005, 0.2, len(frames)))
        with VideoWriter(folder / "uneven.mp4", 25) as writer:
            for frame, time_s in zip(frames, times, strict=True):
                writer.write(frame, time_s)
        read = [frame.time_s for frame in VideoReader(folder / "uneven.mp4")]
        worst_us = max(worst_us, 1e6 * np.abs(np.subtract(read, times)).max())
    yield Figure("largest error of a frame's time, variable rate, us", worst_us, 1, "<=")


def _pictures(folder: Path, seed: int) -> Iterator[Figure]:
    for width, height in ((256, 256), (1280, 720)):
        chart = cv2.resize(_CHART, (width, height), interpolation=cv2.INTER_NEAREST)
        with VideoWriter(folder / "chart.mp4", 25) as writer:
            for _ in range(10):
                writer.write(chart)
        read = read_frames(folder / "chart.mp4")
        y, x = ((2 * np.arange(8) + 1) * size // 16 for size in (height, width))
        error = np.abs(read[:, y][:, :, x].astype(int) - _CHART).max()
        yield Figure(
            f"colour error of a chart, {width}x{height}, levels", error, 3, "<=", "64 colours"
        )

    frames = numbered_frames(50, 256, 256, seed)
    with VideoWriter(folder / "clip.mp4", 25) as writer:
        for frame in frames:
            writer.write(frame)
    error = np.square(read_frames(folder / "clip.mp4").astype(np.float32) - frames).mean()
    yield Figure("PSNR at crf 18, 256 px, dB", 10 * np.log10(255**2 / error), 38, ">=")

    right = 0
    for mirror in (False, True):
        for degrees in (0, 90, 180, 270):
            path = write_sample(
                folder / "turned.mp4", frames[:2], rotation_deg=degrees, mirror=mirror
            )
            shown = np.rot90(frames[0], -degrees // 90)
            shown = shown[:, ::-1] if mirror else shown
            read = read_frames(path, 1)[0]
            right += read.shape == shown.shape and np.abs(read.astype(int) - shown).mean() < 5
    yield Figure("turned and mirrored files shown upright, of 8", right, 8, ">=")


def _sound(folder: Path, rng: np.random.Generator) -> Iterator[Figure]:
    frames = numbered_frames(50, 64, 48)
    copied, encoded = [], []
    cases = [
        ("a.mp4", {}, copied),
        ("a.mkv", {}, copied),
        ("a.ts", {}, copied),
        ("a.webm", _KINDS["a.webm"], copied),
        ("a.avi", {"audio_codec": "pcm_s16le"}, encoded),
        ("b.ts", {"audio_codec": "mp2"}, encoded),
    ]
    for name, settings, shifts in cases:
        sound = chirp(2.0, 48000, 2, int(rng.integers(1000)))
        late_s = Fraction(int(rng.integers(0, 100)), 1000)
        path = write_sample(folder / name, frames, audio=sound, audio_start_s=late_s, **settings)
        with VideoReader(path) as reader, VideoWriter(folder / "o.mp4", 25, audio=path) as writer:
            for frame in reader:
                writer.write(frame.image_HW3, frame.time_s)
        heard, original = (read_audio(p, 16000, channels=1) for p in (folder / "o.mp4", path))
        shifts.append(abs(shift_samples(heard, original)))
    yield Figure(
        "shift of copied sound, samples at 16 kHz", max(copied), 22, "<=", "MP4 MKV TS WebM"
    )
    yield Figure(
        "shift of encoded sound, samples at 16 kHz", max(encoded), 22, "<=", "PCM, MP2 to AAC"
    )

    shifts = []
    for rate_hz in (8000, 16000, 22050, 44100, 48000):
        sound = chirp(2.0, rate_hz, 1, int(rng.integers(1000)))
        with VideoWriter(folder / "o.mp4", 25, audio=sound) as writer:
            for frame in frames:
                writer.write(frame)
        original = converted(sound, 16000, 1)
        shifts.append(abs(shift_samples(read_audio(folder / "o.mp4", 16000), original)))
    yield Figure("shift of given samples, samples at 16 kHz", max(shifts), 22, "<=", "8 to 48 kHz")


def _damage(folder: Path, rng: np.random.Generator) -> Iterator[Figure]:
    told = asked = 0
    for name, settings in _KINDS.items():
        if name.endswith((".ts", ".flv", ".mov")):  # no length stated; unreadable without its end
            continue
        frames = numbered_frames(50, 96, 64)
        path = write_sample(folder / name, frames, audio=chirp(2.0, 48000), **settings)
        whole = path.read_bytes()
        for share in rng.uniform(0.2, 0.9, 3):
            path.write_bytes(whole[: int(len(whole) * share)])
            numbers, message = [], ""
            try:
                for frame in VideoReader(path):
                    numbers.append(frame_number(frame.image_HW3))
            except UserError as error:
                message = str(error)
            asked += 1
            in_order = numbers == list(range(len(numbers)))
            told += bool(message) and "\n" not in message and in_order
    yield Figure(
        "cut-off files: good frames, then one line, %",
        100 * told / asked,
        100,
        ">=",
        f"{asked} files",
    )


def _speed(folder: Path, seed: int) -> Iterator[Figure]:
    frames = numbered_frames(200, 256, 256, seed)
    started = time.perf_counter()
    with VideoWriter(folder / "speed.mp4", 25) as writer:
        for frame in frames:
            writer.write(frame)
    written = time.perf_counter()
    count = sum(1 for _ in VideoReader(folder / "speed.mp4"))
    read = time.perf_counter()
    yield Figure("encoding at 256 px, frames/s", len(frames) / (written - started), 60, ">=")
    yield Figure("decoding at 256 px, frames/s", count / (read - written), 100, ">=")
