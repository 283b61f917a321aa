"""What is read of folders, tables and indexes: each rule by the case that it alone decides."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training import dataset
from training.dataset import Dataset, LabelledImage, fingerprints, reading
from training.errors import TrainingError


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), 200).save(path)
    return path


def read(source: Path) -> list[tuple[str, str, str]]:
    """Label, path below the folder and part of each image."""
    folder = source if source.is_dir() else source.parent
    found = dataset.read(source, check=False)
    return [(one.label, one.path.relative_to(folder).as_posix(), one.part) for one in found.images]


def test_in_folders_all_visible_files_of_labels_count_however_deep(tmp_path: Path) -> None:
    for name in ("a/2.png", "a/deep/1.png", "a/.x.png", ".b/1.png", "__MACOSX/a/1.png", "b/1.png"):
        image(tmp_path / name)
    (tmp_path / "train").write_text("no folder")
    assert read(tmp_path) == [("a", "a/2.png", ""), ("a", "a/deep/1.png", ""), ("b", "b/1.png", "")]
    # AND where there are parts only these, in the order of their names
    for name in ("validation/c/1.png", "test/a/1.png", "test/1.png"):
        image(tmp_path / name)
    assert read(tmp_path) == [("a", "test/a/1.png", "test"), ("c", "validation/c/1.png", "validation")]


def test_a_table_has_one_of_two_names_for_each_column(tmp_path: Path) -> None:
    names = ("here.png", "train/a/0.png", "a/1.png", "train/2.png")
    for name in names:
        image(tmp_path / name)
    table = tmp_path / "table.csv"
    for columns in ("file,label,split", "path,class,split"):
        table.write_text(f"{columns}\nhere.png,a,\n0.png,a,train\n1.png,a,train\n2.png,a,train\n")
        assert read(table) == [("a", "here.png", ""), *(("a", name, "train") for name in names[1:])]
    # The first names win, and a part need not be given.
    table.write_text("path,file,class,label\nhere.png,x,b,a\n")
    assert read(table) == [("a", "here.png", "")]
    # AND the nearest of several files, whose name is as it is
    image(tmp_path / "0.png")
    table.write_text("file,label,split\n0.png,a,train\n")
    assert read(table) == [("a", "0.png", "train")]
    image(tmp_path / "r\r\n.png")
    table.write_bytes(b'file,label\n"r\r\n.png",a\n')
    assert read(table) == [("a", "r\r\n.png", "")]
    table.write_bytes(b"file,label\n\xe9.png,a\n")
    (found,) = reading._entries(table)
    assert os.fsencode(found.path.name) == b"\xe9.png"
    # AND a cell that is missing is empty
    table.write_text("label,file,split\na,here.png\nb\n")
    data = dataset.read(table)
    assert ([one.label for one in data.images], data.rejected) == (["a"], [(tmp_path, "does not exist")])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("file,split\n", "needs the columns label and file (and may have split); it has file, split"),
        ("label\n", "needs the columns label and file (and may have split); it has label"),
        ("", "needs the columns label and file (and may have split); it has "),
        ("file,label,split\na,b,train\na,b,part\n", ", line 3: split is 'part': use train, validation, test"),
        (
            "file,label\na,b\n",
            "contains no image with a label (expected: one folder of images per class); the first of 1",
        ),
    ],
)
def test_a_table_that_cannot_be_read_is_named_with_its_line(tmp_path: Path, text: str, why: str) -> None:
    table = tmp_path / "table.csv"
    table.write_text(text)
    with pytest.raises(TrainingError) as error:
        dataset.read(table)
    assert str(error.value).removeprefix(str(table)).strip().startswith(why.strip())


def test_an_index_gives_the_number_of_a_class_or_its_name(tmp_path: Path) -> None:
    for name in ("train/0.png", "a/1.png", "train/deep/2.png", "deep/2.png"):
        image(tmp_path / name)
    rows = "0\t1\t0.png\n\n1\t0.0\ta/1.png\n \n2\t1\t2.png\n"
    (tmp_path / "train.lst").write_text(rows)
    expected = [("1", "train/0.png"), ("0", "a/1.png"), ("1", "train/deep/2.png")]
    assert read(tmp_path / "train.lst") == [(*one, "train") for one in expected]
    (tmp_path / "labels.json").write_bytes('["ü", "b"]'.encode())
    expected = [("b", "train/0.png"), ("ü", "a/1.png"), ("b", "train/deep/2.png")]
    assert read(tmp_path / "train.lst") == [(*one, "train") for one in expected]
    # Without a folder of its own, a bare name is one in the folder of the index, if there is one alone.
    (tmp_path / "all.lst").write_text("0\t1\tx/2.png\n1\t1\t1.png\n")
    found = dataset.read(tmp_path / "all.lst", check=False)
    assert [(one.path.name, one.part) for one in found.images] == [("1.png", "")]
    assert found.rejected == [(tmp_path / "x/2.png", "does not exist")]


@pytest.mark.parametrize("row", ["0\t0", "0\t0\ta\tb", "0\tx\ta", "0\t2\ta"])
def test_a_row_that_is_none_is_named_with_its_line(tmp_path: Path, row: str) -> None:
    (tmp_path / "labels.json").write_text('["a", "b"]')
    (tmp_path / "a.lst").write_text(f"\n{row}\n")
    with pytest.raises(TrainingError) as error:
        dataset.read(tmp_path / "a.lst")
    assert str(error.value).endswith(f"a.lst, line 2: not 'number, class from 0, path' with tabs: {row!r}")


@pytest.mark.parametrize("suffix", ["manifest", "jsonl"])
def test_an_augmented_manifest_gives_the_name_of_a_class_or_its_number(tmp_path: Path, suffix: str) -> None:
    image(tmp_path / "0.png")
    named = {
        "source-ref": "0.png",
        "class": 1,
        "class-metadata": {"class-name": "a"},
        "other": {"class-name": "b"},
    }
    lines = [json.dumps(named), "", " ", json.dumps({"source-ref": "0.png", "class": 1})]
    for stem, part in (("test", "test"), ("other", "")):
        path = tmp_path / f"{stem}.{suffix}"
        path.write_text("\n".join(lines))
        assert read(path) == [("a", "0.png", part), ("1", "0.png", part)]
        path.write_text("\n{}")
        with pytest.raises(
            TrainingError, match=rf"{suffix}, line 2: not an augmented manifest entry \(KeyError"
        ):
            dataset.read(path)


@pytest.mark.parametrize(
    "entry", [{"source-ref": "0.png", "x-metadata": {"class-name": 5}}, {"source-ref": 5, "class": 5}]
)
def test_an_entry_of_numbers_is_named_with_its_line(tmp_path: Path, entry: dict[str, Any]) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(entry))
    with pytest.raises(TrainingError, match=r"line 1: .*source-ref and class-name are texts"):
        dataset.read(tmp_path / "a.jsonl")


def test_each_file_is_checked_unless_its_presence_is_enough(tmp_path: Path) -> None:
    image(tmp_path / "a" / "0.png")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.png").write_text("no image")
    done: list[tuple[int, int]] = []
    found = dataset.read(tmp_path, progress=lambda *step: done.append(step))
    assert (found.labels, [path.name for path, _ in found.rejected], done) == (
        ["a"],
        ["1.png"],
        [(1, 2), (2, 2)],
    )
    assert dataset.read(tmp_path, check=False).labels == ["a", "b"]
    (tmp_path / "a" / "0.png").unlink()
    with pytest.raises(TrainingError, match=r"; the first of 1 rejected files: .*1\.png: not an image"):
        dataset.read(tmp_path)


def test_an_image_is_in_no_part_and_in_no_group_at_first_and_is_counted_so(tmp_path: Path) -> None:
    one = LabelledImage(tmp_path, "b")
    assert (one.part, one.group) == ("", -1)
    data = Dataset(
        ["a", "b"], [one, LabelledImage(tmp_path, "a", "test"), LabelledImage(tmp_path, "b", "test")]
    )
    assert data.counts() == {"test": {"a": 1, "b": 1}, "unassigned": {"a": 0, "b": 1}}
    assert list(data.counts()) == ["test", "unassigned"]
    assert data.numbers([]).dtype == np.int64
    numbers = data.numbers(data.images)
    assert (numbers.tolist(), numbers.dtype, data.rejected) == ([1, 0, 1], np.int64, [])


def test_images_are_resized_bicubically_as_the_graph_does_it(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 9, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = dataset.load([LabelledImage(tmp_path / "a.png", "a")] * 2, 6)
    expected = np.asarray(Image.fromarray(pixels).resize((6, 6), Image.Resampling.BICUBIC))
    assert (found.dtype, found.tolist()) == (np.uint8, [expected.tolist()] * 2)


def test_the_fingerprints_of_a_model_are_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = image(tmp_path / "a" / "0.png")
    copy = image(tmp_path / "a" / "1.bmp")
    fingerprints.write(tmp_path, [LabelledImage(one, "a"), LabelledImage(copy, "a")])
    digest = hashlib.sha256(b"(4, 4, 3)" + bytes([200, 0, 0] * 16)).hexdigest()[:16]
    (near,) = fingerprints.read(tmp_path).perceptual
    assert (tmp_path / "training-images.json").read_text() == (
        f'{{\n"pixels": [\n"{digest}"\n],\n"perceptual": [\n"{near:016x}"\n]\n}}\n'
    )
    assert fingerprints.read(tmp_path) == ({digest}, (near,))
    assert fingerprints.read(tmp_path / "a") == (frozenset(), ())
    for text in (
        "[",
        "[]",
        '{"pixels": []}',
        '{"pixels": 1, "perceptual": []}',
        '{"pixels": [], "perceptual": ["x"]}',
    ):
        (tmp_path / "training-images.json").write_text(text)
        with pytest.raises(
            TrainingError, match=r"training-images\.json is damaged .*: train the model again"
        ):
            fingerprints.read(tmp_path)
    monkeypatch.setattr(fingerprints.near_duplicates, "available", lambda: False)
    fingerprints.write(tmp_path, [LabelledImage(one, "a")])
    assert fingerprints.read(tmp_path) == ({digest}, ())
    (tmp_path / "training-images.json").unlink()
    (tmp_path / "training-images.json").mkdir()
    with pytest.raises(TrainingError, match=r"training-images\.json is damaged"):
        fingerprints.read(tmp_path)
