"""Images on pages: what is decoded, and what is not."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest
from PIL import Image

from dropsort.pages.images import NoThumbnail, captured_images, file_thumbnail, thumbnail
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
