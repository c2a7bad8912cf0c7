"""H.264/AAC MP4, written frame by frame, whole or not at all."""

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import Self

import av
import numpy as np

from lab.errors import UserError
from lab.files import atomic_path
from lab.media.audio import Audio
from lab.media.colour import FromRGB, tag_stream
from lab.media.image import check_frame
from lab.media.probe import VideoInfo, probe
from lab.media.source import is_cut, open_media, readable_file, reason
from lab.media.track import TimedPacket, sound_track

_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov"}
# Ticks a second for frames with times of their own: a multiple of every usual clock (90 kHz,
# 48 kHz, 30 kHz, 1 kHz, 600 Hz), so that times read from a file are written back exactly. MP4
# keeps the distance of frames that are stored next to each other in 31 bits: 49 minutes.
_FINE_TICKS = 720_000
_LARGEST_DISTANCE = 2**31 - 1
_REORDERED = 4  # frames that x264 may store out of order
# Ticks a second for the starts of the tracks: FFmpeg's 1000 would round them to milliseconds.
# The least common multiple of 44.1, 48 and 90 kHz.
_START_TICKS = 35_280_000


class VideoWriter:
    """Write frames as an MP4; nothing lies under the final name until all is well.

        with VideoWriter("out.mp4", rate_fps=25, audio=Path("in.mp4")) as writer:
            for frame in VideoReader("in.mp4"):
                writer.write(frame.image_HW3, frame.time_s)

    H.264 (x264 veryfast), 4:2:0, even with odd sizes: see `write`. Colours are BT.601 up
    to 1279 px wide and 576 lines high, BT.709 beyond, limited range, and the file says so.

    Args:
        path: .mp4, .m4v or .mov.
        rate_fps: frames per second; a Fraction is exact, 29.97 and the like mean 30000/1001.
        audio: sound to add: an `Audio` (encoded as AAC), or a file whose sound track is copied
            without loss where MP4 allows its codec (AAC, MP3, AC-3, Opus, ALAC, FLAC) and encoded
            as AAC elsewhere. A file without sound adds none. If the file is a video of which only
            a part is written, its sound ends with the last frame; else all of it is kept.
        crf: x264 quality, 0-51; 18 is visually lossless.
        lossless: keep every pixel exactly (RGB H.264; few players but FFmpeg's show it).

    Raises:
        UserError: for another suffix or an unreadable sound file, at once; when leaving the
            block, if the file cannot be written.
    """

    def __init__(
        self,
        path: Path | str,
        rate_fps: Fraction | float,
        *,
        audio: Audio | Path | str | None = None,
        crf: int = 18,
        lossless: bool = False,
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in _FORMATS:
            raise UserError(f"cannot write {self.path}: videos are written as .mp4 (or .m4v, .mov)")
        if not 0 <= crf <= 51:
            raise ValueError(f"expected crf from 0 to 51, got {crf}")
        self._rate = exact_rate(rate_fps)
        self._audio = readable_file(audio) if isinstance(audio, Path | str) else audio
        self._crf, self._lossless = crf, lossless
        self._resources = ExitStack()
        self._container: av.container.OutputContainer | None = None
        self._sound: Iterator[TimedPacket] = iter(())
        self._next_sound: TimedPacket | None = None
        self._frames, self._last_pts = 0, -1
        self._recent: deque[int] = deque(maxlen=_REORDERED)

    def __enter__(self) -> Self:
        self._temporary = self._resources.enter_context(atomic_path(self.path))
        return self

    def write(self, frame_HW3: np.ndarray, time_s: float | Fraction | None = None) -> None:
        """Append a frame.

        Args:
            frame_HW3: uint8 RGB; all of the first one's size. An odd width or height is kept
                exactly, by storing the colour at full resolution (4:4:4).
            time_s: when it appears, rising; None means frame i at i / rate_fps. Either all frames
                have times or none. Times are kept to 0.7 us.

        Raises:
            ValueError: if the frame does not fit the ones before it.
            UserError: if the file cannot be written (disk full, say).
        """
        check_frame(frame_HW3)
        try:
            if self._container is None:
                self._start(frame_HW3, timed=time_s is not None)
            self._append(frame_HW3, time_s)
        except (av.FFmpegError, OSError) as error:
            raise self._cannot_write(error) from error

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._discard()
            return
        try:
            self._finish()
        except (av.FFmpegError, OSError) as error:
            self._discard()
            raise self._cannot_write(error) from error
        except BaseException:
            self._discard()
            raise
        self._resources.close()

    def _start(self, frame_HW3: np.ndarray, timed: bool) -> None:
        """Open the file and its tracks, now that the size and the kind of times are known."""
        height, width = frame_HW3.shape[:2]
        self._shape, self._timed = frame_HW3.shape, timed
        ticks = lcm(_FINE_TICKS, self._rate.numerator)
        fine_s = Fraction(1, ticks if ticks <= 4 * _FINE_TICKS else _FINE_TICKS)
        self._tick_s = fine_s if timed else 1 / self._rate
        self._container = av.open(
            f"file:{self._temporary}",
            "w",
            format=_FORMATS[self.path.suffix.lower()],
            options={"movflags": "faststart", "movie_timescale": str(_START_TICKS)},
        )
        codec, pixels = "libx264", "yuv444p" if width % 2 or height % 2 else "yuv420p"
        if self._lossless:
            codec, pixels = "libx264rgb", "rgb24"
        crf = "0" if self._lossless else str(self._crf)
        self._video = self._container.add_stream(
            codec, rate=self._rate, options={"preset": "veryfast", "crf": crf}
        )
        self._video.width, self._video.height, self._video.pix_fmt = width, height, pixels
        self._video.codec_context.time_base = self._tick_s
        tag_stream(self._video.codec_context, rgb=self._lossless)
        self._from_rgb = FromRGB(pixels)
        if self._audio is not None:
            self._source = _video_info(self._audio)
            # Frames without times are counted from the source's first frame, wherever that is.
            start_s = 0.0 if timed or self._source is None else self._source.start_s
            self._sound = sound_track(
                self._audio, self._container, Fraction(start_s), self._resources
            )

    def _append(self, frame_HW3: np.ndarray, time_s: float | Fraction | None) -> None:
        if frame_HW3.shape != self._shape:
            raise ValueError(f"expected a frame of shape {self._shape}, got {frame_HW3.shape}")
        if (time_s is not None) != self._timed:
            raise ValueError("either all frames have a time or none has")
        pts = self._frames if time_s is None else round(Fraction(time_s) / self._tick_s)
        if pts <= self._last_pts:
            raise ValueError(
                f"expected rising times, got {time_s} s for frame {self._frames} after "
                f"{float(self._last_pts * self._tick_s)} s"
            )
        self._recent.append(pts)
        if pts - self._recent[0] > _LARGEST_DISTANCE:
            raise UserError(
                f"cannot write {self.path}: the frames around number {self._frames} are "
                f"{float((pts - self._recent[0]) * self._tick_s / 60):.0f} minutes apart, more "
                "than MP4 can hold; cut the video there"
            )
        frame = self._from_rgb(frame_HW3)
        frame.pts, frame.time_base = pts, self._tick_s
        frame.duration = round(1 / self._rate / self._tick_s)
        self._container.mux(self._video.encode(frame))
        self._frames, self._last_pts = self._frames + 1, pts
        self._mux_sound(until_s=pts * self._tick_s)

    def _mux_sound(self, until_s: Fraction | None) -> None:
        """Add the sound packets that are heard before a time; all of them if it is None."""
        while True:
            if self._next_sound is None:
                self._next_sound = next(self._sound, None)
            if self._next_sound is None or (until_s is not None and self._next_sound[0] >= until_s):
                return
            self._container.mux(self._next_sound[1])
            self._next_sound = None

    def _finish(self) -> None:
        if self._container is None:
            raise UserError(f"cannot write {self.path}: there are no frames; check the input")
        self._container.mux(self._video.encode(None))
        self._mux_sound(self._sound_end_s())
        self._container.close()
        with open_media(self._temporary) as written:  # a full disk is not always reported
            if written.streams.video[0].frames != self._frames or is_cut(self._temporary):
                raise OSError("the file came out short")

    def _sound_end_s(self) -> Fraction | None:
        """When the sound must end: with the last frame, if the source goes on; else None."""
        if self._audio is None or self._source is None:
            return None
        end_s = self._last_pts * self._tick_s + 1 / self._rate
        source_end_s = self._source.duration_s + (self._source.start_s if self._timed else 0)
        cut_short = end_s < source_end_s - 1.5 / self._rate
        return end_s if cut_short else None

    def _discard(self) -> None:
        """Close and delete what was written."""
        with suppress(Exception):
            if self._container is not None:
                self._container.close()
        with suppress(_Discarded):
            self._resources.__exit__(_Discarded, _Discarded(), None)

    def _cannot_write(self, error: BaseException) -> UserError:
        return UserError(
            f"cannot write {self.path}: {reason(error)}; free some space or choose another folder"
        )


class _Discarded(Exception):
    """Tells `atomic_path` that its file is not wanted, whatever the reason."""


def exact_rate(rate_fps: Fraction | float) -> Fraction:
    """A frame rate as a fraction; floats that mean an NTSC rate (23.976, 29.97 ...) become it.

    Raises:
        ValueError: if the rate is not between 0.01 and 1000.
    """
    if not 0.01 <= rate_fps <= 1000:
        raise ValueError(f"expected a rate from 0.01 to 1000 frames/s, got {rate_fps}")
    if not isinstance(rate_fps, float):
        return Fraction(rate_fps)
    whole = Fraction(rate_fps).limit_denominator(100)
    ntsc = Fraction(round(rate_fps * 1.001) * 1000, 1001)
    return ntsc if whole.denominator > 1 and abs(rate_fps - ntsc) < 0.005 else whole


def _video_info(audio: Audio | Path) -> VideoInfo | None:
    """The facts of the video that the sound comes from; None if it comes from elsewhere."""
    if isinstance(audio, Audio):
        return None
    try:
        return probe(audio)
    except UserError:
        return None
