"""The invisible watermark: a faint tile of noise, repeated over the picture, that carries 32 bits.

The mark is drawn on a CANONICAL picture, the frame scaled until its shorter side is 256 px, so a
file that was only resized needs no search. There it is a 128 px tile, repeated, with energy at F
frequencies between 8 and 44 cycles per 256 px: low enough for JPEG, H.264 and half
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
_CYCLES = (8, 44)  # the band, in cycles per 256 canonical px
_BEACON, _DATA = math.sqrt(0.2), math.sqrt(0.8)  # shares of the amplitude
# Strength of the mark, rms in grey levels: in the flattest region, added per grey level of local
# deviation, at most. H.264 smooths flat regions most, so there a video needs (and hides) more.
_STILL = (1.1, 0.25, 2.1)
_MOVING = (1.6, 0.1, 2.0)
_NEIGHBOURHOOD_PX = 9
_NOISE = 2.0  # grey levels that are taken for granted in the flattest region

_FALSE_ALARM = 1e-7  # per look at a file; a still gets one look, a video at most two
_LOG_ODDS = math.log(300)  # a payload is told if no other explains the bits a thousandth as well
_HERE = ((0.0, 0.0),)
_AROUND = tuple(product((-0.5, -0.25, 0.0, 0.25, 0.5), repeat=2))  # sub-pixel shifts
MOST_FRAMES = 240  # of a video are read
_FIRST_LOOK = 48  # a video is judged after this many frames, and again at the end
_CANDIDATES = 3  # the places worth decoding after a search
_REFINEMENTS = (0.995, 1.0, 1.005)  # factors on a scale, between two neighbours of `_scales`
_REACH = _CYCLES[1] * _TILE_PX // CANONICAL_PX  # the highest frequency, in cycles a tile (R)


@dataclass(frozen=True)
class Reading:
    """What a search for the watermark found.

    Args:
        present: whether there is a watermark.
        payload: its 32 bits; None if there is no watermark, or it is too faint to tell them.
        score: correlation with the best mark, in standard deviations of a picture without one.
        needed: the score from which on there is a watermark.
        log10_false_alarm: the probability that an unmarked file scores this high is below ten to
            this power.
        scale: (vertical, horizontal) size of this file's shorter side in parts of the original's;
            (1, 1) unless it was cropped.
    """

    present: bool
    payload: int | None
    score: float
    needed: float
    log10_false_alarm: float
    scale: tuple[float, float] = (1.0, 1.0)


def embed(frame_HW3: np.ndarray, payload: int, *, moving: bool = False) -> np.ndarray:
    """Add the mark to the luma of a frame.

    The mark depends on payload and size alone, its strength on how busy the neighbourhood is: it
    stands still over a still background and cannot flicker.

    Args:
        frame_HW3: uint8 RGB, at least 64 px on the shorter side.
        payload: 32 bits.
        moving: True for frames of a video.

    Returns:
        uint8 RGB of the same size; PSNR at least `PSNR_DB`.
    """
    height, width = frame_HW3.shape[:2]
    canonical_HW = _canonical(frame_HW3)
    flat, per_detail, most = _MOVING if moving else _STILL
    # A large picture is looked at closely and its grain is coarser: fainter where it would show.
    flat *= max(0.5, math.sqrt(min(1.0, CANONICAL_PX / min(height, width))))
    gain_HW = np.minimum(flat + per_detail * _detail(canonical_HW)[1], most)
    mark_HW = gain_HW * _pattern(payload, *canonical_HW.shape)
    limit = 255**2 / 10 ** (PSNR_DB / 10)
    mean_square = cv2.norm(mark_HW, cv2.NORM_L2SQR) / mark_HW.size
    mark_HW *= math.sqrt(min(1.0, limit / mean_square))
    if mark_HW.shape != (height, width):
        mark_HW = _resize(mark_HW, height, width)
    steps_HW = np.rint(mark_HW).astype(np.int16)
    return cv2.add(frame_HW3, cv2.merge([steps_HW] * 3), dtype=cv2.CV_8U)


def detect(frames: Iterable[np.ndarray]) -> Reading:
    """Look for the mark in a picture, or in all frames of a video together.

    Args:
        frames: uint8 RGB frames of one size; a still is a list of one. At most 240 are read, fewer
            if the mark is found earlier.

    Returns:
        The reading: of the first look that finds a payload, else of the last.
    """
    reading = Reading(False, None, 0.0, 0.0, 0.0)
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
    """Yield the mean evidence (H, W) of the frames so far, after the first look's and after all."""
    total_HW: np.ndarray | None = None
    count = 0
    for frame_HW3 in frames:
        detail_HW, deviation_HW = _detail(_canonical(frame_HW3))
        evidence_HW = detail_HW / (deviation_HW + _NOISE) ** 2
        if total_HW is not None and total_HW.shape != evidence_HW.shape:
            raise ValueError("expected frames of one size")
        total_HW = evidence_HW if total_HW is None else total_HW + evidence_HW
        count += 1
        if count == _FIRST_LOOK:
            yield total_HW / count
        if count == MOST_FRAMES:
            break
    if total_HW is not None and count != _FIRST_LOOK:
        yield total_HW / count


def _look(evidence_HW: np.ndarray) -> Reading:
    """Try the uncropped place first, then search scales and shifts."""
    spectrum_F = _spectra(evidence_HW, [(1.0, 1.0)])[0]
    here = _read(spectrum_F, (0, 0), _HERE, 1)
    if here.payload is not None:
        return here
    found = max(_search(evidence_HW), key=lambda reading: reading.score)
    return here if here.present and not found.payload else found


def _search(evidence_HW: np.ndarray) -> list[Reading]:
    """Read at the places where the beacon is strongest, over all scales and shifts."""
    beacons, _ = _beacons(_spectra(evidence_HW, _scales()))
    readings = []
    for coarse in np.argsort(-beacons)[:_CANDIDATES]:
        vertical, horizontal = _scales()[coarse]
        nearby = [(vertical * step, horizontal * step) for step in _REFINEMENTS]
        spectra_SF = _spectra(evidence_HW, nearby)
        fine_beacons, shifts = _beacons(spectra_SF)
        fine = int(fine_beacons.argmax())
        shift, scale = shifts[fine], nearby[fine]
        readings.append(_read(spectra_SF[fine], shift, _AROUND, _search_trials(), scale))
    return readings


@lru_cache(maxsize=1)
def _scales() -> list[tuple[float, float]]:
    """(vertical, horizontal) sizes to try, 1 % apart.

    Both sides cropped alike, down to 0.79; or one side cropped, down to 0.88, and the picture
    stretched back to its old shape.
    """
    steps = [0.99**i for i in range(24)]
    one_side = steps[1:13]
    return [
        *((s, s) for s in steps),
        *((s, 1.0) for s in one_side),
        *((1.0, s) for s in one_side),
    ]


def _search_trials() -> int:
    """At how many places `_search` may read: all (scale, shift) that it chooses from."""
    return len(_scales()) * len(_REFINEMENTS) * _TILE_PX**2 * len(_AROUND)


def _spectra(evidence_HW: np.ndarray, scales: list[tuple[float, float]]) -> np.ndarray:
    """The picture's Fourier sums at the tile's frequencies, were the picture scaled.

    Because the tile repeats, these sums add all tiles up. Sizes are limited to at most 1.

    Returns:
        (S, F) complex64, one row a scale.
    """
    key = _key()
    height, width = evidence_HW.shape
    horizontal = tuple(dict.fromkeys(scale[1] for scale in scales))
    across = (evidence_HW @ _cosines_sines(width, horizontal)).reshape(height, -1, 2, _REACH)
    across_SHR = np.moveaxis(across[:, :, 0] + 1j * across[:, :, 1], 1, 0)
    grids = [
        _waves(height, vertical) @ across_SHR[horizontal.index(scale)] for vertical, scale in scales
    ]
    spectra_SF = np.stack(grids)[:, key.row + _REACH, key.column - 1]
    size_SF = np.abs(spectra_SF)
    return spectra_SF / (size_SF + np.median(size_SF, axis=1, keepdims=True) + 1e-12)


@lru_cache(maxsize=256)
def _waves(length: int, scale: float) -> np.ndarray:
    """exp(-2 pi i f x / tile), f = -R..R, x = 0..length - 1 in scaled px; (2 R + 1, length)."""
    turns = np.outer(np.arange(-_REACH, _REACH + 1), np.arange(length) * (scale / _TILE_PX))
    return np.exp(-2j * np.pi * turns).astype(np.complex64)


@lru_cache(maxsize=64)
def _cosines_sines(length: int, scales: tuple[float, ...]) -> np.ndarray:
    """`_waves` of f = 1..R for several scales as real columns; (length, scales * 2 * R)."""
    waves = np.stack([_waves(length, scale)[_REACH + 1 :] for scale in scales])
    parts = np.stack([waves.real, waves.imag], axis=1)
    return np.ascontiguousarray(parts.reshape(-1, length).T)


def _beacons(spectra_SF: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Correlate with the beacon at every shift: the best scores (S,) and their (row, column)."""
    key = _key()
    grid = np.zeros((len(spectra_SF), 2 * _REACH + 1, _REACH), np.complex64)
    grid[:, key.row + _REACH, key.column - 1] = spectra_SF * key.phase.conj()
    waves = _waves(_TILE_PX, 1.0).conj()
    down = waves.T @ grid
    columns = waves[_REACH + 1 :]
    score = np.concatenate([down.real, down.imag], axis=2).reshape(-1, 2 * _REACH)
    score = score @ np.concatenate([columns.real, -columns.imag])
    score = score.reshape(len(spectra_SF), -1)
    best = score.argmax(axis=1)
    scores = np.take_along_axis(score, best[:, None], axis=1)[:, 0] / _deviation(spectra_SF)
    return scores, [divmod(int(place), _TILE_PX) for place in best]


def _read(
    spectrum_F: np.ndarray,
    shift: tuple[int, int],
    nudges: tuple[tuple[float, float], ...],
    trials: int,
    scale: tuple[float, float] = (1.0, 1.0),
) -> Reading:
    """Decode at the best of the S places `shift` + nudge, and judge the decoded word."""
    key = _key()
    turns_F = (key.row * shift[0] + key.column * shift[1]) / _TILE_PX
    here_F = spectrum_F * key.phase.conj() * np.exp(2j * np.pi * turns_F)
    aligned_SF = (_turns(nudges) * here_F).astype(np.complex64)
    beacon_S, bits_SN = aligned_SF.real.sum(1), aligned_SF.imag @ _bit_sums()
    ceiling_S = _BEACON * beacon_S + _DATA * np.abs(bits_SN).sum(1)  # as if every bit were right
    best = int(ceiling_S.argmax())
    deviation = float(_deviation(spectrum_F))
    trials_e = math.log(2**bch.PAYLOAD_BITS * trials)
    needed = math.sqrt(2 * (trials_e - math.log(_FALSE_ALARM / 2)))  # halved: two places to look
    if ceiling_S[best] < needed * deviation:  # no word can reach it
        return Reading(False, None, float(ceiling_S[best]) / deviation, needed, 0.0, scale)
    payload, word_N, lead = bch.decode(bits_SN[best])
    data = float(bits_SN[best] @ word_N)
    score = (_BEACON * float(beacon_S[best]) + _DATA * data) / deviation
    bound = min(0.0, (trials_e - score**2 / 2) / math.log(10))
    # How much likelier these bits are under the best word than under the next, for Gaussian noise.
    log_odds = data * lead / deviation**2
    present = score >= needed
    trusted = payload if present and log_odds >= _LOG_ODDS else None
    return Reading(present, trusted, score, needed, bound, scale)


@lru_cache(maxsize=2)
def _turns(nudges: tuple[tuple[float, float], ...]) -> np.ndarray:
    """The phase factors of S small shifts; (S, F)."""
    key = _key()
    turns = [(key.row * down + key.column * across) / _TILE_PX for down, across in nudges]
    return np.exp(2j * np.pi * np.array(turns)).astype(np.complex64)


@lru_cache(maxsize=1)
def _bit_sums() -> np.ndarray:
    """The matrix (F, N) that adds up, with its sign, what each frequency says of its bit."""
    key = _key()
    sums = np.zeros((len(key.bit), bch.CODE_BITS), np.float32)
    sums[np.arange(len(key.bit)), key.bit] = key.sign
    return sums


def _deviation(spectrum_F: np.ndarray) -> np.ndarray:
    """Standard deviation of a correlation with an unrelated mark, over the last axis."""
    return np.sqrt(np.sum(np.abs(spectrum_F) ** 2, axis=-1) / 2 + 1e-12)
