"""Everything of an actor that is not skin or hair: eyeballs, teeth, tongue, ears, clothes, glasses.

Each builder returns a `Part`: a small mesh in the head's coordinates (cm), ready to be joined.
"""

from dataclasses import dataclass, field

import numpy as np

from lab.actors import anatomy, materials
from lab.actors.eyelids import EYEBALL_RADIUS_CM, Eyeball
from lab.actors.fields import bump, grid_triangles, line, linear_rgb, smoothstep
from lab.actors.identity import Identity

EYE_TEXTURE_HALF_CM = 2.3  # the eye texture reaches this far from the iris' centre
NAPE_PATCH = (2.85, 3.08, 16.2, 17.4)  # (u from, u to, v from, v to) in the skin texture: ear skin


@dataclass(eq=False)
class Part:
    """A piece of the actor's mesh.

    vertices_V3: cm. uv_V2: texture coordinates in 0..1. triangles_T3: indices into its own vertices.
    material: see lab.actors.materials. label: name in PARTS, or "" if painted (skin).
    colour_V3: linear albedo where the material has no texture.
    jaw_V: share of the jaw's turn. rigid_V: 1 follows the head, 0 stays with the shoulders.
    occlusion_V: share of ambient light that arrives; None to have it baked.
    """

    vertices_V3: np.ndarray
    uv_V2: np.ndarray
    triangles_T3: np.ndarray
    material: int
    label: str
    colour_V3: np.ndarray
    jaw_V: np.ndarray = field(default_factory=lambda: np.zeros(0))
    rigid_V: np.ndarray = field(default_factory=lambda: np.zeros(0))
    occlusion_V: np.ndarray | None = None

    def __post_init__(self) -> None:
        count = len(self.vertices_V3)
        if not len(self.jaw_V):
            self.jaw_V = np.zeros(count)
        if not len(self.rigid_V):
            self.rigid_V = np.ones(count)


def _part(grid_HW3: np.ndarray, material: int, label: str, colour: np.ndarray, **more) -> Part:
    """A part from a grid of vertices (rows, columns, 3); `colour` is (3,) or one per vertex."""
    rows, columns = grid_HW3.shape[:2]
    closed = more.pop("closed", False)
    vertices_V3 = grid_HW3.reshape(-1, 3)
    uv_V2 = more.pop("uv_V2", np.zeros((len(vertices_V3), 2)))
    colour_V3 = np.broadcast_to(np.asarray(colour, float), grid_HW3.shape).reshape(-1, 3)
    triangles_T3 = grid_triangles(columns, rows, closed)
    if more.pop("flip", False):
        triangles_T3 = triangles_T3[:, ::-1]
    return Part(vertices_V3, uv_V2, triangles_T3, material, label, colour_V3.copy(), **more)


def eyeball(eye: Eyeball, side: int, points: int = 17) -> Part:
    """The front of an eyeball, textured from straight ahead."""
    a, b = np.meshgrid(np.linspace(-1, 1, points), np.linspace(1, -1, points))
    dx, dy = 0.95 * a * np.sqrt(1 - b * b / 2), 0.95 * b * np.sqrt(1 - a * a / 2)
    dx, dy = dx * EYEBALL_RADIUS_CM, dy * EYEBALL_RADIUS_CM
    z = eye.front_z(dx, dy, side, EYEBALL_RADIUS_CM)
    grid_HW3 = np.stack([eye.x + dx, eye.y + dy, z], -1)
    uv_HW2 = 0.5 + np.stack([dx, -dy], -1) / (2 * EYE_TEXTURE_HALF_CM)
    shade = 0.95 - 0.70 * smoothstep(-0.05, 0.50, dy) - 0.35 * smoothstep(0.6, 1.4, np.abs(dx))
    return _part(
        grid_HW3,
        materials.EYE,
        "eye",
        np.full(3, 0.5),
        uv_V2=uv_HW2.reshape(-1, 2),
        occlusion_V=np.clip(shade, 0.2, 1).ravel(),
    )


# Widths (cm) and lengths (relative) of one side's teeth, from the midline.
_UPPER_TEETH = ((0.84, 1.0), (0.66, 0.88), (0.76, 1.02), (0.70, 0.88), (0.68, 0.82), (0.9, 0.75))
_LOWER_TEETH = ((0.54, 0.95), (0.58, 0.95), (0.68, 1.0), (0.70, 0.92), (0.70, 0.88), (0.9, 0.85))
_ACROSS_TOOTH = np.array([0.0, 0.07, 0.28, 0.5, 0.72, 0.93])
_DOWN_TOOTH = np.array([-0.45, -0.06, 0.06, 0.45, 0.85, 1.0])  # negative: gum


def teeth(centre: np.ndarray, identity: Identity, upper: bool) -> Part:
    """A row of separate teeth on an arch, with gums.

    Args:
        centre: (3,) where the two middle teeth's biting edge lies.
        upper: upper row, else lower.
    """
    sizes = np.array(_UPPER_TEETH if upper else _LOWER_TEETH)
    sizes = np.concatenate([sizes[::-1], sizes])
    starts = np.concatenate([[0], np.cumsum(sizes[:, 0])])
    starts -= starts[-1] / 2
    arc = (starts[:-1, None] + sizes[:, :1] * _ACROSS_TOOTH).ravel()
    long = np.repeat(sizes[:, 1], len(_ACROSS_TOOTH))
    across = np.tile(_ACROSS_TOOTH, len(sizes))
    gap = (2 * np.abs(across - 0.5)) ** 4
    down = _DOWN_TOOTH[:, None]
    half_width = 2.55 if upper else 2.30
    angle = arc / half_width * 0.95
    height_cm = 0.86 if upper else 0.72
    drop = (1 - down) * height_cm * long - 0.07 * gap * np.maximum(down, 0)
    inwards = 0.10 * gap * (down > 0) + 0.10 * np.maximum(down - 0.6, 0) + 0.05 * (down < 0)
    radius = half_width - inwards
    x = radius * np.sin(angle) + 0 * down
    z = -3.0 * (1 - np.cos(angle)) - inwards + 0 * down
    edge = (1 - long) * height_cm * (0.6 if upper else 0.3)
    y = (drop + edge) if upper else -(drop + edge)
    wear = 1 - 0.06 * max(identity.age, 0)
    enamel = np.array([0.74, 0.69, 0.59]) * np.array([1, wear, wear**3])
    gum = np.array([0.36, 0.13, 0.12])
    tint = np.where((down < 0)[..., None], gum, enamel)
    dark = (1 - 0.55 * gap**2) * (1 - 0.75 * smoothstep(0.55, 1.5, np.abs(angle)))
    dark = dark * np.where(down < 0, 0.75, 1)
    grid_HW3 = np.stack(np.broadcast_arrays(x, y, z), -1) + centre
    occlusion = np.clip(0.95 - 0.50 * np.abs(angle), 0.12, 1) + 0 * down
    return _part(
        grid_HW3,
        materials.TEETH,
        "mouth",
        tint * dark[..., None],
        jaw_V=np.full(grid_HW3.shape[0] * grid_HW3.shape[1], 0.0 if upper else 1.0),
        occlusion_V=occlusion.ravel(),
        flip=not upper,
    )


def mouth_cavity(centre: np.ndarray, points: int = 13) -> Part:
    """The dark bag behind the teeth, hung between the upper jaw and the lower."""
    a, b = np.meshgrid(np.linspace(-1, 1, points), np.linspace(1, -1, points))
    a, b = a * np.sqrt(1 - b * b / 2), b * np.sqrt(1 - a * a / 2)
    rim = np.clip(1 - a * a - b * b, 0, 1)
    depth = 0.55 + 1.7 * a * a + 3.4 * np.sqrt(rim)
    grid_HW3 = centre + np.stack([3.1 * a, -0.2 + 1.6 * b, -depth], -1)
    colour = np.array([0.16, 0.035, 0.032]) * np.exp(-0.45 * (depth - 1))[..., None]
    return _part(
        grid_HW3,
        materials.CAVITY,
        "mouth",
        colour,
        jaw_V=(0.5 * (1 - b)).ravel(),
        occlusion_V=np.full(a.size, 0.25),
    )


def tongue(centre: np.ndarray, points: int = 11) -> Part:
    """The tongue, lying behind the lower teeth."""
    a, b = np.meshgrid(np.linspace(-1, 1, points), np.linspace(1, -1, points))
    y = -0.62 + 0.38 * (1 - a * a) - 0.25 * (1 + b) - 0.08 * line(a, 0.15)
    z = -0.75 - 1.5 * (1 + b) - 0.5 * a * a
    grid_HW3 = centre + np.stack([1.5 * a * np.sqrt(1.1 - 0.4 * (b < -0.6)), y, z], -1)
    return _part(
        grid_HW3,
        materials.TONGUE,
        "mouth",
        np.array([0.42, 0.14, 0.14]),
        jaw_V=np.full(a.size, 0.9),
        occlusion_V=np.full(a.size, 0.7),
    )


def ear(identity: Identity, rings: np.ndarray, side: int) -> Part:
    """An outer ear: helix, antihelix, concha, tragus and lobe, as heights over a tilted plane."""
    radial, around = 12, 34
    r, angle = np.meshgrid(
        np.linspace(0.02, 1, radial), np.arange(around) * 2 * np.pi / around, indexing="ij"
    )
    outline = 1 + 0.10 * np.cos(angle - 0.9) - 0.10 * np.cos(2 * angle)
    size = 1 + 0.06 * identity.ear_size
    back = 1.5 * size * r * outline * np.cos(angle)
    up = 2.75 * size * r * outline * np.sin(angle) * np.where(np.sin(angle) < 0, 0.92, 1)
    back = back * (1 - 0.28 * smoothstep(0, -2.8, up))
    height = _ear_height(r, angle, back / size, up / size)
    turn_back = np.array([side * 0.50, 0.10, -0.87])
    turn_back /= np.linalg.norm(turn_back)
    turn_up = np.array([side * 0.10, 1, -0.24])
    turn_up -= turn_up @ turn_back * turn_back
    turn_up /= np.linalg.norm(turn_up)
    outward = np.cross(turn_back, turn_up)
    outward *= np.sign(outward[0] * side)
    origin = anatomy.surface(np.array(side * 1.66), np.array(8.0), rings)
    origin = origin + np.array([side * 0.30, 0.40, 0.0])
    grid_HW3 = origin + back[..., None] * turn_back + up[..., None] * turn_up
    grid_HW3 = grid_HW3 + height[..., None] * outward
    u_from, u_to, v_from, v_to = NAPE_PATCH
    u = u_from + (u_to - u_from) * (0.5 + 0.2 * back)
    arc = anatomy.ring_to_arc(v_from + (v_to - v_from) * (0.5 + 0.12 * up)) / anatomy.ARC_LENGTH_CM
    uv_HW2 = np.stack([anatomy.angle_to_texture(u), arc], -1)
    return _part(
        grid_HW3,
        materials.EAR,
        "ear",
        np.full(3, 0.5),
        uv_V2=uv_HW2.reshape(-1, 2),
        closed=True,
        flip=side < 0,
    )


def _ear_height(r: np.ndarray, angle: np.ndarray, back: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Relief of the ear over its plane, cm."""
    behind = smoothstep(-0.9, -0.3, np.cos(angle))
    lobe = smoothstep(-1.3, -2.3, up)
    helix = 0.55 * line(r - 0.92, 0.11) * np.maximum(behind, smoothstep(0.2, 1.2, up)) * (1 - lobe)
    antihelix = 0.48 * line(r - 0.60, 0.14) * behind * (1 - 0.8 * smoothstep(0.9, 2.0, up))
    antihelix *= 1 - lobe
    crus = 0.22 * line(up - 0.25 - 0.25 * back, 0.16) * smoothstep(0.2, -0.8, back)
    concha = -0.75 * bump(back, up, (-0.25, -0.35), (0.62, 0.85))
    tragus = 0.32 * bump(back, up, (-1.05, -0.45), (0.28, 0.45))
    return 0.10 + helix + antihelix + crus + concha + tragus + 0.18 * lobe - 0.35 * (r > 0.99)


# Linear colours of clothes.
_CLOTHES = linear_rgb(
    [
        *([38, 44, 58], [120, 36, 40], [196, 192, 184], [46, 74, 60], [88, 98, 120], [52, 50, 52]),
        *([150, 118, 82], [94, 66, 92], [206, 178, 140], [64, 92, 132], [158, 86, 60]),
    ]
)


def clothes(identity: Identity, rings: np.ndarray) -> Part:
    """A top: neckline on the neck's base, then shoulders and chest; stays when the head turns."""
    columns, rows = 57, 13
    rng = identity.random(5)
    angle, row = np.meshgrid(np.linspace(-np.pi, np.pi, columns), np.arange(rows))
    front_v, collar = rng.uniform(17.7, 18.35), rng.choice([0.0, 0.0, 1.0])
    neckline = np.interp(
        np.abs(angle), [0, 0.5, 1.2, 2.0, np.pi], [front_v, front_v - 0.35, 17.15, 16.9, 16.8]
    )
    neckline = neckline - 0.5 * collar * smoothstep(0.12, 0.5, np.abs(angle))
    share = np.clip((row - 2) / 5, 0, 1)
    v = np.where(row < 2, neckline, neckline + (19 - neckline) * share)
    base = anatomy.surface(angle, v, rings)
    outward = np.stack([np.sin(angle), 0.5 + 0 * angle, np.cos(angle)], -1)
    offset = np.array([0.02, 0.34, 0.34, 0.36] + [0.4] * (rows - 4))[:, None, None]
    offset = offset * (1 + 0.8 * collar * (row[..., None] < 4))
    grid_HW3 = base + offset * outward
    grid_HW3[:2, :, 1] += np.array([0.05, 0.12])[:, None]
    beyond = np.clip((row - 7) / 5, 0, 1)
    breadth = 1 + 0.05 * identity.masculinity
    ellipse_x = breadth * np.sin(angle) * np.interp(beyond, [0, 0.3, 1], [12.6, 17.5, 20.5])
    ellipse_z = -2.6 + np.cos(angle) * np.interp(beyond, [0, 0.3, 1], [7.6, 8.8, 9.5])
    fall = np.interp(beyond, [0, 0.3, 1], [0, -2.6, -12])
    rest = np.stack([ellipse_x, grid_HW3[7:8, :, 1] + fall, ellipse_z], -1)
    blend = smoothstep(0, 0.35, beyond)[..., None]
    grid_HW3 = grid_HW3 * (1 - blend) + rest * blend
    folds = 0.12 * np.sin(5 * angle + 3 * beyond) * beyond
    grid_HW3[..., 2] += folds
    colour = _CLOTHES[int(identity.clothes * len(_CLOTHES)) % len(_CLOTHES)]
    colour = colour * rng.uniform(0.75, 1.2)
    tint = np.ones((rows, columns, 1)) - 0.12 * ((row == 2) | (row == 1))[..., None]
    uv_V2 = np.stack([angle / (2 * np.pi) + 0.5, row / (rows - 1)], -1).reshape(-1, 2)
    rigid = np.zeros(rows * columns)
    return _part(grid_HW3, materials.CLOTH, "torso", colour * tint, uv_V2=uv_V2, rigid_V=rigid)
