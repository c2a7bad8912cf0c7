"""A contact sheet: each actor in a row of expressions and poses."""

from collections.abc import Iterable

import numpy as np

from lab.actors.actor import Actor
from lab.actors.identity import Identity
from lab.actors.pose import Pose
from lab.actors.renderer import Renderer
from lab.actors.scene import Background, Light

# Expression, pose and gaze of each column.
_COLUMNS: tuple[tuple[dict[str, float], Pose, tuple[float, float]], ...] = (
    ({}, Pose(), (0.0, 0.0)),
    ({"smile_l": 0.9, "smile_r": 0.9, "upper_up": 0.3, "jaw_open": 0.15}, Pose(-8, 2, 3), (0, 0)),
    ({"jaw_open": 0.75, "brow_up_l": 0.6, "brow_up_r": 0.6}, Pose(6, 0, 0), (0, 0)),
    ({"pucker": 0.9, "brow_up_in": 0.7}, Pose(0, -5, -4), (0, 5)),
    ({"blink_l": 1, "blink_r": 1}, Pose(4, 4, 0), (0, 0)),
    ({"smile_l": 0.5, "smile_r": 0.5, "jaw_open": 0.3}, Pose(28, 0, 0), (-8, 0)),
    ({"brow_down_l": 0.8, "brow_down_r": 0.8, "press": 0.6}, Pose(-28, -8, 0), (8, 0)),
    ({"funnel": 0.7, "wide_l": 0.5, "wide_r": 0.5}, Pose(10, 12, 8), (12, 0)),
)


def contact_sheet(seeds: Iterable[int], size_px: int = 256, columns: int = 8) -> np.ndarray:
    """Render actors, one a row; the last columns have lights of their own.

    Args:
        seeds: identities. size_px: of each picture. columns: 1 to 8.

    Returns:
        uint8 RGB (actors * size_px, columns * size_px, 3).
    """
    renderer = Renderer(size_px)
    rows = []
    for seed in seeds:
        actor = Actor(Identity.sample(seed))
        row = []
        for number, (expression, pose, gaze_deg) in enumerate(_COLUMNS[:columns]):
            light = Light() if number < 4 else Light.sample(100 * seed + number)
            background = Background.sample(100 * seed + number)
            frame = renderer.render(actor, expression, pose, gaze_deg, light, background)
            row.append(frame.image_HW3)
        rows.append(np.concatenate(row, axis=1))
    return np.concatenate(rows)
