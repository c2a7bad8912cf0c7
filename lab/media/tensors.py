"""Frames to what networks take, and back. B images, T frames, H rows, W columns."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def frames_to_tensor(frames_THW3: np.ndarray) -> "Tensor":
    """Turn frames into network input.

    Args:
        frames_THW3: (T, H, W, 3) uint8 RGB; one frame (H, W, 3) counts as T = 1.

    Returns:
        (T, 3, H, W) float32 in [0, 1].

    Raises:
        ValueError: if it is not uint8 RGB.
    """
    import torch

    frames_THW3 = np.asarray(frames_THW3)
    if frames_THW3.ndim == 3:
        frames_THW3 = frames_THW3[None]
    if frames_THW3.dtype != np.uint8 or frames_THW3.ndim != 4 or frames_THW3.shape[-1] != 3:
        raise ValueError(
            f"expected uint8 (T, H, W, 3), got {frames_THW3.dtype} {frames_THW3.shape}"
        )
    images_T3HW = torch.from_numpy(np.ascontiguousarray(frames_THW3.transpose(0, 3, 1, 2)))
    return images_T3HW.to(torch.float32) / 255


def tensor_to_frames(images_B3HW: "Tensor") -> np.ndarray:
    """Turn network output into frames, rounded to the nearest level.

    Args:
        images_B3HW: (B, 3, H, W) float; values outside [0, 1] are clipped.

    Returns:
        (B, H, W, 3) uint8 RGB.

    Raises:
        ValueError: if it does not have three channels.
    """
    import torch

    if images_B3HW.ndim != 4 or images_B3HW.shape[1] != 3:
        raise ValueError(f"expected (B, 3, H, W), got {tuple(images_B3HW.shape)}")
    levels = images_B3HW.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy())
