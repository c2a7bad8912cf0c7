"""Sentences without meaning: phonemes in plausible syllables, with stress, length and melody.

The output is a score for the voice: every phoneme with its duration, loudness and pitch. Durations
follow Klatt's rules (1979) in spirit: each sound has a shortest and a usual length; unstressed
syllables and clusters shorten, the last syllable before a pause lengthens. The melody falls through
a phrase (declination), rises on stressed syllables, and ends in a fall or, for a question, a rise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from lab.actors.phonemes import SILENCE, SOUNDS, VOWELS, base, stress
from lab.errors import UserError

STEP_S = 0.0025  # durations are whole steps, so that labels and samples agree exactly

_ONSETS = (
    " B:4 P:4 M:5 F:2 V:2 W:3 T:4 D:4 N:4 S:4 Z:1 L:4 R:3 SH:2 CH:1 JH:1 K:3 G:2 Y:1 HH:2 TH:1 DH:2"
    " S+T:1 P+L:1 B+L:1 P+R:1 B+R:1 T+R:1 K+R:1 K+L:1 G+R:1 F+L:1 F+R:1 S+P:1 S+M:1 S+W:1 T+W:1 -:3"
)
_NUCLEI = "IY:4 IH:4 EH:4 AE:4 AA:5 AO:3 UH:2 UW:4 AH:3 ER:2 EY:3 AY:3 OY:1 AW:2 OW:3"
_WEAK_NUCLEI = "AH:6 IH:4 ER:2 IY:2 OW:1 UH:1"
_CODAS = (
    "-:14 N:4 M:3 T:3 D:2 S:3 Z:2 L:3 K:2 P:2 B:1 NG:1 F:1 V:1 SH:1 TH:1 N+T:1 S+T:1 L+D:1 M+P:1"
)
_SMALL_WORDS = ("DH AH0", "AH0", "T AH0", "AE0 N D", "AH0 V", "IH0 T", "W IH0", "M AY0", "B AY0")


@dataclass(frozen=True)
class Phone:
    """One phoneme as it is to be spoken.

    Args:
        symbol: ARPAbet with stress digit, or "SIL".
        duration_s: a whole number of steps of STEP_S.
        loudness: 1 is normal, about 0.5 to 1.2.
        pitch_st: semitones above the voice's own pitch at the middle of the phoneme.
    """

    symbol: str
    duration_s: float
    loudness: float = 1.0
    pitch_st: float = 0.0


def babble(rng: Generator, seconds: float, rate: float = 1.0) -> list[Phone]:
    """Invent phrases and pauses that fill a time.

    Args:
        rng: source of all choices.
        seconds: total duration, >= 0. The last phrase is cut to the words that still fit.
        rate: speed of speaking; 1 is about 4.5 syllables a second.

    Returns:
        Phones whose durations add up to `seconds` (to the step); silence first and last.
    """
    total = round(seconds / STEP_S)
    phones: list[Phone] = []
    left = total - _append_pause(phones, total, rng.uniform(0.12, 0.4))
    while left > 0:
        words = [_word(rng) for _ in range(rng.integers(2, 8))]
        effort, question = rng.uniform(0.72, 1.12), rng.random() < 0.2
        phrase: list[Phone] = []
        while words:
            phrase = _phrase([symbol for word in words for symbol in word], rate, effort, question)
            if _steps(phrase) <= left - 20:
                break
            words.pop()
        if not any(stress(symbol) == 1 for word in words for symbol in word):
            break  # no room for a whole word
        phones += phrase
        left -= _steps(phrase)
        left -= _append_pause(phones, left, rng.uniform(0.2, 0.75))
    _append_pause(phones, left, seconds)
    return phones


def recite(text: str, rate: float = 1.0) -> list[Phone]:
    """Turn written ARPAbet into phones: "HH AH0 L OW1 SIL M AA1 M AH0".

    Raises:
        UserError: if a symbol is unknown or there is none.
    """
    phones: list[Phone] = []
    phrase: list[str] = []
    for symbol in [*text.upper().split(), SILENCE]:
        if base(symbol) not in SOUNDS or (symbol != base(symbol) and base(symbol) not in VOWELS):
            raise UserError(
                f"unknown phoneme '{symbol}'; use ARPAbet such as AA1, B, SH or {SILENCE}"
            )
        if symbol != SILENCE:
            phrase.append(
                symbol if base(symbol) not in VOWELS or symbol[-1].isdigit() else symbol + "1"
            )
        else:
            phones += _phrase(phrase, rate, 1.0, False) if phrase else []
            phones.append(Phone(SILENCE, 0.15))
            phrase = []
    if all(phone.symbol == SILENCE for phone in phones):
        raise UserError("nothing to say; give phonemes such as 'M AA1 M AH0'")
    return [Phone(SILENCE, 0.15), *phones]


def _append_pause(phones: list[Phone], left: int, seconds: float) -> int:
    """Append silence of at most `left` steps; returns the steps used."""
    steps = min(left, round(seconds / STEP_S))
    if steps > 0:
        if phones and phones[-1].symbol == SILENCE:
            last = phones.pop()
            phones.append(Phone(SILENCE, last.duration_s + steps * STEP_S))
        else:
            phones.append(Phone(SILENCE, steps * STEP_S))
    return steps


def _steps(phones: Sequence[Phone]) -> int:
    return sum(round(phone.duration_s / STEP_S) for phone in phones)


def _draw(rng: Generator, table: str) -> list[str]:
    """One entry of a table such as "B:4 S+T:1 -:3", by weight; "-" is empty."""
    entries = [entry.split(":") for entry in table.split()]
    weights = np.array([float(weight) for _, weight in entries])
    name = entries[rng.choice(len(entries), p=weights / weights.sum())][0]
    return [] if name == "-" else name.split("+")


def _word(rng: Generator) -> list[str]:
    """A word of one to three syllables, one of them stressed; or a small unstressed word."""
    if rng.random() < 0.22:
        return _SMALL_WORDS[rng.integers(len(_SMALL_WORDS))].split()
    syllables = rng.choice([1, 2, 3], p=[0.45, 0.38, 0.17])
    stressed = 0 if rng.random() < 0.75 else int(rng.integers(syllables))
    symbols: list[str] = []
    for index in range(syllables):
        is_stressed = index == stressed
        (nucleus,) = _draw(rng, _NUCLEI if is_stressed else _WEAK_NUCLEI)
        coda = _draw(rng, _CODAS) if index == syllables - 1 else []
        symbols += [*_draw(rng, _ONSETS), f"{nucleus}{int(is_stressed)}", *coda]
    return symbols


def _phrase(symbols: list[str], rate: float, effort: float, question: bool) -> list[Phone]:
    """Give a phrase its durations, loudness and melody."""
    vowels = [i for i, symbol in enumerate(symbols) if stress(symbol) or base(symbol) in VOWELS]
    last_vowel = vowels[-1] if vowels else len(symbols) - 1
    phones = []
    for index, symbol in enumerate(symbols):
        along = index / max(len(symbols) - 1, 1)
        vowel = min((v for v in vowels if v >= index), default=last_vowel)  # its syllable's vowel
        strong = stress(symbols[vowel]) == 1
        pitch_st = 1.5 - 4.0 * along + (2.2 - 0.8 * along if strong else 0.0)
        if index >= last_vowel:
            pitch_st += 6.0 if question else -2.0
        loudness = effort * (1.0 if strong else 0.68) * (1.08 - 0.25 * along)
        seconds = _duration(symbols, index, strong, final=index >= last_vowel) / rate
        phones.append(Phone(symbol, round(seconds / STEP_S) * STEP_S, loudness, pitch_st))
    return phones


def _duration(symbols: list[str], index: int, strong: bool, final: bool) -> float:
    """Duration in seconds of one phoneme in its surroundings, at rate 1."""
    sound = SOUNDS[base(symbols[index])]
    is_vowel = sound.manner == "vowel"
    stretch = 1.0 if strong else 0.4 if is_vowel else 0.7
    if final:
        stretch *= 1.5 if is_vowel else 1.25
    neighbours = symbols[max(index - 1, 0) : index] + symbols[index + 1 : index + 2]
    if not is_vowel and any(base(n) not in VOWELS for n in neighbours):
        stretch *= 0.7  # consonants share a cluster
    return (sound.shortest_ms + stretch * (sound.usual_ms - sound.shortest_ms)) / 1000
