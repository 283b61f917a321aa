"""Fuzzes the reading of images: structure-aware mutations, counted CPU time, bounded memory, and pixels held against a second decoder.

    python -m benchmarks.fuzz_images --minutes 60 --seed 1 --keep fuzz-findings

Needs what requirements/fuzz.in names, in addition to Pillow. Parts of a file (chunks, segments, boxes, tags) are mutated, left
out, doubled and put in another order, with lengths and checksums made right again. Each file is normalised in a process of its own with
the memory of the function as its hard limit; the process is replaced when it ends. A finding is a crash, an exception that is no
rejection, more CPU time than allowed, memory beyond the limit, or an image called whole whose pixels differ from those of OpenCV, or
of FFmpeg for HEIC, ICO and JPEG 2000, by more than rounding.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import importlib.util
import io
import json
import multiprocessing
import random
import re
import resource
import struct
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.image_mutations import mutated, one_bit_changed, seeds

MEMORY_BYTES = 1769 * 1024 * 1024  # of the function
CPU_SECONDS = 55.0  # its time-out
MEAN_DIFFERENCE = 1.0  # of 255; decoders round differently ...
FAR, FAR_SHARE = 48, 0.002  # ... and sample chroma up differently, at edges
SIDE = 1024
_PPM_OF_255 = re.compile(rb"P[2356]\s+\d+\s+\d+\s+255\s")


def worker(pipe: Connection) -> None:
    """Normalise what comes, under the function's memory, and respond with the outcome and its CPU time."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from handlers import imaging
    from handlers.rejections import Rejection

    while True:
        data = pipe.recv_bytes()
        started = time.process_time()
        result = b""
        try:
            result = imaging.prepare(data, side=SIDE, max_pixels=100_000_000).data
            outcome = "read"
        except Rejection as rejection:
            outcome = rejection.code
        except BaseException as error:
            outcome = f"!{type(error).__name__}: {error}"[:200]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pipe.send((outcome, time.process_time() - started, peak, result))


class WorkerProcess:
    """A worker that is replaced when it ends."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def _start(self) -> None:
        self._pipe, theirs = self._context.Pipe()
        self._process = self._context.Process(target=worker, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def run(self, data: bytes) -> tuple[str, float, int, bytes]:
        """Outcome, CPU seconds, peak memory in KiB, and the normalised image."""
        try:
            self._pipe.send_bytes(data)
            if self._pipe.poll(4 * CPU_SECONDS):
                found: tuple[str, float, int, bytes] = self._pipe.recv()
                return found
            outcome = "!took too long"
        except (EOFError, OSError):
            outcome = "!died"
        self._process.kill()
        self._start()
        return outcome, CPU_SECONDS, 0, b""

    def close(self) -> None:
        """End the worker."""
        self._process.kill()


def _by_opencv(data: bytes) -> Any:
    """Pixels as [height, width, blue-green-red]; None if it does not read them."""
    import cv2
    import numpy as np

    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def _avif_by_opencv(data: bytes) -> Any:
    """As `_by_opencv`, grey with the range that the item says, which OpenCV leaves out."""
    import cv2
    import numpy as np

    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.ndim > 2:
        return None if found is None else _by_opencv(data)
    if (_colour(data) or (0, True))[1]:
        return cv2.cvtColor(found, cv2.COLOR_GRAY2BGR)
    spread = ((found.astype(np.float32) - 16) * 255 / 219).clip(0, 255)
    return cv2.cvtColor(spread.astype(np.uint8), cv2.COLOR_GRAY2BGR)


def _by_ffmpeg(data: bytes) -> Any:
    """As `_by_opencv`, for JPEG 2000, which that reads by OpenJPEG, as Pillow does; FFmpeg has a decoder of its own.

    The colours of JPEG 2000 are sYCC, of the full range, where they are not RGB.
    """
    import av

    try:
        with av.open(io.BytesIO(data)) as container:
            frame = next(container.decode(video=0))
            if container.format.name == "j2k_pipe" and frame.format.name.startswith("yuv"):
                frame = frame.reformat(format="bgr24", src_colorspace="ITU601", src_color_range="JPEG")
            return frame.to_ndarray(format="bgr24")
    except (av.FFmpegError, StopIteration, ValueError, IndexError):
        return None


def _heif_by_ffmpeg(data: bytes) -> Any:
    """As `_by_opencv`, for HEIC, which OpenCV does not read: FFmpeg has a decoder of its own, and not libde265.

    It gives each tile of a grid alone.
    """
    import av
    import numpy as np

    from handlers.imaging import heif
    from handlers.rejections import NotUnderstood

    try:
        numbers, across = heif.grid(data)
        colour = next(heif.coded_images(data)).colour
    except (NotUnderstood, StopIteration):
        numbers, across, colour = [], 1, None
    tiles = []
    try:
        for number in numbers or [0]:
            with av.open(io.BytesIO(data)) as container:
                streams = container.streams.video
                stream = next(
                    (stream for stream in streams if stream.id == number), None if numbers[1:] else streams[0]
                )
                tiles.append(_coloured(next(container.decode(stream)), colour))
        rows = [np.hstack(tiles[at : at + across]) for at in range(0, len(tiles), across)]
        return np.vstack(rows)
    except (av.FFmpegError, StopIteration, ValueError, IndexError):
        return None


def _coloured(frame: Any, colour: tuple[int, bool] | None) -> Any:
    """Its pixels by the colour that the item says, which counts before that of its data, the only one that FFmpeg reads."""
    import av
    import numpy as np

    if colour is None or frame.format.name.startswith("gray"):
        return frame.to_ndarray(format="bgr24")
    matrix, full = colour
    # From the planes, as some names of formats say that the range is full.
    planes = np.empty((3, frame.height, frame.width), np.uint8)
    for plane, found in zip(planes, frame.planes, strict=True):
        values = np.frombuffer(found, np.uint8).reshape(found.height, found.line_size)[:, : found.width]
        down, across = (-(-whole // part) for whole, part in zip(plane.shape, values.shape, strict=True))
        plane[:] = values.repeat(down, 0).repeat(across, 1)[: frame.height, : frame.width]
    if not matrix:  # green, blue and red
        return planes[[1, 0, 2]].transpose(1, 2, 0)
    frame = av.VideoFrame.from_ndarray(planes, format="yuv444p")
    frame.colorspace, frame.color_range = matrix, 1 + full
    return frame.to_ndarray(format="bgr24")


def _colour(data: bytes) -> tuple[int, bool] | None:
    """Matrix coefficients and whether the range is full, of HEIF and AVIF."""
    from handlers.imaging import heif
    from handlers.rejections import NotUnderstood

    try:
        return heif.colour(data)
    except NotUnderstood:
        return None


def _shows_from_within(data: bytes) -> bool:
    """Whether the file shows another part of its coded images than the upper left, which FFmpeg does not cut out."""
    from handlers.imaging import heif
    from handlers.rejections import NotUnderstood

    try:
        return any(not coded.width for coded in heif.coded_images(data))
    except NotUnderstood:
        return False


def _icon_by_ffmpeg(data: bytes) -> Any:
    """As `_by_opencv`, the largest image of an icon, over white; alpha that is 0 everywhere counts for nothing.

    FFmpeg gives the pixels alone; the mask is that which `handlers.imaging.icon` finds. FFmpeg counts colours as the directory does, which
    nothing else reads, and takes away a palette that is not there.
    """
    import av
    import numpy as np

    from handlers.imaging import icon

    place = int.from_bytes(data[18:22], "little")
    bitmap = not data.startswith(b"\x89PNG", place)
    if bitmap:
        size, (width, height) = (
            int.from_bytes(data[14:18], "little"),
            struct.unpack_from("<ii", data, place + 4),
        )
        content = data[place:][: size if size > 40 else None]
        data = icon.alone(content, data[place:], data[6:22], abs(width), abs(height) // 2)
        data = data[:8] + b"\0" + data[9:]
        if int.from_bytes(data[36:38], "little") > 8:
            data = data[:54] + bytes(4) + data[58:]
    try:
        with av.open(io.BytesIO(data), format="ico") as container:
            largest = max(container.streams.video, key=lambda stream: stream.width * stream.height)
            pixels = next(container.decode(largest)).to_ndarray(format="bgra").astype(np.int32)
    except (av.FFmpegError, StopIteration, ValueError, IndexError):
        return None
    height, width = pixels.shape[:2]
    if bitmap and int.from_bytes(data[36:38], "little") < 32:  # FFmpeg leaves out the mask behind the pixels
        row = (width + 31) // 32 * 4
        mask = np.frombuffer(data[-row * height :], np.uint8).reshape(height, row)
        pixels[..., 3] = 255 * (1 - np.unpackbits(mask, axis=1)[::-1, :width].astype(np.int32))
    alpha = pixels[..., 3:] if pixels[..., 3].any() else 255
    return (pixels[..., :3] * alpha + 255 * (255 - alpha)) // 255


_SECOND = {
    "HEIF": _heif_by_ffmpeg, "JPEG2000": _by_ffmpeg, "ICO": _icon_by_ffmpeg, "AVIF": _avif_by_opencv,
}  # fmt: skip


def difference(data: bytes, result: bytes) -> str:
    """How what we read differs from what a second decoder reads: ``same``, ``unlike ...``, ``unread`` by that, or ``not comparable``."""
    import numpy as np

    with Image.open(io.BytesIO(data)) as image:
        # Orientation, profiles, transparency, depth and what a frame leaves uncovered are treated differently on purpose.
        special = image.format != "ICO" and (
            image.info.get("icc_profile")
            or image.getexif().get(0x0112, 1) != 1
            or image.has_transparency_data
            or (image.format == "GIF" and image.tile[0].extents != (0, 0, *image.size))
            or (image.format == "BMP" and data[28] == 16)
            or (image.format == "HEIF" and _shows_from_within(data))
            or (image.format == "PPM" and image.mode != "1" and not _PPM_OF_255.match(data))
        )
        if special or image.mode not in ("RGB", "L", "P", "1", "RGBA"):
            return "not comparable"
        second = _SECOND.get(image.format or "", _by_opencv)
        size = image.size
    other = second(data)
    if other is None:
        return "unread"
    if second in (_by_ffmpeg, _heif_by_ffmpeg):
        other = other[: size[1], : size[0]]  # it gives whole coding blocks
    ours = np.asarray(Image.open(io.BytesIO(result)).convert("RGB"), np.int16)[..., ::-1]
    if ours.shape != other.shape:
        return "not comparable"
    apart = np.abs(ours - other)
    mean, far = float(apart.mean()), float((apart.max(2) > FAR).mean())
    return (
        f"unlike by {mean:.1f}, {far:.2%} of pixels" if mean > MEAN_DIFFERENCE or far > FAR_SHARE else "same"
    )


def _options() -> tuple[argparse.Namespace, dict[str, list[bytes]]]:
    """The options, and the files to mutate by format."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--formats", nargs="+", metavar="FORMAT", help="these alone, as Pillow calls them: HEIF"
    )
    parser.add_argument("--bits", action="store_true", help="change one bit of each file, and nothing else")
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz-findings"), help="folder for files that are findings"
    )
    options = parser.parse_args()
    if missing := [name for name in ("cv2", "av", "pillow_heif") if importlib.util.find_spec(name) is None]:
        parser.error(
            f"{', '.join(missing)}: not installed, so nothing can be compared: pip install -r requirements/fuzz.in"
        )
    files = seeds()
    if unknown := set(options.formats or ()) - set(files):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(sorted(files))}")
    return options, {fmt: found for fmt, found in files.items() if fmt in (options.formats or files)}


def main() -> None:
    """Fuzz for some minutes and print figures as JSON."""
    options, files = _options()
    options.keep.mkdir(parents=True, exist_ok=True)
    rng, process = random.Random(options.seed), WorkerProcess()
    outcomes: collections.Counter[str] = collections.Counter()
    findings: list[dict[str, Any]] = []
    figures: dict[str, Any] = {
        "files": 0,
        "compared": collections.Counter(),
        "peak_memory_mib": 0,
    }
    slowest: dict[str, float] = collections.defaultdict(float)
    per_megabyte: dict[str, float] = collections.defaultdict(float)
    end = time.monotonic() + 60 * options.minutes
    while time.monotonic() < end:
        fmt = rng.choice(sorted(files))
        seed = rng.choice(files[fmt])
        data = one_bit_changed(seed, rng) if options.bits else mutated(fmt, seed, rng)
        outcome, seconds, peak, result = process.run(data)
        figures["files"] += 1
        outcomes[f"{fmt} {outcome.split(':')[0]}"] += 1
        slowest[fmt] = max(slowest[fmt], round(seconds, 2))
        per_megabyte[fmt] = max(per_megabyte[fmt], round(seconds / max(len(data), 50_000) * 1e6, 2))
        figures["peak_memory_mib"] = max(figures["peak_memory_mib"], peak // 1024)
        found = outcome if outcome.startswith("!") or seconds > CPU_SECONDS else ""
        if outcome == "read" and data != seed:
            try:
                seen = difference(data, result)
            except Exception:
                seen = "not comparable"
            figures["compared"][f"{fmt} {seen.split()[0]}"] += 1
            found = seen if seen.startswith("unlike") else ""
        if found:
            path = options.keep / f"{hashlib.sha256(data).hexdigest()[:12]}.{fmt.lower()}"
            path.write_bytes(data)
            findings.append({"file": path.name, "found": found, "cpu_seconds": round(seconds, 2)})
    process.close()
    print(
        json.dumps(
            {
                "seed": options.seed,
                "minutes": options.minutes,
                **figures,
                "slowest_cpu_seconds": slowest,
                "most_cpu_seconds_per_megabyte": per_megabyte,
                "outcomes": dict(sorted(outcomes.items())),
                "findings": findings,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
