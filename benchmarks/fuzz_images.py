"""Fuzzes the reading of images: structure-aware mutations, counted CPU time, bounded memory, and pixels held against a second decoder.

    python -m benchmarks.fuzz_images --minutes 60 --seed 1 --keep fuzz-findings

Needs what requirements/fuzz.in names, in addition to Pillow. Parts of a file (chunks, segments, boxes, tags) are mutated, left
out, doubled and put in another order, with lengths and checksums made right again. Each file is normalised in a process of its own with
the memory of the function as its hard limit; the process is replaced when it dies. A finding is a crash, an exception that is no
rejection, more CPU time than allowed, memory beyond the limit, or an image called whole whose pixels differ from those of OpenCV by more
than rounding.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import io
import json
import multiprocessing
import random
import resource
import struct
import time
import zlib
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from PIL import Image

MEMORY_BYTES = 1769 * 1024 * 1024  # of the function
CPU_SECONDS = 55.0  # its time-out
MEAN_DIFFERENCE = 3.0  # of 255; JPEG decoders round differently
SIDE = 1024

Mutator = Callable[[bytes, random.Random], bytes]


def seeds() -> dict[str, list[bytes]]:
    """Small images of every format and layout, by format."""
    generator = random.Random(7)
    found: dict[str, list[bytes]] = collections.defaultdict(list)
    for width, height in ((64, 48), (150, 110)):
        ground = Image.linear_gradient("L").resize((width, height))
        colour = Image.merge(
            "RGB", (ground, ground.transpose(Image.Transpose.FLIP_LEFT_RIGHT), ground.rotate(90))
        )
        noise = Image.frombytes("RGB", (width, height), generator.randbytes(width * height * 3))
        image = Image.blend(colour, noise, 0.1)
        for fmt, options in (
            ("JPEG", {}), ("JPEG", {"progressive": True}), ("JPEG", {"restart_marker_rows": 1}), ("JPEG", {"optimize": True}), ("PNG", {}),
            ("GIF", {}), ("WEBP", {}), ("WEBP", {"lossless": True}), ("AVIF", {"speed": 10}), ("BMP", {}), ("TIFF", {}),
            ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "jpeg"}), ("TIFF", {"compression": "tiff_deflate"}),
            ("JPEG2000", {}), ("JPEG2000", {"tile_size": (32, 32)}), ("ICO", {"sizes": [(width, height)]}), ("PPM", {}),
        ):  # fmt: skip
            for mode in ("RGB", "L"):
                buffer = io.BytesIO()
                image.convert(mode).save(buffer, fmt, **options)
                found[fmt].append(buffer.getvalue())
    return dict(found)


def flip(data: bytes, rng: random.Random) -> bytes:
    """Change single bytes, cut, double, fill with zeros."""
    content = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(content)) if rng.random() < 0.6 else rng.randrange(min(200, len(content)))
        match rng.randrange(6):
            case 0:
                content[at] ^= 1 << rng.randrange(8)
            case 1:
                content[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
            case 2:
                del content[at : at + rng.randint(1, 64)]
            case 3:
                content[at:at] = content[at : at + rng.randint(1, 64)]
            case 4:
                length = rng.choice((4, 64, 512, len(content)))
                content[at : at + length] = bytes(len(content[at : at + length]))
            case _:
                content[at : at + 4] = rng.choice(
                    (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", struct.pack("<I", 65535))
                )
        if not content:
            return b"\0"
    return bytes(content)


def shuffled(parts: list[bytes], rng: random.Random) -> list[bytes]:
    """Leave out, double or exchange one of the parts."""
    parts = list(parts)
    if not parts:
        return parts
    at, other = rng.randrange(len(parts)), rng.randrange(len(parts))
    match rng.randrange(4):
        case 0:
            del parts[at]
        case 1:
            parts.insert(other, parts[at])
        case 2:
            parts[at], parts[other] = parts[other], parts[at]
        case _:
            parts += parts[at : at + 1] * rng.choice((2, 50, 3000))
    return parts


def png(data: bytes, rng: random.Random) -> bytes:
    """Mutate chunks, their checksums right, and the data below its compression."""
    chunks, at = [], 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunks.append((kind, data[at + 8 : at + 8 + length]))
        at += 12 + length
    index = rng.randrange(len(chunks))
    kind, content = chunks[index]
    if kind == b"IDAT" and rng.random() < 0.7:
        raw = zlib.decompress(content)
        content = zlib.compress(raw[: rng.randrange(len(raw))] if rng.random() < 0.5 else flip(raw, rng))
    elif content:
        content = flip(content, rng)
    chunks[index] = (kind, content)
    packed = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks]
    return data[:8] + b"".join(shuffled(packed, rng) if rng.random() < 0.3 else packed)


def jpeg(data: bytes, rng: random.Random) -> bytes:
    """Mutate segments and the data of scans."""
    segments, at = [], 2
    while at + 4 <= len(data):
        marker = data[at + 1]
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:
            while end < len(data) - 1 and not (
                data[end] == 0xFF and data[end + 1] not in (0, *range(0xD0, 0xD8))
            ):
                end += 1
        segments.append(data[at:end])
        at = end
    if rng.random() < 0.5:
        index = rng.randrange(len(segments))
        part = segments[index]
        if part[1] == 0xDA and rng.random() < 0.5:
            segments[index] = part[: rng.randint(2, len(part))]
        else:
            segments[index] = part[:4] + flip(part[4:] or b"\0", rng)
    else:
        segments = shuffled(segments, rng)
    return data[:2] + b"".join(segments) + (b"\xff\xd9" if rng.random() < 0.8 else b"")


def riff(data: bytes, rng: random.Random) -> bytes:
    """Mutate the chunks of WebP, their lengths right."""
    chunks, at = [], 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        chunks.append((data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length + (length & 1)
    index = rng.randrange(len(chunks))
    kind, content = chunks[index]
    chunks[index] = (
        kind,
        content[: rng.randint(1, len(content))] if rng.random() < 0.3 else flip(content, rng),
    )
    body = b"".join(k + struct.pack("<I", len(c)) + c + bytes(len(c) & 1) for k, c in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def boxes(data: bytes, rng: random.Random, depth: int = 0) -> bytes:
    """Mutate a box of ISO media or JPEG 2000, at any depth, the lengths right."""
    found, at = [], 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        size = size or len(data) - at
        if size < 8:
            break
        found.append((kind, data[at + 8 : at + size]))
        at += size
    if not found:
        return flip(data or b"\0", rng)
    index = rng.randrange(len(found))
    kind, content = found[index]
    if kind in (b"meta", b"iprp", b"ipco", b"jp2h") and depth < 4:
        skip = 4 if kind == b"meta" else 0
        content = content[:skip] + boxes(content[skip:], rng, depth + 1)
    elif content:
        content = flip(content, rng)
    found[index] = (kind, content)
    packed = [struct.pack(">I4s", 8 + len(c), k) + c for k, c in found]
    return b"".join(shuffled(packed, rng) if rng.random() < 0.2 else packed)


def tiff(data: bytes, rng: random.Random) -> bytes:
    """Change type, count or value of tags."""
    content = bytearray(data)
    first = struct.unpack_from("<I", content, 4)[0]
    count = struct.unpack_from("<H", content, first)[0]
    for _ in range(rng.randint(1, 3)):
        entry = first + 2 + 12 * rng.randrange(max(count, 1))
        field, size = rng.choice(((2, "<H"), (4, "<I"), (8, "<I"), (8, "<H")))
        value = rng.choice((0, 1, 2, 3, 5, 7, 8, 16, 32, 255, 65535, 2**31 - 1, rng.getrandbits(16)))
        struct.pack_into(size, content, entry + field, value & (0xFFFF if size == "<H" else 0xFFFFFFFF))
    return bytes(content)


MUTATORS: dict[str, tuple[Mutator, ...]] = {
    "PNG": (png, png, flip), "JPEG": (jpeg, jpeg, flip), "WEBP": (riff, riff, flip), "AVIF": (boxes, boxes, flip),
    "JPEG2000": (boxes, flip), "TIFF": (tiff, flip),
}  # fmt: skip


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


class Process:
    """A worker that is replaced when it dies."""

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


def difference(data: bytes, result: bytes) -> float | None:
    """Mean difference of what we read to what OpenCV reads; None if that cannot be determined."""
    import cv2
    import numpy as np

    with Image.open(io.BytesIO(data)) as image:
        # Orientation, profiles, transparency and depth are treated differently on purpose.
        if (
            image.info.get("icc_profile")
            or image.getexif().get(0x0112, 1) != 1
            or image.mode not in ("RGB", "L")
        ):
            return None
    other = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if other is None:
        return None
    ours = np.asarray(Image.open(io.BytesIO(result)).convert("RGB"), np.int16)[..., ::-1]
    return float(np.abs(ours - other).mean()) if ours.shape == other.shape else None


def main() -> None:
    """Fuzz for some minutes and print figures as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz-findings"), help="folder for files that are findings"
    )
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    rng, files, process = random.Random(options.seed), seeds(), Process()
    outcomes: collections.Counter[str] = collections.Counter()
    findings: list[dict[str, Any]] = []
    figures: dict[str, Any] = {
        "files": 0,
        "compared": 0,
        "slowest_cpu_seconds": 0.0,
        "most_cpu_seconds_per_megabyte": 0.0,
        "peak_memory_mib": 0,
    }
    end = time.monotonic() + 60 * options.minutes
    while time.monotonic() < end:
        fmt = rng.choice(sorted(files))
        seed = rng.choice(files[fmt])
        try:
            data = rng.choice(MUTATORS.get(fmt, (flip,)))(seed, rng)
        except (struct.error, IndexError, ValueError, zlib.error):
            data = flip(seed, rng)
        outcome, seconds, peak, result = process.run(data)
        figures["files"] += 1
        outcomes[f"{fmt} {outcome.split(':')[0]}"] += 1
        figures["slowest_cpu_seconds"] = max(figures["slowest_cpu_seconds"], round(seconds, 2))
        figures["most_cpu_seconds_per_megabyte"] = max(
            figures["most_cpu_seconds_per_megabyte"], round(seconds / max(len(data), 50_000) * 1e6, 2)
        )
        figures["peak_memory_mib"] = max(figures["peak_memory_mib"], peak // 1024)
        found = outcome if outcome.startswith("!") or seconds > CPU_SECONDS else ""
        if outcome == "read" and data != seed:
            try:
                unlike = difference(data, result)
            except Exception:
                unlike = None
            figures["compared"] += unlike is not None
            if unlike is not None and unlike > MEAN_DIFFERENCE:
                found = f"differs by {unlike:.1f}"
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
                "outcomes": dict(sorted(outcomes.items())),
                "findings": findings,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
