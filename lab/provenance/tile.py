"""What the watermark looks like: a 128 px tile of band-limited noise, repeated over the picture.

The mark is drawn on a CANONICAL picture, the frame scaled until its shorter side is 256 px, so a
file that was only resized carries it where the reader expects it. Each frequency of the tile has a
secret phase, drawn once. Along it lies the beacon, always the same; at right angles to it the sign
of one of 64 code bits.

Dimension key: H rows, W columns, F frequencies, N = 64 code bits.
"""

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from lab.provenance import bch

CANONICAL_PX = 256  # shorter side of the picture the mark is drawn on
TILE_PX = 128
REACH = 22  # the highest frequency, in cycles a tile: survives half size
LOWEST = 4  # below this, shading drowns the mark
BEACON, DATA = math.sqrt(0.2), math.sqrt(0.8)  # shares of the amplitude

_SECRET = b"Deepfakes from Scratch, watermark 1"
_NEIGHBOURHOOD_PX = 9


@dataclass(frozen=True)
class Key:
    """The frequencies (cycles a tile, `column` > 0), their secret phases, and which code bit each
    carries with which sign; all arrays (F,)."""

    row: np.ndarray
    column: np.ndarray
    phase: np.ndarray
    bit: np.ndarray
    sign: np.ndarray


@lru_cache(maxsize=1)
def key() -> Key:
    """Draw the key; the same on every machine."""
    index = np.arange(-REACH, REACH + 1)
    row, column = (grid.ravel() for grid in np.meshgrid(index, index, indexing="ij"))
    radius = np.hypot(row, column)
    # Half of the plane; the other half is the complex conjugate.
    band = (radius >= LOWEST) & (radius <= REACH) & (column > 0)
    order = np.flatnonzero(band)[np.argsort(radius[band], kind="stable")]
    draws = _draw(3 * len(order)).reshape(3, -1)
    # Neighbours in radius carry different bits, so every bit has low and high frequencies.
    blocks = range(0, len(order), bch.CODE_BITS)
    bit = np.concatenate([np.argsort(np.argsort(draws[0, i : i + bch.CODE_BITS])) for i in blocks])
    phase = np.exp(2j * np.pi * draws[1]).astype(np.complex64)
    return Key(row[order], column[order], phase, bit, np.where(draws[2] < 0.5, 1.0, -1.0))


@lru_cache(maxsize=4)
def pattern(payload: int, height: int, width: int) -> np.ndarray:
    """The mark of a payload on a canonical picture of that size; (H, W) float32, rms 1."""
    secret = key()
    word = bch.encode(payload)
    spectrum = np.zeros((TILE_PX, TILE_PX // 2 + 1), np.complex64)
    spectrum[secret.row, secret.column] = secret.phase * (
        BEACON + 1j * DATA * secret.sign * word[secret.bit]
    )
    tile = np.fft.irfft2(spectrum, (TILE_PX, TILE_PX)).astype(np.float32)
    tile /= np.sqrt(np.mean(tile**2))
    repeats = (-(-height // TILE_PX), -(-width // TILE_PX))
    return np.ascontiguousarray(np.tile(tile, repeats)[:height, :width])


def canonical(frame_HW3: np.ndarray) -> np.ndarray:
    """The luma of a uint8 RGB frame, scaled to 256 px on the shorter side; (H, W) float32."""
    if frame_HW3.ndim != 3 or frame_HW3.shape[2] != 3 or frame_HW3.dtype != np.uint8:
        raise ValueError(f"expected uint8 RGB (H, W, 3), got {frame_HW3.dtype} {frame_HW3.shape}")
    height, width = frame_HW3.shape[:2]
    luma_HW = cv2.cvtColor(frame_HW3, cv2.COLOR_RGB2GRAY)
    scale = CANONICAL_PX / min(height, width)
    if scale == 1:
        return luma_HW.astype(np.float32)
    # Scaled as uint8 when shrinking, which is fast, and as float when enlarging.
    luma_HW = luma_HW if scale < 1 else luma_HW.astype(np.float32)
    return resize(luma_HW, round(height * scale), round(width * scale)).astype(np.float32)


def resize(image_HW: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale with the filter that suits the direction."""
    shrinks = height * width < image_HW.size
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(image_HW, (width, height), interpolation=method)


def detail(canonical_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A picture without slow shading, and the local standard deviation of that."""
    window = (_NEIGHBOURHOOD_PX, _NEIGHBOURHOOD_PX)
    detail_HW = canonical_HW - cv2.blur(canonical_HW, window)
    variance_HW = cv2.blur(detail_HW * detail_HW, window)
    return detail_HW, np.sqrt(np.maximum(variance_HW, 0))


def _draw(count: int) -> np.ndarray:
    """Uniform numbers in [0, 1) from a hash, the same with every version of every library."""
    digest = hashlib.shake_256(_SECRET).digest(4 * count)
    return np.frombuffer(digest, "<u4") / 2**32
