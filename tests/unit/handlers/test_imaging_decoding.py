"""Of each format: what is checked before decoding, what the decoder is given, and what it reports."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from dropsort.contract import formats
from handlers.imaging import decoding, jpeg, jpeg2000, jpeg_pixels, limits, png, png_pixels
from handlers.imaging.decoding import Decoded, decode
from handlers.rejections import Rejection
from tests.unit.handlers.sample_images import drawn, encoded, noise, with_chunk

SIZE = WIDTH, HEIGHT = 128, 64
PIXELS = WIDTH * HEIGHT
BITMAP: dict[str, Any] = {"sizes": [SIZE], "bitmap_format": "bmp"}
FILES: dict[str, tuple[str, bytes]] = {
    "jpeg": ("JPEG", encoded(noise(*SIZE), "JPEG")),
    "png": ("PNG", encoded(noise(*SIZE), "PNG")),
    "gif": ("GIF", encoded(drawn(*SIZE), "GIF")),
    "webp": ("WEBP", encoded(noise(*SIZE), "WEBP")),
    "webp-alpha": ("WEBP", encoded(noise(*SIZE, "RGBA"), "WEBP")),
    "tiff": ("TIFF", encoded(noise(*SIZE), "TIFF")),
    "bmp": ("BMP", encoded(noise(*SIZE), "BMP")),
    "ppm": ("PPM", encoded(noise(*SIZE), "PPM")),
    "ico": ("ICO", encoded(noise(*SIZE, "RGBA"), "ICO", **BITMAP)),
    "ico-png": ("ICO", encoded(noise(*SIZE, "RGBA"), "ICO", sizes=[SIZE])),
    "avif": ("AVIF", encoded(noise(*SIZE), "AVIF", speed=10)),
    "avif-alpha": ("AVIF", encoded(noise(*SIZE, "RGBA"), "AVIF", speed=10)),
    "jpeg2000": ("JPEG2000", encoded(noise(*SIZE), "JPEG2000")),
}
try:
    import pillow_heif

    pillow_heif.register_heif_opener()
    FILES["heif"] = ("HEIF", encoded(noise(*SIZE), "HEIF"))
except ImportError:
    pass
# Of what the rejection reads, where memory is short
KINDS = {"webp": "WEBP (RGB)", "webp-alpha": "WEBP (RGBA)", "bmp": "BMP (RGB)", "ico": "ICO", "ico-png": "PNG",
         "tiff": "TIFF", "ppm": "PPM", "avif": "AVIF (RGB)", "avif-alpha": "AVIF (RGBA)"}  # fmt: skip
# Bytes for each pixel, from what the documentation allows: 1,300 million bytes
NEEDED = {"jpeg": 9, "png": 12.9, "gif": 13, "webp": 16.5, "webp-alpha": 20.5, "tiff": 12, "bmp": 12.5, "ppm": 13, "ico": 17,
          "ico-png": 12.9, "avif": 13.5, "avif-alpha": 18.5, "jpeg2000": 25, "heif": 18}  # fmt: skip


def of(kind: str, side: int = 128, max_pixels: int = PIXELS) -> Decoded:
    name, data = FILES[kind]
    return decode(data, name, side=side, max_pixels=max_pixels)


def refused(kind: str, **options: int) -> Rejection:
    with pytest.raises(Rejection) as found:
        of(kind, **options)
    return found.value


def test_each_format_that_is_read_has_a_decoder() -> None:
    assert set(decoding._DECODERS) == set(formats.ALL)


@pytest.mark.parametrize("kind", FILES)
def test_as_many_pixels_as_are_allowed(kind: str) -> None:
    decoded = of(kind)
    assert (decoded.width, decoded.height) == decoded.image.size == SIZE
    assert getattr(decoded.image, "tile", []) == []  # it is loaded
    found = refused(kind, max_pixels=PIXELS - 1)
    assert found.code == "too_many_pixels"
    assert f"It has {WIDTH} x {HEIGHT}; {PIXELS - 1} are allowed." in str(found)


@pytest.mark.parametrize("kind", sorted(set(FILES) - {"gif", "bmp"}))
def test_pixels_are_counted_before_a_decoder_is_made(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError

    for module in (decoding, jpeg_pixels, png_pixels):
        monkeypatch.setattr(module, "open_image", fail)
    monkeypatch.setattr(jpeg2000, "load", fail)
    assert refused(kind, max_pixels=PIXELS - 1).code == "too_many_pixels"
    with pytest.raises(RuntimeError):
        of(kind)


@pytest.mark.parametrize("kind", FILES)
def test_as_much_memory_as_there_is(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    # The codecs' threads are not counted here.
    monkeypatch.setattr(limits, "bounded_memory", contextlib.nullcontext)
    needed = 13 if kind == "tiff" else NEEDED[kind]  # of TIFF, before it is known which mode Pillow reads
    monkeypatch.setattr(limits, "DECODING_BYTES", int(needed * PIXELS) + 1)
    assert of(kind).image.size == SIZE
    monkeypatch.setattr(limits, "DECODING_BYTES", int(needed * (PIXELS - 1)) + 1)
    found = refused(kind)
    assert found.code == "too_many_pixels"
    expected = KINDS.get(kind, FILES[kind][0])
    assert f"of {expected}, which takes more memory to decode, {PIXELS - 1} are allowed" in str(found)


@pytest.mark.parametrize("kind", FILES)
def test_where_headers_do_not_decide_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    entered = []

    @contextlib.contextmanager
    def bounded() -> Iterator[None]:
        entered.append(True)
        yield
        entered.append(False)

    monkeypatch.setattr(limits, "bounded_memory", bounded)
    of(kind)
    assert entered == ([] if kind in ("jpeg", "png", "gif", "bmp", "ppm") else [True, False])


PLUGINS = {
    "webp": "PIL.WebPImagePlugin", "webp-alpha": "PIL.WebPImagePlugin", "avif": "PIL.AvifImagePlugin", "avif-alpha": "PIL.AvifImagePlugin",
    "tiff": "PIL.TiffImagePlugin", "jpeg2000": "PIL.Jpeg2KImagePlugin", "ico": "PIL.IcoImagePlugin", "heif": "pillow_heif",
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_only_the_plugin_of_the_format_is_imported(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    names = []
    import_module = importlib.import_module

    def recorded(name: str) -> Any:
        if "Plugin" in name or name == "pillow_heif":
            names.append(name)
        return import_module(name)

    monkeypatch.setattr(importlib, "import_module", recorded)
    of(kind)
    assert names == ([PLUGINS[kind]] if kind in PLUGINS else [])


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(
    ("size", "fraction"),
    [
        ((63, 200), 1),
        ((64, 200), 2),
        ((200, 64), 2),
        ((127, 127), 2),
        ((128, 128), 4),
        ((255, 256), 4),
        ((256, 256), 8),
        ((600, 520), 8),
    ],
)
def test_a_jpeg_that_is_decoded_at_a_fraction_needs_less_memory(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], fraction: int, progressive: bool
) -> None:
    data = encoded(drawn(*size), "JPEG", progressive=progressive)
    pixels = size[0] * size[1]
    # Several scans are held at full size, two bytes for each coefficient.
    counted = int(pixels / fraction**2 * (0.7 * fraction**2 + 1 if progressive else 1))
    monkeypatch.setattr(limits, "DECODING_BYTES", 9 * counted)
    decode(data, "JPEG", side=16, max_pixels=pixels)
    monkeypatch.setattr(limits, "DECODING_BYTES", 9 * counted - 1)
    with pytest.raises(Rejection, match="of JPEG, which takes more memory"):
        decode(data, "JPEG", side=16, max_pixels=pixels)
    with pytest.raises(Rejection, match=f"{pixels - 1} are allowed"):
        decode(data, "JPEG", side=16, max_pixels=pixels - 1)


@pytest.mark.parametrize(
    ("scans", "size", "exact"),
    [(1, (1000, 1000), True), (1, (1_000_001, 1), False), (2, (500, 500), True), (2, (250_001, 1), False)],
)
@pytest.mark.parametrize("closed", [True, False])
def test_a_small_jpeg_is_checked_to_its_last_bits(
    monkeypatch: pytest.MonkeyPatch, scans: int, size: tuple[int, int], exact: bool, closed: bool
) -> None:
    scan = jpeg.Scan((1,), 0, 63, 0, 0, 0, 9, 0, False)
    found = jpeg.Jpeg(*size, scans=[scan] * scans, closed=closed)
    given = []

    def load(*arguments: Any, **options: Any) -> Image.Image:
        given.append((*arguments, options))
        return Image.new("L", (1, 1))

    monkeypatch.setattr(jpeg, "inspect", lambda data: found)
    monkeypatch.setattr(jpeg_pixels, "load", load)
    decoded = decode(b"data", "JPEG", side=33, max_pixels=10**7)
    assert given == [(b"data", found, 33, {"exact": exact})]
    assert (decoded.width, decoded.height, decoded.altered) == (*size, not closed)


@pytest.mark.parametrize(("size", "by_row"), [((128, 128), False), ((128, 129), True)])
def test_the_data_of_a_large_png_is_inflated_once(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], by_row: bool
) -> None:
    def fail(*_: Any) -> None:
        raise KeyError

    monkeypatch.setattr(*((png, "verify") if by_row else (png_pixels, "load_by_row")), fail)
    assert decode(encoded(drawn(*size), "PNG"), "PNG", side=8, max_pixels=10**6).image.size == size


PNG = FILES["png"][1]


@pytest.mark.parametrize(
    ("data", "altered", "bits"),
    [
        (PNG, False, None),
        (PNG[:-12], True, None),
        (with_chunk(PNG, b"acTL", bytes(8)), True, None),
        (with_chunk(PNG, b"teSt", b"x"), False, None),
        (with_chunk(PNG, b"teSt", b"x").replace(b"teStx", b"teSty"), True, None),
        (with_chunk(PNG, b"sBIT", bytes((5, 6, 5))), False, 6),
        (encoded(drawn(*SIZE, "I;16"), "PNG"), True, None),
        (encoded(drawn(*SIZE, "L"), "PNG"), False, None),
    ],
)
def test_what_a_png_has_in_addition_to_its_pixels(data: bytes, altered: bool, bits: int | None) -> None:
    decoded = decode(data, "PNG", side=64, max_pixels=PIXELS)
    assert (decoded.altered, decoded.significant_bits, decoded.no_data) == (altered, bits, None)
    assert (decoded.width, decoded.height) == SIZE


@pytest.mark.parametrize(("mode", "is_deep"), [("I;16", False), ("RGB", True), ("RGBA", False)])
def test_colour_of_16_bits_is_read_once_more(
    monkeypatch: pytest.MonkeyPatch, mode: str, is_deep: bool
) -> None:
    found = png.inspect(PNG)
    found.depth = 16
    deep = Image.new("L", (1, 1))
    monkeypatch.setattr(png, "inspect", lambda data: found)
    monkeypatch.setattr(png, "verify", lambda found: None)
    monkeypatch.setattr(decoding, "open_image", lambda file, name: drawn(*SIZE, mode))
    monkeypatch.setattr(png_pixels, "deep", lambda given, image: deep if given is found else None)
    assert (decode(PNG, "PNG", side=64, max_pixels=PIXELS).image is deep) == is_deep
