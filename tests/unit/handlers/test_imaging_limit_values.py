"""The limits are those of the documentation, and each allows its value and not one more."""

from __future__ import annotations

import contextlib
import io
import resource
from pathlib import Path
from typing import Any

import pytest

from handlers.imaging import limits
from handlers.rejections import Rejection

PAGE = (Path(__file__).resolve().parents[3] / "docs/reference/images.md").read_text(encoding="utf-8")
LIMITS = " ".join(PAGE.split("\n## Limits\n")[1].split("\n## ")[0].split())


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("MAX_SEGMENTS", 20_000, "marker segments, blocks, boxes | 20,000"),
        ("MAX_CHUNKS", 200_000, "chunks of a PNG | 200,000"),
        ("MAX_STRIPS", 100_000, "strips and tiles | 100,000"),
        ("MAX_SLOW_BYTES", 16_000_000, "read one by one | 16,000,000"),
        ("MAX_REPEATS", 1000, "scans of a JPEG | 1,000, and 25 at 100 million pixels"),
        ("MAX_WORK", 25 * 100_000_000, "scans of a JPEG | 1,000, and 25 at 100 million pixels"),
    ],
)
def test_a_limit_is_that_of_the_documentation(name: str, value: int, text: str) -> None:
    assert getattr(limits, name) == value
    assert text in LIMITS


# Millions of pixels that fit into 1,300 million bytes, of which the documentation gives those below the default of MaxMegapixels
FITTING = {
    ("JPEG", "RGB"): 144.4, ("PNG", "RGBA"): 100.8, ("GIF", "P"): 100.0, ("BMP", "RGB"): 104.0, ("TIFF", "RGB"): 108.3,
    ("TIFF", "CMYK"): 100.0, ("PPM", "L"): 100.0, ("ICO", "RGBA"): 76.5, ("AVIF", "RGB"): 96.3, ("AVIF", "RGBA"): 70.3,
    ("WEBP", "RGB"): 78.8, ("WEBP", "RGBA"): 63.4, ("HEIF", "RGB"): 72.2, ("JPEG2000", "RGB"): 52.0,
}  # fmt: skip
DOCUMENTED = {
    "96 for AVIF, 70 with alpha": (("AVIF", "RGB"), ("AVIF", "RGBA")),
    "78 for WebP, 63 with alpha": (("WEBP", "RGB"), ("WEBP", "RGBA")),
    "72 for HEIF": (("HEIF", "RGB"),),
    "52 for JPEG 2000": (("JPEG2000", "RGB"),),
}


@pytest.mark.parametrize(("name", "mode"), FITTING)
def test_how_many_pixels_of_a_format_fit_into_memory(
    monkeypatch: pytest.MonkeyPatch, name: str, mode: str
) -> None:
    monkeypatch.setattr(limits, "DECODING_BYTES", 1_300_000_000)
    most = int(1_300_000_000 / limits.bytes_per_pixel(name, mode))
    assert most / 1e6 == pytest.approx(FITTING[name, mode], abs=0.1)
    limits.check_pixels(name, mode, most, 1, 10**9)
    limits.check_pixels(name, mode, most + 1, 1, 10**9, decoded=most)
    for width, decoded in ((most + 1, 0), (2, most + 1)):
        with pytest.raises(Rejection, match=rf"has {width} x 1; of {name}.*, {most} are allowed") as found:
            limits.check_pixels(name, mode, width, 1, 10**9, decoded=decoded)
        assert found.value.code == "too_many_pixels"
        assert (f" of {name} ({mode}), " in str(found.value)) == bool(mode)
    with pytest.raises(Rejection, match=f" of {name}, "):
        limits.check_pixels(name, "", 10**9, 1, 10**9)


@pytest.mark.parametrize("text", DOCUMENTED)
def test_the_documentation_has_the_pixels_of_each_format(text: str) -> None:
    assert text in LIMITS
    numbers = [int(word) for word in text.replace("JPEG 2000", "").split() if word.isdigit()]
    assert numbers == [int(FITTING[kind]) for kind in DOCUMENTED[text]]


def test_as_many_pixels_as_are_allowed_and_not_one_more() -> None:
    limits.check_pixels("PNG", "", 7, 11, 77)
    with pytest.raises(Rejection, match="It has 6 x 13; 77 are allowed") as found:
        limits.check_pixels("PNG", "", 6, 13, 77, decoded=1)
    assert found.value.code == "too_many_pixels"


@pytest.mark.parametrize(
    ("count", "pixels", "rejected"),
    [
        (limits.MAX_REPEATS, 1, False), (limits.MAX_REPEATS + 1, 1, True),
        (25, limits.MAX_WORK // 25, False), (25, limits.MAX_WORK // 25 + 1, True),
        (20, limits.MAX_WORK, False), (21, limits.MAX_WORK // 20, True),
    ],
)  # fmt: skip
def test_the_bounds_of_how_often_a_decoder_goes_over_an_image(
    count: int, pixels: int, rejected: bool
) -> None:
    if rejected:
        with pytest.raises(Rejection, match=f"{count} or more scans of {pixels} pixels"):
            limits.check_work("JPEG", "scans", count, pixels)
    else:
        limits.check_work("JPEG", "scans", count, pixels)


def test_the_bound_of_a_count_is_allowed_and_one_more_is_not() -> None:
    limits.check_count("GIF", "blocks", 3, 3)
    with pytest.raises(Rejection, match="more than 3 blocks"):
        limits.check_count("GIF", "blocks", 4, 3)


class System:
    """What the system says of this process, and the limits that were set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pages: str | None, before: tuple[int, int]) -> None:
        def opened(path: str, mode: str) -> Any:
            assert (path, mode) == ("/proc/self/statm", "rb")
            if pages is None:
                raise FileNotFoundError
            return io.BytesIO(pages.encode())

        def set_limit(kind: int, values: tuple[int, int]) -> None:
            assert kind == resource.RLIMIT_DATA
            self.limits.append(values)

        self.limits: list[tuple[int, int]] = []
        monkeypatch.setattr(limits, "open", opened, raising=False)
        monkeypatch.setattr(limits, "DECODING_BYTES", 1_000_000)
        monkeypatch.setattr(resource, "getpagesize", lambda: 4096)
        monkeypatch.setattr(
            resource, "getrlimit", lambda kind: before if kind == resource.RLIMIT_DATA else None
        )
        monkeypatch.setattr(resource, "setrlimit", set_limit)


NO_LIMIT = resource.RLIM_INFINITY
WANTED = 600 * 4096 + 1_000_000 + 100_000_000


@pytest.mark.parametrize(
    ("before", "within"),
    [
        ((NO_LIMIT, NO_LIMIT), WANTED),
        ((WANTED - 1, NO_LIMIT), WANTED - 1),
        ((WANTED + 1, WANTED + 2), WANTED),
        ((NO_LIMIT, WANTED - 2), WANTED - 2),
    ],
)
def test_what_may_be_allocated_is_what_is_in_use_and_what_decoding_needs(
    monkeypatch: pytest.MonkeyPatch, before: tuple[int, int], within: int
) -> None:
    # GIVEN sizes in pages: of the program, in memory, shared, text, libraries, data
    system = System(monkeypatch, "9000 8000 700 50 1 600 2\n", before)
    found: list[tuple[int, int]] = []
    with contextlib.suppress(KeyError), limits.bounded_memory():
        found += system.limits
        raise KeyError
    assert found == [(within, before[1])]
    # THEN the limit is as before after an error too
    assert system.limits == [*found, before]


@pytest.mark.parametrize("pages", [None, "", "9000 8000 700 50 1"])
def test_where_the_system_does_not_say_what_is_in_use_there_is_no_limit(
    monkeypatch: pytest.MonkeyPatch, pages: str | None
) -> None:
    system = System(monkeypatch, pages, (NO_LIMIT, NO_LIMIT))
    with limits.bounded_memory():
        pass
    assert system.limits == []
