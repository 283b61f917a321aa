"""Training pictures, varied: mirrored, turned, shifted, scaled and recoloured a little, a batch at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def geometry(count: int, random: torch.Generator, mirror: bool = True) -> Tensor:
    """Affine maps [count, 2, 3]: mirrored half the time (if at all), +-12 degrees, +-15 % scale, +-12 % shift."""

    def uniform(limit: float) -> Tensor:
        return (torch.rand(count, generator=random) * 2 - 1) * limit

    angle, scale = uniform(math.radians(12)), 1 + uniform(0.15)
    sign = torch.where(torch.rand(count, generator=random) < 0.5, -1.0 if mirror else 1.0, 1.0)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = (
        torch.stack([cos * sign, -sin, uniform(0.24)], 1),
        torch.stack([sin * sign, cos, uniform(0.24)], 1),
    )
    return torch.stack(rows, 1)


def colour(pictures: Tensor, random: torch.Generator) -> Tensor:
    """Brightness, contrast and saturation varied by up to a quarter; pixel values stay within 0 to 255."""

    def factor() -> Tensor:
        return (1 + (torch.rand(len(pictures), 1, 1, 1, generator=random) * 2 - 1) * 0.25).to(pictures.device)

    pictures = pictures * factor()
    mean = pictures.mean((1, 2, 3), keepdim=True)
    pictures = (pictures - mean) * factor() + mean
    grey = pictures.mean(1, keepdim=True)
    return ((pictures - grey) * factor() + grey).clamp(0, 255)


def augment(pictures: Tensor, random: torch.Generator, mirror: bool = True) -> Tensor:
    """A varied copy of pictures [N, 3, side, side], values 0 to 255; what is shifted in mirrors the edge."""
    maps = geometry(len(pictures), random, mirror).to(pictures.device)
    grid = functional.affine_grid(maps, list(pictures.shape), align_corners=False)
    moved = functional.grid_sample(
        pictures, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    return colour(moved, random)
