"""Sound stays where it was: copied packet by packet, encoded, resampled, cut."""

from fractions import Fraction

import av
import numpy as np
import pytest

from lab.errors import UserError
from lab.media import Audio, VideoReader, VideoWriter, read_audio, write_wav
from lab.media.samples import chirp, numbered_frames, shift_samples, write_sample, write_sound

FRAMES = numbered_frames(50, 64, 48)
SOUND = chirp(2.0, 48000, 2)


def packets(path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def rewrite(source, target, count=None, timed=True):
    """Read a video and write it again with its sound."""
    with VideoReader(source) as reader, VideoWriter(target, 25, audio=source) as writer:
        for frame, _ in zip(reader, range(count or 10**6), strict=False):
            writer.write(frame.image_HW3, frame.time_s if timed else None)
    return target


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("clip.mp4", "aac"),
        ("clip.mkv", "aac"),
        ("clip.ts", "aac"),
        ("clip.flv", "aac"),
        ("clip.webm", "libopus"),
        ("clip.mkv", "flac"),
        ("clip.mp4", "alac"),
        ("clip.mp4", "ac3"),
        ("clip.mp4", "mp3"),
    ],
)
def test_sound_that_mp4_allows_is_copied_packet_by_packet(name, codec, tmp_path) -> None:
    video = "libvpx" if name.endswith("webm") else "libx264"
    source = write_sample(tmp_path / name, FRAMES, codec=video, audio=SOUND, audio_codec=codec)
    target = rewrite(source, tmp_path / "out.mp4")
    before, after = packets(source), packets(target)
    adts = 7 if name.endswith(".ts") else 0  # a header that MP4 keeps once for all packets
    assert [packet[adts:] for packet in before] == after
    assert shift_samples(read_audio(target), read_audio(source)) == 0


@pytest.mark.parametrize(("name", "codec"), [("c.avi", "pcm_s16le"), ("c.ts", "mp2")])
def test_other_sound_is_encoded_without_a_shift(name, codec, tmp_path) -> None:
    source = write_sample(
        tmp_path / name, FRAMES, codec="mpeg2video", audio=SOUND, audio_codec=codec
    )
    target = rewrite(source, tmp_path / "out.mp4")
    heard, original = read_audio(target), read_audio(source)
    assert shift_samples(heard, original) == 0
    assert len(heard.samples_NC) - len(original.samples_NC) in range(1024)


@pytest.mark.parametrize("rate_hz", [16000, 44100, 11000, 96000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_sound_given_as_samples_is_encoded_in_place(rate_hz, channels, tmp_path) -> None:
    sound = chirp(2.0, rate_hz, channels)
    with VideoWriter(tmp_path / "clip.mp4", 25, audio=sound) as writer:
        for frame in FRAMES:
            writer.write(frame)
    heard = read_audio(tmp_path / "clip.mp4", rate_hz)
    assert shift_samples(heard, sound) == 0
    assert heard.samples_NC.shape[1] == min(2, channels)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_late_sound_stays_late(suffix, tmp_path) -> None:
    source = write_sample(
        tmp_path / f"late{suffix}", FRAMES, audio=SOUND, audio_start_s=Fraction(1, 4)
    )
    heard = read_audio(source, 16000, channels=1)
    original = read_audio(write_wav(tmp_path / "original.wav", SOUND), 16000, channels=1)
    assert shift_samples(heard, original, reach=8000) == pytest.approx(4000, abs=22)
    again = read_audio(rewrite(source, tmp_path / "out.mp4"), 16000, channels=1)
    assert shift_samples(again, original, reach=8000) == pytest.approx(4000, abs=22)


@pytest.mark.parametrize("timed", [True, False])
def test_late_picture_keeps_its_distance_from_the_sound(timed, tmp_path) -> None:
    times = [Fraction(1, 2) + Fraction(i, 25) for i in range(len(FRAMES))]
    source = write_sample(tmp_path / "late.mp4", FRAMES, times_s=times, audio=chirp(2.5, 48000))
    target = rewrite(source, tmp_path / "out.mp4", timed=timed)
    shift = shift_samples(read_audio(target), read_audio(source), reach=30_000)
    with VideoReader(target) as reader:
        first_s = next(iter(reader)).time_s
    assert first_s == (0.5 if timed else 0.0)
    assert shift == (0 if timed else -24_000), "sound and picture have moved apart"


def test_sound_ends_with_the_last_frame_if_only_a_part_is_written(tmp_path) -> None:
    source = write_sample(tmp_path / "clip.mp4", FRAMES, audio=SOUND)
    target = rewrite(source, tmp_path / "part.mp4", count=25)
    assert read_audio(target).duration_s == pytest.approx(1.0, abs=1024 / 48000)
    assert shift_samples(read_audio(target), SOUND) == 0


def test_sound_file_is_kept_whole(tmp_path) -> None:
    song = write_sound(tmp_path / "song.m4a", SOUND, "aac")
    with VideoWriter(tmp_path / "clip.mp4", 25, audio=song) as writer:
        for frame in FRAMES[:10]:
            writer.write(frame)
    assert packets(tmp_path / "clip.mp4") == packets(song)


def test_video_without_sound_gives_none(tmp_path) -> None:
    source = write_sample(tmp_path / "silent.mp4", FRAMES[:5])
    assert read_audio(source) is None
    assert read_audio(rewrite(source, tmp_path / "out.mp4")) is None


def test_missing_sound_file_is_refused_before_the_first_frame(tmp_path) -> None:
    with pytest.raises(UserError, match="no such file"):
        VideoWriter(tmp_path / "clip.mp4", 25, audio=tmp_path / "nothing.wav")


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 48000])
def test_resampling_keeps_time_and_level(rate_hz, tmp_path) -> None:
    time_N = np.arange(44100) / 44100
    path = write_wav(tmp_path / "tone.wav", Audio(0.5 * np.sin(2 * np.pi * 440 * time_N), 44100))
    sound = read_audio(path, rate_hz)
    expected_N = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz)
    assert sound.samples_NC.shape == (rate_hz, 1)
    inner = slice(rate_hz // 50, -rate_hz // 50)
    assert np.abs(sound.samples_NC[inner, 0] - expected_N[inner]).max() < 2e-3


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_f64le"])
def test_every_sample_format_has_the_same_level(codec, tmp_path) -> None:
    path = write_sound(tmp_path / "tone.wav", SOUND, codec)
    read_NC = read_audio(path).samples_NC
    assert read_NC.dtype == np.float32
    assert np.abs(read_NC - SOUND.samples_NC).max() <= (1 / 127 if codec == "pcm_u8" else 1e-4)


@pytest.mark.parametrize("codec", ["aac", "flac", "pcm_s16le"])
def test_eight_channels_are_kept_apart(codec, tmp_path) -> None:
    levels_C = np.linspace(-0.4, 0.3, 8)
    path = write_sound(tmp_path / "cinema.mka", Audio(np.tile(levels_C, (9600, 1)), 48000), codec)
    if codec == "aac":  # it carries no constant levels; that it is read at all is the point
        assert read_audio(path).samples_NC.shape[1] == 8
        return
    assert read_audio(path).samples_NC[4800] == pytest.approx(levels_C, abs=1e-3)


def test_channels_are_mixed_or_doubled(tmp_path) -> None:
    sides = np.stack([np.full(4800, 0.5), np.full(4800, -0.1)], axis=1)
    path = write_wav(tmp_path / "sides.wav", Audio(sides, 48000))
    mono_N = read_audio(path, channels=1).samples_NC[:, 0]
    assert mono_N[1000:-1000] == pytest.approx(0.2, abs=1e-3)
    doubled = read_audio(write_wav(tmp_path / "m.wav", Audio(sides[:, 0], 48000)), channels=2)
    assert np.abs(doubled.samples_NC[:, 0] - doubled.samples_NC[:, 1]).max() == 0


def test_loud_sound_is_clipped_not_wrapped(tmp_path) -> None:
    path = write_wav(tmp_path / "loud.wav", Audio(np.array([2.0, -2.0, 0.5]), 8000))
    assert read_audio(path).samples_NC[:, 0] == pytest.approx([1, -1, 0.5], abs=1e-4)


def test_samples_of_a_wrong_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(N, C\)"):
        Audio(np.zeros((2, 3, 4)), 16000)
