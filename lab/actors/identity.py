"""Who an actor is: every number that makes one face differ from another, drawn from a seed."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

HAIR_CUTS: tuple[str, ...] = (
    "bald",
    "buzz",
    "crop",
    "side_part",
    "swept_back",
    "curly",
    "afro",
    "bob",
    "long",
    "ponytail",
    "bun",
    "fringe",
)
BEARDS: tuple[str, ...] = ("none", "stubble", "full", "goatee", "moustache", "chin_strap")

# Free-form variation: places on the face (canonical x, y; size x, y; all cm) that every identity
# pushes about and tints by amounts of its own. Without them dlib's embedding confuses actors.
BUMPS = np.array(
    [
        [0, 4.6, 2.2, 1.6],
        [3.2, 4.2, 2.0, 1.6],
        [5.4, 0.8, 1.4, 2.0],
        [4.6, -2.6, 1.6, 1.3],
        [2.4, -2.3, 1.1, 1.1],
        [4.6, -5.6, 1.6, 1.9],
        [2.6, -9.0, 1.5, 1.3],
        [0, -10.2, 1.6, 1.1],
        [0, -8.4, 2.0, 0.9],
        [0, -5.6, 1.4, 0.8],
        [0, 1.6, 1.2, 1.2],
        [3.1, 1.4, 1.8, 0.9],
        [1.0, -3.9, 0.9, 0.9],
        [0, -1.5, 0.7, 1.2],
        [2.6, -6.9, 1.0, 1.0],
        [5.2, -8.2, 1.4, 1.6],
    ]
)

# How strongly masculinity (about -1 or 1) moves a shape parameter, in standard deviations.
_DIMORPHISM = {
    "jaw_width": 0.70,
    "chin_width": 0.70,
    "brow_ridge": 0.90,
    "eye_height": -0.40,
    "brow_thickness": 0.70,
    "brow_height": -0.60,
    "brow_arch": -0.60,
    "upper_lip": -0.40,
    "lower_lip": -0.40,
    "nose_width": 0.40,
    "nose_projection": 0.30,
    "chin_height": 0.50,
    "cheek_fullness": -0.20,
    "face_length": 0.40,
    "eye_width": -0.20,
    "neck_width": 1.10,
}
_MEANS = {"chin_width": -0.3, "eye_depth": -0.4, "brow_thickness": 0.3, "nose_projection": -0.2}
_AMPLITUDE = 1.20  # of the shape parameters; 1.5 costs dlib detections, 1.0 separability


@dataclass(frozen=True)
class Identity:
    """A person who does not exist.

    Shape parameters are in standard deviations, 0 being the average head; larger is wider, longer,
    higher or further forward, as the name says. `Identity.sample(seed)` draws all of them.

    Args:
        seed: that the rest was drawn from; seeds fine texture too.
        masculinity: about -1 or about 1, with some in between.
        skin_tone: 0 (lightest) to 1 (darkest).
        age: -1 (about 20 years) to 2 (about 70).
        bumps_B3: free-form shape: (depth, height, sideways) of each of BUMPS.
        blotches_B2: free-form skin: (darkness, redness) at each of BUMPS.
        hair_cut: one of HAIR_CUTS. beard: one of BEARDS.
        hair_darkness: 0 (light blond) to 1 (black). hair_red, hair_grey: 0 to 1.
        beard_density, makeup, freckles, glasses: 0 (none) to 1.
        iris: 0 (dark brown) through hazel and green to 1 (blue).
    """

    seed: int
    masculinity: float
    skin_tone: float
    age: float
    head_width: float
    face_length: float
    midface_length: float
    forehead_height: float
    jaw_width: float
    chin_width: float
    chin_projection: float
    chin_height: float
    cheek_width: float
    cheek_fullness: float
    brow_ridge: float
    eye_spacing: float
    eye_width: float
    eye_height: float
    eye_tilt: float
    eye_depth: float
    brow_height: float
    brow_thickness: float
    brow_arch: float
    nose_length: float
    nose_width: float
    nose_bridge: float
    nose_bridge_width: float
    nose_tip_up: float
    nose_projection: float
    nose_hump: float
    mouth_width: float
    mouth_height: float
    upper_lip: float
    lower_lip: float
    lip_projection: float
    ear_size: float
    neck_width: float
    asymmetry: float
    bumps_B3: tuple[tuple[float, float, float], ...]
    blotches_B2: tuple[tuple[float, float], ...]
    ruddiness: float
    lip_colour: float
    eye_bags: float
    brow_density: float
    freckles: float
    makeup: float
    iris: float
    hair_cut: str
    hair_darkness: float
    hair_red: float
    hair_grey: float
    hair_length: float
    hair_volume: float
    hairline: float
    parting: float
    beard: str
    beard_density: float
    glasses: float
    clothes: float

    @classmethod
    def sample(cls, seed: int) -> "Identity":
        """Draw a person; the same seed always gives the same one."""
        rng = np.random.default_rng(seed)
        masculinity = float(
            np.clip(rng.choice([-1.0, 1.0]) + 0.35 * rng.standard_normal(), -1.7, 1.7)
        )
        skin_tone = float(rng.uniform(0, 1))
        age = float(np.clip(-0.2 + 0.8 * rng.standard_normal(), -1, 2))
        values: dict[str, Any] = {"seed": seed, "masculinity": masculinity}
        values |= {"skin_tone": skin_tone, "age": age}
        values |= _sample_shape(rng, masculinity)
        values |= _sample_skin(rng, masculinity, skin_tone)
        values |= _sample_hair(rng, masculinity, skin_tone, age)
        return cls(**values)

    def random(self, purpose: int) -> np.random.Generator:
        """A generator of this person's own fine detail, one stream for each purpose."""
        return np.random.default_rng([self.seed, purpose])


def _normal(rng: np.random.Generator) -> float:
    return float(np.clip(rng.standard_normal(), -2.1, 2.1))


def _sample_shape(rng: np.random.Generator, masculinity: float) -> dict[str, Any]:
    """All parameters between head_width and bumps_B3, in the order of the fields."""
    names = [field.name for field in fields(Identity)]
    shape = {}
    for name in names[names.index("head_width") : names.index("bumps_B3")]:
        value = _normal(rng)
        if name in _DIMORPHISM:
            value = 0.85 * value + 0.8 * _DIMORPHISM[name] * masculinity
        shape[name] = float(np.clip(value * _AMPLITUDE, -2.9, 2.9)) + _MEANS.get(name, 0.0)
    bumps_B3 = np.clip(rng.standard_normal((len(BUMPS), 3)), -2.2, 2.2)
    return shape | {"bumps_B3": tuple(map(tuple, bumps_B3.tolist()))}


def _sample_skin(rng: np.random.Generator, masculinity: float, skin_tone: float) -> dict[str, Any]:
    blotches_B2 = np.clip(rng.standard_normal((len(BUMPS), 2)), -2, 2)
    made_up = masculinity < 0 and rng.random() < 0.65
    blue_chance = float(np.clip(0.75 - 1.5 * skin_tone, 0, 1))
    return {
        "blotches_B2": tuple(map(tuple, blotches_B2.tolist())),
        "ruddiness": _normal(rng),
        "lip_colour": _normal(rng),
        "eye_bags": _normal(rng),
        "brow_density": _normal(rng),
        "freckles": float(rng.uniform(0.4, 1)) if rng.random() < 0.22 * (1 - skin_tone) else 0.0,
        "makeup": float(rng.uniform(0.2, 0.9)) if made_up else 0.0,
        "iris": float(rng.uniform(0.4, 1)) if rng.random() < blue_chance else rng.uniform(0, 0.35),
    }


def _sample_hair(
    rng: np.random.Generator, masculinity: float, skin_tone: float, age: float
) -> dict[str, Any]:
    man = masculinity > 0
    if skin_tone < 0.55:
        darkness = float(np.clip(rng.uniform(0.05, 0.9) + 0.5 * skin_tone, 0, 1))
    else:
        darkness = float(rng.uniform(0.8, 1.0))
    if man:
        chances = [0.07, 0.12, 0.22, 0.18, 0.13, 0.10, 0.06, 0.0, 0.04, 0.02, 0.03, 0.03]
    else:
        chances = [0.0, 0.02, 0.05, 0.06, 0.05, 0.09, 0.06, 0.19, 0.22, 0.10, 0.08, 0.08]
    if skin_tone < 0.45:  # tight curls are rare here
        chances[HAIR_CUTS.index("bald")] += chances[HAIR_CUTS.index("afro")] * man
        chances[HAIR_CUTS.index("long")] += chances[HAIR_CUTS.index("afro")] * (not man)
        chances[HAIR_CUTS.index("afro")] = 0.0
    cut = str(rng.choice(HAIR_CUTS, p=np.array(chances) / sum(chances)))
    beard = str(rng.choice(BEARDS, p=[0.42, 0.22, 0.16, 0.09, 0.06, 0.05])) if man else "none"
    greying = float(np.clip((age - 0.6) * rng.uniform(0.2, 1.0), 0, 0.9))
    return {
        "hair_cut": cut,
        "hair_darkness": darkness,
        "hair_red": float(rng.uniform(0.4, 1)) if rng.random() < 0.10 and skin_tone < 0.4 else 0.0,
        "hair_grey": greying,
        "hair_length": _normal(rng),
        "hair_volume": _normal(rng),
        "hairline": _normal(rng),
        "parting": float(rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 1)),
        "beard": beard,
        "beard_density": float(rng.uniform(0.45, 1.0)) if beard != "none" else 0.0,
        "glasses": float(rng.uniform(0.3, 1)) if rng.random() < 0.12 else 0.0,
        "clothes": float(rng.uniform(0, 1)),
    }
