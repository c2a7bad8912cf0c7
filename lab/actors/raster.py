"""Rasterisation: from posed vertices to "which triangle does each sample see, and how near is it?".

Compiled loops: `vertex_stage` and `strand_stage` (normals, packing), `project` (the camera's view), `light_view`
(the light's view, for shadows) and `raster`, which serves both. Nothing here knows about colour;
`lab.actors.shading` does that.

Dimension key: V vertices, T triangles, N samples along an image side, S shadow texels along a
side, A packed attributes. World coordinates are in cm: x to the right of the image, y up, z
towards the camera. Screen coordinates are in samples: x right, y down, and sample (row j,
column i) is centred at (i + 0.5, j + 0.5). A triangle faces the camera if its corners run
counter-clockwise as the viewer sees them.

Compiled with `fastmath`: no value in here may be infinite or nan.
"""

import math

import numba
import numpy as np

from lab.actors.materials import CAVITY, EAR, EYE, GLASSES, HAIR, LENS, TEETH, TONGUE

# Columns of the packed vertex array. One vertex fills one row of 48 bytes, so that interpolating
# a sample touches one cache line per corner.
POSITION, NORMAL, UV, OCCLUSION, COLOUR = 0, 3, 6, 8, 9
ATTRIBUTES = 12

# A camera as the kernels read it: centre x, centre y, distance (cm), focal length (samples).
CAMERA_X, CAMERA_Y, CAMERA_Z, CAMERA_FOCAL = 0, 1, 2, 3

_LOCK_NORMAL = 0.35  # share of a lock's own normal; the rest is the hairdo's
_TILE = 8  # samples along a tile, see `_furthest_of_tiles`
_EDGE = -1e-5  # a sample this far outside an edge still counts: no cracks between neighbours
_jit = numba.njit(cache=True, fastmath=True, error_model="numpy")


def opacity_of(hair_texture_HW4: np.ndarray) -> np.ndarray:
    """(H, W) uint8 opacity of a hair texture, the form in which `raster` reads it fastest."""
    return (hair_texture_HW4[..., 3] * 255).astype(np.uint8)


@_jit
def is_two_sided(material: int) -> bool:
    """Thin or open surfaces are drawn from behind as well; all others are culled there."""
    return material in (HAIR, EAR, TEETH, CAVITY, TONGUE, LENS)


@_jit
def vertex_stage(
    vertices_V3: np.ndarray,
    uv_V2: np.ndarray,
    occlusion_V: np.ndarray,
    colour_V3: np.ndarray,
    triangles_T3: np.ndarray,
    weld_V: np.ndarray,
    packed_VA: np.ndarray,
) -> None:
    """Fill `packed_VA`: each vertex's attributes in one row, with smooth unit normals.

    Normals are sums of triangle normals weighted by area; vertices that `weld_V` sends to the
    same vertex share one, so that texture seams do not show.
    """
    for v in range(vertices_V3.shape[0]):
        for column in range(3):
            packed_VA[v, POSITION + column] = vertices_V3[v, column]
            packed_VA[v, NORMAL + column] = 0.0
            packed_VA[v, COLOUR + column] = colour_V3[v, column]
        packed_VA[v, UV] = uv_V2[v, 0]
        packed_VA[v, UV + 1] = uv_V2[v, 1]
        packed_VA[v, OCCLUSION] = occlusion_V[v]

    for t in range(triangles_T3.shape[0]):
        a, b, c = triangles_T3[t, 0], triangles_T3[t, 1], triangles_T3[t, 2]
        ux = vertices_V3[b, 0] - vertices_V3[a, 0]
        uy = vertices_V3[b, 1] - vertices_V3[a, 1]
        uz = vertices_V3[b, 2] - vertices_V3[a, 2]
        vx = vertices_V3[c, 0] - vertices_V3[a, 0]
        vy = vertices_V3[c, 1] - vertices_V3[a, 1]
        vz = vertices_V3[c, 2] - vertices_V3[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (weld_V[a], weld_V[b], weld_V[c]):
            packed_VA[corner, 3] += nx
            packed_VA[corner, 4] += ny
            packed_VA[corner, 5] += nz

    for v in range(vertices_V3.shape[0]):
        w = weld_V[v]
        nx, ny, nz = packed_VA[w, 3], packed_VA[w, 4], packed_VA[w, 5]
        length = 1.0 / (math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12)
        packed_VA[v, 3], packed_VA[v, 4], packed_VA[v, 5] = nx * length, ny * length, nz * length


@_jit
def strand_stage(
    triangles_T3: np.ndarray,
    material_T: np.ndarray,
    hull_V3: np.ndarray,
    rotation_33: np.ndarray,
    packed_VA: np.ndarray,
) -> None:
    """Give the hair's vertices the direction of their strand and a normal of the whole hairdo.

    The strand runs along growing v, from root to tip; the unit direction goes into the colour
    columns, which are free because hair takes its colour from a texture. A lock's own normal says
    little about how light meets the hair, so it is mixed with the outward direction of the
    hairdo, `hull_V3`, given in the head's frame (zero for vertices that are not hair).
    """
    for t in range(triangles_T3.shape[0]):
        if material_T[t] == HAIR:
            for corner in triangles_T3[t]:
                packed_VA[corner, 9] = packed_VA[corner, 10] = packed_VA[corner, 11] = 0.0
    for t in range(triangles_T3.shape[0]):
        if material_T[t] != HAIR:
            continue
        a, b, c = triangles_T3[t, 0], triangles_T3[t, 1], triangles_T3[t, 2]
        # Edges e1, e2 step u by u1, u2 and v by v1, v2: v grows along (e2 u1 - e1 u2) / det.
        u1, v1 = packed_VA[b, 6] - packed_VA[a, 6], packed_VA[b, 7] - packed_VA[a, 7]
        u2, v2 = packed_VA[c, 6] - packed_VA[a, 6], packed_VA[c, 7] - packed_VA[a, 7]
        if u1 * v2 - u2 * v1 < 0.0:
            u1, u2 = -u1, -u2
        tx = (packed_VA[c, 0] - packed_VA[a, 0]) * u1 - (packed_VA[b, 0] - packed_VA[a, 0]) * u2
        ty = (packed_VA[c, 1] - packed_VA[a, 1]) * u1 - (packed_VA[b, 1] - packed_VA[a, 1]) * u2
        tz = (packed_VA[c, 2] - packed_VA[a, 2]) * u1 - (packed_VA[b, 2] - packed_VA[a, 2]) * u2
        for corner in (a, b, c):
            packed_VA[corner, 9] += tx
            packed_VA[corner, 10] += ty
            packed_VA[corner, 11] += tz
    for v in range(packed_VA.shape[0]):
        x, y, z = hull_V3[v, 0], hull_V3[v, 1], hull_V3[v, 2]
        if x == 0.0 and y == 0.0 and z == 0.0:
            continue
        tx, ty, tz = packed_VA[v, 9], packed_VA[v, 10], packed_VA[v, 11]
        length = 1.0 / (math.sqrt(tx * tx + ty * ty + tz * tz) + 1e-20)
        packed_VA[v, 9], packed_VA[v, 10], packed_VA[v, 11] = tx * length, ty * length, tz * length
        hx = rotation_33[0, 0] * x + rotation_33[0, 1] * y + rotation_33[0, 2] * z
        hy = rotation_33[1, 0] * x + rotation_33[1, 1] * y + rotation_33[1, 2] * z
        hz = rotation_33[2, 0] * x + rotation_33[2, 1] * y + rotation_33[2, 2] * z
        nx, ny, nz = packed_VA[v, 3], packed_VA[v, 4], packed_VA[v, 5]
        own = _LOCK_NORMAL
        if nx * hx + ny * hy + nz * hz < 0.0:
            own = -own
        packed_VA[v, 3] = own * nx + (1.0 - _LOCK_NORMAL) * hx
        packed_VA[v, 4] = own * ny + (1.0 - _LOCK_NORMAL) * hy
        packed_VA[v, 5] = own * nz + (1.0 - _LOCK_NORMAL) * hz


@_jit
def project(
    points_P3: np.ndarray, camera_4: np.ndarray, size: float, screen_P3: np.ndarray
) -> None:
    """Perspective projection of world points (cm) to samples and inverse depth (1 / cm).

    `size` is the image side in samples; the camera looks along -z at (centre x, centre y).
    """
    for p in range(points_P3.shape[0]):
        inverse = 1.0 / (camera_4[2] - points_P3[p, 2])
        focal = camera_4[3] * inverse
        screen_P3[p, 0] = 0.5 * size + (points_P3[p, 0] - camera_4[0]) * focal
        screen_P3[p, 1] = 0.5 * size - (points_P3[p, 1] - camera_4[1]) * focal
        screen_P3[p, 2] = inverse


@_jit
def _furthest_of_tiles(nearness_NN: np.ndarray, tile_MM: np.ndarray) -> None:
    """Least nearness in each tile of `_TILE` x `_TILE` samples: what lies behind it is hidden."""
    for tile_row in range(tile_MM.shape[0]):
        for tile_column in range(tile_MM.shape[1]):
            least = np.float32(1e9)
            top, left = tile_row * _TILE, tile_column * _TILE
            for row in range(top, min(top + _TILE, nearness_NN.shape[0])):
                for column in range(left, min(left + _TILE, nearness_NN.shape[1])):
                    least = min(least, nearness_NN[row, column])
            tile_MM[tile_row, tile_column] = least


@_jit
def raster(
    screen_V3: np.ndarray,
    uv_V2: np.ndarray,
    triangles_T3: np.ndarray,
    material_T: np.ndarray,
    opacity_HW: np.ndarray,
    for_light: bool,
    empty: float,
    nearness_NN: np.ndarray,
    triangle_NN: np.ndarray,
) -> None:
    """Find the nearest triangle of each sample: its index or -1, and its nearness or `empty`.

    Nearness is the third screen coordinate, larger = nearer: 1 / depth for the camera (`empty`
    is 0), height towards the light for a shadow map. `for_light` leaves out what casts no shadow:
    eyeballs, glasses (thin wires flicker) and the lining of the mouth.

    Edge functions, nearness and texture coordinates are linear on the screen, so each is set up
    once per triangle and then stepped from sample to sample. Hair is tested against its opacity
    (`opacity_HW`, uint8) with a threshold that differs between the samples of a 2 x 2 block (alpha
    to coverage): after the block is averaged, the edge of the hair is soft without sorting.
    """
    height, width = nearness_NN.shape
    opacity_rows, opacity_columns = opacity_HW.shape
    nearness_NN[:] = empty
    triangle_NN[:] = -1
    tile_MM = np.empty((height // _TILE + 1, width // _TILE + 1), np.float32)
    tiles_known = False
    for t in range(triangles_T3.shape[0]):
        a, b, c = triangles_T3[t, 0], triangles_T3[t, 1], triangles_T3[t, 2]
        x0, y0 = screen_V3[a, 0], screen_V3[a, 1]
        x1, y1 = screen_V3[b, 0], screen_V3[b, 1]
        x2, y2 = screen_V3[c, 0], screen_V3[c, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        material = material_T[t]
        if for_light and material in (EYE, CAVITY, LENS, GLASSES):
            continue
        if area >= 0.0 and not is_two_sided(material):
            continue
        if abs(area) < 1e-7:
            continue

        left = max(0, math.ceil(min(x0, x1, x2) - 0.5))
        right = min(width - 1, math.floor(max(x0, x1, x2) - 0.5))
        top = max(0, math.ceil(min(y0, y1, y2) - 0.5))
        bottom = min(height - 1, math.floor(max(y0, y1, y2) - 0.5))
        if left > right or top > bottom:
            continue

        # Hair comes last in the mesh and lies many locks deep: skip what is behind the head.
        if material == HAIR:
            if not tiles_known:
                _furthest_of_tiles(nearness_NN, tile_MM)
                tiles_known = True
            nearest = max(screen_V3[a, 2], screen_V3[b, 2], screen_V3[c, 2])
            hidden = True
            for tile_row in range(top // _TILE, bottom // _TILE + 1):
                for tile_column in range(left // _TILE, right // _TILE + 1):
                    hidden = hidden and tile_MM[tile_row, tile_column] > nearest
            if hidden:
                continue

        # Barycentric weights at the first sample, and their change per column and per row.
        scale = 1.0 / area
        w0_dx, w0_dy = (y1 - y2) * scale, (x2 - x1) * scale
        w1_dx, w1_dy = (y2 - y0) * scale, (x0 - x2) * scale
        px, py = left + 0.5 - x2, top + 0.5 - y2
        w0_row = w0_dx * px + w0_dy * py
        w1_row = w1_dx * px + w1_dy * py
        z2 = screen_V3[c, 2]
        z0, z1 = screen_V3[a, 2] - z2, screen_V3[b, 2] - z2
        is_hair = material == HAIR
        u2, v2 = uv_V2[c, 0] * opacity_columns, uv_V2[c, 1] * opacity_rows
        u0, v0 = uv_V2[a, 0] * opacity_columns - u2, uv_V2[a, 1] * opacity_rows - v2
        u1, v1 = uv_V2[b, 0] * opacity_columns - u2, uv_V2[b, 1] * opacity_rows - v2

        for row in range(top, bottom + 1):
            # Where a wide row can lie inside all three edges: w = w_row + w_dx * k >= 0 bounds k.
            first, last = 0, right - left
            if last > 5:
                for w, w_dx in (
                    (w0_row, w0_dx),
                    (w1_row, w1_dx),
                    (1.0 - w0_row - w1_row, -w0_dx - w1_dx),
                ):
                    if abs(w_dx) > 1e-7:
                        crossing = -w / w_dx
                        if w_dx > 0.0 and crossing > first:
                            first = min(last + 1, int(crossing))
                        if w_dx < 0.0 and crossing < last:
                            last = max(-1, int(crossing + 1.0))
            w0, w1 = w0_row + first * w0_dx, w1_row + first * w1_dx
            for column in range(left + first, left + last + 1):
                if w0 >= _EDGE and w1 >= _EDGE and w0 + w1 <= 1.0 - _EDGE:
                    z = z2 + w0 * z0 + w1 * z1
                    if z > nearness_NN[row, column]:
                        keep = True
                        if is_hair:
                            u, v = int(u2 + w0 * u0 + w1 * u1), int(v2 + w0 * v0 + w1 * v1)
                            u = min(opacity_columns - 1, max(0, u))
                            v = min(opacity_rows - 1, max(0, v))
                            # Thresholds .2 .6 / .8 .4 over the block.
                            threshold = 51 + 102 * (column & 1)
                            if row & 1:
                                threshold = 204 - 102 * (column & 1)
                            keep = opacity_HW[v, u] > threshold
                        if keep:
                            nearness_NN[row, column] = z
                            triangle_NN[row, column] = t
                w0 += w0_dx
                w1 += w1_dx
            w0_row += w0_dy
            w1_row += w1_dy


@_jit
def light_view(
    vertices_V3: np.ndarray,
    basis_33: np.ndarray,
    centre_3: np.ndarray,
    extent_cm: float,
    size: int,
    screen_V3: np.ndarray,
) -> None:
    """Parallel projection along a light: rows of `basis_33` are right, up and towards the light.

    `screen_V3` becomes x, y in texels of a map of `size` x `size` that covers `extent_cm` around
    `centre_3`, and the height towards the light in cm (larger = nearer to the light).
    """
    scale = size / extent_cm
    for v in range(vertices_V3.shape[0]):
        x = vertices_V3[v, 0] - centre_3[0]
        y = vertices_V3[v, 1] - centre_3[1]
        z = vertices_V3[v, 2] - centre_3[2]
        right = basis_33[0, 0] * x + basis_33[0, 1] * y + basis_33[0, 2] * z
        up = basis_33[1, 0] * x + basis_33[1, 1] * y + basis_33[1, 2] * z
        screen_V3[v, 0] = 0.5 * size + scale * right
        screen_V3[v, 1] = 0.5 * size - scale * up
        screen_V3[v, 2] = basis_33[2, 0] * x + basis_33[2, 1] * y + basis_33[2, 2] * z
