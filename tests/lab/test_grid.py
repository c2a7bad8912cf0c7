"""lab.grid: the identity grid is the identity, and x is not y."""

import pytest
import torch
from torch.testing import assert_close

from lab import grid


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (64, 48)])
def test_identity_grid_returns_the_image_unchanged(size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    grid_BHW2 = grid.identity_grid(*size)[None].expand(2, -1, -1, -1)
    assert_close(grid.sample(image, grid_BHW2), image, atol=2e-5, rtol=0)


def test_a_grid_shifted_in_x_shifts_columns_not_rows() -> None:
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    one_pixel = torch.tensor([2 / 3, 0.0])
    shifted = grid.sample(image, grid.identity_grid(3, 4)[None] + one_pixel)
    assert_close(shifted[..., :3], image[..., 1:])


def test_corner_pixels_lie_at_plus_and_minus_one() -> None:
    corners_px = torch.tensor([[0.0, 0.0], [6.0, 4.0]])
    assert_close(grid.pixels_to_grid(corners_px, 5, 7), torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))
    assert_close(grid.grid_to_pixels(grid.pixels_to_grid(corners_px, 5, 7), 5, 7), corners_px)
