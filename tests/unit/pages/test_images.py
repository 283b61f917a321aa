"""Images on pages: what is decoded, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from dropsort.pages.images import NoThumbnail, file_thumbnail, thumbnail
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
