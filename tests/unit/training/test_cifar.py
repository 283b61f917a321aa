"""CIFAR-100's archive over HTTP: whole, interrupted, wrong, hostile."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training.dataset import cifar, samples
from training.errors import TrainingError

NAMES = [b"apple", b"bicycle", b"motorcycle", b"wolf"]


def archive(members: dict[str, Any]) -> bytes:
    """A .tar.gz with pickles of protocol 2 and bytes as keys, as Python 2 wrote CIFAR-100."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in members.items():
            data = content if isinstance(content, bytes) else pickle.dumps(content, protocol=2)
            entry = tarfile.TarInfo(f"cifar-100-python/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def split(seed: int, count: int = 20) -> dict[bytes, Any]:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 3072), np.uint8)
    return {b"data": pixels, b"fine_labels": [i % 4 for i in range(count)]}


CONTENT = archive({"meta": {b"fine_label_names": NAMES}, "train": split(1), "test": split(2)})
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT with Range; `cut` bytes into a response it drops the connection, once."""

    daemon_threads = True
    content = CONTENT
    cut: int | None = None
    ranges = True
    missing = False
    length = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/cifar-100-python.tar.gz"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        if self.server.missing:
            self.send_error(404)
            return
        if start >= len(self.server.content):
            self.send_error(416)
            return
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        if self.server.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.cut is not None:
            body, self.server.cut = body[: self.server.cut], None
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_download_reports_progress_and_is_not_repeated(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    for _ in range(2):
        path = cifar.fetch(
            tmp_path, address=server.address, md5=MD5, progress=lambda *step: seen.append(step)
        )

    assert path.read_bytes() == CONTENT
    assert cifar.ADDRESS == "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert server.asked == [None]


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_is_gone_on_with(server: Server, tmp_path: Path, ranges: bool) -> None:
    # GIVEN a connection that breaks after 1,000 bytes, and a server that can or cannot send the rest alone
    server.cut, server.ranges = 1000, ranges
    with pytest.raises(TrainingError, match="run it again to resume"):
        cifar.fetch(tmp_path, address=server.address, md5=MD5)

    path = cifar.fetch(tmp_path, address=server.address, md5=MD5)

    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-"]


def test_a_part_that_is_already_whole_is_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cifar-100-python.tar.gz.part").write_bytes(CONTENT)

    assert cifar.fetch(tmp_path, address=server.address, md5=MD5).read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT)}-"]


def test_without_a_length_the_checksum_decides(server: Server, tmp_path: Path) -> None:
    server.length = False
    seen: list[tuple[int, int]] = []
    folder = tmp_path / "not" / "yet"
    path = cifar.fetch(folder, address=server.address, md5=MD5, progress=lambda *step: seen.append(step))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), 0)


@pytest.mark.parametrize(
    ("module", "name", "array"),
    [
        ("numpy.core.multiarray", "_reconstruct", True), ("numpy._core.multiarray", "_reconstruct", True),
        ("numpy.core.multiarray", "scalar", False), ("os", "_reconstruct", False), ("numpy", "ndarray", True),
        ("numpy", "dtype", True), ("numpy", "load", False), ("os", "ndarray", False), ("_codecs", "encode", True),
        ("_codecs", "decode", False), ("os", "encode", False),
    ],
)  # fmt: skip
def test_an_archive_may_name_what_arrays_are_made_of_alone(module: str, name: str, array: bool) -> None:
    reader = cifar._Arrays(io.BytesIO())
    if array:
        assert callable(reader.find_class(module, name))
    else:
        with pytest.raises(
            pickle.UnpicklingError, match=f"requests {module}.{name}, which arrays do not need"
        ):
            reader.find_class(module, name)
    assert reader.find_class("_codecs", "encode")("é") == b"\xe9"


def test_a_folder_is_no_member(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        entry = tarfile.TarInfo("cifar-100-python/meta")
        entry.type = tarfile.DIRTYPE
        tar.addfile(entry)
    with pytest.raises(TrainingError, match=r"not CIFAR-100's Python archive: 'meta'$"):
        cifar.read(tmp_path / "a.tar.gz", ["wolf"])


def test_a_wrong_checksum_is_an_error_and_nothing_is_stored(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT + b"x"

    with pytest.raises(TrainingError, match="checksum"):
        cifar.fetch(tmp_path, address=server.address, md5=MD5)

    assert list(tmp_path.iterdir()) == []


def test_an_archive_with_another_checksum_is_downloaded_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cifar-100-python.tar.gz").write_bytes(CONTENT[:500])

    assert cifar.fetch(tmp_path, address=server.address, md5=MD5).read_bytes() == CONTENT


def test_an_address_that_cannot_be_reached_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="could not be downloaded"):
        cifar.fetch(tmp_path, address="http://127.0.0.1:9/x.tar.gz", timeout=2)


def test_a_server_that_has_no_such_archive_is_an_error(server: Server, tmp_path: Path) -> None:
    server.missing = True

    with pytest.raises(TrainingError, match=r"could not be downloaded: Not Found$"):
        cifar.fetch(tmp_path, address=server.address, md5=MD5)


def test_classes_are_read_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(CONTENT)

    tiles = cifar.read(tmp_path / "a.tar.gz", ["motorcycle", "bicycle"], ("test",))

    assert [(t.row, t.label) for t in tiles[:3]] == [(1, "bicycle"), (2, "motorcycle"), (5, "bicycle")]
    assert np.array_equal(tiles[0].pixels[:, :, 0].ravel(), split(2)[b"data"][1, :1024])
    with pytest.raises(TrainingError, match=r"unicycle; it has: apple, bicycle, motorcycle, wolf"):
        cifar.read(tmp_path / "a.tar.gz", ["unicycle"])


class Attack:
    def __reduce__(self) -> Any:
        return os.system, ("touch attacked",)


@pytest.mark.parametrize(
    "content",
    [
        archive({"meta": Attack(), "train": split(1), "test": split(2)}),
        archive({"meta": {b"fine_label_names": NAMES}}),
        archive({"meta": [1], "train": split(1), "test": split(2)}),
        b"no archive",
        CONTENT[:500],
    ],
    ids=["attack", "members missing", "no dictionary", "no archive", "truncated"],
)
def test_a_hostile_or_broken_archive_is_rejected(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.tar.gz").write_bytes(content)

    with pytest.raises(TrainingError, match="not CIFAR-100"):
        cifar.read(tmp_path / "a.tar.gz", ["wolf"])

    assert not (tmp_path / "attacked").exists()


def test_samples_are_real_images_where_they_can_be_had(server: Server, tmp_path: Path) -> None:
    found = samples.download(tmp_path / "s", 6, cache=tmp_path / "cache", address=server.address, md5=MD5)

    assert len(found.images) == 6
    assert {p.parent.name for p in found.images} <= {"bicycle", "motorcycle"}


def test_samples_are_drawn_where_not_and_that_is_reported(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cifar, "ADDRESS", "https://127.0.0.1/nowhere.tar.gz")
    said: list[str] = []

    found = samples.make(tmp_path, 14, said.append)

    assert found.origin == "drawn"
    assert any("drawing" in sentence for sentence in said)
    assert len(found.images) == 14
    # AND they differ in size and format, and the same are drawn again
    images = [Image.open(p) for p in found.images]
    assert len({image.size for image in images}) > 2
    assert len({image.format for image in images}) > 2
    again = samples.drawn(tmp_path / "again", 14)
    assert [p.read_bytes() for p in again.images] == [p.read_bytes() for p in found.images]
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(found.other[0])
