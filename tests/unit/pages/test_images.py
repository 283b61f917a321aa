"""Images on pages: what is decoded, and what is not."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from dropsort.pages import images
from dropsort.pages.images import (
    GalleryImage,
    NoThumbnail,
    captured_images,
    file_thumbnail,
    showable,
    thumbnail,
)
from monitoring.aggregates.cells import Series, Uncertain
from tests.unit.handlers.sample_images import encoded, many_scans


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(encoded(Image.new("RGB", (64, 64), "red"), "TGA"), id="TGA"),
        pytest.param(encoded(Image.new("RGB", (64, 64), "red"), "EPS"), id="EPS"),
        pytest.param(many_scans(200, 160, 6000), id="many scans"),
    ],
)
def test_hostile_images_are_decoded_within_the_limits_of_the_workflow(image: bytes, tmp_path: Path) -> None:
    """GIVEN what the workflow does not decode, in a capture or a file WHEN read THEN it is not decoded here either."""
    (tmp_path / "image").write_bytes(image)

    with pytest.raises(NoThumbnail, match="not an image that can be shown"):
        thumbnail(image)
    data, note = file_thumbnail(tmp_path / "image")
    assert (data, "not an image that can be shown" in note) == ("", True)


def test_only_ids_of_inferences_are_looked_up() -> None:
    # GIVEN an inference with an id and one without, for which a listing of the whole bucket would search in vain
    series = Series("2026-11-02T09:00:00Z", "e", "v")
    found = [(series, Uncertain(1, "d", 0, "f", 1, 0, "a", 500_000_000, "event", one)) for one in ("i1", "")]
    requested: list[set[str]] = []

    def keys(ids: Collection[str]) -> dict[str, str]:
        requested.append(set(ids))
        return {"i1": "incoming/a.jpg"}

    def gone(_file: str, _offset: int) -> bytes:
        raise FileNotFoundError

    first, second = captured_images(found, gone, keys)
    assert requested == [{"i1"}]
    assert (first.lines[0], second.lines[0]) == ("incoming/a.jpg", "")
    assert (first.id, second.id) == ("inference i1", "event event")
    assert {first.note, second.note} == {"the capture file is gone"}


def a_line(image: bytes) -> bytes:
    data = {"data": base64.b64encode(image).decode(), "encoding": "BASE64"}
    return json.dumps({"captureData": {"endpointInput": data}}).encode()


@pytest.mark.parametrize(
    ("size", "blank", "kind", "shown"),
    [((40, 64), False, "png", (40, 64)), ((65, 40), False, "jpeg", (65, 40)), ((600, 300), False, "jpeg", (256, 128)),
     ((600, 300), True, "jpeg", (256, 128))],
)  # fmt: skip
def test_a_thumbnail_keeps_tiny_images_and_makes_others_small(
    size: tuple[int, int], blank: bool, kind: str, shown: tuple[int, int]
) -> None:
    image = Image.new("RGB", size, "red") if blank else Image.effect_noise(size, 50).convert("RGB")
    data, note = thumbnail(encoded(image, "PNG"))
    start, _, content = data.partition(",")
    assert (start, note) == (f"data:image/{kind};base64", f"{size[0]} × {size[1]}")
    with Image.open(io.BytesIO(base64.b64decode(content))) as small:
        assert small.size == shown


def test_what_has_too_many_pixels_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_SHOWN_PIXELS", 99)
    assert thumbnail(encoded(Image.effect_noise((9, 11), 50), "PNG"))[1] == "9 × 11"
    with pytest.raises(NoThumbnail, match="too large to show"):
        thumbnail(encoded(Image.effect_noise((10, 10), 50), "PNG"))


def test_an_image_has_its_size_below_it_and_one_that_is_not_there_the_reason_in_its_place() -> None:
    series = Series("2026-11-02T09:00:00Z", "e", "v")
    found = [(series, Uncertain(1, "d", 0, "f", 1, n, "a", 500_000_000, "event", "")) for n in (0, 1, 2)]
    content = {0: a_line(encoded(Image.effect_noise((40, 30), 50), "PNG")), 1: a_line(b"no image"), 2: b"{}"}
    shown, other, no_line = captured_images(found, lambda _file, offset: content[offset])
    assert (shown.note, shown.lines) == ("40 × 30", ("", "40 × 30", "2026-11-02 09:00"))
    assert (other.data, other.lines) == ("", ("", "", "2026-11-02 09:00"))
    assert other.note.startswith("not an image that can be shown")
    assert (no_line.data, no_line.note != "") == ("", True)


def test_each_image_is_shown_once_and_reasons_only_where_none_can_be() -> None:
    def made(number: int, data: str) -> GalleryImage:
        return GalleryImage(str(number), "", data)

    assert made(0, "").note == ""
    found = [made(0, ""), made(1, "a"), made(2, "a"), made(3, "b"), made(4, "c")]
    assert [one.title for one in showable(found)] == ["1", "3", "4"]
    assert [one.title for one in showable(found, most=2)] == ["1", "3"]
    assert len(showable([made(number, "") for number in range(8)])) == 6


def test_an_error_of_a_decoder_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    image = encoded(Image.effect_noise((40, 30), 50), "PNG")
    monkeypatch.setattr(images, "formats", SimpleNamespace(PILLOW=("TGA",)))
    with pytest.raises(NoThumbnail, match=r"not an image that can be shown \(UnidentifiedImageError\)"):
        thumbnail(image)
