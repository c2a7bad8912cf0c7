"""The visible label: SYNTHETIC in light letters on a dark plate, in the lower left corner.

Placeholder detection follows. The letters are a bitmap of our own, three cells wide and five high, enlarged by a whole number.
"""

import numpy as np

_LETTERS = {
    "S": ("###", "#..", "###", "..#", "###"),
    "Y": ("#.#", "#.#", ".#.", ".#.", ".#."),
    "N": ("#..#", "##.#", "#.##", "#..#", "#..#"),
    "T": ("###", ".#.", ".#.", ".#.", ".#."),
    "H": ("#.#", "#.#", "###", "#.#", "#.#"),
    "E": ("###", "#..", "##.", "#..", "###"),
    "I": ("#", "#", "#", "#", "#"),
    "C": ("###", "#..", "#..", "#..", "###"),
}


def _cells() -> np.ndarray:
    rows = [".".join(_LETTERS[c][y] for c in "SYNTHETIC") for y in range(5)]
    return np.pad(np.array([[ch == "#" for ch in row] for row in rows]), 1)


def draw(frame_HW3: np.ndarray) -> np.ndarray:
    """Return a copy with the label drawn."""
    height, width = frame_HW3.shape[:2]
    cell_px = max(1, round(min(height, width) / 112))
    letters = np.kron(_cells(), np.ones((cell_px, cell_px), bool))
    rows, columns = letters.shape
    labelled = frame_HW3.copy()
    plate = labelled[height - rows :, :columns]
    plate[:] = np.where(letters[:, :, None], 235, plate // 4 + 12)
    return labelled
