"""Image addresses without the SDK, held against the SDK's where it is installed."""

from __future__ import annotations

import pytest

from tests import needs
from training.aws.container_images import PYTHON_VERSION, PYTORCH_VERSION, REGIONS, Image, has_gpu, image_uri
from training.errors import TrainingError

IMAGES: tuple[Image, ...] = ("image-classification", "pytorch-training", "pytorch-inference")


def test_addresses() -> None:
    assert image_uri("image-classification", "us-east-1") == (
        "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
    )
    assert image_uri("pytorch-inference", "eu-central-1") == (
        "763104351884.dkr.ecr.eu-central-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312"
    )
    assert image_uri("pytorch-training", "cn-north-1", "ml.g5.xlarge") == (
        "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn/pytorch-training:2.6.0-gpu-py312"
    )


def test_a_region_without_the_image_is_an_error() -> None:
    for image in IMAGES:
        with pytest.raises(TrainingError, match=f"no {image} image in region 'mars-north-1'"):
            image_uri(image, "mars-north-1")
    with pytest.raises(TrainingError, match="mx-central-1"):
        image_uri("image-classification", "mx-central-1")


def test_an_unknown_image_is_an_error() -> None:
    with pytest.raises(TrainingError, match="'nonsense' is none of the known images"):
        image_uri("nonsense", "us-east-1")  # type: ignore[arg-type]


def test_gpus() -> None:
    assert has_gpu("ml.g4dn.xlarge")
    assert has_gpu("ml.p3.2xlarge")
    assert not has_gpu("ml.m5.xlarge")
    assert not has_gpu("ml.c5.xlarge")


@pytest.mark.parametrize("image", IMAGES)
def test_the_table_says_what_the_sdk_says(image: Image) -> None:
    image_uris = needs.module("sagemaker", "sagemaker.core.image_uris")
    for region in REGIONS:
        try:
            ours = image_uri(image, region)
        except TrainingError:
            ours = None
        try:
            if image == "image-classification":
                theirs = image_uris.retrieve(image, region)
            else:
                theirs = image_uris.retrieve(
                    "pytorch",
                    region,
                    version=PYTORCH_VERSION,
                    py_version=PYTHON_VERSION,
                    instance_type="ml.m5.xlarge",
                    image_scope=image.removeprefix("pytorch-"),
                )
        except ValueError:
            theirs = None
        assert ours == theirs, region
