"""python -m lab demo, on a short clip: the page names files that exist, and each says what it is."""

import re
from pathlib import Path

import pytest

from lab import provenance
from lab.cli import main
from lab.demo import phase1
from lab.media import probe


def test_demo_writes_a_page_whose_every_file_is_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(phase1, "SECONDS", 0.4)
    page = tmp_path / "demo" / "index.html"
    assert main(["demo", "--out", str(page.parent), "--impl", "solution"]) == 0
    assert str(page) in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    shown = {page.parent / source for source in re.findall(r'<(?:img|video) src="([^"]+)"', text)}
    on_disk = {path for path in page.parent.rglob("*") if path.is_file()} - {page}
    assert shown == on_disk and len(shown) == 5
    for path in shown:
        found = provenance.verify(path)
        states = [layer.state for layer in found.layers.values()]
        assert states == ["present", "present", "trusted"], f"{path.name}: {states}"
    swapped = probe(page.parent / "phase1" / "swapped.mp4")
    assert swapped.frames == 10 and swapped.audio_hz
    assert "L1 in the face over no swap" in text
