"""Small smooth functions from which faces are drawn: steps, bumps, unions and noise."""

import cv2
import numpy as np


def smoothstep(start: float, stop: float, x: np.ndarray) -> np.ndarray:
    """0 at `start`, 1 at `stop` (either may be the larger), with flat ends."""
    ratio = np.clip((x - start) / (stop - start), 0, 1)
    return ratio * ratio * (3 - 2 * ratio)


def bump(x: np.ndarray, y: np.ndarray, at: tuple[float, float], size: tuple[float, float]):
    """Gaussian of height 1 centred `at` (x, y), falling to 1/e at `size` (x, y) from it."""
    return np.exp(-(((x - at[0]) / size[0]) ** 2) - ((y - at[1]) / size[1]) ** 2)


def line(distance: np.ndarray, width: float) -> np.ndarray:
    """Gaussian profile of a line: 1 on it, 1/e at `width` from it."""
    return np.exp(-((distance / width) ** 2))


def smooth_max(a: np.ndarray, b: np.ndarray, radius: float) -> np.ndarray:
    """Maximum of two heights whose crossing is rounded over about `radius`."""
    return 0.5 * (a + b + np.sqrt((a - b) ** 2 + radius * radius))


def noise(
    rng: np.random.Generator,
    shape_HW: tuple[int, int],
    cells_HW: tuple[float, float],
    octaves: int = 3,
    gain: float = 0.55,
) -> np.ndarray:
    """Smooth random texture, mean 0, standard deviation about 1 for the first octave.

    Args:
        cells_HW: how many independent values down and across the first octave has; each further
            octave doubles both and is `gain` times as strong.

    Returns:
        (H, W) float32.
    """
    rows, columns = shape_HW
    total = np.zeros(shape_HW, np.float32)
    strength, (down, across) = 1.0, cells_HW
    for _ in range(octaves):
        cells = (max(2, round(down)), max(2, round(across)))
        grid = rng.standard_normal(cells, dtype=np.float32)
        total += strength * cv2.resize(grid, (columns, rows), interpolation=cv2.INTER_CUBIC)
        strength, down, across = strength * gain, down * 2, across * 2
    return total


def linear_rgb(srgb_255: object) -> np.ndarray:
    """sRGB in 0..255 (any leading shape) to linear light in 0..1."""
    srgb = np.asarray(srgb_255, float) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def blend(under_HW3: np.ndarray, over: np.ndarray, alpha_HW: np.ndarray) -> np.ndarray:
    """Lay a colour (3,) or picture (H, W, 3) over another with the given opacity."""
    return under_HW3 + (np.asarray(over, np.float32) - under_HW3) * alpha_HW[..., None].astype(
        np.float32
    )


def grid_triangles(columns: int, rows: int, closed: bool = False) -> np.ndarray:
    """Triangles of a (rows, columns) vertex grid; `closed` joins the last column to the first.

    With rows running down and columns to the right as seen, the front faces the viewer.
    """
    row, column = np.meshgrid(
        np.arange(rows - 1), np.arange(columns - (0 if closed else 1)), indexing="ij"
    )
    right = (column + 1) % columns
    a, b = row * columns + column, row * columns + right
    c, d = a + columns, b + columns
    triangles = [np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)]
    return np.concatenate(triangles).astype(np.int32)
