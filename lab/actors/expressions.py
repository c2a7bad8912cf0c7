"""Named expressions: how each one moves the skin, in cm at full strength.

All are linear in their weight but two: the jaw turns about a hinge, and a lid closing slides over the
eyeball, which takes a quadratic correction. "_l" is the person's own left, on the right of the image.
"""

from collections.abc import Mapping

import numpy as np

from lab.actors import anatomy
from lab.actors.anatomy import MOUTH_Y_CM
from lab.actors.fields import bump, line, smoothstep
from lab.errors import UserError

EXPRESSIONS: tuple[str, ...] = (
    "jaw_open",
    "smile_l",
    "smile_r",
    "frown_l",
    "frown_r",
    "pucker",
    "funnel",
    "press",
    "upper_up",
    "lower_down",
    "stretch",
    "puff",
    "sneer",
    "brow_up_in",
    "brow_up_l",
    "brow_up_r",
    "brow_down_l",
    "brow_down_r",
    "blink_l",
    "blink_r",
    "wide_l",
    "wide_r",
    "squint_l",
    "squint_r",
)
SIDES = {"l": 1, "r": -1}  # sign of x

JAW_ANGLE_DEG = 18.5  # of jaw_open = 1
JAW_HINGE_YZ_CM = (-1.2, 0.2)


def expression_vector(expression: Mapping[str, float] | np.ndarray | None) -> np.ndarray:
    """Weights in the order of EXPRESSIONS, clipped to [0, 1].

    Args:
        expression: weights by name (the rest are 0), or an array (E,) already in order, or None.

    Returns:
        (E,) float32.

    Raises:
        UserError: for a name that is not in EXPRESSIONS, or an array of another length.
    """
    weights_E = np.zeros(len(EXPRESSIONS), np.float32)
    if isinstance(expression, Mapping):
        for name, value in expression.items():
            if name not in EXPRESSIONS:
                raise UserError(f"no expression {name!r}; choose from {', '.join(EXPRESSIONS)}")
            weights_E[EXPRESSIONS.index(name)] = value
    elif expression is not None:
        if np.shape(expression) != weights_E.shape:
            raise UserError(
                f"expected {len(EXPRESSIONS)} expression weights, got shape {np.shape(expression)}; "
                "give them in the order of EXPRESSIONS, or by name"
            )
        weights_E[:] = expression
    return np.clip(weights_E, 0, 1)


class _Canvas:
    """The places on the face that expressions act on, computed once for the shared mesh."""

    def __init__(self, x_V: np.ndarray, y_V: np.ndarray, front_V: np.ndarray) -> None:
        self.x, self.y, self.front = x_V, y_V, front_V
        self.aside, self.sign = np.abs(x_V), np.sign(x_V)
        along, across, self.is_upper, _ = anatomy.mouth_coordinates(x_V, y_V)
        self.across = across
        inside = np.clip(along, -1, 1)
        self.mid_lip = np.where(np.abs(along) < 1, np.sqrt(1 - inside**2), 0)
        self.lip = np.exp(-((np.maximum(across - 0.9, 0) / 1.3) ** 2)) * front_V

    def spot(self, at: tuple[float, float], size: tuple[float, float]) -> np.ndarray:
        """A bump on one place of the face."""
        return bump(self.x, self.y, at, size) * self.front

    def both(self, at: tuple[float, float], size: tuple[float, float]) -> np.ndarray:
        """A bump on both sides."""
        return bump(self.aside, self.y, at, size) * self.front

    def move(self, x: object = 0.0, y: object = 0.0, z: object = 0.0) -> np.ndarray:
        """Displacement (V, 3) from its components."""
        return np.stack(np.broadcast_arrays(x, y, z, self.x)[:3], -1)


def muscle_shapes(x_V: np.ndarray, y_V: np.ndarray, front_V: np.ndarray) -> dict[str, np.ndarray]:
    """Displacements (V, 3) of all expressions but the jaw's and the lids'.

    Args:
        x_V, y_V: canonical front coordinates of the vertices, cm.
        front_V: 1 on the front of the head, 0 behind.
    """
    face = _Canvas(x_V, y_V, front_V)
    shapes = _lip_shapes(face)
    for name, side in SIDES.items():
        shapes |= {f"{key}_{name}": value for key, value in _side_shapes(face, side).items()}
    inner_brow = face.both((1.1, 2.2), (1.5, 1.2))
    shapes["brow_up_in"] = face.move(y=0.48 * inner_brow)
    cheek = face.both((4.4, -6.2), (1.5, 1.7))
    shapes["puff"] = face.move(x=0.35 * face.sign * cheek, z=0.55 * cheek)
    wing, lip = face.both((1.3, -4.0), (0.7, 0.7)), face.both((1.4, -5.6), (1.0, 0.8))
    shapes["sneer"] = face.move(y=0.25 * wing + 0.15 * lip)
    return shapes


def _corner(face: _Canvas, side: int) -> np.ndarray:
    return face.spot((side * 2.55, -6.9), (1.15, 1.25))


def _lip_shapes(face: _Canvas) -> dict[str, np.ndarray]:
    """What both halves of the mouth do together."""
    upper = face.is_upper
    lip = face.lip * face.mid_lip
    mouth = face.both((1.3, MOUTH_Y_CM), (1.9, 1.35))
    front = face.spot((0, MOUTH_Y_CM), (1.8, 1.2))
    corners = _corner(face, 1) + _corner(face, -1)
    roll_in = face.lip * np.exp(-((face.across / 1.1) ** 2))
    return {
        "pucker": face.move(
            x=-0.40 * face.x * mouth, y=0.10 * (face.y - MOUTH_Y_CM) * mouth, z=0.62 * front
        ),
        "funnel": face.move(
            x=-0.14 * face.x * face.lip, y=np.where(upper, 0.30, -0.34) * lip, z=0.28 * lip
        ),
        "press": face.move(
            y=np.where(upper, -0.17, 0.20) * roll_in * np.exp(-(((face.across - 1) / 0.7) ** 2)),
            z=-0.20 * roll_in,
        ),
        "upper_up": face.move(y=np.where(upper, 0.36, 0.0) * lip, z=-0.05 * lip),
        "lower_down": face.move(y=np.where(upper, 0.0, -0.38) * lip),
        "stretch": face.move(x=0.5 * face.sign * corners, z=-0.3 * corners),
    }


def _side_shapes(face: _Canvas, side: int) -> dict[str, np.ndarray]:
    """What one half of the face does: smile, frown and the brow."""
    corner = _corner(face, side)
    cheek = face.spot((side * 3.7, -3.6), (1.4, 1.2))
    lip = face.spot((side * 1.2, -6.2), (1.0, 0.5))
    fold_x = 2.15 + 0.40 * (-4.3 - face.y)
    fold = line(side * face.x - fold_x, 0.32) * (side * face.x > 0)
    fold = fold * smoothstep(-4.0, -5.0, face.y) * smoothstep(-7.4, -6.2, face.y)
    outer_brow = face.spot((side * 3.9, 2.2), (1.6, 1.15))
    inner_brow = face.spot((side * 1.9, 2.0), (1.7, 1.0))
    return {
        "smile": face.move(
            x=side * (0.60 * corner + 0.10 * cheek),
            y=0.55 * corner + 0.20 * cheek + 0.10 * lip,
            z=-0.38 * corner + 0.30 * cheek - 0.13 * fold,
        ),
        "frown": face.move(y=-0.45 * corner, z=-0.08 * corner),
        "brow_up": face.move(y=0.48 * outer_brow),
        "brow_down": face.move(
            x=-0.18 * side * inner_brow, y=-0.45 * inner_brow, z=0.08 * inner_brow
        ),
    }


def jaw_weights(x_V: np.ndarray, y_V: np.ndarray, u_V: np.ndarray, v_V: np.ndarray) -> np.ndarray:
    """How much of the jaw's turn each vertex follows, in [0, 1].

    The lower lip follows fully and the upper not at all; beside the mouth the two meet smoothly,
    and the pull fades towards the ears and down the throat.
    """
    front_V = smoothstep(-0.15, 0.3, np.cos(u_V))
    face = _Canvas(x_V, y_V, front_V)
    gradual = smoothstep(-4.6, -9.2, y_V)
    split = np.where(face.is_upper & (y_V > -7.6), 0.0, 1.0)
    weight = gradual * (1 - face.mid_lip) + split * face.mid_lip
    weight = np.where(y_V > -4.6, 0, weight) * front_V
    weight = weight * smoothstep(-0.1, 0.15, np.cos(u_V))
    weight = weight * smoothstep(1.0, 0.55, np.abs(u_V) / np.radians(95))
    return weight * smoothstep(16.4, 14.0, v_V)
