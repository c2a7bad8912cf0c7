"""Shading: from "which triangle does each sample see" to colours, part labels and depth.

Deferred: `shade` visits each pixel once, gathers its samples into surfaces (samples of one
material at about one depth) and lights each surface once, however many samples it has. Inside a
cheek that is one evaluation a pixel; at an edge each side gets its own. This is what multisample
anti-aliasing does in hardware, and makes 2x super-sampling cost little more than none.

The light model is ordinary real-time practice, each part chosen for what it removes:
- diffuse light that wraps round the terminator, red furthest: scattering under the skin, without
  which faces look like plaster (Green 2004, GPU Gems 1, chapter 16);
- two specular lobes with Fresnel (Kelemen and Szirmay-Kalos 2001), scaled by a painted gloss map
  and bent by a relief map: pores and oily zones, without which skin looks like wax;
- for hair, highlights across the strand direction (Kajiya and Kay 1989, with the two shifted
  lobes of Marschner 2003 as simplified by Scheuermann 2004);
- a shadow map read through a quadratic B-spline of 3 x 3 texels with a soft comparison: smooth
  in position and in light direction, so that nothing flickers.

Dimension key: V vertices, T triangles, N samples a side, H rows, W columns, S shadow texels a
side, C skin channels, A packed attributes, L samples of the tone curve. Light and albedo are linear; the camera's
tone curve comes last. Compiled with `fastmath`: no infinities in here.
"""

import math
from typing import NamedTuple

import numba
import numpy as np

from lab.actors.materials import (
    CLOTH,
    EAR,
    EYE,
    HAIR,
    LENS,
    PART_PAINTED,
    SKIN,
    TEETH,
    TONGUE,
)
from lab.actors.raster import ATTRIBUTES

_jit = numba.njit(cache=True, fastmath=True, error_model="numpy")
# For the one function called per pixel with some hundred numbers: passing them costs more than it.
_inline = numba.njit(cache=True, fastmath=True, error_model="numpy", inline="always")

SKIN_CHANNELS = 7  # linear red, green, blue; gloss; bend of the normal x, y, z in the head's frame
SAME_SURFACE_CM = 0.9  # samples of one material this close in depth are lit together
MAX_SAMPLES = 16  # of one pixel: super-sampling up to 4 x 4

# Where the shadow map is looked up, and how softly: all in cm.
_SHADOW_NORMAL_OFFSET = 0.22
_SHADOW_BIAS = 0.10
_SHADOW_SOFTNESS = 0.30
_NO_SURFACE = -500.0  # heights below this mean that a texel saw nothing
_HAIR_DEPTH = 1.2  # light fades over this depth between strands


Vector = tuple[float, float, float]


class Lighting(NamedTuple):
    """The light and the viewer as the kernels read them.

    Plain numbers, no arrays: numba counts references to arrays even in the innermost loop.
    Directions have unit length; positions are in cm.
    """

    key_direction: Vector  # towards the key light, the only one that casts shadows
    key_rgb: Vector
    fill_direction: Vector
    fill_rgb: Vector
    sky_rgb: Vector  # ambient light from above and from below
    ground_rgb: Vector
    camera: Vector  # position of the lens
    head_x: Vector  # rows of the rotation from the head's frame to the world
    head_y: Vector
    head_z: Vector
    shadow_right: Vector  # directions of the shadow map's columns, rows (upwards) and height
    shadow_up: Vector
    shadow_towards: Vector
    shadow_centre: Vector
    shadow_scale: float  # texels per cm
    exposure: float
    gloss: float  # factor on all skin highlights


@_jit
def _dot(a: Vector, x: float, y: float, z: float) -> float:
    return a[0] * x + a[1] * y + a[2] * z


@_jit
def _fetch(texture: np.ndarray, u: float, v: float, channels: int, out: np.ndarray) -> None:
    """Bilinear look-up of the first `channels` channels at (u, v) in [0, 1] into `out`."""
    height, width = texture.shape[0], texture.shape[1]
    x = min(max(u * width - 0.5, 0.0), width - 1.001)
    y = min(max(v * height - 0.5, 0.0), height - 1.001)
    column, row = int(x), int(y)
    x -= column
    y -= row
    k00, k10 = np.float32((1 - x) * (1 - y)), np.float32(x * (1 - y))
    k01, k11 = np.float32((1 - x) * y), np.float32(x * y)
    for c in range(channels):
        out[c] = (
            k00 * texture[row, column, c]
            + k10 * texture[row, column + 1, c]
            + k01 * texture[row + 1, column, c]
            + k11 * texture[row + 1, column + 1, c]
        )


@_jit
def _uncovered(surface: float, height: float, per_cm: float) -> float:
    """1 if a point at `height` lies above a shadow texel's surface; below it, less by the cm."""
    return 1.0 - min(1.0, max(0.0, (surface - height) * per_cm))


@_jit
def _key_visibility(
    px: float, py: float, pz: float, softness: float, light: Lighting, shadow_SS: np.ndarray
) -> float:
    """Share of the key light that reaches a point, in [0, 1]; 1 outside the shadow map.

    Each of 3 x 3 texels says how far the point lies under its surface, as a ramp over `softness`
    cm instead of a yes or no; quadratic B-spline weights make the sum smooth as the point moves
    across texels.
    """
    size = shadow_SS.shape[0]
    centre = light.shadow_centre
    x, y, z = px - centre[0], py - centre[1], pz - centre[2]
    column = 0.5 * size + light.shadow_scale * _dot(light.shadow_right, x, y, z)
    row = 0.5 * size - light.shadow_scale * _dot(light.shadow_up, x, y, z)
    height = _dot(light.shadow_towards, x, y, z) + _SHADOW_BIAS
    j, i = int(row), int(column)
    if j < 1 or i < 1 or j > size - 2 or i > size - 2:
        return 1.0
    fx, fy = column - i, row - j
    left, right = 0.5 * (1.0 - fx) * (1.0 - fx), 0.5 * fx * fx
    above, below = 0.5 * (1.0 - fy) * (1.0 - fy), 0.5 * fy * fy
    visible, per_cm = 0.0, 1.0 / softness
    for dj in range(-1, 2):
        line = left * _uncovered(shadow_SS[j + dj, i - 1], height, per_cm)
        line += (1.0 - left - right) * _uncovered(shadow_SS[j + dj, i], height, per_cm)
        line += right * _uncovered(shadow_SS[j + dj, i + 1], height, per_cm)
        if dj == -1:
            visible += above * line
        elif dj == 0:
            visible += (1.0 - above - below) * line
        else:
            visible += below * line
    return visible


@_jit
def soften_shadow(height_SS: np.ndarray, softened_SS: np.ndarray) -> None:
    """Average each texel of a shadow map with its neighbours, leaving out those without surface.

    Locks of hair are hardly wider than a texel: as the light moves they come and go. Averaged,
    they fade instead of flickering.
    """
    size = height_SS.shape[0]
    softened_SS[:] = height_SS
    for j in range(1, size - 1):
        for i in range(1, size - 1):
            if height_SS[j, i] < _NO_SURFACE:
                continue
            total, weight = np.float32(0.0), np.float32(0.0)
            for dj in range(-1, 2):
                for di in range(-1, 2):
                    if height_SS[j + dj, i + di] > _NO_SURFACE:
                        total += height_SS[j + dj, i + di]
                        weight += np.float32(1.0)
            softened_SS[j, i] = total / weight


@_jit
def _lobe(normal_half: float, roughness: float) -> float:
    """GGX distribution of highlights, per steradian, for the cosine between normal and half."""
    a2 = roughness * roughness * roughness * roughness
    d = normal_half * normal_half * (a2 - 1.0) + 1.0
    return a2 / (math.pi * d * d)


@_jit
def _fresnel(cosine: float) -> float:
    """Share mirrored at an angle (Schlick 1994), for skin, hair and water: 3 % head-on."""
    glance = 1.0 - cosine
    squared = glance * glance
    return 0.03 + 0.97 * squared * squared * glance


@_jit
def _wrapped(cosine: float, wrap: float) -> float:
    """Diffuse light that reaches `wrap` beyond the terminator, and fades there without an edge."""
    s = max(0.0, (cosine + wrap) * (1.0 / (1.0 + wrap)))
    return s * (1.0 - wrap + wrap * s)


@_jit
def _strand_lobe(tx, ty, tz, nx, ny, nz, shift, vx, vy, vz, lx, ly, lz, half) -> float:
    """Squared sine between a strand, tilted along the normal by `shift`, and the half vector.

    Source: Kajiya and Kay 1989; the tilt is Scheuermann's. `half` is 1 / |view + light|.
    """
    tx, ty, tz = tx + nx * shift, ty + ny * shift, tz + nz * shift
    along = (tx * (vx + lx) + ty * (vy + ly) + tz * (vz + lz)) * half
    return max(0.0, 1.0 - along * along / (tx * tx + ty * ty + tz * tz + 1e-6))


@_jit
def _display(value: float, tone_L: np.ndarray) -> float:
    """Linear light to a display value in [0, 1]: the tone curve is sampled evenly in x / (1 + x)."""
    last = tone_L.shape[0] - 1
    value = max(value, 0.0)
    at = value / (1.0 + value) * last
    index = min(int(at), last - 1)
    share = at - index
    return tone_L[index] * (1.0 - share) + tone_L[index + 1] * share


@_inline
def _light_surface(
    at: np.ndarray,
    material: int,
    from_behind: bool,
    skin_HWC: np.ndarray,
    hair_HW4: np.ndarray,
    eye_HW3: np.ndarray,
    iris_radius_uv: float,
    light: Lighting,
    shadow_SS: np.ndarray,
    texel: np.ndarray,
    rgb: np.ndarray,
) -> None:
    """Light one surface point, given its interpolated attributes, and write its colour to `rgb`."""
    px, py, pz = at[0], at[1], at[2]
    nx, ny, nz = at[3], at[4], at[5]
    u, v, occlusion = at[6], at[7], at[8]
    skin_like = material in (SKIN, EAR)

    # 1. Albedo; for skin also gloss, and the relief that bends the normal.
    r, g, b, gloss = at[9], at[10], at[11], np.float32(0.0)
    if skin_like:
        _fetch(skin_HWC, u, v, 7, texel)
        r, g, b, gloss = texel[0], texel[1], texel[2], texel[3]
        nx += _dot(light.head_x, texel[4], texel[5], texel[6])
        ny += _dot(light.head_y, texel[4], texel[5], texel[6])
        nz += _dot(light.head_z, texel[4], texel[5], texel[6])
    elif material == HAIR:
        _fetch(hair_HW4, u, v, 3, texel)
        r, g, b = texel[0], texel[1], texel[2]
    elif material == EYE:
        _fetch(eye_HW3, u, v, 3, texel)
        r, g, b = texel[0], texel[1], texel[2]

    # 2. The unit normal on the side that is seen, and the unit direction to the viewer. All
    # points are nearly straight ahead of the camera: two terms of 1 / sqrt are enough.
    wx, wy, wz = light.camera[0] - px, light.camera[1] - py, light.camera[2] - pz
    length = 1.0 / wz
    aside = (wx * wx + wy * wy) * length * length
    length *= 1.0 - 0.5 * aside + 0.375 * aside * aside
    vx, vy, vz = wx * length, wy * length, wz * length
    length = 1.0 / math.sqrt(nx * nx + ny * ny + nz * nz + 1e-9)
    n_view = (nx * vx + ny * vy + nz * vz) * length
    if from_behind and material != HAIR:  # hair has the normal of the hairdo on both sides
        length, n_view = -length, -n_view
    n_view = min(1.0, max(0.02, n_view))
    nx, ny, nz = nx * length, ny * length, nz * length

    # 3. What arrives: key light through the shadow map, fill light, sky and ground.
    lx, ly, lz = light.key_direction[0], light.key_direction[1], light.key_direction[2]
    fx, fy, fz = light.fill_direction[0], light.fill_direction[1], light.fill_direction[2]
    n_key = nx * lx + ny * ly + nz * lz
    n_fill = nx * fx + ny * fy + nz * fz
    visible = 0.0
    if n_key > -0.5:  # further round, not even wrapped light arrives
        visible = _key_visibility(
            px + nx * _SHADOW_NORMAL_OFFSET,
            py + ny * _SHADOW_NORMAL_OFFSET,
            pz + nz * _SHADOW_NORMAL_OFFSET,
            _HAIR_DEPTH if material == HAIR else _SHADOW_SOFTNESS,
            light,
            shadow_SS,
        )
    up = 0.5 + 0.5 * ny
    ambient_r = light.ground_rgb[0] + (light.sky_rgb[0] - light.ground_rgb[0]) * up
    ambient_g = light.ground_rgb[1] + (light.sky_rgb[1] - light.ground_rgb[1]) * up
    ambient_b = light.ground_rgb[2] + (light.sky_rgb[2] - light.ground_rgb[2]) * up

    # 4. Angles of the highlights: the half vector is (view + light) / |view + light|.
    v_key = vx * lx + vy * ly + vz * lz
    half = 1.0 / math.sqrt(max(0.05, 2.0 + 2.0 * v_key))
    n_half = min(1.0, max(0.0, (n_view + n_key) * half))
    mirrored = _fresnel(min(1.0, (1.0 + v_key) * half))
    mirrored_view = _fresnel(n_view)
    # Kelemen and Szirmay-Kalos: the lobe over 4 (light . half)^2, which is 2 (1 + view . light).
    highlight = mirrored * visible * min(1.0, max(0.0, n_key * 5.0 + 0.5))
    highlight /= max(0.1, 2.0 + 2.0 * v_key)

    # 5. What the material makes of it: shares of the key light per colour, of the fill light, of
    # the surroundings per colour, and two colourless reflections.
    visible_r, visible_g, visible_b = visible, visible, visible
    open_r, open_g, open_b = occlusion, occlusion, occlusion
    if skin_like:
        key_r, key_g, key_b = _wrapped(n_key, 0.42), _wrapped(n_key, 0.20), _wrapped(n_key, 0.12)
        fill = _wrapped(n_fill, 0.35)
        # Light bleeds into the edge of a shadow, and into creases, red furthest.
        visible_r = visible * (1.45 - 0.45 * visible)
        visible_g = visible * (1.06 - 0.06 * visible)
        open_r = occlusion * (1.36 - 0.36 * occlusion)
        open_g = occlusion * (1.08 - 0.08 * occlusion)
        gloss *= light.gloss
        specular = gloss * highlight * (0.55 * _lobe(n_half, 0.56) + 0.45 * _lobe(n_half, 0.36))
        # Rough skin mirrors its surroundings far less at a glancing angle than a smooth surface.
        sheen = gloss * (0.008 + 0.16 * (mirrored_view - 0.03)) * occlusion
    elif material == HAIR:
        # The attributes' colour columns hold the direction of the strand.
        tx, ty, tz = at[9], at[10], at[11]
        t_key = tx * lx + ty * ly + tz * lz
        fill = _wrapped(n_fill, 0.45)
        # One white highlight near the root, one coloured and wider towards the tip; the strand's
        # own brightness shifts them, so that they break up into strands.
        shift = 0.10 + 0.12 * (r + g + b)
        white = _strand_lobe(tx, ty, tz, nx, ny, nz, shift, vx, vy, vz, lx, ly, lz, half)
        wide = _strand_lobe(tx, ty, tz, nx, ny, nz, -0.12, vx, vy, vz, lx, ly, lz, half)
        white *= white
        white *= white
        white *= white
        white *= white
        wide *= wide
        wide *= wide
        wide *= wide
        lit = min(1.0, max(0.0, n_key + 0.3))
        key_r = _wrapped(n_key, 0.45) * (1.0 - 0.5 * t_key * t_key) + 0.9 * wide * lit
        key_g, key_b = key_r, key_r
        specular = 0.10 * white * white * lit * visible * occlusion
        sheen = (0.012 + 0.08 * mirrored_view) * occlusion
    elif material == EYE:
        # Lids shade the eyeball softly; the wet cornea mirrors both lamps as round windows. It
        # is rounder than the eyeball: its normal leans towards the viewer at the iris.
        visible_r = visible_g = visible_b = 0.35 + 0.65 * visible
        key_r = key_g = key_b = _wrapped(n_key, 0.35)
        fill = _wrapped(n_fill, 0.35)
        away = ((u - 0.5) * (u - 0.5) + (v - 0.5) * (v - 0.5)) / (iris_radius_uv * iris_radius_uv)
        bulge = 0.20 * max(0.0, 1.0 - 0.7 * away)
        nx, ny, nz = nx + (vx - nx) * bulge, ny + (vy - ny) * bulge, nz + (vz - nz) * bulge
        length = 1.0 / math.sqrt(nx * nx + ny * ny + nz * nz)
        nx, ny, nz = nx * length, ny * length, nz * length
        twice = 2.0 * (nx * vx + ny * vy + nz * vz)
        rx, ry, rz = twice * nx - vx, twice * ny - vy, twice * nz - vz
        window = min(1.0, max(0.0, (rx * lx + ry * ly + rz * lz - 0.955) * (1.0 / 0.028)))
        specular = 0.75 * window * window * (3.0 - 2.0 * window) * visible_r * occlusion
        window = min(1.0, max(0.0, (rx * fx + ry * fy + rz * fz - 0.95) * (1.0 / 0.03)))
        sheen = 0.35 * (mirrored_view + 0.02) * occlusion + 0.5 * window * window
    elif material in (TEETH, TONGUE):
        # Wet and slightly translucent.
        key_r, key_g, key_b = _wrapped(n_key, 0.5), _wrapped(n_key, 0.45), _wrapped(n_key, 0.4)
        fill = _wrapped(n_fill, 0.4)
        specular = 0.6 * highlight * _lobe(n_half, 0.30) * occlusion
        sheen = 0.3 * mirrored_view * occlusion
    elif material == CLOTH:
        key_r = key_g = key_b = _wrapped(n_key, 0.25)
        fill = _wrapped(n_fill, 0.25)
        specular, sheen = 0.0, 0.15 * mirrored_view
    elif material == LENS:
        key_r = key_g = key_b = fill = 0.0
        specular, sheen = 2.0 * highlight * _lobe(n_half, 0.15), 0.5 * mirrored_view
    else:
        key_r = key_g = key_b = _wrapped(n_key, 0.1)
        fill = _wrapped(n_fill, 0.1)
        specular = highlight * _lobe(n_half, 0.35) * occlusion
        sheen = 0.4 * mirrored_view * occlusion

    # 6. Albedo times what arrives, plus what is mirrored, as the camera exposes it.
    around_r = ambient_r + light.fill_rgb[0] * fill
    around_g = ambient_g + light.fill_rgb[1] * fill
    around_b = ambient_b + light.fill_rgb[2] * fill
    key, exposure = light.key_rgb, light.exposure
    red = r * (key[0] * key_r * visible_r + open_r * around_r)
    green = g * (key[1] * key_g * visible_g + open_g * around_g)
    blue = b * (key[2] * key_b * visible_b + open_b * around_b)
    rgb[0] = exposure * (red + specular * key[0] + sheen * around_r)
    rgb[1] = exposure * (green + specular * key[1] + sheen * around_g)
    rgb[2] = exposure * (blue + specular * key[2] + sheen * around_b)


@_jit
def shade(
    screen_V3: np.ndarray,
    packed_VA: np.ndarray,
    triangles_T3: np.ndarray,
    material_T: np.ndarray,
    part_T: np.ndarray,
    nearness_NN: np.ndarray,
    triangle_NN: np.ndarray,
    skin_HWC: np.ndarray,
    skin_part_HW: np.ndarray,
    hair_HW4: np.ndarray,
    eye_HW3: np.ndarray,
    iris_radius_uv: float,
    light: Lighting,
    shadow_SS: np.ndarray,
    tone_L: np.ndarray,
    background_HW3: np.ndarray,
    image_HW3: np.ndarray,
    part_HW: np.ndarray,
    depth_HW: np.ndarray,
) -> None:
    """Fill the image (display values, float32 [0, 1]), part labels (uint8) and depth (cm, 0 = none).

    Label and depth are those of the surface with most samples in the pixel; a pixel is background
    if more than half of its samples are.
    """
    height, width = image_HW3.shape[0], image_HW3.shape[1]
    factor = triangle_NN.shape[0] // height
    share = 1.0 / (factor * factor)
    near_enough = SAME_SURFACE_CM / (light.camera[2] * light.camera[2])
    surface_triangle = np.empty(MAX_SAMPLES, np.int32)
    surface_count = np.empty(MAX_SAMPLES, np.int32)
    surface_nearness = np.empty(MAX_SAMPLES, np.float32)
    surface_x = np.empty(MAX_SAMPLES, np.float32)  # sums of sample positions
    surface_y = np.empty(MAX_SAMPLES, np.float32)
    at = np.empty(ATTRIBUTES, np.float32)
    texel = np.empty(SKIN_CHANNELS, np.float32)
    rgb = np.empty(3, np.float32)

    for row in range(height):
        for column in range(width):
            # 1. The surfaces seen in this pixel. The first triangle of each stands for it: its
            # neighbours continue it smoothly, and half a sample further they hardly differ.
            surfaces, covered = 0, 0
            for j in range(factor * row, factor * row + factor):
                for i in range(factor * column, factor * column + factor):
                    t = triangle_NN[j, i]
                    if t < 0:
                        continue
                    covered += 1
                    known = surfaces
                    for s in range(surfaces):
                        if (
                            abs(surface_nearness[s] - nearness_NN[j, i]) < near_enough
                            and material_T[surface_triangle[s]] == material_T[t]
                        ):
                            known = s
                            break
                    if known == surfaces:
                        surfaces += 1
                        surface_triangle[known] = t
                        surface_nearness[known] = nearness_NN[j, i]
                        surface_count[known] = 0
                        surface_x[known] = 0.0
                        surface_y[known] = 0.0
                    surface_count[known] += 1
                    surface_x[known] += i + 0.5
                    surface_y[known] += j + 0.5
            if covered == 0:
                image_HW3[row, column, 0] = background_HW3[row, column, 0]
                image_HW3[row, column, 1] = background_HW3[row, column, 1]
                image_HW3[row, column, 2] = background_HW3[row, column, 2]
                part_HW[row, column] = 0
                depth_HW[row, column] = 0.0
                continue

            # 2. Light each surface once and average by coverage, after the tone curve: a highlight
            # beyond white must not outweigh what it shares a pixel with.
            most, part, depth = 0, 0, 0.0
            empty = 1.0 - covered * share
            red = empty * background_HW3[row, column, 0]
            green = empty * background_HW3[row, column, 1]
            blue = empty * background_HW3[row, column, 2]
            for s in range(surfaces):
                t, count = surface_triangle[s], surface_count[s]
                a, b, c = triangles_T3[t, 0], triangles_T3[t, 1], triangles_T3[t, 2]
                # Interpolate at the samples' centre with perspective, inside the triangle.
                x, y = surface_x[s] / count, surface_y[s] / count
                x0, y0 = screen_V3[a, 0] - x, screen_V3[a, 1] - y
                x1, y1 = screen_V3[b, 0] - x, screen_V3[b, 1] - y
                x2, y2 = screen_V3[c, 0] - x, screen_V3[c, 1] - y
                w0, w1, w2 = x1 * y2 - x2 * y1, x2 * y0 - x0 * y2, x0 * y1 - x1 * y0
                from_behind = w0 + w1 + w2 > 0.0
                if not from_behind:
                    w0, w1, w2 = -w0, -w1, -w2
                w0 = max(w0, 0.0) * screen_V3[a, 2]
                w1 = max(w1, 0.0) * screen_V3[b, 2]
                w2 = max(w2, 0.0) * screen_V3[c, 2]
                total = 1.0 / (w0 + w1 + w2 + 1e-20)
                w0, w1, w2 = np.float32(w0 * total), np.float32(w1 * total), np.float32(w2 * total)
                for k in range(ATTRIBUTES):
                    at[k] = w0 * packed_VA[a, k] + w1 * packed_VA[b, k] + w2 * packed_VA[c, k]
                _light_surface(
                    at,
                    material_T[t],
                    from_behind,
                    skin_HWC,
                    hair_HW4,
                    eye_HW3,
                    iris_radius_uv,
                    light,
                    shadow_SS,
                    texel,
                    rgb,
                )
                weight = count * share
                red += weight * _display(rgb[0], tone_L)
                green += weight * _display(rgb[1], tone_L)
                blue += weight * _display(rgb[2], tone_L)
                if count > most:
                    most = count
                    depth = light.camera[2] - at[2]
                    part = part_T[t]
                    if part == PART_PAINTED:
                        i = min(
                            skin_part_HW.shape[1] - 1, max(0, int(at[6] * skin_part_HW.shape[1]))
                        )
                        j = min(
                            skin_part_HW.shape[0] - 1, max(0, int(at[7] * skin_part_HW.shape[0]))
                        )
                        part = skin_part_HW[j, i]
            image_HW3[row, column, 0] = red
            image_HW3[row, column, 1] = green
            image_HW3[row, column, 2] = blue

            # 3. Ground truth of the surface that fills most of the pixel.
            if 2 * covered < factor * factor:
                part, depth = 0, 0.0
            part_HW[row, column] = part
            depth_HW[row, column] = depth
