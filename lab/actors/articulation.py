"""From phonemes to lips: dominance functions with co-articulation, and lips that really close.

Each phoneme pulls the mouth towards its own shape. Its pull, the dominance, is full within its
middle and falls off exponentially on both sides; the mouth's shape is the average of all shapes
weighted by their dominance. Rounding reaches far ahead of its vowel, a consonant that does not care
takes the lips it finds. Averaging never closes a mouth between two open vowels, so closures (B, M,
P, and half of F, V) are laid over the result as gates.

Source: Cohen & Massaro 1993 (dominance functions); the gates are our addition.

Dimension key: T times, M mouth controls in the order of MOUTH_NAMES.
"""

import numpy as np

from lab.actors.fields import smoothstep
from lab.actors.phonemes import BILABIALS, MOUTH_NAMES, MOUTHS, SILENCE, VOWELS, base
from lab.actors.speech import Speech

_JAW = MOUTH_NAMES.index("jaw_open")
_PRESS = MOUTH_NAMES.index("press")
# Exponential reach of a phoneme's pull, in seconds: ahead of it and after it.
_JAW_REACH_S = (0.040, 0.045)
_LIP_REACH_S = (0.090, 0.060)
_NEGLIGIBLE = 7.0  # reaches after which a pull is left out
_SHORTEST_CLOSURE_S = 0.048  # longer than a frame at 25 a second: each closure is seen in one
_GATE_RAMP_S = 0.045


def mouth_shapes(speech: Speech, time_T: np.ndarray) -> np.ndarray:
    """The mouth at given times, before closures.

    Args:
        speech: sound and its phonemes.
        time_T: seconds, ascending.

    Returns:
        (T, M) amounts in [0, 1].
    """
    total_TM = np.full((len(time_T), len(MOUTH_NAMES)), 1e-6) * np.array(MOUTHS[SILENCE].shape)
    weight_TM = np.full_like(total_TM, 1e-6)
    for symbol, start_s, end_s, loudness in with_loudness(speech):
        mouth = MOUTHS[base(symbol)]
        for shape, core_start_s, core_end_s in _cores(base(symbol), start_s, end_s):
            target_M = np.array(shape)
            if base(symbol) in VOWELS:
                target_M[_JAW] *= loudness
            for controls, grip, reach_s in (
                ([_JAW], mouth.jaw_grip, _JAW_REACH_S),
                (slice(1, None), mouth.lip_grip, _LIP_REACH_S),
            ):
                first = np.searchsorted(time_T, core_start_s - _NEGLIGIBLE * reach_s[0])
                last = np.searchsorted(time_T, core_end_s + _NEGLIGIBLE * reach_s[1])
                here_T = time_T[first:last]
                ahead_T = np.maximum(core_start_s - here_T, 0) / reach_s[0]
                after_T = np.maximum(here_T - core_end_s, 0) / reach_s[1]
                pull_T1 = (grip**2 * np.exp(-ahead_T - after_T))[:, None]
                total_TM[first:last, controls] += pull_T1 * target_M[controls]
                weight_TM[first:last, controls] += pull_T1
    return np.clip(total_TM / weight_TM, 0, 1)


def closure(speech: Speech, time_T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far the lips are shut at given times.

    Returns:
        Two arrays (T,) in [0, 1]: both lips (B, M, P), and lower lip to upper teeth (F, V). 1 over
        the whole closure, smooth ramps of 45 ms on both sides.
    """
    lips_T, teeth_T = np.zeros(len(time_T)), np.zeros(len(time_T))
    for symbol, start_s, end_s in speech.phonemes:
        if symbol in BILABIALS:
            shut_s = end_s if symbol == "M" else start_s + 0.65 * (end_s - start_s)
            gate_T = lips_T
        elif symbol in ("F", "V"):
            shut_s, gate_T = end_s, teeth_T
        else:
            continue
        begin_s = min(start_s - 0.005, shut_s - _SHORTEST_CLOSURE_S)
        first, last = np.searchsorted(time_T, [begin_s - _GATE_RAMP_S, shut_s + _GATE_RAMP_S])
        here_T = time_T[first:last]
        outside_T = np.maximum(begin_s - here_T, 0) + np.maximum(here_T - shut_s, 0)
        gate_T[first:last] = np.maximum(
            gate_T[first:last], smoothstep(0, 1, 1 - outside_T / _GATE_RAMP_S)
        )
    return lips_T, teeth_T


def close_lips(shapes_TM: np.ndarray, lips_T: np.ndarray, teeth_T: np.ndarray) -> np.ndarray:
    """Lay closures over mouth shapes.

    Args:
        shapes_TM: amounts in [0, 1].
        lips_T, teeth_T: from `closure`.

    Returns:
        (T, M): where a gate is 1, the jaw is up (nearly, for F and V) and what parts the lips is 0;
        rounding and spreading stay, as in "boo" and "bee".
    """
    closed_TM = shapes_TM.copy()
    keep_open_T = (1 - lips_T) * (1 - 0.85 * teeth_T)
    for name in ("jaw_open", "lower_down"):
        closed_TM[:, MOUTH_NAMES.index(name)] *= keep_open_T
    closed_TM[:, MOUTH_NAMES.index("upper_up")] *= 1 - lips_T
    closed_TM[:, MOUTH_NAMES.index("funnel")] *= 1 - 0.9 * lips_T
    press_T = MOUTHS["M"].shape[_PRESS] * lips_T
    closed_TM[:, _PRESS] = np.maximum(closed_TM[:, _PRESS], press_T)
    return closed_TM


def voice_activity(speech: Speech, time_T: np.ndarray) -> np.ndarray:
    """(T,) in [0, 1]: 1 while something is said, ramps of 0.2 s around it."""
    active_T = np.zeros(len(time_T))
    for symbol, start_s, end_s in speech.phonemes:
        if symbol != SILENCE:
            outside_T = np.maximum(start_s - time_T, 0) + np.maximum(time_T - end_s, 0)
            active_T = np.maximum(active_T, smoothstep(0, 1, 1 - outside_T / 0.2))
    return active_T


def with_loudness(speech: Speech) -> list[tuple[str, float, float, float]]:
    """The phonemes, each with its loudness as a fourth value: 1 for a middling vowel, 0.55 to 1.3."""
    power = np.concatenate([[0.0], np.cumsum(speech.samples_N.astype(np.float64) ** 2)])
    rms = []
    for _, start_s, end_s in speech.phonemes:
        first, last = (int(s * speech.rate_hz) for s in (start_s, end_s))
        last = min(max(last, first + 1), len(power) - 1)
        rms.append(np.sqrt(max(power[last] - power[min(first, last)], 0) / max(last - first, 1)))
    vowels = [r for r, (s, *_) in zip(rms, speech.phonemes, strict=True) if base(s) in VOWELS]
    middling = float(np.median(vowels)) if vowels and np.median(vowels) > 0 else 1.0
    return [
        (*phoneme, float(np.clip((r / middling) ** 0.5, 0.55, 1.3)))
        for phoneme, r in zip(speech.phonemes, rms, strict=True)
    ]


def _cores(
    symbol: str, start_s: float, end_s: float
) -> list[tuple[tuple[float, ...], float, float]]:
    """The parts of a phoneme in which its pull is full: (shape, start_s, end_s), one or two."""
    mouth, length_s = MOUTHS[symbol], end_s - start_s
    if symbol == SILENCE:
        inset_s = min(0.09, 0.4 * length_s)
        return [(mouth.shape, start_s + inset_s, end_s - inset_s)]
    if mouth.end is None:
        return [(mouth.shape, start_s + 0.3 * length_s, start_s + 0.7 * length_s)]
    return [
        (mouth.shape, start_s + 0.2 * length_s, start_s + 0.4 * length_s),
        (mouth.end, start_s + 0.8 * length_s, start_s + 0.95 * length_s),
    ]
