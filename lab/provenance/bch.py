"""The watermark's error-correcting code: 32 bits of payload in 64 bits on the wire.

An extended binary BCH code (64, 36): any two of its words differ in at least 12 of 64 places. 32 of
the 36 message bits are payload, 4 are constant. The decoder uses how sure each bit is ("soft"
values): in noise as strong as a third of the signal's power it still finds the word nearly always.

Source: Bose, Ray-Chaudhuri 1960 and Hocquenghem 1959 (the code; generator polynomial from the
tables of Lin & Costello); Fossorier & Lin 1995 (ordered-statistics decoding).
"""

from functools import lru_cache
from itertools import combinations

import numpy as np

CODE_BITS = 64
PAYLOAD_BITS = 32

_GENERATOR = 0o1033500423  # of the (63, 36) code, degree 27, over GF(2)
_CONSTANT = np.array([0, 1, 0, 1], np.uint8)
_MESSAGE_BITS = PAYLOAD_BITS + len(_CONSTANT)
_FLIPS = 2  # the decoder doubts up to this many of the most trusted bits


def encode(payload: int) -> np.ndarray:
    """Turn a payload in [0, 2**32) into 64 signs: +1 for a 0 bit, -1 for a 1 bit; float32."""
    if not 0 <= payload < 1 << PAYLOAD_BITS:
        raise ValueError(f"expected a payload of {PAYLOAD_BITS} bits, got {payload:#x}")
    bits = np.array([payload >> i & 1 for i in range(PAYLOAD_BITS)], np.uint8)
    word = np.concatenate([_CONSTANT, bits]) @ _matrix() % 2
    return (1 - 2 * word.astype(np.float32)).astype(np.float32)


def decode(soft_64: np.ndarray) -> tuple[int, np.ndarray, float]:
    """Find the word that agrees best with 64 soft signs.

    Believe the 32 most trusted bits that determine a word, make that word, then every word that
    differs from it in one or two of those bits, and keep the one with the largest correlation.

    Args:
        soft_64: real numbers; the sign is the guess (+ for a 0 bit), the size how sure it is.

    Returns:
        The payload; its word as 64 signs; and by how much its correlation with `soft_64` exceeds
        that of the next best word. There always is a payload: whether to believe it is for the
        caller to decide.
    """
    constant_signs = 1.0 - 2.0 * (_CONSTANT @ _matrix()[: len(_CONSTANT)] % 2)
    soft_64 = soft_64 * constant_signs  # what is left is a linear code of 2**32 words
    basis, trusted = _reduce(np.argsort(-np.abs(soft_64)))
    guesses = (soft_64[trusted] < 0).astype(np.uint8) ^ _doubts()
    signs = 1 - 2 * (guesses.astype(np.float32) @ basis % 2)
    correlations = signs @ soft_64
    second, first = np.argsort(correlations)[-2:]
    word = signs[first] * constant_signs
    bits = word[CODE_BITS - 1 - PAYLOAD_BITS : CODE_BITS - 1] < 0
    payload = sum(1 << i for i in range(PAYLOAD_BITS) if bits[i])
    return payload, word, float(correlations[first] - correlations[second])


@lru_cache(maxsize=1)
def _matrix() -> np.ndarray:
    """The systematic generator matrix (36, 64): 27 parity bits, 36 message bits, total parity."""
    parity_bits = _GENERATOR.bit_length() - 1
    rows = np.zeros((_MESSAGE_BITS, CODE_BITS), np.uint8)
    for i in range(_MESSAGE_BITS):
        word = remainder = 1 << parity_bits + i
        for degree in range(remainder.bit_length() - 1, parity_bits - 1, -1):
            if remainder >> degree & 1:
                remainder ^= _GENERATOR << degree - parity_bits
        word ^= remainder
        rows[i, :-1] = [word >> j & 1 for j in range(CODE_BITS - 1)]
        rows[i, -1] = rows[i, :-1].sum() % 2
    return rows


@lru_cache(maxsize=1)
def _doubts() -> np.ndarray:
    """All patterns of at most `_FLIPS` flipped bits, (529, 32)."""
    chosen = [c for n in range(_FLIPS + 1) for c in combinations(range(PAYLOAD_BITS), n)]
    flips = np.zeros((len(chosen), PAYLOAD_BITS), np.uint8)
    for row, places in zip(flips, chosen, strict=True):
        row[list(places)] = 1
    return flips


def _reduce(order: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Gauss-Jordan over GF(2), taking columns in the given order.

    Returns:
        The reduced generator (32, 64) float32, and the 32 columns in which it is the identity.
    """
    rows = _matrix()[len(_CONSTANT) :].copy()
    pivots: list[int] = []
    for column in order:
        below = np.flatnonzero(rows[len(pivots) :, column])
        if not len(below):
            continue
        here = len(pivots)
        rows[[here, here + below[0]]] = rows[[here + below[0], here]]
        others = np.flatnonzero(rows[:, column])
        rows[others[others != here]] ^= rows[here]
        pivots.append(int(column))
        if len(pivots) == PAYLOAD_BITS:
            break
    return rows.astype(np.float32), pivots
