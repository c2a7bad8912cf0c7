"""Sound as arrays. N samples, C channels."""

import wave
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np

from lab.errors import UserError
from lab.files import atomic_path
from lab.media.source import clock_start_s, is_cut, open_media

# A gap or overlap in the file's timestamps is mended from this length on; below, it is the
# rounding of the container (1 ms in MKV and FLV) or jitter. A lost AAC packet is 21 ms.
_GAP_S = 0.015
# A damaged timestamp must not turn into hours of silence: no real film is smaller than this.
_FEWEST_BYTES_PER_S = 100
_PIECE = 1 << 16  # samples resampled at a time
_MOST_CHANNELS = 8


@dataclass(frozen=True)
class Audio:
    """Sound.

    Args:
        samples_NC: float32 in [-1, 1]; sample n is heard at n / rate_hz, on the file's clock, on
            which `VideoFrame.time_s` counts too. One channel may be given as (N,).
        rate_hz: samples per second.
    """

    samples_NC: np.ndarray
    rate_hz: int

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples_NC, np.float32)
        object.__setattr__(self, "samples_NC", samples[:, None] if samples.ndim == 1 else samples)
        if self.samples_NC.ndim != 2 or not 1 <= self.samples_NC.shape[1] <= 8:
            raise ValueError(f"expected (N, C) samples with C in 1..8, got {samples.shape}")
        if self.rate_hz <= 0:
            raise ValueError(f"expected a positive sample rate, got {self.rate_hz}")

    @property
    def duration_s(self) -> float:
        return len(self.samples_NC) / self.rate_hz


def read_audio(
    path: Path | str,
    rate_hz: int | None = None,
    channels: int | None = None,
    on_error: Literal["raise", "skip"] = "raise",
) -> Audio | None:
    """Read the main sound track of a video or sound file.

    Sound that starts late is preceded by silence, gaps are silence, and an encoder's priming is
    cut, so that sample n is always heard at n / rate_hz.

    Args:
        rate_hz: resample to this rate; None keeps the file's.
        channels: 1 or 2 mixes down (or doubles); None keeps the file's.
        on_error: "raise" refuses a file that is cut off; "skip" gives what there is.

    Returns:
        The sound, or None if the file has no sound track.

    Raises:
        UserError: if the file cannot be read.
    """
    with closing(SoundReader(path)) as reader:
        if on_error == "raise" and is_cut(Path(path)):
            raise UserError(f"cannot read {path}: the file is cut off; copy or export it again")
        if not reader.found:
            return None
        pieces = list(reader.pieces())
        audio = Audio(np.concatenate(pieces), reader.rate_hz)
    return converted(audio, rate_hz, channels)


def converted(audio: Audio, rate_hz: int | None, channels: int | None) -> Audio:
    """Change rate or channels; the same object if nothing changes."""
    rate_hz, channels = rate_hz or audio.rate_hz, channels or audio.samples_NC.shape[1]
    if (rate_hz, channels) == (audio.rate_hz, audio.samples_NC.shape[1]):
        return audio
    convert = Converter(audio.rate_hz, audio.samples_NC.shape[1], rate_hz, channels)
    starts = range(0, len(audio.samples_NC), _PIECE)
    pieces = [convert(audio.samples_NC[start : start + _PIECE]) for start in starts]
    samples_NC = np.concatenate([*pieces, convert(None)])
    length = round(len(audio.samples_NC) * rate_hz / audio.rate_hz)
    padding = ((0, max(0, length - len(samples_NC))), (0, 0))
    return Audio(np.pad(samples_NC[:length], padding), rate_hz)


def write_wav(path: Path | str, audio: Audio) -> Path:
    """Write 16-bit PCM, whole or not at all; samples outside [-1, 1] are clipped.

    Raises:
        UserError: if the suffix is not .wav, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".wav":
        raise UserError(f"cannot write {path}: sound is written as .wav")
    levels_NC = np.round(np.clip(audio.samples_NC, -1, 1) * 32767).astype("<i2")
    with atomic_path(path) as temporary, wave.open(str(temporary), "wb") as out:
        out.setnchannels(levels_NC.shape[1])
        out.setsampwidth(2)
        out.setframerate(audio.rate_hz)
        out.writeframes(levels_NC.tobytes())
    return path


class SoundReader:
    """Decode a file's main sound track piece by piece, in constant memory.

    At most eight channels; a track of more counts as none.

    Args:
        start_s: the file time at which the sound is to begin.

    Attributes:
        found: False if there is no sound track; then nothing else may be used.
        rate_hz, channels: of the decoded sound.
    """

    def __init__(self, path: Path | str, start_s: Fraction = Fraction(0)) -> None:
        self.path = Path(path)
        self._start_s = start_s
        self._frames = self._decode()
        self._first = next(self._frames, None)
        self.found = self._first is not None
        if self._first is not None:
            self.rate_hz = self._first.sample_rate
            self.channels = self._first.layout.nb_channels

    def close(self) -> None:
        self._frames.close()

    def pieces(self) -> Iterator[np.ndarray]:
        """(n, C) float32 arrays that follow each other without a gap, from `start_s` on."""
        yield np.zeros((0, self.channels), np.float32)
        zero_s = clock_start_s(self.path) + self._start_s
        longest = round(self._longest_s * self.rate_hz)  # no honest timestamp lies beyond
        pack = _Packer(self.channels)
        cursor, frame = 0, self._first
        while frame is not None:
            piece_NC = pack(frame)
            if frame.pts is not None:
                start = round((frame.pts * frame.time_base - zero_s) * self.rate_hz)
                gap = start - cursor
                if 0 < gap <= longest - cursor and (cursor == 0 or gap > _GAP_S * self.rate_hz):
                    yield from _silence(gap, self.channels)
                    cursor += gap
                elif gap < 0 and (cursor == 0 or -gap > _GAP_S * self.rate_hz):
                    piece_NC = piece_NC[-gap:]
            yield piece_NC
            cursor += len(piece_NC)
            frame = next(self._frames, None)

    def _decode(self) -> Iterator[av.AudioFrame]:
        """Decoded frames; packets that cannot be decoded are left out, and become silence."""
        with open_media(self.path) as container:
            stream = container.streams.best("audio")
            self._longest_s = min(
                1 + (container.duration or 0) / av.time_base,
                self.path.stat().st_size / _FEWEST_BYTES_PER_S,
            )
            if stream is None or stream.codec_context is None:
                return
            try:
                for packet in container.demux(stream):
                    try:
                        for frame in packet.decode():
                            if frame.layout.nb_channels <= _MOST_CHANNELS:
                                yield frame
                    except av.FFmpegError:
                        continue
            except (av.FFmpegError, IndexError):  # IndexError: as in `source.packets`
                return


def _silence(length: int, channels: int) -> Iterator[np.ndarray]:
    for start in range(0, length, _PIECE):
        yield np.zeros((min(_PIECE, length - start), channels), np.float32)


class _Packer:
    """Turn decoded frames of any sample format into (n, C) arrays.

    swresample does it, into one interleaved plane: PyAV counts a ninth plane where there are
    eight or more, and reads beyond the frame's memory.
    """

    def __init__(self, channels: int) -> None:
        self._channels, self._kind = channels, None

    def __call__(self, frame: av.AudioFrame) -> np.ndarray:
        """Returns float32 in [-1, 1], always of the same number of channels."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            self._kind = kind
            self._resampler = av.AudioResampler("flt", frame.layout, frame.sample_rate)
        found = frame.layout.nb_channels
        packed = [f.to_ndarray().reshape(-1, found) for f in self._resampler.resample(frame)]
        samples_NC = np.concatenate(packed)
        if found < self._channels:  # the track changed its channels half-way
            return np.repeat(samples_NC.mean(axis=1, keepdims=True), self._channels, axis=1)
        return samples_NC[:, : self._channels]


class Converter:
    """Change the rate and channels of sound that comes in pieces; swresample, no delay."""

    def __init__(self, from_hz: int, from_channels: int, to_hz: int, to_channels: int) -> None:
        self._from_hz, self._layout, self._position = from_hz, LAYOUTS[from_channels], 0
        # A mix is a mean, not a sum: it must not be louder than 1.
        options = {"rematrix_maxval": "1.0"}
        self._resampler = av.AudioResampler("flt", LAYOUTS[to_channels], to_hz, options=options)
        self._empty = np.zeros((0, to_channels), np.float32)

    def __call__(self, samples_NC: np.ndarray | None) -> np.ndarray:
        """Returns (n', C') for the next piece; None flushes what is left."""
        if samples_NC is None:
            frames = self._resampler.resample(None) if self._position else []
        elif len(samples_NC):
            frame = to_frame(samples_NC, self._from_hz, self._position)
            self._position += len(samples_NC)
            frames = self._resampler.resample(frame)
        else:
            frames = []
        channels = self._empty.shape[1]
        return np.concatenate(
            [self._empty, *(frame.to_ndarray().reshape(-1, channels) for frame in frames)]
        )


LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


def to_frame(samples_NC: np.ndarray, rate_hz: int, position: int) -> av.AudioFrame:
    """A PyAV frame of (n, C) samples that starts at sample `position`."""
    packed_1M = np.ascontiguousarray(samples_NC, dtype=np.float32).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(packed_1M, "flt", LAYOUTS[samples_NC.shape[1]])
    frame.sample_rate = rate_hz
    frame.time_base = Fraction(1, rate_hz)
    frame.pts = position
    return frame
