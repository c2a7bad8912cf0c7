"""Any video in: frame counts, times, rotation, and what players do with odd files."""

import contextlib
import threading
from fractions import Fraction

import numpy as np
import pytest

from lab.errors import UserError
from lab.media import VideoReader, probe, read_frames
from lab.media.probe import frame_rate
from lab.media.samples import chirp, frame_number, numbered_frames, write_sample, write_sound

NTSC = Fraction(30000, 1001)
FRAMES = numbered_frames(30, 96, 64)
CONTAINERS = {
    "clip.mp4": {},
    "clip.mkv": {"rate_fps": NTSC},
    "clip.mov": {"codec": "prores_ks", "pixels": "yuv422p10le", "rate_fps": Fraction(24000, 1001)},
    "motion jpeg.avi": {"codec": "mjpeg", "pixels": "yuvj420p", "full_range": True},
    "h264.avi": {},
    "vp9.webm": {"codec": "libvpx-vp9", "rate_fps": 60, "options": {"cpu-used": "8"}},
    "vp8.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16"}},
    "clip.flv": {},
    "broadcast.ts": {"rate_fps": NTSC},
    "disc.mpg": {"codec": "mpeg2video"},
    "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "ten bits.mp4": {"pixels": "yuv420p10le"},
    "gray.mp4": {"pixels": "gray"},
    "interlaced.ts": {"options": {"flags": "+ildct+ilme", "x264-params": "tff=1"}},
    "raw.h264": {},
    "moving.gif": {"codec": "gif", "pixels": "rgb8"},
    "clip ünïcode: 1.mp4": {},
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_frame_is_read_once_in_order_at_its_time(name, tmp_path) -> None:
    settings = CONTAINERS[name]
    rate = Fraction(settings.get("rate_fps", 25))
    path = write_sample(tmp_path / name, FRAMES, **settings)
    with VideoReader(path) as reader:
        frames = list(reader)
    assert reader.info.frames == len(frames) == len(FRAMES)
    assert [frame_number(frame.image_HW3) for frame in frames] == list(range(len(FRAMES)))
    assert (reader.info.rate_fps, reader.info.variable_rate) == (rate, False)
    expected = [reader.info.start_s + float(i / rate) for i in range(len(FRAMES))]
    assert [frame.time_s for frame in frames] == pytest.approx(expected, abs=1e-9)
    assert reader.info.duration_s == pytest.approx(float(len(FRAMES) / rate))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_uneven_times_are_read_as_they_are(suffix, tmp_path) -> None:
    times = [Fraction(i, 25) + Fraction(i * i, 500) for i in range(30)]
    path = write_sample(tmp_path / f"clip{suffix}", FRAMES, times_s=times)
    with VideoReader(path) as reader:
        read = [frame.time_s for frame in reader]
    assert reader.info.variable_rate
    tick_s = 1e-3 if suffix == ".mkv" else 1 / 90_000
    assert read == pytest.approx([float(t) for t in times], abs=0.51 * tick_s)
    assert reader.info.rate_fps == pytest.approx(30 / reader.info.duration_s, rel=1e-3)


def test_dropped_frame_in_a_coarse_clock_is_a_variable_rate() -> None:
    ticks = np.array([0, 1, 2, 4, 5, 6])  # a clock of 25 ticks a second, the fourth missing
    assert frame_rate(ticks, Fraction(1, 25), [Fraction(25)])[1]


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), NTSC, Fraction(25), Fraction(60)])
def test_rate_is_found_behind_millisecond_rounding(rate) -> None:
    ticks = np.array([round(i / rate * 1000) for i in range(2000)])
    assert frame_rate(ticks, Fraction(1, 1000), []) == (rate, False)


def test_rate_announced_in_decimals_is_the_fraction_that_is_meant() -> None:
    rate = Fraction(24000, 1001)
    ticks = np.array([round(i / rate * 90_000) for i in range(40)])
    assert frame_rate(ticks, Fraction(1, 90_000), [Fraction(2997, 125)]) == (rate, False)
    exact = np.arange(40) * 125  # a clock of 2997 ticks a second: here the decimals are meant
    assert frame_rate(exact, Fraction(1, 2997), [Fraction(2997, 125)])[0] == Fraction(2997, 125)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_stated_rotation_is_applied(degrees, mirror, tmp_path) -> None:
    path = write_sample(
        tmp_path / "phone.mp4", FRAMES[:3], rotation_deg=degrees, mirror=mirror, pixels="yuv444p"
    )
    with VideoReader(path) as reader:
        read_HW3 = next(iter(reader)).image_HW3
    shown_HW3 = np.rot90(FRAMES[0], -degrees // 90)
    shown_HW3 = shown_HW3[:, ::-1] if mirror else shown_HW3
    assert read_HW3.shape == shown_HW3.shape
    assert (reader.info.height_px, reader.info.width_px) == shown_HW3.shape[:2]
    assert np.abs(read_HW3.astype(int) - shown_HW3).mean() < 4
    if not mirror:
        assert reader.info.rotation_deg == degrees


def test_rotation_agrees_with_another_player(tmp_path) -> None:
    import cv2

    path = write_sample(tmp_path / "phone.mp4", FRAMES[:3], rotation_deg=90)
    ours = read_frames(path, 1)[0]
    theirs = cv2.VideoCapture(str(path)).read()[1][..., ::-1]
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).mean() < 8, "turned the other way round?"


def test_wide_pixels_become_square(tmp_path) -> None:
    path = write_sample(tmp_path / "disc.mp4", FRAMES[:3], pixel_aspect=Fraction(4, 3))
    assert read_frames(path).shape == (3, 64, 128, 3)
    assert probe(path).width_px == 128


def test_transparent_video_is_shown_on_white(tmp_path) -> None:
    frames = np.zeros((3, 64, 96, 4), np.uint8)
    frames[:, :, 48:] = (200, 0, 0, 255)
    path = write_sample(tmp_path / "sticker.mov", frames, codec="qtrle", pixels="argb")
    image_HW3 = read_frames(path)[0]
    assert image_HW3[32, 10].tolist() == [255, 255, 255]
    assert image_HW3[32, 90].tolist() == [200, 0, 0]


def test_late_picture_and_sound_keep_their_distance(tmp_path) -> None:
    times = [Fraction(1, 2) + Fraction(i, 25) for i in range(30)]
    path = write_sample(tmp_path / "late.mp4", FRAMES, times_s=times, audio=chirp(1.7, 48000))
    assert probe(path).start_s == 0.5
    with VideoReader(path) as reader:
        assert next(iter(reader)).time_s == 0.5


def test_reading_twice_gives_the_same(tmp_path) -> None:
    with VideoReader(write_sample(tmp_path / "clip.mp4", FRAMES)) as reader:
        first = [frame.image_HW3 for frame in reader]
        for _ in zip(reader, range(3), strict=False):
            pass  # left half-way
        second = [frame.image_HW3 for frame in reader]
    assert np.array_equal(first, second)


def test_reading_on_after_the_block_is_an_error_and_no_crash(tmp_path) -> None:
    with VideoReader(write_sample(tmp_path / "clip.mp4", FRAMES)) as reader:
        frames = iter(reader)
        next(frames)
    with pytest.raises(ValueError, match="after its `with` block"):
        next(frames)


def test_reader_may_be_left_while_another_thread_reads(tmp_path) -> None:
    path = write_sample(tmp_path / "clip.mp4", FRAMES)
    for _ in range(5):
        seen: list[int] = []

        def work(frames, seen=seen) -> None:
            with contextlib.suppress(ValueError):
                seen.extend(frame_number(frame.image_HW3) for frame in frames)

        with VideoReader(path) as reader:
            thread = threading.Thread(target=work, args=(iter(reader),))
            thread.start()
        thread.join(20)
        assert not thread.is_alive() and seen == list(range(len(seen)))


def test_sound_facts_are_told(tmp_path) -> None:
    path = write_sample(tmp_path / "clip.mkv", FRAMES[:5], audio=chirp(0.5, 44100, 2))
    assert (probe(path).audio_hz, probe(path).audio_channels) == (44100, 2)
    silent = write_sample(tmp_path / "silent.mkv", FRAMES[:5])
    assert (probe(silent).audio_hz, probe(silent).audio_channels) == (None, 0)


def test_cover_picture_is_no_video(tmp_path) -> None:
    import av

    from lab.media.samples import _add_sound, to_frame

    cover = write_sample(tmp_path / "cover.png", FRAMES[:1], codec="png", pixels="rgb24")
    song = tmp_path / "song.m4a"
    tone = chirp(0.5, 44100)
    with av.open(str(song), "w", format="mp4") as out, av.open(str(cover)) as picture:
        template = picture.streams.video[0]
        track = out.add_stream_from_template(template, opaque=True)
        sound = _add_sound(out, tone, "aac")
        track.disposition = av.stream.Disposition.attached_pic
        packet = next(picture.demux(template))
        packet.stream = track
        out.mux(packet)
        out.mux(sound.encode(to_frame(tone.samples_NC, tone.rate_hz, 0)))
        out.mux(sound.encode(None))
    with pytest.raises(UserError, match="sound only"):
        probe(song)


def test_sound_file_is_no_video(tmp_path) -> None:
    path = write_sound(tmp_path / "tone.wav", chirp(0.2, 16000), "pcm_s16le")
    with pytest.raises(UserError, match="sound only"):
        VideoReader(path)
