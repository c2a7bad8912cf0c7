"""Files that are cut off, damaged, or something else: one clear line, and never a hang."""

import re

import numpy as np
import pytest

from lab.errors import UserError
from lab.media import VideoReader, VideoWriter, probe, read_audio, read_image, write_image
from lab.media.samples import chirp, frame_number, numbered_frames, write_sample, write_sound

FRAMES = numbered_frames(60, 96, 64)
FASTSTART = {"container_options": {"movflags": "faststart"}}
FRAGMENTS = {"container_options": {"movflags": "frag_keyframe+empty_moov"}}
KINDS = {
    "a.mp4": FASTSTART,
    "fragments.mp4": FRAGMENTS | {"options": {"g": "10", "threads": "1"}},
    "a.mkv": {},
    "a.webm": {"codec": "libvpx-vp9", "options": {"cpu-used": "8"}, "audio_codec": "libopus"},
    "a.avi": {"codec": "mjpeg", "pixels": "yuvj420p", "audio_codec": "pcm_s16le"},
    "a.flv": {},
}


def cut(path, share: float):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def one_line(caught, path) -> str:
    message = str(caught.value)
    assert "\n" not in message and str(path) in message and ";" in message, message
    return message


@pytest.mark.parametrize("share", [0.4, 0.7])
@pytest.mark.parametrize("name", [name for name in KINDS if name != "a.flv"])
def test_cut_off_video_gives_its_whole_frames_then_says_so(name, share, tmp_path) -> None:
    path = cut(write_sample(tmp_path / name, FRAMES, audio=chirp(2.4, 48000), **KINDS[name]), share)
    numbers = []
    with pytest.raises(UserError) as caught, VideoReader(path) as reader:
        for frame in reader:
            numbers.append(frame_number(frame.image_HW3))
    said = int(re.search(r"after (\d+) frames", one_line(caught, path))[1])
    assert numbers == list(range(len(numbers))), "a frame is missing or wrong"
    assert 60 * share - 25 < len(numbers) < 60
    assert said == len(numbers) == reader.info.frames
    assert not reader.info.variable_rate


@pytest.mark.parametrize("name", KINDS)
def test_skip_delivers_what_decodes(name, tmp_path) -> None:
    path = cut(write_sample(tmp_path / name, FRAMES, audio=chirp(2.4, 48000), **KINDS[name]), 0.6)
    with VideoReader(path, on_error="skip") as reader:
        assert 10 < len(list(reader)) < 60


def test_mp4_without_its_end_is_one_line(tmp_path) -> None:
    path = cut(write_sample(tmp_path / "phone.mp4", FRAMES), 0.9)
    with pytest.raises(UserError) as caught:
        probe(path)
    assert "cut off" in one_line(caught, path)


@pytest.mark.parametrize("name", KINDS)
def test_flipped_bytes_never_end_in_a_traceback(name, tmp_path) -> None:
    path = write_sample(tmp_path / name, FRAMES, audio=chirp(2.4, 48000), **KINDS[name])
    whole = path.read_bytes()
    for seed in range(6):
        rng = np.random.default_rng(seed)
        data = bytearray(whole)
        for position in rng.integers(0, len(data), 40):
            data[position] = rng.integers(256)
        path.write_bytes(data)
        for read in (lambda: list(VideoReader(path)), lambda: read_audio(path)):
            try:
                read()
            except UserError as error:
                assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.mp4", b"this is no film\n" * 50),
        ("notes.txt", b"nor is this\n" * 50),
        ("art.ans", b"\x1b[31mred\x1b[0m\r\n" * 50),
        ("zeros.mp4", bytes(20_000)),
        ("empty.mp4", b""),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:4,\nhttp://203.0.113.1/a.ts\n#EXT-X-ENDLIST\n"),
    ],
)
def test_what_is_no_media_is_one_line(name, content, tmp_path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for read in (probe, read_audio, read_image):
        with pytest.raises(UserError) as caught:
            read(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [probe, read_audio, read_image])
def test_missing_file_and_folder_are_one_line(read, tmp_path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "nothing.mp4")
    with pytest.raises(UserError, match="a folder"):
        read(tmp_path)


@pytest.mark.parametrize("read", [probe, read_audio, read_image])
def test_file_without_permission_is_one_line(read, tmp_path, monkeypatch) -> None:
    path = write_sample(tmp_path / "mine.mp4", FRAMES[:2])

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(UserError, match="permission denied"):
        read(path)


def test_still_image_is_no_video(tmp_path) -> None:
    with pytest.raises(UserError, match="still image"):
        probe(write_image(tmp_path / "face.png", FRAMES[0]))


def test_cut_off_sound_is_one_line_or_what_there_is(tmp_path) -> None:
    path = cut(write_sound(tmp_path / "tone.wav", chirp(1.0, 16000), "pcm_s16le"), 0.5)
    with pytest.raises(UserError, match="cut off"):
        read_audio(path)
    assert read_audio(path, on_error="skip").duration_s == pytest.approx(0.5, abs=0.05)


def test_broken_input_leaves_no_output(tmp_path) -> None:
    source = cut(write_sample(tmp_path / "a.mkv", FRAMES, audio=chirp(2.4, 48000)), 0.5)
    with (
        pytest.raises(UserError, match="breaks off"),
        VideoWriter(tmp_path / "out.mp4", 25, audio=source) as writer,
    ):
        for frame in VideoReader(source):
            writer.write(frame.image_HW3, frame.time_s)
    assert list(tmp_path.iterdir()) == [source]
