"""The checks of labelled images: what shows nothing, contradicting labels, likely label errors."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from training.dataset import LabelledImage, checks
from training.inference import decode


def test_images_that_show_nothing_are_found(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (128, 128), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "sharp.png")
    assert checks.legibility(LabelledImage(tmp_path / "sharp.png", "")) is None
    made = {
        "blank": Image.new("L", (128, 128), 128),
        "dark": Image.fromarray(noise // 8),
        "blurred": Image.fromarray(noise).filter(ImageFilter.GaussianBlur(5)),
    }
    for kind, image in made.items():
        image.save(tmp_path / f"{kind}.png")
        found = checks.legibility(LabelledImage(tmp_path / f"{kind}.png", ""))
        assert found
        assert found.kind == kind, found.why


def test_near_duplicates_with_different_labels_contradict(image_tree: Callable[..., Path]) -> None:
    folder = image_tree(2) / "red"
    Image.open(folder / "0.png").point(lambda value: min(255, value + 2)).save(folder / "again.png")
    names = (("0.png", "red"), ("1.png", "red"), ("again.png", "blue"))
    found = checks.contradictions([LabelledImage(folder / name, label) for name, label in names])
    assert [(one.path.name, one.kind) for one in found] == [("0.png", "contradiction")]


def test_confident_disagreement_is_a_likely_label_error_and_doubt_is_none() -> None:
    # GIVEN 20 images of each label; one confidently of the other label, one doubtful, one of a label that the model does not know
    images = [LabelledImage(Path(f"{i}"), "ab"[i % 2]) for i in range(40)] + [LabelledImage(Path("c"), "c")]
    first = np.array([0.95 if i % 2 == 0 else 0.05 for i in range(40)] + [0.99])
    first[4], first[7] = 0.03, 0.45

    found = checks.label_errors(images, np.stack([first, 1 - first], 1), ["a", "b"])

    assert [one.path.name for one in found] == ["4"]
    assert "the model predicts 'b' (0.97)" in found[0].why
    assert checks.label_errors([], np.zeros((0, 2)), ["a", "b"]) == []
    # AND nothing is an error of a label that the model does not know, whatever it predicts
    unknown = [*images[:2], LabelledImage(Path("c"), "c")]
    assert checks.label_errors(unknown, np.array([[0.9, 0.1], [0.1, 0.9], [0.02, 0.98]]), ["a", "b"]) == []


def stripes(path: Path, low: int, high: int) -> LabelledImage:
    """An image whose upper half is dark and whose lower half is bright."""
    pixels = np.full((16, 16), low, np.uint8)
    pixels[8:] = high
    Image.fromarray(pixels).save(path)
    return LabelledImage(path, "")


@pytest.mark.parametrize(
    ("low", "high", "why"),
    [
        (124, 131, "its luminance differs by 3.5 of 255 only, at least 4 expected"),
        (124, 132, "its sharpness (variance of the Laplacian) is "),
        (20, 28, "its sharpness (variance of the Laplacian) is "),
        (19, 28, "its mean luminance is 24 of 255, at least 24 expected"),
        (0, 0, "its luminance differs by 0.0 of 255 only, at least 4 expected"),
    ],
)
def test_the_bounds_of_what_shows_nothing(tmp_path: Path, low: int, high: int, why: str) -> None:
    found = checks.legibility(stripes(tmp_path / "a.png", low, high))
    assert found is not None
    assert found.why.startswith(why)


def test_the_blur_of_an_image_is_the_variance_of_its_laplacian(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scipy import ndimage

    assert (checks.DISTANCE, checks.SIDE, checks.DARK, checks.BLANK, checks.BLURRED) == (
        4,
        128,
        24.0,
        4.0,
        150.0,
    )
    pixels = np.random.default_rng(0).integers(60, 90, (12, 20), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = LabelledImage(tmp_path / "a.png", "")
    variance = float(ndimage.laplace(pixels.astype(float))[1:-1, 1:-1].var())
    monkeypatch.setattr(checks, "BLURRED", variance * (1 - 1e-9))
    assert checks.legibility(image) is None
    monkeypatch.setattr(checks, "BLURRED", variance * (1 + 1e-9))
    found = checks.legibility(image)
    assert found is not None
    expected = f"{variance:.1f}, at least {variance:.0f} expected"
    assert found.why == f"its sharpness (variance of the Laplacian) is {expected}"
    # One without a middle is not blurred, one with a single pixel in it is.
    for side, blurred in ((2, False), (3, True)):
        Image.fromarray(pixels[:side, :3]).save(tmp_path / "b.png")
        assert (checks.legibility(LabelledImage(tmp_path / "b.png", "")) is not None) is blurred
    # A larger image is measured at 128 pixels.
    Image.fromarray(np.kron(pixels, np.ones((32, 32), np.uint8))).save(tmp_path / "c.png")
    monkeypatch.setattr(checks, "BLURRED", 1e9)
    small = Image.fromarray(decode((tmp_path / "c.png").read_bytes())).convert("L")
    small.thumbnail((128, 128))
    expected = ndimage.laplace(np.asarray(small, float))[1:-1, 1:-1].var()
    found = checks.legibility(LabelledImage(tmp_path / "c.png", ""))
    assert found is not None
    assert f" is {expected:.1f}, at least 1000000000 expected" in found.why


def test_four_of_64_bits_are_so_near_that_labels_contradict() -> None:
    images = [
        LabelledImage(Path(name), label) for name, label in (("a", "x"), ("b", "y"), ("c", "y"), ("d", "x"))
    ]
    hashes = dict(zip((image.path for image in images), (0, 0b1111, 0b11111 << 20, 0b1), strict=True))
    found = checks.contradictions(images, hashes)
    assert [(one.path.name, one.why) for one in found] == [
        ("a", "'x', but the near-duplicate b is 'y'"), ("b", "'y', but the near-duplicate d is 'x'")
    ]  # fmt: skip


def test_as_probable_as_a_label_is_on_average_is_confident_and_the_most_certain_error_is_first() -> None:
    images = [LabelledImage(Path(str(number)), label) for number, label in enumerate("aaabb")]
    first = np.array([0.25, 0.5, 0.75, 0.0, 0.5])  # on average 0.5 for a; 0.75 for b
    found = checks.label_errors(images, np.stack([first, 1 - first], 1), ["a", "b"])
    assert [(one.path.name, one.kind) for one in found] == [("0", "label"), ("4", "label")]
    assert found[0].why == "'a', but the model predicts 'b' (0.75)"
    # Of a label that is never predicted, not even for its own images, nobody is confident either.
    three = [LabelledImage(Path(str(number)), label) for number, label in enumerate("aabcc")]
    sure = [[0.1, 0.0, 0.9], [0.9, 0.0, 0.1], [0.4, 0.0, 0.6], [0.0, 0.05, 0.95], [0.0, 0.05, 0.95]]
    assert checks.label_errors(three, np.array(sure), ["a", "b", "c"]) == []
    # Nobody is confident of a label that no image has, of which there is no average either.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert checks.label_errors(images[:2], np.array([[0.1, 0.9], [0.2, 0.8]]), ["a", "b"]) == []
    some = checks.label_errors(
        images, np.array([[0.2, 0.8], [0.05, 0.95], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]]), ["a", "b"]
    )
    assert [one.path.name for one in some] == ["1", "0"]
