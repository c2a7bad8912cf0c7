"""The sounds of the embedded voices: how each is made, and what the lips do meanwhile.

Symbols are ARPAbet, as in the CMU dictionary; a vowel carries a stress digit in use ("AA1"), and
"SIL" is silence. Formants are those of an adult male vocal tract; a voice scales them. The mouth
shapes are amounts of the actors' expressions.

Sources: vowels after Peterson & Barney 1952, consonants after Klatt 1980 (rounded); durations
after Klatt 1979; the dominance values after the idea of Cohen & Massaro 1993, set by eye.
"""

from dataclasses import dataclass

SILENCE = "SIL"


@dataclass(frozen=True)
class Sound:
    """How one phoneme sounds.

    Args:
        manner: "vowel", "approximant", "nasal", "stop", "affricate", "fricative", "aspirate" or
            "silence".
        voiced: whether the vocal folds vibrate.
        shortest_ms: duration below which it is not squeezed.
        usual_ms: duration in a stressed syllable.
        formants_hz: F1, F2, F3. For a consonant F2 and F3 are the locus that its neighbours'
            formants bend towards.
        glide_hz: where the formants end, for diphthongs.
        pull: how far a consonant's F2 and F3 give way to the neighbouring vowels', 0 to 1.
        noise: (centre in Hz, bandwidth in Hz, level, share that is not filtered) of the friction
            or burst noise; None without.
        nasal_zero_hz: frequency of the zero that the closed mouth adds, for nasals.
    """

    manner: str
    voiced: bool
    shortest_ms: float
    usual_ms: float
    formants_hz: tuple[float, float, float]
    glide_hz: tuple[float, float, float] | None = None
    pull: float = 0.0
    noise: tuple[float, float, float, float] | None = None
    nasal_zero_hz: float | None = None


def _vowel(shortest_ms: float, usual_ms: float, formants_hz, glide_hz=None) -> Sound:
    return Sound("vowel", True, shortest_ms, usual_ms, formants_hz, glide_hz)


SOUNDS: dict[str, Sound] = {
    SILENCE: Sound("silence", False, 50, 300, (500, 1500, 2500), pull=0.8),
    "IY": _vowel(60, 150, (280, 2250, 2900)),
    "IH": _vowel(45, 120, (400, 1950, 2550)),
    "EH": _vowel(55, 135, (540, 1800, 2480)),
    "AE": _vowel(80, 190, (670, 1700, 2420)),
    "AA": _vowel(90, 200, (730, 1100, 2450)),
    "AO": _vowel(90, 195, (580, 850, 2420)),
    "UH": _vowel(50, 130, (440, 1030, 2250)),
    "UW": _vowel(70, 165, (310, 880, 2250)),
    "AH": _vowel(45, 120, (620, 1200, 2400)),
    "ER": _vowel(70, 165, (480, 1350, 1690)),
    "EY": _vowel(80, 180, (480, 1950, 2550), (310, 2250, 2850)),
    "AY": _vowel(110, 220, (720, 1180, 2500), (380, 2050, 2600)),
    "OY": _vowel(120, 240, (550, 880, 2400), (370, 2000, 2550)),
    "AW": _vowel(110, 225, (710, 1230, 2450), (390, 930, 2300)),
    "OW": _vowel(85, 185, (520, 980, 2350), (350, 820, 2250)),
    "W": Sound("approximant", True, 55, 75, (290, 650, 2150), pull=0.1),
    "Y": Sound("approximant", True, 45, 75, (260, 2150, 2950), pull=0.1),
    "L": Sound("approximant", True, 45, 75, (350, 1150, 2700), pull=0.25),
    "R": Sound("approximant", True, 45, 75, (320, 1150, 1600), pull=0.15),
    "M": Sound("nasal", True, 60, 80, (260, 1050, 2200), pull=0.4, nasal_zero_hz=850),
    "N": Sound("nasal", True, 45, 70, (270, 1600, 2600), pull=0.3, nasal_zero_hz=1500),
    "NG": Sound("nasal", True, 55, 80, (270, 1900, 2300), pull=0.5, nasal_zero_hz=3000),
    "P": Sound("stop", False, 70, 105, (280, 900, 2200), pull=0.45, noise=(900, 1600, 0.8, 0.2)),
    "B": Sound("stop", True, 60, 85, (220, 900, 2200), pull=0.45, noise=(700, 1200, 0.5, 0.1)),
    "T": Sound("stop", False, 55, 90, (300, 1750, 2650), pull=0.3, noise=(4200, 2400, 1.6, 0.1)),
    "D": Sound("stop", True, 45, 70, (230, 1750, 2650), pull=0.3, noise=(3800, 2200, 1.0, 0.1)),
    "K": Sound("stop", False, 60, 95, (300, 1800, 2300), pull=0.7, noise=(1900, 700, 1.8, 0.02)),
    "G": Sound("stop", True, 50, 80, (230, 1800, 2300), pull=0.7, noise=(1800, 700, 1.2, 0.02)),
    "CH": Sound(
        "affricate", False, 80, 120, (300, 1850, 2600), pull=0.25, noise=(2900, 1500, 1.0, 0.02)
    ),
    "JH": Sound(
        "affricate", True, 65, 95, (240, 1850, 2600), pull=0.25, noise=(2800, 1500, 0.6, 0.02)
    ),
    "S": Sound(
        "fricative", False, 65, 110, (320, 1500, 2550), pull=0.35, noise=(5900, 2300, 0.8, 0.01)
    ),
    "Z": Sound(
        "fricative", True, 50, 80, (260, 1500, 2550), pull=0.35, noise=(5800, 2300, 0.45, 0.01)
    ),
    "SH": Sound(
        "fricative", False, 75, 115, (300, 1850, 2500), pull=0.25, noise=(3000, 1500, 0.95, 0.01)
    ),
    "ZH": Sound(
        "fricative", True, 55, 80, (270, 1850, 2500), pull=0.25, noise=(2900, 1500, 0.55, 0.01)
    ),
    "F": Sound(
        "fricative", False, 65, 100, (320, 1100, 2200), pull=0.4, noise=(6000, 5000, 0.28, 0.5)
    ),
    "V": Sound(
        "fricative", True, 45, 65, (260, 1100, 2200), pull=0.4, noise=(5500, 5000, 0.13, 0.4)
    ),
    "TH": Sound(
        "fricative", False, 60, 90, (320, 1350, 2550), pull=0.35, noise=(6500, 4000, 0.28, 0.4)
    ),
    "DH": Sound(
        "fricative", True, 40, 55, (280, 1350, 2550), pull=0.35, noise=(6000, 4000, 0.1, 0.3)
    ),
    "HH": Sound("aspirate", False, 40, 70, (500, 1500, 2500), pull=1.0),
}

VOWELS: tuple[str, ...] = tuple(s for s, sound in SOUNDS.items() if sound.manner == "vowel")
BILABIALS: tuple[str, ...] = ("P", "B", "M")

MOUTH_NAMES: tuple[str, ...] = (
    "jaw_open",
    "pucker",
    "funnel",
    "press",
    "stretch",
    "smile",
    "upper_up",
    "lower_down",
)


@dataclass(frozen=True)
class Mouth:
    """What the mouth does for one phoneme.

    Args:
        shape: amounts in the order of MOUTH_NAMES, in [0, 1], at normal loudness.
        end: the shape a diphthong ends in; None if the shape stays.
        jaw_grip: dominance over the neighbours in opening and closing, 0 to 1. Stops and vowels
            insist, K and HH take whatever jaw they are given.
        lip_grip: the same for rounding and spreading: U, W and SH insist, T does not mind.
    """

    shape: tuple[float, ...]
    end: tuple[float, ...] | None = None
    jaw_grip: float = 0.5
    lip_grip: float = 0.3


# Columns: jaw_open pucker funnel press stretch smile upper_up lower_down
_REST = (0.03, 0.0, 0.0, 0.05, 0.0, 0.0, 0.0, 0.0)
_CLOSED = (0.0, 0.0, 0.0, 0.75, 0.0, 0.0, 0.0, 0.0)
_TEETH = (0.12, 0.0, 0.0, 0.0, 0.2, 0.0, 0.15, 0.25)
_LIP_TO_TEETH = (0.04, 0.0, 0.0, 0.15, 0.1, 0.0, 0.4, 0.0)
_TONGUE = (0.16, 0.0, 0.0, 0.0, 0.1, 0.0, 0.15, 0.25)
_HUSH = (0.12, 0.25, 0.65, 0.0, 0.0, 0.0, 0.15, 0.2)
_BACK = (0.2, 0.0, 0.0, 0.0, 0.05, 0.0, 0.05, 0.1)
_SPREAD = (0.16, 0.0, 0.0, 0.0, 0.5, 0.25, 0.15, 0.2)
_HALF_SPREAD = (0.24, 0.0, 0.0, 0.0, 0.3, 0.1, 0.1, 0.2)
_ROUND = (0.14, 0.85, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0)
_HALF_ROUND = (0.36, 0.4, 0.4, 0.0, 0.0, 0.0, 0.0, 0.1)
_WIDE = (0.5, 0.0, 0.0, 0.0, 0.1, 0.0, 0.1, 0.2)

MOUTHS: dict[str, Mouth] = {
    SILENCE: Mouth(_REST, jaw_grip=0.35, lip_grip=0.2),
    "IY": Mouth(_SPREAD, jaw_grip=0.7, lip_grip=0.7),
    "IH": Mouth(_HALF_SPREAD, jaw_grip=0.6, lip_grip=0.4),
    "EH": Mouth((0.38, 0.0, 0.0, 0.0, 0.3, 0.1, 0.1, 0.2), jaw_grip=0.8, lip_grip=0.4),
    "AE": Mouth((0.46, 0.0, 0.0, 0.0, 0.35, 0.1, 0.15, 0.25), jaw_grip=0.9, lip_grip=0.5),
    "AA": Mouth(_WIDE, jaw_grip=1.0, lip_grip=0.4),
    "AO": Mouth((0.42, 0.25, 0.55, 0.0, 0.0, 0.0, 0.05, 0.15), jaw_grip=0.9, lip_grip=0.8),
    "UH": Mouth((0.22, 0.4, 0.3, 0.0, 0.0, 0.0, 0.0, 0.1), jaw_grip=0.6, lip_grip=0.7),
    "UW": Mouth(_ROUND, jaw_grip=0.7, lip_grip=1.0),
    "AH": Mouth((0.36, 0.0, 0.0, 0.0, 0.05, 0.0, 0.05, 0.15), jaw_grip=0.7, lip_grip=0.25),
    "ER": Mouth((0.2, 0.3, 0.4, 0.0, 0.0, 0.0, 0.1, 0.15), jaw_grip=0.6, lip_grip=0.6),
    "EY": Mouth((0.36, 0.0, 0.0, 0.0, 0.35, 0.15, 0.1, 0.2), _SPREAD, jaw_grip=0.8, lip_grip=0.6),
    "AY": Mouth(_WIDE, _HALF_SPREAD, jaw_grip=1.0, lip_grip=0.5),
    "OY": Mouth((0.38, 0.35, 0.5, 0.0, 0.0, 0.0, 0.0, 0.1), _HALF_SPREAD, 0.9, 0.8),
    "AW": Mouth(_WIDE, (0.22, 0.65, 0.3, 0.0, 0.0, 0.0, 0.0, 0.02), jaw_grip=1.0, lip_grip=0.8),
    "OW": Mouth(_HALF_ROUND, (0.18, 0.75, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0), 0.8, 0.9),
    "W": Mouth((0.08, 0.95, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0), jaw_grip=0.8, lip_grip=1.0),
    "Y": Mouth(_SPREAD, jaw_grip=0.5, lip_grip=0.5),
    "L": Mouth((0.22, 0.0, 0.0, 0.0, 0.1, 0.0, 0.15, 0.25), jaw_grip=0.5, lip_grip=0.15),
    "R": Mouth((0.14, 0.3, 0.4, 0.0, 0.0, 0.0, 0.1, 0.15), jaw_grip=0.5, lip_grip=0.6),
    "M": Mouth(_CLOSED, jaw_grip=1.0, lip_grip=0.15),
    "N": Mouth(_TEETH, jaw_grip=0.6, lip_grip=0.15),
    "NG": Mouth(_BACK, jaw_grip=0.3, lip_grip=0.1),
    "P": Mouth(_CLOSED, jaw_grip=1.0, lip_grip=0.15),
    "B": Mouth(_CLOSED, jaw_grip=1.0, lip_grip=0.15),
    "T": Mouth(_TEETH, jaw_grip=0.7, lip_grip=0.15),
    "D": Mouth(_TEETH, jaw_grip=0.7, lip_grip=0.15),
    "K": Mouth(_BACK, jaw_grip=0.3, lip_grip=0.1),
    "G": Mouth(_BACK, jaw_grip=0.3, lip_grip=0.1),
    "CH": Mouth(_HUSH, jaw_grip=0.9, lip_grip=0.8),
    "JH": Mouth(_HUSH, jaw_grip=0.9, lip_grip=0.8),
    "S": Mouth((0.07, 0.0, 0.0, 0.0, 0.3, 0.1, 0.2, 0.3), jaw_grip=0.9, lip_grip=0.25),
    "Z": Mouth((0.08, 0.0, 0.0, 0.0, 0.3, 0.1, 0.2, 0.3), jaw_grip=0.9, lip_grip=0.25),
    "SH": Mouth(_HUSH, jaw_grip=0.9, lip_grip=0.9),
    "ZH": Mouth(_HUSH, jaw_grip=0.9, lip_grip=0.9),
    "F": Mouth(_LIP_TO_TEETH, jaw_grip=1.0, lip_grip=0.5),
    "V": Mouth(_LIP_TO_TEETH, jaw_grip=1.0, lip_grip=0.5),
    "TH": Mouth(_TONGUE, jaw_grip=0.7, lip_grip=0.25),
    "DH": Mouth(_TONGUE, jaw_grip=0.6, lip_grip=0.2),
    "HH": Mouth(_BACK, jaw_grip=0.1, lip_grip=0.05),
}


def base(symbol: str) -> str:
    """The phoneme without its stress digit: "AA1" -> "AA"."""
    return symbol.rstrip("012")


def stress(symbol: str) -> int:
    """The stress digit of a vowel (0, 1, 2); 0 for everything else."""
    return int(symbol[-1]) if symbol[-1].isdigit() else 0
