"""Open a media file, or say in one line why it cannot be used."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from lab.errors import UserError

_TEXT_FORMATS = ("tty", "bin", "xbin", "adf", "idf")  # FFmpeg "plays" text as terminal art


@contextmanager
def open_media(path: Path | str) -> Iterator[InputContainer]:
    """Open a file for reading and close it afterwards.

    Raises:
        UserError: if it is missing, a folder, unreadable, empty, or nothing FFmpeg knows.
    """
    path = readable_file(path)
    try:
        # "file:" keeps a colon in the name from being read as a protocol; the whitelist keeps a
        # play list from reaching into the network.
        container = av.open(
            f"file:{path}",
            metadata_errors="replace",
            container_options={"protocol_whitelist": "file,crypto,data"},
        )
    except (av.FFmpegError, UnicodeError, ValueError) as error:
        raise UserError(
            f"cannot read {path}: not a video or sound file, or cut off while it was written "
            f"({reason(error)}); export it again, as .mp4"
        ) from error
    with container:
        if container.format.name in _TEXT_FORMATS:
            raise UserError(f"cannot read {path}: it holds text, not video or sound")
        yield container


def readable_file(path: Path | str) -> Path:
    """Check that a path is a file with something in it, and give it back.

    Raises:
        UserError: if it is missing, a folder, unreadable or empty.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise UserError(f"cannot read {path}: it is a folder; give a file")
        if path.exists() and not path.is_file():
            raise UserError(f"cannot read {path}: it is a device or pipe; give a file")
        with path.open("rb") as handle:
            if handle.seekable() and os.fstat(handle.fileno()).st_size == 0:
                raise UserError(f"cannot read {path}: the file is empty; export or copy it again")
    except FileNotFoundError as error:
        raise UserError(f"cannot read {path}: no such file; check the path") from error
    except PermissionError as error:
        raise UserError(
            f"cannot read {path}: permission denied; change its owner or mode"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    return path


def reason(error: BaseException) -> str:
    """A library's own words for an error: one line, without FFmpeg's file name and log."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The main video track: not a cover picture, not a still image.

    Raises:
        UserError: if there is none, or none that can be decoded.
    """
    if container.format.name == "image2" or container.format.name.endswith("_pipe"):
        raise UserError(f"cannot read {path} as a video: it is a still image; give a video")
    tracks = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not tracks:
        what = "sound only" if container.streams.audio else "neither video nor sound"
        raise UserError(f"cannot read {path} as a video: it holds {what}; give a video")
    best = container.streams.best("video")
    chosen = best if best in tracks else tracks[0]
    if chosen.codec_context is None or not chosen.codec_context.width:
        raise UserError(
            f"cannot read {path}: its video codec is unknown here, or its header is damaged; "
            "convert it to H.264 .mp4"
        )
    return chosen


def clock_start_s(path: Path) -> Fraction:
    """The file time that counts as 0 s.

    MKV and MP4 have a true zero, and a first frame at 0.5 s means half a second of nothing. In
    other formats (MPEG-TS, AVI, FLV ...) the zero is an accident, and so it is in an MP4 whose
    frames begin late only because they are stored out of order: there 0 is the earliest track's
    start, as players count. All tracks share one zero, so sound and picture keep their distance.
    """
    with open_media(path) as container:
        formats = container.format.name.split(",")
        start = Fraction(container.start_time or 0, av.time_base)
        if "matroska" in formats:
            return Fraction(0)
        if "mp4" not in formats:
            return start
        first = next(container.demux(*container.streams.video[:1]), None)
        reordering_only = first is not None and first.dts == 0 and (first.pts or 0) > 0
        return start if reordering_only else Fraction(0)


def packets(
    container: InputContainer, stream: Stream, damage: list[str], *, skip: bool = False
) -> Iterator[av.Packet]:
    """A track's packets up to the end, or to where the file is cut off or damaged.

    Args:
        damage: receives a few words if the track is not whole.
        skip: leave damaged packets out and read on. Always done for a broadcast stream
            (MPEG-TS), where glitches are ordinary.
    """
    formats = container.format.name.split(",")
    broadcast = "mpegts" in formats
    announced_s = (container.duration or 0) / av.time_base
    seen, cut, end_s = 0, False, 0.0
    try:
        for packet in container.demux():
            if not packet.size:
                continue
            if packet.pts is not None:
                end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream_index != stream.index:
                cut = packet.is_corrupt and not broadcast
                continue
            if packet.is_corrupt and not broadcast:
                cut = True
                if skip:
                    continue
                break
            cut = False
            seen += 1
            yield packet
    except av.FFmpegError as error:
        damage.append(reason(error))
        return
    except IndexError:  # PyAV, after the last packet, if a track appeared half-way
        pass
    if "mp4" in formats:
        cut = cut or stream.frames > seen
    if "matroska" in formats:  # its reader gives up without a word
        cut = cut or end_s < 0.9 * announced_s - 0.5
    if cut:
        damage.append("the file is cut off or damaged")


def is_cut(path: Path) -> bool:
    """True if an MP4, MKV, WebM, AVI or WAV file ends before the length that its headers state.

    FFmpeg mostly says nothing then. MP4 is a chain of boxes: length, four letters, contents, with
    lengths as big-endian numbers. RIFF (AVI, WAV): "RIFF", length as a little-endian number.
    Matroska: EBML id and length, that many bytes, Segment id and length.
    """
    with path.open("rb") as handle:
        head = handle.read(4096)
        file_bytes = os.fstat(handle.fileno()).st_size
        if head[4:8] in (b"ftyp", b"styp", b"moov", b"mdat", b"wide", b"free"):
            return _box_chain_is_cut(handle, file_bytes)
    if head[:4] == b"RIFF":
        announced = 8 + int.from_bytes(head[4:8], "little")
        return announced > file_bytes and head[4:8] != b"\xff\xff\xff\xff"
    if head[:4] != b"\x1a\x45\xdf\xa3":
        return False
    header_bytes, at = _matroska_length(head, 4)
    at += header_bytes or 0
    if head[at : at + 4] != b"\x18\x53\x80\x67":
        return False
    segment_bytes, at = _matroska_length(head, at + 4)
    return segment_bytes is not None and at + segment_bytes > file_bytes


def _box_chain_is_cut(handle: BinaryIO, file_bytes: int) -> bool:
    at = 0
    while at < file_bytes:
        handle.seek(at)
        header = handle.read(16)
        if len(header) < 8 or not header[4:8].isalnum():
            return False  # no box any more: some tools append data of their own
        length = int.from_bytes(header[:4], "big")
        if length == 1:  # a longer number follows the letters
            length = int.from_bytes(header[8:16], "big")
        if length == 0:  # the last box, open-ended
            return False
        at += max(8, length)
    return at > file_bytes


def _matroska_length(data: bytes, at: int) -> tuple[int | None, int]:
    """A length and where it ends: a big-endian number after as many leading zero bits as it has
    extra bytes; all ones mean unknown (None).
    """
    first = data[at] if at < len(data) else 0
    size = 9 - first.bit_length()
    ones = (1 << 7 * size) - 1
    number = int.from_bytes(data[at : at + size], "big") & ones
    return (None if number == ones else number), at + size
