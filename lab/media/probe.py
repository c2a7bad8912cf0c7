"""What a video holds, counted from its packets: exact, and without decoding more than a frame.

Dimension key: T frames, H rows, W columns.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from lab.errors import UserError
from lab.media.source import (
    clock_start_s,
    is_cut,
    open_media,
    packets,
    reason,
    video_stream,
)

_PROGRESSIVE = (0, 1)  # AVFieldOrder: unknown, progressive
_LONGEST_S = 1_000_000  # no film lasts eleven days,
_FARTHEST_S = 1e11  # and no clock counts from so long ago
_REORDERED = 16  # pictures that a codec may hold back to store them out of order


@dataclass(frozen=True)
class VideoInfo:
    """The facts of a video file.

    Args:
        width_px, height_px: as shown: upright and with square pixels.
        frames: exact number of frames.
        rate_fps: frames per second, exact (30000/1001); the mean if `variable_rate`.
        duration_s: from the first frame's appearance to the last one's end.
        rotation_deg: the clockwise turn (0, 90, 180, 270) that the file asks for; it is applied.
        variable_rate: True if the frames do not lie on a regular grid.
        audio_hz, audio_channels: of the main sound track; None and 0 if there is none.
        start_s: when the first frame appears on the file's clock; mostly 0.
    """

    width_px: int
    height_px: int
    frames: int
    rate_fps: Fraction
    duration_s: float
    rotation_deg: int
    variable_rate: bool
    audio_hz: int | None
    audio_channels: int
    start_s: float = 0.0


class Turn(NamedTuple):
    """How stored rows become upright ones: first transposed, then mirrored."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    def __call__(self, frame_HW3: np.ndarray) -> np.ndarray:
        """Returns the upright frame, contiguous."""
        if self.transpose:
            frame_HW3 = frame_HW3.transpose(1, 0, 2)
        step_x, step_y = -1 if self.mirror_x else 1, -1 if self.mirror_y else 1
        return np.ascontiguousarray(frame_HW3[::step_y, ::step_x])

    @property
    def degrees(self) -> int:
        """The clockwise part of the turn; a mirror image counts as its unmirrored one."""
        if self.transpose:
            return 90 if self.mirror_x else 270
        return 180 if self.mirror_y else 0


@dataclass(frozen=True)
class Scan:
    """`VideoInfo` and what only the reader needs.

    Args:
        turn: from stored to upright.
        stored_px: (width, height) before the turn, with square pixels.
        ticks_T: when each frame appears, rising, in the track's ticks.
        tick_s: seconds per tick.
        zero_s: the time in the track at which the file's clock is 0.
        has_times: False for AVI, which numbers stored packets, not pictures; there, pictures
            take the times in turn.
        damage: a few words if the file ends before its time, else None.
    """

    info: VideoInfo
    turn: Turn
    stored_px: tuple[int, int]
    ticks_T: np.ndarray
    tick_s: Fraction
    zero_s: Fraction
    has_times: bool
    damage: str | None

    def index_of(self, tick: int | None, after: int) -> int:
        """Which frame a timestamp belongs to: one later than `after`, the next if in doubt."""
        given = self.has_times and tick is not None
        found = int(np.searchsorted(self.ticks_T, tick)) if given else after + 1
        return max(found, after + 1)

    def time_s(self, index: int) -> float:
        """When frame `index` appears on the file's clock; beyond the last, at the mean rate."""
        last = len(self.ticks_T) - 1
        known = min(index, last) if self.info.variable_rate else 0
        start_s = int(self.ticks_T[known]) * self.tick_s - self.zero_s
        return float(start_s + (index - known) / self.info.rate_fps)


def probe(path: Path | str) -> VideoInfo:
    """Read a video's facts.

    Raises:
        UserError: if the file cannot be read as a video.
    """
    return scan(path).info


def scan(path: Path | str, *, skip: bool = False) -> Scan:
    """`probe`, with what the reader needs; `skip` reads on after damaged packets."""
    path = Path(path)
    with open_media(path) as container:
        stream = video_stream(container, path)
        tick_s = stream.time_base
        stated = [r for r in (stream.average_rate, stream.guessed_rate, stream.base_rate) if r]
        decode = _may_hide_pictures(container, stream)
        has_times = container.format.name != "avi"
        track = container.streams.best("audio")
        sound = track.codec_context if track is not None else None
        audio_hz, audio_channels = (sound.sample_rate, sound.channels) if sound else (None, 0)
        frame = _first_frame(container, stream, path)
        stored_px = _square_pixels(stream, frame)
    turn = _turn(frame)
    ticks_T, last_ticks, damage = _timeline(path, decode, has_times, skip)
    if not len(ticks_T):
        raise UserError(
            f"cannot read {path}: {damage or 'no frame in it'}; copy or export it again"
        )

    rate, variable = frame_rate(ticks_T, tick_s, stated)
    duration = len(ticks_T) / rate
    if variable:
        last_s = last_ticks * tick_s or 1 / rate
        duration = int(ticks_T[-1] - ticks_T[0]) * tick_s + last_s
        rate = (len(ticks_T) / duration).limit_denominator(1001) or Fraction(1, 1001)
    zero_s = min(clock_start_s(path), int(ticks_T[0]) * tick_s)  # damaged files may start below 0
    info = VideoInfo(
        width_px=stored_px[1] if turn.transpose else stored_px[0],
        height_px=stored_px[0] if turn.transpose else stored_px[1],
        frames=len(ticks_T),
        rate_fps=rate,
        duration_s=float(duration),
        rotation_deg=turn.degrees,
        variable_rate=variable,
        audio_hz=audio_hz,
        audio_channels=audio_channels,
        start_s=float(int(ticks_T[0]) * tick_s - zero_s),
    )
    return Scan(info, turn, stored_px, ticks_T, tick_s, zero_s, has_times, damage)


def frame_rate(
    ticks_T: np.ndarray, tick_s: Fraction, stated: list[Fraction]
) -> tuple[Fraction, bool]:
    """The rate on whose grid all frames lie, to the rounding of the file's ticks.

    MKV, say, rounds to 1 ms, so 30000/1001 frames per second look uneven there; they are not.

    Args:
        stated: rates that the file announces, most trusted first.

    Returns:
        (rate, False), or (mean rate, True) if no regular grid fits.
    """
    count = len(ticks_T)
    if count < 2:
        return (stated[0] if stated else Fraction(25)), False
    mean = (count - 1) / (int(ticks_T[-1] - ticks_T[0]) * tick_s)
    fitting: list[Fraction] = []
    for rate in (*map(_usual, stated), *stated, _usual(mean), mean):
        off_T = ticks_T - ticks_T[0] - np.arange(count) * float(1 / (rate * tick_s))
        spread = np.ptp(off_T)
        if spread < 1e-5:  # not even rounded
            return rate, False
        if spread <= min(1.001, 0.25 / float(rate * tick_s)):
            fitting.append(rate)
    return (fitting[0], False) if fitting else (mean, True)


def _usual(rate: Fraction) -> Fraction:
    """The whole or NTSC rate (30000/1001 ...) that is meant by 29.97, or by a mean close to it."""
    whole = Fraction(round(rate))
    ntsc = Fraction(round(rate * Fraction(1001, 1000)) * 1000, 1001)
    nearest = min(whole, ntsc, key=lambda usual: abs(usual - rate))
    return nearest if nearest > 0 and abs(nearest / rate - 1) < 2e-4 else rate


def _timeline(
    path: Path, decode: bool, has_times: bool, skip: bool
) -> tuple[np.ndarray, int, str | None]:
    """Frame times in rising ticks, the last frame's length in ticks, and what damage was met."""
    ticks, timeless = array("q"), False
    newest, newest_length = 0, 0
    damage: list[str] = []
    with open_media(path) as container:
        stream = video_stream(container, path)
        for picture in _pictures(container, stream, damage, decode, skip):
            tick = picture.pts if has_times else picture.dts
            timeless = timeless or tick is None
            ticks.append(tick or 0)
            if (tick or 0) >= newest:
                newest, newest_length = tick or 0, picture.duration or 0
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        frame_ticks = 1 / (rate * stream.time_base)
        low, high = min(ticks, default=0), max(ticks, default=0)
        span_s, far_s = ((high - low) * stream.time_base, max(high, -low) * stream.time_base)
        if span_s > _LONGEST_S or far_s > _FARTHEST_S:
            damage.append("its times are broken")
            timeless = True
    if timeless:  # as many frames as there are, evenly
        ticks = [round(i * frame_ticks) for i in range(len(ticks))]
    ticks_T = np.sort(np.array(ticks, np.int64))
    steps_T = np.arange(len(ticks_T))  # two frames at one time: the second appears a tick later
    if (np.diff(ticks_T) == 0).any():
        ticks_T = np.maximum.accumulate(ticks_T - steps_T) + steps_T
    if not damage and is_cut(path):
        damage.append("the file is cut off")
    if damage and not skip:
        ticks_T = _without_holes_at_the_end(ticks_T, float(frame_ticks))
    return ticks_T, newest_length, damage[0] if damage else None


def _pictures(
    container: InputContainer, stream: VideoStream, damage: list[str], decode: bool, skip: bool
) -> Iterator[av.Packet | av.VideoFrame]:
    """One thing with a time for each picture shown: its packet, or the decoded frame itself."""
    for packet in packets(container, stream, damage, skip=skip):
        if not decode:
            if not packet.is_discard:
                yield packet
            continue
        try:
            yield from packet.decode()
        except av.FFmpegError:
            continue
    if decode:
        yield from stream.decode(None)


def _without_holes_at_the_end(ticks_T: np.ndarray, frame_ticks: float) -> np.ndarray:
    """Pictures are stored out of order: where a file is cut off, some before the last are missing.

    Args:
        frame_ticks: the length of a frame, as announced.
    """
    steps = np.diff(ticks_T)
    if not len(steps):
        return ticks_T
    tail = max(0, len(steps) - _REORDERED)
    holes = np.flatnonzero(steps[tail:] > 1.5 * min(np.median(steps), frame_ticks))
    return ticks_T[: tail + holes[0] + 1] if len(holes) else ticks_T


def _may_hide_pictures(container: InputContainer, stream: VideoStream) -> bool:
    """True where a packet is not always one picture, so that counting needs decoding.

    VP8 has invisible reference pictures; MPEG-4 in AVI packs two into one packet; in broadcast
    streams the two fields of an interlaced picture may be packets of their own.
    """
    codec, formats = stream.codec_context, container.format.name.split(",")
    interlaced = codec.field_order not in _PROGRESSIVE and "mp4" not in formats
    return codec.name.startswith(("vp8", "libvpx-vp8", "mpeg4")) or interlaced


def _first_frame(container: InputContainer, stream: VideoStream, path: Path) -> av.VideoFrame:
    why: list[str] = []
    for packet in packets(container, stream, why):
        try:
            for frame in packet.decode():
                return frame
        except av.FFmpegError as error:
            why.append(reason(error))
    for frame in stream.decode(None):
        return frame
    raise UserError(
        f"cannot read {path}: no frame in it can be decoded ({'; '.join(why[:1]) or 'none found'}); "
        "copy or export it again"
    )


def _square_pixels(stream: VideoStream, frame: av.VideoFrame) -> tuple[int, int]:
    """Width and height of the stored picture once each pixel is as wide as it is high."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    usable = Fraction(1, 8) < aspect < 8
    return (round(frame.width * aspect) if usable else frame.width), frame.height


def _turn(frame: av.VideoFrame) -> Turn:
    """Read the display matrix: stored (x, y) is shown at (a x + c y, b x + d y), as ISO 14496-12
    has it; turns by other than quarter circles are left out.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return Turn()
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5] / 65536
    if abs(b) > abs(a) and abs(c) > abs(d):
        return Turn(True, bool(c < 0), bool(b < 0))
    return Turn(False, bool(a < 0), bool(d < 0))
