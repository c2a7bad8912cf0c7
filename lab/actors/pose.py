"""Where a head is and how it is turned."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pose:
    """Rotation and position of the head relative to facing the camera.

    Args:
        yaw_deg: positive turns the face towards the right of the image.
        pitch_deg: positive nods down.
        roll_deg: positive tilts clockwise as seen in the image.
        shift_x_cm: positive moves to the right of the image.
        shift_y_cm: positive moves up.
    """

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    shift_x_cm: float = 0.0
    shift_y_cm: float = 0.0

    def rotation_33(self) -> np.ndarray:
        """Rotation matrix for column vectors (x right, y up, z to the camera): roll · yaw · pitch."""
        yaw, pitch, roll = np.radians([self.yaw_deg, self.pitch_deg, -self.roll_deg])
        cos_y, sin_y, cos_p, sin_p = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
        cos_r, sin_r = np.cos(roll), np.sin(roll)
        about_y = np.array([[cos_y, 0, sin_y], [0, 1, 0], [-sin_y, 0, cos_y]])
        about_x = np.array([[1, 0, 0], [0, cos_p, -sin_p], [0, sin_p, cos_p]])
        about_z = np.array([[cos_r, -sin_r, 0], [sin_r, cos_r, 0], [0, 0, 1]])
        return (about_z @ about_y @ about_x).astype(np.float32)
