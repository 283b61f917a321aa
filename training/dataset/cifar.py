"""CIFAR-100 by class names from its home page: downloaded once, checked, resumed after an interruption.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. The archive holds Python pickles, which can
run any code: they are read by an unpickler that accepts nothing but arrays.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dropsort.contract.progress import Progress, no_progress
from training.errors import TrainingError

ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
MD5 = "eb9058c3a382ffc7106e4002c42a8d85"  # as published with it
_CHUNK = 1 << 18


def fetch(
    folder: Path,
    *,
    address: str = ADDRESS,
    md5: str = MD5,
    timeout: float = 20.0,
    progress: Progress = no_progress,
) -> Path:
    """The archive in `folder`, downloaded unless it exists with the right checksum.

    An interrupted download (`.part`) is resumed if the server supports ranges; an archive with another checksum is
    deleted. `progress` counts bytes.

    Raises
    ------
    TrainingError
        The address cannot be reached, the connection broke (call again to resume), or the checksum is wrong.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / address.rsplit("/", 1)[-1]
    if target.is_file() and _md5(target) == md5:
        return target
    part = target.with_name(target.name + ".part")
    try:
        _download(address, part, timeout, progress)
    except OSError as error:
        size = part.stat().st_size if part.is_file() else 0
        kept = f"; {size:,} bytes are kept, run it again to resume" if size else ""
        raise TrainingError(
            f"{address} could not be downloaded: {getattr(error, 'reason', error)}{kept}"
        ) from error
    if (found := _md5(part)) != md5:
        part.unlink()
        raise TrainingError(
            f"{address} has the checksum {found}, not {md5}: what was downloaded is deleted, try again"
        )
    part.replace(target)
    return target


def _download(address: str, part: Path, timeout: float, progress: Progress) -> None:
    done = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={done}-"} if done else {})  # noqa: S310
    try:
        response = urllib.request.urlopen(request, timeout=timeout)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is missing; the checksum decides
            return
        raise
    with response, part.open("ab" if response.status == 206 else "wb") as out:
        if response.status != 206:
            done = 0
        length = int(response.headers.get("Content-Length") or 0)
        total = done + length if length else 0
        while block := response.read(_CHUNK):
            out.write(block)
            done += len(block)
            progress(done, total)
    if total and done < total:
        raise ConnectionError(f"the connection closed after {done:,} of {total:,} bytes")


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


class _Arrays(pickle.Unpickler):
    """Reads dicts, lists, numbers, bytes and numpy arrays, and rejects everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np.zeros(0).__reduce__()[0]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):  # how protocol 2 spells bytes
            return lambda text, encoding="latin1": text.encode(encoding)
        raise pickle.UnpicklingError(f"the archive requests {module}.{name}, which arrays do not need")


class CifarImage(NamedTuple):
    """An image, 32 x 32 RGB, with its class name and its row in its split of CIFAR-100."""

    split: str
    label: str
    row: int
    pixels: np.ndarray


def read(archive: Path, labels: Sequence[str], splits: Sequence[str] = ("train", "test")) -> list[CifarImage]:
    """The images of some classes; TrainingError names the known classes if one is unknown."""
    try:
        with tarfile.open(archive) as tar:
            contents = {name: _member(tar, name) for name in ("meta", *splits)}
    except (OSError, tarfile.TarError, KeyError, pickle.UnpicklingError, EOFError, ValueError) as error:
        raise TrainingError(f"{archive} is not CIFAR-100's Python archive: {error}") from error
    names = [name.decode() for name in contents["meta"][b"fine_label_names"]]
    unknown = [label for label in labels if label not in names]
    if unknown:
        raise TrainingError(f"CIFAR-100 has no class {', '.join(unknown)}; it has: {', '.join(names)}")
    wanted = {names.index(label): label for label in labels}
    images = []
    for split in splits:
        pixels = np.asarray(contents[split][b"data"], np.uint8).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        for row, number in enumerate(contents[split][b"fine_labels"]):
            if number in wanted:
                images.append(CifarImage(split, wanted[number], row, pixels[row]))
    return images


def _member(tar: tarfile.TarFile, name: str) -> dict[bytes, Any]:
    stream = tar.extractfile(f"cifar-100-python/{name}")
    if stream is None:
        raise KeyError(name)
    content = _Arrays(io.BytesIO(stream.read()), encoding="bytes").load()
    if not isinstance(content, dict):
        raise ValueError(f"{name} is not a dictionary")
    return content
