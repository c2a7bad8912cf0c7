"""lab.report: sheets of the right size, a page that names only files that exist."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from lab.evaluate import Figure
from lab.report import Media, Section, sheet, write_page


def test_sheet_holds_every_frame_unchanged() -> None:
    rng = np.random.default_rng(0)
    frames = [
        [rng.integers(0, 256, (40, 60, 3), dtype=np.uint8) for _ in range(3)] for _ in range(2)
    ]
    table = sheet(frames, ["a", "b", "c"], gap_px=6)
    windows = np.lib.stride_tricks.sliding_window_view(table, (40, 60, 3))[:, :, 0]
    for frame in (frames[0][0], frames[1][2]):
        found = (windows[:, :, 0, 0] == frame[0, 0]).all(-1)
        assert any((windows[y, x] == frame).all() for y, x in np.argwhere(found))


def test_sheet_refuses_a_ragged_table() -> None:
    with pytest.raises(ValueError, match="2 frames"):
        sheet([[np.zeros((8, 8, 3), np.uint8)]], ["a", "b"])


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict]] = []

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.seen.append((tag, dict(attributes)))


def test_page_is_offline_escaped_and_described(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    clip, picture = tmp_path / "media" / "a.mp4", tmp_path / "media" / "b.png"
    media = [
        Media(clip, "A & B", "an actor speaks", ["label: <present>"]),
        Media(picture, "sheet", "rows of faces"),
    ]
    figures = [Figure("L1 < bar", 0.5, 0.4, "<=")]
    page = write_page(
        tmp_path / "index.html", "Demo", "Hello", [Section("One", "Text", media, figures)]
    )
    text = page.read_text(encoding="utf-8")
    assert (
        "A &amp; B" in text
        and "label: &lt;present&gt;" in text
        and "L1 &lt; bar" in text
        and "short" in text
    )
    assert not re.search(r"https?://", text) and "<script" not in text
    tags = _Tags()
    tags.feed(text)
    sources = {a["src"] for tag, a in tags.seen if tag in ("img", "video")}
    assert sources == {"media/a.mp4", "media/b.png"}
    assert all(
        a.get("alt") or a.get("aria-label") for tag, a in tags.seen if tag in ("img", "video")
    )
