"""Sample images for the demo: CIFAR-100 if it can be downloaded, else drawn ones.

The drawn bicycles and motorcycles have many sizes and formats. Both come with one file that is not an image.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from dropsort.contract.progress import OnStep, Progress, no_progress, no_steps
from training.dataset import cifar
from training.errors import TrainingError

LABELS = ("bicycle", "motorcycle")
SIDES = (32, 32, 64, 96, 128, 240, 400)
FORMATS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("png", {}),
    ("jpg", {"quality": 90}),
    ("webp", {"quality": 90}),
    ("bmp", {}),
    ("gif", {}),
    ("tiff", {}),
)
NOT_AN_IMAGE = "readme.jpg"
_CANVAS = 256
Colour = tuple[int, int, int]


class SampleImages(NamedTuple):
    """Sample files: `images` below folders named by label, `other` files that are not images; `origin` in words."""

    images: list[Path]
    other: list[Path]
    origin: str


def make(
    folder: Path,
    count: int = 24,
    progress: OnStep = no_steps,
    *,
    seed: int = 0,
    cache: Path | None = None,
) -> SampleImages:
    """`download`, or `drawn` if CIFAR-100 does not respond within three seconds; `progress` reports which, and why."""

    def downloading(done: int, total: int) -> None:
        progress(f"Downloading CIFAR-100: {done / 1e6:.0f} of {total / 1e6:.0f} MB")

    try:
        socket.create_connection((cifar.ADDRESS.split("/")[2], 443), timeout=3).close()
        return download(folder, count, seed=seed, cache=cache, progress=downloading)
    except (OSError, TrainingError) as error:
        progress(f"CIFAR-100 cannot be downloaded ({error}): drawing sample images instead")
        return drawn(folder, count, seed)


def download(
    folder: Path,
    count: int = 24,
    *,
    seed: int = 0,
    cache: Path | None = None,
    address: str = cifar.ADDRESS,
    md5: str = cifar.MD5,
    progress: Progress = no_progress,
) -> SampleImages:
    """Test images of CIFAR-100, `count` in all, and one file that is not an image.

    The archive (169 MB) is cached in `cache`, by default ~/.cache/dropsort. Raises TrainingError if it cannot be downloaded.
    """
    archive = cifar.fetch(
        cache or Path.home() / ".cache" / "dropsort", address=address, md5=md5, progress=progress
    )
    images = cifar.read(archive, LABELS, ("test",))
    random = np.random.default_rng(seed)
    paths = []
    for i in random.permutation(len(images))[:count]:
        path = folder / images[i].label / f"cifar100-{images[i].row:05d}.png"
        paths.append(_save(Image.fromarray(images[i].pixels), path, {}))
    return SampleImages(paths, [_not_an_image(folder)], "CIFAR-100, test images")


def drawn(folder: Path, count: int = 24, seed: int = 0) -> SampleImages:
    """Drawn images, half of each label, and one file that is not an image; the same seed draws the same."""
    paths = []
    for number in range(count):
        random = np.random.default_rng([seed, number])
        label = LABELS[number % 2]
        side = int(random.choice(SIDES))
        suffix, options = FORMATS[int(random.integers(len(FORMATS)))]
        image = draw(label, random).resize((side, side), Image.Resampling.LANCZOS)
        paths.append(_save(image, folder / label / f"drawn-{number:03d}.{suffix}", options))
    return SampleImages(paths, [_not_an_image(folder)], "drawn")


def _save(image: Image.Image, path: Path, options: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def _not_an_image(folder: Path) -> Path:
    path = folder / NOT_AN_IMAGE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "Images of bicycles and motorcycles. This file is not an image, despite its name.\n", encoding="utf-8"
    )
    return path


class _Brush:
    """Draws in units of the vehicle: x from -1 (rear) to 1 (front), y upwards from the ground, mirrored half the time."""

    def __init__(self, canvas: Image.Image, random: np.random.Generator) -> None:
        self.draw = ImageDraw.Draw(canvas)
        self.sign = 1 if random.random() < 0.5 else -1
        self.scale = _CANVAS * random.uniform(0.40, 0.46)
        self.tilt = math.radians(random.uniform(-4, 4))
        self.ground = _CANVAS * random.uniform(0.80, 0.88)

    def at(self, x: float, y: float) -> tuple[float, float]:
        x *= self.sign
        turned = (
            x * math.cos(self.tilt) - y * math.sin(self.tilt),
            x * math.sin(self.tilt) + y * math.cos(self.tilt),
        )
        return _CANVAS / 2 + turned[0] * self.scale, self.ground - turned[1] * self.scale

    def line(self, points: list[tuple[float, float]], colour: Colour, width: float) -> None:
        self.draw.line(
            [self.at(*p) for p in points], colour, max(1, round(width * self.scale)), joint="curve"
        )

    def area(self, points: list[tuple[float, float]], colour: Colour) -> None:
        self.draw.polygon([self.at(*p) for p in points], colour)

    def ring(self, x: float, y: float, radius: float, colour: Colour, width: float) -> None:
        (cx, cy), r = self.at(x, y), radius * self.scale
        self.draw.ellipse(
            (cx - r, cy - r, cx + r, cy + r), outline=colour, width=max(1, round(width * self.scale))
        )

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        (cx, cy), r = self.at(x, y), radius * self.scale
        self.draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=colour)


def draw(label: str, random: np.random.Generator) -> Image.Image:
    """One drawing, 256 x 256 RGB, of a bicycle or a motorcycle seen from the side."""
    if label not in LABELS:
        raise TrainingError(f"only {' and '.join(LABELS)} can be drawn, not {label!r}")
    canvas = _ground(random)
    paint: Callable[[_Brush, Colour, np.random.Generator], None] = (
        _bicycle if label == "bicycle" else _motorcycle
    )
    paint(_Brush(canvas, random), _vivid(random), random)
    grain = random.normal(0, random.uniform(2, 6), (_CANVAS, _CANVAS, 1))
    pixels = np.asarray(canvas.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.0))), np.float32) + grain
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _vivid(random: np.random.Generator) -> Colour:
    palette = (
        (190, 30, 35),
        (25, 70, 160),
        (30, 30, 35),
        (20, 110, 60),
        (215, 140, 20),
        (150, 150, 155),
        (120, 25, 90),
    )
    r, g, b = palette[int(random.integers(len(palette)))]
    return r, g, b


def _ground(random: np.random.Generator) -> Image.Image:
    if random.random() < 0.5:  # as in a catalogue
        level = int(random.integers(225, 256))
        canvas = Image.new("RGB", (_CANVAS, _CANVAS), (level, level, level))
        ImageDraw.Draw(canvas).ellipse((30, 205, 226, 235), fill=(level - 25, level - 25, level - 25))
        return canvas.filter(ImageFilter.GaussianBlur(9))
    above = ((150, 180, 205), (120, 140, 95), (165, 150, 135), (205, 205, 200))[int(random.integers(4))]
    below = ((120, 120, 122), (150, 140, 120), (95, 125, 70))[int(random.integers(3))]
    canvas = Image.new("RGB", (_CANVAS, _CANVAS), above)
    brush = ImageDraw.Draw(canvas)
    for _ in range(14):
        x, y, r = random.uniform(0, 256), random.uniform(20, 160), random.uniform(15, 50)
        shade = int(random.integers(-28, 28))
        red, green, blue = (int(np.clip(v + shade, 0, 255)) for v in above)
        brush.ellipse((x - r, y - r, x + r, y + r), fill=(red, green, blue))
    brush.rectangle((0, int(random.integers(165, 195)), 256, 256), fill=below)
    return canvas.filter(ImageFilter.GaussianBlur(7))


def _bicycle(brush: _Brush, frame: Colour, random: np.random.Generator) -> None:
    tyre, metal, r = (35, 35, 38), (165, 165, 170), 0.40
    for x in (-0.58, 0.58):
        for k in range(10):
            a = math.pi * k / 10
            ends = [(x + s * r * math.cos(a), r + s * r * math.sin(a)) for s in (-1, 1)]
            brush.line(ends, metal, 0.006)
        brush.ring(x, r, r, tyre, 0.04)
        brush.disc(x, r, 0.035, metal)
    rear, crank, seat, head, fork = (-0.58, r), (-0.08, 0.36), (-0.22, 0.92), (0.38, 0.93), (0.42, 0.80)
    width = random.uniform(0.035, 0.05)
    for one, other in (
        (rear, crank),
        (rear, seat),
        (crank, seat),
        (seat, head),
        (crank, fork),
        (head, (0.58, r)),
    ):
        brush.line([one, other], frame, width)
    brush.line([seat, (-0.25, 1.03)], metal, 0.03)
    brush.area([(-0.42, 1.06), (-0.08, 1.05), (-0.12, 1.01), (-0.38, 1.00)], tyre)
    brush.line([head, (0.35, 1.06), (0.52, 1.10), (0.56, 1.02)], tyre, 0.035)
    brush.ring(*crank, 0.10, (60, 60, 64), 0.03)
    brush.line([(crank[0], crank[1]), (0.05, 0.20)], (60, 60, 64), 0.03)
    brush.line([(-0.02, 0.19), (0.12, 0.19)], tyre, 0.035)
    brush.line([(-0.08, 0.46), (-0.58, 0.44)], (70, 70, 72), 0.012)


def _motorcycle(brush: _Brush, paint: Colour, random: np.random.Generator) -> None:
    black, metal, dark, r = (28, 28, 30), (175, 178, 182), (62, 62, 66), 0.33
    for x in (-0.62, 0.64):
        brush.disc(x, r, r, black)
        brush.disc(x, r, r * 0.62, dark)
        brush.disc(x, r, r * 0.50, metal)
        brush.disc(x, r, r * 0.34, dark)
        brush.disc(x, r, r * 0.14, metal)
    brush.line([(0.64, r), (0.40, 0.98)], metal, 0.075)
    brush.line([(-0.62, r), (-0.10, 0.40)], dark, 0.09)
    # Engine
    brush.area([(-0.30, 0.62), (0.32, 0.66), (0.36, 0.30), (0.22, 0.14), (-0.18, 0.14), (-0.34, 0.34)], dark)
    for k in range(4):
        brush.line([(-0.04, 0.34 + 0.06 * k), (0.26, 0.34 + 0.06 * k)], metal, 0.022)
    brush.disc(-0.08, 0.30, 0.12, metal)
    brush.line([(0.20, 0.40), (0.26, 0.16), (-0.20, 0.13), (-0.88, 0.26)], metal, 0.085)  # exhaust
    # Tank
    brush.area([(-0.12, 0.68), (-0.06, 0.88), (0.14, 0.96), (0.36, 0.92), (0.42, 0.76), (0.28, 0.62)], paint)
    # Seat
    brush.area(
        [(-0.10, 0.84), (-0.42, 0.80), (-0.82, 0.92), (-0.86, 0.84), (-0.50, 0.66), (-0.10, 0.68)], black
    )
    brush.area([(-0.50, 0.68), (-0.92, 0.84), (-0.90, 0.72), (-0.62, 0.62), (-0.30, 0.60)], paint)  # tail
    brush.area([(0.34, 0.72), (0.40, 0.92), (0.62, 0.94), (0.70, 0.80), (0.56, 0.66)], paint)  # fairing
    if random.random() < 0.6:
        brush.area([(0.44, 0.94), (0.38, 1.12), (0.46, 1.13), (0.62, 0.93)], (150, 165, 175))  # screen
    brush.disc(0.66, 0.82, 0.085, (235, 235, 215))
    brush.line([(0.36, 1.00), (0.20, 1.06)], black, 0.05)
    # Mudguard
    brush.area([(0.36, 0.62), (0.64, 0.74), (0.94, 0.52), (0.88, 0.50), (0.64, 0.66), (0.42, 0.56)], paint)
