"""Indexes and manifests of images that are broken or hostile: the error names them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from training import dataset
from training.errors import TrainingError


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.lst", "0 1 file.png\n", "line 1"),
        ("a.manifest", '{"class": 1}\n', "line 1"),
        ("a.manifest", '{"source-ref": "s3://b/k.png", "class": 1}\n', "download it first"),
        ("a.txt", "x", "neither"),
    ],
)
def test_a_broken_index_is_named_with_its_line(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text)

    with pytest.raises(TrainingError, match=says) as error:
        dataset.read(tmp_path / name)

    assert name in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"label,file\n\xff,a.png\n"),
        ("a.csv", b"label,file\na," + b"x" * 200_000),
        ("a.csv", b"label,file\n"),
        ("a.csv", b"label\0,file"),
        ("a.lst", b"0\t1e999\tb.png\n"),
        ("a.lst", b"0\t-1\tb.png\n"),
        ("a.lst", b"0\tnan\tb.png\n"),
        ("a.lst", b"\xff"),
        ("a.manifest", b"[" * 100_000),
        ("a.manifest", b'{"source-ref": "a", "class": ' + b"1" * 5000 + b"}"),
        ("a.manifest", b'{"source-ref": ["a"], "class": 1}'),
        ("a.manifest", b'{"source-ref": "a", "x-metadata": {"class-name": {"a": 1}}}'),
        ("a.manifest", b'{"source-ref": "a", "x-metadata": 5}'),
        ("a.manifest", b'{"source-ref": "a\\u0000b", "class": "\\ud800"}'),
    ],
)
@pytest.mark.parametrize("names", [b'["a"]', b'{"a": 1}', b"{"])
def test_a_hostile_index_is_named(tmp_path: Path, name: str, content: bytes, names: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "labels.json").write_bytes(names)
    with pytest.raises(TrainingError, match=re.escape(str(tmp_path))) as error:
        dataset.read(tmp_path / name)
    assert len(str(error.value)) < 1000 + len(content) % 200_000


def test_a_bare_name_is_that_of_the_indexs_own_folder_and_of_one_file(
    image_tree: Callable[..., Path], tmp_path: Path
) -> None:
    # GIVEN a name that is in the folder of the index and in another one, and one that is in its own folder twice
    image_tree(2, below="all/train")
    image_tree(1, labels=("blue",), below="all/elsewhere")
    (tmp_path / "all" / "train" / "blue" / "1.png").rename(tmp_path / "all" / "train" / "blue" / "only.png")
    (tmp_path / "all" / "elsewhere" / "blue" / "0.png").rename(tmp_path / "all" / "elsewhere" / "only.png")
    index = tmp_path / "all" / "train.lst"
    index.write_text("0\t0\tonly.png\n1\t1\t0.png\n")

    data = dataset.read(index)

    assert [image.path for image in data.images] == [tmp_path / "all" / "train" / "blue" / "only.png"]
    assert data.rejected == [(tmp_path / "all" / "0.png", "does not exist")]
