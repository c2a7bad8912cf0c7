"""The invisible watermark: faint grain that carries 32 bits through compression, scaling, cropping.

`tile` says what is drawn. To read it back

1. remove slow shading and divide by the local variance: flat regions are the best witnesses;
2. sum the picture against the tile's frequencies, which adds all tiles up;
3. limit each frequency's size, so that no texture can shout the others down;
4. find the shift (and after a crop the scale) at which the beacon correlates best;
5. read 64 soft bits, decode them (`bch`), correlate with the whole mark of the decoded word.

The bound on false alarms. Fix any picture made without the key. Its score against one word at one
place is sum_f w_f cos(angle_f) / sqrt(sum_f w_f^2 / 2). The angles are independent and uniform,
because the secret phases are; the weights depend on the picture alone. As E exp(t cos) = I_0(t) <=
exp(t^2 / 4), Chernoff's bound says that the score exceeds z with probability at most exp(-z^2 / 2).
One look tries at most 2^32 words at `trials` places, so 2^32 * trials * exp(-z^2 / 2) bounds its
false alarms, whatever the picture shows. The threshold is where that is 1e-7.

Not irremovable: whoever has the key can subtract the mark, and the key is in this public file.
Rotation, strong blur or a redraw by a network may erase it, and a picture that is dense texture all
over (a lawn) hides it from the reader too.

Dimension key: H rows, W columns, F frequencies, N = 64 code bits, S places.

Source: Cox et al. 1997 (spread spectrum); Kutter 1998 (a repeated tile against geometry).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import cv2
import numpy as np

from lab.provenance import bch, tile
from lab.provenance.tile import BEACON, DATA, REACH, TILE_PX

PSNR_DB = 42.3  # before rounding; never worse against the unmarked frame
MOST_FRAMES = 240  # of a video are read

# Strength of the mark, rms in grey levels: in the flattest region, added per grey level of local
# deviation, at most. H.264 smooths flat regions most, so there a video needs (and hides) more.
_STILL = (1.1, 0.25, 2.1)
_MOVING = (1.6, 0.1, 2.0)
_LEFT_IN_VIDEO = 0.8  # of an earlier mark, after one encoding

_FIRST_LOOK = 48  # a video is judged after this many frames, and again at the end
_FALSE_ALARM = 1e-7  # per look; a still gets one look, a video at most two
_LOG_ODDS = math.log(300)  # a payload is told if it is this much likelier than the next
_NOISE = 2.0  # grey levels of deviation that the flattest region is credited with
_CANDIDATES = 2  # places worth decoding after a search
_REFINEMENTS = (0.9957, 1.0, 1.0043)  # factors on a scale, between two neighbours of `_places`
_NO_NUDGE = ((0.0, 0.0),)
_AROUND = tuple(product((-0.5, -0.25, 0.0, 0.25, 0.5), repeat=2))  # sub-pixel shifts


@dataclass(frozen=True)
class Place:
    """How a file may have been changed: this file's (height, width) in parts of the original's
    after undoing its resizing, and whether it was mirrored left to right."""

    vertical: float = 1.0
    horizontal: float = 1.0
    mirrored: bool = False


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
        place: where the mark was found.
    """

    present: bool
    payload: int | None
    score: float
    needed: float
    log10_false_alarm: float
    place: Place


def embed(
    frame_HW3: np.ndarray, payload: int, *, moving: bool = False, instead_of: int | None = None
) -> np.ndarray:
    """Add the mark to the luma of a frame.

    The mark depends on payload and size alone, its strength on how busy the neighbourhood is: it
    stands still over a still background and cannot flicker.

    Args:
        frame_HW3: uint8 RGB, at least 64 px on the shorter side.
        payload: 32 bits.
        moving: True for frames of a video.
        instead_of: a payload that the frame carries already, see `payload_here`; it is taken out,
            or the two would cancel where their bits differ.

    Returns:
        uint8 RGB of the same size; PSNR at least 42 dB against the unmarked frame.
    """
    height, width = frame_HW3.shape[:2]
    canonical_HW = tile.canonical(frame_HW3)
    flat, per_detail, most = _MOVING if moving else _STILL
    # A large picture is looked at closely and its grain is coarser: fainter where it would show.
    flat *= max(0.5, math.sqrt(min(1.0, tile.CANONICAL_PX / min(height, width))))
    gain_HW = np.minimum(flat + per_detail * tile.detail(canonical_HW)[1], most)
    pattern_HW = tile.pattern(payload, *canonical_HW.shape)
    limit = 255**2 / 10 ** (PSNR_DB / 10)
    mean_square = cv2.norm(gain_HW * pattern_HW, cv2.NORM_L2SQR) / gain_HW.size
    gain_HW *= math.sqrt(min(1.0, limit / mean_square))
    if instead_of is not None:
        left = _LEFT_IN_VIDEO if moving else 1.0
        pattern_HW = pattern_HW - left * tile.pattern(instead_of, *canonical_HW.shape)
    mark_HW = gain_HW * pattern_HW
    if mark_HW.shape != (height, width):
        mark_HW = tile.resize(mark_HW, height, width)
    steps_HW = np.rint(mark_HW).astype(np.int16)
    return cv2.add(frame_HW3, cv2.merge([steps_HW] * 3), dtype=cv2.CV_8U)


def detect(frames: Iterable[np.ndarray]) -> Reading:
    """Look for the mark in a picture, or in all frames of a video together.

    Args:
        frames: uint8 RGB frames of one size; a still is a list of one. At most 240 are read, fewer
            if the mark is found earlier.

    Returns:
        The reading of the first look that finds a payload, else of the last.

    Raises:
        ValueError: if there is no frame, or they differ in size.
    """
    reading = None
    for evidence_HW in _looks(frames):
        reading = _look(evidence_HW)
        if reading.payload is not None:
            break
    if reading is None:
        raise ValueError("expected at least one frame")
    return reading


def payload_here(frame_HW3: np.ndarray) -> int | None:
    """The payload of a frame that was at most resized; None if there is none. Fast: no search."""
    return _here(next(_looks([frame_HW3]))).payload


def _looks(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the frames' mean evidence (H, W), after the first look's number and after all."""
    total_HW: np.ndarray | None = None
    count = 0
    for frame_HW3 in frames:
        detail_HW, deviation_HW = tile.detail(tile.canonical(frame_HW3))
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
    """Try the unchanged place first, then search scales, shifts and the mirror image."""
    here = _here(evidence_HW)
    if here.payload is not None:
        return here
    found = max(_search(evidence_HW), key=lambda reading: reading.score)
    return here if here.present and found.payload is None else found


def _here(evidence_HW: np.ndarray) -> Reading:
    """Read at the unchanged place."""
    spectrum_F = _spectra(evidence_HW, [Place()])[0]
    return _read(spectrum_F, (0, 0), _NO_NUDGE, Place(), trials=1)


def _search(evidence_HW: np.ndarray) -> list[Reading]:
    """Read at the places where the beacon is strongest."""
    height, width = evidence_HW.shape
    half_HW = tile.resize(evidence_HW, height // 2, width // 2)  # loses little, costs a third
    doubled = [Place(2 * p.vertical, 2 * p.horizontal, p.mirrored) for p in _places()]
    beacons, _ = _beacons(_spectra(half_HW, doubled))
    trials = len(_places()) * len(_REFINEMENTS) * TILE_PX**2 * len(_AROUND)
    readings = []
    for best in np.argsort(-beacons)[:_CANDIDATES]:
        coarse = _places()[best]
        nearby = [
            Place(coarse.vertical * step, coarse.horizontal * step, coarse.mirrored)
            for step in _REFINEMENTS
        ]
        spectra_SF = _spectra(evidence_HW, nearby)
        fine_beacons, shifts = _beacons(spectra_SF)
        fine = int(fine_beacons.argmax())
        readings.append(_read(spectra_SF[fine], shifts[fine], _AROUND, nearby[fine], trials))
    return readings


@lru_cache(maxsize=1)
def _places() -> list[Place]:
    """The places to try, 1.3 % apart in scale.

    Both sides cropped alike, down to 0.79, mirrored or not; or one side cropped, down to 0.88, and
    the picture stretched back to its old shape.
    """
    sides = [0.987**i for i in range(19)]
    return [
        *(Place(side, side, mirrored) for side in sides for mirrored in (False, True)),
        *(Place(side, 1.0) for side in sides[1:11]),
        *(Place(1.0, side) for side in sides[1:11]),
    ]


def _spectra(evidence_HW: np.ndarray, places: Sequence[Place]) -> np.ndarray:
    """The picture's Fourier sums at the tile's frequencies, were it put back to each place.

    Returns:
        (S, F) complex64; sizes are limited to at most 1.
    """
    key = tile.key()
    height, width = evidence_HW.shape
    sides = tuple(dict.fromkeys(place.horizontal for place in places))
    across = (evidence_HW @ _cosines_sines(width, sides)).reshape(height, -1, 2, REACH)
    across_SHR = np.moveaxis(across[:, :, 0] + 1j * across[:, :, 1], 1, 0)
    spectra_SF = np.empty((len(places), len(key.row)), np.complex64)
    for i, place in enumerate(places):
        grid = _waves(height, place.vertical) @ across_SHR[sides.index(place.horizontal)]
        if place.mirrored:  # of a real picture: F(row, -column) = conj F(-row, column)
            grid = grid[::-1].conj()
        spectra_SF[i] = grid[key.row + REACH, key.column - 1]
    size_SF = np.abs(spectra_SF)
    return spectra_SF / (size_SF + np.median(size_SF, axis=1, keepdims=True) + 1e-12)


@lru_cache(maxsize=256)
def _waves(length: int, side: float) -> np.ndarray:
    """exp(-2 pi i f x / tile) for f = -REACH..REACH, x = 0..length - 1 in px times `side`."""
    turns = np.outer(np.arange(-REACH, REACH + 1), np.arange(length) * (side / TILE_PX))
    return np.exp(-2j * np.pi * turns).astype(np.complex64)


@lru_cache(maxsize=64)
def _cosines_sines(length: int, sides: tuple[float, ...]) -> np.ndarray:
    """`_waves` of f = 1..REACH for several sides as real columns; (length, sides * 2 * REACH)."""
    waves = np.stack([_waves(length, side)[REACH + 1 :] for side in sides])
    parts = np.stack([waves.real, waves.imag], axis=1)
    return np.ascontiguousarray(parts.reshape(-1, length).T)


def _beacons(spectra_SF: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Correlate with the beacon at every shift: the best scores (S,) and their (row, column)."""
    key = tile.key()
    grid = np.zeros((len(spectra_SF), 2 * REACH + 1, REACH), np.complex64)
    grid[:, key.row + REACH, key.column - 1] = spectra_SF * key.phase.conj()
    waves = _waves(TILE_PX, 1.0).conj()
    down = waves.T @ grid
    columns = waves[REACH + 1 :]
    score = np.concatenate([down.real, down.imag], axis=2).reshape(-1, 2 * REACH)
    score = score @ np.concatenate([columns.real, -columns.imag])
    score = score.reshape(len(spectra_SF), -1)
    best = score.argmax(axis=1)
    scores = np.take_along_axis(score, best[:, None], axis=1)[:, 0] / _deviation(spectra_SF)
    return scores, [divmod(int(shift), TILE_PX) for shift in best]


def _read(
    spectrum_F: np.ndarray,
    shift: tuple[int, int],
    nudges: tuple[tuple[float, float], ...],
    place: Place,
    trials: int,
) -> Reading:
    """Decode at the best of the shifts `shift` + nudge, and judge the decoded word."""
    key = tile.key()
    turns_F = (key.row * shift[0] + key.column * shift[1]) / TILE_PX
    here_F = spectrum_F * key.phase.conj() * np.exp(2j * np.pi * turns_F)
    aligned_SF = (_turns(nudges) * here_F).astype(np.complex64)
    beacon_S, bits_SN = aligned_SF.real.sum(1), aligned_SF.imag @ _bit_sums()
    ceiling_S = BEACON * beacon_S + DATA * np.abs(bits_SN).sum(1)  # as if every bit were right
    best = int(ceiling_S.argmax())
    deviation = float(_deviation(spectrum_F))
    log_trials = math.log(2**bch.PAYLOAD_BITS * trials)
    needed = math.sqrt(
        2 * (log_trials - math.log(_FALSE_ALARM / 2))
    )  # half for `_look`'s each step
    if ceiling_S[best] < needed * deviation:  # no word can reach it
        return Reading(False, None, float(ceiling_S[best]) / deviation, needed, 0.0, place)
    payload, word_N, lead = bch.decode(bits_SN[best])
    data = float(bits_SN[best] @ word_N)
    score = (BEACON * float(beacon_S[best]) + DATA * data) / deviation
    bound = min(0.0, (log_trials - score**2 / 2) / math.log(10))
    # How much likelier these bits are under the best word than under the next, in Gaussian noise.
    log_odds = data * lead / deviation**2
    present = score >= needed
    told = payload if present and log_odds >= _LOG_ODDS else None
    return Reading(present, told, score, needed, bound, place)


@lru_cache(maxsize=2)
def _turns(nudges: tuple[tuple[float, float], ...]) -> np.ndarray:
    """The phase factors of S small shifts; (S, F)."""
    key = tile.key()
    turns = [(key.row * down + key.column * across) / TILE_PX for down, across in nudges]
    return np.exp(2j * np.pi * np.array(turns)).astype(np.complex64)


@lru_cache(maxsize=1)
def _bit_sums() -> np.ndarray:
    """The matrix (F, N) that adds up, with its sign, what each frequency says of its bit."""
    key = tile.key()
    sums = np.zeros((len(key.bit), bch.CODE_BITS), np.float32)
    sums[np.arange(len(key.bit)), key.bit] = key.sign
    return sums


def _deviation(spectrum_F: np.ndarray) -> np.ndarray:
    """Standard deviation of a correlation with an unrelated mark, over the last axis."""
    return np.sqrt(np.sum(np.abs(spectrum_F) ** 2, axis=-1) / 2 + 1e-12)
