"""sign_and_write: everything or nothing."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lab import media
from lab.errors import UserError
from lab.provenance import Record, label, manifest, sign_and_write, watermark


def test_picture_carries_all_three_layers(tmp_path: Path, portrait, record: Record) -> None:
    frame = portrait(0)
    before = frame.copy()
    path = sign_and_write(tmp_path / "new folder" / "a.png", frame, record)
    np.testing.assert_array_equal(frame, before)
    written = media.read_image(path)
    found = manifest.read(path)
    assert label.detect(written).present
    assert watermark.detect([written]).payload == found.statement.payload
    assert found.state == "trusted"
    assert [p.name for p in path.parent.iterdir()] == ["a.png"]


def test_video_keeps_times_and_sound(tmp_path: Path, portrait, record: Record) -> None:
    times_s = [0.0, 0.04, 0.1, 0.3]
    frames = (
        media.VideoFrame(portrait(0, 130, 97, shift=i), time_s) for i, time_s in enumerate(times_s)
    )
    sound = media.Audio(np.zeros((4800, 1), np.float32), 16000)
    path = sign_and_write(tmp_path / "a.mp4", frames, record, rate_fps=Fraction(25), audio=sound)
    with media.VideoReader(path) as reader:
        read = list(reader)
        info = reader.info
    assert [frame.time_s for frame in read] == pytest.approx(times_s, abs=1e-4)
    assert read[0].image_HW3.shape == (97, 130, 3)
    assert info.audio_hz == 16000
    assert watermark.detect(frame.image_HW3 for frame in read).payload is not None
    assert label.detect(read[0].image_HW3).present
    assert manifest.read(path).state == "trusted"


def test_frames_are_taken_one_by_one(tmp_path: Path, portrait, record: Record) -> None:
    """Each frame is let go before the next is asked for, so memory does not grow."""
    import weakref

    given: list[weakref.ref] = []

    def frames() -> Iterator[np.ndarray]:
        for i in range(12):
            alive = sum(ref() is not None for ref in given)
            assert alive <= 3, f"{alive} frames are held at frame {i}"
            frame = portrait(0, 64, 64, shift=i)
            given.append(weakref.ref(frame))
            yield frame

    sign_and_write(tmp_path / "a.mp4", frames(), record, rate_fps=25)
    assert media.probe(tmp_path / "a.mp4").frames == 12


def test_signing_again_replaces_the_earlier_watermark(tmp_path: Path, portrait, record) -> None:
    first = sign_and_write(tmp_path / "first.png", portrait(1), record)
    second_record = replace(record, what="second", inputs=(first,))
    second = sign_and_write(tmp_path / "second.png", media.read_image(first), second_record)
    found = watermark.detect([media.read_image(second)]).payload
    assert found == manifest.read(second).statement.payload
    assert found != manifest.read(first).statement.payload


@pytest.mark.parametrize("name", ["a.gif", "a", "a.mp4"])
def test_picture_with_a_wrong_suffix_is_refused(tmp_path, portrait, record, name: str) -> None:
    with pytest.raises(UserError, match=r"pictures are written as \.png"):
        sign_and_write(tmp_path / name, portrait(0, 64, 64), record)
    assert not list(tmp_path.iterdir())


def test_video_with_a_wrong_suffix_is_refused(tmp_path: Path, portrait, record: Record) -> None:
    with pytest.raises(UserError, match=r"videos are written as \.mp4"):
        sign_and_write(tmp_path / "a.png", [portrait(0, 64, 64)], record, rate_fps=25)


def test_failure_leaves_what_was_there(tmp_path: Path, portrait, record: Record) -> None:
    target = tmp_path / "a.mp4"
    target.write_bytes(b"old")

    def broken() -> Iterator[np.ndarray]:
        yield portrait(0, 64, 64)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sign_and_write(target, broken(), record, rate_fps=25)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_failed_signature_leaves_nothing(tmp_path, portrait, record, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no signature")

    monkeypatch.setattr("lab.provenance.write.sign", refuse)
    with pytest.raises(RuntimeError):
        sign_and_write(tmp_path / "a.png", portrait(0, 64, 64), record)
    assert not list(tmp_path.iterdir()), "an unsigned file must not stay behind"


def test_unusable_requests_are_refused_before_anything_is_written(
    tmp_path: Path, portrait, record: Record
) -> None:
    gone = replace(record, inputs=(tmp_path / "gone.mp4",))
    with pytest.raises(UserError, match=r"cannot read the input .*gone\.mp4"):
        sign_and_write(tmp_path / "a.png", portrait(0, 64, 64), gone)
    with pytest.raises(UserError, match="too small for its label"):
        sign_and_write(tmp_path / "a.png", portrait(0, 60, 64), record)
    with pytest.raises(ValueError, match="rate_fps"):
        sign_and_write(tmp_path / "a.mp4", [portrait(0, 64, 64)], record)
    with pytest.raises(UserError, match="no frames"):
        sign_and_write(tmp_path / "a.mp4", [], record, rate_fps=25)
    with pytest.raises(ValueError, match="source type"):
        sign_and_write(
            tmp_path / "a.png", portrait(0, 64, 64), replace(record, source_type="photograph")
        )
    assert not list(tmp_path.iterdir())
