"""The coordinate convention, and the only caller of `grid_sample`.

x points right, y points down; -1 and 1 are the CENTRES of the first and last pixel
(`align_corners=True`). With that choice the identity grid returns the image unchanged.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def identity_grid(height: int, width: int, *, device: torch.device | str | None = None) -> Tensor:
    """The grid that leaves an image as it is.

    Returns:
        (H, W, 2): (x, y) of each pixel centre, in [-1, 1].
    """
    y_H = torch.linspace(-1, 1, height, device=device)
    x_W = torch.linspace(-1, 1, width, device=device)
    grid_y_HW, grid_x_HW = torch.meshgrid(y_H, x_W, indexing="ij")
    return torch.stack([grid_x_HW, grid_y_HW], dim=-1)


def sample(images_BCHW: Tensor, grid_BHW2: Tensor, padding: str = "border") -> Tensor:
    """Read images at given positions, bilinearly.

    Args:
        images_BCHW: any channels, float32.
        grid_BHW2: where each output pixel reads from, (x, y) in [-1, 1]; outside is `padding`.
        padding: "border" repeats the edge, "zeros" is black, "reflection" mirrors.

    Returns:
        (B, C, H', W'): the grid's size, the images' range.
    """
    return F.grid_sample(
        images_BCHW, grid_BHW2, mode="bilinear", padding_mode=padding, align_corners=True
    )


def pixels_to_grid(points_px: Tensor, height: int, width: int) -> Tensor:
    """Pixel positions (0, 0 = centre of the top-left pixel) to [-1, 1]; the last axis is (x, y)."""
    size = points_px.new_tensor([width - 1, height - 1]).clamp_min(1)
    return 2 * points_px / size - 1


def grid_to_pixels(points: Tensor, height: int, width: int) -> Tensor:
    """The inverse of `pixels_to_grid`."""
    return (points + 1) / 2 * points.new_tensor([width - 1, height - 1])
