"""Hair that is painted on the skin: brows, beard and the scalp under the cut; the hair's colour."""

from typing import TYPE_CHECKING

import numpy as np

from lab.actors import anatomy
from lab.actors.fields import blend, bump, linear_rgb, noise, smoothstep
from lab.actors.identity import Identity

if TYPE_CHECKING:
    from lab.actors.appearance import Canvas

_SHADES = linear_rgb([[206, 172, 122], [158, 114, 70], [106, 72, 46], [60, 42, 33], [30, 25, 24]])
_GREY = linear_rgb([150, 147, 144])

# Height (canonical y, cm) of the hairline by angle from the front (degrees), ears included.
_HAIRLINE_DEG = (0, 25, 40, 50, 57, 63, 70, 79, 86, 97, 106, 114, 132, 180)
_HAIRLINE_CM = (6.75, 6.45, 5.7, 4.1, 2.3, 0.6, -1.3, -2.2, 2.2, 2.4, 0.2, -4.0, -6.6, -7.6)


def hair_rgb(identity: Identity, grey: float | None = None) -> np.ndarray:
    """Linear albedo (3,) of an identity's hair; `grey` replaces its greyness."""
    steps = np.linspace(0, 1, len(_SHADES))
    rgb = np.array([np.interp(identity.hair_darkness, steps, _SHADES[:, i]) for i in range(3)])
    rgb = rgb * (1 + identity.hair_red * np.array([0.55, -0.18, -0.45]))
    grey = identity.hair_grey if grey is None else grey
    return rgb + (_GREY - rgb) * grey


def hairline(identity: Identity, u: np.ndarray) -> np.ndarray:
    """Canonical height (cm) of the edge of the scalp at each angle."""
    degrees = np.degrees(np.abs(u))
    height = np.interp(degrees, _HAIRLINE_DEG, _HAIRLINE_CM)
    height += np.interp(degrees, [0, 50, 65, 180], [1, 0.6, 0, 0]) * 0.40 * identity.hairline
    if identity.masculinity > 0:  # receding temples
        receding = 0.5 + 1.2 * max(identity.age, 0)
        height += receding * np.exp(-(((degrees - 31) / 11) ** 2))
    ripple = identity.random(6).uniform(-1, 1, 25)
    ripple[-1] = ripple[0]
    wavy = np.interp(u, np.linspace(-np.pi, np.pi, 25), ripple)
    return height + 0.22 * wavy * (degrees < 60)


def paint_brows(identity: Identity, face: "Canvas", rng: np.random.Generator) -> None:
    """Strokes of hair along two arcs."""
    position = (face.aside - 1.0) / 4.1  # 0 at the inner end, 1 at the outer
    inside = np.clip(position, 0, 1)
    arch = (0.38 + 0.16 * identity.brow_arch) * 1.25
    middle_y = 1.70 + arch * np.sin(np.pi * np.clip(0.92 * inside + 0.02, 0, 1)) - 0.24 * inside**2
    half = np.maximum(0.40 + 0.08 * identity.brow_thickness, 0.26) * (1 - 0.62 * inside**1.8)
    half = np.maximum(half * smoothstep(-0.06, 0.12, position), 0.02)
    ragged = noise(rng, face.x.shape, (160, 130), 2)
    shape = np.exp(-(np.abs((face.y - middle_y) / half + 0.12 * ragged) ** 3.5))
    shape = shape * smoothstep(1.06, 0.94, position) * smoothstep(-0.08, 0.06, position)
    shape = shape * face.front
    lean = np.radians(65 - 55 * inside)
    across_strokes = face.y * np.cos(lean) - face.aside * np.sin(lean) + 0.03 * ragged
    strokes = np.interp(9 * across_strokes % 64, np.arange(65), rng.standard_normal(65))
    density = 0.86 + 0.10 * identity.brow_density + 0.16 * strokes + 0.05 * ragged
    alpha = np.clip(density, 0, 1) * shape
    colour = hair_rgb(identity, 0.35 * identity.hair_grey)  # brows and beards grey later
    colour = colour * (0.50 if identity.hair_darkness > 0.35 else 0.36)
    face.rgb[:] = blend(face.rgb, colour, alpha)
    face.gloss *= 1 - 0.6 * alpha
    face.relief += 0.03 * alpha * (1 + 0.4 * strokes)
    face.label("brow", alpha > 0.4)


def _beard_region(identity: Identity, face: "Canvas", ragged: np.ndarray) -> np.ndarray:
    """Where an identity's beard grows, 0 to 1."""
    aside, y = face.aside, face.y
    top = np.interp(
        aside, [0, 1.2, 2.6, 3.2, 5.4, 6.6, 7.2], [-4.9, -4.95, -5.5, -6.4, -5.6, -2.6, -1.0]
    )
    region = smoothstep(0.30, -0.40, y - top + 0.14 * ragged) * smoothstep(-12.6, -11.4, y)
    region = region * (1 - 0.5 * bump(face.x, y, (0, -8.4), (0.9, 0.32)))
    region = region * (1 - 0.5 * bump(face.x, y, (0, -5.5), (0.25, 0.5))) * face.front
    moustache = smoothstep(-7.4, -6.6, y) * smoothstep(3.4, 2.7, aside)
    chin = smoothstep(-7.0, -7.8, y) * smoothstep(2.6, 1.8, aside)
    if identity.beard == "goatee":
        return region * np.maximum(moustache * smoothstep(3.0, 2.6, aside), chin)
    if identity.beard == "moustache":
        return region * moustache
    if identity.beard == "chin_strap":
        upper_edge = np.interp(aside, [0, 2.5, 4.0, 5.0, 5.8], [-9.4, -9.0, -7.8, -6.0, -2.0])
        return region * smoothstep(0.3, -0.4, y - upper_edge)
    return region


def paint_beard(identity: Identity, face: "Canvas", rng: np.random.Generator) -> None:
    """Beard or stubble; men without either keep a shaved shadow."""
    if identity.masculinity < 0:
        return
    ragged = noise(rng, face.x.shape, (24, 20), 3)
    hairs = noise(rng, face.x.shape, (190, 190), 1)
    streaks = noise(rng, face.x.shape, (60, 220), 1)
    lips = anatomy.mouth_coordinates(face.x, face.y)
    off_lips = np.where(np.abs(lips[0]) < 1.05, smoothstep(0.90, 1.15, lips[1]), 1.0)
    everywhere = np.clip(_beard_region(identity, face, ragged) * off_lips, 0, 1)
    colour = hair_rgb(identity, identity.hair_grey * (0.6 - 0.35 * identity.skin_tone)) * 0.6
    if identity.beard in ("none", "stubble"):
        strength = 0.10 if identity.beard == "none" else 0.20 + 0.25 * identity.beard_density
        strength *= 0.45 + 0.55 * identity.hair_darkness
        alpha = np.clip(everywhere * strength * (1 + 0.45 * hairs), 0, 0.8)
        cool = face.rgb * np.float32([0.42, 0.46, 0.52])
        face.rgb[:] = blend(face.rgb, 0.5 * cool + 0.5 * colour.astype(np.float32), alpha)
        return
    strength = 0.55 + 0.42 * identity.beard_density
    full = np.clip(everywhere * 1.15 + 0.16 * (hairs + streaks) * (everywhere > 0.04), 0, 1)
    alpha = np.clip(full * strength, 0, 0.97)
    shadow = rng.uniform(0.06, 0.10)
    tint = (1 + 0.22 * streaks + 0.14 * hairs)[..., None] * colour
    face.rgb[:] = blend(face.rgb, np.clip(tint, 0.004, 1), np.maximum(alpha, 0))
    face.gloss *= 1 - 0.7 * alpha
    face.relief += alpha * (shadow + 0.03 * streaks + 0.02 * hairs)
    face.label("beard", alpha > 0.45)


def paint_scalp(identity: Identity, canvas: "Canvas", rng: np.random.Generator) -> None:
    """Hair roots on the scalp, thinning out across the hairline."""
    shape = canvas.x.shape
    ragged = noise(rng, shape, (50, 70), 3)
    roots = noise(rng, shape, (30, 300), 2)
    dots = noise(rng, shape, (300, 280), 1)
    edge = canvas.y - hairline(identity, canvas.u) + 0.22 * ragged + 0.09 * roots
    strength = {"bald": 0.16, "buzz": 0.80}.get(identity.hair_cut, 0.95)
    if identity.hair_cut == "bald":
        edge = edge - 0.4
    alpha = smoothstep(-0.55, 0.75, edge) * strength
    if identity.hair_cut in ("bald", "buzz"):
        alpha = np.clip(alpha * (1 + 0.09 * dots), 0, 0.92)
    tint = hair_rgb(identity) * np.clip(0.62 + 0.16 * roots, 0.3, 1.2)[..., None]
    canvas.rgb[:] = blend(canvas.rgb, tint, alpha)
    canvas.gloss *= 1 - (0.25 if identity.hair_cut == "bald" else 0.6) * alpha
    canvas.relief += 0.012 * alpha * dots
    if identity.hair_cut != "bald":
        canvas.label("hair", alpha > 0.45)
