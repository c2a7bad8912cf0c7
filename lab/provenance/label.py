"""The visible label: SYNTHETIC, light on a dark plate, in the lower left corner.

The letters are a bitmap of our own (no font file, the same on every machine), enlarged by a whole
number. The plate is a third of the frame wide, so the label stays legible from 64 px to any size
and leaves the face of a centred portrait alone. Whoever crops the corner off removes it; that is
what the other two layers are for.

Dimension key: H rows, W columns.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from lab.errors import UserError

TEXT = "SYNTHETIC"
SMALLEST_PX = 64  # a shorter side below this leaves no room for legible letters

_LETTERS = {
    "S": ("###", "#..", "###", "..#", "###"),
    "Y": ("#.#", "#.#", ".#.", ".#.", ".#."),
    "N": ("#..#", "##.#", "#.##", "#..#", "#..#"),
    "T": ("###", ".#.", ".#.", ".#.", ".#."),
    "H": ("#.#", "#.#", "###", "#.#", "#.#"),
    "E": ("###", "#..", "###", "#..", "###"),
    "I": ("#", "#", "#", "#", "#"),
    "C": ("###", "#..", "#..", "#..", "###"),
}
_FRAME_CELLS = 112  # the shorter side of a frame, in cells of the bitmap
_LIGHT, _DARK = 235, 14

_SEARCH_CELL_PX = 3  # the reader scales the picture until a cell has this size
_SMALLEST_CELL, _LARGEST_CELL = 1 / 170, 1 / 50  # of the shorter side: what rounding, crops leave
NEEDED = 0.5  # correlation; 10,000 unmarked pictures stay below it


@dataclass(frozen=True)
class LabelReading:
    """Whether the label was found, and its correlation with the template, -1..1."""

    present: bool
    score: float


def draw(frame_HW3: np.ndarray) -> np.ndarray:
    """Give back a copy of the frame with the label on it.

    Args:
        frame_HW3: uint8 RGB, at least 64 px on the shorter side.

    Raises:
        UserError: if the frame is too small to carry a legible label.
    """
    height, width = frame_HW3.shape[:2]
    if min(height, width) < SMALLEST_PX:
        raise UserError(
            f"a frame of {width} x {height} px is too small for its label; "
            f"make it at least {SMALLEST_PX} px on the shorter side"
        )
    letters_HW1 = _letters(max(1, round(min(height, width) / _FRAME_CELLS)))[:, :, None]
    rows, columns = letters_HW1.shape[:2]
    labelled_HW3 = frame_HW3.copy()
    plate_HW3 = labelled_HW3[height - rows :, :columns]
    ground_HW3 = _DARK + plate_HW3.astype(np.float32) / 5  # the picture shimmers through
    plate_HW3[:] = ground_HW3 + letters_HW1 * (_LIGHT - ground_HW3) + 0.5
    return labelled_HW3


def detect(frame_HW3: np.ndarray) -> LabelReading:
    """Look for the label in the lower left part of a frame, at every size it may have.

    Args:
        frame_HW3: uint8 RGB of any size; the mean of a video's frames works best.

    Returns:
        The normalised correlation of the best place; present from 0.5 on.
    """
    height, width = frame_HW3.shape[:2]
    luma_HW = cv2.cvtColor(frame_HW3, cv2.COLOR_RGB2GRAY)
    corner_HW = luma_HW[height * 7 // 10 :, : width * 8 // 10]
    template_HW = (_letters(_SEARCH_CELL_PX) * 255).astype(np.uint8)
    best = -1.0
    for cell in np.geomspace(_SMALLEST_CELL, _LARGEST_CELL, 32):
        scale = _SEARCH_CELL_PX / (cell * min(height, width))
        size = (round(corner_HW.shape[1] * scale), round(corner_HW.shape[0] * scale))
        if size[0] < template_HW.shape[1] or size[1] < template_HW.shape[0]:
            continue
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        scaled_HW = cv2.resize(corner_HW, size, interpolation=method)
        match = cv2.matchTemplate(scaled_HW, template_HW, cv2.TM_CCOEFF_NORMED)
        # A flat window has no correlation; OpenCV reports infinity or 1 there.
        best = max(best, float(match[np.isfinite(match)].max(initial=-1.0)))
    return LabelReading(best >= NEEDED, best)


@lru_cache(maxsize=8)
def _letters(cell_px: int) -> np.ndarray:
    """The word with a margin of one cell, 0 plate to 1 letter; (7 cells, 36 cells) float32."""
    rows = [".".join(_LETTERS[letter][row] for letter in TEXT) for row in range(5)]
    cells = np.pad(np.array([[mark == "#" for mark in row] for row in rows]), 1)
    size = (cells.shape[1] * cell_px, cells.shape[0] * cell_px)
    smooth = cv2.resize(cells.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    return np.clip((smooth - 0.5) * cell_px + 0.5, 0, 1)  # round corners, edges one pixel wide
