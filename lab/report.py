"""What a run shows: sheets of frames side by side, and the demo's page.

The page is plain HTML that opens offline: no script, no font or style from elsewhere. It is
written for a phone, a keyboard and a screen reader as much as for a wide screen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import cv2
import numpy as np

from lab.evaluate import Figure
from lab.files import atomic_path

_INK = (32, 34, 38)
_PAPER = (250, 249, 246)


def sheet(
    rows: Sequence[Sequence[np.ndarray]], columns: Sequence[str], gap_px: int = 6
) -> np.ndarray:
    """Lay frames out as a table with a heading over each column.

    Args:
        rows: frames of one size each, uint8 (H, W, 3); every row as long as `columns`.
        columns: the headings.
        gap_px: space between frames.

    Returns:
        (H', W', 3) uint8.

    Raises:
        ValueError: if a row's length differs from the number of columns.
    """
    if any(len(row) != len(columns) for row in rows):
        raise ValueError(f"every row needs {len(columns)} frames, one for each of {list(columns)}")
    height, width = rows[0][0].shape[:2]
    heading_px = max(18, height // 9)
    canvas = np.full(
        (
            heading_px + len(rows) * (height + gap_px) + gap_px,
            len(columns) * (width + gap_px) + gap_px,
            3,
        ),
        _PAPER,
        np.uint8,
    )
    for j, title in enumerate(columns):
        x = gap_px + j * (width + gap_px)
        scale = min(heading_px / 40, width / (18 * max(len(title), 1)))
        cv2.putText(
            canvas,
            title,
            (x, heading_px - 4),
            cv2.FONT_HERSHEY_SIMPLEX,
            scale,
            _INK,
            1,
            cv2.LINE_AA,
        )
        for i, row in enumerate(rows):
            y = heading_px + gap_px + i * (height + gap_px)
            canvas[y : y + height, x : x + width] = row[j]
    return canvas


@dataclass(frozen=True)
class Media:
    """One picture or clip on the page.

    Args:
        path: the file, in or below the page's folder; `.mp4` is shown as a video.
        caption: what the reader sees, in a few words.
        alt: what it shows, for those who cannot see it.
        provenance: one plain sentence a layer, as `lab verify` prints them.
    """

    path: Path
    caption: str
    alt: str
    provenance: Sequence[str] = ()


@dataclass(frozen=True)
class Section:
    """One phase on the page: words, media, and figures beside the trivial baseline."""

    title: str
    text: str
    media: Sequence[Media]
    figures: Sequence[Figure] = field(default_factory=tuple)


def write_page(path: Path, title: str, introduction: str, sections: Sequence[Section]) -> Path:
    """Write the gallery page, whole or not at all."""
    body = "\n".join(_section(section, path.parent) for section in sections)
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n<p>{escape(introduction)}</p>\n{body}\n</main>\n</body>\n</html>\n"
    )
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _section(section: Section, folder: Path) -> str:
    media = "\n".join(_media(item, folder) for item in section.media)
    table = _figures(section.figures) if section.figures else ""
    return (
        f"<section>\n<h2>{escape(section.title)}</h2>\n<p>{escape(section.text)}</p>\n"
        f'<div class="media">\n{media}\n</div>\n{table}\n</section>'
    )


def _media(item: Media, folder: Path) -> str:
    source = escape(item.path.relative_to(folder).as_posix(), quote=True)
    alt = escape(item.alt, quote=True)
    if item.path.suffix == ".mp4":
        shown = f'<video src="{source}" aria-label="{alt}" controls loop playsinline preload="auto"></video>'
    else:
        shown = f'<a href="{source}"><img src="{source}" alt="{alt}"></a>'
    lines = "".join(f"<li>{escape(line)}</li>" for line in item.provenance)
    details = (
        f"<details><summary>What the file says of itself</summary><ul>{lines}</ul></details>"
        if lines
        else ""
    )
    wide = ' class="wide"' if item.path.suffix == ".png" else ""
    return f"<figure{wide}>{shown}<figcaption>{escape(item.caption)}{details}</figcaption></figure>"


def _figures(figures: Sequence[Figure]) -> str:
    rows = []
    for figure in figures:
        bar = "reported" if figure.relation == "info" else f"{figure.relation} {figure.bar:g}"
        verdict = "" if figure.relation == "info" else "reached" if figure.passed else "short"
        cells = (f"{figure.value:.3g}", bar, verdict, figure.detail)
        rows.append(
            f'<tr><th scope="row">{escape(figure.name)}</th>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            + "</tr>"
        )
    head = "".join(
        f'<th scope="col">{name}</th>' for name in ("Figure", "Measured", "Bar", "", "Remark")
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Figures">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.55 system-ui, sans-serif; margin: 0; }
main { max-width: 70rem; margin: 0 auto; padding: 1rem; }
section { border-top: 1px solid #8886; margin-top: 2rem; }
.media { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 14rem), 1fr)); }
figure { margin: 0; }
figure.wide { grid-column: 1 / -1; }
img, video { width: 100%; height: auto; border-radius: 4px; display: block; }
figcaption { font-size: .95rem; padding-top: .3rem; }
details ul { padding-left: 1.2rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin-top: 1rem; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #8884; }
"""
