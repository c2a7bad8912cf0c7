"""`python -m lab render` as a user meets it."""

from pathlib import Path

import pytest

from lab import progress
from lab.actors.clips import find_clips
from lab.cli import main

SMALL = ["--actors", "2", "--seconds", "0.12", "--size", "64"]


def test_render_writes_clips_and_resumes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "Daten für alle"
    assert main(["render", *SMALL, "--out", str(out)]) == 0
    clips = find_clips(out)
    assert len(clips) == 2 and all(len(clip) == 3 for clip in clips)
    assert "2 clips of 3 frames" in capsys.readouterr().out
    (out / clips[0].folder.name / "clip.json").unlink()  # as if it had been interrupted
    kept_ns = clips[1].video_path.stat().st_mtime_ns
    assert main(["render", *SMALL, "--out", str(out)]) == 0
    assert len(find_clips(out)) == 2
    assert clips[1].video_path.stat().st_mtime_ns == kept_ns


def test_render_takes_rate_seed_and_silence(tmp_path: Path) -> None:
    arguments = ["--rate", "50", "--seed", "9", "--silent", "--out", str(tmp_path)]
    assert main(["render", "--actors", "1", "--seconds", "0.1", "--size", "64", *arguments]) == 0
    (clip,) = find_clips(tmp_path)
    assert (clip.rate_fps, len(clip), clip.phonemes, clip.audio()) == (50.0, 5, (), None)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--actors", "0"),
        ("--actors", "-3"),
        ("--actors", "two"),
        ("--actors", "99999"),
        ("--size", "8"),
        ("--size", "100000"),
        ("--seconds", "0"),
        ("--seconds", "nan"),
        ("--seconds", "1e9"),
        ("--rate", "0"),
        ("--rate", "inf"),
        ("--seed", "-1"),
        ("--sheet", "sheet.txt"),
        ("--colour", "red"),
    ],
)
def test_render_refuses_senseless_arguments(
    flag: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["render", "--out", str(tmp_path / "x"), flag, value]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and flag in error
    assert not (tmp_path / "x").exists()


def test_render_refuses_a_folder_it_cannot_make(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        assert main(["render", *SMALL, "--out", str(out)]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1 and "file" in error


def test_interrupted_render_leaves_no_half_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    steps: list[int] = []

    def interrupt(self: progress.Progress, *_: object, **__: object) -> None:
        steps.append(1)
        if len(steps) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(progress.Progress, "step", interrupt)
    assert main(["render", *SMALL, "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err.endswith("interrupted\n")
    assert len(find_clips(tmp_path)) == 1
    assert not [p for p in tmp_path.rglob("*") if ".part" in p.name]


def test_progress_says_how_far_and_how_long() -> None:
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    line = progress.Progress(201, "rendering", stream=stream)
    line.step(steps=100, worked=False)
    assert "left" not in line.line(), "nothing is known yet"
    line.step()
    line._started_s -= 10  # ten seconds ago
    line.step(steps=50)
    assert line.line() == "rendering  151/201 frames  75 %  5.0 frames/s  0:10 left"
    line.finish("done")
    assert stream.getvalue().startswith("\rrendering") and stream.getvalue().endswith("done\n")


@pytest.mark.parametrize(
    ("seconds", "text"), [(5.4, "0:05"), (750, "12:30"), (3723, "1:02:03"), (-1, "0:00")]
)
def test_clock_reads_like_a_clock(seconds: float, text: str) -> None:
    assert progress.clock(seconds) == text
