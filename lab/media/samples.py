"""Media of awkward kinds, made by code: what the tests and figures read.

`VideoWriter` writes one kind of file, and well; cameras, browsers and editors write the others.
"""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from lab.media.audio import LAYOUTS, Audio, to_frame

_BITS = 10  # of the frame number that `numbered_frames` draws
_ENCODER = {"threads": "1"}
_MATRICES = {"bt601": (Colorspace.ITU601, 6), "bt709": (Colorspace.ITU709, 1)}


def numbered_frames(count: int, width: int, height: int, seed: int = 0) -> np.ndarray:
    """A smooth moving picture whose top row of blocks spells the frame's number in binary.

    Returns:
        (T, H, W, 3) uint8; the top quarter is black and white blocks, the rest coloured.
    """
    rng = np.random.default_rng(seed)
    y_H1, x_1W = np.mgrid[:height, :width] / max(width, height)
    phase_C, speed_C = rng.uniform(0, 2 * np.pi, 3), rng.uniform(0.05, 0.2, 3)
    frames = np.empty((count, height, width, 3), np.uint8)
    for i in range(count):
        angle_HWC = 6 * x_1W[..., None] + 4 * y_H1[..., None] + phase_C + i * speed_C
        frames[i] = np.round(128 + 90 * np.sin(angle_HWC))
        for bit, columns in enumerate(np.array_split(np.arange(width), _BITS)):
            frames[i, : height // 4, columns] = 255 * (i >> bit & 1)
    return frames


def frame_number(frame_HW3: np.ndarray) -> int:
    """Read the number that `numbered_frames` drew."""
    blocks = np.array_split(frame_HW3[: frame_HW3.shape[0] // 4], _BITS, axis=1)
    return sum((block[:, 1:-1].mean() > 127) << bit for bit, block in enumerate(blocks))


def chirp(seconds: float, rate_hz: int, channels: int = 1, seed: int = 0) -> Audio:
    """Rising tone with noise bursts: sound whose shift can be measured to the sample."""
    rng = np.random.default_rng(seed)
    time_N = np.arange(round(seconds * rate_hz)) / rate_hz
    tone_N = 0.3 * np.sin(2 * np.pi * (200 + 150 * time_N) * time_N)
    bursts_N = 0.2 * rng.standard_normal(len(time_N)) * (np.sin(2 * np.pi * 3 * time_N) > 0.8)
    pan_C = np.linspace(1, 0.5, channels)
    sound_N = np.clip(tone_N + bursts_N, -0.95, 0.95)
    return Audio((sound_N[:, None] * pan_C).astype(np.float32), rate_hz)


def shift_samples(heard: Audio, original: Audio, reach: int = 4000) -> int:
    """By how many samples `heard` lags behind `original` (same rate), by cross-correlation."""
    length = min(len(heard.samples_NC), len(original.samples_NC))
    size = 2 * length
    heard_F = np.fft.rfft(heard.samples_NC[:length].mean(1), size)
    original_F = np.fft.rfft(original.samples_NC[:length].mean(1), size)
    match_N = np.fft.irfft(heard_F * original_F.conj(), size)
    shifts = np.arange(-reach, reach + 1)
    return int(shifts[np.argmax(match_N[shifts])])


def write_sample(
    path: Path,
    frames_THW3: np.ndarray,
    *,
    rate_fps: Fraction | int = 25,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    times_s: list[Fraction] | None = None,
    rotation_deg: int = 0,
    mirror: bool = False,
    matrix: str | None = None,
    full_range: bool = False,
    pixel_aspect: Fraction | None = None,
    audio: Audio | None = None,
    audio_codec: str = "aac",
    audio_start_s: Fraction = Fraction(0),
) -> Path:
    """Write a video as something else might have; the suffix chooses the container.

    Args:
        times_s: of each frame; None means i / rate_fps.
        rotation_deg: the clockwise turn that a player is told to make, and `mirror` after it.
        matrix: "bt601" or "bt709", stated in the file; None states nothing and uses BT.601.
        audio_start_s: when the sound starts.
    """
    with av.open(f"file:{path}", "w", options=container_options or {}) as out:
        video = out.add_stream(codec, rate=rate_fps, options=options or _ENCODER)
        video.height, video.width = frames_THW3.shape[1:3]
        video.pix_fmt = pixels
        tick_s = Fraction(1, 90_000) if times_s else 1 / Fraction(rate_fps)
        video.codec_context.time_base = tick_s
        space, number = _MATRICES[matrix or "bt601"]
        if matrix:
            video.codec_context.colorspace = number
        video.codec_context.color_range = ColorRange.JPEG if full_range else ColorRange.MPEG
        if pixel_aspect:
            video.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation_deg or mirror:
            video.set_display_rotation(-rotation_deg, hflip=mirror)
        sound = _add_sound(out, audio, audio_codec) if audio else None
        for i, frame_HW3 in enumerate(frames_THW3):
            source = "rgba" if frame_HW3.shape[-1] == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(frame_HW3, format=source).reformat(
                format=pixels,
                dst_colorspace=space,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
                interpolation=Interpolation.BICUBIC
                | Interpolation.ACCURATE_RND
                | Interpolation.FULL_CHR_H_INT,
            )
            frame.pts = round(times_s[i] / tick_s) if times_s else i
            frame.time_base = tick_s
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if sound is not None:
            first = round(audio_start_s * audio.rate_hz)
            for start in range(0, len(audio.samples_NC), 1024):
                piece = to_frame(
                    audio.samples_NC[start : start + 1024], audio.rate_hz, first + start
                )
                out.mux(sound.encode(piece))
            out.mux(sound.encode(None))
    return path


def write_sound(path: Path, audio: Audio, codec: str) -> Path:
    """Write a sound file; the suffix chooses the container."""
    with av.open(f"file:{path}", "w") as out:
        sound = _add_sound(out, audio, codec)
        out.mux(sound.encode(to_frame(audio.samples_NC, audio.rate_hz, 0)))
        out.mux(sound.encode(None))
    return path


def _add_sound(out: OutputContainer, audio: Audio, codec: str) -> av.AudioStream:
    return out.add_stream(codec, rate=audio.rate_hz, layout=LAYOUTS[audio.samples_NC.shape[1]])
