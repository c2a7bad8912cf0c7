"""The invisible watermark: a faint tile of noise, repeated over the picture, that carries 32 bits.

The mark is drawn on a CANONICAL picture, the frame scaled until its shorter side is 256 px, so a
file that was only resized needs no search. There it is a 128 px tile, repeated, with energy at F
frequencies between 8 and 54 cycles a tile side of 256 px: low enough for JPEG, H.264 and half
size, high enough to look like fine grain.

Each frequency has a secret phase, drawn once. Its cosine part is always the same (the beacon, a
fifth of the energy); its sine part is the sign of one of 64 code bits (`bch`). The reader

1. removes slow shading and divides by the local variance: flat regions are the best witnesses;
2. folds the picture modulo 128 px, so that all tiles add up, and takes the Fourier transform;
3. limits each frequency's size, so that no texture can shout the others down;
4. finds the shift (and after a crop the scale) at which the beacon correlates best;
5. reads 64 soft bits, decodes, and correlates with the whole mark of the decoded word.

The design's false-alarm bound. Fix any picture that does not know the key. Its score against one
word at one place is sum_f w_f cos(angle_f) / sqrt(sum_f w_f^2 / 2), where the angles are independent
and uniform because the secret phases are, and the weights depend on the picture alone. By
Chernoff's bound (E exp(t cos) = I_0(t) <= exp(t^2 / 4)) it exceeds z with probability at most
exp(-z^2 / 2). The reader tries at most 2^32 words at `trials` places, so
`2^32 * trials * exp(-z^2 / 2)` bounds the false alarms of one file, whatever it shows.

Not irremovable: whoever knows the key can subtract it, and rotation, mirroring, strong blur or a
redraw by a network may erase it. The key is in this public file on purpose; it is a course.

Dimension key: H rows, W columns, F frequencies, N = 64 code bits.

Source: Cox et al. 1997 (spread spectrum); Kutter 1998 (a repeated tile against geometry).
"""

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import cv2
import numpy as np

from lab.provenance import bch

CANONICAL_PX = 256  # shorter side of the picture the mark is drawn on
PSNR_DB = 42.3  # never worse than this against the unmarked frame

_KEY = b"Deepfakes from Scratch, watermark 1"
_TILE_PX = 128
_CYCLES = (8, 54)  # the band, in cycles per 256 canonical px
_BEACON, _DATA = math.sqrt(0.2), math.sqrt(0.8)  # shares of the amplitude
_FLAT, _PER_DETAIL, _MOST = 1.0, 0.25, 2.1  # rms of the mark in grey levels: where, how it grows
_NEIGHBOURHOOD_PX = 9
_NOISE = 2.0  # grey levels that are taken for granted in the flattest region

_FALSE_ALARM = 1e-8  # per look at a file
_SUBPIXEL = (-0.5, -0.25, 0.0, 0.25, 0.5)
_LOOK_FRAMES = (48, 240)  # a video is judged after this many frames, and again after that many
_CANDIDATES = 3  # the places worth decoding after a search


@dataclass(frozen=True)
class Reading:
    """What a search for the watermark found.

    Args:
        payload: the 32 bits, or None if there is no watermark.
        score: correlation with the best mark, in standard deviations of a picture without one.
        false_alarm: upper bound of the probability that an unmarked file scores this high.
        scale: (vertical, horizontal) size of this file's shorter side in parts of the original's;
            (1, 1) unless it was cropped.
    """

    payload: int | None
    score: float
    false_alarm: float
    scale: tuple[float, float] = (1.0, 1.0)


def embed(frame_HW3: np.ndarray, payload: int) -> np.ndarray:
    """Add the mark to the luma of a frame.

    The mark depends on payload and size alone, its strength on how busy the neighbourhood is: it
    stands still over a still background and cannot flicker.

    Args:
        frame_HW3: uint8 RGB, at least 64 px on the shorter side.
        payload: 32 bits.

    Returns:
        uint8 RGB of the same size; PSNR at least `PSNR_DB`.
    """
    height, width = frame_HW3.shape[:2]
    canonical_HW = _canonical(frame_HW3)
    gain_HW = np.minimum(_FLAT + _PER_DETAIL * _detail(canonical_HW)[1], _MOST)
    mark_HW = gain_HW * _pattern(payload, *canonical_HW.shape)
    limit = 255**2 / 10 ** (PSNR_DB / 10)
    mean_square = cv2.norm(mark_HW, cv2.NORM_L2SQR) / mark_HW.size
    strength = math.sqrt(min(1.0, limit / mean_square))
    # A large picture is looked at closely: its grain is coarser, so it has to be fainter.
    strength *= max(0.5, math.sqrt(min(1.0, CANONICAL_PX / min(height, width))))
    if mark_HW.shape != (height, width):
        mark_HW = _resize(mark_HW, height, width)
    steps_HW = np.rint(strength * mark_HW).astype(np.int16)
    return cv2.add(frame_HW3, cv2.merge([steps_HW] * 3), dtype=cv2.CV_8U)


def detect(frames: Iterable[np.ndarray]) -> Reading:
    """Look for the mark in a picture, or in all frames of a video together.

    Args:
        frames: uint8 RGB frames of one size; a still is a list of one. At most 240 are read, fewer
            if the mark is found earlier.

    Returns:
        The reading; `payload` is None if the score stays below the threshold of the design.
    """
    reading = Reading(None, 0.0, 1.0)
    for mean_HW in _looks(frames):
        reading = _look(mean_HW)
        if reading.payload is not None:
            break
    return reading


@dataclass(frozen=True)
class _Key:
    """The secret phases and which code bit each frequency carries; all arrays (F,)."""

    row: np.ndarray
    column: np.ndarray
    phase: np.ndarray
    bit: np.ndarray
    sign: np.ndarray


@lru_cache(maxsize=1)
def _key() -> _Key:
    signed = np.arange(_TILE_PX) - _TILE_PX // 2
    row, column = (index.ravel() for index in np.meshgrid(signed, signed, indexing="ij"))
    radius = np.hypot(row, column) * CANONICAL_PX / _TILE_PX
    # Half of the plane; the other half is the complex conjugate.
    band = (radius >= _CYCLES[0]) & (radius <= _CYCLES[1]) & (column > 0)
    order = np.flatnonzero(band)[np.argsort(radius[band], kind="stable")]
    draws = _secret(3 * len(order)).reshape(3, -1)
    # Neighbours in radius carry different bits, so every bit has low and high frequencies.
    blocks = range(0, len(order), bch.CODE_BITS)
    bit = np.concatenate([np.argsort(np.argsort(draws[0, i : i + bch.CODE_BITS])) for i in blocks])
    phase = np.exp(2j * np.pi * draws[1]).astype(np.complex64)
    return _Key(row[order], column[order], phase, bit, np.where(draws[2] < 0.5, 1.0, -1.0))


def _secret(count: int) -> np.ndarray:
    """Uniform numbers in [0, 1) from a hash, the same with every version of every library."""
    digest = hashlib.shake_256(_KEY).digest(4 * count)
    return np.frombuffer(digest, "<u4") / 2**32


@lru_cache(maxsize=4)
def _pattern(payload: int, height: int, width: int) -> np.ndarray:
    """The tile of a payload, repeated over a canonical picture; rms 1."""
    key = _key()
    word = bch.encode(payload)
    spectrum = np.zeros((_TILE_PX, _TILE_PX // 2 + 1), np.complex64)
    spectrum[key.row, key.column] = key.phase * (_BEACON + 1j * _DATA * key.sign * word[key.bit])
    tile = np.fft.irfft2(spectrum, (_TILE_PX, _TILE_PX)).astype(np.float32)
    tile /= np.sqrt(np.mean(tile**2))
    repeats = (-(-height // _TILE_PX), -(-width // _TILE_PX))
    return np.ascontiguousarray(np.tile(tile, repeats)[:height, :width])


def _canonical(frame_HW3: np.ndarray) -> np.ndarray:
    """The luma of a frame, scaled to 256 px on the shorter side; float32."""
    if frame_HW3.ndim != 3 or frame_HW3.shape[2] != 3 or frame_HW3.dtype != np.uint8:
        raise ValueError(f"expected uint8 RGB (H, W, 3), got {frame_HW3.dtype} {frame_HW3.shape}")
    height, width = frame_HW3.shape[:2]
    luma_HW = cv2.cvtColor(frame_HW3, cv2.COLOR_RGB2GRAY)
    scale = CANONICAL_PX / min(height, width)
    if scale == 1:
        return luma_HW.astype(np.float32)
    # Scaled as uint8 when shrinking (fast, noise averages out), as float when enlarging.
    luma_HW = luma_HW if scale < 1 else luma_HW.astype(np.float32)
    return _resize(luma_HW, round(height * scale), round(width * scale)).astype(np.float32)


def _resize(image_HW: np.ndarray, height: int, width: int) -> np.ndarray:
    shrinks = height * width < image_HW.size
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(image_HW, (width, height), interpolation=method)


def _detail(canonical_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A picture without slow shading, and the local standard deviation of that."""
    window = (_NEIGHBOURHOOD_PX, _NEIGHBOURHOOD_PX)
    detail_HW = canonical_HW - cv2.blur(canonical_HW, window)
    variance_HW = cv2.blur(detail_HW * detail_HW, window)
    return detail_HW, np.sqrt(np.maximum(variance_HW, 0))


def _looks(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the mean evidence (H, W) of the frames so far, at each of `_LOOK_FRAMES` and the end."""
    total_HW: np.ndarray | None = None
    count = looked = 0
    for frame_HW3 in frames:
        detail_HW, deviation_HW = _detail(_canonical(frame_HW3))
        evidence_HW = detail_HW / (deviation_HW + _NOISE) ** 2
        if total_HW is not None and total_HW.shape != evidence_HW.shape:
            raise ValueError("expected frames of one size")
        total_HW = evidence_HW if total_HW is None else total_HW + evidence_HW
        count += 1
        if count in _LOOK_FRAMES:
            looked = count
            yield total_HW / count
        if count == _LOOK_FRAMES[-1]:
            return
    if total_HW is not None and count > looked:
        yield total_HW / count


def _look(evidence_HW: np.ndarray) -> Reading:
    """Try the uncropped place first, then search scales and shifts."""
    here = _read(_spectrum(evidence_HW), (0, 0), len(_SUBPIXEL) ** 2)
    if here.payload is not None:
        return here
    return max(_search(evidence_HW), key=lambda reading: reading.score, default=here)


def _search(evidence_HW: np.ndarray) -> list[Reading]:
    """Read at the places where the beacon is strongest, over all scales and shifts."""
    found = []
    for scale in _scales():
        spectrum_F = _spectrum(_scaled(evidence_HW, scale))
        found.append((*_beacon(spectrum_F), scale))
    found.sort(key=lambda place: -place[0])
    readings = []
    for _, _, coarse in found[:_CANDIDATES]:
        fine = [(coarse[0] * step[0], coarse[1] * step[1]) for step in _refinements(coarse)]
        spectra = [_spectrum(_scaled(evidence_HW, scale)) for scale in fine]
        places = [(*_beacon(spectrum_F), i) for i, spectrum_F in enumerate(spectra)]
        _, shift, best = max(places)
        readings.append(_read(spectra[best], shift, _search_trials(), fine[best]))
    return readings


@lru_cache(maxsize=1)
def _scales() -> list[tuple[float, float]]:
    """(vertical, horizontal) sizes to try: both sides cropped alike, or one and stretched back."""
    both = [(s, s) for s in np.geomspace(1, 0.76, 28)]
    some = [s for s in np.geomspace(1, 0.88, 14)[1:]]
    return both + [(s, 1.0) for s in some] + [(1.0, s) for s in some]


def _refinements(scale: tuple[float, float]) -> list[tuple[float, float]]:
    """Factors on a scale that lie between two neighbours of `_scales`."""
    steps = (0.9935, 0.9968, 1.0, 1.0032, 1.0065)
    return [(s if scale[0] < 1 else 1.0, s if scale[1] < 1 else 1.0) for s in steps]


def _search_trials() -> int:
    """How many (scale, shift) places `_search` may report: all that it could have chosen."""
    return len(_scales()) * 5 * _TILE_PX**2 * len(_SUBPIXEL) ** 2


def _scaled(evidence_HW: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    height, width = evidence_HW.shape
    size = (round(width * scale[1]), round(height * scale[0]))
    if size == (width, height):
        return evidence_HW
    return cv2.resize(evidence_HW, size, interpolation=cv2.INTER_LINEAR)


def _spectrum(evidence_HW: np.ndarray) -> np.ndarray:
    """Fold modulo the tile, transform, keep the band, limit the sizes to at most 1; (F,) complex."""
    key = _key()
    spectrum_F = np.fft.rfft2(_fold(evidence_HW))[key.row, key.column]
    size_F = np.abs(spectrum_F)
    return spectrum_F / (size_F + np.median(size_F) + 1e-12)


def _fold(evidence_HW: np.ndarray) -> np.ndarray:
    """The mean of all tiles; (128, 128) float32."""
    height, width = evidence_HW.shape
    down, across = -(-height // _TILE_PX), -(-width // _TILE_PX)
    padded = np.zeros((down * _TILE_PX, across * _TILE_PX), np.float32)
    padded[:height, :width] = evidence_HW
    total = padded.reshape(down, _TILE_PX, across, _TILE_PX).sum((0, 2))
    places = np.arange(_TILE_PX)
    rows, columns = (-(-(size - places) // _TILE_PX) for size in (height, width))
    return total / np.maximum(np.outer(rows, columns), 1).astype(np.float32)


def _beacon(spectrum_F: np.ndarray) -> tuple[float, tuple[int, int]]:
    """Correlate with the beacon at every shift: the best score and its (row, column)."""
    key = _key()
    product_HW = np.zeros((_TILE_PX, _TILE_PX // 2 + 1), np.complex64)
    product_HW[key.row, key.column] = spectrum_F * key.phase.conj()
    score_HW = np.fft.irfft2(product_HW, (_TILE_PX, _TILE_PX))
    best = int(score_HW.argmax())
    scale = _TILE_PX**2 / 2 / _deviation(spectrum_F)
    return float(score_HW.flat[best]) * scale, divmod(best, _TILE_PX)


def _read(
    spectrum_F: np.ndarray,
    shift: tuple[int, int],
    trials: int,
    scale: tuple[float, float] = (1.0, 1.0),
) -> Reading:
    """Decode at a shift (the best of the sub-pixel shifts around it) and judge the decoded word."""
    key = _key()
    best = None
    for dy, dx in product(_SUBPIXEL, repeat=2):
        turns_F = (key.row * (shift[0] + dy) + key.column * (shift[1] + dx)) / _TILE_PX
        aligned_F = spectrum_F * key.phase.conj() * np.exp(2j * np.pi * turns_F)
        beacon = float(aligned_F.real.sum())
        bits_N = np.bincount(key.bit, weights=aligned_F.imag * key.sign, minlength=bch.CODE_BITS)
        ceiling = _BEACON * beacon + _DATA * np.abs(bits_N).sum()  # as if every bit were right
        if best is None or ceiling > best[0]:
            best = (ceiling, beacon, bits_N)
    ceiling, beacon, bits_N = best
    deviation = _deviation(spectrum_F)
    threshold = math.sqrt(2 * math.log(2**bch.PAYLOAD_BITS * trials / (_FALSE_ALARM / 2)))
    if ceiling / deviation < threshold:  # no word can reach the threshold
        return Reading(None, ceiling / deviation, 1.0, scale)
    payload, word_N = bch.decode(bits_N)
    score = (_BEACON * beacon + _DATA * float(bits_N @ word_N)) / deviation
    bound = min(1.0, 2.0**bch.PAYLOAD_BITS * trials * math.exp(-(score**2) / 2))
    return Reading(payload if score >= threshold else None, score, bound, scale)


def _deviation(spectrum_F: np.ndarray) -> float:
    """Standard deviation of a correlation with an unrelated mark."""
    return math.sqrt(float(np.sum(np.abs(spectrum_F) ** 2)) / 2 + 1e-12)
