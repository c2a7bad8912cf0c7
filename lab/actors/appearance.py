"""The skin's texture: albedo, gloss, fine relief and part labels, painted in canonical coordinates.

Texels are addressed like the mesh: columns by angle, rows by arc length from the crown. Features are
painted only inside the face's window of the texture, which is a quarter of it.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lab.actors import anatomy
from lab.actors.anatomy import MOUTH_HALF_WIDTH_CM, MOUTH_Y_CM, NECK_RING
from lab.actors.facial_hair import paint_beard, paint_brows, paint_scalp
from lab.actors.fields import blend, bump, line, linear_rgb, noise, smoothstep
from lab.actors.geometry import nasolabial_fold, nose_frame, wing_crease
from lab.actors.identity import BUMPS, Identity
from lab.actors.materials import part_code
from lab.actors.parts import EYE_TEXTURE_HALF_CM, NAPE_PATCH

TEXTURE_HW = (832, 704)
_TONES = linear_rgb(
    [
        *([246, 212, 194], [236, 190, 164], [219, 167, 136], [192, 136, 102]),
        *([160, 108, 80], [124, 83, 62], [96, 65, 51]),
    ]
)


@dataclass(eq=False)
class Canvas:
    """A window of the skin texture while it is painted.

    x, y, u, v: canonical coordinates of the texels. aside: |x|. front: 1 on the face, 0 behind it.
    rgb: linear albedo. gloss: 0 matt to 1 oily. relief: cm. part: codes of lab.actors.materials.
    """

    x: np.ndarray
    y: np.ndarray
    u: np.ndarray
    v: np.ndarray
    front: np.ndarray
    rgb: np.ndarray
    gloss: np.ndarray
    relief: np.ndarray
    part: np.ndarray

    @property
    def aside(self) -> np.ndarray:
        return np.abs(self.x)

    def window(self, rows: slice, columns: slice) -> "Canvas":
        """A view of a part of the canvas; painting on it paints the whole."""
        where = (rows, columns)
        return Canvas(*(getattr(self, name)[where] for name in self.__dataclass_fields__))

    def label(self, name: str, where: np.ndarray) -> None:
        """Call texels by a part's name."""
        self.part[where] = part_code(name)


@lru_cache(maxsize=1)
def _texel_coordinates() -> tuple[np.ndarray, ...]:
    """u, v, x, y and front of every texel, float32 (H, W)."""
    rows, columns = TEXTURE_HW
    across, down = np.meshgrid((np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows)
    u = anatomy.texture_to_angle(across)
    v = anatomy.arc_to_ring(down * anatomy.ARC_LENGTH_CM)
    point = anatomy.surface(u, v)
    front = smoothstep(0.0, 0.3, np.cos(u))
    return tuple(a.astype(np.float32) for a in (u, v, point[..., 0], point[..., 1], front))


def skin_rgb(darkness: np.ndarray) -> np.ndarray:
    """Linear albedo (..., 3) of skin from lightest (0) to darkest (1)."""
    steps = np.linspace(0, 1, len(_TONES))
    darkness = np.clip(darkness, 0, 1)
    return np.stack([np.interp(darkness, steps, _TONES[:, i]) for i in range(3)], -1)


def paint_skin(identity: Identity) -> Canvas:
    """Paint an identity's whole skin texture."""
    u, v, x, y, front = _texel_coordinates()
    canvas = Canvas(
        *(x, y, u, v, front),
        rgb=np.empty((*TEXTURE_HW, 3), np.float32),
        gloss=np.full(TEXTURE_HW, 0.45, np.float32),
        relief=np.zeros(TEXTURE_HW, np.float32),
        part=np.full(TEXTURE_HW, part_code("skin"), np.uint8),
    )
    _paint_base(identity, canvas)
    on_face = (front > 0) & (np.abs(x) < 7.4) & (y > -12.6) & (y < 6.5)
    rows, columns = np.flatnonzero(on_face.any(1)), np.flatnonzero(on_face.any(0))
    face = canvas.window(slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    rng = identity.random(1)
    _paint_complexion(identity, face, rng)
    _paint_age(identity, face)
    _paint_nose(identity, face)
    _paint_lips(identity, face, rng)
    _paint_eyes(identity, face)
    paint_beard(identity, face, rng)
    paint_brows(identity, face, rng)
    canvas.label("neck", (v > NECK_RING) | ((front < 0.2) & (v > 9)))
    paint_scalp(identity, canvas, rng)
    _paint_ear_patch(identity, canvas)
    np.clip(canvas.rgb, 0.003, 0.95, out=canvas.rgb)
    np.clip(canvas.gloss, 0.02, 1, out=canvas.gloss)
    return canvas


def mean_skin_rgb(identity: Identity) -> np.ndarray:
    """Linear albedo of an identity's plain skin."""
    return skin_rgb(np.array(0.03 + 0.92 * identity.skin_tone))


def _paint_base(identity: Identity, canvas: Canvas) -> None:
    """Tone with soft mottling, everywhere."""
    rng = identity.random(0)
    blotches = noise(rng, TEXTURE_HW, (12, 10), 4)
    grain = noise(rng, TEXTURE_HW, (110, 90), 2, 0.8)
    tone = 0.03 + 0.92 * identity.skin_tone + 0.014 * blotches + 0.007 * grain
    canvas.rgb[:] = skin_rgb(tone)
    warmth = (0.05 * blotches + 0.05 * identity.ruddiness) * (1 - 0.45 * identity.skin_tone)
    canvas.rgb *= np.exp(-warmth[..., None] * np.array([0.03, 0.30, 0.26], np.float32))
    canvas.relief += 0.0022 * noise(rng, TEXTURE_HW, (300, 260), 1)  # pores
    canvas.gloss += 0.05 * blotches


def _paint_complexion(identity: Identity, face: Canvas, rng: np.random.Generator) -> None:
    """Blood under cheeks, nose and chin; darker and lighter regions; freckles and moles."""
    aside, x, y = face.aside, face.x, face.y
    darker = 0.03 * bump(aside, y, (2.9, -1.0), (1.4, 0.5)) * (1 + 0.6 * identity.eye_bags)
    darker += 0.07 * bump(aside, y, (2.9, 0.75), (1.7, 0.7)) + 0.03 * smoothstep(4.5, 7, aside)
    darker -= 0.025 * bump(x, y, (0, 4.0), (3.5, 1.6))
    redness = 0.75 * bump(aside, y, (3.7, -3.0), (1.7, 1.4))
    redness += 0.85 * bump(aside, y, (0.3, -3.7), (1.2, 0.8))
    redness += 0.40 * bump(aside, y, (0, -9.9), (1.6, 1.0)) + 0.3 * bump(
        aside, y, (3.0, 0.1), (1.8, 0.7)
    )
    redness *= 0.55 + 0.22 * identity.ruddiness
    for (at_x, at_y, size_x, size_y), (dark, red) in zip(BUMPS, identity.blotches_B2, strict=True):
        spot = bump(aside, y, (at_x, at_y), (size_x, size_y))
        darker += 0.05 * dark * spot
        redness += 0.2 * red * spot
    redness *= (1 - 0.5 * identity.skin_tone) * face.front
    face.rgb *= np.exp(-1.6 * darker * face.front)[..., None]
    face.rgb *= np.exp(-np.clip(redness, -0.3, 1.4)[..., None] * np.float32([0.03, 0.30, 0.26]))
    if identity.freckles > 0:
        spots = smoothstep(1.1, 1.7, noise(rng, x.shape, (150, 150), 1))
        spots = spots * bump(aside, y, (2.2, -2.4), (3.0, 1.9)) * identity.freckles * face.front
        face.rgb *= np.exp(-spots[..., None] * np.float32([0.35, 0.75, 0.9]))
    for _ in range(rng.integers(0, 4)):
        at = (rng.uniform(-5, 5), rng.uniform(-9, 4))
        size = rng.uniform(0.06, 0.10)
        face.rgb *= (1 - 0.6 * bump(x, y, at, (size, size)) * face.front)[..., None]
    shine = 0.20 * bump(aside, y, (0, -2.6), (1.0, 2.2)) + 0.14 * bump(aside, y, (0, 3.8), (3, 1.6))
    face.gloss += shine + 0.08 * bump(aside, y, (3.8, -2.4), (1.4, 1.0))


def _paint_age(identity: Identity, face: Canvas) -> None:
    """Wrinkles: forehead, beside the eyes, from nose to mouth; stronger with age."""
    strength = max(0.0, identity.age + 0.45)
    aside, x, y = face.aside, face.x, face.y
    wrinkles = np.zeros_like(x)
    for height in (3.1, 3.9, 4.7):
        bent = y - height - 0.14 * np.cos(1.1 * x + height) - 0.10 * (aside > 1.8) * (aside - 1.8)
        wrinkles += 0.8 * line(bent, 0.07) * smoothstep(4.0, 2.0, aside)
    for slope in (-0.55, 0.0, 0.5):
        feet = line(y - 0.1 - slope * (aside - 4.3), 0.06)
        wrinkles += 0.7 * feet * smoothstep(4.75, 5.0, aside) * smoothstep(6.1, 5.5, aside)
    for offset in (0.45,):
        frown = line(aside - offset, 0.06) * smoothstep(1.0, 1.5, y) * smoothstep(2.8, 2.2, y)
        wrinkles += 0.5 * frown
    bags = line(y + 1.05 - 0.10 * (aside - 3.0) ** 2, 0.10) * smoothstep(1.4, 0.8, abs(aside - 2.9))
    fold = nasolabial_fold(x, y) ** 3
    marks = strength * (wrinkles + 0.8 * bags) + (0.25 + strength) * fold
    face.relief -= 0.045 * marks * face.front
    face.rgb *= np.exp(-0.13 * (marks * face.front)[..., None] * np.float32([0.9, 1.1, 1.1]))


def _paint_nose(identity: Identity, face: Canvas) -> None:
    """Nostrils, and the groove behind the wings."""
    nose = nose_frame(identity)
    at = (0.68 * nose.spread, -4.55 * nose.stretch + 0.02 + 0.35 * nose.tip_lift_cm)
    nostril = np.clip(1.4 * bump(face.aside, face.y, at, (0.32 * nose.spread, 0.14)), 0, 1)
    nostril = nostril * face.front
    dark = mean_skin_rgb(identity) * np.array([0.10, 0.05, 0.05])
    face.rgb[:] = blend(face.rgb, dark, 0.92 * nostril)
    crease = wing_crease(identity, face.x, face.y, 0.10) * face.front
    face.rgb *= (1 - 0.14 * crease)[..., None]
    face.gloss *= 1 - 0.9 * nostril


def _paint_lips(identity: Identity, face: Canvas, rng: np.random.Generator) -> None:
    """Colour with vertical furrows, a soft border, the dark line between the lips."""
    along, across, upper, _ = anatomy.mouth_coordinates(face.x, face.y)
    on_lips = smoothstep(1.14, 0.84, across) * (np.abs(along) < 1.03) * face.front
    plain = mean_skin_rgb(identity)
    natural = plain * np.array([0.83, 0.50, 0.50]) * (1 - 0.10 * identity.lip_colour)
    paint = linear_rgb([176, 60, 70] if identity.lip_colour > 0 else [170, 92, 84])
    paint = paint * (1 - 0.35 * identity.skin_tone)
    colour = natural + (paint - natural) * 0.65 * identity.makeup
    furrows = noise(rng, face.x.shape, (14, 330), 2)
    tint = (1 + 0.09 * furrows)[..., None] * np.where(upper, 0.84, 1.0)[..., None] * colour
    face.rgb[:] = blend(face.rgb, tint, on_lips)
    inner = line(across, 0.16) * (np.abs(along) < 1.06) * face.front
    face.rgb *= (1 - 0.62 * inner)[..., None]
    corner = bump(face.aside, face.y, (MOUTH_HALF_WIDTH_CM + 0.05, MOUTH_Y_CM - 0.1), (0.22, 0.16))
    face.rgb *= (1 - 0.32 * corner * face.front)[..., None]
    face.relief += 0.012 * furrows * on_lips
    face.gloss += (0.30 + 0.25 * identity.makeup) * on_lips
    face.label("lips", on_lips > 0.5)


def _paint_eyes(identity: Identity, face: Canvas) -> None:
    """Lash lines, the crease of the lid, eye shadow, the pink inner corner."""
    woman = identity.masculinity < 0
    for side in (1, -1):
        along = anatomy.eye_along(face.x, side)
        inside, here = np.clip(along, -1, 1), side * face.x > 0
        top, bottom = anatomy.upper_lid(inside), anatomy.lower_lid(inside)
        beyond = np.maximum(np.abs(along) - 1, 0) * anatomy.EYE_HALF_WIDTH_CM
        near = here & (np.abs(along) < 1.10)
        width = 0.13 + 0.02 * woman + 0.05 * identity.makeup
        above = np.hypot(np.maximum(face.y - top, 0), beyond)
        upper_lash = line(above, width) * near * (face.y > bottom) * (0.95 if woman else 0.88)
        upper_lash *= 0.55 + 0.45 * smoothstep(-1.0, -0.2, along)
        lower_lash = line(np.hypot(np.minimum(face.y - bottom, 0), beyond), 0.07) * near
        lower_lash = lower_lash * (face.y < top)
        crease = line(face.y - (top + 0.29 + 0.04 * identity.eye_depth), 0.06) * here
        crease = crease * smoothstep(1.15, 0.7, np.abs(along)) * face.front
        face.relief -= 0.03 * crease
        face.rgb *= (1 - 0.26 * crease)[..., None]
        if identity.makeup > 0.2:
            shadow = bump(along, face.y, (0.1, 0.75), (0.9, 0.38)) * here * identity.makeup
            face.rgb[:] = blend(face.rgb, linear_rgb([92, 62, 66]), 0.40 * shadow)
        pink = bump(along, face.y, (-1.0, -0.06), (0.08, 0.10)) * here
        face.rgb[:] = blend(face.rgb, np.array([0.45, 0.17, 0.15]), 0.5 * pink)
        face.rgb *= (1 - (0.5 + 0.2 * identity.makeup) * lower_lash)[..., None]
        face.rgb[:] = blend(face.rgb, np.array([0.014, 0.010, 0.009]), upper_lash)


def _paint_ear_patch(identity: Identity, canvas: Canvas) -> None:
    """A patch behind the neck that the ears take their skin from: plain, and a little redder."""
    u_from, _, v_from, v_to = NAPE_PATCH
    patch = (canvas.u > u_from - 0.1) & (canvas.v > v_from - 0.2) & (canvas.v < v_to + 0.2)
    canvas.rgb[patch] = mean_skin_rgb(identity) * np.array([0.98, 0.86, 0.86])
    canvas.gloss[patch] = 0.4


def paint_eye(identity: Identity, size: int = 192) -> tuple[np.ndarray, float]:
    """The eyeball's front, iris in the middle.

    Returns:
        Linear albedo (size, size, 3) float32, and the iris' radius in texture units.
    """
    radius_cm = 0.63
    span = np.linspace(-1, 1, size) * EYE_TEXTURE_HALF_CM / radius_cm
    x, y = np.meshgrid(span, span)
    away, angle = np.hypot(x, y), np.arctan2(y, x)
    rng = identity.random(2)
    white = np.array([0.50, 0.46, 0.435]) * (1 - 0.10 * identity.skin_tone)
    outward = np.clip((away - 1) / 1.6, 0, 1)[..., None]
    rgb = white - outward * np.array([0.05, 0.13, 0.13])
    veins = smoothstep(1.2, 1.9, noise(rng, x.shape, (50, 16), 2)) * outward[..., 0]
    rgb = blend(rgb, np.array([0.45, 0.16, 0.14]), 0.30 * veins)
    colours = linear_rgb(
        [[58, 36, 22], [88, 56, 32], [112, 86, 50], [96, 106, 80], [104, 128, 146], [84, 110, 142]]
    )
    steps = np.linspace(0, 1, len(colours))
    outer = np.array([np.interp(identity.iris, steps, colours[:, i]) for i in range(3)])
    inner = 0.6 * outer + 0.4 * colours[1]
    fibres = np.interp(angle, np.linspace(-np.pi, np.pi, 91), rng.uniform(0.72, 1.25, 91))
    iris = inner + (outer - inner) * smoothstep(0.45, 0.70, away)[..., None]
    iris = iris * (1 + (fibres - 1) * smoothstep(0.35, 0.6, away))[..., None]
    iris *= (1 - 0.60 * smoothstep(0.78, 1.0, away))[..., None]
    rgb = blend(rgb, iris, smoothstep(1.05, 0.94, away))
    rgb = blend(rgb, np.array([0.006, 0.006, 0.006]), smoothstep(0.46, 0.38, away))
    return rgb.astype(np.float32), radius_cm / (2 * EYE_TEXTURE_HALF_CM)
