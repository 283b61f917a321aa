"""`dropsort dataset` against a bucket in moto: exactly the reviewed versions, resumed, repeated, with what is wrong named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from click.testing import CliRunner
from PIL import Image

from dropsort.cli.dataset import dataset
from tests.unit.cli.conftest import TEMPLATE
from tests.unit.client.conftest import BUCKET
from tests.unit.handlers.sample_images import encoded, noise
from training import dataset as datasets

LATE = 9 * 16**63  # an inference id behind more than half of all


def image(seed: int) -> bytes:
    """An image of coarse noise as PNG."""
    return encoded(noise(6, 6, seed=seed).resize((32, 32), Image.Resampling.BICUBIC), "PNG")


def run(folder: Path, *options: str) -> Any:
    arguments = [str(folder), "--json", "-", *options]
    shown = CliRunner().invoke(dataset, arguments, catch_exceptions=False)
    return json.loads(shown.stdout), shown.stderr


def test_reviews_become_a_dataset(record: Callable[..., None], s3: Any, tmp_path: Path) -> None:
    # GIVEN reviews, one of a version that was replaced since, one of a version that is gone
    for number, action, label in (
        (0, "label", "bicycle"),
        (1, "label", "../motorcycle"),
        (2, "none", None),
        (3, "unusable", None),
        (4, "label", "bicycle"),
    ):
        record(number, "low-confidence", action, label, body=image(number))
    # and in the random order a gap, one behind it, and one that is too far for a test
    record(5)
    record(6, "low-confidence", "label", "bicycle", body=image(6))
    record(LATE, "low-confidence", "label", "bicycle", body=image(7))
    s3.put_object(Bucket=BUCKET, Key="incoming/000.jpg", Body=b"newer")
    for version in s3.list_object_versions(Bucket=BUCKET, Prefix="incoming/004")["Versions"]:
        s3.delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])

    document, notes = run(tmp_path)

    assert document["actions"] == {"label": 5, "none": 1, "unusable": 1}
    read = datasets.read(tmp_path)
    assert {one.label for one in read.images} == {"bicycle", "../motorcycle"}
    assert {one.path.read_bytes(): one.part for one in read.images} == {
        image(0): "test",
        image(1): "test",
        image(7): "train",
    }
    assert [path.read_bytes() for path in (tmp_path / "others").iterdir()] == [image(2)]
    left_out = [(one["kind"], int(Path(one["file"]).stem, 16)) for one in document["left_out"]]
    assert left_out == [("gone", 4), ("held back", 6)]
    assert "gone" in notes
    # AND a file is named by its path here and its key
    for one in document["left_out"]:
        assert f"({one['kind']}): {one['file']} ({one['key']}):" in " ".join(notes.split())

    # WHEN it is run again, one file missing and the bucket without it THEN only that one is missed
    missing = next(one.path for one in read.images if one.path.read_bytes() == image(0))
    missing.unlink()
    for version in s3.list_object_versions(Bucket=BUCKET, Prefix="incoming/")["Versions"]:
        s3.delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])
    again, _ = run(tmp_path)
    assert again["reviewed"] == 2
    assert [one["kind"] for one in again["left_out"]] == ["gone", "gone", "held back"]


def test_a_model_that_is_not_that_of_the_service_or_the_images_is_named(
    record: Callable[..., None], tmp_path: Path
) -> None:
    # GIVEN a service that runs another model than the default of --model
    parameters = {"ModelVersion": {"Type": "String", "Default": "shapes-7"}}
    boto3.client("cloudformation").create_stack(
        StackName="shapes", TemplateBody=json.dumps(TEMPLATE | {"Parameters": parameters})
    )
    record(0, "low-confidence", "label", "bicycle", body=image(0))

    # WHEN its labels are those of the images THEN a note names both versions
    _, notes = run(tmp_path / "bikes", "--stack", "shapes")
    assert "The service runs shapes-7" in notes
    assert "--model" in notes
    _, notes = run(tmp_path / "same")
    assert "The service runs" not in notes

    # WHEN not one image has a label of the model THEN nothing is made, and above all no test part of training images
    record(0, "low-confidence", "label", "circle", body=image(0))
    images = tmp_path / "shapes"
    for number, label in enumerate(("circle", "square")):
        (images / label).mkdir(parents=True)
        (images / label / "0.png").write_bytes(image(number))
    arguments = [str(tmp_path / "joined"), "--stack", "shapes", "--images", str(images)]
    shown = CliRunner().invoke(dataset, arguments)
    assert shown.exit_code == 1
    assert "the images have circle, square" in str(shown.exception)
    assert not (tmp_path / "joined").exists()
