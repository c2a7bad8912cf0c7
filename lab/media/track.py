"""A sound track for the video writer: copied packet by packet, or encoded as AAC.

Either kind is an iterator of packets in order, each with the time at which it is heard, so that
the writer can interleave them with the pictures and nothing piles up in memory.
"""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.stream import Stream

from lab.media.audio import Audio, Converter, SoundReader, to_frame
from lab.media.source import clock_start_s, open_media, packets

# What players accept inside MP4. Everything else (PCM, Vorbis, WMA ...) is encoded as AAC.
_COPIED_CODECS = ("aac", "mp3", "mp3float", "ac3", "eac3", "alac", "opus", "libopus", "flac")
_AAC_RATES_HZ = (48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_AAC_BITS_PER_S = 128_000  # a channel; the encoder lowers it where the sample rate is low
_WARM_UP = 2  # packets kept before the first audible one: decoders overlap their neighbours

TimedPacket = tuple[Fraction, av.Packet]


def sound_track(
    source: Audio | Path, output: OutputContainer, start_s: Fraction, resources: ExitStack
) -> Iterator[TimedPacket]:
    """Add a sound track to `output`, before its first packet, and give its packets.

    Args:
        source: a file whose main sound track is copied or encoded, or the sound itself.
        start_s: the source's time that becomes 0 in the output.
        resources: closes the source once the output is written.

    Returns:
        (when it is heard in seconds, packet); nothing if the file has no sound.
    """
    if isinstance(source, Audio):
        skipped = max(0, round(start_s * source.rate_hz))
        return _encode(iter([source.samples_NC[skipped:]]), source, output)
    container = resources.enter_context(open_media(source))
    stream = container.streams.best("audio")
    if stream is None or stream.codec_context is None:
        return iter(())
    if stream.codec_context.name in _COPIED_CODECS:
        with suppress(ValueError):  # MOV takes fewer codecs than MP4
            copied = output.add_stream_from_template(stream, opaque=True)
            return _copy(container, stream, copied, clock_start_s(source) + start_s)
    reader = SoundReader(source, start_s)
    resources.callback(reader.close)
    return _encode(reader.pieces(), reader, output) if reader.found else iter(())


def _copy(
    container: InputContainer, stream: Stream, copied: Stream, zero_s: Fraction
) -> Iterator[TimedPacket]:
    """Packets unchanged, with timestamps to the sample.

    MKV and FLV round to 1 ms. A packet that follows the last one within that rounding follows it
    exactly; elsewhere the stated time counts.
    """
    rate_hz = stream.codec_context.sample_rate
    frame_s = Fraction(stream.codec_context.frame_size or 0, rate_hz)
    tick_s = stream.time_base
    rounding_s = Fraction(3, 2) * tick_s if tick_s > Fraction(1, rate_hz) else Fraction(0)
    expected_s: Fraction | None = None
    for packet in packets(container, stream, [], skip=True):
        length_s = (packet.duration or 0) * tick_s
        if frame_s and abs(length_s - frame_s) <= rounding_s:
            length_s = frame_s
        time_s = expected_s if packet.pts is None else packet.pts * tick_s - zero_s
        time_s = time_s or Fraction(0)
        if expected_s is None and rounding_s:
            time_s = _exact_priming(packet, time_s, rate_hz, rounding_s)
        if expected_s is not None and abs(time_s - expected_s) <= rounding_s:
            time_s = expected_s
        expected_s = time_s + length_s
        if expected_s < -_WARM_UP * length_s:
            continue
        packet.stream = copied
        packet.time_base = Fraction(1, rate_hz)
        packet.pts = packet.dts = round(time_s * rate_hz)
        packet.duration = round(length_s * rate_hz)
        yield time_s, packet


def _exact_priming(
    packet: av.Packet, time_s: Fraction, rate_hz: int, rounding_s: Fraction
) -> Fraction:
    """The first packet's time, if it is only the encoder's priming, to the sample.

    The number of samples to skip is the first field (4 bytes) of the packet's side data.
    """
    if not packet.has_sidedata("skip_samples"):
        return time_s
    skipped = int.from_bytes(bytes(packet.get_sidedata("skip_samples"))[:4], "little")
    priming_s = Fraction(-skipped, rate_hz)
    return priming_s if abs(time_s - priming_s) <= rounding_s else time_s


def _encode(
    pieces: Iterator[np.ndarray], source: Audio | SoundReader, output: OutputContainer
) -> Iterator[TimedPacket]:
    """Add an AAC track and give the packets that encode `pieces`."""
    channels = source.samples_NC.shape[1] if isinstance(source, Audio) else source.channels
    rate_hz = source.rate_hz if source.rate_hz in _AAC_RATES_HZ else 48000
    kept = min(2, channels)
    stream = output.add_stream(
        "aac",
        rate=rate_hz,
        layout="mono" if kept == 1 else "stereo",
        bit_rate=kept * _AAC_BITS_PER_S,
    )
    convert = None
    if (rate_hz, kept) != (source.rate_hz, channels):
        convert = Converter(source.rate_hz, channels, rate_hz, kept)
    return _encoded(pieces, convert, stream, rate_hz)


def _encoded(
    pieces: Iterator[np.ndarray], convert: Converter | None, stream: Stream, rate_hz: int
) -> Iterator[TimedPacket]:
    position = 0

    def encode(samples_NC: np.ndarray) -> Iterator[TimedPacket]:
        nonlocal position
        for start in range(0, len(samples_NC), rate_hz):  # a second at a time
            second_NC = samples_NC[start : start + rate_hz]
            for packet in stream.encode(to_frame(second_NC, rate_hz, position)):
                yield packet.pts * packet.time_base, packet
            position += len(second_NC)

    for piece_NC in pieces:
        yield from encode(convert(piece_NC) if convert else piece_NC)
    if convert:
        yield from encode(convert(None))
    for packet in stream.encode(None):
        yield packet.pts * packet.time_base, packet
