"""Augmentation of training images: mirrored, rotated, shifted, scaled and recoloured, a batch at a time."""

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


def colour(images: Tensor, random: torch.Generator) -> Tensor:
    """Brightness, contrast and saturation varied by up to a quarter; pixel values stay within 0 to 255."""

    def factor() -> Tensor:
        return (1 + (torch.rand(len(images), 1, 1, 1, generator=random) * 2 - 1) * 0.25).to(images.device)

    images = images * factor()
    mean = images.mean((1, 2, 3), keepdim=True)
    images = (images - mean) * factor() + mean
    grey = images.mean(1, keepdim=True)
    return ((images - grey) * factor() + grey).clamp(0, 255)


def augment(images: Tensor, random: torch.Generator, mirror: bool = True) -> Tensor:
    """An augmented copy of images [N, 3, side, side], values 0 to 255; the border is padded by reflection."""
    maps = geometry(len(images), random, mirror).to(images.device)
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    moved = functional.grid_sample(
        images, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    return colour(moved, random)
