"""The embedded data: rendered people who do not exist, with exact ground truth."""

from lab.actors.actor import Actor
from lab.actors.expressions import EXPRESSIONS, expression_vector
from lab.actors.identity import Identity
from lab.actors.materials import FACE_PARTS, PARTS
from lab.actors.pose import Pose
from lab.actors.renderer import Frame, Renderer, warm_up
from lab.actors.scene import Background, Camera, Light

__all__ = [
    "EXPRESSIONS",
    "FACE_PARTS",
    "PARTS",
    "Actor",
    "Background",
    "Camera",
    "Frame",
    "Identity",
    "Light",
    "Pose",
    "Renderer",
    "expression_vector",
    "warm_up",
]
